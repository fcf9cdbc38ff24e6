//! The live reader of one pipeline: brings the stream's messages in order and without a gap, in batches, with stream time.
//!
//! It owns its position (the highest message handed on) and nothing else: what a message means, and whether its fate is
//! durable, is decided behind the channel. A full channel stops the reading, and that stops the pulling. Started by `app`,
//! one task per pipeline; ends when the receiver is dropped or when going on would be wrong.

use crate::event::Message;
use crate::nats::connect::{Connection, SUBSCRIPTION_CAPACITY};
use crate::nats::consumer::{Broken, Reason, Spec};
use crate::nats::gapless::{Gapless, Item, ReadError};
use crate::nats::identity::{self, KnownStream};
use crate::telemetry::events;
use seriatim_sequencer::mutant;
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
    clock: StreamClock,
    /// Bytes of one batch, about: what is read ahead waits in a few batches between here and the shards.
    batch_bytes: u64,
    /// Everything that matches up to here was handed on or named as lost.
    covered: u64,
    /// An item that did not belong into the batch before it.
    carried: Option<Item>,
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
            clock: StreamClock::new(config.stream_time, config.heartbeat),
            gapless: Gapless::new(connection, spec, config.known, start_at),
            covered: start_at - 1,
            batch_bytes: config.prefetch_bytes / BATCHES_AHEAD,
            carried: None,
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
                    self.clock.restart(Instant::now());
                    tracing::debug!(pipeline = %self.pipeline, stream = %facts.name, from = self.gapless.at(), "reading");
                    self.lost_before(facts.first_sequence)
                }
                Item::Message { message, pending } => self.gather(message, pending).await,
                Item::Idle { examined, pending } => Some(self.idle(examined, pending).await),
                Item::Broken(broken) => {
                    self.restarted(&broken);
                    None
                }
            };
            if let Some(batch) = batch
                && out.send(batch).await.is_err()
            {
                return Ok(());
            }
        }
    }

    /// The stream begins above what was read: names what is gone.
    fn lost_before(&mut self, first_sequence: u64) -> Option<ReadBatch> {
        let lost = LostRange { first: self.covered.saturating_add(1), last: first_sequence.saturating_sub(1) };
        if lost.last < lost.first {
            return None;
        }
        self.name(lost);
        self.covered = lost.last;
        Some(ReadBatch { stream_time: self.clock.now(), lost: vec![lost], pending: self.gapless.pending(), ..ReadBatch::default() })
    }

    /// This message and what has arrived behind it.
    async fn gather(&mut self, first: Message, pending: u64) -> Option<ReadBatch> {
        let (before, time_before) = (self.covered, self.clock.micros);
        let from = first.stream_sequence;
        let mut batch = ReadBatch { pending, ..ReadBatch::default() };
        let mut jumps = Vec::new();
        let mut next = Some(first);
        let mut bytes = 0;
        while let Some(message) = next.take() {
            if message.stream_sequence > self.covered.saturating_add(1) {
                jumps.push((self.covered, message.stream_sequence));
            }
            self.covered = message.stream_sequence;
            self.clock.message(message.time);
            bytes += (message.payload.len() + message.subject.len()) as u64;
            batch.messages.push(Arc::new(message));
            if batch.messages.len() < BATCH_MAX && bytes < self.batch_bytes {
                match self.gapless.try_next() {
                    Some(Item::Message { message, pending }) => {
                        batch.pending = pending;
                        next = Some(message);
                    }
                    other => self.carried = other,
                }
            }
        }
        self.clock.seen(Instant::now());
        match self.judge_jumps(&jumps).await {
            Ok(lost) => batch.lost = lost,
            Err(broken) => {
                // Handed on without this judgement, a loss would never be named.
                self.carried = None;
                // Time must not run ahead of what was handed on.
                (self.covered, self.clock.micros) = (before, time_before);
                self.gapless.rewind(from, &broken);
                self.restarted(&broken);
                return None;
            }
        }
        batch.stream_time = self.clock.now();
        batch.at_head = batch.pending == 0;
        Some(batch)
    }

    /// Jumps of the stream sequence are other subjects' messages, or deleted ones; those above which the stream now begins
    /// were lost. Asked once for all, after they were read: the first sequence only rises.
    async fn judge_jumps(&self, jumps: &[(u64, u64)]) -> Result<Vec<LostRange>, Broken> {
        if jumps.is_empty() {
            return Ok(Vec::new());
        }
        let facts = identity::facts(&self.gapless.connection().client(), &self.gapless.known().name)
            .await
            .map_err(|error| Broken { reason: Reason::Unsure, detail: error.to_string() })?;
        let lost = lost_in(jumps, facts.first_sequence);
        for range in &lost {
            self.name(*range);
        }
        Ok(lost)
    }

    async fn idle(&mut self, examined: u64, pending: u64) -> ReadBatch {
        let mut pending = pending;
        if pending > 0
            && let Ok(fresh) = self.gapless.refresh_pending().await
        {
            pending = fresh;
        }
        self.clock.idle(Instant::now(), pending == 0);
        let mut lost = Vec::new();
        if pending == 0 && examined > self.covered {
            // The server counts deleted messages as examined: what retention took before it was delivered is named here.
            if let Ok(found) = self.judge_jumps(&[(self.covered, examined.saturating_add(1))]).await {
                lost = found;
                self.covered = examined;
            }
        }
        ReadBatch { stream_time: self.clock.now(), at_head: pending == 0, pending, lost, ..ReadBatch::default() }
    }

    fn name(&self, lost: LostRange) {
        events::lost(&self.pipeline, lost.first, lost.last);
    }

    fn restarted(&self, broken: &Broken) {
        events::reader_restarted(&self.pipeline, broken.reason.label(), &broken.detail);
    }
}

/// The parts of the jumps (from, to) below the stream's first sequence.
fn lost_in(jumps: &[(u64, u64)], first_sequence: u64) -> Vec<LostRange> {
    jumps
        .iter()
        .filter(|(from, _)| first_sequence > from.saturating_add(1))
        .map(|(from, to)| LostRange { first: from.saturating_add(1), last: first_sequence.min(*to).saturating_sub(1) })
        .filter(|lost| lost.first <= lost.last)
        .collect()
}

/// Stream time: the largest broker timestamp read, plus host time spent at the head of the stream.
struct StreamClock {
    micros: u64,
    heartbeat: Duration,
    seen: Instant,
}

impl StreamClock {
    fn new(millis: u64, heartbeat: Duration) -> Self {
        Self { micros: millis.saturating_mul(1000), heartbeat, seen: Instant::now() }
    }

    fn now(&self) -> u64 {
        self.micros / 1000
    }

    fn message(&mut self, millis: u64) {
        self.micros = self.micros.max(millis.saturating_mul(1000));
    }

    fn seen(&mut self, now: Instant) {
        self.seen = now;
    }

    /// A new generation: the time without a reader does not count.
    fn restart(&mut self, now: Instant) {
        self.seen = now;
    }

    /// A heartbeat. More than two intervals since the last sign mean that *we* stood still: what came meanwhile is not read yet.
    fn idle(&mut self, now: Instant, at_head: bool) {
        let elapsed = now.saturating_duration_since(self.seen);
        self.seen = now;
        let gap = mutant!(HeartbeatGapCountedAsIdle);
        if at_head && (elapsed <= self.heartbeat * 2 || gap) {
            let step = if gap { elapsed } else { elapsed.min(self.heartbeat) };
            self.micros = self.micros.saturating_add(u64::try_from(step.as_micros()).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests;
