//! What memory of each class grew by with every request, of what blocks sampled. Never judged: a trend
//! is a notice. Pure.
//!
//! A growth is told only where it is one: over blocks, which are fresh BEAMs and so independent, the exact
//! signed-rank interval ([`crate::statistics::shift`]) must lie above a word per request, of the second half
//! of the open loop, and above 0 of its last quarter. Heaps that still settle grow less and less, and shrink as often as they
//! grow: of them nothing is told, since any figure would say more than was seen.

use cp1_format::growth::{MemoryClass, Since, growth};
use cp1_format::{Amount, Decimal, Notice, Report, SupportingFigure};

use bigdecimal::{BigDecimal, FromPrimitive as _};

use crate::statistics::shift::{Ranks, Shift};

/// How often, at most, the growth is below the interval, and above it.
const LEVEL: f64 = 0.025;

/// A growth that may be less than a word per request is none: a router that still meets new keys shows as
/// much, and so do the workers of the bench.
const LEAST_BYTES: f64 = 8.0;

/// The least part of the growth that must be left in the last quarter: what settles slows down.
const LATE_PART: f64 = 0.5;

/// Decimal places of a figure.
const DIGITS: i64 = 2;

/// The classes that grew steadily with requests, by how many bytes for each.
#[derive(Debug, Clone)]
pub struct Grown(Vec<(MemoryClass, Shift)>);

impl Grown {
    /// Of a report.
    #[must_use]
    pub fn of(report: &Report) -> Self {
        let blocks = report.blocks.as_ref().map_or(0, Vec::len);
        let ranks = Ranks::signed_rank(blocks, LEVEL, LEVEL);
        let of_class = |class| Some((class, steady(class, ranks, report)?));
        Self(MemoryClass::ALL.into_iter().filter_map(of_class).collect())
    }

    fn class(&self, class: MemoryClass) -> Option<Amount> {
        let (_, shift) = self.0.iter().find(|(of, _)| *of == class)?;
        amount(shift.estimate)
    }

    /// Says which they are.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        let of_class = |(class, shift): &(MemoryClass, Shift)| {
            Some(Notice(format!(
                "{}: memory grows steadily with requests: {} bytes each, {} to {} with a confidence \
                 of 95 %",
                class.name(),
                amount(shift.estimate)?,
                amount(shift.lower)?,
                amount(shift.upper)?
            )))
        };
        self.0.iter().filter_map(of_class).collect()
    }
}

/// Bytes per request and their interval, of a class that grew steadily with requests.
fn steady(class: MemoryClass, ranks: Ranks, report: &Report) -> Option<Shift> {
    let series = report.series.as_deref()?;
    let bounds = |since| {
        let of_blocks =
            report.blocks.iter().flatten().map(|block| growth(class, since, block, series));
        Some(ranks.paired(&of_blocks.collect::<Option<Vec<_>>>()?))
    };
    // Most classes do not grow, and of these no more is looked at.
    let whole = bounds(Since::Half).filter(|whole| whole.lower >= LEAST_BYTES)?;
    let late = bounds(Since::LastQuarter)?;
    let is_steady = late.lower > 0.0 && late.estimate >= LATE_PART * whole.estimate;
    is_steady.then_some(whole)
}

/// The growth of each class that grew steadily on a side.
#[must_use]
pub fn figures(baseline: &Grown, candidate: &Grown) -> Vec<SupportingFigure> {
    let of_class = |class: MemoryClass| {
        let (baseline, candidate) = (baseline.class(class), candidate.class(class));
        (baseline.is_some() || candidate.is_some()).then(|| SupportingFigure {
            name: format!("growth of {}", class.name()),
            unit: "bytes/request".to_owned(),
            baseline,
            candidate,
        })
    };
    MemoryClass::ALL.into_iter().filter_map(of_class).collect()
}

fn amount(bytes: f64) -> Option<Amount> {
    Amount::new(Decimal::shortest(&BigDecimal::from_f64(bytes)?, DIGITS)).ok()
}
