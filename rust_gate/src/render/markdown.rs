//! The verdict for a merge request and for the summary of a job: one comment, found again by its first line.
//!
//! What a reviewer needs stands first: the outcome, what happened, what to do, and the table. Whatever
//! explains it is folded. GitHub and GitLab render Markdown inside of `<details>` alike where a blank line
//! follows the tags, as CommonMark's HTML blocks end there.

use cp1_format::{Explanation, Input, Judgement, UnservedResult, Verdict};

use crate::escape::code;
use crate::render::{Shown, cases, explanation, figures};

/// First line: by it CI finds the comment that it updates in place.
pub const MARKER: &str = "<!-- cp1-perf-gate -->";

/// Longest page in bytes, and so in characters: GitHub refuses comments over 65,536 characters and job
/// summaries over 1 MiB, GitLab notes over 1,000,000 characters.
const PAGE_MAX_BYTES: usize = 60_000;

/// Room that is kept for closing what is open, and for saying that something was left out.
const END_BYTES: usize = 200;

/// Most problems that are shown unfolded.
const PROBLEMS_SHOWN: usize = 5;

/// Renders the verdict. What does not fit is left out line by line, and the last line says so.
#[must_use]
pub fn render(shown: &Shown<'_>) -> String {
    let verdict = shown.verdict;
    let mut page = Page { text: format!("{MARKER}\n"), left_out: 0 };
    page.unit(&[&format!("## CP1 performance gate: {}", verdict.outcome.word()), ""]);
    page.unit(&[&format!("{} (exit {})", code(&verdict.summary), verdict.exit_code), ""]);
    page.unit(&[&format!("What to do: {}.", code(cases::to_do(verdict.outcome)))]);
    page.lines(&rules(verdict));
    // Of what blocks and of what is waived the reason is not folded.
    let (held, others): (Vec<_>, Vec<_>) =
        verdict.rules.iter().partition(|rule| rule.judgement == Judgement::Holds);
    let reasons = |rules: &[&cp1_format::RuleResult]| -> Vec<String> {
        let reason = |rule: &&cp1_format::RuleResult| {
            let explanation = rule.explanation.as_ref()?;
            Some(format!("- {}: {}", code(rule.metric.name()), code(explanation)))
        };
        rules.iter().filter_map(reason).collect()
    };
    page.lines(&reasons(&others));
    let (problems, further_problems) = problems(verdict);
    page.section("Problems", &problems);
    page.fold("Further problems", &further_problems);
    page.section("Conditions that differ", &differences(verdict));
    let is_held = verdict.unserved.iter().all(|result| result.judgement == Judgement::Holds);
    match is_held {
        true => page.fold(UNSERVED, &unserved(&verdict.unserved)),
        false => page.section(UNSERVED, &unserved(&verdict.unserved)),
    }
    if let Some(found) = shown.explanation {
        for (summary, lines) in explained(found) {
            page.fold(summary, &lines);
        }
    }
    page.fold("Why rules hold", &reasons(&held));
    page.fold("Figures beside them", &supporting(verdict));
    page.fold("How it was judged", &listed(figures::decision(verdict)));
    page.fold("Conditions that neither report states", &unverified(verdict));
    page.fold("Notices", &notices(verdict));
    page.fold("Judged files", &inputs(verdict));
    page.finish()
}

/// Heading of [`unserved`].
const UNSERVED: &str = "Requests that were not served";

struct Page {
    text: String,
    left_out: usize,
}

impl Page {
    /// Lines that are there whole or not at all, so that neither a code span nor the head of a table is ever
    /// cut open. Whether they are.
    fn unit(&mut self, lines: &[&str]) -> bool {
        let length: usize = lines.iter().map(|line| line.len() + 1).sum();
        let fits = self.left_out == 0 && self.text.len() + length <= PAGE_MAX_BYTES - END_BYTES;
        if fits {
            lines.iter().for_each(|line| self.push(line));
        } else {
            self.left_out += lines.iter().filter(|line| !line.is_empty()).count();
        }
        fits
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A block of its own: a table, whose head is two lines, or a list.
    fn lines(&mut self, lines: &[String]) {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let head = if lines.first().is_some_and(|line| line.starts_with('|')) { 2 } else { 1 };
        let (head, rest) = lines.split_at(head.min(lines.len()));
        if !head.is_empty() {
            self.unit(&[&[""], head].concat());
        }
        for line in rest {
            self.unit(&[line]);
        }
    }

    fn section(&mut self, heading: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.unit(&["", &format!("### {heading}")]);
            self.lines(lines);
        }
    }

    fn fold(&mut self, summary: &str, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let is_open = self.unit(&["", &format!("<details><summary>{summary}</summary>")]);
        self.lines(lines);
        if is_open {
            self.push("");
            self.push("</details>");
        }
    }

    fn finish(mut self) -> String {
        if self.left_out > 0 {
            self.push(&format!("\n{} more lines are in the log.", self.left_out));
        }
        self.text
    }
}

fn table(headings: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> Vec<String> {
    let rows: Vec<_> = rows.into_iter().map(|row| format!("| {} |", row.join(" | "))).collect();
    if rows.is_empty() {
        return rows;
    }
    let head =
        [format!("| {} |", headings.join(" | ")), format!("|{}", " --- |".repeat(headings.len()))];
    head.into_iter().chain(rows).collect()
}

fn rules(verdict: &Verdict) -> Vec<String> {
    let row = |rule| figures::row(rule).map(|cell| code(&cell)).to_vec();
    table(&figures::HEADINGS, verdict.rules.iter().map(row))
}

/// A table, and below it the reasons where there are any.
fn unserved(results: &[UnservedResult]) -> Vec<String> {
    let row = |result| figures::unserved(result).map(|cell| code(&cell)).to_vec();
    let mut lines = table(&figures::UNSERVED_HEADINGS, results.iter().map(row));
    let reason = |result: &UnservedResult| {
        let name = format!("{}, {}", result.outcome.name(), result.phase.name());
        Some(format!("- {}: {}", code(&name), code(result.explanation.as_deref()?)))
    };
    let reasons: Vec<_> = results.iter().filter_map(reason).collect();
    if !reasons.is_empty() {
        lines.push(String::new());
        lines.extend(reasons);
    }
    lines
}

fn supporting(verdict: &Verdict) -> Vec<String> {
    let row = |figure| figures::supporting(figure).map(|cell| code(&cell)).to_vec();
    table(&figures::SUPPORTING_HEADINGS, verdict.supporting.iter().map(row))
}

fn listed(lines: Vec<String>) -> Vec<String> {
    lines.iter().map(|line| format!("- {line}")).collect()
}

fn differences(verdict: &Verdict) -> Vec<String> {
    let side = |value: &Option<String>| value.as_deref().map_or("absent".to_owned(), code);
    let row = |difference: &cp1_format::FieldDifference| {
        vec![code(&difference.field), side(&difference.baseline), side(&difference.candidate)]
    };
    table(&["field", "baseline", "candidate"], verdict.comparison.differences.iter().map(row))
}

fn unverified(verdict: &Verdict) -> Vec<String> {
    verdict.comparison.unverified.iter().map(|field| format!("- {}", code(field))).collect()
}

/// What explains it, in pieces that are folded.
fn explained(found: &Explanation) -> Vec<(&'static str, Vec<String>)> {
    let cells = |row: Vec<String>| row.iter().map(|cell| code(cell)).collect::<Vec<_>>();
    let mut why = vec![
        format!("- {}", code(&explanation::builds(found))),
        format!("- {}", code(&explanation::time(found))),
        String::new(),
    ];
    let parts = explanation::part_rows(found).into_iter().map(|row| cells(row.to_vec()));
    why.extend(table(&explanation::PART_HEADINGS, parts));
    let places = found.places.iter().map(explanation::place_row).map(|row| cells(row.to_vec()));
    let places = table(&explanation::PLACE_HEADINGS, places);
    if !places.is_empty() {
        why.push(String::new());
        why.extend(places);
    }
    let seen = found.places.iter().flat_map(|place| {
        let evidence = place.evidence.iter().map(|said| format!("  - {}", code(said)));
        let history = place.history.iter().flat_map(|history| {
            let commits = history.commits.iter().map(|commit| {
                let hash = figures::short_commit(&commit.commit);
                format!("  - {} {} {}", code(&hash), code(&commit.date), code(&commit.subject))
            });
            [format!("  - {}", code(&history.command))].into_iter().chain(commits)
        });
        [format!("- {}", code(&place.name))].into_iter().chain(evidence).chain(history)
    });
    let failures = found.failures.iter().map(explanation::failure_row);
    let failures = failures.map(|row| cells(row.to_vec()));
    let advice = found.advice.iter().map(|advice| {
        format!("- {}: {}; {}", code(&advice.place), code(&advice.evidence), code(&advice.advice))
    });
    vec![
        (explanation::HEADING, why),
        ("What was seen of these places", seen.collect()),
        ("Requests that failed, by reason", table(&explanation::FAILURE_HEADINGS, failures)),
        ("Advice, about the candidate itself", advice.collect()),
        (
            "What is certain of it",
            found.notices.iter().map(|it| format!("- {}", code(&it.0))).collect(),
        ),
    ]
}

/// Those that are shown, and the rest.
fn problems(verdict: &Verdict) -> (Vec<String>, Vec<String>) {
    let line = |problem: &cp1_format::Problem| {
        let place = problem.place.as_ref().map(|place| format!(" at {}", code(place)));
        format!(
            "- {}{}: {}; cure: {}",
            code(&problem.file),
            place.unwrap_or_default(),
            code(&problem.message),
            code(&problem.cure)
        )
    };
    let mut shown: Vec<_> = verdict.problems.iter().map(line).collect();
    let rest = shown.split_off(PROBLEMS_SHOWN.min(shown.len()));
    (shown, rest)
}

fn notices(verdict: &Verdict) -> Vec<String> {
    verdict.notices.iter().map(|notice| format!("- {}", code(&notice.0))).collect()
}

fn inputs(verdict: &Verdict) -> Vec<String> {
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
    table(&["", "path", "commit", "measured", "blocks"], rows)
}
