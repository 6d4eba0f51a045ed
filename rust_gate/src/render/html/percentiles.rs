//! The distributions of both sides, on the tail axis of HdrHistogram: equal steps to the right are equal
//! factors of how rare a time is, 1/(1-p).

use std::collections::BTreeSet;

use cp1_format::{EncodedHistogram, Phase, Quantity};
use hdrhistogram::Histogram;
use maud::{Markup, html};

use super::chart::{
    Frame, Scale, digits, figure, mark_below, path, place, span, svg, time, upright_axis,
};
use super::sides::{Side, Sides, legend};
use super::table::{ABSENT, sentence, table};
use crate::judge::histograms::Decoder;
use crate::render::figures::grouped;

/// Points of a curve between a percentile and that of ten times as rare a time.
const POINTS_A_DECADE: f64 = 16.0;

/// The percentiles of the table, and of the marks below: the part of a hundred, and what is above it.
const NAMED: [(&str, f64); 7] = [
    ("p50", 0.5),
    ("p90", 0.1),
    ("p95", 0.05),
    ("p99", 0.01),
    ("p99.9", 0.001),
    ("p99.99", 0.000_1),
    ("p99.999", 0.000_01),
];

/// What the rules judge, marked in the chart.
const JUDGED: [(&str, f64); 2] = [("p95", 0.05), ("p99", 0.01)];

/// One side's times, all blocks together.
struct Curve {
    all: Histogram<u64>,
    /// Place on the tail axis, and the time in nanoseconds.
    points: Vec<(f64, f64)>,
}

/// The curves of every distribution that a report has.
pub(super) fn section(sides: &Sides<'_>) -> Markup {
    let mut kinds = BTreeSet::new();
    for side in Side::ALL {
        kinds.extend(histograms(sides, side).iter().map(|one| (one.quantity, one.phase)));
    }
    html! {
        section #percentiles aria-labelledby="percentiles-heading" {
            h2 #percentiles-heading { "Percentiles" }
            @if kinds.is_empty() {
                p.empty { "Neither report has distributions." }
            } @else {
                p.note {
                    "All blocks of a side together, so the p95 and p99 here are not the judged ones, which are "
                    "medians over slices. Equal steps to the right are equal factors of how rare a time is."
                }
                @for (quantity, phase) in kinds { (distribution(sides, quantity, phase)) }
            }
        }
    }
}

fn histograms<'a>(sides: &Sides<'a>, side: Side) -> &'a [EncodedHistogram] {
    sides.report(side).and_then(|report| report.histograms.as_deref()).unwrap_or_default()
}

fn distribution(sides: &Sides<'_>, quantity: Quantity, phase: Phase) -> Markup {
    let name = match quantity {
        Quantity::ResponseTime => "Response time",
        Quantity::ServiceTime => "Service time",
        Quantity::DispatchLag => "Dispatch lag",
    };
    let curves = Side::ALL.map(|side| (side, curve(histograms(sides, side), quantity, phase)));
    let found: Vec<(Side, &Curve)> = curves
        .iter()
        .filter_map(|(side, curve)| Some((*side, curve.as_ref().ok()?.as_ref()?)))
        .collect();
    let id =
        format!("{}-{}", name.to_lowercase().replace(' ', "-"), phase.name().replace(' ', "-"));
    html! {
        h3 { (name) ", " (phase.name()) }
        @for (side, curve) in &curves {
            @match curve {
                Err(problem) => p.empty { "The " (side.name()) "'s cannot be shown: " (sentence(problem)) "." },
                Ok(None) => p.empty { "The " (side.name()) " has none." },
                Ok(Some(_)) => {},
            }
        }
        @if !found.is_empty() {
            (legend(&html! {}))
            div.charts.two { (times(&id, name, &found)) (difference(&id, name, &found)) }
            (percentiles(name, &found))
        }
    }
}

/// The histograms of one kind together; `None` where there is none with a sample.
fn curve(
    encoded: &[EncodedHistogram],
    quantity: Quantity,
    phase: Phase,
) -> Result<Option<Curve>, String> {
    let mut all = Histogram::<u64>::new(3).map_err(|error| error.to_string())?;
    let mut decoder = Decoder::new();
    for one in encoded.iter().filter(|one| one.quantity == quantity && one.phase == phase) {
        let decoded = decoder
            .decode(one)
            .and_then(|times| times.histogram())
            .map_err(|problem| format!("block {}: {problem}", one.block))?;
        all.add(&decoded).map_err(|error| error.to_string())?;
    }
    let points = points(&all);
    Ok((!all.is_empty()).then_some(Curve { all, points }))
}

/// One pass over what was recorded: the value at each rank that is wanted.
fn points(all: &Histogram<u64>) -> Vec<(f64, f64)> {
    let count = all.len() as f64;
    let steps = (count.max(1.0).log10() * POINTS_A_DECADE).floor() as u32;
    let mut wanted = (0..=steps).map(|step| f64::from(step) / POINTS_A_DECADE).peekable();
    let (mut points, mut seen) = (Vec::new(), 0_u64);
    for recorded in all.iter_recorded() {
        seen = seen.saturating_add(recorded.count_since_last_iteration());
        let is_seen = |tail: &f64| (1.0 - 10_f64.powf(-tail)) * count <= seen as f64;
        while let Some(tail) = wanted.next_if(is_seen) {
            points.push((tail, recorded.value_iterated_to() as f64));
        }
    }
    points
}

fn tail(above: f64) -> f64 {
    -above.log10()
}

/// The tail axis, as far as the longer of the curves goes.
fn axis(frame: &Frame, curves: &[(Side, &Curve)]) -> Scale {
    let ends = curves.iter().filter_map(|(_, curve)| curve.points.last()).map(|(tail, _)| *tail);
    frame.across((0.0, ends.fold(1.0, f64::max)))
}

fn frame_of(frame: &Frame, axis: &Scale) -> Markup {
    html! {
        @for (name, above) in NAMED {
            @let x = axis.at(tail(above));
            @if axis.holds(tail(above)) && name != "p95" {
                line.grid x1=(place(x)) x2=(place(x)) y1=(place(frame.top)) y2=(place(frame.bottom)) {}
                (mark_below(frame, x, name))
            }
        }
        @for (name, above) in JUDGED {
            @let x = axis.at(tail(above));
            line.judged x1=(place(x)) x2=(place(x)) y1=(place(frame.top)) y2=(place(frame.bottom)) {}
            text.tick x=(place(x)) y=(place(frame.top - 8.0)) text-anchor="middle" { (name) }
        }
        text.tick x=(place(frame.right)) y=(place(frame.bottom + 33.0)) text-anchor="end" {
            "percentile, by 1/(1-p)"
        }
    }
}

fn times(id: &str, name: &str, curves: &[(Side, &Curve)]) -> Markup {
    let frame = Frame::LARGE;
    let axis = axis(&frame, curves);
    let values =
        curves.iter().flat_map(|(_, curve)| curve.points.iter().map(|(_, ns)| ns.max(1.0)));
    let Some((least, greatest)) = span(values.clone()).map(|_| {
        values.fold((f64::INFINITY, 1.0_f64), |(low, high), ns| (low.min(ns), high.max(ns)))
    }) else {
        return html! {};
    };
    let scale = frame.upwards_by_powers((least / 1.15, greatest * 1.15));
    let ticks: Vec<_> = scale.powers().into_iter().map(|ns| (ns, time(ns))).collect();
    let drawn = html! {
        (upright_axis(&frame, &scale, &ticks))
        (frame_of(&frame, &axis))
        @for (side, curve) in curves {
            path.line.(side.name()) d=(path(curve.points.iter().map(|(tail, ns)| (axis.at(*tail), scale.at(*ns))))) {}
        }
    };
    let says = curves
        .iter()
        .map(|(side, curve)| {
            let at = |quantile| time(curve.all.value_at_quantile(quantile) as f64);
            format!(
                "{}: p50 {}, p95 {}, p99 {}, largest {}.",
                side.name(),
                at(0.5),
                at(0.95),
                at(0.99),
                time(curve.all.max() as f64)
            )
        })
        .collect::<Vec<_>>()
        .join(" ");
    figure(
        &format!("{name} by percentile"),
        "logarithmic",
        &svg(
            &frame,
            &format!("{id}-curves"),
            &format!("{name} of both sides by percentile"),
            &says,
            &drawn,
        ),
        None,
    )
}

fn difference(id: &str, name: &str, curves: &[(Side, &Curve)]) -> Markup {
    let [(_, baseline), (_, candidate)] = curves else {
        return html! { p.empty { "One side alone has no difference." } };
    };
    let frame = Frame::LARGE;
    let axis = axis(&frame, curves);
    let ratios: Vec<(f64, f64)> = baseline
        .points
        .iter()
        .zip(&candidate.points)
        .map(|((tail, from), (_, to))| (*tail, to.max(1.0) / from.max(1.0)))
        .collect();
    let farthest = ratios.iter().map(|(_, ratio)| ratio.ln().abs()).fold(0.0, f64::max);
    // By percent where sides are close, by factors where they are not.
    let (scale, ticks): (Scale, Vec<(f64, String)>) = if farthest < std::f64::consts::LN_2 {
        let percents = ratios.iter().map(|(_, ratio)| (ratio - 1.0) * 100.0).chain([-1.0, 1.0]);
        let (least, greatest) = span(percents).unwrap_or((-1.0, 1.0));
        let labels = frame.upwards((least, greatest)).ticks();
        let scale = frame.upwards((1.0 + least / 100.0, 1.0 + greatest / 100.0));
        let sign = |percent: f64| if percent > 0.0 { "+" } else { "" };
        let at = |(percent, label): (f64, String)| {
            (1.0 + percent / 100.0, format!("{}{label} %", sign(percent)))
        };
        (scale, labels.into_iter().map(at).collect())
    } else {
        let reach = (farthest * 1.1).exp().min(1e12);
        let scale = frame.upwards_by_powers((1.0 / reach, reach));
        let step = (reach.log2() / 4.0).ceil().max(1.0) as i32;
        let exponents = (-4..=4).map(|index| index * step);
        let label = |exponent: i32| match exponent {
            0 => "same".to_owned(),
            1.. => format!("× {}", digits(2_f64.powi(exponent))),
            _ => format!("÷ {}", digits(2_f64.powi(-exponent))),
        };
        let ticks = exponents.map(|exponent| (2_f64.powi(exponent), label(exponent)));
        (scale, ticks.filter(|(ratio, _)| scale.holds(*ratio)).collect())
    };
    let drawn = html! {
        (upright_axis(&frame, &scale, &ticks))
        (frame_of(&frame, &axis))
        line.zero x1=(place(frame.left)) x2=(place(frame.right)) y1=(place(scale.at(1.0))) y2=(place(scale.at(1.0))) {}
        path.line.candidate d=(path(ratios.iter().map(|(tail, ratio)| (axis.at(*tail), scale.at(*ratio))))) {}
    };
    let says = NAMED
        .iter()
        .filter_map(|(label, above)| {
            let (from, to) = (at(baseline, *above)?, at(candidate, *above)?);
            Some(format!("{label} {}", change(from, to)))
        })
        .collect::<Vec<_>>()
        .join(", ");
    figure(
        "Candidate against baseline",
        "above the line is slower",
        &svg(
            &frame,
            &format!("{id}-difference"),
            &format!("Change of the {} from baseline to candidate", name.to_lowercase()),
            &says,
            &drawn,
        ),
        None,
    )
}

/// A percentile, where at least one sample lies above it.
fn at(curve: &Curve, above: f64) -> Option<u64> {
    (curve.all.len() as f64 * above >= 1.0).then(|| curve.all.value_at_quantile(1.0 - above))
}

fn change(from: u64, to: u64) -> String {
    let percent = (to.max(1) as f64 / from.max(1) as f64 - 1.0) * 100.0;
    format!("{percent:+.1} %")
}

fn percentiles(name: &str, curves: &[(Side, &Curve)]) -> Markup {
    let of = |side: Side| curves.iter().find(|(of, _)| *of == side).map(|(_, curve)| *curve);
    let sides = Side::ALL.map(of);
    let row = |label: &str, value: &dyn Fn(&Curve) -> Option<u64>| {
        let [from, to] = sides.map(|curve| curve.and_then(value));
        let cell = |ns: Option<u64>| match ns {
            Some(ns) => super::table::figure(&ns, &time(ns as f64)),
            None => html! { (ABSENT) },
        };
        let difference =
            from.zip(to).map_or_else(|| ABSENT.to_owned(), |(from, to)| change(from, to));
        vec![html! { (label) }, cell(from), cell(to), html! { (difference) }]
    };
    let mut rows: Vec<_> =
        NAMED.iter().map(|(label, above)| row(label, &|curve| at(curve, *above))).collect();
    rows.push(row("largest", &|curve| Some(curve.all.max())));
    let requests = |curve: Option<&Curve>| match curve {
        Some(curve) => {
            super::table::figure(&curve.all.len(), &grouped(&curve.all.len().to_string()))
        }
        None => html! { (ABSENT) },
    };
    let [from, to] = sides;
    rows.push(vec![html! { "requests" }, requests(from), requests(to), html! {}]);
    table(
        &format!("{name} at percentiles"),
        &["percentile", "baseline", "candidate", "change"],
        &rows,
    )
}
