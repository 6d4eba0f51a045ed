//! Shift between two groups of blocks, with exact distribution-free bounds.
//!
//! A *shift* is a difference of natural logs, candidate minus baseline: +0.1398 is a figure 15 %
//! higher. Its estimate is that of Hodges and Lehmann ("Estimates of location based on rank tests",
//! Annals of Mathematical Statistics 34, 1963); its bounds invert the exact rank test that belongs
//! to it (Hollander, Wolfe, Chicken, "Nonparametric Statistical Methods", 3rd edition, sections 3.3
//! and 4.3). No resampling, no normal approximation: the same blocks give the same bounds, in
//! whatever order they come.
//!
//! # Accuracy
//!
//! The null distributions are sums of positive terms in double precision, with a relative error
//! below 1e-12. Ties widen, never narrow: of the differences at a bound all count as being on the
//! side of the null hypothesis, as if ties had been broken against the claim.
//!
//! # Limits
//!
//! A level above one half is taken as one half, so that a bound never crosses the estimate. Where
//! the blocks are too few for a level, or so many that the distribution would take seconds
//! ([`DIFFERENCES_MAX`]), the bound is infinite: nothing is claimed.
//!
//! # Panics
//!
//! Nothing here panics. A figure that is not finite gives no bounds.

/// Most pairwise differences, or Walsh averages, for which bounds are computed: 100 blocks against
/// 100. Time and memory of the distribution grow with the square of this.
pub const DIFFERENCES_MAX: usize = 10_000;

/// By how much a probability may exceed a level, relatively, and still be at that level: rounding.
const ROUNDING: f64 = 1e-12;

/// How far the candidate lies from the baseline, in natural logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shift {
    /// Hodges-Lehmann estimate; 0 where there is nothing to estimate from.
    pub estimate: f64,
    /// The true shift is below this with a probability of at most the lower level.
    pub lower: f64,
    /// The true shift is above this with a probability of at most the upper level.
    pub upper: f64,
}

impl Shift {
    /// What is known without blocks: nothing.
    const UNKNOWN: Self = Self { estimate: 0.0, lower: f64::NEG_INFINITY, upper: f64::INFINITY };

    /// The shift of the figures' reciprocals: for a figure of which less is worse.
    #[must_use]
    pub fn reversed(self) -> Self {
        // Adding 0 turns -0 into 0.
        Self { estimate: 0.0 - self.estimate, lower: 0.0 - self.upper, upper: 0.0 - self.lower }
    }

    /// The shift if every candidate figure were `by` higher, in logs.
    #[must_use]
    pub fn moved(self, by: f64) -> Self {
        Self { estimate: self.estimate + by, lower: self.lower + by, upper: self.upper + by }
    }
}

/// Which of the sorted differences are the bounds: counted from 1, from below for the lower bound
/// and from above for the upper one; 0 where there is no bound at the level. Depends on the numbers
/// of blocks and the levels only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ranks {
    lower: usize,
    upper: usize,
}

impl Ranks {
    /// For [`unpaired`] blocks: from the distribution of the Mann-Whitney U statistic.
    #[must_use]
    pub fn mann_whitney(
        baseline_blocks: usize,
        candidate_blocks: usize,
        lower_level: f64,
        upper_level: f64,
    ) -> Self {
        let differences = baseline_blocks.saturating_mul(candidate_blocks);
        Self::of(differences, lower_level, upper_level, || {
            mann_whitney(baseline_blocks, candidate_blocks)
        })
    }

    /// For [`paired`] blocks: from the distribution of Wilcoxon's signed-rank statistic.
    #[must_use]
    pub fn signed_rank(pairs: usize, lower_level: f64, upper_level: f64) -> Self {
        let averages = pairs.saturating_mul(pairs.saturating_add(1)) / 2;
        Self::of(averages, lower_level, upper_level, || signed_rank(pairs))
    }

    fn of(
        differences: usize,
        lower_level: f64,
        upper_level: f64,
        distribution: impl FnOnce() -> Vec<f64>,
    ) -> Self {
        if !(1..=DIFFERENCES_MAX).contains(&differences) {
            return Self { lower: 0, upper: 0 };
        }
        let probabilities = distribution();
        Self { lower: rank(&probabilities, lower_level), upper: rank(&probabilities, upper_level) }
    }

    /// Shift of two independent groups of figures' logs, in any order.
    #[must_use]
    pub fn unpaired(&self, baseline: &[f64], candidate: &[f64]) -> Shift {
        let differences =
            baseline.iter().flat_map(|from| candidate.iter().map(move |to| to - from)).collect();
        self.shift(differences)
    }

    /// Shift of blocks of which each has a change, in logs, in any order.
    #[must_use]
    pub fn paired(&self, changes: &[f64]) -> Shift {
        let averages = changes
            .iter()
            .enumerate()
            .flat_map(|(index, one)| {
                changes.iter().skip(index).map(move |other| f64::midpoint(*one, *other))
            })
            .collect();
        self.shift(averages)
    }

    fn shift(&self, mut differences: Vec<f64>) -> Shift {
        if differences.is_empty() || differences.iter().any(|difference| !difference.is_finite()) {
            return Shift::UNKNOWN;
        }
        differences.sort_unstable_by(f64::total_cmp);
        let count = differences.len();
        let at = |index: Option<usize>| index.and_then(|index| differences.get(index)).copied();
        let middle = at(Some(count / 2)).zip(at(Some((count - 1) / 2)));
        Shift {
            estimate: middle.map_or(0.0, |(high, low)| f64::midpoint(low, high)),
            lower: at(self.lower.checked_sub(1)).unwrap_or(f64::NEG_INFINITY),
            upper: match self.upper {
                0 => f64::INFINITY,
                rank => at(count.checked_sub(rank)).unwrap_or(f64::INFINITY),
            },
        }
    }
}

/// Shift between independent blocks, from the figures' natural logs: the median of all differences
/// of a candidate's and a baseline's figure, with bounds from the exact Mann-Whitney distribution.
///
/// The true shift is below `lower` with a probability of at most `lower_level`, and above `upper`
/// with one of at most `upper_level`. Assumes that the blocks of both sides are exchangeable but
/// for the shift.
#[must_use]
pub fn unpaired(baseline: &[f64], candidate: &[f64], lower_level: f64, upper_level: f64) -> Shift {
    Ranks::mann_whitney(baseline.len(), candidate.len(), lower_level, upper_level)
        .unpaired(baseline, candidate)
}

/// Shift between sides that were measured in turn, from each block's change in natural logs: the
/// median of the Walsh averages of the changes, with bounds from the exact signed-rank distribution.
///
/// Levels as for [`unpaired`]. Assumes that the changes are symmetric about the shift, which drawing
/// at random which side comes first in a block brings about.
#[must_use]
pub fn paired(changes: &[f64], lower_level: f64, upper_level: f64) -> Shift {
    Ranks::signed_rank(changes.len(), lower_level, upper_level).paired(changes)
}

/// The largest r with P(statistic < r) at most `level`, given the probabilities of 0, 1, 2 … up to
/// the middle of the distribution; 0 where there is none.
fn rank(probabilities: &[f64], level: f64) -> usize {
    let level = level.min(0.5) * (1.0 + ROUNDING);
    probabilities
        .iter()
        .scan(0.0, |sum, probability| {
            *sum += probability;
            Some(*sum)
        })
        .take_while(|sum| *sum <= level)
        .count()
}

/// P(U = u) for u from 0 to the middle, where U counts the pairs in which the one of `m` figures is
/// above the one of `n`.
///
/// The largest of all m + n figures is one of the m with probability m / (m + n), and then above
/// all n others: p(m, n, u) = m/(m+n) p(m−1, n, u−n) + n/(m+n) p(m, n−1, u) (Mann and Whitney 1947,
/// Annals of Mathematical Statistics 18, equation 3).
fn mann_whitney(m: usize, n: usize) -> Vec<f64> {
    let (few, many) = (m.min(n), m.max(n));
    let length = few * many / 2 + 1;
    let certainly_zero = || {
        let mut distribution = vec![0.0; length];
        distribution.first_mut().into_iter().for_each(|first| *first = 1.0);
        distribution
    };
    // Row i holds the distributions of i against 0, 1 … `few` figures.
    let mut row = vec![certainly_zero(); few + 1];
    for i in 1..=many {
        for j in 1..=few {
            let share_above = i as f64 / (i + j) as f64;
            let (before, from_here) = row.split_at_mut(j);
            let (Some(left), Some(cell)) = (before.last(), from_here.first_mut()) else { continue };
            // p(m - 1, n, u - n), in its own place: `length` is at least j.
            cell.copy_within(..length - j, j);
            cell.iter_mut().take(j).for_each(|probability| *probability = 0.0);
            for (probability, below) in cell.iter_mut().zip(left) {
                *probability = share_above * *probability + (1.0 - share_above) * below;
            }
        }
    }
    row.pop().unwrap_or_default()
}

/// P(T = t) for t from 0 to the middle, where T is the sum of the ranks 1 … `pairs` that got a plus,
/// each with probability one half, independently (Wilcoxon 1945, Biometrics Bulletin 1).
fn signed_rank(pairs: usize) -> Vec<f64> {
    let length = pairs * (pairs + 1) / 4 + 1;
    let mut distribution = vec![0.0; length];
    distribution.first_mut().into_iter().for_each(|first| *first = 1.0);
    for rank in 1..=pairs {
        let with_rank = std::iter::repeat_n(&0.0, rank).chain(distribution.iter());
        distribution = with_rank
            .zip(&distribution)
            .map(|(with, without)| f64::midpoint(*with, *without))
            .collect();
    }
    distribution
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The shift between sides that were measured in turn.
    fn in_turn(baseline: &[f64], candidate: &[f64], lower: f64, upper: f64) -> Shift {
        let changes: Vec<_> = baseline.iter().zip(candidate).map(|(from, to)| to - from).collect();
        paired(&changes, lower, upper)
    }

    /// (blocks of one side, of the other, critical value).
    type Table<'a> = &'a [(usize, usize, usize)];

    #[test]
    fn mann_whitney_agrees_with_the_published_critical_values() {
        // Largest U with P(U <= value) at most the one-sided level: Siegel and Castellan,
        // "Nonparametric Statistics for the Behavioral Sciences", and Hollander and Wolfe, table A.
        let five_percent: Table = &[(3, 3, 0), (4, 4, 1), (5, 5, 4), (8, 8, 15), (10, 10, 27)];
        let two_and_a_half: Table = &[
            (4, 4, 0),
            (5, 5, 2),
            (5, 8, 6),
            (6, 6, 5),
            (7, 7, 8),
            (8, 8, 13),
            (9, 9, 17),
            (10, 10, 23),
            (10, 20, 55),
            (15, 15, 64),
            (20, 20, 127),
        ];
        let one: Table = &[(5, 5, 1), (6, 6, 3), (7, 7, 6), (8, 8, 9), (10, 10, 19), (20, 20, 114)];
        let half: Table =
            &[(5, 5, 0), (6, 6, 2), (7, 7, 4), (8, 8, 7), (10, 10, 16), (20, 20, 105)];
        for (level, table) in
            [(0.05, five_percent), (0.025, two_and_a_half), (0.01, one), (0.005, half)]
        {
            for &(m, n, critical) in table {
                let ranks = Ranks::mann_whitney(m, n, level, level);
                assert_eq!((ranks.lower, ranks.upper), (critical + 1, critical + 1), "{m} {n}");
                assert_eq!(ranks, Ranks::mann_whitney(n, m, level, level));
            }
        }
        assert_eq!(Ranks::mann_whitney(3, 3, 0.025, 0.05), Ranks { lower: 0, upper: 1 });
    }

    #[test]
    fn signed_rank_agrees_with_the_published_critical_values() {
        // Largest T with P(T <= value) at most the one-sided level: Wilcoxon and Wilcox, "Some
        // Rapid Approximate Statistical Procedures", 1964, table 2.
        let two_and_a_half = [
            (6, 0),
            (7, 2),
            (8, 3),
            (9, 5),
            (10, 8),
            (11, 10),
            (12, 13),
            (15, 25),
            (20, 52),
            (25, 89),
            (30, 137),
        ];
        let half = [(8, 0), (9, 1), (10, 3), (12, 7), (15, 15), (20, 37), (25, 68), (30, 109)];
        for (level, table) in [(0.025, &two_and_a_half[..]), (0.005, &half[..])] {
            for &(pairs, critical) in table {
                let ranks = Ranks::signed_rank(pairs, level, level);
                assert_eq!((ranks.lower, ranks.upper), (critical + 1, critical + 1), "{pairs}");
            }
        }
        assert_eq!(Ranks::signed_rank(5, 0.025, 0.025), Ranks { lower: 0, upper: 0 });
    }

    #[test]
    fn the_distributions_agree_with_counting_every_arrangement() {
        for (m, n) in (1..=5).flat_map(|m| (1..=5).map(move |n| (m, n))) {
            let mut counts = vec![0u32; m * n + 1];
            for arrangement in (0..1u32 << (m + n)).filter(|bits| bits.count_ones() == m as u32) {
                let is_first = |place: usize| arrangement >> place & 1 == 1;
                let u = (0..m + n)
                    .filter(|&place| is_first(place))
                    .map(|place| (0..place).filter(|&below| !is_first(below)).count())
                    .sum::<usize>();
                counts[u] += 1;
            }
            assert_close(&mann_whitney(m, n), &counts);
        }
        for pairs in 1..=10 {
            let mut counts = vec![0u32; pairs * (pairs + 1) / 2 + 1];
            for signs in 0..1u32 << pairs {
                counts[(1..=pairs).filter(|rank| signs >> (rank - 1) & 1 == 1).sum::<usize>()] += 1;
            }
            assert_close(&signed_rank(pairs), &counts);
        }
    }

    fn assert_close(probabilities: &[f64], counts: &[u32]) {
        let total = f64::from(counts.iter().sum::<u32>());
        assert_eq!(probabilities.len(), (counts.len() - 1) / 2 + 1);
        for (probability, count) in probabilities.iter().zip(counts) {
            assert!((probability - f64::from(*count) / total).abs() < 1e-14);
        }
    }

    /// Every way of dealing figures to two sides of `m` and `n` is equally likely where nothing
    /// changed: how often would the bound claim a change?
    fn false_claims(figures: &[f64], m: usize, level: f64) -> f64 {
        let n = figures.len() - m;
        let ranks = Ranks::mann_whitney(m, n, level, level);
        let deals: Vec<u32> =
            (0..1u32 << figures.len()).filter(|bits| bits.count_ones() as usize == m).collect();
        let claims = deals.iter().filter(|&&bits| {
            let side = |wanted| {
                let dealt = figures.iter().enumerate();
                dealt
                    .filter(|(place, _)| (bits >> place & 1 == 1) == wanted)
                    .map(|(_, figure)| *figure)
                    .collect::<Vec<_>>()
            };
            ranks.unpaired(&side(true), &side(false)).lower > 0.0
        });
        claims.count() as f64 / deals.len() as f64
    }

    #[test]
    fn ties_never_raise_the_rate_of_false_claims() {
        let distinct: Vec<f64> = (0..10).map(f64::from).collect();
        let claimed = false_claims(&distinct, 5, 0.05);
        assert!((0.04..=0.05).contains(&claimed), "{claimed}");
        for figures in [
            [0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 1.0],
            [0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0],
            [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0],
            [0.0; 10],
        ] {
            assert!(false_claims(&figures, 5, 0.05) <= 0.05, "{figures:?}");
        }
    }

    #[test]
    fn ties_among_pairs_never_raise_the_rate_of_false_claims() {
        for sizes in [[1.0; 8], [0.0, 0.0, 1.0, 1.0, 1.0, 2.0, 2.0, 3.0]] {
            let ranks = Ranks::signed_rank(8, 0.05, 0.05);
            let claims = (0..1u32 << 8).filter(|signs| {
                let change = |(place, size): (usize, &f64)| {
                    if signs >> place & 1 == 1 { *size } else { -*size }
                };
                let changes: Vec<f64> = sizes.iter().enumerate().map(change).collect();
                ranks.paired(&changes).lower > 0.0
            });
            assert!(claims.count() as f64 / 256.0 <= 0.05, "{sizes:?}");
        }
    }

    #[test]
    fn the_estimate_is_the_median_of_the_differences() {
        let shift = unpaired(&[1.0, 2.0], &[4.0, 8.0, 16.0], 0.1, 0.1);
        // 3 2 7 6 15 14, sorted 2 3 6 7 14 15; P(U = 0) is 1/10.
        assert_eq!(shift, Shift { estimate: 6.5, lower: 2.0, upper: 15.0 });
        let shift = paired(&[1.0, 2.0, 6.0], 0.125, 0.1);
        // Walsh averages 1 1.5 2 3.5 4 6; P(T = 0) is 1/8.
        assert_eq!(shift, Shift { estimate: 2.75, lower: 1.0, upper: f64::INFINITY });
    }

    #[test]
    fn nothing_is_claimed_from_nothing() {
        assert_eq!(unpaired(&[], &[1.0], 0.05, 0.05), Shift::UNKNOWN);
        assert_eq!(paired(&[], 0.05, 0.05), Shift::UNKNOWN);
        let zero = [0.0_f64.ln(), 1.0, 2.0, 3.0, 4.0];
        assert_eq!(unpaired(&zero, &[9.0; 5], 0.05, 0.05), Shift::UNKNOWN);
        let many = vec![0.0; 101];
        let shift = unpaired(&many, &many, 0.05, 0.05);
        assert_eq!(shift, Shift { estimate: 0.0, ..Shift::UNKNOWN });
        let hopeless = unpaired(&[0.0; 9], &[1.0; 9], f64::NAN, -1.0);
        assert!(hopeless.lower <= 1.0 && hopeless.upper == f64::INFINITY);
    }

    fn blocks() -> impl Strategy<Value = Vec<f64>> {
        // Multiples of 1/64, so that adding and subtracting them is exact, with many ties.
        prop::collection::vec((-256i32..256).prop_map(|steps| f64::from(steps) / 64.0), 1..14)
    }

    fn pairs() -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        blocks().prop_flat_map(|baseline| {
            let blocks = baseline.len();
            (Just(baseline), prop::collection::vec(-256i32..256, blocks)).prop_map(
                |(baseline, steps)| {
                    let candidate = steps.into_iter().map(|steps| f64::from(steps) / 64.0);
                    (baseline, candidate.collect())
                },
            )
        })
    }

    proptest! {
        #[test]
        fn the_order_of_blocks_is_irrelevant(
            baseline in blocks(), candidate in blocks(), turn in 0usize..14,
        ) {
            let turned = |blocks: &[f64]| {
                let (head, tail) = blocks.split_at(turn % blocks.len());
                [tail, head].concat()
            };
            prop_assert_eq!(
                unpaired(&baseline, &candidate, 0.05, 0.01),
                unpaired(&turned(&baseline), &turned(&candidate), 0.05, 0.01)
            );
        }

        #[test]
        fn the_order_of_pairs_is_irrelevant((baseline, candidate) in pairs()) {
            let reversed = |blocks: &[f64]| blocks.iter().rev().copied().collect::<Vec<_>>();
            prop_assert_eq!(
                in_turn(&baseline, &candidate, 0.05, 0.01),
                in_turn(&reversed(&baseline), &reversed(&candidate), 0.05, 0.01)
            );
        }

        #[test]
        fn a_shift_of_the_candidate_is_the_shift_of_everything(
            (baseline, candidate) in pairs(), steps in -64i32..64,
        ) {
            let by = f64::from(steps) / 64.0;
            let moved: Vec<f64> = candidate.iter().map(|log| log + by).collect();
            for judge in [unpaired, in_turn] {
                prop_assert_eq!(
                    judge(&baseline, &moved, 0.05, 0.01),
                    judge(&baseline, &candidate, 0.05, 0.01).moved(by)
                );
            }
        }

        #[test]
        fn swapping_the_roles_reverses_the_shift((baseline, candidate) in pairs()) {
            for judge in [unpaired, in_turn] {
                prop_assert_eq!(
                    judge(&candidate, &baseline, 0.01, 0.05),
                    judge(&baseline, &candidate, 0.05, 0.01).reversed()
                );
            }
        }

        #[test]
        fn a_stricter_level_never_narrows_and_bounds_hold_the_estimate(
            (baseline, candidate) in pairs(), strict in 0.0001f64..0.7, more in 0.0f64..0.3,
        ) {
            for judge in [unpaired, in_turn] {
                let narrow = judge(&baseline, &candidate, strict + more, strict + more);
                let wide = judge(&baseline, &candidate, strict, strict);
                prop_assert!(wide.lower <= narrow.lower && narrow.upper <= wide.upper);
                prop_assert!(narrow.lower <= narrow.estimate && narrow.estimate <= narrow.upper);
            }
        }
    }
}
