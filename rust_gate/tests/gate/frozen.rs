//! The build of a frozen commit, in real repositories.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use perf_gate::run::RunError;
use perf_gate::run::frozen::{Frozen, frozen_build};
use perf_gate::run::interrupt::Interrupt;
use perf_gate::run::progress::{Progress, Talk};

/// A commit that no repository has.
const UNKNOWN: &str = "0123456789abcdef0123456789abcdef01234567";

/// Compiles, as far as this test needs it.
const BUILD: &str = "for a in app tool; do [ ! -d $a ] || { mkdir -p out/$a/ebin && \
                     cp $a/src/*.erl $a/src/$a.app.src out/$a/ebin/; }; done; \
                     touch out/app/ebin/router.app; ln -s /nowhere out/app/priv; ls \"$ERL_LIBS\" > out/app/ebin/libraries";

/// A project in a directory of a repository: a router, and a tool that needs the bench.
struct Project {
    directory: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let project = Self { directory: tempfile::tempdir().unwrap() };
        for (file, text) in [
            ("in side/app/src/app.erl", "frozen"),
            ("in side/app/src/app.app.src", "app"),
            ("in side/tool/src/tool.app.src", "tool"),
            ("in side/tool/src/tool.erl", "tool"),
            ("in side/out-of-archives", "x"),
            (".gitattributes", "*.erl export-ignore\n"),
        ] {
            let path = project.path(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        // A link to an application is none of its own.
        std::os::unix::fs::symlink("tool/src", project.path("in side/src")).unwrap();
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.commit("frozen");
        fs::write(project.path("in side/app/src/app.erl"), "later").unwrap();
        project.commit("later");
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn git(&self, arguments: &[&str]) -> String {
        git(self.directory.path(), arguments)
    }

    fn commit(&self, message: &str) {
        self.git(&["add", "."]);
        self.git(&["commit", "--quiet", "--message", message]);
    }

    fn build(&self, commit: &str, tree: Option<&str>) -> Result<PathBuf, RunError> {
        build(&self.path("in side"), BUILD, commit, tree)
    }
}

fn build(
    project: &Path,
    command: &str,
    commit: &str,
    tree: Option<&str>,
) -> Result<PathBuf, RunError> {
    let frozen = Frozen {
        project,
        build: command,
        code_path: "out/*/ebin",
        commit,
        tree,
        otp_release: "25",
        bench_applications: &["tool".to_owned()],
        candidate_path: &[],
    };
    frozen_build(&frozen, &Interrupt::default(), &Progress::new(Talk::Quiet))
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    let mut git = Command::new("git");
    let output = git.arg("-C").arg(directory).args(identity).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn left_behind(project: &Path) -> Vec<String> {
    let kept = fs::read_dir(project.join("_build/replay")).into_iter().flatten();
    let names = kept.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn the_frozen_commit_is_built_once_and_the_work_tree_stays_as_it_is() {
    let project = Project::new();
    let frozen = project.git(&["rev-parse", "HEAD~1"]);
    fs::write(project.path("in side/app/src/app.erl"), "not committed").unwrap();
    let status = project.git(&["status", "--porcelain", "--untracked-files=no"]);
    let built = project.build(&frozen, None).unwrap();
    let app = fs::read_dir(&built).unwrap().next().unwrap().unwrap().path();
    // By its own name, with what Erlang takes for a version.
    assert_eq!(app.file_name().unwrap(), "router-0");
    assert_eq!(fs::read_to_string(app.join("ebin/app.erl")).unwrap(), "frozen");
    assert_eq!(fs::read_dir(&built).unwrap().count(), 1, "the tool comes from the candidate");
    assert_eq!(project.git(&["status", "--porcelain", "--untracked-files=no"]), status);
    assert_eq!(project.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(), 1);
    assert_eq!(left_behind(&project.path("in side")), Vec::<String>::new());

    // A build that would fail now is not made again.
    fs::write(built.join("mark"), "").unwrap();
    assert_eq!(project.build(&frozen, None).unwrap(), built);
    assert!(built.join("mark").is_file());
}

#[test]
fn neither_a_hook_runs_nor_does_one_lead_the_build_elsewhere() {
    use std::os::unix::fs::PermissionsExt as _;
    let project = Project::new();
    let hook = project.path("hooks/post-checkout");
    fs::create_dir_all(hook.parent().unwrap()).unwrap();
    fs::write(&hook, format!("#!/bin/sh\ntouch '{}'\n", project.path("ran").display())).unwrap();
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).unwrap();
    project.git(&["config", "core.hooksPath", hook.parent().unwrap().to_str().unwrap()]);
    project.build(&project.git(&["rev-parse", "HEAD~1"]), None).unwrap();
    assert!(!project.path("ran").exists());
    project.git(&["switch", "--quiet", "--detach"]);
    assert!(project.path("ran").exists(), "git itself runs it");

    // What git tells a hook, a build does not get.
    let told: Vec<_> =
        project.git(&["rev-parse", "--local-env-vars"]).lines().map(ToOwned::to_owned).collect();
    let mut program = Command::new("env");
    program.envs(told.iter().map(|name| (name, "told")));
    perf_gate::read::git::forget_repository(&mut program);
    let left = String::from_utf8(program.output().unwrap().stdout).unwrap();
    let left: Vec<_> = left.lines().filter(|line| line.ends_with("=told")).collect();
    // Settings are no repository: a build may need them to fetch what it depends on.
    assert!(left.iter().all(|line| line.starts_with("GIT_CONFIG")), "{left:?}");
}

#[test]
fn a_lost_commit_is_built_by_its_tree() {
    let project = Project::new();
    let tree = project.git(&["rev-parse", "HEAD~1^{tree}"]);
    let built = project.build(UNKNOWN, Some(&tree)).unwrap();
    assert!(built.to_string_lossy().contains(UNKNOWN));
    let app = fs::read_dir(&built).unwrap().next().unwrap().unwrap().path();
    assert_eq!(fs::read_to_string(app.join("ebin/app.erl")).unwrap(), "frozen");
}

#[test]
fn a_submodule_is_part_of_the_frozen_commit() {
    let library = Project::new();
    let project = Project::new();
    let url = library.directory.path().to_str().unwrap();
    project.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        url,
        "in side/app/src/more",
    ]);
    project.commit("with a submodule");
    let commit = project.git(&["rev-parse", "HEAD"]);
    project.git(&["config", "protocol.file.allow", "always"]);
    let command = "mkdir -p out/app/ebin && cp app/src/more/.gitattributes out/app/ebin/seen";
    // Git asks the user's own configuration whether a local submodule may be cloned.
    let built = match build(&project.path("in side"), command, &commit, None) {
        Err(RunError::Git(error)) if error.to_string().contains("not allowed") => return,
        built => built.unwrap(),
    };
    let app = fs::read_dir(&built).unwrap().next().unwrap().unwrap().path();
    assert!(app.join("ebin/seen").is_file());
}

#[test]
fn what_cannot_be_built_is_refused_with_the_cure_and_leaves_nothing() {
    let project = Project::new();
    let directory = project.path("in side");
    let (commit, parent) =
        (project.git(&["rev-parse", "HEAD"]), project.git(&["rev-parse", "HEAD~1"]));
    let says = |result: Result<PathBuf, RunError>, said: &str| {
        let message = result.unwrap_err().to_string();
        assert!(message.contains(said), "{said}: {message}");
        assert_eq!(left_behind(&directory), Vec::<String>::new());
        assert_eq!(
            project.git(&["worktree", "list", "--porcelain"]).matches("worktree ").count(),
            1
        );
    };
    says(project.build(UNKNOWN, None), &format!("git fetch origin {UNKNOWN}"));
    says(project.build(&commit, Some(UNKNOWN)), "is not that of its commit");
    says(build(&directory, "echo no; exit 3", &commit, None), "`echo no; exit 3`");
    says(build(&directory, "true", &commit, None), "nothing compiled is at out/*/ebin");

    let clones = tempfile::tempdir().unwrap();
    let url = format!("file://{}", project.directory.path().display());
    git(clones.path(), &["clone", "--quiet", "--depth=1", &url, "shallow"]);
    let shallow = build(&clones.path().join("shallow/in side"), BUILD, &parent, None);
    assert!(shallow.unwrap_err().to_string().contains("git fetch --unshallow"));

    let outside = build(clones.path(), BUILD, &commit, None);
    assert!(outside.unwrap_err().to_string().contains("PERF_COMPARE=frozen"));
}

#[test]
fn a_bench_that_is_a_dependency_is_neither_fetched_nor_compiled_again() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let application = |name: &str| {
        format!(
            "{{application, {name}, [{{description, \"a\"}}, {{vsn, \"1\"}}, {{modules, []}}, \
             {{registered, []}}, {{applications, [kernel, stdlib]}}]}}.\n"
        )
    };
    let nowhere = "{deps, [{router_bench, {git, \"file:///nowhere\", {ref, \"HEAD\"}}}]}.\n";
    write("project/rebar.config", nowhere);
    write("project/src/tiny.app.src", &application("tiny"));
    write("project/src/tiny.erl", "-module(tiny).\n-export([route/1]).\nroute(K) -> K.\n");
    write("bench/ebin/router_bench.app", &application("router_bench"));
    let project = directory.path().join("project");
    git(&project, &["init", "--quiet"]);
    git(&project, &["add", "--all"]);
    git(&project, &["commit", "--quiet", "--message", "a router"]);
    let frozen = Frozen {
        project: &project,
        build: "rebar3 compile",
        code_path: "_build/default/lib/*/ebin",
        commit: &git(&project, &["rev-parse", "HEAD"]),
        tree: None,
        otp_release: "25",
        bench_applications: &["router_bench".to_owned()],
        candidate_path: &[directory.path().join("bench/ebin")],
    };
    let built = frozen_build(&frozen, &Interrupt::default(), &Progress::new(Talk::Quiet)).unwrap();
    let applications = fs::read_dir(&built).unwrap().map(|entry| entry.unwrap().path());
    let compiled: Vec<_> = applications.map(|path| path.join("ebin/tiny.beam")).collect();
    assert!(compiled.iter().any(|beam| beam.is_file()), "{compiled:?}");
}
