//! A report may not contradict itself: the headline follows from the rounds, and each round's
//! figures follow from what it counted and timed.

use bigdecimal::BigDecimal;
use cp1_format::{Accounting, Amount, Metric, Outcomes, Problem, Report, Round, RunStatus};

use crate::histograms;

/// Contradictions listed of one report; a damaged one could have thousands.
const LISTED_MAX: usize = 20;

/// Every contradiction inside a report, of many the first. A report without rounds has none.
#[must_use]
pub fn check(file: &str, report: &Report) -> Vec<Problem> {
    let mut found = Contradictions { file, problems: Vec::new(), unlisted: 0 };
    if let Some(rounds) = &report.rounds {
        check_round_count(report, rounds, &mut found);
        check_headline(report, rounds, &mut found);
        check_accounting(report, rounds, &mut found);
        for (index, round) in rounds.iter().enumerate() {
            check_round(index, round, &mut found);
        }
    }
    if let Some(encoded) = &report.histograms {
        histograms::check(encoded, report.rounds.as_deref().unwrap_or_default(), &mut found);
    }
    found.finish()
}

/// Contradictions found so far.
pub(crate) struct Contradictions<'a> {
    file: &'a str,
    problems: Vec<Problem>,
    unlisted: usize,
}

impl Contradictions<'_> {
    pub(crate) fn add(&mut self, place: String, message: String) {
        if self.problems.len() == LISTED_MAX {
            self.unlisted += 1;
            return;
        }
        self.problems.push(Problem {
            file: self.file.to_owned(),
            place: Some(place),
            message,
            cure: "measure again; a report is not edited by hand".to_owned(),
        });
    }

    fn finish(mut self) -> Vec<Problem> {
        if self.unlisted > 0 {
            self.problems.push(Problem {
                file: self.file.to_owned(),
                place: None,
                message: format!("{} more contradictions are not listed", self.unlisted),
                cure: "measure again".to_owned(),
            });
        }
        self.problems
    }
}

/// Whether two figures are equal up to one part in a million: what binary fractions on the way from
/// one to the other may have cost.
fn near(a: &BigDecimal, b: &BigDecimal) -> bool {
    (a - b).abs() * 1_000_000 <= a.abs().max(b.abs())
}

fn check_round_count(report: &Report, rounds: &[Round], found: &mut Contradictions<'_>) {
    if rounds.is_empty() {
        found.add("rounds".into(), "there is no round".into());
    }
    let all_measured = matches!(
        report.run.status,
        None | Some(
            RunStatus::Complete | RunStatus::InsufficientSamples | RunStatus::GeneratorLimited
        )
    );
    if let Some(load) = &report.load
        && all_measured
        && rounds.len() != load.rounds as usize
    {
        let message = format!("{} rounds were planned, {} are here", load.rounds, rounds.len());
        found.add("rounds".into(), message);
    }
}

fn check_headline(report: &Report, rounds: &[Round], found: &mut Contradictions<'_>) {
    for (&metric, headline) in &report.metrics.0 {
        let of_rounds: Option<Vec<&Amount>> =
            rounds.iter().map(|round| round.metrics.get(metric)).collect();
        let place = || format!("metrics.{metric}");
        let Some(mut of_rounds) = of_rounds else {
            found.add(place(), "a round did not measure this figure".into());
            continue;
        };
        of_rounds.sort();
        let (follows, of_them) = if metric.is_count() {
            let sum: BigDecimal = of_rounds.iter().map(|figure| figure.exact()).sum();
            (sum == *headline.exact(), "sum")
        } else {
            // The two middle figures, which are the same one where their number is odd.
            let lower = of_rounds.get(of_rounds.len().saturating_sub(1) / 2);
            let upper = of_rounds.get(of_rounds.len() / 2);
            let follows = lower.zip(upper).is_some_and(|(lower, upper)| {
                near(&(headline.exact() * 2), &(lower.exact() + upper.exact()))
            });
            (follows, "median")
        };
        if !follows {
            found.add(place(), format!("{headline} is not the {of_them} over the rounds"));
        }
    }
}

fn check_accounting(report: &Report, rounds: &[Round], found: &mut Contradictions<'_>) {
    if let Some(stated) = &report.accounting
        && accounting_of(rounds).as_ref() != Some(stated)
    {
        found.add("accounting".into(), "this is not the sum of the rounds' accounting".into());
    }
}

/// The requests of all rounds; `None` on overflow.
#[must_use]
pub fn accounting_of(rounds: &[Round]) -> Option<Accounting> {
    rounds.iter().try_fold(Accounting::default(), |sum, round| {
        Some(Accounting {
            throughput: add(sum.throughput, round.accounting.throughput)?,
            latency: add(sum.latency, round.accounting.latency)?,
        })
    })
}

fn add(a: Outcomes, b: Outcomes) -> Option<Outcomes> {
    Some(Outcomes {
        offered: a.offered.checked_add(b.offered)?,
        ok: a.ok.checked_add(b.ok)?,
        error: a.error.checked_add(b.error)?,
        timeout: a.timeout.checked_add(b.timeout)?,
        rejected: a.rejected.checked_add(b.rejected)?,
        skipped: a.skipped.checked_add(b.skipped)?,
    })
}

fn check_round(index: usize, round: &Round, found: &mut Contradictions<'_>) {
    let at = |place: &str| format!("rounds[{index}].{place}");
    for (&metric, figure) in &round.metrics.0 {
        if let Err(message) = follows(metric, figure, round) {
            found.add(at(&format!("metrics.{metric}")), message);
        }
    }
    for (place, samples, requests) in [
        (
            "throughput.service_time.count",
            round.throughput.service_time.count,
            round.accounting.throughput.ok,
        ),
        (
            "latency.response_time.count",
            round.latency.response_time.count,
            round.accounting.latency.ok,
        ),
    ] {
        if samples != requests {
            let message = format!("{samples} samples of {requests} successful requests");
            found.add(at(place), message);
        }
    }
}

/// Whether a round's figure follows from what the round counted and timed; says what it should be.
fn follows(metric: Metric, figure: &Amount, round: &Round) -> Result<(), String> {
    let figure = figure.exact();
    let scaled = |factor: u64, from: u64, what: &str| {
        if near(&(figure * factor), &from.into()) {
            Ok(())
        } else {
            Err(format!("{figure} does not follow from {what} {from}"))
        }
    };
    let counted = |count: Option<u64>, what: &str| match count {
        Some(count) if *figure == count => Ok(()),
        Some(count) => Err(format!("{figure} is not the {count} that {what}")),
        None => Err("the router could not count them, so there is no figure".to_owned()),
    };
    let unmeasured = || Err("the distribution has no such percentile".to_owned());
    let response_time = &round.latency.response_time;
    match metric {
        Metric::LatencyP95Ms => match response_time.p95_ns {
            Some(ns) => scaled(1_000_000, ns, "latency.response_time.p95_ns"),
            None => unmeasured(),
        },
        Metric::LatencyP99Ms => match response_time.p99_ns {
            Some(ns) => scaled(1_000_000, ns, "latency.response_time.p99_ns"),
            None => unmeasured(),
        },
        Metric::Rps => {
            let (ok, ns) = (round.accounting.throughput.ok, round.throughput.duration_ns);
            if near(&(figure * ns), &(BigDecimal::from(ok) * 1_000_000_000)) {
                Ok(())
            } else {
                Err(format!("{figure} does not follow from {ok} successes in {ns} ns"))
            }
        }
        Metric::MemMbTotalErlang => scaled(1_048_576, round.memory.peak_bytes, "memory.peak_bytes"),
        Metric::ErrorsTotal => {
            let seen = round.errors.router.map(|n| n.max(round.errors.driver.unwrap_or(0)));
            counted(seen, "driver or router saw")
        }
        Metric::BackpressureActiveTotal => counted(round.backpressure.router, "the router saw"),
    }
}
