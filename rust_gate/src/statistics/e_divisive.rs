//! Where a series of figures changes, without a word on how they are distributed.
//!
//! E-divisive (D. S. Matteson and N. A. James, "A nonparametric approach for multiple change point analysis
//! of multivariate data", Journal of the American Statistical Association 109, 2014), as performance changes
//! are found by it elsewhere (D. Daly et al., "The use of change point detection to identify software
//! performance regressions in a continuous integration system", ICPE 2020; M. Fleming et al., "Hunter: using
//! change point detection to hunt for performance regressions", ICPE 2023). A part of the series is split
//! where the energy distance between its two sides is largest,
//!
//! ```text
//! q(t) = n m / (n + m) · (2 mean |x - y| - mean |x - x'| - mean |y - y'|)
//! ```
//!
//! with x of the n figures before t and y of the m from it on (their equations 5 and 6 with an exponent of
//! 1). The split counts if it is significant, and then each side is looked at by itself.
//!
//! # Significance
//!
//! A permutation test: of [`PERMUTATIONS`] arrangements of the same figures and the one that was measured,
//! the share whose best split is at least as good. Where nothing changes all arrangements are equally
//! likely, so a series without a change has a change point with a probability of at most [`LEVEL`], exactly,
//! whatever its noise is. Each side of a change point is a series of its own, tested at the same level.
//! Arrangements come from a fixed seed: the same figures give the same answer.
//!
//! # Limits
//!
//! Figures that depend on the one before, as of a machine that is slow for hours, are not exchangeable, and
//! their moods are found as changes. Each side of a change point has at least [`SIDE_MIN`] figures, so a
//! change is told that many figures late. `cargo run --release --package perf-gate --example change_points`
//! prints how often changes are told that are none, and how often those that are.
//!
//! # Accuracy
//!
//! Sums of differences in double precision, of figures counted from their median. Arrangements that split as
//! well within one part in 10^9 count as if they split better.
//!
//! # Panics
//!
//! Nothing here panics. A series with a figure that is not finite has no change point.

use fastrand::Rng;

/// Fewest figures on each side of a change point: the fewest with which ten figures can reach the level.
pub const SIDE_MIN: usize = 5;

/// Arrangements that are drawn.
pub const PERMUTATIONS: u32 = 999;

/// How often, at most, a series without a change has a change point.
pub const LEVEL: f64 = 0.01;

const SEED: u64 = 1;

/// By how much a split may be worse, relatively, and still count as equally good.
const ROUNDING: f64 = 1e-9;

/// A place from which on the figures are others.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChangePoint {
    /// Place of the first figure that is changed, from 0.
    pub at: usize,
    /// Share of the arrangements that split as well.
    pub p_value: f64,
}

/// The change points of a series, ascending.
#[must_use]
pub fn change_points(series: &[f64]) -> Vec<ChangePoint> {
    if series.iter().any(|figure| !figure.is_finite()) {
        return Vec::new();
    }
    let mut random = Rng::with_seed(SEED);
    let mut parts = vec![(0, series.len())];
    let mut found = Vec::new();
    while let Some((from, to)) = parts.pop() {
        let figures = series.get(from..to).unwrap_or_default();
        if let Some(change) = change_point(figures, &mut random) {
            let at = from + change.at;
            found.push(ChangePoint { at, ..change });
            parts.extend([(at, to), (from, at)]);
        }
    }
    found.sort_by_key(|change| change.at);
    found
}

/// The best split of all figures, if it is significant.
fn change_point(figures: &[f64], random: &mut Rng) -> Option<ChangePoint> {
    let mut splitter = Splitter::new(figures);
    let mut arrangement: Vec<usize> = splitter.places.clone();
    let best = splitter.best(&arrangement)?;
    let as_good = best.q - ROUNDING * best.q.abs();
    let may_be_as_good = (LEVEL * f64::from(PERMUTATIONS + 1)) as u32 - 1;
    let mut are_as_good = 0;
    for _ in 0..PERMUTATIONS {
        random.shuffle(&mut arrangement);
        if splitter.best(&arrangement).is_some_and(|split| split.q >= as_good) {
            are_as_good += 1;
            // Whatever the others show: it is not significant any more.
            if are_as_good > may_be_as_good {
                return None;
            }
        }
    }
    let p_value = f64::from(are_as_good + 1) / f64::from(PERMUTATIONS + 1);
    Some(ChangePoint { at: best.at, p_value })
}

/// A split of an arrangement.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Split {
    /// Figures before it.
    at: usize,
    /// How well it splits.
    q: f64,
}

/// Finds the best split of each arrangement of the same figures, in n log n.
struct Splitter {
    /// The different figures, ascending, counted from their median.
    values: Vec<f64>,
    /// Of each figure as measured the place among the values.
    places: Vec<usize>,
    /// Of each value the sum of its distances from all figures.
    distances: Vec<f64>,
    /// Half the sum of those of all figures: of all pairs.
    of_pairs: f64,
    /// How many figures there are up to a value, and their sum, as a tree of partial sums (P. M. Fenwick,
    /// "A new data structure for cumulative frequency tables", Software: Practice and Experience 24, 1994).
    counted: Vec<(f64, f64)>,
}

impl Splitter {
    fn new(figures: &[f64]) -> Self {
        let mut sorted = figures.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let median = sorted.get(sorted.len() / 2).copied().unwrap_or_default();
        let mut values = sorted.clone();
        values.dedup();
        let place = |figure: &f64| values.partition_point(|value| value < figure);
        let places: Vec<_> = figures.iter().map(place).collect();
        values.iter_mut().for_each(|value| *value -= median);
        let mut splitter = Self {
            counted: vec![(0.0, 0.0); values.len() + 1],
            distances: Vec::new(),
            of_pairs: 0.0,
            values,
            places,
        };
        splitter.places.clone().into_iter().for_each(|place| splitter.count(place));
        splitter.distances =
            (0..splitter.values.len()).map(|place| splitter.distance(place)).collect();
        let of_figure = |place: &usize| splitter.distances.get(*place);
        splitter.of_pairs = splitter.places.iter().filter_map(of_figure).sum::<f64>() / 2.0;
        splitter
    }

    /// Counts a figure.
    fn count(&mut self, place: usize) {
        let value = self.values.get(place).copied().unwrap_or_default();
        let mut node = place + 1;
        while let Some((count, sum)) = self.counted.get_mut(node) {
            *count += 1.0;
            *sum += value;
            node += node & node.wrapping_neg();
        }
    }

    /// Number and sum of the counted figures up to a place.
    fn up_to(&self, place: usize) -> (f64, f64) {
        let (mut node, mut total) = (place + 1, (0.0, 0.0));
        while node > 0 {
            let (count, sum) = self.counted.get(node).copied().unwrap_or_default();
            total = (total.0 + count, total.1 + sum);
            node &= node - 1;
        }
        total
    }

    /// Sum of the distances of a value from the counted figures.
    fn distance(&self, place: usize) -> f64 {
        let value = self.values.get(place).copied().unwrap_or_default();
        let (below, sum_below) = self.up_to(place);
        let (all, sum) = self.up_to(self.values.len().saturating_sub(1));
        (below * value - sum_below) + ((sum - sum_below) - (all - below) * value)
    }

    /// The best split of an arrangement, of equally good ones the first; `None` where the figures are too
    /// few.
    fn best(&mut self, arrangement: &[usize]) -> Option<Split> {
        self.counted.fill((0.0, 0.0));
        let total = arrangement.len();
        // Sums over the pairs on the left, and on the right.
        let (mut left, mut right) = (0.0, self.of_pairs);
        let mut best: Option<Split> = None;
        for (index, place) in arrangement.iter().enumerate() {
            let from_left = self.distance(*place);
            left += from_left;
            right -= self.distances.get(*place).copied().unwrap_or_default() - from_left;
            self.count(*place);
            let at = index + 1;
            if at < SIDE_MIN || total - at < SIDE_MIN {
                continue;
            }
            let (n, m) = (at as f64, (total - at) as f64);
            let between = self.of_pairs - left - right;
            let pairs = |size: f64| size * (size - 1.0) / 2.0;
            let energy = 2.0 * between / (n * m) - left / pairs(n) - right / pairs(m);
            let q = n * m / (n + m) * energy;
            if best.is_none_or(|best| q > best.q) {
                best = Some(Split { at, q });
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best(figures: &[f64]) -> Option<Split> {
        let mut splitter = Splitter::new(figures);
        splitter.best(&splitter.places.clone())
    }

    /// The definition, pair by pair.
    fn q(figures: &[f64], at: usize) -> f64 {
        let (left, right) = figures.split_at(at);
        let (n, m) = (left.len() as f64, right.len() as f64);
        let sum = |one: &[f64], other: &[f64]| {
            let pairs = one.iter().flat_map(|x| other.iter().map(move |y| (x - y).abs()));
            pairs.sum::<f64>()
        };
        let within = |side: &[f64], size: f64| sum(side, side) / (size * (size - 1.0));
        let between = 2.0 * sum(left, right) / (n * m);
        n * m / (n + m) * (between - within(left, n) - within(right, m))
    }

    fn places(series: &[f64]) -> Vec<usize> {
        change_points(series).into_iter().map(|change| change.at).collect()
    }

    /// Figures that are spread alike around a level and of which no two are equal.
    fn around(level: f64, count: usize) -> Vec<f64> {
        (0..count).map(|index| level + ((index * 7 + 3) % 11) as f64 / 11.0).collect()
    }

    #[test]
    fn a_step_is_found_at_its_first_figure() {
        let series = [around(0.0, 20), around(5.0, 14)].concat();
        assert_eq!(places(&series), [20]);
        assert!((change_points(&series)[0].p_value - 0.001).abs() < 1e-12, "none splits as well");
        let there_and_back = [around(0.0, 15), around(-3.0, 15), around(0.0, 15)].concat();
        assert_eq!(places(&there_and_back), [15, 30]);
    }

    #[test]
    fn a_change_of_the_spread_alone_is_found_too() {
        let wide: Vec<f64> = around(0.0, 60).iter().map(|figure| (figure - 0.5) * 40.0).collect();
        let found = places(&[around(0.0, 60), wide].concat());
        assert_eq!(found.len(), 1);
        assert!(found[0].abs_diff(60) <= 3, "{found:?}");
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        for series in [&[][..], &[1.0], &[1.0, 2.0], &[0.0; 100], &around(0.0, 9), &around(3.0, 44)]
        {
            assert_eq!(places(series), [0; 0], "{series:?}");
        }
        let infinite = [around(0.0, 20), vec![f64::INFINITY; 20]].concat();
        assert_eq!(places(&infinite), [0; 0]);
        let unknown = [around(0.0, 20), vec![f64::NAN], around(9.0, 20)].concat();
        assert_eq!(places(&unknown), [0; 0]);
    }

    #[test]
    fn a_single_outlier_is_no_change() {
        let mut series = around(0.0, 40);
        series[17] = 1e6;
        assert_eq!(places(&series), [0; 0]);
    }

    proptest! {
        #[test]
        fn the_best_split_is_that_of_the_definition(
            steps in prop::collection::vec(-40i32..40, 10..40),
        ) {
            let figures: Vec<f64> = steps.into_iter().map(f64::from).collect();
            let found = best(&figures).unwrap();
            let by_definition = (SIDE_MIN..=figures.len() - SIDE_MIN).map(|at| q(&figures, at));
            let largest = by_definition.fold(f64::NEG_INFINITY, f64::max);
            prop_assert!((found.q - largest).abs() <= 1e-9 * (1.0 + largest.abs()));
            prop_assert!((q(&figures, found.at) - largest).abs() <= 1e-9 * (1.0 + largest.abs()));
        }

        #[test]
        fn the_unit_is_irrelevant_and_so_is_the_sign(
            steps in prop::collection::vec(-8i32..8, 10..30), power in -20i32..20,
        ) {
            let figures: Vec<f64> = steps.into_iter().map(f64::from).collect();
            let scaled: Vec<f64> = figures.iter().map(|figure| figure * 2f64.powi(power)).collect();
            prop_assert_eq!(change_points(&scaled), change_points(&figures));
            let one = best(&figures).unwrap().q;
            let turned = best(&figures.iter().map(|figure| -figure).collect::<Vec<_>>()).unwrap().q;
            prop_assert!((one - turned).abs() <= 1e-9 * (1.0 + one.abs()));
        }

        #[test]
        fn time_backwards_splits_as_well(steps in prop::collection::vec(-40i32..40, 10..40)) {
            let mut figures: Vec<f64> = steps.into_iter().map(f64::from).collect();
            let forwards = best(&figures).unwrap().q;
            figures.reverse();
            let backwards = best(&figures).unwrap().q;
            prop_assert!((forwards - backwards).abs() <= 1e-9 * (1.0 + forwards.abs()));
        }

        #[test]
        fn change_points_are_significant_ordered_and_apart(
            steps in prop::collection::vec(-3i32..3, 0..60), jump in 0usize..60, by in 0i32..9,
        ) {
            let jumped = |(index, step): (usize, i32)| f64::from(step + if index < jump { 0 } else { by });
            let series: Vec<f64> = steps.into_iter().enumerate().map(jumped).collect();
            let found = change_points(&series);
            prop_assert_eq!(&found, &change_points(&series), "twice the same");
            let mut before = 0;
            for change in &found {
                prop_assert!(change.at >= before + SIDE_MIN && change.p_value <= LEVEL);
                before = change.at;
            }
            prop_assert!(found.is_empty() || before + SIDE_MIN <= series.len());
        }
    }
}
