//! How the router came back from an outage: the windows of every block on one time axis, that begins with the
//! outage.

use std::collections::BTreeMap;

use cp1_format::{Block, Metric, RecoveryPhase, RecoveryWindow};
use maud::{Markup, html};

use super::chart::{
    Frame, Scale, digits, figure, mark_below, path, place, span, svg, upright_axis,
};
use super::sides::{Side, Sides, legend};
use super::table::{ABSENT, table, text};

/// Places of a chart that share a point: of them the extremes are drawn.
const COLUMN: f64 = 2.0;

/// A figure of a window.
struct OfWindow {
    id: &'static str,
    title: &'static str,
    unit: &'static str,
    figure: fn(&RecoveryWindow) -> Option<f64>,
}

const OF_WINDOWS: [OfWindow; 2] = [
    OfWindow {
        id: "outages-p95",
        title: "p95 of each window",
        unit: "ms, of what was served",
        figure: |window| window.p95_ns.map(|ns| ns as f64 / 1e6),
    },
    OfWindow {
        id: "outages-lost",
        title: "Requests of each window that were not served",
        unit: "",
        figure: |window| Some(window.offered.saturating_sub(window.ok) as f64),
    },
];

/// The blocks of a side that had an outage.
fn phases<'a>(
    sides: &Sides<'a>,
    side: Side,
) -> impl Iterator<Item = (&'a Block, &'a RecoveryPhase)> {
    sides.blocks(side).iter().filter_map(|block| Some((block, block.recovery.as_ref()?)))
}

/// Whether there is anything to show.
pub(super) fn are_there(sides: &Sides<'_>) -> bool {
    Side::ALL.into_iter().any(|side| phases(sides, side).next().is_some())
}

/// The outages of all blocks; nothing where none was asked for.
pub(super) fn section(sides: &Sides<'_>) -> Markup {
    if !are_there(sides) {
        return html! {};
    }
    html! {
        section #outages aria-labelledby="outages-heading" {
            h2 #outages-heading { "Outages" }
            p.note {
                "The windows of every block, a line for each, by the time since the outage of that block began. How long "
                "it lasted at most is shaded. A line is broken where a window has no request that was served."
            }
            (legend(&html! {
                li { svg viewBox="0 0 34 12" aria-hidden="true" {
                    rect.outage x="8" y="0" width="18" height="12" {}
                } "outage" }
            }))
            div.charts.two {
                @for one in &OF_WINDOWS { (chart(sides, one)) }
            }
            details { summary { "Numbers of all outages" } (numbers(sides)) }
        }
    }
}

/// Milliseconds from the beginning of an outage to a time of its loop.
fn since(phase: &RecoveryPhase, ns: u64) -> f64 {
    (ns as f64 - phase.outage_began_ns as f64) / 1e6
}

/// When a window begins and ends.
fn ends(phase: &RecoveryPhase, index: usize) -> (f64, f64) {
    let at = |index: usize| since(phase, phase.window_ns.saturating_mul(index as u64));
    (at(index), at(index + 1))
}

fn chart(sides: &Sides<'_>, one: &OfWindow) -> Markup {
    let of = |side| phases(sides, side).flat_map(|(_, phase)| &phase.windows);
    let figures = |side| of(side).filter_map(one.figure);
    let Some(values) = span(Side::ALL.into_iter().flat_map(figures)) else {
        return html! {};
    };
    let all = || Side::ALL.into_iter().flat_map(|side| phases(sides, side));
    let (begin, end) = all().fold((0.0_f64, 1.0_f64), |(begin, end), (_, phase)| {
        let (last, first) = (ends(phase, phase.windows.len()).0, ends(phase, 0).0);
        (begin.min(first), end.max(last))
    });
    let over = all().map(|(_, phase)| since(phase, phase.outage_ended_ns)).fold(0.0, f64::max);
    let frame = Frame::LARGE;
    let (scale, across) =
        (frame.upwards(values).whole(one.unit.is_empty()), frame.across((begin, end)));
    let drawn = html! {
        rect.outage x=(place(across.at(0.0))) y=(place(frame.top))
            width=(place(across.at(over) - across.at(0.0))) height=(place(frame.bottom - frame.top)) {}
        (upright_axis(&frame, &scale, &scale.ticks()))
        @for (ms, label) in across.ticks() { (mark_below(&frame, across.at(ms), &label)) }
        text.tick x=(place(frame.right)) y=(place(frame.bottom + 33.0)) text-anchor="end" {
            "ms since the outage began"
        }
        @for side in Side::ALL {
            path.line.window.(side.name()) d=(lines(sides, side, one, &across, &scale)) {}
        }
    };
    let says = Side::ALL
        .into_iter()
        .filter_map(|side| {
            let greatest = figures(side).fold(None, |most: Option<f64>, figure| {
                Some(most.map_or(figure, |most| most.max(figure)))
            })?;
            let blocks = phases(sides, side).count();
            Some(format!("{}: {blocks} blocks, at most {}.", side.name(), digits(greatest)))
        })
        .collect::<Vec<_>>()
        .join(" ");
    let title = format!("{} around outages, of both sides", one.title);
    figure(one.title, one.unit, &svg(&frame, one.id, &title, &says, &drawn), None)
}

/// Of each block a line, broken where a window has no such figure.
fn lines(sides: &Sides<'_>, side: Side, one: &OfWindow, across: &Scale, scale: &Scale) -> String {
    let of_block = |(_, phase): (&Block, &RecoveryPhase)| -> String {
        let figures: Vec<Option<f64>> = phase.windows.iter().map(one.figure).collect();
        let mut first = 0;
        figures
            .split(Option::is_none)
            .map(|unbroken| {
                let begins = first;
                first += unbroken.len() + 1;
                let points = unbroken.iter().flatten().enumerate().map(|(index, figure)| {
                    let (from, to) = ends(phase, begins + index);
                    (across.at(f64::midpoint(from, to)), scale.at(*figure))
                });
                line(points)
            })
            .collect()
    };
    phases(sides, side).map(of_block).collect()
}

/// A line through points; one alone is a dot.
fn line(points: impl Iterator<Item = (f64, f64)>) -> String {
    let mut columns = BTreeMap::<i64, (f64, f64, f64)>::new();
    for (x, y) in points {
        let column = columns.entry((x / COLUMN).round() as i64).or_insert((x, y, y));
        *column = (column.0, column.1.min(y), column.2.max(y));
    }
    let is_alone = columns.len() == 1;
    path(columns.into_values().flat_map(|(x, top, bottom)| {
        let both = [(x, top), (x, bottom)];
        both.into_iter().take(if bottom - top < 0.1 && !is_alone { 1 } else { 2 })
    }))
}

fn numbers(sides: &Sides<'_>) -> Markup {
    let row = |side: Side, block: &Block, phase: &RecoveryPhase| {
        let metric = |metric| match block.metrics.get(metric) {
            Some(amount) => super::table::figure(amount, &digits(amount.approximate())),
            None => html! { (ABSENT) },
        };
        let reason = phase.reasons.iter().flatten().next();
        vec![
            html! { (block.block) ", " (side.name()) },
            html! { (digits(since(phase, phase.outage_ended_ns))) },
            metric(Metric::RecoveryMs),
            metric(Metric::RequestsLost),
            html! { (reason.map_or_else(|| ABSENT.to_owned(), |reason| text(&reason.reason))) },
        ]
    };
    let mut rows: Vec<(u32, Vec<Markup>)> = Side::ALL
        .into_iter()
        .flat_map(|side| {
            phases(sides, side).map(move |(block, phase)| (block.block, row(side, block, phase)))
        })
        .collect();
    rows.sort_by_key(|(number, _)| *number);
    let rows: Vec<_> = rows.into_iter().map(|(_, row)| row).collect();
    let headings = ["block", "outage, ms", "recovery_ms", "requests_lost", "most frequent reason"];
    table("The outage of every block", &headings, &rows)
}
