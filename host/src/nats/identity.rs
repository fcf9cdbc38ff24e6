//! Which stream is this, and is it still the one we know? Facts come from the stream's leader; the check that compares them
//! with what the store remembers is pure. A stream that was recreated or restored to an older state numbers its messages
//! anew, and whoever goes on by number loses events silently: so every reader generation starts with [`check_identity`].

use crate::nats::api::{self, ApiError};
use async_nats::Client;
use serde::Deserialize;
use seriatim_sequencer::mutant;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// How a stream lets messages go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// By age, count or size.
    #[default]
    Limits,
    /// When every consumer has acknowledged.
    Interest,
    /// When a consumer has acknowledged.
    WorkQueue,
}

/// What a full stream does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Discard {
    /// Drops its oldest message.
    #[default]
    Old,
    /// Refuses the new one.
    New,
}

/// A stream, on its leader's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// Its name.
    pub name: String,
    /// When it was created, nanoseconds since the Unix epoch.
    pub created_nanos: i64,
    /// Sequence of the first message it still has (one above the last when empty).
    pub first_sequence: u64,
    /// Highest sequence ever given.
    pub last_sequence: u64,
    /// Messages it has.
    pub messages: u64,
    /// Subjects it takes.
    pub subjects: Vec<String>,
    /// How messages leave.
    pub retention: Retention,
    /// Bound on messages of one subject; 0 = none.
    pub max_msgs_per_subject: u64,
    /// What it does when full.
    pub discard: Discard,
    /// How long message ids are remembered, ms.
    pub duplicate_window_ms: u64,
    /// Largest message in bytes; 0 = the server's limit.
    pub max_message_size: u64,
    /// Age at which messages leave, ms; 0 = never.
    pub max_age_ms: u64,
    /// Bound on its size in bytes; 0 = none.
    pub max_bytes: u64,
    /// Replicas.
    pub replicas: u64,
    /// Sealed: takes nothing more.
    pub sealed: bool,
    /// The leader's clock when it answered, ms since the Unix epoch; 0 when it did not say.
    pub server_time_ms: u64,
}

impl StreamFacts {
    /// Whether a message id that is *not* among the messages above `mark` proves that its message was never stored.
    pub fn absence_proves(&self, mark: u64) -> bool {
        self.keeps_everything() && self.first_sequence <= mark.saturating_add(1)
    }

    /// Whether messages leave this stream only from its front.
    pub fn keeps_everything(&self) -> bool {
        self.retention == Retention::Limits && self.max_msgs_per_subject == 0
    }
}

/// What the store remembers of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownStream {
    /// Its name.
    pub name: String,
    /// When it was created, nanoseconds since the Unix epoch.
    pub created_nanos: i64,
    /// Highest message read; 0 = none yet.
    pub highest: u64,
    /// That message's broker timestamp, ms; before the first message of an accepted stream, of the highest one of the stream before.
    pub highest_time: u64,
}

impl KnownStream {
    /// The same stream, read further by now.
    #[must_use]
    pub fn as_of(&self, highest: u64, highest_time: u64) -> Self {
        Self { highest, highest_time, ..self.clone() }
    }
}

/// The stream is not the one that the store's positions belong to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Another creation time.
    #[error(
        "stream {stream} was deleted and created again: it was created at {found}, the one read so far at {known}. Its numbering started anew, \
         so going on would skip or repeat events; {ACCEPT}"
    )]
    Recreated {
        /// Stream.
        stream: String,
        /// Creation time in the store.
        known: String,
        /// Creation time now.
        found: String,
    },
    /// It ends before what was read of it.
    #[error(
        "stream {stream} ends at {last}, but message {highest} of it was read: it was restored to an older state and will give the numbers above {last} \
         to other messages; {ACCEPT}"
    )]
    WentBack {
        /// Stream.
        stream: String,
        /// Its last sequence now.
        last: u64,
        /// Highest message read.
        highest: u64,
    },
    /// The highest message read is another one now.
    #[error(
        "message {highest} of stream {stream} carries another timestamp ({found} ms) than when it was read ({known} ms): the stream was restored to an \
         older state and has numbered other messages since; {ACCEPT}"
    )]
    OtherMessage {
        /// Stream.
        stream: String,
        /// Highest message read.
        highest: u64,
        /// Its time when read.
        known: u64,
        /// Its time now.
        found: u64,
    },
}

const ACCEPT: &str = "look at what happened to it, then accept its present state with --accept-stream";

/// Pure: is it the same stream, no older than what was read of it? `time_at_highest` is the timestamp of the message now
/// stored at `known.highest`, if there still is one.
pub fn check_identity(known: &KnownStream, facts: &StreamFacts, time_at_highest: Option<u64>) -> Result<(), IdentityError> {
    let stream = || facts.name.clone();
    if mutant!(IdentityNotChecked) {
        return Ok(());
    }
    if known.created_nanos != facts.created_nanos {
        return Err(IdentityError::Recreated {
            stream: stream(),
            known: rfc3339(known.created_nanos),
            found: rfc3339(facts.created_nanos),
        });
    }
    if known.highest > facts.last_sequence {
        return Err(IdentityError::WentBack { stream: stream(), last: facts.last_sequence, highest: known.highest });
    }
    match time_at_highest {
        Some(found) if known.highest > 0 && found != known.highest_time => {
            Err(IdentityError::OtherMessage { stream: stream(), highest: known.highest, known: known.highest_time, found })
        }
        _ => Ok(()),
    }
}

/// Where a new pipeline begins (`start`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first message that the stream has.
    First,
    /// After the last one.
    New,
    /// At this sequence.
    Sequence(u64),
    /// At the first message of this time (ms since the Unix epoch) or later.
    Time(i64),
}

/// The facts of `stream`, from its leader.
pub async fn facts(client: &Client, stream: &str) -> Result<StreamFacts, ApiError> {
    let request = format!("STREAM.INFO.{stream}");
    let answer: InfoAnswer = api::call(client, &request, &serde_json::json!({})).await?;
    answer.into_facts().map_err(|detail| ApiError::Answer { request, detail })
}

/// Broker timestamp (ms) of the message at `sequence`; `None` when the stream has none there.
pub async fn message_time(client: &Client, stream: &str, sequence: u64) -> Result<Option<u64>, ApiError> {
    let request = format!("STREAM.MSG.GET.{stream}");
    match api::call::<_, MessageAnswer>(client, &request, &serde_json::json!({ "seq": sequence })).await {
        Ok(answer) => parse_millis(&answer.message.time).map(Some).map_err(|detail| ApiError::Answer { request, detail }),
        Err(error) if error.is_message_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The stream sequence at which a new pipeline starts reading.
pub async fn resolve_start(client: &Client, start: &Start, facts: &StreamFacts) -> Result<u64, ApiError> {
    match start {
        Start::First => Ok(facts.first_sequence.max(1)),
        Start::New => Ok(facts.last_sequence.saturating_add(1)),
        Start::Sequence(sequence) => Ok((*sequence).max(1)),
        Start::Time(millis) => Ok(first_at_time(client, &facts.name, *millis).await?.unwrap_or(facts.last_sequence.saturating_add(1))),
    }
}

/// Sequence of the first message at or after `millis`; `None` when there is none yet. The broker finds it: a consumer that
/// starts there hands over one message and is deleted.
pub async fn first_at_time(client: &Client, stream: &str, millis: i64) -> Result<Option<u64>, ApiError> {
    let time = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .ok_or_else(|| ApiError::Answer { request: "start.time".into(), detail: format!("{millis} ms is no time") })?;
    let inbox = client.new_inbox();
    let name = format!("seriatim-start-{}", inbox.rsplit('.').next().unwrap_or("x"));
    let config = serde_json::json!({
        "stream_name": stream,
        "action": "create",
        "config": {
            "name": name, "deliver_policy": "by_start_time", "opt_start_time": time, "ack_policy": "none", "replay_policy": "instant",
            "headers_only": true, "mem_storage": true, "num_replicas": 1, "inactive_threshold": 10_000_000_000u64,
        }
    });
    let _: serde_json::Value = api::call(client, &format!("CONSUMER.CREATE.{stream}.{name}"), &config).await?;
    let request = format!("CONSUMER.MSG.NEXT.{stream}.{name}");
    // An inbox of its own: the message comes under its stream's subject, which the client's shared inbox would not know.
    let pull = async_nats::Request::new().payload(bytes::Bytes::from_static(br#"{"batch":1,"no_wait":true}"#)).inbox(client.new_inbox());
    let asked = tokio::time::timeout(api::REQUEST_TIMEOUT, client.send_request(format!("$JS.API.{request}"), pull)).await;
    let found = match asked {
        Err(_) => Err(ApiError::Timeout { request }),
        Ok(Err(error)) => Err(ApiError::Connection { request, detail: error.to_string() }),
        Ok(Ok(message)) => match (message.status, message.reply.as_deref().and_then(super::consumer::AckSubject::parse)) {
            (Some(async_nats::StatusCode::NOT_FOUND | async_nats::StatusCode::TIMEOUT), _) => Ok(None),
            (None, Some(ack)) => Ok(Some(ack.stream_sequence)),
            (status, _) => Err(ApiError::Answer { request, detail: format!("unexpected status {status:?}") }),
        },
    };
    super::consumer::delete(client, stream, &name).await;
    found
}

#[derive(Deserialize)]
struct MessageAnswer {
    message: MessageTime,
}

#[derive(Deserialize)]
struct MessageTime {
    time: String,
}

#[derive(Deserialize)]
struct InfoAnswer {
    config: InfoConfig,
    created: String,
    state: InfoState,
    #[serde(default)]
    ts: Option<String>,
}

/// Bounds come as -1 or 0 for "none".
#[derive(Deserialize)]
struct InfoConfig {
    name: String,
    #[serde(default)]
    subjects: Vec<String>,
    #[serde(default)]
    retention: Retention,
    #[serde(default)]
    discard: Discard,
    #[serde(default)]
    max_msgs_per_subject: i64,
    #[serde(default)]
    duplicate_window: u64,
    #[serde(default)]
    max_msg_size: i64,
    #[serde(default)]
    max_age: u64,
    #[serde(default)]
    max_bytes: i64,
    #[serde(default)]
    num_replicas: u64,
    #[serde(default)]
    sealed: bool,
}

#[derive(Deserialize)]
struct InfoState {
    #[serde(default)]
    messages: u64,
    #[serde(default)]
    first_seq: u64,
    #[serde(default)]
    last_seq: u64,
}

impl InfoAnswer {
    fn into_facts(self) -> Result<StreamFacts, String> {
        Ok(StreamFacts {
            name: self.config.name,
            created_nanos: parse_nanos(&self.created)?,
            first_sequence: self.state.first_seq,
            last_sequence: self.state.last_seq,
            messages: self.state.messages,
            subjects: self.config.subjects,
            retention: self.config.retention,
            max_msgs_per_subject: u64::try_from(self.config.max_msgs_per_subject).unwrap_or(0),
            discard: self.config.discard,
            duplicate_window_ms: self.config.duplicate_window / 1_000_000,
            max_message_size: u64::try_from(self.config.max_msg_size).unwrap_or(0),
            max_age_ms: self.config.max_age / 1_000_000,
            max_bytes: u64::try_from(self.config.max_bytes).unwrap_or(0),
            replicas: self.config.num_replicas,
            sealed: self.config.sealed,
            server_time_ms: self.ts.as_deref().and_then(|ts| parse_millis(ts).ok()).unwrap_or(0),
        })
    }
}

/// Nanoseconds since the Unix epoch of an RFC 3339 time.
pub(crate) fn parse_nanos(text: &str) -> Result<i64, String> {
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(|error| format!("{text:?} is no RFC 3339 time: {error}"))?;
    i64::try_from(time.unix_timestamp_nanos()).map_err(|_| format!("{text} is out of range"))
}

/// Milliseconds since the Unix epoch of an RFC 3339 time; before 1970 is 0.
pub(crate) fn parse_millis(text: &str) -> Result<u64, String> {
    parse_nanos(text).map(|nanos| u64::try_from(nanos.div_euclid(1_000_000)).unwrap_or(0))
}

fn rfc3339(nanos: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(nanos))
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_else(|| format!("{nanos} ns"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(last: u64) -> StreamFacts {
        let text = format!(
            r#"{{"config":{{"name":"FLIGHTS","subjects":["flights.>"],"retention":"limits","discard":"new","max_msgs_per_subject":-1,"max_msg_size":-1,"duplicate_window":120000000000,"num_replicas":1}},
                "created":"2026-01-01T00:00:00.123456789Z","state":{{"messages":3,"first_seq":1,"last_seq":{last}}},"ts":"2026-01-02T00:00:00.5Z"}}"#
        );
        serde_json::from_str::<InfoAnswer>(&text).unwrap().into_facts().unwrap()
    }

    fn known(highest: u64) -> KnownStream {
        KnownStream { name: "FLIGHTS".into(), created_nanos: stream(1).created_nanos, highest, highest_time: 77 }
    }

    #[test]
    fn facts_are_read_from_the_leaders_answer() {
        let facts = stream(10);
        assert_eq!(facts.created_nanos, 1_767_225_600_123_456_789);
        assert_eq!((facts.duplicate_window_ms, facts.max_message_size, facts.max_msgs_per_subject), (120_000, 0, 0));
        assert_eq!((facts.discard, facts.retention, facts.server_time_ms), (Discard::New, Retention::Limits, 1_767_312_000_500));
    }

    #[test]
    fn the_same_stream_is_accepted() {
        assert_eq!(check_identity(&known(10), &stream(10), Some(77)), Ok(()));
        assert_eq!(check_identity(&known(10), &stream(12), None), Ok(()), "the message may have left by retention");
        assert_eq!(check_identity(&known(0), &stream(0), None), Ok(()));
    }

    #[test]
    fn a_recreated_or_restored_stream_is_refused_with_an_explanation() {
        let mut other = known(10);
        other.created_nanos -= 1;
        let text = check_identity(&other, &stream(10), Some(77)).unwrap_err().to_string();
        assert!(text.contains("deleted and created again") && text.contains("2026-01-01T00:00:00.123456788Z"), "{text}");
        let text = check_identity(&known(11), &stream(10), None).unwrap_err().to_string();
        assert!(text.contains("ends at 10, but message 11"), "{text}");
        let text = check_identity(&known(10), &stream(10), Some(78)).unwrap_err().to_string();
        assert!(text.contains("another timestamp") && text.contains("--accept-stream"), "{text}");
    }

    #[test]
    fn absence_proves_only_where_nothing_left_above_the_mark() {
        let mut facts = stream(10);
        facts.first_sequence = 5;
        assert!(facts.absence_proves(4));
        assert!(!facts.absence_proves(3));
        facts.max_msgs_per_subject = 1;
        assert!(!facts.absence_proves(4));
        facts = StreamFacts { retention: Retention::WorkQueue, ..stream(10) };
        assert!(!facts.absence_proves(9));
    }
}
