//! Proves on a real candidate that every rule of a policy can fail, and that a candidate better than
//! the baseline passes. Pure but for the reading.
//!
//! A regression is planted by moving a metric's figure, in the headline and in every block, until it
//! lies just past the limit. On blocks a violation also takes a bound beyond no change, so there the
//! figures are moved until both hold, and no further.

use bigdecimal::{BigDecimal, FromPrimitive as _};
use cp1_format::{
    Amount, Block, Decimal, Judgement, Light, Limit, LimitKind, Metric, Metrics, Outcome,
    PlantedChange, Policy, Problem, Report, Rule,
};

use crate::cli::arguments::Selftest;
use crate::contract::list;
use crate::judge::blocks::Sides;
use crate::judge::compare::{Named, judge};
use crate::judge::decision::{JudgedLimit, held, percent_of_log};
use crate::judge::verdict;
use crate::read::inputs;

/// How far past a limit is just past it, and how far an improvement goes, as a share of the figure.
const JUST_PAST: f64 = 1e-6;
const BETTER: f64 = 0.01;
/// How far past a limit on blocks: slices are told in whole nanoseconds, of which ten thousand and more
/// make a figure.
const JUST_PAST_BLOCKS: f64 = 1e-3;

/// Why the policy, or this gate, is not to be trusted; or why nothing was tested.
#[derive(Debug, thiserror::Error)]
pub enum SelftestError {
    /// A file cannot be read.
    #[error("failed to test\n{}", list(.0))]
    Read(Vec<Problem>),
    /// The candidate cannot be judged, so nothing can be planted into it.
    #[error("the candidate itself is {0}: {1}; give a report that can be judged")]
    NotJudged(&'static str, String),
    /// A rule that no figure can violate.
    #[error("{0}: no figure violates this rule, so it cannot fail; give it a limit that can")]
    CannotFail(Metric),
    /// The blocks are too few for any bound.
    #[error("{0}: too few blocks to plant into; give a run that reached its first look")]
    TooFewBlocks(Metric),
    /// A planted regression is not red.
    #[error("{metric}: planted {planted}, and the rule answered {judgement}")]
    Missed {
        /// Whose.
        metric: Metric,
        /// What was planted.
        planted: String,
        /// What came of it.
        judgement: &'static str,
    },
    /// An improvement is not green.
    #[error("{metric}: improved to {planted}, and the rule answered {judgement}")]
    Alarmed {
        /// Whose.
        metric: Metric,
        /// What was planted.
        planted: String,
        /// What came of it.
        judgement: &'static str,
    },
}

/// The files of a check, all readable.
struct Files {
    baseline: Report,
    replay: Option<Report>,
    candidate: Report,
    policy: Policy,
}

/// What each rule answered, once all of them turned red and green as they must.
///
/// # Errors
/// [`SelftestError`], of the first rule that does not.
pub fn selftest(arguments: &Selftest) -> Result<Vec<PlantedChange>, SelftestError> {
    let inputs = inputs::read(&inputs::Files {
        baseline: &arguments.baseline,
        policy: &arguments.policy,
        trusted_ref: None,
        waivers: None,
        candidates: std::slice::from_ref(&arguments.candidate),
        replay: arguments.replay.as_deref(),
        smoke: false,
    });
    if !inputs.problems.is_empty() {
        return Err(SelftestError::Read(inputs.problems));
    }
    let verdict = verdict::decide(&inputs);
    if matches!(verdict.outcome, Outcome::Invalid | Outcome::Incomparable) {
        return Err(SelftestError::NotJudged(verdict.outcome.word(), verdict.summary));
    }
    let replay = inputs.replay.and_then(|replay| replay.document);
    let read = (inputs.baseline.document, inputs.candidate.document, inputs.policy.document);
    let (Some(baseline), Some(candidate), Some(policy)) = read else {
        // Whatever could not be read is among the problems.
        return Err(SelftestError::Read(Vec::new()));
    };
    let files = Files { baseline, replay, candidate, policy };
    let mut answered = Vec::new();
    let mut push =
        |metric, planted, answer| answered.push(PlantedChange { metric, planted, answer });
    for (&metric, rule) in &files.policy.rules {
        if files.held(metric).iter().any(|held| files.shift(held).is_none()) {
            return Err(SelftestError::TooFewBlocks(metric));
        }
        let worse = files.regressions(metric, rule);
        if worse.is_empty() {
            return Err(SelftestError::CannotFail(metric));
        }
        for (planted, report) in worse {
            let judgement = files.judgement(metric, &report);
            if judgement != Judgement::Violated {
                let judgement = judgement.word();
                return Err(SelftestError::Missed { metric, planted, judgement });
            }
            push(metric, planted, Light::Red);
        }
        if let Some((planted, report)) = files.improvement(metric, rule) {
            let judgement = files.judgement(metric, &report);
            if judgement != Judgement::Holds {
                let judgement = judgement.word();
                return Err(SelftestError::Alarmed { metric, planted, judgement });
            }
            push(metric, planted, Light::Green);
        }
    }
    Ok(answered)
}

impl Files {
    /// What the rule of a metric says of a changed candidate.
    fn judgement(&self, metric: Metric, candidate: &Report) -> Judgement {
        let named = |document| Named { path: "", document };
        let replayed = self.replay.as_ref().map(named);
        let judged = judge(named(&self.baseline), replayed, named(candidate), &self.policy);
        let of_metric = judged.answers.iter().find(|answer| answer.result.metric == metric);
        of_metric.map_or(Judgement::NotJudged, |answer| answer.result.judgement)
    }

    /// The candidate just past each limit of the rule, with what was planted in words.
    fn regressions(&self, metric: Metric, rule: &Rule) -> Vec<(String, Report)> {
        let step = |figure: &Amount| match metric.is_count() {
            true => BigDecimal::from(1),
            false => (figure.exact() * decimal(JUST_PAST)).max(decimal(JUST_PAST)),
        };
        let absolute = rule.limits().filter_map(|Limit { kind, amount: limit }| {
            let past = match kind {
                LimitKind::Change(_) => return None,
                LimitKind::Equals | LimitKind::Max => limit.exact() + step(limit),
                LimitKind::Min => limit.exact() - step(limit),
            };
            let amount = amount(&past)?;
            Some((format!("{amount} {}", metric.unit()), self.with(metric, &amount)))
        });
        let relative = self.held(metric).into_iter().filter_map(|held| {
            let shift = self.beyond(&held)?;
            Some((words(&held, shift), self.moved(&held, shift)))
        });
        relative.chain(absolute).collect()
    }

    /// The candidate better than the baseline, where the rule has a good side; a rule that asks for
    /// one figure is given that.
    fn improvement(&self, metric: Metric, rule: &Rule) -> Option<(String, Report)> {
        if let Some(equals) = rule.limit(LimitKind::Equals) {
            return Some((format!("{equals} {}", metric.unit()), self.with(metric, equals)));
        }
        let worse = LimitKind::Change(metric.worse());
        let is_one_sided = rule.limits().all(|limit| limit.kind == worse);
        let held = self.held(metric).first().copied().filter(|_| is_one_sided)?;
        let shift = self.better(&held)?;
        Some((words(&held, shift), self.moved(&held, shift)))
    }

    fn held(&self, metric: Metric) -> Vec<JudgedLimit> {
        held(&self.policy).into_iter().filter(|held| held.metric == metric).collect()
    }

    /// The shift of the candidate, in logs of which more is worse: its estimate, and how far the two
    /// bounds lie from it; without blocks to judge the bounds are the estimate.
    fn shift(&self, held: &JudgedLimit) -> Option<(f64, f64, f64)> {
        let baseline = self.replay.as_ref().unwrap_or(&self.baseline);
        let named = |document| Named { path: "", document };
        let replayed = self.replay.as_ref().map(named);
        let judged = judge(named(&self.baseline), replayed, named(&self.candidate), &self.policy);
        if judged.on_blocks.is_some() {
            let sides = match &self.replay {
                Some(replay) => Sides::in_turn(replay, &self.candidate),
                None => Sides::apart(&self.baseline, &self.candidate),
            };
            let shift = sides.shift(held);
            let (near, far) = (shift.estimate - shift.lower, shift.upper - shift.estimate);
            return (near.is_finite() && far.is_finite()).then_some((shift.estimate, near, far));
        }
        let figure = |report: &Report| Some(report.metrics.get(held.metric)?.approximate().ln());
        let change = figure(&self.candidate)? - figure(baseline)?;
        Some((held.direction.turned(change), 0.0, 0.0))
    }

    /// By how much to move the candidate so that it just violates a limit.
    fn beyond(&self, held: &JudgedLimit) -> Option<f64> {
        let (estimate, near, _) = self.shift(held)?;
        Some(held.criteria.limit.max(near) + JUST_PAST_BLOCKS - estimate)
    }

    /// By how much to move the candidate so that it is better than the baseline beyond noise.
    fn better(&self, held: &JudgedLimit) -> Option<f64> {
        let (estimate, _, far) = self.shift(held)?;
        Some(-BETTER - far - estimate)
    }

    /// The candidate with a metric moved by a shift in logs of which more is worse.
    fn moved(&self, held: &JudgedLimit, shift: f64) -> Report {
        let ratio = held.direction.turned(shift).exp();
        let factor = decimal(ratio);
        let mut report = self.changed(held.metric, |figure| {
            amount(&(figure.exact() * &factor)).unwrap_or_else(|| figure.clone())
        });
        for block in report.blocks.iter_mut().flatten() {
            move_slices(block, held.metric, ratio);
        }
        report
    }

    /// The candidate with a metric's headline at a figure.
    fn with(&self, metric: Metric, figure: &Amount) -> Report {
        let mut report = self.candidate.clone();
        report.metrics.0.insert(metric, figure.clone());
        report
    }

    fn changed(&self, metric: Metric, change: impl Fn(&Amount) -> Amount) -> Report {
        let mut report = self.candidate.clone();
        let blocks = report.blocks.iter_mut().flatten().map(|block| &mut block.metrics);
        for Metrics(figures) in blocks.chain([&mut report.metrics]) {
            figures.entry(metric).and_modify(|figure| *figure = change(figure));
        }
        report
    }
}

/// Rates change by the time that they took; to a nanosecond.
fn move_slices(block: &mut Block, metric: Metric, ratio: f64) {
    let (closed, open) = (&mut block.throughput.slices, &mut block.latency.slices);
    let times = &mut block.latency.response_time;
    let whole = match metric {
        Metric::LatencyP95Ms => &mut times.p95_ns,
        Metric::LatencyP99Ms => &mut times.p99_ns,
        _ => &mut None,
    };
    let (column, ratio) = match metric {
        Metric::LatencyP95Ms => (open.p95_ns.as_mut(), ratio),
        Metric::LatencyP99Ms => (open.p99_ns.as_mut(), ratio),
        Metric::Rps => (Some(&mut closed.duration_ns), 1.0 / ratio),
        Metric::MemMbTotalErlang
        | Metric::MemMbWorstNode
        | Metric::ErrorsTotal
        | Metric::BackpressureActiveTotal
        | Metric::RecoveryMs
        | Metric::RequestsLost => (None, ratio),
    };
    for ns in column.into_iter().flatten().chain(whole) {
        *ns = (*ns as f64 * ratio).round() as u64;
    }
}

fn words(held: &JudgedLimit, shift: f64) -> String {
    match percent_of_log(shift, held.direction) {
        Some(percent) => format!("the candidate's figure {percent:+.2} %"),
        None => "a figure beyond any".to_owned(),
    }
}

/// To 12 places; `None` below 0.
fn amount(exact: &BigDecimal) -> Option<Amount> {
    Amount::new(Decimal::rounded(exact, 12)).ok()
}

fn decimal(number: f64) -> BigDecimal {
    BigDecimal::from_f64(number).unwrap_or_default()
}
