//! What variants of one build cost, as ratios with intervals, and what a policy says of them. Pure.
//!
//! Variants of a block were measured in turn, slice by slice, as the sides of a replay are, so each block
//! gives one log ratio of each figure: the median over slices; of memory, which has none, that of the block.
//! Estimate and interval are those of [`crate::statistics::shift`].
//!
//! # Limits
//!
//! A limit on a ratio is decided by the rule of [`crate::judge::decision`], with the limit itself in place of
//! no change: it fails where the estimate is beyond the limit and the near bound is too, and passes where the
//! estimate is within and the far bound is below what must be caught. So a ratio within its limit fails at
//! most as often as the policy's rate of false alarms says, shared out among limits and looks. A figure that
//! could not be measured soundly passes nothing.

use std::collections::BTreeMap;

use bigdecimal::{BigDecimal, FromPrimitive as _};
use cp1_format::summary::median;
use cp1_format::{
    Amount, Block, Decimal, JudgedRatio, Judgement, Notice, Outcomes, Phase, Policy, Ratio,
    RatioDecision, RatioFigure, RatioRule, Report, Unserved, pair,
};

use crate::judge::blocks::{all_disturbed, change_of_slices, log_ratio};
use crate::judge::decision::{Criteria, Ruling, decide};
use crate::judge::samples;
use crate::statistics::shift::{self, Shift};

/// How often an interval has the true ratio in it, at least, in percent.
pub const CONFIDENCE_PCT: u64 = 95;

/// Significant digits of a ratio.
const DIGITS: i64 = 3;

/// One variant: its value as text, and what was measured.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    /// The value.
    pub value: &'a str,
    /// The path of its report.
    pub path: &'a str,
    /// What it says.
    pub report: &'a Report,
}

/// Every pair that is shown: each variant over the first, and over the one before it.
#[must_use]
pub fn pairs(values: usize) -> Vec<(usize, usize)> {
    (1..values)
        .flat_map(|of| if of == 1 { vec![(1, 0)] } else { vec![(of, 0), (of, of - 1)] })
        .collect()
}

/// The pairs of an option that a policy limits and nobody measures.
#[must_use]
pub fn unmeasured<'a>(policy: &'a Policy, option: &str, values: &[String]) -> Vec<&'a str> {
    let is_measured = |name: &str| {
        let has = |value: &str| values.iter().any(|measured| measured == value);
        pair(name).is_some_and(|(of, to)| has(of) && has(to))
    };
    let limited = policy.ratios.get(option).into_iter().flatten();
    limited.map(|(name, _)| name.as_str()).filter(|name| !is_measured(name)).collect()
}

/// Every ratio, and what a policy says of all together; nothing where it limits none of this option.
#[must_use]
pub fn ratios(
    sides: &[Side<'_>],
    option: &str,
    policy: Option<&Policy>,
) -> (Vec<Ratio>, Option<RatioDecision>) {
    let limits = policy.and_then(|policy| Some((policy, policy.ratios.get(option)?)));
    let mut shown: Vec<(Side<'_>, Side<'_>)> = pairs(sides.len())
        .into_iter()
        .filter_map(|(of, to)| Some((*sides.get(of)?, *sides.get(to)?)))
        .collect();
    // A policy may limit any two of them.
    for name in limits.iter().flat_map(|(_, limits)| limits.keys()) {
        let find = |value: &str| sides.iter().find(|side| side.value == value).copied();
        if let Some((of, to)) = pair(name).and_then(|(of, to)| find(of).zip(find(to)))
            && !shown.iter().any(|(a, b)| (a.value, b.value) == (of.value, to.value))
        {
            shown.push((of, to));
        }
    }
    let held = limits.map(|(policy, limits)| Held {
        policy,
        judgements: limits.values().map(BTreeMap::len).sum::<usize>().max(1) as f64
            * policy.decision.looks.len().max(1) as f64,
    });
    let ratios: Vec<Ratio> = shown
        .into_iter()
        .flat_map(|(of, to)| RatioFigure::ALL.map(|figure| (of, to, figure)))
        .map(|(of, to, figure)| {
            let changes = changes(of.report, to.report, figure);
            let name = format!("{}/{}", of.value, to.value);
            let rule = limits
                .and_then(|(_, limits)| limits.get(&name))
                .and_then(|rules| rules.get(&figure));
            let judged = held
                .as_ref()
                .zip(rule)
                .and_then(|(held, rule)| held.judged(figure, rule, changes.as_deref(), of, to));
            ratio(of.value, to.value, figure, changes.as_deref(), judged)
        })
        .collect();
    let decision = held.map(|Held { policy, .. }| RatioDecision {
        judgement: worst(ratios.iter().filter_map(|ratio| ratio.judged.as_ref())),
        looks: policy.decision.looks.clone(),
        false_alarm_pct: policy.decision.false_alarm_pct.clone(),
        miss_pct: policy.decision.miss_pct.clone(),
    });
    (ratios, decision)
}

/// A violation is one whatever else is open; nothing judged is nothing that holds.
fn worst<'a>(judged: impl Iterator<Item = &'a JudgedRatio>) -> Judgement {
    let all: Vec<_> = judged.map(|judged| judged.judgement).collect();
    let is_any = |judgement| all.contains(&judgement);
    match all.is_empty() {
        _ if is_any(Judgement::Violated) => Judgement::Violated,
        false if all.iter().all(|judgement| *judgement == Judgement::Holds) => Judgement::Holds,
        _ => Judgement::Undecided,
    }
}

/// Each block's log ratio; nothing where one lacks the figure, or where the blocks are not the same.
fn changes(of: &Report, to: &Report, figure: RatioFigure) -> Option<Vec<f64>> {
    let (of, to) = (of.blocks.as_ref()?, to.blocks.as_ref()?);
    let blocks = (of.len() == to.len()).then(|| to.iter().zip(of))?;
    blocks.map(|(from, to)| change(figure, from, to)).collect()
}

fn change(figure: RatioFigure, from: &Block, to: &Block) -> Option<f64> {
    match figure.metric() {
        Some(metric) => change_of_slices(metric, from, to),
        None => {
            let (from, to) = (&from.latency.slices.p50_ns, &to.latency.slices.p50_ns);
            let slices = from.as_ref()?.iter().zip(to.as_ref()?);
            let logs = slices.map(|(from, to)| log_ratio(*from as f64, *to as f64));
            median(logs.collect::<Option<_>>()?)
        }
    }
}

fn ratio(
    of: &str,
    to: &str,
    figure: RatioFigure,
    changes: Option<&[f64]>,
    judged: Option<JudgedRatio>,
) -> Ratio {
    let level = (100 - CONFIDENCE_PCT) as f64 / 200.0;
    let shift = changes.map(|changes| shift::paired(changes, level, level));
    let of_log =
        |log: fn(&Shift) -> f64| shift.as_ref().and_then(|shift| decimal(log(shift).exp()));
    Ratio {
        of: of.to_owned(),
        to: to.to_owned(),
        figure,
        estimate: of_log(|shift| shift.estimate),
        low: of_log(|shift| shift.lower).filter(|low| !low.is_zero()),
        high: of_log(|shift| shift.upper),
        judged,
    }
}

/// Rounded to significant digits; nothing of what is no number.
fn decimal(ratio: f64) -> Option<Decimal> {
    let exact = BigDecimal::from_f64(ratio)?;
    Some(Decimal::rounded(&exact, Decimal::places(&exact, DIGITS)))
}

/// By what ratios are judged.
struct Held<'a> {
    policy: &'a Policy,
    /// All limits at all looks, among which the false alarms are shared out.
    judgements: f64,
}

impl Held<'_> {
    fn judged(
        &self,
        figure: RatioFigure,
        rule: &RatioRule,
        changes: Option<&[f64]>,
        of: Side<'_>,
        to: Side<'_>,
    ) -> Option<JudgedRatio> {
        let worse = figure.worse();
        let limit = rule.limit(figure)?.clone();
        let log_limit = worse.turned(limit.approximate().ln());
        let decision = &self.policy.decision;
        let looks = decision.looks.len().max(1) as f64;
        let criteria = Criteria {
            limit: 0.0,
            must_catch: worse.turned(rule.must_catch(figure)?.ln()) - log_limit,
            false_alarm: decision.false_alarm_pct.approximate() / 100.0 / self.judgements,
            miss: decision.miss_pct.approximate() / 100.0 / looks,
        };
        let turned: Vec<f64> =
            changes.unwrap_or_default().iter().map(|change| worse.turned(*change)).collect();
        let shift = shift::paired(&turned, criteria.false_alarm, criteria.miss).moved(-log_limit);
        let doubt = doubt(figure, of).or_else(|| doubt(figure, to));
        let (judgement, explanation) = match (decide(&shift, &criteria), doubt) {
            _ if turned.is_empty() => {
                (Judgement::Undecided, "not every block has this figure".to_owned())
            }
            (Ruling::Fail, _) => {
                (Judgement::Violated, "estimate and near bound are beyond the limit".to_owned())
            }
            (_, Some(doubt)) => (Judgement::Undecided, doubt),
            (Ruling::Pass, None) => (
                Judgement::Holds,
                "the estimate is within the limit, the far bound within what must be caught"
                    .to_owned(),
            ),
            (Ruling::Undecided, None) => (
                Judgement::Undecided,
                "more blocks, longer ones or a quieter machine would decide".to_owned(),
            ),
        };
        Some(JudgedRatio { limit, judgement, explanation })
    }
}

/// Why a figure of a variant is no measure of it.
fn doubt(figure: RatioFigure, side: Side<'_>) -> Option<String> {
    let Side { value, path, report } = side;
    let of_metric = figure.metric().and_then(|metric| {
        samples::shortage(path, report, metric)
            .or_else(|| samples::generators_own(path, report, metric))
    });
    let unserved = unserved(report);
    match of_metric {
        Some(problem) => Some(format!("{value}: {}", problem.message)),
        None if unserved > 0 => Some(format!(
            "{value}: {unserved} requests were not served, so its figures are those of the rest"
        )),
        None if all_disturbed(None, report, report) => {
            Some(format!("{value}: every block was disturbed, so its figures show the machine"))
        }
        None => None,
    }
}

/// Requests of both loops that were not answered with success.
fn unserved(report: &Report) -> u64 {
    let of = |outcomes: &Outcomes| outcomes.offered.saturating_sub(outcomes.ok);
    let accounting = report.accounting.unwrap_or_default();
    of(&accounting.throughput).saturating_add(of(&accounting.latency))
}

/// The median of each figure over the blocks of a variant.
#[must_use]
pub fn figures(report: &Report) -> BTreeMap<RatioFigure, Amount> {
    let of = |figure: RatioFigure| match figure.metric() {
        Some(metric) => report.metrics.get(metric).cloned(),
        None => {
            let blocks = report.blocks.iter().flatten();
            let of_block = |block: &Block| {
                let slices = block.latency.slices.p50_ns.as_ref()?;
                median(slices.iter().map(|ns| *ns as f64 / 1e6).collect())
            };
            let median = median(blocks.map(of_block).collect::<Option<_>>()?)?;
            Amount::new(Decimal::rounded(&BigDecimal::from_f64(median)?, 6)).ok()
        }
    };
    RatioFigure::ALL.into_iter().filter_map(|figure| Some((figure, of(figure)?))).collect()
}

/// What a reader should know of the variants besides their ratios.
#[must_use]
pub fn notices(sides: &[Side<'_>], decision: Option<&RatioDecision>) -> Vec<Notice> {
    let mut notices = Vec::new();
    for Side { value, report, .. } in sides {
        let accounting = report.accounting.unwrap_or_default();
        for phase in Phase::ALL {
            let Some(outcomes) = phase.of(&accounting) else { continue };
            for outcome in Unserved::ALL {
                let count = outcome.of(outcomes);
                if count > 0 {
                    notices.push(Notice(format!(
                        "{value}: {count} of {} requests of the {} were {}: its figures are those of the \
                         rest",
                        outcomes.offered,
                        phase.name(),
                        outcome.name(),
                    )));
                }
            }
        }
    }
    for side in sides {
        let problems = RatioFigure::ALL.into_iter().filter_map(|figure| {
            let metric = figure.metric()?;
            samples::shortage(side.path, side.report, metric)
                .or_else(|| samples::generators_own(side.path, side.report, metric))
        });
        let said = problems.map(|problem| {
            Notice(format!("{}: {}; {}", side.value, problem.message, problem.cure))
        });
        notices.extend(said);
    }
    if decision.is_none() {
        notices.push(Notice("the policy limits no ratio of this option".to_owned()));
    }
    notices
}
