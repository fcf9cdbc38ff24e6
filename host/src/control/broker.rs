//! [`Letters`] over a broker: the stream of dead letters, and the source streams of the pipelines that have been added.

use super::{
    Answer, DeadLetterPage, DeadLetterQuery, DeadLetterReport, EntityName, ExportPage, Fault, HistoryPart, HistoryQuery, Letters, Place,
    PurgeDone, RedriveSource, Seen,
};
use crate::nats::connect::Connection;
use crate::nats::gapless::ReadError;
use crate::nats::identity::KnownStream;
use crate::sink::dead_letters::DeadLetters;
use crate::source::history::{self, Found, HistoryError, HistorySource};
use std::collections::BTreeMap;

/// Events in a page of a history when the query does not say.
const PAGE: usize = 100;
/// Events in a page of a history at most.
const PAGE_MAX: usize = 1_000;

/// A pipeline whose entities have a history.
pub struct History {
    /// Where their events are.
    pub source: HistorySource,
    /// The stream as it is known now, with the highest message read of it: one that was recreated, or restored to an older state, is refused.
    pub known: Box<dyn Fn() -> KnownStream + Send + Sync>,
}

/// See the module.
pub struct BrokerLetters {
    connection: Connection,
    letters: DeadLetters,
    histories: BTreeMap<String, History>,
}

impl BrokerLetters {
    /// Over this connection; `histories` by the pipelines' names.
    #[must_use]
    pub fn new(connection: Connection, histories: BTreeMap<String, History>) -> Self {
        Self { letters: DeadLetters::new(connection.clone()), connection, histories }
    }

    async fn part(&self, query: HistoryQuery) -> Result<HistoryPart, Fault> {
        let EntityName { pipeline, entity } = &query.name;
        let Some(history) = self.histories.get(pipeline) else {
            return Err(Fault::Unknown(format!("there is no pipeline {pipeline:?}")));
        };
        let limit = if query.limit == 0 { PAGE } else { query.limit.min(PAGE_MAX) };
        let known = (history.known)();
        let stream = known.name.clone();
        let mut messages = Vec::new();
        let read = history::read(&self.connection, &history.source, known, entity, (query.from, limit), |found| messages.push(seen(found)));
        let page = read.await.map_err(fault)?;
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
            return Ok(HistoryPart { letters_complete: true, next: page.next, ..HistoryPart::default() });
        };
        // No dead letter is older than the message it was made of.
        let since = messages.iter().map(|message| message.time).min().unwrap_or(0);
        let range = (first.stream_sequence, last.stream_sequence);
        let made = self.letters.made_of(pipeline, &stream, range, since).await?;
        Ok(HistoryPart { messages, letters: made.letters, letters_complete: made.complete, next: page.next })
    }
}

impl Letters for BrokerLetters {
    fn list(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        Box::pin(async move { self.letters.list(&query).await })
    }

    fn get(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport> {
        Box::pin(self.letters.get(stream_sequence))
    }

    fn fetch(&self, stream_sequence: u64) -> Answer<'_, RedriveSource> {
        Box::pin(self.letters.fetch(stream_sequence))
    }

    fn export(&self, query: DeadLetterQuery) -> Answer<'_, ExportPage> {
        Box::pin(async move { self.letters.export(&query).await })
    }

    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone> {
        Box::pin(async move { self.letters.purge(&query, dry_run).await })
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPart> {
        Box::pin(self.part(query))
    }
}

fn seen(found: Found) -> Seen {
    match found {
        Found::Event(event) => Seen {
            stream_sequence: event.message.stream_sequence,
            subject: event.message.subject.clone(),
            time: event.message.time,
            place: Some(Place { epoch: event.epoch, sequence: event.sequence }),
            id_hash: event.id_hash(),
            payload_hash: event.payload_hash(),
            id: event.id,
            malformed: None,
        },
        Found::Malformed { message, reason } => Seen {
            stream_sequence: message.stream_sequence,
            subject: message.subject.clone(),
            time: message.time,
            malformed: Some(reason),
            ..Seen::default()
        },
    }
}

fn fault(error: HistoryError) -> Fault {
    match &error {
        HistoryError::NoEntity { .. } => Fault::Bad(error.to_string()),
        HistoryError::Read(ReadError::Gone { .. }) => Fault::Unknown(error.to_string()),
        HistoryError::Read(ReadError::Identity(_)) => Fault::Conflict { detail: error.to_string(), head: None },
        HistoryError::Read(ReadError::Refused { .. }) | HistoryError::Api(_) | HistoryError::Stalled { .. } => {
            Fault::Unavailable(error.to_string())
        }
    }
}
