//! Whether a report may become the baseline. Pure.

use cp1_format::{Metric, Policy, Problem};

use super::problem;
use crate::compare::Named;
use crate::decision::{self, decide, held};
use crate::rounds::Sides;
use crate::sessions::SESSIONS_MIN;
use crate::{consistency, samples, validity};

/// Fewest rounds of a baseline.
pub const ROUNDS_MIN: usize = 20;

/// Most of its rounds that may be disturbed.
pub const DISTURBED_SHARE_MAX: f64 = 0.2;

const AGAIN: &str = "measure again";

/// Every reason against the report.
#[must_use]
pub fn problems(report: Named<'_>, policy: &Policy) -> Vec<Problem> {
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
    let sessions = document.sessions.as_ref().map_or(1, Vec::len);
    if sessions < SESSIONS_MIN {
        let message = format!("{sessions} sessions, and {SESSIONS_MIN} are needed");
        add("sessions", message, "measure more sessions: scripts/measure_sessions.sh");
    }
    let rounds = document.rounds.as_deref().unwrap_or_default();
    if rounds.len() < ROUNDS_MIN {
        let message = format!("{} rounds, and {ROUNDS_MIN} are needed", rounds.len());
        add("rounds", message, "measure more sessions: scripts/measure_sessions.sh");
    }
    let unseen = rounds.iter().filter(|round| round.disturbed.is_none()).count();
    let disturbed = rounds
        .iter()
        .filter(|round| round.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty()))
        .count();
    if unseen > 0 {
        let message = format!("in {unseen} rounds nobody looked at the machine");
        add("rounds", message, "measure with scripts/bench_router.sh");
    }
    if disturbed as f64 > DISTURBED_SHARE_MAX * rounds.len() as f64 {
        let message = format!(
            "{disturbed} of {} rounds were disturbed, and at most {:.0} % may be",
            rounds.len(),
            DISTURBED_SHARE_MAX * 100.0
        );
        add("rounds", message, "measure on a quieter machine: scripts/runner_check.sh");
    }
    let skipped: u64 = rounds.iter().map(|round| round.accounting.latency.skipped).sum();
    if skipped > 0 {
        let message = format!("{skipped} arrivals were skipped, so the percentiles are too low");
        add("accounting.latency.skipped", message, "measure at a lower PERF_RATE");
    }
    let short =
        Metric::ALL.into_iter().filter_map(|metric| samples::shortage(path, document, metric));
    problems.extend(short);
    problems.extend(halves(report, policy));
    problems
}

/// The first half of each session against the second half: nothing changed between them, so a gate
/// that does not pass here would not have passed an unchanged router either.
fn halves(report: Named<'_>, policy: &Policy) -> Vec<Problem> {
    let mut rounds = report.document.rounds.iter().flatten();
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for session in report.document.sessions.iter().flatten() {
        let of_session: Vec<_> = rounds.by_ref().take(session.rounds as usize).collect();
        let (one, other) = of_session.split_at(of_session.len() / 2);
        first.extend_from_slice(one);
        second.extend_from_slice(other);
    }
    let sides = Sides::of(first, second);
    let refused = |held: &decision::Held| {
        let shift = sides.shift(held);
        if decide(&shift, &held.criteria) == decision::Ruling::Pass {
            return None;
        }
        let message = format!(
            "{}: the first halves of the sessions do not pass against the second: {}",
            held.metric,
            sides.words(&shift, held)
        );
        Some(problem(report.path, message, AGAIN.to_owned() + ", on a quieter machine or longer"))
    };
    if report.document.sessions.is_none() {
        return Vec::new();
    }
    held(policy).iter().filter_map(refused).collect()
}
