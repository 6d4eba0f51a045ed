//! basho_bench: `summary.csv` and the `*_latencies.csv` of one operation, in microseconds.
//!
//! Its percentiles are of windows of some seconds, which cannot be put together to those of the whole
//! run. So a percentile is the median over windows, as that of a block is over its slices; stalls that
//! few windows have are not seen.
//!
//! Source: basho_bench, `basho_bench_stats_writer_csv`.

use bigdecimal::{BigDecimal, Zero as _};
use cp1_format::{LoadTool, Metric, summary};

use crate::convert::import::{ImportError, Measurement, PLACES};
use crate::convert::source::{Source, ten_to};

pub(super) const KIND: &str = "basho_bench table";

const SUMMARY: [&str; 5] = ["elapsed", "window", "total", "successful", "failed"];
const LATENCIES: [&str; 11] =
    ["elapsed", "window", "n", "min", "mean", "median", "95th", "99th", "99_9th", "max", "errors"];

const DAMAGED: &str = "the file is damaged: measure again";

/// What both files say, in either order.
pub(super) fn import(files: [Source; 2]) -> Result<Measurement, ImportError> {
    let has = |source: &Source, headings: &[&str]| headings_of(source).eq(headings.iter().copied());
    let [one, other] = &files;
    let (summary, latencies) = match (has(one, &SUMMARY), has(other, &SUMMARY)) {
        (true, false) => (one, other),
        (false, true) => (other, one),
        _ => {
            let problem = format!("one of two files has the headings {}", SUMMARY.join(", "));
            return Err(one.refused("line 1", problem, "give summary.csv and one *_latencies.csv"));
        }
    };
    if !has(latencies, &LATENCIES) {
        let problem = format!("expected the headings {}", LATENCIES.join(", "));
        return Err(latencies.refused(
            "line 1",
            problem,
            "give the *_latencies.csv of an operation",
        ));
    }
    let mut measured = Measurement::new(LoadTool::BashoBench);
    take_summary(&mut measured, summary)?;
    take_latencies(&mut measured, latencies)?;
    Ok(measured)
}

fn headings_of(source: &Source) -> impl Iterator<Item = &str> {
    source.text.lines().next().unwrap_or_default().split(',').map(str::trim)
}

fn take_summary(measured: &mut Measurement, source: &Source) -> Result<(), ImportError> {
    let (mut seconds, mut served, mut errors) = (BigDecimal::zero(), 0u64, 0u64);
    for (place, [_, window, total, successful, failed]) in rows::<5>(source)? {
        seconds += source.amount(&place, window)?.exact();
        let counts = [total, successful, failed].map(|text| source.count(&place, text));
        let [total, successful, failed] = counts;
        let (total, successful, failed) = (total?, successful?, failed?);
        if successful.checked_add(failed) != Some(total) {
            let problem = "the total is not what was successful and what failed";
            return Err(source.refused(place, problem, DAMAGED));
        }
        served = served.saturating_add(successful);
        errors = errors.saturating_add(failed);
    }
    if served == 0 || seconds.is_zero() {
        let cure = "the run measured nothing: measure again";
        return Err(source.refused("column successful", "no request was answered", cure));
    }
    let rps = (BigDecimal::from(served) / seconds).round(PLACES);
    measured.set(source, "column successful", Metric::Rps, &rps)?;
    measured.set(source, "column failed", Metric::ErrorsTotal, &errors.into())
}

fn take_latencies(measured: &mut Measurement, source: &Source) -> Result<(), ImportError> {
    let (mut p95, mut p99, mut samples) = (Vec::new(), Vec::new(), 0u64);
    for (place, row) in rows::<11>(source)? {
        let [_, _, count, _, _, _, of_95, of_99, ..] = row;
        let count = source.count(&place, count)?;
        // A window without a request has zeros, which nobody measured.
        if count > 0 {
            samples = samples.saturating_add(count);
            p95.push(source.amount(&place, of_95)?.exact() * ten_to(-3));
            p99.push(source.amount(&place, of_99)?.exact() * ten_to(-3));
        }
    }
    for (metric, column, figures) in
        [(Metric::LatencyP95Ms, "column 95th", p95), (Metric::LatencyP99Ms, "column 99th", p99)]
    {
        let median = summary::exact_median(figures).ok_or_else(|| {
            let cure = "the run measured nothing: measure again";
            source.refused("column n", "there was no request", cure)
        })?;
        measured.set(source, column, metric, &median)?;
    }
    measured.samples = Some(samples);
    Ok(())
}

/// The rows below the headings, whose time ascends.
fn rows<const CELLS: usize>(source: &Source) -> Result<Vec<(String, [&str; CELLS])>, ImportError> {
    if !source.text.ends_with('\n') {
        return Err(source.cut_short("the last line has no end"));
    }
    let mut rows = Vec::new();
    let mut before = None;
    for line in source.lines().skip(1) {
        let place = line.place();
        let cells: Vec<_> = line.text.split(',').map(str::trim).collect();
        let row: [&str; CELLS] = cells.try_into().map_err(|cells: Vec<_>| {
            let problem = format!("expected {CELLS} cells, found {}", cells.len());
            source.refused(place.clone(), problem, DAMAGED)
        })?;
        let elapsed = source.amount(&place, row.first().copied().unwrap_or_default())?;
        if before.as_ref().is_some_and(|before| *before >= elapsed) {
            let problem = "this window does not come after the one above";
            return Err(source.refused(place, problem, "give the tables of one run"));
        }
        before = Some(elapsed);
        rows.push((place, row));
    }
    match rows.is_empty() {
        true => Err(source.cut_short("there is no row")),
        false => Ok(rows),
    }
}
