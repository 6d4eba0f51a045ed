//! Says one figure of a report, for scripts.

use cp1_format::{Metric, ReadError, Report, read_file};

use crate::cli::arguments::Figure;

/// Why there is no figure.
#[derive(Debug, thiserror::Error)]
pub enum FigureError {
    /// The report cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The report does not have it.
    #[error("the report did not measure {0}; measure again")]
    Absent(Metric),
}

/// The headline figure of a metric, in the metric's unit.
///
/// # Errors
/// [`FigureError`]
pub fn figure(arguments: &Figure) -> Result<String, FigureError> {
    let report: Report = read_file(&arguments.report)?;
    let found = report.metrics.get(arguments.metric).map(ToString::to_string);
    found.ok_or(FigureError::Absent(arguments.metric))
}
