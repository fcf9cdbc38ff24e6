//! Sends committed outputs and dead letters to JetStream and tells each shard what became of them. One task on a
//! connection of its own; every message carries its `Nats-Msg-Id` and is answered on a reply subject of its own.
//!
//! Invariants: at most `window` messages are unanswered; every request gets exactly one reply, within the time-out or when
//! the connection it left on is gone; a message that the broker could never take does not leave. It decides nothing: who
//! tries again, and when, is the outbox's business.

use crate::nats::connect::Connection;
use crate::sink::ack::{self, Verdict};
use crate::sink::streams::Streams;
use crate::store::OutboxEntry;
use async_nats::header::{HeaderName, HeaderValue};
use async_nats::{Client, HeaderMap, PublishErrorKind, Subscriber};
use futures_util::{FutureExt, StreamExt};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};

/// A message unanswered for this long counts as not confirmed.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// Default of `publish-window`.
pub const WINDOW_DEFAULT: usize = 4000;

const MESSAGE_ID: &str = "Nats-Msg-Id";
const TICK: Duration = Duration::from_millis(250);
/// Headers that are compared with those before them; all an output can have.
const COMPARED: usize = 64;
/// Answers or requests taken at once.
const BURST: usize = 256;

/// One message to send.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// Given back with the reply.
    pub token: u64,
    /// The shard that gets the reply.
    pub shard: usize,
    /// What to send.
    pub entry: Arc<OutboxEntry>,
    /// It may have been sent before: after this time of the broker (ms) it does not leave, because the duplicate window may not know it any more.
    pub blind_until: Option<u64>,
}

impl PublishRequest {
    /// Whether it must not leave any more without being looked for. A process that stood still between queueing and sending asks here.
    #[must_use]
    pub fn too_late(&self, broker_now: Option<u64>) -> bool {
        self.blind_until.is_some_and(|until| broker_now.is_none_or(|now| now > until))
    }
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishReply {
    /// Of the request.
    pub token: u64,
    /// Of the request.
    pub shard: usize,
    /// The outcome.
    pub result: PublishResult,
}

/// See [`Verdict`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublishResult {
    /// It is in the stream.
    Confirmed {
        /// Stream.
        stream: Arc<str>,
        /// Its sequence there.
        sequence: u64,
        /// It was there before.
        duplicate: bool,
    },
    /// Not now, or not known: try again with back-off.
    Unavailable {
        /// Why, in one line.
        reason: String,
    },
    /// Never: needs an operator.
    Refused {
        /// Why, in one line.
        reason: String,
        /// The broker's error number; 0 = refused on our side.
        code: u64,
    },
}

/// Where a shard takes its replies. Must not block.
pub trait PublishSink: Send + Sync {
    /// Takes what became of some of the shard's messages.
    fn published(&self, replies: Vec<PublishReply>);
}

/// Hands messages to the publisher. Clones are the same publisher.
#[derive(Clone, Debug)]
pub struct PublisherHandle {
    requests: mpsc::Sender<PublishRequest>,
}

impl PublisherHandle {
    /// A handle without a publisher: whoever holds the other end answers each request.
    #[cfg(any(test, feature = "simulation"))]
    pub fn unconnected(window: usize) -> (Self, mpsc::Receiver<PublishRequest>) {
        let (requests, taken) = mpsc::channel(window.max(1));
        (Self { requests }, taken)
    }

    /// Hands one on, or gives it back: the queue is full (the outbox tries again) or the publisher has ended.
    pub fn try_publish(&self, request: PublishRequest) -> Result<(), PublishRequest> {
        self.requests.try_send(request).map_err(|error| match error {
            mpsc::error::TrySendError::Full(request) | mpsc::error::TrySendError::Closed(request) => request,
        })
    }

    /// Room for requests now.
    pub fn room(&self) -> usize {
        self.requests.capacity()
    }
}

/// The publisher's task.
pub struct Publisher {
    connection: Connection,
    streams: Streams,
    shards: Vec<Arc<dyn PublishSink>>,
    requests: mpsc::Receiver<PublishRequest>,
    generation: watch::Receiver<u64>,
    in_flight: InFlight,
    window: usize,
    replies: Vec<Vec<PublishReply>>,
    names: Vec<Arc<str>>,
}

impl Publisher {
    /// A publisher and its handle; nothing leaves before [`Publisher::run`].
    pub fn new(connection: Connection, streams: Streams, shards: Vec<Arc<dyn PublishSink>>, window: usize) -> (PublisherHandle, Self) {
        let window = window.max(1);
        let (sender, requests) = mpsc::channel(window);
        let replies = shards.iter().map(|_| Vec::new()).collect();
        let generation = connection.watch();
        let publisher =
            Self { connection, streams, shards, requests, generation, in_flight: InFlight::default(), window, replies, names: Vec::new() };
        (PublisherHandle { requests: sender }, publisher)
    }

    /// Publishes until every handle is dropped and every message is answered.
    pub async fn run(mut self) {
        let mut more = true;
        while more || !self.in_flight.is_empty() {
            let client = self.connection.client();
            let inbox = client.new_inbox();
            match client.subscribe(format!("{inbox}.*")).await {
                Ok(answers) => more = self.serve(&client, &inbox, answers).await,
                Err(error) => {
                    tracing::warn!(reason = %error, "the publisher cannot listen for confirmations; trying on");
                    tokio::time::sleep(TICK).await;
                    self.expire(Instant::now());
                    self.deliver();
                }
            }
        }
    }

    /// Works with one client of the connection; returns whether requests may still come.
    async fn serve(&mut self, client: &Client, inbox: &str, mut answers: Subscriber) -> bool {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut more = true;
        let mut burst = Vec::with_capacity(BURST);
        while more || !self.in_flight.is_empty() {
            let room = self.in_flight.room(self.window).min(BURST);
            tokio::select! {
                biased;
                answer = answers.next() => match answer {
                    Some(answer) => self.answered(answer, &mut answers),
                    None => {
                        self.in_flight.fail_all(&mut self.replies, "the connection to the broker was lost");
                        self.deliver();
                        tokio::time::sleep(TICK).await;
                        return more;
                    }
                },
                _ = self.generation.changed() => {
                    // What left on the old connection will not be answered any more.
                    self.in_flight.fail_all(&mut self.replies, "the connection to the broker was lost");
                }
                count = self.requests.recv_many(&mut burst, room), if more && room > 0 => {
                    more = count > 0;
                    for request in burst.drain(..) {
                        self.send(client, inbox, request).await;
                    }
                }
                _ = tick.tick() => self.expire(Instant::now()),
            }
            self.deliver();
        }
        more
    }

    async fn send(&mut self, client: &Client, inbox: &str, request: PublishRequest) {
        crate::failpoint!("publish-before");
        let message = match prepare(&request.entry, client.max_payload()) {
            Ok(headers) => headers,
            Err(reason) => return self.reply(request.token, request.shard, PublishResult::Refused { reason, code: 0 }),
        };
        if !self.connection.is_connected() {
            return self.reply(request.token, request.shard, unavailable("not connected to the broker"));
        }
        if request.blind_until.is_some() && request.too_late(self.streams.broker_now_ms()) {
            return self.reply(request.token, request.shard, unavailable("it waited so long that it must be looked for first"));
        }
        let number = self.in_flight.next_number();
        let entry = &request.entry;
        let sent =
            client.publish_with_reply_and_headers(entry.subject.clone(), format!("{inbox}.{number}"), message, entry.payload.clone());
        let mut sent = std::pin::pin!(sent);
        // Nearly always there is room in the client's queue: no timer is set up for it.
        let sent = match futures_util::poll!(sent.as_mut()) {
            Poll::Ready(sent) => Ok(sent),
            Poll::Pending => tokio::time::timeout(CONFIRM_TIMEOUT, sent).await,
        };
        match sent {
            Ok(Ok(())) => self.in_flight.push(Waiting { token: request.token, shard: request.shard, since: Instant::now() }),
            Ok(Err(error)) => {
                let result = match error.kind() {
                    PublishErrorKind::InvalidSubject | PublishErrorKind::MaxPayloadExceeded => {
                        PublishResult::Refused { reason: error.to_string(), code: 0 }
                    }
                    _ => unavailable(&error.to_string()),
                };
                self.reply(request.token, request.shard, result);
            }
            Err(_) => self.reply(request.token, request.shard, unavailable("the broker takes no messages at the moment")),
        }
        crate::failpoint!("publish-after");
    }

    /// Takes this answer and those that have arrived behind it.
    fn answered(&mut self, first: async_nats::Message, answers: &mut Subscriber) {
        let mut next = Some(first);
        let mut highest: Vec<(Arc<str>, u64)> = Vec::new();
        let mut taken = 0;
        while let Some(answer) = next.take() {
            self.take(&answer, &mut highest);
            taken += 1;
            if taken < BURST {
                next = tokio::task::unconstrained(answers.next()).now_or_never().flatten();
            }
        }
        for (stream, sequence) in highest {
            self.streams.confirmed(&stream, sequence);
        }
    }

    fn take(&mut self, answer: &async_nats::Message, highest: &mut Vec<(Arc<str>, u64)>) {
        let number = answer.subject.rsplit('.').next().and_then(|number| number.parse().ok());
        // Answered before, or given up: the outbox has decided already.
        let Some(waiting) = number.and_then(|number| self.in_flight.take(number)) else { return };
        crate::failpoint!("confirm-before");
        let result = match ack::judge(answer.status, &answer.payload) {
            Verdict::Confirmed { stream, sequence, duplicate } => {
                let stream = self.name(&stream);
                match highest.iter_mut().find(|(name, _)| *name == stream) {
                    Some((_, seen)) => *seen = sequence.max(*seen),
                    None => highest.push((Arc::clone(&stream), sequence)),
                }
                PublishResult::Confirmed { stream, sequence, duplicate }
            }
            Verdict::Unavailable { reason } => PublishResult::Unavailable { reason },
            Verdict::Refused { reason, code } => PublishResult::Refused { reason, code },
        };
        self.reply(waiting.token, waiting.shard, result);
    }

    /// One copy of each stream's name.
    fn name(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.iter().find(|known| known.as_ref() == name) {
            return Arc::clone(known);
        }
        let name: Arc<str> = name.into();
        if self.names.len() < 64 {
            self.names.push(Arc::clone(&name));
        }
        name
    }

    fn expire(&mut self, now: Instant) {
        let reason = match self.connection.trouble() {
            Some(trouble) => format!("no confirmation within {} s (the server says: {trouble})", CONFIRM_TIMEOUT.as_secs()),
            None => format!("no confirmation within {} s", CONFIRM_TIMEOUT.as_secs()),
        };
        self.in_flight.expire(now, &mut self.replies, &reason);
    }

    fn reply(&mut self, token: u64, shard: usize, result: PublishResult) {
        if let Some(replies) = self.replies.get_mut(shard) {
            replies.push(PublishReply { token, shard, result });
        }
    }

    fn deliver(&mut self) {
        for (sink, replies) in self.shards.iter().zip(&mut self.replies) {
            if !replies.is_empty() {
                sink.published(std::mem::take(replies));
            }
        }
    }
}

fn unavailable(reason: &str) -> PublishResult {
    PublishResult::Unavailable { reason: reason.to_owned() }
}

/// The headers to send, or why the broker could never take this.
pub(super) fn prepare(entry: &OutboxEntry, max_payload: usize) -> Result<HeaderMap, String> {
    let refused = |name: &str| format!("header {name:?} cannot be sent: its name or value contains characters that are not allowed");
    let mut map = HeaderMap::new();
    for (at, (name, value)) in entry.headers.iter().enumerate() {
        let sendable_name = match name {
            // One of the host's own.
            Cow::Borrowed(name) => Some(HeaderName::from_static(name)),
            Cow::Owned(name) => HeaderName::from_str(name).ok().filter(|_| !name.is_empty()),
        };
        let (sendable_name, value) = sendable_name.zip(HeaderValue::from_str(value).ok()).ok_or_else(|| refused(name))?;
        // `append` looks for the name first: another hash of it, where nearly all names stand once. A dead letter may have thousands.
        let again = at >= COMPARED || entry.headers.iter().take(at).any(|(earlier, _)| earlier.eq_ignore_ascii_case(name));
        if again { map.append(sendable_name, value) } else { map.insert(sendable_name, value) }
    }
    let id = HeaderValue::from_str(&entry.message_id).map_err(|_| refused(MESSAGE_ID))?;
    map.append(HeaderName::from_static(MESSAGE_ID), id);
    let size = wire_size(entry.headers.iter().map(|(name, value)| (&**name, value.as_str())), &entry.message_id, entry.payload.len());
    if size > max_payload {
        return Err(format!("the message has {size} bytes with its headers; the server takes {max_payload} (max_payload)"));
    }
    Ok(map)
}

/// Bytes of a message as the broker counts them, its `Nats-Msg-Id` included.
pub fn wire_size<'a>(headers: impl Iterator<Item = (&'a str, &'a str)>, message_id: &str, payload: usize) -> usize {
    const AROUND: usize = "NATS/1.0\r\n\r\n".len();
    const LINE: usize = ": \r\n".len();
    let id = MESSAGE_ID.len() + message_id.len() + LINE;
    headers.map(|(name, value)| name.len() + value.len() + LINE).sum::<usize>() + id + AROUND + payload
}

/// One unanswered message.
#[derive(Debug)]
struct Waiting {
    token: u64,
    shard: usize,
    since: Instant,
}

/// Unanswered messages by number. They leave in order and mostly are answered in order.
#[derive(Debug, Default)]
struct InFlight {
    slots: VecDeque<Option<Waiting>>,
    /// Number of the first slot.
    first: u64,
    count: usize,
}

impl InFlight {
    fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Messages that may leave now. Answered ones behind an unanswered one keep their slots for a while: bounded too.
    fn room(&self, window: usize) -> usize {
        window.saturating_sub(self.count).min(window.saturating_mul(8).saturating_sub(self.slots.len()))
    }

    fn next_number(&self) -> u64 {
        self.first + self.slots.len() as u64
    }

    fn push(&mut self, waiting: Waiting) {
        self.slots.push_back(Some(waiting));
        self.count += 1;
    }

    fn take(&mut self, number: u64) -> Option<Waiting> {
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        let waiting = self.slots.get_mut(at)?.take()?;
        self.count -= 1;
        self.trim();
        Some(waiting)
    }

    fn trim(&mut self) {
        while let Some(None) = self.slots.front() {
            self.slots.pop_front();
            self.first += 1;
        }
    }

    /// Gives up what waits too long.
    fn expire(&mut self, now: Instant, replies: &mut [Vec<PublishReply>], reason: &str) {
        while let Some(Some(waiting)) = self.slots.front() {
            if now.saturating_duration_since(waiting.since) < CONFIRM_TIMEOUT {
                break;
            }
            self.give_up_first(replies, reason);
        }
    }

    fn fail_all(&mut self, replies: &mut [Vec<PublishReply>], reason: &str) {
        while !self.slots.is_empty() {
            self.give_up_first(replies, reason);
        }
    }

    fn give_up_first(&mut self, replies: &mut [Vec<PublishReply>], reason: &str) {
        if let Some(Some(waiting)) = self.slots.front_mut().map(Option::take) {
            self.count -= 1;
            if let Some(replies) = replies.get_mut(waiting.shard) {
                replies.push(PublishReply { token: waiting.token, shard: waiting.shard, result: unavailable(reason) });
            }
        }
        self.trim();
    }
}

#[cfg(test)]
mod tests;
