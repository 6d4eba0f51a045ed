//! The baseline as it stands before a change of it.

use cp1_format::{Metrics, Problem, ReadError, Report};

use super::records::Chain;
use super::{BASELINE, Contract, digest, problem};

/// What is known of the baseline.
#[derive(Debug, Clone)]
pub enum Standing {
    /// All of it.
    Readable(Box<Report>),
    /// It is of an earlier format, which this program does not read, but by its digest it is what
    /// the last record ended with; so its figures are those of that record.
    EarlierFormat(Metrics),
}

impl Standing {
    /// Reads the baseline.
    ///
    /// # Errors
    /// It cannot be read, and no record vouches for it.
    pub fn of(contract: &Contract, chain: &Chain) -> Result<Self, ReadError> {
        let error = match contract.baseline() {
            Ok(report) => return Ok(Self::Readable(Box::new(report))),
            Err(error) => error,
        };
        let is = digest::of_json_file(&contract.path(BASELINE)).ok();
        match chain.last() {
            Some(last) if is.as_ref() == Some(&last.baseline.after) => {
                Ok(Self::EarlierFormat(last.metrics_after.clone()))
            }
            _ => Err(error),
        }
    }

    /// Its figures.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        match self {
            Self::Readable(report) => &report.metrics,
            Self::EarlierFormat(metrics) => metrics,
        }
    }

    /// Why nothing but a correction can go on from here; `None` where anything can.
    #[must_use]
    pub fn needs_correction(&self) -> Option<Problem> {
        match self {
            Self::Readable(_) => None,
            Self::EarlierFormat(_) => Some(problem(
                BASELINE,
                "the baseline is of an earlier format, so only a correction can move it",
                "measure its commit again, then: perf-gate bump --reason correction",
            )),
        }
    }
}
