//! Whether a report can say where its tail is: enough samples, and taken of the router.
//!
//! # The load generator's share
//!
//! A response time counts from the intended start, so it contains the time by which the generator
//! itself was late (`dispatch_lag`). Of a gated percentile, the generator's share of a block is
//! that percentile of the dispatch lag divided by that of the response time. Where the median of
//! this share over a report's blocks is above `GENERATOR_SHARE_MAX`, two thirds, nothing
//! relative is judged. On a shared virtual machine with nothing else running, interruptions of some
//! 20 us, which hit both sides of a replay alike, were seen to make up 0.3 to 0.6 of the p99 of a router
//! that takes 12 us; beside a compiler the share was 0.97. A percentile of a sum is not the sum of the
//! percentiles, so this is a share of the size and no exact part.

use cp1_format::{Metric, Percentiles, Problem, Report, RunStatus};

use crate::statistics::moments::median;

/// Samples above a gated percentile that each block must have: of n samples the relative standard
/// error of a percentile falls with the square root of those above it, and 200 keep it near 2 %.
const SAMPLES_ABOVE: u64 = 200;

/// Largest share of a gated percentile that may be the load generator's own lateness: beyond it the
/// figure says more about the generator than about the router.
const GENERATOR_SHARE_MAX: f64 = 2.0 / 3.0;

/// A percentile that rules may judge.
struct Gated {
    name: &'static str,
    /// Samples of which one lies above it.
    per_sample_above: u64,
    of: fn(&Percentiles) -> Option<u64>,
}

fn gated(metric: Metric) -> Option<Gated> {
    match metric {
        Metric::LatencyP95Ms => {
            Some(Gated { name: "p95", per_sample_above: 20, of: |times| times.p95_ns })
        }
        Metric::LatencyP99Ms => {
            Some(Gated { name: "p99", per_sample_above: 100, of: |times| times.p99_ns })
        }
        _ => None,
    }
}

/// Whether the figures of this metric cannot be judged for want of samples, and why. What the run says
/// of itself is believed besides, as it only ever takes a judgement away; a report without blocks says
/// no more.
#[must_use]
pub fn shortage(path: &str, report: &Report, metric: Metric) -> Option<Problem> {
    too_few(path, report, &gated(metric)?)
}

/// Whether the figures of this metric show the load generator's lateness and not the router's.
#[must_use]
pub fn generators_own(path: &str, report: &Report, metric: Metric) -> Option<Problem> {
    late(path, report, &gated(metric)?)
}

fn too_few(path: &str, report: &Report, gated: &Gated) -> Option<Problem> {
    let Gated { name, per_sample_above, .. } = gated;
    let needed = SAMPLES_ABOVE * per_sample_above;
    let counts = report.blocks.iter().flatten().map(|block| block.latency.response_time.count);
    let shortest = counts.enumerate().map(|(index, count)| (count, index)).min();
    let (place, message) = match shortest {
        Some((count, index)) if count < needed => (
            format!("blocks[{index}].latency.response_time.count"),
            format!("{count} samples leave fewer than {SAMPLES_ABOVE} above the {name}"),
        ),
        _ if report.run.status == Some(RunStatus::InsufficientSamples) => (
            "run.status".to_owned(),
            format!("the run says that it has too few samples, so its {name} is not judged"),
        ),
        _ => return None,
    };
    let cure = format!("measure longer or at a higher rate: {needed} samples a block for {name}");
    Some(Problem { file: path.to_owned(), place: Some(place), message, cure })
}

fn late(path: &str, report: &Report, gated: &Gated) -> Option<Problem> {
    let name = gated.name;
    let (place, share) = match generator_share(report, gated) {
        Some(share) if share > GENERATOR_SHARE_MAX => {
            ("blocks", format!(" ({:.0} % of it)", share * 100.0))
        }
        _ if report.run.status == Some(RunStatus::GeneratorLimited) => {
            ("run.status", String::new())
        }
        _ => return None,
    };
    Some(Problem {
        file: path.to_owned(),
        place: Some(place.to_owned()),
        message: format!(
            "the {name} shows the load generator's own lateness{share}, not the router's"
        ),
        cure: "measure on a quieter machine, or at a lower rate".to_owned(),
    })
}

/// The median over the blocks of the generator's share; `None` where no block has both figures.
fn generator_share(report: &Report, gated: &Gated) -> Option<f64> {
    let of_block = |block: &cp1_format::Block| {
        let lag = (gated.of)(&block.latency.dispatch_lag)?;
        let response = (gated.of)(&block.latency.response_time)?;
        // A response time of 0 is the generator's as a whole or not at all; it is taken as 1 ns.
        Some(lag as f64 / response.max(1) as f64)
    };
    median(report.blocks.iter().flatten().filter_map(of_block).collect())
}
