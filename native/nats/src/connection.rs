//! A connection's thread: all of async-nats runs in it, and it ends with the connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State as Reach;
use async_nats::{
    Client, ConnectOptions, Event, PublishError, PublishErrorKind, StatusCode, Subscriber,
};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use crate::answer::{Addressee, Failure};
use crate::shared::{Shared, State};
use crate::subscription::Subscription;
use crate::threads;
use crate::ticket::Waiting;
use crate::tls::{self, TlsFiles};

/// As `/proc` shows the library's threads.
const THREAD_NAME: &str = "nats_client";

/// Commands that async-nats takes before it makes its callers wait.
const LIBRARY_BUFFER: usize = 256;

/// For what a thread of async-nats may still do (it reads files and looks up names in one).
const LAST_CALL: Duration = Duration::from_millis(100);

/// How often a drain looks whether it is over.
const DRAIN_LOOK: Duration = Duration::from_millis(2);

/// What a connection is made with; `nats_client` has checked it.
#[derive(Debug, Clone, rustler::NifMap)]
pub(crate) struct Options {
    host: String,
    port: u16,
    name: String,
    tls: Option<TlsFiles>,
    pub(crate) max_in_flight: usize,
    buffer: usize,
    connect_timeout_ms: u64,
    reconnect_delay_ms: u64,
    ping_interval_ms: u64,
}

/// What the thread is told.
pub(crate) enum Command {
    /// With a permit, which goes when it ends. Without a subject it is sent to the caller itself.
    Request {
        subject: Option<String>,
        payload: Bytes,
        waiting: Waiting,
    },
    /// Nobody waits for this request any more.
    Forget(u64),
    /// With a permit, which is given back when the library has it.
    Publish {
        subject: String,
        reply_to: Option<String>,
        payload: Bytes,
    },
    Subscribe {
        subject: String,
        group: Option<String>,
        subscription: Arc<Subscription>,
        owner: Addressee,
    },
    Drain {
        patience: Duration,
        caller: Addressee,
    },
    Close {
        caller: Addressee,
    },
}

/// Starts the thread of a connection; `caller` hears `ok` once it is connected, or why not.
pub(crate) fn start(options: Options, caller: Addressee) -> Result<Arc<Shared>, std::io::Error> {
    let (sender, commands) = mpsc::unbounded_channel();
    let shared = Arc::new(Shared::new(options.max_in_flight, sender));
    let mut end = End { shared: Arc::clone(&shared), callers: Mutex::default() };
    let _thread = threads::spawn(THREAD_NAME, move || {
        // What panics here is a bug, and ends this connection; not the VM.
        let _ = catch_unwind(AssertUnwindSafe(|| run(options, &mut end, commands, caller)));
    })?;
    Ok(shared)
}

/// However the thread ends, whoever waits hears of it.
struct End {
    shared: Arc<Shared>,
    /// Who asked for the end.
    callers: Mutex<Vec<Addressee>>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.shared.set_state(State::Closed);
        self.shared.fail_waiting(&Failure::Closed);
        let callers = self.callers.get_mut().unwrap_or_else(PoisonError::into_inner);
        callers.drain(..).for_each(|caller| {
            caller.answer_ok();
        });
    }
}

fn run(
    options: Options,
    end: &mut End,
    mut commands: mpsc::UnboundedReceiver<Command>,
    caller: Addressee,
) {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => {
            caller.answer_error(&Failure::Failed(error.to_string()));
            return;
        }
    };
    runtime.block_on(async {
        tokio::select! {
            biased;
            () = threads::ended() => {}
            () = end.shared.stopped() => {}
            () = serve(&options, end, &mut commands, caller) => {}
        }
    });
    runtime.shutdown_timeout(LAST_CALL);
    // A request that was told meanwhile ends too; no other can follow, as nobody listens.
    end.shared.set_state(State::Closed);
    commands.close();
    while let Ok(command) = commands.try_recv() {
        refuse(end, command);
    }
}

fn runtime() -> std::io::Result<Runtime> {
    Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(1)
        .thread_name(THREAD_NAME)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
}

/// A command that nobody can carry out any more.
fn refuse(end: &End, command: Command) {
    match command {
        Command::Request { waiting, .. } => waiting.fail(&Failure::Closed),
        Command::Publish { .. } => {
            end.shared.counts.publish_errors.add();
            end.shared.release();
        }
        Command::Subscribe { subscription, .. } => subscription.end(),
        Command::Drain { caller, .. } | Command::Close { caller } => end.tell_at_end(caller),
        Command::Forget(_) => {}
    }
}

impl End {
    fn tell_at_end(&self, caller: Addressee) {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner).push(caller);
    }
}

async fn serve(
    options: &Options,
    end: &End,
    commands: &mut mpsc::UnboundedReceiver<Command>,
    caller: Addressee,
) {
    let shared = &end.shared;
    let limit = Duration::from_millis(options.connect_timeout_ms);
    let connected = match timeout(limit, connect(options, shared)).await {
        Ok(connected) => connected,
        Err(_) => Err(Failure::Timeout),
    };
    let (client, inbox, prefix) = match connected {
        Ok(connected) => connected,
        Err(failure) => {
            caller.answer_error(&failure);
            return;
        }
    };
    shared.set_reachable(true);
    caller.answer_ok();
    let replies = tokio::spawn(receive_replies(Arc::clone(shared), inbox, prefix.len() + 1));
    let mut subscriptions = Vec::new();
    while let Some(command) = commands.recv().await {
        match command {
            // It was given up before its turn came.
            Command::Request { waiting, .. } if waiting.ticket.is_over() => {}
            Command::Request { subject, payload, waiting } => {
                let token = waiting.ticket.token;
                let inbox = format!("{prefix}.{token}");
                let subject = subject.unwrap_or_else(|| inbox.clone());
                shared.await_reply(waiting);
                if let Err(error) = client.publish_with_reply(subject, inbox, payload).await
                    && let Some(waiting) = shared.take_waiting(token)
                {
                    waiting.fail(&publish_failure(&client, &error));
                }
            }
            Command::Forget(token) => drop(shared.take_waiting(token)),
            Command::Publish { subject, reply_to, payload } => {
                let sent = match reply_to {
                    Some(reply_to) => client.publish_with_reply(subject, reply_to, payload).await,
                    None => client.publish(subject, payload).await,
                };
                match sent {
                    Ok(()) => shared.counts.published.add(),
                    Err(_) => shared.counts.publish_errors.add(),
                }
                shared.release();
            }
            Command::Subscribe { subject, group, subscription, owner } => {
                let subscriber = match group {
                    Some(group) => client.queue_subscribe(subject, group).await,
                    None => client.subscribe(subject).await,
                };
                match subscriber {
                    Ok(subscriber) => {
                        subscriptions.retain(|known: &Arc<Subscription>| !known.is_done());
                        subscriptions.push(Arc::clone(&subscription));
                        let shared = Arc::clone(shared);
                        tokio::spawn(async move {
                            subscription.deliver(&shared, subscriber, owner).await;
                        });
                    }
                    Err(_) => subscription.end(),
                }
            }
            Command::Drain { patience, caller } => {
                shared.set_state(State::Draining);
                let drain = Drain {
                    shared: Arc::clone(shared),
                    client: client.clone(),
                    subscriptions: std::mem::take(&mut subscriptions),
                };
                tokio::spawn(drain.run(Instant::now() + patience, caller));
            }
            Command::Close { caller } => {
                end.tell_at_end(caller);
                break;
            }
        }
    }
    replies.abort();
}

/// Connects, and subscribes to a subject of its own for replies.
async fn connect(
    options: &Options,
    shared: &Arc<Shared>,
) -> Result<(Client, Subscriber, String), Failure> {
    let failed = |text: String| Failure::Failed(text);
    if let Some(files) = &options.tls {
        let negotiated =
            tls::negotiate(&options.host, options.port, files).await.map_err(failed)?;
        let _ = shared.negotiated.set(negotiated);
    }
    let scheme = if options.tls.is_some() { "tls" } else { "nats" };
    let host = if options.host.contains(':') {
        format!("[{}]", options.host)
    } else {
        options.host.clone()
    };
    let client = connect_options(options, shared)
        .connect(format!("{scheme}://{host}:{}", options.port))
        .await
        .map_err(|error| failed(error.to_string()))?;
    let prefix = client.new_inbox();
    let inbox =
        client.subscribe(format!("{prefix}.*")).await.map_err(|error| failed(error.to_string()))?;
    let _ = shared.client.set(client.clone());
    Ok((client, inbox, prefix))
}

fn connect_options(options: &Options, shared: &Arc<Shared>) -> ConnectOptions {
    let most_ms = options.reconnect_delay_ms;
    let shared = Arc::clone(shared);
    let settings = ConnectOptions::new()
        .name(&options.name)
        .connection_timeout(Duration::from_millis(options.connect_timeout_ms))
        .ping_interval(Duration::from_millis(options.ping_interval_ms))
        .client_capacity(LIBRARY_BUFFER)
        .subscription_capacity(options.buffer.max(options.max_in_flight))
        .ignore_discovered_servers()
        .reconnect_delay_callback(move |attempts| {
            let doubled = 1_u64.checked_shl(attempts.try_into().unwrap_or(u32::MAX));
            Duration::from_millis(doubled.unwrap_or(most_ms).min(most_ms))
        })
        .event_callback(move |event| {
            let shared = Arc::clone(&shared);
            async move { hear(&shared, &event) }
        });
    match &options.tls {
        None => settings,
        Some(files) => {
            let settings = settings.require_tls(true).add_root_certificates(files.ca());
            match files.certificate() {
                Some((certificate, key)) => settings.add_client_certificate(certificate, key),
                None => settings,
            }
        }
    }
}

/// What the library tells of the connection. It may leave events out when there are many, so that the
/// state is always asked for.
fn hear(shared: &Shared, event: &Event) {
    match event {
        Event::SlowConsumer(_) => shared.counts.dropped.add(),
        Event::ClientError(_) | Event::ServerError(_) => shared.set_last_error(event.to_string()),
        _ => {}
    }
    let Some(client) = shared.client.get() else { return };
    shared.set_reachable(client.connection_state() == Reach::Connected);
    if *event == Event::Disconnected {
        // Their replies went to a connection that is no more.
        shared.fail_waiting(&Failure::Disconnected);
    }
}

/// Replies come to `PREFIX.TOKEN`.
async fn receive_replies(shared: Arc<Shared>, mut inbox: Subscriber, token_at: usize) {
    while let Some(message) = inbox.next().await {
        let token = message.subject.get(token_at..).and_then(|token| token.parse().ok());
        match token.and_then(|token| shared.take_waiting(token)) {
            Some(waiting) if message.status == Some(StatusCode::NO_RESPONDERS) => {
                waiting.fail(&Failure::NoResponders);
            }
            Some(waiting) => waiting.reply(&message.payload),
            None => shared.counts.late.add(),
        }
    }
}

fn publish_failure(client: &Client, error: &PublishError) -> Failure {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Failure::MaxPayload(client.max_payload()),
        PublishErrorKind::InvalidSubject => Failure::InvalidSubject,
        PublishErrorKind::Send => Failure::Closed,
    }
}

/// The end of a connection at which nothing is lost that can be finished.
struct Drain {
    shared: Arc<Shared>,
    client: Client,
    subscriptions: Vec<Arc<Subscription>>,
}

impl Drain {
    /// New requests are refused already. Subscriptions end after what has come, requests with their
    /// answers, and messages of whoever still answers are sent.
    async fn run(self, deadline: Instant, caller: Addressee) {
        self.subscriptions.iter().for_each(|subscription| subscription.drain());
        while Instant::now() < deadline && !self.is_done() {
            sleep(DRAIN_LOOK).await;
        }
        let in_time = self.is_done()
            && matches!(tokio::time::timeout_at(deadline, self.client.flush()).await, Ok(Ok(())));
        if in_time {
            caller.answer_ok();
        } else {
            caller.answer_error(&Failure::Timeout);
        }
        self.shared.stop();
    }

    fn is_done(&self) -> bool {
        self.shared.in_flight() == 0 && self.subscriptions.iter().all(|known| known.is_done())
    }
}
