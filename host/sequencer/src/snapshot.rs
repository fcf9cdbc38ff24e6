//! What of an entity is durable, as the core sees it: restored from a [`Snapshot`], changed by a [`Patch`] in each commit.
//!
//! An in-order event writes one [`Slot`] and nothing else: the newest slot *is* the position, and the last `dedup.ids` of them are
//! the recent ids. What changes rarely stands in [`Extras`]; [`Waiting`] has a key of its own, so that S survives a record that cannot be read.

use crate::types::{Place, Waiting};
use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// One entry of the ring of recent events; the one with the highest `count` holds the entity's position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// Running number of slots written for the entity, from 1. The slot's key is `count % ring`.
    pub count: u64,
    /// The position after this commit: the last place the entity has finished.
    pub position: Place,
    /// Every message of the entity below this stream sequence was decided when this was written.
    pub done_below: u64,
    /// The event's own place (differs from the position for a late or an early one).
    pub place: Place,
    /// Hash of its id; 0 = none.
    pub id: u64,
    /// Hash of its payload.
    pub payload: u64,
}

/// An inclusive range of sequences of one epoch that were given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    /// First sequence given up.
    pub first: Place,
    /// Last sequence given up (same epoch).
    pub last: u64,
}

/// What changes rarely.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extras {
    /// The position, when no slot has told it yet or a range was given up since the last slot.
    pub position: Option<Place>,
    /// As in [`Slot::done_below`].
    pub done_below: u64,
    /// At or below it, an unknown id is late and is never delivered.
    pub floor: Place,
    /// Messages at or below the floor up to this stream sequence have been decided: read again they are duplicates.
    pub floor_through: u64,
    /// Last positions of earlier epochs, ascending, bounded: what was finished there is a duplicate, not late.
    pub past: Vec<Place>,
    /// Given-up ranges, ascending, disjoint, bounded.
    pub given_up: Vec<Range>,
    /// Stream sequences at or above `done_below` whose fate the position does not tell (conflict, late, malformed, lost).
    pub fates: Vec<u64>,
    /// Ranges of stream sequences (inclusive, ascending, disjoint, bounded) that were named as lost and do not lie below `done_below`.
    pub lost: Vec<(u64, u64)>,
    /// Lower floors with what had been decided below each, where that is further than `floor_through`: after a crash the floor can rise again before
    /// everything has been read again. Ascending, bounded.
    pub floors: Vec<(Place, u64)>,
    /// What was finished last was not applied; `None`: the position was, or may have been.
    pub unapplied: Option<Unapplied>,
    /// Dead letters that were redriven, each with the stream sequence of its event, ascending, bounded.
    pub redriven: Vec<(u64, u64)>,
    /// Dead letters up to this stream sequence may have been redriven: nobody remembers.
    pub redriven_forgotten: u64,
    /// It was not seen after this (stream time); 0: nobody noted when it was.
    pub seen: u64,
}

/// How far an entity has applied its events, where that is not as far as its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unapplied {
    /// The highest place applied; `None`: none.
    pub through: Option<Place>,
    /// True of the slots up to this [`Slot::count`]; later ones may have been applied.
    pub count: u64,
}

/// Everything durable about one entity that the core needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// All slots found, in any order.
    pub slots: Vec<Slot>,
    /// Defaults when none was written.
    pub extras: Extras,
    /// `None` = not waiting.
    pub waiting: Option<Waiting>,
}

/// What one commit changes. All parts become durable together, with what the shell adds (state, outputs).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Patch {
    /// Write this slot at `slot.count % ring`.
    pub slot: Option<Slot>,
    /// Replace the extras.
    pub extras: Option<Box<Extras>>,
    /// `Some(None)` clears `waiting`.
    pub waiting: Option<Option<Waiting>>,
}

impl Snapshot {
    /// An operator accepted a changed stream that goes on at `from`: stream sequences at or above it mean other messages now, so nothing
    /// recorded about them may decide anything (design §3.11).
    pub fn rebase(&mut self, from: u64) {
        for slot in &mut self.slots {
            slot.done_below = slot.done_below.min(from);
        }
        self.extras.done_below = self.extras.done_below.min(from);
        self.extras.floor_through = self.extras.floor_through.min(from.saturating_sub(1));
        for (_, through) in &mut self.extras.floors {
            *through = (*through).min(from.saturating_sub(1));
        }
        self.extras.fates.retain(|fate| *fate < from);
        self.extras.lost.retain(|(first, _)| *first < from);
        if let Some((_, last)) = self.extras.lost.last_mut() {
            *last = (*last).min(from.saturating_sub(1));
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.from = waiting.from.min(from);
            if waiting.attempts.stream_sequence >= from {
                waiting.attempts = crate::types::Attempts::default();
            }
        }
    }
}
