//! The files of a machine, below a directory.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::text::printable;

/// Files of the kernel are short; the longest that is read here has a line for each interrupt.
const READ_MAX_BYTES: u64 = 1024 * 1024;

/// A directory with `proc` and `sys` in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    root: PathBuf,
}

impl Tree {
    /// This machine.
    #[must_use]
    pub fn here() -> Self {
        Self::at("/")
    }

    /// A machine whose files are below a directory.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// The bytes of a file, up to the end of the last line within [`READ_MAX_BYTES`].
    ///
    /// # Errors
    /// The operating system's, and what is no regular file: a pipe would be waited for.
    pub(crate) fn bytes(&self, path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
        let path = self.root.join(path);
        if !fs::metadata(&path)?.is_file() {
            return Err(ErrorKind::InvalidInput.into());
        }
        let mut bytes = Vec::new();
        File::open(&path)?.take(READ_MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > READ_MAX_BYTES {
            let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
            bytes.truncate(end);
        }
        Ok(bytes)
    }

    /// The same as text; what is no UTF-8 becomes what no number and no name of the kernel has.
    ///
    /// # Errors
    /// Those of [`Tree::bytes`].
    pub(crate) fn text(&self, path: impl AsRef<Path>) -> io::Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(path)?).into_owned())
    }

    /// The first line of a file, if anything printable is in it.
    pub(crate) fn line(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = self.text(path).ok()?;
        Some(printable(text.lines().next()?)).filter(|line| !line.is_empty())
    }

    /// The names in a directory that are text.
    pub(crate) fn names(&self, path: impl AsRef<Path>) -> Option<Vec<String>> {
        let entries = fs::read_dir(self.root.join(path)).ok()?;
        Some(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
    }

    pub(crate) fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.root.join(path).exists()
    }
}
