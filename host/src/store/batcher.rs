//! What goes into the next commit, and when it must be made: a value that steps (design §3.2, §3.5). Pure: no thread, no store, no clock.
//!
//! Invariants: changes are written in the order in which they were pushed, each entry in exactly one draft, confirmations first (what is confirmed was
//! durable with an earlier draft); a draft's progress counts every close pushed
//! before it was taken, all of whose changes are in this draft or an earlier one; a reply stands in the draft of its change.

use super::types::{Batch, Change, Confirmed, PipelineRecord, Progress};
use crate::source::watermark::Watermark;
use seriatim_sequencer::{Millis, WaitReason, Waiting, mutant};
use std::sync::Arc;
use tokio::sync::oneshot;

/// `commit-changes-max`: a draft with this many changes and confirmations takes no more.
pub const COMMIT_CHANGES_MAX: usize = 4096;
/// `commit-bytes-max`: a draft with this many bytes takes no more (one change may go past it).
pub const COMMIT_BYTES_MAX: usize = 8 << 20;
/// What the removal of an output adds to the journal, about.
const SIZE_OF_A_REMOVAL: usize = 64;
/// Closes without a change are written at most this often.
const PROGRESS_INTERVAL: Millis = 1000;

/// What the committer is told. One queue, first in, first out: an entry is durable only when all before it are.
#[derive(Debug)]
pub enum Entry {
    /// Messages were read (stream sequence, the broker's time in milliseconds), ascending; sent before a shard gets them. No reason to commit.
    Opened {
        /// Index of the pipeline, as given at the start.
        pipeline: usize,
        /// Stream sequence and broker time of each.
        messages: Vec<(u64, u64)>,
        /// Stream time after them.
        stream_time: u64,
    },
    /// Write this, then reply.
    Change(Box<Change>, Reply),
    /// Remove this, then reply.
    Confirmed(Confirmed, Reply),
    /// The message's fate is durable with what stands before it.
    Close {
        /// Index of the pipeline.
        pipeline: usize,
        /// The message.
        stream_sequence: u64,
    },
    /// The pipeline's meaning, stream or generation changed. Its `progress` is not used: the committer knows it.
    PipelineRecord {
        /// Index of the pipeline.
        pipeline: usize,
        /// The new record.
        record: Box<PipelineRecord>,
    },
    /// Answer when everything before this is durable.
    Flush(oneshot::Sender<()>),
    /// Write everything before this, then end.
    Stop,
}

/// Names a change to the shard that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Which sink.
    pub shard: usize,
    /// The actor's token.
    pub entity: u64,
    /// The actor's number of the change.
    pub number: u64,
}

/// One commit to be made.
#[derive(Debug, Default)]
pub struct Draft {
    /// What to write; may be empty when only a flush was asked for.
    pub batch: Batch,
    /// To be handed on once it is durable, in order.
    pub replies: Vec<Reply>,
    /// To be answered once it is durable.
    pub flushes: Vec<oneshot::Sender<()>>,
    /// How far each pipeline is once it is durable: index and progress.
    pub progress: Vec<(usize, Progress)>,
    /// It removes confirmed outputs (failpoints `prune-…`).
    pub prunes: bool,
    /// It erases state and ids (failpoints `erase-…`).
    pub erases: bool,
    /// It starts a catch-up (failpoints `catch-up-commit-…`).
    pub catches_up: bool,
    bytes: usize,
    ends: bool,
}

/// When a commit must be made if nothing else comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now.
    Now,
    /// At this time.
    At(Millis),
    /// Nothing is worth a commit.
    Never,
}

/// An entry names a pipeline that the committer was not started with: a bug of the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the committer was not started with pipeline {0}")]
pub struct UnknownPipeline(pub String);

#[derive(Debug)]
struct Lane {
    name: Arc<str>,
    watermark: Watermark,
    /// As it would be written now.
    now: Progress,
    /// As it was drafted last (or was durable at the start).
    drafted: Progress,
}

/// See the module.
#[derive(Debug)]
pub struct Batcher {
    lanes: Vec<Lane>,
    draft: Draft,
    spare: Option<Draft>,
    last: Option<Millis>,
}

impl Batcher {
    /// Starts from what is durable: each pipeline's name and progress; entries name pipelines by their index here.
    #[must_use]
    pub fn new(pipelines: Vec<(Arc<str>, Progress)>) -> Self {
        let lane = |(name, progress): (Arc<str>, Progress)| Lane {
            name,
            watermark: Watermark::new(progress.watermark, progress.stream_time),
            now: progress,
            drafted: progress,
        };
        Self { lanes: pipelines.into_iter().map(lane).collect(), draft: Draft::default(), spare: None, last: None }
    }

    /// Takes one entry into the next draft.
    ///
    /// # Errors
    /// The pipeline is not known: nothing may be committed any more, since a watermark may count what is not written.
    pub fn push(&mut self, entry: Entry) -> Result<(), UnknownPipeline> {
        match entry {
            Entry::Opened { pipeline, messages, stream_time } => self.lane(pipeline)?.open(&messages, stream_time),
            Entry::Change(change, reply) => {
                if !change.closes.is_empty() {
                    let name = &change.key.pipeline;
                    let lane = self.lanes.iter_mut().find(|lane| Arc::ptr_eq(&lane.name, name) || lane.name == *name);
                    lane.ok_or_else(|| UnknownPipeline(name.to_string()))?.close(&change.closes);
                }
                self.draft.erases |= change.erases;
                self.draft.catches_up |= matches!(change.patch.waiting, Some(Some(Waiting { reason: WaitReason::Resuming, .. })));
                self.draft.bytes += size(&change);
                self.draft.batch.changes.push(*change);
                self.draft.replies.push(reply);
            }
            Entry::Confirmed(confirmed, reply) => {
                self.draft.prunes = true;
                self.draft.bytes += SIZE_OF_A_REMOVAL;
                self.draft.batch.confirmed.push(confirmed);
                self.draft.replies.push(reply);
            }
            Entry::Close { pipeline, stream_sequence } => self.lane(pipeline)?.close(&[stream_sequence]),
            Entry::PipelineRecord { pipeline, record } => {
                let lane = self.lane(pipeline)?;
                let (name, progress) = (lane.name.clone(), lane.now);
                self.draft.batch.records.push((name, PipelineRecord { progress, ..*record }));
            }
            Entry::Flush(answer) => self.draft.flushes.push(answer),
            Entry::Stop => self.draft.ends = true,
        }
        Ok(())
    }

    /// The draft takes no more: commit before pushing on.
    #[must_use]
    pub fn full(&self) -> bool {
        self.draft.batch.size() >= COMMIT_CHANGES_MAX || self.draft.bytes >= COMMIT_BYTES_MAX || self.draft.ends
    }

    /// When to commit. Changes (confirmations too) never wait; closes alone go once a second; opened messages are no reason.
    #[must_use]
    pub fn due(&self, now: Millis) -> Due {
        let draft = &self.draft;
        if !draft.batch.is_empty() || !draft.flushes.is_empty() || draft.ends {
            return Due::Now;
        }
        if self.lanes.iter().all(|lane| lane.now.watermark == lane.drafted.watermark) {
            return Due::Never;
        }
        match self.last.map(|last| last + PROGRESS_INTERVAL) {
            Some(at) if now < at => Due::At(at),
            _ => Due::Now,
        }
    }

    /// Closes the draft, with the progress of every pipeline that moved.
    pub fn take(&mut self, now: Millis) -> Draft {
        let mut draft = std::mem::replace(&mut self.draft, self.spare.take().unwrap_or_default());
        for (index, lane) in self.lanes.iter_mut().enumerate().filter(|(_, lane)| lane.now != lane.drafted) {
            lane.drafted = lane.now;
            draft.progress.push((index, lane.now));
            draft.batch.pipelines.push((lane.name.clone(), lane.now));
        }
        if !draft.batch.is_empty() {
            self.last = Some(now);
        }
        draft
    }

    /// Gives a draft's memory back once everything in it is done.
    pub fn recycle(&mut self, mut draft: Draft) {
        draft.batch.changes.clear();
        draft.batch.confirmed.clear();
        draft.batch.pipelines.clear();
        draft.batch.records.clear();
        draft.replies.clear();
        draft.flushes.clear();
        draft.progress.clear();
        (draft.prunes, draft.erases, draft.catches_up, draft.bytes, draft.ends) = (false, false, false, 0, false);
        self.spare = Some(draft);
    }

    fn lane(&mut self, pipeline: usize) -> Result<&mut Lane, UnknownPipeline> {
        self.lanes.get_mut(pipeline).ok_or_else(|| UnknownPipeline(format!("number {pipeline}")))
    }
}

impl Draft {
    /// `Stop` is in it: nothing follows.
    #[must_use]
    pub fn ends(&self) -> bool {
        self.ends
    }
}

impl Lane {
    fn open(&mut self, messages: &[(u64, u64)], stream_time: u64) {
        for (stream_sequence, time) in messages {
            self.watermark.open(*stream_sequence, *time);
            if mutant!(WatermarkBeforeCommit) {
                self.watermark.close(*stream_sequence);
            }
            // After a restart reading begins below what had been read: the highest stays, because records may refer up to it (design §3.11).
            if *stream_sequence > self.now.highest {
                (self.now.highest, self.now.highest_time) = (*stream_sequence, *time);
            }
        }
        self.watermark.read(stream_time);
        self.moved();
    }

    fn close(&mut self, stream_sequences: &[u64]) {
        for stream_sequence in stream_sequences {
            self.watermark.close(*stream_sequence);
        }
        self.moved();
    }

    fn moved(&mut self) {
        (self.now.watermark, self.now.stream_time) = (self.watermark.value(), self.watermark.time());
    }
}

/// Roughly what a change adds to the journal.
fn size(change: &Change) -> usize {
    let state: usize = change.state.iter().map(|write| write.key.len() + write.value.as_ref().map_or(0, bytes::Bytes::len) + 64).sum();
    let outbox: usize = change.outbox_add.iter().map(|entry| entry.size()).sum();
    let extras = change.patch.extras.as_ref().map_or(0, |extras| 64 + 24 * extras.given_up.len() + 9 * extras.fates.len());
    128 + state + outbox + extras
}

#[cfg(test)]
mod tests;
