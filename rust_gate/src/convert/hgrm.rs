//! HdrHistogram's percentile distribution as text, `.hgrm`: what its plotter reads and wrk2 prints.
//!
//! Source: HdrHistogram, `AbstractHistogram.outputPercentileDistribution`. Values are written in
//! microseconds with three places, so that each nanosecond is there. The steps are fine enough that the
//! gated percentiles, 95 and 99, are among them exactly.

use std::fmt::Write as _;

use cp1_format::{LoadTool, Metric};
use hdrhistogram::Histogram;

use crate::cli::arguments::Unit;
use crate::convert::export::Absent;
use crate::convert::import::{ImportError, Measurement};
use crate::convert::source::Source;
use crate::convert::spectrum::{HEADINGS, Spectrum};

/// Steps in each half of the distance that is left to 100 %.
const TICKS_PER_HALF_DISTANCE: u32 = 25;

/// Nanoseconds of a microsecond.
const US_NS: f64 = 1000.0;

/// Response times in nanoseconds, as text in microseconds.
pub(super) fn render(times_ns: &Histogram<u64>) -> Result<String, Absent> {
    let [value, percentile, count, inverse] = HEADINGS;
    let mut text = format!("{value:>12} {percentile:>14} {count:>10} {inverse:>14}\n\n");
    let mut total = 0u64;
    for step in times_ns.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        total += step.count_since_last_iteration();
        let value = us(step.value_iterated_to());
        let quantile = step.quantile_iterated_to();
        // Writing to a string cannot fail.
        let _ = match quantile < 1.0 {
            true => {
                writeln!(
                    text,
                    "{value:>12} {quantile:.12} {total:>10} {:>14.2}",
                    1.0 / (1.0 - quantile)
                )
            }
            false => writeln!(text, "{value:>12} {quantile:.12} {total:>10}"),
        };
    }
    let (mean, deviation) = (times_ns.mean() / US_NS, times_ns.stdev() / US_NS);
    let _ = writeln!(text, "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]");
    let (max, count) = (us(times_ns.max()), times_ns.len());
    let _ = writeln!(text, "#[Max     = {max:>12}, Total count    = {count:>12}]");
    let (buckets, width) = layout(times_ns);
    let _ = writeln!(text, "#[Buckets = {buckets:>12}, SubBuckets     = {width:>12}]");
    Ok(text)
}

/// With three places, exactly.
fn us(ns: u64) -> String {
    format!("{}.{:03}", ns / 1000, ns % 1000)
}

/// How many buckets there are, each twice as wide as the one before, and steps in one.
fn layout(times_ns: &Histogram<u64>) -> (u32, u64) {
    let steps = (2 * 10u64.pow(u32::from(times_ns.sigfig()))).next_power_of_two();
    let mut buckets = 1;
    let mut reach = steps;
    while reach <= times_ns.high() {
        buckets += 1;
        match reach.checked_mul(2) {
            Some(next) => reach = next,
            None => break,
        }
    }
    (buckets, steps)
}

/// The percentiles of such a file, whose unit no file says.
pub(super) fn import(source: &Source, unit: Unit) -> Result<Measurement, ImportError> {
    let mut lines = source.lines();
    let headings = lines.find(|line| line.words().eq(HEADINGS));
    if headings.is_none() {
        let cure =
            "give what outputPercentileDistribution or `wrk --latency` wrote, not its CSV form";
        return Err(source.refused("the whole file", "there is no percentile distribution", cure));
    }
    let spectrum = Spectrum::read(source, &mut lines)?;
    if let Some(again) = lines.find(|line| line.words().eq(HEADINGS)) {
        let cure = "give a file with one";
        return Err(source.refused(again.place(), "this is a second distribution", cure));
    }
    let mut measured = Measurement::new(LoadTool::Hgrm);
    measured.samples = Some(spectrum.total());
    for (metric, percent) in [(Metric::LatencyP95Ms, 95), (Metric::LatencyP99Ms, 99)] {
        let row = spectrum.at(percent);
        measured.set(source, &row.place, metric, &(row.value.exact() * unit.in_ms()))?;
    }
    Ok(measured)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The largest value of the first bucket with so many percent of the samples: counted, as fractions
    /// of floating point may miss it by one.
    fn percentile(times_ns: &Histogram<u64>, percent: u64) -> u64 {
        let mut count = 0;
        let mut steps = times_ns.iter_recorded();
        let found = steps.find(|step| {
            count += step.count_since_last_iteration();
            count * 100 >= times_ns.len() * percent
        });
        times_ns.highest_equivalent(found.unwrap().value_iterated_to())
    }

    proptest! {
        #[test]
        fn what_is_exported_is_imported_as_the_same_percentiles(
            times in proptest::collection::vec((1u64..10_000_000_000, 1u64..1000), 1..200)
        ) {
            let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
            for (time, count) in times {
                histogram.record_n(time, count).unwrap();
            }
            let source = Source { file: "f".to_owned(), text: render(&histogram).unwrap() };
            let measured = import(&source, Unit::Us).unwrap();
            prop_assert_eq!(measured.samples, Some(histogram.len()));
            for (metric, percent) in [(Metric::LatencyP95Ms, 95), (Metric::LatencyP99Ms, 99)] {
                let ms = measured.figure(metric).unwrap().exact() * 1_000_000;
                prop_assert_eq!(ms, bigdecimal::BigDecimal::from(percentile(&histogram, percent)));
            }
        }
    }
}
