//! Gates under replay, drawn: judged by the code that judges real ones, over blocks that were measured
//! or that come from a stated model of noise.
//!
//! A gate is simulated as a whole: all relative limits, those of whole blocks with them, all looks,
//! ending as a real one ends. Zero-tolerance counts are left out, as they have no noise to simulate.
//! A block gives one change of each figure, from one of three sources:
//!
//! * **Replays** (`--replay`, `--candidate`): changes of blocks that were really measured in turn. Of
//!   one commit against itself their signs are symmetric, so a coin is thrown for each block drawn.
//! * **A baseline**: two of its blocks, drawn. They were not measured in turn, so the noise is larger
//!   than a replay's.
//! * **A model** (`--spread`): two normal figures.

use cp1_format::{Block, Policy, ReadError, Report};
use fastrand::Rng;

use crate::judge::blocks::{change_of_slices, figure, log_ratio, whole_figure};
use crate::judge::decision::{JudgedLimit, Ruling, decide, decide_whole, has_whole_blocks, held};
use crate::statistics::shift::Ranks;

/// Fewest blocks that stand for a machine's noise.
const SIMULATED_BLOCKS_MIN: usize = 8;

/// How much a spiked block is worse, on average, in logs: 30 % of Exp(1).
const SPIKE_MEAN: f64 = 0.3;

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The blocks are too few.
    #[error(
        "{0} blocks measured every relative metric, and {SIMULATED_BLOCKS_MIN} are needed to know this \
         machine's noise; measure more, or state a noise with perf-gate simulate --spread"
    )]
    TooFewBlocks(usize),
    /// Reports of the two sides belong together.
    #[error("{0} reports as --replay and {1} as --candidate; each replay has one of either")]
    NotPaired(usize, usize),
    /// There is nothing that noise could touch.
    #[error("the policy has no relative limit, so no noise can mislead it")]
    NoLimit,
}

/// A limit that blocks are judged by, and whether by those of whole blocks, which pass nothing alone.
#[derive(Clone, Copy)]
pub(crate) struct Judged {
    pub(crate) held: JudgedLimit,
    is_whole: bool,
}

/// Everything that a policy's relative limits judge.
pub(crate) fn judged(limits: &[JudgedLimit]) -> Vec<Judged> {
    let by_slices = limits.iter().map(|held| Judged { held: *held, is_whole: false });
    let whole = limits.iter().filter(|held| has_whole_blocks(held.metric));
    by_slices.chain(whole.map(|held| Judged { held: *held, is_whole: true })).collect()
}

impl Judged {
    /// The log by which a block's figure changed, of which more is worse.
    fn change(&self, from: &Block, to: &Block) -> Option<f64> {
        let metric = self.held.metric;
        let change = match self.is_whole {
            true => log_ratio(whole_figure(from, metric)?, whole_figure(to, metric)?),
            false => change_of_slices(metric, from, to),
        };
        self.turned(change?)
    }

    /// The log of a block's figure, of which more is worse.
    fn log(&self, block: &Block) -> Option<f64> {
        let metric = self.held.metric;
        let figure =
            if self.is_whole { whole_figure(block, metric) } else { figure(block, metric) };
        self.turned(figure?.ln())
    }

    fn turned(&self, log: f64) -> Option<f64> {
        let turned = self.held.direction.turned(log);
        turned.is_finite().then_some(turned)
    }
}

/// Which side of a drawn block counts as the frozen one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signs {
    /// A coin decides, as without a change either could be.
    Either,
    /// The one that was, with whatever was planted in the other.
    AsMeasured,
}

/// Where the blocks' changes come from: one for each limit that is judged, in logs of which more is
/// worse.
pub(crate) enum Noise {
    /// Changes of blocks that were measured in turn: what goes together stays together.
    Measured { changes: Vec<Vec<f64>>, signs: Signs },
    /// Blocks of a baseline, of which any two make a change.
    Drawn(Vec<Vec<f64>>),
    /// The difference of two normal figures with a share of spikes; how many limits there are.
    Model { spread: f64, spikes: f64, limits: usize },
}

impl Noise {
    pub(crate) fn of(baseline: &Report, judged: &[Judged]) -> Result<Self, SimulateError> {
        let of_block = |block: &Block| judged.iter().map(|one| one.log(block)).collect();
        let blocks: Vec<_> = baseline.blocks.iter().flatten().filter_map(of_block).collect();
        enough(blocks.len())?;
        Ok(Self::Drawn(blocks))
    }

    pub(crate) fn measured(
        replays: &[(&Report, &Report)],
        judged: &[Judged],
        signs: Signs,
    ) -> Result<Self, SimulateError> {
        let mut changes = Vec::new();
        for (replay, candidate) in replays {
            let blocks = replay.blocks.iter().flatten().zip(candidate.blocks.iter().flatten());
            let of_block = |(from, to): (&Block, &Block)| -> Option<Vec<f64>> {
                judged.iter().map(|one| one.change(from, to)).collect()
            };
            changes.extend(blocks.filter_map(of_block));
        }
        enough(changes.len())?;
        Ok(Self::Measured { changes, signs })
    }

    /// A block's changes.
    pub(crate) fn change(&self, random: &mut Rng) -> Vec<f64> {
        match self {
            Self::Measured { changes, signs } => {
                let sign = if *signs == Signs::Either && random.bool() { -1.0 } else { 1.0 };
                let drawn = random.choice(changes).into_iter().flatten();
                drawn.map(|change| sign * change).collect()
            }
            Self::Drawn(blocks) => {
                let (from, to) = (random.choice(blocks), random.choice(blocks));
                let both = from.into_iter().flatten().zip(to.into_iter().flatten());
                both.map(|(from, to)| to - from).collect()
            }
            Self::Model { spread, spikes, limits } => {
                let mut figure = || {
                    let spike = if random.f64() < *spikes { exponential(random) } else { 0.0 };
                    spread * normal(random) + SPIKE_MEAN * spike
                };
                (0..*limits).map(|_| figure() - figure()).collect()
            }
        }
    }
}

fn enough(blocks: usize) -> Result<(), SimulateError> {
    if blocks < SIMULATED_BLOCKS_MIN { Err(SimulateError::TooFewBlocks(blocks)) } else { Ok(()) }
}

/// Inversion of the exponential distribution of mean 1.
fn exponential(random: &mut Rng) -> f64 {
    -(1.0 - random.f64()).ln()
}

/// Box and Muller, "A note on the generation of random normal deviates", 1958.
fn normal(random: &mut Rng) -> f64 {
    (2.0 * exponential(random)).sqrt() * (std::f64::consts::TAU * random.f64()).cos()
}

/// How simulated gates ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Endings {
    /// With PASS.
    pub passed: u64,
    /// With REGRESSION.
    pub failed: u64,
    /// With INCONCLUSIVE.
    pub open: u64,
    /// Blocks measured, in all gates together.
    pub blocks: u64,
}

/// A gate's limits with the looks that they are judged at.
pub(crate) struct Gate<'a> {
    judged: Vec<Judged>,
    looks: Vec<(usize, Ranks)>,
    noise: &'a Noise,
}

impl<'a> Gate<'a> {
    pub(crate) fn new(judged: &[Judged], looks: &[usize], noise: &'a Noise) -> Self {
        let (false_alarm, miss) = judged.first().map_or((0.0, 0.0), |first| {
            (first.held.criteria.false_alarm, first.held.criteria.miss)
        });
        let looks =
            looks.iter().map(|&look| (look, Ranks::signed_rank(look, false_alarm, miss))).collect();
        Self { judged: judged.to_vec(), looks, noise }
    }

    /// Runs gates whose candidate is worse by an effect on one metric, in logs.
    pub(crate) fn run(
        &self,
        effect: Option<(&JudgedLimit, f64)>,
        gates: u32,
        random: &mut Rng,
    ) -> Endings {
        let effects: Vec<f64> = self
            .judged
            .iter()
            .map(|one| match effect {
                Some((held, shift)) if *held == one.held => shift,
                _ => 0.0,
            })
            .collect();
        let mut endings = Endings::default();
        for _ in 0..gates {
            let (ruling, blocks) = self.once(&effects, random);
            endings.blocks += blocks as u64;
            match ruling {
                Ruling::Pass => endings.passed += 1,
                Ruling::Fail => endings.failed += 1,
                Ruling::Undecided => endings.open += 1,
            }
        }
        endings
    }

    /// The worst ruling of the look that ended the gate, and the blocks until then.
    fn once(&self, effects: &[f64], random: &mut Rng) -> (Ruling, usize) {
        let mut changes = vec![Vec::new(); self.judged.len()];
        let mut measured = 0;
        for (look, ranks) in &self.looks {
            while measured < *look {
                let block = self.noise.change(random);
                for ((of_limit, change), effect) in changes.iter_mut().zip(block).zip(effects) {
                    of_limit.push(change + effect);
                }
                measured += 1;
            }
            let rulings = self.judged.iter().zip(&changes).map(|(one, changes)| {
                let shift = ranks.paired(changes);
                match one.is_whole {
                    true => decide_whole(&shift, &one.held.criteria),
                    false => decide(&shift, &one.held.criteria),
                }
            });
            match rulings.max() {
                Some(Ruling::Undecided) => {}
                worst => return (worst.unwrap_or(Ruling::Pass), measured),
            }
        }
        (Ruling::Undecided, measured)
    }
}

/// The relative limits of a policy.
///
/// # Errors
/// It has none.
pub(crate) fn limits(policy: &Policy) -> Result<Vec<JudgedLimit>, SimulateError> {
    let limits = held(policy);
    if limits.is_empty() { Err(SimulateError::NoLimit) } else { Ok(limits) }
}
