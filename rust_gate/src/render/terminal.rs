//! The verdict for a terminal and the log: plain text without colors, the answer in the last line.

use std::fmt::Write as _;

use cp1_format::{Input, Verdict};

use crate::escape::plain;
use crate::render::figures;

/// Renders the verdict.
#[must_use]
pub fn render(verdict: &Verdict) -> String {
    let mut page = String::from("CP1 performance gate\n");
    section(&mut page, "", &inputs(verdict));
    section(&mut page, "", &rules(verdict));
    section(&mut page, figures::UNSERVED, &unserved(verdict));
    section(&mut page, figures::SUPPORTING, &supporting(verdict));
    section(&mut page, "", &figures::decision(verdict));
    section(&mut page, "Conditions that differ:", &differences(verdict));
    section(&mut page, "Conditions that neither report states:", &unverified(verdict));
    section(&mut page, "Problems:", &problems(verdict));
    section(&mut page, "Notices:", &notices(verdict));
    let (outcome, code) = (verdict.outcome.word(), verdict.exit_code);
    // Writing to a string cannot fail.
    let _ = writeln!(page, "\nVERDICT: {outcome} (exit {code}): {}", plain(&verdict.summary));
    page
}

/// Nothing where there is no line.
fn section(page: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    page.push('\n');
    if !heading.is_empty() {
        page.push_str(heading);
        page.push('\n');
    }
    for line in lines {
        page.push_str(line.trim_end());
        page.push('\n');
    }
}

fn inputs(verdict: &Verdict) -> Vec<String> {
    let row = |name: &str, input: &Input| {
        let commit = input.commit.as_deref().map(figures::short_commit);
        vec![
            name.to_owned(),
            plain(&input.path),
            plain(&commit.unwrap_or_default()),
            plain(input.timestamp.as_deref().unwrap_or_default()),
            input.timestamp.as_ref().map(|_| figures::blocks(input.blocks)).unwrap_or_default(),
        ]
    };
    let inputs = &verdict.inputs;
    let mut rows = vec![row("baseline", &inputs.baseline)];
    rows.extend(inputs.replay.iter().map(|replay| row("replay", replay)));
    rows.extend([row("candidate", &inputs.candidate), row("policy", &inputs.policy)]);
    rows.extend(inputs.waivers.iter().map(|waivers| row("waivers", waivers)));
    aligned(&rows)
}

fn rules(verdict: &Verdict) -> Vec<String> {
    if verdict.rules.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![figures::HEADINGS.map(str::to_owned).to_vec()];
    rows.extend(verdict.rules.iter().map(|rule| figures::row(rule).map(|c| plain(&c)).to_vec()));
    let mut lines = aligned(&rows);
    lines.extend(verdict.rules.iter().filter_map(|rule| {
        let explanation = rule.explanation.as_ref()?;
        Some(format!("  {}: {}", rule.metric, plain(explanation)))
    }));
    lines
}

fn unserved(verdict: &Verdict) -> Vec<String> {
    if verdict.unserved.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![figures::UNSERVED_HEADINGS.map(str::to_owned).to_vec()];
    let row = |result| figures::unserved(result).map(|cell| plain(&cell)).to_vec();
    rows.extend(verdict.unserved.iter().map(row));
    let mut lines = aligned(&rows);
    let reasons = figures::unserved_explanations(verdict);
    lines.extend(reasons.map(|(name, reason)| format!("  {name}: {}", plain(reason))));
    lines
}

fn supporting(verdict: &Verdict) -> Vec<String> {
    if verdict.supporting.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![figures::SUPPORTING_HEADINGS.map(str::to_owned).to_vec()];
    let row = |figure| figures::supporting(figure).map(|cell| plain(&cell)).to_vec();
    rows.extend(verdict.supporting.iter().map(row));
    aligned(&rows)
}

fn differences(verdict: &Verdict) -> Vec<String> {
    let side = |value: &Option<String>| match value {
        Some(value) => plain(value),
        None => "(absent)".to_owned(),
    };
    let row = |difference: &cp1_format::FieldDifference| {
        vec![
            format!("  {}", plain(&difference.field)),
            format!("baseline {}", side(&difference.baseline)),
            format!("candidate {}", side(&difference.candidate)),
        ]
    };
    aligned(&verdict.comparison.differences.iter().map(row).collect::<Vec<_>>())
}

fn unverified(verdict: &Verdict) -> Vec<String> {
    verdict.comparison.unverified.iter().map(|field| format!("  {}", plain(field))).collect()
}

fn problems(verdict: &Verdict) -> Vec<String> {
    let mut lines = Vec::new();
    for problem in &verdict.problems {
        let place = problem.place.as_ref().map(|place| format!(", {}", plain(place)));
        lines.push(format!("  {}{}", plain(&problem.file), place.unwrap_or_default()));
        lines.push(format!("    {}", plain(&problem.message)));
        lines.push(format!("    cure: {}", plain(&problem.cure)));
    }
    lines
}

fn notices(verdict: &Verdict) -> Vec<String> {
    verdict.notices.iter().map(|notice| format!("  {}", plain(&notice.0))).collect()
}

/// Columns, two spaces apart.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths = Vec::new();
    for row in rows {
        widths.resize(row.len().max(widths.len()), 0);
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    rows.iter()
        .map(|row| {
            let cells: Vec<_> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| {
                    let width = *width;
                    format!("{cell:width$}")
                })
                .collect();
            cells.join("  ")
        })
        .collect()
}
