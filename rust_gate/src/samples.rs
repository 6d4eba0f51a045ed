//! Whether a report can say where its tail is: enough samples, and taken of the router.

use cp1_format::{Metric, Problem, Report, RunStatus};

/// Samples above a gated percentile that each round must have: of n samples the relative standard
/// error of a percentile falls with the square root of those above it, and 200 keep it near 2 %.
const SAMPLES_ABOVE: u64 = 200;

/// Whether the figures of this metric cannot be judged, and why: for want of samples, or because
/// they show the load generator's lateness and not the router's. A report without rounds does not
/// say how many samples it has and is taken at its word.
#[must_use]
pub fn shortage(path: &str, report: &Report, metric: Metric) -> Option<Problem> {
    let (name, per_sample_above) = match metric {
        Metric::LatencyP95Ms => ("p95", 20),
        Metric::LatencyP99Ms => ("p99", 100),
        _ => return None,
    };
    let needed = SAMPLES_ABOVE * per_sample_above;
    let problem = |place: String, message: String| Problem {
        file: path.to_owned(),
        place: Some(place),
        message,
        cure: format!("measure longer or at a higher rate: {needed} samples a round for {name}"),
    };
    let shortest = report
        .rounds
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, round)| (round.latency.response_time.count, index))
        .min();
    match shortest {
        Some((count, index)) if count < needed => Some(problem(
            format!("rounds[{index}].latency.response_time.count"),
            format!("{count} samples leave fewer than {SAMPLES_ABOVE} above the {name}"),
        )),
        _ if report.run.status == Some(RunStatus::InsufficientSamples) => Some(problem(
            "run.status".to_owned(),
            format!("the run says that it has too few samples, so its {name} is not judged"),
        )),
        _ if report.run.status == Some(RunStatus::GeneratorLimited) => Some(Problem {
            cure: "measure on a quieter machine, or at a lower rate".to_owned(),
            ..problem(
                "run.status".to_owned(),
                format!("the {name} shows the load generator's own lateness, not the router's"),
            )
        }),
        _ => None,
    }
}
