//! What a policy allows that another did not. Pure.

use cp1_format::{Amount, Direction, Limit, Policy, Rule};

use crate::judge::decision::must_catch;

/// Each way in which `after` allows more than `before`, in words; empty where it does not.
#[must_use]
pub fn loosened(before: &Policy, after: &Policy) -> Vec<String> {
    let mut found = Vec::new();
    for (metric, rule) in &before.rules {
        match after.rules.get(metric) {
            None => found.push(format!("rules.{metric}: the rule is gone")),
            Some(other) => {
                let of_rule = of_rule(rule, other);
                found.extend(of_rule.into_iter().map(|what| format!("rules.{metric}.{what}")));
            }
        }
    }
    let mut flag = |name: &str, before: bool, after: bool| {
        if before && !after {
            found.push(format!("gate.{name}: true before, false now"));
        }
    };
    let (one, other) = (&before.gate, &after.gate);
    flag(
        "require_candidate_ct_exit_code_zero",
        one.require_candidate_ct_exit_code_zero,
        other.require_candidate_ct_exit_code_zero,
    );
    flag(
        "require_all_metrics_present",
        one.require_all_metrics_present,
        other.require_all_metrics_present,
    );
    for metric in after.gate.not_offered.difference(&before.gate.not_offered) {
        found.push(format!("gate.not_offered: {metric} is no longer asked for"));
    }
    for field in &before.environment.require {
        if !after.environment.require.contains(field) {
            found.push(format!("environment.require: {} is gone", field.name()));
        }
    }
    found.extend(above("decision.miss_pct", &before.decision.miss_pct, &after.decision.miss_pct));
    for metric in before.rules.keys() {
        for direction in Direction::ALL {
            let caught = |policy| must_catch(policy, *metric, direction);
            if let Some((one, other)) = caught(before).zip(caught(after))
                && other > one
            {
                found.push(format!(
                    "decision: {metric} must be caught at a {} of {other} %, {one} % \
                     before",
                    direction.name()
                ));
            }
        }
    }
    for (metric, cap) in &before.budget.max_pct {
        let name = format!("budget.max_pct.{metric}");
        match after.budget.max_pct.get(metric) {
            None => found.push(format!("{name}: the cap is gone")),
            Some(other) => found.extend(above(&name, cap, other)),
        }
    }
    found
}

/// What differs at all, in words: what was loosened, and of the rest that it is not looser.
#[must_use]
pub fn changes(before: &Policy, after: &Policy) -> Vec<String> {
    let looser = loosened(before, after).into_iter().map(|what| format!("looser: {what}"));
    let tighter = loosened(after, before)
        .into_iter()
        .map(|what| format!("tighter (as seen from the new policy): {what}"));
    let all: Vec<_> = looser.chain(tighter).collect();
    if all.is_empty() { vec!["no limit is looser or tighter".to_owned()] } else { all }
}

fn above(name: &str, before: &Amount, after: &Amount) -> Option<String> {
    (after > before).then(|| format!("{name}: {before} before, {after} now"))
}

fn of_rule(before: &Rule, after: &Rule) -> Vec<String> {
    let looser = |Limit { kind, amount }: Limit<'_>| match after.limit(kind) {
        None => Some(format!("{}: the limit is gone", kind.path())),
        Some(other) if kind.is_looser(amount, other) => {
            Some(format!("{}: {amount} before, {other} now", kind.path()))
        }
        Some(_) => None,
    };
    before.limits().filter_map(looser).collect()
}
