//! Tables that a screen reader can walk through: every heading says what it heads.

use std::fmt::Display;

use maud::{Markup, html};

use crate::escape;

/// What stands where there is nothing.
pub(super) const ABSENT: &str = "-";

/// Most rows of a table: a file may have any number of anything, and a page is to be read.
pub(super) const ROWS_MAX: usize = 120;

/// A short text out of a file.
pub(super) fn text(text: &str) -> String {
    escape::plain(text)
}

/// A sentence that may quote files.
pub(super) fn sentence(text: &str) -> String {
    escape::line(text)
}

/// A figure: what is shown, and in full for whoever reads the page with a program.
pub(super) fn figure(full: &impl Display, shown: &str) -> Markup {
    html! { data value=(full) { (shown) } }
}

/// A table that scrolls by itself where it is wider than the page. The first cell of a row heads it.
pub(super) fn table(says: &str, headings: &[&str], rows: &[Vec<Markup>]) -> Markup {
    html! {
        div.scrolls tabindex="0" role="region" aria-label=(says) {
            table {
                thead { tr { @for heading in headings { th scope="col" { (heading) } } } }
                tbody {
                    @for row in rows.iter().take(ROWS_MAX) {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
        @if rows.len() > ROWS_MAX { p.note { (rows.len() - ROWS_MAX) " more rows are not shown here." } }
    }
}

/// The same of texts.
pub(super) fn plain_table(says: &str, headings: &[&str], rows: &[Vec<String>]) -> Markup {
    let rows: Vec<Vec<Markup>> =
        rows.iter().map(|row| row.iter().map(|cell| html! { (text(cell)) }).collect()).collect();
    table(says, headings, &rows)
}
