//! Entity → shard, and the way there: takes what the reader hands on, notes it as open, decodes it, and gives every shard its part. One task per
//! pipeline; a busy shard holds it up, and that reaches the broker.

use crate::event::EntityKey;
use crate::pipeline::Pipeline;
use crate::shard::{Batch, Gone, Handle, Mail, OwnItem};
use crate::source::decode::Decoder;
use crate::source::reader::ReadBatch;
use crate::store::{self, Entry};
use crate::telemetry::events;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::xxh3_64;

/// Why the router ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A shard has ended.
    #[error(transparent)]
    Shard(#[from] Gone),
    /// The committer takes nothing any more.
    #[error(transparent)]
    Store(#[from] store::Error),
}

/// The shard of an entity.
#[must_use]
pub fn shard_of(key: &EntityKey, shards: usize) -> usize {
    let hash = xxh3_64(key.entity.as_bytes()) ^ xxh3_64(key.pipeline.as_bytes()).rotate_left(1);
    usize::try_from(hash % shards.max(1) as u64).unwrap_or(0)
}

/// Routes one pipeline until its reader ends, or the pipeline stops.
///
/// # Errors
/// The host is going down around it.
pub async fn run(
    pipeline: Arc<Pipeline>,
    decoder: Arc<Decoder>,
    mut batches: mpsc::Receiver<ReadBatch>,
    shards: Vec<Handle>,
    committer: store::Handle,
) -> Result<(), Error> {
    loop {
        pipeline.control.own_room().await;
        let batch = tokio::select! {
            biased;
            () = pipeline.control.halted() => return Ok(()),
            batch = batches.recv() => batch,
        };
        let Some(batch) = batch else { return Ok(()) };
        events::stream_lag_is(&pipeline.name, batch.pending);
        pipeline.control.set_unread(batch.pending);
        pipeline.control.set_stream_time(batch.stream_time);
        open(&pipeline, &batch, &committer).await?;
        for (handle, mail) in shards.iter().zip(split(&pipeline, &decoder, batch, shards.len())) {
            handle.send(Mail::Batch(mail)).await?;
        }
    }
}

/// Tells the committer what was read, before any shard can close it.
async fn open(pipeline: &Pipeline, batch: &ReadBatch, committer: &store::Handle) -> Result<(), store::Error> {
    let mut entries = VecDeque::from([opened(pipeline, batch)]);
    while !committer.try_send_all(&mut entries)? {
        committer.room().await;
    }
    Ok(())
}

/// What a batch opens. A loss is open at both its ends, so that the commit that names it is the one that lets the watermark pass all of it.
#[must_use]
pub fn opened(pipeline: &Pipeline, batch: &ReadBatch) -> Entry {
    let mut messages: Vec<_> = batch.messages.iter().map(|message| (message.stream_sequence, message.time)).collect();
    messages.extend(batch.lost.iter().flat_map(|lost| [(lost.first, 0), (lost.last, 0)]));
    messages.sort_unstable();
    messages.dedup_by_key(|(stream_sequence, _)| *stream_sequence);
    Entry::Opened { pipeline: pipeline.index, messages, stream_time: batch.stream_time }
}

/// Each shard's part. All of them learn how far the stream was read, and its time.
#[must_use]
pub fn split(pipeline: &Pipeline, decoder: &Decoder, batch: ReadBatch, shards: usize) -> Vec<Batch> {
    let highest = batch.messages.last().map_or(0, |message| message.stream_sequence);
    let highest = batch.lost.iter().map(|lost| lost.last).max().unwrap_or(0).max(highest);
    let mut parts: Vec<_> =
        (0..shards).map(|_| Batch { pipeline: pipeline.index, highest, stream_time: batch.stream_time, ..Batch::default() }).collect();
    let own = |parts: &mut Vec<Batch>, item| {
        if let Some(first) = parts.first_mut() {
            first.own.push(item);
        }
    };
    for lost in batch.lost {
        own(&mut parts, OwnItem::Lost { first: lost.first, last: lost.last });
    }
    for message in batch.messages {
        match decoder.decode(message.clone()) {
            Ok(event) => {
                if let Some(part) = parts.get_mut(shard_of(&event.key, shards)) {
                    part.events.push(Arc::new(event));
                }
            }
            Err(malformed) => own(
                &mut parts,
                OwnItem::Malformed { message, reason: malformed.reason, entity: malformed.entity.map(|entity| entity.to_string()) },
            ),
        }
    }
    parts
}
