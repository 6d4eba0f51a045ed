//! The gates that were run to prove the gate, kept so that more can be added:
//!
//! ```text
//! DIR/baseline.json              the commit, measured alone
//! DIR/KIND/perf_baseline_*.json  of each gate the candidate, its frozen side as perf_replay_*.json,
//!                                log, summary and verdict
//! DIR/run/                       the gate that is being run
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cp1_format::{ReadError, Report, Verdict, read_file};

use crate::prove::planted::Kind;

/// How the file name of a verdict begins.
const VERDICT: &str = "perf_verdict_";

/// Why gates cannot be kept, or those that are kept not read.
#[derive(Debug, thiserror::Error)]
pub enum KeptError {
    /// A file of a gate.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The operating system.
    #[error("failed to keep gates in {}: {source}; check permissions and free space", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// A gate that was run to its end.
#[derive(Debug)]
pub struct Gate {
    /// How it ended.
    pub verdict: Verdict,
    /// The frozen side.
    pub replay: Report,
    /// The other side.
    pub candidate: Report,
}

/// The directory.
#[derive(Debug)]
pub struct Kept(PathBuf);

impl Kept {
    /// Makes it where there is none.
    ///
    /// # Errors
    /// The operating system's.
    pub fn at(directory: PathBuf) -> Result<Self, KeptError> {
        fs::create_dir_all(&directory).map_err(failed(&directory))?;
        Ok(Self(directory))
    }

    /// The directory's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The commit's own report.
    #[must_use]
    pub fn baseline(&self) -> PathBuf {
        self.0.join("baseline.json")
    }

    /// The directory of a kind.
    #[must_use]
    pub fn of_kind(&self, kind: &Kind) -> PathBuf {
        self.0.join(kind.name)
    }

    /// An empty place for the artifacts of the next run.
    ///
    /// # Errors
    /// The operating system's.
    pub fn fresh(&self) -> Result<PathBuf, KeptError> {
        let path = self.0.join("run");
        match fs::remove_dir_all(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(KeptError::Io { path, source })
            }
            _ => Ok(path),
        }
    }

    /// Keeps the run's only report as the commit's own.
    ///
    /// # Errors
    /// The operating system's.
    pub fn keep_baseline(&self, report: &Path) -> Result<(), KeptError> {
        let to = self.baseline();
        fs::rename(report, &to).map_err(failed(&to))
    }

    /// Keeps the artifacts of a gate. Its verdict comes last, as a gate without one does not count.
    ///
    /// # Errors
    /// The operating system's.
    pub fn keep(&self, kind: &Kind, run: &Path) -> Result<(), KeptError> {
        let kept = self.of_kind(kind);
        fs::create_dir_all(&kept).map_err(failed(&kept))?;
        let mut names = names(run)?;
        names.sort_by_key(|name| name.starts_with(VERDICT));
        for name in names {
            fs::rename(run.join(&name), kept.join(&name)).map_err(failed(&kept))?;
        }
        Ok(())
    }

    /// The gates of a kind, in the order of their names; none where there is no such directory.
    ///
    /// # Errors
    /// A file that is missing or cannot be read.
    pub fn gates(&self, kind: &Kind) -> Result<Vec<Gate>, KeptError> {
        let kept = self.of_kind(kind);
        if !kept.exists() {
            return Ok(Vec::new());
        }
        let gate = |name: &String| {
            let rest = name.strip_prefix(VERDICT).filter(|rest| rest.ends_with(".json"))?;
            let read = || {
                Ok(Gate {
                    verdict: read_file(&kept.join(name))?,
                    replay: read_file(&kept.join(format!("perf_replay_{rest}")))?,
                    candidate: read_file(&kept.join(format!("perf_baseline_{rest}")))?,
                })
            };
            Some(read())
        };
        names(&kept)?.iter().filter_map(gate).collect()
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> KeptError {
    |source| KeptError::Io { path: path.to_owned(), source }
}

fn names(directory: &Path) -> Result<Vec<String>, KeptError> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed(directory))? {
        let name = entry.map_err(failed(directory))?.file_name();
        names.extend(name.into_string());
    }
    names.sort();
    Ok(names)
}
