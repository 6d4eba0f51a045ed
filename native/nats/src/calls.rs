//! The calls, all on normal schedulers: none waits for anything.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subject;
use bytes::Bytes;
use rustler::{
    Atom, Binary, Encoder, Env, Error, LocalPid, Monitor, NifResult, Resource, ResourceArc, Term,
};

use crate::answer::{Addressee, Failure, atoms, binary};
use crate::connection::{self, Command, Options};
use crate::shared::{Refusal, Shared};
use crate::subscription::{Subscription, SubscriptionHandle};
use crate::ticket::{Ticket, TicketHandle, Waiting};

/// Most messages that a subscription's owner may leave unacknowledged.
const CREDIT_MAX: usize = 1_000_000;

/// A message this long takes a tenth of a time slice to copy.
const LONG_BYTES: usize = 1 << 18;
const LONG_PERCENT: i32 = 10;

/// A connection, which ends with its term and with the process that made it.
struct ConnectionHandle(Arc<Shared>);

#[rustler::resource_impl]
impl Resource for ConnectionHandle {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.0.stop();
    }
}

impl Drop for ConnectionHandle {
    fn drop(&mut self) {
        self.0.stop();
    }
}

type Connection = ResourceArc<ConnectionHandle>;

/// `connect(Options, Reference) -> Connection`: starts a thread, which answers.
#[rustler::nif]
fn connect<'a>(env: Env<'a>, options: Options, reference: Term<'a>) -> NifResult<Term<'a>> {
    let caller = Addressee::new(env.pid(), reference);
    let shared = connection::start(options, caller)
        .map_err(|error| Error::RaiseTerm(Box::new((atoms::thread(), error.to_string()))))?;
    let connection = ResourceArc::new(ConnectionHandle(shared));
    // A process that was killed meanwhile cannot be watched; its term goes with it.
    let _ = connection.monitor(Some(env), &env.pid());
    Ok(connection.encode(env))
}

/// `request(Connection, Reference, Subject | nil, Payload) -> Ticket | {error, _} | {rejected, _}`.
#[rustler::nif]
fn request<'a>(
    env: Env<'a>,
    connection: Connection,
    reference: Term<'a>,
    subject: Option<&str>,
    payload: Binary<'a>,
) -> Term<'a> {
    let shared = &connection.0;
    shared.counts.requests.add();
    let admitted = publishable(subject).and_then(|()| shared.admit(payload.len(), false));
    if let Err(refusal) = admitted {
        match &refusal {
            Refusal::Backpressure => shared.counts.rejected.add(),
            Refusal::Failure(_) => shared.counts.errors.add(),
        }
        return refused(env, &refusal);
    }
    let ticket = Arc::new(Ticket::new(Arc::clone(shared), shared.token()));
    let waiting =
        Waiting { ticket: Arc::clone(&ticket), caller: Addressee::new(env.pid(), reference) };
    let handle = ResourceArc::new(TicketHandle(ticket));
    let command = Command::Request {
        subject: subject.map(str::to_owned),
        payload: copied(env, &payload),
        waiting,
    };
    shared.tell_or(command, |command| {
        if let Command::Request { waiting, .. } = command {
            waiting.fail(&Failure::Closed);
        }
    });
    handle.encode(env)
}

/// `give_up(Ticket) -> boolean()`: true if no answer will come.
#[rustler::nif]
fn give_up(ticket: ResourceArc<TicketHandle>) -> bool {
    ticket.0.give_up()
}

/// `publish(Connection, Subject, ReplyTo | nil, Payload) -> ok | {error, _} | {rejected, _}`.
#[rustler::nif]
fn publish<'a>(
    env: Env<'a>,
    connection: Connection,
    subject: &str,
    reply_to: Option<&str>,
    payload: Binary<'a>,
) -> Term<'a> {
    let shared = &connection.0;
    let admitted = publishable(Some(subject))
        .and_then(|()| publishable(reply_to))
        .and_then(|()| shared.admit(payload.len(), true));
    if let Err(refusal) = admitted {
        match &refusal {
            Refusal::Backpressure => shared.counts.publish_rejected.add(),
            Refusal::Failure(_) => shared.counts.publish_errors.add(),
        }
        return refused(env, &refusal);
    }
    let command = Command::Publish {
        subject: subject.to_owned(),
        reply_to: reply_to.map(str::to_owned),
        payload: copied(env, &payload),
    };
    let mut closed = false;
    shared.tell_or(command, |_| {
        shared.counts.publish_errors.add();
        shared.release();
        closed = true;
    });
    if closed { refused(env, &Refusal::Failure(Failure::Closed)) } else { atoms::ok().encode(env) }
}

/// `subscribe(Connection, Reference, Subject, Group | nil, Credit) -> Subscription | {error, _}`.
#[rustler::nif]
fn subscribe<'a>(
    env: Env<'a>,
    connection: Connection,
    reference: Term<'a>,
    subject: &str,
    group: Option<&str>,
    credit: usize,
) -> NifResult<Term<'a>> {
    if !(1..=CREDIT_MAX).contains(&credit) {
        return Err(Error::BadArg);
    }
    let is_valid = Subject::from(subject).is_valid()
        && group.is_none_or(|group| publishable(Some(group)).is_ok());
    if !is_valid {
        return Ok(refused(env, &Refusal::Failure(Failure::InvalidSubject)));
    }
    let subscription = Arc::new(Subscription::new(credit));
    let handle = ResourceArc::new(SubscriptionHandle(Arc::clone(&subscription)));
    let _ = handle.monitor(Some(env), &env.pid());
    let told = connection.0.tell(Command::Subscribe {
        subject: subject.to_owned(),
        group: group.map(str::to_owned),
        subscription,
        owner: Addressee::new(env.pid(), reference),
    });
    if told { Ok(handle.encode(env)) } else { Ok(refused(env, &Refusal::Failure(Failure::Closed))) }
}

/// `acknowledge(Subscription, Messages) -> ok`.
#[rustler::nif]
fn acknowledge(subscription: ResourceArc<SubscriptionHandle>, messages: usize) -> Atom {
    subscription.0.acknowledge(messages);
    atoms::ok()
}

/// `unsubscribe(Subscription) -> ok`: `nats_subscription_ended` is its last message.
#[rustler::nif]
fn unsubscribe(subscription: ResourceArc<SubscriptionHandle>) -> Atom {
    subscription.0.end();
    atoms::ok()
}

/// `drain(Connection, Reference, TimeoutMs) -> boolean()`: false if it has ended before.
#[rustler::nif]
fn drain<'a>(env: Env<'a>, connection: Connection, reference: Term<'a>, timeout_ms: u64) -> bool {
    let caller = Addressee::new(env.pid(), reference);
    connection.0.tell(Command::Drain { patience: Duration::from_millis(timeout_ms), caller })
}

/// `close(Connection, Reference) -> boolean()`: false if it has ended before.
#[rustler::nif]
fn close<'a>(env: Env<'a>, connection: Connection, reference: Term<'a>) -> bool {
    let caller = Addressee::new(env.pid(), reference);
    let told = connection.0.tell(Command::Close { caller });
    connection.0.stop();
    told
}

/// `info(Connection) -> map()`.
#[rustler::nif]
fn info(env: Env<'_>, connection: Connection) -> NifResult<Term<'_>> {
    let shared = &connection.0;
    let text = |text: &str| binary(env, text.as_bytes());
    let mut pairs = vec![("state", shared.state().atom().encode(env))];
    if let Some(client) = shared.client.get() {
        let server = client.server_info();
        let connects = client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed);
        pairs.push(("server_version", text(&server.version)));
        pairs.push(("server_id", text(&server.server_id)));
        pairs.push(("max_payload", client.max_payload().encode(env)));
        pairs.push(("connects", connects.encode(env)));
    }
    if let Some(negotiated) = shared.negotiated.get() {
        pairs.push(("tls_version", text(&negotiated.version)));
        pairs.push(("tls_cipher", text(&negotiated.cipher)));
    }
    let last_error = shared.last_error();
    if !last_error.is_empty() {
        pairs.push(("last_error", text(&last_error)));
    }
    map(env, &pairs)
}

/// `counters(Connection) -> map()`.
#[rustler::nif]
fn counters(env: Env<'_>, connection: Connection) -> NifResult<Term<'_>> {
    let shared = &connection.0;
    let counts = &shared.counts;
    let pairs = [
        ("requests", counts.requests.get()),
        ("replied", counts.replied.get()),
        ("errors", counts.errors.get()),
        ("timeouts", counts.timeouts.get()),
        ("rejected", counts.rejected.get()),
        ("abandoned", counts.abandoned.get()),
        ("late", counts.late.get()),
        ("published", counts.published.get()),
        ("publish_errors", counts.publish_errors.get()),
        ("publish_rejected", counts.publish_rejected.get()),
        ("delivered", counts.delivered.get()),
        ("dropped", counts.dropped.get()),
        ("disconnects", counts.disconnects.get()),
        ("in_flight", shared.in_flight() as u64),
        ("backpressure_active_total", counts.backpressure_active.get()),
    ];
    let mut pairs: Vec<_> = pairs.map(|(name, count)| (name, count.encode(env))).into();
    pairs.push(("backpressure_active", shared.is_backpressure_active().encode(env)));
    map(env, &pairs)
}

/// The names are this library's own, so that making atoms of them is bounded.
fn map<'a>(env: Env<'a>, pairs: &[(&'static str, Term<'a>)]) -> NifResult<Term<'a>> {
    let pair = |(name, term): &(&str, Term<'a>)| -> NifResult<_> {
        Ok((Atom::from_str(env, name)?, *term))
    };
    Term::map_from_pairs(env, &pairs.iter().map(pair).collect::<NifResult<Vec<_>>>()?)
}

/// What the protocol can carry as a subject; wildcards mean nothing to the publisher.
fn publishable(subject: Option<&str>) -> Result<(), Refusal> {
    let is_valid = subject.is_none_or(|subject| {
        !subject.is_empty() && !subject.contains(|c: char| c.is_whitespace() || c.is_control())
    });
    if is_valid { Ok(()) } else { Err(Refusal::Failure(Failure::InvalidSubject)) }
}

fn refused<'a>(env: Env<'a>, refusal: &Refusal) -> Term<'a> {
    match refusal {
        Refusal::Backpressure => (atoms::rejected(), atoms::backpressure()).encode(env),
        Refusal::Failure(failure) => (atoms::error(), failure).encode(env),
    }
}

fn copied(env: Env<'_>, payload: &Binary<'_>) -> Bytes {
    if payload.len() >= LONG_BYTES {
        rustler::schedule::consume_timeslice(env, LONG_PERCENT);
    }
    Bytes::copy_from_slice(payload)
}
