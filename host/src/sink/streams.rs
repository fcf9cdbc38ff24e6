//! Which streams take our outputs, and what is known of them: name, creation, last sequence, duplicate window, and the
//! broker's clock. Read by the shards without waiting; kept up to date by confirmations and by [`Streams::run`].
//!
//! What is remembered is never ahead of the truth: a last sequence only counts what was confirmed or what the leader said.

use crate::nats::api::{self, ApiError};
use crate::nats::connect::Connection;
use crate::nats::identity::{self, StreamFacts};
use crate::store::Mark;
use serde::Deserialize;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Notify;

/// Output streams remembered at most.
const STREAMS_MAX: usize = 256;
/// Subjects waiting to be looked up at most.
const WANTED_MAX: usize = 256;
const REFRESH: Duration = Duration::from_secs(15);
const RETRY: Duration = Duration::from_secs(1);

/// What is known of the streams that outputs go to. Clones are the same knowledge.
#[derive(Clone)]
pub struct Streams {
    inner: Arc<Inner>,
}

struct Inner {
    connection: Connection,
    known: RwLock<Known>,
    wanted: Notify,
}

#[derive(Default)]
struct Known {
    streams: Vec<StreamFacts>,
    wanted: Vec<String>,
    clock: Option<Clock>,
}

impl Streams {
    /// Nothing is known yet.
    pub fn new(connection: Connection) -> Self {
        Self { inner: Arc::new(Inner { connection, known: RwLock::default(), wanted: Notify::new() }) }
    }

    /// The mark for an output to `subject` that is committed now. Of an unknown stream it is empty (and the stream is looked
    /// up, so that the next one is known).
    pub fn mark_for(&self, subject: &str) -> Mark {
        let known = self.read();
        let sent_after = known.clock.as_ref().map_or(0, Clock::earliest);
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

    /// The duplicate window of the stream that takes `subject`, ms.
    pub fn duplicate_window_ms(&self, subject: &str) -> Option<u64> {
        self.read().stream_of(subject).map(|stream| stream.duplicate_window_ms)
    }

    /// The broker's clock, ms since the Unix epoch; never earlier than it is, as far as our clocks can tell. Unknown before
    /// the first answer of a stream's leader.
    pub fn broker_now_ms(&self) -> Option<u64> {
        self.read().clock.as_ref().map(Clock::latest)
    }

    /// The broker's clock, ms since the Unix epoch; never later than it is, as far as our clocks can tell.
    pub fn broker_earliest_ms(&self) -> Option<u64> {
        self.read().clock.as_ref().map(Clock::earliest)
    }

    /// A confirmation: the stream has come this far.
    pub fn confirmed(&self, stream: &str, sequence: u64) {
        if let Some(known) = self.write().streams.iter_mut().find(|known| known.name == stream) {
            known.last_sequence = known.last_sequence.max(sequence);
        }
    }

    /// The facts of the stream that takes `subject` (no pattern): remembered ones, else asked for. `None` = no stream takes it.
    pub async fn resolve(&self, subject: &str) -> Result<Option<StreamFacts>, ApiError> {
        if let Some(known) = self.known(subject) {
            return Ok(Some(known));
        }
        match stream_name(&self.inner.connection, subject).await? {
            Some(name) => self.ask(&name).await.map(Some),
            None => Ok(None),
        }
    }

    /// The facts of a stream as its leader tells them now.
    pub async fn ask(&self, name: &str) -> Result<StreamFacts, ApiError> {
        match identity::facts(&self.inner.connection.client(), name).await {
            Ok(facts) => {
                self.write().learn(facts.clone());
                Ok(facts)
            }
            Err(error) => {
                if error.is_stream_not_found() {
                    self.write().streams.retain(|stream| stream.name != name);
                }
                Err(error)
            }
        }
    }

    /// Asks again for everything that is known, and for what is wanted. Returns whether all of it was answered.
    pub async fn refresh(&self) -> bool {
        let (names, wanted) = {
            let mut known = self.write();
            (known.streams.iter().map(|stream| stream.name.clone()).collect::<Vec<_>>(), std::mem::take(&mut known.wanted))
        };
        let mut answered = true;
        for name in names {
            answered &= self.ask(&name).await.is_ok_and(|_| true);
        }
        for subject in wanted {
            answered &= self.resolve(&subject).await.is_ok_and(|_| true);
        }
        answered
    }

    /// Keeps the knowledge fresh: at intervals, after a reconnect, and when a subject is unknown. Runs until dropped.
    pub async fn run(self) {
        let mut connected = self.inner.connection.watch();
        loop {
            let pause = if self.refresh().await { REFRESH } else { RETRY };
            let woken = async {
                tokio::select! {
                    () = self.inner.wanted.notified() => {}
                    _ = connected.changed() => {}
                }
            };
            if tokio::time::timeout(pause, woken).await.is_ok() {
                // Many unknown subjects come at once: one look-up for all of them.
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
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

/// The stream that takes `subject`, if any; of a pattern, the first of those that take subjects of it.
pub async fn stream_name(connection: &Connection, subject: &str) -> Result<Option<String>, ApiError> {
    Ok(stream_names(connection, subject).await?.into_iter().next())
}

/// The streams that take subjects of this pattern. A subject without wildcards has one at most.
pub async fn stream_names(connection: &Connection, pattern: &str) -> Result<Vec<String>, ApiError> {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        streams: Option<Vec<String>>,
    }
    let names: Names = api::call(&connection.client(), "STREAM.NAMES", &serde_json::json!({ "subject": pattern })).await?;
    Ok(names.streams.unwrap_or_default())
}

/// The broker's clock, carried on by ours. The monotonic clock may stand still while the machine sleeps, the wall clock may
/// be set: the truth lies between, and each user takes the end that is safe for it.
struct Clock {
    broker_ms: u64,
    monotonic: Instant,
    wall: SystemTime,
}

impl Clock {
    fn earliest(&self) -> u64 {
        self.both().min().unwrap_or(0)
    }

    fn latest(&self) -> u64 {
        self.both().max().unwrap_or(0)
    }

    fn both(&self) -> impl Iterator<Item = u64> {
        let after = |elapsed: Duration| self.broker_ms.saturating_add(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
        [after(self.monotonic.elapsed()), after(self.wall.elapsed().unwrap_or_default())].into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!((1_002_000..1_003_000).contains(&clock.earliest()));
        assert!((1_060_000..1_061_000).contains(&clock.latest()));
    }
}
