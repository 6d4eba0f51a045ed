//! Creep: how far all moves of the baseline together went from the first one. Pure but for
//! [`budget`], the command.
//!
//! Moves add up as logs, since percentages of different figures do not. A correction changes the
//! ruler and not the router: it is shown in a column of its own and is no part of the sum.

use cp1_format::{
    Decimal, Direction, Judgement, LimitBudget, Metric, Policy, Problem, Record, RecordKind,
    RuleResult,
};

use super::records::Chain;
use super::{BASELINE, Contract, ContractError, POLICY, RECORDS, problem};
use crate::cli::arguments::Budget;
use crate::judge::decision::{JudgedLimit, held, percent_of_log};
use crate::judge::verdict;
use crate::read::inputs::{self, Files};

/// Decimal places of a limit in percent, as policies have them.
const PERCENT_PLACES: i64 = 9;

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

/// What `budget` answers.
///
/// # Errors
/// A file cannot be read, or the candidate cannot be judged.
pub fn budget(arguments: &Budget) -> Result<cp1_format::Budget, ContractError> {
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
    let since = records.first().map_or_else(
        || "no record has a head yet, so no move is known".to_owned(),
        |first| format!("moves since record {:04} of {}", first.number, first.date),
    );
    let of_limit = |held: JudgedLimit| {
        let pct = |log: f64| {
            let percent = percent_of_log(held.direction.turned(log), held.direction)?;
            Decimal::of_fraction(percent, 2)
        };
        let signed = |percent: f64| {
            let percent = Decimal::of_fraction(held.direction.turned(percent), PERCENT_PLACES);
            percent.map(|percent| Decimal::shortest(percent.exact(), PERCENT_PLACES))
        };
        let used = rules.iter().find(|rule| rule.metric == held.metric);
        let used = used.map(|rule| share(rule, held.limit_pct, held.direction));
        let (used, used_pct) = used.unzip();
        let cap = policy.budget.max_pct.get(&held.metric);
        LimitBudget {
            metric: held.metric,
            limit_pct: signed(held.limit_pct).unwrap_or_else(|| Decimal::from(0)),
            used,
            used_pct: used_pct.flatten(),
            moved_pct: pct(moved(&records, held.metric, RecordKind::moves_the_router)),
            corrected_pct: pct(moved(&records, held.metric, |kind| kind == RecordKind::Correction)),
            cap_pct: cap.and_then(|cap| signed(cap.approximate())),
        }
    };
    Ok(cp1_format::Budget { since, limits: held(&policy).into_iter().map(of_limit).collect() })
}

/// How much of a limit is used, in words and in percent of it: by the estimate over blocks where there is
/// one.
fn share(rule: &RuleResult, limit_pct: f64, direction: Direction) -> (String, Option<Decimal>) {
    if rule.judgement == Judgement::NotJudged {
        return ("not judged".to_owned(), None);
    }
    let change = rule.on_blocks.as_ref().map(|blocks| &blocks.estimate_pct);
    match change.or(rule.change_pct.as_ref()) {
        None => ("-".to_owned(), None),
        Some(percent) => {
            let worse = direction.turned(percent.approximate());
            let used = if limit_pct > 0.0 { worse / limit_pct * 100.0 } else { f64::INFINITY };
            match worse <= 0.0 {
                true => ("none".to_owned(), Some(Decimal::from(0))),
                false => (format!("{used:.0} % of it"), Decimal::of_fraction(used, 0)),
            }
        }
    }
}
