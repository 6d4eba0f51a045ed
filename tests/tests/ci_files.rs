//! The files for continuous integration: they fit the platforms' schemas, their jobs run what they
//! say, and what a script answers is what the job answers.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use cp1_pipeline_tests::root;
use serde_json::{Value, json};

const GITLAB: &str = ".gitlab-ci.perf.yml";
const GITHUB: &str = ".github/workflows/perf.yml";

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn file(name: &str) -> Value {
    yaml(&std::fs::read_to_string(root().join(name)).unwrap())
}

fn validator(name: &str) -> jsonschema::Validator {
    let path = root().join("tests/schemas").join(name);
    let schema: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

#[test]
fn both_files_fit_their_platforms_schema_and_a_broken_one_does_not() {
    for (name, schema, path) in [
        (GITLAB, "gitlab-ci.schema.json", "/cp1_gate/script"),
        (GITHUB, "github-workflow.schema.json", "/jobs/cp1_gate/steps"),
    ] {
        let validator = validator(schema);
        let mut document = file(name);
        let errors: Vec<_> = validator.iter_errors(&document).map(|e| e.to_string()).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
        *document.pointer_mut(path).unwrap() = json!(7);
        assert!(!validator.is_valid(&document), "{name}: the schema finds nothing wrong");
    }
}

#[test]
fn what_measures_is_alone_on_a_dedicated_host_and_leaves_its_artifacts() {
    let gitlab = file(GITLAB);
    assert_eq!(gitlab[".cp1"]["artifacts"]["when"], "always");
    assert_eq!(gitlab[".cp1"]["artifacts"]["paths"], json!(["_artifacts/"]));
    assert_eq!(gitlab[".cp1_measures"]["tags"], json!(["cp1-perf"]));
    let reports = json!({"junit": "_artifacts/perf_junit_*.xml",
        "codequality": "_artifacts/perf_codequality_*.json", "metrics": "_artifacts/perf_metrics_*.txt"});
    assert_eq!(gitlab[".cp1_measures"]["artifacts"], json!({"reports": reports}));
    assert_eq!(gitlab[".cp1_measures"]["resource_group"], "cp1_perf_host");
    let github = file(GITHUB);
    for (job, is_blocking) in [("cp1_smoke", false), ("cp1_gate", true)] {
        assert_eq!(gitlab[job]["extends"], ".cp1_measures");
        assert_eq!(
            gitlab[job]["allow_failure"],
            if is_blocking { Value::Null } else { json!(true) }
        );
        let other = &github["jobs"][job];
        assert_eq!(other["runs-on"], json!(["self-hosted", "cp1-perf"]));
        // Whoever waits in a group is cancelled by the next: no gate may wait in one.
        assert_eq!(other["concurrency"].is_null(), is_blocking, "{job}");
        assert_eq!(other["env"]["PERF_MODE"], gitlab[job]["variables"]["PERF_MODE"]);
        let may_fail = if is_blocking { Value::Null } else { json!(true) };
        assert_eq!(other["continue-on-error"], may_fail);
        let kept = other["steps"].as_array().unwrap().last().unwrap();
        assert_eq!(
            (&kept["if"], &kept["with"]["path"]),
            (&json!("always()"), &json!("_artifacts/"))
        );
    }
    // Text that others choose never becomes part of a script.
    for job in github["jobs"].as_object().unwrap().values() {
        for step in job["steps"].as_array().unwrap() {
            assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{step}");
            let action =
                step["uses"].as_str().unwrap_or("x@0123456789012345678901234567890123456789");
            assert_eq!(action.split('@').nth(1).unwrap().len(), 40, "pinned by commit: {action}");
        }
    }
}

/// A clone with an origin, whose measuring and judging programs are stubs that write down what they
/// were called with and end as they are told.
struct Clone {
    directory: tempfile::TempDir,
}

const STUB: &str = r#"#!/usr/bin/env bash
echo "$(basename "$0") $* project=${CP1_PROJECT:-} mode=${PERF_MODE:-} trusted=${PERF_TRUSTED_REF:-}" >>"$STUB_LOG"
mkdir -p _artifacts
echo "summary" >_artifacts/perf_summary_1.md
echo "::error title=x::y" >_artifacts/perf_annotations_1.txt
exit "${STUB_CODE:-0}"
"#;

impl Clone {
    fn new() -> Self {
        let clone = Self { directory: tempfile::tempdir().unwrap() };
        let origin = clone.path("origin");
        std::fs::create_dir_all(origin.join("scripts")).unwrap();
        std::fs::create_dir(clone.path("tmp")).unwrap();
        for name in [GITLAB, GITHUB, "scripts/verify_contract.sh", "scripts/common.sh"] {
            std::fs::create_dir_all(origin.join(name).parent().unwrap()).unwrap();
            std::fs::copy(root().join(name), origin.join(name)).unwrap();
        }
        write_executable(&origin.join("scripts/perf_gate.sh"), STUB);
        write_executable(&origin.join("scripts/setup.sh"), "#!/bin/sh\n");
        write_executable(&clone.path("bin/cargo"), "#!/bin/sh\n");
        write_executable(&clone.path("target/release/perf-gate"), STUB);
        git(&origin, &["init", "--quiet", "--initial-branch=main"]);
        git(&origin, &["add", "--all"]);
        git(&origin, &["commit", "--quiet", "--message=begin"]);
        git(clone.directory.path(), &["clone", "--quiet", "origin", "work"]);
        clone
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    /// Runs lines as the platforms do: each in turn, until one fails.
    fn run(&self, lines: &[String], variables: &[(&str, &str)]) -> (Output, String) {
        let log = self.path("log");
        let _ = std::fs::remove_file(&log);
        let path = format!("{}:{}", self.path("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new("bash");
        command.args(["-euo", "pipefail", "-c", &lines.join("\n")]);
        for (name, _) in std::env::vars() {
            if ["PERF_", "CI_", "CP1_", "GITHUB_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        let output = command
            .current_dir(self.path("work"))
            .stdin(Stdio::null())
            .env("PATH", path)
            .env("STUB_LOG", &log)
            .env("TMPDIR", self.path("tmp"))
            .env("CARGO_TARGET_DIR", self.path("target"))
            .env("GITHUB_STEP_SUMMARY", self.path("summary"))
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        (output, std::fs::read_to_string(log).unwrap_or_default())
    }
}

fn write_executable(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    let done = Command::new("git").current_dir(directory).args(identity).args(arguments).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8_lossy(&done.stdout).trim().to_owned()
}

/// The lines that a job runs, and the variables that it sets.
type Job = (Vec<String>, Vec<(String, String)>);

/// A job on GitLab and on GitHub.
fn jobs(name: &str) -> [Job; 2] {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let variables = |values: &Value| -> Vec<(String, String)> {
        let values = values.as_object().cloned().unwrap_or_default();
        values.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    };
    let gitlab = &file(GITLAB)[name];
    let lines = gitlab["script"].as_array().unwrap().iter().map(text).collect();
    let github = &file(GITHUB)["jobs"][name];
    let is_plain = |step: &&Value| step["run"].is_string() && step["if"].is_null();
    let steps = github["steps"].as_array().unwrap().iter().filter(is_plain);
    let steps = steps.map(|step| text(&step["run"])).collect();
    [(lines, variables(&gitlab["variables"])), (steps, variables(&github["env"]))]
}

#[test]
fn the_code_of_the_gate_is_the_code_of_the_job() {
    let clone = Clone::new();
    for name in ["cp1_smoke", "cp1_gate", "cp1_verify"] {
        for (lines, _) in jobs(name) {
            for code in ["0", "1", "2", "3", "4"] {
                let target = ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main");
                let (output, log) = clone.run(&lines, &[target, ("STUB_CODE", code)]);
                assert_eq!(output.status.code(), code.parse().ok(), "{name}: {output:?}");
                assert!(!log.is_empty(), "{name} ran nothing");
            }
        }
    }
}

#[test]
fn a_smoke_run_is_judged_by_the_target_branch() {
    let clone = Clone::new();
    for (lines, variables) in jobs("cp1_smoke") {
        let expanded = in_merge_request(&variables);
        let set: Vec<_> =
            expanded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (output, log) = clone.run(&lines, &set);
        assert!(output.status.success(), "{output:?}");
        let work = clone.path("work").canonicalize().unwrap();
        let trusted = "mode=smoke trusted=refs/remotes/origin/main";
        assert_eq!(log, format!("perf_gate.sh  project={} {trusted}\n", work.display()));
    }
}

/// The variables of a job, as they are in a merge or pull request into main.
fn in_merge_request(variables: &[(String, String)]) -> Vec<(String, String)> {
    let of_target = "${{ github.base_ref && format('refs/remotes/origin/{0}', github.base_ref) || \
                     github.event.merge_group.base_sha }}";
    let expanded = variables.iter().map(|(name, value)| {
        let value = value
            .replace("$CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main")
            .replace(of_target, "refs/remotes/origin/main")
            .replace("${{ github.base_ref }}", "main")
            .replace("${{ github.event.merge_group.base_sha }}", "");
        assert!(!value.contains("${{"), "{name}: {value}");
        (name.clone(), value)
    });
    let target = ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME".to_owned(), "main".to_owned());
    expanded.chain([target]).collect()
}

#[test]
fn a_change_of_the_scripts_does_not_judge_itself() {
    let clone = Clone::new();
    let work = clone.path("work");
    git(&work, &["switch", "--quiet", "--create", "mine"]);
    for script in ["perf_gate.sh", "verify_contract.sh", "common.sh", "setup.sh"] {
        write_executable(&work.join("scripts").join(script), "#!/bin/sh\nexit 0\n");
    }
    // Cargo would read it in every directory below.
    std::fs::create_dir(work.join(".cargo")).unwrap();
    std::fs::write(work.join(".cargo/config.toml"), "[build]\nrustc = \"true\"\n").unwrap();
    git(&work, &["add", "--all"]);
    git(&work, &["commit", "--quiet", "--message=nothing is judged"]);
    write_executable(&clone.path("bin/cargo"), "#!/bin/sh\npwd >>\"$STUB_LOG\"\n");
    for name in ["cp1_verify", "cp1_smoke"] {
        for (lines, variables) in jobs(name) {
            let mut expanded = in_merge_request(&variables);
            expanded.push(("STUB_CODE".to_owned(), "1".to_owned()));
            let set: Vec<_> =
                expanded.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let (output, log) = clone.run(&lines, &set);
            assert_eq!(output.status.code(), Some(1), "{name}: {output:?}");
            assert!(log.contains(&work.display().to_string()), "{name}: {log}");
            for built in log.lines().filter(|line| line.starts_with('/')) {
                assert!(!Path::new(built).starts_with(&work), "{name} built in {built}");
            }
            assert_eq!(git(&work, &["worktree", "list"]).lines().count(), 1, "it is removed");
        }
    }
}

#[test]
fn verification_is_the_gates_own() {
    let clone = Clone::new();
    for (lines, _) in jobs("cp1_verify") {
        let (output, log) = clone.run(&lines, &[]);
        assert!(output.status.success(), "{output:?}");
        let work = clone.path("work").canonicalize().unwrap();
        let work = work.display();
        let expected =
            format!("perf-gate verify --ci --root {work} project={work} mode= trusted=\n");
        assert_eq!(log, expected);
    }
}

#[test]
fn summary_and_annotations_of_a_github_job_are_shown_also_when_it_failed() {
    let clone = Clone::new();
    for name in ["cp1_smoke", "cp1_gate"] {
        let github = &file(GITHUB)["jobs"][name];
        let steps = github["steps"].as_array().unwrap();
        let always = |step: &&Value| step["run"].is_string() && step["if"] == "always()";
        let shown: Vec<_> = steps
            .iter()
            .filter(always)
            .map(|step| step["run"].as_str().unwrap().to_owned())
            .collect();
        let _ = std::fs::remove_file(clone.path("summary"));
        clone.run(&["./scripts/perf_gate.sh".to_owned()], &[("STUB_CODE", "1")]);
        let (output, _) = clone.run(&shown, &[]);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(std::fs::read_to_string(clone.path("summary")).unwrap(), "summary\n");
        assert_eq!(output.stdout, b"::error title=x::y\n", "a command is what a step prints");
    }
}
