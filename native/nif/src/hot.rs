//! The calls that stand inside a measurement: no argument vector, no type look-up, no allocation,
//! no lock, nothing that can panic (an unwinding panic could not cross this boundary).

use std::ffi::c_int;

use latency_recorder::{InFlight, Recorder, now_ns};
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
inventory::submit!(entry(c"leave", 2, leave));

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
        match (find::<Recorder>(env, *argv), nanoseconds(env, *argv.add(1))) {
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
        match (find::<Recorder>(env, *argv), nanoseconds(env, *argv.add(1))) {
            (Some(recorder), Some(ns)) => {
                recorder.record(ns);
                *argv.add(1)
            }
            _ => enif_make_badarg(env),
        }
    }
}

/// `leave(InFlight, Worker) -> Worker`. Normal scheduler: one atomic update.
unsafe extern "C" fn leave(env: *mut ErlNifEnv, _: c_int, argv: *const ErlNifTerm) -> ErlNifTerm {
    // SAFETY: the runtime passes two arguments with the running call's environment.
    unsafe {
        let worker = nanoseconds(env, *argv.add(1)).and_then(|n| usize::try_from(n).ok());
        match (find::<InFlight>(env, *argv), worker) {
            (Some(in_flight), Some(worker)) if in_flight.leave(worker) => *argv.add(1),
            _ => enif_make_badarg(env),
        }
    }
}

/// A term that is an integer from 0 to 2^63 - 1.
///
/// # Safety
/// `env` and `term` are those of a running NIF call.
unsafe fn nanoseconds(env: *mut ErlNifEnv, term: ErlNifTerm) -> Option<u64> {
    let mut value = 0;
    // SAFETY: by this function's contract.
    let is_integer = unsafe { enif_get_int64(env, term, &raw mut value) } != 0;
    if is_integer { u64::try_from(value).ok() } else { None }
}
