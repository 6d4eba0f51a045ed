//! Cells of the table, the same in every format.

use cp1_format::{
    Amount, Decimal, Decision, Judgement, RuleResult, Share, SupportingFigure, UnservedResult,
    Verdict,
};

/// Digits of a figure that a reader takes in.
const SIGNIFICANT_DIGITS: i64 = 3;

/// What stands where there is no figure.
const ABSENT: &str = "-";

/// Headings of [`row`].
pub const HEADINGS: [&str; 6] = ["metric", "baseline", "candidate", "change", "limit", "verdict"];

/// Headings of [`supporting`].
pub const SUPPORTING_HEADINGS: [&str; 3] = ["figure", "baseline", "candidate"];

/// What stands above the table of [`supporting`].
pub const SUPPORTING: &str = "Beside them:";

/// One rule as cells.
#[must_use]
pub fn row(rule: &RuleResult) -> [String; 6] {
    // Of a violated rule all digits: a rounded figure could look as if its limit held.
    let digits: fn(&Amount) -> String = match rule.judgement {
        Judgement::Violated => ToString::to_string,
        _ => readable,
    };
    let cell = |figure: &Option<Amount>| cell(figure.as_ref(), rule.metric.unit(), digits);
    [
        rule.metric.name().to_owned(),
        cell(&rule.baseline),
        cell(&rule.candidate),
        rule.change_pct.as_ref().map_or_else(|| ABSENT.to_owned(), change),
        rule.limit.clone(),
        rule.judgement.word().to_owned(),
    ]
}

/// Headings of [`unserved`].
pub const UNSERVED_HEADINGS: [&str; 5] = ["requests", "baseline", "candidate", "limit", "verdict"];

/// What stands above the table of [`unserved`].
pub const UNSERVED: &str = "Requests that were not served:";

/// Unserved requests of one kind as cells.
#[must_use]
pub fn unserved(result: &UnservedResult) -> [String; 5] {
    [
        format!("{}, {}", result.outcome.name(), result.phase.name()),
        result.baseline.as_ref().map_or_else(|| ABSENT.to_owned(), share),
        share(&result.candidate),
        result.limit.clone(),
        result.judgement.word().to_owned(),
    ]
}

/// A share of requests.
#[must_use]
pub fn share(share: &Share) -> String {
    let Share { requests, offered, pct } = share;
    let (requests, offered) = (grouped(&requests.to_string()), grouped(&offered.to_string()));
    format!("{requests} of {offered} ({pct} %)")
}

/// Why, where there is a reason, in the order of the table.
pub fn unserved_explanations(verdict: &Verdict) -> impl Iterator<Item = (String, &str)> {
    verdict.unserved.iter().filter_map(|result| {
        let name = format!("{}, {}", result.outcome.name(), result.phase.name());
        Some((name, result.explanation.as_deref()?))
    })
}

/// One figure beside the rules as cells.
#[must_use]
pub fn supporting(figure: &SupportingFigure) -> [String; 3] {
    let SupportingFigure { name, unit, baseline, candidate } = figure;
    let cell = |figure: &Option<Amount>| cell(figure.as_ref(), unit, readable);
    [name.clone(), cell(baseline), cell(candidate)]
}

/// A figure as people read it, with its unit.
#[must_use]
pub fn figure(figure: Option<&Amount>, unit: &str) -> String {
    cell(figure, unit, readable)
}

/// A figure with its unit; a count has none.
fn cell(figure: Option<&Amount>, unit: &str, digits: fn(&Amount) -> String) -> String {
    figure.map_or_else(
        || ABSENT.to_owned(),
        |figure| format!("{} {unit}", grouped(&digits(figure))).trim().to_owned(),
    )
}

/// As many digits as a reader takes in, and no more than the figure has. Whole digits are never
/// rounded away.
fn readable(figure: &Amount) -> String {
    let exact = figure.exact();
    // Below 1 this is the number of zeros behind the point, negated.
    let before_point = i64::try_from(exact.digits())
        .unwrap_or(i64::MAX)
        .saturating_sub(exact.fractional_digit_count());
    let places = SIGNIFICANT_DIGITS.saturating_sub(before_point).max(0);
    if exact.fractional_digit_count() <= places {
        figure.to_string()
    } else {
        Decimal::rounded(exact, places).to_string()
    }
}

/// A number with a comma after its millions, its thousands, and so on.
pub(super) fn grouped(number: &str) -> String {
    let whole = number.split_once('.').map_or(number, |(whole, _)| whole);
    let mut text = String::with_capacity(number.len() + whole.len() / 3);
    for (index, character) in number.chars().enumerate() {
        let left = whole.len().saturating_sub(index);
        if index > 0 && left > 0 && left % 3 == 0 {
            text.push(',');
        }
        text.push(character);
    }
    text
}

/// A change in percent with its sign.
#[must_use]
pub fn change(percent: &Decimal) -> String {
    let text = percent.to_string();
    let sign = if text.starts_with('-') || percent.is_zero() { "" } else { "+" };
    format!("{sign}{text} %")
}

/// The first digits of a commit.
#[must_use]
pub fn short_commit(commit: &str) -> String {
    commit.chars().take(12).collect()
}

/// Blocks, where the report says how many.
#[must_use]
pub fn blocks(count: Option<u64>) -> String {
    match count {
        Some(1) => "1 block".to_owned(),
        Some(count) => format!("{count} blocks"),
        None => "no blocks".to_owned(),
    }
}

/// How the blocks were judged, in lines; none where figures were compared alone. Numbers only:
/// nothing of it comes from a judged file's text.
#[must_use]
pub fn decision(verdict: &Verdict) -> Vec<String> {
    let Some(decision) = &verdict.decision else { return Vec::new() };
    let Decision { blocks, baseline_blocks, paired, looks, next_look, false_alarm_pct, miss_pct } =
        decision;
    let judged = match paired {
        true => format!("{blocks} blocks"),
        false => format!("{blocks} blocks against {baseline_blocks} frozen ones"),
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
        let without = rule.on_undisturbed_blocks.as_ref()?;
        let bound = |bound: &Option<Decimal>| bound.as_ref().map_or("open".to_owned(), change);
        Some(format!(
            "without what was disturbed, {} and {} blocks left: {} estimate {}, bounds {} to {}",
            without.baseline_blocks,
            without.blocks,
            rule.metric,
            change(&without.estimate_pct),
            bound(&without.low_pct),
            bound(&without.high_pct),
        ))
    }));
    lines
}
