//! The state machine: what it remembers, what a step does, what is committed.
//!
//! # Invariants
//!
//! * Everything at or below `position` is finished, except what `given_up` and `floor` name.
//! * `queue` is consecutive and begins right after the running event (or the position); everything in `held` lies behind a gap.
//! * While `waiting` is set, every message of the entity at or after `waiting.from` that has been read is closed, and everything unfinished is
//!   at or after it. While it is not set, nothing is dropped.
//! * `dropped` is set from the first drop until a catch-up has covered everything that was dropped.

use crate::dedup::{GivenUp, Recent};
use crate::effect::{Answer, Applied, Change, Dead, Effect, Outcome, StopReason};
use crate::floor::Floor;
use crate::history::Remembered;
use crate::input::Input;
use crate::lost::NamedLost;
use crate::pending::Pending;
use crate::policy::{FailureThen, First, Policy};
use crate::rare::Rare;
use crate::redrive::Letters;
use crate::snapshot::{Extras, Patch, Slot, Snapshot, Unapplied};
use crate::types::{Alarm, Arrival, Attempts, DeadReason, Failure, Millis, Now, Place, WaitReason, Waiting};
use crate::waiting::Dropped;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A stale S is safe (it only means reading a little more again), so a commit raises it only by steps of this many stream sequences.
const RAISE_STEP: u64 = 128;
/// Epochs whose last position is remembered; older ones fold into the floor.
const PAST_MAX: usize = 16;

/// One entity's order. See the crate's driving contract.
#[derive(Clone, Debug)]
pub struct Sequencer<T: 'static> {
    pub(crate) policy: Arc<Policy>,
    /// The position is known: the entity has begun its epoch.
    pub(crate) anchored: bool,
    pub(crate) position: Place,
    pub(crate) recent: Recent,
    pub(crate) count: u64,
    pub(crate) history: Rare<Remembered>,
    /// Every message up to this stream sequence was decided in an earlier catch-up, or lay above the position.
    pub(crate) judged: u64,
    /// Messages below this were decided before the last start.
    pub(crate) reread_below: u64,
    pub(crate) work: Rare<Pending<T>>,
    /// A slot or the extras tell the position.
    pub(crate) told: bool,
    /// Extras differ from what is committed.
    pub(crate) dirty: bool,
    /// What was dropped should be read again as soon as memory is worked off.
    pub(crate) due: bool,
    /// The pass that ended in this step did not bring the missing event: the gap may be judged.
    pub(crate) verdict: bool,
    /// Highest stream sequence this entity can have been given.
    pub(crate) taken: u64,
    pub(crate) in_flight: u32,
    pub(crate) blocked: bool,
    pub(crate) stopped: bool,
    pub(crate) unreadable: bool,
    /// The handlers are not called: nothing is delivered until it is released.
    pub(crate) barred: bool,
    /// The highest place that was applied, or may have been.
    pub(crate) applied_through: Option<Place>,
    /// What is written, or about to be, of when it was seen (see [`Extras::seen`]).
    pub(crate) seen: Millis,
}

/// The event at the head: delivered, or waiting for its next attempt.
#[derive(Clone, Debug)]
pub(crate) struct Current<T> {
    pub(crate) arrival: Arrival<T>,
    pub(crate) late: bool,
    pub(crate) attempt: u32,
    pub(crate) running: bool,
}

/// When the sequencer wants to be stepped although nothing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wakeup {
    /// At this host time.
    pub host: Option<Millis>,
    /// At this stream time.
    pub stream: Option<Millis>,
}

impl<T: Clone + 'static> Sequencer<T> {
    /// An entity of which nothing is durable. `taken` as in [`restore`](Self::restore).
    #[must_use]
    pub fn new(policy: Arc<Policy>, taken: u64) -> Self {
        Self::restore(policy, Snapshot::default(), taken)
    }

    /// An entity as its last commit left it. `taken` is the highest stream sequence it can have been given: after a start the watermark, after a
    /// load the last message its shard has taken.
    #[must_use]
    pub fn restore(policy: Arc<Policy>, mut snapshot: Snapshot, taken: u64) -> Self {
        let recent = Recent::restore(policy.ids, &mut snapshot.slots);
        let newest = snapshot.slots.last().copied();
        let extras = snapshot.extras;
        let position = newest.map(|slot| slot.position).max(extras.position);
        let applied_through = match extras.unapplied {
            Some(unapplied) if newest.is_none_or(|slot| slot.count <= unapplied.count) => unapplied.through,
            _ => position,
        };
        let mut reread_below = newest.map_or(0, |slot| slot.done_below).max(extras.done_below);
        let mut work = Rare::<Pending<T>>::none();
        if let Some(waiting) = snapshot.waiting {
            work.waiting = Some(waiting);
            reread_below = reread_below.max(waiting.from);
            if waiting.from <= taken {
                let to = if mutant!(DroppedEndForgottenAtRestart) { waiting.from } else { taken };
                work.dropped = Some(Dropped { from: waiting.from, to });
            }
        }
        Self {
            anchored: position.is_some(),
            position: position.unwrap_or_default(),
            recent,
            count: newest.map_or(0, |slot| slot.count),
            history: Rare::from(Remembered {
                past: extras.past,
                floor: Floor::restore(extras.floor, extras.floor_through, extras.floors),
                given_up: GivenUp::restore(extras.given_up),
                fates: extras.fates.into_iter().filter(|fate| *fate >= reread_below).collect(),
                lost: NamedLost::restore(extras.lost),
                redriven: Letters::restore(extras.redriven, extras.redriven_forgotten),
            }),
            judged: reread_below.saturating_sub(1),
            reread_below,
            work,
            told: position.is_some(),
            dirty: false,
            due: false,
            verdict: false,
            taken,
            in_flight: 0,
            blocked: false,
            stopped: false,
            unreadable: false,
            // Whoever knows that the handlers are called releases it; a restored one is no reason to call them.
            barred: snapshot.waiting.is_some_and(|waiting| waiting.reason == WaitReason::Breaker),
            applied_through,
            seen: extras.seen,
            policy,
        }
    }

    /// An entity whose record cannot be read: it parks (`record`) and is never taken for a new one. `waiting` is what its own key still tells.
    #[must_use]
    pub fn unreadable(policy: Arc<Policy>, waiting: Option<Waiting>, taken: u64) -> Self {
        let mut this = Self::restore(policy, Snapshot { waiting, ..Snapshot::default() }, taken);
        this.unreadable = true;
        this
    }

    /// So many commits count as on their way from the start: the shell answers each with `Committed` once there is room for what they may emit.
    pub fn withhold(&mut self, commits: u32) {
        self.in_flight = self.in_flight.saturating_add(commits);
    }

    /// The reader has handed on everything up to this stream sequence; step with `Tick` afterwards.
    pub fn read_through(&mut self, stream_sequence: u64) {
        self.taken = self.taken.max(stream_sequence);
    }

    /// Gives back the memory of what is finished. For an entity in memory that will not be stepped for a while: a step that has something to do takes it
    /// again, where otherwise in-order steps allocate nothing.
    pub fn rest(&mut self) {
        self.work.rest();
        self.history.rest();
    }

    /// Handles one input. Total: any input in any state is answered with effects, never with a panic.
    pub fn step(&mut self, now: Now, input: Input<T>, out: &mut Vec<Effect<T>>) {
        let now = if mutant!(GapTimerOnWallClock) { Now { stream: now.host, ..now } } else { now };
        match input {
            Input::Arrived(arrival) => self.arrived(now, arrival, out),
            Input::Applied => self.applied(now, out),
            Input::Failed(failure) => self.failed(now, failure, out),
            Input::Undelivered => {
                if let Some(current) = &mut self.work.current {
                    current.running = false;
                }
                if let Some(redriving) = &mut self.work.redriving {
                    redriving.running = false;
                }
            }
            Input::Barred => self.bar(now, out),
            Input::Released => self.barred = false,
            Input::Committed => {
                self.in_flight = self.in_flight.saturating_sub(1);
                if mutant!(ArrivalsAfterCatchUpCommit) && self.work.waiting.is_none() && self.in_flight == 0 {
                    self.due = false;
                }
            }
            Input::Tick => {}
            Input::PassStarted { gone_below } => self.pass_started(now, gone_below, out),
            Input::PassArrived(arrival) => self.pass_arrived(now, arrival, out),
            Input::PassEnded { to } => self.pass_ended(now, to, out),
            Input::PassFailed => self.pass_failed(now, out),
            Input::Gone { first, last } => self.gone(now, first, last, out),
            Input::OutputsBlocked => self.outputs_blocked(now, out),
            Input::OutputsFree => self.blocked = false,
            Input::OutputsRefused => {
                self.blocked = false;
                self.wait(now, WaitReason::OutputUndeliverable, None, None, out);
            }
            Input::Shed => self.shed(now, out),
            Input::Operator(word) => self.operator(now, word, out),
            Input::Redrive { dead, arrival, out_of_order } => self.redrive(dead, arrival, out_of_order, out),
            Input::Forget => self.forget(out),
            Input::Retire => self.retire(now, out),
        }
        self.pump(now, out);
        self.redrive_refused(out);
        self.verdict = false;
        debug_assert!(self.work.dropped.is_none() || self.work.waiting.is_some(), "what is dropped waits");
    }

    /// Goes on with whatever can go on.
    fn pump(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        self.drop_stale_skip(out);
        while !self.stopped && !self.unreadable && !self.blocked && self.in_flight < self.policy.commits_max {
            if self.running() || self.redrive_turn(out) {
                return;
            }
            let parked = self.work.waiting.is_some_and(|waiting| waiting.parked() && waiting.reason != WaitReason::Gap);
            if parked || self.barred {
                return;
            }
            if let Some(current) = self.work.taken_from().and_then(|work| work.current.take()) {
                if self.work.skip == Some(current.arrival.place) {
                    self.skip_head(now, current, out);
                    continue;
                }
                if self.work.waiting.is_some_and(|waiting| waiting.alarm.is_some_and(|alarm| !alarm.rung(now))) {
                    self.work.current = Some(current);
                    return;
                }
                self.start(current.arrival, current.late, out);
                return;
            }
            // A retry whose event left memory: nothing of the entity moves before its alarm.
            if self.work.waiting.is_some_and(|w| w.reason == WaitReason::Retry && w.alarm.is_some_and(|alarm| !alarm.rung(now))) {
                return;
            }
            match self.next_ready() {
                Some((arrival, late)) => {
                    self.work.gap_since = None;
                    if self.work.skip == Some(arrival.place) {
                        let current = Current { arrival, late, attempt: 0, running: false };
                        self.skip_head(now, current, out);
                    } else if !late && self.recent.knows(arrival.id) {
                        self.known_id(now, &arrival, out);
                    } else {
                        self.start(arrival, late, out);
                        return;
                    }
                }
                None => {
                    if !self.stuck(now, out) {
                        return;
                    }
                }
            }
        }
    }

    /// The next event whose turn it is: late ones first, then the queue, then what was held for exactly this place.
    fn next_ready(&mut self) -> Option<(Arrival<T>, bool)> {
        let work = self.work.taken_from()?;
        if let Some(late) = work.lates.pop_front() {
            return Some((late, true));
        }
        if let Some(arrival) = work.queue.pop() {
            return Some((arrival, false));
        }
        let lowest = self.work.held.lowest()?;
        if lowest.epoch > self.position.epoch && (self.work.dropped.is_none() || self.verdict) && self.anchored {
            self.begin_epoch(lowest.epoch);
        }
        if self.anchored && lowest == self.next_place() {
            return self.work.held.remove(lowest).map(|arrival| (arrival, false));
        }
        None
    }

    /// The lower epoch has nothing left: the position starts anew.
    fn begin_epoch(&mut self, epoch: u64) {
        if self.history.past.len() >= PAST_MAX {
            let oldest = self.history.past.remove(0);
            let judged = self.judged_through();
            self.history.floor.rise(Place { epoch: oldest.epoch, sequence: u64::MAX }, judged);
        }
        self.history.past.retain(|last| last.epoch != self.position.epoch);
        self.history.past.push(self.position);
        self.dirty = true;
        match self.policy.first {
            First::At(first) => {
                self.position = Place { epoch, sequence: first.saturating_sub(1) };
                self.take_given_up();
            }
            First::Any => {
                self.position = Place { epoch, sequence: 0 };
                self.anchored = false;
            }
        }
    }

    fn start(&mut self, arrival: Arrival<T>, late: bool, out: &mut Vec<Effect<T>>) {
        let tried = self.work.waiting.map_or(Attempts::default(), |waiting| waiting.attempts);
        let attempt = if tried.stream_sequence == arrival.stream_sequence { tried.count.saturating_add(1) } else { 1 };
        out.push(Effect::Deliver { ticket: arrival.ticket.clone(), attempt, late });
        self.work.current = Some(Current { arrival, late, attempt, running: true });
    }

    /// A known id under a new sequence: a duplicate whose sequence still counts.
    fn known_id(&mut self, now: Now, arrival: &Arrival<T>, out: &mut Vec<Effect<T>>) {
        self.move_to(arrival.place);
        self.commit(now, Some(arrival), None, None, Some((arrival.stream_sequence, Some(Outcome::Duplicate))), out);
    }

    fn applied(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        if self.redrive_running() && self.redrive_applied(now, out) {
            return;
        }
        let Some(current) = self.work.current.take_if(|current| current.running) else {
            return;
        };
        let Current { arrival, late, attempt, .. } = current;
        self.finished(&arrival, late);
        self.applied_through = self.applied_through.max(Some(arrival.place));
        let applied = Applied { ticket: arrival.ticket.clone(), attempt, redriven: None };
        self.commit(now, Some(&arrival), Some(applied), None, Some((arrival.stream_sequence, Some(Outcome::Applied))), out);
    }

    /// The head is done with, one way or the other.
    fn finished(&mut self, arrival: &Arrival<T>, late: bool) {
        if late {
            self.history.given_up.carve(arrival.place);
            self.trim_ranges();
            if arrival.place <= self.history.floor.at() {
                self.remember_fate(arrival.stream_sequence);
            }
            self.dirty = true;
        } else {
            self.move_to(arrival.place);
        }
    }

    fn failed(&mut self, now: Now, failure: Failure, out: &mut Vec<Effect<T>>) {
        if self.redrive_running() && self.redrive_failed(failure.reason, out) {
            return;
        }
        let Some(current) = &mut self.work.current else { return };
        if !current.running {
            return;
        }
        current.running = false;
        let attempts = Attempts { stream_sequence: current.arrival.stream_sequence, count: current.attempt };
        let place = current.arrival.place;
        let retry = usize::try_from(current.attempt).ok().and_then(|n| self.policy.retry.get(n.saturating_sub(1))).copied();
        if self.work.skip == Some(place)
            && let Some(current) = self.work.current.take()
        {
            return self.skip_head(now, current, out);
        }
        // An operator parked it while it ran: it stays so, and remembers the attempt.
        if let Some(waiting) = self.work.waiting.filter(|waiting| waiting.parked() && waiting.reason != WaitReason::Gap) {
            self.wait_with(now, waiting.reason, None, attempts, None, out);
            return;
        }
        match (failure.reason, retry, self.policy.failure_then) {
            // Another attempt would find the same state, and the event is not to blame.
            (reason @ DeadReason::Migration, ..) => self.wait_with(now, WaitReason::Failed(reason), None, attempts, None, out),
            (DeadReason::Rejected, ..) | (_, None, FailureThen::DeadLetter) => {
                self.dead_letter_head(now, failure.reason, failure.error, out)
            }
            (_, Some(delay), _) => {
                let alarm = Alarm::Host(now.host.saturating_add(delay));
                self.wait_with(now, WaitReason::Retry, Some(alarm), attempts, None, out);
            }
            (reason, None, FailureThen::Park) => self.wait_with(now, WaitReason::Failed(reason), None, attempts, None, out),
            (reason, None, FailureThen::Stop) => {
                self.stopped = true;
                out.push(Effect::Stop { reason: StopReason::Failure { place, reason, error: failure.error } });
            }
        }
    }

    /// Gives the head up: its dead letter and the new position become durable together.
    fn dead_letter_head(&mut self, now: Now, reason: DeadReason, error: String, out: &mut Vec<Effect<T>>) {
        let Some(Current { arrival, late, attempt, .. }) = self.work.current.take() else {
            return;
        };
        self.finished(&arrival, late);
        // What was applied last must be known, to tell whether it can be redriven in order.
        self.dirty = true;
        let close = Some((arrival.stream_sequence, Some(Outcome::DeadLettered)));
        let dead = Dead { event: Some(arrival.clone()), reason, error, attempts: attempt, lost: None };
        self.commit(now, Some(&arrival), None, Some(dead), close, out);
    }

    /// What an operator wanted skipped was finished before its turn came, or the entity parked before.
    fn drop_stale_skip(&mut self, out: &mut Vec<Effect<T>>) {
        let Some(place) = self.work.skip else { return };
        let parked = self.work.waiting.is_some_and(|waiting| waiting.parked() && waiting.reason != WaitReason::Gap);
        if parked || self.stopped {
            return self.supersede(out);
        }
        let head = self.work.current.as_ref().is_some_and(|current| current.arrival.place == place);
        if !head && self.anchored && place <= self.position && !self.work.lates.iter().any(|late| late.place == place) {
            self.work.skip = None;
            out.push(Effect::Answer(Answer::Elsewhere { head: self.next_place() }));
        }
    }

    fn skip_head(&mut self, now: Now, current: Current<T>, out: &mut Vec<Effect<T>>) {
        self.work.skip = None;
        self.work.current = Some(current);
        self.dead_letter_head(now, DeadReason::Skipped, String::from("skipped by an operator"), out);
        out.push(Effect::Answer(Answer::Done));
    }

    /// The position moves to `place` and on over what came early and was dead-lettered above it: from here on the position tells that it is
    /// finished, and what stays in the ranges is what never came.
    pub(crate) fn move_to(&mut self, place: Place) {
        self.position = place;
        self.anchored = true;
        self.take_given_up();
        if self.work.dropped.is_some() {
            self.due = true;
        }
        if let Some(pass) = &mut self.work.pass {
            pass.moved = true;
        }
    }

    fn take_given_up(&mut self) {
        // Most have given up nothing, and need no room for it.
        while self.history.given_up.len() > 0
            && let next = self.next_place()
            && let Some(last) = self.history.given_up.take(next)
        {
            self.position.sequence = last;
            self.dirty = true;
        }
    }

    /// Nothing can be delivered because something is missing (not because the store or the handlers are busy).
    pub(crate) fn in_gap(&self) -> bool {
        let idle = self.work.current.is_none() && self.work.queue.is_empty() && self.work.lates.is_empty();
        let next = |lowest: Place| {
            self.anchored && (lowest == self.next_place() || (lowest.epoch > self.position.epoch && self.work.dropped.is_none()))
        };
        idle && self.work.held.lowest().is_some_and(|lowest| !next(lowest))
    }

    /// The place after the position.
    pub(crate) fn next_place(&self) -> Place {
        Place { epoch: self.position.epoch, sequence: self.position.sequence.saturating_add(1) }
    }

    /// No unfinished message of the entity has a lower stream sequence; above `taken` when nothing is unfinished.
    pub(crate) fn lowest_unfinished(&self) -> u64 {
        let mut low = self.taken.saturating_add(1);
        if let Some(current) = &self.work.current {
            low = low.min(current.arrival.stream_sequence);
        }
        let held = self.work.held.lowest_stream().filter(|_| !mutant!(WaitingWithoutHeld));
        for stream_sequence in self.work.queue.lowest_stream().into_iter().chain(held) {
            low = low.min(stream_sequence);
        }
        for late in &self.work.lates {
            low = low.min(late.stream_sequence);
        }
        match (&self.work.pass, &self.work.dropped) {
            (Some(pass), _) => low.min(pass.lowest_unknown()),
            (None, Some(dropped)) => low.min(dropped.from),
            (None, None) => low,
        }
    }

    /// Builds one commit: the slot of `event`, the extras if they changed, and what becomes of `waiting`.
    pub(crate) fn commit(
        &mut self,
        now: Now,
        event: Option<&Arrival<T>>,
        applied: Option<Applied<T>>,
        dead: Option<Dead<T>>,
        close: Option<(u64, Option<Outcome>)>,
        out: &mut Vec<Effect<T>>,
    ) {
        self.see(now, event.map(|event| event.time));
        let low = self.lowest_unfinished();
        let waiting = self.settle_waiting(now, low, event.is_some());
        let slot = event.map(|event| {
            self.count += 1;
            self.told = true;
            self.recent.push(event.place, event.id, event.payload);
            let Arrival { place, id, payload, .. } = *event;
            Slot { count: self.count, position: self.position, done_below: low.max(self.reread_below), place, id, payload }
        });
        let patch = Patch { slot, extras: self.take_extras(low), waiting };
        self.push_change(Change { patch, applied, dead, closes: close, erases: false }, out);
    }

    pub(crate) fn push_change(&mut self, change: Change<T>, out: &mut Vec<Effect<T>>) {
        self.in_flight += 1;
        out.push(Effect::Commit(change));
    }

    /// What a commit that is written anyway does to `waiting`.
    fn settle_waiting(&mut self, now: Now, low: u64, progressed: bool) -> Option<Option<Waiting>> {
        let mut waiting = self.work.waiting?;
        let held_fast = waiting.parked() && waiting.reason != WaitReason::Gap;
        let empty = low > self.taken && low >= waiting.from && self.work.dropped.is_none() && self.work.pass.is_none();
        if empty && !held_fast && !self.blocked {
            if mutant!(ArrivalsAfterCatchUpCommit) {
                self.due = true;
            }
            self.work.waiting = None;
            return Some(None);
        }
        let raise = low >= waiting.from.saturating_add(RAISE_STEP);
        let resume = progressed && !held_fast && waiting.reason != WaitReason::Resuming && !self.blocked;
        if !raise && !resume {
            return None;
        }
        waiting.from = low.max(waiting.from);
        if resume {
            waiting.reason = WaitReason::Resuming;
            waiting.alarm = Some(Alarm::Host(now.host));
            waiting.attempts = Attempts::default();
        }
        self.work.waiting = Some(waiting);
        Some(self.work.waiting)
    }

    /// Only a mutant asks: the commit that cleared `waiting` may be in flight (`due` means nothing else while nothing waits).
    pub(crate) fn freeing(&self) -> bool {
        self.due && self.work.waiting.is_none() && self.in_flight > 0
    }

    pub(crate) fn take_extras(&mut self, low: u64) -> Option<Box<Extras>> {
        if !self.dirty {
            return None;
        }
        self.dirty = false;
        self.told |= self.anchored;
        let done_below = low.max(self.reread_below);
        if !self.history.fates.is_empty() || !self.history.lost.ranges().is_empty() || !self.history.floor.is_none() {
            let judged = self.judged_through();
            self.history.fates = self.history.fates.split_off(&done_below);
            self.history.lost.forget_below(done_below);
            self.history.floor.judged(judged);
        }
        Some(Box::new(Extras {
            // Between two epochs the last position of the lower one still tells what is finished.
            position: if self.anchored { Some(self.position) } else { self.history.past.last().copied() },
            done_below,
            floor: self.history.floor.at(),
            floor_through: self.history.floor.through(),
            floors: self.history.floor.lower().to_vec(),
            past: self.history.past.clone(),
            given_up: self.history.given_up.ranges().to_vec(),
            fates: self.history.fates.iter().copied().collect(),
            lost: self.history.lost.ranges().to_vec(),
            unapplied: (self.applied_through < self.position()).then_some(Unapplied { through: self.applied_through, count: self.count }),
            redriven: if mutant!(RedriveNotRemembered) { Vec::new() } else { self.history.redriven.known().to_vec() },
            redriven_forgotten: self.history.redriven.forgotten(),
            seen: self.seen,
        }))
    }

    /// State and ids go; what says where the entity stands stays: epoch, position, floor, given-up ranges.
    pub(crate) fn forget(&mut self, out: &mut Vec<Effect<T>>) {
        let empty = self.work.current.is_none() && self.work.queue.is_empty() && self.work.held.is_empty() && self.work.lates.is_empty();
        let open =
            self.work.dropped.is_some() || self.work.pass.is_some() || self.work.redriving.is_some() || self.stopped || self.unreadable;
        if !empty || open || self.work.waiting.is_some() {
            out.push(Effect::Answer(Answer::Owes));
            return;
        }
        let low = self.lowest_unfinished();
        self.recent = Recent::new(self.policy.ids);
        self.count = 0;
        self.dirty = true;
        let patch = Patch { slot: None, extras: self.take_extras(low), waiting: None };
        self.push_change(Change { patch, applied: None, dead: None, closes: None, erases: true }, out);
        out.push(Effect::Answer(Answer::Done));
    }

    /// Keeps the given-up ranges within their bound: the lowest folds into the floor. False when there is no room (all lie above the position).
    pub(crate) fn trim_ranges(&mut self) -> bool {
        while self.history.given_up.len() > self.policy.ranges_max {
            let Some(folded) = self.history.given_up.fold(self.position) else {
                return false;
            };
            let judged = self.judged_through();
            self.history.floor.rise(folded, judged);
        }
        true
    }

    /// Every message of the entity up to here has been decided or lies above the floor: only those may be called duplicates by the floor.
    fn judged_through(&self) -> u64 {
        let judged = match (&self.work.pass, &self.work.dropped) {
            (Some(pass), _) => pass.judged_through(),
            (None, Some(dropped)) => dropped.from.saturating_sub(1),
            (None, None) => self.taken,
        };
        let judged = judged.max(self.judged);
        let current = self.work.current.iter().filter(|current| current.late).map(|current| current.arrival.stream_sequence);
        let lates = self.work.lates.iter().map(|late| late.stream_sequence);
        current.chain(lates).min().map_or(u64::MAX, |late| late.saturating_sub(1)).min(judged)
    }

    /// When to step with `Tick` if nothing else happens.
    #[must_use]
    pub fn next_wakeup(&self) -> Wakeup {
        let mut wakeup = Wakeup::default();
        if self.running()
            || self.stopped
            || self.unreadable
            || self.blocked
            || self.barred
            || self.in_flight >= self.policy.commits_max
            || self.work.pass.is_some()
        {
            return wakeup;
        }
        let idle = self.work.current.is_none()
            && self.work.queue.is_empty()
            && self.work.held.is_empty()
            && self.work.lates.is_empty()
            && self.work.dropped.is_none();
        match self.work.waiting {
            // With nothing in hand the alarm only ends the waiting, once all that it waits for has been read or is gone.
            Some(waiting) if !idle || waiting.from <= self.taken.saturating_add(1) => match waiting.alarm {
                Some(Alarm::Host(at)) => wakeup.host = Some(at),
                Some(Alarm::Stream(at)) => wakeup.stream = Some(at),
                None => {}
            },
            Some(_) => {}
            None => {
                if let (Some(since), Some((_, time))) = (self.work.gap_since, self.work.held.first()) {
                    wakeup.host = Some(since.saturating_add(self.policy.settle));
                    wakeup.stream = Some(time.saturating_add(self.policy.gap_wait));
                }
            }
        }
        wakeup
    }

    /// Whether the actor may leave memory: nothing running, uncommitted or asked for, and nothing queued unless it waits.
    #[must_use]
    pub fn can_leave(&self) -> bool {
        let empty = self.work.current.is_none() && self.work.queue.is_empty() && self.work.held.is_empty() && self.work.lates.is_empty();
        let open = self.work.pass.is_some() || self.dirty || self.stopped || self.work.skip.is_some() || self.work.redriving.is_some();
        // Nothing durable tells what a pass that broke off left unsure.
        let open = open || self.work.unsure_from.is_some();
        !self.running() && self.in_flight == 0 && !open && (empty || self.work.waiting.is_some())
    }

    /// The last place this entity has finished, once it has begun.
    #[must_use]
    pub fn position(&self) -> Option<Place> {
        self.anchored.then_some(self.position)
    }

    /// The durable form of its waiting, as last handed to a commit.
    #[must_use]
    pub fn waiting(&self) -> Option<&Waiting> {
        self.work.waiting.as_ref()
    }

    /// Early events in memory, and the bytes of everything kept in memory.
    #[must_use]
    pub fn held(&self) -> (usize, u64) {
        (self.work.held.len(), self.work.held.bytes() + self.work.queue.bytes())
    }

    /// Whether a catch-up is asked for or reads.
    #[must_use]
    pub fn catching_up(&self) -> bool {
        self.work.pass.is_some()
    }

    /// Whether all that the catch-up still brings will be passed over: the queue is full. Whoever reads for it may end it here, with a `PassEnded` below
    /// the end that was asked for; the next one, once the queue is empty, begins with what was passed over.
    #[must_use]
    pub fn had_enough(&self) -> bool {
        self.work.queue.len() >= self.policy.queue_max && self.work.pass.as_ref().is_some_and(|pass| pass.over_from.is_some())
    }

    /// Whether it only waits for commits, and half of what its queue takes is there: whoever brings its messages had better wait for these commits too, or
    /// what is past its queue has to be read again. It ends by itself, unless commits are [withheld](Self::withhold).
    #[must_use]
    pub fn crowded(&self) -> bool {
        self.in_flight >= self.policy.commits_max && self.work.queue.len() >= (self.policy.queue_max / 2).max(1)
    }

    /// Whether an event is with the handlers now.
    #[must_use]
    pub fn running(&self) -> bool {
        self.work.current.as_ref().is_some_and(|current| current.running) || self.redrive_running()
    }

    /// What an operator's word has to name: the event at the head, or the first place that is missing.
    #[must_use]
    pub fn head_place(&self) -> Place {
        self.work.current.as_ref().map_or_else(|| self.next_place(), |current| current.arrival.place)
    }

    /// At or below it an unknown id is late and is never delivered.
    #[must_use]
    pub fn floor(&self) -> Place {
        self.history.floor.at()
    }

    /// What was given up, ascending. Ranges above the position are early events that were dead-lettered.
    #[must_use]
    pub fn given_up(&self) -> &[crate::snapshot::Range] {
        self.history.given_up.ranges()
    }

    /// Whether anything was ever decided for it, here or in its record.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.told
            || self.unreadable
            || self.anchored
            || self.count > 0
            || self.work.waiting.is_some()
            || self.in_flight > 0
            || !self.work.held.is_empty()
    }

    /// The event at the head could be delivered from memory right behind the running one (the shard keeps a run's instance for it).
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.work.queue.is_empty()
    }
}
