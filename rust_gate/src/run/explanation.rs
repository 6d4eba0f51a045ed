//! `perf-gate explain`, and the same by itself after a regression: both builds do the same requests under
//! trace, in BEAMs of their own, and what they did is compared. No verdict is changed by it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cp1_format::{
    Described, ExplainedBuild, Explanation, FrozenBuild, PlaceKind, Plan, Profiles, Report,
    read_file,
};

use crate::artifacts;
use crate::cli::settings;
use crate::cli::sources::CommandLine;
use crate::contract::BASELINE;
use crate::explain::{Explained, explanation};
use crate::read::git::Git;
use crate::read::lines::Sources;
use crate::run::comparison::commit;
use crate::run::explain::profiles;
use crate::run::host::{Host, absolute, is_writable, listen, stamp};
use crate::run::progress::Progress;
use crate::run::{RunError, host_lock, load_of, read};

/// Seed of the requests where none is given.
const SEED: u64 = 1;

/// Less is not begun with: two BEAMs boot, and route some passes each.
const LEAST: Duration = Duration::from_secs(30);

/// Functions whose commits are looked for, and how long git may take for all of them.
const HISTORIES_MAX: usize = 5;
const HISTORIES: Duration = Duration::from_secs(10);

/// Explains the work tree, and writes the explanation among the artifacts.
///
/// # Errors
/// [`RunError`]
pub fn explain(
    arguments: &settings::Explain,
    line: &CommandLine,
) -> Result<(Explanation, PathBuf), RunError> {
    let interrupt = listen()?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let settings = &arguments.settings;
    let host = Host { settings, attach: None, line, interrupt: &interrupt, progress: &progress };
    let directory = host.artifacts(&arguments.output);
    let baseline = arguments.baseline.clone().unwrap_or_else(|| settings.project.join(BASELINE));
    let baseline = match &arguments.good {
        None => Some(read_file::<Report>(&baseline).map_err(read)?),
        // Its load, where there is one.
        Some(_) => baseline.exists().then(|| read_file(&baseline)).transpose().map_err(read)?,
    };
    is_writable(&directory)?;
    let begun = Instant::now();
    let load = load_of(baseline.as_ref())?;
    let (_lock, path) = host.prepare()?;
    let mut plan = host.plan(Path::new(""), load, 1, arguments.fault.as_deref())?;
    let mut bench = host.bench(&path)?;
    let described = host.describe(&mut bench, &plan);
    bench.end();
    let described = described?;
    let good = match (&arguments.good, &baseline) {
        (Some(revision), _) => {
            Good { commit: Git::at(&settings.project).commit(revision)?, tree: None }
        }
        (None, Some(baseline)) => Good::of(baseline)?,
        (None, None) => return Err(RunError::Unread),
    };
    plan.replay = Some(host.frozen(&good.commit, good.tree.as_deref(), &described, &path)?);
    let limit = Duration::from_secs(settings.timeout_seconds);
    let left = limit.saturating_sub(begun.elapsed()).max(LEAST);
    let found = explained(&host, &path, plan, &described, left)?;
    let artifact = artifacts::explanation(&found, stamp())?;
    let file = directory.join(&artifact.name);
    cp1_format::write_atomically(&file, artifact.content.as_bytes())?;
    Ok((found, file))
}

/// The frozen commit.
struct Good {
    commit: String,
    tree: Option<String>,
}

impl Good {
    fn of(baseline: &Report) -> Result<Self, RunError> {
        Ok(Self { commit: commit(baseline)?.to_owned(), tree: baseline.git.tree.clone() })
    }
}

/// What a run has measured, as far as explaining it needs it.
#[derive(Debug)]
pub struct Measured {
    pub(super) path: Vec<PathBuf>,
    pub(super) plan: Plan,
    pub(super) described: Described,
    pub(super) baseline: Report,
    pub(super) begun: Instant,
}

/// Explains a regression in the time that is left. `None` where that was not to be, or did not work; why is
/// told.
pub(super) fn of_regression(
    host: &Host<'_>,
    arguments: &settings::Run,
    measured: Measured,
) -> Option<Explanation> {
    if arguments.no_explain {
        return None;
    }
    let limit = Duration::from_secs(host.settings.timeout_seconds);
    let left = limit.saturating_sub(measured.begun.elapsed());
    if left < LEAST {
        host.progress.say(&format!(
            "not explained: {} s are left, and it takes {} s; ask later: perf-gate explain",
            left.as_secs(),
            LEAST.as_secs()
        ));
        return None;
    }
    host.progress
        .say("REGRESSION; it is explained in the time that is left (not with --no-explain)");
    match in_time(host, measured, left) {
        Ok(found) => Some(found),
        Err(error) => {
            host.progress.complain(&format!("not explained: {error}"));
            None
        }
    }
}

fn in_time(host: &Host<'_>, measured: Measured, left: Duration) -> Result<Explanation, RunError> {
    let begun = Instant::now();
    let Measured { path, mut plan, described, baseline, .. } = measured;
    let _lock = host_lock::take(left, host.interrupt, host.progress)?;
    if plan.replay.is_none() {
        let good = Good::of(&baseline)?;
        let frozen = host.frozen(&good.commit, good.tree.as_deref(), &described, &path)?;
        plan.replay = Some(frozen);
    }
    let left = left.saturating_sub(begun.elapsed()).max(LEAST);
    explained(host, &path, plan, &described, left)
}

/// Asks, compares, and looks for the commits.
fn explained(
    host: &Host<'_>,
    path: &[PathBuf],
    mut plan: Plan,
    described: &Described,
    left: Duration,
) -> Result<Explanation, RunError> {
    let seed = *plan.seed.get_or_insert(SEED);
    plan.timeout_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    plan.report_file = String::new();
    if let Some(FrozenBuild { report_file, .. }) = &mut plan.replay {
        report_file.clear();
    }
    let measured: Profiles = profiles(host, path, &plan)?;
    let git = &described.report.git;
    let frozen = plan.replay.as_ref().map(|replay| replay.commit.clone());
    let sides = Explained {
        frozen: ExplainedBuild { commit: frozen, dirty: Some(false) },
        candidate: ExplainedBuild { commit: git.commit.clone(), dirty: git.dirty },
        seed,
    };
    let mut found = explanation(&measured, sides);
    add_histories(&mut found, &host.settings.project);
    Ok(found)
}

/// The commits of the first functions of the project. What git does not say, nobody misses.
fn add_histories(found: &mut Explanation, project: &Path) {
    let deadline = Instant::now() + HISTORIES;
    let (Some(from), Some(to)) = (&found.frozen.commit, &found.candidate.commit) else { return };
    if from == to {
        return;
    }
    let Ok(project) = absolute(project) else { return };
    let git = Git::at(&project);
    let Ok(sources) = Sources::of(&git, from, to) else { return };
    let is_it =
        |place: &&mut cp1_format::ExplainedPlace| place.kind == PlaceKind::Function && place.is_own;
    for place in found.places.iter_mut().filter(is_it).take(HISTORIES_MAX) {
        place.history = sources.history(&place.name, deadline);
    }
}
