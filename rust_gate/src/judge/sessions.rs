//! Whether the sessions of a frozen report agree, so that its blocks can stand for those of any
//! later session. Pure.
//!
//! Blocks of two sessions differ by their own noise and by that between sessions (another host,
//! another placement, another temperature), and no number of blocks makes the second smaller. With
//! a standard deviation ω between sessions, the log ratio of two reports has a variance of at least
//! ω² (1 + 1/sessions), and the stated error rates hold only while ω is small beside the distance
//! from the limit to what must be caught. Simulated gates with a limit of half of what must be caught
//! kept their false alarms and misses below 1 % up to an ω of one seventh of that distance; here a
//! tenth of the limit is asked for.

use cp1_format::summary::{median, standard_deviation};
use cp1_format::{Metric, Policy, Report};

use crate::judge::decision::{JudgedLimit, held};

/// Fewest sessions that a spread is computed of.
pub const SESSIONS_MIN: usize = 3;

/// Most that the sessions may spread, as a share of a metric's limit, both in logs.
pub const SHARE_OF_LIMIT: f64 = 0.1;

/// Why the sessions of a frozen report cannot stand for later ones; `None` where they can.
#[must_use]
pub fn disagreement(frozen: &Report, policy: &Policy) -> Option<String> {
    let sessions = frozen.sessions.as_ref().map_or(1, Vec::len);
    if sessions < SESSIONS_MIN {
        return Some(format!(
            "the baseline's blocks come from {sessions} session{}, and {SESSIONS_MIN} are needed to \
             know how far sessions differ",
            if sessions == 1 { "" } else { "s" }
        ));
    }
    held(policy).iter().find_map(|JudgedLimit { metric, criteria, .. }| {
        let allowed = criteria.limit * SHARE_OF_LIMIT;
        match spread(frozen, *metric) {
            Some(spread) if spread <= allowed => None,
            Some(spread) => Some(format!(
                "{metric} differs by {:.1} % between the baseline's sessions, and at most {:.1} % \
                 lets blocks of one stand for blocks of another",
                spread * 100.0,
                allowed * 100.0
            )),
            None => Some(format!("a block of the baseline did not measure {metric}")),
        }
    })
}

/// Standard deviation of the sessions' medians, in logs; it contains what the blocks' own noise
/// leaves in a median. `None` for fewer than two sessions, or where a figure is missing or 0.
#[must_use]
pub fn spread(report: &Report, metric: Metric) -> Option<f64> {
    let mut logs = report.blocks.iter().flatten().map(|block| {
        Some(block.metrics.get(metric)?.approximate().ln()).filter(|log| log.is_finite())
    });
    let medians: Vec<f64> = report
        .sessions
        .iter()
        .flatten()
        .map(|session| {
            let of_session: Option<Vec<f64>> =
                logs.by_ref().take(session.blocks as usize).collect();
            median(of_session?)
        })
        .collect::<Option<_>>()?;
    standard_deviation(&medians)
}
