//! What charts are made of: scales, axes, lines. Every SVG element has a closing tag, as HTML wants of
//! foreign elements.

use std::fmt::Write as _;

use maud::{Markup, html};

/// The largest figure that is drawn: beyond it the arithmetic of an axis has no meaning.
const LARGEST: f64 = 1e30;

/// Steps between two marks of an axis, times a power of ten.
const STEPS: [f64; 4] = [1.0, 2.0, 5.0, 10.0];

/// The edges of what is drawn in, in the units of its chart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// A chart of which three stand beside each other on a wide screen, and one on a narrow one.
    pub(super) const SMALL: Self =
        Self { width: 360.0, height: 170.0, left: 48.0, right: 350.0, top: 16.0, bottom: 146.0 };
    /// A chart of which two stand beside each other.
    pub(super) const LARGE: Self =
        Self { width: 540.0, height: 320.0, left: 66.0, right: 526.0, top: 26.0, bottom: 280.0 };

    /// A scale from left to right.
    pub(super) fn across(&self, values: (f64, f64)) -> Scale {
        Scale { values, places: (self.left, self.right), is_log: false, is_whole: false }
    }

    /// A scale from bottom to top.
    pub(super) fn upwards(&self, values: (f64, f64)) -> Scale {
        Scale { values, places: (self.bottom, self.top), is_log: false, is_whole: false }
    }

    /// The same by powers of ten; both values are above 0.
    pub(super) fn upwards_by_powers(&self, values: (f64, f64)) -> Scale {
        Scale { is_log: true, ..self.upwards(values) }
    }
}

/// Where a value is drawn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scale {
    values: (f64, f64),
    places: (f64, f64),
    is_log: bool,
    /// Whether there is nothing between whole numbers.
    is_whole: bool,
}

impl Scale {
    /// The place of a value; one beyond an end is drawn there.
    pub(super) fn at(&self, value: f64) -> f64 {
        let turned =
            |value: f64| if self.is_log { value.max(f64::MIN_POSITIVE).ln() } else { value };
        let (from, to) = (turned(self.values.0), turned(self.values.1));
        let share = (turned(value) - from) / (to - from);
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        self.places.0 + share * (self.places.1 - self.places.0)
    }

    /// Whether a value lies between the ends.
    pub(super) fn holds(&self, value: f64) -> bool {
        (self.values.0..=self.values.1).contains(&value)
    }

    /// The same of whole numbers.
    pub(super) fn whole(self, is_whole: bool) -> Self {
        Self { is_whole, ..self }
    }

    /// Round values with their labels, not many.
    pub(super) fn ticks(&self) -> Vec<(f64, String)> {
        let (from, to) = self.values;
        let room = (self.places.1 - self.places.0).abs();
        let raw = (to - from) / (room / 28.0).clamp(2.0, 8.0);
        let raw = if self.is_whole { raw.max(1.0) } else { raw };
        let magnitude = 10_f64.powf(raw.log10().floor());
        let steps = STEPS.into_iter().map(|step| step * magnitude);
        let step = steps.clone().find(|step| *step >= raw).unwrap_or(10.0 * magnitude);
        let (first, last) = ((from / step).ceil() as i64, (to / step).floor() as i64);
        let ticks = (first..=last).take(20).map(|index| index as f64 * step);
        ticks.map(|value| (value, label(value, step, from.abs().max(to.abs())))).collect()
    }

    /// Powers of ten, and between few of them their two- and fivefold.
    pub(super) fn powers(&self) -> Vec<f64> {
        let (from, to) = (self.values.0.log10(), self.values.1.log10());
        let factors: &[f64] = if to - from > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
        let exponents = (from.floor() as i32)..=(to.ceil() as i32);
        let all = exponents
            .flat_map(|exponent| factors.iter().map(move |factor| factor * 10_f64.powi(exponent)));
        all.filter(|value| self.holds(*value)).take(20).collect()
    }
}

/// A number of an axis with as many digits as its step has.
fn label(value: f64, step: f64, largest: f64) -> String {
    let (divisor, suffix) = match largest {
        1e9.. => (1e9, "G"),
        1e6.. => (1e6, "M"),
        1e4.. => (1e3, "k"),
        _ => (1.0, ""),
    };
    let places = (-(step / divisor).log10().floor()).clamp(0.0, 9.0) as usize;
    // No minus before a zero.
    let value = if value == 0.0 { 0.0 } else { value / divisor };
    format!("{value:.places$}{suffix}")
}

/// The ends of an axis that shows these values, with some room; `None` of none.
pub(super) fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let ends = values.filter(|value| value.abs() < LARGEST).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((least, greatest)) => Some((value.min(least), value.max(greatest))),
    });
    let (least, greatest) = ends?;
    let room = match greatest - least {
        0.0 if least == 0.0 => 1.0,
        0.0 => least.abs() * 0.05,
        extent => extent * 0.12,
    };
    // What cannot be below 0 has no axis below it.
    let from = if least >= 0.0 { (least - room).max(0.0) } else { least - room };
    Some((from, greatest + room))
}

/// A place in a chart, to a tenth.
pub(super) fn place(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// A line through these places.
pub(super) fn path(places: impl IntoIterator<Item = (f64, f64)>) -> String {
    let mut path = String::new();
    for (index, (x, y)) in places.into_iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(path, "{}{} {}", if index == 0 { 'M' } else { 'L' }, place(x), place(y));
    }
    path
}

/// An SVG that says what it shows to those who do not see it.
pub(super) fn svg(frame: &Frame, id: &str, title: &str, says: &str, drawn: &Markup) -> Markup {
    let class = if frame.width > Frame::SMALL.width { "large" } else { "small" };
    html! {
        svg id=(id) class=(class) viewBox={ "0 0 " (place(frame.width)) " " (place(frame.height)) } role="img"
            aria-labelledby={ (id) "-title " (id) "-says" } {
            title id={ (id) "-title" } { (title) }
            desc id={ (id) "-says" } { (says) }
            (drawn)
        }
    }
}

/// The marks of the upright axis, with lines through the chart.
pub(super) fn upright_axis(frame: &Frame, scale: &Scale, ticks: &[(f64, String)]) -> Markup {
    html! {
        @for (value, label) in ticks {
            @let y = place(scale.at(*value));
            line.grid x1=(place(frame.left)) x2=(place(frame.right)) y1=(y) y2=(y) {}
            text.tick x=(place(frame.left - 6.0)) y=(y) dy="0.35em" text-anchor="end" { (label) }
        }
    }
}

/// One mark of the axis below.
pub(super) fn mark_below(frame: &Frame, x: f64, label: &str) -> Markup {
    html! {
        text.tick x=(place(x)) y=(place(frame.bottom + 15.0)) text-anchor="middle" { (label) }
    }
}

/// A chart with its heading, and its numbers for who wants them or cannot see it.
pub(super) fn figure(heading: &str, unit: &str, drawn: &Markup, data: Option<&Markup>) -> Markup {
    html! {
        figure {
            figcaption { (heading) @if !unit.is_empty() { " " span.unit { (unit) } } }
            (drawn)
            @if let Some(data) = data {
                details { summary { "Numbers of " (heading) } (data) }
            }
        }
    }
}

/// A time as people read it.
pub(super) fn time(ns: f64) -> String {
    let (divisor, unit) = match ns.abs() {
        1e9.. => (1e9, "s"),
        1e6.. => (1e6, "ms"),
        1e3.. => (1e3, "µs"),
        _ => (1.0, "ns"),
    };
    format!("{} {unit}", digits(ns / divisor))
}

/// A number with three digits that count, or all whole ones.
pub(super) fn digits(number: f64) -> String {
    let places = match number.abs() {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{number:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_an_axis_are_round_few_and_told_apart() {
        for (from, to) in [(0.0, 1.0), (-3.0, 40.0), (19.9, 20.1), (0.0, 3e9), (1e15, 1e15 + 1.0)] {
            let ticks = Frame::SMALL.upwards((from, to)).ticks();
            assert!((1..=20).contains(&ticks.len()), "{from} to {to}: {ticks:?}");
            assert!(ticks.iter().all(|(value, _)| (from..=to).contains(value)), "{ticks:?}");
        }
        let labels = |from, to| -> Vec<String> {
            Frame::SMALL.upwards((from, to)).ticks().into_iter().map(|(_, label)| label).collect()
        };
        assert_eq!(labels(0.0, 10.0), ["0", "5", "10"]);
        let whole = Frame::SMALL.upwards((0.0, 1.0)).whole(true).ticks();
        assert_eq!(whole, [(0.0, "0".to_owned()), (1.0, "1".to_owned())]);
        assert_eq!(labels(150_000.0, 190_000.0), ["150k", "160k", "170k", "180k", "190k"]);
        assert_eq!(labels(-0.1, 0.1), ["-0.10", "-0.05", "0.00", "0.05", "0.10"]);
    }

    #[test]
    fn every_value_has_a_finite_place_within_its_chart() {
        let frame = Frame::SMALL;
        for scale in [
            frame.upwards((0.0, 1.0)),
            frame.upwards_by_powers((1.0, 1e6)),
            frame.upwards((3.0, 3.0)),
        ] {
            for value in [f64::NAN, f64::INFINITY, -1e300, 0.0, 0.5, 1e300] {
                let at = scale.at(value);
                assert!((frame.top..=frame.bottom).contains(&at), "{value}: {at}");
            }
        }
    }

    #[test]
    fn an_axis_has_room_and_none_below_zero() {
        assert_eq!(span([].into_iter()), None);
        assert_eq!(span([0.0].into_iter()), Some((0.0, 1.0)));
        assert_eq!(span([20.0].into_iter()), Some((19.0, 21.0)));
        assert_eq!(span([f64::NAN, 1e300, 0.0, 100.0].into_iter()), Some((0.0, 112.0)));
        assert_eq!(span([-100.0, 0.0].into_iter()), Some((-112.0, 12.0)));
    }

    #[test]
    fn times_and_numbers_are_short() {
        assert_eq!(time(15_615.0), "15.6 µs");
        assert_eq!(time(2_119_679.0), "2.12 ms");
        assert_eq!(time(999.0), "999 ns");
        assert_eq!(digits(0.0), "0");
        assert_eq!(digits(100.0), "100");
        assert_eq!(digits(181.0), "181");
        assert_eq!(digits(-0.25), "-0.25");
    }
}
