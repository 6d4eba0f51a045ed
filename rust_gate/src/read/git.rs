//! The one place that runs git.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Largest file that is read out of a repository, in bytes: as the reader of reports accepts.
const FILE_MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A repository, by a directory in it.
#[derive(Debug, Clone)]
pub struct Git {
    directory: PathBuf,
}

/// Why the repository did not answer.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// There is no git.
    #[error("failed to run git: {0}; install git")]
    NotStarted(#[source] std::io::Error),
    /// Git refused.
    #[error("git {command} failed in {}: {message}", directory.display())]
    Failed {
        /// What was asked.
        command: String,
        /// Where.
        directory: PathBuf,
        /// What git said.
        message: String,
    },
    /// There is no such revision.
    #[error(
        "the repository does not have the revision {0}; fetch it first, in a shallow clone with \
         `git fetch --unshallow`"
    )]
    NoRevision(String),
    /// The revision does not have the file.
    #[error("the revision {revision} has no file {path}; name a revision that has it")]
    NoFile {
        /// Which revision.
        revision: String,
        /// Which file.
        path: String,
    },
    /// The file is too large.
    #[error("{revision}:{path} is larger than {FILE_MAX_BYTES} bytes")]
    TooLarge {
        /// Which revision.
        revision: String,
        /// Which file.
        path: String,
    },
}

impl Git {
    /// The repository that a directory is in.
    #[must_use]
    pub fn at(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// A path that git printed, which counts from the directory where that is relative.
    #[must_use]
    pub fn path(&self, printed: &str) -> PathBuf {
        self.directory.join(printed)
    }

    /// What a command prints.
    ///
    /// # Errors
    /// [`GitError`]
    pub fn output(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        let output = Command::new("git")
            .args(["--no-pager", "--no-optional-locks", "--literal-pathspecs", "-C"])
            .arg(&self.directory)
            .args(arguments)
            .output()
            .map_err(GitError::NotStarted)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(GitError::Failed {
            command: arguments.first().copied().unwrap_or_default().to_owned(),
            directory: self.directory.clone(),
            message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }

    /// What a command prints, as text without the space around it.
    ///
    /// # Errors
    /// [`GitError`]
    pub fn text(&self, arguments: &[&str]) -> Result<String, GitError> {
        let bytes = self.output(arguments)?;
        Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The commit that a revision names.
    ///
    /// # Errors
    /// [`GitError::NoRevision`], or that there is no repository.
    pub fn commit(&self, revision: &str) -> Result<String, GitError> {
        self.text(&["rev-parse", "--git-dir"])?;
        let wanted = format!("{revision}^{{commit}}");
        self.text(&["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted])
            .map_err(|_| GitError::NoRevision(revision.to_owned()))
    }

    /// A file as a commit has it; a path that begins with `./` counts from this directory, any other
    /// from the root of the repository.
    ///
    /// # Errors
    /// [`GitError::NoFile`], [`GitError::TooLarge`]
    pub fn file(&self, commit: &str, path: &str) -> Result<Vec<u8>, GitError> {
        let object = format!("{commit}:{path}");
        let (revision, path) = (commit.to_owned(), path.to_owned());
        let Ok(size) = self.text(&["cat-file", "-s", &object]) else {
            return Err(GitError::NoFile { revision, path });
        };
        if size.parse::<u64>().is_ok_and(|bytes| bytes <= FILE_MAX_BYTES) {
            self.output(&["cat-file", "blob", &object])
        } else {
            Err(GitError::TooLarge { revision, path })
        }
    }
}
