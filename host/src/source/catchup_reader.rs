//! Reads a part of the source stream again, for entities that catch up: gapless, filtered or not, in bounded batches
//! through a channel. The end may be raised while it runs; dropping the receiver (or the task) cancels it. Which entity
//! takes which message is decided behind the channel.

use crate::event::Message;
use crate::nats::connect::Connection;
use crate::nats::consumer::Spec;
use crate::nats::gapless::ReadError;
use crate::nats::identity::KnownStream;
use crate::nats::range::{RangeReader, Step};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Messages in one batch at most.
pub const BATCH_MAX: usize = 256;
/// A catch-up asks for this many messages at a time.
const PREFETCH_MESSAGES: u64 = 1024;
const PREFETCH_BYTES: u64 = 8 * 1024 * 1024;
const HEARTBEAT: Duration = Duration::from_millis(500);

/// What to read again.
#[derive(Clone, Debug)]
pub struct CatchupConfig {
    /// The pipeline, for consumer names and logs.
    pub pipeline: Arc<str>,
    /// [`entity_filters`] of one entity, or the pipeline's subjects for the shared scan.
    pub subjects: Vec<String>,
    /// The stream as the store knows it.
    pub known: KnownStream,
    /// First stream sequence.
    pub from: u64,
}

/// What a catch-up brings.
#[derive(Clone, Debug)]
pub enum CatchupItem {
    /// It reads; the stream's first message is this one now, on the leader's word. Comes again when the reader had to start
    /// anew, and may be higher then: what lies between it and the last message read is gone.
    Opened {
        /// First stream sequence that the stream still has.
        first_sequence: u64,
    },
    /// Messages in stream order, none above the end.
    Messages(Vec<Arc<Message>>),
    /// Nothing that matches is left at or below `to`. A higher end goes on; dropping the receiver ends.
    Reached {
        /// The end that was reached.
        to: u64,
    },
}

/// Reads `from..=to`. At the end it waits for a higher `to`; returns when the receiver or the sender of `to` is dropped, or
/// when going on would be wrong.
pub async fn run(
    connection: Connection,
    config: CatchupConfig,
    mut to: watch::Receiver<u64>,
    out: mpsc::Sender<CatchupItem>,
) -> Result<(), ReadError> {
    let spec = Spec {
        stream: config.known.name.clone(),
        name_prefix: format!("seriatim-{}-catchup", config.pipeline),
        subjects: config.subjects,
        headers_only: false,
        prefetch_messages: PREFETCH_MESSAGES,
        prefetch_bytes: PREFETCH_BYTES,
        heartbeat: HEARTBEAT,
    };
    let mut reader = RangeReader::new(connection, spec, config.known, config.from);
    let mut batch = Vec::new();
    loop {
        let end = *to.borrow_and_update();
        let arrived = if batch.len() < BATCH_MAX { reader.try_next(end) } else { None };
        let step = match arrived {
            Some(message) => {
                batch.push(Arc::new(message));
                continue;
            }
            None if !batch.is_empty() => {
                if out.send(CatchupItem::Messages(std::mem::take(&mut batch))).await.is_err() {
                    return Ok(());
                }
                continue;
            }
            None => tokio::select! {
                biased;
                () = out.closed() => return Ok(()),
                step = reader.next(end) => step?,
            },
        };
        let item = match step {
            Step::Opened(facts) => CatchupItem::Opened { first_sequence: facts.first_sequence },
            Step::Message(message) => {
                batch.push(Arc::new(message));
                continue;
            }
            Step::End => CatchupItem::Reached { to: end },
        };
        let ended = matches!(item, CatchupItem::Reached { .. });
        if out.send(item).await.is_err() {
            return Ok(());
        }
        if ended {
            tokio::select! {
                () = out.closed() => return Ok(()),
                raised = to.wait_for(|to| *to > end) => if raised.is_err() { return Ok(()) },
            }
        }
    }
}

/// The filters that together match every message of an entity that stands in token `token` (1-based) of the pipeline's
/// `subjects`: each pattern with the token put in and, where `>` would have taken more than one token, its bare prefix too.
/// `flights.>` with token 2 gives `flights.E` and `flights.E.>`. A pattern that cannot hold this entity there gives nothing.
pub fn entity_filters(subjects: &[String], token: usize, entity: &str) -> Vec<String> {
    let mut filters: Vec<String> = Vec::new();
    for filter in subjects.iter().flat_map(|pattern| filters_of(pattern, token, entity)) {
        if !filters.contains(&filter) {
            filters.push(filter);
        }
    }
    crate::nats::consumer::minimal(&filters)
}

fn filters_of(pattern: &str, token: usize, entity: &str) -> Vec<String> {
    let mut tokens: Vec<&str> = pattern.split('.').collect();
    let Some(at) = token.checked_sub(1) else { return Vec::new() };
    let open = tokens.last() == Some(&">");
    if open && at + 1 >= tokens.len() {
        // `>` takes this token: the ones between are anything.
        tokens.pop();
        while tokens.len() < at {
            tokens.push("*");
        }
        tokens.push(entity);
        let bare = tokens.join(".");
        return vec![format!("{bare}.>"), bare];
    }
    match tokens.get_mut(at) {
        Some(slot) if *slot == "*" || *slot == entity => {
            *slot = entity;
            vec![tokens.join(".")]
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
