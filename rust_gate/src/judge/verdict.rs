//! From findings to the one answer. Pure.
//!
//! # What outranks what
//!
//! 1. INVALID: a file could not be read, is incomplete, contradicts itself, or is no sound
//!    baseline.
//! 2. REGRESSION by an absolute limit: it needs no baseline, so no environment excuses it.
//! 3. INCOMPARABLE: environment or load differ, so a relative limit says nothing, either way.
//! 4. REGRESSION by a relative limit, or by a share of unserved requests that the baseline does not
//!    have. A planted fault does not hide it: such a run is meant to
//!    fail.
//! 5. INCONCLUSIVE: too few samples, arrivals that were skipped, or blocks that do not decide.
//! 6. INVALID by a planted fault: what would pass was not the router itself.
//! 7. PASS.

use cp1_format::{
    Comparison, Decision, FieldDifference, Input, Judgement, Metric, Notice, Outcome, Policy,
    Problem, Report, RuleResult, SchemaName, SchemaTag, Unserved, UnservedResult, Verdict,
};

use crate::escape;
use crate::judge::compare::{Findings, Named, Waived, compare};
use crate::judge::rules::Breach;
use crate::read::inputs::{Inputs, Source};

/// Longest text taken over from a file, in characters; the verdict stays readable by machines with
/// limits of their own.
const TEXT_MAX_CHARS: usize = 1000;

/// Judges what was read.
#[must_use]
pub fn decide(inputs: &Inputs) -> Verdict {
    let Inputs { baseline, candidate, replay, policy, waivers, problems, notices, rule_lines: _ } =
        inputs;
    let judged = cp1_format::Inputs {
        baseline: input(baseline),
        candidate: input(candidate),
        replay: replay.as_ref().map(input),
        policy: Input { path: clip(policy.path.clone()), ..Input::default() },
        waivers: waivers
            .as_ref()
            .map(|waivers| Input { path: clip(waivers.path.clone()), ..Input::default() }),
    };
    let findings = match (&baseline.document, &candidate.document, &policy.document) {
        (Some(frozen), Some(measured), Some(policy)) if problems.is_empty() => compare(
            Named { path: &baseline.path, document: frozen },
            // Read, or else there is a problem.
            replay.as_ref().and_then(|source| {
                source.document.as_ref().map(|document| Named { path: &source.path, document })
            }),
            Named { path: &candidate.path, document: measured },
            policy,
            waivers.as_ref().and_then(|source| {
                let document = source.document.as_ref()?;
                Some(Waived { path: &source.path, document })
            }),
        ),
        _ => unread(problems.clone()),
    };
    verdict(judged, findings, policy.document.as_ref(), notices.clone())
}

fn input(source: &Source<Report>) -> Input {
    let report = source.document.as_ref();
    Input {
        path: clip(source.path.clone()),
        timestamp: report.map(|report| report.timestamp.to_string()),
        commit: report.and_then(|report| report.git.commit.clone()),
        blocks: report.and_then(|report| report.blocks.as_ref()).map(|blocks| blocks.len() as u64),
    }
}

/// The findings where a file is missing: only that.
fn unread(problems: Vec<Problem>) -> Findings {
    Findings {
        answers: Vec::new(),
        on_blocks: None,
        is_unsound: false,
        unserved: Vec::new(),
        supporting: Vec::new(),
        comparison: Comparison::default(),
        invalid: problems,
        planted_fault: None,
        doubts: Vec::new(),
        notices: Vec::new(),
    }
}

/// The one place where the outcome is decided; the order is the one of the module's page.
fn outcome(findings: &Findings) -> Outcome {
    if !findings.invalid.is_empty() {
        Outcome::Invalid
    } else if findings.has(Breach::Absolute) {
        Outcome::Regression
    } else if !findings.comparison.differences.is_empty() {
        Outcome::Incomparable
    } else if findings.has(Breach::Relative) {
        Outcome::Regression
    } else if !findings.doubts.is_empty() || findings.is_undecided() {
        Outcome::Inconclusive
    } else if findings.planted_fault.is_some() {
        Outcome::Invalid
    } else {
        Outcome::Pass
    }
}

fn verdict(
    inputs: cp1_format::Inputs,
    findings: Findings,
    policy: Option<&Policy>,
    notices: Vec<Notice>,
) -> Verdict {
    let outcome = outcome(&findings);
    // More blocks cannot change any other answer.
    let is_open = outcome == Outcome::Inconclusive && findings.is_open();
    let decision =
        findings.on_blocks.zip(policy).map(|(blocks, policy)| blocks.decision(policy, is_open));
    let Findings {
        answers,
        unserved,
        supporting,
        comparison,
        invalid,
        planted_fault,
        doubts,
        notices: further,
        on_blocks: _,
        is_unsound: _,
    } = findings;
    // A planted fault is a problem only where it decides; else the notice says it.
    let planted_fault = planted_fault.filter(|_| outcome == Outcome::Invalid);
    let problems: Vec<_> =
        invalid.into_iter().chain(planted_fault).chain(doubts).map(clip_problem).collect();
    let rules: Vec<_> = answers.into_iter().map(|answer| answer.result).collect();
    let comparison = Comparison {
        differences: comparison.differences.into_iter().map(clip_difference).collect(),
        unverified: comparison.unverified,
    };
    Verdict {
        schema: SchemaTag { name: SchemaName::Cp1Verdict, version: 2 },
        outcome,
        exit_code: outcome.exit_code(),
        summary: summary(outcome, &rules, &unserved, &comparison, &problems)
            + error_rate(outcome, &decision),
        inputs,
        comparison,
        decision,
        rules,
        unserved,
        supporting,
        problems,
        notices: notices.into_iter().chain(further).map(|n| Notice(clip(n.0))).collect(),
    }
}

/// What the answer says of its error rate, where it judged figures and has none.
fn error_rate(outcome: Outcome, decision: &Option<Decision>) -> &'static str {
    match (outcome, decision) {
        (Outcome::Pass | Outcome::Regression, None) => {
            "; one figure against one figure, so no error rate can be given"
        }
        _ => "",
    }
}

fn summary(
    outcome: Outcome,
    rules: &[RuleResult],
    unserved: &[UnservedResult],
    comparison: &Comparison,
    problems: &[Problem],
) -> String {
    let named = |judgement: Judgement| {
        let names: Vec<_> = rules
            .iter()
            .filter(|rule| rule.judgement == judgement)
            .map(|rule| rule.metric.name())
            .collect();
        (names.len(), names.join(", "))
    };
    let of_rules = plural(rules.len(), "rule");
    let shares = |judgement: Judgement| {
        let named: Vec<_> = unserved
            .iter()
            // What a rule judges is named with it.
            .filter(|result| result.judgement == judgement && !is_of_rule(result, rules))
            .map(|result| format!("{} in the {}", result.outcome.name(), result.phase.name()))
            .collect();
        (!named.is_empty()).then(|| named.join(", "))
    };
    match outcome {
        Outcome::Pass if named(Judgement::Waived).0 > 0 => {
            let (count, names) = named(Judgement::Waived);
            format!("{count} of {of_rules} waived: {names}; the others hold")
        }
        Outcome::Pass if rules.len() == 1 => "the only rule holds".to_owned(),
        Outcome::Pass => format!("all {of_rules} hold"),
        Outcome::Regression => {
            let beyond = shares(Judgement::Violated)
                .map(|names| format!("requests that the baseline served: {names}"));
            let rules = match named(Judgement::Violated) {
                (0, _) => None,
                (count, names) => Some(format!("{count} of {of_rules} violated: {names}")),
            };
            rules.into_iter().chain(beyond).collect::<Vec<_>>().join("; ")
        }
        Outcome::Invalid => format!("{}, so nothing is judged", plural(problems.len(), "problem")),
        Outcome::Inconclusive => match named(Judgement::NotJudged) {
            (0, _) => match named(Judgement::Undecided) {
                (0, _) => match shares(Judgement::Undecided).or(shares(Judgement::NotJudged)) {
                    Some(names) => format!("every rule holds, but it is open for requests {names}"),
                    None => "every rule holds, but arrivals were skipped".to_owned(),
                },
                (count, names) => format!("{count} of {of_rules} undecided: {names}"),
            },
            (count, names) => format!("{count} of {of_rules} could not be judged: {names}"),
        },
        Outcome::Incomparable => {
            let fields: Vec<_> =
                comparison.differences.iter().map(|difference| difference.field.as_str()).collect();
            format!("the reports were measured under different conditions: {}", fields.join(", "))
        }
    }
}

fn is_of_rule(result: &UnservedResult, rules: &[RuleResult]) -> bool {
    matches!(result.outcome, Unserved::Error | Unserved::Timeout)
        && rules.iter().any(|rule| rule.metric == Metric::ErrorsTotal)
}

fn plural(count: usize, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

fn clip(text: String) -> String {
    escape::clip(&text, TEXT_MAX_CHARS)
}

fn clip_problem(problem: Problem) -> Problem {
    Problem {
        file: clip(problem.file),
        place: problem.place.map(clip),
        message: clip(problem.message),
        cure: clip(problem.cure),
    }
}

fn clip_difference(difference: FieldDifference) -> FieldDifference {
    FieldDifference {
        field: difference.field,
        baseline: difference.baseline.map(clip),
        candidate: difference.candidate.map(clip),
    }
}
