//! One run at work: takes items from the reading thread, hands them to the producer, takes confirmations in the plan's order, and saves the
//! checkpoint. What is confirmed and what a checkpoint may say is decided by [`Track`].

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::error::Error;
use super::options::Options;
use super::pace::Pace;
use super::plan::{Item, Plan, PlanError};
use super::rows::Progress;
use super::summary::{Ending, Summary};
use super::track::{Reached, Track};
use crate::nats::connect::Connection;
use crate::nats::identity::StreamFacts;
use crate::producer::{self, Pending, Producer, Receipt, message_id};
use crate::progress::View;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Items read ahead of the producer, at most; each holds a row.
const READ_AHEAD: usize = 256;
/// Bytes of the longest rows allowed that are read ahead, at most: fewer items where rows may be long.
const READ_AHEAD_BYTES: usize = 256 << 20;
/// Bytes of payload in flight, beside one more event, at most.
const WINDOW_BYTES_MAX: usize = 256 << 20;
/// How long the answer to a question about one message is waited for.
const ANSWER: Duration = Duration::from_secs(10);
/// A checkpoint is saved this often, or earlier when much is confirmed.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether something is to be shown or saved.
const TICK: Duration = Duration::from_millis(200);
/// After a signal, how long what is in flight is waited for.
const DRAIN: Duration = Duration::from_secs(10);

/// What the reading thread brings.
enum Feed {
    Item(Item),
    End { progress: Progress, unfinished: Option<u64> },
    Failed(PlanError),
}

/// The front of the plan that is not confirmed yet.
struct Flying {
    state: State,
    duplicate: bool,
    line: u64,
    /// How far the input was read for it.
    bytes: u64,
    /// Bytes of its payload.
    size: usize,
}

enum State {
    /// An earlier run has published it.
    Found,
    Sent(Pending),
}

/// A checkpoint that is being kept.
pub(super) struct Keeping {
    pub(super) file: Arc<CheckpointFile>,
    pub(super) checkpoint: Checkpoint,
}

/// What a session works with.
pub(super) struct Work {
    pub(super) connection: Connection,
    pub(super) producer: Producer,
    /// The stream as it was when the run began.
    pub(super) beginning: StreamFacts,
    pub(super) track: Track,
    pub(super) keeping: Option<Keeping>,
    /// Ids of items that an earlier run has published.
    pub(super) found: HashSet<String>,
}

/// See the module.
pub(super) struct Session<'a> {
    work: Work,
    options: &'a Options,
    pub(super) summary: Summary,
    view: &'a mut View,
    /// Raised by each signal to stop.
    stop: watch::Receiver<u32>,
    flying: VecDeque<Flying>,
    /// Bytes of payload in `flying`.
    flying_bytes: usize,
    pace: Pace,
    read: Progress,
    saved_at: Instant,
    shown_bytes: u64,
}

impl<'a> Session<'a> {
    /// `stop` is raised by each signal to stop.
    pub(super) fn new(work: Work, options: &'a Options, view: &'a mut View, stop: watch::Receiver<u32>) -> Self {
        let now = Instant::now();
        let summary = Summary { already_there: work.track.confirmed(), ..Summary::new() };
        let read = work.keeping.as_ref().map_or_else(Progress::default, |keeping| keeping.checkpoint.input);
        Self {
            work,
            options,
            summary,
            view,
            stop,
            flying: VecDeque::new(),
            flying_bytes: 0,
            pace: Pace::new(options.rate, now),
            read,
            saved_at: now,
            shown_bytes: 0,
        }
    }

    /// Publishes the plan from the first item that is not confirmed.
    pub(super) async fn run(&mut self, plan: Plan) -> Result<Ending, Error> {
        // Before the first row there may be a header.
        self.note(plan.progress());
        self.begin().await?;
        let mut feed = feed(plan, self.work.track.confirmed(), self.options.shape.row_max)?;
        let worked = self.work(&mut feed).await;
        drop(feed);
        let ended = match worked {
            Ok(ending) => Ok(ending),
            // The rows before a bad one are good: they are confirmed first.
            Err(Error::Plan(error)) => match self.drain(None).await {
                Ok(()) => Err(Error::Plan(error)),
                Err(worse) => Err(worse),
            },
            Err(error) => Err(error),
        };
        let done = matches!(ended, Ok(Ending::Done));
        let reached = self.work.track.settled(done);
        self.summary.bad_rows = self.read.bad;
        match (ended, self.save(reached, done).await) {
            (Ok(_), Err(error)) => Err(error),
            (Err(first), Err(second)) => {
                self.view.say(&second.to_string());
                Err(first)
            }
            (Ok(Ending::Done), Ok(())) if self.summary.unfinished_line.is_some() => Ok(Ending::Unfinished),
            (ended, Ok(())) => ended,
        }
    }

    /// Nothing may leave before a checkpoint says how far the first items may go.
    async fn begin(&mut self) -> Result<(), Error> {
        match self.work.keeping {
            Some(_) => self.save(self.work.track.reached(), false).await,
            None => {
                let reached = self.work.track.reached();
                self.work.track.saved(Reached { sent_below: u64::MAX, ..reached });
                Ok(())
            }
        }
    }

    async fn work(&mut self, feed: &mut mpsc::Receiver<Feed>) -> Result<Ending, Error> {
        let mut next: Option<Item> = None;
        let mut ended = false;
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            if ended && next.is_none() && self.flying.is_empty() {
                return Ok(Ending::Done);
            }
            let room = self.work.track.may_hand_over(self.options.window) && self.flying_bytes < WINDOW_BYTES_MAX;
            tokio::select! {
                biased;
                () = signalled(&mut self.stop, 1) => {
                    let mut again = self.stop.clone();
                    self.drain(Some(&mut again)).await?;
                    return Ok(Ending::Stopped);
                }
                _ = tick.tick() => self.ticked().await?,
                receipt = front(&mut self.flying) => self.confirmed(receipt).await?,
                () = self.pace.ready(), if room && next.is_some() => {
                    if let Some(item) = next.take() {
                        self.hand_over(item).await?;
                    }
                }
                read = feed.recv(), if !ended && next.is_none() => match read {
                    Some(Feed::Item(item)) => {
                        self.note(item.progress);
                        next = Some(item);
                    }
                    Some(Feed::End { progress, unfinished }) => {
                        self.note(progress);
                        self.summary.unfinished_line = unfinished;
                        ended = true;
                    }
                    Some(Feed::Failed(error)) => return Err(error.into()),
                    None => return Err(Error::Reader("the reading thread has ended unexpectedly".to_owned())),
                }
            }
            if self.work.track.wants_saving() {
                self.save(self.work.track.reached(), false).await?;
            }
        }
    }

    /// What an earlier run had read counts until this one has come as far.
    fn note(&mut self, progress: Progress) {
        if progress.rows >= self.read.rows {
            self.read = progress;
        }
    }

    async fn hand_over(&mut self, item: Item) -> Result<(), Error> {
        let (duplicate, line, bytes) = (item.is_duplicate(), item.line(), item.progress.bytes);
        let event = item.into_event();
        let size = event.payload.len();
        let state = if !self.work.found.is_empty() && self.work.found.remove(&message_id(&event)) {
            State::Found
        } else {
            let sent = tokio::select! {
                biased;
                sent = self.work.producer.send(event) => sent,
                // Given up before it was accepted: it has not left. The caller hears the signal, too.
                () = signalled(&mut self.stop, 1) => return Ok(()),
            };
            self.pace.left(Instant::now());
            State::Sent(sent.map_err(|error| self.failed(line, error))?)
        };
        self.work.track.handed_over();
        self.flying.push_back(Flying { state, duplicate, line, bytes, size });
        self.flying_bytes += size;
        Ok(())
    }

    fn failed(&self, line: u64, error: producer::Error) -> Error {
        match error {
            error @ (producer::Error::GaveUp { .. } | producer::Error::Unavailable { .. } | producer::Error::Read { .. }) => {
                Error::Broker(error)
            }
            error => Error::Event { file: self.options.file(), line, error },
        }
    }

    /// The first item in flight is settled.
    async fn confirmed(&mut self, receipt: Result<Option<Receipt>, producer::Error>) -> Result<(), Error> {
        let line = self.flying.front().map_or(0, |flying| flying.line);
        let receipt = receipt.map_err(|error| self.failed(line, error))?;
        if let Some(receipt) = &receipt {
            self.make_sure(line, receipt).await?;
        }
        let Some(flying) = self.flying.pop_front() else { return Ok(()) };
        self.flying_bytes = self.flying_bytes.saturating_sub(flying.size);
        match &receipt {
            Some(receipt) if !receipt.duplicate && flying.duplicate => self.summary.duplicates += 1,
            Some(receipt) if !receipt.duplicate => self.summary.events += 1,
            _ => self.summary.already_there += 1,
        }
        self.work.track.confirm(receipt.map(|receipt| receipt.stream_sequence));
        self.shown_bytes = flying.bytes;
        Ok(())
    }

    /// The broker remembers ids longer than a purge or a limit may leave their messages: what it calls a repetition of a message from before this run
    /// must be in the stream.
    async fn make_sure(&self, line: u64, receipt: &Receipt) -> Result<(), Error> {
        let Work { connection, beginning, .. } = &self.work;
        let sequence = receipt.stream_sequence;
        if !receipt.duplicate || sequence > beginning.last_sequence {
            return Ok(());
        }
        let is_there = if sequence < beginning.first_sequence {
            false
        } else if beginning.messages == beginning.last_sequence - beginning.first_sequence + 1 {
            true
        } else {
            producer::has_message(connection, &beginning.name, sequence, ANSWER).await.map_err(Error::Broker)?
        };
        if is_there {
            return Ok(());
        }
        let window = Duration::from_millis(beginning.duplicate_window_ms);
        Err(Error::Removed { file: self.options.file(), line, stream: beginning.name.clone(), sequence, window })
    }

    async fn ticked(&mut self) -> Result<(), Error> {
        self.summary.show(self.view, self.shown_bytes);
        if self.saved_at.elapsed() >= SAVE_EVERY && self.work.track.has_moved() {
            self.save(self.work.track.reached(), false).await?;
        }
        Ok(())
    }

    /// Waits for what is in flight; after a signal not for ever, and not past a second signal.
    async fn drain(&mut self, mut again: Option<&mut watch::Receiver<u32>>) -> Result<(), Error> {
        let deadline = Instant::now() + DRAIN;
        while !self.flying.is_empty() {
            let enough = async {
                match again.as_deref_mut() {
                    Some(signals) => {
                        tokio::select! {
                            () = signalled(signals, 2) => {}
                            () = tokio::time::sleep_until(deadline) => {}
                        }
                    }
                    // Waiting for the rows before a bad one ends at the first signal.
                    None => signalled(&mut self.stop, 1).await,
                }
            };
            tokio::select! {
                biased;
                receipt = front(&mut self.flying) => self.confirmed(receipt).await?,
                () = enough => return Ok(()),
            }
        }
        Ok(())
    }

    async fn save(&mut self, reached: Reached, done: bool) -> Result<(), Error> {
        let Some(keeping) = &mut self.work.keeping else { return Ok(()) };
        keeping.checkpoint.plan = reached;
        keeping.checkpoint.input = self.read;
        keeping.checkpoint.done = done;
        let (file, checkpoint) = (Arc::clone(&keeping.file), keeping.checkpoint.clone());
        tokio::task::spawn_blocking(move || file.save(&checkpoint)).await.map_err(|error| Error::Reader(error.to_string()))??;
        self.work.track.saved(reached);
        self.saved_at = Instant::now();
        Ok(())
    }
}

/// Returns when there were so many signals to stop. Cancel safe.
pub(super) async fn signalled(stop: &mut watch::Receiver<u32>, times: u32) {
    if stop.wait_for(|signals| *signals >= times).await.is_err() {
        // Nobody listens for signals any more.
        std::future::pending::<()>().await;
    }
}

/// What becomes of the first item in flight; `None` = an earlier run has published it. Waits for ever when there is none. Cancel safe.
async fn front(flying: &mut VecDeque<Flying>) -> Result<Option<Receipt>, producer::Error> {
    match flying.front_mut() {
        None => std::future::pending().await,
        Some(Flying { state: State::Found, .. }) => Ok(None),
        Some(Flying { state: State::Sent(pending), .. }) => pending.await.map(Some),
    }
}

/// Reads the plan on a thread of its own (an input may block) and leaves out what is confirmed. The thread ends when nobody listens.
fn feed(mut plan: Plan, confirmed: u64, row_max: usize) -> Result<mpsc::Receiver<Feed>, Error> {
    let (sender, receiver) = mpsc::channel((READ_AHEAD_BYTES / row_max.max(1)).clamp(1, READ_AHEAD));
    let read = move || {
        let mut index = 0;
        loop {
            let feed = match plan.next_item() {
                Ok(Some(_)) if index < confirmed => {
                    index += 1;
                    continue;
                }
                Ok(Some(item)) => Feed::Item(item),
                Ok(None) => Feed::End { progress: plan.progress(), unfinished: plan.unfinished() },
                Err(error) => Feed::Failed(error),
            };
            let last = !matches!(feed, Feed::Item(_));
            if sender.blocking_send(feed).is_err() || last {
                return;
            }
        }
    };
    spawn(read)?;
    Ok(receiver)
}

/// Does what may block on a thread of its own; the program can end before it has ended.
pub(super) async fn on_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    let (sender, receiver) = oneshot::channel();
    // Whoever does not wait any more needs no answer.
    spawn(move || drop(sender.send(work())))?;
    receiver.await.map_err(|_| Error::Reader("the reading thread has ended unexpectedly".to_owned()))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Error> {
    let spawned = std::thread::Builder::new().name("publish-read".to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| Error::Reader(error.to_string()))
}
