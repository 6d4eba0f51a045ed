//! What was measured before: [`runs`] finds the files of many runs, [`kept`] reads of each run what a
//! trend needs and forgets the rest, [`trend`] makes the trend of it; [`diff`] sets two files side by side.
//! Nothing here is judged.

pub mod diff;
pub mod kept;
pub mod runs;
pub mod trend;

use cp1_format::{Problem, ReadError, WriteError};

use crate::contract::{ContractError, list};

/// Most problems that are listed of many files.
const LISTED_MAX: usize = 20;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// Files that cannot be read; one of them might be the one that matters.
    #[error("{}", listed(.0))]
    Files(Vec<Problem>),
    /// A file of two.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The contract, by which baselines moved.
    #[error(transparent)]
    Contract(#[from] ContractError),
    /// What was asked for cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

fn listed(problems: &[Problem]) -> String {
    let some = list(problems.get(..LISTED_MAX).unwrap_or(problems));
    match problems.len().saturating_sub(LISTED_MAX) {
        0 => format!("nothing is shown, as not all can be read\n{some}"),
        more => format!("nothing is shown, as not all can be read\n{some}\nand {more} more"),
    }
}
