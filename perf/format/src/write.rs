//! The one writer.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::Serialize;

/// Why a file was not written. What stood there before still does.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The value has no JSON form.
    #[error("failed to encode JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// The operating system refused.
    #[error("failed to write {}: {source}; check the directory, its permissions and free space", path.display())]
    Io {
        /// The file that was to be written.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// JSON with 2 spaces and lines for its two outer levels, so that a block, a series or a rule has one
/// line and a report of many blocks can be stored; keys in the order of the type, a final newline,
/// and pure ASCII: what a terminal or an editor could take for a command stands as `\u` escape.
///
/// # Errors
/// [`WriteError::Encode`] for a value that JSON cannot say, such as NaN.
pub fn to_json<T: Serialize>(value: &T) -> Result<String, WriteError> {
    let pretty = serde_json::to_string_pretty(value)?;
    let mut json = String::with_capacity(pretty.len());
    for line in pretty.lines() {
        if !json.is_empty() && !is_inner(line) {
            json.push('\n');
        }
        let text = if is_inner(line) { line.trim_start() } else { line };
        for character in text.chars() {
            // Beyond ASCII, JSON text has only the insides of strings, where an escape means the same.
            if matches!(character, ' '..='~') {
                json.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    json.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    json.push('\n');
    Ok(json)
}

/// Whether a line of JSON with 2 spaces lies within the two outer levels. A line break inside a string
/// is escaped, so lines are JSON's own.
fn is_inner(line: &str) -> bool {
    let text = line.trim_start();
    let level = (line.len() - text.len()) / 2;
    level > 2 || (level == 2 && text.starts_with(['}', ']']))
}

/// Writes to a temporary name in the same directory, syncs, and renames: a reader sees the old
/// file or the whole new one. The directory is made where it is missing.
///
/// # Errors
/// [`WriteError::Io`].
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<(), WriteError> {
    let write = || -> io::Result<()> {
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(directory)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".partial-");
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
        let mut file = builder.tempfile_in(directory)?;
        file.write_all(content)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| WriteError::Io { path: path.to_owned(), source })
}
