//! wrk2's output with `--latency`. Its p95 is a row of the detailed spectrum, its p99 the figure of the
//! distribution above it, as the spectrum has no row at 99 %.
//!
//! Source: wrk2, `src/wrk.c`: the lines about errors are printed where there are any, so that of a
//! complete output their absence says that there were none.

use bigdecimal::{BigDecimal, ToPrimitive as _};
use cp1_format::{LoadTool, Metric};

use crate::convert::import::{ImportError, Measurement, PLACES};
use crate::convert::source::{Line, Source};
use crate::convert::spectrum::{HEADINGS, Spectrum};

pub(super) const KIND: &str = "wrk2 output";

/// What stands above the distribution that counts from the intended start.
const DISTRIBUTION: &str = "Latency Distribution (HdrHistogram - Recorded Latency)";

const DAMAGED: &str = "the file is damaged: measure again";

/// What the output says.
pub(super) fn import(source: &Source) -> Result<Measurement, ImportError> {
    let mut measured = Measurement::new(LoadTool::Wrk2);
    let mut lines = source.lines();
    if !lines.any(|line| line.text.trim() == DISTRIBUTION) {
        let problem = format!("there is no `{DISTRIBUTION}`");
        return Err(source.refused(
            "the whole file",
            problem,
            "run wrk2, and not wrk, with --latency",
        ));
    }
    let mut p99 = None;
    loop {
        let Some(line) = lines.next() else {
            return Err(source.cut_short("there is no detailed percentile spectrum"));
        };
        if line.words().eq(HEADINGS) {
            break;
        }
        if let Some(time) = line.text.trim().strip_prefix("99.000%") {
            p99 = Some((line.place(), in_ms(source, line, time.trim())?));
        }
    }
    let spectrum = Spectrum::read(source, &mut lines)?;
    measured.samples = Some(spectrum.total());
    let p95 = spectrum.at(95);
    measured.set(source, &p95.place, Metric::LatencyP95Ms, p95.value.exact())?;
    let (place, p99) = p99.ok_or_else(|| source.cut_short("the distribution has no 99.000%"))?;
    measured.set(source, &place, Metric::LatencyP99Ms, &p99)?;

    let mut totals = Totals::default();
    for line in lines {
        totals.take(source, line)?;
    }
    let Some((requests, place)) = totals.requests else {
        return Err(source.cut_short("there is no line `N requests in …`"));
    };
    let Some(rate) = totals.rate else {
        return Err(source.cut_short("there is no line `Requests/sec: …`"));
    };
    if requests == 0 {
        let cure = "the run measured nothing: measure again";
        return Err(source.refused(place, "there was no request", cure));
    }
    let Some(served) = requests.checked_sub(totals.refused) else {
        let problem = format!("{} responses of {requests} were errors", totals.refused);
        return Err(source.refused(place, problem, DAMAGED));
    };
    // Of all responses the rate is as it stands; of the good ones it follows from the counts.
    let rps = match totals.refused {
        0 => rate,
        _ => (rate * served / requests).round(PLACES),
    };
    measured.set(source, &place, Metric::Rps, &rps)?;
    let errors = totals.refused.saturating_add(totals.socket_errors);
    measured.set(source, &place, Metric::ErrorsTotal, &errors.into())?;
    measured.duration_ms = totals.duration_ms;
    Ok(measured)
}

/// What stands below the distributions.
#[derive(Default)]
struct Totals {
    requests: Option<(u64, String)>,
    duration_ms: Option<u64>,
    socket_errors: u64,
    refused: u64,
    rate: Option<BigDecimal>,
}

impl Totals {
    fn take(&mut self, source: &Source, line: Line<'_>) -> Result<(), ImportError> {
        let place = line.place();
        let text = line.text.trim();
        if text == DISTRIBUTION {
            return Err(source.refused(
                place,
                "this is a second run",
                "give the output of one run",
            ));
        }
        if let Some((count, rest)) = text.split_once(" requests in ") {
            let time = rest.split(',').next().unwrap_or_default();
            self.duration_ms = in_ms(source, line, time.trim())?.to_u64();
            self.requests = Some((source.count(&place, count.trim())?, place));
        } else if let Some(counts) = text.strip_prefix("Socket errors: ") {
            for count in counts.split(',') {
                let count = count.split_whitespace().last().unwrap_or_default();
                let count = source.count(&place, count)?;
                self.socket_errors = self.socket_errors.saturating_add(count);
            }
        } else if let Some(count) = text.strip_prefix("Non-2xx or 3xx responses: ") {
            self.refused = source.count(&place, count.trim())?;
        } else if let Some(rate) = text.strip_prefix("Requests/sec:") {
            self.rate = Some(source.amount(&place, rate.trim())?.exact().clone());
        }
        Ok(())
    }
}

/// A time with wrk's unit.
fn in_ms(source: &Source, line: Line<'_>, text: &str) -> Result<BigDecimal, ImportError> {
    let units =
        [("us", 1u64), ("ms", 1_000), ("s", 1_000_000), ("m", 60_000_000), ("h", 3_600_000_000)];
    let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
    let unit = text.get(digits.len()..).unwrap_or_default();
    let Some((_, us)) = units.into_iter().find(|(name, _)| *name == unit) else {
        return Err(source.refused(line.place(), "expected a time with its unit", DAMAGED));
    };
    let number = source.amount(&line.place(), digits)?;
    Ok(number.exact() * us * BigDecimal::new(1.into(), 3))
}
