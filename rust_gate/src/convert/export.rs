//! `perf-gate export`: the figures of a report as other tools take them.

use cp1_format::{Problem, ReadError, Report, WriteError};

use crate::cli::arguments::{Better, Export, ExportFormat};
use crate::contract::list;
use crate::convert::figures::figures;
use crate::convert::{
    bmf, csv, distributions, github_action_benchmark, hgrm, hlog, json_lines, openmetrics,
};
use crate::judge::{consistency, validity};
use crate::read::standard_input;

/// Why nothing was exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The report cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// Its figures are not to be believed.
    #[error("failed to export, as these figures show nothing\n{}", list(.0))]
    Unsound(Vec<Problem>),
    /// It does not have what was asked for.
    #[error("failed to export {file}: {problem}; {cure}")]
    Absent {
        /// The report.
        file: String,
        /// What it lacks.
        problem: &'static str,
        /// What to do.
        cure: &'static str,
    },
    /// It has no form.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// What a report does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Absent {
    /// What.
    pub problem: &'static str,
    /// What to do.
    pub cure: &'static str,
}

/// The text in the format that was asked for.
///
/// # Errors
/// [`ExportError`]: also that a run ended early, or that a report contradicts itself.
pub fn export(arguments: &Export) -> Result<String, ExportError> {
    let report: Report = standard_input::file(&arguments.report)?;
    let file = arguments.report.display().to_string();
    let unsound = unsound(&file, &report);
    if !unsound.is_empty() {
        return Err(ExportError::Unsound(unsound));
    }
    match text(&report, arguments)? {
        Ok(text) => Ok(text),
        Err(Absent { problem, cure }) => Err(ExportError::Absent { file, problem, cure }),
    }
}

/// What a report that ended early leaves are no figures, nor are those that contradict each other.
fn unsound(file: &str, report: &Report) -> Vec<Problem> {
    if validity::ended_early(report) {
        return vec![Problem {
            file: file.to_owned(),
            place: Some("run.status".to_owned()),
            message: "the run ended early".to_owned(),
            cure: "measure again with perf-gate bench".to_owned(),
        }];
    }
    consistency::check(file, report)
}

fn text(report: &Report, arguments: &Export) -> Result<Result<String, Absent>, WriteError> {
    if figures(report).is_empty() {
        // Whoever reads the text takes an empty one for a measurement.
        let cure = "measure with perf-gate bench";
        return Ok(Err(Absent { problem: "it has no figure at all", cure }));
    }
    Ok(match arguments.format {
        ExportFormat::Openmetrics => Ok(openmetrics::render(report, arguments.no_timestamps)),
        ExportFormat::Hgrm => {
            distributions::response_time(report).and_then(|all| hgrm::render(&all))
        }
        ExportFormat::Hlog => distributions::all(report).and_then(|all| hlog::render(report, &all)),
        ExportFormat::Bmf => Ok(bmf::render(report)?),
        ExportFormat::GithubActionBenchmark => {
            match github_action_benchmark::render(report, arguments.better)? {
                Some(text) => Ok(text),
                None => Err(Absent {
                    problem: match arguments.better {
                        Better::Smaller => "it has no figure of which less is better",
                        Better::Bigger => "it has no figure of which more is better",
                    },
                    cure: "give a report that has one, or the other --better",
                }),
            }
        }
        ExportFormat::Csv => Ok(csv::render(report)),
        ExportFormat::JsonLines => Ok(json_lines::render(report)?),
    })
}
