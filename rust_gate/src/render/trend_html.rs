//! A trend as one page of HTML: no network, no script, light and dark, for a printer and for a screen
//! reader. Every chart has its figures in a table beside it.

use std::fmt::Write as _;

use cp1_format::{ChangePoint, Trend};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::escape::{line, plain};
use crate::render::chart::{self, Chart, Column, height, place};
use crate::render::figures::short_commit;

/// Most places of a chart: more than a screen shows apart, and few enough for a page of some hundred KB.
const PLACES: usize = 300;

/// A chart, in the units of its drawing.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 710.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 184.0;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1f24;--paper:#fff;--faint:#6a737d;--rule:#d0d7de;--mark:#0a5fb4;\
--bad:#b3261e;--good:#1a7f37}\
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--paper:#0d1117;--faint:#9198a1;--rule:#3d444d;\
--mark:#6cb6ff;--bad:#ff8f86;--good:#56d364}}\
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;\
margin:0 auto;padding:1rem;overflow-wrap:anywhere}\
h1{font-size:1.5rem}h2{font-size:1.2rem;margin-top:2.5rem}h3{font-size:1rem;margin-bottom:.3rem}\
svg{width:100%;height:auto;display:block}\
svg text{font-size:12px;fill:var(--faint)}\
.axis{stroke:var(--rule)}.limit{stroke:var(--bad);stroke-dasharray:6 4}.zero{stroke:var(--faint)}\
.range{stroke:var(--mark);opacity:.35;stroke-width:2}.line{fill:none;stroke:var(--mark);opacity:.6}\
.point{fill:var(--mark)}.change{stroke:var(--ink);stroke-width:1.5}\
.moved{stroke:var(--faint);stroke-dasharray:2 3}\
svg text.here{fill:var(--ink);font-weight:700}\
.worse{color:var(--bad)}.better{color:var(--good)}.faint{color:var(--faint)}\
.scrolls{overflow-x:auto;max-height:24rem}table{border-collapse:collapse;font-variant-numeric:tabular-nums}\
th,td{padding:.15rem .7rem .15rem 0;text-align:left;border-bottom:1px solid var(--rule);white-space:nowrap}\
td.long{white-space:normal;min-width:16rem}\
@media(max-width:40rem){svg text{font-size:22px}}\
summary{cursor:pointer}:focus-visible{outline:2px solid var(--mark);outline-offset:2px}\
@media print{details{display:none}section{break-inside:avoid}}";

/// Nothing is fetched and nothing runs, whatever a text in the page says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// Renders the trend.
#[must_use]
pub fn render(trend: &Trend) -> String {
    let title = format!("CP1 trend: {}", chart::period(trend));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (title) }
                    (left_out(trend))
                    @for text in chart::how_to_read(trend) { p { (text) } }
                    @for notice in &trend.notices { p { (line(&notice.0)) } }
                    @for metric in &trend.metrics {
                        section {
                            h2 { (metric.metric.name()) }
                            @for chart in Chart::of(metric) { (drawn(trend, &chart)) }
                        }
                    }
                    (moves(trend))
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn left_out(trend: &Trend) -> Markup {
    html! {
        @if !trend.left_out.is_empty() {
            p { "Left out:" }
            ul { @for left_out in &trend.left_out { li { (left_out.reports) " reports, " (line(&left_out.reason)) } } }
        }
    }
}

fn drawn(trend: &Trend, chart: &Chart<'_>) -> Markup {
    let columns = chart::columns(chart.series, trend.reports.len(), PLACES);
    let id = format!(
        "{}-{}",
        chart.metric.metric.name(),
        if chart.is_change { "change" } else { "figure" }
    );
    let changes: Vec<_> = chart.changes().collect();
    html! {
        h3 id=(id) { (chart.title()) }
        @if let Some(always) = chart.always() { p { (always) } }
        @else if let Some(span) = chart.span(&columns) { (svg(trend, chart, &columns, span, &id)) }
        @if let Some(used) = chart.used().filter(|_| chart.is_change || chart.metric.changes.points.is_empty()) {
            p { (used) }
        }
        @if !changes.is_empty() {
            ul {
                @for (change, words) in &changes {
                    li {
                        span class=(if chart.metric.is_worse(change) { "worse" } else { "better" }) { (words) }
                        br;
                        (between(trend, change))
                    }
                }
            }
        }
        (table(trend, chart, &columns))
    }
}

/// Between which reports a change lies.
fn between(trend: &Trend, change: &ChangePoint) -> Markup {
    html! {
        "first in " (report(trend, change.report)) ", not yet in " (report(trend, change.after_report))
        @if let Some(subject) = &change.subject { ": " q { (plain(subject)) } }
    }
}

fn report(trend: &Trend, index: u64) -> Markup {
    let report = usize::try_from(index).ok().and_then(|index| trend.reports.get(index));
    html! {
        @if let Some(report) = report {
            @match &report.commit {
                Some(commit) => code { (plain(&short_commit(commit))) },
                None => "no commit",
            }
            " (" (report.timestamp) ")"
        }
    }
}

/// The middle of a place, of so many reports.
fn across(place: usize, reports: usize) -> f64 {
    let places = reports.clamp(1, PLACES) as f64;
    LEFT + (place as f64 + 0.5) / places * (RIGHT - LEFT)
}

fn svg(trend: &Trend, chart: &Chart<'_>, columns: &[Column], span: (f64, f64), id: &str) -> Markup {
    let reports = trend.reports.len();
    let x = |column: &Column| across(column.place, reports);
    let y = |figure: f64| BOTTOM - height(figure, span) * (BOTTOM - TOP);
    // Before the report, where what is marked happened.
    let edge = |report: u64| {
        let half = (RIGHT - LEFT) / reports.clamp(1, PLACES) as f64 / 2.0;
        number(across(place(report, reports, PLACES), reports) - half)
    };
    let moved =
        trend.moves.iter().filter(|moved| moved.report > 0 && (moved.report as usize) < reports);
    let mut line = String::new();
    for column in columns {
        let command = if line.is_empty() { 'M' } else { 'L' };
        // Writing to a string cannot fail.
        let _ = write!(line, "{command}{} {}", number(x(column)), number(y(column.middle)));
    }
    let says = format!(
        "from {} to {}, {} change points",
        chart.words(span.0),
        chart.words(span.1),
        chart.series.change_points.len()
    );
    let ends = trend.reports.first().zip(trend.reports.last());
    html! {
        svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby={ (id) " " (id) "-says" } {
            desc id={ (id) "-says" } { (says) }
            line.axis x1=(LEFT) x2=(LEFT) y1=(TOP) y2=(BOTTOM) {}
            line.axis x1=(LEFT) x2=(RIGHT) y1=(BOTTOM) y2=(BOTTOM) {}
            text x=(LEFT - 6.0) y=(TOP + 4.0) text-anchor="end" { (chart::figure(span.1)) }
            text x=(LEFT - 6.0) y=(BOTTOM + 4.0) text-anchor="end" { (chart::figure(span.0)) }
            @if let Some((first, last)) = ends {
                text x=(LEFT) y=(BOTTOM + 18.0) { (chart::day(&first.timestamp)) }
                text x=(RIGHT) y=(BOTTOM + 18.0) text-anchor="end" { (chart::day(&last.timestamp)) }
            }
            @if chart.is_change {
                line.zero x1=(LEFT) x2=(RIGHT) y1=(number(y(0.0))) y2=(number(y(0.0))) {}
            }
            @if let Some(limit) = chart.limit() {
                line.limit x1=(LEFT) x2=(RIGHT) y1=(number(y(limit))) y2=(number(y(limit))) {}
                text x=(RIGHT) y=(number(y(limit) - 4.0)) text-anchor="end" { "limit " (chart.words(limit)) }
            }
            @for moved in moved {
                line.moved x1=(edge(moved.report)) x2=(edge(moved.report)) y1=(TOP) y2=(BOTTOM) {}
                text x=(edge(moved.report)) y=(TOP - 4.0) text-anchor="middle" { "B" }
            }
            @for change in &chart.series.change_points {
                line.change x1=(edge(change.report)) x2=(edge(change.report)) y1=(TOP) y2=(BOTTOM + 6.0) {}
                text.here x=(edge(change.report)) y=(BOTTOM + 32.0) text-anchor="middle" { "▲" }
            }
            @for (index, _) in trend.reports.iter().enumerate().filter(|(_, report)| report.new_conditions) {
                text x=(edge(index as u64)) y=(BOTTOM + 18.0) text-anchor="middle" { "E" }
            }
            path.line d=(line) {}
            @for column in columns {
                @if column.low < column.high {
                    line.range x1=(number(x(column))) x2=(number(x(column))) y1=(number(y(column.low)))
                        y2=(number(y(column.high))) {}
                }
                circle.point cx=(number(x(column))) cy=(number(y(column.middle))) r="2.5" {}
            }
        }
    }
}

fn number(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

fn table(trend: &Trend, chart: &Chart<'_>, columns: &[Column]) -> Markup {
    html! {
        details {
            summary { "Its figures" }
            div.scrolls tabindex="0" role="region" aria-label={ "Figures of " (chart.title()) } {
                table {
                    thead { tr {
                        th scope="col" { "measured" } th scope="col" { "commit" }
                        th scope="col" { "median" } th scope="col" { "from" } th scope="col" { "to" }
                    } }
                    tbody { @for column in columns { (row(trend, chart, column)) } }
                }
            }
        }
    }
}

fn row(trend: &Trend, chart: &Chart<'_>, column: &Column) -> Markup {
    let (first, last) = column.reports;
    let report = usize::try_from(first).ok().and_then(|index| trend.reports.get(index));
    let commit = report.and_then(|report| report.commit.as_deref()).map(short_commit);
    let more = last.saturating_sub(first);
    html! {
        tr {
            th scope="row" {
                @if let Some(report) = report { (report.timestamp) }
                @if more > 0 { " and up to " (more) " more" }
            }
            td { code { (plain(&commit.unwrap_or_default())) } }
            td { (chart.words(column.middle)) }
            td { (chart.words(column.low)) }
            td { (chart.words(column.high)) }
        }
    }
}

fn moves(trend: &Trend) -> Markup {
    html! {
        section {
            h2 { "Marks" }
            p { "▲ a change point. B the baseline moved. E machine, emulator, tools or load are others." }
            @if !trend.moves.is_empty() {
                div.scrolls tabindex="0" role="region" aria-label="Moves of the baseline" {
                    table {
                        thead { tr {
                            th scope="col" { "record" } th scope="col" { "day" } th scope="col" { "kind" }
                            th scope="col" { "what changed" }
                        } }
                        tbody {
                            @for moved in &trend.moves {
                                tr {
                                    th scope="row" { (format!("{:04}", moved.number)) }
                                    td { (moved.date) }
                                    td { (moved.kind.word()) }
                                    td.long { (line(&moved.what)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
