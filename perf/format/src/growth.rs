//! How fast memory of a class grew with the requests of a block, out of what was sampled over time.
//!
//! # Which samples
//!
//! Those of the second half of the open loop. Before it workers are made and heaps find their size, and a
//! line through that is no trend; the load is constant there, so time stands for requests. The slope is
//! that of Theil and Sen, the median of the slopes between any two samples: a collection of garbage or a
//! heap that grows once moves it by little (P. K. Sen 1968, Journal of the American Statistical
//! Association 63, 1379).
//!
//! # Limits
//!
//! One block tells no trend from settling. Who shows a growth looks at all blocks, and at the same over the
//! last quarter: what settles slows down, and what leaks does not.

use std::collections::BTreeSet;

use crate::block::{Block, Series};
use crate::summary::median;

/// Fewest samples of a slope.
const SAMPLES_MIN: usize = 3;

/// A class of memory that routers keep what they forgot to free in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemoryClass {
    /// ETS tables.
    Ets,
    /// Heaps and mailboxes of processes.
    Processes,
    /// Binaries outside of heaps.
    Binary,
    /// All of `erlang:memory(total)`.
    Total,
}

impl MemoryClass {
    /// All, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Ets, Self::Processes, Self::Binary, Self::Total];

    /// In a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ets => "ETS",
            Self::Processes => "processes",
            Self::Binary => "binaries",
            Self::Total => "all classes",
        }
    }

    /// The series that samples it.
    #[must_use]
    pub fn series(self) -> &'static str {
        match self {
            Self::Ets => "memory_ets",
            Self::Processes => "memory_processes_used",
            Self::Binary => "memory_binary",
            Self::Total => "memory_total",
        }
    }
}

/// From where on in the open loop growth is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// Its second half.
    Half,
    /// Its last quarter.
    LastQuarter,
}

/// The growth of a class in a block, of a report's series, in bytes per request; below 0 where it shrank,
/// `None` where too little was sampled. Of several routers it is what all of them grew by together.
#[must_use]
pub fn growth(class: MemoryClass, since: Since, block: &Block, series: &[Series]) -> Option<f64> {
    let outcomes = &block.accounting.latency;
    let requests =
        outcomes.offered.checked_sub(outcomes.skipped).filter(|requests| *requests > 0)?;
    let own = || series.iter().filter(|series| series.block == block.block);
    let routers: BTreeSet<_> = own().map(|series| series.router).collect();
    // Each router has a time of its own.
    let of_routers = routers.into_iter().map(|router| {
        let of_router: Vec<_> = own().filter(|series| series.router == router).collect();
        grown(class, since, block, &of_router)
    });
    let bytes = of_routers.sum::<Option<f64>>()?;
    own().next().map(|_| bytes / requests as f64)
}

/// By how many bytes a class of one router grew over the open loop.
fn grown(class: MemoryClass, since: Since, block: &Block, series: &[&Series]) -> Option<f64> {
    // Sampled time has the slices laid end to end, the closed loop's first.
    let end_ms = series.iter().filter_map(|series| series.time_ms.last().copied()).max()?;
    let open_ms = end_ms.checked_sub(block.throughput.duration_ns / 1_000_000)?;
    if open_ms == 0 {
        return None;
    }
    let sampled = series.iter().find(|series| series.name == class.series())?;
    let from_ms = match since {
        Since::Half => end_ms - open_ms / 2,
        Since::LastQuarter => end_ms - open_ms / 4,
    };
    let points = sampled.time_ms.iter().copied().zip(sampled.values.iter().copied());
    let points: Vec<_> = points.filter(|(time_ms, _)| *time_ms >= from_ms).collect();
    Some(slope(&points)? * open_ms as f64)
}

/// Theil's and Sen's slope; `None` of too few points.
fn slope(points: &[(u64, u64)]) -> Option<f64> {
    if points.len() < SAMPLES_MIN {
        return None;
    }
    let pairs = points
        .iter()
        .enumerate()
        .flat_map(|(index, one)| points.iter().skip(index + 1).map(move |other| (*one, *other)));
    let slopes = pairs
        .filter(|((from, _), (to, _))| from < to)
        .map(|((from_ms, from), (to_ms, to))| (to as f64 - from as f64) / (to_ms - from_ms) as f64);
    median(slopes.collect())
}
