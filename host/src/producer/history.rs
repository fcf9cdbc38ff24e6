//! Reads what a stream holds already: the ids of its tail, and how far an entity's numbers have come. Headers only.

use super::error::Error;
use super::event;
use crate::event::Message;
use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::identity::{self, Retention, StreamFacts};
use crate::sink::lookup;
use crate::sink::scan::{self, Part, ScanError};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;
use tokio::time::Instant;

/// What is missing counts as missing once the broker has said so this often: a cluster that comes up may not know it yet.
const MISSING_AFTER: u32 = 4;
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);

/// A question that is asked again while the broker does not answer.
pub(super) struct Asking {
    patience: Duration,
    began: Instant,
    delays: ExponentialBackoff,
    missing: u32,
}

impl Asking {
    pub(super) fn new(patience: Duration) -> Self {
        let delays = ExponentialBuilder::new().with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX).without_max_times().with_jitter();
        Self { patience, began: Instant::now(), delays: delays.build(), missing: 0 }
    }

    /// What was asked for does not exist: waits to ask again, or returns true when that is settled.
    pub(super) async fn missing(&mut self) -> bool {
        self.missing += 1;
        if self.missing < MISSING_AFTER {
            self.pause().await;
        }
        self.missing >= MISSING_AFTER
    }

    /// No answer, or a refusal: waits to ask again, or says why that would not help.
    pub(super) async fn failed(&mut self, stream: &str, error: &ApiError, connection: &Connection) -> Result<(), Error> {
        let reason = match connection.trouble() {
            Some(trouble) => format!("{error} (the server says: {trouble})"),
            None => error.to_string(),
        };
        if !error.is_transient() {
            return Err(Error::Read { stream: stream.to_owned(), reason });
        }
        if self.began.elapsed() >= self.patience {
            return Err(Error::Unavailable { patience: self.patience, reason });
        }
        self.pause().await;
        Ok(())
    }

    /// Waits to ask again; false = it has been asked for long enough.
    pub(super) async fn again(&mut self) -> bool {
        let patient = self.began.elapsed() < self.patience;
        if patient {
            self.pause().await;
        }
        patient
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.delays.next().unwrap_or(DELAY_MAX)).await;
    }
}

/// What the broker says of a stream: its name, when it was created, its last sequence, its duplicate window. Asks again, up to `patience`, while
/// the broker does not answer.
pub async fn stream_facts(connection: &Connection, stream: &str, patience: Duration) -> Result<StreamFacts, Error> {
    of_stream(connection, stream, patience, || async { identity::facts(&connection.client(), stream).await }).await
}

/// Whether a stream has a message at this sequence: tells what a [`Receipt`](super::Receipt) that says `duplicate` is worth, when messages of the
/// stream may have been removed. Asks again, up to `patience`, while the broker does not answer.
pub async fn has_message(connection: &Connection, stream: &str, sequence: u64, patience: Duration) -> Result<bool, Error> {
    let asked = || async { identity::message_time(&connection.client(), stream, sequence).await };
    Ok(of_stream(connection, stream, patience, asked).await?.is_some())
}

/// Asks something about a stream, again and again while the broker does not answer.
pub(crate) async fn of_stream<T, F>(connection: &Connection, stream: &str, patience: Duration, ask: impl Fn() -> F) -> Result<T, Error>
where
    // Named, unlike that of an `AsyncFn`: so that whoever asks can be a task of its own.
    F: Future<Output = Result<T, ApiError>>,
{
    let mut asking = Asking::new(patience);
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) if error.is_stream_not_found() => {
                if asking.missing().await {
                    let reason = "it does not exist: create it, or correct the name".to_owned();
                    return Err(Error::Read { stream: stream.to_owned(), reason });
                }
            }
            Err(error) => asking.failed(stream, &error, connection).await?,
        }
    }
}

/// The one stream that takes subjects of this pattern. Asks again, up to `patience`, while the broker does not answer.
pub(crate) async fn only_stream(connection: &Connection, subjects: &str, patience: Duration) -> Result<String, Error> {
    let mut asking = Asking::new(patience);
    loop {
        match lookup::stream_names(connection, subjects).await {
            Ok(names) => match <[String; 1]>::try_from(names) {
                Ok([name]) => return Ok(name),
                Err(names) if names.is_empty() => {
                    if asking.missing().await {
                        return Err(Error::NoStream { subject: subjects.to_owned() });
                    }
                }
                Err(names) => return Err(Error::SeveralStreams { subjects: subjects.to_owned(), names: names.join(", ") }),
            },
            Err(error) => asking.failed(subjects, &error, connection).await?,
        }
    }
}

/// What [`tail`] found out beside the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tail {
    /// The stream as it was when the reading began; its `last_sequence` is how far was read.
    pub stream: StreamFacts,
    /// Whether an id that was not among them proves that its message is not in the stream above the mark. False where messages
    /// may be gone: trimmed, bounded by subject, or removed once consumed.
    pub absence_proves: bool,
}

/// Reads `stream` above a stream sequence up to its end as it is now, and calls `found` with each message id and its stream sequence, in order.
/// Who remembers the sequence must remember with it which stream it was ([`StreamFacts::created_nanos`]) and compare: a stream that was created
/// anew numbers anew.
///
/// Fails when the broker brings nothing for `patience`. After an interruption `found` may be told of a message twice.
pub async fn tail(
    connection: &Connection,
    stream: &str,
    above: u64,
    patience: Duration,
    mut found: impl FnMut(&str, u64) + Send,
) -> Result<Tail, Error> {
    let (stream, absence_proves) =
        read(connection, stream, Vec::new(), above, patience, |message| scan::message_ids(message, &mut found)).await?;
    Ok(Tail { stream, absence_proves })
}

/// The highest epoch and number that the stream holds of `entity` within `subjects`; `None` = none, and that is certain.
pub(super) async fn highest(
    connection: &Connection,
    stream: &str,
    subjects: &str,
    entity: &str,
    patience: Duration,
) -> Result<Option<Highest>, Error> {
    let mut highest = None;
    let note = |message: &Message| highest = highest.max(place(message, entity));
    let (facts, absence_proves) = read(connection, stream, vec![subjects.to_owned()], 0, patience, note).await?;
    // Where messages leave from the front the highest number stays longest; where consumers remove them, any may be gone.
    let certain = absence_proves || (highest.is_some() && facts.retention == Retention::Limits);
    match certain {
        true => Ok(highest),
        false => Err(Error::HistoryGone { entity: entity.to_owned(), stream: stream.to_owned() }),
    }
}

/// An event's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Highest {
    /// No epoch counts as 0.
    pub(super) epoch: u64,
    pub(super) sequence: u64,
}

/// The place of an event of this entity. A message that does not say its entity or number belongs to nobody.
pub(super) fn place(message: &Message, entity: &str) -> Option<Highest> {
    if message.header(event::ENTITY) != Some(entity) {
        return None;
    }
    let sequence = message.header(event::SEQUENCE)?.parse().ok()?;
    let epoch = match message.header(event::EPOCH) {
        Some(epoch) => epoch.parse().ok()?,
        None => 0,
    };
    Some(Highest { epoch, sequence })
}

/// Reads headers, from the start again while the broker does not answer.
async fn read(
    connection: &Connection,
    stream: &str,
    subjects: Vec<String>,
    above: u64,
    patience: Duration,
    mut found: impl FnMut(&Message) + Send,
) -> Result<(StreamFacts, bool), Error> {
    let mut asking = Asking::new(patience);
    loop {
        let created_nanos = stream_facts(connection, stream, patience).await?.created_nanos;
        let part = Part { stream, subjects: subjects.clone(), created_nanos, mark: above, patience };
        match scan::headers(connection, part, &mut found).await {
            Ok((facts, _)) if facts.created_nanos != created_nanos => {
                return Err(Error::Read { stream: stream.to_owned(), reason: "it was created anew while it was read".to_owned() });
            }
            Ok(read) => return Ok(read),
            Err(ScanError::Unavailable(error)) => asking.failed(stream, &error, connection).await?,
            Err(ScanError::Stalled(patience)) => {
                return Err(Error::Unavailable { patience, reason: format!("nothing could be read of stream {stream}") });
            }
            Err(ScanError::Read(error)) => return Err(Error::Read { stream: stream.to_owned(), reason: error.to_string() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Header;

    fn message(headers: &[(&str, &str)]) -> Message {
        let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect();
        Message { subject: "a".into(), headers, payload: bytes::Bytes::new(), stream_sequence: 1, time: 1 }
    }

    #[test]
    fn an_epoch_counts_more_than_a_number_and_other_messages_do_not_count() {
        let of = |headers: &[(&str, &str)]| place(&message(headers), "A");
        let plain = of(&[("Seriatim-Entity", "A"), ("Seriatim-Sequence", "9")]);
        let higher = of(&[("Seriatim-Entity", "A"), ("Seriatim-Sequence", "2"), ("Seriatim-Epoch", "1")]);
        assert_eq!(plain, Some(Highest { epoch: 0, sequence: 9 }));
        assert!(higher > plain && plain > None);
        for none in [
            &[("Seriatim-Entity", "B"), ("Seriatim-Sequence", "9")][..],
            &[("Seriatim-Sequence", "9")],
            &[("Seriatim-Entity", "A")],
            &[("Seriatim-Entity", "A"), ("Seriatim-Sequence", "x")],
            &[("Seriatim-Entity", "A"), ("Seriatim-Sequence", "9"), ("Seriatim-Epoch", "-")],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }
}
