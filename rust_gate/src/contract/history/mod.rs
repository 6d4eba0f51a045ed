//! Whether the commits kept to the rules of the contract: all of them, or those since a revision.
//!
//! Every commit is compared with every parent, by the content that git has for each file, so that
//! nothing depends on the way by which a change came: over a side branch from before a record landed, an
//! unrelated root, or a merge that takes what it likes. Where no revision is given nothing is forgotten:
//! a commit is held to the rules from the first record with a head on. What it is held to:
//!
//! * a record is written once, and no commit, a merge neither, edits or removes one;
//! * baseline and policy change by themselves, with a record that says so;
//! * what a merge has of them is what one parent has, and what the last record says.

mod commits;
mod news;
mod since;
mod states;
mod tracked;

use cp1_format::{Findings, Problem};

use super::{Contract, ContractError};
use states::History;

/// Which commits are looked at.
#[derive(Debug, Clone, Copy)]
pub enum Span<'a> {
    /// All.
    Whole,
    /// Those that a revision does not have.
    Since(&'a str),
}

/// Everything that broke a rule, and what is new since a revision that an owner should read.
///
/// # Errors
/// The history cannot be read, for example in a shallow clone.
pub fn look(contract: &Contract, span: Span<'_>) -> Result<Findings, ContractError> {
    let mut history = History::of(contract)?;
    let target = match span {
        Span::Whole => None,
        Span::Since(revision) => Some(history.target(revision)?),
    };
    let mut problems = Vec::new();
    for commit in history.walk(target.as_ref())? {
        problems.extend(match commit.parents.as_slice() {
            [] | [_] => history.of_commit(&commit, target.as_ref())?,
            _ => history.of_merge(&commit, target.is_some())?,
        });
    }
    let mut notes = Vec::new();
    if let Some(target) = &target {
        problems.extend(history.since(target)?);
        notes.extend(history.waivers_since(target)?);
        notes.extend(history.owned_since(target)?);
    }
    problems.extend(history.artifacts()?);
    Ok(Findings { problems, notes })
}

/// What a revision has of the contract and this history has not kept, however they are related.
///
/// # Errors
/// The history cannot be read.
pub fn kept(contract: &Contract, revision: &str) -> Result<Vec<Problem>, ContractError> {
    let mut history = History::of(contract)?;
    let commit = history.git.commit(revision)?;
    let (before, here) = (history.state(&commit)?, history.head_state()?);
    Ok(since::gone(&before, &here))
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Some of many names.
fn some(names: &[String]) -> String {
    let shown: Vec<_> = names.iter().take(3).map(String::as_str).collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
