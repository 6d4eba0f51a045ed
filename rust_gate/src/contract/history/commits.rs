//! The rules for each commit by itself.

use std::collections::BTreeMap;
use std::rc::Rc;

use cp1_format::{Digest, Problem, RecordKind};

use super::states::{Commit, History, State, Target, Touched, is_record};
use super::{short, some};
use crate::contract::{BASELINE, ContractError, POLICY, problem};
use crate::read::git::{Entry, GitError};

impl History {
    /// The rules for a commit with one parent, or none.
    pub(super) fn of_commit(
        &mut self,
        commit: &Commit,
        target: Option<&Target>,
    ) -> Result<Vec<Problem>, ContractError> {
        let before = match commit.parents.first() {
            Some(parent) => self.state(parent)?,
            None => Rc::default(),
        };
        let after = self.state(&commit.hash)?;
        // A history may begin with a contract, as that of a copied project does.
        let is_first = commit.parents.is_empty() && target.is_none();
        let is_bound = target.is_some() || before.has_begun || (after.has_begun && !is_first);
        if commit.touched.is_empty() || !is_bound {
            return Ok(Vec::new());
        }
        let mut problems = Vec::new();
        let mut add = |file: &str, message: String, cure: &str| {
            let message = format!("commit {}: {message}", short(&commit.hash));
            problems.push(problem(file, message, cure));
        };
        let (records, _): (Vec<_>, Vec<_>) =
            commit.touched.iter().partition(|touched| is_record(&touched.path));
        let has_landed = |path: &String, states: &[Rc<State>]| {
            states.iter().any(|state| state.files.contains_key(path))
        };
        let mut landed = Vec::new();
        for base in target.map(|target| target.bases.as_slice()).unwrap_or_default() {
            landed.push(self.state(base)?);
        }
        let mut written = Vec::new();
        for record in &records {
            if record.status == 'A' {
                if let Some(entry) = after.files.get(&record.path) {
                    written.extend(self.record(&record.path, entry)?);
                }
                continue;
            }
            let what = if record.status == 'D' { "removed or renamed" } else { "edited" };
            if has_landed(&record.path, &landed) {
                let cure = "restore it; a record is corrected by a further record";
                add(&record.path, format!("a record that has landed was {what}"), cure);
            } else if before.has_begun {
                let cure = "a record is written once: correct it by a further record, or, before it \
                            lands, in the commit that wrote it";
                add(&record.path, format!("a record was {what}"), cure);
            }
        }
        let is_explained = |path: &str, to: Option<&Digest>| {
            written.iter().any(|record| match path {
                POLICY => {
                    matches!(record.kind, RecordKind::Policy | RecordKind::Freeze)
                        && to == Some(&record.policy.after)
                }
                _ => record.kind != RecordKind::Policy && to == Some(&record.baseline.after),
            })
        };
        for (file, is_about_policy) in [(BASELINE, false), (POLICY, true)] {
            let Some(change) = commit.touched.iter().find(|touched| touched.path == file) else {
                continue;
            };
            if !after.files.get(file).is_some_and(Entry::is_file) {
                add(file, "the file was removed, renamed or made a link".into(), "restore it");
                continue;
            }
            // A repository begins with a policy among other things.
            let is_new = is_about_policy && change.status == 'A' && !before.has_begun;
            let others = self.others(commit, file)?;
            if !others.is_empty() && !is_new {
                let message = format!("it changed together with {}", some(&others));
                let cure = "commit it alone with its record, and merge without squashing";
                add(file, message, cure);
            }
            let is = self.digest(file, after.files.get(file))?;
            let was = self.digest(file, before.files.get(file))?;
            let is_same = is.is_some() && is == was;
            if !is_same && !is_new && !is_explained(file, is.as_ref()) {
                let (kind, cure) = match is_about_policy {
                    true => ("about the policy", "write it: perf-gate amend"),
                    false => ("of this baseline", "write it: perf-gate bump"),
                };
                add(file, format!("it changed without a record {kind}"), cure);
            }
        }
        Ok(problems)
    }

    /// What else a commit changed, but for the records that it wrote.
    fn others(&self, commit: &Commit, file: &str) -> Result<Vec<String>, GitError> {
        let options = "diff-tree --root --no-commit-id -r -z --name-only --no-renames";
        let options: Vec<&str> = options.split(' ').chain([commit.hash.as_str()]).collect();
        let listed = self.git.output(&options)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let is_written = |path: &str| {
            let is_it = |touched: &&Touched| touched.path == path && touched.status == 'A';
            is_record(path) && commit.touched.iter().any(|touched| is_it(&touched))
        };
        let paths = listed.split('\0').filter(|path| !path.is_empty());
        let paths = paths.map(|path| path.strip_prefix(&self.prefix).unwrap_or(path));
        Ok(paths.filter(|path| *path != file && !is_written(path)).map(str::to_owned).collect())
    }

    /// The rules for a merge: it keeps every record of every parent, and adds none; its baseline and
    /// policy are those of a parent, and of the last record.
    pub(super) fn of_merge(
        &mut self,
        merge: &Commit,
        is_since: bool,
    ) -> Result<Vec<Problem>, ContractError> {
        let after = self.state(&merge.hash)?;
        let mut parents = Vec::new();
        for parent in &merge.parents {
            parents.push((parent, self.state(parent)?));
        }
        let is_bound = |state: &State| is_since || state.has_begun;
        if !parents.iter().any(|(_, state)| is_bound(state)) {
            return Ok(Vec::new());
        }
        let mut found = BTreeMap::new();
        for (parent, state) in parents.iter().filter(|(_, state)| is_bound(state)) {
            for (path, entry) in state.records() {
                let message = match after.files.get(path) {
                    Some(is) if is == entry => continue,
                    Some(_) => "it is not the record that its parent has",
                    None => "a record that its parent has is gone",
                };
                let cure = "merge again and keep the records of all sides; records with one number: \
                            rebase, and write the own one again";
                let message = format!("{message}, {}", short(parent));
                found.entry(path.clone()).or_insert((message, cure));
            }
        }
        let again = "merge again and take one side; then bump, rollback or amend on top";
        for path in after.records().map(|(path, _)| path) {
            if parents.iter().all(|(_, state)| !state.files.contains_key(path)) {
                let message = "it is not what either parent has".to_owned();
                found.insert(path.clone(), (message, again));
            }
        }
        let mut last = None;
        for (path, entry) in after.records() {
            last = self.record(path, entry)?.or(last);
        }
        for (file, is_about_policy) in [(BASELINE, false), (POLICY, true)] {
            let is = after.files.get(file);
            let of_parents: Vec<_> =
                parents.iter().map(|(_, state)| state.files.get(file)).collect();
            let was_removed = is.is_none() && of_parents.iter().all(Option::is_some);
            if was_removed || !of_parents.contains(&is) {
                let message = "it is not what either parent has".to_owned();
                found.insert(file.to_owned(), (message, again));
                continue;
            }
            let Some(last) = &last else { continue };
            let change = if is_about_policy { &last.policy } else { &last.baseline };
            if self.digest(file, is)?.as_ref() != Some(&change.after) {
                let message =
                    format!("it is not the one that record {:04} ended with", last.number);
                let cure = "merge again and take it from the side that has the last record";
                found.insert(file.to_owned(), (message, cure));
            }
        }
        let named = |(file, (message, cure)): (String, (String, &str))| {
            problem(file, format!("merge {}: {message}", short(&merge.hash)), cure)
        };
        Ok(found.into_iter().map(named).collect())
    }
}
