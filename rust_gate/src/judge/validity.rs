//! What keeps a well-formed report from being judged at all, or from being judged against.

use cp1_format::{Metric, Policy, Problem, Report, Role, RunStatus};

use crate::judge::{recovery, watched};

const MEASURE: &str = "measure again with perf-gate bench";
const FREEZE: &str = "freeze a sound report as baseline; perf/README.md says how";

/// Collects problems of one file.
struct Problems<'a> {
    file: &'a str,
    found: Vec<Problem>,
}

impl Problems<'_> {
    fn add(&mut self, place: impl Into<String>, message: impl Into<String>, cure: &str) {
        self.found.push(Problem {
            file: self.file.to_owned(),
            place: Some(place.into()),
            message: message.into(),
            cure: cure.to_owned(),
        });
    }

    /// A router that ran already is another thing to measure, which a policy has to want.
    fn attached(&mut self, report: &Report, policy: &Policy) {
        if report.env.attached == Some(true) && !policy.gate.allow_attached {
            let message =
                "it was measured in a node that ran already, which this policy does not allow";
            let cure = "measure without --attach, or set gate.allow_attached in the policy";
            self.add("env.attached", message, cure);
        }
    }
}

/// Whether a run ended early: its figures are leftovers.
#[must_use]
pub fn ended_early(report: &Report) -> bool {
    matches!(
        report.run.status,
        Some(RunStatus::Failed | RunStatus::Interrupted | RunStatus::Unfinished)
    )
}

/// What the candidate lacks to be judged.
#[must_use]
pub fn of_candidate(file: &str, candidate: &Report, policy: &Policy) -> Vec<Problem> {
    let mut problems = Problems { file, found: Vec::new() };
    let reason = match &candidate.run.reason {
        Some(reason) => format!(": {reason}"),
        None => ", and gives no reason".to_owned(),
    };
    match candidate.run.status {
        Some(RunStatus::Failed) => {
            let message = format!("the run failed{reason}");
            problems.add("run.status", message, "remove the reason, then measure again");
        }
        Some(RunStatus::Interrupted) => {
            let message = format!("the run was stopped by whoever asked for it{reason}");
            problems.add("run.status", message, "measure again, to the end");
        }
        Some(RunStatus::Unfinished) => {
            let message = format!("the run was stopped before its end{reason}");
            let cure = "measure again, with a longer PERF_TIMEOUT_SECONDS if time ran out";
            problems.add("run.status", message, cure);
        }
        Some(
            RunStatus::Complete | RunStatus::InsufficientSamples | RunStatus::GeneratorLimited,
        )
        | None => {}
    }
    if candidate.pairing.as_ref().is_some_and(|pairing| pairing.role == Role::Frozen) {
        let message = "this is the frozen side of a replay: the baseline's commit, measured again";
        problems.add("pairing.role", message, "give the candidate's report: perf_baseline_*.json");
    }
    problems.attached(candidate, policy);
    if policy.gate.require_candidate_ct_exit_code_zero {
        match candidate.run.ct_exit_code {
            Some(0) => {}
            Some(code) => problems.add(
                "run.ct_exit_code",
                format!("the test run that measured exited with {code}"),
                "make its tests pass, then measure again",
            ),
            None => problems.add(
                "run.ct_exit_code",
                "the exit code of the test run that measured is missing",
                "measure with `perf-gate bench`, which adds it when the run has ended",
            ),
        }
    }
    if candidate.git.commit.is_none() {
        let message = "the report does not say which commit was measured";
        problems.add("git.commit", message, "measure inside the git repository");
    }
    let (missing, there) = Metric::ALL
        .into_iter()
        .partition::<Vec<_>, _>(|metric| candidate.metrics.get(*metric).is_none());
    let not_offered = |metric: &Metric| policy.gate.not_offered.contains(metric);
    for metric in there.into_iter().filter(not_offered) {
        let message = format!("{metric} is there, and the policy says that the router has none");
        let cure = "take it out of gate.not_offered in the policy, and give it a rule";
        problems.add(format!("metrics.{metric}"), message, cure);
    }
    for metric in missing.into_iter().filter(|metric| !not_offered(metric)) {
        let required_by = if policy.rules.contains_key(&metric) {
            "a rule judges it"
        } else if policy.gate.require_all_metrics_present && !metric.is_optional() {
            "the policy requires all six"
        } else {
            continue;
        };
        let (why, cure) = match candidate.watched {
            Some(_) => {
                let (why, cure) = watched::unmeasured(metric);
                (why.map(ToOwned::to_owned), cure)
            }
            None if metric.is_of_outage() => {
                let (why, cure) = recovery::unmeasured(metric, candidate);
                (Some(why), cure)
            }
            None if metric == Metric::MemMbWorstNode => (
                Some("there is one router".to_owned()),
                "measure several: perf-gate run --nodes local,local --routers 2; or take the rule out",
            ),
            None => (None, MEASURE),
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let message = format!("{metric} was not measured, but {required_by}{why}");
        problems.add(format!("metrics.{metric}"), message, cure);
    }
    problems.found
}

/// What keeps a frozen report from being a baseline.
#[must_use]
pub fn of_baseline(file: &str, baseline: &Report, policy: &Policy) -> Vec<Problem> {
    let mut problems = Problems { file, found: Vec::new() };
    // Of blocks it is computed, with each rule that they cannot carry ([`crate::judge::samples`]).
    let status = match baseline.run.status.filter(|_| baseline.blocks.is_none()) {
        Some(RunStatus::InsufficientSamples) => Some("had too few samples"),
        Some(RunStatus::GeneratorLimited) => Some("was limited by the load generator"),
        _ => None,
    };
    if let Some(status) = status {
        problems.add("run.status", format!("the run that was frozen {status}"), FREEZE);
    }
    problems.found.extend(of_measure(file, baseline, policy));
    problems.found
}

/// What keeps a report from being what a candidate is measured by, frozen or replayed just now. A
/// replay with too few samples or a late generator says nothing of its percentiles
/// ([`crate::judge::samples`]), and is no fault of a file.
#[must_use]
pub fn of_measure(file: &str, baseline: &Report, policy: &Policy) -> Vec<Problem> {
    let mut problems = Problems { file, found: Vec::new() };
    let status = match baseline.run.status {
        Some(RunStatus::Failed) => Some("failed"),
        Some(RunStatus::Interrupted) => Some("was stopped before its end"),
        Some(RunStatus::Unfinished) => Some("did not finish"),
        _ => None,
    };
    if let Some(status) = status {
        problems.add("run.status", format!("the run that was frozen {status}"), FREEZE);
    }
    problems.attached(baseline, policy);
    if let Some(fault) = &baseline.run.planted_fault {
        let message = format!("the baseline was measured with a planted fault: {fault}");
        problems.add("run.planted_fault", message, FREEZE);
    }
    if let Some(code) = baseline.run.ct_exit_code.filter(|code| *code != 0) {
        let message = format!("the test run that was frozen exited with {code}");
        problems.add("run.ct_exit_code", message, FREEZE);
    }
    if baseline.git.commit.is_none() {
        let message = "the baseline does not say which commit was measured";
        problems.add("git.commit", message, FREEZE);
    }
    for (metric, _) in policy.rules.iter().filter(|(_, rule)| rule.is_relative()) {
        let message = match baseline.metrics.get(*metric) {
            None => format!("{metric} is missing, but a relative rule is judged against it"),
            Some(figure) if figure.is_zero() => {
                format!("{metric} is 0, and no change from 0 has a percentage")
            }
            Some(_) => continue,
        };
        let cure = "freeze a report that has the figure, or give the rule an absolute limit";
        problems.add(format!("metrics.{metric}"), message, cure);
    }
    problems.found
}

/// A fault planted on purpose: what was measured is not the router.
#[must_use]
pub fn planted_fault(file: &str, candidate: &Report) -> Option<Problem> {
    candidate.run.planted_fault.as_ref().map(|fault| Problem {
        file: file.to_owned(),
        place: Some("run.planted_fault".to_owned()),
        message: format!("measured with a planted fault: {fault}"),
        cure: "measure again without it".to_owned(),
    })
}
