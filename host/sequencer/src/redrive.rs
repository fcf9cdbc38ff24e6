//! Redrive: an operator gives a dead letter's event to its entity again. It is applied once, however often that is repeated, and in order where
//! nothing behind it was applied since.

use crate::effect::{Applied, Effect, Redriven};
use crate::sequencer::Sequencer;
use crate::types::{Arrival, DeadReason, Now, Place, WaitReason, Waiting};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Redriven dead letters remembered per entity. Past it the lowest are no longer told apart: what lies at or below them is refused.
const REDRIVEN_MAX: usize = 256;

/// Which dead letters were redriven: the dead letter's stream sequence with that of its event, ascending, bounded. (A stream of dead letters that was
/// made anew gives old numbers to other letters, which are about other events.)
#[derive(Clone, Debug, Default)]
pub(crate) struct Letters {
    known: Vec<(u64, u64)>,
    forgotten: u64,
}

impl Letters {
    pub(crate) const fn restore(known: Vec<(u64, u64)>, forgotten: u64) -> Self {
        Self { known, forgotten }
    }

    pub(crate) fn is_none(&self) -> bool {
        self.known.is_empty() && self.forgotten == 0
    }

    pub(crate) fn known(&self) -> &[(u64, u64)] {
        &self.known
    }

    /// Dead letters up to this one may have been redriven: nobody remembers.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten
    }

    fn contains(&self, letter: (u64, u64)) -> bool {
        self.known.binary_search(&letter).is_ok()
    }

    fn add(&mut self, letter: (u64, u64)) {
        if let Err(at) = self.known.binary_search(&letter) {
            self.known.insert(at, letter);
        }
        while self.known.len() > REDRIVEN_MAX {
            self.forgotten = self.forgotten.max(self.known.remove(0).0);
        }
    }
}

/// A redrive that waits for its turn, or is with the handlers.
#[derive(Clone, Debug)]
pub(crate) struct Redriving<T> {
    dead: u64,
    pub(crate) arrival: Arrival<T>,
    out_of_order: bool,
    late: bool,
    pub(crate) running: bool,
}

impl<T: Clone + 'static> Sequencer<T> {
    /// An operator wants a dead letter's event handled again. One at a time.
    pub(crate) fn redrive(&mut self, dead: u64, arrival: Arrival<T>, out_of_order: bool, out: &mut Vec<Effect<T>>) {
        let refused = match &self.work.redriving {
            Some(_) => Some(Redriven::Busy),
            None if self.unreadable => Some(Redriven::Parked(WaitReason::Record)),
            None => self.judge(dead, &arrival, out_of_order).err(),
        };
        match refused {
            Some(answer) => out.push(Effect::Redriven { dead, answer }),
            None => self.work.redriving = Some(Box::new(Redriving { dead, arrival, out_of_order, late: false, running: false })),
        }
    }

    /// Nothing runs: a redrive that waits is judged again, since something may have been applied meanwhile, and delivered. True when it was.
    pub(crate) fn redrive_turn(&mut self, out: &mut Vec<Effect<T>>) -> bool {
        let Some(mut redriving) = self.work.taken_from().and_then(|work| work.redriving.take()) else { return false };
        match self.judge(redriving.dead, &redriving.arrival, redriving.out_of_order) {
            Ok(late) => {
                (redriving.late, redriving.running) = (late, true);
                out.push(Effect::Deliver { ticket: redriving.arrival.ticket.clone(), attempt: 1, late });
                self.work.redriving = Some(redriving);
                true
            }
            Err(answer) => {
                out.push(Effect::Redriven { dead: redriving.dead, answer });
                false
            }
        }
    }

    /// Why nothing is redriven before an operator's word, whatever may commit.
    fn closed_to_redrives(&self) -> Option<WaitReason> {
        let closes = |reason: &WaitReason| matches!(reason, WaitReason::Operator | WaitReason::OutputUndeliverable | WaitReason::Record);
        self.work.waiting.filter(Waiting::parked).map(|waiting| waiting.reason).filter(closes)
    }

    /// One that waits for its turn is answered as soon as that will not come before an operator's word: whoever asked would wait as long.
    pub(crate) fn redrive_refused(&mut self, out: &mut Vec<Effect<T>>) {
        let answer = if self.stopped { Some(Redriven::Stopped) } else { self.closed_to_redrives().map(Redriven::Parked) };
        let Some(answer) = answer else { return };
        if let Some(redriving) = self.work.redriving.take_if(|redriving| !redriving.running) {
            out.push(Effect::Redriven { dead: redriving.dead, answer });
        }
    }

    /// Whether it may be applied now, and whether out of order.
    fn judge(&self, dead: u64, arrival: &Arrival<T>, out_of_order: bool) -> Result<bool, Redriven> {
        if self.history.redriven.contains((dead, arrival.stream_sequence)) {
            return Err(Redriven::Already);
        }
        if dead <= self.history.redriven.forgotten() {
            return Err(Redriven::Forgotten);
        }
        if let Some(reason) = self.closed_to_redrives() {
            return Err(Redriven::Parked(reason));
        }
        let place = arrival.place;
        let head = self.head_place();
        // What nobody finished comes by itself, or is malformed: applied here it could be applied again in its turn. And what was given up early, above the
        // position, would still be named as given up when a new epoch passes it by.
        if !self.passed(place) {
            return Err(Redriven::Ahead { head });
        }
        match (Some(place) > self.applied_through, out_of_order) {
            (true, _) => Ok(false),
            (false, true) => Ok(true),
            (false, false) => Err(Redriven::Passed { since: self.applied_since(place), head }),
        }
    }

    /// The position has reached it.
    fn passed(&self, place: Place) -> bool {
        (self.anchored && place <= self.position) || (place.epoch < self.position.epoch)
    }

    /// How many events were finished from `place` on that may have been applied (at least 1).
    fn applied_since(&self, place: Place) -> u64 {
        let Some(through) = self.applied_through else { return 1 };
        let missing = |first: Place, last: u64| -> u64 {
            let inside = |range: &&crate::snapshot::Range| range.first.epoch == first.epoch;
            let count = |range: &crate::snapshot::Range| {
                let (low, high) = (range.first.sequence.max(first.sequence), range.last.min(last));
                if low <= high { high - low + 1 } else { 0 }
            };
            self.history.given_up.ranges().iter().filter(inside).map(count).sum()
        };
        let behind = Place { epoch: place.epoch, sequence: place.sequence.saturating_add(1) };
        if through.epoch == place.epoch {
            let count = through.sequence.saturating_sub(place.sequence);
            return count.saturating_sub(missing(behind, through.sequence)).max(1);
        }
        let last = self.history.past.iter().find(|last| last.epoch == place.epoch).map_or(place.sequence, |last| last.sequence);
        let lower = last.saturating_sub(place.sequence).saturating_sub(missing(behind, last));
        let between = self.history.past.iter().filter(|last| place.epoch < last.epoch && last.epoch < through.epoch);
        let whole = |last: &Place| last.sequence.saturating_sub(missing(Place { epoch: last.epoch, sequence: 0 }, last.sequence));
        between.map(whole).fold(lower, u64::saturating_add).saturating_add(through.sequence.max(1))
    }

    /// The handlers accepted it: remembered in the commit that applies it.
    pub(crate) fn redrive_applied(&mut self, now: Now, out: &mut Vec<Effect<T>>) -> bool {
        let Some(redriving) = self.work.redriving.take_if(|redriving| redriving.running) else { return false };
        let Redriving { dead, arrival, late, .. } = *redriving;
        self.history.given_up.carve(arrival.place);
        self.trim_ranges();
        if !late {
            self.applied_through = self.applied_through.max(Some(arrival.place));
        }
        self.history.redriven.add((dead, arrival.stream_sequence));
        self.dirty = true;
        let applied = Applied { ticket: arrival.ticket, attempt: 1, redriven: Some(dead) };
        self.commit(now, None, Some(applied), None, None, out);
        out.push(Effect::Redriven { dead, answer: Redriven::Done { late } });
        true
    }

    /// The handlers failed again: nothing is changed, the dead letter stays what it is.
    pub(crate) fn redrive_failed(&mut self, reason: DeadReason, out: &mut Vec<Effect<T>>) -> bool {
        let Some(redriving) = self.work.redriving.take_if(|redriving| redriving.running) else { return false };
        out.push(Effect::Redriven { dead: redriving.dead, answer: Redriven::Failed(reason) });
        true
    }

    /// The handlers are not called now: nothing was tried, nothing is changed.
    pub(crate) fn redrive_barred(&mut self, out: &mut Vec<Effect<T>>) -> bool {
        let Some(redriving) = self.work.redriving.take_if(|redriving| redriving.running) else { return false };
        out.push(Effect::Redriven { dead: redriving.dead, answer: Redriven::Barred });
        true
    }

    /// Whether a redriven event is with the handlers.
    #[must_use]
    pub fn redrive_running(&self) -> bool {
        self.work.redriving.as_ref().is_some_and(|redriving| redriving.running)
    }
}

#[cfg(test)]
mod tests {
    use super::{Letters, REDRIVEN_MAX};

    #[test]
    fn the_lowest_are_forgotten_and_that_is_known() {
        let mut letters = Letters::default();
        for dead in (1..=REDRIVEN_MAX as u64 + 2).rev() {
            letters.add((dead, 10 * dead));
            letters.add((dead, 10 * dead));
        }
        assert_eq!((letters.known().len(), letters.forgotten()), (REDRIVEN_MAX, 2));
        assert!(letters.contains((3, 30)) && !letters.contains((3, 31)) && !letters.contains((2, 20)));
    }
}
