//! Messages of a subject for a process that says how many it has dealt with.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_nats::{Message, Subscriber};
use futures_util::StreamExt;
use rustler::{Encoder, Env, LocalPid, Monitor, Resource};
use tokio::sync::{Semaphore, watch};

use crate::answer::{Addressee, atoms, binary};
use crate::shared::Shared;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Open,
    /// No new messages; those that have come are delivered.
    Draining,
    Over,
}

/// A subscription, as its owner and the connection see it.
pub(crate) struct Subscription {
    /// Messages that may be sent before one is acknowledged.
    credit: Semaphore,
    /// Messages sent and not acknowledged.
    unacknowledged: AtomicUsize,
    phase: watch::Sender<Phase>,
}

impl Subscription {
    pub(crate) fn new(credit: usize) -> Self {
        Self {
            credit: Semaphore::new(credit),
            unacknowledged: AtomicUsize::new(0),
            phase: watch::Sender::new(Phase::Open),
        }
    }

    /// The owner has dealt with messages. More than were sent are none.
    pub(crate) fn acknowledge(&self, messages: usize) {
        let before =
            self.unacknowledged.fetch_update(Ordering::AcqRel, Ordering::Acquire, |sent| {
                Some(sent.saturating_sub(messages))
            });
        if let Ok(sent) = before {
            self.credit.add_permits(messages.min(sent));
        }
    }

    /// Ends it after what has come already.
    pub(crate) fn drain(&self) {
        self.phase.send_if_modified(|phase| {
            let begins = *phase == Phase::Open;
            if begins {
                *phase = Phase::Draining;
            }
            begins
        });
    }

    /// Ends it now.
    pub(crate) fn end(&self) {
        self.phase.send_replace(Phase::Over);
    }

    /// Whether nothing more will be sent and all of it has been dealt with.
    pub(crate) fn is_done(&self) -> bool {
        *self.phase.borrow() == Phase::Over && self.unacknowledged.load(Ordering::Acquire) == 0
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives in `self`, so that there is no error.
        let _ = self.phase.subscribe().wait_for(|reached| *reached >= phase).await;
    }

    /// Hands messages to the owner, as its credit allows, until one of the parties ends it. Meanwhile
    /// they wait in the library's buffer, which is bounded; what finds it full is dropped and counted.
    pub(crate) async fn deliver(
        &self,
        shared: &Shared,
        mut subscriber: Subscriber,
        owner: Addressee,
    ) {
        let mut draining = false;
        let drained = self.reached(Phase::Draining);
        let over = self.reached(Phase::Over);
        tokio::pin!(drained, over);
        loop {
            tokio::select! {
                biased;
                () = &mut over => break,
                () = &mut drained, if !draining => {
                    draining = true;
                    if subscriber.drain().await.is_err() {
                        break;
                    }
                }
                message = self.next(&mut subscriber) => match message {
                    Some(message) if self.hand_over(&owner, &message) => shared.counts.delivered.add(),
                    _ => break,
                }
            }
        }
        self.end();
        let _ = subscriber.unsubscribe().await;
        owner.send(|env, reference| (atoms::nats_subscription_ended(), reference).encode(env));
    }

    /// The next message, once there is credit for it.
    async fn next(&self, subscriber: &mut Subscriber) -> Option<Message> {
        let permit = self.credit.acquire().await.ok()?;
        let message = subscriber.next().await?;
        // It comes back with the acknowledgement.
        permit.forget();
        Some(message)
    }

    /// Sends `{nats_message, Reference, Subject, ReplyTo, Payload}`.
    fn hand_over(&self, owner: &Addressee, message: &Message) -> bool {
        self.unacknowledged.fetch_add(1, Ordering::AcqRel);
        owner.send(|env, reference| {
            let reply_to = match &message.reply {
                Some(subject) => binary(env, subject.as_bytes()),
                None => atoms::nil().encode(env),
            };
            let subject = binary(env, message.subject.as_bytes());
            let payload = binary(env, &message.payload);
            (atoms::nats_message(), reference, subject, reply_to, payload).encode(env)
        })
    }
}

/// The owner's term. The subscription ends with it, and with its process.
pub(crate) struct SubscriptionHandle(pub(crate) Arc<Subscription>);

#[rustler::resource_impl]
impl Resource for SubscriptionHandle {
    const IMPLEMENTS_DOWN: bool = true;

    fn down<'a>(&'a self, _env: Env<'a>, _pid: LocalPid, _monitor: Monitor) {
        self.0.end();
    }
}

impl Drop for SubscriptionHandle {
    fn drop(&mut self) {
        self.0.end();
    }
}
