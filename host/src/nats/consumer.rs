//! One generation of a reading consumer: created, pulled from, and given up at the first sign that something was missed.
//!
//! Invariants: `ack none`, so the server never redelivers; every message handed on has the consumer sequence one above the
//! one before; the bytes and messages asked for and not yet taken are bounded by the spec (back-pressure is simply not
//! asking). [`Consumer`] never heals itself: [`crate::nats::gapless`] makes the next generation.

use crate::event::{Header, Message};
use crate::nats::api::{self, ApiError};
use crate::nats::connect::{Connection, SUBSCRIPTION_CAPACITY};
use crate::nats::course::Deliveries;
use async_nats::{Client, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::watch;

/// A pull that brings nothing ends after this long and is followed by another.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The server drops a consumer that nobody pulls from for this long.
const INACTIVE_THRESHOLD: Duration = Duration::from_secs(60);
/// Room for subject and ack subject beside the largest message.
const ENVELOPE_BYTES: u64 = 16 * 1024;
/// Payloads below this are copied out of the client's read buffer: a small event that is held for long must not keep a whole buffer alive.
const COPY_BELOW: usize = 32 * 1024;

/// What to read, and how much at once.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Stream.
    pub stream: String,
    /// Consumers are named `<prefix>-<random>-<generation>`.
    pub name_prefix: String,
    /// Filter; none = everything.
    pub subjects: Vec<String>,
    /// Without payloads.
    pub headers_only: bool,
    /// Messages asked for and not yet taken, at most.
    pub prefetch_messages: u64,
    /// Bytes asked for and not yet taken, about.
    pub prefetch_bytes: u64,
    /// How often an idle server says that it is there.
    pub heartbeat: Duration,
}

/// What a consumer brings.
#[derive(Debug)]
pub enum Delivery {
    /// The next message.
    Message {
        /// The message.
        message: Message,
        /// Messages after it that match the filter, as the server knew when it sent it.
        pending: u64,
    },
    /// Nothing for one heartbeat; everything up to `examined` that matches was delivered.
    Idle {
        /// Highest stream sequence that the consumer has looked at.
        examined: u64,
    },
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A consumer sequence is missing, or a message came twice.
    Hole,
    /// Neither message nor heartbeat in time.
    Heartbeat,
    /// The server deleted the consumer or moved it.
    Deleted,
    /// The connection was lost.
    Reconnect,
    /// An unexpected answer.
    Status,
    /// A request failed (consumer, stream facts).
    Request,
    /// Our own wish: what was read could not be judged.
    Unsure,
}

impl Reason {
    /// Label of the metric.
    pub fn label(self) -> &'static str {
        match self {
            Self::Hole => "hole",
            Self::Heartbeat => "heartbeat",
            Self::Deleted => "deleted",
            Self::Reconnect => "reconnect",
            Self::Status => "status",
            Self::Request => "request",
            Self::Unsure => "unsure",
        }
    }
}

/// The end of a generation.
#[derive(Clone, Debug)]
pub struct Broken {
    /// Why, for the metric.
    pub reason: Reason,
    /// Why, for the log.
    pub detail: String,
}

impl Broken {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

impl From<ApiError> for Broken {
    fn from(error: ApiError) -> Self {
        Self::new(Reason::Request, error.to_string())
    }
}

/// Why no consumer could be made.
#[derive(Debug)]
pub enum CreateError {
    /// Later perhaps.
    Transient(Broken),
    /// Not as things are: refused, or a setting was ignored.
    Final(String),
}

/// A live consumer of one generation.
pub struct Consumer {
    client: Client,
    stream: String,
    name: String,
    inbox: String,
    messages: Subscriber,
    connection: watch::Receiver<u64>,
    heartbeat: Duration,
    deliveries: Deliveries,
    /// Messages asked for and neither taken nor given up by the server.
    outstanding: u64,
    prefetch: u64,
    pull_bytes: u64,
    pulls: u64,
    /// Nothing was taken since the last "does not fit": one message is larger than a pull may be.
    oversize: bool,
    taken_since_full: bool,
    pending: u64,
}

#[derive(Deserialize)]
struct Created {
    config: Echo,
    #[serde(default)]
    num_pending: u64,
    delivered: Delivered,
}

#[derive(Deserialize)]
struct Delivered {
    consumer_seq: u64,
}

#[derive(Deserialize)]
struct Echo {
    #[serde(default)]
    deliver_policy: String,
    #[serde(default)]
    opt_start_seq: u64,
    #[serde(default)]
    ack_policy: String,
    #[serde(default)]
    filter_subject: Option<String>,
    #[serde(default)]
    filter_subjects: Vec<String>,
    #[serde(default)]
    mem_storage: bool,
    #[serde(default)]
    num_replicas: u64,
    #[serde(default)]
    headers_only: bool,
    #[serde(default)]
    inactive_threshold: u128,
}

impl Consumer {
    /// Creates a consumer that starts at stream sequence `at`.
    pub async fn create(connection: &Connection, spec: &Spec, number: u64, at: u64) -> Result<Self, CreateError> {
        let transient = |error: ApiError| match error.is_transient() || error.is_stream_not_found() {
            true => CreateError::Transient(error.into()),
            false => CreateError::Final(error.to_string()),
        };
        let mut generation = connection.watch();
        generation.mark_unchanged();
        let client = connection.client();
        let at = at.max(1);
        let inbox = client.new_inbox();
        let name = format!("{}-{}-{number}", spec.name_prefix, inbox.rsplit('.').next().unwrap_or("x"));
        let subjects = minimal(&spec.subjects);
        let body = serde_json::json!({
            "stream_name": spec.stream,
            "action": "create",
            "config": {
                "name": name, "deliver_policy": "by_start_sequence", "opt_start_seq": at, "ack_policy": "none", "replay_policy": "instant",
                "filter_subjects": subjects, "headers_only": spec.headers_only, "mem_storage": true, "num_replicas": 1,
                "inactive_threshold": nanos(INACTIVE_THRESHOLD),
            }
        });
        let messages = client
            .subscribe(format!("{inbox}.*"))
            .await
            .map_err(|error| CreateError::Transient(Broken::new(Reason::Reconnect, format!("cannot subscribe: {error}"))))?;
        let created: Created = api::call(&client, &format!("CONSUMER.CREATE.{}.{name}", spec.stream), &body).await.map_err(transient)?;
        if let Some(ignored) = created.config.differs(at, &subjects, spec.headers_only) {
            delete(&client, &spec.stream, &name).await;
            return Err(CreateError::Final(format!(
                "the server changed or ignored the consumer setting {ignored} on stream {}: it may be too old (2.11 or newer is needed)",
                spec.stream
            )));
        }
        if created.delivered.consumer_seq != 0 {
            return Err(CreateError::Transient(Broken::new(Reason::Status, format!("consumer {name} exists already"))));
        }
        let pull_bytes =
            (spec.prefetch_bytes / 4).max(u64::try_from(client.max_payload()).unwrap_or(u64::MAX).saturating_add(ENVELOPE_BYTES));
        Ok(Self {
            client,
            stream: spec.stream.clone(),
            name,
            inbox,
            messages,
            connection: generation,
            heartbeat: spec.heartbeat,
            deliveries: Deliveries::new(at),
            outstanding: 0,
            prefetch: spec.prefetch_messages.clamp(1, (SUBSCRIPTION_CAPACITY / 2) as u64),
            pull_bytes,
            pulls: 0,
            oversize: false,
            taken_since_full: true,
            pending: created.num_pending,
        })
    }

    /// Messages that match and were not delivered yet, as far as known.
    pub fn pending(&self) -> u64 {
        self.pending
    }

    /// The next delivery; waits for it. Cancel safe.
    pub async fn next(&mut self) -> Result<Delivery, Broken> {
        // One missed heartbeat may be the network's; two are not.
        let patience = self.heartbeat.saturating_mul(2).saturating_add(self.heartbeat.max(Duration::from_millis(500)));
        loop {
            self.top_up().await?;
            let raw = tokio::select! {
                biased;
                raw = self.messages.next() => raw,
                _ = self.connection.changed() => return Err(Broken::new(Reason::Reconnect, "the connection to the broker was lost")),
                () = tokio::time::sleep(patience) => {
                    return Err(Broken::new(Reason::Heartbeat, format!("neither message nor heartbeat for {} ms", patience.as_millis())));
                }
            };
            let Some(raw) = raw else { return Err(Broken::new(Reason::Reconnect, "the client ended")) };
            if let Some(delivery) = self.take(raw)? {
                return Ok(delivery);
            }
        }
    }

    /// What has arrived already; never waits.
    pub fn try_next(&mut self) -> Option<Result<Delivery, Broken>> {
        loop {
            // Unconstrained: a batch is what is there, not what tokio's fairness budget lets through.
            let raw = tokio::task::unconstrained(self.messages.next()).now_or_never()??;
            if let Some(delivery) = self.take(raw).transpose() {
                return Some(delivery);
            }
        }
    }

    /// Asks for more when half of what was asked for has come.
    async fn top_up(&mut self) -> Result<(), Broken> {
        if self.outstanding > self.prefetch / 2 {
            return Ok(());
        }
        let batch = if self.oversize { 1 } else { (self.prefetch - self.outstanding).div_ceil(2) };
        let mut body = serde_json::json!({
            "batch": batch, "expires": nanos(PULL_EXPIRES), "idle_heartbeat": nanos(self.heartbeat),
        });
        if !self.oversize
            && let Some(body) = body.as_object_mut()
        {
            body.insert("max_bytes".into(), self.pull_bytes.into());
        }
        self.pulls = self.pulls.wrapping_add(1);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", self.stream, self.name);
        let reply = format!("{}.{}", self.inbox, self.pulls);
        let sent = self.client.publish_with_reply(subject, reply, Bytes::from(body.to_string()));
        tokio::select! {
            sent = sent => sent.map_err(|error| Broken::new(Reason::Reconnect, format!("cannot pull: {error}")))?,
            _ = self.connection.changed() => return Err(Broken::new(Reason::Reconnect, "the connection to the broker was lost")),
        }
        self.outstanding = self.outstanding.saturating_add(batch);
        Ok(())
    }

    fn take(&mut self, raw: async_nats::Message) -> Result<Option<Delivery>, Broken> {
        match raw.status {
            None => self.take_message(raw).map(|(message, pending)| message.map(|message| Delivery::Message { message, pending })),
            Some(StatusCode::IDLE_HEARTBEAT) => {
                self.deliveries.heartbeat(number(&raw, "Nats-Last-Consumer")).map_err(|hole| Broken::new(Reason::Hole, hole))?;
                Ok(Some(Delivery::Idle { examined: number(&raw, "Nats-Last-Stream").unwrap_or(0) }))
            }
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => {
                self.give_up(&raw);
                Ok(None)
            }
            Some(StatusCode::REQUEST_TERMINATED) if described(&raw, "Batch Completed") => {
                let unused = number(&raw, "Nats-Pending-Messages").unwrap_or(0);
                self.outstanding = self.outstanding.saturating_sub(unused);
                Ok(None)
            }
            Some(StatusCode::REQUEST_TERMINATED) if described(&raw, "Message Size Exceeds MaxBytes") => {
                self.oversize = !std::mem::take(&mut self.taken_since_full);
                self.give_up(&raw);
                Ok(None)
            }
            Some(status) => {
                let reason = match status {
                    StatusCode::REQUEST_TERMINATED | StatusCode::NO_RESPONDERS => Reason::Deleted,
                    _ => Reason::Status,
                };
                Err(Broken::new(reason, format!("the server ended the pull: {status} {}", raw.description.unwrap_or_default())))
            }
        }
    }

    /// A pull ended before it was full.
    fn give_up(&mut self, raw: &async_nats::Message) {
        let unused = number(raw, "Nats-Pending-Messages").unwrap_or(self.outstanding);
        self.outstanding = self.outstanding.saturating_sub(unused);
    }

    fn take_message(&mut self, raw: async_nats::Message) -> Result<(Option<Message>, u64), Broken> {
        let Some(ack) = raw.reply.as_deref().and_then(AckSubject::parse) else {
            return Err(Broken::new(Reason::Status, format!("a message without an ack subject came, on {}", raw.subject)));
        };
        let taken = self.deliveries.take(ack.consumer_sequence, ack.delivered, ack.stream_sequence);
        let asked_for = taken.map_err(|hole| Broken::new(Reason::Hole, hole))?;
        self.outstanding = self.outstanding.saturating_sub(1);
        self.pending = ack.pending;
        self.oversize = false;
        self.taken_since_full = true;
        if !asked_for {
            return Ok((None, ack.pending));
        }
        let message = Message {
            subject: raw.subject.into_string(),
            headers: raw.headers.as_ref().map(headers).unwrap_or_default(),
            payload: if raw.payload.len() < COPY_BELOW { Bytes::copy_from_slice(&raw.payload) } else { raw.payload },
            stream_sequence: ack.stream_sequence,
            time: ack.time_ms,
        };
        Ok((Some(message), ack.pending))
    }

    /// Asks the leader how many matching messages are left, where the last known number may be out of date.
    pub async fn refresh_pending(&mut self) -> Result<u64, Broken> {
        #[derive(Deserialize)]
        struct Info {
            #[serde(default)]
            num_pending: u64,
        }
        let request = format!("CONSUMER.INFO.{}.{}", self.stream, self.name);
        let info: Info = api::call(&self.client, &request, &serde_json::json!({})).await?;
        self.pending = info.num_pending;
        Ok(self.pending)
    }
}

impl Drop for Consumer {
    /// Deletes the consumer in the background; if that fails the server does it after `INACTIVE_THRESHOLD`.
    fn drop(&mut self) {
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (client, stream, name) = (self.client.clone(), self.stream.clone(), self.name.clone());
            runtime.spawn(async move { delete(&client, &stream, &name).await });
        }
    }
}

/// Deletes a consumer, best effort: an unused one goes by itself.
pub(crate) async fn delete(client: &Client, stream: &str, name: &str) {
    let deleted: Result<serde_json::Value, ApiError> =
        api::call(client, &format!("CONSUMER.DELETE.{stream}.{name}"), &serde_json::json!({})).await;
    if let Err(error) = deleted {
        tracing::debug!(stream, consumer = name, reason = %error, "a consumer was not deleted; the server will do it");
    }
}

impl Echo {
    /// Name of the first setting that came back different.
    fn differs(&self, at: u64, subjects: &[String], headers_only: bool) -> Option<&'static str> {
        let mut echoed: Vec<&String> =
            self.filter_subjects.iter().chain(self.filter_subject.as_ref().filter(|subject| !subject.is_empty())).collect();
        let mut asked: Vec<&String> = subjects.iter().collect();
        echoed.sort_unstable();
        asked.sort_unstable();
        [
            (self.deliver_policy != "by_start_sequence", "deliver_policy"),
            (self.opt_start_seq != at, "opt_start_seq"),
            (self.ack_policy != "none", "ack_policy"),
            (echoed != asked, "filter_subjects"),
            (!self.mem_storage, "mem_storage"),
            (self.num_replicas != 1, "num_replicas"),
            (self.headers_only != headers_only, "headers_only"),
            (self.inactive_threshold != INACTIVE_THRESHOLD.as_nanos(), "inactive_threshold"),
        ]
        .into_iter()
        .find_map(|(differs, name)| differs.then_some(name))
    }
}

/// What an ack subject says of its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AckSubject {
    /// How often the message was delivered.
    pub delivered: u64,
    /// Its number in the stream.
    pub stream_sequence: u64,
    /// Its number in the consumer.
    pub consumer_sequence: u64,
    /// Broker timestamp, ms.
    pub time_ms: u64,
    /// Matching messages after it.
    pub pending: u64,
}

impl AckSubject {
    /// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream sequence>.<consumer sequence>.<ns>.<pending>`, or the newer form with
    /// domain and account before the stream and one more token at the end.
    pub fn parse(subject: &str) -> Option<Self> {
        let rest = subject.strip_prefix("$JS.ACK.")?;
        // Once for each message: bytes are split in a fraction of what characters take.
        let skip = match rest.bytes().filter(|byte| *byte == b'.').count() {
            6 => 2,
            8.. => 4,
            _ => return None,
        };
        let mut tokens = rest.as_bytes().split(|byte| *byte == b'.').skip(skip);
        let mut next = || std::str::from_utf8(tokens.next()?).ok()?.parse::<u64>().ok();
        Some(Self {
            delivered: next()?,
            stream_sequence: next()?,
            consumer_sequence: next()?,
            time_ms: next()? / 1_000_000,
            pending: next()?,
        })
    }
}

/// All headers, by name (the client keeps no order between names; values of one name keep theirs): the same message must look the same in every replay.
fn headers(map: &async_nats::HeaderMap) -> Vec<Header> {
    let mut headers = Vec::with_capacity(map.len());
    for (name, values) in map.iter() {
        let name: &str = name.as_ref();
        headers.extend(values.iter().map(|value| Header { name: name.to_owned(), value: value.as_str().to_owned() }));
    }
    headers.sort_by(|a, b| a.name.cmp(&b.name));
    headers
}

/// The subjects without those that another one covers: the server refuses overlapping filters.
pub(crate) fn minimal(subjects: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for subject in subjects {
        if kept.iter().any(|other| seriatim_contract::subject_matches(other, subject)) {
            continue;
        }
        kept.retain(|other| !seriatim_contract::subject_matches(subject, other));
        kept.push(subject.clone());
    }
    kept
}

fn described(raw: &async_nats::Message, text: &str) -> bool {
    raw.description.as_deref().is_some_and(|description| description.eq_ignore_ascii_case(text))
}

fn number(raw: &async_nats::Message, header: &str) -> Option<u64> {
    raw.headers.as_ref()?.get(header)?.as_str().parse().ok()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ack_subjects_old_and_new() {
        let parsed = AckSubject { delivered: 1, stream_sequence: 17, consumer_sequence: 3, time_ms: 1_700_000_000_123, pending: 9 };
        assert_eq!(AckSubject::parse("$JS.ACK.FLIGHTS.c-1.1.17.3.1700000000123456789.9"), Some(parsed));
        assert_eq!(AckSubject::parse("$JS.ACK._.acc.FLIGHTS.c-1.1.17.3.1700000000123456789.9"), Some(parsed));
        assert_eq!(AckSubject::parse("$JS.ACK._.acc.FLIGHTS.c-1.1.17.3.1700000000123456789.9.x7"), Some(parsed));
        assert_eq!(AckSubject::parse("$JS.ACK.FLIGHTS.c-1.1.17.3"), None);
        assert_eq!(AckSubject::parse("$JS.ACK.FLIGHTS.c-1.1.a.3.4.5"), None);
        assert_eq!(AckSubject::parse("_INBOX.x"), None);
    }

    #[test]
    fn headers_come_in_one_order() {
        let mut map = async_nats::HeaderMap::new();
        for (name, value) in [("b", "2"), ("a", "1"), ("b", "1"), ("Nats-Msg-Id", "x")] {
            map.append(name, value);
        }
        let flat: Vec<(String, String)> = headers(&map).into_iter().map(|header| (header.name, header.value)).collect();
        let expected = [("Nats-Msg-Id", "x"), ("a", "1"), ("b", "2"), ("b", "1")];
        assert_eq!(flat, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn covered_filters_are_left_out() {
        let subjects = ["a.b", "a.>", "c", "a.*.x"].map(str::to_owned);
        assert_eq!(minimal(&subjects), ["a.>", "c"]);
    }

    #[test]
    fn an_ignored_setting_is_named() {
        let mut echo = Echo {
            deliver_policy: "by_start_sequence".into(),
            opt_start_seq: 5,
            ack_policy: "none".into(),
            filter_subject: None,
            filter_subjects: vec!["a".into(), "b".into()],
            mem_storage: true,
            num_replicas: 1,
            headers_only: false,
            inactive_threshold: INACTIVE_THRESHOLD.as_nanos(),
        };
        let subjects = ["b", "a"].map(str::to_owned);
        assert_eq!(echo.differs(5, &subjects, false), None);
        echo.filter_subjects.clear();
        assert_eq!(echo.differs(5, &subjects, false), Some("filter_subjects"));
    }
}
