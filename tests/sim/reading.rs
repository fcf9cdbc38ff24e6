//! The live reader's shell, as `source/reader.rs` has it: batches in a short channel, and the host's `Follower` deciding what is covered, what was
//! lost, and what stream time is.

use crate::broker::SOURCE;
use crate::gapless::{Gapless, Item, Polled};
use crate::link::Around;
use crate::note;
use crate::trace::Trace;
use seriatim::nats::identity::IdentityError;
use seriatim::source::follow::Follower;
use seriatim::source::reader::ReadBatch;
use std::collections::VecDeque;
use std::time::Duration;

/// Batches that wait between reader and router.
const BATCHES_MAX: usize = 2;

/// See the module.
pub(crate) struct LiveReader {
    pub(crate) gapless: Gapless,
    follower: Follower,
    started: u64,
    batch_max: usize,
    carried: Option<Item>,
    /// Waits for room in the channel.
    blocked: Option<ReadBatch>,
    pub(crate) out: VecDeque<ReadBatch>,
    /// Why it ended, if it did.
    pub(crate) ended: Option<IdentityError>,
}

impl LiveReader {
    pub(crate) fn new(gapless: Gapless, follower: Follower, started: u64, batch_max: usize) -> Self {
        Self { gapless, follower, started, batch_max, carried: None, blocked: None, out: VecDeque::new(), ended: None }
    }

    /// Whether it has something to do now.
    pub(crate) fn ready(&self, link: u64, now: u64) -> bool {
        match (&self.ended, &self.blocked) {
            (Some(_), _) => false,
            (None, Some(_)) => self.out.len() < BATCHES_MAX,
            (None, None) => self.carried.is_some() || self.gapless.ready(link, now),
        }
    }

    /// It waits for what the broker says, not for room.
    pub(crate) fn listens(&self) -> bool {
        self.ended.is_none() && self.blocked.is_none() && self.carried.is_none()
    }

    /// Nothing of what was read is on its way to the router.
    pub(crate) fn drained(&self) -> bool {
        self.carried.is_none() && self.blocked.is_none() && self.out.is_empty()
    }

    pub(crate) fn step(&mut self, around: &mut Around<'_>, trace: &mut Trace) {
        if self.out.len() < BATCHES_MAX
            && let Some(batch) = self.blocked.take()
        {
            self.out.push_back(batch);
            return;
        }
        if self.blocked.is_some() {
            return;
        }
        let item = match self.carried.take() {
            Some(item) => item,
            None => match self.gapless.poll(around) {
                Polled::Item(item) => item,
                Polled::Waits => return,
                Polled::Wrong(error) => {
                    note!(trace, "reader: stops: {error}");
                    around.stats.add("reader: stopped by another stream");
                    self.ended = Some(error);
                    return;
                }
            },
        };
        let now = Duration::from_millis(around.now - self.started);
        let batch = match item {
            Item::Opened { first_sequence } => {
                note!(trace, "reader: reads from {} (the stream begins at {first_sequence})", self.gapless.at());
                self.follower.opened(now, first_sequence, self.gapless.pending())
            }
            Item::Message { message, pending } => self.gather(message, pending, now, around, trace),
            Item::Idle { examined, pending } => Some(self.idle(examined, pending, now, around)),
            Item::Broken(reason) => {
                note!(trace, "reader: broken ({reason})");
                None
            }
        };
        if let Some(batch) = batch {
            let count = batch.messages.len();
            let ends = batch.messages.first().zip(batch.messages.last());
            let (first, last) = ends.map_or((0, 0), |(first, last)| (first.stream_sequence, last.stream_sequence));
            note!(trace, "reader: {count} messages {first}..{last} lost {:?} stream time {}", batch.lost, batch.stream_time);
            around.stats.more("messages lost before they were read", batch.lost.iter().map(|lost| lost.last - lost.first + 1).sum());
            if self.out.len() < BATCHES_MAX {
                self.out.push_back(batch);
            } else {
                self.blocked = Some(batch);
            }
        }
    }

    fn gather(
        &mut self,
        first: seriatim::event::Message,
        pending: u64,
        now: Duration,
        around: &mut Around<'_>,
        trace: &mut Trace,
    ) -> Option<ReadBatch> {
        let size = around.dice.size(1, self.batch_max);
        let mut gathering = self.follower.gather();
        let mut next = Some((first, pending));
        while let Some((message, pending)) = next.take() {
            self.follower.message(&mut gathering, message, pending);
            if gathering.len() < size {
                match self.gapless.try_next(around) {
                    Some(Item::Message { message, pending }) => next = Some((message, pending)),
                    other => self.carried = other,
                }
            }
        }
        let mut first_sequence = None;
        if gathering.must_ask() {
            match around.facts(SOURCE) {
                Ok(facts) => first_sequence = Some(facts.first_sequence),
                Err(_) => {
                    self.carried = None;
                    let from = self.follower.abandon(gathering);
                    self.gapless.rewind(from, around);
                    note!(trace, "reader: cannot judge a jump, reads again from {from}");
                    return None;
                }
            }
        }
        Some(self.follower.finish(gathering, first_sequence, now))
    }

    fn idle(&mut self, examined: u64, pending: u64, now: Duration, around: &mut Around<'_>) -> ReadBatch {
        let mut pending = pending;
        if pending > 0
            && let Ok(fresh) = self.gapless.ask_pending(around)
        {
            pending = fresh;
        }
        let mut first_sequence = None;
        if self.follower.must_ask(examined, pending) {
            first_sequence = around.facts(SOURCE).ok().map(|facts| facts.first_sequence);
        }
        self.follower.idle(now, examined, pending, first_sequence, self.gapless.known().highest_time)
    }
}
