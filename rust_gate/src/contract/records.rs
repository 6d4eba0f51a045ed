//! The records as a chain: each names the digest of the one before, and begins with the baseline
//! that the one before ended with.
//!
//! Records from before there was a chain have no head. They may only come before the first that
//! has one, which names the digest of the last of them.

use std::path::{Path, PathBuf};

use cp1_format::{Date, Problem, Record, parse};

use super::{Contract, ContractError, RECORDS, digest, page, problem};

const RESTORE: &str = "restore it: git checkout <target branch> -- perf/bumps";

/// A file in the directory of the records.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its number, by its name.
    pub number: u32,
    /// Its head; `None` where it has none.
    pub record: Option<Record>,
    text: String,
}

/// All records, ascending, and what is wrong with them.
#[derive(Debug, Clone, Default)]
pub struct Chain {
    /// The records that could be read.
    pub entries: Vec<Entry>,
    /// Why they are no chain; empty where they are one.
    pub problems: Vec<Problem>,
}

impl Chain {
    /// Reads the directory. One that is missing has no record.
    ///
    /// # Errors
    /// The directory or a file in it cannot be read at all.
    pub fn read(contract: &Contract) -> Result<Self, ContractError> {
        let directory = contract.path(RECORDS);
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| ContractError::Io { path, source }
        };
        let mut paths: Vec<PathBuf> = match std::fs::read_dir(&directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            listed => listed
                .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
                .map_err(io(&directory))?,
        };
        paths.sort();
        let mut files = Vec::new();
        for path in paths {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, std::fs::read(&path).map_err(io(&path))?));
        }
        Ok(Self::of(files))
    }

    /// The chain that these files, sorted by name, are.
    #[must_use]
    pub fn of(files: Vec<(String, Vec<u8>)>) -> Self {
        let mut chain = Self::default();
        for (name, bytes) in files {
            match entry(&name, bytes) {
                Ok(entry) => chain.entries.push(entry),
                Err(problem) => chain.problems.push(problem),
            }
        }
        for (index, entry) in chain.entries.iter().enumerate() {
            let before = index.checked_sub(1).and_then(|index| chain.entries.get(index));
            chain.problems.extend(entry.problems(before));
        }
        chain
    }

    /// The records that have a head, ascending.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.entries.iter().filter_map(|entry| entry.record.as_ref())
    }

    /// The last record, if it has a head.
    #[must_use]
    pub fn last(&self) -> Option<&Record> {
        self.entries.last().and_then(|entry| entry.record.as_ref())
    }

    /// The number of the next record, and the digest of the last one as it will name it.
    #[must_use]
    pub fn next(&self) -> (u32, Option<cp1_format::Digest>) {
        let last = self.entries.last();
        (last.map_or(1, |entry| entry.number + 1), last.map(Entry::digest))
    }
}

fn entry(name: &str, bytes: Vec<u8>) -> Result<Entry, Problem> {
    let file = format!("{RECORDS}/{name}");
    let number = number(name).ok_or_else(|| {
        let cure = "remove it; records are written by perf-gate bump";
        problem(&file, "the name is not of the form NNNN-2026-01-31-words.md", cure)
    })?;
    let text =
        String::from_utf8(bytes).map_err(|_| problem(&file, "the record is not UTF-8", RESTORE))?;
    if text.starts_with('\u{feff}') {
        let cure = "save it without one, or restore it";
        return Err(problem(&file, "the record begins with a byte order mark", cure));
    }
    // A checkout may give every line the ends of its machine (core.autocrlf); the record stays the same.
    let text = text.replace("\r\n", "\n");
    let record = match page::head(&text) {
        None => None,
        Some(head) => {
            Some(parse::<Record>(Path::new(&file), head.as_bytes()).map_err(|error| Problem {
                file: file.clone(),
                place: error.place(),
                message: error.problem(),
                cure: RESTORE.to_owned(),
            })?)
        }
    };
    Ok(Entry { name: name.to_owned(), number, record, text })
}

/// The number that a record's name begins with; `None` where the name is not a record's.
fn number(name: &str) -> Option<u32> {
    let stem = name.strip_suffix(".md")?;
    let (number, rest) = stem.split_at_checked(4)?;
    let (date, slug) = rest.strip_prefix('-')?.split_at_checked(10)?;
    let slug = slug.strip_prefix('-')?;
    let is_slug = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let fits = number.bytes().all(|c| c.is_ascii_digit())
        && Date::parse(date).is_some()
        && !slug.is_empty()
        && slug.bytes().all(is_slug);
    number.parse().ok().filter(|number| fits && *number > 0)
}

impl Entry {
    fn digest(&self) -> cp1_format::Digest {
        digest::of_bytes(self.text.as_bytes())
    }

    fn file(&self) -> String {
        format!("{RECORDS}/{}", self.name)
    }

    /// What is wrong with this record after the one before it.
    fn problems(&self, before: Option<&Self>) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut add = |message: String, cure: &str| {
            problems.push(problem(self.file(), message, cure));
        };
        let expected = before.map_or(1, |before| before.number + 1);
        if self.number != expected {
            let cure = "write the record again with perf-gate, on top of the others";
            add(format!("this is number {}, and {expected:04} is next", self.number), cure);
        }
        let Some(record) = &self.record else {
            if before.is_some_and(|before| before.record.is_some()) {
                add("the record has no head".into(), "write it with perf-gate bump");
            }
            return problems;
        };
        if record.number != self.number || page::file_name(record) != self.name {
            add(format!("its head belongs to {}", page::file_name(record)), RESTORE);
        }
        if page::render(record).ok().as_ref() != Some(&self.text) {
            add("the page is not the one that its head gives".into(), RESTORE);
        }
        if record.previous != before.map(Self::digest) {
            add("the record before is not the one that this was written after".into(), RESTORE);
        }
        if let Some(last) = before.and_then(|before| before.record.as_ref()) {
            let continues = record.baseline.before.as_ref() == Some(&last.baseline.after)
                && record.policy.before.as_ref() == Some(&last.policy.after)
                && record.metrics_before.as_ref() == Some(&last.metrics_after);
            if !continues {
                add("it does not begin with what the record before ended with".into(), RESTORE);
            }
        }
        problems
    }
}
