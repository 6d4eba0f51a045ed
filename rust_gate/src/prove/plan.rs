//! How many blocks a policy needs, by Monte Carlo over [`gates`](crate::prove::gates).

use cp1_format::summary::standard_deviation;
use cp1_format::{Policy, Report, read_file};
use fastrand::Rng;

use crate::cli::arguments::Plan;
use crate::judge::decision::{JudgedLimit, Ruling, decide, held, log_of_percent};
use crate::prove::gates::{Gate, Noise, SimulateError, judged, limits};
use crate::statistics::shift::Ranks;

/// What is asked of a number of blocks: detection at what must be caught, and passes without any
/// change, in percent.
const WANTED_DETECTION_PCT: f64 = 99.0;
const WANTED_PASSES_PCT: f64 = 95.0;

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
pub fn plan(arguments: &Plan) -> Result<String, SimulateError> {
    let policy: Policy = read_file(&arguments.policy)?;
    limits(&policy)?;
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
pub fn needed(
    policy: &Policy,
    baseline: &Report,
) -> Result<Vec<(JudgedLimit, Needed)>, SimulateError> {
    let limits = held(policy);
    let passes_wanted = 100.0 - (100.0 - WANTED_PASSES_PCT) / limits.len().max(1) as f64;
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
        passed as f64 * 100.0 >= WANTED_PASSES_PCT * f64::from(FREEZE_TRIES)
    })
}

/// Of the first limit.
fn spread(noise: &Noise) -> String {
    let Noise::Drawn(blocks) = noise else { return String::new() };
    let figures: Vec<f64> = blocks.iter().filter_map(|block| block.first().copied()).collect();
    standard_deviation(&figures)
        .map_or_else(String::new, |deviation| format!("{:.1} %", deviation.exp_m1() * 100.0))
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
            && at_least(gate.run(planted, PLAN_GATES, &mut random).failed, WANTED_DETECTION_PCT)
    })
}
