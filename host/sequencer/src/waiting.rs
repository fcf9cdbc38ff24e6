//! The one durable way to wait (design §3.7): how `waiting` is committed, what an entity has let go of, and the catch-up that brings it back.

use crate::effect::{Answer, Change, Dead, Effect, Lost};
use crate::input::Operator;
use crate::sequencer::Sequencer;
use crate::snapshot::Patch;
use crate::types::{Alarm, Attempts, DeadReason, Now, Place, WaitReason, Waiting};
use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;

/// Messages that left memory unfinished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Dropped {
    /// Lowest stream sequence dropped.
    pub(crate) from: u64,
    /// L: highest stream sequence dropped.
    pub(crate) to: u64,
}

impl Dropped {
    pub(crate) fn add(this: &mut Option<Self>, stream_sequence: u64) {
        match this {
            Some(dropped) => {
                dropped.from = dropped.from.min(stream_sequence);
                dropped.to = dropped.to.max(stream_sequence);
            }
            None => *this = Some(Self { from: stream_sequence, to: stream_sequence }),
        }
    }
}

/// A catch-up under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    /// Everything of the entity up to here has been seen by this pass.
    pub(crate) cursor: u64,
    /// It reads up to here.
    pub(crate) to: u64,
    /// This place and all above were passed over: memory was full.
    pub(crate) over_above: Option<Place>,
    /// Lowest stream sequence passed over.
    pub(crate) over_from: Option<u64>,
    /// Lowest stream sequence whose fate could not be decided: no room for it. What is passed over by its place lies above the position.
    pub(crate) undecided_from: Option<u64>,
    /// The reader has begun.
    pub(crate) started: bool,
    /// The position moved since the pass was asked for.
    pub(crate) moved: bool,
    /// Live arrivals are kept again: the pass reads the last stretch, and what arrives now lies behind it.
    pub(crate) joining: bool,
    /// The stream has nothing below this any more.
    pub(crate) gone_below: u64,
    /// From here on retention may have taken messages before they were brought.
    pub(crate) unsure_from: u64,
    /// The same as earlier passes left it that broke off; the largest number where none did.
    pub(crate) broken_from: u64,
    /// Something that may be the missing event arrived meanwhile, behind what the pass reads.
    pub(crate) missed: bool,
}

impl Pass {
    pub(crate) const fn new(from: u64, to: u64) -> Self {
        Self {
            cursor: from.saturating_sub(1),
            to,
            over_above: None,
            over_from: None,
            undecided_from: None,
            started: false,
            moved: false,
            joining: false,
            gone_below: 0,
            unsure_from: from,
            broken_from: u64::MAX,
            missed: false,
        }
    }

    /// No room for this place and all above.
    pub(crate) fn pass_over(&mut self, place: Place, stream_sequence: u64) {
        self.over_above = Some(self.over_above.map_or(place, |above| above.min(place)));
        self.leave(stream_sequence);
    }

    /// No room for this one message's fate: it is left to the next pass, without a word about its place.
    pub(crate) fn put_off(&mut self, stream_sequence: u64) {
        self.undecided_from = Some(self.undecided_from.map_or(stream_sequence, |from| from.min(stream_sequence)));
        self.leave(stream_sequence);
    }

    /// Everything up to here that does not lie above the position has been decided.
    pub(crate) fn judged_through(&self) -> u64 {
        self.undecided_from.map_or(u64::MAX, |from| from.saturating_sub(1)).min(self.cursor)
    }

    fn leave(&mut self, stream_sequence: u64) {
        self.over_from = Some(self.over_from.map_or(stream_sequence, |from| from.min(stream_sequence)));
    }

    /// From here on retention may have taken what nobody has. Below what was dropped everything is finished or in memory, but for what went while an
    /// earlier pass read it.
    fn may_lack_from(&self, dropped: Dropped) -> u64 {
        self.unsure_from.max(dropped.from.min(self.broken_from))
    }

    /// No message of the entity below this is still to be brought by this pass or the next.
    pub(crate) fn lowest_unknown(&self) -> u64 {
        self.over_from.map_or(u64::MAX, |from| from).min(self.cursor.saturating_add(1))
    }
}

impl<T: Clone + 'static> Sequencer<T> {
    /// Commits `waiting`; what is in memory closes with it. Keeps the attempts that are remembered.
    pub(crate) fn wait(&mut self, now: Now, reason: WaitReason, alarm: Option<Alarm>, dead: Option<Dead<T>>, out: &mut Vec<Effect<T>>) {
        let attempts = self.work.waiting.map_or(Attempts::default(), |waiting| waiting.attempts);
        self.wait_with(now, reason, alarm, attempts, dead, out);
    }

    pub(crate) fn wait_with(
        &mut self,
        now: Now,
        reason: WaitReason,
        alarm: Option<Alarm>,
        attempts: Attempts,
        dead: Option<Dead<T>>,
        out: &mut Vec<Effect<T>>,
    ) {
        let before = self.work.waiting;
        let low = self.lowest_unfinished();
        let from = before.map_or(low, |waiting| waiting.from.max(low));
        let since = before.map_or(now.host, |waiting| waiting.since);
        let waiting = Waiting { from, reason, attempts, alarm, since };
        if before == Some(waiting) && dead.is_none() {
            return;
        }
        self.work.waiting = Some(waiting);
        // What comes after a restart must find the entity begun, to know the missing event by its place.
        self.dirty |= self.anchored && !self.told;
        // A record that cannot be read must not be overwritten with what is not known.
        let extras = if self.unreadable { None } else { self.take_extras(low) };
        let patch = Patch { slot: None, extras, waiting: Some(Some(waiting)) };
        let at = out.len();
        self.push_change(Change { patch, applied: None, dead, closes: None, erases: false }, out);
        if before.is_none() {
            let memory = self.work.queue.iter().chain(self.work.held.iter()).chain(self.work.lates.iter());
            let head = self.work.current.as_ref().map(|current| &current.arrival);
            for arrival in head.into_iter().chain(memory) {
                out.push(Effect::Close { stream_sequence: arrival.stream_sequence, outcome: None });
            }
        }
        if mutant!(ClosesBeforeWaitingCommit)
            && let Some(pushed) = out.get_mut(at..)
        {
            pushed.rotate_left(1);
        }
    }

    /// Nothing is deliverable: a catch-up may be due, a gap may be open, or nothing is left to wait for. True when something moved.
    pub(crate) fn stuck(&mut self, now: Now, out: &mut Vec<Effect<T>>) -> bool {
        if self.work.pass.is_some() {
            if mutant!(GapJudgedByLiveReader) {
                self.verdict = true;
                return self.gap(now, out);
            }
            return false;
        }
        let rung = self.work.waiting.is_some_and(|waiting| waiting.alarm.is_some_and(|alarm| alarm.rung(now)));
        if self.work.dropped.is_some() && !self.verdict && (self.due || rung) {
            self.start_pass(now, out);
            return false;
        }
        if !self.work.held.is_empty() {
            return self.gap(now, out);
        }
        self.work.taken_from().and_then(|work| work.gap_since.take());
        if self.work.skip.is_some() && self.work.dropped.is_none() {
            // Nothing is missing, nothing is held, and everything was read: there is nothing to give up.
            self.work.skip = None;
            out.push(Effect::Answer(Answer::Nothing));
        }
        let over = self.work.waiting.is_some_and(|waiting| {
            (!waiting.parked() || waiting.reason == WaitReason::Gap) && waiting.from <= self.taken.saturating_add(1)
        });
        if self.dirty || (self.work.dropped.is_none() && over) {
            self.commit(now, None, None, None, None, out);
        }
        false
    }

    /// Asks for what was dropped to be read again. The commit that starts it sets the alarm to now, so that it is owed through a crash.
    fn start_pass(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        let Some(dropped) = self.work.dropped else { return };
        self.due = false;
        let owed = self.work.waiting.is_some_and(|waiting| matches!(waiting.alarm, Some(Alarm::Host(at)) if at <= now.host));
        if !owed {
            self.wait(now, WaitReason::Resuming, Some(Alarm::Host(now.host)), None, out);
        }
        let from = self.lowest_unfinished();
        let broken_from = self.work.unsure_from.take().unwrap_or(u64::MAX);
        self.work.pass = Some(Box::new(Pass { unsure_from: from.min(broken_from), broken_from, ..Pass::new(from, dropped.to) }));
        out.push(Effect::CatchUp { from, to: dropped.to });
    }

    /// The catch-up reads; what retention took before it could is named once, in the commit that moves S past it.
    pub(crate) fn pass_started(&mut self, now: Now, gone_below: u64, out: &mut Vec<Effect<T>>) {
        let Some(pass) = &mut self.work.pass else { return };
        pass.started = true;
        pass.gone_below = gone_below;
        self.name_lost(now, out);
    }

    /// Names what is gone and may not have been brought: all of it that the pass has not seen the end of, since what it read of it does not tell what
    /// retention took between two messages.
    fn name_lost(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        let (Some(pass), Some(dropped)) = (&self.work.pass, self.work.dropped) else {
            return;
        };
        // A shared pass may read further than this entity asked: what it dropped meanwhile is brought by it too.
        let last = pass.gone_below.saturating_sub(1).min(pass.to.max(dropped.to));
        let first = pass.may_lack_from(dropped).max(self.reread_below);
        // What was passed over and is gone cannot be read again by the next pass.
        let first = pass.over_from.map_or(first, |from| from.min(first));
        let parked = self.work.waiting.filter(Waiting::parked).map(|waiting| (waiting.reason, None));
        let (reason, alarm) = parked.unwrap_or((WaitReason::Resuming, Some(Alarm::Host(now.host))));
        // S may stay below what is named, for what is still in memory: after a crash only what was not named before is. A commit passes only what it names.
        let mut from = first;
        while let Some((first, end)) = self.history.lost.name_next(from, last) {
            from = from.max(end.saturating_add(1));
            self.pass_gone(end);
            self.dirty = true;
            let error = format!("stream sequences {first} to {end} were deleted by retention while this entity waited");
            let lost = Some(Lost { first, last: end, accepted: false });
            let dead = Dead { event: None, reason: DeadReason::Lost, error, attempts: 0, lost };
            self.wait(now, reason, alarm, Some(dead), out);
        }
        self.pass_gone(last);
    }

    /// Everything up to here is gone, and named or not this entity's to name.
    fn pass_gone(&mut self, last: u64) {
        let Some(pass) = &mut self.work.pass else { return };
        let behind = last.saturating_add(1);
        pass.over_from = pass.over_from.map(|from| from.max(behind));
        pass.cursor = pass.cursor.max(last);
        pass.unsure_from = pass.unsure_from.max(behind);
    }

    /// Everything up to `to` has been seen. What arrived and was dropped meanwhile extends the pass; what was passed over makes another one. Below the end
    /// that was asked for, the pass stops because the entity had enough: what it did not bring is no proof that it is not there.
    pub(crate) fn pass_ended(&mut self, now: Now, to: u64, out: &mut Vec<Effect<T>>) {
        let dropped = self.work.dropped;
        let (Some(pass), Some(dropped)) = (&mut self.work.pass, dropped) else {
            return;
        };
        let early = to < pass.to && pass.over_from.is_some();
        pass.cursor = pass.cursor.max(to);
        pass.unsure_from = pass.unsure_from.max(to.saturating_add(1));
        if pass.over_from.is_none() && dropped.to > to {
            pass.to = dropped.to;
            pass.joining = true;
            self.name_lost(now, out);
            out.push(Effect::ExtendCatchUp { to: dropped.to });
            return;
        }
        let (again, judged) = (pass.moved || pass.missed || early, pass.judged_through());
        // What was decided must be told from what never came once the floor has passed both, when the next pass brings it again.
        self.dirty |= judged > self.judged && self.history.floor.at() > Place::default();
        self.judged = self.judged.max(judged);
        self.work.dropped = pass.over_from.map(|from| Dropped { from, to: dropped.to });
        self.work.pass = None;
        match (self.work.dropped, again) {
            (Some(_), true) => self.due = true,
            (Some(_), false) => self.verdict = true,
            (None, _) => self.due = false,
        }
    }

    /// The catch-up broke off. What it had not brought is still dropped; the alarm tries again soon.
    pub(crate) fn pass_failed(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        let Some(pass) = self.work.pass.take() else { return };
        let dropped = self.work.dropped.unwrap_or(Dropped { from: pass.lowest_unknown(), to: pass.to });
        let to = dropped.to.max(pass.to);
        // Only the start or the end of a pass tells what retention took between two messages. Where this one had brought everything, the next brings the last
        // again: what has been decided of that must be told from what was not.
        let (unknown, unsure) = (pass.lowest_unknown(), pass.may_lack_from(dropped));
        if unknown > to && unsure <= to && !self.holds(to) {
            self.history.fates.insert(to);
            self.dirty = true;
        }
        let left = unknown.min(unsure) <= to;
        self.work.dropped = left.then_some(Dropped { from: unknown.min(to), to });
        self.work.unsure_from = left.then_some(unsure);
        self.due = false;
        if self.work.waiting.is_none_or(|waiting| !waiting.parked()) {
            let alarm = Alarm::Host(now.host.saturating_add(self.policy.settle));
            self.wait(now, WaitReason::Resuming, Some(alarm), None, out);
        }
    }

    /// What it waited for is gone with the stream as it was: named once; what the stream has now is read all the same.
    pub(crate) fn gone(&mut self, now: Now, first: u64, last: u64, out: &mut Vec<Effect<T>>) {
        let Some(waiting) = self.work.waiting else { return };
        let error =
            format!("stream sequences {first} to {last}, which this entity still had to do, are not in the stream that was accepted");
        let lost = Some(Lost { first, last, accepted: true });
        let dead = Dead { event: None, reason: DeadReason::Lost, error, attempts: 0, lost };
        self.wait(now, waiting.reason, waiting.alarm, Some(dead), out);
    }

    pub(crate) fn outputs_blocked(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        if self.blocked {
            return;
        }
        self.blocked = true;
        if self.work.waiting.is_none() {
            self.wait(now, WaitReason::OutputUnavailable, Some(Alarm::Host(now.host)), None, out);
        }
    }

    /// The host is short of memory and this entity holds most: everything behind the head leaves memory and is read again later. During a pass the lowest
    /// event stays if there is no head: a pass whose events all left again could be repeated for ever.
    pub(crate) fn shed(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        if self.work.queue.is_empty() && self.work.held.is_empty() {
            return;
        }
        let gap = self.in_gap();
        self.wait_for_room(now, gap, out);
        let lowest_stays = self.work.pass.is_some() && self.work.current.is_none();
        let first = self.work.queue.pop();
        while let Some(arrival) = self.work.queue.pop() {
            self.left_memory(arrival.place, arrival.stream_sequence);
        }
        match first {
            Some(first) if lowest_stays => self.work.queue.push(first),
            Some(first) => self.left_memory(first.place, first.stream_sequence),
            None => {}
        }
        let stays = usize::from(lowest_stays && self.work.queue.is_empty());
        while self.work.held.len() > stays
            && let Some(arrival) = self.work.held.highest().and_then(|place| self.work.held.remove(place))
        {
            self.left_memory(arrival.place, arrival.stream_sequence);
        }
    }

    /// An operator's word.
    pub(crate) fn operator(&mut self, now: Now, word: Operator, out: &mut Vec<Effect<T>>) {
        let head = self.head_place();
        self.supersede(out);
        // Whether the handlers may be called is found out by calling: `Barred` bars it again.
        self.barred = false;
        let answer = match word {
            Operator::Park if self.work.waiting.is_some_and(|waiting| waiting.reason == WaitReason::Operator) => Answer::Nothing,
            Operator::Park => {
                self.wait(now, WaitReason::Operator, None, None, out);
                Answer::Done
            }
            Operator::Resume { place } | Operator::Skip { place } if place != head => Answer::Elsewhere { head },
            Operator::Resume { .. } | Operator::Skip { .. } if self.unreadable => Answer::Nothing,
            Operator::Resume { .. } if self.work.waiting.is_none() => Answer::Nothing,
            Operator::Skip { .. } if self.lowest_unfinished() > self.taken && self.work.dropped.is_none() => Answer::Nothing,
            Operator::Resume { .. } => {
                self.go_on(now, out);
                Answer::Done
            }
            Operator::Skip { place } => {
                self.go_on(now, out);
                self.work.skip = Some(place);
                return;
            }
        };
        out.push(Effect::Answer(answer));
    }

    /// A skip whose turn has not come gives way: words are answered in order.
    pub(crate) fn supersede(&mut self, out: &mut Vec<Effect<T>>) {
        if self.work.skip.take().is_some() {
            out.push(Effect::Answer(Answer::Superseded));
        }
    }

    /// Un-parks with the alarm set to now: owed through a crash, and the attempts count anew.
    fn go_on(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        if self.work.waiting.is_some() {
            self.due = self.work.dropped.is_some();
            self.wait_with(now, WaitReason::Resuming, Some(Alarm::Host(now.host)), Attempts::default(), None, out);
        }
    }
}
