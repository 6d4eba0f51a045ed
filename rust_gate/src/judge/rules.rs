//! The answer to each rule of the policy, made once: exact limits on figures, and limits on the
//! change on blocks where there are any.

use bigdecimal::BigDecimal;
use cp1_format::{
    Amount, Decimal, Direction, Judgement, Limit, LimitKind, Metric, Metrics, Policy, Rule,
    RuleResult,
};

use crate::judge::blocks::{BlockJudge, OnBlocks};
use crate::judge::decision::Ruling;

/// What came of one rule, and what a violation rests on.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
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

/// Answers every rule, in table order; on blocks where there is a judge of them. `unjudgeable` says
/// why a metric's figures cannot be trusted.
pub fn answers(
    policy: &Policy,
    baseline: &Metrics,
    candidate: &Metrics,
    blocks: Option<&BlockJudge<'_>>,
    unjudgeable: impl Fn(Metric) -> Option<String>,
) -> Vec<Answer> {
    let of_rule = |(&metric, rule): (&Metric, &Rule)| {
        let (baseline, candidate) = (baseline.get(metric), candidate.get(metric));
        let found = match unjudgeable(metric).or_else(|| missing(rule, baseline, candidate)) {
            Some(reason) => Found::Nothing(reason),
            None => found(metric, rule, baseline, candidate, blocks),
        };
        found.answer(metric, rule, baseline, candidate)
    };
    policy.rules.iter().map(of_rule).collect()
}

/// Why a rule cannot be judged on these figures.
fn missing(rule: &Rule, baseline: Option<&Amount>, candidate: Option<&Amount>) -> Option<String> {
    let reason = match (baseline, candidate) {
        (_, None) => "the candidate does not have this figure",
        (None, _) if rule.is_relative() => "the baseline does not have this figure",
        (Some(baseline), _) if rule.is_relative() && baseline.is_zero() => {
            "a change from 0 has no percentage"
        }
        _ => return None,
    };
    Some(reason.to_owned())
}

/// On blocks if the rule has limits on the change, unless a limit on the figure itself is violated:
/// that needs no blocks to be seen.
fn found(
    metric: Metric,
    rule: &Rule,
    baseline: Option<&Amount>,
    candidate: Option<&Amount>,
    blocks: Option<&BlockJudge<'_>>,
) -> Found {
    let violations: Vec<_> = rule
        .limits()
        .filter_map(|limit| {
            Some((breach(&limit), violation(&limit, metric, baseline, candidate?)?))
        })
        .collect();
    let worst = violations.iter().map(|(breach, _)| *breach).max();
    let on_blocks = blocks.filter(|_| worst != Some(Breach::Absolute));
    match on_blocks.and_then(|blocks| blocks.worst_of(metric)) {
        Some(on_blocks) => Found::OnBlocks(Box::new(on_blocks)),
        None => Found::OnFigures(worst, violations.into_iter().map(|(_, text)| text).collect()),
    }
}

/// What was found about a rule, by its basis.
enum Found {
    /// Nothing, for this reason.
    Nothing(String),
    /// What the figures say: the worst limit that they violate, and how they do.
    OnFigures(Option<Breach>, Vec<String>),
    /// What the blocks say.
    OnBlocks(Box<OnBlocks>),
}

impl Found {
    fn answer(
        self,
        metric: Metric,
        rule: &Rule,
        baseline: Option<&Amount>,
        candidate: Option<&Amount>,
    ) -> Answer {
        let (judgement, breach) = match &self {
            Self::Nothing(_) => (Judgement::NotJudged, None),
            Self::OnFigures(None, _) => (Judgement::Holds, None),
            Self::OnFigures(breach, _) => (Judgement::Violated, *breach),
            Self::OnBlocks(found) => match found.ruling {
                Ruling::Fail => (Judgement::Violated, Some(Breach::Relative)),
                Ruling::Pass => (Judgement::Holds, None),
                Ruling::Undecided => (Judgement::Undecided, None),
            },
        };
        let (explanation, on_blocks, on_undisturbed_blocks, on_whole_blocks) = match self {
            Self::Nothing(reason) => (Some(reason), None, None, None),
            Self::OnFigures(None, _) => (None, None, None, None),
            Self::OnFigures(_, violations) => (Some(violations.join("; ")), None, None, None),
            Self::OnBlocks(found) => {
                let OnBlocks { explanation, all, undisturbed, whole, .. } = *found;
                (Some(explanation), Some(all), undisturbed, whole)
            }
        };
        let limits: Vec<_> = rule.limits().map(|limit| words(&limit)).collect();
        let result = RuleResult {
            metric,
            baseline: baseline.cloned(),
            candidate: candidate.cloned(),
            change_pct: baseline.zip(candidate).and_then(|(from, to)| change_pct(from, to)),
            limit: limits.join(", "),
            judgement,
            explanation,
            on_blocks,
            on_undisturbed_blocks,
            on_whole_blocks,
            waiver: None,
        };
        Answer { result, breach }
    }
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

/// Significant digits of a figure that a reader takes in.
const SIGNIFICANT_DIGITS: i64 = 3;

/// Two figures that differ, in as few digits as show it.
fn told_apart(figure: &BigDecimal, bound: &BigDecimal) -> (Decimal, Decimal) {
    let exact = figure.fractional_digit_count().max(bound.fractional_digit_count());
    let rounded = |places| (Decimal::shortest(figure, places), Decimal::shortest(bound, places));
    (Decimal::places(figure, SIGNIFICANT_DIGITS)..exact)
        .map(rounded)
        .find(|(figure, bound)| figure.exact() != bound.exact())
        .unwrap_or_else(|| rounded(exact))
}

/// How the candidate violates a limit; `None` where the limit holds.
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
    // Hundredths of a finite decimal are finite.
    let (figure, bound) = told_apart(candidate.exact(), &(bound * BigDecimal::new(1.into(), 2)));
    let unit = if metric.unit().is_empty() { String::new() } else { format!(" {}", metric.unit()) };
    Some(format!("{figure}{unit} is {relation} {bound}{unit}"))
}
