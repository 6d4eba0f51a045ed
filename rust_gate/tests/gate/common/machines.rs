//! Reports of several machines, as the bench writes one on each.

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::{encode, full_of};

/// Response times of a block on one machine.
pub(crate) const SAMPLES: u64 = 25_000;

/// The highest value of a distribution.
const HIGHEST_NS: u64 = 60_000_000_000;

/// In nanoseconds, ascending; of another machine they are others.
pub(crate) fn times(machine: u64, block: u64, slower: f64) -> Vec<u64> {
    let time = |sample: u64| {
        200_000 + machine * 37_001 + block * 1000 + sample * (machine + 1) * 500_000 / SAMPLES
    };
    (0..SAMPLES).map(|sample| (time(sample) as f64 * slower).round() as u64).collect()
}

/// As the bench's recorder has it.
pub(crate) fn histogram(times: &[u64]) -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, HIGHEST_NS, 3).unwrap();
    times.iter().for_each(|ns| histogram.record(*ns).unwrap());
    histogram
}

/// The report of one of several machines, as the bench writes it.
pub(crate) fn machine(number: u64, blocks: u64, slower: f64) -> Value {
    let mut report = full_of(blocks, SAMPLES);
    report["git"]["dirty"] = json!(false);
    report["timestamp"] = json!(format!("2026-01-31T12:00:{number:02}Z"));
    report["load"]["seed"] = json!(number);
    let mut figures = (Vec::new(), Vec::new());
    for index in 0..blocks as usize {
        let times = times(number, index as u64 + 1, slower);
        let histogram = histogram(&times);
        let [p95, p99] = [0.95, 0.99].map(|quantile| histogram.value_at_quantile(quantile));
        let block = &mut report["blocks"][index];
        let mean = times.iter().sum::<u64>() / SAMPLES;
        block["latency"]["response_time"] = json!({
            "count": SAMPLES, "clamped": 0, "time_went_backwards": 0, "min_ns": times[0],
            "mean_ns": mean, "p95_ns": p95, "p99_ns": p99, "max_ns": times.last()
        });
        block["latency"]["slices"]["p95_ns"] = json!([p95, p95]);
        block["latency"]["slices"]["p99_ns"] = json!([p99, p99]);
        block["metrics"]["latency_p95_ms"] = json!(p95 as f64 / 1e6);
        block["metrics"]["latency_p99_ms"] = json!(p99 as f64 / 1e6);
        block["disturbed"] = json!([]);
        report["histograms"][index]["data"] = json!(encode(&histogram));
        figures.0.push(p95);
        figures.1.push(p99);
    }
    let median = |mut figures: Vec<u64>| {
        figures.sort_unstable();
        let last = figures.len() - 1;
        json!((figures[last / 2] + figures[last.div_ceil(2)]) as f64 / 2e6)
    };
    report["metrics"]["latency_p95_ms"] = median(figures.0);
    report["metrics"]["latency_p99_ms"] = median(figures.1);
    report
}
