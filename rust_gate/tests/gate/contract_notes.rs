//! What `verify` says besides what is wrong, and what is built and committed.

use crate::common::repository::{Repository, pretty};
use serde_json::json;

const WAIVERS: &str = "perf/waivers.json";

/// A frozen repository, on a branch of its own.
fn branched() -> Repository {
    let repository = Repository::frozen();
    repository.git(&["switch", "--quiet", "--create", "work"]);
    repository
}

/// Writes a waiver of p95 that ends soon.
fn waive(repository: &Repository, ceiling_pct: u32, message: &str) {
    let day = cp1_format::Date::today().days_later(30).to_string();
    let waiver = json!({"version": "cp1", "waivers": [{
        "metric": "latency_p95_ms", "ceiling_pct": ceiling_pct, "expires": day,
        "issue": "https://example.org/issues/7",
        "reason": "the codec is being rewritten in the next release"}]});
    repository.write(WAIVERS, &pretty(&waiver));
    repository.commit(message);
}

/// What `verify --against main` notes, where nothing is wrong.
#[track_caller]
fn noted(repository: &Repository) -> Vec<String> {
    let answer = repository.gate(&["verify", "--against", "main"]);
    assert!(answer.code == 0 && answer.stdout.ends_with("the contract is kept\n"), "{answer:?}");
    let notes = answer.stdout.lines().filter_map(|line| line.strip_prefix("note: "));
    notes.map(str::to_owned).collect()
}

#[test]
fn a_waiver_that_the_target_does_not_have_is_named() {
    let repository = branched();
    assert_eq!(noted(&repository), [""; 0]);
    waive(&repository, 25, "an exception");
    let notes = noted(&repository);
    let said = "a waiver of latency_p95_ms is new: up to 25 % until";
    assert!(notes.iter().any(|note| note.contains(said)), "{notes:?}");
    assert!(notes.iter().any(|note| note.contains("because the codec is being")), "{notes:?}");

    // Landed, it is known; a higher ceiling is not.
    repository.git(&["branch", "--force", "main"]);
    assert_eq!(noted(&repository), [""; 0]);
    waive(&repository, 40, "a larger one");
    let notes = noted(&repository);
    let said = "a waiver of latency_p95_ms is changed: up to 40 % until";
    assert!(notes.iter().any(|note| note.contains(said)), "{notes:?}");
    waive(&repository, 50, "too large");
    repository.is_broken(&["--against", "main"], &["more than 3 times the limit", "amend"]);
}

#[test]
fn what_can_fake_a_measurement_is_named_where_it_changed() {
    let repository = branched();
    repository.write("router.erl", "-module(router).\n% the same\n");
    repository.commit("a comment");
    assert_eq!(noted(&repository), [""; 0]);
    let files = [
        "perf/perf_gate.toml",
        "apps/router/rebar.config",
        "rebar.config",
        "_checkouts/router_bench/src/router_bench.erl",
        ".cargo/config.toml",
        "scripts/perf_gate.sh",
    ];
    for file in files {
        repository.write(file, "x\n");
    }
    repository.commit("tools");
    let said = "changed, and can fake a measurement or its judging: ";
    let [policy, app, build, checkout, cargo, script] = files;
    let named = [policy, &format!("{app}, {build}"), checkout, cargo, script];
    assert_eq!(noted(&repository), named.map(|named| format!("{said}{named}")));
}

#[test]
fn a_build_product_that_is_committed_is_refused_and_found() {
    let commit = "0123456789".repeat(4);
    for (file, with_cargo, is_built) in [
        (format!("_build/replay/{commit}-otp25-01234567/0-router/ebin/router.beam"), false, true),
        ("_build".to_owned(), false, true),
        ("target/release/perf-gate".to_owned(), true, true),
        ("target/notes.md".to_owned(), false, false),
        ("apps/router/_build_notes.md".to_owned(), false, false),
    ] {
        let repository = Repository::frozen();
        if with_cargo {
            repository.write("Cargo.toml", "");
        }
        repository.write(&file, "x");
        // Also where it is ignored.
        repository.write(".gitignore", "/_build/\n/target/\n");
        repository.git(&["add", "--force", "--", &file]);
        repository.commit("a tool");
        if !is_built {
            repository.is_kept(&[]);
            continue;
        }
        repository.is_broken(&[], &[&file, "a build product is committed"]);
        let project = repository.path("");
        for command in ["bench", "doctor"] {
            let flag = format!("--project={}", project.display());
            let answer = repository.room.run(&[command, "--adapter=x", &flag]);
            assert_eq!(answer.code, 2, "{answer:?}");
            assert!(answer.stderr.contains("is committed in"), "{answer:?}");
            assert!(answer.stderr.contains("git rm -r --cached"), "{answer:?}");
        }
    }
}

#[test]
fn in_a_merge_queue_a_change_is_compared_with_what_it_is_put_on() {
    let repository = branched();
    let base = repository.git(&["rev-parse", "HEAD"]);
    repository.write("perf/policy_cp1.json", "{}\n");
    repository.commit("no policy");
    let queue = [("GITHUB_EVENT_NAME", "merge_group"), ("PERF_TRUSTED_REF", base.as_str())];
    let found = repository.job(&queue).unwrap();
    assert!(found.iter().any(|problem| problem.contains("without a record about")), "{found:?}");
    // Elsewhere this variable is about the judging alone: nothing is forgotten by it.
    let head = repository.git(&["rev-parse", "HEAD"]);
    let push = [("GITHUB_EVENT_NAME", "push"), ("PERF_TRUSTED_REF", head.as_str())];
    assert_eq!(repository.job(&push).unwrap(), found);
    let gone = [("GITHUB_EVENT_NAME", "merge_group"), ("PERF_TRUSTED_REF", "gone")];
    assert!(repository.job(&gone).is_err());
}
