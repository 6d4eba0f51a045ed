//! Two files side by side for a terminal: plain text of 80 columns without colors.

use cp1_format::{Difference, DifferenceSide, FieldSides, FigureSides, Share, UnservedSides};

use crate::escape::{clip, plain};
use crate::render::figures;
use crate::render::wrap::wrapped;

/// Columns of a page, and of what stands before a text that has a line of its own.
const WIDTH: usize = 80;
const INDENT: usize = 4;

/// What stands where a side has nothing.
const ABSENT: &str = "-";

/// Renders the difference.
#[must_use]
pub fn render(difference: &Difference) -> String {
    let mut lines = vec!["CP1 difference".to_owned()];
    lines.extend([side("A", &difference.a), side("B", &difference.b)].into_iter().flatten());
    lines.extend(figure_rows("metric", &difference.metrics));
    lines.extend(figure_rows("figure", &difference.supporting));
    lines.extend(unserved_rows(&difference.unserved));
    lines.extend(field_rows("How they ended", &difference.outcomes, Alike::Shown));
    lines.extend(field_rows("Environment", &difference.environment, Alike::Counted));
    lines.extend(field_rows("Load", &difference.load, Alike::Counted));
    if !difference.notices.is_empty() {
        lines.push(String::new());
    }
    lines.extend(
        difference.notices.iter().flat_map(|notice| wrapped("", 0, &plain(&notice.0), WIDTH)),
    );
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn side(name: &str, side: &DifferenceSide) -> Vec<String> {
    let input = &side.input;
    let commit = input.commit.as_deref().map(figures::short_commit);
    let known = [
        Some(side.kind.name().to_owned()),
        commit.map(|commit| plain(&commit)),
        input.timestamp.as_deref().map(plain),
        input.blocks.map(|blocks| figures::blocks(Some(blocks))),
    ];
    let known: Vec<_> = known.into_iter().flatten().collect();
    let room = WIDTH - INDENT - 1;
    vec![
        String::new(),
        clip(&format!("{name}   {}", known.join(", ")), WIDTH - 1),
        format!("{:INDENT$}{}", "", clip(&plain(&input.path), room)),
    ]
}

fn figure_rows(heading: &str, rows: &[FigureSides]) -> Vec<String> {
    let cells = rows.iter().map(|row| {
        let cell = |figure| figures::figure(figure, &row.unit);
        let change = row.change_pct.as_ref().map_or_else(|| ABSENT.to_owned(), figures::change);
        vec![row.name.clone(), cell(row.a.as_ref()), cell(row.b.as_ref()), change]
    });
    table(&[heading, "A", "B", "change"], cells)
}

fn unserved_rows(rows: &[UnservedSides]) -> Vec<String> {
    let cells = rows.iter().map(|row| {
        let cell = |share: &Option<Share>| {
            share.as_ref().map_or_else(|| ABSENT.to_owned(), figures::share)
        };
        let name = format!("{}, {}", row.outcome.name(), row.phase.name());
        vec![name, cell(&row.a), cell(&row.b)]
    });
    table(&["requests", "A", "B"], cells)
}

/// What becomes of fields that both say alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alike {
    Shown,
    Counted,
}

fn field_rows(heading: &str, fields: &[FieldSides], alike: Alike) -> Vec<String> {
    if fields.is_empty() {
        return Vec::new();
    }
    let (same, other): (Vec<_>, Vec<_>) =
        fields.iter().partition(|field| field.is_alike() && alike == Alike::Counted);
    let text = |side: &Option<String>| side.as_deref().map_or_else(|| ABSENT.to_owned(), plain);
    let cells = other.iter().map(|field| vec![plain(&field.field), text(&field.a), text(&field.b)]);
    let mut lines = table(&[heading, "A", "B"], cells);
    if lines.is_empty() {
        lines.extend([String::new(), heading.to_owned()]);
    }
    match same.len() {
        0 => {}
        1 => lines.push("  1 field is alike".to_owned()),
        count => lines.push(format!("  {count} fields are alike")),
    }
    lines
}

/// A table, two spaces between its columns. Of a row that is too wide the cells stand below each other.
fn table(headings: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let rows: Vec<Vec<String>> =
        rows.map(|row| row.iter().map(|cell| plain(cell)).collect()).collect();
    if rows.is_empty() {
        return Vec::new();
    }
    let width = |row: &[String]| row.iter().map(|cell| cell.chars().count() + 2).sum::<usize>();
    let headings: Vec<String> = headings.iter().map(|&heading| heading.to_owned()).collect();
    let mut widths: Vec<usize> = headings.iter().map(|cell| cell.chars().count()).collect();
    // As many rows in line as there is room for, the narrow ones first.
    let mut narrow: Vec<_> = rows.iter().collect();
    narrow.sort_by_key(|row| width(row));
    for row in narrow {
        let wider: Vec<_> =
            widths.iter().zip(row).map(|(width, cell)| cell.chars().count().max(*width)).collect();
        if wider.iter().sum::<usize>() + 2 * wider.len() <= WIDTH {
            widths = wider;
        }
    }
    let is_in_line = |row: &[String]| {
        row.iter().zip(&widths).all(|(cell, width)| cell.chars().count() <= *width)
    };
    let in_line = |row: &[String]| {
        let cells: Vec<_> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ")
    };
    let mut lines = vec![String::new(), in_line(&headings)];
    for row in &rows {
        if is_in_line(row) {
            lines.push(in_line(row));
            continue;
        }
        let mut cells = row.iter().zip(&headings);
        lines.extend(cells.next().map(|(name, _)| clip(name, WIDTH - 1)));
        for (cell, heading) in cells {
            let head = format!("  {heading}: ");
            lines.extend(wrapped(&head, head.len(), cell, WIDTH));
        }
    }
    lines
}
