//! The verdict for a merge request: one comment, found again by its first line.

use cp1_format::{Input, Verdict};

use crate::escape::code;
use crate::render::figures;

/// First line: by it CI finds the comment that it updates in place.
pub const MARKER: &str = "<!-- cp1-perf-gate -->";

/// Longest page in bytes, and so in characters; GitHub refuses comments over 65 536.
const PAGE_MAX_BYTES: usize = 60_000;

/// Room that is kept for saying that something was left out.
const REMARK_BYTES: usize = 200;

/// Renders the verdict. What does not fit is left out line by line, and the last line says so.
#[must_use]
pub fn render(verdict: &Verdict) -> String {
    let mut page = Page { text: format!("{MARKER}\n"), left_out: 0 };
    page.line(&format!("## CP1 performance gate: {}", verdict.outcome.word()));
    page.line("");
    page.line(&format!("{} (exit {})", code(&verdict.summary), verdict.exit_code));
    rules(&mut page, verdict);
    explanations(&mut page, verdict);
    unserved(&mut page, verdict);
    supporting(&mut page, verdict);
    for line in figures::decision(verdict) {
        page.line("");
        page.line(&line);
    }
    differences(&mut page, verdict);
    problems(&mut page, verdict);
    notices(&mut page, verdict);
    inputs(&mut page, verdict);
    page.finish()
}

struct Page {
    text: String,
    left_out: usize,
}

impl Page {
    /// A line is there whole or not at all, so that a code span is never cut open.
    fn line(&mut self, line: &str) {
        if self.left_out == 0 && self.text.len() + line.len() < PAGE_MAX_BYTES - REMARK_BYTES {
            self.text.push_str(line);
            self.text.push('\n');
        } else {
            self.left_out += 1;
        }
    }

    fn heading(&mut self, heading: &str) {
        self.line("");
        self.line(&format!("### {heading}"));
        self.line("");
    }

    fn table(&mut self, headings: &[&str], rows: &[Vec<String>]) {
        self.line(&format!("| {} |", headings.join(" | ")));
        self.line(&format!("|{}", " --- |".repeat(headings.len())));
        for row in rows {
            self.line(&format!("| {} |", row.join(" | ")));
        }
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 {
            let remark = format!("\n{} more lines are in the log.\n", self.left_out);
            self.text.push_str(&remark);
        }
        self.text
    }
}

fn rules(page: &mut Page, verdict: &Verdict) {
    if verdict.rules.is_empty() {
        return;
    }
    page.line("");
    let rows: Vec<_> = verdict
        .rules
        .iter()
        .map(|rule| figures::row(rule).map(|cell| code(&cell)).to_vec())
        .collect();
    page.table(&figures::HEADINGS, &rows);
}

fn explanations(page: &mut Page, verdict: &Verdict) {
    let explained: Vec<_> = verdict
        .rules
        .iter()
        .filter_map(|rule| Some((rule.metric, rule.explanation.as_ref()?)))
        .collect();
    if !explained.is_empty() {
        page.line("");
    }
    for (metric, explanation) in explained {
        page.line(&format!("- {}: {}", code(metric.name()), code(explanation)));
    }
}

fn unserved(page: &mut Page, verdict: &Verdict) {
    if verdict.unserved.is_empty() {
        return;
    }
    page.line("");
    page.line(figures::UNSERVED);
    page.line("");
    let row = |result| figures::unserved(result).map(|cell| code(&cell)).to_vec();
    let rows: Vec<_> = verdict.unserved.iter().map(row).collect();
    page.table(&figures::UNSERVED_HEADINGS, &rows);
    let reasons: Vec<_> = figures::unserved_explanations(verdict).collect();
    if !reasons.is_empty() {
        page.line("");
    }
    for (name, reason) in reasons {
        page.line(&format!("- {}: {}", code(&name), code(reason)));
    }
}

fn supporting(page: &mut Page, verdict: &Verdict) {
    if verdict.supporting.is_empty() {
        return;
    }
    page.line("");
    page.line(figures::SUPPORTING);
    page.line("");
    let row = |figure| figures::supporting(figure).map(|cell| code(&cell)).to_vec();
    let rows: Vec<_> = verdict.supporting.iter().map(row).collect();
    page.table(&figures::SUPPORTING_HEADINGS, &rows);
}

fn differences(page: &mut Page, verdict: &Verdict) {
    let comparison = &verdict.comparison;
    if !comparison.differences.is_empty() {
        page.heading("Conditions that differ");
        let side = |value: &Option<String>| match value {
            Some(value) => code(value),
            None => "absent".to_owned(),
        };
        let rows: Vec<_> = comparison
            .differences
            .iter()
            .map(|d| vec![code(&d.field), side(&d.baseline), side(&d.candidate)])
            .collect();
        page.table(&["field", "baseline", "candidate"], &rows);
    }
    if !comparison.unverified.is_empty() {
        page.heading("Conditions that neither report states");
        for field in &comparison.unverified {
            page.line(&format!("- {}", code(field)));
        }
    }
}

fn problems(page: &mut Page, verdict: &Verdict) {
    if verdict.problems.is_empty() {
        return;
    }
    page.heading("Problems");
    for problem in &verdict.problems {
        let place = problem.place.as_ref().map(|place| format!(" at {}", code(place)));
        page.line(&format!(
            "- {}{}: {}; cure: {}",
            code(&problem.file),
            place.unwrap_or_default(),
            code(&problem.message),
            code(&problem.cure)
        ));
    }
}

fn notices(page: &mut Page, verdict: &Verdict) {
    if verdict.notices.is_empty() {
        return;
    }
    page.heading("Notices");
    for notice in &verdict.notices {
        page.line(&format!("- {}", code(&notice.0)));
    }
}

fn inputs(page: &mut Page, verdict: &Verdict) {
    page.heading("Judged files");
    let row = |name: &str, input: &Input| {
        let optional = |text: Option<String>| text.map_or_else(|| "-".to_owned(), |t| code(&t));
        vec![
            name.to_owned(),
            code(&input.path),
            optional(input.commit.as_deref().map(figures::short_commit)),
            optional(input.timestamp.clone()),
            optional(input.timestamp.as_ref().map(|_| figures::blocks(input.blocks))),
        ]
    };
    let inputs = &verdict.inputs;
    let mut rows = vec![row("baseline", &inputs.baseline)];
    rows.extend(inputs.replay.iter().map(|replay| row("replay", replay)));
    rows.extend([row("candidate", &inputs.candidate), row("policy", &inputs.policy)]);
    rows.extend(inputs.waivers.iter().map(|waivers| row("waivers", waivers)));
    page.table(&["", "path", "commit", "measured", "blocks"], &rows);
}
