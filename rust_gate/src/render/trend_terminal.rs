//! A trend for a terminal: plain text of 80 columns without colors.

use cp1_format::{ChangePoint, Trend};

use crate::escape::{clip, plain};
use crate::render::chart::{self, Chart, height, place};
use crate::render::figures::short_commit;
use crate::render::wrap::wrapped;

/// Columns of a page.
const WIDTH: usize = 80;

/// Columns before a chart, for the figures at its side.
const MARGIN: usize = 13;

/// Columns of a chart, and its lines.
const PLACES: usize = WIDTH - MARGIN;
const LINES: usize = 9;

/// Renders the trend.
#[must_use]
pub fn render(trend: &Trend) -> String {
    let mut page = Page(String::new());
    page.line(&format!("CP1 trend: {}", chart::period(trend)));
    for left_out in &trend.left_out {
        page.wrapped("", &format!("left out: {} reports, {}", left_out.reports, left_out.reason));
    }
    for metric in &trend.metrics {
        for chart in Chart::of(metric) {
            page.line("");
            page.wrapped("", &chart.title());
            match chart.always() {
                Some(always) => page.line(&format!("  {always}")),
                None => page.chart(trend, &chart),
            }
            for (change, words) in chart.changes() {
                page.wrapped("  ", &words);
                page.wrapped("    ", &between(trend, change));
                if let Some(subject) = &change.subject {
                    page.line(&format!("    \"{}\"", clip(&plain(subject), WIDTH - 7)));
                }
            }
            if let Some(used) =
                chart.used().filter(|_| chart.is_change || metric.changes.points.is_empty())
            {
                page.wrapped("  ", &used);
            }
        }
    }
    moves(&mut page, trend);
    page.line("");
    for text in chart::how_to_read(trend) {
        page.wrapped("", &text);
    }
    for notice in &trend.notices {
        page.wrapped("", &format!("notice: {}", plain(&notice.0)));
    }
    page.0
}

/// Between which reports a change lies.
fn between(trend: &Trend, change: &ChangePoint) -> String {
    let report = |index: u64| {
        let report = usize::try_from(index).ok().and_then(|index| trend.reports.get(index));
        report.map_or_else(String::new, |report| {
            let commit = report.commit.as_ref().map(|commit| short_commit(commit));
            let commit = commit.unwrap_or_else(|| "no commit".to_owned());
            format!("{} ({})", plain(&commit), chart::day(&report.timestamp))
        })
    };
    format!("first in {}, not yet in {}", report(change.report), report(change.after_report))
}

fn moves(page: &mut Page, trend: &Trend) {
    page.line("");
    page.wrapped(
        "",
        "Marks: ^ a change point, B the baseline moved, E machine, emulator, tools or load are others.",
    );
    for moved in &trend.moves {
        let head = format!("B {:04} {} {}: ", moved.number, moved.date, moved.kind.word());
        let room = WIDTH.saturating_sub(head.chars().count() + 1);
        page.line(&format!("{head}{}", clip(&plain(&moved.what), room)));
    }
}

struct Page(String);

impl Page {
    fn line(&mut self, text: &str) {
        self.0.push_str(text.trim_end());
        self.0.push('\n');
    }

    fn wrapped(&mut self, indent: &str, text: &str) {
        for line in wrapped(indent, indent.len(), text, WIDTH) {
            self.line(&line);
        }
    }

    fn chart(&mut self, trend: &Trend, chart: &Chart<'_>) {
        let reports = trend.reports.len();
        let columns = chart::columns(chart.series, reports, PLACES);
        let Some(span) = chart.span(&columns) else { return };
        let used = PLACES.min(reports);
        let line_of =
            |figure: f64| LINES - 1 - (height(figure, span) * (LINES - 1) as f64).round() as usize;
        let mut cells = vec![vec![' '; used]; LINES];
        let mut draw = |line: usize, place: usize, character: char| {
            if let Some(cell) = cells.get_mut(line).and_then(|line| line.get_mut(place)) {
                *cell = character;
            }
        };
        let lines = chart.is_change.then_some((0.0, '┈')).into_iter();
        for (figure, character) in lines.chain(chart.limit().map(|limit| (limit, '─'))) {
            (0..used).for_each(|place| draw(line_of(figure), place, character));
        }
        for column in &columns {
            for line in line_of(column.high)..=line_of(column.low) {
                draw(line, column.place, '·');
            }
            draw(line_of(column.middle), column.place, '•');
        }
        let label = |line: usize| match line {
            0 => chart::figure(span.1),
            _ if line == LINES - 1 => chart::figure(span.0),
            _ if chart.limit().is_some_and(|limit| line_of(limit) == line) => "limit".to_owned(),
            _ if chart.is_change && line_of(0.0) == line => "0".to_owned(),
            _ => String::new(),
        };
        for (line, cells) in cells.iter().enumerate() {
            let label = clip(&label(line), MARGIN - 3);
            let room = MARGIN - 2;
            self.line(&format!("{label:>room$} ┤{}", cells.iter().collect::<String>()));
        }
        self.marks(trend, chart, reports, used);
    }

    fn marks(&mut self, trend: &Trend, chart: &Chart<'_>, reports: usize, used: usize) {
        let conditions = trend.reports.iter().zip(0..).filter(|(report, _)| report.new_conditions);
        let moves = trend.moves.iter().filter(|moved| (moved.report as usize) < reports);
        let kinds: [(char, Vec<u64>); 3] = [
            ('^', chart.series.change_points.iter().map(|change| change.report).collect()),
            ('B', moves.map(|moved| moved.report).collect()),
            ('E', conditions.map(|(_, index)| index).collect()),
        ];
        for (mark, marked) in kinds.into_iter().filter(|(_, marked)| !marked.is_empty()) {
            let mut line = vec![' '; used];
            for report in marked {
                if let Some(cell) = line.get_mut(place(report, reports, used)) {
                    *cell = mark;
                }
            }
            let margin = " ".repeat(MARGIN);
            self.line(&format!("{margin}{}", line.into_iter().collect::<String>()));
        }
    }
}
