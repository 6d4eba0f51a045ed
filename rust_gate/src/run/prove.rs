//! `perf-gate prove`: whole gates of one commit against itself, without a change and with planted
//! ones, run as a release's are and kept until there are enough ([`crate::prove`] has the rest).

use std::path::{Path, PathBuf};

use cp1_format::{Policy, Proof, Report, RunStatus, read_file};

use crate::artifacts;
use crate::cli::settings::{self, Compare, ContractFiles, Extent, Mode, Output};
use crate::cli::sources::CommandLine;
use crate::contract::{BASELINE, POLICY};
use crate::prove::kept::Kept;
use crate::prove::planted::{Fault, KINDS, Kind, dose};
use crate::prove::{gates, tables};
use crate::read::git::Git;
use crate::render::terminal;
use crate::run::gate::gate;
use crate::run::host::{Host, absolute, clean, listen, new_report};
use crate::run::measure::Ended;
use crate::run::progress::Progress;
use crate::run::{RunError, load_of, read};

/// Where gates are kept, from the project on.
const DIRECTORY: &str = "_artifacts/prove";

/// Blocks that say how large the figures are of which a share is planted.
const BLOCKS: u32 = 4;

/// Runs the gates that are missing, and says what all of them say.
///
/// # Errors
/// [`RunError`]: also that a run measured nothing.
pub fn prove(arguments: &settings::Prove, line: &CommandLine) -> Result<Proof, RunError> {
    let interrupt = listen()?;
    let settings::Prove { settings, contract, .. } = arguments;
    let project = &settings.project;
    // The frozen side is the commit itself.
    clean(project)?;
    let policy_path = contract.policy.clone().unwrap_or_else(|| project.join(POLICY));
    let policy: Policy = read_file(&policy_path).map_err(read)?;
    let limits = gates::limits(&policy)?;
    let directory = arguments.directory.clone().unwrap_or_else(|| project.join(DIRECTORY));
    let kept = Kept::at(absolute(&directory)?)?;
    let progress = Progress::new(arguments.talk.quiet.into());
    let host = Host { settings, attach: None, line, interrupt: &interrupt, progress: &progress };
    if !kept.baseline().exists() {
        progress.step("measuring the router, to choose what is planted");
        let frozen = contract.baseline.clone().unwrap_or_else(|| project.join(BASELINE));
        measure_baseline(&host, &frozen, &kept)?;
    }
    let baseline: Report = read_file(&kept.baseline()).map_err(read)?;
    let commit = Git::at(project).commit("HEAD")?;
    if baseline.git.commit.as_deref() != Some(commit.as_str()) {
        return Err(RunError::OtherCommit { directory: kept.path().to_owned(), commit });
    }
    let mut missing = Vec::new();
    for kind in KINDS {
        let wanted = kind.gates(arguments.gates, arguments.planted_gates);
        match dose(&kind, &limits, &baseline) {
            Ok(fault) => missing.push((kind, fault, has(&kept, &kind, fault)?..wanted)),
            Err(_) if wanted == 0 => {}
            Err(why) => progress.say(&format!("{}: left out, as {why}", kind.name)),
        }
    }
    missing.retain(|(.., numbers)| !numbers.is_empty());
    let faults: Vec<_> =
        missing.iter().filter_map(|(_, fault, _)| Some(fault.as_ref()?.to_string())).collect();
    if !faults.is_empty() {
        // Better now than after the hours that gates without a change take.
        host.can_plant(&faults).map_err(|error| match error {
            RunError::Setting(error) => RunError::NotPlanted { why: error.to_string() },
            error => error,
        })?;
    }
    for (kind, fault, numbers) in missing {
        let wanted = numbers.end;
        for number in numbers.map(|before| before + 1) {
            let run = run_of(arguments, policy_path.clone(), &kept, fault)?;
            progress.titled(format!("{} {number}/{wanted}", kind.name));
            let verdict = one(&run, &host, &baseline)?;
            kept.keep(&kind, &run.output.artifacts.unwrap_or_default())?;
            let planted = fault.map(|fault| format!(", {fault}")).unwrap_or_default();
            progress.say(&format!("{} {number} of {wanted}{planted}: {verdict}", kind.name));
        }
    }
    Ok(tables::tables(&kept, &policy)?)
}

/// One side of this commit: what the frozen side of all replays names, and what its figures are here.
fn measure_baseline(host: &Host<'_>, frozen: &Path, kept: &Kept) -> Result<(), RunError> {
    let frozen: Option<Report> =
        frozen.exists().then(|| read_file(frozen)).transpose().map_err(read)?;
    let report = new_report(&kept.fresh()?)?;
    let load = load_of(frozen.as_ref())?;
    let measurement = host.report(&report, load, BLOCKS, None)?;
    measured(&report, Some(&measurement.ended))?;
    kept.keep_baseline(&report)?;
    Ok(())
}

/// How many gates of a kind there are.
fn has(kept: &Kept, kind: &Kind, fault: Option<Fault>) -> Result<u32, RunError> {
    let gates = kept.gates(kind)?;
    let is_other = |planted: Option<&str>| planted.map(Fault::parse) != fault.map(Some);
    let other = gates.iter().find(|gate| is_other(gate.candidate.run.planted_fault.as_deref()));
    match other {
        Some(other) => Err(RunError::OtherFault {
            directory: kept.of_kind(kind),
            planted: other.candidate.run.planted_fault.clone().unwrap_or("nothing".into()),
            wanted: fault.map_or_else(|| "nothing".to_owned(), |fault| fault.to_string()),
        }),
        None => Ok(u32::try_from(gates.len()).unwrap_or(u32::MAX)),
    }
}

/// A gate as a release's is run, with or without a fault.
fn run_of(
    arguments: &settings::Prove,
    policy: PathBuf,
    kept: &Kept,
    fault: Option<Fault>,
) -> Result<settings::Run, RunError> {
    Ok(settings::Run {
        attach: settings::AttachTo::default(),
        settings: arguments.settings.clone(),
        output: Output { artifacts: Some(kept.fresh()?) },
        extent: Extent {
            mode: Mode::Gate,
            blocks: None,
            fault: fault.map(|fault| fault.to_string()),
        },
        candidate: None,
        contract: ContractFiles { baseline: Some(kept.baseline()), policy: Some(policy) },
        compare: Compare::Replay,
        trusted_ref: None,
        print: arguments.print,
        common_test: None,
        talk: arguments.talk,
        explain: false,
        no_explain: true,
    })
}

/// Runs a gate, writes its artifacts, and gives the line of its verdict.
fn one(run: &settings::Run, host: &Host<'_>, baseline: &Report) -> Result<String, RunError> {
    let outcome = gate(run, host.line, host.interrupt, host.progress)?;
    if let Err(errors) = artifacts::write(&outcome.artifacts, &outcome.checked.artifacts)
        && let Some(error) = errors.into_iter().next()
    {
        return Err(error.into());
    }
    let verdict = &outcome.checked.verdict;
    let candidate = PathBuf::from(&verdict.inputs.candidate.path);
    let measured = measured(&candidate, outcome.ended.as_ref());
    if let Err(RunError::NothingMeasured { .. }) = &measured {
        host.progress.complain(&terminal::explained(verdict));
    }
    if measured?.git != baseline.git {
        return Err(RunError::Dirty(run.settings.project.clone()));
    }
    Ok(terminal::answer(verdict))
}

/// The report of a run that measured its blocks. How far they can be believed is the verdict's.
fn measured(report: &Path, ended: Option<&Ended>) -> Result<Report, RunError> {
    let failed = |why: String| RunError::NothingMeasured { why };
    match ended {
        Some(Ended::Complete) => {}
        Some(Ended::Interrupted(code)) => return Err(RunError::Interrupted(*code)),
        Some(Ended::Failed(why) | Ended::OutOfTime(why)) => return Err(failed(why.clone())),
        None => return Err(failed("it cannot be judged".to_owned())),
    }
    let report: Report = read_file(report).map_err(read)?;
    match report.run.status {
        None | Some(RunStatus::Complete | RunStatus::GeneratorLimited) => Ok(report),
        Some(_) => Err(failed(report.run.reason.unwrap_or("the report is not complete".into()))),
    }
}
