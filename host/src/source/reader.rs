//! The live reader of one pipeline: brings the stream's messages in order and without a gap, in batches, with stream time.
//!
//! It owns its position (the highest message handed on) and nothing else: what a message means, and whether its fate is
//! durable, is decided behind the channel. A full channel stops the reading, and that stops the pulling. Started by `app`,
//! one task per pipeline; ends when the receiver is dropped or when going on would be wrong.

use super::follow::Follower;
use crate::event::Message;
use crate::nats::connect::{Connection, SUBSCRIPTION_CAPACITY};
use crate::nats::consumer::{Broken, Reason, Spec};
use crate::nats::gapless::{Gapless, Item, ReadError};
use crate::nats::identity::{self, KnownStream};
use crate::telemetry::events;
use crate::telemetry::lifecycle::{Event, Kind, Queue};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Messages in one batch at most.
pub const BATCH_MAX: usize = 256;
/// Batches that can wait between the reader and the shards, about; together they hold what `prefetch-bytes` allows.
const BATCHES_AHEAD: u64 = 8;

const HEARTBEAT_MIN: Duration = Duration::from_millis(100);
const HEARTBEAT_MAX: Duration = Duration::from_secs(5);

/// What to read and from where.
#[derive(Clone, Debug)]
pub struct ReaderConfig {
    /// The pipeline, for consumer names, logs and metrics.
    pub pipeline: Arc<str>,
    /// Its subjects.
    pub subjects: Vec<String>,
    /// The stream as the store knows it, with the highest message read before.
    pub known: KnownStream,
    /// First stream sequence to read (the watermark + 1).
    pub start_at: u64,
    /// Stream time to start from (stored with the watermark), ms.
    pub stream_time: u64,
    /// Messages prefetched, at most.
    pub prefetch_messages: u64,
    /// Bytes prefetched, about.
    pub prefetch_bytes: u64,
    /// See [`heartbeat_for`].
    pub heartbeat: Duration,
    /// The pipeline's generation, and where lifecycle events go.
    pub lifecycle: (u64, Queue),
}

/// How often an idle stream must show that it is alive: stream time moves in these steps at the head, so a quarter of the
/// shortest gap wait, within 100 ms and 5 s.
pub fn heartbeat_for(gap_wait: Duration) -> Duration {
    (gap_wait / 4).clamp(HEARTBEAT_MIN, HEARTBEAT_MAX)
}

/// A part of the stream that retention removed before it was read, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LostRange {
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
}

/// What was read at once; without messages it is a heartbeat, or names a loss.
#[derive(Clone, Debug, Default)]
pub struct ReadBatch {
    /// Messages in stream order.
    pub messages: Vec<Arc<Message>>,
    /// Stream time behind the last of them, ms.
    pub stream_time: u64,
    /// Nothing that matches is left in the stream.
    pub at_head: bool,
    /// What the stream no longer had, each named once.
    pub lost: Vec<LostRange>,
    /// Matching messages not read yet.
    pub pending: u64,
}

/// The reader of one pipeline.
pub struct Reader {
    pipeline: Arc<str>,
    gapless: Gapless,
    follower: Follower,
    /// Where host time is counted from.
    started: Instant,
    /// Bytes of one batch, about: what is read ahead waits in a few batches between here and the shards.
    batch_bytes: u64,
    /// An item that did not belong into the batch before it.
    carried: Option<Item>,
    lifecycle: (u64, Queue),
}

impl Reader {
    /// A reader; nothing happens before [`Reader::run`].
    pub fn new(connection: Connection, config: ReaderConfig) -> Self {
        let spec = Spec {
            stream: config.known.name.clone(),
            name_prefix: format!("seriatim-{}", config.pipeline),
            subjects: config.subjects,
            headers_only: false,
            prefetch_messages: config.prefetch_messages.clamp(2, (SUBSCRIPTION_CAPACITY / 2) as u64),
            prefetch_bytes: config.prefetch_bytes,
            heartbeat: config.heartbeat,
        };
        let start_at = config.start_at.max(1);
        Self {
            pipeline: config.pipeline,
            follower: Follower::new(start_at, config.stream_time, config.heartbeat),
            started: Instant::now(),
            gapless: Gapless::new(connection, spec, config.known, start_at),
            batch_bytes: config.prefetch_bytes / BATCHES_AHEAD,
            carried: None,
            lifecycle: config.lifecycle,
        }
    }

    /// Reads until the receiver is dropped (`Ok`) or going on would be wrong.
    pub async fn run(mut self, out: mpsc::Sender<ReadBatch>) -> Result<(), ReadError> {
        loop {
            let item = match self.carried.take() {
                Some(item) => item,
                None => tokio::select! {
                    biased;
                    () = out.closed() => return Ok(()),
                    item = self.gapless.next() => item?,
                },
            };
            let batch = match item {
                Item::Opened(facts) => {
                    tracing::debug!(pipeline = %self.pipeline, stream = %facts.name, from = self.gapless.at(), "reading");
                    self.follower.opened(self.started.elapsed(), facts.first_sequence, self.gapless.pending())
                }
                Item::Message { message, pending } => self.gather(message, pending).await,
                Item::Idle { examined, pending } => Some(self.idle(examined, pending).await),
                Item::Broken(broken) => {
                    self.restarted(&broken);
                    None
                }
            };
            let Some(batch) = batch else { continue };
            for lost in &batch.lost {
                events::lost(&self.pipeline, lost.first, lost.last);
            }
            if out.send(batch).await.is_err() {
                return Ok(());
            }
        }
    }

    /// This message and what has arrived behind it.
    async fn gather(&mut self, first: Message, pending: u64) -> Option<ReadBatch> {
        let mut gathering = self.follower.gather();
        let mut next = Some((first, pending));
        while let Some((message, pending)) = next.take() {
            self.follower.message(&mut gathering, message, pending);
            if gathering.len() < BATCH_MAX && gathering.bytes() < self.batch_bytes {
                match self.gapless.try_next() {
                    Some(Item::Message { message, pending }) => next = Some((message, pending)),
                    other => self.carried = other,
                }
            }
        }
        let mut first_sequence = None;
        if gathering.must_ask() {
            match self.first_sequence().await {
                Ok(first) => first_sequence = Some(first),
                Err(broken) => {
                    self.carried = None;
                    let from = self.follower.abandon(gathering);
                    self.gapless.rewind(from, &broken);
                    self.restarted(&broken);
                    return None;
                }
            }
        }
        Some(self.follower.finish(gathering, first_sequence, self.started.elapsed()))
    }

    async fn idle(&mut self, examined: u64, pending: u64) -> ReadBatch {
        let mut pending = pending;
        if pending > 0
            && let Ok(fresh) = self.gapless.refresh_pending().await
        {
            pending = fresh;
        }
        let now = self.started.elapsed();
        let mut first_sequence = None;
        if self.follower.must_ask(examined, pending) {
            first_sequence = self.first_sequence().await.ok();
        }
        self.follower.idle(now, examined, pending, first_sequence, self.gapless.known().highest_time)
    }

    /// The stream's first sequence on the leader's word. It only rises.
    async fn first_sequence(&self) -> Result<u64, Broken> {
        let facts = identity::facts(&self.gapless.connection().client(), &self.gapless.known().name).await;
        facts.map(|facts| facts.first_sequence).map_err(|error| Broken { reason: Reason::Unsure, detail: error.to_string() })
    }

    fn restarted(&self, broken: &Broken) {
        events::reader_restarted(&self.pipeline, broken.reason.label(), &broken.detail);
        let (generation, queue) = &self.lifecycle;
        let kind = Kind::ReaderRestarted { reason: broken.reason.label(), detail: broken.detail.clone() };
        queue.push(Event::now(self.pipeline.clone(), *generation, None, kind));
    }
}

#[cfg(test)]
mod tests;
