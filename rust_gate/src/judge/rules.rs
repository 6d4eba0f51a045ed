//! The rules of the policy, judged exactly.

use bigdecimal::BigDecimal;
use cp1_format::{
    Amount, Decimal, Direction, Judgement, Metric, Metrics, Policy, Relative, Rule, RuleResult,
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
    let limits = limits(rule);
    let words: Vec<_> = limits.iter().map(Limit::words).collect();
    let needs_baseline = is_relative(rule);
    let not_judged = unjudgeable.or_else(|| match (baseline, candidate) {
        (_, None) => Some("the candidate does not have this figure".to_owned()),
        (None, _) if needs_baseline => Some("the baseline does not have this figure".to_owned()),
        (Some(baseline), _) if needs_baseline && baseline.is_zero() => {
            Some("a change from 0 has no percentage".to_owned())
        }
        _ => None,
    });
    let violations: Vec<_> = match (&not_judged, candidate) {
        (None, Some(candidate)) => limits
            .iter()
            .filter_map(|limit| {
                let excess = limit.violation(metric, baseline, candidate)?;
                Some((limit.breach(), excess))
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

/// Whether the rule is judged against the baseline.
#[must_use]
pub fn is_relative(rule: &Rule) -> bool {
    rule.relative.is_some()
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
    let Relative { max_pct_increase, max_pct_decrease } = rule.relative.as_ref()?;
    let hundredfold = candidate.exact() * 100;
    let is_stale = match metric.direction() {
        Direction::LowerIsBetter => {
            hundredfold < baseline.exact() * (hundred() - max_pct_increase.as_ref()?.exact())
        }
        Direction::HigherIsBetter => {
            hundredfold > baseline.exact() * (hundred() + max_pct_decrease.as_ref()?.exact())
        }
    };
    let change = change_pct(baseline, candidate)?;
    is_stale.then(|| Decimal::rounded(&change.exact().abs(), 2))
}

fn hundred() -> BigDecimal {
    BigDecimal::from(100)
}

/// One limit of a rule.
enum Limit<'a> {
    MaxIncrease(&'a Amount),
    MaxDecrease(&'a Amount),
    Equals(&'a Amount),
    Max(&'a Amount),
    Min(&'a Amount),
}

fn limits(rule: &Rule) -> Vec<Limit<'_>> {
    let relative = rule.relative.as_ref();
    let absolute = rule.absolute.as_ref();
    [
        relative.and_then(|r| r.max_pct_increase.as_ref()).map(Limit::MaxIncrease),
        relative.and_then(|r| r.max_pct_decrease.as_ref()).map(Limit::MaxDecrease),
        absolute.and_then(|a| a.equals.as_ref()).map(Limit::Equals),
        absolute.and_then(|a| a.max.as_ref()).map(Limit::Max),
        absolute.and_then(|a| a.min.as_ref()).map(Limit::Min),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Limit<'_> {
    fn breach(&self) -> Breach {
        match self {
            Self::MaxIncrease(_) | Self::MaxDecrease(_) => Breach::Relative,
            Self::Equals(_) | Self::Max(_) | Self::Min(_) => Breach::Absolute,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::MaxIncrease(percent) => format!("at most +{percent} %"),
            Self::MaxDecrease(percent) => format!("at least -{percent} %"),
            Self::Equals(figure) => format!("exactly {figure}"),
            Self::Max(figure) => format!("at most {figure}"),
            Self::Min(figure) => format!("at least {figure}"),
        }
    }

    /// The limit as a figure, times 100, so that no division is needed; `None` where the baseline
    /// that it is relative to is missing.
    fn hundredfold(&self, baseline: Option<&Amount>) -> Option<BigDecimal> {
        Some(match self {
            Self::MaxIncrease(percent) => baseline?.exact() * (hundred() + percent.exact()),
            Self::MaxDecrease(percent) => baseline?.exact() * (hundred() - percent.exact()),
            Self::Equals(figure) | Self::Max(figure) | Self::Min(figure) => figure.exact() * 100,
        })
    }

    /// How the candidate violates this limit, in exact figures; `None` where the limit holds.
    fn violation(
        &self,
        metric: Metric,
        baseline: Option<&Amount>,
        candidate: &Amount,
    ) -> Option<String> {
        let bound = self.hundredfold(baseline)?;
        let figure = candidate.exact() * 100;
        let relation = match self {
            Self::MaxIncrease(_) | Self::Max(_) if figure > bound => "above the limit of",
            Self::MaxDecrease(_) | Self::Min(_) if figure < bound => "below the limit of",
            Self::Equals(_) if figure != bound => "not the required",
            _ => return None,
        };
        // Hundredths of a finite decimal are finite: the bound is shown exactly.
        let bound = (bound * BigDecimal::new(1.into(), 2)).normalized().to_plain_string();
        let unit = if metric.is_count() { String::new() } else { format!(" {}", metric.unit()) };
        Some(format!("{candidate}{unit} is {relation} {bound}{unit}"))
    }
}
