//! Cells of the table, the same in every format.

use cp1_format::{Amount, Decimal, Decision, Judgement, RuleResult, Verdict};

/// Digits of a figure that a reader takes in.
const SIGNIFICANT_DIGITS: i64 = 6;

/// What stands where there is no figure.
const ABSENT: &str = "-";

/// Headings of [`row`].
pub const HEADINGS: [&str; 6] = ["metric", "baseline", "candidate", "change", "limit", "verdict"];

/// One rule as cells.
#[must_use]
pub fn row(rule: &RuleResult) -> [String; 6] {
    let cell = |figure: Option<&Amount>| match figure {
        Some(figure) => format!("{} {}", digits(figure, rule), rule.metric.unit()).trim().into(),
        None => ABSENT.to_owned(),
    };
    [
        rule.metric.name().to_owned(),
        cell(rule.baseline.as_ref()),
        cell(rule.candidate.as_ref()),
        rule.change_pct.as_ref().map_or_else(|| ABSENT.to_owned(), change),
        rule.limit.clone(),
        rule.judgement.word().to_owned(),
    ]
}

/// A few digits, but of a violated rule all: a rounded figure could look as if its limit held.
fn digits(figure: &Amount, rule: &RuleResult) -> String {
    let exact = figure.exact();
    let before_point = i64::try_from(exact.digits())
        .unwrap_or(i64::MAX)
        .saturating_sub(exact.fractional_digit_count());
    let places = SIGNIFICANT_DIGITS.saturating_sub(before_point).max(0);
    if rule.judgement == Judgement::Violated || exact.fractional_digit_count() <= places {
        figure.to_string()
    } else {
        Decimal::rounded(exact, places).to_string()
    }
}

fn change(percent: &Decimal) -> String {
    let text = percent.to_string();
    let sign = if text.starts_with('-') || percent.is_zero() { "" } else { "+" };
    format!("{sign}{text} %")
}

/// The first digits of a commit.
#[must_use]
pub fn short_commit(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// Rounds, where the report says how many.
#[must_use]
pub fn rounds(count: Option<u64>) -> String {
    match count {
        Some(1) => "1 round".to_owned(),
        Some(count) => format!("{count} rounds"),
        None => "no rounds".to_owned(),
    }
}

/// How the pairs of a replay were judged, in lines; none without a replay. Numbers only: nothing of
/// it comes from a judged file's text.
#[must_use]
pub fn decision(verdict: &Verdict) -> Vec<String> {
    let Some(Decision { pairs, looks, next_look, false_alarm_pct, miss_pct }) = &verdict.decision
    else {
        return Vec::new();
    };
    let looks: Vec<_> = looks.iter().map(ToString::to_string).collect();
    let next = match next_look {
        Some(next) => format!("; next look after {next}"),
        None => String::new(),
    };
    vec![format!(
        "judged on {pairs} pairs of rounds, looks planned after {}{next}; false alarms of the gate: \
         at most {false_alarm_pct} %, misses of what must be caught: at most {miss_pct} %",
        looks.join(", ")
    )]
}
