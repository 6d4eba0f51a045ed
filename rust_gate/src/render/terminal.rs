//! The verdict for a terminal and the log, in 80 columns, the answer at the end.
//!
//! What does not stand at the beginning of a line is foreign text, so that nothing in a file can look like a
//! verdict.

use anstyle::AnsiColor;
use comfy_table::{ContentArrangement, Table, presets};
use cp1_format::{BlocksResult, Input, Judgement, Outcome, RuleResult, Verdict};
use textwrap::{Options, WordSplitter};

use crate::escape;
use crate::render::{Shown, explanation, figures};

/// Longest line, in columns.
pub const WIDTH: usize = 80;

/// Columns between two columns of a table.
const GAP: u16 = 2;

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The answer and its reasons.
    Short,
    /// What these follow from, too.
    Explained,
}

impl From<bool> for Detail {
    fn from(is_explained: bool) -> Self {
        if is_explained { Self::Explained } else { Self::Short }
    }
}

/// How it looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// Text and nothing else.
    Plain,
    /// With colors of a terminal.
    Colored,
}

/// Renders the verdict; where its artifacts are is said where there are any.
#[must_use]
pub fn render(verdict: &Verdict, detail: Detail, paint: Paint, artifacts: Option<&str>) -> String {
    let is_explained = detail == Detail::Explained;
    let only = |lines: Vec<String>| if is_explained { lines } else { Vec::new() };
    let mut page = String::from("CP1 performance gate\n");
    section(&mut page, "", inputs(verdict));
    section(&mut page, "Judged files:", only(files(verdict)));
    section(&mut page, "", rules(verdict, detail, paint));
    section(&mut page, figures::UNSERVED, unserved(verdict, detail, paint));
    section(&mut page, "", sentences(figures::judged(verdict, is_explained), "", ""));
    section(&mut page, "What the blocks say:", only(on_blocks(verdict)));
    section(&mut page, figures::SUPPORTING, only(supporting(verdict)));
    section(&mut page, "Conditions that differ:", differences(verdict));
    section(&mut page, "Conditions that neither report states:", unverified(verdict));
    section(&mut page, "Problems:", problems(verdict));
    section(&mut page, "Notices:", notices(verdict));
    let mut end = answer(verdict);
    end.push(' ');
    end.push_str(figures::advice(verdict));
    if let Some(artifacts) = artifacts {
        end.push_str(&format!(" Artifacts: {}", plain(artifacts)));
    }
    let mut end = sentences([end], "", "  ");
    if let Some(first) = end.first_mut() {
        let word = verdict.outcome.word();
        *first = first.replacen(word, &painted(word, color_of(verdict.outcome), paint), 1);
    }
    section(&mut page, "", end);
    page
}

/// The page of the log: the verdict with what it follows from, and what explains it after that.
#[must_use]
pub fn log(shown: &Shown<'_>) -> String {
    let mut page = explained(shown.verdict);
    if let Some(found) = shown.explanation {
        page.push_str(&explanation::terminal(found, Detail::Explained));
    }
    page
}

/// The verdict with what it follows from.
#[must_use]
pub fn explained(verdict: &Verdict) -> String {
    render(verdict, Detail::Explained, Paint::Plain, None)
}

/// The answer in one line of any length.
#[must_use]
pub fn answer(verdict: &Verdict) -> String {
    let (outcome, code) = (verdict.outcome.word(), verdict.exit_code);
    format!("VERDICT: {outcome} (exit {code}): {}.", plain(&verdict.summary))
}

/// A word that is longer than a line is broken anywhere, also where the rest would be a runner's command.
fn plain(text: &str) -> String {
    escape::plain(text).replace("::", ":\\u{3a}")
}

fn color_of(outcome: Outcome) -> AnsiColor {
    match outcome {
        Outcome::Pass => AnsiColor::Green,
        Outcome::Regression | Outcome::Invalid => AnsiColor::Red,
        Outcome::Inconclusive | Outcome::Incomparable => AnsiColor::Yellow,
    }
}

fn painted(word: &str, color: AnsiColor, paint: Paint) -> String {
    let style = color.on_default().bold();
    match paint {
        Paint::Plain => word.to_owned(),
        Paint::Colored => format!("{style}{word}{style:#}"),
    }
}

/// Lines of a table whose last column is a judgement, which is what stands at their end.
fn judged(lines: Vec<String>, paint: Paint) -> Vec<String> {
    let words = [
        (Judgement::Holds, AnsiColor::Green),
        (Judgement::Waived, AnsiColor::Yellow),
        (Judgement::Violated, AnsiColor::Red),
        (Judgement::Undecided, AnsiColor::Yellow),
        (Judgement::NotJudged, AnsiColor::Yellow),
    ]
    .map(|(judgement, color)| (judgement.word(), color));
    let line = |line: String| {
        let found = words.iter().find_map(|(word, color)| {
            Some(line.strip_suffix(word)?.to_owned() + &painted(word, *color, paint))
        });
        found.unwrap_or(line)
    };
    lines.into_iter().map(line).collect()
}

/// Nothing where there is no line.
pub(super) fn section(page: &mut String, heading: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    let heading = (!heading.is_empty()).then(|| heading.to_owned());
    for line in [String::new()].into_iter().chain(heading).chain(lines) {
        page.push_str(line.trim_end());
        page.push('\n');
    }
}

/// Texts on as many lines as they take, of which the first has an indent and the others another.
pub(super) fn sentences(
    texts: impl IntoIterator<Item = String>,
    first: &'static str,
    further: &'static str,
) -> Vec<String> {
    let options = Options::new(WIDTH).initial_indent(first).subsequent_indent(further);
    // A date, a path or a flag is one word.
    let options = options.word_splitter(WordSplitter::NoHyphenation);
    let wrapped = |text: String| {
        let lines = textwrap::wrap(&text, &options);
        lines.into_iter().map(|line| line.into_owned()).collect::<Vec<_>>()
    };
    texts.into_iter().flat_map(wrapped).collect()
}

/// Columns, as wide as there is room.
pub(super) fn table(rows: Vec<Vec<String>>, indent: usize) -> Vec<String> {
    if rows.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(WIDTH - indent).unwrap_or(u16::MAX)).add_rows(rows);
    let last = table.column_count().saturating_sub(1);
    for (number, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if number == last { 0 } else { GAP }));
    }
    table.lines().map(|line| format!("{:indent$}{}", "", line.trim_end())).collect()
}

/// Headings and rows, where there are any.
pub(super) fn titled<const N: usize>(
    headings: [&str; N],
    rows: Vec<Vec<String>>,
) -> Vec<Vec<String>> {
    if rows.is_empty() {
        return rows;
    }
    let mut all = vec![headings.map(str::to_owned).to_vec()];
    all.extend(rows);
    all
}

/// What was read, by name.
fn read(verdict: &Verdict) -> Vec<(&'static str, &Input)> {
    let inputs = &verdict.inputs;
    let mut read = vec![("baseline", &inputs.baseline)];
    read.extend(inputs.replay.iter().map(|replay| ("replay", replay)));
    read.extend([("candidate", &inputs.candidate), ("policy", &inputs.policy)]);
    read.extend(inputs.waivers.iter().map(|waivers| ("waivers", waivers)));
    read
}

fn inputs(verdict: &Verdict) -> Vec<String> {
    let row = |(name, input): (&str, &Input)| {
        let timestamp = input.timestamp.as_ref()?;
        let commit = input.commit.as_deref().map(figures::short_commit);
        Some(vec![
            name.to_owned(),
            plain(&commit.unwrap_or_default()),
            plain(&figures::time(timestamp)),
            figures::blocks(input.blocks),
        ])
    };
    table(read(verdict).into_iter().filter_map(row).collect(), 0)
}

fn files(verdict: &Verdict) -> Vec<String> {
    let line = |(name, input): (&str, &Input)| format!("{name}: {}", plain(&input.path));
    sentences(read(verdict).into_iter().map(line), "  ", "    ")
}

fn rules(verdict: &Verdict, detail: Detail, paint: Paint) -> Vec<String> {
    let row = |rule: &RuleResult| {
        // Full names leave no room for the figures.
        let [_, cells @ ..] = figures::row(rule);
        let name = rule.metric.short_name().to_owned();
        [name].into_iter().chain(cells.map(|cell| plain(&cell))).collect()
    };
    let rows = verdict.rules.iter().map(row).collect();
    let mut lines = judged(table(titled(figures::HEADINGS, rows), 0), paint);
    let is_told =
        |rule: &&RuleResult| detail == Detail::Explained || rule.judgement != Judgement::Holds;
    let explained = verdict.rules.iter().filter(is_told).filter_map(|rule| {
        Some(format!("{}: {}", rule.metric.short_name(), plain(rule.explanation.as_ref()?)))
    });
    lines.extend(sentences(explained, "  ", "    "));
    lines
}

/// In short only where it is not simply that the limits hold.
fn unserved(verdict: &Verdict, detail: Detail, paint: Paint) -> Vec<String> {
    let is_good = verdict.unserved.iter().all(|result| result.judgement == Judgement::Holds);
    if is_good && detail == Detail::Short {
        return Vec::new();
    }
    // A table of these would be wider than a terminal.
    let mut lines = Vec::new();
    for result in &verdict.unserved {
        let [name, baseline, candidate, limit, word] =
            figures::unserved(result).map(|cell| plain(&cell));
        lines.extend(judged(vec![format!("  {name}  {word}")], paint));
        let sides = format!("baseline {baseline}, candidate {candidate}, limit {limit}");
        lines.extend(sentences([sides], "    ", "      "));
    }
    let reasons = figures::unserved_explanations(verdict);
    let reasons = reasons.map(|(name, reason)| format!("{name}: {}", plain(reason)));
    lines.extend(sentences(reasons, "  ", "    "));
    lines
}

fn on_blocks(verdict: &Verdict) -> Vec<String> {
    let rows = verdict.rules.iter().flat_map(|rule| {
        let RuleResult { on_blocks, on_whole_blocks, on_undisturbed_blocks, .. } = rule;
        let kinds = [
            ("judged", on_blocks),
            ("whole blocks", on_whole_blocks),
            ("undisturbed", on_undisturbed_blocks),
        ];
        kinds.into_iter().filter_map(|(kind, found)| {
            let BlocksResult {
                blocks,
                baseline_blocks,
                estimate_pct,
                low_pct,
                high_pct,
                must_catch_pct,
            } = found.as_ref()?;
            let bound = figures::bound;
            Some(vec![
                rule.metric.short_name().to_owned(),
                kind.to_owned(),
                format!("{baseline_blocks} and {blocks}"),
                figures::change(estimate_pct),
                format!("{} to {}", bound(low_pct), bound(high_pct)),
                figures::change(must_catch_pct),
            ])
        })
    });
    let headings = ["metric", "of", "blocks", "estimate", "bounds", "must catch"];
    table(titled(headings, rows.collect()), 0)
}

fn supporting(verdict: &Verdict) -> Vec<String> {
    let row = |figure| figures::supporting(figure).map(|cell| plain(&cell)).to_vec();
    let rows = verdict.supporting.iter().map(row).collect();
    table(titled(figures::SUPPORTING_HEADINGS, rows), 2)
}

fn differences(verdict: &Verdict) -> Vec<String> {
    let side = |value: &Option<String>| match value {
        Some(value) => plain(value),
        None => "(absent)".to_owned(),
    };
    let row = |difference: &cp1_format::FieldDifference| {
        vec![
            plain(&difference.field),
            format!("baseline {}", side(&difference.baseline)),
            format!("candidate {}", side(&difference.candidate)),
        ]
    };
    table(verdict.comparison.differences.iter().map(row).collect(), 2)
}

fn unverified(verdict: &Verdict) -> Vec<String> {
    sentences(verdict.comparison.unverified.iter().map(|field| plain(field)), "  ", "    ")
}

fn problems(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for problem in &verdict.problems {
        let place = problem.place.as_ref().map(|place| format!(", {}", plain(place)));
        let place = format!("{}{}", plain(&problem.file), place.unwrap_or_default());
        lines.extend(sentences([place], "  ", "    "));
        lines.extend(sentences([plain(&problem.message)], "    ", "      "));
        lines.extend(sentences([format!("cure: {}", plain(&problem.cure))], "    ", "      "));
    }
    lines
}

fn notices(verdict: &Verdict) -> Vec<String> {
    sentences(verdict.notices.iter().map(|notice| plain(&notice.0)), "  ", "    ")
}
