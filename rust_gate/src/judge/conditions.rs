//! Whether two reports were measured under the same conditions. Pure.

use cp1_format::{Comparison, EnvironmentField, FieldDifference, Merged, Notice, Policy, Report};

/// What of the load each of several machines may have for itself.
const OF_MACHINE: [&str; 4] =
    ["load.rate_per_second", "load.arrivals", "load.concurrency", "load.max_in_flight"];

/// How two reports were measured, as far as it says that they come from one machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measured {
    /// At different times: the fingerprints alone say so.
    Apart,
    /// In turn, slice by slice.
    InTurn,
}

/// What of environment and load differs. What neither report states is equal in nothing but their
/// silence: of reports that somebody wrote by hand it is left unverified; the bench states what it
/// can read.
pub(crate) fn comparison(
    baseline: &Report,
    candidate: &Report,
    policy: &Policy,
    measured: Measured,
) -> Comparison {
    let mut comparison = Comparison::default();
    let is_stated = baseline.schema.is_some() || candidate.schema.is_some();
    let is_silence_unlike = is_stated && measured == Measured::Apart;
    let mut compare = |field: &str, baseline: Option<String>, candidate: Option<String>| {
        let is_silent = baseline.is_none() && candidate.is_none();
        if is_silent && !is_silence_unlike {
            comparison.unverified.push(field.to_owned());
        } else if is_silent || baseline != candidate {
            let field = field.to_owned();
            comparison.differences.push(FieldDifference { field, baseline, candidate });
        }
    };
    // What a tool calls a latency is its own; who measured with the bench says nothing here.
    let tool = |report: &Report| report.run.imported_from.map(|tool| tool.name().to_owned());
    let (of_baseline, of_candidate) = (tool(baseline), tool(candidate));
    if of_baseline.is_some() || of_candidate.is_some() {
        compare("run.imported_from", of_baseline, of_candidate);
    }
    // Whatever the policy requires: no block of an attached run is like one of a fresh BEAM.
    let attached = |report: &Report| report.env.attached.unwrap_or(false);
    if attached(baseline) || attached(candidate) {
        let said = |report: &Report| Some(attached(report).to_string());
        compare("env.attached", said(baseline), said(candidate));
    }
    // What is watched is what the node had to do, never what the bench asks of it.
    let watched = |report: &Report| report.watched.as_ref().map(cp1_format::Watched::shape);
    match (watched(baseline), watched(candidate)) {
        (None, None) => {}
        (Some(of_baseline), Some(of_candidate)) => {
            let pairs = of_baseline.into_iter().zip(of_candidate);
            for ((field, baseline), (_, candidate)) in pairs {
                if baseline.is_some() || candidate.is_some() {
                    compare(field, baseline, candidate);
                }
            }
        }
        (one, other) => {
            let source = |shape: Option<[(&'static str, Option<String>); 5]>| {
                shape.and_then(|[(_, source), ..]| source)
            };
            compare("watched.source", source(one), source(other));
        }
    }
    let always = EnvironmentField::ALWAYS_REQUIRED;
    let further = policy.environment.require.iter().filter(|field| !always.contains(field));
    for field in always.iter().chain(further) {
        let unstated = || field.unstated().map(ToOwned::to_owned);
        let of = |report: &Report| report.fingerprint(*field).or_else(unstated);
        compare(field.name(), of(baseline), of(candidate));
    }
    if let (Some(baseline), Some(candidate)) = (&baseline.load, &candidate.load) {
        for ((field, baseline), (_, candidate)) in
            baseline.shape().into_iter().zip(candidate.shape())
        {
            compare(field, Some(baseline), Some(candidate));
        }
        // It comes after all other figures, so these compare with those of a report that has none.
        if let (Some(baseline), Some(candidate)) = (&baseline.outage, &candidate.outage) {
            compare("load.outage", Some(baseline.shape()), Some(candidate.shape()));
        }
    }
    if baseline.merged.is_some() || candidate.merged.is_some() {
        let machines = |report: &Report| report.merged.as_ref().map_or(1, |m| m.machines.len());
        let said = |report: &Report| Some(machines(report).to_string());
        compare("merged.machines", said(baseline), said(candidate));
    }
    if let (Some(baseline), Some(candidate)) = (&baseline.merged, &candidate.merged) {
        let routers = |merged: &Merged| Some(merged.routers.name().to_owned());
        compare("merged.routers", routers(baseline), routers(candidate));
        let pairs = baseline.machines.iter().zip(&candidate.machines).enumerate();
        for (index, (baseline, candidate)) in pairs {
            let shapes = baseline.load.shape().into_iter().zip(candidate.load.shape());
            for ((field, baseline), (_, candidate)) in
                shapes.filter(|((field, _), _)| OF_MACHINE.contains(field))
            {
                let field = format!("merged.machines[{index}].{field}");
                compare(&field, Some(baseline), Some(candidate));
            }
        }
    }
    comparison
}

/// Where the baseline was measured under other conditions than the replay.
pub(super) fn elsewhere(frozen: &Report, candidate: &Report, policy: &Policy) -> Option<Notice> {
    let differences = comparison(frozen, candidate, policy, Measured::Apart).differences;
    let fields: Vec<_> = differences.into_iter().map(|difference| difference.field).collect();
    (!fields.is_empty()).then(|| {
        Notice(format!(
            "the baseline was measured under other conditions, which the replay makes up for: {}",
            fields.join(", ")
        ))
    })
}

/// What both reports should state and neither does.
pub(super) fn silent(comparison: &Comparison) -> Option<Notice> {
    let fields: Vec<_> = comparison
        .differences
        .iter()
        .filter(|difference| difference.is_silent())
        .map(|difference| difference.field.as_str())
        .collect();
    (!fields.is_empty()).then(|| {
        Notice(format!(
            "neither report states {}, so nothing says that they were measured alike: replay, or leave it \
             out of environment.require",
            fields.join(", ")
        ))
    })
}
