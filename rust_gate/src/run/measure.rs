//! Measuring: the bench runs a plan, and is told after each block whether there is another.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cp1_format::{Event, Plan, Refused, Request};

use crate::run::RunError;
use crate::run::bench::Bench;
use crate::run::interrupt::{Interrupt, TERMINATED};
use crate::run::progress::{Progress, calibrated, measured};
use crate::run::seal::seal;

/// What the run leaves of the time limit, to write its report before it is ended.
const GRACE: Duration = Duration::from_secs(5);

/// How often the time that is left is told.
const TICK: Duration = Duration::from_secs(1);

/// What `timeout` exits with.
pub const OUT_OF_TIME: u8 = 124;

/// What blocks may take longer than the longest so far.
const RESERVE: f64 = 1.25;

/// Whether there is another block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is, and the next look at the run is after so many.
    GoOn {
        /// Blocks at the next look.
        look: u32,
    },
    /// The run is complete.
    Stop,
}

/// How a measurement ended. Its reports are sealed.
#[derive(Debug)]
pub enum Ended {
    /// As planned.
    Complete,
    /// Not as planned, and why; the report says so too.
    Failed(String),
    /// Out of time, in words.
    OutOfTime(String),
    /// By a signal, with the exit code that it asks for.
    Interrupted(u8),
}

/// A measurement that has ended.
#[derive(Debug)]
pub struct Measurement {
    /// How.
    pub ended: Ended,
    /// What it measured, as a table for people; empty where the bench said none.
    pub table: String,
}

/// Measures, and asks `after_block` with the number of blocks.
///
/// # Errors
/// The plan is refused, or a report cannot be sealed.
pub fn measure(
    mut bench: Bench,
    plan: &Plan,
    limit: Duration,
    interrupt: &Interrupt,
    progress: &Progress,
    mut after_block: impl FnMut(u32) -> Result<Next, RunError>,
) -> Result<Measurement, RunError> {
    let start = Instant::now();
    let deadline = start + limit;
    let timeout = limit.saturating_sub(GRACE).max(limit / 2);
    let mut plan = plan.clone();
    plan.timeout_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    bench.ask(&Request::Measure(plan.clone()))?;
    let mut last = start;
    let mut longest = Duration::ZERO;
    let mut table = String::new();
    let (ended, code) = loop {
        let wake = deadline.min(Instant::now() + TICK);
        match bench.answer(wake, interrupt) {
            Ok(Some(Event::Step(step))) => progress.does(&step),
            Ok(Some(Event::Calibrated(load))) => progress.step(&calibrated(&load)),
            Ok(Some(Event::Measured(figures))) => {
                progress.step(&measured(&figures, plan.blocks));
            }
            Ok(Some(Event::Table(said))) => table = said,
            Ok(Some(Event::Block(number))) => {
                longest = longest.max(last.elapsed());
                let next = match after_block(number) {
                    Ok(next) => next,
                    Err(error) => break (Ended::Failed(error.to_string()), 1),
                };
                let left = (start + timeout).saturating_duration_since(Instant::now());
                let request = match next {
                    Next::Stop => Request::Stop,
                    Next::GoOn { look } => {
                        let blocks = look.saturating_sub(number);
                        let needed = longest.mul_f64(f64::from(blocks) * RESERVE);
                        if left > needed {
                            Request::GoOn
                        } else {
                            progress.say(&format!(
                                "undecided, and too little time for a look after {look} blocks: {} s \
                                 left, {} s needed",
                                left.as_secs(),
                                needed.as_secs()
                            ));
                            Request::Stop
                        }
                    }
                };
                if let Err(error) = bench.ask(&request) {
                    break (Ended::Failed(error.to_string()), 1);
                }
                last = Instant::now();
            }
            Ok(Some(Event::Ended)) => break (Ended::Complete, 0),
            Ok(Some(Event::Failed(why))) => break (Ended::Failed(why), 1),
            Ok(Some(Event::Refused(refused))) => return Err(RunError::Refused(refused)),
            Ok(Some(
                Event::Described(_)
                | Event::Examined(_)
                | Event::Explained(_)
                | Event::Warm(_)
                | Event::Loaded
                | Event::Served(_),
            )) => {
                let problem = "it answers what it was not asked".to_owned();
                return Err(RunError::Refused(Refused { option: None, problem }));
            }
            Ok(None) if Instant::now() < deadline => progress.tick(),
            Ok(None) => {
                let why = format!("stopped after {} s (PERF_TIMEOUT_SECONDS)", limit.as_secs());
                break (Ended::OutOfTime(why), i32::from(OUT_OF_TIME));
            }
            Err(RunError::Interrupted(code)) => {
                break (Ended::Interrupted(code), i32::from(TERMINATED));
            }
            Err(error) => break (Ended::Failed(error.to_string()), 1),
        }
    };
    bench.end();
    let replay = plan.replay.iter().map(|replay| &replay.report_file);
    let variants = plan.variants.iter().flat_map(|variants| &variants.values);
    let mut reports: Vec<&String> =
        replay.chain(variants.map(|variant| &variant.report_file)).collect();
    if !reports.contains(&&plan.report_file) {
        reports.push(&plan.report_file);
    }
    for report in reports.into_iter().map(PathBuf::from) {
        if report.exists() {
            seal(&report, code).map_err(|error| RunError::Seal(Box::new(error)))?;
        }
    }
    Ok(Measurement { ended, table })
}
