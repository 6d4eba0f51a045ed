//! Error rates of a policy by Monte Carlo: gates under replay, judged by the code that judges real
//! ones, over blocks that were measured or that come from a stated model of noise.
//!
//! The gates are simulated as a whole: all relative limits, those of whole blocks with them, all looks,
//! ending as a real one ends. Zero-tolerance counts are left out, as they have no noise to simulate.
//! A block gives one change of each figure, from one of three sources:
//!
//! * **Replays** (`--replay`, `--candidate`): changes of blocks that were really measured in turn. Of
//!   one commit against itself their signs are symmetric, so a coin is thrown for each block drawn.
//! * **A baseline**: two of its blocks, drawn. They were not measured in turn, so the noise is larger
//!   than a replay's.
//! * **A model** (`--spread`): two normal figures.

use cp1_format::{Block, Policy, ReadError, Report, read_file};
use fastrand::Rng;

use crate::arguments::{Plan, Simulate};
use crate::blocks::{change_of_slices, figure, log_ratio, whole_figure};
use crate::decision::{
    Held, Ruling, decide, decide_whole, has_whole_blocks, held, log_of_percent, paired_shift,
    percent_of_log,
};
use crate::statistics::{Ranks, clopper_pearson};

/// Fewest blocks that stand for a machine's noise.
const BLOCKS_MIN: usize = 8;

/// Changes that are planted, in limits.
const EFFECTS: [f64; 4] = [1.0, 1.33, 1.5, 2.0];

/// How much a spiked block is worse, on average, in logs: 30 % of Exp(1).
const SPIKE_MEAN: f64 = 0.3;

/// What `plan` asks of a number of blocks: detection at what must be caught, and passes without any
/// change, in percent.
const WANTED_DETECTION_PCT: f64 = 99.0;
const WANTED_PASSES_PCT: f64 = 95.0;

/// Numbers of blocks that `plan` tries.
const TRIED: [usize; 14] = [4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100];

/// Gates that `plan` simulates for each number of blocks.
const PLAN_GATES: u32 = 1000;

/// Baselines that `freeze` simulates for each number of blocks.
const FREEZE_TRIES: u32 = 200;

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The baseline's blocks are too few.
    #[error(
        "the baseline has {0} blocks that measured every relative metric, and {BLOCKS_MIN} are \
         needed to know this machine's noise; measure more, or state a noise with --spread"
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
struct Judged {
    held: Held,
    is_whole: bool,
}

/// Everything that a policy's relative limits judge.
fn judged(limits: &[Held]) -> Vec<Judged> {
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
        let turned = if self.held.less_is_worse { -log } else { log };
        turned.is_finite().then_some(turned)
    }
}

/// Where the blocks' changes come from: one for each limit that is judged, in logs of which more is
/// worse.
enum Noise {
    /// Changes of blocks that were measured in turn: what goes together stays together. `flips`: a
    /// coin decides which side is which.
    Measured { changes: Vec<Vec<f64>>, flips: bool },
    /// Blocks of a baseline, of which any two make a change.
    Drawn(Vec<Vec<f64>>),
    /// The difference of two normal figures with a share of spikes; how many limits there are.
    Model { spread: f64, spikes: f64, limits: usize },
}

impl Noise {
    fn of(baseline: &Report, judged: &[Judged]) -> Result<Self, SimulateError> {
        let of_block = |block: &Block| judged.iter().map(|one| one.log(block)).collect();
        let blocks: Vec<_> = baseline.blocks.iter().flatten().filter_map(of_block).collect();
        enough(blocks.len())?;
        Ok(Self::Drawn(blocks))
    }

    fn measured(arguments: &Simulate, judged: &[Judged]) -> Result<Self, SimulateError> {
        if arguments.replay.len() != arguments.candidate.len() {
            return Err(SimulateError::NotPaired(
                arguments.replay.len(),
                arguments.candidate.len(),
            ));
        }
        let mut changes = Vec::new();
        for (replay, candidate) in arguments.replay.iter().zip(&arguments.candidate) {
            let (replay, candidate): (Report, Report) = (read_file(replay)?, read_file(candidate)?);
            let blocks = replay.blocks.iter().flatten().zip(candidate.blocks.iter().flatten());
            let of_block = |(from, to): (&Block, &Block)| -> Option<Vec<f64>> {
                judged.iter().map(|one| one.change(from, to)).collect()
            };
            changes.extend(blocks.filter_map(of_block));
        }
        enough(changes.len())?;
        Ok(Self::Measured { changes, flips: !arguments.as_measured })
    }

    /// A block's changes.
    fn change(&self, random: &mut Rng) -> Vec<f64> {
        match self {
            Self::Measured { changes, flips } => {
                let sign = if *flips && random.bool() { -1.0 } else { 1.0 };
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
    if blocks < BLOCKS_MIN { Err(SimulateError::TooFewBlocks(blocks)) } else { Ok(()) }
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
struct Gate<'a> {
    judged: Vec<Judged>,
    looks: Vec<(usize, Ranks)>,
    noise: &'a Noise,
}

impl<'a> Gate<'a> {
    fn new(judged: &[Judged], looks: &[usize], noise: &'a Noise) -> Self {
        let (false_alarm, miss) = judged.first().map_or((0.0, 0.0), |first| {
            (first.held.criteria.false_alarm, first.held.criteria.miss)
        });
        let looks =
            looks.iter().map(|&look| (look, Ranks::signed_rank(look, false_alarm, miss))).collect();
        Self { judged: judged.to_vec(), looks, noise }
    }

    /// Runs gates whose candidate is worse by an effect on one metric, in logs.
    fn run(&self, effect: Option<(&Held, f64)>, gates: u32, random: &mut Rng) -> Endings {
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

/// The table of `simulate`.
///
/// # Errors
/// [`SimulateError`]
pub fn simulate(arguments: &Simulate) -> Result<String, SimulateError> {
    let (limits, policy) = limits(&arguments.policy)?;
    let judged = judged(&limits);
    let noise = match (arguments.spread, &arguments.baseline) {
        (Some(spread), _) => Noise::Model {
            spread: (spread / 100.0).ln_1p(),
            spikes: arguments.spikes / 100.0,
            limits: judged.len(),
        },
        (None, Some(baseline)) => Noise::of(&read_file(baseline)?, &judged)?,
        (None, None) => Noise::measured(arguments, &judged)?,
    };
    let looks: Vec<_> = policy.decision.looks.iter().map(|look| *look as usize).collect();
    let gate = Gate::new(&judged, &looks, &noise);
    let mut random = Rng::with_seed(arguments.seed);
    let mut lines = vec![
        format!("{} gates a line, {}, seed {}", arguments.gates, source(&noise), arguments.seed),
        row(&["planted", "change", "PASS", "REGRESSION", "INCONCLUSIVE", "blocks"]),
    ];
    let none = gate.run(None, arguments.gates, &mut random);
    if arguments.as_measured {
        lines.push(line("what was measured", "", &none));
        lines.extend(limits.iter().enumerate().map(|(index, held)| estimate(held, index, &noise)));
        return Ok(lines.join("\n"));
    }
    lines.push(line("nothing", "0 %", &none));
    for held in &limits {
        for factor in EFFECTS {
            let change = (factor * held.limit_pct).min(held.must_catch_pct.max(held.limit_pct));
            let effect = log_of_percent(change, held.less_is_worse);
            let endings = gate.run(Some((held, effect)), arguments.gates, &mut random);
            let sign = if held.less_is_worse { "-" } else { "+" };
            lines.push(line(held.metric.name(), &format!("{sign}{change:.1} %"), &endings));
        }
    }
    let (low, high) = clopper_pearson(none.failed, u64::from(arguments.gates), 0.95);
    lines.push(format!(
        "false alarms: {} of {}, 95 % interval {:.2} to {:.2} %",
        none.failed,
        arguments.gates,
        low * 100.0,
        high * 100.0
    ));
    Ok(lines.join("\n"))
}

/// How much a metric changed, over all blocks that were measured.
fn estimate(held: &Held, index: usize, noise: &Noise) -> String {
    let Noise::Measured { changes, .. } = noise else { return String::new() };
    let of_limit: Vec<f64> =
        changes.iter().filter_map(|of_block| of_block.get(index)).copied().collect();
    let shift = paired_shift(&of_limit, &held.criteria);
    let percent = percent_of_log(shift.estimate, held.less_is_worse).unwrap_or(f64::NAN);
    format!("{:<22} {percent:+.2} % over {} blocks", held.metric.name(), of_limit.len())
}

fn limits(policy: &std::path::Path) -> Result<(Vec<Held>, Policy), SimulateError> {
    let policy: Policy = read_file(policy)?;
    let limits = held(&policy);
    if limits.is_empty() { Err(SimulateError::NoLimit) } else { Ok((limits, policy)) }
}

fn source(noise: &Noise) -> String {
    match noise {
        Noise::Measured { changes, flips } => format!(
            "drawn from {} blocks of replays{}",
            changes.len(),
            if *flips { " with either sign" } else { " as they were measured" }
        ),
        Noise::Drawn(blocks) => format!(
            "each block's change that of two drawn from the baseline's {}, which were not measured in \
             turn",
            blocks.len()
        ),
        Noise::Model { spread, spikes, .. } => format!(
            "figures of blocks spread by {:.1} %, {:.1} % of them spiked",
            spread.exp_m1() * 100.0,
            spikes * 100.0
        ),
    }
}

fn row(cells: &[&str; 6]) -> String {
    let [planted, change, passed, failed, open, blocks] = cells;
    format!("{planted:<22}{change:>9}{passed:>10}{failed:>12}{open:>14}{blocks:>8}")
}

fn line(planted: &str, change: &str, endings: &Endings) -> String {
    let gates = endings.passed + endings.failed + endings.open;
    let share = |count: u64| format!("{:.2} %", count as f64 / gates.max(1) as f64 * 100.0);
    let blocks = format!("{:.1}", endings.blocks as f64 / gates.max(1) as f64);
    let shares = [endings.passed, endings.failed, endings.open].map(share);
    let [passed, failed, open] = &shares;
    row(&[planted, change, passed, failed, open, &blocks])
}

/// How many blocks each metric needs on the machine that the baseline was measured on.
///
/// # Errors
/// [`SimulateError`]
pub fn plan(arguments: &Plan) -> Result<String, SimulateError> {
    let (_, policy) = limits(&arguments.policy)?;
    let baseline: Report = read_file(&arguments.baseline)?;
    let mut lines = vec![format!(
        "blocks for {WANTED_DETECTION_PCT} % detection of what must be caught; and for \
         {WANTED_PASSES_PCT} % PASS without a change too"
    )];
    let mut most = Some(0);
    for (held, needed) in needed(&policy, &baseline)? {
        lines.push(format!(
            "{:<22}{:>9}{:>16}{:>16}",
            held.metric.name(),
            spread(&Noise::of(&baseline, &judged(&[held]))?),
            shown(needed.to_catch),
            shown(needed.to_pass_too)
        ));
        most = most.zip(needed.to_pass_too).map(|(most, needed): (usize, usize)| most.max(needed));
    }
    let last = policy.decision.looks.last().map_or(0, |look| *look as usize);
    lines.push(match most {
        Some(most) if most <= last => {
            format!("the policy's last look, after {last} blocks, is enough")
        }
        Some(most) => format!(
            "the policy's last look, after {last} blocks, is not enough: let decision.looks end at \
             {most}, or measure longer blocks"
        ),
        None => "no number of blocks up to 100 is enough: measure longer blocks, on a quieter \
                 machine, or widen the limits"
            .to_owned(),
    });
    Ok(lines.join("\n"))
}

fn shown(blocks: Option<usize>) -> String {
    blocks.map_or_else(|| "more than 100".to_owned(), |blocks| blocks.to_string())
}

/// How many blocks a limit needs; `None` where a hundred do not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// To find what must be caught.
    pub to_catch: Option<usize>,
    /// And to pass what did not change.
    pub to_pass_too: Option<usize>,
}

/// The blocks that each relative limit needs.
///
/// # Errors
/// The baseline has too few blocks.
pub fn needed(policy: &Policy, baseline: &Report) -> Result<Vec<(Held, Needed)>, SimulateError> {
    let limits = held(policy);
    let passes_wanted = 100.0 - (100.0 - WANTED_PASSES_PCT) / limits.len().max(1) as f64;
    let of_limit = |held: &Held| {
        let noise = Noise::of(baseline, &judged(&[*held]))?;
        let needed = Needed {
            to_catch: blocks_needed(held, &noise, 0.0),
            to_pass_too: blocks_needed(held, &noise, passes_wanted),
        };
        Ok((*held, needed))
    };
    limits.iter().map(of_limit).collect()
}

/// How many blocks as noisy as a report's a baseline needs, for its halves to pass against each other
/// in as many cases as unchanged routers are to pass; `None` where a hundred do not suffice.
#[must_use]
pub fn blocks_to_freeze(held: &Held, report: &Report) -> Option<usize> {
    let Noise::Drawn(blocks) = Noise::of(report, &judged(&[*held])).ok()? else { return None };
    let figures: Vec<f64> = blocks.into_iter().filter_map(|block| block.first().copied()).collect();
    let more = TRIED.into_iter().filter(|tried| *tried > figures.len());
    more.into_iter().find(|&wanted| {
        let half = wanted / 2;
        let levels = held.criteria;
        let ranks = Ranks::mann_whitney(half, half, levels.false_alarm, levels.miss);
        let mut random = Rng::with_seed(1);
        let mut side =
            || -> Vec<f64> { (0..half).filter_map(|_| random.choice(&figures).copied()).collect() };
        let passed = (0..FREEZE_TRIES)
            .filter(|_| decide(&ranks.unpaired(&side(), &side()), &held.criteria) == Ruling::Pass)
            .count();
        passed as f64 * 100.0 >= WANTED_PASSES_PCT * f64::from(FREEZE_TRIES)
    })
}

/// Of the first limit.
fn spread(noise: &Noise) -> String {
    let Noise::Drawn(blocks) = noise else { return String::new() };
    let figures: Vec<f64> = blocks.iter().filter_map(|block| block.first().copied()).collect();
    crate::sessions::standard_deviation(&figures)
        .map_or_else(String::new, |deviation| format!("{:.1} %", deviation.exp_m1() * 100.0))
}

fn blocks_needed(held: &Held, noise: &Noise, passes_wanted: f64) -> Option<usize> {
    let caught = log_of_percent(held.must_catch_pct, held.less_is_worse);
    let at_least =
        |count: u64, percent: f64| count as f64 * 100.0 >= percent * f64::from(PLAN_GATES);
    TRIED.into_iter().find(|&blocks| {
        let gate = Gate::new(&judged(&[*held]), &[blocks], noise);
        let mut random = Rng::with_seed(1);
        let planted = Some((held, caught));
        at_least(gate.run(None, PLAN_GATES, &mut random).passed, passes_wanted)
            && at_least(gate.run(planted, PLAN_GATES, &mut random).failed, WANTED_DETECTION_PCT)
    })
}
