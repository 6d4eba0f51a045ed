//! GitLab: its file, and the files that include it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::structure::{Extent, Free, differences, is_list, is_literal, is_longer};
use super::{GITLAB, JOBS, Seen, Strictness, compare, documents, files, read, yaml};
use crate::adopt::jobs::{self, Tool};
use crate::contract::{Contract, ContractError};

/// GitLab's file that includes the other, and may override its jobs.
const MAIN: &str = ".gitlab-ci.yml";
/// Most files that GitLab's file may include from this repository, one through another.
const INCLUDED_MAX: usize = 100;

/// What may differ from the generated file.
pub const FREE: [Free; 8] = [
    Free {
        place: &["*"],
        may: |found| found.expected.is_none() && !GLOBAL.contains(&found.key),
        why: "another job: the generated ones need none, inherit nothing and extend each other only",
    },
    Free {
        place: &["*", "image"],
        may: |found| found.expected.is_none() && is_literal(found.actual),
        why: "a project has its own; what is in it cannot be seen, and a change of this file is told",
    },
    Free {
        place: &["*", "tags"],
        may: |found| is_list(found.actual),
        why: "without such a runner the job waits, and is not green",
    },
    Free {
        place: &["*", "stage"],
        // A pipeline with nothing else than .pre and .post is none.
        may: |found| {
            is_literal(found.actual)
                && found.actual.as_str().is_some_and(|stage| !stage.starts_with('.'))
        },
        why: "the jobs need none, so they begin at once in whichever it is",
    },
    Free {
        place: &["*", "timeout"],
        may: |found| is_literal(found.actual),
        why: "a job that runs out of time is red",
    },
    Free {
        place: &["*", "variables", "PERF_TIMEOUT_SECONDS"],
        may: |_| true,
        why: "a measurement that runs out of time is INVALID",
    },
    Free {
        place: &["*", "artifacts", "paths"],
        may: is_longer,
        why: "what is kept is looked at by people only: no job takes artifacts of another",
    },
    Free {
        place: &["*", "artifacts", "expire_in"],
        may: |found| is_literal(found.actual),
        why: "how long it is kept",
    },
];

/// Keys of its file that are no job.
const GLOBAL: [&str; 13] = [
    "default",
    "include",
    "spec",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
    "variables",
    "stages",
    "types",
    "workflow",
    "<<",
];

/// What was found of GitLab's files.
///
/// # Errors
/// One cannot be read at all.
pub(super) fn look(contract: &Contract, tool: Tool, seen: &mut Seen) -> Result<(), ContractError> {
    let Some(text) = read(contract, GITLAB)? else { return Ok(()) };
    let generated = jobs::gitlab(tool);
    compare(seen, GITLAB, &text, &FREE, &generated);
    let jobs = yaml(&text, Strictness::Ours).unwrap_or_default();
    let given = JOBS.iter().filter_map(|job| jobs.get(job)?.get("stage").cloned());
    let has_default = jobs.pointer("/.cp1/stage").is_none();
    let ours = Ours {
        generated: yaml(&generated, Strictness::Ours).unwrap_or_default(),
        stages: given.chain(has_default.then(|| "test".into())).collect(),
    };
    including(contract, seen, &ours)?;
    for (job, image) in JOBS.iter().filter_map(|job| Some((job, jobs.get(job)?.get("image")?))) {
        seen.unseen.push(format!("GitLab: what is in the image {image} of {job}"));
    }
    seen.unseen.push(
        "GitLab: which file a pipeline is made of, variables of the project, of a schedule or typed in, \
         what a runner has on its PATH, and whether a merge request can land without a green cp1_verify, \
         stand in its settings"
            .to_owned(),
    );
    Ok(())
}

/// What other files must leave alone.
struct Ours {
    generated: Value,
    /// The stages that the jobs have.
    stages: Vec<Value>,
}

/// What the files say that include GitLab's, and what these include.
fn including(contract: &Contract, seen: &mut Seen, ours: &Ours) -> Result<(), ContractError> {
    let Some(text) = read(contract, MAIN)? else {
        let unseen = format!("GitLab: there is no {MAIN}, so its settings must name {GITLAB}");
        seen.unseen.push(unseen);
        return Ok(());
    };
    let mut waiting = vec![(MAIN.to_owned(), text)];
    let mut known = BTreeSet::from([MAIN.to_owned(), GITLAB.to_owned()]);
    let mut is_included = false;
    while let Some((file, text)) = waiting.pop() {
        let documents = match documents(&text, Strictness::Theirs) {
            Ok(documents) => documents,
            Err(message) => {
                seen.add(&file, message, "correct it");
                continue;
            }
        };
        for document in &documents {
            others(seen, &file, &text, document, ours);
            for include in one_or_more(&document["include"]) {
                let Some(local) = local(include) else {
                    seen.unseen
                        .push(format!("GitLab: what {file} includes from elsewhere: {include}"));
                    continue;
                };
                if local == GITLAB {
                    let is_plain = include.as_object().is_none_or(|entry| entry.len() == 1);
                    match is_plain {
                        true => is_included = true,
                        false => seen.add(
                            &file,
                            format!("{GITLAB} is included under conditions: {include}"),
                            "include it without any",
                        ),
                    }
                    continue;
                }
                for name in files(contract, &local) {
                    if known.insert(name.clone())
                        && let Some(text) = read(contract, &name)?
                    {
                        waiting.push((name, text));
                    }
                }
            }
        }
        if known.len() > INCLUDED_MAX {
            let message = format!("more than {INCLUDED_MAX} files are included");
            seen.add(MAIN, message, "include fewer");
            return Ok(());
        }
    }
    if !is_included {
        let cure = "add   include: {local: .gitlab-ci.perf.yml}";
        seen.add(MAIN, format!("{GITLAB} is not included, so its jobs do not run"), cure);
    }
    Ok(())
}

fn one_or_more(value: &Value) -> Vec<&Value> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(list) => list.iter().collect(),
        one => vec![one],
    }
}

/// The path in this repository that an entry of `include` names.
fn local(include: &Value) -> Option<String> {
    let path = match include {
        Value::String(text) if !text.contains("://") => text,
        Value::Object(entry) => entry.get("local")?.as_str()?,
        _ => return None,
    };
    (!path.contains('$')).then(|| path.trim_start_matches('/').to_owned())
}

/// What another file of GitLab says that concerns the jobs.
fn others(seen: &mut Seen, file: &str, text: &str, document: &Value, ours: &Ours) {
    let leave = "leave these jobs to .gitlab-ci.perf.yml";
    let Some(entries) = document.as_object() else { return };
    if JOBS.iter().any(|job| entries.contains_key(*job)) {
        // With tags the platform may put something else into the place of what is read here.
        let strict = documents(text, Strictness::Ours);
        if let Err(message) = strict {
            seen.add(file, format!("it changes jobs of {GITLAB}: {message}"), leave);
        }
    }
    for job in JOBS {
        if let (Some(expected), Some(is)) = (ours.generated.get(job), entries.get(job)) {
            seen.add_all(file, differences(&[job], expected, is, Extent::Part, &FREE));
        }
    }
    for key in entries.keys().filter(|key| *key == "<<" || key.contains("$[[")) {
        seen.add(file, format!("{key} may become one of the jobs of {GITLAB}"), leave);
    }
    for name in
        entries.get("variables").and_then(Value::as_object).into_iter().flat_map(|v| v.keys())
    {
        // The jobs inherit none; which pipelines there are depends on those of the platform.
        if name.starts_with("CI_") {
            let message = format!("variables.{name} takes the place of the platform's");
            seen.add(file, message, "remove it");
        }
    }
    if let Some(stages) = entries.get("stages") {
        let has = |stage: &&Value| stages.as_array().is_some_and(|all| all.contains(stage));
        if let Some(stage) = ours.stages.iter().find(|stage| !has(stage)) {
            let message = format!("stages has no {stage}, so there is no pipeline with these jobs");
            seen.add(file, message, "add it, or give .cp1 another stage");
        }
    }
    if let Some(workflow) = entries.get("workflow") {
        for message in of_workflow(workflow) {
            let cure = "begin workflow.rules with {if: $CI_PIPELINE_SOURCE == \"merge_request_event\"} and \
                        {if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}";
            seen.add(file, message, cure);
        }
    }
}

/// What may keep a pipeline with the jobs from being made. The first rule that fits decides.
fn of_workflow(workflow: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for key in workflow.as_object().into_iter().flat_map(|workflow| workflow.keys()) {
        if !["rules", "name", "auto_cancel"].contains(&key.as_str()) {
            found.push(format!("workflow.{key} may keep the jobs from running"));
        }
    }
    let Some(rules) = workflow.get("rules") else { return found };
    let (mut of_merge_requests, mut of_default) = (false, false);
    for rule in one_or_more(rules) {
        if of_merge_requests && of_default {
            break;
        }
        let is_always = rule.get("when").is_none_or(|when| when == "always");
        let keys = rule.as_object().map_or(0, serde_json::Map::len);
        let known = usize::from(rule.get("when").is_some()) + usize::from(rule.get("if").is_some());
        let condition = rule.get("if").map(|condition| {
            let text = condition.as_str().unwrap_or("?");
            text.replace(' ', "").replace('\'', "\"")
        });
        match condition.as_deref() {
            None
            | Some(
                "$CI_PIPELINE_SOURCE==\"merge_request_event\""
                | "$CI_MERGE_REQUEST_ID"
                | "$CI_MERGE_REQUEST_IID"
                | "$CI_COMMIT_BRANCH==$CI_DEFAULT_BRANCH"
                | "$CI_COMMIT_BRANCH"
                | "$CI_PIPELINE_SOURCE==\"schedule\"",
            ) if is_always && keys == known => {}
            _ => {
                found.push(format!("workflow.rules: {rule} comes before what the jobs run by"));
                return found;
            }
        }
        let condition = condition.unwrap_or_default();
        of_merge_requests |= condition.is_empty()
            || condition.contains("MERGE_REQUEST")
            || condition.contains("merge_request");
        of_default |= condition.is_empty() || condition.starts_with("$CI_COMMIT_BRANCH");
    }
    if !(of_merge_requests && of_default) {
        found.push("workflow.rules leave out merge requests, or the default branch".to_owned());
    }
    found
}
