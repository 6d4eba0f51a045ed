//! Exceptions from the policy while they last. Pure.
//!
//! A waiver puts its ceiling in the place of a metric's relative limit. What the limit itself says
//! is still judged and shown; the rule is then `waived` instead of violated.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use cp1_format::{
    Date, Decimal, Direction, Judgement, LimitKind, Metric, Notice, Policy, Problem, RuleResult,
    Waiver, Waivers,
};

use crate::judge::rules::Answer;

/// How far ahead a waiver may end, in days: an exception without an end is another policy.
pub const DAYS_MAX: u32 = 90;

/// How many times a metric's limit a waiver's ceiling may be: beyond it nothing is waived for a while, but
/// the metric given up, which is a change of the policy.
pub const CEILING_MAX_TIMES: u64 = 3;

/// The waivers that count on a day, and the policy that they make.
#[derive(Debug, Clone)]
pub struct InForce<'a> {
    /// The policy with the ceilings as limits.
    pub policy: Policy,
    /// By metric.
    pub waivers: BTreeMap<Metric, &'a Waiver>,
    /// Those that have ended.
    pub notices: Vec<Notice>,
}

/// Why a list of waivers cannot be applied to a policy on a day.
#[must_use]
pub fn problems(file: &str, waivers: &Waivers, policy: &Policy, today: Date) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (index, waiver) in waivers.waivers.iter().enumerate() {
        let mut add = |key: &str, message: String, cure: &str| {
            problems.push(Problem {
                file: file.to_owned(),
                place: Some(format!("waivers[{index}].{key}")),
                message,
                cure: cure.to_owned(),
            });
        };
        let Waiver { metric, ceiling_pct, expires, .. } = waiver;
        match policy.rules.get(metric).filter(|rule| rule.is_relative()) {
            None => add(
                "metric",
                format!("no relative rule judges {metric}, so nothing can be waived"),
                "remove the waiver",
            ),
            Some(rule) => {
                if rule.relative_limits().any(|(_, limit)| limit >= ceiling_pct) {
                    let message = format!("the ceiling of {ceiling_pct} % waives nothing");
                    add("ceiling_pct", message, "give one above the policy's limit");
                }
                let highest = rule.relative_limits().map(|(_, limit)| limit.exact().clone()).max();
                let highest = highest.unwrap_or_default() * BigDecimal::from(CEILING_MAX_TIMES);
                if *ceiling_pct.exact() > highest {
                    let message = format!(
                        "the ceiling of {ceiling_pct} % is more than {CEILING_MAX_TIMES} times the limit"
                    );
                    let cure = "give a lower one; what shall last is a change of the policy: perf-gate \
                                amend";
                    add("ceiling_pct", message, cure);
                }
                let falls = rule.limit(LimitKind::Change(Direction::Decrease)).is_some();
                if falls && **ceiling_pct >= Decimal::from(100) {
                    let message = format!("a figure cannot fall by {ceiling_pct} %");
                    add("ceiling_pct", message, "give a percentage below 100");
                }
            }
        }
        if *expires > today.days_later(DAYS_MAX) {
            let message = format!("{expires} is more than {DAYS_MAX} days ahead");
            add("expires", message, "give an earlier day; a waiver can be renewed by review");
        }
    }
    problems
}

/// What is in force on a day.
#[must_use]
pub fn in_force<'a>(waivers: Option<&'a Waivers>, policy: &Policy, today: Date) -> InForce<'a> {
    let mut found =
        InForce { policy: policy.clone(), waivers: BTreeMap::new(), notices: Vec::new() };
    for waiver in waivers.iter().flat_map(|waivers| &waivers.waivers) {
        let Waiver { metric, ceiling_pct, expires, .. } = waiver;
        if *expires < today {
            let text = format!("the waiver of {metric} ended on {expires}: remove it");
            found.notices.push(Notice(text));
            continue;
        }
        let rule = found.policy.rules.get_mut(metric);
        if let Some(relative) = rule.and_then(|rule| rule.relative.as_mut()) {
            *relative = relative.at(ceiling_pct);
            // What must be caught lies beyond the limit; where the policy's own does not, twice the
            // ceiling takes its place.
            let caught = &mut found.policy.decision.must_catch_pct;
            caught.retain(|of, percent| of != metric || *percent > *ceiling_pct);
            found.waivers.insert(*metric, waiver);
        }
    }
    found
}

/// The answers with the waivers in force: what only the ceiling lets pass is waived.
#[must_use]
pub fn waived(
    in_force: &InForce<'_>,
    answers: Vec<Answer>,
    under_ceilings: Vec<Answer>,
) -> Vec<Answer> {
    let both = answers.into_iter().zip(under_ceilings);
    both.map(|(answer, under_ceiling)| match in_force.waivers.get(&answer.result.metric) {
        Some(waiver) => with_waiver(answer, under_ceiling, waiver),
        None => answer,
    })
    .collect()
}

fn with_waiver(answer: Answer, under_ceiling: Answer, waiver: &Waiver) -> Answer {
    let Waiver { ceiling_pct, expires, issue, .. } = waiver;
    let Answer { result, breach } = answer;
    let (judgement, breach, further) = match (result.judgement, under_ceiling.result.judgement) {
        (judgement @ (Judgement::Holds | Judgement::NotJudged), _) => (judgement, breach, None),
        (_, Judgement::Holds) => {
            let text = format!("waived up to {ceiling_pct} % until {expires}: {issue}");
            (Judgement::Waived, None, Some(text))
        }
        (_, judgement) => {
            let text = format!("the waiver ends at {ceiling_pct} % and does not help");
            (judgement, under_ceiling.breach, Some(text))
        }
    };
    let said = result.explanation.into_iter().chain(further).collect::<Vec<_>>().join("; ");
    let explanation = (!said.is_empty()).then_some(said);
    let waiver = Some(waiver.clone());
    Answer { result: RuleResult { judgement, explanation, waiver, ..result }, breach }
}

/// Says which waivers are not needed.
pub fn needless(answers: &[Answer]) -> impl Iterator<Item = Notice> {
    let results = answers.iter().map(|answer| &answer.result);
    let is_needless =
        |result: &&RuleResult| result.waiver.is_some() && result.judgement == Judgement::Holds;
    results
        .filter(is_needless)
        .map(|result| Notice(format!("{} keeps its limit: the waiver can go", result.metric)))
}
