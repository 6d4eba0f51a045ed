//! The Erlang face of `latency_recorder`, `machine_evidence` and `cp1_format`: decode, call,
//! encode.
//!
//! Loaded by the Erlang module `router_bench_nif`, whose documentation has the contract of each
//! function. Wrong terms answer `badarg`. Functions on a normal scheduler take well under a
//! microsecond; what allocates, walks counters, compresses or writes runs on a dirty one.
//!
//! * [`handle`]: how Rust values become Erlang terms and are found again at the cost of a pointer;
//! * [`hot`]: the calls that stand inside a measurement;
//! * [`json`]: terms as JSON and back; [`list`]: lists that may be improper;
//! * [`machine`]: what the machine says of itself;
//! * [`cold`]: everything else.

mod cold;
mod handle;
mod hot;
mod json;
mod list;
mod machine;

use rustler::{Env, Term};

/// Runs once, before anything is timed; choosing the clock takes some 2 ms of that scheduler.
fn load(env: Env<'_>, _info: Term<'_>) -> bool {
    latency_recorder::select_clock();
    latency_recorder::end_threads_at_exit();
    handle::register(env)
}

rustler::init!("router_bench_nif", load = load);
