//! Error rates of a policy, by Monte Carlo over [`gates`](crate::prove::gates).

use cp1_format::read_file;
use fastrand::Rng;

use crate::cli::arguments::Simulate;
use crate::judge::decision::{Held, log_of_percent, paired_shift, percent_of_log};
use crate::prove::gates::{Endings, Gate, Noise, SimulateError, judged, limits};
use crate::statistics::binomial::clopper_pearson;

/// Changes that are planted, in limits.
const EFFECTS: [f64; 4] = [1.0, 1.33, 1.5, 2.0];

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
