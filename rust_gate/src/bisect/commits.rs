//! The commits between two ends, as git has them.

use std::collections::BTreeMap;

use cp1_format::BisectedCommit;

use crate::read::git::{Git, GitError};

/// Most commits that are searched; each step looks at all of them.
const COMMITS_MAX: usize = 5_000;

/// What no build of a router reads: files by their ending, and directories and files by their name,
/// wherever they are in a project. Everything else may be compiled.
const NOT_COMPILED_ENDINGS: [&str; 7] = [".md", ".adoc", ".rst", ".svg", ".png", ".jpg", ".html"];
const NOT_COMPILED_NAMES: [&str; 13] = [
    "doc",
    "docs",
    "test",
    "tests",
    ".github",
    ".gitlab",
    ".gitlab-ci.yml",
    ".gitignore",
    ".gitattributes",
    "LICENSE",
    "NOTICE",
    "CODEOWNERS",
    "Jenkinsfile",
];

/// Why there is nothing to search.
#[derive(Debug, thiserror::Error)]
pub enum RangeError {
    /// Git.
    #[error("{0}")]
    Git(#[from] GitError),
    /// The good end is not before the bad one.
    #[error(
        "{good} is no ancestor of {bad}, so no commit between them made it worse; name ends of one branch \
         with --good and --bad"
    )]
    NoAncestor {
        /// The good end.
        good: String,
        /// The bad end.
        bad: String,
    },
    /// The ends are the same.
    #[error(
        "there is no commit between {good} and {bad}; name two that differ with --good and --bad"
    )]
    Empty {
        /// The good end.
        good: String,
        /// The bad end.
        bad: String,
    },
    /// Too long a history.
    #[error(
        "there are {count} commits between the ends, and {COMMITS_MAX} at most are searched; name a later \
         --good"
    )]
    TooMany {
        /// How many.
        count: usize,
    },
}

/// Which commits are between two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lineage {
    /// Those of the branch itself: what was merged into it counts as one.
    FirstParents,
    /// All.
    All,
}

/// The commits that `bad` has and `good` has not, parents first, `bad` the last.
///
/// # Errors
/// [`RangeError`]
pub fn between(
    git: &Git,
    good: &str,
    bad: &str,
    lineage: Lineage,
) -> Result<Vec<BisectedCommit>, RangeError> {
    let ends = || (good.to_owned(), bad.to_owned());
    let span = format!("{good}..{bad}");
    let mut options = vec!["rev-list", "--topo-order", "--reverse", "--parents"];
    if lineage == Lineage::FirstParents {
        options.push("--first-parent");
    }
    options.push(&span);
    let listed = git.text(&options)?;
    let listed: Vec<Vec<&str>> = listed.lines().map(|line| line.split(' ').collect()).collect();
    match git.text(&["merge-base", "--is-ancestor", good, bad]) {
        Ok(_) => {}
        Err(GitError::Failed { .. }) => {
            let (good, bad) = ends();
            return Err(RangeError::NoAncestor { good, bad });
        }
        Err(error) => return Err(error.into()),
    }
    match listed.len() {
        0 => {
            let (good, bad) = ends();
            return Err(RangeError::Empty { good, bad });
        }
        1..=COMMITS_MAX => {}
        count => return Err(RangeError::TooMany { count }),
    }
    let hashes: Vec<&str> = listed.iter().filter_map(|line| line.first().copied()).collect();
    let position: BTreeMap<&str, usize> =
        hashes.iter().enumerate().map(|(index, hash)| (*hash, index)).collect();
    let heads = heads(git, &hashes)?;
    let compiled = compiled(git, &listed)?;
    let commit = |line: &Vec<&str>| {
        let hash = line.first().copied().unwrap_or_default();
        let (date, subject) = heads.get(hash).cloned().unwrap_or_default();
        let parents = line.iter().skip(1);
        let parents = match lineage {
            Lineage::FirstParents => parents.take(1),
            Lineage::All => parents.take(usize::MAX),
        };
        BisectedCommit {
            commit: hash.to_owned(),
            date,
            subject,
            parents: parents.filter_map(|parent| position.get(parent).copied()).collect(),
            is_compiled: compiled.get(hash).copied().unwrap_or(true),
            code: None,
            changes: Vec::new(),
            skipped: None,
            probability: None,
        }
    };
    Ok(listed.iter().map(commit).collect())
}

/// Author date and subject of each.
fn heads(git: &Git, hashes: &[&str]) -> Result<BTreeMap<String, (String, String)>, GitError> {
    let options = ["log", "--no-walk=unsorted", "--stdin", "-z", "--format=%H%n%aI%n%s"];
    let printed = git.output_of(&options, hashes.join("\n") + "\n")?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let head = |text: &str| {
        let mut lines = text.splitn(3, '\n').map(str::to_owned);
        Some((lines.next()?, (lines.next()?, lines.next()?)))
    };
    Ok(printed.split('\0').filter_map(head).collect())
}

/// Of each commit whether it touches, compared with its first parent, anything that may be compiled.
fn compiled(git: &Git, listed: &[Vec<&str>]) -> Result<BTreeMap<String, bool>, GitError> {
    let pairs: String = listed
        .iter()
        .map(|line| line.iter().take(2).copied().collect::<Vec<_>>().join(" ") + "\n")
        .collect();
    let options = "diff-tree --stdin --always --root -r -z --name-only --no-renames";
    let options: Vec<&str> = options.split(' ').collect();
    let printed = git.output_of(&options, pairs)?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    let mut all: BTreeMap<String, bool> = BTreeMap::new();
    let mut commit = String::new();
    let hashes: std::collections::BTreeSet<&str> =
        listed.iter().filter_map(|line| line.first().copied()).collect();
    for part in printed.split('\0').filter(|part| !part.is_empty()) {
        // A commit's line ends as a line.
        let name = part.trim_end_matches('\n');
        if hashes.contains(name) {
            name.clone_into(&mut commit);
            all.entry(commit.clone()).or_default();
        } else {
            *all.entry(commit.clone()).or_default() |= may_be_compiled(part);
        }
    }
    Ok(all)
}

/// Whether a build may read a file.
#[must_use]
pub fn may_be_compiled(path: &str) -> bool {
    !NOT_COMPILED_ENDINGS.iter().any(|ending| path.ends_with(ending))
        && !path.split('/').any(|part| NOT_COMPILED_NAMES.contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_to_be_left_out_may_be_compiled() {
        for path in ["src/router.erl", "rebar.config", "apps/a/priv/x.so", "config/sys.config", "x"]
        {
            assert!(may_be_compiled(path), "{path}");
        }
        for path in
            ["README.md", "docs/x.erl", "apps/a/test/a_SUITE.erl", ".github/workflows/a.yml"]
        {
            assert!(!may_be_compiled(path), "{path}");
        }
    }
}
