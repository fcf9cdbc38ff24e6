//! What a host asks of the broker for its operators: the stream of dead letters, and an entity's events in its source stream. A port of its own, so that
//! whoever answers for entities ([`super::Control`]) can be tested without a broker. `broker.rs` is the one implementation.

use super::{Answer, DeadLetterPage, DeadLetterQuery, DeadLetterReport, DeadLetterRow, Fault, HistoryQuery, Place, PurgeDone};
use crate::event::Message;
use serde::Serialize;
use std::io::Write;
use std::sync::Arc;

/// The form of a line of an export, in its first field. Another number means that a reader of this one would misread it.
pub const EXPORT_FORMAT: &str = "seriatim-dead-letter/1";

/// The port. Everything is bounded: a page may come back short, or empty, with the place where the next one begins.
pub trait Letters: Send + Sync {
    /// Dead letters, oldest first. Without a stream of dead letters: an empty page that says so.
    fn list(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage>;
    /// One dead letter with its payload. [`Fault::Unknown`] only on the word of the stream's leader that there is none.
    fn get(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport>;
    /// The event of a dead letter, as the reader had it. What names lost messages has none ([`Fault::Bad`]); one whose message was too big for the broker
    /// and is not in its stream any more cannot be had either ([`Fault::Conflict`]).
    fn fetch(&self, stream_sequence: u64) -> Answer<'_, RedriveSource>;
    /// Dead letters with everything, oldest first, for an export: as many as the query allows and as fit into memory.
    fn export(&self, query: DeadLetterQuery) -> Answer<'_, ExportPage>;
    /// Deletes those that match, one by one: at most `limit` (0 = 1,000, at most 10,000) in one call. With `dry_run` they are only counted.
    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone>;
    /// An entity's messages in its source stream, from the query's `from` on, with the dead letters that were made of them. What became of each is said by
    /// [`super::fate::page`], from the entity's record.
    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPart>;
}

/// What a redrive needs of a dead letter.
#[derive(Clone, Debug)]
pub struct RedriveSource {
    /// Its number in the stream of dead letters: what the entity's record remembers the redrive by.
    pub dead_letter: u64,
    /// Its pipeline.
    pub pipeline: String,
    /// The pipeline's generation when it was written: the message's stream sequence belongs to it.
    pub generation: u64,
    /// Why it was given up, by name.
    pub reason: String,
    /// The entity as the dead letter names it; `None` where it could not be read. Blanks at its ends are not kept in a header: who needs the name decodes
    /// the message.
    pub entity: Option<String>,
    /// Its place, where it could be read.
    pub place: Option<Place>,
    /// The stream it came from.
    pub stream: String,
    /// The message, with its own subject, headers (`Nats-*` under their own names again), payload, stream sequence and time.
    pub message: Arc<Message>,
}

/// Dead letters with everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportPage {
    /// The dead letters.
    pub letters: Vec<DeadLetterReport>,
    /// Where the next page begins; `None` = this was the last.
    pub next: Option<u64>,
}

/// A page of an entity's messages, before anybody has said what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HistoryPart {
    /// The messages, in stream order.
    pub messages: Vec<Seen>,
    /// Dead letters made of them.
    pub letters: Vec<DeadLetterRow>,
    /// Whether all dead letters since the first of the messages were looked through.
    pub letters_complete: bool,
    /// Where the next page begins; `None` = this was the last.
    pub next: Option<u64>,
}

/// One message of an entity: what can be said of it without its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its number in the source stream.
    pub stream_sequence: u64,
    /// Its subject.
    pub subject: String,
    /// The broker's time, milliseconds since the Unix epoch.
    pub time: u64,
    /// Its place; `None` where it does not decode.
    pub place: Option<Place>,
    /// The producer's id, or what stands in for it; empty where it does not decode.
    pub id: String,
    /// The hash that records keep of the id; 0 = none.
    pub id_hash: u64,
    /// The hash that records keep of the payload.
    pub payload_hash: u64,
    /// Why it does not decode.
    pub malformed: Option<String>,
}

/// Why an export ended early. What was written before is whole lines.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The dead letters could not be read.
    #[error("{fault}; {written} dead letters were written. Go on with --from {next}")]
    Read {
        /// Why.
        fault: Fault,
        /// Lines written.
        written: u64,
        /// Where to go on.
        next: u64,
    },
    /// The lines could not be written.
    #[error("the export cannot be written: {0}")]
    Write(#[from] std::io::Error),
}

#[derive(Serialize)]
struct ExportLine<'a> {
    format: &'static str,
    #[serde(flatten)]
    letter: &'a DeadLetterReport,
}

/// Writes one dead letter as a line of JSON.
pub fn write_line(letter: &DeadLetterReport, out: &mut (dyn Write + Send)) -> std::io::Result<()> {
    serde_json::to_writer(&mut *out, &ExportLine { format: EXPORT_FORMAT, letter })?;
    out.write_all(b"\n")
}

/// Writes all dead letters that match, a line each, and never holds more than a page of them. Returns how many.
pub async fn export(letters: &dyn Letters, mut query: DeadLetterQuery, out: &mut (dyn Write + Send)) -> Result<u64, ExportError> {
    let mut written = 0;
    loop {
        let page = match letters.export(query.clone()).await {
            Ok(page) => page,
            Err(fault) => return Err(ExportError::Read { fault, written, next: query.from }),
        };
        for letter in &page.letters {
            write_line(letter, out)?;
            written += 1;
        }
        match page.next {
            Some(next) => query.from = next,
            None => {
                out.flush()?;
                return Ok(written);
            }
        }
    }
}
