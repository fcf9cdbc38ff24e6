//! A connection of the host, and what the host may ask through it: requests that only a stream's leader answers, some of which fail.

use crate::broker::{Away, Broker};
use crate::dice::Dice;
use crate::faults::{Fault, Faults};
use crate::stats::Stats;
use crate::stream::Stream;
use seriatim::event::{Header, Message};
use seriatim::nats::identity::{Discard, Retention, StreamFacts};

/// One connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    pub(crate) connected: bool,
    /// Counts the times it was made.
    pub(crate) generation: u64,
}

/// What a step of the host can reach.
pub(crate) struct Around<'a> {
    pub(crate) broker: &'a Broker,
    pub(crate) link: Link,
    /// The host's monotonic clock, milliseconds.
    pub(crate) now: u64,
    pub(crate) dice: &'a mut Dice,
    pub(crate) faults: &'a Faults,
    pub(crate) stats: &'a mut Stats,
}

impl Around<'_> {
    /// A request to the leader of a stream.
    pub(crate) fn ask(&mut self, stream: usize) -> Result<&Stream, Away> {
        if self.faults.strikes(Fault::Request, self.dice) {
            self.stats.fault(Fault::Request);
            return Err(Away);
        }
        if self.link.connected { self.broker.ask(stream) } else { Err(Away) }
    }

    /// The facts of a stream, as its leader tells them.
    pub(crate) fn facts(&mut self, stream: usize) -> Result<StreamFacts, Away> {
        let now = self.broker.now;
        self.ask(stream).map(|stream| facts(stream, now))
    }
}

/// What stream info says.
pub(crate) fn facts(stream: &Stream, now: u64) -> StreamFacts {
    StreamFacts {
        name: stream.config().name.to_owned(),
        created_nanos: stream.created(),
        first_sequence: stream.first(),
        last_sequence: stream.last(),
        messages: stream.len() as u64,
        subjects: stream.config().subjects.clone(),
        retention: Retention::Limits,
        max_msgs_per_subject: 0,
        discard: Discard::New,
        duplicate_window_ms: stream.config().window,
        max_message_size: 0,
        max_age_ms: 0,
        max_bytes: 0,
        replicas: 1,
        sealed: stream.sealed,
        server_time_ms: now,
    }
}

/// A message as the host's client hands it on.
pub(crate) fn message(stored: &crate::stream::Stored) -> Message {
    let headers = stored.headers.iter().map(|(name, value)| Header { name: name.clone(), value: value.clone() });
    Message {
        subject: stored.subject.clone(),
        headers: headers.collect(),
        payload: stored.payload.clone().into(),
        stream_sequence: stored.sequence,
        time: stored.time,
    }
}
