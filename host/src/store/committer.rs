//! The one thread that writes: takes what queued up while the previous commit was being fsynced, lets the [`Batcher`] make one draft of it, commits,
//! and only then hands on the replies. Decides nothing (that is `batcher.rs`).
//!
//! A commit that fails, or a panic in here, poisons the host: no reply of that draft is sent and no later commit is made.

use super::batcher::{Batcher, Draft, Due, Entry, Reply};
use super::queue::{Closed, Patience, Queue};
use super::types::Progress;
use super::{COMMIT_CHANGES_MAX, Error, Poison, Store};
use crate::telemetry::events;
use seriatim_sequencer::Millis;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Where a shard's replies go. Called on the committer's thread: must neither block nor call back into the committer.
pub trait CompletionSink: Send + Sync + 'static {
    /// These changes are durable, in this order. Takes them out of the vector (what it leaves is dropped).
    fn committed(&self, replies: &mut Vec<Reply>);
}

/// How far a pipeline is on the disk. For telemetry: each number by itself is exact and never falls, the four are not one moment's.
#[derive(Debug, Default)]
pub struct DurableProgress {
    watermark: AtomicU64,
    highest: AtomicU64,
    highest_time: AtomicU64,
    stream_time: AtomicU64,
}

impl DurableProgress {
    /// As of the last commit.
    #[must_use]
    pub fn get(&self) -> Progress {
        Progress {
            watermark: self.watermark.load(Ordering::Acquire),
            highest: self.highest.load(Ordering::Acquire),
            highest_time: self.highest_time.load(Ordering::Acquire),
            stream_time: self.stream_time.load(Ordering::Acquire),
        }
    }

    fn set(&self, progress: Progress) {
        self.watermark.store(progress.watermark, Ordering::Release);
        self.highest.store(progress.highest, Ordering::Release);
        self.highest_time.store(progress.highest_time, Ordering::Release);
        self.stream_time.store(progress.stream_time, Ordering::Release);
    }
}

/// The sending side; cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    queue: Arc<Queue<Entry>>,
    poison: Poison,
}

impl Handle {
    /// Queues one entry; waits while the queue is full (at most about one commit).
    ///
    /// # Errors
    /// Poisoned or stopped: the entry is lost, as everything that is not durable.
    pub fn send(&self, entry: Entry) -> Result<(), Error> {
        self.send_all(&mut VecDeque::from([entry]))
    }

    /// Queues all of them, in order; waits while the queue is full.
    ///
    /// # Errors
    /// As `send`.
    pub fn send_all(&self, entries: &mut VecDeque<Entry>) -> Result<(), Error> {
        self.queue.push_all(entries).map_err(|Closed| self.closed())
    }

    /// Queues as many from the front as fit, without waiting; true when none is left.
    ///
    /// # Errors
    /// As `send`.
    pub fn try_send_all(&self, entries: &mut VecDeque<Entry>) -> Result<bool, Error> {
        self.queue.try_push_all(entries).map_err(|Closed| self.closed())
    }

    /// Waits until the queue has room (or has been closed).
    pub async fn room(&self) {
        self.queue.room().await;
    }

    /// Returns when everything queued before is durable.
    ///
    /// # Errors
    /// Poisoned or stopped before that.
    pub async fn flush(&self) -> Result<(), Error> {
        let (answer, answered) = oneshot::channel();
        let mut entries = VecDeque::from([Entry::Flush(answer)]);
        while !self.try_send_all(&mut entries)? {
            self.room().await;
        }
        answered.await.map_err(|_| self.closed())
    }

    /// Entries that wait in the queue.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    fn closed(&self) -> Error {
        self.poison.poisoned().map_or(Error::Stopped, |reason| Error::Poisoned { reason })
    }
}

/// The committer of one store. Dropping it without `stop` ends it as a crash would: what is queued is lost.
#[derive(Debug)]
pub struct Committer {
    handle: Handle,
    thread: Option<JoinHandle<()>>,
    durable: Vec<Arc<DurableProgress>>,
}

impl Committer {
    /// Starts the thread. `pipelines`: names and durable progress, as the store has them; entries name them by their index. `sinks`: one per shard,
    /// by index. `queue_max`: entries that may wait.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        store: Arc<dyn Store>,
        pipelines: Vec<(Arc<str>, Progress)>,
        sinks: Vec<Arc<dyn CompletionSink>>,
        queue_max: usize,
        poison: Poison,
    ) -> Result<Self, Error> {
        let mut worker = Worker::new(store, pipelines, sinks, queue_max, poison.clone());
        let (queue, durable) = (worker.queue.clone(), worker.durable.clone());
        let handle = Handle { queue: queue.clone(), poison: poison.clone() };
        let run = move || {
            match catch_unwind(AssertUnwindSafe(|| worker.run())) {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => {
                    poison.set(reason);
                }
                Err(panic) => {
                    poison.set(format!("the committer panicked: {}", panic_text(&*panic)));
                }
            }
            queue.close();
        };
        let thread = std::thread::Builder::new()
            .name("seriatim-commit".into())
            .spawn(run)
            .map_err(|error| Error::Engine { doing: "start the committer's thread", reason: error.to_string() })?;
        Ok(Self { handle, thread: Some(thread), durable })
    }

    /// A handle to send with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// How far the pipeline is on the disk.
    #[must_use]
    pub fn progress(&self, pipeline: usize) -> Option<Arc<DurableProgress>> {
        self.durable.get(pipeline).cloned()
    }

    /// Writes everything queued so far and ends the thread. Blocks until then.
    ///
    /// # Errors
    /// Poisoned, now or before.
    pub fn stop(mut self) -> Result<(), Error> {
        // Refused when the thread has ended already; why it has, is told below.
        self.handle.send(Entry::Stop).ok();
        self.join();
        self.handle.poison.poisoned().map_or(Ok(()), |reason| Err(Error::Poisoned { reason }))
    }

    fn join(&mut self) {
        // The thread catches its panics: joining cannot tell anything that the poison does not.
        self.thread.take().map(JoinHandle::join);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.handle.queue.close();
        self.join();
    }
}

/// What a turn of the committer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// A commit was made, and its replies were handed on.
    Committed,
    /// There is nothing to commit before this time (`None`: before something else is queued).
    Waits {
        /// Milliseconds, on the caller's clock.
        until: Option<Millis>,
    },
    /// It was stopped.
    Ended,
}

/// A committer without its thread, for simulations: whoever owns it says when it takes its turn.
#[cfg(feature = "simulation")]
pub struct SteppedCommitter {
    worker: Worker,
    handle: Handle,
}

#[cfg(feature = "simulation")]
impl SteppedCommitter {
    /// As [`Committer::start`].
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        pipelines: Vec<(Arc<str>, Progress)>,
        sinks: Vec<Arc<dyn CompletionSink>>,
        queue_max: usize,
        poison: Poison,
    ) -> Self {
        let worker = Worker::new(store, pipelines, sinks, queue_max, poison);
        Self { handle: Handle { queue: worker.queue.clone(), poison: worker.poison.clone() }, worker }
    }

    /// A handle to send with.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// How far the pipeline is on the disk.
    #[must_use]
    pub fn progress(&self, pipeline: usize) -> Option<Arc<DurableProgress>> {
        self.worker.durable.get(pipeline).cloned()
    }

    /// Takes what is queued and, when it is time, commits it.
    ///
    /// # Errors
    /// The reason why nothing may be committed any more: the host is poisoned with it.
    pub fn turn(&mut self, now: Millis) -> Result<Turn, String> {
        self.worker.turn(now).inspect_err(|reason| {
            self.worker.poison.set(reason.clone());
        })
    }
}

struct Worker {
    store: Arc<dyn Store>,
    queue: Arc<Queue<Entry>>,
    inbox: VecDeque<Entry>,
    batcher: Batcher,
    outgoing: Vec<(Arc<dyn CompletionSink>, Vec<Reply>)>,
    durable: Vec<Arc<DurableProgress>>,
    poison: Poison,
    started: Instant,
}

impl Worker {
    fn new(
        store: Arc<dyn Store>,
        pipelines: Vec<(Arc<str>, Progress)>,
        sinks: Vec<Arc<dyn CompletionSink>>,
        queue_max: usize,
        poison: Poison,
    ) -> Self {
        let durable = pipelines
            .iter()
            .map(|(_, progress)| {
                let durable = DurableProgress::default();
                durable.set(*progress);
                Arc::new(durable)
            })
            .collect();
        Self {
            store,
            queue: Arc::new(Queue::new(queue_max)),
            inbox: VecDeque::new(),
            batcher: Batcher::new(pipelines),
            outgoing: sinks.into_iter().map(|sink| (sink, Vec::new())).collect(),
            durable,
            poison,
            started: Instant::now(),
        }
    }

    /// Until stopped or closed (`Ok`) or until nothing may be committed any more (`Err`: the reason).
    fn run(&mut self) -> Result<(), String> {
        loop {
            let now = self.now();
            let patience = match self.turn(now)? {
                Turn::Committed => continue,
                Turn::Ended => return Ok(()),
                Turn::Waits { until: Some(at) } => Patience::For(Duration::from_millis(at.saturating_sub(now))),
                Turn::Waits { until: None } => Patience::Forever,
            };
            if self.queue.drain(&mut self.inbox, patience) == Err(Closed) {
                return Ok(());
            }
        }
    }

    /// Takes what is queued and, when it is time, commits it.
    fn turn(&mut self, now: Millis) -> Result<Turn, String> {
        // What is left over from a full draft is at most one queue's length: more is taken only when it does not fill the next one.
        if self.inbox.len() < COMMIT_CHANGES_MAX && self.queue.drain(&mut self.inbox, Patience::None) == Err(Closed) {
            return Ok(Turn::Ended);
        }
        while !self.batcher.full() {
            let Some(entry) = self.inbox.pop_front() else { break };
            self.batcher.push(entry).map_err(|error| error.to_string())?;
        }
        let due = if self.batcher.full() { Due::Now } else { self.batcher.due(now) };
        Ok(match due {
            Due::Now => {
                let draft = self.batcher.take(now);
                let ends = draft.ends();
                self.commit(draft)?;
                if ends { Turn::Ended } else { Turn::Committed }
            }
            Due::At(at) => Turn::Waits { until: Some(at) },
            Due::Never => Turn::Waits { until: None },
        })
    }

    fn commit(&mut self, mut draft: Draft) -> Result<(), String> {
        if let Some(reason) = self.poison.poisoned() {
            return Err(reason);
        }
        if !draft.batch.is_empty() {
            before(&draft);
            let started = Instant::now();
            self.store.commit(&draft.batch).map_err(|error| error.to_string())?;
            events::committed(draft.batch.size(), started.elapsed());
            after(&draft);
        }
        for (pipeline, progress) in &draft.progress {
            if let Some(durable) = self.durable.get(*pipeline) {
                durable.set(*progress);
            }
        }
        for reply in draft.replies.drain(..) {
            let sink =
                self.outgoing.get_mut(reply.shard).ok_or_else(|| format!("the committer was not started with shard {}", reply.shard))?;
            sink.1.push(reply);
        }
        for (sink, replies) in self.outgoing.iter_mut().filter(|(_, replies)| !replies.is_empty()) {
            sink.committed(replies);
            replies.clear();
        }
        for flush in draft.flushes.drain(..) {
            // Nobody listens any more: nobody needs the answer.
            flush.send(()).ok();
        }
        self.batcher.recycle(draft);
        Ok(())
    }

    fn now(&self) -> Millis {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn before(draft: &Draft) {
    crate::failpoint!("commit-before");
    if draft.prunes {
        crate::failpoint!("prune-before");
    }
    if draft.erases {
        crate::failpoint!("erase-before");
    }
    if draft.catches_up {
        crate::failpoint!("catch-up-commit-before");
    }
}

fn after(draft: &Draft) {
    crate::failpoint!("commit-after");
    if draft.prunes {
        crate::failpoint!("prune-after");
    }
    if draft.erases {
        crate::failpoint!("erase-after");
    }
    if draft.catches_up {
        crate::failpoint!("catch-up-commit-after");
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a message")
}

#[cfg(test)]
mod tests;
