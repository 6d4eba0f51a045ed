//! A run: from settings to sealed reports, and to a verdict that others make of them.
//!
//! Settings → build → bench, asked where it is → comparison → build of the frozen commit → bench, asked
//! to measure → looks ([`crate::judge`]) → sealed reports → check. Whatever fails on the way and is not
//! the router's is a [`RunError`]: the exit code 1 is a written verdict's alone.

pub mod bench;
pub mod bisect;
pub mod build;
pub mod child;
pub mod comparison;
mod explain;
pub mod explanation;
pub mod flame;
pub mod frozen;
pub mod gate;
mod host;
pub mod host_lock;
pub mod hygiene;
pub mod interrupt;
pub mod measure;
pub mod progress;
pub mod prove;
pub mod runner;
pub mod seal;
pub mod sessions;
pub mod variants;

use std::io;
use std::path::PathBuf;

use cp1_format::{Load, ReadError, Refused, Report, WriteError};

use crate::bisect::commits::RangeError;
use crate::cli::sources::SettingError;
use crate::prove::gates::SimulateError;
use crate::prove::kept::KeptError;
use crate::read::git::GitError;
use crate::run::comparison::NoCommit;
use crate::run::seal::SealError;

/// Why a run came to nothing. No verdict was reached.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A setting.
    #[error("{0}")]
    Setting(#[from] SettingError),
    /// No adapter is named.
    #[error("no adapter is named; set adapter in perf/perf_gate.toml, PERF_ADAPTER or --adapter")]
    NoAdapter,
    /// A search has no good end.
    #[error("there is no baseline whose commit would be the good end; name it with --good")]
    NoGood,
    /// A search has nothing to look at.
    #[error("the policy has no relative limit on what became worse; name another --metric")]
    NoLimit,
    /// What is kept is of another search.
    #[error("{} is a search of other commits; remove it to begin anew", .0.display())]
    OtherRange(PathBuf),
    /// An end measured nothing.
    #[error("the bad end {commit} cannot be measured, so nothing is searched: {why}")]
    EndNotMeasured {
        /// Which.
        commit: String,
        /// Why.
        why: String,
    },
    /// Variants that say nothing together.
    #[error("the variants cannot be compared: {0}")]
    Variants(String),
    /// There is nothing to search.
    #[error("{0}")]
    Range(#[from] RangeError),
    /// A replay measures.
    #[error("--compare=replay measures; leave --candidate out")]
    CandidateOfReplay,
    /// One machine cannot offer what several did.
    #[error(
        "the baseline is merged of several machines, and this is one: measure on each of them with perf-gate \
         bench, add the reports with perf-gate merge, and judge with perf-gate check"
    )]
    MergedBaseline,
    /// The node has one build of the router.
    #[error(
        "a node that runs already can replay nothing, and {0}; leave --attach out, or compare with a \
         baseline that was measured in this node, under the same load: perf-gate sessions --attach, and \
         --compare=frozen"
    )]
    AttachedReplay(String),
    /// Traffic of several nodes is several reports.
    #[error(
        "traffic is watched in one node; name one with --attach, and give each a report of its own"
    )]
    WatchedNodes,
    /// The policy wants fresh BEAMs.
    #[error(
        "this policy allows no report of a node that runs already; leave --attach out, set \
         gate.allow_attached in the policy, or measure without a verdict: perf-gate bench --attach"
    )]
    AttachedNotAllowed,
    /// A run reads these more than once.
    #[error(
        "a run reads baseline and policy again and again; `-` is for --candidate, or for perf-gate check"
    )]
    StandardInput,
    /// A report is there already.
    #[error("{} exists; a report is never overwritten", .0.display())]
    Exists(PathBuf),
    /// A path that JSON cannot say.
    #[error("the path {} is no UTF-8; name another directory", .0.display())]
    Path(PathBuf),
    /// The operating system refused.
    #[error("failed to {what} {}: {source}; check permissions and free space", path.display())]
    Io {
        /// What was to be done.
        what: &'static str,
        /// With what.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The host's lock cannot be had.
    #[error("failed to take the lock {}: {source}; {cure}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
        /// What to do about it.
        cure: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another benchmark runs.
    #[error("another benchmark holds {} and still runs after {seconds} s", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A build failed.
    #[error(
        "failed to build with `{command}` in {}: {problem}; see above, or set build in \
         perf/perf_gate.toml",
        directory.display()
    )]
    Build {
        /// The command.
        command: String,
        /// Where.
        directory: PathBuf,
        /// How it failed.
        problem: String,
    },
    /// Something stands where a build leaves its products.
    #[error(
        "{file} is committed in {}, where products of a build are, so it would be measured for what is \
         compiled; remove it: git rm -r --cached, and add its directory to .gitignore",
        project.display()
    )]
    TrackedBuild {
        /// Where.
        project: PathBuf,
        /// One of the files.
        file: String,
    },
    /// A build left nothing.
    #[error(
        "nothing compiled is at {globs} in {}; set code_path in perf/perf_gate.toml",
        directory.display()
    )]
    NoCode {
        /// Where.
        directory: PathBuf,
        /// What was looked for.
        globs: String,
    },
    /// The bench is not among what was compiled.
    #[error(
        "router_bench is neither at {globs} nor beside this program; add it to the project, or install \
         perf-gate with it"
    )]
    NoBench {
        /// What was looked for.
        globs: String,
    },
    /// No BEAM.
    #[error(
        "failed to start the bench with erl: {source}; see what it printed above, or install Erlang/OTP 25 or \
         newer"
    )]
    BenchNotStarted {
        /// What the operating system said.
        source: io::Error,
    },
    /// The bench of an installation was made for another BEAM.
    #[error(
        "this Erlang/OTP cannot load the bench: it was compiled by a newer one (see above); install \
         that Erlang/OTP, or install perf-gate again with this one"
    )]
    BenchNotLoaded,
    /// The BEAM of the bench ended.
    #[error("the bench has gone: {source}; see what it printed above")]
    BenchGone {
        /// What the operating system said.
        source: io::Error,
    },
    /// The bench does not speak the gate's language.
    #[error("{0}; bench and gate are of different versions: build both")]
    Answer(#[source] Box<ReadError>),
    /// The bench refuses the plan.
    #[error("the bench refuses the plan: {}", .0.problem)]
    Refused(Refused),
    /// A report cannot be sealed.
    #[error("{0}")]
    Seal(#[source] Box<SealError>),
    /// What is measured would be no commit.
    #[error(
        "the work tree of {} has changes that no commit has, so no commit is what would be measured; \
         commit or stash them",
        .0.display()
    )]
    Dirty(PathBuf),
    /// A file that is needed before anything is measured, or a report.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[source] Box<ReadError>),
    /// Gates of a proof.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// Gates are of another commit.
    #[error(
        "the gates in {} are not of this commit {commit}; name another --directory",
        directory.display()
    )]
    OtherCommit {
        /// Where they are.
        directory: PathBuf,
        /// The commit of the work tree.
        commit: String,
    },
    /// Gates have another fault.
    #[error(
        "in the gates in {} is planted {planted}, and now would be {wanted}; name another --directory",
        directory.display()
    )]
    OtherFault {
        /// Where they are.
        directory: PathBuf,
        /// What is in them.
        planted: String,
        /// What the policy asks for now.
        wanted: String,
    },
    /// Nothing that noise could mislead.
    #[error(transparent)]
    Limits(#[from] SimulateError),
    /// The adapter plants no such faults.
    #[error("what the policy asks for cannot be planted: {why}; plant nothing: --planted-gates=0")]
    NotPlanted {
        /// What the bench says.
        why: String,
    },
    /// One of several runs.
    #[error("a run measured nothing: {why}; remove the reason, then try again")]
    NothingMeasured {
        /// How it ended.
        why: String,
    },
    /// No two profiles.
    #[error("the builds could not be traced: {why}; remove the reason, then try again")]
    NotExplained {
        /// What the bench says.
        why: String,
    },
    /// A build under load for a profiler.
    #[error("the builds could not be put under load: {0}")]
    NotLoaded(String),
    /// Baseline or policy; a check says why.
    #[error("baseline or policy cannot be read; see perf-gate lint")]
    Unread,
    /// A verdict has no JSON form or cannot be written.
    #[error(transparent)]
    Verdict(#[from] WriteError),
    /// A git command.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is no frozen commit.
    #[error("{0}")]
    Baseline(#[from] NoCommit),
    /// No repository.
    #[error(
        "this is no git repository, so the frozen commit {0} cannot be replayed; clone the \
         repository, or compare with frozen numbers: PERF_COMPARE=frozen"
    )]
    NoRepository(String),
    /// The frozen commit is not here.
    #[error("{}", no_commit(commit, *is_shallow))]
    NoCommit {
        /// The commit.
        commit: String,
        /// Whether the clone is shallow.
        is_shallow: bool,
    },
    /// A baseline that contradicts the repository.
    #[error("the baseline's tree {tree} is not that of its commit {commit}; freeze again")]
    OtherTree {
        /// The commit.
        commit: String,
        /// The tree.
        tree: String,
    },
    /// The router lives in an application that comes from the candidate.
    #[error(
        "the application at the root of the project needs router_bench, so nothing would be left to \
         replay; give the adapter an application of its own"
    )]
    NothingToReplay,
    /// A signal.
    #[error("interrupted")]
    Interrupted(u8),
}

/// For `map_err`.
/// The load of a baseline, if there is one that this machine can offer.
fn load_of(baseline: Option<&Report>) -> Result<Option<&Load>, RunError> {
    match baseline {
        Some(Report { merged: Some(_), .. }) => Err(RunError::MergedBaseline),
        baseline => Ok(baseline.and_then(|baseline| baseline.load.as_ref())),
    }
}

fn read(error: ReadError) -> RunError {
    RunError::Read(Box::new(error))
}

fn no_commit(commit: &str, is_shallow: bool) -> String {
    if is_shallow {
        format!(
            "this shallow clone does not have the frozen commit {commit}; deepen it, then try \
             again:\n  git fetch --unshallow        or    git fetch origin {commit}"
        )
    } else {
        format!(
            "this repository does not have the frozen commit {commit}; fetch it, then try again:\n  \
             git fetch origin {commit}"
        )
    }
}
