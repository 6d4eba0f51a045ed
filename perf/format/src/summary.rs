//! What follows from what blocks measured: the figures of each, the headline, the sums, the spread,
//! and whether the blocks can show what they are judged by. The bench's reports are completed by
//! these functions and the gate checks every report by them, so that neither can mean something
//! else. Pure.
//!
//! # The load generator's share
//!
//! A response time counts from the intended start, so it contains the time by which the generator
//! itself was late (`dispatch_lag`). Of a percentile, the generator's share of a block is that
//! percentile of the dispatch lag divided by that of the response time. Where the median of this
//! share over the blocks is above [`GENERATOR_SHARE_MAX`], the figure says more about the generator
//! than about the router. On a shared virtual machine with nothing else running, interruptions of
//! some 20 us, which hit both sides of a replay alike, were seen to make up 0.3 to 0.6 of the p99
//! of a router that takes 12 us; beside a compiler the share was 0.97. A percentile of a sum is not
//! the sum of the percentiles, so this is a share of the size and no exact part.
//!
//! # Accuracy
//!
//! Figures are computed exactly from the integers that were measured, and rounded once. Shares and
//! spreads are binary fractions.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, FromPrimitive as _};
use serde::Serialize;

use crate::block::{
    Accounting, Block, LatencyPhase, Metrics, OpenLoopSlices, Outcomes, Percentiles,
};
use crate::decimal::{Amount, Decimal};
use crate::merged::MachineBlock;
use crate::metric::Metric;
use crate::nodes::Nodes;
use crate::recovery::NotRecovered;
use crate::report::RunStatus;

/// Samples above a percentile that each block must have: of n samples the relative standard error
/// of a percentile falls with the square root of those above it, and 200 keep it near 2 %.
pub const SAMPLES_ABOVE: u64 = 200;

/// Largest share of a percentile that may be the load generator's own lateness.
pub const GENERATOR_SHARE_MAX: f64 = 2.0 / 3.0;

/// Decimal places of a block's figure, of a spread: below the resolution of every figure.
const DIGITS: i64 = 9;

/// Decimal places of a rate before it is rounded.
const RATE_DIGITS: u32 = 29;

/// Decimal places of a headline: the mean of two figures has more.
const HEADLINE_DIGITS: i64 = 12;

/// A percentile of the response time that is a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Percentile {
    /// The 95th.
    P95,
    /// The 99th.
    P99,
}

impl Percentile {
    /// Both.
    pub const ALL: [Self; 2] = [Self::P95, Self::P99];

    /// The percentile that a metric is.
    #[must_use]
    pub fn of_metric(metric: Metric) -> Option<Self> {
        match metric {
            Metric::LatencyP95Ms => Some(Self::P95),
            Metric::LatencyP99Ms => Some(Self::P99),
            Metric::Rps
            | Metric::MemMbTotalErlang
            | Metric::MemMbWorstNode
            | Metric::ErrorsTotal
            | Metric::BackpressureActiveTotal
            | Metric::RecoveryMs
            | Metric::RequestsLost => None,
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P95 => "p95",
            Self::P99 => "p99",
        }
    }

    /// The key in a report.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::P95 => "p95_ns",
            Self::P99 => "p99_ns",
        }
    }

    /// Samples that a block needs so that [`SAMPLES_ABOVE`] of them lie above it.
    #[must_use]
    pub fn samples_needed(self) -> u64 {
        SAMPLES_ABOVE
            * match self {
                Self::P95 => 20,
                Self::P99 => 100,
            }
    }

    /// Its value in a distribution.
    #[must_use]
    pub fn of(self, times: &Percentiles) -> Option<u64> {
        match self {
            Self::P95 => times.p95_ns,
            Self::P99 => times.p99_ns,
        }
    }

    /// Its column of the open loop's slices.
    #[must_use]
    pub fn of_slices(self, slices: &OpenLoopSlices) -> Option<&[u64]> {
        match self {
            Self::P95 => slices.p95_ns.as_deref(),
            Self::P99 => slices.p99_ns.as_deref(),
        }
    }
}

/// Why a block has no figure of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unmeasured {
    /// No slice has it.
    #[error("the slices have no {key}", key = .0.key())]
    NoSlices(Percentile),
    /// Without it stalls that only few slices have would not be judged.
    #[error("the times of all slices together have no {key}", key = .0.key())]
    NoWhole(Percentile),
    /// No slice took any time.
    #[error("throughput.slices has no such figures")]
    NoRate,
    /// Machines shared a router that is none of the BEAMs that they looked at.
    #[error("no BEAM was looked at whose memory is the router's")]
    NoMemory,
    /// There are no several, of which one is the worst.
    #[error("there is one router")]
    OneRouter,
    /// The router has no such counter.
    #[error("the router could not count them, so there is no figure")]
    NotCounted,
    /// There was no outage.
    #[error("there was no outage")]
    NoOutage,
    /// Not when an outage was over, or not what it was before.
    #[error(transparent)]
    NotRecovered(#[from] NotRecovered),
}

/// What a block's figure of a metric must be, exactly: of a time or a rate the median over slices,
/// of memory the peak, of a count the sum. Of a block of several machines, which have no slices in common:
/// of a time that of all samples, and the sum of each machine's rate over all its slices.
///
/// # Errors
/// Why there is none.
pub fn figure(metric: Metric, block: &Block) -> Result<BigDecimal, Unmeasured> {
    let percentile = |percentile: Percentile| {
        if block.machines.is_some() {
            let ns = percentile.of(block.times()).ok_or(Unmeasured::NoWhole(percentile))?;
            return Ok(BigDecimal::new(ns.into(), 6));
        }
        let none = Unmeasured::NoSlices(percentile);
        let column = percentile.of_slices(block.time_slices()).ok_or(none)?;
        let ns = median_by(column.to_vec(), u64::cmp, |ns| BigDecimal::from(*ns));
        let whole = percentile.of(block.times());
        whole.ok_or(Unmeasured::NoWhole(percentile))?;
        Ok(ns.ok_or(none)? * BigDecimal::new(1.into(), 6))
    };
    match metric {
        Metric::LatencyP95Ms => percentile(Percentile::P95),
        Metric::LatencyP99Ms => percentile(Percentile::P99),
        Metric::Rps => {
            let rate = |ok: u64, ns: u64| {
                let scaled = BigInt::from(ok) * 10_u128.pow(9 + RATE_DIGITS) / ns;
                BigDecimal::new(scaled, i64::from(RATE_DIGITS))
            };
            if let Some(machines) = &block.machines {
                let of_machine = |machine: &MachineBlock| {
                    let ns = Some(machine.throughput.duration_ns).filter(|ns| *ns > 0)?;
                    Some(rate(machine.accounting.throughput.ok, ns))
                };
                let rates: Option<Vec<_>> = machines.iter().map(of_machine).collect();
                return Ok(rates.ok_or(Unmeasured::NoRate)?.into_iter().sum());
            }
            let slices = &block.throughput.slices;
            let rows = slices.ok.iter().copied().zip(slices.duration_ns.iter().copied());
            let rates = rows.filter(|(_, ns)| *ns > 0).collect();
            // By multiplication, as a division of each slice is most of what judging costs.
            let order = |(ok, ns): &(u64, u64), (others_ok, others_ns): &(u64, u64)| {
                (u128::from(*ok) * u128::from(*others_ns))
                    .cmp(&(u128::from(*others_ok) * u128::from(*ns)))
            };
            median_by(rates, order, |(ok, ns)| rate(*ok, *ns)).ok_or(Unmeasured::NoRate)
        }
        Metric::MemMbTotalErlang if block.memory.samples == 0 => Err(Unmeasured::NoMemory),
        Metric::MemMbTotalErlang => Ok(megabytes(block.memory.peak_bytes)),
        Metric::MemMbWorstNode => {
            let of_machines = block.machines.as_ref().filter(|_| block.memory.samples > 0);
            let worst = match of_machines {
                Some(machines) => machines.iter().map(MachineBlock::worst_peak_bytes).max(),
                None => {
                    let several = block.nodes.as_ref().filter(|nodes| nodes.routers.len() > 1);
                    several.map(Nodes::worst_peak_bytes)
                }
            };
            Ok(megabytes(worst.ok_or(Unmeasured::OneRouter)?))
        }
        Metric::ErrorsTotal => {
            let router = block.errors.router.ok_or(Unmeasured::NotCounted)?;
            Ok(router.max(driver_errors(&block.accounting)).into())
        }
        Metric::BackpressureActiveTotal => {
            block.backpressure.router.map(BigDecimal::from).ok_or(Unmeasured::NotCounted)
        }
        Metric::RecoveryMs => {
            let recovery = block.recovery.as_ref().ok_or(Unmeasured::NoOutage)?;
            Ok(BigDecimal::from(recovery.recovered_ns()?) * BigDecimal::new(1.into(), 6))
        }
        Metric::RequestsLost => {
            let Outcomes { offered, ok, .. } =
                block.accounting.recovery.ok_or(Unmeasured::NoOutage)?;
            Ok(offered.saturating_sub(ok).into())
        }
    }
}

/// Divided by 2^20: multiplied by 5^20, the point 20 places on.
fn megabytes(bytes: u64) -> BigDecimal {
    BigDecimal::from(bytes) * BigDecimal::new(95_367_431_640_625_i64.into(), 20)
}

/// What the driver saw go wrong: errors and timeouts of both loops, or of the traffic.
#[must_use]
pub fn driver_errors(accounting: &Accounting) -> u64 {
    // What an outage costs is counted by its own figure.
    let Accounting { throughput, latency, traffic, recovery: _ } = accounting;
    let phases = [throughput, latency].into_iter().chain(traffic);
    phases.flat_map(|phase| [phase.error, phase.timeout]).fold(0, u64::saturating_add)
}

/// Every figure that a block has. A rate, a time or memory of 0 was not measured.
#[must_use]
pub fn block_metrics(block: &Block) -> Metrics {
    let of_metric = |metric: Metric| {
        let exact = figure(metric, block).ok()?;
        let amount = amount(&exact, DIGITS)?;
        (metric.can_be_zero() || !amount.is_zero()).then_some((metric, amount))
    };
    Metrics(Metric::ALL.into_iter().filter_map(of_metric).collect())
}

/// A headline over the blocks' figures, exactly: the median, of a count the sum; `None` unless
/// every block has the figure.
#[must_use]
pub fn headline_figure(metric: Metric, blocks: &[&Metrics]) -> Option<BigDecimal> {
    let figures = figures(metric, blocks)?.into_iter().map(|figure| figure.exact().clone());
    match metric.is_count() {
        true => Some(figures.sum()),
        false => median_by(figures.collect(), Ord::cmp, BigDecimal::clone),
    }
}

/// The headline of every metric that all blocks have.
#[must_use]
pub fn headline(blocks: &[&Metrics]) -> Metrics {
    let of_metric = |metric| {
        let exact = headline_figure(metric, blocks)?;
        Some((metric, amount(&exact, HEADLINE_DIGITS)?))
    };
    Metrics(Metric::ALL.into_iter().filter_map(of_metric).collect())
}

/// Standard deviation over blocks in percent of the mean, of what is no count and has two blocks.
#[must_use]
pub fn spread_pct(blocks: &[&Metrics]) -> BTreeMap<Metric, Amount> {
    let of_metric = |metric: Metric| {
        let figures = figures(metric, blocks)?.into_iter().map(|figure| figure.approximate());
        let figures: Vec<f64> = figures.collect();
        let percent = 100.0 * standard_deviation(&figures)? / mean(&figures);
        Some((metric, amount(&BigDecimal::from_f64(percent)?, DIGITS)?))
    };
    let measured = Metric::ALL.into_iter().filter(|metric| !metric.is_count());
    measured.filter_map(of_metric).collect()
}

/// The requests of all blocks; `None` on overflow.
#[must_use]
pub fn accounting(blocks: &[Block]) -> Option<Accounting> {
    blocks.iter().try_fold(Accounting::default(), |sum, block| {
        Some(Accounting {
            throughput: sum.throughput.plus(&block.accounting.throughput)?,
            latency: sum.latency.plus(&block.accounting.latency)?,
            traffic: add_if_any(sum.traffic, block.accounting.traffic)?,
            recovery: add_if_any(sum.recovery, block.accounting.recovery)?,
        })
    })
}

/// Of a phase that not every block has; the outer `None` on overflow.
fn add_if_any(sum: Option<Outcomes>, more: Option<Outcomes>) -> Option<Option<Outcomes>> {
    match (sum, more) {
        (Some(sum), Some(more)) => sum.plus(&more).map(Some),
        (one, other) => Some(one.or(other)),
    }
}

/// The block with the fewest response times, by its place, and how many it has, where a percentile
/// takes more.
#[must_use]
pub fn shortage(percentile: Percentile, blocks: &[Block]) -> Option<(usize, u64)> {
    let counts = blocks.iter().map(|block| block.times().count).enumerate();
    let shortest = counts.min_by_key(|(_, count)| *count);
    shortest.filter(|(_, count)| *count < percentile.samples_needed())
}

/// The load generator's share of a percentile, where it is too large.
#[must_use]
pub fn generators_own(percentile: Percentile, blocks: &[Block]) -> Option<f64> {
    let of_times = |dispatch_lag: &Percentiles, response_time: &Percentiles| {
        let (lag, response) = (percentile.of(dispatch_lag)?, percentile.of(response_time)?);
        // A response time of 0 is the generator's as a whole or not at all; it is taken as 1 ns.
        Some(lag as f64 / response.max(1) as f64)
    };
    // One driver that offers its share late is not hidden by those that do not.
    let of_machine = |latency: &LatencyPhase, nodes: &Option<Nodes>| {
        let drivers = nodes.iter().flat_map(|nodes| &nodes.drivers);
        let lags = drivers.map(|driver| &driver.dispatch_lag).chain([&latency.dispatch_lag]);
        lags.filter_map(|lag| of_times(lag, &latency.response_time)).max_by(f64::total_cmp)
    };
    let of_block = |block: &Block| match &block.machines {
        // Where one generator was late, so is the tail of all samples.
        Some(machines) => {
            let shares = machines.iter().filter_map(|one| of_machine(&one.latency, &one.nodes));
            shares.max_by(f64::total_cmp)
        }
        None => of_machine(&block.latency, &block.nodes),
    };
    let share = median(blocks.iter().filter_map(of_block).collect());
    share.filter(|share| *share > GENERATOR_SHARE_MAX)
}

/// What a run of these blocks, measured to its end, says of itself, and why if it is not complete.
#[must_use]
pub fn ending(blocks: &[Block]) -> (RunStatus, Option<String>) {
    if let Some((_, count)) = shortage(Percentile::P99, blocks) {
        let needed = Percentile::P99.samples_needed();
        let place = match blocks.iter().any(|block| block.traffic.is_some()) {
            true => "a window",
            false => "the open loop of a block",
        };
        let reason = format!("{count} successful requests in {place}; a p99 takes {needed}");
        return (RunStatus::InsufficientSamples, Some(reason));
    }
    let shares = Percentile::ALL
        .into_iter()
        .filter_map(|percentile| Some((percentile, generators_own(percentile, blocks)?)));
    match shares.max_by(|(_, one), (_, other)| one.total_cmp(other)) {
        Some((percentile, share)) => {
            let (share, name) = (share * 100.0, percentile.name());
            let reason = format!("the load generator's own lateness is {share:.0} % of the {name}");
            (RunStatus::GeneratorLimited, Some(reason))
        }
        None => (RunStatus::Complete, None),
    }
}

/// Everything that follows from the blocks of a report.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Of each block.
    pub blocks: Vec<BlockSummary>,
    /// The headline.
    pub metrics: Metrics,
    /// The requests of all blocks.
    pub accounting: Accounting,
    /// Standard deviation over blocks in percent of the mean.
    pub spread_pct: BTreeMap<Metric, Amount>,
    /// What a run that ended with these blocks says of itself.
    pub status: RunStatus,
    /// Why, if it is not complete.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What follows from a block.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BlockSummary {
    /// Its figures.
    pub metrics: Metrics,
    /// Errors and timeouts.
    pub driver_errors: u64,
}

impl Summary {
    /// Of blocks as measured, whatever figures they state; `None` where their requests cannot be
    /// added up.
    #[must_use]
    pub fn of(blocks: &[Block]) -> Option<Self> {
        let of_block = |block: &Block| BlockSummary {
            metrics: block_metrics(block),
            driver_errors: driver_errors(&block.accounting),
        };
        let of_blocks: Vec<_> = blocks.iter().map(of_block).collect();
        let metrics: Vec<_> = of_blocks.iter().map(|block| &block.metrics).collect();
        let (status, reason) = ending(blocks);
        Some(Self {
            metrics: headline(&metrics),
            spread_pct: spread_pct(&metrics),
            accounting: accounting(blocks)?,
            status,
            reason,
            blocks: of_blocks,
        })
    }
}

/// The figure of every block, if there is a block and each has it.
fn figures<'a>(metric: Metric, blocks: &[&'a Metrics]) -> Option<Vec<&'a Amount>> {
    let figures: Vec<_> = blocks.iter().map(|block| block.get(metric)).collect::<Option<_>>()?;
    (!figures.is_empty()).then_some(figures)
}

fn amount(exact: &BigDecimal, digits: i64) -> Option<Amount> {
    Amount::new(Decimal::shortest(exact, digits)).ok()
}

/// The middle of the figures, or the mean of the two in the middle, exactly; `None` of none.
#[must_use]
pub fn exact_median(figures: Vec<BigDecimal>) -> Option<BigDecimal> {
    median_by(figures, BigDecimal::cmp, BigDecimal::clone)
}

/// The middle of the figures, or the mean of the two in the middle, of which alone exact numbers are made.
fn median_by<T>(
    mut figures: Vec<T>,
    order: impl Fn(&T, &T) -> Ordering,
    exact: impl Fn(&T) -> BigDecimal,
) -> Option<BigDecimal> {
    figures.sort_by(order);
    let (lower, upper) = middle(&figures)?;
    match figures.len() % 2 {
        1 => Some(exact(lower)),
        _ => Some((exact(lower) + exact(upper)) * BigDecimal::new(5.into(), 1)),
    }
}

/// The two in the middle, which are the same one where their number is odd.
fn middle<T>(sorted: &[T]) -> Option<(&T, &T)> {
    sorted.get(sorted.len().checked_sub(1)? / 2).zip(sorted.get(sorted.len() / 2))
}

/// The middle of the figures, or the mean of the two in the middle; `None` of none.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    if figures.is_empty() {
        return None;
    }
    let is_odd = figures.len() % 2 == 1;
    let half = figures.len() / 2;
    let (below, upper, _) = figures.select_nth_unstable_by(half, f64::total_cmp);
    let lower = below.iter().copied().max_by(f64::total_cmp).filter(|_| !is_odd);
    Some(f64::midpoint(lower.unwrap_or(*upper), *upper))
}

/// The arithmetic mean; not a number of none.
#[must_use]
pub fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// With n - 1; `None` of fewer than two figures.
#[must_use]
pub fn standard_deviation(figures: &[f64]) -> Option<f64> {
    let count = figures.len() as f64;
    let mean = mean(figures);
    let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    (figures.len() >= 2).then(|| (squares / (count - 1.0)).sqrt())
}
