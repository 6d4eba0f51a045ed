//! Every figure of a report, one a line: the headlines, then block by block.

use cp1_format::{Amount, Block, Figure, Metric, Percentiles, Report, summary};

/// A distribution of a block, by its name in figures.
type Distribution = (&'static str, fn(&Block) -> Option<&Percentiles>);

/// Distributions of a block.
const DISTRIBUTIONS: [Distribution; 5] = [
    ("response_time", |block| Some(&block.latency.response_time)),
    ("service_time", |block| Some(&block.latency.service_time)),
    ("dispatch_lag", |block| Some(&block.latency.dispatch_lag)),
    ("closed_loop_service_time", |block| Some(&block.throughput.service_time)),
    ("traffic_service_time", |block| Some(&block.traffic.as_ref()?.service_time)),
];

/// All that the report has.
pub(super) fn figures(report: &Report) -> Vec<Figure> {
    let figure = |block: Option<u32>, name: String, unit: &str, value: Amount| Figure {
        timestamp: report.timestamp.clone(),
        commit: report.git.commit.clone(),
        block,
        name,
        unit: unit.to_owned(),
        value,
    };
    let mut figures = Vec::new();
    for (metric, value) in &report.metrics.0 {
        figures.push(figure(None, metric.name().to_owned(), metric.unit(), value.clone()));
    }
    for block in report.blocks.iter().flatten() {
        let number = Some(block.block);
        for (metric, value) in &block.metrics.0 {
            figures.push(figure(number, metric.name().to_owned(), metric.unit(), value.clone()));
        }
        for (distribution, of) in DISTRIBUTIONS {
            for (percentile, value) in of(block).into_iter().flat_map(percentiles) {
                let name = format!("{distribution}_{percentile}_ns");
                figures.extend(value.map(|value| figure(number, name, "ns", value.into())));
            }
        }
    }
    figures
}

fn percentiles(times: &Percentiles) -> [(&'static str, Option<u64>); 8] {
    [
        ("min", times.min_ns),
        ("mean", times.mean_ns),
        ("p50", times.p50_ns),
        ("p90", times.p90_ns),
        ("p95", times.p95_ns),
        ("p99", times.p99_ns),
        ("p999", times.p999_ns),
        ("max", times.max_ns),
    ]
}

/// The smallest and the largest of a metric's figures over blocks, from two blocks on.
pub(super) fn range(report: &Report, metric: Metric) -> Option<(&Amount, &Amount)> {
    let blocks = report.blocks.as_deref().filter(|blocks| blocks.len() >= 2)?;
    let of_blocks: Vec<_> = blocks.iter().filter_map(|block| block.metrics.get(metric)).collect();
    Some((*of_blocks.iter().min()?, *of_blocks.iter().max()?))
}

/// How much a metric's figures differ from block to block, in the metric's unit: one standard deviation.
pub(super) fn deviation(report: &Report, metric: Metric) -> Option<f64> {
    let blocks = report.blocks.iter().flatten();
    let figures = blocks.filter_map(|block| Some(block.metrics.get(metric)?.approximate()));
    summary::standard_deviation(&figures.collect::<Vec<_>>())
}
