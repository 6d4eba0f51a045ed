//! The relative rules, judged on the rounds of both sides with stated error rates. Pure.
//!
//! # Disturbed rounds
//!
//! The answer counts all rounds. A metric is judged a second time without the rounds that were
//! disturbed (of pairs, without the pairs of which one was), and both are shown. Where all rounds
//! pass it and the undisturbed ones lie beyond its limit, it is undecided: more rounds are measured,
//! in a replay on both sides alike. So leaving rounds out can turn green to open, and never red to
//! green.

use bigdecimal::{BigDecimal, FromPrimitive as _};
use cp1_format::{Decimal, Decision, Direction, Judgement, Policy, Report, Round, RoundsResult};

use crate::decision::{Held, Ruling, decide, held, is_beyond, percent_of_log, shift};
use crate::rules::{self, Breach};
use crate::statistics::Shift;

/// Fewest rounds of a side that anything is said of.
pub const ROUNDS_MIN: usize = 2;

/// What would decide a rule that is undecided: before the last look, and at it.
const MORE_ROUNDS: &str = "more rounds, longer ones or a quieter machine would decide";
const NO_MORE_ROUNDS: &str =
    "no further rounds are planned; longer rounds or a quieter machine would decide";

/// The rounds of both sides.
#[derive(Debug, Clone)]
pub struct Sides<'a> {
    baseline: Vec<&'a Round>,
    candidate: Vec<&'a Round>,
    /// Whether round k of both sides were measured one after the other.
    paired: bool,
}

impl<'a> Sides<'a> {
    /// Both sides of a replay.
    #[must_use]
    pub fn pairs(replay: &'a Report, candidate: &'a Report) -> Self {
        let (frozen, judged) = (replay.rounds.iter().flatten(), candidate.rounds.iter().flatten());
        let (baseline, candidate) = frozen.zip(judged).unzip();
        Self { baseline, candidate, paired: true }
    }

    /// Frozen rounds and those of now.
    #[must_use]
    pub fn apart(frozen: &'a Report, candidate: &'a Report) -> Self {
        let of = |report: &'a Report| report.rounds.iter().flatten().collect();
        Self { baseline: of(frozen), candidate: of(candidate), paired: false }
    }

    /// Two sets of rounds that were not measured in turn.
    pub(crate) fn of(baseline: Vec<&'a Round>, candidate: Vec<&'a Round>) -> Self {
        Self { baseline, candidate, paired: false }
    }

    /// Estimate and bounds of a shift in words.
    pub(crate) fn words(&self, shift: &Shift, held: &Held) -> String {
        let RoundsResult { estimate_pct, low_pct, high_pct, must_catch_pct, .. } =
            self.result(shift, held);
        format!(
            "estimate {} %, bounds {} to {}, must catch {} %",
            signed(&estimate_pct),
            bound(low_pct.as_ref()),
            bound(high_pct.as_ref()),
            signed(&must_catch_pct)
        )
    }

    /// The same without what was disturbed; `None` where nothing was, or too little is left.
    fn undisturbed(&self) -> Option<Self> {
        let is_quiet =
            |round: &&Round| round.disturbed.as_ref().is_none_or(|reasons| reasons.is_empty());
        let (baseline, candidate): (Vec<_>, Vec<_>) = if self.paired {
            let pairs = self.baseline.iter().copied().zip(self.candidate.iter().copied());
            pairs.filter(|(frozen, judged)| is_quiet(frozen) && is_quiet(judged)).unzip()
        } else {
            let quiet = |side: &[&'a Round]| side.iter().copied().filter(is_quiet).collect();
            (quiet(&self.baseline), quiet(&self.candidate))
        };
        let fewer = baseline.len() + candidate.len() < self.baseline.len() + self.candidate.len();
        let enough = baseline.len().min(candidate.len()) >= ROUNDS_MIN;
        (fewer && enough).then_some(Self { baseline, candidate, paired: self.paired })
    }

    /// Shift of a metric, of which more is worse.
    pub(crate) fn shift(&self, held: &Held) -> Shift {
        let figures = |side: &[&Round]| -> Vec<f64> {
            side.iter()
                .filter_map(|round| round.metrics.get(held.metric))
                .map(|figure| figure.approximate())
                .collect()
        };
        let (baseline, candidate) = (figures(&self.baseline), figures(&self.candidate));
        shift(&baseline, &candidate, &held.criteria, held.less_is_worse)
    }

    fn result(&self, shift: &Shift, held: &Held) -> RoundsResult {
        let change = |log: f64| percent_of_log(log, held.less_is_worse).map(percent);
        let (low, high) = match held.less_is_worse {
            false => (shift.lower, shift.upper),
            true => (shift.upper, shift.lower),
        };
        let sign = if held.less_is_worse { -1.0 } else { 1.0 };
        RoundsResult {
            rounds: self.candidate.len() as u64,
            baseline_rounds: self.baseline.len() as u64,
            estimate_pct: change(shift.estimate).unwrap_or_else(|| Decimal::from(0)),
            low_pct: change(low),
            high_pct: change(high),
            must_catch_pct: percent(sign * held.must_catch_pct),
        }
    }
}

fn percent(number: f64) -> Decimal {
    Decimal::rounded(&BigDecimal::from_f64(number).unwrap_or_default(), 2)
}

/// Judges the relative rules again, on the rounds; a violated absolute limit stays what it is.
pub fn judge(policy: &Policy, rulings: &mut [rules::Ruling], sides: &Sides<'_>) -> Decision {
    let looks = &policy.decision.looks;
    let rounds = sides.candidate.len();
    let would_decide = match looks.last() {
        Some(last) if rounds < *last as usize => MORE_ROUNDS,
        _ => NO_MORE_ROUNDS,
    };
    let undisturbed = sides.undisturbed();
    let limits = held(policy);
    for ruling in rulings.iter_mut() {
        let is_settled = ruling.breach == Some(Breach::Absolute)
            || ruling.result.judgement == Judgement::NotJudged;
        let of_metric = limits.iter().filter(|held| held.metric == ruling.result.metric);
        let found = of_metric
            .filter(|_| !is_settled)
            .map(|held| judged(sides, undisturbed.as_ref(), held, would_decide));
        // The worst of the limits speaks for the rule.
        if let Some(worst) = found.max_by_key(|judged| judged.ruling) {
            apply(ruling, worst);
        }
    }
    Decision {
        rounds: rounds as u64,
        baseline_rounds: sides.baseline.len() as u64,
        paired: sides.paired,
        looks: looks.clone(),
        next_look: next_look(policy, rounds as u64, rulings),
        false_alarm_pct: policy.decision.false_alarm_pct.clone(),
        miss_pct: policy.decision.miss_pct.clone(),
    }
}

/// The next look after so many rounds, where a rule is still open.
pub(crate) fn next_look(policy: &Policy, rounds: u64, rulings: &[rules::Ruling]) -> Option<u32> {
    let is_open = |ruling: &rules::Ruling| ruling.result.judgement == Judgement::Undecided;
    let looks = policy.decision.looks.iter().copied();
    looks.filter(|_| rulings.iter().any(is_open)).find(|look| u64::from(*look) > rounds)
}

/// What came of one limit.
struct Judged {
    ruling: Ruling,
    result: RoundsResult,
    undisturbed: Option<RoundsResult>,
    explanation: String,
}

fn judged(
    all: &Sides<'_>,
    undisturbed: Option<&Sides<'_>>,
    held: &Held,
    would_decide: &str,
) -> Judged {
    let whole = all.shift(held);
    let ruling = decide(&whole, &held.criteria);
    let without = undisturbed.map(|sides| (sides, sides.shift(held)));
    let is_contradicted = ruling == Ruling::Pass
        && without.is_some_and(|(_, shift)| is_beyond(&shift, &held.criteria));
    let ruling = if is_contradicted { Ruling::Undecided } else { ruling };
    let result = all.result(&whole, held);
    let undisturbed = without.map(|(sides, shift)| sides.result(&shift, held));
    let words = all.words(&whole, held);
    let what_next = match ruling {
        Ruling::Pass => String::new(),
        Ruling::Fail => match held.metric.direction() {
            Direction::HigherIsBetter => "; it fails until the estimate is back above its limit",
            Direction::LowerIsBetter => "; it fails until the estimate is back below its limit",
        }
        .to_owned(),
        Ruling::Undecided if is_contradicted => format!(
            "; all rounds pass, but the undisturbed ones lie beyond the limit: {would_decide}"
        ),
        Ruling::Undecided => format!("; {would_decide}"),
    };
    let explanation = format!("{words}; {}{what_next}", seen(held, &whole));
    Judged { ruling, result, undisturbed, explanation }
}

/// What these rounds could have seen.
fn seen(held: &Held, shift: &Shift) -> String {
    let seen = held.criteria.limit.max(shift.estimate - shift.lower);
    match percent_of_log(seen, held.less_is_worse).map(percent) {
        Some(seen) => format!("a change of {} % would have been seen", signed(&seen)),
        None => "too few rounds to see any change".to_owned(),
    }
}

fn bound(percent: Option<&Decimal>) -> String {
    percent.map_or_else(|| "open".to_owned(), |percent| format!("{} %", signed(percent)))
}

fn signed(percent: &Decimal) -> String {
    let text = percent.to_string();
    if text.starts_with('-') || percent.is_zero() { text } else { format!("+{text}") }
}

fn apply(ruling: &mut rules::Ruling, judged: Judged) {
    let (judgement, breach) = match judged.ruling {
        Ruling::Fail => (Judgement::Violated, Some(Breach::Relative)),
        Ruling::Pass => (Judgement::Holds, None),
        Ruling::Undecided => (Judgement::Undecided, None),
    };
    ruling.breach = breach;
    ruling.result.judgement = judgement;
    ruling.result.explanation = Some(judged.explanation);
    ruling.result.on_rounds = Some(judged.result);
    ruling.result.on_undisturbed_rounds = judged.undisturbed;
}
