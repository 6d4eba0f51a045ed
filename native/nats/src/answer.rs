//! Messages for processes, from threads that are not the VM's.

use rustler::env::SavedTerm;
use rustler::{Encoder, Env, LocalPid, NewBinary, OwnedEnv, Term};

use crate::threads;

pub(crate) mod atoms {
    rustler::atoms! {
        ok, error, rejected, backpressure, nil,
        nats_client, nats_message, nats_subscription_ended,
        connected, disconnected, connecting, draining, closed,
        timeout, no_responders, failed, max_payload, invalid_subject, thread,
    }
}

/// Bytes as a binary.
pub(crate) fn binary<'a>(env: Env<'a>, bytes: &[u8]) -> Term<'a> {
    let mut binary = NewBinary::new(env, bytes.len());
    binary.as_mut_slice().copy_from_slice(bytes);
    binary.into()
}

/// A process and the reference by which it knows what a message is about.
pub(crate) struct Addressee {
    pid: LocalPid,
    keeper: OwnedEnv,
    reference: SavedTerm,
}

impl Addressee {
    pub(crate) fn new(pid: LocalPid, reference: Term<'_>) -> Self {
        let keeper = OwnedEnv::new();
        let reference = keeper.save(reference);
        Self { pid, keeper, reference }
    }

    /// Sends what is built around the reference; false if the process is gone, or the VM goes.
    pub(crate) fn send<F>(&self, build: F) -> bool
    where
        F: for<'a> FnOnce(Env<'a>, Term<'a>) -> Term<'a>,
    {
        if threads::are_ending() {
            return false;
        }
        self.keeper.run(|kept| {
            let reference = self.reference.load(kept);
            let mut message = OwnedEnv::new();
            message.send_and_clear(&self.pid, |env| build(env, reference.in_env(env))).is_ok()
        })
    }

    /// Answers with `{nats_client, Reference, Answer}`.
    pub(crate) fn answer<F>(&self, build: F) -> bool
    where
        F: for<'a> FnOnce(Env<'a>) -> Term<'a>,
    {
        self.send(|env, reference| (atoms::nats_client(), reference, build(env)).encode(env))
    }

    /// Answers with `ok`.
    pub(crate) fn answer_ok(&self) -> bool {
        self.answer(|env| atoms::ok().encode(env))
    }

    /// Answers with `{error, Reason}`.
    pub(crate) fn answer_error(&self, failure: &Failure) -> bool {
        self.answer(|env| (atoms::error(), failure.encode(env)).encode(env))
    }
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    Closed,
    Disconnected,
    Draining,
    NoResponders,
    Timeout,
    InvalidSubject,
    /// With the most bytes that the server takes.
    MaxPayload(usize),
    /// With what the library or the server says.
    Failed(String),
}

impl Encoder for Failure {
    fn encode<'a>(&self, env: Env<'a>) -> Term<'a> {
        match self {
            Self::Closed => atoms::closed().encode(env),
            Self::Disconnected => atoms::disconnected().encode(env),
            Self::Draining => atoms::draining().encode(env),
            Self::NoResponders => atoms::no_responders().encode(env),
            Self::Timeout => atoms::timeout().encode(env),
            Self::InvalidSubject => atoms::invalid_subject().encode(env),
            Self::MaxPayload(most) => (atoms::max_payload(), *most).encode(env),
            Self::Failed(text) => (atoms::failed(), binary(env, text.as_bytes())).encode(env),
        }
    }
}
