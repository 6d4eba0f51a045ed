//! Creep: how far all moves of the baseline together went from the first one. Pure but for
//! [`budget`], the command.
//!
//! Moves add up as logs, since percentages of different figures do not. A correction changes the
//! ruler and not the router: it is shown in a column of its own and is no part of the sum.

use cp1_format::{Direction, Judgement, Metric, Policy, Problem, Record, RecordKind, RuleResult};

use super::records::Chain;
use super::{BASELINE, Contract, ContractError, POLICY, RECORDS, problem};
use crate::cli::arguments::Budget;
use crate::judge::decision::{held, percent_of_log};
use crate::judge::verdict;
use crate::read::inputs::{self, Files};

/// Logs, of which more is worse or not as the metric's direction says.
fn moved(records: &[&Record], metric: Metric, counts: impl Fn(RecordKind) -> bool) -> f64 {
    let of_record = |record: &&Record| {
        let log = |figures: &cp1_format::Metrics| Some(figures.get(metric)?.approximate().ln());
        let change = log(&record.metrics_after)? - log(record.metrics_before.as_ref()?)?;
        Some(change).filter(|change| counts(record.kind) && change.is_finite())
    };
    // The sum of no number is -0 in floating point.
    records.iter().filter_map(of_record).sum::<f64>() + 0.0
}

/// The metrics whose moves exceed the policy's cap.
#[must_use]
pub fn exceeded(records: &[&Record], policy: &Policy) -> Vec<Problem> {
    let over = |(metric, cap): (&Metric, &cp1_format::Amount)| {
        let log = moved(records, *metric, RecordKind::moves_the_router);
        let direction = metric.worse();
        let worse = direction.turned(log);
        let percent = percent_of_log(worse, direction)?.abs();
        (worse > 0.0 && percent > cap.approximate() + 1e-9).then(|| {
            let message = format!(
                "all moves of the baseline together made {metric} worse by {percent:.2} %, and \
                 budget.max_pct allows {cap} %"
            );
            problem(RECORDS, message, "win the cost back first, or amend the policy by review")
        })
    };
    policy.budget.max_pct.iter().filter_map(over).collect()
}

/// The table of `budget`.
///
/// # Errors
/// A file cannot be read, or the candidate cannot be judged.
pub fn budget(arguments: &Budget) -> Result<String, ContractError> {
    let contract = Contract::at(&arguments.root.root);
    let (chain, policy) = (Chain::read(&contract)?, contract.policy()?);
    let records: Vec<_> = chain.records().collect();
    let rules = match &arguments.candidate {
        None => Vec::new(),
        Some(candidate) => {
            let verdict = verdict::decide(&inputs::read(&Files {
                baseline: &contract.path(BASELINE),
                policy: &contract.path(POLICY),
                trusted_ref: None,
                waivers: None,
                candidates: std::slice::from_ref(candidate),
                replay: arguments.replay.as_deref(),
                smoke: false,
            }));
            if verdict.rules.is_empty() {
                return Err(ContractError::Refused(verdict.problems));
            }
            verdict.rules
        }
    };
    let anchor = records.first().map_or_else(
        || "no record has a head yet, so no move is known".to_owned(),
        |first| format!("moves since record {:04} of {}", first.number, first.date),
    );
    let mut lines = vec![anchor, row(&["metric", "limit", "used", "moved", "corrected", "cap"])];
    for held in held(&policy) {
        let shown = |log: f64| match percent_of_log(held.direction.turned(log), held.direction) {
            Some(percent) => format!("{percent:+.2} %"),
            None => "-".to_owned(),
        };
        let sign = held.direction.sign();
        let used = rules.iter().find(|rule| rule.metric == held.metric);
        let cap = policy.budget.max_pct.get(&held.metric);
        lines.push(row(&[
            held.metric.name(),
            &format!("{sign}{} %", held.limit_pct),
            &used
                .map_or_else(|| "-".to_owned(), |rule| share(rule, held.limit_pct, held.direction)),
            &shown(moved(&records, held.metric, RecordKind::moves_the_router)),
            &shown(moved(&records, held.metric, |kind| kind == RecordKind::Correction)),
            &cap.map_or_else(|| "-".to_owned(), |cap| format!("{sign}{cap} %")),
        ]));
    }
    Ok(lines.join("\n"))
}

/// How much of a limit is used: by the estimate over blocks where there is one.
fn share(rule: &RuleResult, limit_pct: f64, direction: Direction) -> String {
    if rule.judgement == Judgement::NotJudged {
        return "not judged".to_owned();
    }
    let change = rule.on_blocks.as_ref().map(|blocks| &blocks.estimate_pct);
    match change.or(rule.change_pct.as_ref()) {
        None => "-".to_owned(),
        Some(percent) => {
            let worse = direction.turned(percent.approximate());
            let used = if limit_pct > 0.0 { worse / limit_pct * 100.0 } else { f64::INFINITY };
            if worse <= 0.0 { "none".to_owned() } else { format!("{used:.0} % of it") }
        }
    }
}

fn row(cells: &[&str; 6]) -> String {
    let [metric, limit, used, moved, corrected, cap] = cells;
    format!("{metric:<22}{limit:>8}{used:>14}{moved:>12}{corrected:>12}{cap:>9}")
}
