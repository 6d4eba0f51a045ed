//! Who changed the lines of a function between two commits.

use std::collections::BTreeMap;
use std::time::Instant;

use cp1_format::{PlaceCommit, PlaceHistory};

use crate::escape::clip;
use crate::explain::source;
use crate::read::git::{Entry, Git, GitError};

/// Most commits of a function.
const COMMITS_MAX: usize = 10;

/// Longest subject that is kept, in characters.
const SUBJECT_MAX_CHARS: usize = 200;

/// Where products of a build are, which somebody may have committed.
const BUILT: &str = "_build/";

/// The modules of a commit, and the commits since another.
#[derive(Debug)]
pub struct Sources<'a> {
    git: &'a Git,
    from: String,
    to: String,
    /// Path and entry by module.
    files: BTreeMap<String, (String, Entry)>,
}

impl<'a> Sources<'a> {
    /// Those of the directory that git is asked in.
    ///
    /// # Errors
    /// There is no such commit.
    pub fn of(git: &'a Git, from: &str, to: &str) -> Result<Self, GitError> {
        let (from, to) = (git.commit(from)?, git.commit(to)?);
        let listed = git.output(&["ls-tree", "-r", "-z", &to])?;
        let mut files = BTreeMap::new();
        for (path, entry) in Entry::of_tree(&String::from_utf8_lossy(&listed)) {
            let name = path.rsplit('/').next().unwrap_or_default();
            let Some(module) = name.strip_suffix(".erl") else { continue };
            if !entry.is_file() || path.contains(BUILT) {
                continue;
            }
            // Of several, as in tests of tests, the one that is least deep.
            let depth = |path: &str| (path.matches('/').count(), path.to_owned());
            let is_nearer = |(known, _): &(String, Entry)| depth(&path) < depth(known);
            if files.get(module).is_none_or(is_nearer) {
                files.insert(module.to_owned(), (path, entry));
            }
        }
        Ok(Self { git, from, to, files })
    }

    /// Who changed a function, by `module:function/arity`; where its lines are not found, who changed the
    /// module. `None` where the commit does not have it.
    #[must_use]
    pub fn history(&self, name: &str, deadline: Instant) -> Option<PlaceHistory> {
        let (module, function) = name.split_once(':')?;
        let (function, arity) = function.rsplit_once('/')?;
        let (path, entry) = self.files.get(module)?;
        let between = format!("{}..{}", self.from, self.to);
        let source = self.git.blob(&entry.blob, path).unwrap_or_default();
        let source = String::from_utf8_lossy(&source);
        let lines = arity.parse().ok().and_then(|arity| source::lines(&source, function, arity));
        let of_lines = lines.map(|(first, last)| format!("-L{first},{last}:{path}"));
        let which: Vec<&str> = match &of_lines {
            Some(lines) => vec![lines, &between],
            None => vec![&between, "--", path],
        };
        let mut command = vec!["git".to_owned(), "log".to_owned()];
        if of_lines.is_none() {
            command.push("--patch".to_owned());
        }
        command.extend(which.iter().map(|word| quoted(word)));
        let most = format!("--max-count={COMMITS_MAX}");
        let ask = [
            "log",
            "--no-patch",
            "--no-ext-diff",
            "--no-textconv",
            "--no-show-signature",
            "--no-mailmap",
            "--no-color",
            "-z",
            &most,
            "--format=%H%x00%ad%x00%s",
            "--date=short",
        ];
        let printed = self.git.output_until(&[ask.as_slice(), &which].concat(), deadline);
        let printed = printed.ok().flatten().unwrap_or_default();
        let printed = String::from_utf8_lossy(&printed);
        let fields: Vec<&str> = printed.split('\0').collect();
        let commit = |fields: &[&str]| match fields {
            [hash, date, subject] => Some(PlaceCommit {
                commit: hash.trim().to_owned(),
                date: (*date).to_owned(),
                subject: clip(subject.trim(), SUBJECT_MAX_CHARS),
            }),
            _ => None,
        };
        let commits = fields.chunks(3).filter_map(commit).take(COMMITS_MAX).collect();
        Some(PlaceHistory { command: command.join(" "), commits })
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,@+".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
