//! `perf-gate run`, `bench` and `doctor`, from settings to reports.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cp1_format::{Event, Finding, FindingVerdict, Passive, Request, RunStatus};

use crate::artifacts;
use crate::check::{Checked, judge};
use crate::cli::settings::{self, AttachTo, Compare, Extent, Mode};
use crate::cli::sources::CommandLine;
use crate::contract::{BASELINE, POLICY, WAIVERS};
use crate::judge::verdict;
use crate::read::inputs::{self, Files, Inputs};
use crate::read::standard_input::is_meant;
use crate::read::trusted::Trusted;
use crate::render::so_far;
use crate::run::comparison::replay_needed;
use crate::run::explanation::{Measured, of_regression};
use crate::run::host::{Host, absolute, is_writable, listen, new_report, stamp, tolerance};
use crate::run::interrupt::Interrupt;
use crate::run::measure::{Ended, Measurement, Next};
use crate::run::progress::{Progress, Standing};
use crate::run::{RunError, child, load_of};

/// Blocks of a run that has no looks.
const BLOCKS: u32 = 10;

/// The same of a smoke run.
const SMOKE_BLOCKS: u32 = 6;

/// What came of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The verdict, and where its artifacts go.
    pub checked: Checked,
    /// The directory of the artifacts.
    pub artifacts: PathBuf,
    /// How the measurement ended; `None` where there was a report already.
    pub ended: Option<Ended>,
    /// What was measured, for who wants to explain it.
    pub(super) measured: Option<Measured>,
    /// What was judged.
    inputs: Inputs,
}

/// Measures, and leaves a sealed report, whose path comes first.
///
/// # Errors
/// [`RunError`]
pub fn bench(
    arguments: &settings::Bench,
    line: &CommandLine,
) -> Result<(PathBuf, Measurement), RunError> {
    let interrupt = listen()?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let Extent { mode, blocks, fault } = &arguments.extent;
    let settings = &arguments.settings;
    let passive = arguments.passive.as_ref().map(|settings::Spans(spans)| Passive {
        spans: spans.clone(),
        window_ms: arguments.window_ms,
    });
    let attach = AttachTo { passive, ..arguments.attach.clone() };
    if attach.passive.is_some() && attach.attach.as_ref().is_some_and(|nodes| nodes.0.len() > 1) {
        return Err(RunError::WatchedNodes);
    }
    let attach = Some(&attach);
    let host = Host { settings, attach, line, interrupt: &interrupt, progress: &progress };
    let report = match &arguments.report_file {
        Some(path) => absolute(path)?,
        None => new_report(&host.artifacts(&arguments.output))?,
    };
    report.parent().map_or(Ok(()), is_writable)?;
    let blocks = blocks.unwrap_or(blocks_of(*mode));
    let measurement = host.report(&report, None, blocks, fault.as_deref())?;
    Ok((report, measurement))
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
    let progress = &Progress::new(arguments.talk.quiet.into());
    let interrupt = &listen()?;
    let host = Host { settings: &arguments.settings, attach: None, line, interrupt, progress };
    let (_lock, code_path) = host.prepare()?;
    // It writes no report, and measures no block.
    let plan = host.plan(Path::new(""), None, 1, None)?;
    let mut bench = host.bench(&code_path)?;
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
    let interrupt = listen()?;
    if arguments.common_test.is_some() {
        interrupt.listen_to_stdin();
    }
    let progress = Progress::new(arguments.talk.quiet.into());
    let mut outcome = gate(arguments, line, &interrupt, &progress)?;
    let is_red = outcome.checked.verdict.outcome == cp1_format::Outcome::Regression;
    if let Some(measured) = outcome.measured.take().filter(|_| is_red) {
        // Whatever becomes of the explanation, the verdict is there.
        let _ = artifacts::write(&outcome.artifacts, &outcome.checked.artifacts);
        let host = Host {
            settings: &arguments.settings,
            attach: None,
            line,
            interrupt: &interrupt,
            progress: &progress,
        };
        if let Some(found) = of_regression(&host, arguments, measured) {
            let label = outcome.checked.stamp.to_string().parse().ok();
            let project = Some(host.settings.project.as_path());
            match judge(&outcome.inputs, label.as_ref(), project, Some(found)) {
                Ok(checked) => outcome.checked = checked,
                Err(error) => progress.complain(&format!("not explained: {error}")),
            }
        }
    }
    Ok(outcome)
}

/// The same for whoever listens to signals already.
pub(super) fn gate(
    arguments: &settings::Run,
    line: &CommandLine,
    interrupt: &Interrupt,
    progress: &Progress,
) -> Result<Outcome, RunError> {
    let attach = Some(&arguments.attach);
    let host = Host { settings: &arguments.settings, attach, line, interrupt, progress };
    let stamp = stamp();
    let mut files = Judged::new(arguments);
    let artifacts = host.artifacts(&arguments.output);
    if arguments.candidate.is_some() && arguments.compare == Compare::Replay {
        return Err(RunError::CandidateOfReplay);
    }
    let is_attached = arguments.candidate.is_none() && arguments.attach.attach.is_some();
    if is_attached && arguments.compare == Compare::Replay {
        let reason = "--compare=replay asks for one".to_owned();
        return Err(RunError::AttachedReplay(reason));
    }
    let label = stamp.parse().ok();
    let of_contract = [&files.baseline, &files.policy];
    if arguments.candidate.is_none() && of_contract.into_iter().any(|path| is_meant(path)) {
        return Err(RunError::StandardInput);
    }
    let project = Some(host.settings.project.as_path());
    if arguments.candidate.is_none() {
        // A contract that cannot be read makes whatever is measured worthless.
        let contract = files.read(&[]);
        if !contract.problems.is_empty() {
            let checked = judge(&contract, label.as_ref(), project, None)?;
            return Ok(Outcome {
                checked,
                artifacts,
                ended: None,
                measured: None,
                inputs: contract,
            });
        }
        // A new name: what an earlier run left can never be judged as this run's.
        files.candidate = absolute(&artifacts.join(format!("perf_baseline_{stamp}.json")))?;
        let replay = absolute(&artifacts.join(format!("perf_replay_{stamp}.json")))?;
        is_writable(&artifacts)?;
        let (ended, measured) = measured(&host, contract, &mut files, &replay)?;
        let inputs = files.read_all();
        let checked = judge(&inputs, label.as_ref(), project, None)?;
        let ended = Some(ended);
        // Of a node that ran already no build is known that could be traced.
        let measured = Some(measured).filter(|_| !is_attached);
        return Ok(Outcome { checked, artifacts, ended, measured, inputs });
    }
    let inputs = files.read_all();
    let checked = judge(&inputs, label.as_ref(), project, None)?;
    Ok(Outcome { checked, artifacts, ended: None, measured: None, inputs })
}

fn measured(
    host: &Host<'_>,
    contract: Inputs,
    files: &mut Judged<'_>,
    replay_report: &Path,
) -> Result<(Ended, Measured), RunError> {
    let arguments = files.arguments;
    let (compare, extent) = (arguments.compare, &arguments.extent);
    let (Some(baseline), Some(policy)) = (contract.baseline.document, contract.policy.document)
    else {
        return Err(RunError::Unread);
    };
    if arguments.attach.attach.is_some() && !policy.gate.allow_attached {
        // Better said before a live router is put under load.
        return Err(RunError::AttachedNotAllowed);
    }
    let load = load_of(Some(&baseline))?;
    let (_lock, path) = host.prepare()?;
    let blocks = extent.blocks.unwrap_or(blocks_of(extent.mode));
    let fault = extent.fault.as_deref();
    let mut plan = host.plan(&files.candidate, load, blocks, fault)?;
    plan.outage_tolerance_pct = plan.outage_ms.and_then(|_| tolerance(&policy));
    let mut bench = host.bench(&path)?;
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
        if plan.attach.is_some() {
            return Err(RunError::AttachedReplay(reason.clone()));
        }
        host.progress.step(&format!("replay: {reason}"));
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
    let begun = Instant::now();
    let files = &*files;
    let measurement = host.measure(bench, &plan, looks.first().copied(), |number| {
        let Some(look) = looks.iter().copied().find(|look| *look >= number) else {
            return Ok(Next::GoOn { look: last });
        };
        let verdict = verdict::decide(&files.read_so_far());
        let next = match verdict.decision.as_ref().and_then(|decision| decision.next_look) {
            _ if look != number => Next::GoOn { look },
            Some(look) => Next::GoOn { look },
            None => Next::Stop,
        };
        host.progress.step(&so_far::render(&verdict));
        if look == number {
            host.progress.step(&so_far::look(&verdict));
        }
        let looks_at = match next {
            Next::GoOn { look } => Some(look),
            Next::Stop => None,
        };
        host.progress.stands(Standing::nearest(&verdict, &policy), looks_at);
        Ok(next)
    })?;
    Ok((measurement.ended, Measured { path, plan, described, baseline, begun }))
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
