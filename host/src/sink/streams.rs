//! Which streams take our outputs, and what is known of them: name, creation, last sequence, duplicate window, and the
//! broker's clock. Read by the shards without waiting; kept up to date by confirmations and by `lookup.rs`.
//!
//! What is remembered is never ahead of the truth: a last sequence only counts what was confirmed or what the leader said.

use super::outbox::Broker;
use crate::nats::identity::StreamFacts;
use crate::store::Mark;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;

/// Output streams remembered at most.
const STREAMS_MAX: usize = 256;
/// Subjects waiting to be looked up at most.
const WANTED_MAX: usize = 256;

/// What is known of the streams that outputs go to. Clones are the same knowledge; at first nothing is known.
#[derive(Clone, Default)]
pub struct Streams {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    known: RwLock<Known>,
    wanted: Notify,
}

#[derive(Default)]
struct Known {
    streams: Vec<StreamFacts>,
    wanted: Vec<String>,
    clock: Option<Clock>,
    /// What a simulation says in the clock's place.
    #[cfg(any(test, feature = "simulation"))]
    given: Option<(u64, u64)>,
}

impl Streams {
    /// The mark for an output to `subject` that is committed now. Of an unknown stream it is empty (and the stream is looked
    /// up, so that the next one is known).
    pub fn mark_for(&self, subject: &str) -> Mark {
        let known = self.read();
        let sent_after = known.clock().map_or(0, |(earliest, _)| earliest);
        match known.stream_of(subject) {
            Some(stream) => {
                Mark { stream: stream.name.clone(), created: stream.created_nanos, last_sequence: stream.last_sequence, sent_after }
            }
            None => {
                drop(known);
                self.want(subject);
                Mark { sent_after, ..Mark::default() }
            }
        }
    }

    /// What is known of the stream that takes `subject`.
    pub fn known(&self, subject: &str) -> Option<StreamFacts> {
        self.read().stream_of(subject).cloned()
    }

    /// What an outbox needs to know before something goes to `subject`.
    pub fn broker(&self, subject: &str) -> Broker {
        let known = self.read();
        let (earliest, now) = known.clock().unzip();
        Broker { now, earliest, window: known.stream_of(subject).map_or(0, |stream| stream.duplicate_window_ms) }
    }

    /// The broker's clock, ms since the Unix epoch; never earlier than it is, as far as our clocks can tell. Unknown before
    /// the first answer of a stream's leader.
    pub fn broker_now_ms(&self) -> Option<u64> {
        self.read().clock().map(|(_, latest)| latest)
    }

    /// The broker's clock, ms since the Unix epoch; never later than it is, as far as our clocks can tell.
    pub fn broker_earliest_ms(&self) -> Option<u64> {
        self.read().clock().map(|(earliest, _)| earliest)
    }

    /// A confirmation: the stream has come this far.
    pub fn confirmed(&self, stream: &str, sequence: u64) {
        if let Some(known) = self.write().streams.iter_mut().find(|known| known.name == stream) {
            known.last_sequence = known.last_sequence.max(sequence);
        }
    }

    /// The stream's leader has told this.
    pub fn learn(&self, facts: StreamFacts) {
        self.write().learn(facts);
    }

    /// The stream does not exist any more.
    pub fn forget(&self, name: &str) {
        self.write().streams.retain(|stream| stream.name != name);
    }

    /// What is to be looked up: names of known streams, and subjects whose stream is not known, which are taken off the list.
    pub fn take_wanted(&self) -> (Vec<String>, Vec<String>) {
        let mut known = self.write();
        (known.streams.iter().map(|stream| stream.name.clone()).collect(), std::mem::take(&mut known.wanted))
    }

    /// Returns when a subject is wanted whose stream is not known.
    pub async fn wanted(&self) {
        self.inner.wanted.notified().await;
    }

    /// The broker's clock lies between these, milliseconds since the Unix epoch, until the next answer of a leader.
    #[cfg(any(test, feature = "simulation"))]
    pub fn set_clock(&self, earliest: u64, latest: u64) {
        self.write().given = Some((earliest, latest));
    }

    fn want(&self, subject: &str) {
        let mut known = self.write();
        if known.wanted.len() < WANTED_MAX && !known.wanted.iter().any(|wanted| wanted == subject) {
            known.wanted.push(subject.to_owned());
            self.inner.wanted.notify_one();
        }
    }

    fn read(&self) -> RwLockReadGuard<'_, Known> {
        self.inner.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Known> {
        self.inner.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// The broker's clock, at the earliest and at the latest.
    fn clock(&self) -> Option<(u64, u64)> {
        #[cfg(any(test, feature = "simulation"))]
        if self.given.is_some() {
            return self.given;
        }
        self.clock.as_ref().map(Clock::between)
    }

    fn stream_of(&self, subject: &str) -> Option<&StreamFacts> {
        self.streams.iter().find(|stream| stream.subjects.iter().any(|pattern| seriatim_contract::subject_matches(pattern, subject)))
    }

    fn learn(&mut self, facts: StreamFacts) {
        if facts.server_time_ms > 0 {
            self.clock = Some(Clock { broker_ms: facts.server_time_ms, monotonic: Instant::now(), wall: SystemTime::now() });
        }
        match self.streams.iter_mut().find(|stream| stream.name == facts.name) {
            // A confirmation may have come since the leader answered.
            Some(known) if known.created_nanos == facts.created_nanos => {
                let last_sequence = known.last_sequence.max(facts.last_sequence);
                *known = StreamFacts { last_sequence, ..facts };
            }
            Some(known) => *known = facts,
            None => {
                if self.streams.len() >= STREAMS_MAX {
                    self.streams.remove(0);
                }
                self.streams.push(facts);
            }
        }
    }
}

/// The broker's clock, carried on by ours. The monotonic clock may stand still while the machine sleeps, the wall clock may
/// be set: the truth lies between, and each user takes the end that is safe for it.
struct Clock {
    broker_ms: u64,
    monotonic: Instant,
    wall: SystemTime,
}

impl Clock {
    /// Not earlier than the first, not later than the second, as far as our clocks can tell.
    fn between(&self) -> (u64, u64) {
        let after = |elapsed: Duration| self.broker_ms.saturating_add(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        let (monotonic, wall) = (after(self.monotonic.elapsed()), after(self.wall.elapsed().unwrap_or_default()));
        (monotonic.min(wall), monotonic.max(wall))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::identity;

    fn facts(name: &str, subject: &str, created: i64, last: u64) -> StreamFacts {
        StreamFacts {
            name: name.into(),
            created_nanos: created,
            first_sequence: 1,
            last_sequence: last,
            messages: last,
            subjects: vec![subject.into()],
            retention: identity::Retention::Limits,
            max_msgs_per_subject: 0,
            discard: identity::Discard::Old,
            duplicate_window_ms: 120_000,
            max_message_size: 0,
            max_age_ms: 0,
            max_bytes: 0,
            replicas: 1,
            sealed: false,
            server_time_ms: 0,
        }
    }

    #[test]
    fn a_subject_finds_its_stream_and_what_is_learned_never_goes_back() {
        let mut known = Known::default();
        known.learn(facts("A", "a.>", 1, 10));
        known.learn(facts("B", "b.*", 1, 5));
        assert_eq!(known.stream_of("b.x").map(|stream| stream.name.as_str()), Some("B"));
        assert!(known.stream_of("b.x.y").is_none());
        known.learn(facts("A", "a.>", 1, 7));
        assert_eq!(known.stream_of("a.x").map(|stream| stream.last_sequence), Some(10));
        known.learn(facts("A", "a.>", 2, 0));
        assert_eq!(known.stream_of("a.x").map(|stream| (stream.created_nanos, stream.last_sequence)), Some((2, 0)));
    }

    #[test]
    fn knowledge_is_bounded() {
        let mut known = Known::default();
        for number in 0..(STREAMS_MAX * 2) {
            known.learn(facts(&format!("S{number}"), &format!("s{number}.>"), 1, 1));
        }
        assert_eq!(known.streams.len(), STREAMS_MAX);
    }

    #[test]
    fn the_broker_clock_goes_on_with_ours() {
        let clock = Clock {
            broker_ms: 1_000_000,
            monotonic: Instant::now() - Duration::from_secs(2),
            wall: SystemTime::now() - Duration::from_secs(60),
        };
        let (earliest, latest) = clock.between();
        assert!((1_002_000..1_003_000).contains(&earliest));
        assert!((1_060_000..1_061_000).contains(&latest));
    }
}
