//! A replay: the baseline's commit and the candidate, measured in turn, judged pair by pair. Pure.
//!
//! # Disturbed rounds
//!
//! The answer counts all pairs. A metric is judged a second time without the pairs of which a round
//! was disturbed, and both are shown. Where all pairs pass it and the undisturbed ones lie beyond
//! its limit, it is undecided: more pairs are measured, on both sides alike. So leaving pairs out
//! can turn green to open, and never red to green.

use bigdecimal::BigDecimal;
use bigdecimal::FromPrimitive as _;
use cp1_format::{
    Decimal, Decision, DecisionPolicy, Direction, Judgement, Metric, Pairing, PairsResult, Policy,
    Problem, Relative, Report, Role, Rule,
};

use crate::compare::Named;
use crate::decision::{Criteria, Ruling, decide, log_of_percent, percent_of_log, shift};
use crate::rules::{self, Breach};
use crate::statistics::Shift;

const REPLAY_AGAIN: &str = "measure both again with PERF_COMPARE=replay scripts/perf_gate.sh";

/// Why the two reports are not the two sides of a replay of the baseline's commit.
#[must_use]
pub fn problems(baseline: Named<'_>, replay: Named<'_>, candidate: Named<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut add = |report: Named<'_>, place: &str, message: String| {
        problems.push(Problem {
            file: report.path.to_owned(),
            place: Some(place.to_owned()),
            message,
            cure: REPLAY_AGAIN.to_owned(),
        });
    };
    for (report, role) in [(replay, Role::Frozen), (candidate, Role::Candidate)] {
        match &report.document.pairing {
            None => add(report, "pairing", "the report is no side of a replay".to_owned()),
            Some(pairing) if pairing.role != role => {
                add(report, "pairing.role", "the report is the other side of a replay".to_owned());
            }
            Some(_) => {}
        }
    }
    if let (Some(frozen), Some(judged)) = (&replay.document.pairing, &candidate.document.pairing)
        && !is_one_run(frozen, judged)
    {
        let message = "the pairs are not those of the candidate: the two come from different runs";
        add(replay, "pairing", message.to_owned());
    }
    let (frozen, replayed) = (&baseline.document.git, &replay.document.git);
    let same = |one: &Option<String>, other: &Option<String>| one.is_some() && one == other;
    if !same(&frozen.commit, &replayed.commit) && !same(&frozen.tree, &replayed.tree) {
        let message = "what was replayed is not the commit that the baseline was measured on";
        add(replay, "git.commit", message.to_owned());
    }
    if replay.document.run.ct_exit_code != Some(0) {
        let message = "the test run that measured did not exit with 0, or the report is not sealed";
        add(replay, "run.ct_exit_code", message.to_owned());
    }
    problems
}

fn is_one_run(frozen: &Pairing, judged: &Pairing) -> bool {
    frozen.seed == judged.seed
        && frozen.went_first.len() == judged.went_first.len()
        && frozen.went_first.iter().zip(&judged.went_first).all(|(one, other)| one != other)
}

/// Judges the relative rules again, on the pairs; a violated absolute limit stays what it is.
pub fn judge(
    policy: &Policy,
    rulings: &mut [rules::Ruling],
    replay: &Report,
    candidate: &Report,
) -> Decision {
    let DecisionPolicy { looks, false_alarm_pct, miss_pct, must_catch_pct } = &policy.decision;
    let pairs = Pairs::new(replay, candidate);
    let is_last_look = looks.last().is_none_or(|last| pairs.all.len() >= *last as usize);
    let metrics = policy.rules.values().filter(|rule| rules::is_relative(rule)).count().max(1);
    let share = |percent: f64, ways: usize| percent / 100.0 / ways as f64;
    let false_alarm = share(false_alarm_pct.approximate(), metrics * looks.len().max(1));
    let miss = share(miss_pct.approximate(), looks.len().max(1));
    for ruling in rulings.iter_mut() {
        let metric = ruling.result.metric;
        let Some(rule) = policy.rules.get(&metric) else { continue };
        let is_settled = ruling.breach == Some(Breach::Absolute)
            || ruling.result.judgement == Judgement::NotJudged;
        let limits = limits(rule);
        if is_settled || limits.is_empty() {
            continue;
        }
        let found: Vec<_> = limits
            .into_iter()
            .map(|(limit, less_is_worse)| {
                let given = must_catch_pct.get(&metric).map(|percent| percent.approximate());
                let must_catch = given.unwrap_or_else(|| default_must_catch(limit, less_is_worse));
                let held_to = HeldTo { limit, must_catch, less_is_worse, false_alarm, miss };
                pairs.judge(metric, &held_to, is_last_look)
            })
            .collect();
        // The worst of the limits speaks for the rule.
        if let Some(worst) = found.into_iter().max_by_key(|judged| severity(judged.ruling)) {
            apply(ruling, worst);
        }
    }
    let is_undecided = rulings.iter().any(|ruling| ruling.result.judgement == Judgement::Undecided);
    Decision {
        pairs: pairs.all.len() as u64,
        looks: looks.clone(),
        next_look: looks
            .iter()
            .copied()
            .find(|look| is_undecided && *look as usize > pairs.all.len()),
        false_alarm_pct: false_alarm_pct.clone(),
        miss_pct: miss_pct.clone(),
    }
}

fn severity(ruling: Ruling) -> u8 {
    match ruling {
        Ruling::Pass => 0,
        Ruling::Undecided => 1,
        Ruling::Fail => 2,
    }
}

/// The relative limits of a rule in percent, each with whether less is worse.
fn limits(rule: &Rule) -> Vec<(f64, bool)> {
    let Some(Relative { max_pct_increase, max_pct_decrease }) = &rule.relative else {
        return Vec::new();
    };
    let increase = max_pct_increase.as_ref().map(|percent| (percent.approximate(), false));
    let decrease = max_pct_decrease.as_ref().map(|percent| (percent.approximate(), true));
    increase.into_iter().chain(decrease).collect()
}

/// Twice the limit; of a decrease that would be all, half way between the limit and all.
fn default_must_catch(limit: f64, less_is_worse: bool) -> f64 {
    let twice = 2.0 * limit;
    if less_is_worse && twice >= 100.0 { f64::midpoint(limit, 100.0) } else { twice }
}

/// One limit, with what must be caught, in percent, and the error rates of this look.
struct HeldTo {
    limit: f64,
    must_catch: f64,
    less_is_worse: bool,
    false_alarm: f64,
    miss: f64,
}

/// What came of one limit.
struct Judged {
    ruling: Ruling,
    result: PairsResult,
    undisturbed: Option<PairsResult>,
    explanation: String,
}

/// The rounds of both sides, pair by pair.
struct Pairs<'a> {
    all: Vec<Pair<'a>>,
}

struct Pair<'a> {
    frozen: &'a cp1_format::Round,
    candidate: &'a cp1_format::Round,
}

impl Pair<'_> {
    fn is_disturbed(&self) -> bool {
        [self.frozen, self.candidate]
            .iter()
            .any(|round| round.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty()))
    }
}

impl<'a> Pairs<'a> {
    fn new(replay: &'a Report, candidate: &'a Report) -> Self {
        let (frozen, judged) = (replay.rounds.iter().flatten(), candidate.rounds.iter().flatten());
        Self {
            all: frozen.zip(judged).map(|(frozen, candidate)| Pair { frozen, candidate }).collect(),
        }
    }

    fn judge(&self, metric: Metric, held_to: &HeldTo, is_last_look: bool) -> Judged {
        let criteria = Criteria {
            limit: log_of_percent(held_to.limit, held_to.less_is_worse),
            must_catch: log_of_percent(held_to.must_catch, held_to.less_is_worse),
            false_alarm: held_to.false_alarm,
            miss: held_to.miss,
        };
        let less_is_worse = held_to.less_is_worse;
        let all: Vec<_> = self.all.iter().collect();
        let undisturbed: Vec<_> = self.all.iter().filter(|pair| !pair.is_disturbed()).collect();
        let shift_of = |pairs: &[&Pair<'_>]| {
            let of = |round: &cp1_format::Round| {
                round.metrics.get(metric).map(|figure| figure.approximate())
            };
            let frozen: Vec<_> = pairs.iter().filter_map(|pair| of(pair.frozen)).collect();
            let judged: Vec<_> = pairs.iter().filter_map(|pair| of(pair.candidate)).collect();
            shift(&frozen, &judged, &criteria, less_is_worse)
        };
        let whole = shift_of(&all);
        let mut ruling = decide(&whole, &criteria, is_last_look);
        // Of one pair nothing can be said, and of none there is no estimate.
        let without = (undisturbed.len() < all.len() && undisturbed.len() >= 2)
            .then(|| (undisturbed.len(), shift_of(&undisturbed)));
        let is_contradicted = without.is_some_and(|(_, shift)| {
            ruling == Ruling::Pass && decide(&shift, &criteria, true) == Ruling::Fail
        });
        if is_contradicted {
            ruling = Ruling::Undecided;
        }
        let result = |pairs: usize, shift: &Shift| pairs_result(pairs, shift, held_to);
        let explanation = explanation(metric, &whole, &criteria, held_to, ruling, is_contradicted);
        Judged {
            ruling,
            result: result(all.len(), &whole),
            undisturbed: without.map(|(pairs, shift)| result(pairs, &shift)),
            explanation,
        }
    }
}

fn percent(number: f64) -> Decimal {
    Decimal::rounded(&BigDecimal::from_f64(number).unwrap_or_default(), 2)
}

fn pairs_result(pairs: usize, shift: &Shift, held_to: &HeldTo) -> PairsResult {
    let change = |log: f64| percent_of_log(log, held_to.less_is_worse).map(percent);
    let (low, high) = match held_to.less_is_worse {
        false => (shift.lower, shift.upper),
        true => (shift.upper, shift.lower),
    };
    let sign = if held_to.less_is_worse { -1.0 } else { 1.0 };
    PairsResult {
        pairs: pairs as u64,
        estimate_pct: change(shift.estimate).unwrap_or_else(|| Decimal::from(0)),
        low_pct: change(low),
        high_pct: change(high),
        must_catch_pct: percent(sign * held_to.must_catch),
    }
}

fn signed(percent: &Decimal) -> String {
    let text = percent.to_string();
    if text.starts_with('-') || percent.is_zero() { text } else { format!("+{text}") }
}

/// The judgement in words: estimate, bounds, limits, what could be seen, what would change it.
fn explanation(
    metric: Metric,
    shift: &Shift,
    criteria: &Criteria,
    held_to: &HeldTo,
    ruling: Ruling,
    is_contradicted: bool,
) -> String {
    let shown = pairs_result(0, shift, held_to);
    let bound = |bound: &Option<Decimal>| match bound {
        Some(bound) => format!("{} %", signed(bound)),
        None => "open".to_owned(),
    };
    let estimate = signed(&shown.estimate_pct);
    let (low, high) = (bound(&shown.low_pct), bound(&shown.high_pct));
    let must_catch = signed(&shown.must_catch_pct);
    let seen = criteria.limit.max(shift.estimate - shift.lower);
    let seen = match percent_of_log(seen, held_to.less_is_worse).map(percent) {
        Some(seen) => format!("a change of {} % would have been seen", signed(&seen)),
        None => "too few pairs to see any change".to_owned(),
    };
    let what_next = match ruling {
        Ruling::Pass => "",
        Ruling::Fail if metric.direction() == Direction::HigherIsBetter => {
            "; it fails until the estimate is back above its limit"
        }
        Ruling::Fail => "; it fails until the estimate is back below its limit",
        Ruling::Undecided if is_contradicted => {
            "; all pairs pass, but the undisturbed ones lie beyond the limit: more pairs, on a \
             quieter machine, would decide"
        }
        Ruling::Undecided => "; more pairs, longer rounds or a quieter machine would decide",
    };
    format!(
        "estimate {estimate} %, bounds {low} to {high}, must catch {must_catch} %; {seen}{what_next}"
    )
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
    ruling.result.pairs = Some(judged.result);
    ruling.result.undisturbed_pairs = judged.undisturbed;
}
