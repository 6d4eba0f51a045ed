//! Reads a file of the contract: from the work tree, or as another revision has it.

use std::path::{Path, PathBuf};

use cp1_format::{Document, ReadError, parse};

use crate::read::git::{Git, GitError};
use crate::read::standard_input;

/// What is trusted instead of the work tree.
#[derive(Debug, Clone, Copy)]
pub struct Trusted<'a> {
    /// The revision whose files count.
    pub revision: &'a str,
    /// A directory of the repository that has it. Where a file is says nothing about that: its
    /// directory may be a link or a submodule, with a history of its own.
    pub project: &'a Path,
}

/// Why a file of the contract could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TrustedError {
    /// The file.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The repository.
    #[error(transparent)]
    Git(#[from] GitError),
}

/// Reads the file at a path; with a revision, as that has the file at this path.
///
/// # Errors
/// [`TrustedError`]; a revision that does not have the file is one.
pub fn read<T: Document>(path: &Path, trusted: Option<Trusted<'_>>) -> Result<T, TrustedError> {
    let (name, bytes) = bytes::<T>(path, trusted)?;
    Ok(parse(&name, &bytes)?)
}

/// Its bytes alone, and what messages call it.
///
/// # Errors
/// [`TrustedError`].
pub fn bytes<T: Document>(
    path: &Path,
    trusted: Option<Trusted<'_>>,
) -> Result<(PathBuf, Vec<u8>), TrustedError> {
    match trusted {
        None => Ok(standard_input::bytes(T::KIND, T::MAX_BYTES, path)?),
        Some(at) => Ok((shown(path, Some(at)), out_of_git(path, at)?)),
    }
}

/// Whether the file is there at all. Where that cannot be found out, reading it says why.
#[must_use]
pub fn is_there(path: &Path, trusted: Option<Trusted<'_>>) -> bool {
    match trusted {
        None => standard_input::is_meant(path) || path.symlink_metadata().is_ok(),
        Some(trusted) => !matches!(out_of_git(path, trusted), Err(GitError::NoFile { .. })),
    }
}

fn out_of_git(path: &Path, trusted: Trusted<'_>) -> Result<Vec<u8>, GitError> {
    let git = Git::at(trusted.project);
    let commit = git.commit(trusted.revision)?;
    // A relative path counts from where this program is, and git's from its directory.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    git.file(&commit, &path.to_string_lossy())
}

/// The name of a file in messages: as git spells it where it comes from a revision.
#[must_use]
pub fn shown(path: &Path, trusted: Option<Trusted<'_>>) -> PathBuf {
    match trusted {
        Some(Trusted { revision, .. }) => format!("{revision}:{}", path.display()).into(),
        None => path.to_owned(),
    }
}
