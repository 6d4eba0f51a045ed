//! HdrHistogram's interval log, `.hlog`: every distribution of a report, with a tag that says which it
//! is. Times are laid end to end, block after block, as the report knows no others. Nanoseconds.
//!
//! Source: HdrHistogram, `HistogramLogWriter`; format version 1.3, histograms V2 compressed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use cp1_format::{Phase, Quantity, Report};
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::convert::distributions::Distribution;
use crate::convert::export::Absent;

const UNWRITABLE: Absent = Absent {
    problem: "its distributions cannot be written as a log",
    cure: "give a report of perf-gate bench",
};

/// All distributions as a log.
pub(super) fn render(report: &Report, all: &[Distribution<'_>]) -> Result<String, Absent> {
    let seconds = u64::try_from(report.timestamp.unix_seconds()).map_err(|_| UNWRITABLE)?;
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder.add_comment("[Histogram log format version 1.3]");
    builder.with_start_time(start).with_base_time(start).with_max_value_divisor(1.0);
    let mut log = builder.begin_log_with(&mut text, &mut serializer).map_err(|_| UNWRITABLE)?;
    let intervals = intervals(report);
    for Distribution { encoded, times_ns } in all {
        let key = (encoded.block, encoded.phase);
        let (begin, length) = intervals.get(&key).ok_or(UNWRITABLE)?;
        let tag = Tag::new(tag(encoded.phase, encoded.quantity));
        log.write_histogram(times_ns, *begin, *length, tag).map_err(|_| UNWRITABLE)?;
    }
    String::from_utf8(text).map_err(|_| UNWRITABLE)
}

/// When each phase of each block began, in measured time, and how long it was.
fn intervals(report: &Report) -> BTreeMap<(u32, Phase), (Duration, Duration)> {
    let mut intervals = BTreeMap::new();
    let mut now = Duration::ZERO;
    for block in report.blocks.iter().flatten() {
        let loops = [
            (Phase::Throughput, block.throughput.duration_ns),
            (Phase::Latency, block.latency.duration_ns),
        ];
        let traffic = block.traffic.as_ref().map(|traffic| (Phase::Traffic, traffic.duration_ns));
        for (phase, ns) in loops.into_iter().chain(traffic) {
            let length = Duration::from_nanos(ns);
            intervals.insert((block.block, phase), (now, length));
            now = now.saturating_add(length);
        }
    }
    intervals
}

fn tag(phase: Phase, quantity: Quantity) -> &'static str {
    match (phase, quantity) {
        (Phase::Throughput, _) => "closed_loop.service_time_ns",
        (Phase::Traffic, _) => "traffic.service_time_ns",
        (Phase::Latency, Quantity::ResponseTime) => "open_loop.response_time_ns",
        (Phase::Latency, Quantity::ServiceTime) => "open_loop.service_time_ns",
        (Phase::Latency, Quantity::DispatchLag) => "open_loop.dispatch_lag_ns",
    }
}
