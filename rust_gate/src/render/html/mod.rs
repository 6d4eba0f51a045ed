//! The verdict as one page for a browser: nothing is fetched, nothing runs, charts are SVG made here.
//!
//! Text of files is escaped by the templates, and what would steer a reader's eye by [`crate::escape`]
//! before that. A policy in the page itself forbids whatever is not in it, so that text which got past both
//! could load nothing and run nothing.
//!
//! # Limits
//!
//! What a file may have any number of (blocks, series, problems, rows) is shown up to a number, with how
//! much is left out; so a page stays below a megabyte.

mod blocks;
mod chart;
mod commits;
mod conditions;
mod explanation;
mod metrics;
mod outages;
mod percentiles;
mod series;
mod sides;
mod table;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cp1_format::{Input, Outcome, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::render::{Shown, figures};
use sides::Sides;
use table::{ABSENT, plain_table, sentence, text};

const STYLE: &str = include_str!("style.css");

/// Most problems and notices that are shown.
const LINES_MAX: usize = 50;

/// Renders the page.
#[must_use]
pub fn render(shown: &Shown<'_>) -> String {
    let verdict = shown.verdict;
    let sides = Sides::of(shown);
    let title = format!("{}: CP1 performance gate", verdict.outcome.word());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(allowed());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#main" { "Skip to the verdict" }
                header { p { "CP1 performance gate" } (contents(shown, &sides)) }
                main #main tabindex="-1" {
                    (answer(shown))
                    (conditions::planted(shown))
                    (problems(verdict))
                    (metrics::section(verdict, shown.policy))
                    (explanation::section(shown.explanation))
                    (notices(verdict))
                    (percentiles::section(&sides))
                    (blocks::section(&sides, verdict, shown.policy))
                    (outages::section(&sides))
                    (series::section(&sides))
                    (metrics::supporting(verdict))
                    (conditions::section(shown))
                    (commits::section(shown.commits))
                    (files(verdict))
                }
                footer {
                    p {
                        "perf-gate " (env!("CARGO_PKG_VERSION"))
                        ". Every figure is that of the verdict's file; nothing here is judged anew."
                    }
                }
            }
        }
    };
    page.into_string()
}

/// The page's own style, and nothing else: by its digest.
fn allowed() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}

fn contents(shown: &Shown<'_>, sides: &Sides<'_>) -> Markup {
    let why = shown.explanation.map(|_| ("why", "Why"));
    let outages = outages::are_there(sides).then_some(("outages", "Outages"));
    let ids = [("metrics", "Metrics")]
        .into_iter()
        .chain(why)
        .chain([("percentiles", "Percentiles"), ("blocks", "Blocks")])
        .chain(outages)
        .chain([("series", "Over time"), ("conditions", "Conditions"), ("commits", "Commits")]);
    html! {
        nav aria-label="Contents" {
            ul {
                @for (id, name) in ids {
                    li { a href={ "#" (id) } { (name) } }
                }
            }
        }
    }
}

fn answer(shown: &Shown<'_>) -> Markup {
    let verdict = shown.verdict;
    let (class, sign) = match verdict.outcome {
        Outcome::Pass => ("good", "✓"),
        Outcome::Regression => ("bad", "✕"),
        Outcome::Invalid => ("bad", "!"),
        Outcome::Inconclusive => ("open", "?"),
        Outcome::Incomparable => ("open", "≠"),
    };
    html! {
        section.answer.(class) #verdict aria-labelledby="verdict-heading" {
            h1 #verdict-heading {
                span.sign aria-hidden="true" { (sign) } " " span #outcome { (verdict.outcome.word()) }
            }
            p.summary { (sentence(&verdict.summary)) }
            dl {
                (side("candidate", &verdict.inputs.candidate))
                @match &verdict.inputs.replay {
                    Some(replay) => (side("baseline, replayed", replay)),
                    None => (side("baseline", &verdict.inputs.baseline)),
                }
                div { dt { "exit code" } dd #exit-code { (verdict.exit_code) } }
            }
        }
    }
}

fn side(name: &str, input: &Input) -> Markup {
    html! {
        div {
            dt { (name) }
            dd {
                @match (&input.commit, &input.timestamp) {
                    (None, None) => "not read",
                    (commit, timestamp) => {
                        @match commit {
                            Some(commit) => code { (text(&figures::short_commit(commit))) },
                            None => "no commit",
                        }
                        @if let Some(timestamp) = timestamp {
                            ", " (text(timestamp)) ", " (figures::blocks(input.blocks))
                        }
                    },
                }
            }
        }
    }
}

fn problems(verdict: &Verdict) -> Markup {
    html! {
        @if !verdict.problems.is_empty() {
            section.alert #problems aria-labelledby="problems-heading" {
                h2 #problems-heading { "Problems" }
                ol {
                    @for problem in verdict.problems.iter().take(LINES_MAX) {
                        li {
                            p { (sentence(&problem.message)) }
                            p.muted {
                                code { (text(&problem.file)) }
                                @if let Some(place) = &problem.place { ", " code { (text(place)) } }
                            }
                            p { strong { "Cure: " } (sentence(&problem.cure)) }
                        }
                    }
                }
                (more(verdict.problems.len()))
            }
        }
    }
}

fn notices(verdict: &Verdict) -> Markup {
    html! {
        @if !verdict.notices.is_empty() {
            section #notices aria-labelledby="notices-heading" {
                h2 #notices-heading { "Notices" }
                ul.plain { @for notice in verdict.notices.iter().take(LINES_MAX) { li { (sentence(&notice.0)) } } }
                (more(verdict.notices.len()))
            }
        }
    }
}

fn more(count: usize) -> Markup {
    html! {
        @if count > LINES_MAX { p.note { (count - LINES_MAX) " more are in the verdict's file." } }
    }
}

fn files(verdict: &Verdict) -> Markup {
    let row = |name: &str, input: &Input| {
        let or_absent = |text: Option<String>| text.unwrap_or_else(|| ABSENT.to_owned());
        vec![
            name.to_owned(),
            input.path.clone(),
            or_absent(input.commit.clone()),
            or_absent(input.timestamp.clone()),
            or_absent(input.blocks.map(|blocks| blocks.to_string())),
        ]
    };
    let inputs = &verdict.inputs;
    let mut rows = vec![row("baseline", &inputs.baseline)];
    rows.extend(inputs.replay.iter().map(|replay| row("replay", replay)));
    rows.extend([row("candidate", &inputs.candidate), row("policy", &inputs.policy)]);
    rows.extend(inputs.waivers.iter().map(|waivers| row("waivers", waivers)));
    html! {
        section #files aria-labelledby="files-heading" {
            h2 #files-heading { "Judged files" }
            (plain_table("Judged files", &["file", "path", "commit", "measured", "blocks"], &rows))
        }
    }
}
