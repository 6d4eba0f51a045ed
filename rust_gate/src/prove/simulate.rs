//! Error rates of a policy, by Monte Carlo over [`gates`](crate::prove::gates).

use cp1_format::{
    Decimal, MeasuredChange, Metric, Policy, Rate, Report, Said, SearchSimulation, SimulatedGates,
    Simulation,
};
use fastrand::Rng;

use crate::cli::arguments::{SIMULATED_GATES, SIMULATED_SEED, Simulate};
use crate::judge::decision::{JudgedLimit, log_of_percent, paired_shift, percent_of_log};
use crate::prove::gates::{Endings, Gate, Noise, Signs, SimulateError, judged, limits};
use crate::prove::searches::{self, Searches};
use crate::read::standard_input;
use crate::statistics::binomial::clopper_pearson;

/// Changes that are planted, in limits.
const EFFECTS: [f64; 4] = [1.0, 1.33, 1.5, 2.0];

/// What `simulate` answers.
///
/// # Errors
/// [`SimulateError`]
pub fn simulate(arguments: &Simulate) -> Result<Said, SimulateError> {
    let policy: Policy = standard_input::file(&arguments.policy)?;
    let judged = judged(&limits(&policy)?);
    let noise = match (arguments.spread, &arguments.baseline) {
        (Some(spread), _) => Noise::Model {
            spread: (spread / 100.0).ln_1p(),
            spikes: arguments.spikes / 100.0,
            limits: judged.len(),
        },
        (None, Some(baseline)) => Noise::of(&standard_input::file(baseline)?, &judged)?,
        (None, None) => {
            let replays = pairs(arguments)?;
            let sides: Vec<_> = replays.iter().map(|(replay, other)| (replay, other)).collect();
            let signs = if arguments.as_measured { Signs::AsMeasured } else { Signs::Either };
            Noise::measured(&sides, &judged, signs)?
        }
    };
    match arguments.searches {
        Some(count) => {
            let searches = Searches {
                count,
                commits: arguments.commits as usize,
                broken_pct: arguments.broken,
            };
            let lines = searches::lines(&searches, &policy, &noise, arguments.seed)?;
            Ok(Said::SimulateSearches(SearchSimulation {
                searches: count,
                seed: arguments.seed,
                source: source(&noise),
                commits: arguments.commits,
                broken_pct: percent(arguments.broken / 100.0, 2),
                lines,
            }))
        }
        None => table(&policy, &noise, arguments.gates, arguments.seed).map(Said::Simulate),
    }
}

/// The same of replays that are read already: the frozen side and the other.
///
/// # Errors
/// [`SimulateError`], but none of reading.
pub fn of_replays(
    policy: &Policy,
    replays: &[(&Report, &Report)],
    signs: Signs,
) -> Result<Simulation, SimulateError> {
    let noise = Noise::measured(replays, &judged(&limits(policy)?), signs)?;
    table(policy, &noise, SIMULATED_GATES, SIMULATED_SEED)
}

/// By how many percent the blocks of all replays say that a metric changed; `None` where too few do.
#[must_use]
pub fn change_pct(policy: &Policy, replays: &[(&Report, &Report)], metric: Metric) -> Option<f64> {
    let limits = limits(policy).ok()?;
    let noise = Noise::measured(replays, &judged(&limits), Signs::AsMeasured).ok()?;
    let index = limits.iter().position(|held| held.metric == metric)?;
    estimate(limits.get(index)?, index, &noise).map(|(percent, _)| percent)
}

/// Replays and candidates, each with its other side.
fn pairs(arguments: &Simulate) -> Result<Vec<(Report, Report)>, SimulateError> {
    let Simulate { replay, candidate, .. } = arguments;
    if replay.len() != candidate.len() {
        return Err(SimulateError::NotPaired(replay.len(), candidate.len()));
    }
    let both = replay.iter().zip(candidate);
    both.map(|(replay, candidate)| {
        Ok((standard_input::file(replay)?, standard_input::file(candidate)?))
    })
    .collect()
}

fn table(
    policy: &Policy,
    noise: &Noise,
    gates: u32,
    seed: u64,
) -> Result<Simulation, SimulateError> {
    let limits = limits(policy)?;
    let looks: Vec<_> = policy.decision.looks.iter().map(|look| *look as usize).collect();
    let gate = Gate::new(&judged(&limits), &looks, noise);
    let mut random = Rng::with_seed(seed);
    let none = gate.run(None, gates, &mut random);
    let mut simulation = Simulation {
        gates,
        seed,
        source: source(noise),
        lines: Vec::new(),
        measured: Vec::new(),
        false_alarms: None,
    };
    if matches!(noise, Noise::Measured { signs: Signs::AsMeasured, .. }) {
        simulation.lines.push(line(None, None, &none));
        simulation.measured.extend(limits.iter().enumerate().filter_map(|(index, held)| {
            let (percent, blocks) = estimate(held, index, noise)?;
            let change_pct = Decimal::of_fraction(percent, 2)?;
            Some(MeasuredChange { metric: held.metric, change_pct, blocks: blocks as u64 })
        }));
        return Ok(simulation);
    }
    simulation.lines.push(line(None, Some(0.0), &none));
    for held in &limits {
        for factor in EFFECTS {
            let change = (factor * held.limit_pct).min(held.must_catch_pct.max(held.limit_pct));
            let effect = log_of_percent(change, held.direction);
            let endings = gate.run(Some((held, effect)), gates, &mut random);
            let change = held.direction.turned(change);
            simulation.lines.push(line(Some(held.metric), Some(change), &endings));
        }
    }
    simulation.false_alarms = Some(rate(none.failed, u64::from(gates), 2));
    Ok(simulation)
}

/// Some of so many, with its interval, to so many decimal places.
pub(crate) fn rate(count: u64, of: u64, places: i64) -> Rate {
    let (low, high) = clopper_pearson(count, of, 0.95);
    Rate { count, of, low_pct: percent(low, places), high_pct: percent(high, places) }
}

/// A share in percent; one that is no number counts as none.
pub(crate) fn percent(share: f64, places: i64) -> Decimal {
    Decimal::of_fraction(share * 100.0, places).unwrap_or_else(|| Decimal::from(0))
}

/// By how many percent a metric changed over all blocks that were measured, and how many those are.
fn estimate(held: &JudgedLimit, index: usize, noise: &Noise) -> Option<(f64, usize)> {
    let Noise::Measured { changes, .. } = noise else { return None };
    let of_limit: Vec<f64> =
        changes.iter().filter_map(|of_block| of_block.get(index)).copied().collect();
    let shift = paired_shift(&of_limit, &held.criteria);
    let percent = percent_of_log(shift.estimate, held.direction)?;
    Some((percent, of_limit.len()))
}

fn source(noise: &Noise) -> String {
    match noise {
        Noise::Measured { changes, signs } => format!(
            "drawn from {} blocks of replays{}",
            changes.len(),
            match signs {
                Signs::Either => " with either sign",
                Signs::AsMeasured => " as they were measured",
            }
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

fn line(metric: Option<Metric>, change: Option<f64>, endings: &Endings) -> SimulatedGates {
    let gates = (endings.passed + endings.failed + endings.open).max(1) as f64;
    let share = |count: u64| percent(count as f64 / gates, 2);
    SimulatedGates {
        metric,
        change_pct: change.and_then(|change| Decimal::of_fraction(change, 1)),
        pass_pct: share(endings.passed),
        regression_pct: share(endings.failed),
        inconclusive_pct: share(endings.open),
        blocks: Decimal::of_fraction(endings.blocks as f64 / gates, 1)
            .unwrap_or_else(|| Decimal::from(0)),
    }
}
