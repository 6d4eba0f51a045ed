//! Exceptions from the policy while they last. Pure.
//!
//! A waiver puts its ceiling in the place of a metric's relative limit. What the limit itself says
//! is still judged and shown; the rule is then `waived` instead of violated.

use std::collections::BTreeMap;

use cp1_format::{
    Date, Decimal, Direction, Judgement, LimitKind, Metric, Notice, Policy, Problem, Waiver,
    Waivers,
};

use crate::judge::rules::Ruling;

/// How far ahead a waiver may end, in days: an exception without an end is another policy.
pub const DAYS_MAX: u32 = 90;

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

/// Puts the answers under both policies together: what only the ceiling lets pass is waived.
pub fn apply(
    in_force: &InForce<'_>,
    rulings: &mut [Ruling],
    under_ceilings: &[Ruling],
) -> Vec<Notice> {
    let mut notices = Vec::new();
    for (ruling, waived) in rulings.iter_mut().zip(under_ceilings) {
        let Some(waiver) = in_force.waivers.get(&ruling.result.metric) else { continue };
        let Waiver { metric, ceiling_pct, expires, issue, .. } = waiver;
        let result = &mut ruling.result;
        result.waiver = Some((*waiver).clone());
        let own = result.explanation.take().unwrap_or_default();
        let said = match (result.judgement, waived.result.judgement) {
            (Judgement::Holds, _) => {
                let text = format!("{metric} keeps its limit: the waiver can go");
                notices.push(Notice(text));
                own
            }
            (Judgement::NotJudged, _) => own,
            (_, Judgement::Holds) => {
                result.judgement = Judgement::Waived;
                ruling.breach = None;
                format!("{own}; waived up to {ceiling_pct} % until {expires}: {issue}")
            }
            (_, judgement) => {
                result.judgement = judgement;
                ruling.breach = waived.breach;
                format!("{own}; the waiver ends at {ceiling_pct} % and does not help")
            }
        };
        result.explanation = (!said.is_empty()).then_some(said);
    }
    notices
}
