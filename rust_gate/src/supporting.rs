//! Figures that say where a latency comes from, of both sides. Nothing of them is judged. Pure.

use bigdecimal::BigDecimal;
use cp1_format::{Amount, Decimal, LatencyPhase, Report, SupportingFigure};

/// Nanoseconds have as many places in a millisecond.
const PLACES: i64 = 6;

/// One figure of the open-loop phase.
struct Figure {
    name: &'static str,
    of_block: fn(&LatencyPhase) -> Option<u64>,
    of_blocks: fn(Vec<u64>) -> Option<u64>,
}

const FIGURES: [Figure; 6] = [
    Figure {
        name: "service time p95",
        of_block: |latency| latency.service_time.p95_ns,
        of_blocks: median,
    },
    Figure {
        name: "service time p99",
        of_block: |latency| latency.service_time.p99_ns,
        of_blocks: median,
    },
    Figure {
        name: "dispatch lag p95",
        of_block: |latency| latency.dispatch_lag.p95_ns,
        of_blocks: median,
    },
    Figure {
        name: "dispatch lag p99",
        of_block: |latency| latency.dispatch_lag.p99_ns,
        of_blocks: median,
    },
    Figure {
        name: "response time p99.9",
        of_block: |latency| latency.response_time.p999_ns,
        of_blocks: median,
    },
    Figure {
        name: "response time max",
        of_block: |latency| latency.response_time.max_ns,
        of_blocks: |times| times.into_iter().max(),
    },
];

/// Every figure that the blocks of a side have.
#[must_use]
pub fn figures(baseline: &Report, candidate: &Report) -> Vec<SupportingFigure> {
    let figure = |figure: &Figure| {
        let of = |report: &Report| {
            let blocks = report.blocks.iter().flatten();
            let times = blocks.filter_map(|block| (figure.of_block)(&block.latency)).collect();
            (figure.of_blocks)(times).and_then(milliseconds)
        };
        let (baseline, candidate) = (of(baseline), of(candidate));
        let is_known = baseline.is_some() || candidate.is_some();
        let (name, unit) = (figure.name.to_owned(), "ms".to_owned());
        is_known.then_some(SupportingFigure { name, unit, baseline, candidate })
    };
    FIGURES.iter().filter_map(figure).collect()
}

/// The middle of the times, or the mean of the two in the middle, rounded down; `None` of none.
fn median(mut times: Vec<u64>) -> Option<u64> {
    times.sort_unstable();
    let lower = times.get(times.len().checked_sub(1)? / 2)?;
    Some(u64::midpoint(*lower, *times.get(times.len() / 2)?))
}

fn milliseconds(ns: u64) -> Option<Amount> {
    let exact = BigDecimal::new(ns.into(), PLACES);
    Amount::new(Decimal::shortest(&exact, PLACES)).ok()
}
