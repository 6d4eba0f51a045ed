//! Bencher Metric Format: benchmark → measure → value, with the smallest and the largest block beside
//! it. Its unit is part of a measure's name, as the format has no other place for it.
//!
//! Source: <https://bencher.dev/bmf.json>.

use std::collections::BTreeMap;

use cp1_format::{Amount, Report, WriteError, to_json};
use serde::Serialize;

use crate::convert::figures::range;

/// What is measured where the report does not name an adapter.
const UNNAMED: &str = "router";

/// Longest name of a benchmark, in characters.
const NAME_MAX_CHARS: usize = 1024;

#[derive(Serialize)]
struct Metric<'a> {
    value: &'a Amount,
    #[serde(skip_serializing_if = "Option::is_none")]
    lower_value: Option<&'a Amount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upper_value: Option<&'a Amount>,
}

/// The headlines of a report.
///
/// # Errors
/// [`WriteError::Encode`].
pub(super) fn render(report: &Report) -> Result<String, WriteError> {
    let measure = |(metric, value): (&cp1_format::Metric, _)| {
        let (lower_value, upper_value) = range(report, *metric).unzip();
        (metric.name(), Metric { value, lower_value, upper_value })
    };
    let measures: BTreeMap<_, _> = report.metrics.0.iter().map(measure).collect();
    let adapter = report.load.as_ref().map(|load| load.adapter.as_str());
    let name: String = adapter.unwrap_or(UNNAMED).chars().take(NAME_MAX_CHARS).collect();
    let name = if name.is_empty() { UNNAMED.to_owned() } else { name };
    to_json(&BTreeMap::from([(name, measures)]))
}
