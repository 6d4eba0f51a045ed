//! The difference in the time of a request, and what it consists of.
//!
//! Without trace a request's wall time is what it runs, which includes collecting garbage, and what it waits.
//! Running is what all schedulers ran, less what they ran for the bench's own loop, which is as much on both
//! sides and at least what they ran beyond the wall time. Waiting is the rest.

use cp1_format::{Amount, Profile, Profiles, SchedulerState, TimePart, TimePartKind, TimeShift};

use super::compare::Functions;
use super::each;
use super::figures::{amount, percent, signed};

/// Below this part of a request's time two passes of one build differ, and no share of that is told.
const SHIFT_LEAST: f64 = 0.03;

/// States of schedulers that are told, by name.
pub(super) const STATES: [(SchedulerState, &str); 7] = [
    (SchedulerState::Emulator, "schedulers: running"),
    (SchedulerState::Gc, "schedulers: collecting"),
    (SchedulerState::Port, "schedulers: ports"),
    (SchedulerState::CheckIo, "schedulers: input, output"),
    (SchedulerState::Aux, "schedulers: auxiliary"),
    (SchedulerState::Other, "schedulers: other"),
    (SchedulerState::Sleep, "schedulers: sleeping"),
];

/// A figure of both sides.
#[derive(Debug, Clone, Copy)]
pub struct Sides {
    /// Of the frozen build.
    pub frozen: f64,
    /// Of the candidate.
    pub candidate: f64,
}

impl Sides {
    fn of(profiles: &Profiles, of: impl Fn(&Profile) -> f64) -> Self {
        Self { frozen: of(&profiles.frozen), candidate: of(&profiles.candidate) }
    }

    /// The candidate's less the frozen one's.
    #[must_use]
    pub fn change(&self) -> f64 {
        self.candidate - self.frozen
    }
}

/// Times of a request in us.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// By wall clock, without trace.
    pub wall: Sides,
    /// By wall clock, under trace.
    pub traced: Sides,
    /// Of `wall` what it runs, collecting garbage among it.
    pub running: Sides,
    /// Of `running` what it collects garbage.
    pub collecting: Sides,
}

impl Times {
    /// Of both builds.
    #[must_use]
    pub fn of(profiles: &Profiles) -> Self {
        let wall = |profile: &Profile| each(profile.routing_us, profile.requests);
        let state = |profile: &Profile, state: SchedulerState| {
            let us = profile.work.scheduler_us.get(&state)?;
            Some(each(*us, profile.requests))
        };
        let ran = |profile: &Profile| {
            let further = [SchedulerState::Gc, SchedulerState::Port];
            let further = further.into_iter().filter_map(|other| state(profile, other));
            Some(state(profile, SchedulerState::Emulator)? + further.sum::<f64>())
        };
        // What schedulers ran beyond the wall time of requests was the bench's, on both sides.
        let beyond = |profile: &Profile| ran(profile).map_or(0.0, |ran| ran - wall(profile));
        let of_bench = beyond(&profiles.frozen).max(beyond(&profiles.candidate)).max(0.0);
        let running = |profile: &Profile| {
            // Where nobody counted, nothing is known to wait.
            let all = ran(profile).map(|ran| (ran - of_bench).max(0.0));
            all.map_or(wall(profile), |all| all.min(wall(profile)))
        };
        let collecting = |profile: &Profile| {
            state(profile, SchedulerState::Gc).unwrap_or(0.0).min(running(profile))
        };
        Self {
            wall: Sides::of(profiles, wall),
            traced: Sides::of(profiles, |it| each(it.traced_routing_us, it.requests)),
            running: Sides::of(profiles, running),
            collecting: Sides::of(profiles, collecting),
        }
    }

    /// Whether the difference is one to divide.
    #[must_use]
    pub fn is_shift(&self) -> bool {
        let change = self.wall.change().abs();
        change > 0.0 && change > SHIFT_LEAST * self.wall.frozen.min(self.wall.candidate)
    }

    /// What a request waits longer.
    #[must_use]
    pub fn waiting(&self) -> f64 {
        self.wall.change() - self.running.change()
    }

    /// A time as a share of the difference.
    #[must_use]
    pub fn share(&self, us: f64) -> Option<f64> {
        self.is_shift().then(|| us / self.wall.change())
    }

    /// A time as a part of what a request took in the frozen build.
    #[must_use]
    pub fn part(&self, us: f64) -> f64 {
        if self.wall.frozen > 0.0 { us / self.wall.frozen } else { 0.0 }
    }

    /// What is left of functions' time where garbage is collected inside of them, which is told apart: all of
    /// it, less in proportion.
    #[must_use]
    pub fn without_collecting(&self, functions: &Functions) -> f64 {
        let (all, collecting) = (functions.change_us(), self.collecting.change());
        match all > 0.0 && collecting > 0.0 {
            true => 1.0 - collecting.min(all) / all,
            false => 1.0,
        }
    }

    /// The division: `in_places` is the own time of functions that places have, without collecting, and
    /// `waiting_in_places` of what is waited that which a place accounts for.
    #[must_use]
    pub fn divided(
        &self,
        functions: &Functions,
        in_places: f64,
        waiting_in_places: f64,
    ) -> TimeShift {
        let others = functions.change_us() * self.without_collecting(functions) - in_places;
        let (collecting, waiting) = (self.collecting.change(), self.waiting());
        let rest = self.wall.change() - in_places - others - collecting - waiting;
        let parts = [
            (TimePartKind::Places, in_places),
            (TimePartKind::OtherFunctions, others),
            (TimePartKind::Collections, collecting),
            (TimePartKind::Waiting, waiting),
            (TimePartKind::Unexplained, rest),
        ];
        TimeShift {
            frozen_us: amount(self.wall.frozen),
            candidate_us: amount(self.wall.candidate),
            traced_frozen_us: amount(self.traced.frozen),
            traced_candidate_us: amount(self.traced.candidate),
            call_price_us: amount(functions.price_us),
            parts: parts
                .into_iter()
                .map(|(kind, us)| TimePart {
                    kind,
                    change_us: signed(us),
                    share_pct: self.share(us).map(percent),
                })
                .collect(),
            explained_pct: self.share(in_places + waiting_in_places).map(explained),
        }
    }
}

/// How much of a difference a share explains, in percent: one that is larger than all explains as much less.
pub(super) fn explained(share: f64) -> Amount {
    let missed = (1.0 - share).abs().min(1.0);
    Amount::new(percent(1.0 - missed)).unwrap_or_else(|_| Amount::from(0))
}
