//! `perf-gate merge`: one report of those of machines that share no cluster. Which reports can be one
//! stands in [`alike`], what they make together in [`sum`], which are pure; files are read and written here
//! alone.
//!
//! # Accuracy
//!
//! Distributions are added cell by cell, counts as they are, rates exactly and rounded once. What is
//! merged does not depend on the order of the reports, nor on whether they were merged at once.
//!
//! # Panics
//!
//! Nothing here panics, whatever the files hold.

mod alike;
mod sum;

use std::path::Path;

use cp1_format::{
    Digest, Document as _, MergedMachineOf, MergedReport, Metric, Problem, ReadError, Report,
    WriteError, parse, to_json, write_atomically,
};

use crate::cli::arguments::Merge;
use crate::contract::{digest, list};
use crate::judge::merged::not_together;
use crate::read::standard_input;

/// Why nothing was merged.
#[derive(Debug, thiserror::Error)]
pub enum MergeError {
    /// A report cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The reports are not those of one measurement.
    #[error("failed to merge\n{}", list(.0))]
    Refused(Vec<Problem>),
    /// The report is there already.
    #[error("failed to write {0}: it is there already, and no report is overwritten; name another")]
    Exists(String),
    /// The report could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A report, and what it was read of.
pub(crate) struct Part {
    /// In messages.
    pub(crate) file: String,
    /// Of its bytes.
    pub(crate) sha256: Digest,
    /// What it says.
    pub(crate) report: Report,
}

impl Part {
    fn read(path: &Path) -> Result<Self, ReadError> {
        let (name, bytes) = standard_input::bytes(Report::KIND, Report::MAX_BYTES, path)?;
        let report = parse(&name, &bytes)?;
        let file = name.to_string_lossy().into_owned();
        Ok(Self { file, sha256: digest::of_bytes(&bytes), report })
    }

    fn problem(&self, place: &str, message: impl Into<String>, cure: &str) -> Problem {
        Problem {
            file: self.file.clone(),
            place: Some(place.to_owned()),
            message: message.into(),
            cure: cure.to_owned(),
        }
    }
}

/// Reads the reports of several machines, and writes the one that they make.
///
/// # Errors
/// [`MergeError`]; then nothing was written.
pub fn merge(arguments: &Merge) -> Result<MergedReport, MergeError> {
    let Merge { reports, output, routers, .. } = arguments;
    let parts: Vec<_> = reports.iter().map(|path| Part::read(path)).collect::<Result<_, _>>()?;
    let routers = (*routers).into();
    let problems = alike::problems(&parts, routers);
    if !problems.is_empty() {
        return Err(MergeError::Refused(problems));
    }
    let report =
        sum::merged(&parts, routers).map_err(|problem| MergeError::Refused(vec![*problem]))?;
    if let Some(problem) = alike::at_once(&parts, &report) {
        return Err(MergeError::Refused(vec![problem]));
    }
    let json = to_json(&report)?;
    // What is written must be readable.
    parse::<Report>(Path::new("the report made of them"), json.as_bytes())?;
    if output.symlink_metadata().is_ok() {
        return Err(MergeError::Exists(output.display().to_string()));
    }
    write_atomically(output, json.as_bytes())?;
    Ok(answer(&parts, report, output))
}

fn answer(parts: &[Part], report: Report, output: &Path) -> MergedReport {
    let merged = report.merged.as_ref();
    let blocks = report.blocks.as_deref().unwrap_or_default();
    let machines = merged.iter().flat_map(|merged| &merged.machines).enumerate();
    let machines = machines.filter_map(|(index, machine)| {
        let run = machine.runs.first()?;
        let is_disturbed = |block: &&cp1_format::Block| {
            let measured = block.machines.as_ref().and_then(|machines| machines.get(index));
            measured.and_then(|it| it.disturbed.as_ref()).is_some_and(|reasons| !reasons.is_empty())
        };
        let file = parts.iter().find(|part| sum::has_run(part, &run.sha256))?.file.clone();
        Some(MergedMachineOf {
            file,
            timestamp: run.timestamp.clone(),
            rate_per_second: machine.load.rate_per_second,
            disturbed_blocks: blocks.iter().filter(is_disturbed).count() as u64,
        })
    });
    let machines = machines.collect();
    let together_pct = merged.and_then(|merged| merged.together_pct(0));
    let notes = merged.map(notes).unwrap_or_default();
    let is_lost = |metric: &Metric| {
        let is_known = |part: &Part| part.report.metrics.get(*metric).is_some();
        report.metrics.get(*metric).is_none() && parts.iter().any(is_known)
    };
    let absent = Metric::ALL.into_iter().filter(is_lost);
    MergedReport {
        report: output.display().to_string(),
        routers: merged.map_or(cp1_format::Routers::Each, |merged| merged.routers),
        blocks: blocks.len() as u64,
        together_pct,
        absent: absent.collect(),
        metrics: report.metrics.clone(),
        machines,
        notes,
    }
}

/// What was merged all the same.
fn notes(merged: &cp1_format::Merged) -> Vec<String> {
    let at_once = not_together(merged).map(|(_, how)| format!("the machines {how}"));
    let fields = alike::unlike_fields(merged);
    let unlike = (!fields.is_empty()).then(|| {
        format!(
            "the machines differ in {}: a report compares with this one where its machines differ alike",
            fields.join(", ")
        )
    });
    at_once.into_iter().chain(unlike).chain(alike::same_seed(merged)).collect()
}
