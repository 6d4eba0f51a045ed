//! What is known of how the router comes back from an outage, and why it is not where it is not. Pure.

use cp1_format::summary::{self, Unmeasured};
use cp1_format::{Metric, NotRecovered, Notice, Policy, Report, Unserved};

const ASK: &str = "measure with an outage: perf-gate run --outage-ms 200 (PERF_OUTAGE_MS)";
const OFFER: &str =
    "give the adapter an outage/1 that works with these options, or take the rule out";
const REPAIR: &str =
    "find out why the router does not come back (docs/runbook.md), then measure again";
const AGAIN: &str = "measure again, at a rate that the router serves";

/// Why a figure of an outage is not there, and what to do.
pub(crate) fn unmeasured(metric: Metric, report: &Report) -> (String, &'static str) {
    let Some(blocks) = report.blocks.as_deref().filter(|_| is_asked_for(report)) else {
        return ("no outage was asked for".to_owned(), ASK);
    };
    let reason = |block| Some((block, summary::figure(metric, block).err()?));
    let all: Vec<_> = blocks.iter().filter_map(reason).collect();
    match all.first() {
        None => ("there is no block".to_owned(), AGAIN),
        Some((block, reason)) => {
            let cure = match reason {
                Unmeasured::NotRecovered(NotRecovered::Never) => REPAIR,
                Unmeasured::NotRecovered(NotRecovered::NoMeasure) => AGAIN,
                _ => OFFER,
            };
            let (count, of) = (all.len(), blocks.len());
            (
                format!(
                    "in {count} of {of} blocks, of which block {} is the first, {reason}",
                    block.block
                ),
                cure,
            )
        }
    }
}

/// What no rule says, and a reader should know.
pub(crate) fn notices(candidate: &Report, policy: &Policy) -> Vec<Notice> {
    let is_open = |metric: &Metric| {
        metric.is_of_outage()
            && candidate.metrics.get(*metric).is_none()
            && !policy.rules.contains_key(metric)
    };
    let open = Metric::ALL.into_iter().filter(|metric| is_asked_for(candidate) && is_open(metric));
    let say = |metric: Metric| {
        Notice(format!("{metric} is not known: {}", unmeasured(metric, candidate).0))
    };
    lost(candidate).into_iter().chain(open.map(say)).collect()
}

/// What became of the requests around the outages; nothing where all were served.
fn lost(report: &Report) -> Option<Notice> {
    let outcomes = report.accounting?.recovery?;
    let of_kind = Unserved::ALL.map(|kind| (kind.name(), kind.of(&outcomes)));
    let kinds: Vec<_> = of_kind
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {}", count))
        .collect();
    (!kinds.is_empty()).then(|| {
        Notice(format!(
            "around outages {} of {} requests were not served: {}",
            outcomes.offered.saturating_sub(outcomes.ok),
            outcomes.offered,
            kinds.join(", ")
        ))
    })
}

fn is_asked_for(report: &Report) -> bool {
    report.load.as_ref().is_some_and(|load| load.outage.is_some())
}
