//! What the laws say of a run.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A guarantee of the design (§2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Guarantee {
    /// No loss.
    G1,
    /// Order.
    G2,
    /// Effectively once.
    G3,
    /// Atomic.
    G4,
    /// Isolation.
    G5,
    /// Single writer.
    G6,
    /// Bounded.
    G7,
    /// Progress.
    G8,
    /// Replay.
    G9,
}

/// A guarantee that a run broke.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which one.
    pub guarantee: Guarantee,
    /// The check that found it, one of [`CHECKS`](super::CHECKS).
    pub check: &'static str,
    /// What is wrong, with the offending history.
    pub text: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}: {}", self.guarantee, self.check, self.text)
    }
}

/// What a run exercised, seen from outside: a tool asserts minimum counts, so that no run passes by doing nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages of the generator's log.
    pub messages: u64,
    /// Entities with at least one event.
    pub entities: u64,
    /// Events that were applied.
    pub applied: u64,
    /// Of these, delivered out of order because they were late.
    pub delivered_late: u64,
    /// Outputs of events that operators redrove.
    pub redriven: u64,
    /// Messages that ended as duplicates.
    pub duplicates: u64,
    /// Dead letters `conflict`.
    pub conflicts: u64,
    /// Late events, dead-lettered, dropped or delivered.
    pub late: u64,
    /// Late events that were dropped.
    pub dropped_late: u64,
    /// Dead letters by reason.
    #[serde(rename = "dead_letters")]
    pub dead: BTreeMap<String, u64>,
    /// Sequences that were given up without having come, as far as the store still names them one by one.
    pub given_up: u64,
    /// Entities that wait at the end.
    pub waiting: u64,
    /// Entities that are parked at the end.
    pub parked: u64,
    /// Dead letters `malformed`.
    pub malformed: u64,
    /// Messages that are named as lost.
    pub lost: u64,
    /// Messages above the watermark at the end.
    pub unread: u64,
    /// Events that arrived before a lower one of their entity.
    pub out_of_order: u64,
    /// Outputs and dead letters that were still in an outbox.
    pub outbox: u64,
    /// Events that only a retry let through.
    pub retried: u64,
}

impl Counts {
    /// Adds another run's figures.
    pub fn add(&mut self, other: &Self) {
        let Self {
            messages,
            entities,
            applied,
            delivered_late,
            redriven,
            duplicates,
            conflicts,
            late,
            dropped_late,
            dead,
            given_up,
            waiting,
            parked,
            malformed,
            lost,
            unread,
            out_of_order,
            outbox,
            retried,
        } = other;
        for (sum, more) in [
            (&mut self.messages, messages),
            (&mut self.entities, entities),
            (&mut self.applied, applied),
            (&mut self.delivered_late, delivered_late),
            (&mut self.redriven, redriven),
            (&mut self.duplicates, duplicates),
            (&mut self.conflicts, conflicts),
            (&mut self.late, late),
            (&mut self.dropped_late, dropped_late),
            (&mut self.given_up, given_up),
            (&mut self.waiting, waiting),
            (&mut self.parked, parked),
            (&mut self.malformed, malformed),
            (&mut self.lost, lost),
            (&mut self.unread, unread),
            (&mut self.out_of_order, out_of_order),
            (&mut self.outbox, outbox),
            (&mut self.retried, retried),
        ] {
            *sum += more;
        }
        for (reason, more) in dead {
            *self.dead.entry(reason.clone()).or_default() += more;
        }
    }
}

/// The judge's word on a run.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// What was broken; empty = nothing.
    pub broken: Vec<Broken>,
    /// What the run exercised.
    pub counts: Counts,
}

impl Report {
    /// Nothing was broken.
    pub fn good(&self) -> bool {
        self.broken.is_empty()
    }

    pub(super) fn broken(&mut self, guarantee: Guarantee, check: &'static str, text: String) {
        self.broken.push(Broken { guarantee, check, text });
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 12;
        writeln!(f, "{} broken promises:", self.broken.len())?;
        for broken in self.broken.iter().take(SHOWN) {
            writeln!(f, "- {broken}")?;
        }
        if self.broken.len() > SHOWN {
            writeln!(f, "- … and {} more", self.broken.len() - SHOWN)?;
        }
        Ok(())
    }
}
