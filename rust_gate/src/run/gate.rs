//! `perf-gate run`, `bench` and `doctor`, from settings to reports.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use cp1_format::{
    Described, Event, Finding, FindingVerdict, FrozenBuild, Load, Plan, Refused, Report, Request,
    RunStatus, Timestamp,
};

use crate::check::{Checked, judge};
use crate::cli::settings::{self, Compare, Extent, Mode, Output, Settings};
use crate::cli::sources::CommandLine;
use crate::contract::{BASELINE, POLICY, WAIVERS};
use crate::escape;
use crate::read::git::Git;
use crate::read::inputs::{self, Files, Inputs};
use crate::read::trusted::Trusted;
use crate::run::bench::Bench;
use crate::run::build::{Libraries, build, code_path, installed_bench};
use crate::run::comparison::{commit, replay_needed};
use crate::run::frozen::{Frozen, frozen_build};
use crate::run::interrupt::Interrupt;
use crate::run::measure::{Ended, Next, measure};
use crate::run::progress::tell;
use crate::run::{RunError, child, host_lock};

/// Blocks of a run that has no looks.
const BLOCKS: u32 = 10;

/// The same of a smoke run.
const SMOKE_BLOCKS: u32 = 6;

/// Where artifacts go, from the project on.
const ARTIFACTS: &str = "_artifacts";

/// How long the bench may take to say where it is.
const DESCRIBE: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict, and where its artifacts go.
    pub checked: Checked,
    /// The directory of the artifacts.
    pub artifacts: PathBuf,
    /// How the measurement ended; `None` where there was a report already.
    pub ended: Option<Ended>,
}

/// Measures, and leaves a sealed report, whose path comes first.
///
/// # Errors
/// [`RunError`]
pub fn bench(
    arguments: &settings::Bench,
    line: &CommandLine,
) -> Result<(PathBuf, Ended), RunError> {
    let interrupt = listen()?;
    if arguments.stop_with_stdin {
        interrupt.listen_to_stdin();
    }
    let Extent { mode, blocks, fault } = &arguments.extent;
    let host = Host { settings: &arguments.settings, line, interrupt: &interrupt };
    let report = match &arguments.report_file {
        Some(path) => absolute(path)?,
        None => new_report(&host.artifacts(&arguments.output))?,
    };
    report.parent().map_or(Ok(()), is_writable)?;
    let blocks = blocks.unwrap_or(blocks_of(*mode));
    let ended = host.report(&report, None, blocks, fault.as_deref())?;
    Ok((report, ended))
}

/// Blocks of a run that has no looks.
fn blocks_of(mode: Mode) -> u32 {
    match mode {
        Mode::Smoke => SMOKE_BLOCKS,
        Mode::Gate => BLOCKS,
    }
}

/// Tries the adapter, and says what was found.
///
/// # Errors
/// [`RunError`]
pub fn doctor(arguments: &settings::Doctor, line: &CommandLine) -> Result<Vec<Finding>, RunError> {
    let host = Host { settings: &arguments.settings, line, interrupt: &listen()? };
    let (_lock, code_path) = host.prepare()?;
    // It writes no report, and measures no block.
    let plan = host.plan(Path::new(""), None, 1, None)?;
    let mut bench = Bench::start(&host.settings.project, &code_path, host.interrupt)?;
    bench.ask(&Request::Examine(plan.clone()))?;
    let limit = Duration::from_secs(host.settings.timeout_seconds);
    let answer = bench.answer(Instant::now() + limit, host.interrupt);
    bench.end();
    child::end_orphans();
    match answer? {
        Some(Event::Examined(findings)) => Ok(findings),
        Some(Event::Failed(why)) => Ok(vec![Finding { verdict: FindingVerdict::Wrong, text: why }]),
        Some(Event::Refused(refused)) => Err(host.refusal(&plan, refused)),
        _ => Err(RunError::BenchGone { source: std::io::ErrorKind::TimedOut.into() }),
    }
}

/// Measures the candidate, beside the baseline's commit where that is needed, and judges.
///
/// # Errors
/// [`RunError`]
pub fn run(arguments: &settings::Run, line: &CommandLine) -> Result<Outcome, RunError> {
    gate(arguments, line, &listen()?)
}

/// The same for whoever listens to signals already.
pub(super) fn gate(
    arguments: &settings::Run,
    line: &CommandLine,
    interrupt: &Interrupt,
) -> Result<Outcome, RunError> {
    let host = Host { settings: &arguments.settings, line, interrupt };
    let stamp = stamp();
    let mut files = Judged::new(arguments);
    let artifacts = host.artifacts(&arguments.output);
    if arguments.candidate.is_some() && arguments.compare == Compare::Replay {
        return Err(RunError::CandidateOfReplay);
    }
    let label = stamp.parse().ok();
    if arguments.candidate.is_none() {
        // A contract that cannot be read makes whatever is measured worthless.
        let contract = files.read(&[]);
        if !contract.problems.is_empty() {
            let checked = judge(contract, label.as_ref(), false)?;
            return Ok(Outcome { checked, artifacts, ended: None });
        }
        // A new name: what an earlier run left can never be judged as this run's.
        files.candidate = absolute(&artifacts.join(format!("perf_baseline_{stamp}.json")))?;
        let replay = absolute(&artifacts.join(format!("perf_replay_{stamp}.json")))?;
        is_writable(&artifacts)?;
        let ended = measured(&host, contract, &mut files, &replay)?;
        let checked = judge(files.read_all(), label.as_ref(), false)?;
        return Ok(Outcome { checked, artifacts, ended: Some(ended) });
    }
    Ok(Outcome { checked: judge(files.read_all(), label.as_ref(), false)?, artifacts, ended: None })
}

fn measured(
    host: &Host<'_>,
    contract: Inputs,
    files: &mut Judged<'_>,
    replay_report: &Path,
) -> Result<Ended, RunError> {
    let arguments = files.arguments;
    let (compare, extent) = (arguments.compare, &arguments.extent);
    let (Some(baseline), Some(policy)) = (contract.baseline.document, contract.policy.document)
    else {
        return Err(RunError::Unread);
    };
    let (_lock, path) = host.prepare()?;
    let blocks = extent.blocks.unwrap_or(blocks_of(extent.mode));
    let fault = extent.fault.as_deref();
    let mut plan = host.plan(&files.candidate, baseline.load.as_ref(), blocks, fault)?;
    let mut bench = Bench::start(&host.settings.project, &path, host.interrupt)?;
    let described = host.describe(&mut bench, &plan)?;
    let needed = replay_needed(&baseline, &policy, &described.report);
    let looks = match (compare, &needed) {
        (Compare::Replay, _) | (Compare::Auto, _) | (Compare::Frozen, None) => {
            policy.decision.looks.clone()
        }
        // Figures that cannot be judged block by block are judged at the end.
        (Compare::Frozen, Some(_)) => Vec::new(),
    };
    if let (Compare::Auto, Some(reason)) = (compare, &needed) {
        tell(&format!("replay: {reason}"));
    }
    if compare == Compare::Replay || compare == Compare::Auto && needed.is_some() {
        let replay = host.replay(&baseline, &described, &path, replay_report)?;
        files.replay = Some(PathBuf::from(&replay.report_file));
        plan.replay = Some(replay);
        // Another order each time; the report has the seed.
        plan.seed = plan.seed.or_else(|| Some(u64::from(fastrand::u32(..))));
    }
    let looks = if extent.blocks.is_some() { Vec::new() } else { looks };
    plan.blocks = looks.last().copied().unwrap_or(plan.blocks);
    let last = plan.blocks;
    let files = &*files;
    host.measure(bench, &plan, |number| {
        let Some(look) = looks.iter().copied().find(|look| *look >= number) else {
            return Ok(Next::GoOn { look: last });
        };
        let checked = judge(files.read_so_far(), None, look != number)?;
        tell(checked.text.trim_end());
        let next = checked.verdict.decision.as_ref().and_then(|decision| decision.next_look);
        match next {
            _ if look != number => Ok(Next::GoOn { look }),
            Some(look) => Ok(Next::GoOn { look }),
            None => {
                tell("the look decides: no more blocks");
                Ok(Next::Stop)
            }
        }
    })
}

/// What a run has of its host.
pub(super) struct Host<'a> {
    pub(super) settings: &'a Settings,
    pub(super) line: &'a CommandLine,
    pub(super) interrupt: &'a Interrupt,
}

impl Host<'_> {
    pub(super) fn artifacts(&self, output: &Output) -> PathBuf {
        let default = || self.settings.project.join(ARTIFACTS);
        output.artifacts.clone().unwrap_or_else(default)
    }

    /// That faults can be planted.
    pub(super) fn can_plant(&self, faults: &[String]) -> Result<(), RunError> {
        let (_lock, code_path) = self.prepare()?;
        let mut bench = Bench::start(&self.settings.project, &code_path, self.interrupt)?;
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
    ) -> Result<Ended, RunError> {
        if report.exists() {
            return Err(RunError::Exists(report.to_owned()));
        }
        let (_lock, code_path) = self.prepare()?;
        let bench = Bench::start(&self.settings.project, &code_path, self.interrupt)?;
        let plan = self.plan(report, load, blocks, fault)?;
        self.measure(bench, &plan, |_| Ok(Next::GoOn { look: plan.blocks }))
    }

    /// Holds the host, compiles, and finds what was compiled.
    fn prepare(&self) -> Result<(std::fs::File, Vec<PathBuf>), RunError> {
        let Settings { project, build: command, code_path: globs, .. } = self.settings;
        let limit = Duration::from_secs(self.settings.timeout_seconds);
        let lock = host_lock::take(limit, self.interrupt)?;
        if !command.trim().is_empty() {
            tell(&format!("building router and bench: {}", escape::line(command)));
        }
        build(project, command, Libraries::Candidate, self.interrupt)?;
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

    fn plan(
        &self,
        report: &Path,
        load: Option<&Load>,
        blocks: u32,
        fault: Option<&str>,
    ) -> Result<Plan, RunError> {
        let settings = self.settings;
        let given =
            |figure: fn(&Load) -> u64| load.and_then(|load| u32::try_from(figure(load)).ok());
        Ok(Plan {
            adapter: settings.adapter.clone().ok_or(RunError::NoAdapter)?,
            adapter_options: settings.adapter_options.clone(),
            erl_args: settings.erl_args.split_whitespace().map(ToOwned::to_owned).collect(),
            blocks,
            warmup_ms: settings.warmup_ms,
            throughput_ms: settings.throughput_ms,
            latency_ms: settings.latency_ms,
            slice_ms: settings.slice_ms,
            rate_per_second: settings.rate.or(given(|load| load.rate_per_second)),
            concurrency: settings.concurrency.or(given(|load| u64::from(load.concurrency))),
            arrivals: Some(settings.arrivals),
            keys: Some(settings.keys.distribution),
            key_exponent: settings.keys.exponent.clone(),
            key_count: settings.key_count,
            seed: settings.seed,
            callback_timeout_ms: settings.callback_timeout_ms,
            timeout_ms: settings.timeout_seconds * 1000,
            fault: fault.map(ToOwned::to_owned),
            report_file: text(report)?,
            replay: None,
        })
    }

    fn describe(&self, bench: &mut Bench, plan: &Plan) -> Result<Described, RunError> {
        bench.ask(&Request::Describe(plan.clone()))?;
        match bench.answer(Instant::now() + DESCRIBE, self.interrupt)? {
            Some(Event::Described(described)) => Ok(*described),
            Some(Event::Refused(refused)) => Err(self.refusal(plan, refused)),
            _ => Err(RunError::BenchGone { source: std::io::ErrorKind::TimedOut.into() }),
        }
    }

    /// In the words of whoever gave the setting.
    fn refusal(&self, plan: &Plan, refused: Refused) -> RunError {
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

    fn measure(
        &self,
        bench: Bench,
        plan: &Plan,
        after_block: impl FnMut(u32) -> Result<Next, RunError>,
    ) -> Result<Ended, RunError> {
        let limit = Duration::from_secs(self.settings.timeout_seconds);
        let ended = measure(bench, plan, limit, self.interrupt, after_block);
        child::end_orphans();
        match ended {
            Err(RunError::Refused(refused)) => Err(self.refusal(plan, refused)),
            ended => ended,
        }
    }

    fn replay(
        &self,
        baseline: &Report,
        described: &Described,
        candidate_path: &[PathBuf],
        report: &Path,
    ) -> Result<FrozenBuild, RunError> {
        let commit = commit(baseline)?;
        let project = absolute(&self.settings.project)?;
        let frozen = Frozen {
            project: &project,
            build: &self.settings.build,
            code_path: &self.settings.code_path,
            commit,
            tree: baseline.git.tree.as_deref(),
            otp_release: &described.otp_release,
            bench_applications: &described.bench_applications,
            candidate_path,
        };
        Ok(FrozenBuild {
            lib_dir: text(&frozen_build(&frozen, self.interrupt)?)?,
            report_file: text(report)?,
            commit: commit.to_owned(),
            tree: baseline.git.tree.clone(),
        })
    }
}

/// The files of a verdict.
struct Judged<'a> {
    arguments: &'a settings::Run,
    baseline: PathBuf,
    policy: PathBuf,
    waivers: PathBuf,
    candidate: PathBuf,
    replay: Option<PathBuf>,
}

impl<'a> Judged<'a> {
    fn new(arguments: &'a settings::Run) -> Self {
        let settings::Run { settings, contract, .. } = arguments;
        let in_project = |file: &str| settings.project.join(file);
        Self {
            arguments,
            baseline: contract.baseline.clone().unwrap_or_else(|| in_project(BASELINE)),
            policy: contract.policy.clone().unwrap_or_else(|| in_project(POLICY)),
            waivers: in_project(WAIVERS),
            candidate: arguments.candidate.clone().unwrap_or_default(),
            replay: None,
        }
    }

    fn read_all(&self) -> Inputs {
        self.read(std::slice::from_ref(&self.candidate))
    }

    /// Baseline and policy, and the candidates that are given.
    fn read(&self, candidates: &[PathBuf]) -> Inputs {
        inputs::read(&Files {
            baseline: &self.baseline,
            policy: &self.policy,
            trusted_ref: self
                .arguments
                .trusted_ref
                .as_deref()
                .map(|revision| Trusted { revision, project: &self.arguments.settings.project }),
            waivers: Some(&self.waivers),
            candidates,
            replay: self.replay.as_deref(),
            smoke: self.arguments.extent.mode == Mode::Smoke,
        })
    }

    /// The reports as if the run had been planned to end with the blocks so far.
    fn read_so_far(&self) -> Inputs {
        let mut inputs = self.read_all();
        let candidate = inputs.candidate.document.as_mut();
        let replay = inputs.replay.as_mut().and_then(|replay| replay.document.as_mut());
        for report in candidate.into_iter().chain(replay) {
            report.run.ct_exit_code = Some(0);
            report.run.status = Some(RunStatus::Complete);
            let blocks = report.blocks.as_ref().map_or(0, Vec::len);
            if let Some(load) = &mut report.load {
                load.blocks = u32::try_from(blocks).unwrap_or(u32::MAX);
            }
        }
        inputs
    }
}

pub(super) fn listen() -> Result<Interrupt, RunError> {
    child::adopt_orphans();
    Interrupt::listen().map_err(|source| RunError::Io {
        what: "listen to signals of",
        path: "this process".into(),
        source,
    })
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

fn text(path: &Path) -> Result<String, RunError> {
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
fn stamp() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let now = i64::try_from(since.as_secs()).ok().and_then(Timestamp::from_unix_seconds);
    let time = now.map(|now| now.compact()).unwrap_or_default();
    format!("{time}-{}", std::process::id())
}
