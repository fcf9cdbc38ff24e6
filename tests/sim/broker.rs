//! The model of the broker: its clock, its streams, whether it answers, and its consumers without acks, whose deliveries may be lost, come twice
//! or end. What a fault does stands here; when one strikes is the world's business.

use crate::stream::{Said, Stored, Stream};
use std::collections::VecDeque;
use std::sync::Arc;

/// Deliveries on their way to a client, at most: what it asked for.
const PREFETCH: usize = 64;

/// The source stream's place among the broker's streams, that of the outputs, and that of the dead letters.
pub(crate) const SOURCE: usize = 0;
pub(crate) const OUTPUTS: usize = 1;
pub(crate) const DEAD: usize = 2;

/// The broker does not answer now: no connection, no leader, or a time-out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Away;

/// See the module.
#[derive(Debug)]
pub(crate) struct Broker {
    /// Its clock, milliseconds since the Unix epoch.
    pub(crate) now: u64,
    streams: [Stream; 3],
    /// The server runs and can be reached.
    pub(crate) up: bool,
    /// Requests to stream leaders are answered.
    pub(crate) leader: bool,
    /// Counts the server's starts: consumers live in its memory.
    epoch: u64,
}

impl Broker {
    pub(crate) fn new(now: u64, streams: [Stream; 3]) -> Self {
        Self { now, streams, up: true, leader: true, epoch: 0 }
    }

    /// As it is, whether anybody can reach it or not.
    pub(crate) fn stream(&self, at: usize) -> &Stream {
        &self.streams[at]
    }

    pub(crate) fn stream_mut(&mut self, at: usize) -> &mut Stream {
        &mut self.streams[at]
    }

    /// Which stream takes a subject.
    pub(crate) fn taker(&self, subject: &str) -> Option<usize> {
        self.streams.iter().position(|stream| stream.takes(subject))
    }

    /// A request that only a stream's leader can answer.
    pub(crate) fn ask(&self, at: usize) -> Result<&Stream, Away> {
        if self.up && self.leader { Ok(&self.streams[at]) } else { Err(Away) }
    }

    /// A message for a stream reaches the broker. Without a leader it is not stored.
    pub(crate) fn publish(&mut self, at: usize, subject: &str, headers: Vec<(String, String)>, payload: Vec<u8>) -> Result<Said, Away> {
        if !self.up || !self.leader {
            return Err(Away);
        }
        Ok(self.streams[at].publish(self.now, subject, headers, payload))
    }

    /// The server starts again: consumers are gone, message ids are read from the messages.
    pub(crate) fn restart(&mut self) {
        self.epoch += 1;
        self.up = true;
        self.leader = true;
        for stream in &mut self.streams {
            stream.restarted(self.now);
        }
    }

    /// Makes a consumer that begins at `from`.
    pub(crate) fn consume(&self, at: usize, filters: &[String], from: u64) -> Result<Consumer, Away> {
        let stream = self.ask(at)?;
        let from = from.max(1);
        Ok(Consumer {
            stream: at,
            created: stream.created(),
            filters: filters.to_vec(),
            // A start behind the stream's end begins at its end.
            next: from.min(stream.last() + 1),
            delivered: 0,
            last: 0,
            epoch: self.epoch,
            deleted: false,
            sent_at: self.now,
            pending: stream.pending(from, filters),
            wire: VecDeque::new(),
        })
    }
}

/// What a client gets from a consumer.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    /// A message.
    Message {
        message: Arc<Stored>,
        /// Its number among this consumer's deliveries, from 1.
        number: u64,
        /// How often this message was delivered.
        times: u64,
        /// Messages after it that match.
        pending: u64,
    },
    /// Nothing came for one heartbeat interval.
    Heartbeat {
        /// Number of the last delivery.
        number: u64,
        /// Everything up to here that matches was delivered.
        examined: u64,
    },
    /// The consumer is gone.
    Ended,
}

/// How a delivery goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mishap {
    None,
    /// It does not arrive.
    Lost,
    /// It arrives twice.
    Twice,
    /// It arrives, counted as a second delivery of the same message.
    Redelivered,
}

/// A pull consumer without acks, with the client's side of the wire: what was delivered and not taken yet.
#[derive(Debug)]
pub(crate) struct Consumer {
    stream: usize,
    created: i64,
    filters: Vec<String>,
    next: u64,
    delivered: u64,
    last: u64,
    epoch: u64,
    pub(crate) deleted: bool,
    sent_at: u64,
    /// Matching messages when it was made.
    pub(crate) pending: u64,
    wire: VecDeque<Delivery>,
}

impl Consumer {
    pub(crate) fn alive(&self, broker: &Broker) -> bool {
        !self.deleted && self.epoch == broker.epoch && self.created == broker.stream(self.stream).created()
    }

    /// Whether the server would deliver a message now.
    pub(crate) fn can_deliver(&self, broker: &Broker) -> bool {
        broker.up
            && self.wire.len() < PREFETCH
            && (!self.alive(broker) || broker.stream(self.stream).next(self.next, &self.filters).is_some())
            && !matches!(self.wire.back(), Some(Delivery::Ended))
    }

    /// The server delivers its next message.
    pub(crate) fn deliver(&mut self, broker: &Broker, mishap: Mishap) {
        if !self.can_deliver(broker) {
            return;
        }
        if !self.alive(broker) {
            self.wire.push_back(Delivery::Ended);
            return;
        }
        let stream = broker.stream(self.stream);
        let Some(message) = stream.next(self.next, &self.filters) else { return };
        (self.next, self.last) = (message.sequence + 1, message.sequence);
        self.delivered += 1;
        self.sent_at = broker.now;
        let times = if mishap == Mishap::Redelivered { 2 } else { 1 };
        let pending = stream.pending(self.next, &self.filters);
        let delivery = Delivery::Message { message: message.clone(), number: self.delivered, times, pending };
        if mishap == Mishap::Twice {
            self.wire.push_back(delivery.clone());
        }
        if mishap != Mishap::Lost {
            self.wire.push_back(delivery);
        }
    }

    /// The broker's time at which an idle consumer shows that it is alive.
    pub(crate) fn heartbeat_at(&self, interval: u64) -> u64 {
        self.sent_at + interval
    }

    /// The server says that it is idle, if nothing else was to say.
    pub(crate) fn heartbeat(&mut self, broker: &Broker) {
        if !broker.up || !self.alive(broker) {
            return;
        }
        self.sent_at = broker.now;
        let stream = broker.stream(self.stream);
        let examined = match stream.next(self.next, &self.filters) {
            Some(_) => self.last,
            None => stream.last().max(self.last),
        };
        self.wire.push_back(Delivery::Heartbeat { number: self.delivered, examined });
    }

    /// Something has arrived.
    pub(crate) fn has_arrived(&self) -> bool {
        !self.wire.is_empty()
    }

    /// Takes what has arrived.
    pub(crate) fn take(&mut self) -> Option<Delivery> {
        self.wire.pop_front()
    }

    /// The leader's word on how many matching messages are still to be delivered.
    pub(crate) fn ask_pending(&self, broker: &Broker) -> Result<u64, Away> {
        let stream = broker.ask(self.stream)?;
        if self.alive(broker) { Ok(stream.pending(self.next, &self.filters)) } else { Err(Away) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Config;

    fn broker(messages: usize) -> Broker {
        let stream = |name, subject: &str| {
            Stream::new(Config { name, subjects: vec![subject.to_owned()], window: 100, message_max: 0, messages_max: 0 }, 1)
        };
        let mut broker = Broker::new(1000, [stream("FLIGHTS", "flights.>"), stream("ECHO", "echo.>"), stream("DEAD", "dead.>")]);
        for _ in 0..messages {
            broker.publish(SOURCE, "flights.a", Vec::new(), Vec::new()).unwrap();
        }
        broker
    }

    fn number(delivery: Option<Delivery>) -> Option<(u64, u64, u64)> {
        match delivery {
            Some(Delivery::Message { message, number, times, .. }) => Some((number, message.sequence, times)),
            _ => None,
        }
    }

    #[test]
    fn deliveries_are_numbered_and_a_lost_one_leaves_a_hole() {
        let broker = broker(4);
        let mut consumer = broker.consume(SOURCE, &[], 2).unwrap();
        assert_eq!(consumer.pending, 3);
        consumer.deliver(&broker, Mishap::None);
        consumer.deliver(&broker, Mishap::Lost);
        consumer.deliver(&broker, Mishap::Redelivered);
        assert!(!consumer.can_deliver(&broker));
        assert_eq!(number(consumer.take()), Some((1, 2, 1)));
        assert_eq!(number(consumer.take()), Some((3, 4, 2)));
        consumer.heartbeat(&broker);
        assert!(matches!(consumer.take(), Some(Delivery::Heartbeat { number: 3, examined: 4 })));
    }

    #[test]
    fn a_consumer_does_not_survive_its_server_or_its_stream() {
        let mut broker = broker(2);
        let mut consumer = broker.consume(SOURCE, &[], 1).unwrap();
        broker.restart();
        consumer.deliver(&broker, Mishap::None);
        assert!(matches!(consumer.take(), Some(Delivery::Ended)));
        let mut consumer = broker.consume(SOURCE, &[], 1).unwrap();
        broker.stream_mut(SOURCE).recreate(2);
        consumer.deliver(&broker, Mishap::None);
        assert!(matches!(consumer.take(), Some(Delivery::Ended)));
        assert!(consumer.ask_pending(&broker).is_err());
    }

    #[test]
    fn nobody_answers_without_a_leader() {
        let mut broker = broker(1);
        broker.leader = false;
        assert_eq!(broker.ask(SOURCE).err(), Some(Away));
        assert_eq!(broker.publish(OUTPUTS, "echo.a", Vec::new(), Vec::new()), Err(Away));
        assert!(broker.consume(SOURCE, &[], 1).is_err());
        assert_eq!((broker.taker("dead.x"), broker.taker("none")), (Some(DEAD), None));
    }
}
