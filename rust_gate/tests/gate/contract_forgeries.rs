//! Changes that would vouch for themselves: by the shape of the history, or by letting time pass.

use crate::common::repository::{ANSWERS, Repository, git};
use crate::common::set_memory;
use serde_json::json;

const MAIN: &str = "refs/heads/main";
const BASELINE: &str = "perf/baseline_cp1.json";

/// Two sessions of another memory, or the same ones with other answers, as a first freeze.
fn freeze_again(repository: &Repository, factor: f64, what: &str) {
    repository.sessions(|_, report| {
        set_memory(report, |block| factor * (1.0 + (block % 3) as f64 / 1000.0));
    });
    let sessions = ["--session", "s0.json", "--session", "s1.json", "--session", "s2.json"];
    let answers = [&["--what", what], &ANSWERS[2..]].concat();
    repository.done(&repository.gate(&[&["freeze"], &sessions[..], &answers].concat()));
}

/// Where the history of a forged contract begins.
#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    /// The commit before the record landed.
    Before,
    /// Nowhere.
    Root,
}

/// Bumps to this share of the memory, without committing.
fn bump(repository: &Repository, factor: f64) {
    repository.sessions(|_, report| {
        report["git"]["commit"] = json!("89abcdef0123456789abcdef0123456789abcdef");
        set_memory(report, |block| factor * (1.0 + (block % 3) as f64 / 1000.0));
    });
    repository.done(&repository.change("bump", &["--reason", "improvement"]));
}

/// Which side of the merge is the first parent.
#[derive(Debug, Clone, Copy)]
enum First {
    Landed,
    Forged,
}

/// A repository whose `work` merges what landed on `main` with a contract that was frozen anew beside
/// it, and takes all of the latter.
fn forged(from: From, first: First, factor: f64, what: &str) -> Repository {
    let repository = Repository::frozen();
    match from {
        From::Before => repository.git(&["switch", "--quiet", "--create=side", "main~1"]),
        From::Root => {
            repository.git(&["switch", "--quiet", "--orphan", "side"]);
            repository.git(&["checkout", "main~1", "--", "perf/policy_cp1.json"]);
            repository.commit("begin otherwise")
        }
    };
    freeze_again(&repository, factor, what);
    repository.commit("freeze otherwise");
    let (on, other) = match first {
        First::Landed => ("main", "side"),
        First::Forged => ("side", "main"),
    };
    repository.git(&["switch", "--quiet", "--create=work", on]);
    repository.git(&[
        "merge",
        "--quiet",
        "--no-commit",
        "--allow-unrelated-histories",
        "--strategy=ours",
        other,
    ]);
    repository.git(&["rm", "--quiet", "-r", "--force", "perf"]);
    repository.git(&["checkout", "side", "--", "perf"]);
    repository.commit("merge");
    repository
}

/// Both that it is broken since what landed, and that it is broken at all.
#[track_caller]
fn is_forged(repository: &Repository, said: &[&str]) {
    repository.is_broken(&["--against", MAIN], said);
    repository.is_broken(&[], said);
}

#[test]
fn a_merge_cannot_replace_a_record_that_landed() {
    // Another baseline under a record of the same name, so that nothing is missing; the record alone; and
    // a record of another name.
    let (same, other) = (ANSWERS[1], "Nothing to see here, go on please.");
    let answer = format!("{same} Or was it otherwise?");
    for (from, first, factor, what) in [
        (From::Before, First::Landed, 3.0, same),
        (From::Before, First::Landed, 1.0, &answer),
        (From::Before, First::Landed, 3.0, other),
        (From::Before, First::Forged, 3.0, same),
        (From::Root, First::Landed, 1.0, &answer),
        (From::Root, First::Forged, 3.0, same),
    ] {
        let repository = forged(from, first, factor, what);
        let said = if what == other { "gone" } else { "it is not the record that its parent has" };
        is_forged(&repository, &["perf/bumps/0001-", "merge ", said]);
    }
}

#[test]
fn a_merge_cannot_take_what_was_changed_before_the_first_record() {
    for file in [BASELINE, "perf/policy_cp1.json"] {
        let repository = Repository::frozen();
        repository.git(&["switch", "--quiet", "--create=side", "main~1"]);
        repository.edit(
            "perf/policy_cp1.json",
            "\"max_pct_increase\": 20",
            "\"max_pct_increase\": 25",
        );
        freeze_again(&repository, 3.0, "Otherwise, from before there was a record.");
        repository.git(&["rm", "--quiet", "-r", "--force", "--ignore-unmatch", "perf/bumps"]);
        std::fs::remove_dir_all(repository.path("perf/bumps")).unwrap();
        repository.commit("change what is free");
        repository.git(&["switch", "--quiet", "main"]);
        repository.git(&["merge", "--quiet", "--no-commit", "--strategy=ours", "side"]);
        repository.git(&["checkout", "side", "--", file]);
        repository.commit("merge");
        let said = format!("{file}: merge ");
        repository.is_broken(&[], &[&said, "not the one that record 0001 ended with"]);
        repository.is_broken(&["--against", "HEAD^1"], &[&said, "record 0001"]);
    }
}

#[test]
fn a_branch_from_before_a_move_of_the_baseline_is_as_honest_as_its_merges() {
    let repository = Repository::frozen();
    repository.git(&["switch", "--quiet", "--create=work"]);
    repository.write("router.erl", "-module(router).\n% faster\n");
    repository.commit("make it faster");
    repository.git(&["switch", "--quiet", "main"]);
    bump(&repository, 0.8);
    repository.commit("move the baseline");
    repository.git(&["switch", "--quiet", "work"]);
    for _ in 0..2 {
        repository.is_kept(&["--against", MAIN]);
        repository.is_kept(&[]);
        repository.git(&["merge", "--quiet", "--no-ff", "--message=merge", "main"]);
    }
    repository.git(&["switch", "--quiet", "main"]);
    repository.git(&["merge", "--quiet", "--no-ff", "--message=merge", "work"]);
    repository.is_kept(&[]);
}

#[test]
fn a_copied_project_begins_with_its_contract_and_keeps_it_from_there_on() {
    let repository = Repository::frozen();
    repository.git(&["switch", "--quiet", "--orphan", "copy"]);
    repository.git(&["checkout", "--quiet", "main", "--", "."]);
    repository.commit("copy");
    repository.is_kept(&[]);
    repository.edit(BASELINE, "\"Xeon\"", "\"Epyc\"");
    repository.commit("edit");
    repository.is_broken(&[], &["it changed without a record of this baseline"]);
}

#[test]
fn a_record_is_written_once_also_before_it_lands() {
    let repository = Repository::frozen();
    repository.git(&["switch", "--quiet", "--create=work"]);
    bump(&repository, 0.8);
    repository.commit("move the baseline");
    repository.git(&["rm", "--quiet", &repository.record(2)]);
    repository.git(&["checkout", "--quiet", "main", "--", BASELINE]);
    repository.commit("not so");
    repository.is_kept(&["--files"]);
    is_forged(
        &repository,
        &["perf/bumps/0002-", "a record was removed or renamed", "written once"],
    );
}

#[test]
fn a_job_fetches_the_branch_and_no_tag_of_its_name() {
    let repository = Repository::frozen();
    let server = repository.room.path("server");
    git(&repository.room.path("."), &["clone", "--quiet", "--bare", "repo", "server"]);
    repository.git(&["remote", "add", "origin", server.to_str().unwrap()]);
    repository.git(&["switch", "--quiet", "--create=work"]);
    repository.edit(BASELINE, "\"Xeon\"", "\"Epyc\"");
    repository.commit("edit");
    repository.git(&[
        "push",
        "--quiet",
        "origin",
        "work:refs/tags/origin/main",
        "work:refs/tags/main",
    ]);
    repository.git(&["update-ref", "refs/tags/refs/remotes/origin/main", "HEAD"]);
    repository.git(&["update-ref", "refs/heads/origin/main", "HEAD"]);
    let found = repository.job(&[("GITHUB_BASE_REF", "main")]).unwrap();
    assert!(found.iter().any(|problem| problem.contains("without a record")), "{found:?}");
    let tags = repository.git(&["tag", "--list"]);
    assert_eq!(tags, "refs/remotes/origin/main", "a tag was fetched");
    // Without a configured remote a directory of its name is none.
    repository.git(&["remote", "remove", "origin"]);
    git(&repository.path(""), &["clone", "--quiet", "--bare", ".", "origin"]);
    assert!(repository.job(&[("GITHUB_BASE_REF", "main")]).is_err());
}

#[test]
fn what_an_earlier_push_did_is_not_forgotten() {
    let repository = Repository::frozen();
    let has = |found: &[String], said: &str| found.iter().any(|problem| problem.contains(said));
    let frozen = repository.git(&["rev-parse", "HEAD"]);
    bump(&repository, 0.8);
    repository.write("router.erl", "-module(router).\n% slower\n");
    let wrong = repository.commit("everything at once");
    repository.write("router.erl", "-module(router).\n% faster\n");
    let next = repository.commit("go on");
    let before = |commit| [("CP1_BEFORE", commit)];
    for variables in [&before(&*wrong)[..], &[], &[("CP1_KNOWN_GOOD", &*frozen)]] {
        let found = repository.job(variables).unwrap();
        assert!(has(&found, "it changed together with"), "{variables:?}: {found:?}");
    }
    // Where somebody looked at it and says that all is well again, it is from there on.
    let found = repository.job(&[("CP1_KNOWN_GOOD", &next)]).unwrap();
    assert!(!has(&found, "commit "), "{found:?}");
    repository.write("router.erl", "-module(router).\n");
    repository.commit("and on");
    let ahead = repository.git(&["rev-parse", "HEAD"]);

    // A push by force that leaves a record out, and one of which the server has nothing.
    repository.git(&["reset", "--quiet", "--hard", &frozen]);
    assert!(!has(&repository.job(&[]).unwrap(), "record"), "the rest is honest");
    let found = repository.job(&before(&ahead)).unwrap();
    assert!(has(&found, "perf/bumps/0002-"), "{found:?}");
    assert!(has(&found, "a record that has landed is gone"), "{found:?}");
    assert!(repository.job(&before(&"12".repeat(20))).is_err());
    let error = repository.job(&[("CP1_KNOWN_GOOD", &ahead)]).unwrap_err();
    assert!(error.to_string().contains("HEAD does not come from it"), "{error}");
}
