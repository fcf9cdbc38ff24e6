//! Which message ids are in an output stream above a mark? One gapless pass over the headers, from the mark to the
//! stream's end as it was when the scan began. For outputs that may have been sent too long ago for the broker to notice.

use crate::event::Message;
use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::consumer::Spec;
use crate::nats::gapless::ReadError;
use crate::nats::identity::{self, KnownStream, StreamFacts};
use crate::nats::range::{RangeReader, Step};
use std::time::Duration;

const PREFETCH_MESSAGES: u64 = 4096;
const PREFETCH_BYTES: u64 = 8 * 1024 * 1024;
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What a scan found out beside the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The stream's end when the scan began: the new mark of what was not found.
    pub end: u64,
    /// When the stream was created, nanoseconds since the Unix epoch.
    pub created_nanos: i64,
    /// Whether an id that was not found proves that its message was never stored. False where messages above the mark may
    /// be gone: trimmed, bounded by subject, or removed once consumed.
    pub absence_proves: bool,
}

/// Why a scan brought no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScanError {
    /// The broker does not answer now; try again with back-off.
    #[error("cannot search the stream now: {0}")]
    Unavailable(ApiError),
    /// The stream is gone, or changed during the scan.
    #[error("cannot search the stream: {0}")]
    Read(#[from] ReadError),
    /// Nothing could be read for so long.
    #[error("cannot search the stream: nothing could be read of it for {} s", .0.as_secs())]
    Stalled(Duration),
}

/// Which part of a stream to read.
#[derive(Clone, Debug)]
pub struct Part<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Only these subjects; none = all.
    pub subjects: Vec<String>,
    /// The stream that `mark` belongs to; if it is another one by now, it is read from its beginning.
    pub created_nanos: i64,
    /// Only what is above.
    pub mark: u64,
    /// How long to wait for the next message while the broker is away.
    pub patience: Duration,
}

/// Reads `stream` above `mark` and calls `found` with each message id and its sequence. `created_nanos` is the mark's
/// stream; if the stream is another one by now, it is read from its beginning. Waits for a broker that is away.
pub async fn scan(
    connection: &Connection,
    stream: &str,
    created_nanos: i64,
    mark: u64,
    mut found: impl FnMut(&str, u64) + Send,
) -> Result<Scanned, ScanError> {
    let part = Part { stream, subjects: Vec::new(), created_nanos, mark, patience: Duration::MAX };
    let (facts, absence_proves) = headers(connection, part, |message| message_ids(message, &mut found)).await?;
    Ok(Scanned { end: facts.last_sequence, created_nanos: facts.created_nanos, absence_proves })
}

/// Calls `found` with the message's id and stream sequence, if it has an id.
pub fn message_ids(message: &Message, mut found: impl FnMut(&str, u64)) {
    for header in message.headers.iter().filter(|header| header.name == "Nats-Msg-Id") {
        found(&header.value, message.stream_sequence);
    }
}

/// Reads the headers of a part of a stream, up to its end as it is now. Returns the stream as it was when the reading began,
/// and whether the absence of a message above the mark proves that it was never stored.
pub async fn headers(
    connection: &Connection,
    part: Part<'_>,
    mut found: impl FnMut(&Message) + Send,
) -> Result<(StreamFacts, bool), ScanError> {
    let Part { stream, subjects, created_nanos, mark, patience } = part;
    let client = connection.client();
    let refused = |error: ApiError| match error.is_stream_not_found() {
        true => ScanError::Read(ReadError::Gone { stream: stream.to_owned() }),
        false => ScanError::Unavailable(error),
    };
    let facts = identity::facts(&client, stream).await.map_err(refused)?;
    let mark = if facts.created_nanos == created_nanos { mark } else { 0 };
    let spec = Spec {
        stream: stream.to_owned(),
        name_prefix: "seriatim-scan".to_owned(),
        subjects,
        headers_only: true,
        prefetch_messages: PREFETCH_MESSAGES,
        prefetch_bytes: PREFETCH_BYTES,
        heartbeat: HEARTBEAT,
    };
    let known = KnownStream { name: stream.to_owned(), created_nanos: facts.created_nanos, ..KnownStream::default() };
    let mut reader = RangeReader::new(connection.clone(), spec, known, mark.saturating_add(1));
    loop {
        let step = tokio::time::timeout(patience, reader.next(facts.last_sequence)).await;
        match step.map_err(|_| ScanError::Stalled(patience))?? {
            Step::Opened(_) => {}
            Step::Message(message) => found(&message),
            Step::End => break,
        }
    }
    // Asked after the reading: what was trimmed meanwhile may have been trimmed unread.
    let after = identity::facts(&connection.client(), stream).await.map_err(refused)?;
    let absence_proves = after.created_nanos == facts.created_nanos && after.absence_proves(mark);
    Ok((facts, absence_proves))
}
