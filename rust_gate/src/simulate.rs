//! Error rates of a policy by Monte Carlo: gates under replay, judged by the code that judges real
//! ones, over rounds drawn from a baseline or from a stated model of noise.
//!
//! The gates are simulated as a whole: all relative limits, all looks, ending as a real one ends.
//! Zero-tolerance counts are left out, as they have no noise to simulate. What a session does to a
//! machine falls on both sides of a replay alike.

use cp1_format::{Policy, ReadError, Report, read_file};
use fastrand::Rng;

use crate::arguments::{Plan, Simulate};
use crate::decision::{Criteria, Held, Ruling, decide, held, log_of_percent};
use crate::statistics::{Ranks, clopper_pearson};

/// Fewest rounds that stand for a machine's noise.
const ROUNDS_MIN: usize = 8;

/// Changes that are planted, in limits.
const EFFECTS: [f64; 4] = [1.0, 1.33, 1.5, 2.0];

/// How much a spiked round is worse, on average, in logs: 30 % of Exp(1).
const SPIKE_MEAN: f64 = 0.3;

/// What `plan` asks of a number of pairs: detection at what must be caught, and passes without any
/// change, in percent.
const WANTED_DETECTION_PCT: f64 = 99.0;
const WANTED_PASSES_PCT: f64 = 95.0;

/// Numbers of pairs that `plan` tries.
const TRIED: [usize; 14] = [4, 6, 8, 10, 12, 16, 20, 24, 30, 40, 50, 60, 80, 100];

/// Gates that `plan` simulates for each number of pairs.
const PLAN_GATES: u32 = 1000;

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// A file cannot be read.
    #[error("{0}; {cure}", cure = .0.cure())]
    Read(#[from] ReadError),
    /// The baseline's rounds are too few.
    #[error(
        "the baseline has {0} rounds that measured every relative metric, and {ROUNDS_MIN} are \
         needed to know this machine's noise; measure more, or state a noise with --spread"
    )]
    TooFewRounds(usize),
    /// There is nothing that noise could touch.
    #[error("the policy has no relative limit, so no noise can mislead it")]
    NoLimit,
}

/// Where the rounds' noise comes from. All figures are logs, of which more is worse.
enum Noise {
    /// Rounds of a baseline, each with all its metrics: what goes together stays together.
    Drawn(Vec<Vec<f64>>),
    /// A normal distribution, a share of spikes, and what a session adds to both sides.
    Model { spread: f64, spikes: f64, session: f64 },
}

impl Noise {
    fn of(baseline: &Report, limits: &[Held]) -> Result<Self, SimulateError> {
        let of_round = |round: &cp1_format::Round| -> Option<Vec<f64>> {
            let log = |held: &Held| {
                let log = round.metrics.get(held.metric)?.approximate().ln();
                let turned = if held.less_is_worse { -log } else { log };
                turned.is_finite().then_some(turned)
            };
            limits.iter().map(log).collect()
        };
        let rounds: Vec<_> = baseline.rounds.iter().flatten().filter_map(of_round).collect();
        if rounds.len() < ROUNDS_MIN {
            return Err(SimulateError::TooFewRounds(rounds.len()));
        }
        Ok(Self::Drawn(rounds))
    }

    /// A round's logs, one for each limit; `session` is what the session adds to each.
    fn round(&self, session: &[f64], random: &mut Rng) -> Vec<f64> {
        match self {
            Self::Drawn(rounds) => random.choice(rounds).cloned().unwrap_or_default(),
            Self::Model { spread, spikes, .. } => session
                .iter()
                .map(|session| {
                    let spike = if random.f64() < *spikes { exponential(random) } else { 0.0 };
                    session + spread * normal(random) + SPIKE_MEAN * spike
                })
                .collect(),
        }
    }

    fn session(&self, limits: usize, random: &mut Rng) -> Vec<f64> {
        match self {
            Self::Drawn(_) => vec![0.0; limits],
            Self::Model { session, .. } => (0..limits).map(|_| session * normal(random)).collect(),
        }
    }
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
    /// Pairs of rounds measured, in all gates together.
    pub pairs: u64,
}

/// A gate's limits with the looks that they are judged at.
struct Gate<'a> {
    criteria: Vec<Criteria>,
    looks: Vec<(usize, Ranks)>,
    noise: &'a Noise,
}

impl<'a> Gate<'a> {
    fn new(limits: &[Held], looks: &[usize], noise: &'a Noise) -> Self {
        let criteria: Vec<_> = limits.iter().map(|held| held.criteria).collect();
        let (false_alarm, miss) =
            criteria.first().map_or((0.0, 0.0), |first| (first.false_alarm, first.miss));
        let looks = looks
            .iter()
            .map(|&look| (look, Ranks::mann_whitney(look, look, false_alarm, miss)))
            .collect();
        Self { criteria, looks, noise }
    }

    /// Runs gates whose candidate is worse by `effects`, one for each limit, in logs.
    fn run(&self, effects: &[f64], gates: u32, random: &mut Rng) -> Endings {
        let mut endings = Endings::default();
        for _ in 0..gates {
            let (ruling, pairs) = self.once(effects, random);
            endings.pairs += pairs as u64;
            match ruling {
                Ruling::Pass => endings.passed += 1,
                Ruling::Fail => endings.failed += 1,
                Ruling::Undecided => endings.open += 1,
            }
        }
        endings
    }

    /// The worst ruling of the look that ended the gate, and the pairs until then.
    fn once(&self, effects: &[f64], random: &mut Rng) -> (Ruling, usize) {
        let session = self.noise.session(self.criteria.len(), random);
        let mut baseline = vec![Vec::new(); self.criteria.len()];
        let mut candidate = baseline.clone();
        let mut measured = 0;
        for (look, ranks) in &self.looks {
            while measured < *look {
                push(&mut baseline, self.noise.round(&session, random), &[]);
                push(&mut candidate, self.noise.round(&session, random), effects);
                measured += 1;
            }
            let sides = baseline.iter().zip(&candidate);
            let worst = sides
                .zip(&self.criteria)
                .map(|((baseline, candidate), criteria)| {
                    decide(&ranks.unpaired(baseline, candidate), criteria)
                })
                .max();
            match worst {
                Some(Ruling::Undecided) => {}
                worst => return (worst.unwrap_or(Ruling::Pass), measured),
            }
        }
        (Ruling::Undecided, measured)
    }
}

fn push(side: &mut [Vec<f64>], round: Vec<f64>, effects: &[f64]) {
    for (index, (figures, figure)) in side.iter_mut().zip(round).enumerate() {
        figures.push(figure + effects.get(index).copied().unwrap_or(0.0));
    }
}

/// The table of `simulate`.
///
/// # Errors
/// [`SimulateError`]
pub fn simulate(arguments: &Simulate) -> Result<String, SimulateError> {
    let (limits, policy) = limits(&arguments.policy)?;
    let noise = match arguments.spread {
        Some(spread) => Noise::Model {
            spread: (spread / 100.0).ln_1p(),
            spikes: arguments.spikes / 100.0,
            session: (arguments.session / 100.0).ln_1p(),
        },
        None => Noise::of(&read_file(&arguments.baseline)?, &limits)?,
    };
    let looks: Vec<_> = policy.decision.looks.iter().map(|look| *look as usize).collect();
    let gate = Gate::new(&limits, &looks, &noise);
    let mut random = Rng::with_seed(arguments.seed);
    let mut lines = vec![
        format!("{} gates a line, {}, seed {}", arguments.gates, source(&noise), arguments.seed),
        row(&["planted", "change", "PASS", "REGRESSION", "INCONCLUSIVE", "pairs"]),
    ];
    let none = gate.run(&[], arguments.gates, &mut random);
    lines.push(line("nothing", "0 %", &none));
    for (index, held) in limits.iter().enumerate() {
        for factor in EFFECTS {
            let change = (factor * held.limit_pct).min(held.must_catch_pct.max(held.limit_pct));
            let mut effects = vec![0.0; limits.len()];
            if let Some(effect) = effects.get_mut(index) {
                *effect = log_of_percent(change, held.less_is_worse);
            }
            let endings = gate.run(&effects, arguments.gates, &mut random);
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

fn limits(policy: &std::path::Path) -> Result<(Vec<Held>, Policy), SimulateError> {
    let policy: Policy = read_file(policy)?;
    let limits = held(&policy);
    if limits.is_empty() { Err(SimulateError::NoLimit) } else { Ok((limits, policy)) }
}

fn source(noise: &Noise) -> String {
    match noise {
        Noise::Drawn(rounds) => format!("rounds drawn from the baseline's {}", rounds.len()),
        Noise::Model { spread, spikes, session } => format!(
            "rounds spread by {:.1} %, {:.1} % of them spiked, sessions by {:.1} %",
            spread.exp_m1() * 100.0,
            spikes * 100.0,
            session.exp_m1() * 100.0
        ),
    }
}

fn row(cells: &[&str; 6]) -> String {
    let [planted, change, passed, failed, open, pairs] = cells;
    format!("{planted:<22}{change:>9}{passed:>10}{failed:>12}{open:>14}{pairs:>8}")
}

fn line(planted: &str, change: &str, endings: &Endings) -> String {
    let gates = endings.passed + endings.failed + endings.open;
    let share = |count: u64| format!("{:.2} %", count as f64 / gates.max(1) as f64 * 100.0);
    let pairs = format!("{:.1}", endings.pairs as f64 / gates.max(1) as f64);
    let shares = [endings.passed, endings.failed, endings.open].map(share);
    let [passed, failed, open] = &shares;
    row(&[planted, change, passed, failed, open, &pairs])
}

/// How many pairs each metric needs on the machine that the baseline was measured on.
///
/// # Errors
/// [`SimulateError`]
pub fn plan(arguments: &Plan) -> Result<String, SimulateError> {
    let (_, policy) = limits(&arguments.policy)?;
    let baseline: Report = read_file(&arguments.baseline)?;
    let mut lines = vec![format!(
        "pairs of rounds for {WANTED_DETECTION_PCT} % detection of what must be caught; and for \
         {WANTED_PASSES_PCT} % PASS without a change too"
    )];
    let mut most = Some(0);
    for (held, needed) in needed(&policy, &baseline)? {
        lines.push(format!(
            "{:<22}{:>9}{:>16}{:>16}",
            held.metric.name(),
            spread(&Noise::of(&baseline, &[held])?),
            shown(needed.to_catch),
            shown(needed.to_pass_too)
        ));
        most = most.zip(needed.to_pass_too).map(|(most, needed): (usize, usize)| most.max(needed));
    }
    let last = policy.decision.looks.last().map_or(0, |look| *look as usize);
    lines.push(match most {
        Some(most) if most <= last => {
            format!("the policy's last look, after {last} pairs, is enough")
        }
        Some(most) => format!(
            "the policy's last look, after {last} pairs, is not enough: let decision.looks end at \
             {most}, or measure longer rounds"
        ),
        None => "no number of pairs up to 100 is enough: measure longer rounds, on a quieter \
                 machine, or widen the limits"
            .to_owned(),
    });
    Ok(lines.join("\n"))
}

fn shown(pairs: Option<usize>) -> String {
    pairs.map_or_else(|| "more than 100".to_owned(), |pairs| pairs.to_string())
}

/// How many pairs of rounds a limit needs; `None` where a hundred do not suffice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed {
    /// To find what must be caught.
    pub to_catch: Option<usize>,
    /// And to pass what did not change.
    pub to_pass_too: Option<usize>,
}

/// The pairs of rounds that each relative limit needs.
///
/// # Errors
/// The baseline has too few rounds.
pub fn needed(policy: &Policy, baseline: &Report) -> Result<Vec<(Held, Needed)>, SimulateError> {
    let limits = held(policy);
    let passes_wanted = 100.0 - (100.0 - WANTED_PASSES_PCT) / limits.len().max(1) as f64;
    let of_limit = |held: &Held| {
        let noise = Noise::of(baseline, &[*held])?;
        let needed = Needed {
            to_catch: pairs_needed(&[*held], &noise, 0.0),
            to_pass_too: pairs_needed(&[*held], &noise, passes_wanted),
        };
        Ok((*held, needed))
    };
    limits.iter().map(of_limit).collect()
}

fn spread(noise: &Noise) -> String {
    let Noise::Drawn(rounds) = noise else { return String::new() };
    let figures: Vec<f64> = rounds.iter().flatten().copied().collect();
    crate::sessions::standard_deviation(&figures)
        .map_or_else(String::new, |deviation| format!("{:.1} %", deviation.exp_m1() * 100.0))
}

fn pairs_needed(limits: &[Held; 1], noise: &Noise, passes_wanted: f64) -> Option<usize> {
    let [held] = limits;
    let caught = log_of_percent(held.must_catch_pct, held.less_is_worse);
    let at_least =
        |count: u64, percent: f64| count as f64 * 100.0 >= percent * f64::from(PLAN_GATES);
    TRIED.into_iter().find(|&pairs| {
        let gate = Gate::new(limits, &[pairs], noise);
        let mut random = Rng::with_seed(1);
        at_least(gate.run(&[0.0], PLAN_GATES, &mut random).passed, passes_wanted)
            && at_least(gate.run(&[caught], PLAN_GATES, &mut random).failed, WANTED_DETECTION_PCT)
    })
}
