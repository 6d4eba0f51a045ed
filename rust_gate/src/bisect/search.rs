//! Which commit brought a change: each commit keeps a probability, and what is measured next is what
//! tells most. Pure.
//!
//! A *change* is what one block says: the log by which a metric of the measured commit differs from the
//! good one's, both measured in turn, of which more is worse. A commit *has* the culprit if it is the
//! culprit or descends from it; then its changes lie about the effect, and else about 0.
//!
//! # The search
//!
//! Bayes' rule, block by block: a commit's weight is multiplied by how likely the change is if that
//! commit were the culprit. Measured next is the commit for which it is least certain whether it has the
//! culprit, since all measurements are equally noisy and so that one has the most to tell (Horstein,
//! "Sequential transmission using noiseless feedback", IEEE Transactions on Information Theory 9, 1963;
//! for histories of commits J. Kara, "Stochastic bisection in git", 2024). Nothing is ever decided for
//! good: a step that went wrong by chance is outvoted by later ones.
//!
//! The search ends when the commits that no measurement can tell apart, one or, where commits cannot be
//! measured, a few, have all but `error` of the probability.
//!
//! # Accuracy
//!
//! Noise is taken to have Student's distribution with [`DEGREES_OF_FREEDOM`], and one block in
//! 1 / [`SAYS_NOTHING`] to say nothing, so that no block alone makes anything certain, however wild it is.
//! Effect and noise are those that the ends showed; `perf-gate simulate --searches` says on blocks that
//! were measured how often the search errs with that.

use crate::statistics::shift;

/// Tails heavier than those of blocks that were measured beside other work.
const DEGREES_OF_FREEDOM: f64 = 3.0;

/// How often a block is taken to say nothing of its commit.
const SAYS_NOTHING: f64 = 0.05;

/// What makes the median absolute deviation of normal noise its standard deviation.
const NORMAL_MAD: f64 = 1.4826;

/// Least noise, as a share of the effect: a few ends that happen to agree are no certainty.
const NOISE_MIN: f64 = 0.1;

/// A commit is measured again and again until it is less doubtful than this which side it is on: to change
/// commits costs a build.
const STEP_DOUBT: f64 = 0.05;

/// Blocks after which a search gives up. One that has a single culprit to find needs a tenth; one whose
/// culprit was taken back and brought again has none to find.
const BLOCKS_MAX: u32 = 400;

/// A level that no bound is asked at.
const NO_LEVEL: f64 = 0.5;

/// What the ends of the search differ by, in logs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// By how much a commit with the culprit is worse.
    pub shift: f64,
    /// How far single blocks lie about that.
    pub noise: f64,
}

impl Effect {
    /// What the changes between the ends say.
    #[must_use]
    pub fn of_ends(changes: &[f64]) -> Self {
        let shift = shift::paired(changes, NO_LEVEL, NO_LEVEL).estimate;
        let mut away: Vec<f64> = changes.iter().map(|change| (change - shift).abs()).collect();
        away.sort_unstable_by(f64::total_cmp);
        let deviation = away.get(away.len() / 2).copied().unwrap_or_default() * NORMAL_MAD;
        // The estimate has noise of its own.
        let of_estimate = 1.0 + 1.0 / changes.len().max(1) as f64;
        let noise = (deviation * of_estimate.sqrt()).max(shift.abs() * NOISE_MIN);
        Self { shift, noise: noise.max(f64::MIN_POSITIVE) }
    }

    /// How likely a change is, as a log, up to a constant.
    fn likelihood(&self, change: f64, has_culprit: bool) -> f64 {
        let center = if has_culprit { self.shift } else { 0.0 };
        let away = (change - center) / self.noise;
        let exponent = f64::midpoint(DEGREES_OF_FREEDOM, 1.0);
        let noise = (1.0 + away * away / DEGREES_OF_FREEDOM).powf(-exponent);
        (SAYS_NOTHING + (1.0 - SAYS_NOTHING) * noise).ln()
    }
}

/// The commits between the ends, the good one left out, the bad one the last; parents first.
#[derive(Debug, Clone)]
pub struct Range {
    /// Of each commit which ones it descends from, itself among them.
    descent: Vec<Vec<bool>>,
}

impl Range {
    /// Out of each commit's parents, as indices of earlier commits.
    #[must_use]
    pub fn new(parents: &[Vec<usize>]) -> Self {
        let mut descent: Vec<Vec<bool>> = Vec::with_capacity(parents.len());
        for (index, parents) in parents.iter().enumerate() {
            let mut of_this = vec![false; index + 1];
            for of_parent in parents.iter().filter_map(|parent| descent.get(*parent)) {
                of_this.iter_mut().zip(of_parent).for_each(|(is, has)| *is |= has);
            }
            of_this.last_mut().into_iter().for_each(|itself| *itself = true);
            descent.push(of_this);
        }
        Self { descent }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.descent.len()
    }

    /// Whether there is none, which no search can have.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.descent.is_empty()
    }

    /// Whether a commit would have the culprit if `culprit` were it.
    #[must_use]
    pub fn has(&self, commit: usize, culprit: usize) -> bool {
        let descent = self.descent.get(commit);
        descent.and_then(|of| of.get(culprit)).copied().unwrap_or_default()
    }
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Measure this commit.
    Measure(usize),
    /// It is one of these, which nothing that can be measured tells apart.
    Found(Vec<usize>),
    /// The blocks contradict each other for so long that there may be no commit to find.
    GiveUp,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    range: Range,
    effect: Effect,
    /// How often, at most, the search blames the wrong commit.
    error: f64,
    /// Of each commit the log of its weight; that of what cannot be the culprit is negative infinity.
    weights: Vec<f64>,
    /// Of each commit whether it can be measured; the last one was.
    is_measurable: Vec<bool>,
    blocks: u32,
}

impl Search {
    /// Before the first step. Those that cannot be the culprit are `cleared`: they change nothing that is
    /// compiled.
    #[must_use]
    pub fn new(range: Range, effect: Effect, error: f64, cleared: &[usize]) -> Self {
        let mut weights = vec![0.0; range.len()];
        for commit in cleared {
            weights.get_mut(*commit).into_iter().for_each(|weight| *weight = f64::NEG_INFINITY);
        }
        let is_measurable = vec![true; range.len()];
        Self { range, effect, error, weights, is_measurable, blocks: 0 }
    }

    /// This commit cannot be measured.
    pub fn skip(&mut self, commit: usize) {
        self.is_measurable.get_mut(commit).into_iter().for_each(|is| *is = false);
    }

    /// This commit runs what the good end runs, so that neither it nor what it descends from is the
    /// culprit. `false` where that would leave nobody: what was brought was taken back in between.
    pub fn acquit(&mut self, commit: usize) -> bool {
        self.rule_out(commit, |has| has)
    }

    /// This commit runs what the bad end runs, so that the culprit is it or what it descends from. `false`
    /// where that would leave nobody.
    pub fn convict(&mut self, commit: usize) -> bool {
        self.rule_out(commit, |has| !has)
    }

    fn rule_out(&mut self, commit: usize, is_out: impl Fn(bool) -> bool) -> bool {
        let mut weights = self.weights.clone();
        for (culprit, weight) in weights.iter_mut().enumerate() {
            if is_out(self.range.has(commit, culprit)) {
                *weight = f64::NEG_INFINITY;
            }
        }
        let leaves_any = weights.iter().any(|weight| weight.is_finite());
        if leaves_any {
            self.weights = weights;
            self.skip(commit);
        }
        leaves_any
    }

    /// What a block of this commit and the good one said.
    pub fn observe(&mut self, commit: usize, change: f64) {
        self.blocks += 1;
        for (culprit, weight) in self.weights.iter_mut().enumerate() {
            *weight += self.effect.likelihood(change, self.range.has(commit, culprit));
        }
    }

    /// How probable it is of each commit that it is the culprit.
    #[must_use]
    pub fn probabilities(&self) -> Vec<f64> {
        let most = self.weights.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = self.weights.iter().map(|weight| (weight - most).exp()).collect();
        let sum: f64 = weights.iter().sum();
        weights.into_iter().map(|weight| weight / sum).collect()
    }

    /// How probable it is that this commit has the culprit.
    #[must_use]
    pub fn probability_of(&self, commit: usize) -> f64 {
        self.probability_among(&self.probabilities(), commit)
    }

    /// Whether it is clear enough which side this commit is on to measure another one.
    #[must_use]
    pub fn is_clear(&self, commit: usize) -> bool {
        !(STEP_DOUBT..=1.0 - STEP_DOUBT).contains(&self.probability_of(commit))
    }

    fn probability_among(&self, probabilities: &[f64], commit: usize) -> f64 {
        let has = |(culprit, _): &(usize, &f64)| self.range.has(commit, *culprit);
        probabilities.iter().enumerate().filter(has).map(|(_, probability)| probability).sum()
    }

    /// How many commits the search is still about: the fewest that have all but its error.
    #[must_use]
    pub fn left(&self) -> usize {
        let mut probabilities = self.probabilities();
        probabilities.sort_unstable_by(|one, other| other.total_cmp(one));
        let sums = probabilities.iter().scan(0.0, |sum, probability| {
            let before = *sum;
            *sum += probability;
            Some(before)
        });
        sums.take_while(|before| *before < 1.0 - self.error).count()
    }

    /// What to do now.
    #[must_use]
    pub fn next(&self) -> Step {
        let probabilities = self.probabilities();
        let (alike, certainty) = self.most_probable(&probabilities);
        if certainty >= 1.0 - self.error {
            return Step::Found(alike);
        }
        if self.blocks >= BLOCKS_MAX {
            return Step::GiveUp;
        }
        let doubt = |commit: &usize| (self.probability_among(&probabilities, *commit) - 0.5).abs();
        // The last one is the bad end, which has the culprit for certain.
        let inner = 0..self.range.len().saturating_sub(1);
        let measurable = inner.filter(|commit| self.can_measure(*commit));
        measurable
            .min_by(|one, other| doubt(one).total_cmp(&doubt(other)))
            .map_or(Step::Found(alike), Step::Measure)
    }

    fn can_measure(&self, commit: usize) -> bool {
        self.is_measurable.get(commit).copied().unwrap_or_default()
    }

    /// The most probable commits of those that no measurement tells apart, and their probability.
    fn most_probable(&self, probabilities: &[f64]) -> (Vec<usize>, f64) {
        let mut groups: std::collections::BTreeMap<Vec<bool>, (Vec<usize>, f64)> =
            std::collections::BTreeMap::new();
        for (culprit, probability) in probabilities.iter().enumerate() {
            if *probability == 0.0 {
                continue;
            }
            let measurable = (0..self.range.len()).filter(|commit| self.can_measure(*commit));
            let told = measurable.map(|commit| self.range.has(commit, culprit)).collect();
            let (group, sum) = groups.entry(told).or_default();
            group.push(culprit);
            *sum += probability;
        }
        let best = groups.into_values().max_by(|(_, one), (_, other)| one.total_cmp(other));
        best.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line(commits: usize) -> Range {
        let parents = |index: usize| index.checked_sub(1).into_iter().collect();
        Range::new(&(0..commits).map(parents).collect::<Vec<_>>())
    }

    const EFFECT: Effect = Effect { shift: 0.2, noise: 0.05 };

    /// Searches with blocks that say without noise what is true.
    fn found(mut search: Search, culprit: usize) -> (Vec<usize>, usize) {
        for blocks in 0..10_000 {
            match search.next() {
                Step::Found(commits) => return (commits, blocks),
                Step::GiveUp => panic!("given up"),
                Step::Measure(commit) => {
                    let has = search.range.has(commit, culprit);
                    search.observe(commit, if has { EFFECT.shift } else { 0.0 });
                }
            }
        }
        panic!("no end");
    }

    proptest! {
        #[test]
        fn true_blocks_lead_to_the_culprit_in_about_log_steps(
            commits in 1_usize..200,
            at in any::<prop::sample::Index>(),
        ) {
            let culprit = at.index(commits);
            let (commits_found, blocks) = found(Search::new(line(commits), EFFECT, 0.01, &[]), culprit);
            prop_assert_eq!(commits_found, vec![culprit]);
            prop_assert!(blocks <= 40, "{}", blocks);
        }

        #[test]
        fn what_cannot_be_measured_is_found_with_what_it_cannot_be_told_from(
            commits in 3_usize..60,
            at in any::<prop::sample::Index>(),
            skipped in prop::collection::vec(any::<prop::sample::Index>(), 1..10),
        ) {
            let culprit = at.index(commits);
            let mut search = Search::new(line(commits), EFFECT, 0.01, &[]);
            let skipped: Vec<usize> = skipped.iter().map(|at| at.index(commits - 1)).collect();
            skipped.iter().for_each(|commit| search.skip(*commit));
            let (found, _) = found(search, culprit);
            prop_assert!(found.contains(&culprit));
            let (first, last) = (found[0], found[found.len() - 1]);
            prop_assert_eq!(&found, &(first..=last).collect::<Vec<_>>(), "a range without gaps");
            // All but the last of them cannot be measured.
            prop_assert!((first..last).all(|commit| skipped.contains(&commit)));
        }

        #[test]
        fn the_order_of_blocks_is_irrelevant(
            blocks in prop::collection::vec((0_usize..20, -1.0_f64..1.0), 1..30),
        ) {
            let observed = |blocks: &[(usize, f64)]| {
                let mut search = Search::new(line(20), EFFECT, 0.01, &[]);
                blocks.iter().for_each(|(commit, change)| search.observe(*commit, *change));
                search.probabilities()
            };
            let turned: Vec<_> = blocks.iter().rev().copied().collect();
            for (one, other) in observed(&blocks).iter().zip(observed(&turned)) {
                prop_assert!((one - other).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn a_commit_that_was_merged_in_is_told_from_the_branch_it_came_to() {
        // 0 and 1 on the branch, 2 and 3 beside, 4 merges, 5 after it.
        let parents = [vec![], vec![0], vec![], vec![2], vec![1, 3], vec![4]];
        for culprit in 0..6 {
            let search = Search::new(Range::new(&parents), EFFECT, 0.01, &[]);
            assert_eq!(found(search, culprit).0, [culprit]);
        }
    }

    #[test]
    fn what_touches_nothing_that_is_compiled_is_never_blamed() {
        let mut search = Search::new(line(5), EFFECT, 0.01, &[1, 2]);
        [1, 2].iter().for_each(|commit| search.skip(*commit));
        assert_eq!(found(search, 3).0, [3], "and not 1 to 3, which no measurement tells apart");
    }

    #[test]
    fn one_wild_block_is_outvoted() {
        let mut search = Search::new(line(16), EFFECT, 0.01, &[]);
        search.observe(7, 5.0);
        assert!(search.probability_of(7) < 0.9999);
        assert_eq!(found(search, 12).0, [12]);
    }

    #[test]
    fn a_culprit_that_was_taken_back_and_brought_again_is_no_search_without_end() {
        let mut search = Search::new(line(30), EFFECT, 0.01, &[]);
        let is_worse = |commit: usize| (5..15).contains(&commit) || commit >= 25;
        for _ in 0..=BLOCKS_MAX {
            match search.next() {
                Step::Measure(commit) => {
                    search.observe(commit, if is_worse(commit) { EFFECT.shift } else { 0.0 });
                }
                // One of those that brought it, or nobody.
                Step::Found(found) => return assert!(found == [5] || found == [25], "{found:?}"),
                Step::GiveUp => return,
            }
        }
        panic!("no end");
    }

    #[test]
    fn code_that_comes_back_leaves_somebody_to_find() {
        let mut search = Search::new(line(10), EFFECT, 0.01, &[]);
        assert!(search.convict(3), "runs what the bad end runs");
        assert!(!search.acquit(5), "and was taken back after it");
        assert!(search.probabilities().iter().all(|probability| probability.is_finite()));
        assert!(found(search, 2).0 == [2]);
    }

    #[test]
    fn ends_that_agree_by_accident_are_no_certainty() {
        let effect = Effect::of_ends(&[0.2; 9]);
        assert!((effect.shift - 0.2).abs() < 1e-12 && effect.noise >= 0.02, "{effect:?}");
    }
}
