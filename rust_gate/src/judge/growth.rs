//! What memory of each class grew by with every request, of what blocks sampled. Never judged: a trend
//! is a notice. Pure.
//!
//! A growth is told only where it is one: over blocks, which are fresh BEAMs and so independent, the exact
//! signed-rank interval ([`crate::statistics::shift`]) must lie above a word per request, of the second half
//! of the open loop, and above 0 of its last quarter. Heaps that still settle grow less and less, and shrink as often as they
//! grow: of them nothing is told, since any figure would say more than was seen.

use cp1_format::growth::{Growth, MemoryClass, growth};
use cp1_format::{Amount, Decimal, Notice, Report, SupportingFigure};

use bigdecimal::{BigDecimal, FromPrimitive as _};

use crate::statistics::shift::{self, Shift};

/// How often, at most, the growth is below the interval, and above it.
const LEVEL: f64 = 0.025;

/// A growth that may be less than a word per request is none: a router that still meets new keys shows as
/// much, and so do the workers of the bench.
const LEAST_BYTES: f64 = 8.0;

/// The least part of the growth that must be left in the last quarter: what settles slows down.
const LATE_PART: f64 = 0.5;

/// Decimal places of a figure.
const DIGITS: i64 = 2;

/// Bytes per request and their interval, of a class that grew steadily with requests.
fn steady(class: MemoryClass, report: &Report) -> Option<Shift> {
    let series = report.series.as_deref()?;
    let of_blocks: Vec<Growth> = report
        .blocks
        .iter()
        .flatten()
        .map(|block| growth(class, block, series))
        .collect::<Option<_>>()?;
    let bounds = |of: fn(&Growth) -> f64| {
        shift::paired(&of_blocks.iter().map(of).collect::<Vec<_>>(), LEVEL, LEVEL)
    };
    let (whole, late) =
        (bounds(|growth| growth.per_request), bounds(|growth| growth.late_per_request));
    let is_steady = whole.lower >= LEAST_BYTES
        && late.lower > 0.0
        && late.estimate >= LATE_PART * whole.estimate;
    is_steady.then_some(whole)
}

/// The growth of each class that grew steadily on a side.
#[must_use]
pub fn figures(baseline: &Report, candidate: &Report) -> Vec<SupportingFigure> {
    let of_class = |class: MemoryClass| {
        let of = |report| amount(steady(class, report)?.estimate);
        let (baseline, candidate) = (of(baseline), of(candidate));
        (baseline.is_some() || candidate.is_some()).then(|| SupportingFigure {
            name: format!("growth of {}", class.name()),
            unit: "bytes/request".to_owned(),
            baseline,
            candidate,
        })
    };
    MemoryClass::ALL.into_iter().filter_map(of_class).collect()
}

/// Says which classes of the candidate's memory grow with requests.
#[must_use]
pub fn notices(candidate: &Report) -> Vec<Notice> {
    let of_class = |class: MemoryClass| {
        let Shift { estimate, lower, upper } = steady(class, candidate)?;
        Some(Notice(format!(
            "{}: memory grows steadily with requests: {} bytes each, {} to {} with a confidence \
             of 95 %",
            class.name(),
            amount(estimate)?,
            amount(lower)?,
            amount(upper)?
        )))
    };
    MemoryClass::ALL.into_iter().filter_map(of_class).collect()
}

fn amount(bytes: f64) -> Option<Amount> {
    Amount::new(Decimal::shortest(&BigDecimal::from_f64(bytes)?, DIGITS)).ok()
}
