//! A small world around one sequencer: the stream, the readers, the handlers, the store's queue and the clocks, driven by dice or by a script.
//! What the real host does with threads and sockets happens here one thing at a time, so that every interleaving can be had and had again.

use crate::dice::Dice;
use crate::ledger::{Ledger, message};
use crate::plan::{Message, Mode, Plan};
use seriatim_sequencer::{
    Answer, Arrival, Change, DeadReason, Disorder, Effect, Failure, Head, Input, Now, Operator, Outcome, Place, Policy, Redriven,
    Sequencer, StopReason,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

enum Item {
    Commit(Box<Change<u64>>, bool),
    Close(u64, Option<Outcome>),
}

#[derive(Clone, Copy, Debug)]
struct PassReader {
    cursor: u64,
    to: u64,
    started: bool,
}

pub(crate) struct World {
    pub(crate) plan: Plan,
    pub(crate) dice: Dice,
    /// Of their own, so that redrives leave everything else as it was drawn.
    redrives: Dice,
    /// The same for handlers that are not called.
    bars: Dice,
    policy: Arc<Policy>,
    pub(crate) host: u64,
    stream_time: u64,
    /// How many messages the stream has got so far.
    published: usize,
    /// First stream sequence that retention left.
    pub(crate) first: u64,
    pub(crate) ledger: Ledger,
    // Memory.
    pub(crate) sequencer: Option<Sequencer<u64>>,
    effects: Vec<Effect<u64>>,
    next_read: u64,
    opened: BTreeSet<u64>,
    store: VecDeque<Item>,
    acks: u32,
    pub(crate) running: Option<(u64, u32, bool)>,
    pass: Option<PassReader>,
    ended: Option<PassReader>,
    blocked: bool,
    pub(crate) stopped: Option<StopReason>,
    // What was seen.
    pub(crate) steps: u64,
    pub(crate) catch_ups: u64,
    pub(crate) boundaries: u64,
    /// Crash when so many store boundaries have been passed.
    pub(crate) crash_at: Option<u64>,
    pub(crate) crashes: u64,
    pub(crate) answers: Vec<Answer>,
    /// The redrive that is not answered.
    asked: Option<u64>,
    /// Redrives that were applied.
    pub(crate) redrive_answers: u64,
    /// Deliveries that found the handlers not called.
    pub(crate) barred: u64,
    pub(crate) disorders: Vec<Disorder>,
    pub(crate) deliveries: Vec<(u64, u32, bool)>,
    fails_seen: BTreeMap<u64, u32>,
    pub(crate) log: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(plan: Plan) -> Self {
        Self {
            dice: Dice::new(plan.seed ^ 0xABCD),
            redrives: Dice::new(plan.seed ^ 0x5EED),
            bars: Dice::new(plan.seed ^ 0xBA55),
            policy: Arc::new(plan.policy.clone()),
            plan,
            host: 1_000,
            stream_time: 0,
            published: 0,
            first: 1,
            ledger: Ledger::default(),
            sequencer: None,
            effects: Vec::new(),
            next_read: 1,
            opened: BTreeSet::new(),
            store: VecDeque::new(),
            acks: 0,
            running: None,
            pass: None,
            ended: None,
            blocked: false,
            stopped: None,
            steps: 0,
            catch_ups: 0,
            boundaries: 0,
            crash_at: None,
            crashes: 0,
            answers: Vec::new(),
            asked: None,
            redrive_answers: 0,
            barred: 0,
            disorders: Vec::new(),
            deliveries: Vec::new(),
            fails_seen: BTreeMap::new(),
            log: None,
        }
    }

    fn note(&mut self, line: impl FnOnce() -> String) {
        if let Some(log) = &mut self.log {
            log.push(line());
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { host: self.host, stream: self.stream_time }
    }

    /// The last message the shard has taken.
    fn taken(&self) -> u64 {
        self.next_read - 1
    }

    fn arrival(message: &Message) -> Arrival<u64> {
        Arrival {
            ticket: message.stream_sequence,
            place: message.place.unwrap(),
            stream_sequence: message.stream_sequence,
            id: message.id,
            payload: message.payload,
            time: message.time,
            bytes: 10,
        }
    }

    pub(crate) fn load(&mut self) {
        if self.sequencer.is_none() {
            let taken = self.taken();
            self.note(|| format!("load, taken {taken}"));
            self.sequencer = Some(Sequencer::restore(Arc::clone(&self.policy), self.ledger.snapshot(), taken));
        }
    }

    /// One input, and everything that follows from it.
    pub(crate) fn step(&mut self, input: Input<u64>) -> usize {
        self.load();
        let now = self.now();
        self.note(|| format!("[{} {}] {input:?}", now.host, now.stream));
        let mut effects = std::mem::take(&mut self.effects);
        let sequencer = self.sequencer.as_mut().unwrap();
        sequencer.step(now, input, &mut effects);
        self.steps += 1;
        let status = sequencer.status(now);
        // Some rest and some do not: it makes no difference to anything that follows.
        if self.steps.is_multiple_of(2) {
            sequencer.rest();
            assert_eq!(sequencer.status(now), status, "rested");
        }
        assert!(!status.sentence().is_empty());
        assert!(sequencer.held().0 <= self.policy.held_max, "held {}", sequencer.held().0);
        assert!(status.queued <= self.policy.queue_max, "queued {}", status.queued);
        assert_eq!(sequencer.running(), matches!(status.head, Head::Running(_)) || (status.head == Head::Stopped && sequencer.running()));
        let count = effects.len();
        assert!(count <= 4 * (self.policy.held_max + self.policy.queue_max) + 20, "a storm of {count} effects");
        for effect in effects.drain(..) {
            self.perform(effect);
        }
        self.effects = effects;
        assert_eq!(self.sequencer.as_ref().unwrap().running(), self.running.is_some(), "what runs is what was delivered");
        count
    }

    fn perform(&mut self, effect: Effect<u64>) {
        self.note(|| format!("    {effect:?}"));
        match effect {
            Effect::Deliver { ticket, attempt, late } => {
                assert!(self.running.is_none(), "two deliveries at once");
                assert!(self.stopped.is_none(), "a delivery after the stop");
                let place = message(&self.plan, ticket).place;
                let again = self.ledger.applied.iter().any(|(applied, _)| message(&self.plan, *applied).place == place);
                assert!(!again, "delivered although applied: {place:?}");
                let failed = self.fails_seen.get(&ticket).copied().unwrap_or(0);
                assert!(attempt >= 1 && attempt <= failed + 1, "attempt {attempt} after {failed} failures");
                assert!(attempt as usize <= self.policy.retry.len() + 1, "attempt {attempt} of {}", self.policy.retry.len() + 1);
                self.running = Some((ticket, attempt, late));
                self.deliveries.push((ticket, attempt, late));
            }
            Effect::Commit(change) => {
                let late = change
                    .applied
                    .as_ref()
                    .is_some_and(|applied| self.deliveries.last().is_some_and(|last| last.0 == applied.ticket && last.2));
                self.store.push_back(Item::Commit(Box::new(change), late));
            }
            Effect::Close { stream_sequence, outcome } => self.store.push_back(Item::Close(stream_sequence, outcome)),
            Effect::CatchUp { from, to } => {
                assert!(self.pass.is_none(), "two catch-ups at once");
                assert!(from <= to, "an empty catch-up {from}..{to}");
                assert!(to <= self.taken(), "a catch-up beyond what was read");
                self.catch_ups += 1;
                self.pass = Some(PassReader { cursor: from - 1, to, started: false });
            }
            Effect::ExtendCatchUp { to } => {
                let pass = self.ended.take().expect("nothing to extend");
                assert!(to > pass.to && to <= self.taken(), "extended from {} to {to}", pass.to);
                self.pass = Some(PassReader { to, ..pass });
            }
            Effect::Stop { reason } => self.stopped = Some(reason),
            Effect::Disorder(disorder) => self.disorders.push(disorder),
            Effect::Answer(answer) => self.answers.push(answer),
            Effect::Redriven { dead, answer } => {
                assert_eq!(self.asked.take(), Some(dead), "answered once: {answer:?}");
                self.redrive_answers += u64::from(matches!(answer, Redriven::Done { .. }));
            }
        }
    }

    // What can happen, one thing at a time. Each returns whether it could.

    pub(crate) fn publish(&mut self) -> bool {
        let Some(message) = self.plan.messages.get_mut(self.published) else {
            return false;
        };
        self.published += 1;
        self.host = self.host.max(message.time);
        // The broker stamps what it gets when it gets it.
        message.time = self.host;
        true
    }

    /// The first published message at or above a stream sequence.
    fn at_or_above(&self, stream_sequence: u64) -> Option<Message> {
        let at = self.plan.messages.partition_point(|message| message.stream_sequence < stream_sequence);
        self.plan.messages[..self.published].get(at).copied()
    }

    pub(crate) fn read(&mut self) -> bool {
        if self.stopped.is_some() {
            return false;
        }
        if self.next_read < self.first {
            let gone = (self.next_read, self.first - 1);
            self.note(|| format!("the live reader finds {gone:?} gone"));
            self.ledger.lost.push(gone);
            self.next_read = self.first;
        }
        let Some(next) = self.at_or_above(self.next_read) else {
            return false;
        };
        self.opened.insert(next.stream_sequence);
        self.stream_time = self.stream_time.max(next.time);
        if next.place.is_some() {
            self.load();
            self.next_read = next.stream_sequence + 1;
            self.step(Input::Arrived(Self::arrival(&next)));
        } else {
            self.next_read = next.stream_sequence + 1;
            self.store.push_back(Item::Close(next.stream_sequence, Some(Outcome::Duplicate)));
        }
        true
    }

    /// The oldest item of the store's queue becomes durable.
    pub(crate) fn persist(&mut self) -> bool {
        if self.store.is_empty() {
            return false;
        }
        self.boundaries += 1;
        if self.crash_at == Some(self.boundaries) {
            self.crash();
            return true;
        }
        match self.store.pop_front() {
            Some(Item::Commit(change, late)) => {
                self.note(|| format!("durable: {change:?}"));
                self.ledger.write(&self.plan, &change, late);
                for (stream_sequence, _) in change.closes.into_iter() {
                    self.opened.remove(&stream_sequence);
                }
                self.acks += 1;
            }
            Some(Item::Close(stream_sequence, outcome)) => {
                self.note(|| format!("durable: close {stream_sequence} {outcome:?}"));
                self.opened.remove(&stream_sequence);
                if message(&self.plan, stream_sequence).place.is_some() {
                    self.ledger.close(&self.plan, stream_sequence, outcome);
                }
            }
            None => {}
        }
        let watermark = self.opened.first().map_or(self.next_read - 1, |open| open - 1);
        assert!(watermark >= self.ledger.watermark, "the watermark fell from {} to {watermark}", self.ledger.watermark);
        self.ledger.watermark = watermark;
        self.ledger.check(&self.plan);
        true
    }

    pub(crate) fn acknowledge(&mut self) -> bool {
        if self.acks == 0 {
            return false;
        }
        self.acks -= 1;
        self.step(Input::Committed);
        true
    }

    pub(crate) fn handle(&mut self) -> bool {
        let Some((ticket, attempt, _)) = self.running.take() else {
            return false;
        };
        if self.dice.once_in(self.plan.faults.undelivered) {
            self.step(Input::Undelivered);
            return true;
        }
        if self.bars.once_in(self.plan.faults.bars) {
            self.barred += 1;
            self.step(Input::Barred);
            return true;
        }
        let script = *message(&self.plan, ticket);
        let failure = if attempt <= script.fails { Some(script.fail_with) } else { script.reject.then_some(DeadReason::Rejected) };
        match failure {
            Some(reason) => {
                let seen = self.fails_seen.entry(ticket).or_insert(0);
                *seen = attempt.max(*seen);
                self.step(Input::Failed(Failure { reason, error: String::from("scripted") }))
            }
            None => self.step(Input::Applied),
        };
        true
    }

    /// The catch-up reader does one thing.
    pub(crate) fn catch_up(&mut self) -> bool {
        let Some(mut pass) = self.pass else { return false };
        if !pass.started {
            pass.started = true;
            pass.cursor = pass.cursor.max(self.first - 1);
            self.pass = Some(pass);
            self.step(Input::PassStarted { gone_below: self.first });
            return true;
        }
        if pass.cursor + 1 < self.first && pass.cursor < pass.to {
            // Retention overtook the reader: it starts anew or breaks off, so that what is gone is named.
            return if self.dice.once_in(2) { self.pass_fails() } else { self.pass_reopens() };
        }
        if self.sequencer.as_ref().is_some_and(Sequencer::had_enough) && self.dice.once_in(2) {
            self.pass = None;
            self.step(Input::PassEnded { to: 0 });
            return true;
        }
        while let Some(next) = self.at_or_above(pass.cursor + 1).filter(|next| next.stream_sequence <= pass.to) {
            pass.cursor = next.stream_sequence;
            if next.place.is_some() {
                self.pass = Some(pass);
                self.step(Input::PassArrived(Self::arrival(&next)));
                return true;
            }
        }
        // Over, unless the answer extends it.
        self.pass = None;
        self.ended = Some(pass);
        self.step(Input::PassEnded { to: pass.to });
        self.ended = None;
        true
    }

    /// The catch-up's reader had to start anew: it says again what the stream still has.
    pub(crate) fn pass_reopens(&mut self) -> bool {
        if let Some(pass) = &mut self.pass {
            pass.started = false;
        }
        self.pass.is_some()
    }

    pub(crate) fn pass_fails(&mut self) -> bool {
        if self.pass.take().is_none() {
            return false;
        }
        self.step(Input::PassFailed);
        true
    }

    /// A heartbeat at the head: stream time follows host time.
    pub(crate) fn heartbeat(&mut self) -> bool {
        if self.stopped.is_some() || self.at_or_above(self.next_read).is_some() {
            return false;
        }
        self.stream_time = self.stream_time.max(self.host);
        true
    }

    /// Steps with `Tick` as long as a wake-up is due; loads the entity when its alarm rings.
    pub(crate) fn tick(&mut self) -> bool {
        let now = self.now();
        if self.sequencer.is_none() {
            let rings = self.ledger.waiting.and_then(|waiting| waiting.alarm).is_some_and(|alarm| alarm.rung(now));
            if !rings {
                return false;
            }
            self.step(Input::Tick);
        }
        let barred = self.sequencer.as_ref().is_some_and(Sequencer::barred);
        if barred && (self.plan.faults.bars == 0 || self.bars.once_in(3)) {
            self.step(Input::Released);
        }
        for _ in 0..8 {
            let Some(sequencer) = &self.sequencer else { return true };
            let wakeup = sequencer.next_wakeup();
            let due = wakeup.host.is_some_and(|at| at <= now.host) || wakeup.stream.is_some_and(|at| at <= now.stream);
            if !due {
                return true;
            }
            self.step(Input::Tick);
        }
        panic!(
            "busy loop: next_wakeup stays due: {:?}, {:?}",
            self.sequencer.as_ref().unwrap().next_wakeup(),
            self.sequencer.as_ref().unwrap().status(now)
        );
    }

    /// To the next wake-up, at most.
    pub(crate) fn pass_time(&mut self, longest: u64) {
        let mut step = longest;
        if let (Mode::InTime, Some(next)) = (self.plan.mode, self.plan.messages.get(self.published)) {
            // The producer does not wait for this host.
            step = step.min(next.time.saturating_sub(self.host));
        }
        if let Some(sequencer) = &self.sequencer {
            let wakeup = sequencer.next_wakeup();
            for at in wakeup.host.into_iter().chain(wakeup.stream) {
                if at > self.host {
                    step = step.min(at - self.host);
                }
            }
        }
        self.host += step;
    }

    pub(crate) fn leave(&mut self) -> bool {
        if !self.sequencer.as_ref().is_some_and(Sequencer::can_leave) {
            return false;
        }
        assert!(self.running.is_none() && self.pass.is_none() && self.acks == 0);
        assert!(!self.store.iter().any(|item| matches!(item, Item::Commit(..))), "left with a commit in flight");
        self.note(|| String::from("leave"));
        self.sequencer = None;
        self.blocked = false;
        true
    }

    pub(crate) fn crash(&mut self) {
        self.note(|| String::from("CRASH"));
        self.crashes += 1;
        self.sequencer = None;
        self.store.clear();
        self.acks = 0;
        self.running = None;
        self.pass = None;
        self.blocked = false;
        self.asked = None;
        self.stopped = None;
        self.opened.clear();
        self.ledger.crash();
        let watermark = self.ledger.watermark;
        self.next_read = watermark + 1;
        let at = self.plan.messages.partition_point(|message| message.stream_sequence <= watermark);
        self.stream_time = at.checked_sub(1).map_or(0, |at| self.plan.messages[at].time);
        self.ledger.check(&self.plan);
    }

    pub(crate) fn outputs(&mut self, input: Input<u64>) -> bool {
        if self.stopped.is_some() {
            return false;
        }
        self.blocked = matches!(input, Input::OutputsBlocked);
        self.step(input);
        true
    }

    pub(crate) fn trim(&mut self, below: u64) {
        self.first = self.first.max(below);
        let first = self.first;
        self.note(|| format!("retention: first is {first}"));
    }

    /// The place an operator would name: the head, or the first missing.
    pub(crate) fn head(&mut self) -> Place {
        self.load();
        let sequencer = self.sequencer.as_ref().unwrap();
        match sequencer.status(self.now()).head {
            Head::Running(place) | Head::Missing(place) | Head::Retrying { place, .. } => place,
            _ => {
                // Ask with a wrong place: the answer names the right one.
                let nowhere = Place { epoch: u64::MAX, sequence: u64::MAX };
                self.step(Input::Operator(Operator::Resume { place: nowhere }));
                match self.answers.last() {
                    Some(Answer::Elsewhere { head }) => *head,
                    other => panic!("no head: {other:?}"),
                }
            }
        }
    }

    pub(crate) fn say(&mut self, word: Operator) -> bool {
        if self.stopped.is_some() {
            return false;
        }
        self.step(Input::Operator(word));
        true
    }

    /// An operator redrives one of the dead letters, or one that was redriven before; in order only.
    fn redrive(&mut self) {
        if self.asked.is_some() || self.stopped.is_some() {
            return;
        }
        let letters: Vec<u64> = self.ledger.dead.keys().chain(&self.ledger.redriven).copied().collect();
        if letters.is_empty() {
            return;
        }
        let dead = self.redrives.pick(&letters);
        self.asked = Some(dead);
        let arrival = Self::arrival(message(&self.plan, dead));
        self.step(Input::Redrive { dead, arrival, out_of_order: false });
    }

    /// One round of dice.
    pub(crate) fn round(&mut self) {
        let faults = self.plan.faults;
        let slow = |dice: &mut Dice, speed: u64| dice.range(1, 10) <= speed;
        if self.dice.once_in(3) {
            self.publish();
        }
        if slow(&mut self.dice, faults.reader_speed) {
            self.read();
        }
        if slow(&mut self.dice, faults.store_speed) {
            self.persist();
            if self.dice.once_in(2) {
                self.acknowledge();
            }
        }
        if slow(&mut self.dice, faults.handler_speed) {
            self.handle();
        }
        if slow(&mut self.dice, faults.pass_speed) {
            self.catch_up();
        }
        if self.dice.once_in(faults.time) {
            let longest = self.dice.pick(&[1, 100, 1_000, 30_000]);
            self.pass_time(longest);
            if self.dice.once_in(2) {
                self.heartbeat();
            }
        }
        self.tick();
        if self.dice.once_in(faults.leave) {
            self.leave();
        }
        if self.dice.once_in(faults.pass_fails) {
            self.pass_fails();
        }
        if self.dice.once_in(faults.pass_fails) {
            self.pass_reopens();
        }
        if self.dice.once_in(faults.shed) && self.sequencer.is_some() {
            self.step(Input::Shed);
        }
        if self.dice.once_in(faults.outputs) {
            let input = if self.blocked || self.dice.once_in(3) { Input::OutputsFree } else { Input::OutputsBlocked };
            self.outputs(input);
        }
        if self.dice.once_in(faults.refused) {
            self.outputs(Input::OutputsRefused);
        }
        if self.dice.once_in(faults.park) {
            self.say(Operator::Park);
        }
        if self.dice.once_in(faults.resume) {
            let place = self.head();
            self.say(Operator::Resume { place });
        }
        if self.dice.once_in(faults.skip) {
            let place = self.head();
            self.say(Operator::Skip { place });
        }
        if self.redrives.once_in(faults.redrive) {
            self.redrive();
        }
        if self.dice.once_in(faults.retention) && self.published > 0 {
            let newest = self.plan.messages[self.published - 1].stream_sequence;
            let below = self.dice.range(self.first.min(newest), newest);
            self.trim(below);
        }
        if self.dice.once_in(faults.crash) || (self.stopped.is_some() && self.dice.once_in(10)) {
            self.crash();
        }
    }

    /// Faults stop: everything works at once, time advances. Returns false when it does not come to rest.
    pub(crate) fn settle(&mut self) -> bool {
        (self.plan.faults.undelivered, self.plan.faults.bars) = (0, 0);
        if self.blocked {
            self.outputs(Input::OutputsFree);
        }
        let catch_ups = self.catch_ups;
        let mut idle = 0;
        for _ in 0..20_000 {
            let mut moved = self.publish();
            moved |= self.read();
            while self.persist() {
                moved = true;
            }
            while self.acknowledge() {
                moved = true;
                while self.persist() {}
            }
            moved |= self.handle();
            moved |= self.catch_up();
            let before = self.steps;
            self.heartbeat();
            self.tick();
            moved |= self.steps != before;
            if moved {
                idle = 0;
                continue;
            }
            idle += 1;
            if idle > 40 {
                let storm = self.catch_ups - catch_ups;
                assert!(storm <= 20 + 4 * self.plan.messages.len() as u64, "{storm} catch-ups for {} messages", self.plan.messages.len());
                return true;
            }
            self.pass_time(100_000);
        }
        false
    }

    pub(crate) fn unread(&self) -> bool {
        self.at_or_above(self.next_read).is_some()
    }
}
