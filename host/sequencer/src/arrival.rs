//! What an arrival is (duplicate, conflict, late, malformed, next, early) and what becomes of it.

use crate::effect::{Dead, Disorder, Effect, Outcome};
use crate::policy::{First, Late};
use crate::sequencer::Sequencer;
use crate::types::{Alarm, Arrival, DeadReason, Now, Place, WaitReason};
use crate::waiting::Dropped;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// What an arrival is, seen from where the entity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Duplicate,
    Conflict,
    /// Given up before it came. Below the floor nobody knows whether it was applied, so it is never delivered.
    Late {
        deliverable: bool,
    },
    Malformed,
    Next,
    Early,
}

impl<T: Clone + 'static> Sequencer<T> {
    /// A message from the live reader.
    pub(crate) fn arrived(&mut self, now: Now, arrival: Arrival<T>, out: &mut Vec<Effect<T>>) {
        let stream_sequence = arrival.stream_sequence;
        self.taken = self.taken.max(stream_sequence);
        if self.stopped {
            return;
        }
        if self.unreadable {
            // Dropped first, so that S does not pass it.
            Dropped::add(&mut self.work.dropped, stream_sequence);
            self.wait(now, WaitReason::Record, None, None, out);
            out.push(Effect::Close { stream_sequence, outcome: None });
            return;
        }
        if mutant!(ArrivalsAfterCatchUpCommit) && self.freeing() {
            out.push(Effect::Close { stream_sequence, outcome: None });
            return;
        }
        if stream_sequence < self.reread_below || self.history.fates.contains(&stream_sequence) {
            self.close(now, stream_sequence, Outcome::Duplicate, out);
            return;
        }
        if self.in_memory(&arrival) {
            // A catch-up read further than the live reader and brought this very message before.
            self.kept(stream_sequence, out);
            return;
        }
        // An entity that has not begun begins with the first message the pass brings, not with what stands behind it.
        let begun = self.anchored || self.policy.first == First::Any;
        let joining = begun && self.work.pass.as_ref().is_some_and(|pass| pass.joining);
        if self.work.dropped.is_some() && !joining && !self.is_missing(arrival.place) {
            self.let_go(arrival.place, stream_sequence, out);
            return;
        }
        self.anchor(arrival.place);
        match self.classify(&arrival) {
            Class::Duplicate => self.close(now, stream_sequence, Outcome::Duplicate, out),
            Class::Conflict => self.conflict(now, arrival, out),
            Class::Late { deliverable } => self.late(now, arrival, deliverable, out),
            Class::Malformed => self.malformed(now, arrival, out),
            Class::Next if self.work.queue.len() < self.policy.queue_max => {
                self.work.queue.push(arrival);
                if self.work.waiting.is_some_and(|waiting| waiting.reason == WaitReason::Gap) && !mutant!(ResumeWithoutAlarm) {
                    // It closes the gap: what waited for it is owed from here on, through a crash too.
                    self.wait(now, WaitReason::Resuming, Some(Alarm::Host(now.host)), None, out);
                }
                self.kept(stream_sequence, out);
            }
            Class::Next => self.overflow(now, stream_sequence, out),
            Class::Early => {
                self.note_gap(arrival.place, out);
                self.hold(now, arrival, out);
            }
        }
    }

    /// A message that a catch-up brings (again). It is closed already; what is in memory or decided is passed by.
    pub(crate) fn pass_arrived(&mut self, now: Now, arrival: Arrival<T>, out: &mut Vec<Effect<T>>) {
        let Some(pass) = &mut self.work.pass else { return };
        let stream_sequence = arrival.stream_sequence;
        if stream_sequence <= pass.cursor || (mutant!(CatchUpEndsOneEarly) && stream_sequence >= pass.to) {
            return;
        }
        pass.cursor = stream_sequence;
        let above = pass.over_above;
        // What lies before its epoch's first event is passed by the position without a word: it is decided when it is read.
        let over = above.is_some_and(|above| arrival.place >= above) && self.before_first(arrival.place).is_none();
        if stream_sequence < self.reread_below || self.history.fates.contains(&stream_sequence) || self.in_memory(&arrival) {
            return;
        }
        if over {
            self.left_memory(arrival.place, stream_sequence);
            return;
        }
        self.anchor(arrival.place);
        match self.classify(&arrival) {
            Class::Duplicate => {}
            Class::Conflict => self.conflict(now, arrival, out),
            Class::Late { deliverable } => self.late(now, arrival, deliverable, out),
            Class::Malformed => self.malformed(now, arrival, out),
            Class::Next if self.work.queue.len() < self.policy.queue_max => self.work.queue.push(arrival),
            Class::Next => self.left_memory(arrival.place, stream_sequence),
            Class::Early if self.room_to_hold() => self.work.held.insert(arrival),
            Class::Early => {
                // Full: the highest makes room, and from there on this pass passes over.
                match self.work.held.highest() {
                    Some(highest) if highest > arrival.place => {
                        if let Some(evicted) = self.work.held.remove(highest) {
                            self.left_memory(evicted.place, evicted.stream_sequence);
                        }
                        self.work.held.insert(arrival);
                    }
                    _ => self.left_memory(arrival.place, stream_sequence),
                }
            }
        }
    }

    /// It leaves memory unfinished: what the running pass has seen is left to the next one, what lies ahead of it to this one.
    pub(crate) fn left_memory(&mut self, place: Place, stream_sequence: u64) {
        match &mut self.work.pass {
            Some(pass) if stream_sequence <= pass.cursor => pass.pass_over(place, stream_sequence),
            _ => Dropped::add(&mut self.work.dropped, stream_sequence),
        }
    }

    /// The very message is in memory already.
    fn in_memory(&self, arrival: &Arrival<T>) -> bool {
        let same = |known: &Arrival<T>| known.stream_sequence == arrival.stream_sequence;
        self.work.current.as_ref().is_some_and(|current| same(&current.arrival))
            || self.work.queue.get(arrival.place).is_some_and(same)
            || self.work.held.get(arrival.place).is_some_and(same)
            || self.work.lates.iter().any(same)
    }

    /// A message with this stream sequence is in memory, wherever its place is: looks at all there are, so not for every arrival.
    pub(crate) fn holds(&self, stream_sequence: u64) -> bool {
        let current = self.work.current.as_ref().map(|current| &current.arrival);
        let mut all = current.into_iter().chain(self.work.queue.iter()).chain(self.work.held.iter()).chain(&self.work.lates);
        all.any(|known| known.stream_sequence == stream_sequence)
    }

    /// The event that an entity with something dropped still takes: the one after the position, when it waits for just that.
    fn is_missing(&self, place: Place) -> bool {
        let idle = self.work.current.is_none() && self.work.queue.is_empty();
        let gap = self.work.waiting.is_some_and(|waiting| waiting.reason == WaitReason::Gap) && self.work.pass.is_none();
        idle && gap && self.anchored && place == self.next_place()
    }

    /// A new entity begins where the policy says, in the epoch of its first event (a malformed one tells nothing).
    fn anchor(&mut self, place: Place) {
        if let (false, First::At(first)) = (self.anchored, self.policy.first)
            && place.sequence.saturating_sub(first.saturating_sub(1)) <= self.policy.jump_max
        {
            self.position = Place { epoch: place.epoch, sequence: first.saturating_sub(1) };
            self.anchored = true;
        }
    }

    fn classify(&self, arrival: &Arrival<T>) -> Class {
        let place = arrival.place;
        let same_or_conflict = |payload: u64| {
            if payload == arrival.payload || mutant!(ConflictAsDuplicate) { Class::Duplicate } else { Class::Conflict }
        };
        if let Some(known) = self.pending(place) {
            return same_or_conflict(known.payload);
        }
        if place.epoch < self.position.epoch {
            return self.classify_past(arrival);
        }
        if place.epoch > self.position.epoch || !self.anchored {
            if self.history.given_up.contains(place) {
                return self.recent.payload_at(place).map_or(Class::Duplicate, same_or_conflict);
            }
            if let Some(class) = self.before_first(place) {
                return class;
            }
            return match self.policy.first {
                First::At(first) if place.sequence.saturating_sub(first.saturating_sub(1)) > self.policy.jump_max => Class::Malformed,
                _ => Class::Early,
            };
        }
        if place <= self.position || self.history.given_up.contains(place) {
            if mutant!(DedupOff) {
                return Class::Next;
            }
            if let Some(payload) = self.recent.payload_at(place) {
                return same_or_conflict(payload);
            }
            if self.history.given_up.contains(place) {
                // Above the position only what came early and was dead-lettered is given up: this is its copy.
                let copy = place > self.position || self.recent.knows(arrival.id) || mutant!(LateAsDuplicate);
                return if copy { Class::Duplicate } else { Class::Late { deliverable: place > self.history.floor.at() } };
            }
            return self.below_floor(arrival).or_else(|| self.before_first(place)).unwrap_or(Class::Duplicate);
        }
        if place.sequence - self.position.sequence > self.policy.jump_max {
            return Class::Malformed;
        }
        if place == self.expected() { Class::Next } else { Class::Early }
    }

    /// A place of an earlier epoch.
    fn classify_past(&self, arrival: &Arrival<T>) -> Class {
        let place = arrival.place;
        if let Some(payload) = self.recent.payload_at(place) {
            return if payload == arrival.payload { Class::Duplicate } else { Class::Conflict };
        }
        let last = self.history.past.iter().find(|last| last.epoch == place.epoch);
        if self.history.given_up.contains(place) {
            // What came early and was dead-lettered lies above the last position of its epoch, or in an epoch that had none.
            let copy = last.map_or(place > self.history.floor.at(), |last| place > *last) || self.recent.knows(arrival.id);
            return if copy { Class::Duplicate } else { Class::Late { deliverable: place > self.history.floor.at() } };
        }
        if let Some(class) = self.below_floor(arrival) {
            return class;
        }
        if let Some(class) = self.before_first(place) {
            return class;
        }
        match last {
            Some(last) if place.sequence <= last.sequence => Class::Duplicate,
            // Never seen, and nothing would remember that it was delivered: not delivered.
            _ => Class::Late { deliverable: false },
        }
    }

    fn below_floor(&self, arrival: &Arrival<T>) -> Option<Class> {
        if arrival.place > self.history.floor.at() {
            return None;
        }
        let known = self.history.floor.knows(arrival.place, arrival.stream_sequence) || self.recent.knows(arrival.id);
        Some(if known { Class::Duplicate } else { Class::Late { deliverable: false } })
    }

    /// Nothing before `first-sequence` was ever waited for: it comes too late, and nothing would remember that it was delivered.
    fn before_first(&self, place: Place) -> Option<Class> {
        let first = if let First::At(first) = self.policy.first { first.max(1) } else { 1 };
        (place.sequence < first).then_some(Class::Late { deliverable: false })
    }

    /// The unfinished event in memory at a place.
    fn pending(&self, place: Place) -> Option<&Arrival<T>> {
        if let Some(current) = self.work.current.as_ref().filter(|current| current.arrival.place == place) {
            return Some(&current.arrival);
        }
        self.work.queue.get(place).or_else(|| self.work.held.get(place)).or_else(|| self.work.lates.iter().find(|late| late.place == place))
    }

    /// The place that would be next in the queue.
    fn expected(&self) -> Place {
        let last = match (self.work.queue.back(), &self.work.current) {
            (Some(back), _) => back.place,
            (None, Some(current)) if !current.late => current.arrival.place,
            _ => return self.next_place(),
        };
        Place { epoch: last.epoch, sequence: last.sequence.saturating_add(1) }
    }

    /// The message is done with. A decision that is not durable yet goes first, in a commit of its own; a copy is a sign of life, too.
    pub(crate) fn close(&mut self, now: Now, stream_sequence: u64, outcome: Outcome, out: &mut Vec<Effect<T>>) {
        if (self.dirty || self.unnoted(now, None)) && !mutant!(DuplicateClosesEarly) {
            self.commit(now, None, None, None, Some((stream_sequence, Some(outcome))), out);
        } else {
            out.push(Effect::Close { stream_sequence, outcome: Some(outcome) });
        }
    }

    /// It is in memory now; while the entity waits, that is enough for its message to close.
    fn kept(&self, stream_sequence: u64, out: &mut Vec<Effect<T>>) {
        if self.work.waiting.is_some() {
            out.push(Effect::Close { stream_sequence, outcome: None });
        }
    }

    /// It leaves memory unfinished; the entity waits already.
    pub(crate) fn let_go(&mut self, place: Place, stream_sequence: u64, out: &mut Vec<Effect<T>>) {
        Dropped::add(&mut self.work.dropped, stream_sequence);
        let lowest = self.work.held.lowest();
        if let Some(pass) = &mut self.work.pass {
            pass.missed |= lowest.is_none_or(|lowest| place < lowest);
        }
        out.push(Effect::Close { stream_sequence, outcome: None });
    }

    /// No room for it: the entity waits, and what comes from here on is read again later.
    fn overflow(&mut self, now: Now, stream_sequence: u64, out: &mut Vec<Effect<T>>) {
        Dropped::add(&mut self.work.dropped, stream_sequence);
        self.due = true;
        if self.work.waiting.is_none() {
            self.wait(now, WaitReason::Overflow, Some(Alarm::Host(now.host)), None, out);
        }
        out.push(Effect::Close { stream_sequence, outcome: None });
    }

    /// Fates and late events count towards `held-max`, but one event can always be held: the entity must be able to go on.
    fn room_to_hold(&mut self) -> bool {
        self.work.held.is_empty() || self.room_for_fate() || mutant!(HeldPastBound)
    }

    fn room_for_fate(&mut self) -> bool {
        let room = |this: &Self| this.work.held.len() + this.work.lates.len() + this.history.fates.len() < this.policy.held_max;
        room(self) || {
            let low = self.lowest_unfinished();
            self.history.fates = self.history.fates.split_off(&low);
            room(self)
        }
    }

    /// Keeps a fate that the position does not tell, until S has passed it.
    pub(crate) fn remember_fate(&mut self, stream_sequence: u64) {
        if self.lowest_unfinished() <= stream_sequence {
            self.history.fates.insert(stream_sequence);
        }
        self.dirty = true;
    }

    /// Whether its fate can be decided now. If not, the message is put off: it leaves memory undecided.
    fn decidable(&mut self, now: Now, stream_sequence: u64, out: &mut Vec<Effect<T>>) -> bool {
        // Each decision may be a dead letter: while those before cannot leave, only so many may be added to them.
        let on_their_way = usize::try_from(self.in_flight.saturating_sub(self.policy.commits_max)).unwrap_or(usize::MAX);
        if !self.blocked && on_their_way < self.policy.held_max && (self.lowest_unfinished() > stream_sequence || self.room_for_fate()) {
            return true;
        }
        match &mut self.work.pass {
            Some(pass) if stream_sequence <= pass.cursor => pass.put_off(stream_sequence),
            _ => self.overflow(now, stream_sequence, out),
        }
        false
    }

    fn hold(&mut self, now: Now, arrival: Arrival<T>, out: &mut Vec<Effect<T>>) {
        let stream_sequence = arrival.stream_sequence;
        if self.room_to_hold() {
            self.work.held.insert(arrival);
            self.kept(stream_sequence, out);
            return;
        }
        let mut gone = (arrival.place, stream_sequence);
        if let Some(highest) = self.work.held.highest().filter(|highest| *highest > arrival.place)
            && let Some(evicted) = self.work.held.remove(highest)
        {
            gone = (evicted.place, evicted.stream_sequence);
            self.work.held.insert(arrival);
        }
        let gap = self.in_gap();
        self.left_memory(gone.0, gone.1);
        // What is in memory closes when the entity begins to wait, and what arrives later at once.
        let closed = if self.work.waiting.is_none() { gone.1 } else { stream_sequence };
        self.wait_for_room(now, gap, out);
        out.push(Effect::Close { stream_sequence: closed, outcome: None });
    }

    /// Something leaves memory: the entity waits, unless it does already.
    pub(crate) fn wait_for_room(&mut self, now: Now, gap: bool, out: &mut Vec<Effect<T>>) {
        if self.work.waiting.is_none() {
            let (reason, alarm) = match self.work.held.first().filter(|_| gap) {
                Some((_, time)) => (WaitReason::Gap, Alarm::Stream(time.saturating_add(self.policy.gap_wait))),
                None => (WaitReason::Overflow, Alarm::Host(now.host)),
            };
            self.wait(now, reason, Some(alarm), None, out);
        }
        self.due |= !gap;
    }

    fn note_gap(&self, place: Place, out: &mut Vec<Effect<T>>) {
        if self.work.held.is_empty() {
            let expected = self.expected();
            let missing = if place.epoch == expected.epoch { place.sequence.saturating_sub(expected.sequence) } else { 0 };
            if missing > 0 && self.anchored {
                out.push(Effect::Disorder(Disorder::Gap(missing)));
            }
        }
    }

    /// A decision that the position does not tell: kept by stream sequence until S has passed it.
    fn dead_letter(&mut self, now: Now, arrival: Arrival<T>, reason: DeadReason, error: String, out: &mut Vec<Effect<T>>) {
        let stream_sequence = arrival.stream_sequence;
        self.remember_fate(stream_sequence);
        let dead = Dead { event: Some(arrival), reason, error, attempts: 0, lost: None };
        self.commit(now, None, None, Some(dead), Some((stream_sequence, Some(Outcome::DeadLettered))), out);
    }

    fn conflict(&mut self, now: Now, arrival: Arrival<T>, out: &mut Vec<Effect<T>>) {
        if !self.decidable(now, arrival.stream_sequence, out) {
            return;
        }
        out.push(Effect::Disorder(Disorder::Conflict));
        let sequence = arrival.place.sequence;
        let error = format!("sequence {sequence} was seen before with another payload; the first one counts");
        self.dead_letter(now, arrival, DeadReason::Conflict, error, out);
    }

    fn malformed(&mut self, now: Now, arrival: Arrival<T>, out: &mut Vec<Effect<T>>) {
        if !self.decidable(now, arrival.stream_sequence, out) {
            return;
        }
        let (sequence, jump_max) = (arrival.place.sequence, self.policy.jump_max);
        let error = format!("sequence {sequence} lies more than jump-max = {jump_max} ahead of position {}", self.position.sequence);
        self.dead_letter(now, arrival, DeadReason::Malformed, error, out);
    }

    fn late(&mut self, now: Now, arrival: Arrival<T>, deliverable: bool, out: &mut Vec<Effect<T>>) {
        let stream_sequence = arrival.stream_sequence;
        if !self.decidable(now, stream_sequence, out) {
            return;
        }
        out.push(Effect::Disorder(Disorder::Late));
        match self.policy.late {
            Late::Drop => {
                // While S may bring it again the drop is remembered, so that it is counted once.
                if self.work.waiting.is_some() || !self.told || self.lowest_unfinished() <= stream_sequence {
                    self.remember_fate(stream_sequence);
                }
                self.close(now, stream_sequence, Outcome::DroppedLate, out);
            }
            Late::Deliver if deliverable => {
                self.work.lates.push_back(arrival);
                self.kept(stream_sequence, out);
            }
            Late::Deliver | Late::DeadLetter => {
                let sequence = arrival.place.sequence;
                let error = format!("sequence {sequence} had been given up before it came (position {})", self.position.sequence);
                self.dead_letter(now, arrival, DeadReason::Late, error, out);
            }
        }
    }
}
