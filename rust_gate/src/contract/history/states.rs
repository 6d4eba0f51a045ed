//! What each commit has of the contract, read once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use cp1_format::{Digest, Policy, Record, parse};

use crate::contract::{BASELINE, Contract, ContractError, POLICY, RECORDS, digest, page, problem};
use crate::read::git::{Entry, Git, GitError};

/// What a commit has of the contract, by paths that count from the contract's directory.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) files: BTreeMap<String, Entry>,
    /// Whether there is a record with a head, so that the rules hold from here on.
    pub(super) has_begun: bool,
}

impl State {
    pub(super) fn records(&self) -> impl Iterator<Item = (&String, &Entry)> {
        self.files.iter().filter(|(path, _)| is_record(path))
    }
}

pub(super) fn is_record(path: &str) -> bool {
    path.strip_prefix(RECORDS).is_some_and(|rest| rest.starts_with('/'))
}

/// A commit of the span.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) hash: String,
    pub(super) parents: Vec<String>,
    /// What differs from its first parent.
    pub(super) touched: Vec<Touched>,
}

/// A path of the contract that a commit changed, and how.
#[derive(Debug, Clone)]
pub(super) struct Touched {
    pub(super) path: String,
    pub(super) status: char,
}

/// What the commits are compared with.
pub(super) struct Target {
    pub(super) commit: String,
    /// The last commits that both sides have.
    pub(super) bases: Vec<String>,
}

/// A repository, and what was read of it.
pub(super) struct History {
    pub(super) git: Git,
    /// The contract's directory, counted from the root of the repository.
    pub(super) prefix: String,
    pub(super) head: String,
    states: BTreeMap<String, Rc<State>>,
    records: BTreeMap<String, Option<Rc<Record>>>,
    digests: BTreeMap<String, Option<Digest>>,
}

impl History {
    pub(super) fn of(contract: &Contract) -> Result<Self, GitError> {
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

    pub(super) fn target(&self, revision: &str) -> Result<Target, ContractError> {
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
    pub(super) fn walk(&mut self, target: Option<&Target>) -> Result<Vec<Commit>, ContractError> {
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
    pub(super) fn state(&mut self, commit: &str) -> Result<Rc<State>, GitError> {
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

    pub(super) fn head_state(&mut self) -> Result<Rc<State>, GitError> {
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
    pub(super) fn text(&self, path: &str, entry: &Entry) -> Result<Option<String>, GitError> {
        if !entry.is_file() {
            return Ok(None);
        }
        let bytes = self.git.blob(&entry.blob, path)?;
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }

    /// The record in a file; `None` where it has no head that can be read.
    pub(super) fn record(
        &mut self,
        path: &str,
        entry: &Entry,
    ) -> Result<Option<Rc<Record>>, GitError> {
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
    pub(super) fn digest(
        &mut self,
        path: &str,
        entry: Option<&Entry>,
    ) -> Result<Option<Digest>, GitError> {
        let Some(entry) = entry else { return Ok(None) };
        if let Some(digest) = self.digests.get(&entry.blob) {
            return Ok(digest.clone());
        }
        let digest = self.text(path, entry)?.and_then(|text| digest::of_json(&text).ok());
        self.digests.insert(entry.blob.clone(), digest.clone());
        Ok(digest)
    }

    pub(super) fn has(&self, commit: &str, file: &str) -> Result<bool, GitError> {
        Ok(!self.git.output(&["ls-tree", "-z", commit, "--", file])?.is_empty())
    }

    pub(super) fn policy(&self, state: &State) -> Result<Option<Policy>, GitError> {
        let Some(entry) = state.files.get(POLICY) else { return Ok(None) };
        let text = self.text(POLICY, entry)?;
        Ok(text.and_then(|text| parse(Path::new(POLICY), text.as_bytes()).ok()))
    }
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
