//! Flame graphs of two builds and of their difference, as one SVG file that needs nothing else: no script,
//! no style and no font from anywhere. The name of a frame stands in its tooltip.

mod stacks;

use std::collections::BTreeSet;
use std::io;

use inferno::flamegraph::color::{Color, PaletteMap};
use inferno::flamegraph::{self, Options};
use maud::{PreEscaped, html};

pub use stacks::{EVENT, FIELDS, Frame, Kind, SAMPLES_PER_SECOND, Stacks};

/// Of the whole picture, in pixels.
const WIDTH: usize = 1600;

/// Above the first graph, in pixels: what the colors mean.
const LEGEND_HEIGHT: usize = 30;

/// A frame below that share of its graph is not drawn, in percent.
const SHARE_MIN_PCT: f64 = 0.1;

/// A difference within so many standard deviations of its counts is not colored.
const DEVIATIONS: f64 = 4.0;

/// A character of the browsers' monospace fonts, in sizes of the font.
const FONT_WIDTH: f64 = 0.61;

/// What stands before the frames that the library draws.
const FRAMES: &str = "<svg id=\"frames\"";

/// Of the bench and its library, which are on the machine for the load alone.
const BENCH: Color = Color { r: 200, g: 200, b: 205 };

/// Of the kernel.
const KERNEL: Color = Color { r: 165, g: 200, b: 235 };

/// Of the emulator and other native code.
const NATIVE: Color = Color { r: 245, g: 225, b: 130 };

/// Of functions of Erlang, which are of three shades so that neighbors can be told apart.
const ERLANG: [Color; 3] = [
    Color { r: 250, g: 150, b: 80 },
    Color { r: 250, g: 170, b: 105 },
    Color { r: 245, g: 135, b: 100 },
];

/// What a profiler saw of a build under load.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    /// What it is.
    pub title: &'a str,
    /// What its threads did.
    pub stacks: &'a Stacks,
    /// The requests that it was sent meanwhile, not 0.
    pub requests: u64,
}

impl Build<'_> {
    /// So many samples as picoseconds of each request: counts are whole numbers to the library, and a sample is
    /// few nanoseconds of each of many requests.
    fn request_ps(&self, samples: u64) -> u64 {
        let sample_ps = 1_000_000_000_000 / u128::from(SAMPLES_PER_SECOND);
        let ps = u128::from(samples) * sample_ps / u128::from(self.requests.max(1));
        u64::try_from(ps).unwrap_or(u64::MAX)
    }

    /// Processor time of all threads for each request.
    #[must_use]
    pub fn request_ns(&self) -> u64 {
        self.request_ps(self.stacks.samples()) / 1000
    }

    fn caption(&self) -> String {
        format!(
            "{}: {} samples, {} requests, {} ns of processor time for each",
            self.title,
            self.stacks.samples(),
            self.requests,
            self.request_ns()
        )
    }
}

/// The flame graphs of the difference, the candidate and the frozen build, one below the other.
///
/// # Errors
/// A build without a sample, or a picture of the library that is none.
pub fn render(frozen: &Build<'_>, candidate: &Build<'_>) -> io::Result<String> {
    let compared = candidate.stacks.iter().map(|(frames, count)| {
        let now = candidate.request_ps(count);
        let then = match frozen.stacks.count(frames) {
            before if is_noise((before, frozen), (count, candidate)) => now,
            before => frozen.request_ps(before),
        };
        folded(frames, &[then, now])
    });
    let alone = |build: &Build<'_>| -> Vec<String> {
        let stacks = build.stacks.iter();
        stacks.map(|(frames, count)| folded(frames, &[build.request_ps(count)])).collect()
    };
    let difference = format!(
        "{} against {}: red is more own time for each request, blue is less, white is within the noise",
        candidate.title, frozen.title
    );
    let graphs = [
        (difference, graph(compared.collect(), None)?),
        (candidate.caption(), graph(alone(candidate), Some(palette(candidate.stacks)))?),
        (frozen.caption(), graph(alone(frozen), Some(palette(frozen.stacks)))?),
    ];
    Ok(page(graphs))
}

/// Whether counts of the same stack differ by no more than such counts do by chance, as Poisson's do.
fn is_noise(before: (u64, &Build<'_>), now: (u64, &Build<'_>)) -> bool {
    // Per request, with its variance.
    let rate = |(count, build): (u64, &Build<'_>)| {
        let requests = build.requests.max(1) as f64;
        (count as f64 / requests, count as f64 / requests / requests)
    };
    let ((before, before_variance), (now, now_variance)) = (rate(before), rate(now));
    (now - before).abs() <= DEVIATIONS * (before_variance + now_variance).sqrt()
}

/// A line as the library takes it.
fn folded(frames: &[Frame], counts: &[u64]) -> String {
    let names: Vec<_> = frames.iter().map(|frame| frame.name.as_str()).collect();
    let counts: Vec<_> = counts.iter().map(u64::to_string).collect();
    format!("{} {}", names.join(";"), counts.join(" "))
}

/// A graph as it stands in the picture.
struct Graph {
    height: usize,
    frames: String,
}

fn graph(lines: Vec<String>, palette: Option<PaletteMap>) -> io::Result<Graph> {
    let mut palette = palette;
    let mut options = Options::default();
    options.image_width = Some(WIDTH);
    options.min_width = SHARE_MIN_PCT;
    options.count_name = "ns for 1,000 requests".to_owned();
    options.font_width = FONT_WIDTH;
    options.palette_map = palette.as_mut();
    // Lines are sorted by frames here; sorted as text, a function would stand twice around another whose
    // name begins like its own. Of a chart the library takes the order as it is, from the last to the first.
    options.flame_chart = true;
    let mut svg = Vec::new();
    flamegraph::from_lines(&mut options, lines.iter().rev().map(String::as_str), &mut svg)?;
    cut(&String::from_utf8_lossy(&svg)).ok_or_else(|| io::Error::other("its frames are missing"))
}

/// The frames out of a picture, without the script that would search them and the document around them.
fn cut(svg: &str) -> Option<Graph> {
    let (_, after) = svg.split_once(" height=\"")?;
    let height = after.split_once('"')?.0.parse().ok()?;
    let (_, after) = svg.split_once(FRAMES)?;
    let (attributes, frames) = after.split_once('>')?;
    let frames = frames.trim_end().strip_suffix("</svg></svg>")?;
    let attribute = |name: &str| {
        let value = attributes.split_once(name)?.1.strip_prefix("=\"")?.split_once('"')?.0;
        value.parse::<usize>().ok()
    };
    let (x, width) = (attribute(" x")?, attribute(" width")?);
    Some(Graph { height, frames: format!("<svg x=\"{x}\" width=\"{width}\">{frames}</svg>") })
}

/// A color of each frame by what it is.
fn palette(stacks: &Stacks) -> PaletteMap {
    let all: BTreeSet<&Frame> = stacks.iter().flat_map(|(frames, _)| frames).collect();
    let mut palette = PaletteMap::default();
    palette.insert("", NATIVE); // all threads
    for frame in all {
        palette.insert(&frame.name, color(frame));
    }
    palette
}

fn color(Frame { name, kind }: &Frame) -> Color {
    match kind {
        Kind::Erlang => {
            let sum: usize = name.bytes().map(usize::from).sum();
            ERLANG.get(sum % ERLANG.len()).copied().unwrap_or(NATIVE)
        }
        Kind::Native => NATIVE,
        Kind::Kernel => KERNEL,
        Kind::Bench => BENCH,
    }
}

fn page(graphs: [(String, Graph); 3]) -> String {
    let height = LEGEND_HEIGHT + graphs.iter().map(|(_, graph)| graph.height).sum::<usize>();
    let css = |Color { r, g, b }: Color| format!("rgb({r},{g},{b})");
    let [first, ..] = ERLANG;
    let legend = [
        (first, "functions of Erlang"),
        (NATIVE, "native code of the emulator and of libraries"),
        (KERNEL, "the kernel"),
        (BENCH, "the bench, which is no part of the router"),
    ];
    let mut y = LEGEND_HEIGHT;
    let drawn = graphs.map(|(caption, graph)| {
        let top = y;
        y += graph.height;
        html! {
            svg x="0" y=(top) width=(WIDTH) height=(graph.height) {
                text class="caption" x="10" y="22" { (caption) }
                (PreEscaped(graph.frames))
            }
        }
    });
    let picture = html! {
        svg xmlns="http://www.w3.org/2000/svg" xmlns:fg="urn:inferno" version="1.1" width=(WIDTH)
            height=(height) viewBox=(format!("0 0 {WIDTH} {height}")) {
            title { "Flame graphs of two builds and of their difference" }
            style {
                "text { font-family: monospace; font-size: 12px; fill: #000; pointer-events: none }\n"
                ".caption { font-size: 14px; font-weight: bold }\n"
                "g:hover > rect { stroke: #000 }\n"
            }
            rect width="100%" height="100%" fill="#e4e4e4" {}
            @for (index, (color, meaning)) in legend.iter().enumerate() {
                rect x=(10 + index * 390) y="8" width="14" height="14" fill=(css(*color)) {}
                text x=(30 + index * 390) y="20" { (meaning) }
            }
            @for graph in &drawn { (graph) }
        }
    };
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n", picture.into_string())
}
