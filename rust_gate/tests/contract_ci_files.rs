//! A job that does not block is found by `verify` and `lint`.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::path::Path;

use common::repository::Repository;

const GITLAB: &str = ".gitlab-ci.perf.yml";
const GITHUB: &str = ".github/workflows/perf.yml";

/// A frozen repository with this project's own files.
fn repository() -> Repository {
    let repository = Repository::frozen();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for name in [GITLAB, GITHUB] {
        repository.write(name, &std::fs::read_to_string(root.join(name)).unwrap());
    }
    repository.commit("integrate");
    repository
}

#[test]
fn the_jobs_of_this_project_block() {
    let repository = repository();
    repository.is_kept(&[]);
    assert_eq!(repository.gate(&["lint"]).code, 0);
}

#[test]
fn a_job_that_cannot_block_is_found() {
    for (file, from, to, said) in [
        (
            GITLAB,
            "  extends: .cp1_measures\n  rules:",
            "  extends: .cp1_measures\n  allow_failure: true\n  rules:",
            "cp1_gate may fail: allow_failure",
        ),
        (
            GITLAB,
            "  timeout: 30 minutes",
            "  timeout: 30 minutes\n  allow_failure: true",
            "cp1_gate may fail",
        ),
        (
            GITLAB,
            "  timeout: 30 minutes",
            "  timeout: 30 minutes\n  before_script: [\"exit 0\"]",
            "before_script",
        ),
        (
            GITLAB,
            "    PERF_MODE: gate\n  script:\n    - ./scripts/perf_gate.sh",
            "    PERF_MODE: gate\n  script:\n    - ./scripts/perf_gate.sh || true",
            "cp1_gate.script is not only",
        ),
        (
            GITLAB,
            "    - ./scripts/verify_contract.sh",
            "    - 'true'",
            "cp1_verify.script is not only",
        ),
        (
            GITLAB,
            "      when: never\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n",
            "      when: never\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n      when: manual\n",
            "cp1_gate does not run by itself: rules.when",
        ),
        (
            GITLAB,
            "      when: never\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n",
            "      when: never\n    - if: $NEVER\n",
            "do not run it on the default branch",
        ),
        (GITLAB, "cp1_gate:", "cp1_gates:", "the job cp1_gate is gone"),
        (GITLAB, "cp1_gate:", "cp1_gate: [", "this is no YAML"),
        (
            GITHUB,
            "    if: github.event_name != 'pull_request'\n",
            "    if: false\n",
            "cp1_gate does not run by itself",
        ),
        (
            GITHUB,
            "    if: github.event_name != 'pull_request'\n",
            "    continue-on-error: true\n",
            "cp1_gate may fail: continue-on-error",
        ),
        (
            GITHUB,
            "      - run: ./scripts/verify_contract.sh\n",
            "      - run: ./scripts/verify_contract.sh\n        continue-on-error: true\n",
            "the step of cp1_verify may fail",
        ),
        (
            GITHUB,
            "      - run: ./scripts/verify_contract.sh\n",
            "      - run: ./scripts/verify_contract.sh || true\n",
            "no step of cp1_verify is only",
        ),
        (GITHUB, "  push:\n    branches: [main]\n", "", "it does not run on push"),
        (GITHUB, "  cp1_gate:\n", "  cp1_other:\n", "the job cp1_gate is gone"),
    ] {
        let repository = repository();
        repository.edit(file, from, to);
        repository.is_broken(&[], &[file, said]);
        let answer = repository.gate(&["lint"]);
        assert!(answer.code == 1 && answer.stdout.contains(said), "{said}: {answer:?}");
    }
}

#[test]
fn a_file_that_overrides_a_job_is_found() {
    let repository = repository();
    let include = "include: {local: .gitlab-ci.perf.yml}\n";
    repository.write(".gitlab-ci.yml", include);
    repository.is_kept(&[]);
    for (override_, said) in [
        ("cp1_gate: {allow_failure: true}\n", "cp1_gate may fail"),
        ("cp1_gate: {script: ['true']}\n", "cp1_gate.script overrides"),
        ("cp1_verify: {rules: [{when: never}]}\n", "cp1_verify.rules overrides"),
    ] {
        repository.write(".gitlab-ci.yml", &format!("{include}{override_}"));
        repository.is_broken(&[], &[".gitlab-ci.yml", said]);
    }
}

#[test]
fn a_file_that_was_removed_is_found_against_a_revision() {
    for file in [GITLAB, GITHUB] {
        let repository = repository();
        repository.git(&["switch", "--quiet", "--create", "work"]);
        repository.git(&["rm", "--quiet", file]);
        repository.commit("remove");
        repository.is_broken(&["--against", "main"], &[file, "the file is gone"]);
    }
}
