//! Which message ids are in an output stream above a mark? One gapless pass over the headers, from the mark to the
//! stream's end as it was when the scan began. For outputs that may have been sent too long ago for the broker to notice.

use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::consumer::Spec;
use crate::nats::gapless::ReadError;
use crate::nats::identity::{self, KnownStream};
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
    #[error("cannot search the output stream now: {0}")]
    Unavailable(ApiError),
    /// The stream is gone, or changed during the scan.
    #[error("cannot search the output stream: {0}")]
    Read(#[from] ReadError),
}

/// Reads `stream` above `mark` and calls `found` with each message id and its sequence. `created_nanos` is the mark's
/// stream; if the stream is another one by now, it is read from its beginning.
pub async fn scan(
    connection: &Connection,
    stream: &str,
    created_nanos: i64,
    mark: u64,
    mut found: impl FnMut(&str, u64) + Send,
) -> Result<Scanned, ScanError> {
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
        subjects: Vec::new(),
        headers_only: true,
        prefetch_messages: PREFETCH_MESSAGES,
        prefetch_bytes: PREFETCH_BYTES,
        heartbeat: HEARTBEAT,
    };
    let known = KnownStream { name: stream.to_owned(), created_nanos: facts.created_nanos, ..KnownStream::default() };
    let mut reader = RangeReader::new(connection.clone(), spec, known, mark.saturating_add(1));
    loop {
        match reader.next(facts.last_sequence).await? {
            Step::Opened(_) => {}
            Step::Message(message) => {
                for header in message.headers.iter().filter(|header| header.name == "Nats-Msg-Id") {
                    found(&header.value, message.stream_sequence);
                }
            }
            Step::End => break,
        }
    }
    // Asked after the reading: what was trimmed meanwhile may have been trimmed unread.
    let after = identity::facts(&connection.client(), stream).await.map_err(refused)?;
    Ok(Scanned {
        end: facts.last_sequence,
        created_nanos: facts.created_nanos,
        absence_proves: after.created_nanos == facts.created_nanos && after.absence_proves(mark),
    })
}
