//! What the machine says of itself. Every call here is dirty, because it reads files.

use std::sync::{Mutex, MutexGuard, PoisonError};

use machine_evidence::control_group::{memory_limit_bytes, processor_quota};
use machine_evidence::fingerprint::resident_bytes as resident;
use machine_evidence::{Counters, Fingerprint, Limit, Quota, Reading, Tree};
use rustler::{Atom, Encoder, Env, NifResult, Term};

use crate::handle::Handle;

mod atoms {
    rustler::atoms! {
        ok, absent,
        cpu_model, cpu_quota, none, kernel, memory_total_mb, container_limits,
        cpu_max, memory_max_bytes,
        steal_pct, other_cpu_pct, throttled_periods, throttled_us, cpu_pressure_some_us,
        voluntary_context_switches, involuntary_context_switches,
        frequency_before_khz, frequency_after_khz,
    }
}

/// What of a map could be read.
fn present<'a>(env: Env<'a>, pairs: &[(Atom, Option<Term<'a>>)]) -> NifResult<Term<'a>> {
    let present: Vec<_> = pairs.iter().filter_map(|(key, value)| Some((*key, (*value)?))).collect();
    Term::map_from_pairs(env, &present)
}

fn term<'a>(env: Env<'a>, value: Option<impl Encoder>) -> Option<Term<'a>> {
    value.map(|value| value.encode(env))
}

fn limit<T>(limit: Option<Limit<T>>) -> Option<T> {
    match limit {
        Some(Limit::Set(limit)) => Some(limit),
        Some(Limit::Unlimited) | None => None,
    }
}

/// `machine() -> map()`: which machine this is, and what a control group allows of it.
#[rustler::nif(schedule = "DirtyIo")]
fn machine(env: Env<'_>) -> NifResult<Term<'_>> {
    let tree = Tree::here();
    let Fingerprint { cpu_model, kernel, memory_total_mb } = Fingerprint::of(&tree);
    let quota = processor_quota(&tree);
    let cpu_quota = quota.map(|quota| match quota {
        Limit::Set(quota) => quota.processors().encode(env),
        Limit::Unlimited => atoms::none().encode(env),
    });
    let cpu_max = limit(quota).map(Quota::cpu_max);
    let memory_max_bytes = limit(memory_limit_bytes(&tree));
    let is_limited = cpu_max.is_some() || memory_max_bytes.is_some();
    let limits = [
        (atoms::cpu_max(), term(env, cpu_max)),
        (atoms::memory_max_bytes(), term(env, memory_max_bytes)),
    ];
    let pairs = [
        (atoms::cpu_model(), term(env, cpu_model)),
        (atoms::cpu_quota(), cpu_quota),
        (atoms::kernel(), term(env, kernel)),
        (atoms::memory_total_mb(), term(env, memory_total_mb)),
        (atoms::container_limits(), is_limited.then(|| present(env, &limits)).transpose()?),
    ];
    present(env, &pairs)
}

/// `resident_bytes() -> Bytes | absent`.
#[rustler::nif(schedule = "DirtyIo")]
fn resident_bytes(env: Env<'_>) -> Term<'_> {
    term(env, resident(&Tree::here())).unwrap_or_else(|| atoms::absent().encode(env))
}

/// The machine's counters as Erlang holds them.
pub(crate) struct MachineCounters(Mutex<Counters>);

impl MachineCounters {
    fn lock(&self) -> MutexGuard<'_, Counters> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `counters_new() -> Counters`.
#[rustler::nif]
fn counters_new() -> Handle<'static, MachineCounters> {
    Handle::new(MachineCounters(Mutex::new(Counters::default())))
}

/// `counters_resume(Counters) -> ok`.
#[rustler::nif(schedule = "DirtyIo")]
fn counters_resume(counters: Handle<'_, MachineCounters>) -> Atom {
    let reading = Reading::of(&Tree::here());
    counters.lock().resume(reading);
    atoms::ok()
}

/// `counters_pause(Counters) -> ok`.
#[rustler::nif(schedule = "DirtyIo")]
fn counters_pause(counters: Handle<'_, MachineCounters>) -> Atom {
    let reading = Reading::of(&Tree::here());
    counters.lock().pause(&reading);
    atoms::ok()
}

/// `counters_figures(Counters) -> map()`. Dirty because another call may hold the lock.
#[rustler::nif(schedule = "DirtyIo")]
fn counters_figures<'a>(
    env: Env<'a>,
    counters: Handle<'a, MachineCounters>,
) -> NifResult<Term<'a>> {
    let figures = counters.lock().figures();
    let pairs = [
        (atoms::steal_pct(), term(env, figures.steal_pct)),
        (atoms::other_cpu_pct(), term(env, figures.other_cpu_pct)),
        (atoms::throttled_periods(), term(env, figures.throttled_periods)),
        (atoms::throttled_us(), term(env, figures.throttled_us)),
        (atoms::cpu_pressure_some_us(), term(env, figures.cpu_pressure_some_us)),
        (atoms::voluntary_context_switches(), term(env, figures.voluntary_context_switches)),
        (atoms::involuntary_context_switches(), term(env, figures.involuntary_context_switches)),
        (atoms::frequency_before_khz(), term(env, figures.frequency_before_khz)),
        (atoms::frequency_after_khz(), term(env, figures.frequency_after_khz)),
    ];
    present(env, &pairs)
}
