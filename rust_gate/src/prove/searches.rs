//! Searches for a commit, drawn: by the code that searches really, over blocks that were measured or that
//! come from a stated model of noise.

use cp1_format::{Decimal, Policy, SimulatedSearches};
use fastrand::Rng;

use crate::bisect::search::{Effect, Range, Search, Step};
use crate::judge::decision::{JudgedLimit, Ruling, decide, log_of_percent, paired_shift};
use crate::prove::gates::{Noise, SimulateError, limits};
use crate::prove::simulate::rate;

/// What is planted, in limits.
const FACTORS: [f64; 3] = [1.0, 1.5, 2.0];

/// How often, at most, one may blame another commit, and blocks of one commit in a row: the defaults of
/// `perf-gate bisect`.
const ERROR: f64 = 0.01;
const STEP_BLOCKS: u32 = 8;

/// What is searched.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Searches {
    /// How many a line of the table.
    pub(crate) count: u32,
    /// Commits between the ends.
    pub(crate) commits: usize,
    /// How often a commit does not build, in percent.
    pub(crate) broken_pct: f64,
}

/// How searches ended.
#[derive(Debug, Default)]
struct Ended {
    /// At the commit, or at those that cannot be told from it.
    right: u64,
    /// At another.
    wrong: u64,
    /// The ends did not differ as far as the blocks said.
    nobody: u64,
    steps: u64,
    blocks: u64,
}

/// A line for each relative limit and what is planted, and one for each limit with nothing.
///
/// # Errors
/// [`SimulateError::NoLimit`]
pub(crate) fn lines(
    searches: &Searches,
    policy: &Policy,
    noise: &Noise,
    seed: u64,
) -> Result<Vec<SimulatedSearches>, SimulateError> {
    let limits = limits(policy)?;
    let looks: Vec<usize> = policy.decision.looks.iter().map(|look| *look as usize).collect();
    let mut random = Rng::with_seed(seed);
    let mut lines = Vec::new();
    for (index, held) in limits.iter().enumerate() {
        for factor in std::iter::once(0.0).chain(FACTORS) {
            let change = factor * held.limit_pct;
            let effect = log_of_percent(change, held.direction);
            let planted = Planted { held, index, effect, looks: &looks, noise };
            let mut ended = Ended::default();
            for _ in 0..searches.count {
                one(searches, &planted, &mut random, &mut ended);
            }
            let of = u64::from(searches.count);
            let mean = |count: u64| decimal(count as f64 / of.max(1) as f64, 1);
            lines.push(SimulatedSearches {
                metric: held.metric,
                change_pct: decimal(held.direction.turned(change), 1),
                right: rate(ended.right, of, 2),
                wrong: rate(ended.wrong, of, 2),
                nobody: rate(ended.nobody, of, 2),
                steps: mean(ended.steps),
                blocks: mean(ended.blocks),
            });
        }
    }
    Ok(lines)
}

/// What is planted, and where the blocks come from.
struct Planted<'a> {
    held: &'a JudgedLimit,
    /// Which of the limits it is.
    index: usize,
    /// In logs, of which more is worse.
    effect: f64,
    looks: &'a [usize],
    noise: &'a Noise,
}

impl Planted<'_> {
    /// The change of a block of a commit that has the effect, or has none.
    fn block(&self, effect: f64, random: &mut Rng) -> f64 {
        self.noise.change(random).get(self.index).copied().unwrap_or_default() + effect
    }
}

fn one(searches: &Searches, planted: &Planted<'_>, random: &mut Rng, ended: &mut Ended) {
    let Planted { held, effect, .. } = *planted;
    let mut ends = Vec::new();
    let is_red = planted.looks.iter().any(|look| {
        while ends.len() < *look {
            ends.push(planted.block(effect, random));
        }
        decide(&paired_shift(&ends, &held.criteria), &held.criteria) == Ruling::Fail
    });
    ended.blocks += ends.len() as u64;
    if !is_red {
        ended.nobody += 1;
        return;
    }
    let culprit = random.usize(..searches.commits);
    let parents: Vec<Vec<usize>> =
        (0..searches.commits).map(|commit| commit.checked_sub(1).into_iter().collect()).collect();
    let mut search = Search::new(Range::new(&parents), Effect::of_ends(&ends), ERROR, &[]);
    for commit in 0..searches.commits.saturating_sub(1) {
        if random.f64() * 100.0 < searches.broken_pct {
            search.skip(commit);
        }
    }
    let mut blocks = 0;
    let found = loop {
        match search.next() {
            Step::Found(found) => break found,
            Step::GiveUp => {
                ended.nobody += 1;
                ended.blocks += blocks;
                return;
            }
            Step::Measure(commit) => {
                ended.steps += 1;
                for _ in 0..STEP_BLOCKS {
                    let of_commit = if commit >= culprit { effect } else { 0.0 };
                    search.observe(commit, planted.block(of_commit, random));
                    blocks += 1;
                    if search.is_clear(commit) {
                        break;
                    }
                }
            }
        }
    };
    ended.blocks += blocks;
    match found.contains(&culprit) && effect != 0.0 {
        true => ended.right += 1,
        false => ended.wrong += 1,
    }
}

fn decimal(number: f64, places: i64) -> Decimal {
    Decimal::of_fraction(number, places).unwrap_or_else(|| Decimal::from(0))
}
