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

/// How the rounds were judged, in lines; none where figures were compared alone. Numbers only:
/// nothing of it comes from a judged file's text.
#[must_use]
pub fn decision(verdict: &Verdict) -> Vec<String> {
    let Some(decision) = &verdict.decision else { return Vec::new() };
    let Decision { rounds, baseline_rounds, paired, looks, next_look, false_alarm_pct, miss_pct } =
        decision;
    let judged = match paired {
        true => format!("{rounds} pairs of rounds"),
        false => format!("{rounds} rounds against {baseline_rounds} frozen ones"),
    };
    let looks: Vec<_> = looks.iter().map(ToString::to_string).collect();
    let next = match next_look {
        Some(next) => format!("; next look after {next}"),
        None => String::new(),
    };
    let mut lines = vec![format!(
        "judged on {judged}, looks planned after {}{next}; false alarms of the gate: at most \
         {false_alarm_pct} %, misses of what must be caught: at most {miss_pct} %",
        looks.join(", ")
    )];
    lines.extend(verdict.rules.iter().filter_map(|rule| {
        let without = rule.on_undisturbed_rounds.as_ref()?;
        let bound = |bound: &Option<Decimal>| bound.as_ref().map_or("open".to_owned(), change);
        Some(format!(
            "without what was disturbed, {} and {} rounds left: {} estimate {}, bounds {} to {}",
            without.baseline_rounds,
            without.rounds,
            rule.metric,
            change(&without.estimate_pct),
            bound(&without.low_pct),
            bound(&without.high_pct),
        ))
    }));
    lines
}
