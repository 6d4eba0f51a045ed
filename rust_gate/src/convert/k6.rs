//! Grafana k6: the summary of `--summary-export`, and the data of `handleSummary`, in which a metric's
//! figures stand one level deeper, under `values`. Times of both are in milliseconds.
//!
//! Source: k6, `internal/js/summary.go`; of a rate, `passes` counts what is true, so of
//! `http_req_failed` the failed requests.

use std::path::Path;

use bigdecimal::ToPrimitive as _;
use cp1_format::{Amount, Document, LoadTool, Violation, parse};
use serde::{Deserialize, Deserializer};

use crate::convert::import::{ImportError, MAX_BYTES, Measurement, PLACES};
use crate::convert::source::Source;
use crate::read::standard_input;

/// The parts of a summary that say something of the freeze's metrics.
#[derive(Debug, Deserialize)]
struct Summary {
    metrics: Metrics,
    state: Option<State>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct State {
    #[serde(default, deserialize_with = "figure")]
    test_run_duration_ms: Option<Amount>,
}

#[derive(Debug, Deserialize)]
struct Metrics {
    http_req_duration: Option<Metric>,
    #[serde(rename = "http_req_duration{expected_response:true}")]
    http_req_duration_of_successes: Option<Metric>,
    http_reqs: Option<Metric>,
    http_req_failed: Option<Metric>,
    dropped_iterations: Option<Metric>,
}

/// Figures of a metric, whichever its type has.
#[derive(Debug, Deserialize)]
struct Metric {
    values: Option<Box<Metric>>,
    #[serde(rename = "p(95)", default, deserialize_with = "figure")]
    p95: Option<Amount>,
    #[serde(rename = "p(99)", default, deserialize_with = "figure")]
    p99: Option<Amount>,
    #[serde(default, deserialize_with = "figure")]
    count: Option<Amount>,
    #[serde(default, deserialize_with = "figure")]
    rate: Option<Amount>,
    #[serde(default, deserialize_with = "figure")]
    passes: Option<Amount>,
}

/// A figure that is there; `null`, which stands for what is no number, is none.
fn figure<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Amount>, D::Error> {
    Amount::deserialize(deserializer).map(Some)
}

impl Document for Summary {
    const KIND: &'static str = "k6 summary";
    const MAX_BYTES: u64 = MAX_BYTES;
    const HAS_NULLS: bool = true;

    fn check(&self) -> Result<(), Violation> {
        Ok(())
    }
}

impl Metric {
    fn figures(&self) -> &Self {
        self.values.as_deref().unwrap_or(self)
    }
}

/// What the summary says.
pub(super) fn import(path: &Path) -> Result<Measurement, ImportError> {
    let (name, bytes) = standard_input::bytes(Summary::KIND, MAX_BYTES, path)?;
    let summary: Summary = parse(&name, &bytes)?;
    let source = Source { file: name.display().to_string(), text: String::new() };
    measurement(&source, &summary)
}

fn measurement(source: &Source, summary: &Summary) -> Result<Measurement, ImportError> {
    let Summary { metrics, state } = summary;
    let mut measured = Measurement::new(LoadTool::K6);
    let duration = state.as_ref().and_then(|state| state.test_run_duration_ms.as_ref());
    measured.duration_ms = duration.and_then(|duration| duration.exact().to_u64());
    let place = "metrics.http_reqs";
    let missing = |place: &str| {
        let problem = "it is missing, so nothing is known of requests";
        source.refused(place, problem, "give the summary of a test that sends HTTP requests")
    };
    let requests = metrics.http_reqs.as_ref().map(Metric::figures).ok_or_else(|| missing(place))?;
    let (Some(count), Some(rate)) = (&requests.count, &requests.rate) else {
        return Err(missing("metrics.http_reqs, count and rate"));
    };
    let count = whole(source, "metrics.http_reqs, count", count)?;
    if count == 0 {
        let cure = "the run measured nothing: measure again";
        return Err(source.refused(place, "there was no request", cure));
    }
    let failed = metrics.http_req_failed.as_ref().map(Metric::figures);
    let failed = failed.and_then(|failed| failed.passes.as_ref());
    let place_of_failed = "metrics.http_req_failed, passes";
    let failed = failed.map(|failed| whole(source, place_of_failed, failed)).transpose()?;
    if let Some(failed) = failed {
        measured.set(source, place_of_failed, cp1_format::Metric::ErrorsTotal, &failed.into())?;
    }
    let failed = failed.unwrap_or(0);
    let Some(successes) = count.checked_sub(failed) else {
        let problem = format!("{failed} requests failed of {count}");
        return Err(source.refused(place_of_failed, problem, "the file is damaged: measure again"));
    };
    // Of all requests the rate is as it stands; of the successful ones it follows from the counts.
    let rps = match failed {
        0 => rate.exact().clone(),
        _ => (rate.exact() * successes / count).round(PLACES),
    };
    measured.set(source, place, cp1_format::Metric::Rps, &rps)?;
    let of_successes = metrics.http_req_duration_of_successes.as_ref();
    let (place, durations) = match (of_successes, &metrics.http_req_duration) {
        (Some(durations), _) => {
            measured.samples = Some(successes);
            ("metrics.http_req_duration{expected_response:true}", durations.figures())
        }
        (None, Some(durations)) if failed == 0 => {
            measured.samples = Some(count);
            ("metrics.http_req_duration", durations.figures())
        }
        (None, Some(_)) => {
            let problem = format!("it has the times of the {failed} failed requests too");
            let cure =
                "keep the submetric http_req_duration{expected_response:true} in the summary";
            return Err(source.refused("metrics.http_req_duration", problem, cure));
        }
        (None, None) => return Err(missing("metrics.http_req_duration")),
    };
    for (metric, time) in [
        (cp1_format::Metric::LatencyP95Ms, &durations.p95),
        (cp1_format::Metric::LatencyP99Ms, &durations.p99),
    ] {
        if let Some(time) = time {
            measured.set(source, place, metric, time.exact())?;
        }
    }
    let dropped = metrics.dropped_iterations.as_ref().map(Metric::figures);
    let dropped = dropped.and_then(|dropped| dropped.count.as_ref());
    measured.generator_limited = dropped.filter(|dropped| !dropped.is_zero()).map(|dropped| {
        format!(
            "k6 dropped {dropped} iterations for want of VUs, and their waits are in no percentile"
        )
    });
    Ok(measured)
}

fn whole(source: &Source, place: &str, amount: &Amount) -> Result<u64, ImportError> {
    let whole = amount.is_integer().then(|| amount.exact().to_u64()).flatten();
    whole.ok_or_else(|| {
        let cure = "the file is damaged: measure again";
        source.refused(place, format!("{amount} is not a count"), cure)
    })
}
