//! One run at work: takes items from the reading thread, hands them to the producer, takes confirmations in the plan's order, and saves the
//! checkpoint. What is confirmed and what a checkpoint may say is decided by [`Track`].

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::error::Error;
use super::options::Options;
use super::pace::Pace;
use super::plan::{Item, Plan, PlanError};
use super::rows::Progress;
use super::summary::{Ending, Summary, View};
use super::track::Track;
use crate::producer::{self, Pending, Producer, Receipt, message_id};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Items read ahead of the producer; each holds a row.
const READ_AHEAD: usize = 256;
/// A checkpoint is saved this often, or earlier when much is confirmed.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether something is to be shown or saved.
const TICK: Duration = Duration::from_millis(200);
/// After a signal, how long what is in flight is waited for.
const DRAIN: Duration = Duration::from_secs(10);

/// What the reading thread brings.
enum Feed {
    Item(Item),
    End(Progress),
    Failed(PlanError),
}

/// The front of the plan that is not confirmed yet.
struct Flying {
    state: State,
    duplicate: bool,
    line: u64,
    bytes: u64,
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

/// See the module.
pub(super) struct Session<'a> {
    pub(super) producer: Producer,
    pub(super) options: &'a Options,
    pub(super) track: Track,
    pub(super) keeping: Option<Keeping>,
    /// Ids of items that an earlier run has published.
    pub(super) found: HashSet<String>,
    pub(super) summary: Summary,
    pub(super) view: &'a mut View,
    /// Raised by each signal to stop.
    pub(super) stop: watch::Receiver<u32>,
    flying: VecDeque<Flying>,
    pace: Pace,
    read: Progress,
    saved_at: Instant,
    shown_bytes: u64,
}

/// What [`Session::new`] needs, by name.
pub(super) struct Parts<'a> {
    pub(super) producer: Producer,
    pub(super) options: &'a Options,
    pub(super) track: Track,
    pub(super) keeping: Option<Keeping>,
    pub(super) found: HashSet<String>,
    pub(super) view: &'a mut View,
    pub(super) stop: watch::Receiver<u32>,
}

impl<'a> Session<'a> {
    pub(super) fn new(parts: Parts<'a>) -> Self {
        let Parts { producer, options, track, keeping, found, view, stop } = parts;
        let now = Instant::now();
        let summary = Summary { already_there: track.confirmed(), ..Summary::new() };
        let read = keeping.as_ref().map_or_else(Progress::default, |keeping| keeping.checkpoint.input);
        Self {
            producer,
            options,
            track,
            keeping,
            found,
            summary,
            view,
            stop,
            flying: VecDeque::new(),
            pace: Pace::new(options.rate, now),
            read,
            saved_at: now,
            shown_bytes: 0,
        }
    }

    /// Publishes the plan from the first item that is not confirmed.
    pub(super) async fn run(&mut self, plan: Plan) -> Result<Ending, Error> {
        self.begin().await?;
        let mut feed = feed(plan, self.track.confirmed())?;
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
        let reached = self.track.settled(done);
        self.summary.bad_rows = self.read.bad;
        self.save(reached, done).await?;
        ended
    }

    /// Nothing may leave before a checkpoint says how far the first items may go.
    async fn begin(&mut self) -> Result<(), Error> {
        match self.keeping {
            Some(_) => self.save(self.track.reached(), false).await,
            None => {
                let reached = self.track.reached();
                self.track.saved(super::track::Reached { sent_below: u64::MAX, ..reached });
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
            let room = self.track.may_hand_over(self.options.window);
            tokio::select! {
                biased;
                () = signalled(&mut self.stop, 1) => {
                    let mut again = self.stop.clone();
                    self.drain(Some(&mut again)).await?;
                    return Ok(Ending::Stopped);
                }
                _ = tick.tick() => self.ticked().await?,
                receipt = front(&mut self.flying) => self.confirmed(receipt)?,
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
                    Some(Feed::End(progress)) => {
                        self.note(progress);
                        ended = true;
                    }
                    Some(Feed::Failed(error)) => return Err(error.into()),
                    None => return Err(Error::Reader("the reading thread has ended unexpectedly".to_owned())),
                }
            }
            if self.track.wants_saving() {
                self.save(self.track.reached(), false).await?;
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
        let state = if !self.found.is_empty() && self.found.remove(&message_id(&event)) {
            State::Found
        } else {
            let sent = tokio::select! {
                biased;
                sent = self.producer.send(event) => sent,
                // Given up before it was accepted: it has not left. The caller hears the signal, too.
                () = signalled(&mut self.stop, 1) => return Ok(()),
            };
            self.pace.left(Instant::now());
            State::Sent(sent.map_err(|error| self.failed(line, error))?)
        };
        self.track.handed_over();
        self.flying.push_back(Flying { state, duplicate, line, bytes });
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
    fn confirmed(&mut self, receipt: Result<Option<Receipt>, producer::Error>) -> Result<(), Error> {
        let line = self.flying.front().map_or(0, |flying| flying.line);
        let receipt = receipt.map_err(|error| self.failed(line, error))?;
        let Some(flying) = self.flying.pop_front() else { return Ok(()) };
        match &receipt {
            Some(receipt) if !receipt.duplicate && flying.duplicate => self.summary.duplicates += 1,
            Some(receipt) if !receipt.duplicate => self.summary.events += 1,
            _ => self.summary.already_there += 1,
        }
        self.track.confirm(receipt.map(|receipt| receipt.stream_sequence));
        self.shown_bytes = flying.bytes;
        Ok(())
    }

    async fn ticked(&mut self) -> Result<(), Error> {
        self.view.show(&self.summary, self.shown_bytes);
        if self.saved_at.elapsed() >= SAVE_EVERY && self.track.has_moved() {
            self.save(self.track.reached(), false).await?;
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
                receipt = front(&mut self.flying) => self.confirmed(receipt)?,
                () = enough => return Ok(()),
            }
        }
        Ok(())
    }

    async fn save(&mut self, reached: super::track::Reached, done: bool) -> Result<(), Error> {
        let Some(keeping) = &mut self.keeping else { return Ok(()) };
        keeping.checkpoint.plan = reached;
        keeping.checkpoint.input = self.read;
        keeping.checkpoint.done = done;
        let (file, checkpoint) = (Arc::clone(&keeping.file), keeping.checkpoint.clone());
        tokio::task::spawn_blocking(move || file.save(&checkpoint)).await.map_err(|error| Error::Reader(error.to_string()))??;
        self.track.saved(reached);
        self.saved_at = Instant::now();
        Ok(())
    }
}

/// Returns when there were so many signals to stop. Cancel safe.
async fn signalled(stop: &mut watch::Receiver<u32>, times: u32) {
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
fn feed(mut plan: Plan, confirmed: u64) -> Result<mpsc::Receiver<Feed>, Error> {
    let (sender, receiver) = mpsc::channel(READ_AHEAD);
    let read = move || {
        let mut index = 0;
        loop {
            let feed = match plan.next_item() {
                Ok(Some(_)) if index < confirmed => {
                    index += 1;
                    continue;
                }
                Ok(Some(item)) => Feed::Item(item),
                Ok(None) => Feed::End(plan.progress()),
                Err(error) => Feed::Failed(error),
            };
            let last = !matches!(feed, Feed::Item(_));
            if sender.blocking_send(feed).is_err() || last {
                return;
            }
        }
    };
    std::thread::Builder::new().name("publish-read".to_owned()).spawn(read).map_err(|error| Error::Reader(error.to_string()))?;
    Ok(receiver)
}
