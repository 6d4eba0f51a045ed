//! The commits between baseline and candidate.

use maud::{Markup, html};

use super::table::{sentence, table, text};
use crate::read::commits::{Between, Commits};
use crate::render::figures::short_commit;

/// What git says; `None` where nobody asked it.
pub(super) fn section(between: Option<&Between>) -> Markup {
    html! {
        section #commits aria-labelledby="commits-heading" {
            h2 #commits-heading { "Commits between them" }
            @match between {
                None => p.empty { "Git was not asked." },
                Some(Between::Unknown(why)) => p.empty { "Not known: " (sentence(why)) "." },
                Some(Between::Known(commits)) => (known(commits)),
            }
        }
    }
}

fn known(commits: &Commits) -> Markup {
    let Commits { listed, count, missing, is_shallow } = commits;
    let row = |commit: &crate::read::commits::Commit| {
        vec![
            html! { code { (text(&short_commit(&commit.hash))) } },
            html! { (text(&commit.date)) },
            html! { (text(&commit.author)) },
            html! { (text(&commit.subject)) },
        ]
    };
    let rows: Vec<Vec<Markup>> = listed.iter().map(row).collect();
    html! {
        @if *count == 0 && *missing == 0 {
            p.empty { "None: both are of the same commit." }
        } @else {
            p.note {
                @match count {
                    0 => "The candidate has no commit that the baseline has not.",
                    1 => "The candidate has one commit that the baseline has not.",
                    _ => { "The candidate has " (count) " commits that the baseline has not, the latest first." },
                }
                @if *count > listed.len() as u64 { " Shown are the latest " (listed.len()) "." }
                @if *missing > 0 { " It lacks " (missing) " that the baseline has." }
                @if *is_shallow { " The clone is shallow, so there may be more." }
            }
        }
        @if !rows.is_empty() {
            (table("Commits of the candidate", &["commit", "date", "author", "subject"], &rows))
        }
    }
}
