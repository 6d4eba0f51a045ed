//! What a run has of its host: the lock, the build, the bench, and the places of its files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use cp1_format::{
    Amount, Attach, Described, Direction, Event, FrozenBuild, LimitKind, Load, Metric, Plan,
    Policy, Refused, Report, Request, Timestamp, read_file,
};

use crate::artifacts;
use crate::cli::settings::{AttachNodes, AttachTo, Output, Settings};
use crate::cli::sources::CommandLine;
use crate::contract::{POLICY, owned};
use crate::escape::plain;
use crate::read::git::{Git, GitError};
use crate::run::bench::Bench;
use crate::run::build::{Libraries, build, code_path, installed_bench};
use crate::run::comparison::commit;
use crate::run::frozen::{Frozen, frozen_build};
use crate::run::interrupt::Interrupt;
use crate::run::measure::{Measurement, Next, measure};
use crate::run::progress::Progress;
use crate::run::{RunError, child, host_lock};

/// How long the bench may take to say where it is.
const DESCRIBE: Duration = Duration::from_secs(60);

/// Where traffic is watched, nobody has to know how to make it.
const NO_ADAPTER: &str = "none";

/// What a run has of its host.
pub(super) struct Host<'a> {
    pub(super) settings: &'a Settings,
    /// Where it may be measured otherwise than in fresh BEAMs.
    pub(super) attach: Option<&'a AttachTo>,
    pub(super) line: &'a CommandLine,
    pub(super) interrupt: &'a Interrupt,
    pub(super) progress: &'a Progress,
}

impl Host<'_> {
    pub(super) fn artifacts(&self, output: &Output) -> PathBuf {
        let default = || self.settings.project.join(artifacts::DIRECTORY);
        output.artifacts.clone().unwrap_or_else(default)
    }

    /// That faults can be planted.
    pub(super) fn can_plant(&self, faults: &[String]) -> Result<(), RunError> {
        let (_lock, code_path) = self.prepare()?;
        let mut bench = self.bench(&code_path)?;
        let refused = faults.iter().try_for_each(|fault| {
            let plan = self.plan(Path::new(""), None, 1, Some(fault))?;
            self.describe(&mut bench, &plan).map(|_| ())
        });
        bench.end();
        child::end_orphans();
        refused
    }

    /// Measures the router alone, under the load of another report where one is given, and leaves a
    /// sealed report.
    pub(super) fn report(
        &self,
        report: &Path,
        load: Option<&Load>,
        blocks: u32,
        fault: Option<&str>,
    ) -> Result<Measurement, RunError> {
        if report.exists() {
            return Err(RunError::Exists(report.to_owned()));
        }
        let (_lock, code_path) = self.prepare()?;
        let bench = self.bench(&code_path)?;
        let plan = self.plan(report, load, blocks, fault)?;
        self.measure(bench, &plan, None, |_| Ok(Next::GoOn { look: plan.blocks }))
    }

    /// Starts the bench with what was compiled.
    pub(super) fn bench(&self, code_path: &[PathBuf]) -> Result<Bench, RunError> {
        let tls_options = self.attach.and_then(|to| to.attach_tls_file.as_deref());
        let tls_options = tls_options.map(readable).transpose()?;
        Bench::start(&self.settings.project, code_path, tls_options.as_deref(), self.interrupt)
    }

    /// Holds the host, compiles, and finds what was compiled.
    pub(super) fn prepare(&self) -> Result<(std::fs::File, Vec<PathBuf>), RunError> {
        let Settings { project, build: command, code_path: globs, .. } = self.settings;
        nothing_built_is_tracked(project)?;
        let limit = Duration::from_secs(self.settings.timeout_seconds);
        let lock = host_lock::take(limit, self.interrupt, self.progress)?;
        let what = "building router and bench";
        build(project, command, Libraries::Candidate, self.interrupt, self.progress, what)?;
        let directory = absolute(project)?;
        let mut path = code_path(&directory, globs);
        if path.is_empty() {
            return Err(RunError::NoCode { directory, globs: globs.clone() });
        }
        let has_bench = |path: &PathBuf| path.join("router_bench.beam").is_file();
        if !path.iter().any(has_bench) {
            path.extend(installed_bench());
        }
        if !path.iter().any(has_bench) {
            return Err(RunError::NoBench { globs: globs.clone() });
        }
        Ok((lock, path))
    }

    pub(super) fn plan(
        &self,
        report: &Path,
        load: Option<&Load>,
        blocks: u32,
        fault: Option<&str>,
    ) -> Result<Plan, RunError> {
        let settings = self.settings;
        let is_passive = self.attach.is_some_and(|to| to.passive.is_some());
        let given =
            |figure: fn(&Load) -> u64| load.and_then(|load| u32::try_from(figure(load)).ok());
        Ok(Plan {
            adapter: match &settings.adapter {
                Some(adapter) => adapter.clone(),
                None if is_passive => NO_ADAPTER.to_owned(),
                None => return Err(RunError::NoAdapter),
            },
            adapter_options: settings.adapter_options.clone(),
            erl_args: settings.erl_args.split_whitespace().map(ToOwned::to_owned).collect(),
            blocks,
            warmup_ms: settings.warmup_ms,
            throughput_ms: settings.throughput_ms,
            latency_ms: settings.latency_ms,
            slice_ms: settings.slice_ms,
            rate_per_second: settings.rate.or(given(|load| load.rate_per_second)),
            concurrency: settings.concurrency.or(given(|load| u64::from(load.concurrency))),
            nodes: settings.nodes.0.clone(),
            routers: settings.routers,
            distribution: settings.distribution,
            listen: settings.listen,
            arrivals: Some(settings.arrivals),
            keys: Some(settings.keys.distribution),
            key_exponent: settings.keys.exponent.clone(),
            key_count: settings.key_count,
            seed: settings.seed,
            callback_timeout_ms: settings.callback_timeout_ms,
            timeout_ms: settings.timeout_seconds * 1000,
            fault: fault.map(ToOwned::to_owned),
            outage_ms: settings.outage_ms,
            outage_tolerance_pct: settings.outage_ms.and_then(|_| self.tolerance()),
            report_file: text(report)?,
            attach: self.attach.map_or(Ok(None), attached)?,
            candidate: None,
            replay: None,
            variants: None,
        })
    }

    /// What the project's policy tolerates of a p95, where it has one that can be read; who judges by
    /// another says so.
    fn tolerance(&self) -> Option<Amount> {
        let policy = read_file(&self.settings.project.join(POLICY)).ok()?;
        tolerance(&policy)
    }

    pub(super) fn describe(&self, bench: &mut Bench, plan: &Plan) -> Result<Described, RunError> {
        bench.ask(&Request::Describe(plan.clone()))?;
        match bench.answer(Instant::now() + DESCRIBE, self.interrupt)? {
            Some(Event::Described(described)) => Ok(*described),
            Some(Event::Refused(refused)) => Err(self.refusal(plan, refused)),
            _ => Err(RunError::BenchGone { source: std::io::ErrorKind::TimedOut.into() }),
        }
    }

    /// In the words of whoever gave the setting.
    pub(super) fn refusal(&self, plan: &Plan, refused: Refused) -> RunError {
        let values = serde_json::to_value(plan).unwrap_or_default();
        let given = refused.option.as_ref().and_then(|option| {
            let flag = match option.as_str() {
                "rate_per_second" => "rate".to_owned(),
                "timeout_ms" => "timeout-seconds".to_owned(),
                other => other.replace('_', "-"),
            };
            let value = values.get(option)?;
            Some((flag, typed(value)))
        });
        match given {
            Some((flag, value)) => self.line.refusal(&flag, &value, &refused.problem).into(),
            None => RunError::Refused(refused),
        }
    }

    pub(super) fn measure(
        &self,
        bench: Bench,
        plan: &Plan,
        look: Option<u32>,
        after_block: impl FnMut(u32) -> Result<Next, RunError>,
    ) -> Result<Measurement, RunError> {
        let limit = Duration::from_secs(self.settings.timeout_seconds);
        self.progress.begins(plan.blocks, look);
        let ended = measure(bench, plan, limit, self.interrupt, self.progress, after_block);
        child::end_orphans();
        match ended {
            Err(RunError::Refused(refused)) => Err(self.refusal(plan, refused)),
            ended => ended,
        }
    }

    pub(super) fn replay(
        &self,
        baseline: &Report,
        described: &Described,
        candidate_path: &[PathBuf],
        report: &Path,
    ) -> Result<FrozenBuild, RunError> {
        let commit = commit(baseline)?;
        let tree = baseline.git.tree.as_deref();
        let frozen = self.frozen(commit, tree, described, candidate_path)?;
        Ok(FrozenBuild { report_file: text(report)?, ..frozen })
    }

    /// The build of a frozen commit, without a report.
    pub(super) fn frozen(
        &self,
        commit: &str,
        tree: Option<&str>,
        described: &Described,
        candidate_path: &[PathBuf],
    ) -> Result<FrozenBuild, RunError> {
        let project = absolute(&self.settings.project)?;
        let frozen = Frozen {
            project: &project,
            build: &self.settings.build,
            code_path: &self.settings.code_path,
            commit,
            tree,
            otp_release: &described.otp_release,
            bench_applications: &described.bench_applications,
            candidate_path,
        };
        Ok(FrozenBuild {
            lib_dir: text(&frozen_build(&frozen, self.interrupt, self.progress)?)?,
            report_file: String::new(),
            commit: commit.to_owned(),
            tree: tree.map(ToOwned::to_owned),
        })
    }
}

/// By how much a policy lets the p95 increase: within that a router has recovered.
pub(super) fn tolerance(policy: &Policy) -> Option<Amount> {
    let rule = policy.rules.get(&Metric::LatencyP95Ms)?;
    rule.limit(LimitKind::Change(Direction::Increase)).cloned()
}

/// The bench runs in the project, wherever this was typed.
fn attached(to: &AttachTo) -> Result<Option<Attach>, RunError> {
    let Some(AttachNodes(nodes)) = to.attach.clone() else { return Ok(None) };
    let cookie_file =
        to.attach_cookie_file.as_deref().map(|file| text(&absolute(file)?)).transpose()?;
    let (allow, passive) = (to.attach_allow.clone(), to.passive.clone());
    Ok(Some(Attach { nodes, cookie_file, allow, passive }))
}

/// Where a file is that another program is to read, elsewhere than here.
fn readable(file: &Path) -> Result<PathBuf, RunError> {
    let opened = std::fs::File::open(file);
    let read =
        opened.map_err(|source| RunError::Io { what: "read", path: file.to_owned(), source });
    read.and_then(|_| absolute(file))
}

pub(super) fn listen() -> Result<Interrupt, RunError> {
    child::adopt_orphans();
    Interrupt::listen().map_err(|source| RunError::Io {
        what: "listen to signals of",
        path: "this process".into(),
        source,
    })
}

/// That what is built cannot come from a commit: a frozen router that is built already, or a compiled
/// module that no source has. Outside of a repository nothing is committed.
fn nothing_built_is_tracked(project: &Path) -> Result<(), RunError> {
    let listed = match Git::at(project).output(&["ls-files", "-z"]) {
        Err(GitError::NoRepository(_) | GitError::NotStarted(_)) => return Ok(()),
        listed => listed?,
    };
    let listed = String::from_utf8_lossy(&listed);
    let paths: Vec<&str> = listed.split('\0').collect();
    match owned::built_of(&paths).next() {
        Some(file) => {
            Err(RunError::TrackedBuild { project: project.to_owned(), file: plain(file) })
        }
        None => Ok(()),
    }
}

/// That the work tree is what its commit is.
pub(super) fn clean(project: &Path) -> Result<(), RunError> {
    let all = ["status", "--porcelain", "--untracked-files=normal", "--ignore-submodules=none"];
    let changes = Git::at(project).text(&all)?;
    if changes.is_empty() { Ok(()) } else { Err(RunError::Dirty(project.to_owned())) }
}

/// A value of a plan as it is typed.
fn typed(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(words) => words.iter().map(typed).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf, RunError> {
    let failed = |source| RunError::Io { what: "find", path: path.to_owned(), source };
    std::path::absolute(path).map_err(failed)
}

pub(super) fn text(path: &Path) -> Result<String, RunError> {
    path.to_str().map(ToOwned::to_owned).ok_or_else(|| RunError::Path(path.to_owned()))
}

/// The path of a report that is about to be measured, in the directory of artifacts.
pub(super) fn new_report(artifacts: &Path) -> Result<PathBuf, RunError> {
    absolute(&artifacts.join(format!("perf_baseline_{}.json", stamp())))
}

/// That a run can leave its files in a directory, which is made: better now than after the measurement.
pub(super) fn is_writable(directory: &Path) -> Result<(), RunError> {
    let probed = std::fs::create_dir_all(directory).and_then(|()| tempfile::tempfile_in(directory));
    let failed = |source| RunError::Io { what: "write into", path: directory.to_owned(), source };
    probed.map(|_| ()).map_err(failed)
}

/// Names the artifacts of this run.
pub(super) fn stamp() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_secs()).ok().and_then(Timestamp::from_unix_seconds);
    let time = now.map(|now| now.compact()).unwrap_or_default();
    format!("{time}-{}", std::process::id())
}
