//! A record as a file: a head for machines, and below it a page that is rendered from the head.

use cp1_format::{Metric, Metrics, Record, WriteError, to_json};

use crate::escape::{code, plain};
use crate::judge::rules::change_pct;

const HEAD_BEGINS: &str = "```json\n";
const HEAD_ENDS: &str = "```\n";

/// The whole file.
///
/// # Errors
/// The record has no JSON form.
pub fn render(record: &Record) -> Result<String, WriteError> {
    Ok(format!("{HEAD_BEGINS}{}{HEAD_ENDS}\n{}", to_json(record)?, body(record)))
}

/// The head of a file, with as many empty lines before it as it has before it there, so that line
/// numbers are those of the file; `None` where the file does not begin with one.
#[must_use]
pub fn head(text: &str) -> Option<String> {
    let rest = text.strip_prefix(HEAD_BEGINS)?;
    let (head, _) = rest.split_once(&format!("\n{HEAD_ENDS}"))?;
    Some(format!("\n{head}\n"))
}

/// The name of the file.
#[must_use]
pub fn file_name(record: &Record) -> String {
    let words: Vec<_> = record
        .what
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .take(6)
        .map(str::to_ascii_lowercase)
        .collect();
    let mut slug = words.join("-");
    slug.truncate(50);
    let slug = slug.trim_matches('-');
    let slug = if slug.is_empty() { record.kind.word() } else { slug };
    format!("{:04}-{}-{slug}.md", record.number, record.date)
}

fn body(record: &Record) -> String {
    let mut page = format!(
        "# {:04}: {} of {}\n\n| metric | before | after | change |\n|---|---|---|---|\n",
        record.number,
        record.kind.word(),
        record.date
    );
    let is_known = |metric: &Metric| {
        let sides = [record.metrics_before.as_ref(), Some(&record.metrics_after)];
        !metric.is_optional()
            || sides.into_iter().flatten().any(|metrics| metrics.get(*metric).is_some())
    };
    for metric in Metric::ALL.into_iter().filter(is_known) {
        page.push_str(&row(metric, record.metrics_before.as_ref(), &record.metrics_after));
    }
    if let Some(back_to) = record.back_to {
        page.push_str(&format!("\nThe baseline is that of record {back_to:04} again.\n"));
    }
    if !record.policy_changes.is_empty() {
        page.push_str("\nThe policy:\n\n");
        for change in &record.policy_changes {
            page.push_str(&format!("- {}\n", code(change)));
        }
    }
    for (heading, answer) in [
        ("What changed", &record.what),
        ("Why it is acceptable", &record.why_acceptable),
        ("Why the policy still makes sense", &record.why_policy_holds),
    ] {
        page.push_str(&format!("\n## {heading}\n\n"));
        for line in answer.trim().lines() {
            page.push_str(&quoted(line));
        }
    }
    page.push_str("\n## Artifacts\n\n");
    for artifact in &record.artifacts {
        page.push_str(&format!("- {}\n", code(artifact)));
    }
    page
}

/// A line of somebody's words: a quotation, so that it cannot pass for the page's own table.
fn quoted(line: &str) -> String {
    let pieces: Vec<char> = line.chars().collect();
    let shown: String =
        pieces.chunks(200).map(|piece| plain(&piece.iter().collect::<String>())).collect();
    format!("{}\n", format!("> {shown}").trim_end())
}

fn row(metric: Metric, before: Option<&Metrics>, after: &Metrics) -> String {
    let (from, to) = (before.and_then(|before| before.get(metric)), after.get(metric));
    let shown = |figure: Option<&cp1_format::Amount>| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure} {}", metric.unit()))
    };
    let change = from.zip(to).and_then(|(from, to)| change_pct(from, to));
    let change = change.map_or_else(|| "-".to_owned(), |percent| format!("{percent} %"));
    format!("| {metric} | {} | {} | {change} |\n", shown(from).trim(), shown(to).trim())
}
