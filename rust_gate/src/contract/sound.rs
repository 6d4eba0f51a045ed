//! Whether a report may become the baseline, or a session's be part of it. Pure.

use cp1_format::{Metric, Policy, Problem, Report, Routers};

use super::problem;
use crate::judge::blocks::Sides;
use crate::judge::compare::Named;
use crate::judge::decision::{self, decide, held};
use crate::judge::sessions::SESSIONS_MIN;
use crate::judge::{consistency, samples, validity};
use crate::prove::plan;

/// Fewest blocks of a baseline.
pub const FROZEN_BLOCKS_MIN: usize = 20;

/// Most of its blocks that may be disturbed.
pub const DISTURBED_SHARE_MAX: f64 = 0.2;

/// Most blocks of a session that may be disturbed: of more, other sessions cannot make up for it.
const DISTURBED_SHARE_OF_SESSION: f64 = 0.5;

/// Every reason against the report.
#[must_use]
pub fn problems(report: Named<'_>, policy: &Policy) -> Vec<Problem> {
    let mut problems = of_any(report, policy, DISTURBED_SHARE_MAX);
    let Named { path, document } = report;
    let mut add = |place: &str, message: String| {
        let cure = "measure more sessions: perf-gate sessions".to_owned();
        let place = Some(place.to_owned());
        problems.push(Problem { file: path.to_owned(), place, message, cure });
    };
    let sessions = document.sessions.as_ref().map_or(1, Vec::len);
    if sessions < SESSIONS_MIN {
        add("sessions", format!("{sessions} sessions, and {SESSIONS_MIN} are needed"));
    }
    let blocks = document.blocks.as_ref().map_or(0, Vec::len);
    if blocks < FROZEN_BLOCKS_MIN {
        add("blocks", format!("{blocks} blocks, and {FROZEN_BLOCKS_MIN} are needed"));
    }
    problems.extend(halves(report, policy));
    problems
}

/// Every reason against making this session part of a baseline.
#[must_use]
pub fn of_session(report: Named<'_>, policy: &Policy) -> Vec<Problem> {
    of_any(report, policy, DISTURBED_SHARE_OF_SESSION)
}

fn of_any(report: Named<'_>, policy: &Policy, disturbed_share_max: f64) -> Vec<Problem> {
    let Named { path, document } = report;
    let mut problems = validity::of_candidate(path, document, policy);
    problems.extend(validity::of_baseline(path, document, policy));
    problems.extend(consistency::check(path, document));
    let mut add = |place: &str, message: String, cure: &str| {
        let place = Some(place.to_owned());
        let cure = cure.to_owned();
        problems.push(Problem { file: path.to_owned(), place, message, cure });
    };
    if document.git.dirty != Some(false) {
        let message = "the work tree was not clean, so no commit is what was measured";
        add("git.dirty", message.into(), "commit, then measure again");
    }
    if document.pairing.is_some() {
        add("pairing", "this is a side of a replay".into(), "measure the router alone");
    }
    for metric in Metric::ALL {
        match document.metrics.get(metric) {
            // What nobody can see who only looks on; where a rule judges it, that is told above.
            None if document.watched.is_some() || metric.is_optional() => {}
            // As the policy says; that it then has none, and that no rule judges it, is told above too.
            None if policy.gate.not_offered.contains(&metric) => {}
            None if metric == Metric::MemMbTotalErlang && shares_router(document) => {}
            None => add(
                &format!("metrics.{metric}"),
                format!("{metric} was not measured"),
                "measure with an adapter that has every counter",
            ),
            Some(count) if metric.is_count() && !count.is_zero() => add(
                &format!("metrics.{metric}"),
                format!("{metric} is {count}, and a baseline has none"),
                "remove their cause, or lower the load, then measure again",
            ),
            Some(_) => {}
        }
    }
    let blocks = document.blocks.as_deref().unwrap_or_default();
    let unseen = blocks.iter().filter(|block| block.disturbed.is_none()).count();
    let disturbed = blocks
        .iter()
        .filter(|block| block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty()))
        .count();
    if unseen > 0 {
        let message = format!("in {unseen} blocks nobody looked at the machine");
        add("blocks", message, "measure with perf-gate sessions");
    }
    if disturbed as f64 > disturbed_share_max * blocks.len() as f64 {
        let message = format!(
            "{disturbed} of {} blocks were disturbed, and at most {:.0} % may be",
            blocks.len(),
            disturbed_share_max * 100.0
        );
        add("blocks", message, "measure on a quieter machine: perf-gate runner");
    }
    let skipped: u64 = blocks.iter().map(|block| block.accounting.latency.skipped).sum();
    if skipped > 0 {
        let message = format!("{skipped} arrivals were skipped, so the percentiles are too low");
        add("accounting.latency.skipped", message, "measure at a lower PERF_RATE");
    }
    let short =
        Metric::ALL.into_iter().filter_map(|metric| samples::shortage(path, document, metric));
    let late = || {
        Metric::ALL.into_iter().find_map(|metric| samples::generators_own(path, document, metric))
    };
    problems.extend(short.chain(late()));
    problems
}

/// Whether machines put a router under load whose memory none of them could see.
fn shares_router(report: &Report) -> bool {
    report.merged.as_ref().is_some_and(|merged| merged.routers == Routers::Shared)
}

/// The first half of each session against the second half: nothing changed between them, so a gate
/// that does not pass here would not have passed an unchanged router either.
fn halves(report: Named<'_>, policy: &Policy) -> Vec<Problem> {
    let mut blocks = report.document.blocks.iter().flatten();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for session in report.document.sessions.iter().flatten() {
        let of_session: Vec<_> = blocks.by_ref().take(session.blocks as usize).collect();
        let (one, other) = of_session.split_at(of_session.len() / 2);
        first.extend_from_slice(one);
        second.extend_from_slice(other);
    }
    let sides = Sides::of(first, second);
    let refused = |held: &decision::JudgedLimit| {
        let shift = sides.shift(held);
        if decide(&shift, &held.criteria) == decision::Ruling::Pass {
            return None;
        }
        let message = format!(
            "{}: the first halves of the sessions do not pass against the second: {}",
            held.metric,
            sides.words(&shift, held)
        );
        let cure = match plan::blocks_to_freeze(held, report.document) {
            Some(blocks) => format!(
                "{blocks} blocks as noisy as these would do: measure that many, in more or longer \
                 sessions; or measure on a quieter machine"
            ),
            None => "no hundred blocks as noisy as these would do: measure longer blocks \
                     (PERF_LATENCY_MS, PERF_THROUGHPUT_MS), or on a quieter machine"
                .to_owned(),
        };
        Some(problem(report.path, message, cure))
    };
    if report.document.sessions.is_none() {
        return Vec::new();
    }
    held(policy).iter().filter_map(refused).collect()
}
