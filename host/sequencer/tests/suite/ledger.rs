//! What is durable: the entity's record as a store would keep it, what became of each message, and the rules that must hold at every moment.

use crate::plan::{Message, Plan};
use seriatim_sequencer::{Arrival, Change, DeadReason, Extras, Outcome, Place, Policy, Slot, Snapshot, Waiting};
use std::collections::{BTreeMap, BTreeSet};

/// The durable side of the world. A crash leaves exactly this.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    slots: BTreeMap<u64, Slot>,
    extras: Extras,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) watermark: u64,
    /// What was applied, in the order in which it became durable, with the late flag.
    pub(crate) applied: Vec<(u64, bool)>,
    pub(crate) dead: BTreeMap<u64, DeadReason>,
    pub(crate) dropped_late: BTreeSet<u64>,
    /// Ranges named lost, by an entity or by the pipeline.
    pub(crate) lost: Vec<(u64, u64)>,
    /// Places that a slot tells.
    pub(crate) told: BTreeSet<Place>,
    /// Dead letters that were redriven.
    pub(crate) redriven: BTreeSet<u64>,
    closed: BTreeSet<u64>,
    counted: BTreeMap<u64, Outcome>,
    newest: u64,
    position: Option<Place>,
}

impl Ledger {
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot { slots: self.slots.values().copied().collect(), extras: self.extras.clone(), waiting: self.waiting }
    }

    /// One change becomes durable.
    pub(crate) fn write(&mut self, plan: &Plan, change: &Change<u64>, late: bool) {
        if let Some(applied) = &change.applied {
            let message = message(plan, applied.ticket);
            if let Some(dead) = applied.redriven {
                assert!(self.redriven.insert(dead), "redriven twice: {dead}");
                assert!(self.dead.remove(&applied.ticket).is_some(), "redriven, but no dead letter: {message:?}");
            }
            assert!(!self.dead.contains_key(&applied.ticket), "applied {applied:?} after its dead letter");
            for (before, _) in &self.applied {
                let before = self::message(plan, *before);
                assert!(before.place != message.place, "{:?} applied twice: {before:?} and {message:?}", message.place);
            }
            if !late {
                let last = self.applied.iter().rev().find(|(_, late)| !late).map(|(ticket, _)| self::message(plan, *ticket));
                assert!(last.is_none_or(|last| last.place < message.place), "out of order: {message:?} after {last:?}");
            }
            self.applied.push((applied.ticket, late));
        }
        if let Some(dead) = &change.dead {
            let decided = |ticket: u64| self.dead.contains_key(&ticket) || self.applied.iter().any(|(applied, _)| *applied == ticket);
            let excused = |event: &Arrival<u64>| {
                let ticket = event.stream_sequence;
                dead.reason == DeadReason::Late && decided(ticket) && self.below_floor(event.place, ticket)
            };
            if let Some(event) = dead.event.as_ref().filter(|event| !excused(event)) {
                let twice = self.dead.insert(event.stream_sequence, dead.reason);
                assert!(twice.is_none(), "two dead letters of {event:?}: {twice:?}, then {:?}", dead.reason);
                assert!(
                    !self.applied.iter().any(|(ticket, _)| *ticket == event.stream_sequence),
                    "dead letter {:?} of applied {event:?}",
                    dead.reason
                );
            }
            self.lost.extend(dead.lost.map(|lost| (lost.first, lost.last)));
        }
        for (stream_sequence, outcome) in change.closes.into_iter() {
            let fits = match outcome {
                Some(Outcome::Applied) => change.applied.is_some(),
                Some(Outcome::DeadLettered) => change.dead.is_some(),
                _ => true,
            };
            assert!(fits, "{outcome:?} does not fit {change:?}");
            self.close(plan, stream_sequence, outcome);
        }
        if let Some(slot) = change.patch.slot {
            assert_eq!(slot.count, self.newest + 1, "slots are numbered without a hole");
            self.newest = slot.count;
            self.slots.insert(slot.count % plan.policy.ids as u64, slot);
            self.told.insert(slot.place);
        }
        if let Some(extras) = &change.patch.extras {
            check_bounds(&plan.policy, extras);
            self.extras = (**extras).clone();
        }
        if let Some(waiting) = change.patch.waiting {
            self.waiting = waiting;
        }
        let position = self.slots.values().max_by_key(|slot| slot.count).map(|slot| slot.position).max(self.extras.position);
        assert!(position >= self.position, "the position fell from {:?} to {position:?}", self.position);
        self.position = position;
    }

    /// One message's fate is durable.
    pub(crate) fn close(&mut self, plan: &Plan, stream_sequence: u64, outcome: Option<Outcome>) {
        self.closed.insert(stream_sequence);
        if let Some(outcome) = outcome {
            self.count(plan, stream_sequence, outcome);
        }
        if outcome == Some(Outcome::DroppedLate) {
            let message = message(plan, stream_sequence);
            let before = self.decided(message) && !self.dropped_late.contains(&stream_sequence);
            let excused = before && message.place.is_some_and(|place| self.below_floor(place, stream_sequence));
            assert!(!before || excused, "dropped as late although decided: {message:?}");
            if !excused {
                self.dropped_late.insert(stream_sequence);
            }
        }
    }

    /// What the floor no longer tells (design §5.2: at or below it an unknown id is late): only while something is dropped can a message that
    /// was decided be read again and stand there.
    fn below_floor(&self, place: Place, stream_sequence: u64) -> bool {
        place <= self.extras.floor && stream_sequence > self.extras.floor_through
    }

    /// In one life of the host a message is counted once. (Retention can take the original of what was counted as its copy.)
    fn count(&mut self, plan: &Plan, stream_sequence: u64, outcome: Outcome) {
        let before = self.counted.insert(stream_sequence, outcome).filter(|before| *before != Outcome::Duplicate);
        let place = message(plan, stream_sequence).place.unwrap_or_default();
        assert!(
            before.is_none() || self.below_floor(place, stream_sequence),
            "{stream_sequence} is counted twice: {before:?}, then {outcome:?}"
        );
    }

    /// The host died: closes above the watermark mean nothing any more.
    pub(crate) fn crash(&mut self) {
        self.counted.clear();
        self.closed.clear();
    }

    fn decided(&self, message: &Message) -> bool {
        let ticket = message.stream_sequence;
        self.applied.iter().any(|(applied, _)| *applied == ticket)
            || self.dead.contains_key(&ticket)
            || self.dropped_late.contains(&ticket)
            || self.lost.iter().any(|(first, last)| (*first..=*last).contains(&ticket))
    }

    /// Nobody will bring this message again unless something durable says so.
    fn behind(&self, message: &Message) -> bool {
        message.stream_sequence <= self.watermark || self.closed.contains(&message.stream_sequence)
    }

    fn covered(&self, message: &Message) -> bool {
        self.decided(message) || !self.behind(message) || self.waiting.is_some_and(|waiting| waiting.from <= message.stream_sequence)
    }

    /// G1 at every moment: a message whose fate is not durable will be read again, or its entity's durable `waiting` reaches down to it. A copy
    /// may rest on the message it is a copy of.
    pub(crate) fn check(&self, plan: &Plan) {
        for message in plan.messages.iter().filter(|message| message.place.is_some()) {
            let place = message.place.unwrap_or_default();
            let told = self.told.contains(&place);
            let copies = |other: &&Message| other.stream_sequence != message.stream_sequence && other.place == message.place;
            let same_id = |other: &&Message| other.stream_sequence != message.stream_sequence && message.id != 0 && other.id == message.id;
            let fine = self.covered(message)
                || plan.messages.iter().filter(copies).any(|other| told || self.covered(other))
                || plan.messages.iter().filter(same_id).any(|other| (told || Some(place) <= self.position) && self.covered(other));
            assert!(fine, "forgotten: {message:?}; watermark {}, waiting {:?}", self.watermark, self.waiting);
        }
    }
}

pub(crate) fn message(plan: &Plan, stream_sequence: u64) -> &Message {
    let at = plan.messages.binary_search_by_key(&stream_sequence, |message| message.stream_sequence);
    &plan.messages[at.expect("no such message")]
}

fn check_bounds(policy: &Policy, extras: &Extras) {
    assert!(extras.given_up.len() <= policy.ranges_max, "too many ranges: {extras:?}");
    assert!(extras.fates.len() <= policy.held_max, "too many fates: {extras:?}");
    assert!(extras.past.len() <= 16, "too many epochs: {extras:?}");
    for pair in extras.given_up.windows(2) {
        assert!(pair[0].first < pair[1].first && (pair[0].first.epoch < pair[1].first.epoch || pair[0].last + 1 < pair[1].first.sequence));
    }
}
