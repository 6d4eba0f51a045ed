//! Why the candidate costs what it costs, where somebody asked.

use cp1_format::{ExplainedPlace, Explanation};
use maud::{Markup, html};

use super::table::{plain_table, sentence, table, text};
use crate::render::explanation::{
    FAILURE_HEADINGS, HEADING, PART_HEADINGS, PLACE_HEADINGS, WORK_HEADINGS, builds, failure_row,
    memory, part_rows, place_row, time, work_rows,
};
use crate::render::figures::short_commit;

/// Places whose evidence is unfolded.
const OPEN_PLACES: usize = 3;

/// Nothing where nobody asked.
pub(super) fn section(explanation: Option<&Explanation>) -> Markup {
    let Some(explanation) = explanation else { return html! {} };
    html! {
        section #why aria-labelledby="why-heading" {
            h2 #why-heading { (HEADING) }
            p { (sentence(&builds(explanation))) ": " (time(explanation)) "." }
            (table_of("Parts of the difference in time", &PART_HEADINGS, part_rows(explanation)))
            @if explanation.places.is_empty() {
                p.empty { "What both builds do for a request hardly differs." }
            } @else {
                h3 { "Places, by what they add" }
                (table_of("Places", &PLACE_HEADINGS, explanation.places.iter().map(place_row)))
                @for (at, place) in explanation.places.iter().enumerate() { (of_place(at, place)) }
                @if explanation.places_left_out > 0 {
                    p.note { (explanation.places_left_out) " more places are not shown." }
                }
            }
            @if !explanation.failures.is_empty() {
                h3 { "Requests that failed" }
                (table_of("Failed requests", &FAILURE_HEADINGS, explanation.failures.iter().map(failure_row)))
            }
            @if !explanation.advice.is_empty() {
                h3 { "Advice, about the candidate itself" }
                ul.plain {
                    @for advice in &explanation.advice {
                        li {
                            code { (text(&advice.place)) } ": " (sentence(&advice.evidence)) ". "
                            (sentence(&advice.advice)) "."
                        }
                    }
                }
            }
            details {
                summary { "What the VM did, and its memory" }
                (table_of("What the VM did", &WORK_HEADINGS, work_rows(explanation)))
                ul.plain { @for line in memory(explanation) { li { (sentence(&line)) } } }
            }
            @for notice in &explanation.notices { p.note { (sentence(&notice.0)) "." } }
        }
    }
}

fn table_of<const N: usize>(
    says: &str,
    headings: &[&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Markup {
    let rows: Vec<Vec<String>> = rows.into_iter().map(|row| row.to_vec()).collect();
    plain_table(says, headings, &rows)
}

fn of_place(at: usize, place: &ExplainedPlace) -> Markup {
    html! {
        details open[at < OPEN_PLACES] {
            summary { code { (text(&place.name)) } }
            ul.plain { @for said in &place.evidence { li { (sentence(said)) } } }
            @if let Some(history) = &place.history {
                p { code { (sentence(&history.command)) } }
                @if !history.commits.is_empty() {
                    @let rows: Vec<Vec<Markup>> = history.commits.iter().map(|commit| vec![
                        html! { code { (text(&short_commit(&commit.commit))) } },
                        html! { (text(&commit.date)) },
                        html! { (text(&commit.subject)) },
                    ]).collect();
                    (table("Commits that changed its lines", &["commit", "date", "subject"], &rows))
                }
            }
        }
    }
}
