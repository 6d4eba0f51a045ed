//! async-nats as an Erlang library.
//!
//! Loaded by the Erlang module `nats_client_nif`; `nats_client` has the contract of each function.
//! Each connection has a thread of its own, in which all of async-nats runs ([`connection`]); a NIF
//! hands it a command over a channel that never blocks, and an answer is a message to the caller.
//! Everything that waits is bounded: requests and messages on their way out by permits, a subscription's
//! messages by its owner's credit.
//!
//! * [`connection`]: the thread, what it is told, and how it ends;
//! * [`ticket`]: one request, which ends exactly once;
//! * [`subscription`]: messages for a process that says how many it has dealt with;
//! * [`shared`]: what the calls read and count;
//! * [`answer`]: a message for a process;
//! * [`tls`]: what was negotiated;
//! * [`threads`]: no thread outlives the VM;
//! * [`calls`]: decode, call, encode.
//!
//! What the server says is text for Erlang, never an atom. No function is dirty, and resources are made
//! by calls only: a purge waits for those, so that none is made of a type that it has freed.

mod answer;
mod calls;
mod connection;
mod shared;
mod subscription;
mod threads;
mod ticket;
mod tls;

use rustler::{Env, Term};

fn load(_env: Env<'_>, _info: Term<'_>) -> bool {
    threads::end_at_exit();
    true
}

rustler::init!("nats_client_nif", load = load);
