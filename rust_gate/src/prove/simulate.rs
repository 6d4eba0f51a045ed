//! Error rates of a policy, by Monte Carlo over [`gates`](crate::prove::gates).

use cp1_format::{Metric, Policy, Report, read_file};
use fastrand::Rng;

use crate::cli::arguments::{SIMULATED_GATES, SIMULATED_SEED, Simulate};
use crate::judge::decision::{JudgedLimit, log_of_percent, paired_shift, percent_of_log};
use crate::prove::gates::{Endings, Gate, Noise, Signs, SimulateError, judged, limits};
use crate::statistics::binomial::clopper_pearson;

/// Changes that are planted, in limits.
const EFFECTS: [f64; 4] = [1.0, 1.33, 1.5, 2.0];

/// The table of `simulate`.
///
/// # Errors
/// [`SimulateError`]
pub fn simulate(arguments: &Simulate) -> Result<String, SimulateError> {
    let policy: Policy = read_file(&arguments.policy)?;
    let judged = judged(&limits(&policy)?);
    let noise = match (arguments.spread, &arguments.baseline) {
        (Some(spread), _) => Noise::Model {
            spread: (spread / 100.0).ln_1p(),
            spikes: arguments.spikes / 100.0,
            limits: judged.len(),
        },
        (None, Some(baseline)) => Noise::of(&read_file(baseline)?, &judged)?,
        (None, None) => {
            let replays = pairs(arguments)?;
            let sides: Vec<_> = replays.iter().map(|(replay, other)| (replay, other)).collect();
            let signs = if arguments.as_measured { Signs::AsMeasured } else { Signs::Either };
            Noise::measured(&sides, &judged, signs)?
        }
    };
    table(&policy, &noise, arguments.gates, arguments.seed)
}

/// The same of replays that are read already: the frozen side and the other.
///
/// # Errors
/// [`SimulateError`], but none of reading.
pub fn of_replays(
    policy: &Policy,
    replays: &[(&Report, &Report)],
    signs: Signs,
) -> Result<String, SimulateError> {
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
    both.map(|(replay, candidate)| Ok((read_file(replay)?, read_file(candidate)?))).collect()
}

fn table(policy: &Policy, noise: &Noise, gates: u32, seed: u64) -> Result<String, SimulateError> {
    let limits = limits(policy)?;
    let looks: Vec<_> = policy.decision.looks.iter().map(|look| *look as usize).collect();
    let gate = Gate::new(&judged(&limits), &looks, noise);
    let mut random = Rng::with_seed(seed);
    let mut lines = vec![
        format!("{gates} gates a line, {}, seed {seed}", source(noise)),
        row(&["planted", "change", "PASS", "REGRESSION", "INCONCLUSIVE", "blocks"]),
    ];
    let none = gate.run(None, gates, &mut random);
    if matches!(noise, Noise::Measured { signs: Signs::AsMeasured, .. }) {
        lines.push(line("what was measured", "", &none));
        lines.extend(limits.iter().enumerate().filter_map(|(index, held)| {
            let (percent, blocks) = estimate(held, index, noise)?;
            Some(format!("{:<22} {percent:+.2} % over {blocks} blocks", held.metric.name()))
        }));
        return Ok(lines.join("\n"));
    }
    lines.push(line("nothing", "0 %", &none));
    for held in &limits {
        for factor in EFFECTS {
            let change = (factor * held.limit_pct).min(held.must_catch_pct.max(held.limit_pct));
            let effect = log_of_percent(change, held.direction);
            let endings = gate.run(Some((held, effect)), gates, &mut random);
            let sign = held.direction.sign();
            lines.push(line(held.metric.name(), &format!("{sign}{change:.1} %"), &endings));
        }
    }
    let (low, high) = clopper_pearson(none.failed, u64::from(gates), 0.95);
    lines.push(format!(
        "false alarms: {} of {gates}, 95 % interval {:.2} to {:.2} %",
        none.failed,
        low * 100.0,
        high * 100.0
    ));
    Ok(lines.join("\n"))
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
