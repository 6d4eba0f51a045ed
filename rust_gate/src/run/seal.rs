//! Writes into a report what its own run could not know: how the test run ended.

use std::path::{Path, PathBuf};

use cp1_format::{ReadError, Report, WriteError, parse, read_file, to_json, write_atomically};

/// Why a report was not sealed. It is then as it was.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The report cannot be read, or could not be read once sealed.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[source] ReadError),
    /// The report has an exit code already.
    #[error(
        "failed to seal {}: run.ct_exit_code is {code} already; measure again instead",
        path.display()
    )]
    Sealed {
        /// The report.
        path: PathBuf,
        /// Its exit code.
        code: i32,
    },
    /// The report could not be written.
    #[error(transparent)]
    Write(WriteError),
}

/// Adds the exit code and changes nothing else.
///
/// # Errors
/// [`SealError`], also for a report that has the same code already: a report is sealed once.
pub fn seal(path: &Path, exit_code: i32) -> Result<(), SealError> {
    let mut report: Report = read_file(path).map_err(SealError::Read)?;
    if let Some(code) = report.run.ct_exit_code {
        return Err(SealError::Sealed { path: path.to_owned(), code });
    }
    report.run.ct_exit_code = Some(exit_code);
    let json = to_json(&report).map_err(SealError::Write)?;
    // A report near the size limit could outgrow it: better no seal than an unreadable report.
    parse::<Report>(path, json.as_bytes()).map_err(SealError::Read)?;
    write_atomically(path, json.as_bytes()).map_err(SealError::Write)
}
