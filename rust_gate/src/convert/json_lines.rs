//! JSON lines: one figure, as JSON, a line ([`cp1_format::Figure`]).

use cp1_format::{Report, WriteError};

use crate::convert::figures::figures;

/// The report's figures.
///
/// # Errors
/// [`WriteError::Encode`].
pub(super) fn render(report: &Report) -> Result<String, WriteError> {
    let figures = figures(report);
    let lines = figures.iter().map(|figure| Ok(serde_json::to_string(figure)? + "\n"));
    lines.collect::<Result<_, serde_json::Error>>().map_err(WriteError::from)
}
