//! From paths as typed to documents. Everything is read before anything is judged, and every file
//! that cannot be read is reported, not only the first.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::thread::{self, Scope, ScopedJoinHandle};

use cp1_format::{
    Document, Metric, Notice, Policy, Problem, ReadError, Report, Timestamp, Waivers, line_of,
    parse, read_file, read_head,
};

use crate::read::paths;
use crate::read::standard_input;
use crate::read::trusted::{self, Trusted, TrustedError};

/// The files of a check, as far as they could be read.
#[derive(Debug)]
pub struct Inputs {
    /// The frozen report.
    pub baseline: Source<Report>,
    /// The report under judgement.
    pub candidate: Source<Report>,
    /// The baseline's commit, measured again beside the candidate; `None` without a replay.
    pub replay: Option<Source<Report>>,
    /// The policy.
    pub policy: Source<Policy>,
    /// The line of the policy on which each rule begins.
    pub rule_lines: BTreeMap<Metric, u64>,
    /// Exceptions from it; `None` where there is no such file.
    pub waivers: Option<Source<Waivers>>,
    /// Why a document is missing; empty where all are there.
    pub problems: Vec<Problem>,
    /// How the candidate was chosen.
    pub notices: Vec<Notice>,
}

/// A file and what it says.
#[derive(Debug)]
pub struct Source<T> {
    /// Its path as resolved, or as typed where it could not be.
    pub path: String,
    /// What it says; `None` where it could not be read.
    pub document: Option<T>,
}

/// What a check is given.
#[derive(Debug, Clone, Copy)]
pub struct Files<'a> {
    /// The frozen report.
    pub baseline: &'a Path,
    /// The policy.
    pub policy: &'a Path,
    /// The revision whose baseline and policy count; `None` for those of the work tree.
    pub trusted_ref: Option<Trusted<'a>>,
    /// The waivers; without such a file there are none.
    pub waivers: Option<&'a Path>,
    /// Paths or globs.
    pub candidates: &'a [PathBuf],
    /// The report of the baseline's commit.
    pub replay: Option<&'a Path>,
    /// Whether the policy's plan for smoke runs counts.
    pub smoke: bool,
}

/// Reads baseline, policy and replay, and of the candidates the newest.
#[must_use]
pub fn read(files: &Files<'_>) -> Inputs {
    thread::scope(|scope| read_in(scope, files))
}

/// Reports are large, and parsed side by side. Their bytes are taken one after the other, so that of two
/// paths that mean standard input it is always the same that finds nothing there.
fn read_in<'scope>(scope: &'scope Scope<'scope, '_>, files: &Files<'_>) -> Inputs {
    let Files { baseline, policy, trusted_ref, waivers, candidates, replay, smoke } = *files;
    let beside = |taken: Taken| {
        scope.spawn(|| {
            let mut problems = Vec::new();
            (taken.parsed(&mut problems).0, problems)
        })
    };
    let frozen = beside(Taken::of::<Report>(baseline, trusted_ref));
    let mut of_contract = Vec::new();
    let (mut policy, bytes) =
        Taken::of::<Policy>(policy, trusted_ref).parsed::<Policy>(&mut of_contract);
    let rules = policy.document.iter().flat_map(|policy| policy.rules.keys().copied());
    let line = |metric: Metric| line_of(&bytes, &["rules".into(), metric.name().into()]);
    let rule_lines = rules.map(|metric| (metric, line(metric))).collect();
    if smoke {
        policy.document = policy.document.map(Policy::for_smoke);
    }
    let waivers = waivers
        .filter(|path| trusted::is_there(path, trusted_ref))
        .map(|path| Taken::of::<Waivers>(path, trusted_ref).parsed(&mut of_contract).0);
    let replay = replay.map(|path| beside(Taken::of::<Report>(path, None)));
    let (mut of_candidates, mut notices) = (Vec::new(), Vec::new());
    let matches = paths::named(candidates, &mut of_candidates);
    if let Ok(real) = baseline.canonicalize()
        && let Some(path) = matches.get(&real)
    {
        of_candidates.push(Problem {
            file: shown(path),
            place: None,
            message: "this file is the baseline and a candidate, so it would always pass".into(),
            cure: "give the report of a new run as candidate".into(),
        });
    }
    let candidate = newest(candidates, matches, &mut of_candidates, &mut notices);

    let (frozen, mut problems) = joined(frozen);
    if !trusted::is_there(baseline, trusted_ref) {
        for problem in &mut problems {
            problem.message = format!("there is no baseline yet ({})", problem.message);
            problem.cure = "measure sessions and freeze them: perf-gate freeze".into();
        }
    }
    problems.append(&mut of_contract);
    let replay = replay.map(|replay| {
        let (replay, mut of_replay) = joined(replay);
        problems.append(&mut of_replay);
        replay
    });
    problems.append(&mut of_candidates);
    Inputs { baseline: frozen, candidate, replay, policy, rule_lines, waivers, problems, notices }
}

/// What a thread found; its panic is that of whoever asks.
fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// A file whose bytes were taken, and are not parsed yet.
struct Taken {
    name: PathBuf,
    bytes: Result<(PathBuf, Vec<u8>), TrustedError>,
}

impl Taken {
    fn of<T: Document>(path: &Path, trusted_ref: Option<Trusted<'_>>) -> Self {
        let name = trusted::shown(path, trusted_ref);
        Self { name, bytes: trusted::bytes::<T>(path, trusted_ref) }
    }

    /// What it says, and the bytes that say it.
    fn parsed<T: Document>(self, problems: &mut Vec<Problem>) -> (Source<T>, Vec<u8>) {
        let Self { name, bytes } = self;
        let parsed = bytes.and_then(|(name, bytes)| Ok((parse(&name, &bytes)?, bytes)));
        let (document, bytes) = match parsed {
            Ok((document, bytes)) => (Some(document), bytes),
            Err(TrustedError::Read(error)) => {
                problems.push(refusal(&name, &error));
                (None, Vec::new())
            }
            Err(TrustedError::Git(error)) => {
                problems.push(Problem {
                    file: shown(&name),
                    place: None,
                    message: error.to_string(),
                    cure: "name a revision of this repository by its full name, such as refs/remotes/origin/main"
                        .into(),
                });
                (None, Vec::new())
            }
        };
        (Source { path: shown(&name), document }, bytes)
    }
}

pub(crate) fn refusal(path: &Path, error: &ReadError) -> Problem {
    Problem {
        file: shown(path),
        place: error.place(),
        message: error.problem(),
        cure: error.cure().to_owned(),
    }
}

pub(crate) fn shown(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The newest match. Of all only the head is read, which says when it was measured, and the newest then as
/// a whole. One whose head cannot be read might be the newest, so then nothing is kept; what is wrong
/// behind the head of an older one makes it no newer, and is not looked for.
fn newest(
    patterns: &[PathBuf],
    matches: BTreeMap<PathBuf, PathBuf>,
    problems: &mut Vec<Problem>,
    notices: &mut Vec<Notice>,
) -> Source<Report> {
    let typed: Vec<_> = patterns.iter().map(|pattern| shown(pattern)).collect();
    let none = Source { path: typed.join(", "), document: None };
    let mut paths: Vec<PathBuf> = matches.into_values().collect();
    paths.sort();
    let count = paths.len();
    if let [path] = paths.as_slice() {
        return match standard_input::file(path) {
            Ok(report) => Source { path: shown(path), document: Some(report) },
            Err(error) => {
                problems.push(refusal(path, &error));
                none
            }
        };
    }
    if let Some(path) = paths.iter().find(|path| standard_input::is_meant(path)) {
        problems.push(Problem {
            file: shown(path),
            place: None,
            message: "standard input is one candidate of several, and cannot be looked at twice"
                .into(),
            cure: "give it alone, or as a file".into(),
        });
        return none;
    }
    let mut newest: Option<(PathBuf, Timestamp)> = None;
    let mut equally_new = 1;
    let mut refused = false;
    for path in paths {
        match read_head(&path) {
            Ok(head) => {
                // Paths ascend: of equally new reports the greater path comes later and stays.
                match newest.as_ref().map(|(_, best)| head.timestamp.cmp(best)) {
                    Some(Ordering::Less) => continue,
                    Some(Ordering::Equal) => equally_new += 1,
                    Some(Ordering::Greater) | None => equally_new = 1,
                }
                newest = Some((path, head.timestamp));
            }
            Err(error) => {
                problems.push(refusal(&path, &error));
                refused = true;
            }
        }
    }
    let Some((path, timestamp)) = newest.filter(|_| !refused) else { return none };
    let report = match read_file::<Report>(&path) {
        Ok(report) if report.timestamp == timestamp => report,
        Ok(_) => {
            problems.push(Problem {
                file: shown(&path),
                place: Some("timestamp".into()),
                message: "the file changed while it was read".into(),
                cure: "judge when nothing measures, or name the report".into(),
            });
            return none;
        }
        Err(error) => {
            problems.push(refusal(&path, &error));
            return none;
        }
    };
    notices.push(Notice(format!(
        "{count} reports match; judged is the newest by its own timestamp, {}",
        path.display()
    )));
    if equally_new > 1 {
        notices.push(Notice(format!(
            "{equally_new} reports carry the newest timestamp {timestamp}; of these the greatest path is \
             judged"
        )));
    }
    Source { path: shown(&path), document: Some(report) }
}
