//! What two builds did for the same requests, made an explanation: compared function by function
//! ([`compare`]), gathered into places and ranked ([`places`]), the difference divided among them
//! ([`division`]), and what is unusual in the candidate itself ([`advice`]).
//!
//! # What is certain and what is not
//!
//! Calls for a request are counted: they depend on the requests, which are the same, and hardly on the
//! machine. Times are of one pass, and own times of one under trace, where each call costs more. The price
//! of a call and whatever all functions have in common are estimated and taken out, and a function that is
//! called as often counts only where its time changed by more than functions of this pair of passes do.

#![deny(clippy::disallowed_methods)]

pub mod advice;
pub mod compare;
pub mod division;
pub(crate) mod figures;
pub mod places;
pub mod processes;
pub mod source;
pub mod tables;

use std::collections::BTreeMap;

use cp1_format::{
    Amount, ExplainedBuild, ExplainedLoad, Explanation, FailedOutcome, FailureSides, Notice,
    Profile, Profiles, SchemaName, SchemaTag, WorkSides,
};

use crate::escape::clip;
use compare::Functions;
use division::Times;
use figures::{amount, number};

/// Longest text out of a build that is kept, in characters.
const TEXT_MAX_CHARS: usize = 300;

/// Most reasons of failures that are told.
const FAILURES_MAX: usize = 50;

/// Beyond this a common factor of all times is told.
const FACTOR_TOLD: f64 = 0.05;

/// What was explained.
#[derive(Debug, Clone)]
pub struct Explained {
    /// The frozen build.
    pub frozen: ExplainedBuild,
    /// The candidate.
    pub candidate: ExplainedBuild,
    /// Seed of the keys.
    pub seed: u64,
}

/// Compares, ranks and divides. Same profiles in, same explanation out.
#[must_use]
pub fn explanation(profiles: &Profiles, explained: Explained) -> Explanation {
    let Profiles { frozen, candidate } = profiles;
    let times = Times::of(profiles);
    let functions = Functions::compared(profiles, &times);
    let ranked = places::ranked(profiles, &functions, &times);
    Explanation {
        schema: SchemaTag { name: SchemaName::Cp1Explanation, version: 1 },
        load: ExplainedLoad {
            seed: explained.seed,
            requests: candidate.requests,
            workers: candidate.workers,
        },
        notices: notices(profiles, &functions, &times, &explained),
        frozen: explained.frozen,
        candidate: explained.candidate,
        time: ranked.time,
        memory: ranked.memory,
        places: ranked.places,
        places_left_out: ranked.left_out,
        work: work(profiles),
        failures: failures(frozen, candidate),
        advice: advice::of(candidate),
    }
}

/// A text out of a build, of bounded length, and never none.
fn kept(text: &str) -> String {
    match text.trim() {
        "" => "(no name)".to_owned(),
        _ => clip(text, TEXT_MAX_CHARS),
    }
}

/// A count of a pass for one request. No profile is of no request.
fn each(count: u64, requests: u64) -> f64 {
    count as f64 / requests.max(1) as f64
}

fn notices(
    profiles: &Profiles,
    functions: &Functions,
    times: &Times,
    explained: &Explained,
) -> Vec<Notice> {
    let Profiles { frozen, candidate } = profiles;
    let mut said = vec![format!(
        "calls for a request are counted, and certain; times are of one pass each, and own times of a pass \
         under trace, in which a request took {} us instead of {} us",
        number(times.traced.candidate),
        number(times.wall.candidate),
    )];
    if !times.is_shift() {
        said.push(format!(
            "without trace the time of a request hardly differed: {} us, {} us before; so no share of it \
             is told",
            number(times.wall.candidate),
            number(times.wall.frozen),
        ));
    }
    if (functions.factor - 1.0).abs() > FACTOR_TOLD {
        said.push(format!(
            "functions that are called as often took {} times as long in the candidate's pass: that is the \
             machine's, the emulator's or its flags', and is taken out of all own times",
            number(functions.factor),
        ));
    }
    if frozen.requests != candidate.requests || frozen.workers != candidate.workers {
        said.push(format!(
            "the builds did not do the same: {} requests of {} workers, {} of {} before",
            candidate.requests, candidate.workers, frozen.requests, frozen.workers,
        ));
    }
    let left_out = frozen.functions_left_out.saturating_add(candidate.functions_left_out);
    if left_out > 0 {
        said.push(format!("{left_out} functions of least own time were left out by the bench"));
    }
    if explained.candidate.dirty == Some(true) {
        said.push("the candidate has changes that no commit has; git knows the rest".to_owned());
    }
    said.into_iter().map(Notice).collect()
}

/// What the VM did, for a request.
fn work(profiles: &Profiles) -> Vec<WorkSides> {
    type Of = fn(&Profile) -> u64;
    let rows: [(&str, &str, Of); 5] = [
        ("processor time", "us", |profile| profile.work.processor_us),
        ("reductions", "", |profile| profile.work.reductions),
        ("collections", "", |profile| profile.work.collections),
        ("words reclaimed", "", |profile| profile.work.reclaimed_words),
        ("context switches", "", |profile| profile.work.context_switches),
    ];
    let Profiles { frozen, candidate } = profiles;
    let row = |(name, unit, of): (&str, &str, Of)| WorkSides {
        name: name.to_owned(),
        unit: unit.to_owned(),
        frozen: amount(each(of(frozen), frozen.requests)),
        candidate: amount(each(of(candidate), candidate.requests)),
    };
    let mut work: Vec<WorkSides> = rows.into_iter().map(row).collect();
    let states = |profile: &Profile| profile.work.scheduler_us.clone();
    let (before, after) = (states(frozen), states(candidate));
    for (state, name) in division::STATES {
        if let (Some(before), Some(after)) = (before.get(&state), after.get(&state)) {
            work.push(WorkSides {
                name: name.to_owned(),
                unit: "us".to_owned(),
                frozen: amount(each(*before, frozen.requests)),
                candidate: amount(each(*after, candidate.requests)),
            });
        }
    }
    work.push(WorkSides {
        name: "longest run queue".to_owned(),
        unit: String::new(),
        frozen: Amount::from(frozen.work.run_queue_max),
        candidate: Amount::from(candidate.work.run_queue_max),
    });
    work
}

/// Failures by how they count and their reason, those that grew most first.
fn failures(frozen: &Profile, candidate: &Profile) -> Vec<FailureSides> {
    let mut sides: BTreeMap<(FailedOutcome, String), FailureSides> = BTreeMap::new();
    for (side, profile) in [(0, frozen), (1, candidate)] {
        for failure in &profile.reasons {
            let reason = kept(&failure.reason);
            let entry = sides.entry((failure.outcome, reason.clone())).or_insert(FailureSides {
                outcome: failure.outcome,
                reason,
                frozen: 0,
                candidate: 0,
                frozen_sample: None,
                candidate_sample: None,
            });
            let (count, sample) = match side {
                0 => (&mut entry.frozen, &mut entry.frozen_sample),
                _ => (&mut entry.candidate, &mut entry.candidate_sample),
            };
            *count = count.saturating_add(failure.count);
            sample.get_or_insert_with(|| kept(&failure.sample));
        }
    }
    let mut all: Vec<_> = sides.into_values().collect();
    all.sort_by_key(|failure| {
        let growth = i128::from(failure.frozen) - i128::from(failure.candidate);
        (growth, failure.outcome, failure.reason.clone())
    });
    all.truncate(FAILURES_MAX);
    all
}
