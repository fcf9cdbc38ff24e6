//! What the producer owes: one line of unconfirmed events per entity, open flows, blocked entities. Pure: time, answers and
//! knowledge of the broker in, effects out. When an event may leave, and when it must be looked for first, is decided by the
//! line's [`Outbox`].
//!
//! Invariants: each event that was added is settled exactly once; an entity's events leave in the order in which they were
//! added, one at a time; after one that was refused for good none of its entity leaves until the caller says how to go on.

use super::error::Error;
use super::{Progress, Receipt};
use crate::sink::outbox::{Broker, Next, Outbox};
use crate::sink::publisher::PublishResult;
use crate::sink::search::Found;
use crate::store::{Mark, OutboxEntry};
use slab::Slab;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// Flows open at once, at most.
pub(super) const FLOWS_MAX: usize = 100_000;
/// Blocked entities remembered, at most: past it the producer ends.
pub(super) const BLOCKED_MAX: usize = 10_000;

/// See the module. `T` is what the caller waits with.
pub(super) struct Ledger<T> {
    lines: Slab<Line<T>>,
    tokens: HashMap<Arc<str>, usize>,
    flows: HashMap<Arc<str>, FlowState>,
    /// Entities with the number that was refused.
    blocked: HashMap<Arc<str>, u64>,
    /// Lines whose head is to be looked at.
    ready: VecDeque<usize>,
    /// Lines that wait, by the time at which they go on.
    alarms: BTreeSet<(u64, usize)>,
    patience: Duration,
    /// When something was settled last, or began to be owed.
    quiet_since: u64,
    /// Why the last try failed.
    reason: String,
    ended: Option<Error>,
    first_failure: Option<Error>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FlowState {
    Open,
    /// Its events are not confirmed yet.
    Closing,
}

struct Line<T> {
    entity: Arc<str>,
    outbox: Outbox,
    /// Of the outbox's entries, in the same order.
    tickets: VecDeque<(u64, T)>,
    alarm: Option<u64>,
    /// When the head left last.
    sent_at: u64,
}

/// What the server said of messages that it does not permit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Complaint<'a> {
    pub(super) text: &'a str,
    /// When it said so.
    pub(super) at: u64,
}

/// An event on its way into the ledger.
pub(super) struct Addition<T> {
    pub(super) entity: Arc<str>,
    /// The event's number, for messages.
    pub(super) sequence: u64,
    /// The message; the ledger numbers it.
    pub(super) entry: OutboxEntry,
    pub(super) ticket: T,
    pub(super) by_flow: bool,
}

/// What the shell is to do.
#[derive(Debug)]
pub(super) enum Effect<T> {
    /// Publish, if it is not later than this time of the broker; answer with [`Ledger::published`] or [`Ledger::not_sent`].
    Send { token: usize, entry: Arc<OutboxEntry>, blind_until: Option<u64> },
    /// Look for it; answer with [`Ledger::searched`].
    Search { token: usize, entry: Arc<OutboxEntry>, mark: Mark },
    /// Tell the caller.
    Settle { ticket: T, result: Result<Receipt, Error> },
}

impl<T> Ledger<T> {
    pub(super) fn new(patience: Duration) -> Self {
        Self {
            lines: Slab::new(),
            tokens: HashMap::new(),
            flows: HashMap::new(),
            blocked: HashMap::new(),
            ready: VecDeque::new(),
            alarms: BTreeSet::new(),
            patience,
            quiet_since: 0,
            reason: "no answer yet".to_owned(),
            ended: None,
            first_failure: None,
            progress: Progress::default(),
        }
    }

    /// Takes an event, or says why not; then it is as if it had not been given.
    pub(super) fn add(&mut self, now: u64, addition: Addition<T>) -> Result<(), Error> {
        let Addition { entity, sequence, mut entry, ticket, by_flow } = addition;
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        if let Some(refused) = self.blocked.get(&entity) {
            return Err(Error::Blocked { entity: entity.to_string(), sequence, refused: *refused });
        }
        if !by_flow && self.flows.contains_key(&entity) {
            return Err(Error::FlowOpen { entity: entity.to_string() });
        }
        if self.progress.owed == 0 {
            self.quiet_since = now;
        }
        let token = match self.tokens.get(&entity) {
            Some(token) => *token,
            None => {
                let line =
                    Line { entity: Arc::clone(&entity), outbox: Outbox::default(), tickets: VecDeque::new(), alarm: None, sent_at: 0 };
                let token = self.lines.insert(line);
                self.tokens.insert(entity, token);
                token
            }
        };
        let Some(line) = self.lines.get_mut(token) else { return Err(Error::Dropped) };
        entry.number = line.outbox.number();
        line.outbox.durable(entry.number);
        line.outbox.push(Arc::new(entry));
        line.tickets.push_back((sequence, ticket));
        if line.tickets.len() == 1 {
            self.ready.push_back(token);
        }
        self.progress.owed += 1;
        Ok(())
    }

    /// Everything that can be done now. `broker` tells what is known of the stream that takes a subject.
    pub(super) fn turn(&mut self, now: u64, broker: impl Fn(&str) -> Broker, effects: &mut Vec<Effect<T>>) {
        if self.give_up_at().is_some_and(|at| at <= now) {
            let error = Error::GaveUp { patience: self.patience, reason: self.reason.clone() };
            self.end(error, effects);
        }
        while let Some((at, token)) = self.alarms.first().copied().filter(|(at, _)| *at <= now) {
            self.alarms.remove(&(at, token));
            if let Some(line) = self.lines.get_mut(token) {
                line.alarm = None;
                self.ready.push_back(token);
            }
        }
        while let Some(token) = self.ready.pop_front() {
            let Some(line) = self.lines.get_mut(token) else { continue };
            let Some(head) = line.outbox.head() else { continue };
            match line.outbox.next(now, broker(&head.subject)) {
                Next::Nothing => {}
                Next::At(at) => self.wake_at(token, at),
                Next::Send { entry, blind_until } => {
                    line.sent_at = now;
                    effects.push(Effect::Send { token, entry, blind_until });
                }
                Next::Search { entry, mark } => effects.push(Effect::Search { token, entry, mark }),
            }
        }
    }

    /// When [`Ledger::turn`] has something to do without having been told anything.
    pub(super) fn alarm(&self) -> Option<u64> {
        let first = self.alarms.first().map(|(at, _)| *at);
        [first, self.give_up_at()].into_iter().flatten().min()
    }

    fn give_up_at(&self) -> Option<u64> {
        let patience = u64::try_from(self.patience.as_millis()).unwrap_or(u64::MAX);
        (self.progress.owed > 0).then(|| self.quiet_since.saturating_add(patience))
    }

    fn wake_at(&mut self, token: usize, at: u64) {
        let Some(line) = self.lines.get_mut(token) else { return };
        if let Some(before) = line.alarm.replace(at) {
            self.alarms.remove(&(before, token));
        }
        self.alarms.insert((at, token));
    }

    /// The publisher's queue was full.
    pub(super) fn not_sent(&mut self, now: u64, token: usize) {
        if let Some(line) = self.lines.get_mut(token) {
            let at = line.outbox.not_sent(now);
            self.wake_at(token, at);
        }
    }

    /// The publisher's answer for the head of a line. `complaint` is the server's last one on the connection; one from before the head left says
    /// nothing about it.
    pub(super) fn published(
        &mut self,
        now: u64,
        token: usize,
        result: PublishResult,
        complaint: Option<Complaint<'_>>,
        effects: &mut Vec<Effect<T>>,
    ) {
        match result {
            PublishResult::Confirmed { stream, sequence, duplicate } => {
                self.confirmed(now, token, Receipt { stream, stream_sequence: sequence, duplicate }, effects);
            }
            PublishResult::Unavailable { reason } => {
                let head = self.lines.get(token).and_then(|line| line.outbox.head().map(|head| (line.sent_at, head)));
                let is_about = |complaint: &Complaint<'_>| {
                    head.is_some_and(|(sent_at, head)| complaint.at >= sent_at && forbids(complaint.text, &head.subject))
                };
                match complaint.filter(is_about) {
                    Some(complaint) => self.refused(now, token, complaint.text, 0, effects),
                    None => self.unavailable(now, token, reason),
                }
            }
            PublishResult::Refused { reason, code } => self.refused(now, token, &reason, code, effects),
        }
    }

    /// The searcher's answer for the head of a line.
    pub(super) fn searched(&mut self, now: u64, token: usize, found: Found, effects: &mut Vec<Effect<T>>) {
        match found {
            Found::There { stream, sequence } => {
                self.confirmed(now, token, Receipt { stream, stream_sequence: sequence, duplicate: true }, effects);
            }
            Found::Absent { end, never } => {
                if let Some(line) = self.lines.get_mut(token) {
                    line.outbox.absent(end, never);
                    self.ready.push_back(token);
                }
            }
            Found::Unknown { reason } => self.unavailable(now, token, reason),
        }
    }

    fn confirmed(&mut self, now: u64, token: usize, receipt: Receipt, effects: &mut Vec<Effect<T>>) {
        let Some(line) = self.lines.get_mut(token) else { return };
        line.outbox.confirmed();
        let Some((_, ticket)) = line.tickets.pop_front() else { return };
        self.quiet_since = now;
        self.progress.owed = self.progress.owed.saturating_sub(1);
        self.progress.confirmed += 1;
        self.progress.duplicates += u64::from(receipt.duplicate);
        effects.push(Effect::Settle { ticket, result: Ok(receipt) });
        if line.tickets.is_empty() {
            self.remove(token);
        } else {
            self.ready.push_back(token);
        }
    }

    fn unavailable(&mut self, now: u64, token: usize, reason: String) {
        let Some(line) = self.lines.get_mut(token) else { return };
        tracing::debug!(entity = %line.entity, %reason, "an event cannot be published now; trying on");
        let at = line.outbox.unavailable(now);
        self.reason = reason;
        self.wake_at(token, at);
    }

    fn refused(&mut self, now: u64, token: usize, reason: &str, code: u64, effects: &mut Vec<Effect<T>>) {
        let Some(line) = self.remove(token) else { return };
        self.quiet_since = now;
        let entity = line.entity.to_string();
        let subject = line.outbox.head().map(|entry| entry.subject.clone()).unwrap_or_default();
        let mut refused = None;
        for (sequence, ticket) in line.tickets {
            let error = match refused {
                None => Error::Refused { entity: entity.clone(), sequence, subject: subject.clone(), reason: reason.to_owned(), code },
                Some(refused) => Error::Blocked { entity: entity.clone(), sequence, refused },
            };
            refused = refused.or(Some(sequence));
            self.failed(ticket, error, effects);
        }
        self.blocked.insert(line.entity, refused.unwrap_or_default());
        if self.blocked.len() > BLOCKED_MAX {
            self.end(Error::TooMany { what: "are blocked by events that were refused for good", max: BLOCKED_MAX }, effects);
        }
    }

    fn failed(&mut self, ticket: T, error: Error, effects: &mut Vec<Effect<T>>) {
        self.progress.owed = self.progress.owed.saturating_sub(1);
        self.progress.failed += 1;
        self.first_failure.get_or_insert_with(|| error.clone());
        effects.push(Effect::Settle { ticket, result: Err(error) });
    }

    /// Settles everything with this error, and whatever comes later too.
    fn end(&mut self, error: Error, effects: &mut Vec<Effect<T>>) {
        self.ready.clear();
        self.alarms.clear();
        self.tokens.clear();
        for line in std::mem::take(&mut self.lines) {
            for (_, ticket) in line.1.tickets {
                self.failed(ticket, error.clone(), effects);
            }
        }
        self.ended = Some(error);
    }

    /// An entity that owes nothing any more leaves memory.
    fn remove(&mut self, token: usize) -> Option<Line<T>> {
        let line = self.lines.try_remove(token)?;
        self.tokens.remove(&line.entity);
        if let Some(at) = line.alarm {
            self.alarms.remove(&(at, token));
        }
        if self.flows.get(&line.entity) == Some(&FlowState::Closing) {
            self.flows.remove(&line.entity);
        }
        Some(line)
    }

    /// Opens the one flow of an entity. A blocked entity is free again: the flow's start says how it goes on.
    pub(super) fn open_flow(&mut self, entity: &Arc<str>) -> Result<(), Error> {
        if let Some(ended) = &self.ended {
            return Err(ended.clone());
        }
        if self.flows.contains_key(entity) || self.tokens.contains_key(entity) {
            return Err(Error::FlowOpen { entity: entity.to_string() });
        }
        if self.flows.len() >= FLOWS_MAX {
            return Err(Error::TooMany { what: "have flows", max: FLOWS_MAX });
        }
        self.blocked.remove(entity);
        self.flows.insert(Arc::clone(entity), FlowState::Open);
        Ok(())
    }

    /// The flow is gone; its entity is free once all its events are confirmed.
    pub(super) fn close_flow(&mut self, entity: &Arc<str>) {
        if self.tokens.contains_key(entity) {
            self.flows.insert(Arc::clone(entity), FlowState::Closing);
        } else {
            self.flows.remove(entity);
        }
    }

    /// Lets a blocked entity without a flow go on; returns whether it was one.
    pub(super) fn unblock(&mut self, entity: &str) -> bool {
        !self.flows.contains_key(entity) && self.blocked.remove(entity).is_some()
    }

    /// Whether a flow numbers the entity's events, or events of it are owed.
    pub(super) fn is_numbering(&self, entity: &str) -> bool {
        self.flows.contains_key(entity) || self.tokens.contains_key(entity)
    }

    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// How it went so far.
    pub(super) fn verdict(&self) -> Result<Progress, Error> {
        match (&self.ended, &self.first_failure) {
            (Some(ended), _) => Err(ended.clone()),
            (None, Some(first)) => Err(Error::Failed { failed: self.progress.failed, first: Box::new(first.clone()) }),
            (None, None) => Ok(self.progress),
        }
    }
}

/// Whether the server's last complaint is that this connection may not publish to the subject. It does not answer such a message, so
/// there is no other sign than this.
pub(super) fn forbids(complaint: &str, subject: &str) -> bool {
    complaint.to_ascii_lowercase().contains("permissions violation for publish to") && complaint.contains(&format!("\"{subject}\""))
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
