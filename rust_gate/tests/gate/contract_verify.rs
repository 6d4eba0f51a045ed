//! `verify`, with and without a revision: every way around the contract is found.

use crate::common;
use crate::common::repository::{ANSWERS, Repository, git, pretty};
use crate::common::set_memory;
use serde_json::{Value, json};

const MAIN: [&str; 2] = ["--against", "main"];

/// A frozen repository on a branch `work`.
fn branched() -> Repository {
    let repository = Repository::frozen();
    repository.git(&["switch", "--quiet", "--create", "work"]);
    repository
}

/// Bumps to this share of the memory, without committing.
fn bump(repository: &Repository, factor: f64) {
    let reason = if factor < 1.0 { "improvement" } else { "trade-off" };
    repository.sessions(|_, report| {
        report["git"]["commit"] = json!("89abcdef0123456789abcdef0123456789abcdef");
        set_memory(report, |block| factor * (1.0 + (block % 3) as f64 / 1000.0));
    });
    repository.done(&repository.change("bump", &["--reason", reason]));
}

#[test]
fn files_that_were_changed_by_hand_are_found_without_git() {
    type Edit = fn(&Repository);
    let edits: [(&[&str], Edit); 15] = [
        (
            &[
                "perf/baseline_cp1.json",
                "not the one that record 0002 ended with",
                "perf-gate bump",
            ],
            |r| r.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\""),
        ),
        (&["perf/baseline_cp1.json"], |r| r.write("perf/baseline_cp1.json", "")),
        (&["perf/baseline_cp1.json"], |r| {
            std::fs::remove_file(r.path("perf/baseline_cp1.json")).unwrap()
        }),
        (&["perf/policy_cp1.json", "perf-gate amend"], |r| {
            r.edit("perf/policy_cp1.json", "\"max_pct_increase\": 20", "\"max_pct_increase\": 21")
        }),
        (&["perf/policy_cp1.json", "unknown field"], |r| {
            r.edit("perf/policy_cp1.json", "\"version\"", "\"allow\": true, \"version\"")
        }),
        (&["perf/bumps/0001", "the page is not the one that its head gives"], |r| {
            r.edit(&r.record(1), "> Customers", "> Nobody")
        }),
        (&["perf/bumps/0002", "the record before is not the one"], |r| {
            r.edit(&r.record(1), "> Customers", "> Nobody")
        }),
        (&["perf/bumps/0002", "does not begin with what the record before ended with"], |r| {
            let digest = format!("sha256:{}", "0".repeat(64));
            let text = r.text(&r.record(2));
            let (_, rest) = text.split_once("\"before\": \"").unwrap();
            let old = rest.split('"').next().unwrap().to_owned();
            r.edit(&r.record(2), &old, &digest);
        }),
        (&["perf/bumps/0002", "this is number 2, and 0001 is next"], |r| {
            std::fs::remove_file(r.path(&r.record(1))).unwrap()
        }),
        (&["perf/bumps", "no record says what the baseline is"], |r| {
            std::fs::remove_dir_all(r.path("perf/bumps")).unwrap()
        }),
        (&["perf/bumps/0003-2026-01-31-by-hand.md", "the record has no head"], |r| {
            r.write("perf/bumps/0003-2026-01-31-by-hand.md", "# I moved it\n")
        }),
        (&["perf/bumps/0002", "begins with a byte order mark", "save it without one"], |r| {
            r.edit(&r.record(2), "```json", "\u{feff}```json")
        }),
        (&["perf/policy_cp1.json", "begins with a byte order mark", "UTF-8 without a"], |r| {
            r.edit("perf/policy_cp1.json", "{", "\u{feff}{")
        }),
        (&["perf/bumps/notes.txt", "the name is not of the form"], |r| {
            r.write("perf/bumps/notes.txt", "x")
        }),
        (&["perf/waivers.json", "a count that must be 0 cannot be waived"], |r| {
            let waiver = json!({"version": "cp1", "waivers": [{"metric": "errors_total",
                "ceiling_pct": 5, "expires": "2026-01-31", "issue": "https://example.org/1",
                "reason": "we would like to release on Friday"}]});
            r.write("perf/waivers.json", &waiver.to_string());
        }),
    ];
    for (said, edit) in edits {
        let repository = Repository::frozen();
        bump(&repository, 0.8);
        repository.is_kept(&[]);
        edit(&repository);
        repository.is_broken(&[], said);
    }
}

#[test]
fn white_space_in_the_baseline_is_no_change_of_it() {
    let repository = Repository::frozen();
    let value: serde_json::Value =
        serde_json::from_str(&repository.text("perf/policy_cp1.json")).unwrap();
    repository.write("perf/policy_cp1.json", &value.to_string());
    repository.is_kept(&[]);
}

#[test]
fn honest_commits_keep_the_contract() {
    let repository = branched();
    repository.write("router.erl", "-module(router).\n% faster\n");
    repository.commit("make it faster");
    bump(&repository, 0.8);
    repository.commit("move the baseline");
    repository.edit("perf/policy_cp1.json", "\"max_pct_increase\": 20", "\"max_pct_increase\": 25");
    repository.done(&repository.gate(&[&["amend"], &ANSWERS[..]].concat()));
    repository.commit("amend the policy");
    repository.done(&repository.gate(&[&["rollback", "1"], &ANSWERS[..]].concat()));
    repository.commit("go back");
    repository.is_kept(&MAIN);
    // Also once they are merged, seen from before.
    repository.git(&["switch", "--quiet", "main"]);
    repository.git(&["merge", "--quiet", "--no-ff", "--message=merge", "work"]);
    repository.is_kept(&["--against", "HEAD~1"]);
}

#[test]
fn a_forbidden_commit_is_named_with_its_cure() {
    type Break = fn(&Repository);
    let breaks: [(&[&str], Break); 11] = [
        (
            &["router.erl", "perf/baseline_cp1.json: commit", "it changed together with", "alone"],
            |r| {
                bump(r, 0.8);
                r.write("router.erl", "-module(router).\n% slower\n");
                r.commit("move and change at once");
            },
        ),
        (&["perf/baseline_cp1.json: commit", "changed without a record of this baseline"], |r| {
            r.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\"");
            r.commit("edit");
        }),
        (&["changed without a record of this baseline"], |r| {
            // A record, but of another baseline.
            bump(r, 0.8);
            r.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\"");
            r.commit("edit");
        }),
        (&["a record that has landed was edited"], |r| {
            r.edit(&r.record(1), "> Customers", "> Nobody");
            r.commit("edit");
        }),
        (&["a record that has landed was removed or renamed", "is gone"], |r| {
            r.git(&["mv", &r.record(1), "perf/bumps/0001-2026-01-31-other.md"]);
            r.commit("rename");
        }),
        (&["the file was removed, renamed or made a link"], |r| {
            r.git(&["mv", "perf/baseline_cp1.json", "perf/baseline_old.json"]);
            r.commit("rename");
        }),
        (
            &[
                "the policy was loosened: rules.latency_p99_ms.relative.max_pct_increase: 20 before, 25 now",
                "perf-gate amend",
            ],
            |r| {
                r.edit(
                    "perf/policy_cp1.json",
                    "\"max_pct_increase\": 20",
                    "\"max_pct_increase\": 25",
                );
                r.commit("loosen");
            },
        ),
        (&["it changed without a record about the policy"], |r| {
            r.edit("perf/policy_cp1.json", "\"max_pct_increase\": 20", "\"max_pct_increase\": 19");
            r.commit("tighten");
        }),
        (&["log/perf_junit_1.xml: an artifact of a run is committed"], |r| {
            r.write("log/perf_junit_1.xml", "<x/>");
            r.commit("keep a test report");
        }),
        (&["_artifacts/perf_baseline_1.json: an artifact of a run is committed"], |r| {
            r.write("_artifacts/perf_baseline_1.json", "{}");
            r.commit("keep it");
        }),
        (&["docs/perf_verdict_1.json: an artifact of a run is committed"], |r| {
            r.write("docs/perf_verdict_1.json", "{}");
            r.commit("keep it");
        }),
    ];
    for (said, change) in breaks {
        let repository = branched();
        change(&repository);
        repository.is_broken(&MAIN, said);
        // A later commit that repairs the files does not repair the history of a record.
    }
}

#[test]
fn a_change_that_was_taken_back_later_is_still_found() {
    let repository = branched();
    repository.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\"");
    repository.commit("edit");
    repository.edit("perf/baseline_cp1.json", "\"Epyc\"", "\"Xeon\"");
    repository.commit("take back");
    repository.is_kept(&["--files"]);
    for further in [&MAIN[..], &[]] {
        repository.is_broken(further, &["it changed without a record of this baseline"]);
    }
}

#[test]
fn to_say_that_the_router_has_no_such_counter_loosens_the_policy() {
    let repository = branched();
    let mut policy: Value = serde_json::from_str(&repository.text("perf/policy_cp1.json")).unwrap();
    policy["rules"].as_object_mut().unwrap().remove("errors_total");
    policy["gate"]["not_offered"] = json!(["errors_total"]);
    repository.write("perf/policy_cp1.json", &pretty(&policy));
    repository.commit("count no errors");
    let answer = repository.gate(&["verify", "--against", "main"]);
    assert_eq!(answer.code, 1, "{answer:?}");
    let said = "gate.not_offered: errors_total is no longer asked for";
    assert!(answer.stdout.contains(said), "{answer:?}");
}

#[test]
fn each_way_to_loosen_a_policy_counts_and_tightening_does_not() {
    for (from, to, said) in [
        ("\"max_pct_increase\": 15", "\"max_pct_increase\": 16", Some("15 before, 16 now")),
        ("\"max_pct_decrease\": 10", "\"max_pct_decrease\": 11", Some("10 before, 11 now")),
        ("\"max_pct_decrease\": 10", "\"max_pct_decrease\": 9", None),
        ("\"equals\": 0", "\"max\": 0", Some("absolute.equals: the limit is gone")),
        (
            "\"require_all_metrics_present\": true",
            "\"require_all_metrics_present\": false",
            Some("gate.require_all_metrics_present: true before, false now"),
        ),
        (
            "\"require_all_metrics_present\": true",
            "\"require_all_metrics_present\": true, \"allow_attached\": true",
            Some("gate.allow_attached: false before, true now"),
        ),
        (
            "\"require_all_metrics_present\": true",
            "\"require_all_metrics_present\": true, \"allow_attached\": false",
            None,
        ),
        ("\"version\"", "\"decision\": {\"miss_pct\": 2}, \"version\"", Some("decision.miss_pct")),
        (
            "\"version\"",
            "\"decision\": {\"must_catch_pct\": {\"rps\": 30}}, \"version\"",
            Some("rps must be caught at a decrease of 30 %, 20 % before"),
        ),
        (
            "\"version\"",
            "\"environment\": {\"require\": [\"otp_release\"]}, \"version\"",
            Some("environment.require: cpu_model is gone"),
        ),
        ("\"version\"", "\"budget\": {\"max_pct\": {\"rps\": 30}}, \"version\"", None),
    ] {
        let repository = branched();
        repository.edit("perf/policy_cp1.json", from, to);
        repository.commit("change the policy");
        let answer = repository.gate(&["verify", "--against", "main"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        match said {
            Some(said) => assert!(answer.stdout.contains(said), "{said}: {answer:?}"),
            None => assert!(!answer.stdout.contains("loosened"), "{answer:?}"),
        }
    }
    let repository = branched();
    let mut policy = common::policy();
    policy["rules"].as_object_mut().unwrap().remove("backpressure_active_total");
    repository.write("perf/policy_cp1.json", &policy.to_string());
    repository.commit("remove a rule");
    repository.is_broken(&MAIN, &["rules.backpressure_active_total: the rule is gone"]);
}

#[test]
fn limits_on_ratios_are_loosened_like_all_others() {
    let limits = |limits: &str| {
        format!("\"ratios\": {{\"transport\": {{\"nats/local\": {limits}}}}}, \"version\"")
    };
    let before = limits(
        r#"{"latency_p95_ms": {"max_ratio": 5, "must_catch_ratio": 6}, "rps": {"min_ratio": 0.2}}"#,
    );
    for (after, said) in [
        (
            r#"{"latency_p95_ms": {"max_ratio": 5.5, "must_catch_ratio": 6}, "rps": {"min_ratio": 0.2}}"#,
            Some("ratios.transport.nats/local.latency_p95_ms: 5 before, 5.5 now"),
        ),
        (
            r#"{"latency_p95_ms": {"max_ratio": 5, "must_catch_ratio": 7}, "rps": {"min_ratio": 0.2}}"#,
            Some("ratios.transport.nats/local.latency_p95_ms: caught at 6 before, 7 now"),
        ),
        (
            r#"{"latency_p95_ms": {"max_ratio": 5, "must_catch_ratio": 6}, "rps": {"min_ratio": 0.1}}"#,
            Some("ratios.transport.nats/local.rps: 0.2 before, 0.1 now"),
        ),
        (
            r#"{"latency_p95_ms": {"max_ratio": 5, "must_catch_ratio": 6}}"#,
            Some("ratios.transport.nats/local.rps: the limit is gone"),
        ),
        (
            r#"{"latency_p95_ms": {"max_ratio": 4, "must_catch_ratio": 5}, "rps": {"min_ratio": 0.3}}"#,
            None,
        ),
    ] {
        let repository = Repository::frozen();
        repository.edit("perf/policy_cp1.json", "\"version\"", &before);
        repository.commit("limit the bus");
        repository.git(&["switch", "--quiet", "--create", "work"]);
        repository.edit("perf/policy_cp1.json", &before, &limits(after));
        repository.commit("change the policy");
        let answer = repository.gate(&["verify", "--against", "HEAD~1"]);
        assert_eq!(answer.code, 1, "{answer:?}");
        match said {
            Some(said) => assert!(answer.stdout.contains(said), "{said}: {answer:?}"),
            None => assert!(!answer.stdout.contains("loosened"), "{answer:?}"),
        }
    }
}

#[test]
fn a_squashed_bump_is_found_on_the_target_branch() {
    let repository = branched();
    repository.write("router.erl", "-module(router).\n% faster\n");
    repository.commit("make it faster");
    bump(&repository, 0.8);
    repository.commit("move the baseline");
    repository.is_kept(&MAIN);
    repository.git(&["switch", "--quiet", "main"]);
    repository.git(&["merge", "--quiet", "--squash", "work"]);
    repository.commit("squashed");
    repository
        .is_broken(&["--against", "HEAD~1"], &["it changed together with", "without squashing"]);
}

#[test]
fn a_merge_that_mixes_two_baselines_is_found() {
    let repository = branched();
    bump(&repository, 0.8);
    repository.commit("move the baseline");
    repository.git(&["switch", "--quiet", "main"]);
    repository.write("other.erl", "-module(other).\n");
    repository.commit("go on");
    repository.git(&["merge", "--quiet", "--no-ff", "--no-commit", "work"]);
    repository.edit("perf/baseline_cp1.json", "\"Xeon\"", "\"Epyc\"");
    repository.commit("merge");
    repository.is_broken(&["--against", "HEAD~1"], &["merge ", "it is not what either parent has"]);
}

#[test]
fn two_branches_that_bump_at_once_are_told_to_rebase() {
    let repository = branched();
    bump(&repository, 0.8);
    repository.commit("move the baseline");
    repository.git(&["switch", "--quiet", "main"]);
    // Another text, so another name, with the same number.
    bump(&repository, 0.7);
    let name = repository.record(2);
    repository.git(&["add", "--all"]);
    let other = name.replace("the-transport", "a-transport");
    repository.git(&["mv", &name, &other]);
    repository.commit("another");
    repository.git(&["switch", "--quiet", "work"]);
    repository.is_broken(&MAIN, &["has landed meanwhile with the same number", "rebase"]);

    // A rebase takes what landed; the own record is written again on top.
    let rebased = branched();
    rebased.write("router.erl", "-module(router).\n% faster\n");
    rebased.commit("make it faster");
    rebased.git(&["switch", "--quiet", "main"]);
    bump(&rebased, 0.7);
    rebased.commit("another");
    rebased.git(&["switch", "--quiet", "work"]);
    rebased.git(&["rebase", "--quiet", "main"]);
    bump(&rebased, 0.6);
    rebased.commit("move the baseline");
    rebased.is_kept(&MAIN);
}

#[test]
fn a_shallow_clone_is_not_believed() {
    let repository = branched();
    for number in 0..3 {
        repository.write("router.erl", &format!("-module(router).\n% {number}\n"));
        repository.commit("go on");
    }
    let url = format!("file://{}", repository.path("").display());
    let room = repository.room.path(".");
    git(
        &room,
        &["clone", "--quiet", "--depth=2", "--no-single-branch", "--branch=work", &url, "cut"],
    );
    let cut = repository.room.path("cut");
    let verify = |root: &std::path::Path, revision| {
        repository.room.run(&["verify", "--root", root.to_str().unwrap(), "--against", revision])
    };
    let answer = verify(&cut, "origin/main");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("git fetch --unshallow"), "{answer:?}");
    git(&cut, &["fetch", "--quiet", "--unshallow"]);
    assert_eq!(verify(&cut, "origin/main").code, 0);
    // A revision that is not here, and one that has nothing in common.
    assert_eq!(verify(&cut, "origin/nowhere").code, 2);
    git(&cut, &["switch", "--quiet", "--orphan", "alone"]);
    git(&cut, &["commit", "--quiet", "--allow-empty", "--message=alone"]);
    git(&cut, &["switch", "--quiet", "work"]);
    let answer = verify(&cut, "alone");
    assert_eq!(answer.code, 2, "{answer:?}");
    assert!(answer.stderr.contains("no commit in common"), "{answer:?}");
}

#[test]
fn a_contract_below_the_root_of_a_repository_is_guarded_too() {
    let repository = Repository::frozen();
    // The same history, one directory further down.
    let outer = repository.room.path("outer");
    std::fs::create_dir_all(outer.join("deep")).unwrap();
    git(&outer, &["init", "--quiet", "--initial-branch=main"]);
    for name in ["perf", "router.erl"] {
        std::fs::rename(repository.path(name), outer.join("deep").join(name)).unwrap();
    }
    let commit = |message| {
        git(&outer, &["add", "--all"]);
        git(&outer, &["commit", "--quiet", "--message", message]);
    };
    commit("freeze");
    let deep = outer.join("deep");
    let verify = || {
        let root = deep.to_str().unwrap();
        repository.room.run(&["verify", "--root", root, "--against", "HEAD~1"])
    };
    std::fs::write(deep.join("router.erl"), "% new\n").unwrap();
    commit("go on");
    assert_eq!(verify().code, 0);
    let baseline = deep.join("perf/baseline_cp1.json");
    let edited = std::fs::read_to_string(&baseline).unwrap().replacen("\"Xeon\"", "\"Epyc\"", 1);
    std::fs::write(&baseline, edited).unwrap();
    commit("edit");
    let answer = verify();
    assert_eq!(answer.code, 1, "{answer:?}");
    assert!(answer.stdout.contains("it changed without a record of this baseline"), "{answer:?}");
}

#[test]
fn a_job_compares_with_what_a_change_goes_into() {
    let repository = branched();
    repository.git(&["remote", "add", "origin", "."]);
    bump(&repository, 1.1);
    repository.write("router.erl", "-module(router). % changed with the baseline\n");
    let before = repository.git(&["rev-parse", "HEAD"]);
    repository.commit("everything at once");
    let zero = "0".repeat(40);
    let (target, pushed) = ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_COMMIT_BEFORE_SHA");
    let is_found = |variables: &[(&str, &str)]| {
        let found = repository.job(variables).unwrap();
        found.iter().any(|problem| problem.contains("it changed together with"))
    };
    for variables in [
        &[(target, "main"), (pushed, zero.as_str())][..],
        &[("GITHUB_BASE_REF", "main")],
        &[(pushed, before.as_str())],
        &[("CP1_BEFORE", before.as_str())],
        // A schedule, and the first push of a branch.
        &[],
        &[(pushed, &zero), (target, "")],
        // The push after the one that did it.
        &[(pushed, &repository.git(&["rev-parse", "HEAD"]))],
    ] {
        assert!(is_found(variables), "{variables:?}");
    }
    assert!(!is_found(&[(target, "work")]), "it is what the target has");
    assert!(repository.job(&[(target, "gone")]).is_err());
}
