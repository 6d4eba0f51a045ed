//! A report may not contradict itself: the headline follows from the blocks, and each block's
//! figures follow from what it counted and timed.

use bigdecimal::BigDecimal;
use cp1_format::{Amount, Block, Decimal, Metric, Problem, Report, RunStatus, summary};

use crate::judge::contradictions::Contradictions;
use crate::judge::{histograms, plausible};

/// Every contradiction inside a report, of many the first. A report that somebody wrote by hand may be
/// without blocks, and has few; what the bench wrote is not.
#[must_use]
pub fn check(file: &str, report: &Report) -> Vec<Problem> {
    let mut found = Contradictions::in_file(file);
    let is_of_bench = report.load.is_some() || report.watched.is_some() || report.schema.is_some();
    if report.blocks.is_none() && is_of_bench {
        let message =
            "a report of the bench has blocks, and there is none: nothing shows its figures";
        found.add("blocks".into(), message.into());
    }
    if let Some(blocks) = &report.blocks {
        check_block_count(report, blocks, &mut found);
        check_headline(report, blocks, &mut found);
        check_accounting(report, blocks, &mut found);
        for (index, block) in blocks.iter().enumerate() {
            check_block(index, block, report, &mut found);
        }
        plausible::check_series(report.series.as_deref().unwrap_or_default(), blocks, &mut found);
    } else {
        plausible::check_totals(report, &mut found);
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
    let of_watch = report.watched.as_ref().map(|watched| watched.blocks);
    if let Some(planned) = report.load.as_ref().map(|load| load.blocks).or(of_watch)
        && all_measured
        && blocks.len() != planned as usize
    {
        let message = format!("{planned} blocks were planned, {} are here", blocks.len());
        found.add("blocks".into(), message);
    }
}

fn check_headline(report: &Report, blocks: &[Block], found: &mut Contradictions<'_>) {
    let of_blocks: Vec<_> = blocks.iter().map(|block| &block.metrics).collect();
    for metric in Metric::ALL {
        let place = || format!("metrics.{metric}");
        let of_them = if metric.is_count() { "sum" } else { "median" };
        match (report.metrics.get(metric), summary::headline_figure(metric, &of_blocks)) {
            (None, None) => {}
            (None, Some(_)) => {
                found.add(place(), "every block measured this figure, and it is missing".into());
            }
            (Some(_), None) => found.add(place(), "a block did not measure this figure".into()),
            (Some(headline), Some(own)) if is_same(metric, headline, &own) => {}
            (Some(headline), Some(_)) => {
                found.add(place(), format!("{headline} is not the {of_them} over the blocks"));
            }
        }
    }
}

/// Whether a stated figure is what was computed: a count exactly.
fn is_same(metric: Metric, stated: &Amount, own: &BigDecimal) -> bool {
    if metric.is_count() { stated.exact() == own } else { near(stated.exact(), own) }
}

fn check_accounting(report: &Report, blocks: &[Block], found: &mut Contradictions<'_>) {
    if let Some(stated) = &report.accounting
        && summary::accounting(blocks).as_ref() != Some(stated)
    {
        found.add("accounting".into(), "this is not the sum of the blocks' accounting".into());
    }
}

fn check_block(index: usize, block: &Block, report: &Report, found: &mut Contradictions<'_>) {
    let at = |place: &str| format!("blocks[{index}].{place}");
    for (&metric, stated) in &block.metrics.0 {
        let place = || at(&format!("metrics.{metric}"));
        match summary::figure(metric, block) {
            Err(unmeasured) => found.add(place(), unmeasured.to_string()),
            Ok(own) if is_same(metric, stated, &own) => {}
            Ok(own) => {
                let (own, whence) = (Decimal::shortest(&own, 9), whence(metric, block));
                found.add(place(), format!("{stated} is not the {own} that {whence}"));
            }
        }
    }
    plausible::check_block(index, block, report, found);
}

/// What a block's figure follows from.
fn whence(metric: Metric, block: &Block) -> &'static str {
    let is_merged = block.machines.is_some();
    match metric {
        Metric::LatencyP95Ms if is_merged => "follows from latency.response_time.p95_ns",
        Metric::LatencyP99Ms if is_merged => "follows from latency.response_time.p99_ns",
        Metric::Rps if is_merged => "follows from the machines' closed loops",
        Metric::LatencyP95Ms if block.traffic.is_some() => "follows from traffic.slices.p95_ns",
        Metric::LatencyP99Ms if block.traffic.is_some() => "follows from traffic.slices.p99_ns",
        Metric::LatencyP95Ms => "follows from latency.slices.p95_ns",
        Metric::LatencyP99Ms => "follows from latency.slices.p99_ns",
        Metric::Rps => "follows from throughput.slices",
        Metric::MemMbTotalErlang => "follows from memory.peak_bytes",
        Metric::MemMbWorstNode if is_merged => "follows from the machines' routers",
        Metric::MemMbWorstNode => "follows from nodes.routers",
        Metric::ErrorsTotal => "driver or router saw",
        Metric::BackpressureActiveTotal => "the router saw",
        Metric::RecoveryMs => "follows from recovery.windows",
        Metric::RequestsLost => "follows from accounting.recovery",
    }
}
