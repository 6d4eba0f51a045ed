//! Figures of an explanation: bounded, finite, and as a reader takes them in.

use cp1_format::{Amount, Decimal};

use crate::render::figures::grouped;

/// Decimal places that are kept: a nanosecond of a microsecond.
const PLACES: i64 = 3;

/// Beyond this a figure is no measurement; the bench's counters end below.
const MOST: f64 = 1e15;

fn bounded(figure: f64) -> f64 {
    if figure.is_nan() { 0.0 } else { figure.clamp(-MOST, MOST) }
}

/// With its sign.
pub(super) fn signed(figure: f64) -> Decimal {
    Decimal::of_fraction(bounded(figure), PLACES).unwrap_or_else(|| Decimal::from(0))
}

/// What cannot be below 0.
pub(super) fn amount(figure: f64) -> Amount {
    Amount::new(signed(figure.max(0.0))).unwrap_or_else(|_| Amount::from(0))
}

/// A share in percent, to one place.
pub(super) fn percent(share: f64) -> Decimal {
    Decimal::of_fraction(bounded(share * 100.0), 1).unwrap_or_else(|| Decimal::from(0))
}

/// In a sentence, with three significant digits or all whole ones.
pub(crate) fn number(figure: f64) -> String {
    let figure = bounded(figure);
    let size = figure.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    // Rounded as it is shown, so that 9.996 is 10.0 and not 10.00.
    let places = (0..=PLACES.unsigned_abs() as usize)
        .find(|places| size.mul_add(10f64.powi(*places as i32), 0.5) >= 100.0)
        .unwrap_or(PLACES.unsigned_abs() as usize);
    grouped(&format!("{figure:.places$}"))
}

/// A size in memory.
pub(crate) fn size(bytes: f64) -> String {
    const KB: f64 = 1024.0;
    let bytes = bounded(bytes);
    match bytes.abs() {
        small if small < KB => format!("{} bytes", number(bytes.round())),
        middle if middle < KB * KB => format!("{} KB", number(bytes / KB)),
        _ => format!("{} MB", number(bytes / KB / KB)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_three_digits_and_no_figure_is_none() {
        let cases = [
            (0.0, "0"),
            (0.0123, "0.012"),
            (1.0, "1.00"),
            (9.996, "10.0"),
            (12.34, "12.3"),
            (123.4, "123"),
            (-1234.5, "-1,234"),
            (f64::NAN, "0"),
        ];
        for (figure, text) in cases {
            assert_eq!(number(figure), text);
        }
        assert_eq!(size(100.0), "100 bytes");
        assert_eq!(size(-3.0 * 1024.0 * 1024.0), "-3.00 MB");
        for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert!(signed(wrong).approximate().is_finite());
            assert!(amount(wrong).approximate() >= 0.0);
        }
    }
}
