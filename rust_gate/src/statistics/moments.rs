//! The middle of figures, and how far they spread.

/// The middle of the figures, or the mean of the two in the middle; `None` of none.
#[must_use]
pub fn median(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let lower = figures.get(figures.len().checked_sub(1)? / 2)?;
    Some(f64::midpoint(*lower, *figures.get(figures.len() / 2)?))
}

/// The arithmetic mean; not a number of none.
#[must_use]
pub fn mean(figures: &[f64]) -> f64 {
    figures.iter().sum::<f64>() / figures.len() as f64
}

/// With n - 1; `None` of fewer than two figures.
#[must_use]
pub fn standard_deviation(figures: &[f64]) -> Option<f64> {
    let count = figures.len() as f64;
    let mean = mean(figures);
    let squares: f64 = figures.iter().map(|figure| (figure - mean).powi(2)).sum();
    (figures.len() >= 2).then(|| (squares / (count - 1.0)).sqrt())
}
