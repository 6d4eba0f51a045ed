//! `perf-gate import`: a report out of what another tool measured.
//!
//! What the tool does not say is absent, and the verdict says what follows from that: without blocks no
//! error rates, without a commit no candidate, without a figure no pass of a rule about it. Neither the
//! time nor the commit is guessed.

use std::collections::BTreeMap;
use std::path::Path;

use bigdecimal::{BigDecimal, Zero as _};
use cp1_format::summary::Percentile;
use cp1_format::{
    Amount, Decimal, Environment, Git, LoadTool, Metric, Metrics, ReadError, Report, Run,
    RunStatus, WriteError, parse, to_json, write_atomically,
};

use crate::cli::arguments::{Import, ImportFormat};
use crate::convert::source::Source;
use crate::convert::{basho_bench, erlperf, hgrm, k6, wrk2};
use crate::read::standard_input;

/// Largest file of a tool.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// Decimal places of a figure that a division made.
pub(super) const PLACES: i64 = 9;

/// More decimal places than any product of figures has.
const ALL_PLACES: i64 = 60;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// A file does not say what it should.
    #[error("failed to import {file}: {place}: {problem}; {cure}")]
    Content {
        /// Which.
        file: String,
        /// Where in it.
        place: String,
        /// What is wrong.
        problem: String,
        /// What to do.
        cure: String,
    },
    /// The command line.
    #[error("{0}")]
    Usage(&'static str),
    /// The report is there already.
    #[error("failed to write {0}: it is there already, and no report is overwritten; name another")]
    Exists(String),
    /// The report could not be written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// A report that was made.
#[derive(Debug)]
pub struct Imported {
    /// For standard output; `None` where it was written to a file.
    pub json: Option<String>,
    /// The figures that the tool does not say.
    pub absent: Vec<Metric>,
}

/// Reads the files of a tool, and makes a report of them.
///
/// # Errors
/// [`ImportError`]; then nothing was written.
pub fn import(arguments: &Import) -> Result<Imported, ImportError> {
    let report = report(measured(arguments)?, arguments);
    let json = to_json(&report)?;
    // What is written must be readable.
    parse::<Report>(Path::new("the report made of it"), json.as_bytes())?;
    let is_absent =
        |metric: &Metric| !metric.is_optional() && report.metrics.get(*metric).is_none();
    let absent = Metric::ALL.into_iter().filter(is_absent).collect();
    let json = match &arguments.output {
        None => Some(json),
        Some(path) if path.symlink_metadata().is_ok() => {
            return Err(ImportError::Exists(path.display().to_string()));
        }
        Some(path) => {
            write_atomically(path, json.as_bytes())?;
            None
        }
    };
    Ok(Imported { json, absent })
}

/// What a tool says.
#[derive(Debug)]
pub(super) struct Measurement {
    tool: LoadTool,
    metrics: Metrics,
    pub(super) env: Environment,
    pub(super) duration_ms: Option<u64>,
    /// Times behind the percentiles.
    pub(super) samples: Option<u64>,
    /// Why the tool itself was too slow, if it says so.
    pub(super) generator_limited: Option<String>,
}

impl Measurement {
    pub(super) fn new(tool: LoadTool) -> Self {
        Self {
            tool,
            metrics: Metrics(BTreeMap::new()),
            env: Environment::default(),
            duration_ms: None,
            samples: None,
            generator_limited: None,
        }
    }

    /// Takes a figure in the metric's unit, exactly; of a place in a file, for messages.
    pub(super) fn set(
        &mut self,
        source: &Source,
        place: &str,
        metric: Metric,
        exact: &BigDecimal,
    ) -> Result<(), ImportError> {
        if !metric.can_be_zero() && exact.is_zero() {
            let problem = format!("{metric} would be exactly 0, so it was not measured");
            return Err(source.refused(place, problem, "measure again"));
        }
        let amount = Amount::new(Decimal::shortest(exact, ALL_PLACES)).map_err(|error| {
            source.refused(place, error.to_string(), "the file is damaged: measure again")
        })?;
        self.metrics.0.insert(metric, amount);
        Ok(())
    }

    /// What was taken.
    #[cfg(test)]
    pub(super) fn figure(&self, metric: Metric) -> Option<&Amount> {
        self.metrics.get(metric)
    }

    /// What the run says of itself, if it is not complete.
    fn ending(&self) -> Option<(RunStatus, String)> {
        if let Some(reason) = &self.generator_limited {
            return Some((RunStatus::GeneratorLimited, reason.clone()));
        }
        let samples = self.samples?;
        let is_stated = |percentile: &Percentile| {
            let metrics = self.metrics.0.keys();
            metrics.filter_map(|metric| Percentile::of_metric(*metric)).any(|it| it == *percentile)
        };
        let highest = Percentile::ALL.into_iter().rev().find(is_stated)?;
        let (needed, name) = (highest.samples_needed(), highest.name());
        (samples < needed).then(|| {
            (RunStatus::InsufficientSamples, format!("{samples} requests; a {name} takes {needed}"))
        })
    }
}

fn measured(arguments: &Import) -> Result<Measurement, ImportError> {
    let Import { format, file: files, unit, .. } = arguments;
    if unit.is_some() != (*format == ImportFormat::Hgrm) {
        return Err(ImportError::Usage(
            "--unit says in what the values of an hgrm file are, which the file does not say; of the other \
             formats it is known",
        ));
    }
    match (format, files.as_slice(), unit) {
        (ImportFormat::K6, [file], _) => k6::import(file),
        (ImportFormat::Wrk2, [file], _) => wrk2::import(&text(wrk2::KIND, file)?),
        (ImportFormat::Hgrm, [file], Some(unit)) => {
            hgrm::import(&text("percentile distribution", file)?, *unit)
        }
        (ImportFormat::Erlperf, [file], _) => erlperf::import(&text(erlperf::KIND, file)?),
        (ImportFormat::BashoBench, [one, other], _) => {
            basho_bench::import([text(basho_bench::KIND, one)?, text(basho_bench::KIND, other)?])
        }
        (ImportFormat::BashoBench, ..) => Err(ImportError::Usage(
            "of basho_bench give two files: summary.csv and the *_latencies.csv of one operation, as \
             percentiles of several cannot be put together",
        )),
        _ => {
            Err(ImportError::Usage("give one file: figures of several runs cannot be put together"))
        }
    }
}

fn text(kind: &'static str, path: &Path) -> Result<Source, ReadError> {
    let (name, bytes) = standard_input::bytes(kind, MAX_BYTES, path)?;
    let text = cp1_format::text(kind, MAX_BYTES, &name, &bytes)?.to_owned();
    Ok(Source { file: name.display().to_string(), text })
}

/// The report; no format tag, as the bench did not write it.
fn report(measured: Measurement, arguments: &Import) -> Report {
    let (status, reason) = measured.ending().unzip();
    Report {
        schema: None,
        timestamp: arguments.timestamp.clone(),
        git: Git { commit: arguments.commit.clone(), tree: None, dirty: None },
        env: measured.env,
        metrics: measured.metrics,
        run: Run {
            ct_exit_code: arguments.exit_code,
            status,
            reason,
            planted_fault: None,
            duration_ms: measured.duration_ms,
            imported_from: Some(measured.tool),
        },
        load: None,
        watched: None,
        merged: None,
        blocks: None,
        accounting: None,
        diagnostics: None,
        histograms: None,
        series: None,
        controls: None,
        sessions: None,
        pairing: None,
    }
}
