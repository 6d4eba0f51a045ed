//! Whether a report can say where its tail is: enough samples, and taken of the router. Where there
//! are blocks they say it ([`cp1_format::summary`]), whatever the run says of itself; a report
//! without blocks is believed, as its status only ever takes a judgement away.

use cp1_format::summary::{self, Percentile, SAMPLES_ABOVE};
use cp1_format::{Metric, Problem, Report, RunStatus};

/// Whether the figures of this metric cannot be judged for want of samples, and why.
#[must_use]
pub fn shortage(path: &str, report: &Report, metric: Metric) -> Option<Problem> {
    let percentile = Percentile::of_metric(metric)?;
    let (name, needed) = (percentile.name(), percentile.samples_needed());
    let (place, message) = match &report.blocks {
        Some(blocks) => {
            let (index, count) = summary::shortage(percentile, blocks)?;
            let message =
                format!("{count} samples leave fewer than {SAMPLES_ABOVE} above the {name}");
            let times = match report.watched {
                Some(_) => "traffic.service_time",
                None => "latency.response_time",
            };
            (format!("blocks[{index}].{times}.count"), message)
        }
        None if report.run.status == Some(RunStatus::InsufficientSamples) => {
            let message =
                format!("the run says that it has too few samples, so its {name} is not judged");
            ("run.status".to_owned(), message)
        }
        None => return None,
    };
    let cure = match report.watched {
        Some(_) => format!("watch in longer windows: {needed} requests of each for {name}"),
        None => format!("measure longer or at a higher rate: {needed} samples a block for {name}"),
    };
    Some(Problem { file: path.to_owned(), place: Some(place), message, cure })
}

/// Whether the figures of this metric show the load generator's lateness and not the router's.
#[must_use]
pub fn generators_own(path: &str, report: &Report, metric: Metric) -> Option<Problem> {
    let percentile = Percentile::of_metric(metric)?;
    let (place, share) = match &report.blocks {
        Some(blocks) => {
            let share = summary::generators_own(percentile, blocks)?;
            ("blocks", format!(" ({:.0} % of it)", share * 100.0))
        }
        None if report.run.status == Some(RunStatus::GeneratorLimited) => {
            ("run.status", String::new())
        }
        None => return None,
    };
    let name = percentile.name();
    Some(Problem {
        file: path.to_owned(),
        place: Some(place.to_owned()),
        message: format!(
            "the {name} shows the load generator's own lateness{share}, not the router's"
        ),
        cure: "measure on a quieter machine, or at a lower rate".to_owned(),
    })
}
