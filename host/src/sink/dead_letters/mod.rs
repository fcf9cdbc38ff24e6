//! The stream of dead letters, as an operator needs it: lists, single ones, exports, and what a redrive takes from it (`purge.rs` deletes).
//!
//! Nothing here reads the whole stream into memory, nothing takes longer than a few seconds: what is bounded comes back with the number to go on from. A
//! dead letter, or the message of one, counts as gone only when the leader of its stream says so; an unanswered question is [`Fault::Unavailable`].

mod filter;
mod letter;
mod purge;
mod walk;

use crate::control::{DeadLetterPage, DeadLetterQuery, DeadLetterReport, DeadLetterRow, ExportPage, Fault, RedriveSource};
use crate::event::Message;
use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::gapless::ReadError;
use crate::nats::raw;
use crate::sink::dead_letter_stream::STREAM;
use filter::{Filter, page_size};
use letter::Letter;
use std::ops::ControlFlow;
use std::sync::Arc;
use walk::{Part, Walked, walk};

/// Messages asked for at a time where the broker's filter does not tell what matches.
const PREFETCH: u64 = 512;
/// Payload bytes in one page of an export, about (one dead letter at least).
const EXPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Why the stream of dead letters brought no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The broker does not answer, or refuses.
    #[error("stream {STREAM}: {0}")]
    Api(#[from] ApiError),
    /// It cannot be read on.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// Nothing came.
    #[error("stream {STREAM}: nothing could be read of it for {} s; try again when the broker answers", walk::PATIENCE.as_secs())]
    Stalled,
    /// Another stream stands there since.
    #[error("stream {STREAM} was deleted and created again meanwhile: list it again")]
    Changed,
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Unavailable(error.to_string())
    }
}

/// Dead letters made of certain messages, and whether all that could be were looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MadeOf {
    /// The dead letters.
    pub letters: Vec<DeadLetterRow>,
    /// False: there were too many to look through.
    pub complete: bool,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters {
    connection: Connection,
}

impl DeadLetters {
    /// Over this connection.
    #[must_use]
    pub fn new(connection: Connection) -> Self {
        Self { connection }
    }

    /// Dead letters that match, oldest first.
    pub async fn list(&self, query: &DeadLetterQuery) -> Result<DeadLetterPage, Fault> {
        let limit = page_size(query.limit);
        let mut rows = Vec::new();
        let walked = self.matching(query, limit, true, |letter| rows.push(letter.row)).await?;
        let note = match walked {
            None => Some(format!("there is no stream {STREAM}: no host has had to keep a dead letter here")),
            Some(Walked { rest: Some(_), looked, .. }) if rows.len() < limit => {
                Some(format!("{looked} dead letters were looked through; there are more from \"next\" on"))
            }
            Some(_) => None,
        };
        Ok(DeadLetterPage { dead_letters: rows, next: walked.and_then(|walked| walked.rest), note })
    }

    /// One with everything.
    pub async fn get(&self, stream_sequence: u64) -> Result<DeadLetterReport, Fault> {
        let letter = self.letter(stream_sequence).await?;
        self.report(letter).await
    }

    /// The event of one, as the reader had it.
    pub async fn fetch(&self, stream_sequence: u64) -> Result<RedriveSource, Fault> {
        let letter = self.letter(stream_sequence).await?;
        let generation = redrivable(&letter)?;
        let message = match letter.original() {
            Some(message) => message,
            None => self.of_source(&letter).await?.map_err(|why| Fault::Conflict {
                detail: format!("dead letter {stream_sequence} cannot be redriven: {why}"),
                head: None,
            })?,
        };
        Ok(source_of(letter, generation, message))
    }

    /// A page with everything, for an export.
    pub async fn export(&self, query: &DeadLetterQuery) -> Result<ExportPage, Fault> {
        let (limit, mut bytes, mut found) = (page_size(query.limit), 0_usize, Vec::new());
        let walked = self
            .matching_while(query, limit, false, |letter| {
                bytes = bytes.saturating_add(letter.payload_bytes());
                found.push(letter);
                if bytes >= EXPORT_BYTES_MAX { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })
            .await?;
        let mut page = ExportPage { letters: Vec::with_capacity(found.len()), next: walked.and_then(|walked| walked.rest) };
        let mut fetched = 0_usize;
        for letter in found {
            // What comes from source streams counts as well, and comes one by one.
            if fetched >= EXPORT_BYTES_MAX {
                page.next = Some(letter.row.stream_sequence);
                break;
            }
            let carried = letter.payload_bytes();
            let report = self.report(letter).await?;
            fetched = fetched.saturating_add(report.payload.as_ref().map_or(0, |payload| (payload.len() / 4 * 3).saturating_sub(carried)));
            page.letters.push(report);
        }
        Ok(page)
    }

    /// Dead letters of a pipeline that were written since a time (ms) and made of messages of `stream` in `first..=last`.
    pub async fn made_of(&self, pipeline: &str, stream: &str, (first, last): (u64, u64), since: u64) -> Result<MadeOf, Fault> {
        let query = DeadLetterQuery { pipeline: Some(pipeline.to_owned()), since: Some(since), ..DeadLetterQuery::default() };
        let filter = Filter::new(&query)?;
        let part = Part { subject: &filter.subject, from: 1, since: filter.since, headers_only: true, prefetch: PREFETCH };
        let mut letters = Vec::new();
        let walked = walk(&self.connection, part, |message| {
            if let Some(Letter { row, .. }) = Letter::read(message)
                && row.source == stream
                && (first..=last).contains(&row.source_sequence)
            {
                letters.push(row);
            }
            ControlFlow::Continue(())
        });
        let rest = walked.await?.and_then(|walked| walked.rest);
        Ok(MadeOf { letters, complete: rest.is_none() })
    }

    async fn matching(
        &self,
        query: &DeadLetterQuery,
        limit: usize,
        headers_only: bool,
        mut take: impl FnMut(Letter) + Send,
    ) -> Result<Option<Walked>, Fault> {
        self.matching_while(query, limit, headers_only, |letter| {
            take(letter);
            ControlFlow::Continue(())
        })
        .await
    }

    /// Hands on up to `limit` that match, while `take` wants them. `None`: there is no stream.
    async fn matching_while(
        &self,
        query: &DeadLetterQuery,
        limit: usize,
        headers_only: bool,
        mut take: impl FnMut(Letter) -> ControlFlow<()> + Send,
    ) -> Result<Option<Walked>, Fault> {
        let filter = Filter::new(query)?;
        let prefetch = if filter.by_subject_alone() { u64::try_from(limit).unwrap_or(PREFETCH).min(PREFETCH) } else { PREFETCH };
        let part = Part { subject: &filter.subject, from: filter.from, since: filter.since, headers_only, prefetch };
        let (mut found, mut over) = (0_usize, false);
        let walked = walk(&self.connection, part, |message| {
            over = filter.over(message.time);
            let Some(letter) = Letter::read(message).filter(|letter| filter.matches(&letter.row)) else {
                return if over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            };
            found += 1;
            take(letter)?;
            if found < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        // What lies past `until` is no next page.
        Ok(walked.await?.map(|walked| Walked { rest: walked.rest.filter(|_| !over), ..walked }))
    }

    async fn letter(&self, stream_sequence: u64) -> Result<Letter, Fault> {
        let unknown = |why: &str| Fault::Unknown(format!("there is no dead letter {stream_sequence}: {why}"));
        if stream_sequence == 0 {
            return Err(unknown("numbers begin at 1"));
        }
        match raw::message_at(&self.connection.client(), STREAM, stream_sequence).await {
            Ok(Some(found)) => {
                Letter::read(found.message).ok_or_else(|| unknown(&format!("stream {STREAM} has another message under this number")))
            }
            Ok(None) => Err(unknown(&format!("stream {STREAM} does not have it (any more)"))),
            Err(error) if error.is_stream_not_found() => Err(unknown(&format!("there is no stream {STREAM}"))),
            Err(error) => Err(Error::Api(error).into()),
        }
    }

    async fn report(&self, letter: Letter) -> Result<DeadLetterReport, Fault> {
        let source = match letter.truncated() {
            true => Some(match self.of_source(&letter).await {
                Ok(found) => found,
                Err(fault) => Err(format!("it was too big for a dead letter, and cannot be read from its stream now: {fault}")),
            }),
            false => None,
        };
        Ok(letter.report(source))
    }

    /// The message it was made of, from its own stream; inside, why that does not have it. An error: nobody can tell now.
    async fn of_source(&self, letter: &Letter) -> Result<Result<Message, String>, Fault> {
        let DeadLetterRow { source, source_sequence, .. } = &letter.row;
        let gone = |why: String| Ok(Err(format!("its message was too big for a dead letter, and {why}")));
        if source.is_empty() || source.contains(|c: char| c.is_whitespace() || c.is_control() || ".*>/\\".contains(c)) {
            return gone(format!("{source:?} is no name of a stream"));
        }
        match raw::message_at(&self.connection.client(), source, (*source_sequence).max(1)).await {
            Ok(Some(found)) if letter.made_of(&found.message) => Ok(Ok(found.message)),
            Ok(Some(_)) => {
                gone(format!("message {source_sequence} of stream {source} is another one now: the stream was made anew or restored"))
            }
            Ok(None) => gone(format!("stream {source} does not have message {source_sequence} any more")),
            Err(error) if error.is_stream_not_found() => gone(format!("stream {source} does not exist any more")),
            Err(error) => Err(Fault::Unavailable(format!("message {source_sequence} of stream {source}: {error}"))),
        }
    }
}

/// The generation of a dead letter that says which message it was made of.
fn redrivable(letter: &Letter) -> Result<u64, Fault> {
    let number = letter.row.stream_sequence;
    if letter.lost() {
        return Err(Fault::Bad(format!(
            "dead letter {number} names messages of stream {} that were gone before they were read (lost): there is nothing to redrive",
            letter.row.source
        )));
    }
    match (letter.generation(), letter.source_time(), &letter.row.subject) {
        (Some(generation), Some(_), Some(_)) if letter.row.source_sequence > 0 => Ok(generation),
        _ => Err(Fault::Bad(format!(
            "dead letter {number} cannot be redriven: its headers do not say which message it was made of, so no host wrote it"
        ))),
    }
}

fn source_of(letter: Letter, generation: u64, message: Message) -> RedriveSource {
    let DeadLetterRow { stream_sequence: dead_letter, pipeline, reason, entity, place, source: stream, .. } = letter.row;
    RedriveSource { dead_letter, pipeline, generation, reason, entity, place, stream, message: Arc::new(message) }
}

/// What a redrive takes from a dead letter as its stream holds it, for simulations: it must carry its whole message.
///
/// # Errors
/// As [`DeadLetters::fetch`].
#[cfg(feature = "simulation")]
pub fn redrive_source(stored: Message) -> Result<RedriveSource, Fault> {
    let unknown = || Fault::Unknown("it is no dead letter, or not whole".to_owned());
    let letter = Letter::read(stored).ok_or_else(unknown)?;
    let generation = redrivable(&letter)?;
    let message = letter.original().ok_or_else(unknown)?;
    Ok(source_of(letter, generation, message))
}

#[cfg(test)]
mod tests;
