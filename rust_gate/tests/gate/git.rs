//! Git answers about the repository that a path is in, and nothing else: no name, variable, setting,
//! replacement or directory leads it elsewhere, and what it cannot answer is no answer.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::repository::{Repository, git};
use crate::common::{Answer, Room, minimal};
use serde_json::json;

const BASELINE: &str = "perf/baseline_cp1.json";

/// A repository whose remote has the usual files, with a laxer policy on a branch and a candidate that
/// only this one lets through.
fn judged() -> Room {
    let room = Room::with(&minimal());
    room.set("candidate.json", "metrics.latency_p95_ms", json!(0.6));
    std::fs::create_dir(room.path("perf")).unwrap();
    for name in ["baseline.json", "policy.json"] {
        std::fs::rename(room.path(name), room.path("perf").join(name)).unwrap();
    }
    let at = room.path(".");
    git(&at, &["init", "--quiet", "--initial-branch=main"]);
    git(&at, &["add", "perf"]);
    git(&at, &["commit", "--quiet", "--message=freeze"]);
    git(&at, &["remote", "add", "origin", "."]);
    git(&at, &["fetch", "--quiet", "origin"]);
    git(&at, &["switch", "--quiet", "--create=evil"]);
    room.set("perf/policy.json", "rules.latency_p95_ms.relative.max_pct_increase", json!(80));
    git(&at, &["commit", "--quiet", "--all", "--message=let it pass, freeze"]);
    git(&at, &["switch", "--quiet", "main"]);
    room
}

const FETCHED: &str = "refs/remotes/origin/main";

fn judge(room: &Room, variables: &[(&str, &str)], revision: &str) -> Answer {
    room.run_with(
        variables,
        &[
            "check",
            "--baseline=perf/baseline.json",
            "--policy=perf/policy.json",
            "--candidate=candidate.json",
            &format!("--trusted-ref={revision}"),
        ],
    )
}

#[test]
fn a_name_that_could_be_two_things_is_refused() {
    let room = judged();
    let at = room.path(".");
    judge(&room, &[], "origin/main").is(1, &[]);
    judge(&room, &[], "evil").is(0, &[]);
    let short = git(&at, &["rev-parse", "--short", FETCHED]);
    let (tag, branch) = (format!("refs/tags/{short}"), "refs/heads/origin/main");
    for (revision, other) in [
        ("origin/main", "refs/tags/origin/main"),
        ("origin/main", branch),
        ("origin/main~0", branch),
        ("main", "refs/tags/main"),
        (short.as_str(), tag.as_str()),
    ] {
        git(&at, &["update-ref", other, "evil"]);
        let answer = judge(&room, &[], revision);
        answer.is_invalid(&["is ambiguous: it could be ", other, "refs/remotes/origin/main"]);
        judge(&room, &[], FETCHED).is(1, &[]);
        let against = room.run(&["verify", "--against", revision]);
        assert_eq!(against.code, 2, "{against:?}");
        git(&at, &["update-ref", "-d", other]);
    }
    // The remote's branch is meant also before it was fetched.
    git(&at, &["update-ref", "refs/tags/origin/next", "evil"]);
    judge(&room, &[], "origin/next").is_invalid(&["is ambiguous", "refs/remotes/origin/next"]);
    // A full name is that name, and no tag that is called so.
    git(&at, &["update-ref", "refs/tags/refs/remotes/origin/next", "evil"]);
    judge(&room, &[], "refs/remotes/origin/next").is_invalid(&["does not have the revision"]);
    // What a commit says of itself names no commit.
    for revision in [":/freeze", "evil^{/freeze}"] {
        judge(&room, &[], revision).is_invalid(&["does not have the revision"]);
    }
}

#[test]
fn what_git_is_told_besides_does_not_change_its_answer() {
    let room = judged();
    let at = room.path(".");
    let path = |name: &str| room.path(name).canonicalize().unwrap().to_string_lossy().into_owned();
    // The same repository, in which the fetched branch is the laxer one.
    let other = room.path("other");
    git(&at, &["clone", "--quiet", "--no-hardlinks", ".", "other"]);
    git(&other, &["update-ref", FETCHED, "refs/remotes/origin/evil"]);
    let (there, work) = (path("other/.git"), path("other"));
    let objects = path("other/.git/objects");
    let trusted = git(&at, &["rev-parse", FETCHED]);
    git(&at, &["update-ref", &format!("refs/lax/{trusted}"), "evil"]);
    room.bytes("grafts", "");
    room.bytes("shallow", &trusted);
    let (grafts, shallow) = (path("grafts"), path("shallow"));
    let told: [&[(&str, &str)]; 12] = [
        &[("GIT_DIR", &there)],
        &[("GIT_DIR", &there), ("GIT_WORK_TREE", &work)],
        &[("GIT_DIR", ".git"), ("GIT_INDEX_FILE", ".git/index"), ("GIT_PREFIX", "perf/")],
        &[("GIT_WORK_TREE", &work), ("GIT_INDEX_FILE", "/nowhere")],
        &[("GIT_COMMON_DIR", &there)],
        &[("GIT_OBJECT_DIRECTORY", &objects), ("GIT_ALTERNATE_OBJECT_DIRECTORIES", &objects)],
        &[("GIT_NAMESPACE", "lax"), ("GIT_CEILING_DIRECTORIES", "/")],
        &[("GIT_REPLACE_REF_BASE", "refs/lax/")],
        &[("GIT_GRAFT_FILE", &grafts), ("GIT_SHALLOW_FILE", &shallow)],
        &[
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.abbrev"),
            ("GIT_CONFIG_VALUE_0", "broken"),
        ],
        &[("GIT_CONFIG_PARAMETERS", "'core.worktree=/nowhere'"), ("GIT_CONFIG", &shallow)],
        &[("GIT_CONFIG_GLOBAL", &shallow), ("GIT_CONFIG_SYSTEM", &shallow)],
    ];
    for variables in told {
        let answer = judge(&room, variables, FETCHED);
        assert_eq!(answer.code, 1, "{variables:?}: {answer:?}");
    }
    git(&at, &["replace", FETCHED, "evil"]);
    judge(&room, &[], FETCHED).is(1, &[]);
    git(&at, &["replace", "--delete", &trusted]);

    // A submodule and a link have a history of their own.
    let outer = room.path("outer");
    git(&at, &["clone", "--quiet", ".", "outer"]);
    std::fs::rename(outer.join("perf"), room.path("perf_of_main")).unwrap();
    let inner = room.path("inner");
    git(&at, &["init", "--quiet", "--initial-branch=main", "inner"]);
    for name in ["baseline.json", "policy.json"] {
        let lax = git(&at, &["show", &format!("evil:perf/{name}")]);
        std::fs::write(inner.join(name), lax).unwrap();
    }
    git(&inner, &["add", "--all"]);
    git(&inner, &["commit", "--quiet", "--message=lax"]);
    git(&inner, &["update-ref", FETCHED, "HEAD"]);
    let in_outer = || {
        let trusted = format!("--trusted-ref={FETCHED}");
        let candidate = room.path("candidate.json");
        assert_cmd::cargo::cargo_bin_cmd!("perf-gate")
            .current_dir(&outer)
            .args(["check", "--baseline=perf/baseline.json", "--policy=perf/policy.json", &trusted])
            .arg("--candidate")
            .arg(candidate)
            .assert()
            .code(1);
    };
    std::os::unix::fs::symlink(&inner, outer.join("perf")).unwrap();
    in_outer();
    std::fs::remove_file(outer.join("perf")).unwrap();
    std::fs::rename(&inner, outer.join("perf")).unwrap();
    in_outer();
}

#[test]
fn no_replacement_and_no_graft_hides_a_commit() {
    let repository = Repository::frozen();
    repository.git(&["switch", "--quiet", "--create=work"]);
    repository.edit(BASELINE, "\"Xeon\"", "\"Epyc\"");
    repository.commit("edit");
    repository.edit(BASELINE, "\"Epyc\"", "\"Xeon\"");
    repository.commit("take back");
    let said = &["it changed without a record of this baseline"];
    let head = repository.git(&["rev-parse", "HEAD"]);
    let main = repository.git(&["rev-parse", "main"]);
    repository.git(&["replace", "--graft", &head, &main]);
    for further in [&["--against", "refs/heads/main"][..], &[]] {
        repository.is_broken(further, said);
    }
    repository.git(&["replace", "--delete", &head]);
    std::fs::create_dir_all(repository.path(".git/info")).unwrap();
    repository.write(".git/info/grafts", &format!("{head} {main}\n"));
    for further in [&["--against", "refs/heads/main"][..], &[]] {
        repository.is_broken(further, said);
    }
    // A cut history is not believed, whoever cut it.
    std::fs::remove_file(repository.path(".git/info/grafts")).unwrap();
    repository.write(".git/shallow", &format!("{head}\n"));
    for further in [&["--against", "refs/heads/main"][..], &[]] {
        let answer = repository.gate(&[&["verify"], further].concat());
        assert_eq!(answer.code, 2, "{answer:?}");
        assert!(answer.stderr.contains("git fetch --unshallow"), "{answer:?}");
    }
}

#[test]
fn a_directory_that_looks_like_a_bare_repository_is_none() {
    let repository = Repository::frozen();
    let outer = repository.room.path("outer");
    git(&repository.room.path("."), &["init", "--quiet", "--initial-branch=main", "outer"]);
    // The contract is below the root, and beside it stands what makes a repository, all of it tracked.
    for name in ["HEAD", "config", "objects", "refs"] {
        let to = outer.join("deep").join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(repository.path(".git").join(name), to).unwrap();
    }
    std::fs::rename(repository.path("perf"), outer.join("deep/perf")).unwrap();
    let deep = outer.join("deep");
    let answer = repository.room.run(&["verify", "--root", deep.to_str().unwrap()]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("bare repository"), "{answer:?}");
}

#[test]
fn a_command_in_a_hook_is_about_its_own_repository() {
    let repository = Repository::frozen();
    let program = assert_cmd::cargo::cargo_bin!("perf-gate");
    // A linked work tree, in which git gives a hook absolute names, and the first one.
    repository.git(&["worktree", "add", "--quiet", "../linked"]);
    let hook = format!(
        "#!/bin/sh\nexport GIT_DIR=\"${{GIT_DIR:-.git}}\"\n{} verify --against refs/heads/main >answer\n\
         echo $? >>answer\n",
        program.display()
    );
    repository.write(".git/hooks/post-commit", &hook);
    let executable = Permissions::from_mode(0o755);
    std::fs::set_permissions(repository.path(".git/hooks/post-commit"), executable).unwrap();
    for at in [repository.path(""), repository.room.path("linked")] {
        std::fs::write(at.join("router.erl"), "-module(router).\n% faster\n").unwrap();
        git(&at, &["commit", "--quiet", "--all", "--message=make it faster"]);
        let answer = std::fs::read_to_string(at.join("answer")).unwrap();
        assert_eq!(answer, "the contract is kept\n0\n", "{}", at.display());
    }
}

#[test]
fn no_program_of_a_repositorys_settings_runs() {
    let repository = Repository::frozen();
    let ran = repository.room.path("ran");
    let program = repository.room.path("hooks/post-checkout");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    std::fs::write(&program, format!("#!/bin/sh\ntouch {}\n", ran.display())).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let hooks = program.parent().unwrap().to_str().unwrap().to_owned();
    for name in ["reference-transaction", "post-index-change"] {
        std::fs::copy(&program, program.with_file_name(name)).unwrap();
    }
    repository.git(&["remote", "add", "origin", "."]);
    repository.git(&["config", "core.hooksPath", &hooks]);
    repository.git(&["config", "core.fsmonitor", program.to_str().unwrap()]);
    repository.git(&["config", "gpg.program", program.to_str().unwrap()]);
    repository.git(&["config", "log.showSignature", "true"]);
    assert!(repository.job(&[("GITHUB_BASE_REF", "main")]).is_ok());
    repository.is_kept(&[]);
    assert!(!ran.exists());
}

/// A program that is found as git before git.
fn instead_of_git(room: &Room, text: &str) -> String {
    let program = room.path("bin/git");
    std::fs::create_dir_all(program.parent().unwrap()).unwrap();
    let path = std::env::var("PATH").unwrap();
    let find = |directory: &str| Some(Path::new(directory).join("git")).filter(|it| it.is_file());
    let real = path.split(':').find_map(find).unwrap();
    std::fs::write(&program, text.replace("REAL", real.to_str().unwrap())).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    format!("{}:{path}", program.parent().unwrap().display())
}

#[test]
fn a_repository_of_another_user_is_named_with_the_cure() {
    let repository = Repository::frozen();
    let of_another = "#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 exec REAL \"$@\"\n";
    let path = instead_of_git(&repository.room, of_another);
    let root = repository.path("").canonicalize().unwrap();
    let root = root.to_str().unwrap();
    let variables = [("PATH", &*path), ("HOME", "/nowhere")];
    let cure = format!("git config --global --add safe.directory '{}'", root.trim_end_matches('/'));
    let answer = repository.room.run_with(&variables, &["verify", "--root", root]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains(&cure), "{answer:?}");
    let room = judged();
    judge(&room, &variables, FETCHED).is_invalid(&["belongs to another user", "safe.directory"]);
}

#[test]
fn what_a_partial_clone_cannot_fetch_is_not_gone() {
    let repository = Repository::frozen();
    repository.write(".gitlab-ci.perf.yml", "of: another tool\n");
    repository.git(&["config", "uploadpack.allowFilter", "true"]);
    let base = repository.commit("begin");
    repository.write("router.erl", "-module(router).\n% faster\n");
    repository.commit("make it faster");
    let url = format!("file://{}", repository.path("").display());
    let room = repository.room.path(".");
    git(&room, &["clone", "--quiet", "--no-checkout", "--filter=blob:none", &url, "partial"]);
    let partial = repository.room.path("partial");
    let root = partial.to_str().unwrap();
    let verify = || repository.room.run(&["verify", "--root", root, "--against", &base]);
    // The files are there, and what is behind them is not.
    std::fs::create_dir(partial.join("perf")).unwrap();
    for name in git(&room, &["-C", "repo", "ls-files", "perf"]).lines() {
        std::fs::create_dir_all(partial.join(name).parent().unwrap()).unwrap();
        std::fs::copy(repository.path(name), partial.join(name)).unwrap();
    }
    std::fs::rename(repository.path(""), repository.room.path("server")).unwrap();
    let answer = verify();
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("git cat-file failed"), "{answer:?}");
    let answer = repository.room.run(&[
        "load",
        "--trusted-ref=HEAD",
        "--baseline",
        partial.join(BASELINE).to_str().unwrap(),
    ]);
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(!answer.stderr.contains("no regular file"), "{answer:?}");
    std::fs::rename(repository.room.path("server"), repository.path("")).unwrap();
    let answer = verify();
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "the contract is kept\n"), "{answer:?}");
}

#[test]
fn line_ends_of_another_machine_are_no_edit() {
    let repository = Repository::frozen();
    let room = repository.room.path(".");
    let settings = ["-c", "core.autocrlf=true", "clone", "--quiet", "repo", "crlf"];
    git(&room, &settings);
    let clone = repository.room.path("crlf");
    let record = std::fs::read_to_string(clone.join(repository.record(1))).unwrap();
    assert!(record.contains("\r\n"), "the checkout has the other line ends");
    let root = clone.to_str().unwrap();
    let answer = repository.room.run(&["verify", "--root", root]);
    assert_eq!((answer.code, answer.stdout.as_str()), (0, "the contract is kept\n"), "{answer:?}");
    // What init writes keeps them as they are.
    repository.write("src/router.app.src", "");
    repository.done(&repository.room.run(&["init", "--project", "repo"]));
    repository.commit("init");
    git(&room, &["-c", "core.autocrlf=true", "clone", "--quiet", "repo", "kept"]);
    let kept = repository.room.path("kept").join(repository.record(1));
    assert!(!std::fs::read_to_string(kept).unwrap().contains('\r'));
}
