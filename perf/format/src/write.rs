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

/// JSON with 2 spaces, keys in the order of the type, a list of numbers on one line, a final
/// newline, and pure ASCII: what a terminal or an editor could take for a command stands as `\u`
/// escape.
///
/// # Errors
/// [`WriteError::Encode`] for a value that JSON cannot say, such as NaN.
pub fn to_json<T: Serialize>(value: &T) -> Result<String, WriteError> {
    let pretty = numbers_on_one_line(&serde_json::to_string_pretty(value)?);
    let mut json = String::with_capacity(pretty.len() + 1);
    for character in pretty.chars() {
        // Beyond ASCII, JSON text has only the insides of strings, where an escape means the same.
        if matches!(character, '\n' | ' '..='~') {
            json.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                json.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    json.push('\n');
    Ok(json)
}

/// Joins the lines of each list that holds only numbers, or only truth values. A line break inside a
/// string is escaped, so lines are JSON's own.
fn numbers_on_one_line(pretty: &str) -> String {
    let is_number = |line: &str| {
        let item = line.trim_start();
        item.starts_with(|c: char| c == '-' || c.is_ascii_digit())
            || matches!(item.trim_end_matches(','), "true" | "false")
    };
    let mut joined = String::with_capacity(pretty.len());
    let mut lines = pretty.lines().peekable();
    while let Some(line) = lines.next() {
        joined.push_str(line);
        if line.ends_with('[') && lines.peek().is_some_and(|next| is_number(next)) {
            let mut separator = "";
            while let Some(number) = lines.next_if(|next| is_number(next)) {
                joined.push_str(separator);
                joined.push_str(number.trim().trim_end_matches(','));
                separator = ", ";
            }
            joined.push_str(lines.next().unwrap_or_default().trim_start());
        }
        joined.push('\n');
    }
    joined.truncate(joined.trim_end().len());
    joined
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
