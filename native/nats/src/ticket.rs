//! One request, which ends exactly once: by its answer, its caller's patience or its caller's end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustler::{Encoder, Env, Resource, Term};

use crate::answer::{Addressee, Failure, atoms, binary};
use crate::connection::Command;
use crate::shared::Shared;

/// Held by the caller's term and by the connection's list of those who wait.
pub(crate) struct Ticket {
    shared: Arc<Shared>,
    /// By which a reply is known.
    pub(crate) token: u64,
    open: AtomicBool,
}

impl Ticket {
    /// Of a request that was given a permit.
    pub(crate) fn new(shared: Arc<Shared>, token: u64) -> Self {
        Self { shared, token, open: AtomicBool::new(true) }
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_over(&self) -> bool {
        !self.open.load(Ordering::Acquire)
    }

    /// Ends the request and gives its permit back; false if it has ended before. Whoever is told true
    /// counts how it ended.
    fn end(&self) -> bool {
        let ends = self.open.swap(false, Ordering::AcqRel);
        if ends {
            self.shared.release();
        }
        ends
    }

    /// The caller has waited long enough: true if no answer will come.
    pub(crate) fn give_up(&self) -> bool {
        let ends = self.end();
        if ends {
            self.shared.counts.timeouts.add();
            self.shared.tell(Command::Forget(self.token));
        }
        ends
    }
}

/// The caller's term of a ticket. Where it goes with the request still open, the caller was killed.
pub(crate) struct TicketHandle(pub(crate) Arc<Ticket>);

#[rustler::resource_impl]
impl Resource for TicketHandle {}

impl Drop for TicketHandle {
    fn drop(&mut self) {
        if self.0.end() {
            self.0.shared.counts.abandoned.add();
            self.0.shared.tell(Command::Forget(self.0.token));
        }
    }
}

/// A request whose answer is awaited.
pub(crate) struct Waiting {
    pub(crate) ticket: Arc<Ticket>,
    pub(crate) caller: Addressee,
}

impl Waiting {
    /// Ends it with `{ok, Payload}`.
    pub(crate) fn reply(self, payload: &[u8]) {
        if self.ticket.end() {
            self.ticket.shared.counts.replied.add();
            self.caller.answer(|env| ok(env, payload));
        }
    }

    /// Ends it with `{error, Reason}`.
    pub(crate) fn fail(self, failure: &Failure) {
        if self.ticket.end() {
            self.ticket.shared.counts.errors.add();
            self.caller.answer_error(failure);
        }
    }
}

fn ok<'a>(env: Env<'a>, payload: &[u8]) -> Term<'a> {
    (atoms::ok(), binary(env, payload)).encode(env)
}
