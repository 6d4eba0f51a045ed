//! The files that a check leaves, each rendered from the one verdict and its reports.

use std::fmt;
use std::path::Path;

use cp1_format::{Report, WriteError, write_atomically};

use crate::cli::arguments::Label;
use crate::render::Shown;
use crate::render::{markdown, terminal};

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

/// A file before it is written.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Its name without a directory.
    pub name: String,
    /// What it says.
    pub content: String,
}

/// Every artifact of a check.
///
/// # Errors
/// [`WriteError::Encode`] where the verdict has no JSON form.
pub fn of(shown: &Shown<'_>, stamp: &Stamp) -> Result<Vec<Artifact>, WriteError> {
    let verdict = shown.verdict;
    let artifact = |name: &str, extension: &str, content| Artifact {
        name: format!("perf_{name}_{stamp}.{extension}"),
        content,
    };
    Ok(vec![
        artifact("gate", "log", terminal::render(verdict)),
        artifact("summary", "md", markdown::render(verdict)),
        artifact("verdict", "json", cp1_format::to_json(verdict)?),
    ])
}

/// Writes them. One that fails does not keep the others from being written.
///
/// # Errors
/// One for each file that could not be written.
pub fn write(directory: &Path, artifacts: &[Artifact]) -> Result<(), Vec<WriteError>> {
    let failures: Vec<_> = artifacts
        .iter()
        .filter_map(|Artifact { name, content }| {
            write_atomically(&directory.join(name), content.as_bytes()).err()
        })
        .collect();
    if failures.is_empty() { Ok(()) } else { Err(failures) }
}
