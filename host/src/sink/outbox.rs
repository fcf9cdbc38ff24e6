//! One entity's outbox: outputs and dead letters that are committed and not yet confirmed. Pure: decides what may leave, and how.
//!
//! Invariants: entries leave in the order of their numbers, one at a time; none leaves before its commit is durable; none is sent blind that may
//! have been sent longer than half a duplicate window ago (design §3.6).

use crate::store::{Mark, OutboxEntry};
use seriatim_sequencer::mutant;
use seriatim_sequencer::rare::{Nothing, Rare};
use std::collections::VecDeque;
use std::sync::Arc;

/// Delays between tries of a stream that cannot take a message now, milliseconds; the last one repeats.
const BACK_OFF: [u64; 6] = [100, 250, 500, 1_000, 2_500, 5_000];

/// How long the head waits when the publisher's queue was full, milliseconds.
const QUEUE_FULL_DELAY: u64 = 20;

/// See the module.
#[derive(Debug, Default)]
pub struct Outbox {
    next_number: u64,
    /// Entries up to this number are durable.
    durable: u64,
    owed: Rare<Owed>,
}

/// What there is while something is owed.
#[derive(Debug, Default)]
struct Owed {
    entries: VecDeque<Entry>,
    /// The head is with the publisher or the scanner.
    in_air: bool,
    /// Tries of the head that the stream could not take.
    tries: usize,
    /// Host time before which the head is not tried again.
    not_before: u64,
    /// The head was refused for good: nothing leaves until an operator says so.
    refused: bool,
}

impl Nothing for Owed {
    const NOTHING: &'static Self = &Self { entries: VecDeque::new(), in_air: false, tries: 0, not_before: 0, refused: false };

    fn nothing() -> Self {
        Self::default()
    }

    fn is_nothing(&self) -> bool {
        // The rest tells of the head.
        self.entries.is_empty()
    }
}

#[derive(Debug)]
struct Entry {
    stored: Arc<OutboxEntry>,
    /// Broker time at or after which it may have been sent already.
    sent_since: Option<u64>,
    /// Where a search for it begins, if one has told more than what it is stored with.
    mark: Option<Box<Mark>>,
}

impl Entry {
    fn mark(&self) -> &Mark {
        self.mark.as_deref().unwrap_or(&self.stored.mark)
    }
}

/// What to do with the head.
#[derive(Debug)]
pub enum Next {
    /// Nothing now.
    Nothing,
    /// Not before this host time.
    At(u64),
    /// Publish it.
    Send {
        /// The entry.
        entry: Arc<OutboxEntry>,
        /// It may have been sent before: not after this time of the broker without looking for it.
        blind_until: Option<u64>,
    },
    /// It may be there already: look for its id above the mark first.
    Search {
        /// The entry.
        entry: Arc<OutboxEntry>,
        /// From where.
        mark: Mark,
    },
}

/// What is known of the broker when the head is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Broker {
    /// Its clock, milliseconds, at the latest; `None` = unknown, so nothing that may have been sent leaves blind.
    pub now: Option<u64>,
    /// Its clock at the earliest: what is sent now cannot be younger than this.
    pub earliest: Option<u64>,
    /// The duplicate window of the head's stream, milliseconds.
    pub window: u64,
}

impl Outbox {
    /// What the store held at load: all durable, all possibly sent since their commit.
    #[must_use]
    pub fn restore(entries: Vec<OutboxEntry>) -> Self {
        let last = entries.last().map_or(0, |entry| entry.number);
        let entries = entries
            .into_iter()
            .filter(|_| !mutant!(OutboxNotResent))
            .map(|stored| Entry { sent_since: Some(stored.mark.sent_after), stored: Arc::new(stored), mark: None })
            .collect();
        Self { next_number: last + 1, durable: last, owed: Rare::from(Owed { entries, ..Owed::default() }) }
    }

    /// Gives back the memory of what is no longer owed.
    pub fn rest(&mut self) {
        self.owed.rest();
    }

    /// The number for the next entry.
    pub fn number(&mut self) -> u64 {
        self.next_number = self.next_number.max(1);
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// An entry goes into a commit. It may leave after [`durable`](Self::durable).
    pub fn push(&mut self, stored: Arc<OutboxEntry>) {
        self.owed.entries.push_back(Entry { stored, sent_since: None, mark: None });
        if mutant!(OutputOrderSwapped) && !self.owed.in_air {
            self.owed.entries.rotate_right(1);
        }
    }

    /// The commit that carried everything up to `number` is durable.
    pub fn durable(&mut self, number: u64) {
        self.durable = self.durable.max(number);
    }

    /// Highest number given out.
    #[must_use]
    pub fn last_number(&self) -> u64 {
        self.next_number.saturating_sub(1)
    }

    /// Entries not confirmed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.owed.entries.len()
    }

    /// Nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.owed.entries.is_empty()
    }

    /// The first entry that is not confirmed.
    #[must_use]
    pub fn head(&self) -> Option<&Arc<OutboxEntry>> {
        self.owed.entries.front().map(|entry| &entry.stored)
    }

    /// The head, if it is durable and nobody has it in hand: the shell looks up what is known of its stream for [`next`](Self::next).
    #[must_use]
    pub fn ready(&self) -> Option<&Arc<OutboxEntry>> {
        let here = !self.owed.in_air && !self.owed.refused;
        self.head().filter(|head| here && (head.number <= self.durable || mutant!(PublishBeforeCommit)))
    }

    /// What to do with the head now. `Send` and `Search` put it in the air: answer with `confirmed`, `unavailable`, `refused` or `searched`.
    pub fn next(&mut self, now: u64, broker: Broker) -> Next {
        if self.ready().is_none() {
            return Next::Nothing;
        }
        let owed = &mut *self.owed;
        let Some(head) = owed.entries.front_mut() else { return Next::Nothing };
        if now < owed.not_before {
            return Next::At(owed.not_before);
        }
        let blind = match (head.sent_since, broker.now) {
            (None, _) => true,
            (Some(since), Some(at)) => since > 0 && at.checked_sub(since).is_some_and(|age| age <= broker.window / 2),
            (Some(_), None) => false,
        } || mutant!(ResentBlindPastWindow);
        owed.in_air = true;
        if !blind {
            return Next::Search { entry: head.stored.clone(), mark: head.mark().clone() };
        }
        let blind_until = head.sent_since.map(|since| since.saturating_add(broker.window / 2));
        if head.sent_since.is_none() {
            head.sent_since = Some(broker.earliest.unwrap_or(head.mark().sent_after));
        }
        Next::Send { entry: head.stored.clone(), blind_until }
    }

    /// The stream has it. Returns its number: a change that removes it rides with the next commit.
    pub fn confirmed(&mut self) -> Option<Arc<OutboxEntry>> {
        self.owed.in_air = false;
        self.owed.tries = 0;
        self.owed.not_before = 0;
        self.owed.entries.pop_front().map(|entry| entry.stored)
    }

    /// The stream cannot take it now. Returns the host time of the next try.
    pub fn unavailable(&mut self, now: u64) -> u64 {
        self.owed.in_air = false;
        let delay = BACK_OFF.get(self.owed.tries).or(BACK_OFF.last()).copied().unwrap_or(5_000);
        self.owed.tries += 1;
        self.owed.not_before = now.saturating_add(delay);
        self.owed.not_before
    }

    /// The publisher's queue was full: it did not leave. Returns the host time of the next try.
    pub fn not_sent(&mut self, now: u64) -> u64 {
        self.owed.in_air = false;
        self.owed.not_before = now.saturating_add(QUEUE_FULL_DELAY);
        self.owed.not_before
    }

    /// The stream will never take it.
    pub fn refused(&mut self) {
        self.owed.in_air = false;
        self.owed.refused = true;
    }

    /// The head was refused for good.
    #[must_use]
    pub fn is_refused(&self) -> bool {
        self.owed.refused
    }

    /// An operator wants it tried again.
    pub fn retry(&mut self) {
        self.owed.refused = false;
        self.owed.not_before = 0;
    }

    /// The stream was searched from the head's mark to `end` and does not hold it: it can be sent as if for the first time. If it was `never` stored,
    /// nothing behind it was ever sent either: an entry leaves when the one before is confirmed.
    pub fn absent(&mut self, end: Mark, never: bool) {
        self.owed.in_air = false;
        if never {
            self.owed.entries.iter_mut().for_each(|entry| entry.sent_since = None);
        }
        if let Some(head) = self.owed.entries.front_mut() {
            head.mark = Some(Box::new(end));
            head.sent_since = None;
        }
    }

    /// Tries of the head that the stream could not take.
    #[must_use]
    pub fn tries(&self) -> usize {
        self.owed.tries
    }

    /// The head is with the publisher or the scanner.
    #[must_use]
    pub fn in_air(&self) -> bool {
        self.owed.in_air
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u64, sent_after: u64) -> OutboxEntry {
        OutboxEntry {
            number,
            subject: "out.a".into(),
            headers: Vec::new(),
            payload: bytes::Bytes::new(),
            message_id: format!("id-{number}"),
            mark: Mark { stream: "OUT".into(), created: 1, last_sequence: 5, sent_after },
            dead: false,
            cause: "echo".into(),
        }
    }

    const BROKER: Broker = Broker { now: Some(10_000), earliest: Some(10_000), window: 2_000 };

    #[test]
    fn nothing_leaves_before_its_commit_is_durable_and_one_leaves_at_a_time() {
        let mut outbox = Outbox::default();
        for _ in 0..2 {
            let number = outbox.number();
            outbox.push(Arc::new(entry(number, 10_000)));
        }
        assert!(matches!(outbox.next(0, BROKER), Next::Nothing));
        outbox.durable(1);
        assert!(matches!(outbox.next(0, BROKER), Next::Send { entry: sent, .. } if sent.number == 1));
        outbox.durable(2);
        assert!(matches!(outbox.next(0, BROKER), Next::Nothing), "the one before is not confirmed");
        assert_eq!(outbox.confirmed().map(|entry| entry.number), Some(1));
        assert!(matches!(outbox.next(0, BROKER), Next::Send { entry: sent, .. } if sent.number == 2));
    }

    #[test]
    fn what_may_have_been_sent_past_half_a_window_is_searched_for_first() {
        let mut outbox = Outbox::restore(vec![entry(7, 8_000), entry(8, 9_500)]);
        assert!(matches!(outbox.next(0, BROKER), Next::Search { entry, mark } if entry.number == 7 && mark.last_sequence == 5));
        outbox.absent(Mark { last_sequence: 40, ..Mark::default() }, false);
        assert!(matches!(outbox.next(0, BROKER), Next::Send { entry: sent, .. } if sent.number == 7));
        outbox.confirmed();
        assert!(matches!(outbox.next(0, BROKER), Next::Send { entry: sent, .. } if sent.number == 8), "within half a window: sent blind");
        assert_eq!(outbox.number(), 9);
    }

    #[test]
    fn behind_what_was_never_stored_nothing_was_sent() {
        let sent_next = |never: bool| {
            let mut outbox = Outbox::restore(vec![entry(7, 8_000), entry(8, 8_000)]);
            assert!(matches!(outbox.next(0, BROKER), Next::Search { .. }));
            outbox.absent(Mark::default(), never);
            assert!(matches!(outbox.next(0, BROKER), Next::Send { .. }));
            outbox.confirmed();
            matches!(outbox.next(0, BROKER), Next::Send { .. })
        };
        assert!(sent_next(true));
        assert!(!sent_next(false), "the head may have been stored in a stream that is gone, and what follows it in one that is not");
    }

    #[test]
    fn a_try_that_was_not_answered_for_long_is_not_repeated_blind() {
        let mut outbox = Outbox::default();
        let number = outbox.number();
        outbox.push(Arc::new(entry(number, 10_000)));
        outbox.durable(number);
        assert!(matches!(outbox.next(0, BROKER), Next::Send { .. }));
        let at = outbox.unavailable(0);
        assert!(matches!(outbox.next(at - 1, BROKER), Next::At(next) if next == at));
        let later = Broker { now: Some(11_001), ..BROKER };
        assert!(matches!(outbox.next(at, later), Next::Search { .. }));
    }

    #[test]
    fn without_the_brokers_clock_nothing_restored_leaves_blind() {
        let mut outbox = Outbox::restore(vec![entry(1, 10_000)]);
        assert!(matches!(outbox.next(0, Broker { now: None, ..BROKER }), Next::Search { .. }));
    }

    #[test]
    fn a_refused_head_stays_until_an_operator_speaks() {
        let mut outbox = Outbox::restore(vec![entry(1, 10_000)]);
        let _ = outbox.next(0, BROKER);
        outbox.refused();
        assert!(matches!(outbox.next(0, BROKER), Next::Nothing));
        outbox.retry();
        assert!(matches!(outbox.next(0, BROKER), Next::Send { .. }));
    }
}
