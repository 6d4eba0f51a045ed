//! Reads a file of the contract: from the work tree, or as another revision has it.

use std::path::Path;

use cp1_format::{Document, ReadError, parse, read_file};

use crate::read::git::{Git, GitError};

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
pub fn read<T: Document>(path: &Path, revision: Option<&str>) -> Result<T, TrustedError> {
    let Some(revision) = revision else { return Ok(read_file(path)?) };
    Ok(parse(&shown(path, Some(revision)), &bytes(path, revision)?)?)
}

/// Whether the file is there at all. Where that cannot be found out, reading it says why.
#[must_use]
pub fn is_there(path: &Path, revision: Option<&str>) -> bool {
    match revision {
        None => path.symlink_metadata().is_ok(),
        Some(revision) => !matches!(bytes(path, revision), Err(GitError::NoFile { .. })),
    }
}

fn bytes(path: &Path, revision: &str) -> Result<Vec<u8>, GitError> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let git = Git::at(directory.unwrap_or(Path::new(".")));
    let commit = git.commit(revision)?;
    git.file(&commit, &format!("./{name}"))
}

/// The name of a file in messages: as git spells it where it comes from a revision.
#[must_use]
pub fn shown(path: &Path, revision: Option<&str>) -> std::path::PathBuf {
    match revision {
        Some(revision) => format!("{revision}:{}", path.display()).into(),
        None => path.to_owned(),
    }
}
