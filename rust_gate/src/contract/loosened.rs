//! What a policy allows that another did not. Pure.

use std::fmt::Display;

use cp1_format::{Amount, Direction, Limit, Policy, RatioPolicy, Rule};

use crate::judge::decision::must_catch;

/// Which of two policies came first: the words say what was before and what is now.
#[derive(Debug, Clone, Copy)]
enum Order {
    StricterFirst,
    LaxerFirst,
}

impl Order {
    /// The earlier, then the later of two.
    fn sorted<T>(self, stricter: T, laxer: T) -> [T; 2] {
        match self {
            Self::StricterFirst => [stricter, laxer],
            Self::LaxerFirst => [laxer, stricter],
        }
    }

    fn moved(self, stricter: impl Display, laxer: impl Display) -> String {
        let [before, now] = self.sorted(stricter.to_string(), laxer.to_string());
        format!("{before} before, {now} now")
    }

    /// Of what only the stricter one has.
    fn only(self, what: &str) -> String {
        match self {
            Self::StricterFirst => format!("{what} is gone"),
            Self::LaxerFirst => format!("{what} is new"),
        }
    }
}

/// Each way in which `after` allows more than `before`, in words; empty where it does not.
#[must_use]
pub fn loosened(before: &Policy, after: &Policy) -> Vec<String> {
    laxer(before, after, Order::StricterFirst)
}

/// Each way in which `after` allows less than `before`.
fn tightened(before: &Policy, after: &Policy) -> Vec<String> {
    laxer(after, before, Order::LaxerFirst)
}

/// Each way in which `after` allows more than `before`, told in the order in which they came.
fn laxer(before: &Policy, after: &Policy, order: Order) -> Vec<String> {
    let mut found = Vec::new();
    for (metric, rule) in &before.rules {
        match after.rules.get(metric) {
            None => found.push(format!("rules.{metric}: {}", order.only("the rule"))),
            Some(other) => {
                let of_rule = of_rule(rule, other, order);
                found.extend(of_rule.into_iter().map(|what| format!("rules.{metric}.{what}")));
            }
        }
    }
    let mut flag = |name: &str, stricter: bool, before: bool, after: bool| {
        if before == stricter && after != stricter {
            found.push(format!("gate.{name}: {}", order.moved(before, after)));
        }
    };
    let (one, other) = (&before.gate, &after.gate);
    flag(
        "require_candidate_ct_exit_code_zero",
        true,
        one.require_candidate_ct_exit_code_zero,
        other.require_candidate_ct_exit_code_zero,
    );
    flag(
        "require_all_metrics_present",
        true,
        one.require_all_metrics_present,
        other.require_all_metrics_present,
    );
    flag("allow_attached", false, one.allow_attached, other.allow_attached);
    for metric in after.gate.not_offered.difference(&before.gate.not_offered) {
        let asked = match order {
            Order::StricterFirst => "no longer asked for",
            Order::LaxerFirst => "asked for now",
        };
        found.push(format!("gate.not_offered: {metric} is {asked}"));
    }
    for field in &before.environment.require {
        if !after.environment.require.contains(field) {
            found.push(format!("environment.require: {}", order.only(field.name())));
        }
    }
    let (one, other) = (&before.decision.miss_pct, &after.decision.miss_pct);
    found.extend(above("decision.miss_pct", one, other, order));
    for metric in before.rules.keys() {
        for direction in Direction::ALL {
            let caught = |policy| must_catch(policy, *metric, direction);
            if let Some((one, other)) = caught(before).zip(caught(after))
                && other > one
            {
                let [before, now] = order.sorted(one, other);
                found.push(format!(
                    "decision: {metric} must be caught at a {} of {now} %, {before} % before",
                    direction.name()
                ));
            }
        }
    }
    for (metric, cap) in &before.budget.max_pct {
        let name = format!("budget.max_pct.{metric}");
        match after.budget.max_pct.get(metric) {
            None => found.push(format!("{name}: {}", order.only("the cap"))),
            Some(other) => found.extend(above(&name, cap, other, order)),
        }
    }
    found.extend(of_ratios(&before.ratios, &after.ratios, order));
    found
}

/// The same of limits on ratios between variants.
fn of_ratios(before: &RatioPolicy, after: &RatioPolicy, order: Order) -> Vec<String> {
    let mut found = Vec::new();
    for (option, pairs) in before {
        for (pair, rules) in pairs {
            let others = after.get(option).and_then(|pairs| pairs.get(pair));
            for (figure, rule) in rules {
                let name = format!("ratios.{option}.{pair}.{figure}");
                let Some(other) = others.and_then(|others| others.get(figure)) else {
                    found.push(format!("{name}: {}", order.only("the limit")));
                    continue;
                };
                let is_looser = |one: f64, other: f64| {
                    figure.worse().turned(other) > figure.worse().turned(one)
                };
                if let Some((one, other)) = rule.limit(*figure).zip(other.limit(*figure))
                    && is_looser(one.approximate(), other.approximate())
                {
                    found.push(format!("{name}: {}", order.moved(one, other)));
                }
                if let Some((one, other)) = rule.must_catch(*figure).zip(other.must_catch(*figure))
                    && is_looser(one, other)
                {
                    found.push(format!("{name}: caught at {}", order.moved(one, other)));
                }
            }
        }
    }
    found
}

/// What differs at all, in words: what was loosened, and what was tightened.
#[must_use]
pub fn changes(before: &Policy, after: &Policy) -> Vec<String> {
    let looser = loosened(before, after).into_iter().map(|what| format!("looser: {what}"));
    let tighter = tightened(before, after).into_iter().map(|what| format!("tighter: {what}"));
    let all: Vec<_> = looser.chain(tighter).collect();
    if all.is_empty() { vec!["no limit is looser or tighter".to_owned()] } else { all }
}

fn above(name: &str, before: &Amount, after: &Amount, order: Order) -> Option<String> {
    (after > before).then(|| format!("{name}: {}", order.moved(before, after)))
}

fn of_rule(before: &Rule, after: &Rule, order: Order) -> Vec<String> {
    let looser = |Limit { kind, amount }: Limit<'_>| match after.limit(kind) {
        None => Some(format!("{}: {}", kind.path(), order.only("the limit"))),
        Some(other) if kind.is_looser(amount, other) => {
            Some(format!("{}: {}", kind.path(), order.moved(amount, other)))
        }
        Some(_) => None,
    };
    before.limits().filter_map(looser).collect()
}
