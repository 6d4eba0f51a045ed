//! Functions of both builds, for a request.
//!
//! Tracing makes every call dearer. What a call costs is the running time with trace less that without it,
//! by all calls of both builds together; it is taken out of own times. Whatever made *all* functions of one
//! pass slower (a processor that clocked down, a neighbor) is the median ratio of own times over functions
//! that are called as often, and is taken out as well; how far single functions lie from that median is what
//! noise can do here.

use std::collections::BTreeMap;

use cp1_format::{Function, FunctionSides, PlaceState, Profiles};

use super::division::Times;
use super::figures::{amount, signed};
use super::{each, kept};

/// Calls for a request below which a function of the project does not count: what fewer than one request in
/// 200 does moves no p99.
const CALLS_LEAST: f64 = 0.005;

/// The same of a function of Erlang/OTP or a dependency, which the VM itself calls some times in any pass.
const FOREIGN_CALLS_LEAST: f64 = 0.01;

/// Part by which calls for a request may differ where the code is the same: retries of atomic operations,
/// and whatever else depends on who came first.
const CALLS_TOLERANCE: f64 = 0.1;

/// Calls for a request below which a function is called by chance, and not by each request.
const CALLS_RARE: f64 = 0.5;

/// So many standard deviations of a count (Poisson) rare calls must differ by.
const CALLS_DEVIATIONS: f64 = 5.0;

/// Least part by which an own time must differ to be more than noise.
const TIME_TOLERANCE: f64 = 0.15;

/// And so many times what functions of this pair of passes differ by, by their median.
const TIME_DEVIATIONS: f64 = 5.0;

/// And so many times the median distance, by the root of how many functions there are, is what the common
/// factor itself may be off by: three standard errors of a median (1.2533 deviations by the root, a
/// deviation being 1.4826 median distances).
const FACTOR_DEVIATIONS: f64 = 3.0 * 1.2533 * 1.4826;

/// And so much of all own time.
const TIME_LEAST: f64 = 0.005;

/// Part by which an own time must differ where it is certain that what is called is made otherwise.
const OTHER_LEAST: f64 = 0.05;

/// Functions that a common factor needs: of fewer the median could be the change itself.
const FACTOR_FUNCTIONS_MIN: usize = 8;

/// Part of all own time from which on a function has a say in it; shorter ones are the clock's steps.
const FACTOR_TIME_LEAST: f64 = 0.005;

/// What no call takes less than, in us: one that is called more often costs something, whatever the
/// estimated price of tracing leaves of its time.
const CALL_LEAST_US: f64 = 0.01;

/// What a side did with a function, for a request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Use {
    /// Calls.
    pub calls: f64,
    /// Own time under trace.
    pub own_us: f64,
    /// Words that it allocated, where they are counted.
    pub words: Option<f64>,
    /// Calls of the whole pass.
    counted: f64,
}

/// How the calls for a request changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Calls {
    /// More, beyond what the same code differs by.
    More,
    /// Fewer.
    Fewer,
    /// As often, as far as that can be said.
    AsOften,
}

/// A function on both sides.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Its module.
    pub module: String,
    /// The function of the source that it is, or is inside of, with its arity where that is known.
    pub place: String,
    /// `module:function/arity`.
    pub name: String,
    /// Whether its module belongs to the project.
    pub is_own: bool,
    /// In the frozen build.
    pub frozen: Use,
    /// In the candidate.
    pub candidate: Use,
    /// How calls changed.
    pub calls: Calls,
    /// The difference of own time for a request, without the price of tracing and the common factor.
    pub change_us: f64,
    /// Of that what lies beyond noise, by which places are ranked: all of it, where calls changed.
    pub firm_us: f64,
    /// Whether the change is more than noise.
    pub is_changed: bool,
}

impl Compared {
    /// On which side it is called.
    #[must_use]
    pub fn state(&self) -> PlaceState {
        match (self.frozen.counted > 0.0, self.candidate.counted > 0.0) {
            (false, true) => PlaceState::New,
            (true, false) => PlaceState::Gone,
            _ => PlaceState::Both,
        }
    }

    /// Whether it is called for requests and its time differs at all, where something else says that it may.
    #[must_use]
    pub fn is_other(&self) -> bool {
        let own_us = self.frozen.own_us.max(self.candidate.own_us);
        let is_often = self.frozen.calls.max(self.candidate.calls) >= rarest(self.is_own);
        is_often && self.change_us.abs() > OTHER_LEAST * own_us
    }

    /// For a file.
    #[must_use]
    pub fn sides(&self) -> FunctionSides {
        FunctionSides {
            name: self.name.clone(),
            state: self.state(),
            frozen_calls: amount(self.frozen.calls),
            candidate_calls: amount(self.candidate.calls),
            frozen_own_us: amount(self.frozen.own_us),
            candidate_own_us: amount(self.candidate.own_us),
            change_us: signed(self.change_us),
            frozen_words: self.frozen.words.map(amount),
            candidate_words: self.candidate.words.map(amount),
        }
    }
}

/// All functions of both builds.
#[derive(Debug, Clone)]
pub struct Functions {
    /// By name.
    pub all: Vec<Compared>,
    /// What tracing adds to each call.
    pub price_us: f64,
    /// How many times as long all functions took in the candidate's pass.
    pub factor: f64,
}

impl Functions {
    /// Compares what was traced.
    #[must_use]
    pub fn compared(profiles: &Profiles, times: &Times) -> Self {
        type Key<'a> = (&'a str, &'a str, u8);
        let mut found: BTreeMap<Key<'_>, (bool, [Use; 2])> = BTreeMap::new();
        for (side, profile) in [&profiles.frozen, &profiles.candidate].into_iter().enumerate() {
            for function in &profile.functions {
                let Function { module, function: name, arity, is_own, calls, own_us, words } =
                    function;
                let (own, uses) = found.entry((module, name, *arity)).or_default();
                *own |= *is_own;
                if let Some(sum) = uses.get_mut(side) {
                    sum.counted += *calls as f64;
                    sum.calls += each(*calls, profile.requests);
                    sum.own_us += each(*own_us, profile.requests);
                    if let Some(words) = words {
                        *sum.words.get_or_insert(0.0) += each(*words, profile.requests);
                    }
                }
            }
        }
        let compared = |((module, function, arity), (is_own, [frozen, candidate])): (
            Key<'_>,
            (bool, [Use; 2]),
        )| Compared {
            module: kept(module),
            place: kept(&format!("{module}:{}", parent(function, arity))),
            name: kept(&format!("{module}:{function}/{arity}")),
            is_own,
            frozen,
            candidate,
            calls: calls(&frozen, &candidate, rarest(is_own)),
            change_us: 0.0,
            firm_us: 0.0,
            is_changed: false,
        };
        let mut functions =
            Self { all: found.into_iter().map(compared).collect(), price_us: 0.0, factor: 1.0 };
        functions.take_out(times);
        functions
    }

    /// Own time of all functions together, the difference.
    #[must_use]
    pub fn change_us(&self) -> f64 {
        self.all.iter().map(|function| function.change_us).sum()
    }

    /// Finds price, factor and noise, and what is left of the differences.
    fn take_out(&mut self, times: &Times) {
        let sum = |of: fn(&Compared) -> f64| self.all.iter().map(of).sum::<f64>();
        let own = [sum(|it| it.frozen.own_us), sum(|it| it.candidate.own_us)];
        let calls = sum(|it| it.frozen.calls + it.candidate.calls);
        let running = [times.running.frozen, times.running.candidate];
        let paid: f64 =
            own.iter().zip(running).map(|(own, running)| (own - running).max(0.0)).sum();
        let price = if calls > 0.0 { paid / calls } else { 0.0 };
        let all = |sides: [f64; 2]| sides.into_iter().sum::<f64>();
        // Noise of a time under trace is noise of tracing too.
        let untraced = (all(running) / all(own).max(f64::MIN_POSITIVE)).min(1.0);
        let (factor, spread, functions) = self.in_common(own);
        let of_factor = FACTOR_DEVIATIONS * spread / (functions.max(1) as f64).sqrt();
        let tolerance = TIME_TOLERANCE.max(TIME_DEVIATIONS * spread) + of_factor;
        let least = TIME_LEAST * own.into_iter().fold(0.0, f64::max);
        for function in &mut self.all {
            let (before, after) = (function.frozen, function.candidate);
            let after_us = after.own_us / factor;
            let change = after_us - before.own_us - price * (after.calls - before.calls);
            let calls = after.calls - before.calls;
            let is_often = before.calls.max(after.calls) >= rarest(function.is_own);
            (function.change_us, function.is_changed) = match function.calls {
                Calls::More => (change.max(calls * CALL_LEAST_US), true),
                Calls::Fewer => (change.min(calls * CALL_LEAST_US), true),
                Calls::AsOften => {
                    let is_beyond = change.abs() > tolerance * before.own_us.min(after_us);
                    (change, is_often && is_beyond && change.abs() >= least && change != 0.0)
                }
            };
            let noise = match function.calls {
                Calls::AsOften => tolerance * before.own_us.min(after_us),
                Calls::More | Calls::Fewer => 0.0,
            };
            if !function.is_changed {
                function.change_us *= untraced;
            }
            let beyond = (function.change_us.abs() - noise).max(0.0);
            function.firm_us = beyond.copysign(function.change_us);
        }
        (self.price_us, self.factor) = (price, factor);
    }

    /// The ratio that own times of functions have in common, how far one lies from it by the median, and of
    /// how many functions these are.
    fn in_common(&self, own: [f64; 2]) -> (f64, f64, usize) {
        let counts = |function: &&Compared| {
            let times = [function.frozen.own_us, function.candidate.own_us];
            let is_long =
                times.iter().zip(own).all(|(us, all)| *us > 0.0 && *us >= FACTOR_TIME_LEAST * all);
            let is_often = function.frozen.calls >= rarest(function.is_own);
            function.calls == Calls::AsOften && is_long && is_often
        };
        let mut ratios: Vec<f64> = self
            .all
            .iter()
            .filter(counts)
            .map(|function| (function.candidate.own_us / function.frozen.own_us).ln())
            .collect();
        if ratios.len() < FACTOR_FUNCTIONS_MIN {
            return (1.0, 0.0, 0);
        }
        let common = median(&mut ratios);
        let mut distances: Vec<f64> = ratios.iter().map(|ratio| (ratio - common).abs()).collect();
        (common.exp(), median(&mut distances), distances.len())
    }
}

/// The upper one of an even number.
fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

fn rarest(is_own: bool) -> f64 {
    if is_own { CALLS_LEAST } else { FOREIGN_CALLS_LEAST }
}

fn calls(frozen: &Use, candidate: &Use, least: f64) -> Calls {
    let difference = candidate.calls - frozen.calls;
    let most = candidate.calls.max(frozen.calls);
    let by_chance = CALLS_DEVIATIONS * (candidate.counted + frozen.counted).sqrt();
    // Both sides route as many requests, so a count of one is a rate of the other.
    let counted = difference.abs() * (candidate.counted + frozen.counted)
        / (candidate.calls + frozen.calls).max(f64::MIN_POSITIVE);
    let tolerance = least.max(CALLS_TOLERANCE * most);
    let is_beyond_chance = most >= CALLS_RARE || counted > by_chance;
    match difference.abs() >= tolerance && is_beyond_chance {
        true if difference > 0.0 => Calls::More,
        true => Calls::Fewer,
        false => Calls::AsOften,
    }
}

/// The function of the source that one is inside of: of `-route/2-fun-0-` and `-route/2-lc$^0/1-0-`, which the
/// compiler makes of a fun and a comprehension, `route/2`.
fn parent(function: &str, arity: u8) -> String {
    let inside = function.strip_prefix('-').and_then(|rest| {
        let (name, rest) = rest.split_once('/')?;
        let digits = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0)?;
        let (arity, rest) = rest.split_at(digits);
        (rest.starts_with('-') && rest.ends_with('-') && !name.is_empty())
            .then(|| format!("{name}/{arity}"))
    });
    inside.unwrap_or_else(|| format!("{function}/{arity}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_compiler_makes_belongs_to_the_function_that_it_is_inside_of() {
        for (function, place) in [
            ("route", "route/1"),
            ("-route/2-fun-0-", "route/2"),
            ("-route/12-lc$^0/1-0-", "route/12"),
            ("-route/2-fun-1-/3-inlined-0-", "route/2"),
            ("-strange", "-strange/1"),
            ("-/2-fun-0-", "-/2-fun-0-/1"),
            ("-a/x-fun-0-", "-a/x-fun-0-/1"),
        ] {
            assert_eq!(parent(function, 1), place);
        }
    }
}
