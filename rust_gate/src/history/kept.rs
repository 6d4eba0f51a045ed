//! What is kept of a run, and nothing of it grows with what was measured.

use std::collections::hash_map::DefaultHasher;
use std::hash::Hasher as _;

use cp1_format::{
    Against, Amount, Head, Judgement, Load, Metric, Metrics, Problem, RunStatus, Timestamp,
    Verdict, read_file, read_head,
};

use super::runs::Run;
use crate::judge::notices::PLANTED_FAULT;
use crate::read::inputs::refusal;

/// A run, as far as a trend needs it. A copy of bytes, so that it holds nothing of the files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Kept {
    /// When it began, in nanoseconds after the beginning of 1970.
    pub began_ns: i128,
    /// The commit.
    pub commit: Option<[u8; 20]>,
    /// The figures, in the order of [`Metric::ALL`].
    pub figures: [Option<f64>; Metric::ALL.len()],
    /// How far each is from the frozen commit's.
    pub changes: [Option<Change>; Metric::ALL.len()],
    /// Which machine, emulator, tools and load; `None` where no report says.
    pub conditions: Option<u64>,
    /// Which adapter; `None` where no report says.
    pub adapter: Option<u64>,
}

/// Of ten thousand runs some megabytes.
const _: () = assert!(size_of::<Kept>() <= 512);

/// How far a figure is from the frozen one, in percent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Change {
    /// The change.
    pub pct: f64,
    /// What it was compared with.
    pub against: Against,
}

/// Why a run is no point of a trend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Omission {
    /// It failed, was stopped, or the tests that measured did.
    DidNotEndWell,
    /// A fault was planted.
    PlantedFault,
    /// Nothing is left of the candidate.
    NoCandidate,
    /// The same report is there already.
    Twice,
    /// It measured another router.
    OtherAdapter,
}

impl Omission {
    /// In a table.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::DidNotEndWell => "the run failed, was stopped, or its tests failed",
            Self::PlantedFault => "measured with a planted fault",
            Self::NoCandidate => "no report or verdict tells of the candidate",
            Self::Twice => "the same report a second time",
            Self::OtherAdapter => "measured through another adapter than the newest report",
        }
    }
}

/// What reading a run came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Looked {
    /// A point.
    Kept(Box<Kept>),
    /// None, for this reason.
    LeftOut(Omission),
}

/// Reads the heads of a run's reports, and its verdict.
///
/// # Errors
/// A file cannot be read: what it says is unknown, so it is not left out either.
pub fn read(run: &Run) -> Result<Looked, Problem> {
    let head = |path: &Option<std::path::PathBuf>| {
        path.as_ref().map(|path| read_head(path).map_err(|error| refusal(path, &error))).transpose()
    };
    let (candidate, replay) = (head(&run.candidate)?, head(&run.replay)?);
    let verdict: Option<Verdict> = run
        .verdict
        .as_ref()
        .map(|path| read_file(path).map_err(|error| refusal(path, &error)))
        .transpose()?;
    Ok(match (candidate, verdict) {
        (Some(candidate), verdict) => of_report(&candidate, replay.as_ref(), verdict.as_ref()),
        (None, Some(verdict)) => of_verdict(&verdict),
        (None, None) => Looked::LeftOut(Omission::NoCandidate),
    })
}

fn of_report(candidate: &Head, replay: Option<&Head>, verdict: Option<&Verdict>) -> Looked {
    if candidate.run.planted_fault.is_some() {
        return Looked::LeftOut(Omission::PlantedFault);
    }
    let ended_well = |head: &Head| {
        !matches!(head.run.status, Some(RunStatus::Failed | RunStatus::Unfinished))
            && head.run.ct_exit_code.is_none_or(|code| code == 0)
    };
    if !ended_well(candidate) {
        return Looked::LeftOut(Omission::DidNotEndWell);
    }
    let replay =
        replay.filter(|replay| ended_well(replay) && replay.timestamp == candidate.timestamp);
    let figures = figures(&candidate.metrics);
    let of_replay = replay.map(|replay| self::figures(&replay.metrics));
    let changes = Metric::ALL.map(|metric| {
        let judged = verdict.and_then(|verdict| change(verdict, metric));
        judged.or_else(|| {
            let of_replay = of_replay.as_ref().filter(|_| !metric.is_count())?;
            let (from, to) = (of(of_replay, metric)?, of(&figures, metric)?);
            let pct = (to / from - 1.0) * 100.0;
            pct.is_finite().then_some(Change { pct, against: Against::Replay })
        })
    });
    Looked::Kept(Box::new(Kept {
        began_ns: candidate.timestamp.unix_ns(),
        commit: candidate.git.commit.as_deref().and_then(hash_of),
        figures,
        changes,
        conditions: Some(conditions(candidate)),
        adapter: candidate.load.as_ref().map(|load| digest(&load.adapter)),
    }))
}

fn of_verdict(verdict: &Verdict) -> Looked {
    let candidate = &verdict.inputs.candidate;
    let timestamp = candidate.timestamp.as_deref().and_then(Timestamp::parse);
    let Some(timestamp) = timestamp.filter(|_| !verdict.rules.is_empty()) else {
        return Looked::LeftOut(Omission::NoCandidate);
    };
    if verdict.notices.iter().any(|notice| notice.0.starts_with(PLANTED_FAULT)) {
        return Looked::LeftOut(Omission::PlantedFault);
    }
    let rules = || verdict.rules.iter();
    let figure =
        |metric| rules().find(|rule| rule.metric == metric)?.candidate.as_ref().map(approximate);
    Looked::Kept(Box::new(Kept {
        began_ns: timestamp.unix_ns(),
        commit: candidate.commit.as_deref().and_then(hash_of),
        figures: Metric::ALL.map(figure),
        changes: Metric::ALL.map(|metric| change(verdict, metric)),
        conditions: None,
        adapter: None,
    }))
}

/// The change that a verdict saw: its estimate over blocks, else that of the figures; none where it could not
/// be judged.
fn change(verdict: &Verdict, metric: Metric) -> Option<Change> {
    let rule = verdict.rules.iter().find(|rule| rule.metric == metric)?;
    if rule.judgement == Judgement::NotJudged {
        return None;
    }
    let on_blocks = rule.on_blocks.as_ref().map(|blocks| &blocks.estimate_pct);
    let pct = on_blocks.or(rule.change_pct.as_ref())?.approximate();
    let against = match verdict.inputs.replay {
        Some(_) => Against::Replay,
        None => Against::Frozen,
    };
    pct.is_finite().then_some(Change { pct, against })
}

fn figures(metrics: &Metrics) -> [Option<f64>; Metric::ALL.len()] {
    Metric::ALL.map(|metric| metrics.get(metric).map(approximate))
}

fn approximate(amount: &Amount) -> f64 {
    amount.approximate()
}

/// The entry of a metric.
#[must_use]
pub fn of<T: Copy>(by_metric: &[Option<T>; Metric::ALL.len()], metric: Metric) -> Option<T> {
    let known = Metric::ALL.iter().position(|known| *known == metric);
    known.and_then(|index| by_metric.get(index).copied().flatten())
}

/// Machine, emulator, tools and load, without what is drawn anew for each run.
fn conditions(head: &Head) -> u64 {
    let shape = |load: &Load| {
        let shape = load.shape().into_iter().filter(|(name, _)| *name != "load.arrivals");
        (shape.map(|(_, value)| value).collect::<Vec<_>>(), format!("{:?}", load.arrivals))
    };
    let watched = head.watched.as_ref().map(cp1_format::Watched::shape);
    let merged = head.merged.as_ref().map(|merged| (merged.machines.len(), merged.routers.name()));
    digest(&(format!("{:?}", head.env), head.load.as_ref().map(shape), watched, merged))
}

/// For finding out whether two are the same, within one run of this program.
fn digest(of: &impl std::hash::Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// The bytes of a hash in hexadecimal digits.
fn hash_of(text: &str) -> Option<[u8; 20]> {
    let mut hash = [0; 20];
    if text.len() != 2 * hash.len() || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(hash)
}

/// The hexadecimal digits of a hash.
#[must_use]
pub fn hexadecimal(hash: &[u8; 20]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
