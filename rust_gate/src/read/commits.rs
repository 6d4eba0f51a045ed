//! The commits between what was frozen and what is judged, for who wants to know which of them it was.

use std::path::Path;

use cp1_format::Report;

use crate::read::git::{Git, GitError};

/// Most commits that are told one by one.
pub const COMMITS_MAX: usize = 100;

/// What git says of the way from the baseline's commit to the candidate's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Between {
    /// It knows both.
    Known(Commits),
    /// It does not, for this reason.
    Unknown(String),
}

/// What the candidate has and the baseline has not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commits {
    /// The latest first, [`COMMITS_MAX`] at most.
    pub listed: Vec<Commit>,
    /// How many there are.
    pub count: u64,
    /// How many the baseline has and the candidate has not.
    pub missing: u64,
    /// Whether the clone is shallow, so that there may be more.
    pub is_shallow: bool,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// 40 hexadecimal digits.
    pub hash: String,
    /// Who wrote it.
    pub author: String,
    /// When it was written, by the author's calendar.
    pub date: String,
    /// The first line of its message.
    pub subject: String,
}

/// Asks the repository that a directory is in.
#[must_use]
pub fn between(project: &Path, baseline: Option<&Report>, candidate: Option<&Report>) -> Between {
    let commit = |name: &str, report: Option<&Report>| {
        let report = report.ok_or_else(|| format!("the {name} could not be read"))?;
        let commit = report.git.commit.clone();
        commit.ok_or_else(|| format!("the {name} does not say which commit was measured"))
    };
    let asked = commit("baseline", baseline).and_then(|from| {
        let to = commit("candidate", candidate)?;
        commits(&Git::at(project), &from, &to).map_err(|error| error.to_string())
    });
    asked.map_or_else(Between::Unknown, Between::Known)
}

fn commits(git: &Git, from: &str, to: &str) -> Result<Commits, GitError> {
    let (from, to) = (git.commit(from)?, git.commit(to)?);
    let apart = git.text(&["rev-list", "--left-right", "--count", &format!("{from}...{to}")])?;
    let mut counts = apart.split_whitespace().filter_map(|count| count.parse().ok());
    let (missing, count) = (counts.next().unwrap_or(0), counts.next().unwrap_or(0));
    // Fields and commits end with a byte that no message has.
    let listed = git.output(&[
        "log",
        "--no-show-signature",
        "--no-mailmap",
        "--no-color",
        "-z",
        &format!("--max-count={COMMITS_MAX}"),
        "--format=%H%x00%an%x00%ad%x00%s",
        "--date=short",
        &format!("{from}..{to}"),
        "--",
    ])?;
    let listed = String::from_utf8_lossy(&listed);
    let fields: Vec<&str> = listed.split('\0').collect();
    let commit = |fields: &[&str]| match fields {
        [hash, author, date, subject] => Some(Commit {
            hash: (*hash).to_owned(),
            author: (*author).to_owned(),
            date: (*date).to_owned(),
            subject: (*subject).to_owned(),
        }),
        _ => None,
    };
    let listed = fields.chunks(4).filter_map(commit).collect();
    let is_shallow = git.text(&["rev-parse", "--is-shallow-repository"])? == "true";
    Ok(Commits { listed, count, missing, is_shallow })
}
