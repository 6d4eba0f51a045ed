//! What was sampled inside the VM and seen of the machine, on one time axis: the measured time of each
//! block, its slices laid end to end, and block after block.

use std::collections::BTreeMap;

use cp1_format::{Block, Series};
use maud::{Markup, html};

use super::chart::{
    Frame, Scale, digits, figure, mark_below, path, place, span, svg, upright_axis,
};
use super::sides::{BLOCKS_MAX, Side, Sides, legend};
use super::table::{ABSENT, table, text};

/// Most names of series that are drawn; the bench has 22.
const NAMES_MAX: usize = 40;

/// Bytes of a megabyte, as everywhere in the files.
const MB: f64 = 1_048_576.0;

/// What a series' values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Each is what was there then.
    Level,
    /// Each is what had happened until then: drawn is how much of it a second.
    Counter,
}

/// How a series of the bench is shown.
struct Known {
    name: &'static str,
    title: &'static str,
    kind: Kind,
}

const fn level(name: &'static str, title: &'static str) -> Known {
    Known { name, title, kind: Kind::Level }
}

const fn counter(name: &'static str, title: &'static str) -> Known {
    Known { name, title, kind: Kind::Counter }
}

/// In the order in which they are shown; what is not here follows under its own name.
const KNOWN: [Known; 22] = [
    level("memory_total", "Memory, total"),
    level("memory_processes_used", "Memory of processes"),
    level("memory_binary", "Memory of binaries"),
    level("memory_ets", "Memory of ETS"),
    level("memory_code", "Memory of code"),
    level("memory_system", "Memory of the system"),
    level("memory_atom_used", "Memory of atoms"),
    level("rss", "Resident memory"),
    level("run_queue", "Run queue"),
    level("scheduler_utilization_normal", "Schedulers busy, normal"),
    level("scheduler_utilization_dirty", "Schedulers busy, dirty"),
    counter("garbage_collections", "Garbage collections"),
    counter("garbage_collected", "Memory collected"),
    counter("reductions", "Reductions"),
    level("longest_mailbox", "Longest mailbox"),
    level("process_count", "Processes"),
    level("port_count", "Ports"),
    level("ets_count", "ETS tables"),
    level("atom_count", "Atoms"),
    counter("errors_total", "Errors of the router"),
    counter("backpressure_active_total", "Activations of backpressure"),
    level("backpressure_active", "Backpressure active"),
];

/// A figure of a whole block.
struct OfBlock {
    title: &'static str,
    unit: &'static str,
    figure: fn(&Block) -> Option<f64>,
}

const OF_BLOCKS: [OfBlock; 9] = [
    OfBlock {
        title: "Hiccups of a thread, p99.9",
        unit: "ms",
        figure: |block| ms(block.evidence.as_ref()?.hiccups.as_ref()?.native.p999_ns),
    },
    OfBlock {
        title: "Hiccups of a BEAM process, p99.9",
        unit: "ms",
        figure: |block| ms(block.evidence.as_ref()?.hiccups.as_ref()?.beam.p999_ns),
    },
    OfBlock {
        title: "Steal time",
        unit: "% of the machine",
        figure: |block| {
            Some(block.evidence.as_ref()?.machine.as_ref()?.steal_pct.as_ref()?.approximate())
        },
    },
    OfBlock {
        title: "Other processes",
        unit: "% of the machine",
        figure: |block| {
            Some(block.evidence.as_ref()?.machine.as_ref()?.other_cpu_pct.as_ref()?.approximate())
        },
    },
    OfBlock {
        title: "Throttled",
        unit: "ms",
        figure: |block| Some(block.evidence.as_ref()?.machine.as_ref()?.throttled_us? as f64 / 1e3),
    },
    OfBlock {
        title: "Tasks waiting for a processor",
        unit: "ms",
        figure: |block| {
            Some(block.evidence.as_ref()?.machine.as_ref()?.cpu_pressure_some_us? as f64 / 1e3)
        },
    },
    OfBlock {
        title: "Taken off the processor",
        unit: "times",
        figure: |block| {
            Some(block.evidence.as_ref()?.machine.as_ref()?.involuntary_context_switches? as f64)
        },
    },
    OfBlock {
        title: "Long garbage collections",
        unit: "of 20 ms or more",
        figure: |block| Some(block.vm.as_ref()?.long_gc? as f64),
    },
    OfBlock {
        title: "Dispatch lag, p99",
        unit: "ms",
        figure: |block| ms(block.latency.dispatch_lag.p99_ns),
    },
];

fn ms(ns: Option<u64>) -> Option<f64> {
    ns.map(|ns| ns as f64 / 1e6)
}

/// Where each block begins on the common axis, and the end of all.
struct Axis {
    /// By number: begin and end in milliseconds.
    blocks: BTreeMap<u32, (f64, f64)>,
    end: f64,
    disturbed: Vec<u32>,
}

/// Milliseconds on the common axis, and the value.
type Points = Vec<(f64, f64)>;

/// What is drawn in one chart.
struct Lines {
    title: String,
    unit: String,
    is_whole: bool,
    /// Of each side, block, and router where there are several.
    of: BTreeMap<(usize, u32, Option<u32>), Points>,
}

/// Everything that was sampled.
pub(super) fn section(sides: &Sides<'_>) -> Markup {
    let axis = axis(sides);
    let sampled = sampled(sides, &axis);
    let of_blocks: Vec<Lines> =
        OF_BLOCKS.iter().filter_map(|one| of_blocks(sides, &axis, one)).collect();
    html! {
        section #series aria-labelledby="series-heading" {
            h2 #series-heading { "Over time" }
            @if sampled.is_empty() && of_blocks.is_empty() {
                p.empty { "Neither report has samples." }
            } @else {
                p.note {
                    "One time axis for all: the measured time of each block, block after block; the numbers below "
                    "are blocks."
                    @if !sides.is_paired { " Blocks of the same number were measured at different times." }
                }
                (legend(&html! {
                    li { svg viewBox="0 0 34 12" aria-hidden="true" {
                        rect.disturbed x="8" y="0" width="18" height="12" {} text.mark x="17" y="10" text-anchor="middle" { "!" }
                    } "disturbed block" }
                }))
                (charts("Inside the VM", "sampled", &axis, &sampled))
                (charts("The machine, block by block", "seen", &axis, &of_blocks))
            }
        }
    }
}

/// The charts under one heading. What was 0 all the time is said, and not drawn.
fn charts(heading: &str, id: &str, axis: &Axis, all: &[Lines]) -> Markup {
    let is_zero = |lines: &&Lines| lines.of.values().flatten().all(|(_, value)| *value == 0.0);
    let (zero, drawn): (Vec<&Lines>, Vec<&Lines>) = all.iter().partition(is_zero);
    html! {
        @if !all.is_empty() { h3 { (heading) } }
        div.charts {
            @for (index, lines) in drawn.iter().enumerate() { (chart(axis, lines, &format!("{id}-{index}"))) }
        }
        @if !zero.is_empty() {
            p.note {
                "0 throughout, wherever it was read: "
                @for (index, lines) in zero.iter().enumerate() { @if index > 0 { "; " } (lines.title) }
                "."
            }
        }
    }
}

fn all_series<'a>(sides: &Sides<'a>, side: Side) -> impl Iterator<Item = &'a Series> {
    let series = sides.report(side).and_then(|report| report.series.as_deref());
    series.unwrap_or_default().iter().filter(|one| (1..=BLOCKS_MAX as u32).contains(&one.block))
}

/// A block is as long as the longer of its sides.
fn axis(sides: &Sides<'_>) -> Axis {
    let mut lengths = BTreeMap::<u32, f64>::new();
    let mut disturbed = Vec::new();
    let mut lasts = |number: u32, ms: f64| {
        let length = lengths.entry(number).or_insert(1.0);
        *length = length.max(ms);
    };
    for side in Side::ALL {
        for series in all_series(sides, side) {
            lasts(series.block, series.time_ms.iter().copied().max().unwrap_or(0) as f64);
        }
        for block in sides.blocks(side) {
            let traffic_ns = block.traffic.as_ref().map_or(0, |traffic| traffic.duration_ns);
            let phases = [block.throughput.duration_ns, block.latency.duration_ns, traffic_ns];
            lasts(block.block, phases.map(|ns| ns as f64 / 1e6).iter().sum());
            if block.disturbed.as_ref().is_some_and(|reasons| !reasons.is_empty()) {
                disturbed.push(block.block);
            }
        }
    }
    let mut end = 0.0;
    let blocks = lengths
        .into_iter()
        .map(|(number, length)| {
            let begin = end;
            end += length;
            (number, (begin, end))
        })
        .collect();
    disturbed.sort_unstable();
    disturbed.dedup();
    Axis { blocks, end, disturbed }
}

fn sampled(sides: &Sides<'_>, axis: &Axis) -> Vec<Lines> {
    let mut by_name = BTreeMap::<(usize, &str), Lines>::new();
    for (of, side) in Side::ALL.into_iter().enumerate() {
        for series in all_series(sides, side) {
            let at = KNOWN.iter().position(|known| known.name == series.name);
            let known = at.and_then(|at| KNOWN.get(at));
            let kind = known.map_or(Kind::Level, |known| known.kind);
            let (divisor, unit) = unit(series, kind);
            let Some((begin, _)) = axis.blocks.get(&series.block) else { continue };
            let points =
                points(series, kind).into_iter().map(|(ms, value)| (begin + ms, value / divisor));
            let is_whole =
                kind == Kind::Level && matches!(series.unit.as_str(), "count" | "message" | "flag");
            let title = known.map_or_else(|| text(&series.name), |known| known.title.to_owned());
            by_name
                .entry((at.unwrap_or(KNOWN.len()), &series.name))
                .or_insert_with(|| Lines { title, unit, is_whole, of: BTreeMap::new() })
                .of
                .entry((of, series.block, series.router))
                .or_default()
                .extend(points);
        }
    }
    let has_points = |lines: &Lines| lines.of.values().any(|points| !points.is_empty());
    by_name.into_values().filter(has_points).take(NAMES_MAX).collect()
}

/// What a value is divided by to be read, and its unit.
fn unit(series: &Series, kind: Kind) -> (f64, String) {
    let (divisor, unit) = match series.unit.as_str() {
        "byte" => (MB, "MB".to_owned()),
        "word" => (1e6, "million words".to_owned()),
        "per_mille" => (10.0, "%".to_owned()),
        "count" => (1.0, String::new()),
        "message" => (1.0, "messages".to_owned()),
        "flag" => (1.0, "1 where it is".to_owned()),
        other => (1.0, text(other)),
    };
    match kind {
        Kind::Level => (divisor, unit),
        Kind::Counter => (divisor, format!("{unit} a second").trim_start().to_owned()),
    }
}

fn points(series: &Series, kind: Kind) -> Vec<(f64, f64)> {
    let read =
        series.time_ms.iter().zip(&series.values).map(|(ms, value)| (*ms as f64, *value as f64));
    match kind {
        Kind::Level => read.collect(),
        // A counter that fell was another one.
        Kind::Counter => read
            .clone()
            .zip(read.skip(1))
            .filter(|((earlier, before), (later, after))| later > earlier && after >= before)
            .map(|((earlier, before), (later, after))| {
                (later, (after - before) / (later - earlier) * 1e3)
            })
            .collect(),
    }
}

/// A figure of whole blocks as a line as long as the block.
fn of_blocks(sides: &Sides<'_>, axis: &Axis, one: &OfBlock) -> Option<Lines> {
    let mut of = BTreeMap::new();
    for (index, side) in Side::ALL.into_iter().enumerate() {
        for block in sides.blocks(side) {
            let figure = (one.figure)(block).filter(|figure| figure.is_finite());
            if let (Some(figure), Some((begin, end))) = (figure, axis.blocks.get(&block.block)) {
                of.insert((index, block.block, None), vec![(*begin, figure), (*end, figure)]);
            }
        }
    }
    (!of.is_empty()).then(|| Lines {
        title: one.title.to_owned(),
        unit: one.unit.to_owned(),
        is_whole: false,
        of,
    })
}

fn chart(axis: &Axis, lines: &Lines, id: &str) -> Markup {
    let values = lines.of.values().flatten().map(|(_, value)| *value);
    let Some(ends) = span(values) else { return html! {} };
    let frame = Frame::SMALL;
    let (scale, across) =
        (frame.upwards(ends).whole(lines.is_whole), frame.across((0.0, axis.end.max(1.0))));
    let every = axis.blocks.len().div_ceil(14).max(1) as u32;
    let drawn = html! {
        @for number in &axis.disturbed {
            @if let Some((begin, end)) = axis.blocks.get(number) {
                rect.disturbed x=(place(across.at(*begin))) y=(place(frame.top))
                    width=(place(across.at(*end) - across.at(*begin))) height=(place(frame.bottom - frame.top)) {}
                text.mark x=(place(across.at(f64::midpoint(*begin, *end)))) y=(place(frame.top + 10.0)) text-anchor="middle" { "!" }
            }
        }
        (upright_axis(&frame, &scale, &scale.ticks()))
        @for (number, (begin, end)) in &axis.blocks {
            line.border x1=(place(across.at(*begin))) x2=(place(across.at(*begin))) y1=(place(frame.bottom)) y2=(place(frame.bottom + 4.0)) {}
            @if number.is_multiple_of(every) { (mark_below(&frame, across.at(f64::midpoint(*begin, *end)), &number.to_string())) }
        }
        @for (index, side) in Side::ALL.into_iter().enumerate() {
            path.line.(side.name()) d=(path_of(lines, index, &across, &scale)) {}
        }
    };
    let says = Side::ALL
        .iter()
        .enumerate()
        .filter_map(|(index, side)| {
            let (least, greatest) = extremes(
                lines.of.iter().filter(|((of, ..), _)| *of == index).flat_map(|(_, points)| points),
            )?;
            Some(format!("{}: from {} to {}.", side.name(), digits(least), digits(greatest)))
        })
        .collect::<Vec<_>>()
        .join(" ");
    let title = format!("{} of both sides over time", lines.title);
    figure(
        &lines.title,
        &lines.unit,
        &svg(&frame, id, &title, &says, &drawn),
        Some(&numbers(lines)),
    )
}

/// Of each block and router a line of its own. Of points that share a place of the picture the extremes are drawn.
fn path_of(lines: &Lines, side: usize, across: &Scale, scale: &Scale) -> String {
    let of_side = lines.of.iter().filter(|((of, ..), _)| *of == side);
    let path_of_block = |(_, points): (_, &Vec<(f64, f64)>)| {
        let mut columns = BTreeMap::<i64, (f64, f64, f64)>::new();
        for (ms, value) in points {
            let (x, y) = (across.at(*ms), scale.at(*value));
            let column = columns.entry(x.round() as i64).or_insert((x, y, y));
            *column = (column.0, column.1.min(y), column.2.max(y));
        }
        let places = columns.into_values().flat_map(|(x, top, bottom)| {
            // One point where both are the same to a tenth.
            let both = [(x, top), (x, bottom)];
            both.into_iter().take(if bottom - top < 0.1 { 1 } else { 2 })
        });
        path(places)
    };
    of_side.map(path_of_block).collect()
}

fn extremes<'a>(points: impl Iterator<Item = &'a (f64, f64)>) -> Option<(f64, f64)> {
    points.map(|(_, value)| *value).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((least, greatest)) => Some((value.min(least), value.max(greatest))),
    })
}

/// Of each block the least and the greatest value of both sides.
fn numbers(lines: &Lines) -> Markup {
    let mut numbers: Vec<u32> = lines.of.keys().map(|(_, number, _)| *number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let row = |number: &u32| {
        let cells = (0..Side::ALL.len()).flat_map(|side| {
            let of_block = lines.of.range((side, *number, None)..=(side, *number, Some(u32::MAX)));
            let ends = extremes(of_block.flat_map(|(_, points)| points));
            let shown = |value: Option<f64>| value.map_or_else(|| ABSENT.to_owned(), digits);
            [shown(ends.map(|(least, _)| least)), shown(ends.map(|(_, greatest)| greatest))]
        });
        [html! { (number) }].into_iter().chain(cells.map(|cell| html! { (cell) })).collect()
    };
    let rows: Vec<Vec<Markup>> = numbers.iter().map(row).collect();
    let headings = [
        "block",
        "baseline, least",
        "baseline, greatest",
        "candidate, least",
        "candidate, greatest",
    ];
    table(&format!("{}, block by block", lines.title), &headings, &rows)
}
