//! Whether the files of continuous integration still let the gate block.
//!
//! A repository may have none, or those of another platform. One that is there is what this tool generates
//! ([`crate::adopt::jobs`]), and whatever differs is named, but for what cannot weaken a job ([`gitlab::FREE`],
//! [`github::FREE`]). Other files of the repository that the platform reads must leave these jobs alone.
//! What cannot be seen from a repository is said.

pub mod github;
pub mod gitlab;
pub mod structure;

use std::path::Path;

use cp1_format::Problem;
use serde_json::Value;

use self::structure::{Difference, Extent, Free, differences};
use super::{Contract, ContractError, problem};
use crate::adopt::jobs::Tool;

/// GitLab's file.
pub const GITLAB: &str = ".gitlab-ci.perf.yml";
/// GitHub's file.
pub const GITHUB: &str = ".github/workflows/perf.yml";
const RESTORE: &str = "restore it; perf-gate init writes the file where there is none";

/// Jobs, and what they extend.
const JOBS: [&str; 5] = [".cp1", ".cp1_measures", "cp1_verify", "cp1_smoke", "cp1_gate"];

/// What was found, and what cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// What keeps a job from blocking.
    pub problems: Vec<Problem>,
    /// What decides too, and is not in the repository.
    pub unseen: Vec<String>,
}

impl Seen {
    fn add(&mut self, file: &str, message: impl Into<String>, cure: &str) {
        self.problems.push(problem(file, message, cure));
    }

    fn add_all(&mut self, file: &str, differences: Vec<Difference>) {
        self.problems.extend(differences.into_iter().map(|Difference { place, message }| {
            Problem {
                place: Some(place).filter(|place| !place.is_empty()),
                ..problem(file, message, RESTORE)
            }
        }));
    }
}

/// Everything that keeps a job from blocking, and what cannot be seen, of jobs with this judge.
///
/// # Errors
/// A file cannot be read at all.
pub fn look(contract: &Contract, tool: Tool) -> Result<Seen, ContractError> {
    let mut seen = Seen::default();
    gitlab::look(contract, tool, &mut seen)?;
    github::look(contract, tool, &mut seen)?;
    Ok(seen)
}

/// Compares a file with the generated one.
fn compare(seen: &mut Seen, file: &str, text: &str, free: &[Free], generated: &str) {
    match (yaml(text, Strictness::Ours), yaml(generated, Strictness::Ours)) {
        (Ok(actual), Ok(expected)) => {
            seen.add_all(file, differences(&[], &expected, &actual, Extent::Whole, free));
        }
        (Err(message), _) | (_, Err(message)) => seen.add(file, message, RESTORE),
    }
}

/// Which YAML is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Strictness {
    /// What every reader of YAML reads alike: one document, no tag, no merge, no key twice.
    Ours,
    /// What a project may have besides.
    Theirs,
}

/// The only document of a file.
fn yaml(text: &str, strictness: Strictness) -> Result<Value, String> {
    let all = documents(text, strictness)?;
    match <[Value; 1]>::try_from(all) {
        Ok([one]) => Ok(one),
        Err(all) => Err(format!("it has {} documents, and must have one", all.len())),
    }
}

fn documents(text: &str, strictness: Strictness) -> Result<Vec<Value>, String> {
    // YAML 1.1, which the platforms read, begins a line after these, also in what is a comment here.
    let hidden = |c: char| {
        matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
            || (c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
    };
    if let Some(found) = text.chars().find(|c| hidden(*c)) {
        return Err(format!("it has the character U+{:04X}, which hides text", u32::from(found)));
    }
    let mut options = serde_saphyr::Options::default();
    match strictness {
        Strictness::Ours => {
            options.merge_keys = serde_saphyr::options::MergeKeyPolicy::Error;
            options.reject_unsupported_tags = true;
        }
        Strictness::Theirs => {
            options.merge_keys = serde_saphyr::options::MergeKeyPolicy::AsOrdinary;
            options.duplicate_keys = serde_saphyr::DuplicateKeyPolicy::LastWins;
        }
    }
    // One line: the reader's own message shows the text around the place.
    let first_line = |error: String| error.lines().next().unwrap_or_default().to_owned();
    serde_saphyr::from_multiple_with_options(text, options).map_err(|error| {
        format!("this is no YAML that is read in one way only: {}", first_line(error.to_string()))
    })
}

/// A file, where it is.
fn read(contract: &Contract, file: &str) -> Result<Option<String>, ContractError> {
    let path = contract.path(file);
    if path.symlink_metadata().is_err() {
        return Ok(None);
    }
    std::fs::read_to_string(&path).map(Some).map_err(|source| ContractError::Io { path, source })
}

/// The files of this repository that a path of `include` names, which may have wildcards.
fn files(contract: &Contract, pattern: &str) -> Vec<String> {
    let root = contract.root();
    let escaped = glob::Pattern::escape(&root.to_string_lossy());
    let paths = glob::glob(&format!("{escaped}/{pattern}")).into_iter().flatten().flatten();
    let name = |path: &Path| Some(path.strip_prefix(root).ok()?.to_string_lossy().into_owned());
    paths.filter(|path| path.is_file()).filter_map(|path| name(&path)).collect()
}
