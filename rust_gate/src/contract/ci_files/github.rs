//! GitHub: its file, and the other workflows.

use serde_json::Value;

use super::structure::{Free, is_list, is_literal, is_longer};
use super::{GITHUB, JOBS, Seen, Strictness, compare, documents, files, read, yaml};
use crate::adopt::jobs::{self, Tool};
use crate::contract::{Contract, ContractError};
use crate::read::git::Git;

/// Where GitHub's files are.
const WORKFLOWS: &str = ".github/workflows";

/// What may differ from the generated file.
pub const FREE: [Free; 11] = [
    Free {
        place: &["name"],
        may: |found| is_literal(found.actual),
        why: "a check is known by its job",
    },
    Free { place: &["run-name"], may: |_| true, why: "a heading" },
    Free { place: &["on", "workflow_dispatch"], may: |_| true, why: "one more occasion to run" },
    Free {
        place: &["on", "schedule"],
        may: |found| is_weekly(found.actual),
        why: "another time, and at least each week",
    },
    Free {
        place: &["on", "push", "branches"],
        may: |found| {
            let takes_back = |branch: &Value| branch.as_str().is_some_and(|it| it.starts_with('!'));
            is_longer(found)
                && !found.actual.as_array().is_some_and(|all| all.iter().any(takes_back))
        },
        why: "more branches, and the default one",
    },
    Free {
        place: &["jobs", "*"],
        may: |found| found.expected.is_none() && !has_name_of_ours(found.key, found.actual),
        why: "another job: the generated ones need none",
    },
    Free {
        place: &["jobs", "*", "runs-on"],
        may: |found| is_literal(found.actual) || is_list(found.actual),
        why: "without such a runner the job waits, and is not green",
    },
    Free {
        place: &["jobs", "*", "timeout-minutes"],
        may: |found| found.actual.is_number(),
        why: "a job that runs out of time is red",
    },
    Free {
        place: &["jobs", "*", "env", "PERF_TIMEOUT_SECONDS"],
        may: |_| true,
        why: "a measurement that runs out of time is INVALID",
    },
    Free {
        place: &["jobs", "*", "steps", "*"],
        // An action may have a part that runs before all steps.
        may: |found| found.expected.is_none() && found.actual["uses"].is_null(),
        why: "a command after the generated steps: none makes a failed step good",
    },
    Free {
        place: &["jobs", "*", "steps", "*", "with", "retention-days"],
        may: |found| found.actual.is_number(),
        why: "how long artifacts are kept",
    },
];

/// What was found of GitHub's files.
///
/// # Errors
/// One cannot be read at all.
pub(super) fn look(contract: &Contract, tool: Tool, seen: &mut Seen) -> Result<(), ContractError> {
    let Some(text) = read(contract, GITHUB)? else { return Ok(()) };
    let known = Git::at(contract.root()).default_branch();
    let branch = match &known {
        Some(branch) => branch,
        None if starts_on(&text, "master") => "master",
        None => "main",
    };
    compare(seen, GITHUB, &text, &FREE, &jobs::github(tool, branch));
    other_workflows(contract, seen)?;
    if known.is_none() {
        seen.unseen.push(format!(
            "GitHub: which branch is the default one is not known here, and taken to be {branch} (git \
             remote set-head origin --auto finds out)"
        ));
    }
    seen.unseen.push(
        "GitHub: whether cp1_verify is a required check, who may report one of this name, variables and \
         secrets, and what a runner has on its PATH, stand in its settings"
            .to_owned(),
    );
    Ok(())
}

/// Whether a push of a branch is among the triggers.
fn starts_on(text: &str, branch: &str) -> bool {
    let file = yaml(text, Strictness::Ours).unwrap_or_default();
    let branches = file.pointer("/on/push/branches").and_then(Value::as_array);
    branches.is_some_and(|all| all.contains(&Value::from(branch)))
}

/// Whether a schedule has a time each week: on any day of any month.
fn is_weekly(schedule: &Value) -> bool {
    let is_time = |entry: &Value| {
        is_literal(&entry["cron"]) && entry.as_object().is_some_and(|entry| entry.len() == 1)
    };
    let is_weekly = |entry: &Value| {
        let cron = entry["cron"].as_str().unwrap_or_default();
        matches!(cron.split_whitespace().collect::<Vec<_>>().as_slice(), [_, _, "*", "*", _])
    };
    schedule.as_array().is_some_and(|all| all.iter().all(is_time) && all.iter().any(is_weekly))
}

/// Whether GitHub may take the check of a job for that of one of ours.
fn has_name_of_ours(key: &str, job: &Value) -> bool {
    let is_ours = |name: &str| JOBS.iter().any(|ours| ours.eq_ignore_ascii_case(name.trim()));
    let name = job["name"].as_str().unwrap_or_default();
    is_ours(key) || is_ours(name) || (name.contains("${{") && name.to_lowercase().contains("cp1"))
}

/// Jobs of other workflows whose checks have the names of ours.
fn other_workflows(contract: &Contract, seen: &mut Seen) -> Result<(), ContractError> {
    let mut names = files(contract, &format!("{WORKFLOWS}/*.yml"));
    names.extend(files(contract, &format!("{WORKFLOWS}/*.yaml")));
    for name in names.into_iter().filter(|name| name != GITHUB) {
        let Some(text) = read(contract, &name)? else { continue };
        let rename = "rename it";
        let document = match documents(&text, Strictness::Theirs) {
            Ok(documents) => documents.into_iter().next().unwrap_or_default(),
            Err(message) if text.to_lowercase().contains("cp1_") => {
                seen.add(&name, message, "correct it, or leave out what begins with cp1_");
                continue;
            }
            Err(_) => continue,
        };
        for (key, job) in document.get("jobs").and_then(Value::as_object).into_iter().flatten() {
            if has_name_of_ours(key, job) {
                let message = format!("the job {key} has the check of a job of {GITHUB}");
                seen.add(&name, message, rename);
            }
        }
    }
    Ok(())
}
