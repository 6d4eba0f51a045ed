//! Whether the commits since a revision kept to the rules of the contract.
//!
//! Looked at are all commits between the merge base and `HEAD`. What a merge commit has must come
//! from one of its parents: a conflict about the contract is not resolved by hand.

use std::collections::BTreeSet;
use std::path::Path;

use cp1_format::{Policy, Problem, Record, RecordKind, parse};

use super::{
    BASELINE, Contract, ContractError, POLICY, RECORDS, ci_files, digest, loosened, page, problem,
};
use crate::read::git::{Git, GitError};

/// A repository with the directory that the contract is under, relative to its root.
struct Repository {
    git: Git,
    prefix: String,
}

/// A path that a commit changed, relative to the contract's directory where it is in it.
#[derive(Debug)]
struct Touched {
    path: String,
    status: char,
}

/// Everything that broke a rule since a revision.
///
/// # Errors
/// The history cannot be read, for example in a shallow clone.
pub fn problems(contract: &Contract, revision: &str) -> Result<Vec<Problem>, ContractError> {
    let git = Git::at(contract.root());
    let prefix = git.text(&["rev-parse", "--show-prefix"])?;
    let repository = Repository { git, prefix };
    let since = repository.git.commit(revision)?;
    let base = repository.merge_base(revision, &since)?;
    let mut problems = Vec::new();
    for commit in repository.commits(&base, "--no-merges")? {
        problems.extend(repository.of_commit(&commit, &base)?);
    }
    for merge in repository.commits(&base, "--merges")? {
        problems.extend(repository.of_merge(&merge)?);
    }
    problems.extend(repository.in_all(&base, &since)?);
    problems.extend(repository.artifacts()?);
    Ok(problems)
}

impl Repository {
    /// The last commit that both sides have. In a shallow clone the commits between may be cut off,
    /// so there nothing is said.
    fn merge_base(&self, revision: &str, since: &str) -> Result<String, ContractError> {
        let base = self.git.text(&["merge-base", since, "HEAD"]);
        let boundary = self.git.text(&["rev-parse", "--git-path", "shallow"])?;
        let boundary = std::fs::read_to_string(self.git.path(&boundary)).unwrap_or_default();
        let cut: BTreeSet<&str> = boundary.lines().collect();
        let Ok(base) = base else {
            return Err(self.unknown(revision, !cut.is_empty()));
        };
        let between = self.git.text(&["rev-list", &format!("{base}..HEAD")])?;
        if between.lines().any(|commit| cut.contains(commit)) {
            return Err(self.unknown(revision, true));
        }
        Ok(base)
    }

    fn unknown(&self, revision: &str, is_shallow: bool) -> ContractError {
        let message = match is_shallow {
            true => "this clone is shallow: commits between it and HEAD may be missing",
            false => "it has no commit in common with HEAD",
        };
        let cure = match is_shallow {
            true => "deepen it: git fetch --unshallow",
            false => "name the branch that this one came from",
        };
        ContractError::Refused(vec![problem(revision, message, cure)])
    }

    fn commits(&self, base: &str, which: &str) -> Result<Vec<String>, GitError> {
        let range = format!("{base}..HEAD");
        let listed = self.git.text(&["rev-list", "--reverse", which, &range])?;
        Ok(listed.lines().map(str::to_owned).collect())
    }

    /// The rules for one commit.
    fn of_commit(&self, commit: &str, base: &str) -> Result<Vec<Problem>, ContractError> {
        let touched = self.touched(&["diff-tree", "--root", "--no-commit-id"], &[commit])?;
        let mut problems = Vec::new();
        let mut add = |file: &str, message: String, cure: &str| {
            let message = format!("commit {}: {message}", short(commit));
            problems.push(problem(file, message, cure));
        };
        let is_record = |touched: &&Touched| touched.path.starts_with(&format!("{RECORDS}/"));
        for record in touched.iter().filter(is_record) {
            // What never landed may still be corrected.
            if record.status != 'A' && self.file(base, &record.path)?.is_some() {
                let what = if record.status == 'D' { "removed or renamed" } else { "edited" };
                let cure = "restore it; a record is corrected by a further record";
                add(&record.path, format!("a record that has landed was {what}"), cure);
            }
        }
        let new: Vec<_> =
            touched.iter().filter(is_record).filter(|file| file.status == 'A').collect();
        let mut records = Vec::new();
        for file in &new {
            records.extend(self.record(commit, &file.path)?);
        }
        for (file, is_about_policy) in [(BASELINE, false), (POLICY, true)] {
            let Some(change) = touched.iter().find(|touched| touched.path == file) else {
                continue;
            };
            let Some(text) = self.file(commit, file)? else {
                add(file, "the file was removed or renamed".into(), "restore it");
                continue;
            };
            let others: Vec<_> = touched
                .iter()
                .filter(|other| other.path != file && !new.iter().any(|new| new.path == other.path))
                .map(|other| other.path.as_str())
                .collect();
            // A repository begins with a policy among other things.
            let is_new = is_about_policy && change.status == 'A';
            if !others.is_empty() && !is_new {
                let message = format!("it changed together with {}", some(&others));
                let cure = "commit it alone with its record, and merge without squashing";
                add(file, message, cure);
            }
            let is = digest::of_json(&text).ok();
            let explains = |record: &&Record| {
                let about_policy = record.kind == RecordKind::Policy;
                let (to, fits) = match is_about_policy {
                    true => {
                        (&record.policy.after, about_policy || record.kind == RecordKind::Freeze)
                    }
                    false => (&record.baseline.after, !about_policy),
                };
                fits && is.as_ref() == Some(to)
            };
            let before = self.file(&format!("{commit}^"), file)?;
            let is_same = before.and_then(|text| digest::of_json(&text).ok()) == is && is.is_some();
            if !is_same && !is_new && !records.iter().any(|record| explains(&record)) {
                let (kind, cure) = match is_about_policy {
                    true => ("about the policy", "write it: perf-gate amend"),
                    false => ("of this baseline", "write it: perf-gate bump"),
                };
                add(file, format!("it changed without a record {kind}"), cure);
            }
        }
        Ok(problems)
    }

    /// What a merge commit has of the contract, one of its parents has too.
    fn of_merge(&self, merge: &str) -> Result<Vec<Problem>, ContractError> {
        let parents = self.git.text(&["rev-list", "--parents", "--max-count=1", merge])?;
        let parents: Vec<&str> = parents.split_whitespace().skip(1).collect();
        let mut files = vec![BASELINE.to_owned(), POLICY.to_owned()];
        for commit in parents.iter().copied().chain([merge]) {
            files.extend(self.records(commit)?);
        }
        files.sort();
        files.dedup();
        let mut problems = Vec::new();
        for file in files {
            let is = self.file(merge, &file)?;
            let mut has_parent = false;
            let mut parents_have_it = true;
            for parent in &parents {
                let of_parent = self.file(parent, &file)?;
                has_parent |= of_parent == is;
                parents_have_it &= of_parent.is_some();
            }
            if !has_parent || (is.is_none() && parents_have_it) {
                let message = format!("merge {}: it is not what either parent has", short(merge));
                let cure = "merge again and take one side; then bump, rollback or amend on top";
                problems.push(problem(file, message, cure));
            }
        }
        Ok(problems)
    }

    /// The rules for all commits together, whatever the way there.
    fn in_all(&self, base: &str, since: &str) -> Result<Vec<Problem>, ContractError> {
        let mut problems = Vec::new();
        let (landed, here, there) =
            (self.records(base)?, self.records("HEAD")?, self.records(since)?);
        for record in &landed {
            if !here.contains(record) {
                let cure = "restore it; a record is corrected by a further record";
                problems.push(problem(record, "a record that has landed is gone", cure));
            }
        }
        let number =
            |path: &String| path.get(RECORDS.len() + 1..RECORDS.len() + 5).map(str::to_owned);
        for record in
            here.iter().filter(|record| !landed.contains(record) && !there.contains(record))
        {
            let taken = there.iter().find(|other| number(other) == number(record));
            if let Some(other) = taken {
                let message = format!("{other} has landed meanwhile with the same number");
                let cure = "rebase, remove this record, and write it again";
                problems.push(problem(record, message, cure));
            }
        }
        for file in [ci_files::GITLAB, ci_files::GITHUB] {
            if self.file(base, file)?.is_some() && self.file("HEAD", file)?.is_none() {
                let message = "the file is gone, and with it the job that blocks";
                problems.push(problem(file, message, "restore it"));
            }
        }
        let policy = |commit: &str| -> Result<Option<Policy>, ContractError> {
            let text = self.file(commit, POLICY)?;
            Ok(text.and_then(|text| parse(Path::new(POLICY), text.as_bytes()).ok()))
        };
        if let (Some(before), Some(after)) = (policy(base)?, policy("HEAD")?) {
            let looser = loosened::loosened(&before, &after);
            let mut is_recorded = false;
            for path in here.iter().filter(|path| !landed.contains(path)) {
                let record = self.record("HEAD", path)?;
                is_recorded |= record.is_some_and(|record| record.kind == RecordKind::Policy);
            }
            if !looser.is_empty() && !is_recorded {
                let message = format!("the policy was loosened: {}", looser.join("; "));
                let cure = "restore it, or justify it by a record of its own: perf-gate amend";
                problems.push(problem(POLICY, message, cure));
            }
        }
        Ok(problems)
    }

    /// Reports and verdicts do not belong into the history.
    fn artifacts(&self) -> Result<Vec<Problem>, ContractError> {
        let listed =
            self.git.output(&["ls-tree", "-r", "-z", "--name-only", "--full-tree", "HEAD"])?;
        let paths = String::from_utf8_lossy(&listed).into_owned();
        let is_artifact = |path: &&str| {
            let name = path.rsplit('/').next().unwrap_or_default();
            let made =
                ["perf_baseline_", "perf_replay_", "perf_verdict_", "perf_gate_", "perf_summary_"];
            let ends = [".json", ".log", ".md"];
            path.split('/').any(|part| part == "_artifacts")
                || (made.iter().any(|prefix| name.starts_with(prefix))
                    && ends.iter().any(|suffix| name.ends_with(suffix)))
        };
        let cure = "remove it: git rm --cached; link to where continuous integration keeps it";
        let problem = |path: &str| problem(path, "an artifact of a run is committed", cure);
        Ok(paths.split('\0').filter(is_artifact).map(problem).collect())
    }

    /// The paths that a diff names, relative to the contract's directory where they are in it.
    fn touched(&self, command: &[&str], what: &[&str]) -> Result<Vec<Touched>, GitError> {
        let options = ["-r", "-z", "--no-renames", "--name-status"];
        let arguments: Vec<&str> = command.iter().chain(&options).chain(what).copied().collect();
        let listed = self.git.output(&arguments)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let mut parts = listed.split('\0').filter(|part| !part.is_empty());
        let mut touched = Vec::new();
        while let (Some(status), Some(path)) = (parts.next(), parts.next()) {
            let path = path.strip_prefix(&self.prefix).unwrap_or(path).to_owned();
            touched.push(Touched { path, status: status.chars().next().unwrap_or('?') });
        }
        Ok(touched)
    }

    /// A file of the contract as a commit has it; `None` where it has none.
    fn file(&self, commit: &str, path: &str) -> Result<Option<String>, GitError> {
        match self.git.file(commit, path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(GitError::NoFile { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The record in a file; `None` where it has no head that can be read.
    fn record(&self, commit: &str, path: &str) -> Result<Option<Record>, GitError> {
        let head = self.file(commit, path)?.and_then(|text| page::head(&text));
        Ok(head.and_then(|head| parse(Path::new(path), head.as_bytes()).ok()))
    }

    /// The files in the directory of the records.
    fn records(&self, commit: &str) -> Result<Vec<String>, GitError> {
        let directory = format!("{}{RECORDS}/", self.prefix);
        let options = ["ls-tree", "-r", "-z", "--name-only", "--full-tree"];
        let listed = self.git.output(&[&options[..], &[commit, &directory]].concat())?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let paths = listed.split('\0').filter(|path| !path.is_empty());
        Ok(paths.map(|path| path.strip_prefix(&self.prefix).unwrap_or(path).to_owned()).collect())
    }
}

fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// Some of many names.
fn some(names: &[&str]) -> String {
    let shown: Vec<_> = names.iter().take(3).copied().collect();
    let more = names.len() - shown.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
