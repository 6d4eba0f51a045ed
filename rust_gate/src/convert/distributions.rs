//! The distributions of a report, decoded.

use cp1_format::{EncodedHistogram, Phase, Quantity, Report};
use hdrhistogram::Histogram;

use crate::convert::export::Absent;
use crate::judge::histograms::Decoder;

/// One of them, and where it comes from.
pub(super) struct Distribution<'a> {
    pub(super) encoded: &'a EncodedHistogram,
    pub(super) times_ns: Histogram<u64>,
}

const NONE: Absent = Absent {
    problem: "it has no distributions",
    cure: "give a report of perf-gate bench, or another format",
};

/// All of them, in the order of the report.
pub(super) fn all(report: &Report) -> Result<Vec<Distribution<'_>>, Absent> {
    let encoded = report.histograms.as_deref().filter(|all| !all.is_empty()).ok_or(NONE)?;
    let mut decoder = Decoder::new();
    let decoded = encoded.iter().map(|encoded| {
        let times_ns =
            decoder.decode(encoded).and_then(|times| times.histogram()).map_err(|_| NONE)?;
        Ok(Distribution { encoded, times_ns })
    });
    decoded.collect()
}

/// The response times of all blocks together; of watched traffic its service times.
pub(super) fn response_time(report: &Report) -> Result<Histogram<u64>, Absent> {
    let is_asked = |one: &EncodedHistogram| {
        let times = match report.watched {
            Some(_) => (Phase::Traffic, Quantity::ServiceTime),
            None => (Phase::Latency, Quantity::ResponseTime),
        };
        (one.phase, one.quantity) == times
    };
    let mut sum: Option<Histogram<u64>> = None;
    for Distribution { encoded, times_ns } in all(report)? {
        if !is_asked(encoded) {
            continue;
        }
        match &mut sum {
            None => {
                let mut first = times_ns;
                first.auto(true);
                sum = Some(first);
            }
            Some(sum) => sum.add(&times_ns).map_err(|_| NONE)?,
        }
    }
    sum.filter(|sum| !sum.is_empty()).ok_or(NONE)
}
