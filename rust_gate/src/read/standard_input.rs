//! `-` in the place of a file: standard input, which can be read once.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use cp1_format::{Document, ReadError, parse, read_bytes};

/// Its name in messages.
const NAME: &str = "standard input";

/// Whether it was read: a second `-` would find nothing.
static IS_READ: AtomicBool = AtomicBool::new(false);

/// Whether a path means it; a file of this name is `./-`.
#[must_use]
pub fn is_meant(path: &Path) -> bool {
    path == Path::new("-")
}

/// Reads and checks a file, or standard input.
///
/// # Errors
/// [`ReadError`].
pub fn file<T: Document>(path: &Path) -> Result<T, ReadError> {
    let (name, bytes) = bytes(T::KIND, T::MAX_BYTES, path)?;
    parse(&name, &bytes)
}

/// The bytes of a file, or of standard input, and what messages call it; of one that is too large no
/// more than its reader needs to say so.
///
/// # Errors
/// [`ReadError::Io`], also for a second `-`.
pub fn bytes(
    kind: &'static str,
    max_bytes: u64,
    path: &Path,
) -> Result<(PathBuf, Vec<u8>), ReadError> {
    if !is_meant(path) {
        return Ok((path.to_owned(), read_bytes(kind, max_bytes, path)?));
    }
    let failed = |source| ReadError::Io { kind, path: NAME.into(), source };
    // No other memory is handed over, so no ordering is asked for.
    if IS_READ.swap(true, Ordering::Relaxed) {
        return Err(failed(io::Error::other("it can be read once, and `-` is given twice")));
    }
    let mut bytes = Vec::new();
    io::stdin().lock().take(max_bytes + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok((NAME.into(), bytes))
}
