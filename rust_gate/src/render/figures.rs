//! Cells of the table, the same in every format.

use cp1_format::{
    Amount, BlocksResult, Decimal, Decision, Judgement, Outcome, RuleResult, Share,
    SupportingFigure, UnservedResult, Verdict,
};
use unicode_width::UnicodeWidthStr as _;

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

/// One rule as cells. What a rounded figure does not show, such as that it is just beyond its limit, the
/// rule's explanation says.
#[must_use]
pub fn row(rule: &RuleResult) -> [String; 6] {
    [
        rule.metric.name().to_owned(),
        figure(rule.baseline.as_ref(), rule.metric.unit()),
        figure(rule.candidate.as_ref(), rule.metric.unit()),
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
    let cell = |figure: &Option<Amount>| cell(figure.as_ref(), unit);
    [name.clone(), cell(baseline), cell(candidate)]
}

/// A figure as people read it, with its unit.
#[must_use]
pub fn figure(figure: Option<&Amount>, unit: &str) -> String {
    cell(figure, unit)
}

/// A figure with its unit; a count has none.
fn cell(figure: Option<&Amount>, unit: &str) -> String {
    figure.map_or_else(
        || ABSENT.to_owned(),
        |figure| format!("{} {unit}", grouped(&readable(figure))).trim().to_owned(),
    )
}

/// As many digits as a reader takes in, and no more than the figure has. Whole digits are never
/// rounded away.
fn readable(figure: &Amount) -> String {
    let exact = figure.exact();
    let places = Decimal::places(exact, SIGNIFICANT_DIGITS);
    if exact.fractional_digit_count() <= places {
        figure.to_string()
    } else {
        Decimal::rounded(exact, places).to_string()
    }
}

/// A number with a comma after its millions, its thousands, and so on.
#[must_use]
pub fn grouped(number: &str) -> String {
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

/// A bound of a change, which too few blocks leave open.
#[must_use]
pub fn bound(bound: &Option<Decimal>) -> String {
    bound.as_ref().map_or_else(|| "open".to_owned(), change)
}

/// A time as a person writes it.
#[must_use]
pub fn time(timestamp: &str) -> String {
    match timestamp.get(..16) {
        Some(minute) => format!("{} UTC", minute.replacen('T', " ", 1)),
        None => timestamp.to_owned(),
    }
}

/// How many columns of a terminal a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
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

/// How the blocks were judged; nothing where figures were compared alone. Numbers only: nothing of it comes
/// from a judged file's text.
#[must_use]
pub fn judged(verdict: &Verdict, with_looks: bool) -> Option<String> {
    let Decision { blocks, baseline_blocks, paired, looks, next_look, false_alarm_pct, miss_pct } =
        verdict.decision.as_ref()?;
    let judged = match paired {
        true => format!("{blocks} blocks"),
        false => format!("{blocks} blocks against {baseline_blocks} frozen ones"),
    };
    let looks: Vec<_> = looks.iter().map(ToString::to_string).collect();
    let next = next_look.map(|next| format!("; next look after {next}")).unwrap_or_default();
    let looks = match with_looks {
        true => format!(", looks planned after {}{next}", looks.join(", ")),
        false => String::new(),
    };
    Some(format!(
        "judged on {judged}{looks}; false alarms of the gate: at most {false_alarm_pct} %, misses of \
         what must be caught: at most {miss_pct} %"
    ))
}

/// How the blocks were judged, in lines, with what the undisturbed ones say.
#[must_use]
pub fn decision(verdict: &Verdict) -> Vec<String> {
    let undisturbed = verdict.rules.iter().filter_map(|rule| {
        let BlocksResult { blocks, baseline_blocks, estimate_pct, low_pct, high_pct, .. } =
            rule.on_undisturbed_blocks.as_ref()?;
        Some(format!(
            "without what was disturbed, {baseline_blocks} and {blocks} blocks left: {} estimate {}, \
             bounds {} to {}",
            rule.metric,
            change(estimate_pct),
            bound(low_pct),
            bound(high_pct),
        ))
    });
    judged(verdict, true).into_iter().chain(undisturbed).collect()
}

/// What to do about the answer.
#[must_use]
pub fn advice(verdict: &Verdict) -> &'static str {
    let is_waived = || verdict.rules.iter().any(|rule| rule.judgement == Judgement::Waived);
    let is_of_machines = || {
        let mut fields = verdict.comparison.differences.iter().map(|difference| &difference.field);
        fields.any(|field| field.starts_with("merged."))
    };
    match verdict.outcome {
        Outcome::Pass if is_waived() => "To do before a waiver ends: make its rule hold.",
        Outcome::Pass => "Nothing to do.",
        Outcome::Regression => {
            "To do: make the change cheaper, or move the baseline and say why: perf-gate bump."
        }
        Outcome::Invalid => "To do: what is said as the cure of each problem, then run again.",
        Outcome::Inconclusive if !verdict.problems.is_empty() => {
            "To do: what is said as the cure of each problem, then measure again."
        }
        Outcome::Inconclusive => {
            "To do: measure again on a quieter machine, or allow more blocks: perf-gate plan."
        }
        Outcome::Incomparable if is_of_machines() => {
            "To do: measure on as many machines, under the same loads, and add them: perf-gate merge."
        }
        Outcome::Incomparable => {
            "To do: measure the baseline's commit beside it: perf-gate run --compare=replay."
        }
    }
}
