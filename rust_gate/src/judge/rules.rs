//! The rules of the policy, judged exactly.

use bigdecimal::BigDecimal;
use cp1_format::{
    Amount, Decimal, Direction, Judgement, Limit, LimitKind, Metric, Metrics, Policy, Rule,
    RuleResult,
};

/// What came of one rule, and what a violation rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Ruling {
    /// What the verdict shows.
    pub result: RuleResult,
    /// Which kind of limit is violated; `None` where none is, or where nothing was judged.
    pub breach: Option<Breach>,
}

/// Which kind of limit is violated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Breach {
    /// Only limits on the change: the violation stands and falls with the baseline.
    Relative,
    /// A limit on the figure itself: no baseline is needed to see it.
    Absolute,
}

/// Judges every rule, in table order. `unjudgeable` says why a metric's figures cannot be trusted.
pub fn judge(
    policy: &Policy,
    baseline: &Metrics,
    candidate: &Metrics,
    unjudgeable: impl Fn(Metric) -> Option<String>,
) -> Vec<Ruling> {
    policy
        .rules
        .iter()
        .map(|(&metric, rule)| {
            let (baseline, candidate) = (baseline.get(metric), candidate.get(metric));
            ruling(metric, rule, baseline, candidate, unjudgeable(metric))
        })
        .collect()
}

fn ruling(
    metric: Metric,
    rule: &Rule,
    baseline: Option<&Amount>,
    candidate: Option<&Amount>,
    unjudgeable: Option<String>,
) -> Ruling {
    let words: Vec<_> = rule.limits().map(|limit| words(&limit)).collect();
    let needs_baseline = rule.is_relative();
    let not_judged = unjudgeable.or_else(|| match (baseline, candidate) {
        (_, None) => Some("the candidate does not have this figure".to_owned()),
        (None, _) if needs_baseline => Some("the baseline does not have this figure".to_owned()),
        (Some(baseline), _) if needs_baseline && baseline.is_zero() => {
            Some("a change from 0 has no percentage".to_owned())
        }
        _ => None,
    });
    let violations: Vec<_> = match (&not_judged, candidate) {
        (None, Some(candidate)) => rule
            .limits()
            .filter_map(|limit| {
                let excess = violation(&limit, metric, baseline, candidate)?;
                Some((breach(&limit), excess))
            })
            .collect(),
        _ => Vec::new(),
    };
    let breach = violations.iter().map(|(breach, _)| *breach).max();
    let explanation = not_judged.clone().or_else(|| {
        let texts: Vec<_> = violations.into_iter().map(|(_, text)| text).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    });
    let judgement = match (not_judged, breach) {
        (Some(_), _) => Judgement::NotJudged,
        (None, Some(_)) => Judgement::Violated,
        (None, None) => Judgement::Holds,
    };
    let result = RuleResult {
        metric,
        baseline: baseline.cloned(),
        candidate: candidate.cloned(),
        change_pct: baseline.zip(candidate).and_then(|(from, to)| change_pct(from, to)),
        limit: words.join(", "),
        judgement,
        explanation,
        on_blocks: None,
        on_undisturbed_blocks: None,
        on_whole_blocks: None,
        waiver: None,
    };
    Ruling { result, breach }
}

/// Change in percent, 2 places, half up; `None` from 0. For display: limits are judged by
/// multiplication.
#[must_use]
pub fn change_pct(from: &Amount, to: &Amount) -> Option<Decimal> {
    if from.is_zero() {
        return None;
    }
    let change = (to.exact() - from.exact()) * 100 / from.exact();
    Some(Decimal::rounded(&change, 2))
}

/// By how much the candidate is better than the baseline, in percent, where that is more than the
/// rule would let it be worse: a baseline so far behind lets a later regression hide.
#[must_use]
pub fn stale_by_pct(
    metric: Metric,
    rule: &Rule,
    baseline: Option<&Amount>,
    candidate: Option<&Amount>,
) -> Option<Decimal> {
    let (baseline, candidate) = baseline.zip(candidate)?;
    let worse = metric.worse();
    let percent = rule.limit(LimitKind::Change(worse))?;
    let hundredfold = candidate.exact() * 100;
    let is_stale = match worse {
        Direction::Increase => {
            hundredfold < baseline.exact() * moved_by(Direction::Decrease, percent)
        }
        Direction::Decrease => {
            hundredfold > baseline.exact() * moved_by(Direction::Increase, percent)
        }
    };
    let change = change_pct(baseline, candidate)?;
    is_stale.then(|| Decimal::rounded(&change.exact().abs(), 2))
}

fn breach(limit: &Limit<'_>) -> Breach {
    match limit.kind {
        LimitKind::Change(_) => Breach::Relative,
        LimitKind::Equals | LimitKind::Max | LimitKind::Min => Breach::Absolute,
    }
}

fn words(Limit { kind, amount }: &Limit<'_>) -> String {
    match kind {
        LimitKind::Change(Direction::Increase) => format!("at most +{amount} %"),
        LimitKind::Change(Direction::Decrease) => format!("at least -{amount} %"),
        LimitKind::Equals => format!("exactly {amount}"),
        LimitKind::Max => format!("at most {amount}"),
        LimitKind::Min => format!("at least {amount}"),
    }
}

/// The limit as a figure, times 100, so that no division is needed; `None` where the baseline that
/// it is relative to is missing.
fn hundredfold(
    Limit { kind, amount }: &Limit<'_>,
    baseline: Option<&Amount>,
) -> Option<BigDecimal> {
    Some(match kind {
        LimitKind::Change(way) => baseline?.exact() * moved_by(*way, amount),
        LimitKind::Equals | LimitKind::Max | LimitKind::Min => amount.exact() * 100,
    })
}

/// What is left, in percent, of a figure that moved by a percentage.
fn moved_by(way: Direction, percent: &Amount) -> BigDecimal {
    match way {
        Direction::Increase => BigDecimal::from(100) + percent.exact(),
        Direction::Decrease => BigDecimal::from(100) - percent.exact(),
    }
}

/// How the candidate violates a limit, in exact figures; `None` where the limit holds.
fn violation(
    limit: &Limit<'_>,
    metric: Metric,
    baseline: Option<&Amount>,
    candidate: &Amount,
) -> Option<String> {
    let bound = hundredfold(limit, baseline)?;
    let figure = candidate.exact() * 100;
    let relation = match limit.kind {
        LimitKind::Change(Direction::Increase) | LimitKind::Max if figure > bound => {
            "above the limit of"
        }
        LimitKind::Change(Direction::Decrease) | LimitKind::Min if figure < bound => {
            "below the limit of"
        }
        LimitKind::Equals if figure != bound => "not the required",
        _ => return None,
    };
    // Hundredths of a finite decimal are finite: the bound is shown exactly.
    let bound = (bound * BigDecimal::new(1.into(), 2)).normalized().to_plain_string();
    let unit = if metric.is_count() { String::new() } else { format!(" {}", metric.unit()) };
    Some(format!("{candidate}{unit} is {relation} {bound}{unit}"))
}
