//! What a reader should know besides, and no rule judges. Pure.

use std::collections::{BTreeMap, BTreeSet};

use cp1_format::{Control, Disturbance, Judgement, Metric, Notice, Policy, Report};

use crate::judge::compare::{Named, skipped};
use crate::judge::rules::{self, Answer};

/// How the notice of a planted fault begins, by which others know such a verdict.
pub(crate) const PLANTED_FAULT: &str = "THE CANDIDATE WAS MEASURED WITH A PLANTED FAULT";

/// What the two reports say by themselves.
pub(super) fn of_reports(
    baseline: Named<'_>,
    candidate: Named<'_>,
    policy: &Policy,
) -> Vec<Notice> {
    let mut notices = Vec::new();
    let mut say = |text: String| notices.push(Notice(text));
    if let Some(fault) = &candidate.document.run.planted_fault {
        say(format!("{PLANTED_FAULT}: {fault}"));
    }
    for (name, report) in [("baseline", baseline.document), ("candidate", candidate.document)] {
        if report.git.dirty == Some(true) {
            say(format!("the {name} was measured with changes that its commit does not have"));
        }
        if let Some(text) = disturbed(name, report) {
            say(text);
        }
        if let Some(text) = disturbed_drivers(name, report) {
            say(text);
        }
    }
    for (metric, control) in candidate.document.controls.iter().flatten() {
        if *control == Control::NotOffered {
            say(format!(
                "no control showed that the router's {metric} can move: its 0 may be dead"
            ));
        }
    }
    // The bench says what it found, so its silence is no answer.
    let is_silent = candidate.document.schema.is_some() && candidate.document.controls.is_none();
    for metric in candidate.document.metrics.0.keys().filter(|metric| metric.is_count()) {
        if is_silent {
            say(format!(
                "the report does not say whether the router's {metric} can move: its 0 may be dead"
            ));
        }
    }
    if skipped(baseline.document) > 0 {
        say("the baseline skipped arrivals, so its percentiles are too low".to_owned());
    }
    match (&baseline.document.load, &candidate.document.load) {
        _ if candidate.document.watched.is_some() || baseline.document.watched.is_some() => {}
        (Some(_), None) => {
            say("the candidate does not say under which load it was measured".into())
        }
        (None, Some(_)) => say("the baseline does not say under which load it was measured".into()),
        _ => {}
    }
    if policy.environment.require.is_empty() {
        say("the policy requires no part of the environment to be equal".to_owned());
    }
    for metric in candidate.document.metrics.0.keys() {
        if !policy.rules.contains_key(metric) {
            say(format!("{metric} is measured, but no rule judges it"));
        }
    }
    if let Some(tool) = candidate.document.run.imported_from {
        say(format!(
            "the candidate was imported from {}: its figures are compared without error rates, and \
             nothing is known of the load generator's lateness",
            tool.name()
        ));
    }
    for metric in Metric::ALL {
        let is_missing = candidate.document.metrics.get(metric).is_none();
        let is_required =
            policy.rules.contains_key(&metric) || policy.gate.require_all_metrics_present;
        if is_missing
            && !is_required
            && !metric.is_optional()
            && !policy.gate.not_offered.contains(&metric)
        {
            say(format!("{metric} was not measured, so nothing is known of it"));
        }
    }
    for metric in &policy.gate.not_offered {
        say(format!("{metric} is not judged: the policy says that the router does not count it"));
    }
    notices
}

/// What improved so far that a later regression could hide in it, where its rule could be judged.
pub(super) fn improved(policy: &Policy, answers: &[Answer]) -> Vec<Notice> {
    let holds = answers.iter().filter(|answer| answer.result.judgement == Judgement::Holds);
    let percent = holds.filter_map(|Answer { result, .. }| {
        let rule = policy.rules.get(&result.metric)?;
        let (from, to) = (result.baseline.as_ref(), result.candidate.as_ref());
        Some((result.metric, rules::stale_by_pct(result.metric, rule, from, to)?))
    });
    let say = |(metric, percent)| {
        Notice(format!("{metric} improved by {percent} %: consider moving the baseline"))
    };
    percent.map(say).collect()
}

/// How many blocks were disturbed and why; nothing where none was, or where nobody looked.
fn disturbed(name: &str, report: &Report) -> Option<String> {
    let known: Vec<_> =
        report.blocks.iter().flatten().filter_map(|block| block.disturbed.as_ref()).collect();
    let disturbed = known.iter().filter(|reasons| !reasons.is_empty()).count();
    let reasons = counted(known.iter().copied());
    (disturbed > 0).then(|| {
        let known = known.len();
        format!("{disturbed} of {known} blocks of the {name} were disturbed: {reasons}")
    })
}

/// Which drivers' machines it was.
fn disturbed_drivers(name: &str, report: &Report) -> Option<String> {
    let mut by_driver = BTreeMap::<_, Vec<_>>::new();
    let nodes = report.blocks.iter().flatten().filter_map(|block| block.nodes.as_ref());
    for driver in nodes.flat_map(|nodes| &nodes.drivers) {
        if !driver.disturbed.is_empty() {
            by_driver.entry((driver.driver, &driver.place)).or_default().push(&driver.disturbed);
        }
    }
    let told: Vec<_> = by_driver
        .into_iter()
        .map(|((number, place), reasons)| format!("{number} ({place}) by {}", counted(reasons)))
        .collect();
    (!told.is_empty()).then(|| format!("disturbed drivers of the {name}: {}", told.join("; ")))
}

/// In how many blocks each reason was found.
fn counted<'a>(of_blocks: impl IntoIterator<Item = &'a BTreeSet<Disturbance>>) -> String {
    let mut blocks_by_reason = BTreeMap::<_, u64>::new();
    for reason in of_blocks.into_iter().flatten() {
        *blocks_by_reason.entry(reason.name()).or_default() += 1;
    }
    let told = blocks_by_reason.iter().map(|(reason, blocks)| format!("{reason} in {blocks}"));
    told.collect::<Vec<_>>().join(", ")
}
