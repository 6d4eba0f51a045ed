//! `usable`: whether a session that was just measured can be part of a baseline, so that nobody
//! measures on for nothing.

use cp1_format::{Problem, Report, read_file};

use super::{Contract, ContractError, sound};
use crate::cli::arguments::Usable;
use crate::judge::compare::Named;

/// Every reason against it; empty where there is none.
///
/// # Errors
/// A file cannot be read.
pub fn usable(arguments: &Usable) -> Result<Vec<Problem>, ContractError> {
    let policy = Contract::at(&arguments.root.root).policy()?;
    let report: Report = read_file(&arguments.session)?;
    let path = arguments.session.to_string_lossy();
    Ok(sound::of_session(Named { path: &path, document: &report }, &policy))
}
