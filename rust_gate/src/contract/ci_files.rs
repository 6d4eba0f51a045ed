//! Whether the files of continuous integration still let the gate block.
//!
//! A repository may have none, or those of another platform. One that is there must have both jobs,
//! run their scripts as they are, and be allowed to fail the pipeline.

use std::path::Path;

use cp1_format::Problem;
use serde_json::Value;

use super::{Contract, ContractError, problem};

/// GitLab's file.
pub const GITLAB: &str = ".gitlab-ci.perf.yml";
/// GitLab's file that includes the other, and may override its jobs.
const GITLAB_MAIN: &str = ".gitlab-ci.yml";
/// GitHub's file.
pub const GITHUB: &str = ".github/workflows/perf.yml";

/// The jobs that block, and the lines of which each of them runs one: of a project that has perf-gate
/// installed, and of this one, which builds it first.
const JOBS: [(&str, [&str; 2]); 2] = [
    ("cp1_verify", ["perf-gate verify --ci", "./scripts/verify_contract.sh"]),
    ("cp1_gate", ["perf-gate run", "./scripts/perf_gate.sh"]),
];

const RESTORE: &str = "restore it: what does not block is no gate";

/// Everything that keeps a job from blocking.
///
/// # Errors
/// A file cannot be read at all.
pub fn problems(contract: &Contract) -> Result<Vec<Problem>, ContractError> {
    let mut problems = Vec::new();
    for (file, check) in [
        (GITLAB, gitlab as fn(&Value) -> Vec<String>),
        (GITLAB_MAIN, gitlab_overrides),
        (GITHUB, github),
    ] {
        let path = contract.path(file);
        if path.symlink_metadata().is_err() {
            continue;
        }
        let found = match yaml(&path)? {
            Ok(yaml) => check(&yaml),
            Err(message) => vec![message],
        };
        problems.extend(found.into_iter().map(|message| problem(file, message, RESTORE)));
    }
    Ok(problems)
}

fn yaml(path: &Path) -> Result<Result<Value, String>, ContractError> {
    let io = |source| ContractError::Io { path: path.to_owned(), source };
    let text = std::fs::read_to_string(path).map_err(io)?;
    // One line: the reader's own message shows the text around the place.
    let first_line = |error: String| error.lines().next().unwrap_or_default().to_owned();
    Ok(serde_saphyr::from_str(&text)
        .map_err(|error| format!("this is no YAML: {}", first_line(error.to_string()))))
}

fn gitlab(file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (name, allowed) in JOBS {
        let job = &file[name];
        if !job.is_object() {
            found.push(format!("the job {name} is gone"));
            continue;
        }
        found.extend(gitlab_job(name, job, file));
        if !allowed.iter().any(|line| lines(&job["script"]) == [*line]) {
            found.push(format!("{name}.script is not only {}", allowed.join(" or ")));
        }
        let on_default = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH";
        let runs = |rule: &Value| rule["if"].as_str() == Some(on_default) && rule["when"].is_null();
        if !job["rules"].as_array().is_some_and(|rules| rules.iter().any(runs)) {
            found.push(format!("{name}.rules do not run it on the default branch"));
        }
    }
    found
}

/// What another file says of the jobs, where it says anything.
fn gitlab_overrides(file: &Value) -> Vec<String> {
    let of_job = |(name, _): &(&str, [&str; 2])| match &file[*name] {
        Value::Null => Vec::new(),
        job => {
            let mut found = gitlab_job(name, job, file);
            for key in ["script", "rules", "extends", "only", "except"] {
                if !job[key].is_null() {
                    found.push(format!("{name}.{key} overrides that of {GITLAB}"));
                }
            }
            found
        }
    };
    JOBS.iter().flat_map(of_job).collect()
}

/// What makes a job, or one that it extends, not block.
fn gitlab_job(name: &str, job: &Value, file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = job;
    // As deep as templates go here; a circle ends too.
    for _ in 0..10 {
        if !matches!(&at["allow_failure"], Value::Null | Value::Bool(false)) {
            found.push(format!("{name} may fail: allow_failure"));
        }
        if !matches!(at["when"].as_str(), None | Some("on_success" | "always")) {
            found.push(format!("{name} does not run by itself: when"));
        }
        for rule in at["rules"].as_array().into_iter().flatten() {
            if !matches!(&rule["allow_failure"], Value::Null | Value::Bool(false)) {
                found.push(format!("{name} may fail: rules.allow_failure"));
            }
            let is_for_merge_requests =
                rule["if"].as_str() == Some("$CI_PIPELINE_SOURCE == \"merge_request_event\"");
            let is_skipped = !matches!(rule["when"].as_str(), None | Some("on_success" | "always"));
            if is_skipped && !is_for_merge_requests {
                found.push(format!("{name} does not run by itself: rules.when"));
            }
        }
        for key in ["before_script", "after_script"] {
            if !at[key].is_null() {
                found.push(format!("{name} has a {key}, which can do anything to its script"));
            }
        }
        match at["extends"].as_str() {
            Some(parent) => at = &file[parent],
            None => break,
        }
    }
    found
}

fn github(file: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // YAML 1.1 took the key `on` for true.
    let on = [&file["on"], &file["true"]].into_iter().find(|on| on.is_object());
    for event in ["push", "schedule"] {
        if on.is_none_or(|on| on.get(event).is_none()) {
            found.push(format!("it does not run on {event}"));
        }
    }
    for (name, lines) in JOBS {
        let job = file["jobs"].get(name).unwrap_or(&Value::Null);
        let Some(steps) = job["steps"].as_array() else {
            found.push(format!("the job {name} is gone"));
            continue;
        };
        if !matches!(&job["continue-on-error"], Value::Null | Value::Bool(false)) {
            found.push(format!("{name} may fail: continue-on-error"));
        }
        let allowed = ["github.event_name != 'pull_request'"];
        if job["if"].as_str().is_some_and(|condition| !allowed.contains(&condition))
            || job["if"].is_boolean()
        {
            found.push(format!("{name} does not run by itself: if"));
        }
        let is_it = |step: &&Value| step["run"].as_str().is_some_and(|run| lines.contains(&run));
        let Some(step) = steps.iter().find(is_it) else {
            found.push(format!("no step of {name} is only {}", lines.join(" or ")));
            continue;
        };
        if !matches!(&step["continue-on-error"], Value::Null | Value::Bool(false)) {
            found.push(format!("the step of {name} may fail: continue-on-error"));
        }
        if !step["if"].is_null() || !step["shell"].is_null() {
            found.push(format!("the step of {name} does not run as it is: if, shell"));
        }
    }
    found
}

/// A script: a line, or a list of lines.
fn lines(script: &Value) -> Vec<&str> {
    match script {
        Value::String(line) => vec![line],
        Value::Array(lines) => lines.iter().map(|line| line.as_str().unwrap_or_default()).collect(),
        _ => Vec::new(),
    }
}
