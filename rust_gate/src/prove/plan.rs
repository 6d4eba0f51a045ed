//! How many blocks a policy needs, by Monte Carlo over [`gates`](crate::prove::gates).

use cp1_format::summary::standard_deviation;
use cp1_format::{BlocksNeeded, Decimal, LimitBlocks, Policy, Report};
use fastrand::Rng;

use crate::cli::arguments::Plan;
use crate::judge::decision::{JudgedLimit, Ruling, decide, held, log_of_percent};
use crate::prove::gates::{Gate, Noise, SimulateError, judged, limits};
use crate::read::standard_input;
use crate::statistics::shift::Ranks;

/// What is asked of a number of blocks: detection at what must be caught, and passes without any
/// change, in percent.
const WANTED_DETECTION_PCT: u32 = 99;
const WANTED_PASSES_PCT: u32 = 95;

/// Numbers of blocks that are tried.
const TRIED: [usize; 14] = [4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100];

/// Gates that are simulated for each number of blocks.
const PLAN_GATES: u32 = 1000;

/// Baselines that `freeze` simulates for each number of blocks.
const FREEZE_TRIES: u32 = 200;

/// How many blocks each metric needs on the machine that the baseline was measured on.
///
/// # Errors
/// [`SimulateError`]
pub fn plan(arguments: &Plan) -> Result<BlocksNeeded, SimulateError> {
    let policy: Policy = standard_input::file(&arguments.policy)?;
    limits(&policy)?;
    let baseline: Report = standard_input::file(&arguments.baseline)?;
    let mut most = Some(0);
    let mut of_limits = Vec::new();
    for (held, needed) in needed(&policy, &baseline)? {
        of_limits.push(LimitBlocks {
            metric: held.metric,
            spread_pct: spread_pct(&Noise::of(&baseline, &judged(&[held]))?),
            to_catch: needed.to_catch.map(|blocks| blocks as u64),
            to_pass_too: needed.to_pass_too.map(|blocks| blocks as u64),
        });
        most = most.zip(needed.to_pass_too).map(|(most, needed): (usize, usize)| most.max(needed));
    }
    Ok(BlocksNeeded {
        detection_pct: Decimal::from(u64::from(WANTED_DETECTION_PCT)),
        passes_pct: Decimal::from(u64::from(WANTED_PASSES_PCT)),
        limits: of_limits,
        last_look: policy.decision.looks.last().map_or(0, |look| u64::from(*look)),
        blocks: most.map(|blocks| blocks as u64),
    })
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
pub fn needed(
    policy: &Policy,
    baseline: &Report,
) -> Result<Vec<(JudgedLimit, Needed)>, SimulateError> {
    let limits = held(policy);
    let passes_wanted = 100.0 - (100.0 - f64::from(WANTED_PASSES_PCT)) / limits.len().max(1) as f64;
    let of_limit = |held: &JudgedLimit| {
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
pub fn blocks_to_freeze(held: &JudgedLimit, report: &Report) -> Option<usize> {
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
        passed as f64 * 100.0 >= f64::from(WANTED_PASSES_PCT) * f64::from(FREEZE_TRIES)
    })
}

/// Of the first limit.
fn spread_pct(noise: &Noise) -> Option<Decimal> {
    let Noise::Drawn(blocks) = noise else { return None };
    let figures: Vec<f64> = blocks.iter().filter_map(|block| block.first().copied()).collect();
    Decimal::of_fraction(standard_deviation(&figures)?.exp_m1() * 100.0, 1)
}

fn blocks_needed(held: &JudgedLimit, noise: &Noise, passes_wanted: f64) -> Option<usize> {
    let caught = log_of_percent(held.must_catch_pct, held.direction);
    let at_least =
        |count: u64, percent: f64| count as f64 * 100.0 >= percent * f64::from(PLAN_GATES);
    TRIED.into_iter().find(|&blocks| {
        let gate = Gate::new(&judged(&[*held]), &[blocks], noise);
        let mut random = Rng::with_seed(1);
        let planted = Some((held, caught));
        at_least(gate.run(None, PLAN_GATES, &mut random).passed, passes_wanted)
            && at_least(
                gate.run(planted, PLAN_GATES, &mut random).failed,
                f64::from(WANTED_DETECTION_PCT),
            )
    })
}
