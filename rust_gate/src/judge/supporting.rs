//! Figures that say where a latency comes from and what a side did while it was not measured. Of them
//! only the p95 and p99 of whole blocks are judged, elsewhere and towards red. Pure.

use bigdecimal::BigDecimal;
use cp1_format::{Amount, Block, Decimal, Report, SupportingFigure};

/// One figure of a block, in whole parts of its unit.
struct Figure {
    name: &'static str,
    unit: Unit,
    of_block: fn(&Block) -> Option<u64>,
    of_blocks: fn(Vec<u64>) -> Option<u64>,
}

/// A unit and the decimal places of its parts: nanoseconds of a millisecond, hundredths of a percent.
type Unit = (&'static str, i64);

const MILLISECONDS: Unit = ("ms", 6);
const PERCENT: Unit = ("%", 2);

const PER_SECOND: Unit = ("/s", 3);

const FIGURES: [Figure; 10] = [
    // Of a load of the bench it is the load's.
    Figure {
        name: "traffic",
        unit: PER_SECOND,
        of_block: |block| {
            let per_second = u128::from(block.accounting.traffic?.offered) * 1_000_000_000_000;
            let duration_ns = u128::from(block.traffic.as_ref()?.duration_ns);
            u64::try_from(per_second.checked_div(duration_ns)?).ok()
        },
        of_blocks: median,
    },
    Figure {
        name: "service time p95",
        unit: MILLISECONDS,
        of_block: |block| block.latency.service_time.p95_ns,
        of_blocks: median,
    },
    Figure {
        name: "service time p99",
        unit: MILLISECONDS,
        of_block: |block| block.latency.service_time.p99_ns,
        of_blocks: median,
    },
    Figure {
        name: "dispatch lag p95",
        unit: MILLISECONDS,
        of_block: |block| block.latency.dispatch_lag.p95_ns,
        of_blocks: median,
    },
    Figure {
        name: "dispatch lag p99",
        unit: MILLISECONDS,
        of_block: |block| block.latency.dispatch_lag.p99_ns,
        of_blocks: median,
    },
    // All slices of a block together, where the judged figure is the median over slices.
    Figure {
        name: "whole blocks p95",
        unit: MILLISECONDS,
        of_block: |block| block.times().p95_ns,
        of_blocks: median,
    },
    Figure {
        name: "whole blocks p99",
        unit: MILLISECONDS,
        of_block: |block| block.times().p99_ns,
        of_blocks: median,
    },
    Figure {
        name: "whole blocks p99.9",
        unit: MILLISECONDS,
        of_block: |block| block.times().p999_ns,
        of_blocks: median,
    },
    Figure {
        name: "whole blocks max",
        unit: MILLISECONDS,
        of_block: |block| block.times().max_ns,
        of_blocks: |times| times.into_iter().max(),
    },
    // Of the BEAM, while the other side of a replay was measured.
    Figure {
        name: "idle processor time",
        unit: PERCENT,
        of_block: |block| Some((block.idle_cpu_pct.as_ref()?.approximate() * 100.0).round() as u64),
        of_blocks: median,
    },
];

/// Every figure that the blocks of a side have.
#[must_use]
pub fn figures(baseline: &Report, candidate: &Report) -> Vec<SupportingFigure> {
    let figure = |figure: &Figure| {
        let (unit, places) = figure.unit;
        let of = |report: &Report| {
            let blocks = report.blocks.iter().flatten();
            let measured = blocks.filter_map(figure.of_block).collect();
            (figure.of_blocks)(measured).and_then(|parts| amount(parts, places))
        };
        let (baseline, candidate) = (of(baseline), of(candidate));
        let is_known = baseline.is_some() || candidate.is_some();
        let (name, unit) = (figure.name.to_owned(), unit.to_owned());
        is_known.then_some(SupportingFigure { name, unit, baseline, candidate })
    };
    FIGURES.iter().filter_map(figure).collect()
}

/// The middle of the figures, or the mean of the two in the middle, rounded down; `None` of none.
fn median(mut figures: Vec<u64>) -> Option<u64> {
    figures.sort_unstable();
    let lower = figures.get(figures.len().checked_sub(1)? / 2)?;
    Some(u64::midpoint(*lower, *figures.get(figures.len() / 2)?))
}

fn amount(parts: u64, places: i64) -> Option<Amount> {
    let exact = BigDecimal::new(parts.into(), places);
    Amount::new(Decimal::shortest(&exact, places)).ok()
}
