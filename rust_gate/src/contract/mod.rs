//! The freeze as a contract: baseline, policy, waivers and records, how they may change, and the
//! commands that change them or find that they were changed otherwise.

pub mod answers;
pub mod assemble;
pub mod budget;
pub mod change;
pub mod ci_files;
pub mod digest;
pub mod history;
pub mod lint;
pub mod loosened;
pub mod owned;
pub mod page;
pub mod records;
pub mod sound;
pub mod standing;
pub mod verify;

use std::path::{Path, PathBuf};

use cp1_format::{Policy, Problem, ReadError, Report, WriteError, read_file};

use crate::escape::plain;
use crate::read::git::GitError;

/// Where the contract's files are, counted from the root of the repository.
pub const BASELINE: &str = "perf/baseline_cp1.json";
/// The policy.
pub const POLICY: &str = "perf/policy_cp1.json";
/// The waivers; the file may be missing.
pub const WAIVERS: &str = "perf/waivers.json";
/// The directory of the records.
pub const RECORDS: &str = "perf/bumps";

/// The contract of one repository.
#[derive(Debug, Clone)]
pub struct Contract {
    root: PathBuf,
}

/// Why a command about the contract did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ContractError {
    /// A file cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The repository does not answer.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The operating system.
    #[error("failed to read {}: {source}; check the path and its permissions", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// What was asked would break the contract. Nothing was written.
    #[error("refused, and nothing was written\n{}", list(.0))]
    Refused(Vec<Problem>),
}

/// One line for each problem: file, place, what is wrong, and the cure.
#[must_use]
pub fn list(problems: &[Problem]) -> String {
    let lines: Vec<_> = problems
        .iter()
        .map(|problem| {
            let Problem { file, place, message, cure } = problem;
            let place = place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default();
            // Part by part, so that a long one does not hide the next.
            [
                plain(file),
                plain(&place),
                ": ".to_owned(),
                plain(message),
                "; ".to_owned(),
                plain(cure),
            ]
            .concat()
        })
        .collect();
    lines.join("\n")
}

/// A problem with a file as a whole.
pub(crate) fn problem(
    file: impl Into<String>,
    message: impl Into<String>,
    cure: impl Into<String>,
) -> Problem {
    Problem { file: file.into(), place: None, message: message.into(), cure: cure.into() }
}

impl Contract {
    /// The contract under a directory.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// A file of it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The directory that it is under.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The baseline.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn baseline(&self) -> Result<Report, ReadError> {
        read_file(&self.path(BASELINE))
    }

    /// The policy.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn policy(&self) -> Result<Policy, ReadError> {
        read_file(&self.path(POLICY))
    }
}
