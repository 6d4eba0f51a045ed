//! Where a run stands after a block and at a look, for a log: one line each, or none where there is nothing
//! to say yet.

use cp1_format::{BlocksResult, Judgement, RuleResult, Verdict};

use crate::render::figures;

/// Renders the estimates so far.
#[must_use]
pub fn render(verdict: &Verdict) -> String {
    let changes: Vec<_> = verdict.rules.iter().filter_map(change).collect();
    match changes.is_empty() {
        true => String::new(),
        false => format!("  so far     {}\n", changes.join(", ")),
    }
}

/// Renders what a look says of the run.
#[must_use]
pub fn look(verdict: &Verdict) -> String {
    let Some(decision) = &verdict.decision else { return String::new() };
    let said = match decision.next_look {
        Some(next) => format!("undecided; the next look is after {next}"),
        None => "it decides, so there are no more blocks".to_owned(),
    };
    format!("  look at {} blocks: {said}\n", decision.blocks)
}

fn change(rule: &RuleResult) -> Option<String> {
    let name = rule.metric.short_name();
    if rule.judgement == Judgement::NotJudged {
        return Some(format!("{name} not judged"));
    }
    let BlocksResult { estimate_pct, low_pct, high_pct, .. } = rule.on_blocks.as_ref()?;
    let estimate = figures::change(estimate_pct);
    if (low_pct, high_pct) == (&None, &None) {
        return Some(format!("{name} {estimate}"));
    }
    let bound = figures::bound;
    Some(format!("{name} {estimate} ({} to {})", bound(low_pct), bound(high_pct)))
}
