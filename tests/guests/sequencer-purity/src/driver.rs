//! Drives the sequencer at random and folds every effect into one number. Compiled twice: into the guest, and into the test that compares.
//!
//! It plays the host's side of the driving contract roughly, crashes included; whether what the sequencer decides is *right* is judged
//! elsewhere (`host/sequencer`). Here only sameness counts, so every effect, wake-up and status goes into the fingerprint.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Debug, Write};
use std::sync::Arc;

use seriatim_sequencer::{
    Arrival, DeadReason, Effect, Failure, FailureThen, First, GapThen, Input, Late, Now, Operator, Patch, Place, Policy, Sequencer,
    Snapshot,
};

/// What a drive came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Over the text of every effect, wake-up and status.
    pub(crate) fingerprint: u64,
    /// How often the core asked for each of these: a drive that reached none proves nothing.
    pub(crate) delivered: u32,
    pub(crate) committed: u32,
    pub(crate) caught_up: u32,
    pub(crate) dead: u32,
    pub(crate) answered: u32,
    pub(crate) restored: u32,
}

/// The messages that a restart reads again.
const REREAD: usize = 64;

/// Steps of one entity: a parked one must not use up the whole drive.
const STEPS_OF_ENTITY: u32 = 400;

/// Runs `steps` random steps, through many entities with policies of their own.
pub(crate) fn drive(seed: u64, steps: u32) -> Tally {
    let mut random = Random(seed.wrapping_mul(2) | 1);
    let mut fold = Fold(0xcbf2_9ce4_8422_2325);
    let mut tally = Tally::default();
    let mut left = steps;
    while left > 0 {
        let mut world = World::new(random, fold, tally);
        for _ in 0..left.min(STEPS_OF_ENTITY) {
            world.step();
        }
        left = left.saturating_sub(STEPS_OF_ENTITY);
        World { random, fold, tally, .. } = world;
    }
    tally.fingerprint = fold.0;
    tally
}

struct World {
    random: Random,
    policy: Arc<Policy>,
    sequencer: Sequencer<u64>,
    now: Now,
    stream: Vec<Arrival<u64>>,
    top: Place,
    running: bool,
    /// Handed to the store, not durable yet.
    commits: VecDeque<Patch>,
    durable: Durable,
    pass: Option<Pass>,
    effects: Vec<Effect<u64>>,
    stopped: bool,
    fold: Fold,
    tally: Tally,
}

/// The record, as a store keeps it.
#[derive(Default)]
struct Durable {
    slots: BTreeMap<u64, seriatim_sequencer::Slot>,
    rest: Snapshot,
}

/// A catch-up that reads.
struct Pass {
    next: u64,
    to: u64,
    started: bool,
}

impl World {
    fn new(mut random: Random, fold: Fold, tally: Tally) -> Self {
        let policy = Arc::new(policy(&mut random));
        Self {
            sequencer: Sequencer::restore(Arc::clone(&policy), Snapshot::default(), 0),
            policy,
            random,
            now: Now { host: 1_000_000, stream: 1_000_000 },
            stream: Vec::new(),
            top: Place::default(),
            running: false,
            commits: VecDeque::new(),
            durable: Durable::default(),
            pass: None,
            effects: Vec::new(),
            stopped: false,
            fold,
            tally,
        }
    }

    fn step(&mut self) {
        if self.stopped || self.random.one_in(400) {
            self.crash();
        }
        match self.random.below(16) {
            0..=2 => self.arrive(),
            3..=6 => self.answer_delivery(),
            7..=11 => self.answer_commit(),
            12 => self.tick(),
            13 | 14 => self.answer_catch_up(),
            _ => self.interfere(),
        }
        self.fold.add(&self.sequencer.next_wakeup());
        if self.random.one_in(16) {
            self.fold.add(&self.sequencer.status(self.now));
        }
    }

    fn input(&mut self, input: Input<u64>) {
        self.sequencer.step(self.now, input, &mut self.effects);
        for effect in std::mem::take(&mut self.effects) {
            self.fold.add(&effect);
            match effect {
                Effect::Deliver { .. } => {
                    self.running = true;
                    self.tally.delivered += 1;
                }
                Effect::Commit(change) => {
                    self.tally.committed += 1;
                    self.tally.dead += u32::from(change.dead.is_some());
                    self.commits.push_back(change.patch);
                }
                Effect::CatchUp { from, to } => {
                    self.tally.caught_up += 1;
                    self.pass = Some(Pass { next: from.max(1), to, started: false });
                }
                Effect::ExtendCatchUp { to } => {
                    if let Some(pass) = &mut self.pass {
                        pass.to = pass.to.max(to);
                    }
                }
                Effect::Stop { .. } => self.stopped = true,
                Effect::Answer(_) | Effect::Redriven { .. } => self.tally.answered += 1,
                Effect::Close { .. } | Effect::Disorder(_) => {}
            }
        }
    }

    fn arrive(&mut self) {
        let behind = self.random.below(8);
        let sequence = match self.random.below(10) {
            0..=6 => self.top.sequence + 1,
            7 => self.top.sequence + 1 + self.random.below(4),
            _ => self.top.sequence.saturating_sub(behind).max(1),
        };
        let mut place = Place { epoch: self.top.epoch, sequence };
        if self.random.one_in(300) {
            place = Place { epoch: place.epoch + 1, sequence: 1 };
        }
        self.top = self.top.max(place);
        let number = self.stream.len() as u64 + 1;
        let payload = if self.random.one_in(30) { number } else { sequence };
        let id = if self.random.one_in(3) { 0 } else { sequence * 7 + self.random.below(2) };
        let arrival = Arrival { ticket: number, place, stream_sequence: number, id, payload, time: self.now.stream, bytes: 100 };
        self.stream.push(arrival.clone());
        self.input(Input::Arrived(arrival));
    }

    fn answer_delivery(&mut self) {
        if !std::mem::take(&mut self.running) {
            return;
        }
        let reason = match self.random.below(40) {
            0..=2 => DeadReason::RetriesExhausted,
            3 => DeadReason::Rejected,
            4 => DeadReason::Trap,
            5 => return self.input(Input::Undelivered),
            _ => return self.input(Input::Applied),
        };
        self.input(Input::Failed(Failure { reason, error: "as the driver wished".to_owned() }));
    }

    fn answer_commit(&mut self) {
        if let Some(patch) = self.commits.pop_front() {
            self.durable.apply(patch, self.policy.ids as u64);
            self.input(Input::Committed);
        }
    }

    fn tick(&mut self) {
        self.now.host += self.random.below(500);
        if self.random.one_in(2) {
            self.now.stream += self.random.below(1_500);
        }
        self.input(Input::Tick);
    }

    fn answer_catch_up(&mut self) {
        let Some(mut pass) = self.pass.take() else { return };
        if !pass.started {
            pass.started = true;
            self.pass = Some(pass);
            return self.input(Input::PassStarted { gone_below: 1 });
        }
        if self.random.one_in(100) {
            return self.input(Input::PassFailed);
        }
        if pass.next > pass.to {
            return self.input(Input::PassEnded { to: pass.to });
        }
        let from = pass.next.saturating_sub(1) as usize;
        let some: Vec<_> = self.stream.iter().skip(from).take(8).filter(|arrival| arrival.stream_sequence <= pass.to).cloned().collect();
        pass.next = if some.is_empty() { pass.to + 1 } else { pass.next + some.len() as u64 };
        self.pass = Some(pass);
        for arrival in some {
            self.input(Input::PassArrived(arrival));
        }
    }

    fn interfere(&mut self) {
        let place = Place { epoch: self.top.epoch, sequence: self.top.sequence.saturating_sub(self.random.below(6)).max(1) };
        let head = self.sequencer.position().map_or(place, |position| Place { sequence: position.sequence + 1, ..position });
        let input = match self.random.below(24) {
            0 => Input::Operator(Operator::Park),
            1..=4 => Input::Operator(Operator::Resume { place: head }),
            5 => Input::Operator(Operator::Resume { place }),
            6..=8 => Input::Operator(Operator::Skip { place: head }),
            9 => Input::Operator(Operator::Skip { place }),
            10 => Input::OutputsBlocked,
            11..=13 => Input::OutputsFree,
            14 => Input::OutputsRefused,
            15 => Input::Shed,
            _ => return,
        };
        self.input(input);
    }

    /// What was not durable is gone; the sequencer comes back from what was, and some of the stream is read again.
    fn crash(&mut self) {
        self.tally.restored += 1;
        self.stopped = false;
        self.running = false;
        self.commits.clear();
        self.pass = None;
        let taken = self.stream.len().saturating_sub(REREAD);
        self.sequencer = Sequencer::restore(Arc::clone(&self.policy), self.durable.snapshot(), taken as u64);
        let again: Vec<_> = self.stream.iter().skip(taken).cloned().collect();
        for arrival in again {
            self.input(Input::Arrived(arrival));
        }
    }
}

impl Durable {
    fn apply(&mut self, patch: Patch, ring: u64) {
        if let Some(slot) = patch.slot {
            self.slots.insert(slot.count % ring.max(1), slot);
        }
        if let Some(extras) = patch.extras {
            self.rest.extras = *extras;
        }
        if let Some(waiting) = patch.waiting {
            self.rest.waiting = waiting;
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot { slots: self.slots.values().copied().collect(), ..self.rest.clone() }
    }
}

/// Small bounds, so that each is reached.
fn policy(random: &mut Random) -> Policy {
    Policy {
        first: if random.one_in(4) { First::Any } else { First::At(1) },
        gap_wait: 2_000,
        gap_then: match random.below(4) {
            0 => GapThen::Skip,
            1 => GapThen::DeadLetter,
            2 => GapThen::Park,
            _ => GapThen::Stop,
        },
        held_max: 6,
        queue_max: 6,
        jump_max: 1_000,
        late: match random.below(3) {
            0 => Late::DeadLetter,
            1 => Late::Drop,
            _ => Late::Deliver,
        },
        ids: 8,
        retry: vec![10, 100],
        failure_then: match random.below(3) {
            0 => FailureThen::DeadLetter,
            1 => FailureThen::Park,
            _ => FailureThen::Stop,
        },
        commits_max: 4,
        ranges_max: 4,
        settle: 100,
        retain: None,
    }
}

/// xorshift64*: the same numbers everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// FNV-1a over text.
struct Fold(u64);

impl Fold {
    fn add(&mut self, value: &impl Debug) {
        // Writing into a number cannot fail.
        write!(self, "{value:?};").unwrap_or_default();
    }
}

impl Write for Fold {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        Ok(())
    }
}
