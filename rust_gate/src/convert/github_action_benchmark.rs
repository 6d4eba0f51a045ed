//! The custom formats of github-action-benchmark. A file has one direction, which its `tool` says:
//! `customSmallerIsBetter` or `customBiggerIsBetter`; so a report makes two files.
//!
//! Source: the action's README and `src/extract.ts`; `range` is read as a number after `±`.

use cp1_format::{Amount, Decimal, Direction, Metric, Report, WriteError, to_json};
use serde::Serialize;

use crate::cli::arguments::Better;
use crate::convert::figures::deviation;

/// Decimal places of a deviation.
const PLACES: i64 = 9;

#[derive(Serialize)]
struct Entry<'a> {
    name: &'static str,
    unit: &'static str,
    value: &'a Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    range: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    extra: Option<String>,
}

/// The headlines of one direction; `None` where there is none.
///
/// # Errors
/// [`WriteError::Encode`].
pub(super) fn render(report: &Report, better: Better) -> Result<Option<String>, WriteError> {
    let is_asked = |metric: Metric| match better {
        Better::Smaller => metric.worse() == Direction::Increase,
        Better::Bigger => metric.worse() == Direction::Decrease,
    };
    let entry = |(metric, value)| Entry {
        name: Metric::name(metric),
        // The action compares what has the same unit, so a count has one too.
        unit: if metric.unit().is_empty() { "count" } else { metric.unit() },
        value,
        range: deviation(report, metric)
            .and_then(|deviation| Decimal::of_fraction(deviation, PLACES))
            .map(|deviation| format!("± {deviation}")),
        extra: report.blocks.as_ref().map(|blocks| format!("{} blocks", blocks.len())),
    };
    let asked = report.metrics.0.iter().filter(|(metric, _)| is_asked(**metric));
    let entries: Vec<_> = asked.map(|(metric, value)| entry((*metric, value))).collect();
    if entries.is_empty() { Ok(None) } else { to_json(&entries).map(Some) }
}
