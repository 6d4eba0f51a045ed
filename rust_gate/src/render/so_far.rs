//! Where a run stands between two looks, for the console: one line, or none where there is nothing to
//! say yet.

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
    let bound =
        |bound: &Option<_>| bound.as_ref().map_or_else(|| "open".to_owned(), figures::change);
    Some(format!("{name} {estimate} ({} to {})", bound(low_pct), bound(high_pct)))
}
