//! A report may not contradict itself: the headline follows from the blocks, and each block's
//! figures follow from what it counted and timed.

use bigdecimal::BigDecimal;
use cp1_format::{Accounting, Amount, Block, Metric, Outcomes, Problem, Report, RunStatus};

use crate::judge::contradictions::Contradictions;
use crate::judge::histograms;

/// Every contradiction inside a report, of many the first. A report without blocks has none.
#[must_use]
pub fn check(file: &str, report: &Report) -> Vec<Problem> {
    let mut found = Contradictions::in_file(file);
    if let Some(blocks) = &report.blocks {
        check_block_count(report, blocks, &mut found);
        check_headline(report, blocks, &mut found);
        check_accounting(report, blocks, &mut found);
        for (index, block) in blocks.iter().enumerate() {
            check_block(index, block, &mut found);
        }
    }
    if let Some(encoded) = &report.histograms {
        histograms::check(encoded, report.blocks.as_deref().unwrap_or_default(), &mut found);
    }
    found.finish()
}

/// Whether two figures are equal up to one part in a million: what binary fractions on the way from
/// one to the other may have cost.
fn near(a: &BigDecimal, b: &BigDecimal) -> bool {
    (a - b).abs() * 1_000_000 <= a.abs().max(b.abs())
}

fn check_block_count(report: &Report, blocks: &[Block], found: &mut Contradictions<'_>) {
    if blocks.is_empty() {
        found.add("blocks".into(), "there is no block".into());
    }
    let all_measured = matches!(
        report.run.status,
        None | Some(
            RunStatus::Complete | RunStatus::InsufficientSamples | RunStatus::GeneratorLimited
        )
    );
    if let Some(load) = &report.load
        && all_measured
        && blocks.len() != load.blocks as usize
    {
        let message = format!("{} blocks were planned, {} are here", load.blocks, blocks.len());
        found.add("blocks".into(), message);
    }
}

fn check_headline(report: &Report, blocks: &[Block], found: &mut Contradictions<'_>) {
    for (&metric, headline) in &report.metrics.0 {
        let of_blocks: Option<Vec<&Amount>> =
            blocks.iter().map(|block| block.metrics.get(metric)).collect();
        let place = || format!("metrics.{metric}");
        let Some(mut of_blocks) = of_blocks else {
            found.add(place(), "a block did not measure this figure".into());
            continue;
        };
        of_blocks.sort();
        let (follows, of_them) = if metric.is_count() {
            let sum: BigDecimal = of_blocks.iter().map(|figure| figure.exact()).sum();
            (sum == *headline.exact(), "sum")
        } else {
            let follows = middle(&of_blocks).is_some_and(|(lower, upper)| {
                near(&(headline.exact() * 2), &(lower.exact() + upper.exact()))
            });
            (follows, "median")
        };
        if !follows {
            found.add(place(), format!("{headline} is not the {of_them} over the blocks"));
        }
    }
}

/// The two in the middle, which are the same one where their number is odd.
fn middle<T>(sorted: &[T]) -> Option<(&T, &T)> {
    sorted.get(sorted.len().saturating_sub(1) / 2).zip(sorted.get(sorted.len() / 2))
}

fn check_accounting(report: &Report, blocks: &[Block], found: &mut Contradictions<'_>) {
    if let Some(stated) = &report.accounting
        && accounting_of(blocks).as_ref() != Some(stated)
    {
        found.add("accounting".into(), "this is not the sum of the blocks' accounting".into());
    }
}

/// The requests of all blocks; `None` on overflow.
#[must_use]
pub fn accounting_of(blocks: &[Block]) -> Option<Accounting> {
    blocks.iter().try_fold(Accounting::default(), |sum, block| {
        Some(Accounting {
            throughput: add(sum.throughput, block.accounting.throughput)?,
            latency: add(sum.latency, block.accounting.latency)?,
        })
    })
}

fn add(a: Outcomes, b: Outcomes) -> Option<Outcomes> {
    Some(Outcomes {
        offered: a.offered.checked_add(b.offered)?,
        ok: a.ok.checked_add(b.ok)?,
        error: a.error.checked_add(b.error)?,
        timeout: a.timeout.checked_add(b.timeout)?,
        rejected: a.rejected.checked_add(b.rejected)?,
        skipped: a.skipped.checked_add(b.skipped)?,
    })
}

fn check_block(index: usize, block: &Block, found: &mut Contradictions<'_>) {
    let at = |place: &str| format!("blocks[{index}].{place}");
    for (&metric, figure) in &block.metrics.0 {
        if let Err(message) = follows(metric, figure, block) {
            found.add(at(&format!("metrics.{metric}")), message);
        }
    }
    let sum = |counts: &[u64]| counts.iter().fold(0, |sum: u64, count| sum.saturating_add(*count));
    for (place, samples, requests) in [
        ("throughput.slices.ok", sum(&block.throughput.slices.ok), block.accounting.throughput.ok),
        ("latency.slices.ok", sum(&block.latency.slices.ok), block.accounting.latency.ok),
        (
            "throughput.service_time.count",
            block.throughput.service_time.count,
            block.accounting.throughput.ok,
        ),
        (
            "latency.response_time.count",
            block.latency.response_time.count,
            block.accounting.latency.ok,
        ),
    ] {
        if samples != requests {
            let message = format!("{samples} samples of {requests} successful requests");
            found.add(at(place), message);
        }
    }
}

/// Whether a block's figure follows from what the block counted and timed; says what it should be.
fn follows(metric: Metric, figure: &Amount, block: &Block) -> Result<(), String> {
    let figure = figure.exact();
    let scaled = |factor: u64, from: u64, what: &str| {
        if near(&(figure * factor), &from.into()) {
            Ok(())
        } else {
            Err(format!("{figure} does not follow from {what} {from}"))
        }
    };
    let counted = |count: Option<u64>, what: &str| match count {
        Some(count) if *figure == count => Ok(()),
        Some(count) => Err(format!("{figure} is not the {count} that {what}")),
        None => Err("the router could not count them, so there is no figure".to_owned()),
    };
    let times = |column: &Option<Vec<u64>>, of_all: Option<u64>, quantile: &str| {
        let what = format!("latency.slices.{quantile}");
        let exact = column.iter().flatten().map(|ns| BigDecimal::from(*ns)).collect();
        median_of_slices(&(figure * 1_000_000), exact, &what)?;
        // Without it stalls that few slices have would not be judged.
        of_all.map_or_else(|| Err(format!("latency.response_time has no {quantile}")), |_| Ok(()))
    };
    let all_slices = &block.latency.response_time;
    match metric {
        Metric::LatencyP95Ms => times(&block.latency.slices.p95_ns, all_slices.p95_ns, "p95_ns"),
        Metric::LatencyP99Ms => times(&block.latency.slices.p99_ns, all_slices.p99_ns, "p99_ns"),
        Metric::Rps => {
            let slices = &block.throughput.slices;
            let rows = slices.ok.iter().zip(&slices.duration_ns).filter(|(_, ns)| **ns > 0);
            let rates = rows.map(|(ok, ns)| BigDecimal::from(*ok) * 1_000_000_000 / *ns).collect();
            median_of_slices(figure, rates, "throughput.slices")
        }
        Metric::MemMbTotalErlang => scaled(1_048_576, block.memory.peak_bytes, "memory.peak_bytes"),
        Metric::ErrorsTotal => {
            let seen = block.errors.router.map(|n| n.max(block.errors.driver.unwrap_or(0)));
            counted(seen, "driver or router saw")
        }
        Metric::BackpressureActiveTotal => counted(block.backpressure.router, "the router saw"),
    }
}

fn median_of_slices(
    figure: &BigDecimal,
    mut slices: Vec<BigDecimal>,
    what: &str,
) -> Result<(), String> {
    slices.sort();
    match middle(&slices) {
        Some((lower, upper)) if near(&(figure * 2), &(lower + upper)) => Ok(()),
        Some(_) => Err(format!("this is not the median of {what}")),
        None => Err(format!("{what} has no such figures")),
    }
}
