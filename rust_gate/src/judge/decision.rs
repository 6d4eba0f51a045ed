//! What the blocks of two sides say about one metric, with stated error rates. Pure.
//!
//! The figures of the blocks are compared as natural logs, so that a percentage is a distance, and
//! turned so that more is worse. With the estimate of the shift and its two bounds
//! ([`crate::statistics::shift`]):
//!
//! * **Fail**: the estimate is beyond the limit, and the bound nearer to no change is beyond no
//!   change. Without any change this happens at most as often as that bound's level says.
//! * **Pass**: the estimate is within the limit, and the far bound is below what must be caught.
//!   With a change of that size this happens at most as often as the far bound's level says.
//! * **Undecided**: neither. More blocks are measured, up to the last planned look; what is
//!   undecided there stays so. To let the estimate alone decide would break the stated rate of false alarms.
//!
//! The levels are the policy's error rates, shared out: the false alarms of the whole gate among
//! all limits judged on blocks and all looks, the misses of one metric among the looks
//! (Bonferroni). Looks are fixed in advance; nothing is measured again until it is green.
//!
//! # The statistic of a replay
//!
//! Both sides of a block are alive together and measured in turn, slice by slice, so a block gives one
//! change of each metric, in which the machine's moods of longer than a slice are not contained. A
//! coin, thrown for each block apart, decides which side boots first and whose slices come first. So
//! without a change the sign of a block's change is a coin's too, whatever the noise is, and the exact
//! signed-rank distribution holds. Its smallest probability for n blocks is 1 in 2^n: that is why the
//! first look comes after 9 blocks, which can pass, and the second after 12, which can fail.
//!
//! Blocks that were not measured in turn (frozen ones and those of now) are two independent samples,
//! with the exact Mann-Whitney distribution.
//!
//! # Whole blocks
//!
//! The figure of a block is a median over slices, and does not show what only few slices have, such as
//! a router that stops for 20 ms every two seconds. So the percentiles of whole blocks, all slices
//! together, are judged besides: they fail by the rule above, and leave a metric open as long as their
//! estimate is beyond its limit, but pass nothing. They take their part of the false alarms.

use cp1_format::summary::Percentile;
use cp1_format::{Direction, Metric, Policy, Rule};

use crate::statistics::shift::{self, Shift};

/// Rounding of logs and their differences: a figure exactly at the limit is within it.
const ROUNDING: f64 = 1e-9;

/// The answer for one metric; the order is from good to bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ruling {
    /// A change that must be caught is ruled out.
    Pass,
    /// The blocks do not say.
    Undecided,
    /// The change is beyond the limit, and no accident.
    Fail,
}

/// What a metric is held to. Logs, of which more is worse.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Criteria {
    /// The tolerated shift.
    pub limit: f64,
    /// The shift that must be caught; above the limit.
    pub must_catch: f64,
    /// How often, at most, a failure without any change, at this look and for this metric.
    pub false_alarm: f64,
    /// How often, at most, a pass with a change of `must_catch`, at this look.
    pub miss: f64,
}

/// A relative limit of the policy, with the criteria that blocks are judged by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgedLimit {
    /// Of which metric.
    pub metric: Metric,
    /// The tolerated change, in percent; above 0 in either direction.
    pub limit_pct: f64,
    /// The change that must be caught, in percent.
    pub must_catch_pct: f64,
    /// Which way of moving is limited; turned this way, more is worse.
    pub direction: Direction,
    /// The same in logs, with the error rates of one look.
    pub criteria: Criteria,
}

/// Every relative limit of a policy, in table order.
#[must_use]
pub fn held(policy: &Policy) -> Vec<JudgedLimit> {
    let limits: Vec<_> = policy
        .rules
        .iter()
        .flat_map(|(&metric, rule)| {
            let limits = rule.relative_limits();
            limits.map(move |(direction, percent)| (metric, percent.approximate(), direction))
        })
        .collect();
    let false_alarm = false_alarm(policy);
    let miss = policy.decision.miss_pct.approximate() / 100.0 / looks(policy);
    limits
        .into_iter()
        .map(|(metric, limit_pct, direction)| {
            let given = policy.decision.must_catch_pct.get(&metric);
            let must_catch_pct = given.map_or_else(
                || default_must_catch(limit_pct, direction),
                |percent| percent.approximate(),
            );
            let criteria = Criteria {
                limit: log_of_percent(limit_pct, direction),
                must_catch: log_of_percent(must_catch_pct, direction),
                false_alarm,
                miss,
            };
            JudgedLimit { metric, limit_pct, must_catch_pct, direction, criteria }
        })
        .collect()
}

fn looks(policy: &Policy) -> f64 {
    policy.decision.looks.len().max(1) as f64
}

/// How often, at most, one judgement of one look fails without any change.
#[must_use]
pub fn false_alarm(policy: &Policy) -> f64 {
    let judgements = |(&metric, rule): (&Metric, &Rule)| {
        rule.relative_limits().count() * if has_whole_blocks(metric) { 2 } else { 1 }
    };
    let judgements: usize = policy.rules.iter().map(judgements).sum();
    let percent = policy.decision.false_alarm_pct.approximate();
    percent / 100.0 / (judgements.max(1) as f64 * looks(policy))
}

/// Whether a metric has a figure of the whole block besides that of its slices.
#[must_use]
pub fn has_whole_blocks(metric: Metric) -> bool {
    Percentile::of_metric(metric).is_some()
}

/// What must be caught of a metric, in percent, where a decrease or an increase is limited.
#[must_use]
pub fn must_catch(policy: &Policy, metric: Metric, direction: Direction) -> Option<f64> {
    let mut limits = held(policy).into_iter();
    let limit = limits.find(|held| (held.metric, held.direction) == (metric, direction));
    limit.map(|held| held.must_catch_pct)
}

/// Twice the limit; of a decrease that would be all, half way between the limit and all.
fn default_must_catch(limit: f64, direction: Direction) -> f64 {
    match (direction, 2.0 * limit) {
        (Direction::Decrease, twice) if twice >= 100.0 => f64::midpoint(limit, 100.0),
        (_, twice) => twice,
    }
}

/// Shift between the sides of blocks, from each block's change in logs, of which more is worse.
#[must_use]
pub fn paired_shift(changes: &[f64], criteria: &Criteria) -> Shift {
    shift::paired(changes, criteria.false_alarm, criteria.miss)
}

/// Whether the estimate is beyond the limit; that alone decides nothing.
#[must_use]
pub fn is_beyond(shift: &Shift, criteria: &Criteria) -> bool {
    shift.estimate > criteria.limit + ROUNDING
}

/// The rule of this module's page, the same at every look.
#[must_use]
pub fn decide(shift: &Shift, criteria: &Criteria) -> Ruling {
    let is_beyond = is_beyond(shift, criteria);
    if is_beyond && shift.lower > ROUNDING {
        Ruling::Fail
    } else if !is_beyond && shift.upper < criteria.must_catch {
        Ruling::Pass
    } else {
        Ruling::Undecided
    }
}

/// The same for whole blocks, all slices together, beside what the slices say: red as ever, and open as
/// long as the estimate is beyond the limit. Nothing is passed by them that slices do not pass.
#[must_use]
pub fn decide_whole(shift: &Shift, criteria: &Criteria) -> Ruling {
    match decide(shift, criteria) {
        Ruling::Fail => Ruling::Fail,
        _ if is_beyond(shift, criteria) => Ruling::Undecided,
        _ => Ruling::Pass,
    }
}

/// The shift that a move of `percent` is; above 0 in either direction.
#[must_use]
pub fn log_of_percent(percent: f64, direction: Direction) -> f64 {
    direction.turned((direction.turned(percent) / 100.0).ln_1p())
}

/// The change of the figure in percent that a shift is; the inverse of [`log_of_percent`], signed
/// as the figure moves. `None` for a bound that there is not.
#[must_use]
pub fn percent_of_log(shift: f64, direction: Direction) -> Option<f64> {
    let log = direction.turned(shift);
    let percent = log.exp_m1() * 100.0;
    (log.is_finite() && percent.is_finite()).then_some(percent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CRITERIA: Criteria =
        Criteria { limit: 0.1, must_catch: 0.2, false_alarm: 0.001, miss: 0.005 };

    fn ruling(estimate: f64, lower: f64, upper: f64) -> Ruling {
        decide(&Shift { estimate, lower, upper }, &CRITERIA)
    }

    #[test]
    fn every_side_of_every_border_has_its_ruling() {
        assert_eq!(ruling(0.11, 0.01, 0.3), Ruling::Fail);
        assert_eq!(ruling(0.11, -0.01, 0.3), Ruling::Undecided);
        assert_eq!(ruling(0.1, 0.05, 0.19), Ruling::Pass, "the limit itself is within");
        assert_eq!(ruling(0.1, 0.05, 0.21), Ruling::Undecided);
        assert_eq!(ruling(0.0, f64::NEG_INFINITY, f64::INFINITY), Ruling::Undecided);
    }

    #[test]
    fn percent_and_log_are_inverse_in_both_directions() {
        assert!((log_of_percent(15.0, Direction::Increase) - 1.15_f64.ln()).abs() < 1e-15);
        assert!((log_of_percent(10.0, Direction::Decrease) + 0.9_f64.ln()).abs() < 1e-15);
        for percent in [0.0, 0.01, 15.0, 99.0] {
            for direction in Direction::ALL {
                let log = log_of_percent(percent, direction);
                let back = percent_of_log(log, direction).unwrap_or(f64::NAN);
                let shown = direction.turned(percent);
                assert!((back - shown).abs() < 1e-9, "{percent} {direction:?} {back}");
            }
        }
        for direction in Direction::ALL {
            assert_eq!(percent_of_log(f64::INFINITY, direction), None);
        }
    }

    proptest! {
        #[test]
        fn a_worse_candidate_never_has_a_better_ruling(
            changes in prop::collection::vec(-1.0f64..1.0, 12), worse in 0.0f64..1.0,
        ) {
            let moved: Vec<_> = changes.iter().map(|change| change + worse).collect();
            let rank = |changes: &[f64]| decide(&paired_shift(changes, &CRITERIA), &CRITERIA);
            prop_assert!(rank(&moved) >= rank(&changes));
            let zeros = [0.0; 12];
            let apart = |logs: &[f64]| decide(
                &shift::unpaired(&zeros, logs, CRITERIA.false_alarm, CRITERIA.miss), &CRITERIA
            );
            prop_assert!(apart(&moved) >= apart(&changes));
        }

        #[test]
        fn swapping_the_sides_mirrors_the_shift(
            changes in prop::collection::vec(-1.0f64..1.0, 12),
        ) {
            let equal = Criteria { miss: CRITERIA.false_alarm, ..CRITERIA };
            let swapped: Vec<_> = changes.iter().map(|change| -change).collect();
            let (one, other) = (paired_shift(&changes, &equal), paired_shift(&swapped, &equal));
            prop_assert!((one.estimate + other.estimate).abs() < 1e-9);
            prop_assert!((one.lower + other.upper).abs() < 1e-9);
        }
    }
}
