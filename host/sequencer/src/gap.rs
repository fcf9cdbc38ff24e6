//! The gap: how long it has been open, and what giving up means.

use crate::effect::{Answer, Dead, Effect, Outcome, StopReason};
use crate::policy::GapThen;
use crate::sequencer::Sequencer;
use crate::types::{Alarm, DeadReason, Now, Place, WaitReason};
use alloc::format;
use alloc::vec::Vec;

impl<T: Clone + 'static> Sequencer<T> {
    /// Nothing is deliverable and something is held. True when the entity can go on.
    pub(crate) fn gap(&mut self, now: Now, out: &mut Vec<Effect<T>>) -> bool {
        let (Some(lowest), Some((first, time))) = (self.work.held.lowest(), self.work.held.first()) else {
            return false;
        };
        let since = *self.work.gap_since.get_or_insert(now.host);
        let deadline = time.saturating_add(self.policy.gap_wait);
        // With something dropped, only the end of a pass that did not bring the missing event may judge.
        let may_judge = self.work.dropped.is_none() || self.verdict;
        if self.work.skip == Some(self.next_place()) && may_judge {
            self.give_up_below(lowest);
            if self.work.skip == Some(lowest) {
                // Nothing is missing: the event itself is held, since a lower one might have come first. It is skipped in its turn, which is now.
                return true;
            }
            self.work.skip = None;
            self.commit(now, None, None, None, None, out);
            out.push(Effect::Answer(Answer::Done));
            return true;
        }
        if now.stream >= deadline && may_judge {
            let then = if self.anchored { self.policy.gap_then } else { GapThen::Skip };
            return match then {
                GapThen::Skip => {
                    self.give_up_below(lowest);
                    true
                }
                GapThen::DeadLetter => self.give_up_early(now, first, out),
                GapThen::Park => {
                    self.wait(now, WaitReason::Gap, None, None, out);
                    false
                }
                GapThen::Stop => {
                    if self.work.waiting.is_none_or(|waiting| waiting.parked()) {
                        self.wait(now, WaitReason::Gap, Some(Alarm::Stream(deadline)), None, out);
                    }
                    self.stopped = true;
                    out.push(Effect::Stop { reason: StopReason::Gap { missing: self.next_place() } });
                    false
                }
            };
        }
        match self.work.waiting {
            None if now.host >= since.saturating_add(self.policy.settle) => {
                self.wait(now, WaitReason::Gap, Some(Alarm::Stream(deadline)), None, out);
            }
            // What was dropped is read again first, at its own time.
            Some(waiting) if self.work.dropped.is_some() && !self.verdict && matches!(waiting.alarm, Some(Alarm::Host(_))) => {}
            Some(waiting) if !waiting.parked() && (waiting.reason != WaitReason::Gap || waiting.alarm != Some(Alarm::Stream(deadline))) => {
                self.wait(now, WaitReason::Gap, Some(Alarm::Stream(deadline)), None, out);
            }
            _ => {}
        }
        false
    }

    /// The position jumps to just below `lowest`; what lies between is given up, by name.
    fn give_up_below(&mut self, lowest: Place) {
        let first = if self.anchored { self.next_place() } else { Place { epoch: lowest.epoch, sequence: 1 } };
        let last = Place { epoch: lowest.epoch, sequence: lowest.sequence.saturating_sub(1) };
        if !self.anchored {
            self.position = Place { epoch: lowest.epoch, sequence: 0 };
        }
        if lowest.epoch == first.epoch && first <= last {
            self.history.given_up.insert_missing(first, last.sequence);
        }
        self.move_to(last);
        self.trim_ranges();
        self.dirty = true;
    }

    /// The early event is dead-lettered; its sequence counts as finished when the position gets there.
    fn give_up_early(&mut self, now: Now, first: Place, out: &mut Vec<Effect<T>>) -> bool {
        let mut ranges = self.history.given_up.clone();
        ranges.insert(first, first.sequence);
        if ranges.len() > self.policy.ranges_max && ranges.ranges().first().is_some_and(|range| range.first > self.position) {
            self.wait(now, WaitReason::RangesFull, None, None, out);
            return false;
        }
        let Some(arrival) = self.work.held.remove(first) else { return false };
        self.history.given_up = ranges;
        self.trim_ranges();
        self.dirty = true;
        let next = self.next_place();
        let error = format!("came early; sequence {} (epoch {}) did not come within gap.wait", next.sequence, next.epoch);
        let close = Some((arrival.stream_sequence, Some(Outcome::DeadLettered)));
        let dead = Dead { event: Some(arrival.clone()), reason: DeadReason::Gap, error, attempts: 0, lost: None };
        self.work.gap_since = None;
        self.commit(now, Some(&arrival), None, Some(dead), close, out);
        true
    }
}
