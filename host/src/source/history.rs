//! Reads an entity's messages from the source stream again, a page at a time, for people. Where the entity stands in a subject token the broker filters;
//! otherwise a page is a bounded scan. What became of them is not known here.

use super::catchup_reader::entity_filters;
use super::decode::{Decoder, check_entity};
use crate::event::{Event, Message};
use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::consumer::Spec;
use crate::nats::gapless::ReadError;
use crate::nats::identity::{self, KnownStream};
use crate::nats::range::{RangeReader, Step};
use crate::nats::raw;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Messages that one page looks at, at most.
pub const LOOK_MAX: u64 = 20_000;
/// How long one page takes, about; it looks at one message at least.
const TIME_MAX: Duration = Duration::from_secs(3);
/// How long the next message may take.
const PATIENCE: Duration = Duration::from_secs(10);
const PREFETCH_MESSAGES: u64 = 256;
const PREFETCH_BYTES: u64 = 4 * 1024 * 1024;
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Where a pipeline's entities have their events.
#[derive(Clone, Debug)]
pub struct HistorySource {
    /// The pipeline's name.
    pub pipeline: Arc<str>,
    /// Its subjects.
    pub subjects: Vec<String>,
    /// The token that holds the entity (1-based), when it stands in the subject.
    pub token: Option<usize>,
    /// Decodes messages.
    pub decoder: Arc<Decoder>,
}

/// One message of the entity.
#[derive(Clone, Debug)]
pub enum Found {
    /// It decodes.
    Event(Box<Event>),
    /// It does not, but names the entity.
    Malformed {
        /// The message.
        message: Arc<Message>,
        /// What is wrong with it.
        reason: String,
    },
}

/// One page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Messages looked at.
    pub looked: u64,
    /// Where the next page begins; `None` = this was the last.
    pub next: Option<u64>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The entity cannot be one of this pipeline.
    #[error("pipeline {pipeline} cannot have an entity {entity:?}: {why}")]
    NoEntity {
        /// The pipeline.
        pipeline: Arc<str>,
        /// The name asked for.
        entity: String,
        /// Why.
        why: String,
    },
    /// The stream is another one, gone, or refused.
    #[error("{0}")]
    Read(#[from] ReadError),
    /// The broker does not answer.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// Nothing came.
    #[error("stream {stream}: nothing could be read of it for {} s; try again when the broker answers", PATIENCE.as_secs())]
    Stalled {
        /// The stream.
        stream: String,
    },
}

/// Hands the entity's messages from stream sequence `from` on to `each`, at most `limit` of them, in stream order, as long as the stream is `known`.
pub async fn read(
    connection: &Connection,
    source: &HistorySource,
    known: KnownStream,
    entity: &str,
    (from, limit): (u64, usize),
    mut each: impl FnMut(Found) + Send,
) -> Result<Page, HistoryError> {
    let subjects = subjects_of(source, entity)?;
    let stream = known.name.clone();
    let facts = match identity::facts(&connection.client(), &stream).await {
        Err(error) if error.is_stream_not_found() => return Err(ReadError::Gone { stream }.into()),
        facts => facts?,
    };
    let from = from.max(facts.first_sequence).max(1);
    let mut page = Page::default();
    if subjects.is_empty() || from > facts.last_sequence || limit == 0 {
        // Not before the stream is known to be the one that the entity's record is about.
        identity::check_identity(&known, &facts, None).map_err(ReadError::from)?;
        return Ok(page);
    }
    let spec = Spec {
        stream: stream.clone(),
        name_prefix: format!("seriatim-{}-history", source.pipeline),
        subjects: subjects.clone(),
        headers_only: false,
        prefetch_messages: PREFETCH_MESSAGES.min(u64::try_from(limit).unwrap_or(PREFETCH_MESSAGES)),
        prefetch_bytes: PREFETCH_BYTES,
        heartbeat: HEARTBEAT,
    };
    let mut reader = RangeReader::new(connection.clone(), spec, known, from);
    let (began, mut found) = (Instant::now(), 0_usize);
    let last = loop {
        let step = tokio::time::timeout(PATIENCE, reader.next(facts.last_sequence)).await;
        match step.map_err(|_| HistoryError::Stalled { stream: stream.clone() })?? {
            Step::Opened(_) => {}
            Step::End => return Ok(page),
            Step::Message(message) => {
                let at = message.stream_sequence;
                page.looked += 1;
                if let Some(message) = of_entity(&source.decoder, entity, message) {
                    found += 1;
                    each(message);
                }
                if found >= limit || page.looked >= LOOK_MAX || began.elapsed() > TIME_MAX {
                    break at;
                }
            }
        }
    };
    let next = raw::next_message(&connection.client(), &stream, &subjects, last.saturating_add(1)).await?;
    page.next = next.map(|next| next.message.stream_sequence);
    Ok(page)
}

fn of_entity(decoder: &Decoder, entity: &str, message: Message) -> Option<Found> {
    let message = Arc::new(message);
    match decoder.decode(Arc::clone(&message)) {
        Ok(event) => (&*event.key.entity == entity).then(|| Found::Event(Box::new(event))),
        Err(malformed) => (malformed.entity.as_deref() == Some(entity)).then_some(Found::Malformed { message, reason: malformed.reason }),
    }
}

/// What the broker filters by; none = no subject of the pipeline can hold the entity.
fn subjects_of(source: &HistorySource, entity: &str) -> Result<Vec<String>, HistoryError> {
    let refused = |why| HistoryError::NoEntity { pipeline: Arc::clone(&source.pipeline), entity: entity.to_owned(), why };
    check_entity(entity).map_err(|error| refused(error.to_string()))?;
    let Some(token) = source.token else { return Ok(source.subjects.clone()) };
    if entity.contains(['.', ' ']) {
        return Err(refused("its entities are tokens of subjects, which have neither dots nor spaces".to_owned()));
    }
    if entity == "*" || entity == ">" {
        // As a token of a filter it would mean any entity: everything is read, and each message looked at.
        return Ok(source.subjects.clone());
    }
    Ok(entity_filters(&source.subjects, token, entity))
}

#[cfg(test)]
mod tests;
