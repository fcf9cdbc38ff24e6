//! The model of one JetStream stream: numbers, timestamps, message ids within the duplicate window, limits, retention, and what an operator does
//! to it (purge, restore, delete and create again). It takes the broker's time as it is told and never reads a clock.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A message that a stream holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Its number in the stream.
    pub(crate) sequence: u64,
    /// The broker's timestamp, milliseconds.
    pub(crate) time: u64,
    pub(crate) subject: String,
    /// All headers, `Nats-Msg-Id` among them.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

impl Stored {
    /// The message's id for duplicate detection.
    pub(crate) fn id(&self) -> Option<&str> {
        message_id(&self.headers)
    }
}

fn message_id(headers: &[(String, String)]) -> Option<&str> {
    headers.iter().find(|(name, _)| name == "Nats-Msg-Id").map(|(_, value)| value.as_str())
}

/// How a stream is set up.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) name: &'static str,
    pub(crate) subjects: Vec<String>,
    /// How long message ids are remembered, milliseconds.
    pub(crate) window: u64,
    /// Largest payload it takes; 0 = any.
    pub(crate) message_max: usize,
    /// Messages it takes before it refuses new ones (`discard: new`); 0 = any number.
    pub(crate) messages_max: usize,
}

/// What a stream says to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Stored under this number.
    Stored(u64),
    /// An id that it remembers: nothing is stored; the number is that of the first.
    Duplicate(u64),
    /// No room now (`maximum messages exceeded`).
    Full,
    /// Never: too large, or the stream is sealed.
    Refused,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    config: Config,
    created: i64,
    messages: BTreeMap<u64, Arc<Stored>>,
    first: u64,
    last: u64,
    /// Id → number and time.
    ids: BTreeMap<String, (u64, u64)>,
    pub(crate) sealed: bool,
}

impl Stream {
    pub(crate) fn new(config: Config, created: i64) -> Self {
        Self { config, created, messages: BTreeMap::new(), first: 0, last: 0, ids: BTreeMap::new(), sealed: false }
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Nanoseconds since the Unix epoch.
    pub(crate) fn created(&self) -> i64 {
        self.created
    }

    /// As stream info tells it: 0 when nothing was ever stored, one above the last when everything is gone.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    pub(crate) fn takes(&self, subject: &str) -> bool {
        self.config.subjects.iter().any(|pattern| matches(pattern, subject))
    }

    pub(crate) fn get(&self, sequence: u64) -> Option<&Arc<Stored>> {
        self.messages.get(&sequence)
    }

    pub(crate) fn messages(&self) -> impl DoubleEndedIterator<Item = &Arc<Stored>> {
        self.messages.values()
    }

    /// The first message at or above `from` that one of the filters matches (no filter matches everything).
    pub(crate) fn next(&self, from: u64, filters: &[String]) -> Option<&Arc<Stored>> {
        self.messages.range(from..).map(|(_, stored)| stored).find(|stored| passes(filters, &stored.subject))
    }

    /// How many messages at or above `from` match.
    pub(crate) fn pending(&self, from: u64, filters: &[String]) -> u64 {
        self.messages.range(from..).filter(|(_, stored)| passes(filters, &stored.subject)).count() as u64
    }

    /// Stores a message, or says why not.
    pub(crate) fn publish(&mut self, now: u64, subject: &str, headers: Vec<(String, String)>, payload: Vec<u8>) -> Said {
        self.forget_ids(now);
        if self.sealed || (self.config.message_max > 0 && payload.len() > self.config.message_max) {
            return Said::Refused;
        }
        if let Some((sequence, _)) = message_id(&headers).and_then(|id| self.ids.get(id)) {
            return Said::Duplicate(*sequence);
        }
        if self.config.messages_max > 0 && self.messages.len() >= self.config.messages_max {
            return Said::Full;
        }
        self.last += 1;
        if self.messages.is_empty() {
            self.first = self.last;
        }
        if let Some(id) = message_id(&headers) {
            self.ids.insert(id.to_owned(), (self.last, now));
        }
        let stored = Stored { sequence: self.last, time: now, subject: subject.to_owned(), headers, payload };
        self.messages.insert(self.last, Arc::new(stored));
        Said::Stored(self.last)
    }

    /// An operator raises the bound, or frees room: it takes messages again.
    pub(crate) fn unbound(&mut self) {
        self.config.messages_max = 0;
    }

    /// From now on it is full.
    pub(crate) fn fill(&mut self) {
        self.config.messages_max = self.messages.len().max(1);
    }

    fn forget_ids(&mut self, now: u64) {
        let window = self.config.window;
        self.ids.retain(|_, (_, time)| now.saturating_sub(*time) < window);
    }

    /// The server starts again: the ids are read from the messages that are left, so those of deleted messages are forgotten.
    pub(crate) fn restarted(&mut self, now: u64) {
        self.ids = self
            .messages
            .values()
            .filter(|stored| now.saturating_sub(stored.time) < self.config.window)
            .filter_map(|stored| stored.id().map(|id| (id.to_owned(), (stored.sequence, stored.time))))
            .collect();
    }

    /// Retention takes everything up to and including `through`.
    pub(crate) fn trim(&mut self, through: u64) {
        self.messages.retain(|sequence, _| *sequence > through);
        self.find_first();
    }

    /// Somebody deletes one message.
    pub(crate) fn delete(&mut self, sequence: u64) {
        self.messages.remove(&sequence);
        self.find_first();
    }

    fn find_first(&mut self) {
        if self.last > 0 {
            self.first = self.messages.keys().next().copied().unwrap_or(self.last + 1);
        }
    }

    /// Put back from a copy that ended at `last`; what came after is gone, and its numbers are given again.
    pub(crate) fn restore(&mut self, last: u64, now: u64) {
        self.messages.retain(|sequence, _| *sequence <= last);
        self.last = last.min(self.last);
        self.find_first();
        self.restarted(now);
    }

    /// Deleted and created again under its name.
    pub(crate) fn recreate(&mut self, created: i64) {
        *self = Self::new(self.config.clone(), created);
    }
}

fn passes(filters: &[String], subject: &str) -> bool {
    filters.is_empty() || filters.iter().any(|pattern| matches(pattern, subject))
}

/// Whether a subject matches a pattern with `*` and `>`.
pub(crate) fn matches(pattern: &str, subject: &str) -> bool {
    let (mut wanted, mut found) = (pattern.split('.'), subject.split('.'));
    loop {
        match (wanted.next(), found.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(want), Some(have)) if want == "*" || want == have => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Stream {
        let subjects = vec!["flights.>".to_owned()];
        Stream::new(Config { name: "FLIGHTS", subjects, window: 100, message_max: 8, messages_max: 0 }, 7)
    }

    fn with_id(id: &str) -> Vec<(String, String)> {
        vec![("Nats-Msg-Id".to_owned(), id.to_owned())]
    }

    #[test]
    fn numbers_rise_and_ids_are_remembered_for_the_window() {
        let mut stream = stream();
        assert_eq!((stream.first(), stream.last()), (0, 0));
        assert_eq!(stream.publish(10, "flights.a", with_id("x"), Vec::new()), Said::Stored(1));
        assert_eq!(stream.publish(109, "flights.a", with_id("x"), Vec::new()), Said::Duplicate(1));
        assert_eq!(stream.publish(110, "flights.a", with_id("x"), Vec::new()), Said::Stored(2), "the window has passed");
        assert_eq!(stream.publish(110, "flights.a", Vec::new(), vec![0; 9]), Said::Refused);
        assert_eq!((stream.first(), stream.last(), stream.len()), (1, 2, 2));
    }

    #[test]
    fn a_restart_forgets_the_ids_of_what_is_gone() {
        let mut stream = stream();
        stream.publish(10, "flights.a", with_id("x"), Vec::new());
        stream.publish(10, "flights.a", with_id("y"), Vec::new());
        stream.trim(1);
        assert_eq!(stream.publish(20, "flights.a", with_id("x"), Vec::new()), Said::Duplicate(1), "remembered although it is gone");
        stream.restarted(20);
        assert_eq!(stream.publish(20, "flights.a", with_id("y"), Vec::new()), Said::Duplicate(2));
        assert_eq!(stream.publish(20, "flights.a", with_id("x"), Vec::new()), Said::Stored(3));
    }

    #[test]
    fn retention_deletion_and_restore_move_the_ends() {
        let mut stream = stream();
        for _ in 0..5 {
            stream.publish(1, "flights.a", Vec::new(), Vec::new());
        }
        stream.delete(3);
        assert_eq!((stream.first(), stream.last(), stream.next(3, &[]).map(|stored| stored.sequence)), (1, 5, Some(4)));
        stream.trim(2);
        assert_eq!(stream.first(), 4);
        stream.restore(4, 2);
        assert_eq!((stream.first(), stream.last()), (4, 4));
        assert_eq!(stream.publish(3, "flights.b", Vec::new(), Vec::new()), Said::Stored(5), "the number is given again");
        stream.trim(5);
        assert_eq!((stream.first(), stream.last(), stream.len()), (6, 5, 0));
        stream.recreate(8);
        assert_eq!((stream.created(), stream.first(), stream.last()), (8, 0, 0));
    }

    #[test]
    fn a_full_stream_refuses_until_there_is_room() {
        let mut stream = stream();
        stream.publish(1, "flights.a", Vec::new(), Vec::new());
        stream.fill();
        assert_eq!(stream.publish(1, "flights.a", Vec::new(), Vec::new()), Said::Full);
        stream.unbound();
        assert_eq!(stream.publish(1, "flights.a", Vec::new(), Vec::new()), Said::Stored(2));
    }

    #[test]
    fn subjects_match_as_the_broker_has_it() {
        for (pattern, subject, matched) in [
            ("flights.>", "flights.a", true),
            ("flights.>", "flights", false),
            ("flights.>", "flights.a.b", true),
            ("flights.*", "flights.a.b", false),
            ("flights.*.b", "flights.a.b", true),
            ("flights.a", "flights.b", false),
        ] {
            assert_eq!(matches(pattern, subject), matched, "{pattern} {subject}");
        }
        let mut stream = stream();
        stream.publish(1, "flights.a", Vec::new(), Vec::new());
        stream.publish(1, "flights.b.x", Vec::new(), Vec::new());
        let filters = ["flights.b".to_owned(), "flights.b.>".to_owned()];
        assert_eq!((stream.pending(1, &filters), stream.pending(1, &[])), (1, 2));
        assert_eq!(stream.next(1, &filters).map(|stored| stored.sequence), Some(2));
    }
}
