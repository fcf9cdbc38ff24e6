//! What the live reader decides: what is covered, what was lost on the way, and what stream time is. Pure: deliveries and host time go in, batches come out.
//!
//! Invariants: what is covered never falls but by [`Follower::abandon`]; stream time never falls and never runs ahead of what was handed on.

use super::reader::{LostRange, ReadBatch};
use crate::event::Message;
use seriatim_sequencer::mutant;
use std::sync::Arc;
use std::time::Duration;

/// See the module. Host time is a duration since any fixed moment.
#[derive(Debug)]
pub struct Follower {
    clock: StreamClock,
    /// Everything that matches up to here was handed on or named as lost.
    covered: u64,
}

/// A batch that is being put together.
#[derive(Debug)]
pub struct Gathering {
    batch: ReadBatch,
    bytes: u64,
    /// Stream sequences (from, to) with nothing between them.
    jumps: Vec<(u64, u64)>,
    covered_before: u64,
    time_before: u64,
}

impl Gathering {
    /// Messages so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.messages.len()
    }

    /// Whether it holds no message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.messages.is_empty()
    }

    /// Bytes of payload and subject so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the stream's first sequence must be asked for before it is finished.
    #[must_use]
    pub fn must_ask(&self) -> bool {
        !self.jumps.is_empty()
    }
}

impl Follower {
    /// Reads on from `start_at`, with the stream time (ms) stored with the watermark.
    #[must_use]
    pub fn new(start_at: u64, stream_time: u64, heartbeat: Duration) -> Self {
        Self { clock: StreamClock::new(stream_time, heartbeat), covered: start_at.max(1) - 1 }
    }

    /// A new generation of the reader began; the stream's first message is this one now. Names what is gone before it was read.
    pub fn opened(&mut self, now: Duration, first_sequence: u64, pending: u64) -> Option<ReadBatch> {
        self.clock.seen(now);
        let lost = LostRange { first: self.covered.saturating_add(1), last: first_sequence.saturating_sub(1) };
        if lost.last < lost.first {
            return None;
        }
        self.covered = lost.last;
        Some(ReadBatch { stream_time: self.clock.now(), lost: vec![lost], pending, ..ReadBatch::default() })
    }

    /// Begins a batch.
    #[must_use]
    pub fn gather(&self) -> Gathering {
        Gathering { batch: ReadBatch::default(), bytes: 0, jumps: Vec::new(), covered_before: self.covered, time_before: self.clock.micros }
    }

    /// Takes a message into the batch; `pending` messages are known to follow it.
    pub fn message(&mut self, gathering: &mut Gathering, message: Message, pending: u64) {
        if message.stream_sequence > self.covered.saturating_add(1) {
            gathering.jumps.push((self.covered, message.stream_sequence));
        }
        self.covered = message.stream_sequence;
        self.clock.message(message.time);
        gathering.bytes += (message.payload.len() + message.subject.len()) as u64;
        gathering.batch.pending = pending;
        gathering.batch.messages.push(Arc::new(message));
    }

    /// Ends the batch. `first_sequence`: the stream's, asked for after the last message was read, where [`Gathering::must_ask`] says so. Jumps of the
    /// stream sequence are other subjects' messages, or deleted ones; those above which the stream now begins were lost.
    #[must_use]
    pub fn finish(&mut self, gathering: Gathering, first_sequence: Option<u64>, now: Duration) -> ReadBatch {
        self.clock.seen(now);
        let lost = first_sequence.map_or_else(Vec::new, |first| lost_in(&gathering.jumps, first));
        ReadBatch { stream_time: self.clock.now(), at_head: gathering.batch.pending == 0, lost, ..gathering.batch }
    }

    /// Gives the batch up, because the leader did not answer: handed on without its word, a loss would never be named. Returns from where to read again.
    #[must_use]
    pub fn abandon(&mut self, gathering: Gathering) -> u64 {
        // Time must not run ahead of what was handed on.
        (self.covered, self.clock.micros) = (gathering.covered_before, gathering.time_before);
        gathering.batch.messages.first().map_or(self.covered.saturating_add(1), |message| message.stream_sequence)
    }

    /// Whether the stream's first sequence must be asked for at a heartbeat: the server counts deleted messages as examined, so what retention took before
    /// it was delivered is named then.
    #[must_use]
    pub fn must_ask(&self, examined: u64, pending: u64) -> bool {
        pending == 0 && examined > self.covered
    }

    /// A heartbeat. `first_sequence`: where [`Follower::must_ask`] says so and the leader answered. `highest_time`: of the highest message ever read (ms).
    /// Where nothing is left to read that time has passed, also when what was to be read again after a start is gone.
    #[must_use]
    pub fn idle(&mut self, now: Duration, examined: u64, pending: u64, first_sequence: Option<u64>, highest_time: u64) -> ReadBatch {
        self.clock.idle(now, pending == 0);
        if pending == 0 {
            self.clock.message(highest_time);
        }
        let mut lost = Vec::new();
        if let Some(first) = first_sequence
            && self.must_ask(examined, pending)
        {
            lost = lost_in(&[(self.covered, examined.saturating_add(1))], first);
            self.covered = examined;
        }
        ReadBatch { stream_time: self.clock.now(), at_head: pending == 0, pending, lost, ..ReadBatch::default() }
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
#[derive(Debug)]
struct StreamClock {
    micros: u64,
    heartbeat: Duration,
    seen: Duration,
}

impl StreamClock {
    fn new(millis: u64, heartbeat: Duration) -> Self {
        Self { micros: millis.saturating_mul(1000), heartbeat, seen: Duration::ZERO }
    }

    fn now(&self) -> u64 {
        self.micros / 1000
    }

    fn message(&mut self, millis: u64) {
        self.micros = self.micros.max(millis.saturating_mul(1000));
    }

    /// A sign of the stream, or a new generation: the time without a reader does not count.
    fn seen(&mut self, now: Duration) {
        self.seen = now;
    }

    /// A heartbeat. More than two intervals since the last sign mean that *we* stood still: what came meanwhile is not read yet.
    fn idle(&mut self, now: Duration, at_head: bool) {
        let elapsed = now.saturating_sub(self.seen);
        self.seen = now;
        let gap = mutant!(HeartbeatGapCountedAsIdle);
        if at_head && (elapsed <= self.heartbeat * 2 || gap) {
            let step = if gap { elapsed } else { elapsed.min(self.heartbeat) };
            self.micros = self.micros.saturating_add(u64::try_from(step.as_micros()).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn stream_time_counts_heartbeats_at_the_head_only() {
        let beat = Duration::from_millis(100);
        let mut clock = StreamClock::new(5_000, beat);
        clock.message(4_000);
        assert_eq!(clock.now(), 5_000, "never goes back");
        clock.message(6_000);
        clock.seen(at(0));
        clock.idle(at(80), true);
        assert_eq!(clock.now(), 6_080);
        clock.idle(at(230), true);
        assert_eq!(clock.now(), 6_180, "at most one interval each");
        clock.idle(at(330), false);
        assert_eq!(clock.now(), 6_180, "not while messages are pending");
        clock.idle(at(60_000), true);
        assert_eq!(clock.now(), 6_180, "we stood still: what came meanwhile is not read yet");
        clock.idle(at(60_001), true);
        assert_eq!(clock.now(), 6_181, "heartbeats that queued up meanwhile count nothing either");
        clock.seen(at(90_000));
        clock.idle(at(90_100), true);
        assert_eq!(clock.now(), 6_281, "time without a reader does not count");
    }

    #[test]
    fn at_the_head_stream_time_is_at_least_that_of_the_highest_message() {
        let mut follower = Follower::new(5, 0, at(100));
        assert_eq!(follower.idle(at(50), 4, 3, None, 9_000).stream_time, 0, "messages are pending");
        assert_eq!(follower.idle(at(100), 4, 0, None, 9_000).stream_time, 9_000);
    }

    #[test]
    fn a_jump_is_a_loss_only_where_the_stream_has_begun_above_it() {
        let lost = |jumps: &[(u64, u64)], first| lost_in(jumps, first).iter().map(|lost| (lost.first, lost.last)).collect::<Vec<_>>();
        assert_eq!(lost(&[(5, 9)], 6), []);
        assert_eq!(lost(&[(5, 9)], 1), []);
        assert_eq!(lost(&[(5, 9)], 7), [(6, 6)]);
        assert_eq!(lost(&[(5, 9)], 50), [(6, 8)]);
        assert_eq!(lost(&[(5, 9), (20, 30)], 25), [(6, 8), (21, 24)]);
    }
}
