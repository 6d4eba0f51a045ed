//! The files that a check leaves.

use std::fmt;
use std::path::Path;

use cp1_format::{Report, WriteError, write_atomically};

use crate::cli::arguments::Label;

/// What names the files of one check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp(String);

impl Stamp {
    /// The label where one is given, else the candidate's own time, else `no-candidate`.
    #[must_use]
    pub fn new(label: Option<&Label>, candidate: Option<&Report>) -> Self {
        Self(match (label, candidate) {
            (Some(label), _) => label.as_str().to_owned(),
            (None, Some(report)) => report.timestamp.compact(),
            (None, None) => "no-candidate".to_owned(),
        })
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Writes log, summary and verdict. One that fails does not keep the others from being written.
///
/// # Errors
/// One for each file that could not be written.
pub fn write(
    directory: &Path,
    stamp: &Stamp,
    text: &str,
    markdown: &str,
    json: &str,
) -> Result<(), Vec<WriteError>> {
    let files = [
        (format!("perf_gate_{stamp}.log"), text),
        (format!("perf_summary_{stamp}.md"), markdown),
        (format!("perf_verdict_{stamp}.json"), json),
    ];
    let failures: Vec<_> = files
        .into_iter()
        .filter_map(|(name, content)| {
            write_atomically(&directory.join(name), content.as_bytes()).err()
        })
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}
