//! A bounded walk over the stream of dead letters: from a number or a time on, filtered by subject at the broker, no further than it must.

use super::Error;
use crate::event::Message;
use crate::nats::connect::Connection;
use crate::nats::consumer::Spec;
use crate::nats::identity::{self, KnownStream};
use crate::nats::range::{RangeReader, Step};
use crate::nats::raw;
use crate::sink::dead_letter_stream::STREAM;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Messages that one walk looks at, at most; who needs more goes on from where it ended.
pub(super) const LOOK_MAX: u64 = 100_000;
/// How long one walk takes, about; it looks at one message at least.
const TIME_MAX: Duration = Duration::from_secs(3);
/// How long the next message may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const PREFETCH_BYTES: u64 = 4 * 1024 * 1024;
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Where to walk.
#[derive(Clone, Debug)]
pub(super) struct Part<'a> {
    /// What the broker filters by.
    pub(super) subject: &'a str,
    /// First stream sequence.
    pub(super) from: u64,
    /// Nothing that was written before this time, ms.
    pub(super) since: Option<u64>,
    /// Without payloads.
    pub(super) headers_only: bool,
    /// Messages asked for at a time.
    pub(super) prefetch: u64,
}

/// What a walk came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Walked {
    /// When the stream was created, nanoseconds since the Unix epoch.
    pub(super) created_nanos: i64,
    /// Messages looked at.
    pub(super) looked: u64,
    /// The first message that was not looked at; `None` = there was none.
    pub(super) rest: Option<u64>,
}

/// Hands each message to `each` until that has enough, a bound is reached, or the stream ends. `None`: there is no stream.
pub(super) async fn walk(
    connection: &Connection,
    part: Part<'_>,
    mut each: impl FnMut(Message) -> ControlFlow<()> + Send,
) -> Result<Option<Walked>, Error> {
    let client = connection.client();
    let facts = match identity::facts(&client, STREAM).await {
        Ok(facts) => facts,
        Err(error) if error.is_stream_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let mut walked = Walked { created_nanos: facts.created_nanos, looked: 0, rest: None };
    let mut from = part.from.max(1);
    if let Some(since) = part.since {
        match identity::first_at_time(&client, STREAM, i64::try_from(since).unwrap_or(i64::MAX)).await? {
            Some(first) => from = from.max(first),
            None => return Ok(Some(walked)),
        }
    }
    if facts.messages == 0 || from > facts.last_sequence {
        return Ok(Some(walked));
    }
    let spec = Spec {
        stream: STREAM.to_owned(),
        name_prefix: "seriatim-dead-letters".to_owned(),
        subjects: vec![part.subject.to_owned()],
        headers_only: part.headers_only,
        prefetch_messages: part.prefetch,
        prefetch_bytes: PREFETCH_BYTES,
        heartbeat: HEARTBEAT,
    };
    let known = KnownStream { name: STREAM.to_owned(), created_nanos: facts.created_nanos, ..KnownStream::default() };
    let mut reader = RangeReader::new(connection.clone(), spec, known, from);
    let began = Instant::now();
    let last = loop {
        let step = tokio::time::timeout(PATIENCE, reader.next(facts.last_sequence)).await;
        match step.map_err(|_| Error::Stalled)?? {
            Step::Opened(_) => {}
            Step::End => return Ok(Some(walked)),
            Step::Message(message) => {
                let at = message.stream_sequence;
                walked.looked += 1;
                if each(message).is_break() || walked.looked >= LOOK_MAX || began.elapsed() > TIME_MAX {
                    break at;
                }
            }
        }
    };
    // The leader's word: a page that says "there is more" is followed by one that has something to look at.
    let next = raw::next_message(&client, STREAM, &[part.subject.to_owned()], last.saturating_add(1)).await?;
    walked.rest = next.map(|next| next.message.stream_sequence);
    Ok(Some(walked))
}
