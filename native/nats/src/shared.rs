//! What calls and the connection's thread share: the state, the permits, the counts.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use async_nats::Client;
use rustler::Atom;
use tokio::sync::{mpsc, watch};

use crate::answer::{Failure, atoms};
use crate::connection::Command;
use crate::ticket::Waiting;
use crate::tls::Negotiated;

/// A number that only grows.
#[derive(Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// requests = replied + errors + timeouts + rejected + abandoned + those that wait.
#[derive(Default)]
pub(crate) struct Counts {
    pub(crate) requests: Count,
    pub(crate) replied: Count,
    pub(crate) errors: Count,
    pub(crate) timeouts: Count,
    pub(crate) rejected: Count,
    /// Whose caller ended first.
    pub(crate) abandoned: Count,
    /// Replies that came when nobody waited any more.
    pub(crate) late: Count,
    pub(crate) published: Count,
    pub(crate) publish_errors: Count,
    pub(crate) publish_rejected: Count,
    /// Messages for a subscription that were handed to its process.
    pub(crate) delivered: Count,
    /// Times that the library threw a message away because a subscription's buffer was full.
    pub(crate) dropped: Count,
    pub(crate) disconnects: Count,
    pub(crate) backpressure_active: Count,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    Connecting,
    Connected,
    Disconnected,
    Draining,
    Closed,
}

impl State {
    pub(crate) fn atom(self) -> Atom {
        match self {
            Self::Connecting => atoms::connecting(),
            Self::Connected => atoms::connected(),
            Self::Disconnected => atoms::disconnected(),
            Self::Draining => atoms::draining(),
            Self::Closed => atoms::closed(),
        }
    }
}

/// Why a request or a message was not taken.
pub(crate) enum Refusal {
    Backpressure,
    Failure(Failure),
}

/// One connection, as every party sees it.
pub(crate) struct Shared {
    pub(crate) counts: Counts,
    /// Permits: requests that wait, and messages not yet handed to the library.
    in_flight: AtomicUsize,
    max_in_flight: usize,
    backpressure: AtomicBool,
    state: AtomicU8,
    tokens: AtomicU64,
    commands: mpsc::UnboundedSender<Command>,
    /// True ends the thread.
    stop: watch::Sender<bool>,
    /// Once connected.
    pub(crate) client: OnceLock<Client>,
    pub(crate) negotiated: OnceLock<Negotiated>,
    last_error: Mutex<String>,
    /// By token. Only the connection's thread takes this lock.
    waiting: Mutex<HashMap<u64, Waiting>>,
}

impl Shared {
    pub(crate) fn new(max_in_flight: usize, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self {
            counts: Counts::default(),
            in_flight: AtomicUsize::new(0),
            max_in_flight,
            backpressure: AtomicBool::new(false),
            state: AtomicU8::new(State::Connecting as u8),
            tokens: AtomicU64::new(0),
            commands,
            stop: watch::Sender::new(false),
            client: OnceLock::new(),
            negotiated: OnceLock::new(),
            last_error: Mutex::default(),
            waiting: Mutex::default(),
        }
    }

    /// Tells the thread something; nobody hears it when the thread has ended.
    pub(crate) fn tell(&self, command: Command) -> bool {
        self.commands.send(command).is_ok()
    }

    /// Tells the thread something, or hands it to `unheard`.
    pub(crate) fn tell_or(&self, command: Command, unheard: impl FnOnce(Command)) {
        if let Err(returned) = self.commands.send(command) {
            unheard(returned.0);
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Returns once the thread is to end.
    pub(crate) async fn stopped(&self) {
        // The sender lives in `self`, so that there is no error.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(crate) fn token(&self) -> u64 {
        self.tokens.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Ordering::Acquire) {
            0 => State::Connecting,
            1 => State::Connected,
            2 => State::Disconnected,
            3 => State::Draining,
            _ => State::Closed,
        }
    }

    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::Release);
    }

    /// Follows the library's view of the connection, as long as that is what counts.
    pub(crate) fn set_reachable(&self, reachable: bool) {
        let next = if reachable { State::Connected } else { State::Disconnected };
        let changed = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state <= State::Disconnected as u8 && state != next as u8).then_some(next as u8)
        });
        if changed == Ok(State::Connected as u8) {
            self.counts.disconnects.add();
        }
    }

    /// Takes a permit for a request or a message of that many bytes; [`Self::release`] gives it back.
    pub(crate) fn admit(&self, bytes: usize, while_draining: bool) -> Result<(), Refusal> {
        let refused = |failure| Err(Refusal::Failure(failure));
        match self.state() {
            State::Connected => {}
            State::Draining if while_draining => {}
            State::Draining => return refused(Failure::Draining),
            State::Closed => return refused(Failure::Closed),
            State::Connecting | State::Disconnected => return refused(Failure::Disconnected),
        }
        let most = self.client.get().map_or(0, Client::max_payload);
        if bytes > most {
            return refused(Failure::MaxPayload(most));
        }
        let taken = self.in_flight.fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
            (taken < self.max_in_flight).then_some(taken + 1)
        });
        if taken.is_err() {
            if !self.backpressure.swap(true, Ordering::AcqRel) {
                self.counts.backpressure_active.add();
            }
            // Permits given back between the two steps have ended it already.
            self.end_backpressure();
            return Err(Refusal::Backpressure);
        }
        Ok(())
    }

    pub(crate) fn release(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.end_backpressure();
    }

    /// It began with a refusal, and ends when half of the permits are free.
    fn end_backpressure(&self) {
        if self.backpressure.load(Ordering::Acquire) && self.in_flight() <= self.max_in_flight / 2 {
            self.backpressure.store(false, Ordering::Release);
        }
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    pub(crate) fn is_backpressure_active(&self) -> bool {
        self.backpressure.load(Ordering::Acquire)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn await_reply(&self, waiting: Waiting) {
        self.waiting().insert(waiting.ticket.token, waiting);
    }

    pub(crate) fn take_waiting(&self, token: u64) -> Option<Waiting> {
        self.waiting().remove(&token)
    }

    /// Ends every request that waits.
    pub(crate) fn fail_waiting(&self, failure: &Failure) {
        let all = std::mem::take(&mut *self.waiting());
        all.into_values().for_each(|waiting| waiting.fail(failure));
    }

    pub(crate) fn set_last_error(&self, text: String) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    pub(crate) fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
