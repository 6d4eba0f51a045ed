//! The calls that stand inside a measurement: no argument vector, no type look-up, no allocation,
//! no lock, nothing that can panic (an unwinding panic could not cross this boundary).

use std::ffi::c_int;

use latency_recorder::{Dispatch, Outcome, Poll, Recorder, now_ns};
use rustler::codegen_runtime::inventory;
use rustler::sys::{ErlNifEnv, ErlNifTerm, enif_get_int64, enif_make_badarg, enif_make_int64};

use crate::handle::find;

type RawNif = unsafe extern "C" fn(*mut ErlNifEnv, c_int, *const ErlNifTerm) -> ErlNifTerm;

const fn entry(name: &'static std::ffi::CStr, arity: u32, raw_func: RawNif) -> rustler::Nif {
    rustler::Nif { name: name.as_ptr(), arity, flags: 0, raw_func }
}

inventory::submit!(entry(c"empty", 0, empty));
inventory::submit!(entry(c"now", 0, now));
inventory::submit!(entry(c"start", 0, now));
inventory::submit!(entry(c"stop", 2, stop));
inventory::submit!(entry(c"record", 2, record));
inventory::submit!(entry(c"poll", 1, poll));
inventory::submit!(entry(c"ready", 2, ready));
inventory::submit!(entry(c"answered", 4, answered));

/// `empty() -> 0`. Normal scheduler: the cost of any NIF call, to compare with.
unsafe extern "C" fn empty(env: *mut ErlNifEnv, _: c_int, _: *const ErlNifTerm) -> ErlNifTerm {
    // SAFETY: `env` is the running call's.
    unsafe { enif_make_int64(env, 0) }
}

/// `now() -> Ns` and `start() -> Ns`. Normal scheduler: one clock reading.
unsafe extern "C" fn now(env: *mut ErlNifEnv, _: c_int, _: *const ErlNifTerm) -> ErlNifTerm {
    // SAFETY: `env` is the running call's.
    unsafe { enif_make_int64(env, now_ns() as i64) }
}

/// `stop(Recorder, StartNs) -> ElapsedNs`. Normal scheduler: one clock reading, one record.
unsafe extern "C" fn stop(env: *mut ErlNifEnv, _: c_int, argv: *const ErlNifTerm) -> ErlNifTerm {
    let end_ns = now_ns();
    // SAFETY: the runtime passes two arguments with the running call's environment.
    unsafe {
        match (find::<Recorder>(env, *argv), number(env, *argv.add(1))) {
            (Some(recorder), Some(start_ns)) => {
                enif_make_int64(env, recorder.record_between(start_ns, end_ns) as i64)
            }
            _ => enif_make_badarg(env),
        }
    }
}

/// `record(Recorder, Ns) -> Ns`. Normal scheduler: one record.
unsafe extern "C" fn record(env: *mut ErlNifEnv, _: c_int, argv: *const ErlNifTerm) -> ErlNifTerm {
    // SAFETY: the runtime passes two arguments with the running call's environment.
    unsafe {
        match (find::<Recorder>(env, *argv), number(env, *argv.add(1))) {
            (Some(recorder), Some(ns)) => {
                recorder.record(ns);
                *argv.add(1)
            }
            _ => enif_make_badarg(env),
        }
    }
}

/// `poll(Dispatch) -> Worker | Code`. Normal scheduler: one clock reading, a few loads for each 64
/// workers that there may be, and one or two for each idle one. The codes are those of the module `router_bench_nif`.
unsafe extern "C" fn poll(env: *mut ErlNifEnv, _: c_int, argv: *const ErlNifTerm) -> ErlNifTerm {
    // SAFETY: the runtime passes one argument with the running call's environment.
    unsafe {
        let Some(dispatch) = find::<Dispatch>(env, *argv) else { return enif_make_badarg(env) };
        let code = match dispatch.poll() {
            Poll::Hand(worker) => worker as i64,
            Poll::Wait => -1,
            Poll::Again => -2,
            Poll::Sleep => -3,
            Poll::Grow => -4,
            Poll::Drain => -5,
            Poll::Finished => -6,
        };
        enif_make_int64(env, code)
    }
}

/// `ready(Dispatch, Worker) -> 0 | 1`. Normal scheduler: a few atomic operations.
unsafe extern "C" fn ready(env: *mut ErlNifEnv, _: c_int, argv: *const ErlNifTerm) -> ErlNifTerm {
    // SAFETY: the runtime passes two arguments with the running call's environment.
    unsafe {
        let dispatch = find::<Dispatch>(env, *argv);
        let worker = number(env, *argv.add(1));
        match dispatch.zip(worker).and_then(|(dispatch, worker)| dispatch.ready(worker as usize)) {
            Some(waiting) => enif_make_int64(env, waiting.into()),
            None => enif_make_badarg(env),
        }
    }
}

/// `answered(Dispatch, Worker, StartNs, Outcome) -> 0 | 1`. Normal scheduler: one clock reading, at
/// most three records, a few atomic operations.
unsafe extern "C" fn answered(
    env: *mut ErlNifEnv,
    _: c_int,
    argv: *const ErlNifTerm,
) -> ErlNifTerm {
    // SAFETY: the runtime passes four arguments with the running call's environment.
    unsafe {
        let dispatch = find::<Dispatch>(env, *argv);
        let numbers = [1, 2, 3].map(|index| number(env, *argv.add(index)));
        let (Some(dispatch), [Some(worker), Some(start_ns), Some(outcome)]) = (dispatch, numbers)
        else {
            return enif_make_badarg(env);
        };
        let outcome = match outcome {
            0 => Outcome::Ok,
            1 => Outcome::Error,
            2 => Outcome::Timeout,
            3 => Outcome::Rejected,
            _ => return enif_make_badarg(env),
        };
        match dispatch.answered(worker as usize, start_ns, outcome) {
            Some(waiting) => enif_make_int64(env, waiting.into()),
            None => enif_make_badarg(env),
        }
    }
}

/// A term that is an integer from 0 to 2^63 - 1.
///
/// # Safety
/// `env` and `term` are those of a running NIF call.
unsafe fn number(env: *mut ErlNifEnv, term: ErlNifTerm) -> Option<u64> {
    let mut value = 0;
    // SAFETY: by this function's contract.
    let is_integer = unsafe { enif_get_int64(env, term, &raw mut value) } != 0;
    if is_integer { u64::try_from(value).ok() } else { None }
}
