//! The last things that were decided of an entity, for the operator who asks why it does not move. A small ring per actor, as plain numbers: nothing is
//! allocated for an event that comes in order, and words are made of it only when somebody asks.

use super::actor::Ticket;
use seriatim_sequencer::{Change, DeadReason, Disorder, Effect, Outcome, Place, WaitReason};
use std::collections::VecDeque;

/// Decisions kept per actor.
const DECISIONS_MAX: usize = 10;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Applied at this attempt.
    Applied(u32),
    /// Applied again from this dead letter.
    Redriven(u64),
    /// Seen before.
    Duplicate,
    /// Late, and dropped.
    DroppedLate,
    /// Given up, with its reason.
    DeadLettered(DeadReason),
    /// It waits; the number of failed tries.
    Waiting(WaitReason, u32),
    /// It waits without an alarm.
    Parked(WaitReason),
    /// Nothing keeps it any more.
    Free,
    /// So many sequences are missing.
    GapOpened(u64),
    /// Read again up to this stream sequence.
    CatchUp(u64),
    /// State and ids were erased.
    Forgotten,
}

/// One decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Host time.
    pub at: u64,
    /// What.
    pub what: What,
    /// The event's place; sequence 0 = none.
    pub place: Place,
    /// The event's number in the stream; 0 = none.
    pub stream_sequence: u64,
}

/// A handler's failure, kept after the event went on.
#[derive(Clone, Debug)]
pub struct LastFailure {
    /// The handler's index in its pipeline.
    pub handler: usize,
    /// How it failed, by name.
    pub kind: &'static str,
    /// In words.
    pub message: String,
    /// Where in the handler.
    pub backtrace: Option<String>,
    /// The event.
    pub place: Place,
    /// Its number in the stream.
    pub stream_sequence: u64,
    /// Which try.
    pub attempt: u32,
    /// Host time.
    pub at: u64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Decisions(VecDeque<Decided>);

impl Decisions {
    fn push(&mut self, decided: Decided) {
        if self.0.len() >= DECISIONS_MAX {
            self.0.pop_front();
        } else if self.0.len() == self.0.capacity() {
            // In two steps: many entities have one event and rest.
            self.0.reserve_exact(if self.0.is_empty() { 1 } else { DECISIONS_MAX.saturating_sub(self.0.len()) });
        }
        self.0.push_back(decided);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Decided> {
        self.0.iter()
    }

    /// Notes what an effect says.
    pub(super) fn note(&mut self, at: u64, effect: &Effect<Ticket>) {
        let mut push = |what, place: Place, stream_sequence| self.push(Decided { at, what, place, stream_sequence });
        let none = Place::default();
        match effect {
            Effect::Commit(change) => self.change(at, change),
            Effect::Close { stream_sequence, outcome: Some(Outcome::Duplicate) } => push(What::Duplicate, none, *stream_sequence),
            Effect::Close { stream_sequence, outcome: Some(Outcome::DroppedLate) } => push(What::DroppedLate, none, *stream_sequence),
            Effect::CatchUp { from, to } => push(What::CatchUp(*to), none, *from),
            Effect::ExtendCatchUp { to } => push(What::CatchUp(*to), none, 0),
            Effect::Disorder(Disorder::Gap(missing)) => push(What::GapOpened(*missing), none, 0),
            Effect::Close { .. }
            | Effect::Disorder(_)
            | Effect::Deliver { .. }
            | Effect::Stop { .. }
            | Effect::Answer(_)
            | Effect::Redriven { .. } => {}
        }
    }

    fn change(&mut self, at: u64, change: &Change<Ticket>) {
        let mut push = |what, place: Place, stream_sequence| self.push(Decided { at, what, place, stream_sequence });
        if let Some(applied) = &change.applied {
            let event = &applied.ticket.event;
            let place = Place { epoch: event.epoch, sequence: event.sequence };
            push(applied.redriven.map_or(What::Applied(applied.attempt), What::Redriven), place, event.message.stream_sequence);
        } else if let Some((stream_sequence, Some(Outcome::Duplicate))) = change.closes {
            push(What::Duplicate, change.patch.slot.map_or(Place::default(), |slot| slot.place), stream_sequence);
        } else if let Some((stream_sequence, Some(Outcome::DroppedLate))) = change.closes {
            push(What::DroppedLate, Place::default(), stream_sequence);
        }
        if let Some(dead) = &change.dead {
            let place = dead.event.as_ref().map_or(Place::default(), |event| event.place);
            push(What::DeadLettered(dead.reason), place, dead.stream_sequence());
        }
        match change.patch.waiting {
            Some(Some(waiting)) if waiting.parked() => push(What::Parked(waiting.reason), Place::default(), waiting.from),
            Some(Some(waiting)) => push(What::Waiting(waiting.reason, waiting.attempts.count), Place::default(), waiting.from),
            Some(None) => push(What::Free, Place::default(), 0),
            None => {}
        }
        if change.erases {
            push(What::Forgotten, Place::default(), 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_ten_are_kept_in_memory_taken_once() {
        let mut decisions = Decisions::default();
        for at in 0..25 {
            decisions.note(at, &Effect::Close { stream_sequence: at, outcome: Some(Outcome::Duplicate) });
        }
        decisions.note(99, &Effect::Close { stream_sequence: 99, outcome: None });
        let at: Vec<_> = decisions.iter().map(|decided| decided.at).collect();
        assert_eq!(at, (15..25).collect::<Vec<_>>());
        assert_eq!(decisions.0.capacity(), DECISIONS_MAX);
    }
}
