//! How a series of real gates ended: rates with exact intervals. Pure.

use cp1_format::summary::{mean, median};
use cp1_format::{Decimal, MedianEstimate, Metric, Outcome, OutcomeRate, Tally, Verdict};

use crate::prove::simulate::{percent, rate};

const OUTCOMES: [Outcome; 5] = [
    Outcome::Pass,
    Outcome::Regression,
    Outcome::Inconclusive,
    Outcome::Invalid,
    Outcome::Incomparable,
];

/// Of each outcome that can be how often it was, and of each metric what was estimated.
#[must_use]
pub fn tally(verdicts: &[&Verdict]) -> Tally {
    let gates = verdicts.len() as u64;
    let of_outcome = |outcome| {
        let count = verdicts.iter().filter(|verdict| verdict.outcome == outcome).count() as u64;
        let pct = percent(count as f64 / gates.max(1) as f64, 1);
        OutcomeRate { outcome, pct, rate: rate(count, gates, 1) }
    };
    let blocks = verdicts.iter().filter_map(|verdict| verdict.decision.as_ref());
    let blocks: Vec<f64> = blocks.map(|decision| decision.blocks as f64).collect();
    let estimate = |metric| {
        let estimates = verdicts
            .iter()
            .flat_map(|verdict| &verdict.rules)
            .filter(|rule| rule.metric == metric)
            .filter_map(|rule| rule.on_blocks.as_ref())
            .map(|blocks| blocks.estimate_pct.approximate());
        let change_pct = Decimal::of_fraction(median(estimates.collect())?, 2)?;
        Some(MedianEstimate { metric, change_pct })
    };
    Tally {
        gates,
        outcomes: OUTCOMES.into_iter().map(of_outcome).collect(),
        // Of none the mean is no number.
        blocks: Decimal::of_fraction(mean(&blocks), 1),
        estimates: Metric::ALL.into_iter().filter_map(estimate).collect(),
    }
}
