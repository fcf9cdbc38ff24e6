//! Events as a test describes them: what it does not say is filled in as the host would.

use super::call::Delivery;
use super::encoded;
use crate::{Codec, Event, Header, Json, subject_token};
use serde::Serialize;
use std::fmt;

/// 2020-01-01T00:00:00Z, in milliseconds since the Unix epoch.
const TIME_MS: i64 = 1_577_836_800_000;

/// An event to hand to a [`Kit`](super::Kit), made by [`event`].
#[derive(Clone, Debug)]
#[must_use = "hand it to `Kit::handle`"]
pub struct TestEvent {
    entity: String,
    sequence: u64,
    epoch: u64,
    id: Option<String>,
    kind: String,
    subject: Option<String>,
    time: i64,
    stream_sequence: Option<u64>,
    headers: Vec<Header>,
    payload: Vec<u8>,
    delivery: Delivery,
}

/// An event of this entity with this sequence, delivered for the first time, in order. Unless told otherwise it has epoch 0, no kind, no headers,
/// an empty payload, the time 2020-01-01T00:00:00Z, the subject `events.<entity>`, its sequence as stream sequence and the id that the host
/// gives an event without one.
///
/// # Panics
/// If no event can have this entity: it has 1 to 256 bytes and no control characters.
#[track_caller]
pub fn event(entity: impl Into<String>, sequence: u64) -> TestEvent {
    let entity = entity.into();
    assert!(
        (1..=256).contains(&entity.len()) && !entity.contains(char::is_control),
        "no event has the entity {entity:?}: 1 to 256 bytes, no control characters"
    );
    TestEvent {
        entity,
        sequence,
        epoch: 0,
        id: None,
        kind: String::new(),
        subject: None,
        time: TIME_MS,
        stream_sequence: None,
        headers: Vec::new(),
        payload: Vec::new(),
        delivery: Delivery { attempt: 1, late: false, replay: false },
    }
}

impl TestEvent {
    /// Sets the producer's epoch.
    pub fn epoch(mut self, epoch: u64) -> Self {
        self.epoch = epoch;
        self
    }

    /// Sets the producer's id.
    ///
    /// # Panics
    /// If it is empty: an event's id never is.
    #[track_caller]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        let id = id.into();
        assert!(!id.is_empty(), "an event's id is never empty");
        self.id = Some(id);
        self
    }

    /// Sets the kind of event.
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = kind.into();
        self
    }

    /// Sets the subject the message was published to.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// Sets the event's time, in milliseconds since the Unix epoch.
    pub fn time_ms(mut self, time: i64) -> Self {
        self.time = time;
        self
    }

    /// Sets the broker's number of the message within its stream.
    pub fn stream_sequence(mut self, sequence: u64) -> Self {
        self.stream_sequence = Some(sequence);
        self
    }

    /// Adds a header of the message.
    pub fn header(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.headers.push(Header { name: name.into(), value: value.to_string() });
        self
    }

    /// Sets the payload to these bytes.
    pub fn bytes(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = payload.into();
        self
    }

    /// Sets the payload to the value as JSON.
    ///
    /// # Panics
    /// If JSON cannot express it.
    #[track_caller]
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.body_as::<Json, T>(value)
    }

    /// Sets the payload to the value in the given format.
    ///
    /// # Panics
    /// If the format cannot express it.
    #[track_caller]
    pub fn body_as<C: Codec, T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        self.payload = encoded::<C, T>("payload", value);
        self
    }

    /// Which attempt at the event this is; 1 is the first.
    ///
    /// # Panics
    /// If it is 0.
    #[track_caller]
    pub fn attempt(mut self, attempt: u32) -> Self {
        assert!(attempt > 0, "attempts count from 1");
        self.delivery.attempt = attempt;
        self
    }

    /// It comes after its sequence had been given up.
    pub fn late(mut self) -> Self {
        self.delivery.late = true;
        self
    }

    /// A rebuild or replay command processes it again.
    pub fn replay(mut self) -> Self {
        self.delivery.replay = true;
        self
    }

    pub(super) fn entity(&self) -> &str {
        &self.entity
    }

    /// The event as the handler sees it in this pipeline.
    pub(super) fn resolve(self, pipeline: &str, stream: &str) -> (Event, Delivery) {
        let stream_sequence = self.stream_sequence.unwrap_or(self.sequence);
        let event = Event {
            pipeline: pipeline.to_owned(),
            epoch: self.epoch,
            sequence: self.sequence,
            id: self.id.unwrap_or_else(|| format!("{stream}:{stream_sequence}")),
            kind: self.kind,
            subject: self.subject.unwrap_or_else(|| format!("events.{}", subject_token(&self.entity))),
            entity: self.entity,
            time: self.time,
            stream_sequence,
            headers: self.headers,
            payload: self.payload,
        };
        (event, self.delivery)
    }
}

impl fmt::Display for TestEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event {} of {:?}", self.sequence, self.entity)
    }
}
