//! How a series of real gates ended: rates with exact intervals. Pure.

use cp1_format::summary::median;
use cp1_format::{Outcome, Verdict};

use crate::statistics::binomial::clopper_pearson;

const CONFIDENCE: f64 = 0.95;

const OUTCOMES: [Outcome; 5] = [
    Outcome::Pass,
    Outcome::Regression,
    Outcome::Inconclusive,
    Outcome::Invalid,
    Outcome::Incomparable,
];

/// One line for each outcome that can be, then what was estimated of each metric.
#[must_use]
pub fn tally(verdicts: &[&Verdict]) -> String {
    let gates = verdicts.len() as u64;
    let mut lines =
        vec![format!("{gates} gates, rates with 95 % intervals of Clopper and Pearson")];
    for outcome in OUTCOMES {
        let count = verdicts.iter().filter(|verdict| verdict.outcome == outcome).count() as u64;
        let (low, high) = clopper_pearson(count, gates, CONFIDENCE);
        lines.push(format!(
            "{:<22}{count:>5}{:>9.1} %   {:.1} to {:.1} %",
            outcome.word(),
            count as f64 / gates as f64 * 100.0,
            low * 100.0,
            high * 100.0
        ));
    }
    let blocks = verdicts.iter().filter_map(|verdict| verdict.decision.as_ref());
    let blocks: Vec<f64> = blocks.map(|decision| decision.blocks as f64).collect();
    if !blocks.is_empty() {
        let mean = blocks.iter().sum::<f64>() / blocks.len() as f64;
        lines.push(format!("{:<22}{mean:>7.1} a gate", "blocks of a side"));
    }
    for metric in cp1_format::Metric::ALL {
        let estimates: Vec<f64> = verdicts
            .iter()
            .flat_map(|verdict| &verdict.rules)
            .filter(|rule| rule.metric == metric)
            .filter_map(|rule| rule.on_blocks.as_ref())
            .map(|blocks| blocks.estimate_pct.approximate())
            .collect();
        if let Some(middle) = median(estimates) {
            lines.push(format!("{:<22}{middle:>+8.2} % median of the estimates", metric.name()));
        }
    }
    lines.join("\n")
}
