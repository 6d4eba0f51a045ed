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

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use cp1_format::{Digest, Policy, Problem, Record, RecordKind, Waivers, parse};

use super::{
    BASELINE, Contract, ContractError, Found, POLICY, RECORDS, WAIVERS, ci_files, digest, loosened,
    owned, page, problem,
};
use crate::read::git::{Entry, Git, GitError};

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
pub fn look(contract: &Contract, span: Span<'_>) -> Result<Found, ContractError> {
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
    Ok(Found { problems, notes })
}

/// What a revision has of the contract and this history has not kept, however they are related.
///
/// # Errors
/// The history cannot be read.
pub fn kept(contract: &Contract, revision: &str) -> Result<Vec<Problem>, ContractError> {
    let mut history = History::of(contract)?;
    let commit = history.git.commit(revision)?;
    let (before, here) = (history.state(&commit)?, history.head_state()?);
    Ok(gone(&before, &here))
}

/// What a commit has of the contract, by paths that count from the contract's directory.
#[derive(Debug, Clone, Default)]
struct State {
    files: BTreeMap<String, Entry>,
    /// Whether there is a record with a head, so that the rules hold from here on.
    has_begun: bool,
}

impl State {
    fn records(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.files.iter().filter(|(path, _)| is_record(path))
    }
}

fn is_record(path: &str) -> bool {
    path.strip_prefix(RECORDS).is_some_and(|rest| rest.starts_with('/'))
}

/// A commit of the span.
#[derive(Debug)]
struct Commit {
    hash: String,
    parents: Vec<String>,
    /// What differs from its first parent.
    touched: Vec<Touched>,
}

/// A path of the contract that a commit changed, and how.
#[derive(Debug, Clone)]
struct Touched {
    path: String,
    status: char,
}

/// What the commits are compared with.
struct Target {
    commit: String,
    /// The last commits that both sides have.
    bases: Vec<String>,
}

/// A repository, and what was read of it.
struct History {
    git: Git,
    /// The contract's directory, counted from the root of the repository.
    prefix: String,
    head: String,
    states: BTreeMap<String, Rc<State>>,
    records: BTreeMap<String, Option<Rc<Record>>>,
    digests: BTreeMap<String, Option<Digest>>,
}

impl History {
    fn of(contract: &Contract) -> Result<Self, GitError> {
        let git = Git::at(contract.root());
        let prefix = git.text(&["rev-parse", "--show-prefix"])?;
        let head = git.commit("HEAD")?;
        Ok(Self {
            git,
            prefix,
            head,
            states: BTreeMap::new(),
            records: BTreeMap::new(),
            digests: BTreeMap::new(),
        })
    }

    fn target(&self, revision: &str) -> Result<Target, ContractError> {
        let commit = self.git.commit(revision)?;
        match self.git.text(&["merge-base", "--all", &commit, &self.head]) {
            Ok(bases) => Ok(Target { commit, bases: bases.lines().map(str::to_owned).collect() }),
            Err(GitError::Failed { .. }) if !self.cut()?.is_empty() => Err(shallow(revision)),
            Err(GitError::Failed { .. }) => {
                let message = "it has no commit in common with HEAD";
                let cure = "name the branch that this one came from";
                Err(ContractError::Refused(vec![problem(revision, message, cure)]))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The commits whose parents a shallow clone does not have.
    fn cut(&self) -> Result<BTreeSet<String>, GitError> {
        let file = self.git.text(&["rev-parse", "--git-path", "shallow"])?;
        let text = std::fs::read_to_string(self.git.path(&file)).unwrap_or_default();
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// The commits of the span, parents first. Their states are known then.
    fn walk(&mut self, target: Option<&Target>) -> Result<Vec<Commit>, ContractError> {
        let bases = target.map(|target| target.bases.as_slice()).unwrap_or_default();
        let without: Vec<String> = bases.iter().map(|base| format!("^{base}")).collect();
        let options = ["rev-list", "--topo-order", "--reverse", "--parents", self.head.as_str()];
        let arguments: Vec<&str> =
            options.into_iter().chain(without.iter().map(String::as_str)).collect();
        let listed = self.git.text(&arguments)?;
        // With the first parent alone: what a merge has of the others is found by their states.
        let pairs: String = listed
            .lines()
            .map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ") + "\n")
            .collect();
        let options = "diff-tree --stdin --always --root -r -z --raw --no-renames --no-abbrev --";
        let options: Vec<&str> = options.split(' ').chain([BASELINE, POLICY, RECORDS]).collect();
        let differences = self.git.output_of(&options, pairs)?;
        let mut differences = differences_of(&String::from_utf8_lossy(&differences));
        let cut = self.cut()?;
        let mut commits = Vec::new();
        for line in listed.lines() {
            let mut hashes = line.split(' ').map(str::to_owned);
            let Some(hash) = hashes.next() else { continue };
            if cut.contains(&hash) {
                return Err(shallow(&hash));
            }
            let parents: Vec<String> = hashes.collect();
            let mut state = match parents.first() {
                Some(parent) => self.state(parent)?,
                None => Rc::default(),
            };
            let mut touched = Vec::new();
            for (path, status, entry) in differences.remove(&hash).unwrap_or_default() {
                let path = path.strip_prefix(&self.prefix).unwrap_or(&path).to_owned();
                let files = &mut Rc::make_mut(&mut state).files;
                match status {
                    'D' => files.remove(&path),
                    _ => files.insert(path.clone(), entry),
                };
                touched.push(Touched { path, status });
            }
            if !touched.is_empty() {
                let has_begun = self.has_begun(&state.files)?;
                Rc::make_mut(&mut state).has_begun = has_begun;
            }
            self.states.insert(hash.clone(), state);
            commits.push(Commit { hash, parents, touched });
        }
        Ok(commits)
    }

    /// What a commit has of the contract.
    fn state(&mut self, commit: &str) -> Result<Rc<State>, GitError> {
        if let Some(state) = self.states.get(commit) {
            return Ok(Rc::clone(state));
        }
        let options = ["ls-tree", "-r", "-z", commit, "--", BASELINE, POLICY, RECORDS];
        let listed = self.git.output(&options)?;
        let files: BTreeMap<_, _> =
            Entry::of_tree(&String::from_utf8_lossy(&listed)).into_iter().collect();
        let state = Rc::new(State { has_begun: self.has_begun(&files)?, files });
        self.states.insert(commit.to_owned(), Rc::clone(&state));
        Ok(state)
    }

    fn head_state(&mut self) -> Result<Rc<State>, GitError> {
        self.state(&self.head.clone())
    }

    fn has_begun(&mut self, files: &BTreeMap<String, Entry>) -> Result<bool, GitError> {
        for (path, entry) in files.iter().filter(|(path, _)| is_record(path)) {
            if self.record(path, entry)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The text of a file; `None` of what is none.
    fn text(&self, path: &str, entry: &Entry) -> Result<Option<String>, GitError> {
        if !entry.is_file() {
            return Ok(None);
        }
        let bytes = self.git.blob(&entry.blob, path)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The record in a file; `None` where it has no head that can be read.
    fn record(&mut self, path: &str, entry: &Entry) -> Result<Option<Rc<Record>>, GitError> {
        if let Some(record) = self.records.get(&entry.blob) {
            return Ok(record.clone());
        }
        let head = self.text(path, entry)?.and_then(|text| page::head(&text));
        let record = head.and_then(|head| parse(Path::new(path), head.as_bytes()).ok());
        let record = record.map(Rc::new);
        self.records.insert(entry.blob.clone(), record.clone());
        Ok(record)
    }

    /// The digest of a JSON file; `None` of what is none.
    fn digest(&mut self, path: &str, entry: Option<&Entry>) -> Result<Option<Digest>, GitError> {
        let Some(entry) = entry else { return Ok(None) };
        if let Some(digest) = self.digests.get(&entry.blob) {
            return Ok(digest.clone());
        }
        let digest = self.text(path, entry)?.and_then(|text| digest::of_json(&text).ok());
        self.digests.insert(entry.blob.clone(), digest.clone());
        Ok(digest)
    }

    /// The rules for a commit with one parent, or none.
    fn of_commit(
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
    fn of_merge(&mut self, merge: &Commit, is_since: bool) -> Result<Vec<Problem>, ContractError> {
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

    /// The rules for all commits since a revision together, whatever the way there.
    fn since(&mut self, target: &Target) -> Result<Vec<Problem>, ContractError> {
        let (here, there) = (self.head_state()?, self.state(&target.commit)?);
        let mut landed = State::default();
        let mut problems = Vec::new();
        for base in &target.bases {
            let state = self.state(base)?;
            problems.extend(gone(&state, &here));
            landed.files.extend(state.files.clone());
        }
        for (path, entry) in here.records().filter(|(path, _)| !landed.files.contains_key(*path)) {
            let same_number = |other: &&String| number(other) == number(path);
            let cure = "rebase, remove this record, and write it again";
            match there.files.get(path) {
                Some(other) if other == entry => {}
                Some(_) => {
                    let message = "another record of this name has landed meanwhile";
                    problems.push(problem(path, message, cure));
                }
                None => {
                    let taken = there.records().map(|(path, _)| path).find(same_number);
                    if let Some(other) = taken {
                        let message = format!("{other} has landed meanwhile with the same number");
                        problems.push(problem(path, message, cure));
                    }
                }
            }
        }
        // What landed and stayed at the base, but was replaced on the way to the target.
        for (path, entry) in there.records() {
            let is_other = here.files.get(path).is_some_and(|is| is != entry);
            if is_other && landed.files.contains_key(path) {
                let message = "it is not the record that the revision has";
                problems.push(problem(path, message, "restore it from there"));
            }
        }
        let Some(base) = target.bases.first() else { return Ok(problems) };
        for file in [ci_files::GITLAB, ci_files::GITHUB] {
            if self.has(base, file)? && !self.has(&self.head, file)? {
                let message = "the file is gone, and with it the job that blocks";
                problems.push(problem(file, message, "restore it"));
            }
        }
        let at_base = self.state(base)?;
        if let (Some(before), Some(after)) = (self.policy(&at_base)?, self.policy(&here)?) {
            let looser = loosened::loosened(&before, &after);
            let mut is_recorded = false;
            for (path, entry) in
                here.records().filter(|(path, _)| !landed.files.contains_key(*path))
            {
                let record = self.record(path, entry)?;
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

    fn has(&self, commit: &str, file: &str) -> Result<bool, GitError> {
        Ok(!self.git.output(&["ls-tree", "-z", commit, "--", file])?.is_empty())
    }

    fn policy(&self, state: &State) -> Result<Option<Policy>, GitError> {
        let Some(entry) = state.files.get(POLICY) else { return Ok(None) };
        let text = self.text(POLICY, entry)?;
        Ok(text.and_then(|text| parse(Path::new(POLICY), text.as_bytes()).ok()))
    }

    /// The waivers that neither the revision nor what came before has.
    fn waivers_since(&self, target: &Target) -> Result<Vec<String>, ContractError> {
        let mut before = Vec::new();
        for commit in target.bases.iter().chain([&target.commit]) {
            before.extend(self.waivers(commit)?);
        }
        let here = self.waivers(&self.head)?;
        let new = here.into_iter().filter(|waiver| !before.contains(waiver));
        let told = |waiver: cp1_format::Waiver| {
            let is_changed = before.iter().any(|other| other.metric == waiver.metric);
            let how = if is_changed { "changed" } else { "new" };
            format!(
                "{WAIVERS}: a waiver of {} is {how}: up to {} % until {}, {}, because {}",
                waiver.metric, waiver.ceiling_pct, waiver.expires, waiver.issue, waiver.reason
            )
        };
        Ok(new.map(told).collect())
    }

    /// Those that a commit has; a list that its reader refuses is found in the files.
    fn waivers(&self, commit: &str) -> Result<Vec<cp1_format::Waiver>, GitError> {
        let listed = self.git.output(&["ls-tree", "-z", commit, "--", WAIVERS])?;
        let entries = Entry::of_tree(&String::from_utf8_lossy(&listed));
        let Some((_, entry)) = entries.first() else { return Ok(Vec::new()) };
        let text = self.text(WAIVERS, entry)?;
        let list = text.and_then(|text| parse::<Waivers>(Path::new(WAIVERS), text.as_bytes()).ok());
        Ok(list.map(|list| list.waivers).unwrap_or_default())
    }

    /// What changed since the revision by which a measurement, or what is judged by it, can be faked.
    fn owned_since(&self, target: &Target) -> Result<Vec<String>, ContractError> {
        let Some(base) = target.bases.first() else { return Ok(Vec::new()) };
        let options = ["diff-tree", "-r", "-z", "--name-only", "--no-renames", base, &self.head];
        let listed = self.git.output(&options)?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let paths = listed.split('\0').map(|path| path.strip_prefix(&self.prefix).unwrap_or(path));
        // Baseline, policy and records have rules of their own.
        let has_rules = |path: &str| matches!(path, BASELINE | POLICY) || is_record(path);
        let changed: Vec<&str> = paths.filter(|path| !has_rules(path)).collect();
        let told = |pattern: &str| {
            let is_it = |path: &&str| owned::is_of(pattern, path);
            let names: Vec<_> = changed.iter().copied().filter(is_it).map(str::to_owned).collect();
            let names = Some(some(&names)).filter(|_| !names.is_empty())?;
            Some(format!("changed, and can fake a measurement or its judging: {names}"))
        };
        Ok(owned::OWNED.into_iter().chain(owned::TOOL).filter_map(told).collect())
    }

    /// Reports and verdicts do not belong into the history, nor does what is built.
    fn artifacts(&self) -> Result<Vec<Problem>, ContractError> {
        let options = ["ls-tree", "-r", "-z", "--name-only", "--full-tree", &self.head];
        let listed = self.git.output(&options)?;
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
        let artifact = |path: &str| problem(path, "an artifact of a run is committed", cure);
        let in_project = paths.split('\0').filter_map(|path| path.strip_prefix(&self.prefix));
        let in_project: Vec<&str> = in_project.collect();
        let built = owned::built_of(&in_project).map(|path| {
            let message =
                "a build product is committed, and would be measured for what is compiled";
            problem(
                path,
                message,
                "remove it: git rm -r --cached, and add its directory to .gitignore",
            )
        });
        let artifacts = paths.split('\0').filter(is_artifact).map(artifact);
        Ok(artifacts.chain(built).collect())
    }
}

/// The records of one state that another one does not have as they are.
fn gone(before: &State, here: &State) -> Vec<Problem> {
    let cure = "restore it; a record is corrected by a further record";
    let of_record = |(path, entry): (&String, &Entry)| match here.files.get(path) {
        Some(is) if is == entry => None,
        Some(_) => Some(problem(path, "a record that has landed was replaced", cure)),
        None => Some(problem(path, "a record that has landed is gone", cure)),
    };
    before.records().filter_map(of_record).collect()
}

/// What `diff-tree --stdin -z --raw` printed: by commit, each path with its status and what is there
/// now.
fn differences_of(printed: &str) -> BTreeMap<String, Vec<(String, char, Entry)>> {
    let mut all: BTreeMap<String, Vec<(String, char, Entry)>> = BTreeMap::new();
    let mut commit = String::new();
    let mut parts = printed.split('\0').filter(|part| !part.is_empty());
    while let Some(part) = parts.next() {
        let Some(raw) = part.strip_prefix(':') else {
            commit = part.to_owned();
            continue;
        };
        let fields: Vec<&str> = raw.split(' ').collect();
        if let ([_, mode, _, blob, status], Some(path)) = (fields.as_slice(), parts.next()) {
            let entry = Entry { mode: (*mode).to_owned(), blob: (*blob).to_owned() };
            let status = status.chars().next().unwrap_or('?');
            all.entry(commit.clone()).or_default().push((path.to_owned(), status, entry));
        }
    }
    all
}

fn shallow(revision: &str) -> ContractError {
    let message = "this clone is shallow: commits that must be looked at may be missing";
    let cure =
        "deepen it: git fetch --unshallow; or look at the files alone: perf-gate verify --files";
    ContractError::Refused(vec![problem(revision, message, cure)])
}

/// The number in the name of a record.
fn number(path: &str) -> Option<&str> {
    path.get(RECORDS.len() + 1..RECORDS.len() + 5)
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
