//! The blocks of both sides as points, one metric in one picture: SVG for pages that hold it as it is. Nothing in
//! it is text of a file.

use std::fmt::Write as _;

use cp1_format::{Amount, Block, Metric, Report};

use crate::render::{Shown, figures};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 150.0;
/// Of the points: labels stand left of them, the legend above.
const LEFT: f64 = 110.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 138.0;

/// Colors that people who tell few apart can tell apart.
const BASELINE: &str = "#b34700";
const CANDIDATE: &str = "#005a9c";

/// One block's figure.
struct Point<'a> {
    place: f64,
    figure: &'a Amount,
    is_disturbed: bool,
}

/// The picture; none where no block has the figure.
#[must_use]
pub fn render(shown: &Shown<'_>, metric: Metric) -> Option<String> {
    let candidate = blocks_of(shown.candidate);
    let (other, name) = match shown.replay {
        Some(_) => (blocks_of(shown.replay), "frozen commit"),
        None => (blocks_of(shown.baseline), "baseline"),
    };
    // Blocks that were measured in turn stand above each other, others in order of time.
    let shift = if shown.replay.is_some() { 0 } else { other.len() };
    let count = other.len().max(candidate.len() + shift);
    let before = points(other, metric, 0, count);
    let now = points(candidate, metric, shift, count);
    let scale = Scale::of(before.iter().chain(&now).map(|point| point.figure))?;
    let about =
        [(name, &before), ("candidate", &now)].map(|(name, points)| said(name, points, metric));
    let title = format!("{metric} of each block: {}", about.join(", "));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\
         <title>{title}</title><rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\
         <text x=\"{LEFT}\" y=\"18\" fill=\"#222\">{metric}: \
         <tspan fill=\"{BASELINE}\">\u{25cb} {name}</tspan> \
         <tspan fill=\"{CANDIDATE}\">\u{25cf} candidate</tspan> \u{00d7} disturbed</text>"
    );
    for (figure, y) in [(scale.highest, TOP), (scale.lowest, BOTTOM)] {
        let (x, baseline) = (LEFT - 8.0, y + 4.0);
        let label = figures::figure(Some(figure), metric.unit());
        // Writing to a string cannot fail.
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y}\" y2=\"{y}\" stroke=\"#ccc\"/>\
             <text x=\"{x}\" y=\"{baseline}\" text-anchor=\"end\" fill=\"#222\">{label}</text>"
        );
    }
    for (points, color, fill) in [(&before, BASELINE, "none"), (&now, CANDIDATE, CANDIDATE)] {
        for point in points {
            let (x, y) = (point.place, scale.height(point.figure));
            let _ = write!(
                svg,
                "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" stroke=\"{color}\" fill=\"{fill}\"/>"
            );
            if point.is_disturbed {
                let _ = write!(
                    svg,
                    "<path d=\"M{:.1} {:.1}l12 12m0 -12l-12 12\" stroke=\"#222\"/>",
                    x - 6.0,
                    y - 6.0
                );
            }
        }
    }
    svg.push_str("</svg>");
    Some(svg)
}

fn blocks_of(report: Option<&Report>) -> &[Block] {
    report.and_then(|report| report.blocks.as_deref()).unwrap_or_default()
}

fn points<'a>(blocks: &'a [Block], metric: Metric, shift: usize, count: usize) -> Vec<Point<'a>> {
    let step = (WIDTH - LEFT) / count.max(1) as f64;
    let placed = blocks.iter().enumerate().filter_map(|(index, block)| {
        let figure = block.metrics.0.get(&metric)?;
        let place = LEFT + ((index + shift) as f64 + 0.5) * step;
        let is_disturbed = block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty());
        Some(Point { place, figure, is_disturbed })
    });
    placed.collect()
}

/// The same for whoever does not see it.
fn said(name: &str, points: &[Point<'_>], metric: Metric) -> String {
    match Scale::of(points.iter().map(|point| point.figure)) {
        None => format!("{name} none"),
        Some(Scale { lowest, highest }) => format!(
            "{name} {} to {} in {}",
            figures::figure(Some(lowest), metric.unit()),
            figures::figure(Some(highest), metric.unit()),
            figures::blocks(Some(points.len() as u64))
        ),
    }
}

struct Scale<'a> {
    lowest: &'a Amount,
    highest: &'a Amount,
}

impl<'a> Scale<'a> {
    fn of(figures: impl Iterator<Item = &'a Amount> + Clone) -> Option<Self> {
        let compared = |a: &&Amount, b: &&Amount| a.approximate().total_cmp(&b.approximate());
        Some(Self { lowest: figures.clone().min_by(compared)?, highest: figures.max_by(compared)? })
    }

    /// Where all are alike, in the middle.
    fn height(&self, figure: &Amount) -> f64 {
        let (lowest, highest) = (self.lowest.approximate(), self.highest.approximate());
        let range = highest - lowest;
        let share = if range > 0.0 { (figure.approximate() - lowest) / range } else { 0.5 };
        BOTTOM - share * (BOTTOM - TOP)
    }
}
