//! The files that a check leaves, each rendered from the one verdict and its reports.

use std::fmt;
use std::path::Path;

use cp1_format::{Explanation, Report, WriteError, write_atomically};

use crate::cli::arguments::Label;
use crate::render::{
    Shown, annotations, code_quality, erlang_terms, html, junit, markdown, metrics, sarif, tap,
    terminal,
};

/// Where they go, from the project on.
pub const DIRECTORY: &str = "_artifacts";

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

/// How an artifact is made of a verdict.
type Render = fn(&Shown<'_>) -> Result<String, WriteError>;

/// Every artifact of a check: `perf_NAME_*.EXTENSION`.
const CHECKED: [(&str, &str, Render); 11] = [
    ("gate", "log", |shown| Ok(terminal::log(shown))),
    ("summary", "md", |shown| Ok(markdown::render(shown))),
    ("verdict", "json", |shown| cp1_format::to_json(shown.verdict)),
    ("report", "html", |shown| Ok(html::render(shown))),
    ("junit", "xml", junit::render),
    ("sarif", "sarif", sarif::render),
    ("annotations", "txt", |shown| Ok(annotations::render(shown))),
    ("codequality", "json", code_quality::render),
    ("metrics", "txt", |shown| Ok(metrics::render(shown))),
    ("cases", "terms", |shown| Ok(erlang_terms::render(shown))),
    ("tap", "tap", |shown| Ok(tap::render(shown))),
];

/// What is left besides: reports of a run, what explains them, flame graphs, and variants.
const BESIDES: [(&str, &str); 6] = [
    ("baseline", "json"),
    ("replay", "json"),
    ("explanation", "json"),
    ("flame", "svg"),
    ("variant", "json"),
    ("variants", "json"),
];

/// Renders every artifact of a check.
///
/// # Errors
/// [`WriteError::Encode`] where the verdict has no such form.
pub fn of(shown: &Shown<'_>, stamp: &Stamp) -> Result<Vec<Artifact>, WriteError> {
    let artifact = |(name, extension, render): &(&str, &str, Render)| {
        Ok(Artifact { name: format!("perf_{name}_{stamp}.{extension}"), content: render(shown)? })
    };
    let mut artifacts: Vec<_> = CHECKED.iter().map(artifact).collect::<Result<_, WriteError>>()?;
    if let Some(found) = shown.explanation {
        artifacts.push(explanation(found, stamp)?);
    }
    Ok(artifacts)
}

/// An explanation as a file.
///
/// # Errors
/// [`WriteError::Encode`]
pub fn explanation(found: &Explanation, stamp: impl fmt::Display) -> Result<Artifact, WriteError> {
    let name = format!("perf_explanation_{stamp}.json");
    Ok(Artifact { name, content: cp1_format::to_json(found)? })
}

/// Whether a file is called as one that a run leaves.
#[must_use]
pub fn is_of_a_run(file_name: &str) -> bool {
    let is_it = |(name, extension): (&str, &str)| {
        file_name.starts_with(&format!("perf_{name}_"))
            && file_name.ends_with(&format!(".{extension}"))
    };
    let checked = CHECKED.iter().map(|(name, extension, _)| (*name, *extension));
    checked.chain(BESIDES).any(is_it)
}

/// What the names of a check's artifacts have in common.
#[must_use]
pub fn pattern(directory: &Path, stamp: &Stamp) -> String {
    let directory = directory.strip_prefix(".").unwrap_or(directory);
    directory.join(format!("perf_*_{stamp}.*")).display().to_string()
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
