//! One run of events through a handler: the core's own sequencers decide what is in turn, the real component handles it, and what a host would commit is
//! kept in memory. Time is made up: nothing is waited for.
//!
//! Unlike in a host every commit is durable at once, nothing is published, a retry follows its failure without its delay, and a gap gives up when all
//! events have been read. There is no circuit breaker. Everything else is the host's own: the core, the runtime, the limits, which events share an instance,
//! and how state gets from one version to another.

use super::dice::Dice;
use super::report::{Done, EntityResult, Results};
use super::upgrade::Cut;
use super::{Error, Loader};
use crate::event::Event;
use crate::runtime::{self, Call, Effects, FailureKind, Handler, Instance, Isolation, State};
use crate::shard::{dead_reason, fit};
use crate::store::Stamp;
use seriatim_sequencer::{
    Arrival, Change, Effect, Failure, First, GapThen, Head, Input, Millis, Now, Outcome, Place, Policy, Sequencer, WaitReason,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a person decides about order and failures; everything else is a host's default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Attempts after the first one.
    pub retries: usize,
    /// What becomes of a gap that is still open at the end.
    pub gap_then: GapThen,
    /// Where each entity begins; `None`: at its lowest sequence among the events.
    pub first: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        let policy = Policy::default();
        Self { retries: policy.retry.len(), gap_then: policy.gap_then, first: None }
    }
}

impl Settings {
    /// The policy of an entity with these places.
    fn policy(&self, places: &[Place]) -> Arc<Policy> {
        let mut lowest: BTreeMap<u64, u64> = BTreeMap::new();
        for place in places {
            lowest.entry(place.epoch).and_modify(|lowest| *lowest = place.sequence.min(*lowest)).or_insert(place.sequence);
        }
        let mut starts: Vec<u64> = lowest.into_values().collect();
        starts.dedup();
        let first = match (self.first, starts.as_slice()) {
            (Some(first), _) => First::At(first),
            (None, [one]) => First::At(*one),
            // Each epoch begins elsewhere: it is found out when all events have been read.
            (None, _) => First::Any,
        };
        Arc::new(Policy {
            first,
            gap_then: self.gap_then,
            retry: vec![1; self.retries],
            // All events are in memory anyway.
            held_max: usize::MAX,
            queue_max: usize::MAX,
            ..Policy::default()
        })
    }
}

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Script {
    /// The events in the order in which they arrive.
    pub arrivals: Vec<Arc<Event>>,
    /// Which events share an instance.
    pub isolation: Isolation,
    /// Throws the warm instance away before a call, now and then.
    pub cuts: Option<Dice>,
    /// Makes a call, forgets all it did as after a crash before the commit, and makes it again, now and then.
    pub repeats: Option<Dice>,
    /// Which events the older file handles, where there is one; `None`: the first half of each entity's.
    pub cut: Option<Cut>,
    /// Before the call of each of these numbers (from 0, ascending) the process starts anew: another engine, no instance, what was committed is there.
    pub restarts: VecDeque<u64>,
}

impl Script {
    /// Just the events, as they stand.
    #[must_use]
    pub fn plain(arrivals: Vec<Arc<Event>>, isolation: Isolation) -> Self {
        Self { arrivals, isolation, cuts: None, repeats: None, cut: None, restarts: VecDeque::new() }
    }
}

/// How many events ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Events that arrived.
    pub events: u64,
    /// Applied.
    pub applied: u64,
    /// Seen before.
    pub duplicates: u64,
    /// Given up.
    pub dead_letters: u64,
    /// Entities.
    pub entities: u64,
    /// Entities that wait for something.
    pub waiting: u64,
    /// Outputs of what was applied.
    pub outputs: u64,
    /// Calls, those that failed included.
    pub calls: u64,
    /// States that were migrated.
    pub migrated: u64,
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Trial {
    /// Of each entity.
    pub results: Results,
    /// All together.
    pub tally: Tally,
}

/// Runs the script.
///
/// # Errors
/// The file is refused, or the machine cannot run it. What the handler does is never an error.
pub async fn run(loader: &Loader, settings: &Settings, script: Script) -> Result<Trial, Error> {
    let mut places: BTreeMap<Arc<str>, Vec<Place>> = BTreeMap::new();
    let mut end = 0;
    for event in &script.arrivals {
        places.entry(event.key.entity.clone()).or_default().push(place(event));
        end = event.message.time.max(end);
    }
    let entities = places.iter().map(|(name, places)| (name.clone(), Entity::new(settings.policy(places))));
    let mut entities: BTreeMap<Arc<str>, Entity> = entities.collect();
    let cut = script.cut.unwrap_or_else(|| Cut::half(&script.arrivals));
    let mut machine = Machine {
        files: Files::load(loader, script.isolation).await?,
        loader,
        cut,
        isolation: script.isolation,
        cuts: script.cuts,
        repeats: script.repeats,
        restarts: script.restarts,
        now: Now::default(),
        tally: Tally { events: script.arrivals.len() as u64, entities: entities.len() as u64, ..Tally::default() },
    };
    let mut order: Vec<Arc<str>> = Vec::new();
    for (number, event) in (1..).zip(script.arrivals) {
        let Some(entity) = entities.get_mut(&event.key.entity) else { continue };
        if entity.arrivals.is_empty() {
            order.push(event.key.entity.clone());
        }
        let arrival = arrival(event, number);
        entity.arrivals.push(arrival.clone());
        machine.drive(entity, Input::Arrived(arrival)).await?;
        machine.settle(entity).await?;
    }
    // Everything has been read, and then much time passes: gaps give up.
    machine.now.stream = end.saturating_add(Policy::default().gap_wait).saturating_add(1);
    for name in &order {
        if let Some(entity) = entities.get_mut(name) {
            machine.settle(entity).await?;
        }
    }
    let now = machine.now;
    let mut tally = machine.tally;
    let results: Results = entities.into_iter().map(|(name, entity)| (name.to_string(), entity.result(now))).collect();
    tally.waiting = results.values().filter(|result| result.waiting.is_some()).count() as u64;
    Ok(Trial { results, tally })
}

fn place(event: &Event) -> Place {
    Place { epoch: event.epoch, sequence: event.sequence }
}

/// What the core is told of an event. Its number is that of the arrival, so that the same event can arrive twice.
fn arrival(event: Arc<Event>, number: u64) -> Arrival<Arc<Event>> {
    Arrival {
        place: place(&event),
        stream_sequence: number,
        id: event.id_hash(),
        payload: event.payload_hash(),
        time: event.message.time,
        bytes: 0,
        ticket: event,
    }
}

/// One entity.
struct Entity {
    sequencer: Sequencer<Arc<Event>>,
    state: State,
    /// Everything that arrived, for when the core wants to read it again.
    arrivals: Vec<Arrival<Arc<Event>>>,
    /// Which component wrote the state, and in which version.
    stamp: Stamp,
    /// What the handler did, between its return and the commit.
    scratch: (Effects, Stamp),
    /// The last failure of a call.
    error: String,
    done: Vec<Done>,
}

impl Entity {
    fn new(policy: Arc<Policy>) -> Self {
        Self {
            sequencer: Sequencer::new(policy, 0),
            state: State::new(),
            arrivals: Vec::new(),
            stamp: Stamp::default(),
            scratch: Default::default(),
            error: String::new(),
            done: Vec::new(),
        }
    }

    fn result(self, now: Now) -> EntityResult {
        let status = self.sequencer.status(now);
        let waiting = (status.head != Head::Idle).then(|| match status.head {
            Head::Parked(WaitReason::Failed(_)) => format!("{}: {}", status.sentence(), self.error),
            _ => status.sentence(),
        });
        EntityResult { done: self.done, state: self.state, position: status.position, waiting }
    }

    /// Makes a change take effect.
    fn commit(&mut self, change: Change<Arc<Event>>, tally: &mut Tally) {
        count(tally, change.closes.and_then(|(_, outcome)| outcome));
        if let Some(applied) = change.applied {
            let (effects, stamp) = std::mem::take(&mut self.scratch);
            tally.migrated = tally.migrated.saturating_add(u64::from(!self.state.is_empty() && stamp.version != self.stamp.version));
            self.stamp = stamp;
            for (key, value) in effects.writes {
                match value {
                    Some(value) => drop(self.state.insert(key, value)),
                    None => drop(self.state.remove(&key)),
                }
            }
            tally.outputs = tally.outputs.saturating_add(effects.outputs.len() as u64);
            self.done.push(Done::Applied { place: place(&applied.ticket), outputs: effects.outputs });
        }
        if let Some(dead) = change.dead {
            let place = dead.event.as_ref().map(|event| event.place).unwrap_or_default();
            self.done.push(Done::Dead { place, reason: dead.reason.name().to_owned(), error: dead.error, attempts: dead.attempts });
        }
    }

    /// What the core reads again.
    fn pass(&self, from: u64, to: u64) -> impl Iterator<Item = Input<Arc<Event>>> {
        let arrivals = self.arrivals.iter().filter(move |arrival| (from..=to).contains(&arrival.stream_sequence));
        std::iter::once(Input::PassStarted { gone_below: 0 })
            .chain(arrivals.cloned().map(Input::PassArrived))
            .chain([Input::PassEnded { to }])
    }
}

fn count(tally: &mut Tally, outcome: Option<Outcome>) {
    let counter = match outcome {
        Some(Outcome::Applied) => &mut tally.applied,
        Some(Outcome::Duplicate) => &mut tally.duplicates,
        Some(Outcome::DeadLettered) => &mut tally.dead_letters,
        Some(Outcome::DroppedLate) | None => return,
    };
    *counter = counter.saturating_add(1);
}

/// What came of a call: the state as it was, and what is committed with its note of who wrote it.
struct Returned {
    state: State,
    result: Result<(Effects, Stamp), runtime::Failure>,
}

/// A handler with its warm instance.
struct File {
    handler: Handler,
    warm: Option<Instance>,
}

/// The file that is tested, and the one that it takes the place of.
struct Files {
    tested: File,
    older: Option<File>,
}

impl Files {
    async fn load(loader: &Loader, isolation: Isolation) -> Result<Self, Error> {
        let older = match loader.older() {
            Some(older) => Some(File { handler: older.load(isolation).await?, warm: None }),
            None => None,
        };
        Ok(Self { tested: File { handler: loader.load(isolation).await?, warm: None }, older })
    }

    fn cool(&mut self) {
        self.tested.warm = None;
        if let Some(older) = &mut self.older {
            older.warm = None;
        }
    }
}

/// What all entities share: the handler, and the clocks.
struct Machine<'a> {
    loader: &'a Loader,
    files: Files,
    cut: Cut,
    isolation: Isolation,
    cuts: Option<Dice>,
    repeats: Option<Dice>,
    restarts: VecDeque<u64>,
    now: Now,
    tally: Tally,
}

impl Machine<'_> {
    /// One step of the core and everything that follows from it at once; whether anything did.
    async fn drive(&mut self, entity: &mut Entity, input: Input<Arc<Event>>) -> Result<bool, Error> {
        let mut inputs = VecDeque::from([input]);
        let mut effects = Vec::new();
        let mut moved = false;
        while let Some(input) = inputs.pop_front() {
            entity.sequencer.step(self.now, input, &mut effects);
            moved |= !effects.is_empty();
            for effect in effects.drain(..) {
                match effect {
                    Effect::Deliver { ticket, attempt, late } => inputs.push_back(self.deliver(entity, ticket, attempt, late).await?),
                    Effect::Commit(change) => {
                        entity.commit(change, &mut self.tally);
                        inputs.push_back(Input::Committed);
                    }
                    Effect::Close { outcome, .. } => count(&mut self.tally, outcome),
                    Effect::CatchUp { from, to } => inputs.extend(entity.pass(from, to)),
                    // Nothing arrives while it is read; and no policy here stops, nobody asks or redrives.
                    Effect::ExtendCatchUp { .. }
                    | Effect::Stop { .. }
                    | Effect::Disorder(_)
                    | Effect::Answer(_)
                    | Effect::Redriven { .. } => {}
                }
            }
        }
        Ok(moved)
    }

    /// Lets the time pass that the entity waits for.
    async fn settle(&mut self, entity: &mut Entity) -> Result<(), Error> {
        loop {
            let wakeup = entity.sequencer.next_wakeup();
            if let Some(at) = wakeup.host {
                self.now.host = Millis::max(self.now.host, at);
            }
            let due = wakeup.host.is_some() || wakeup.stream.is_some_and(|at| at <= self.now.stream);
            if !due || !self.drive(entity, Input::Tick).await? {
                return Ok(());
            }
        }
    }

    /// Calls the handler.
    async fn deliver(&mut self, entity: &mut Entity, event: Arc<Event>, attempt: u32, late: bool) -> Result<Input<Arc<Event>>, Error> {
        if self.restarts.front() == Some(&self.tally.calls) {
            self.restarts.pop_front();
            self.files = Files::load(self.loader, self.isolation).await?;
        }
        self.tally.calls = self.tally.calls.saturating_add(1);
        if self.cuts.as_mut().is_some_and(|dice| dice.once_in(3)) {
            self.files.cool();
        }
        let mut call = Call { event, attempt, late, replay: false, state: std::mem::take(&mut entity.state) };
        if let Some(dice) = &mut self.repeats
            && dice.once_in(2)
        {
            // A crash before the commit: nothing it did is left, its instance is gone, and the attempt is not always counted.
            let counted = dice.once_in(2);
            call.state = self.call(call.clone(), &entity.stamp).await?.state;
            self.files.cool();
            call.attempt = call.attempt.saturating_add(u32::from(counted));
        }
        let returned = self.call(call, &entity.stamp).await?;
        entity.state = returned.state;
        Ok(match returned.result {
            Ok(scratch) => {
                entity.scratch = scratch;
                Input::Applied
            }
            Err(failure) => {
                entity.error.clone_from(&failure.message);
                Input::Failed(Failure { reason: dead_reason(failure.kind), error: failure.message })
            }
        })
    }

    /// One call, on the warm instance if it may serve; as `shard/call.rs` does it.
    async fn call(&mut self, call: Call, stamp: &Stamp) -> Result<Returned, Error> {
        /// Nothing is rolled back: no state from before a migration is kept.
        const CONFIRMED: u64 = u64::MAX;
        let file = match &mut self.files.older {
            Some(older) if self.cut.is_older(&call.event.key.entity, place(&call.event)) => older,
            _ => &mut self.files.tested,
        };
        let made = match file.warm.take().filter(|instance| instance.serves(&call.event.key)) {
            Some(instance) => Ok(instance),
            None => file.handler.instantiate().await,
        };
        let mut instance = match made {
            Ok(instance) => instance,
            Err(failure) => return failed(call.state, failure),
        };
        let fit = fit::fit(stamp, &call.state, &file.handler, CONFIRMED);
        let (before, state) = match fit.state(&mut instance, &call.state).await {
            Ok(None) => (None, call.state),
            Ok(Some(fitting)) => (Some(call.state), fitting),
            Err(failure) => return failed(call.state, failure),
        };
        let returned = instance.call(Call { state, ..call }).await;
        let migrated = before.as_ref().map(|before| fit::difference(before, &returned.state));
        let state = before.unwrap_or(returned.state);
        let mut effects = match returned.result {
            Ok(effects) => effects,
            Err(failure) => return failed(state, failure),
        };
        if file.handler.isolation() != Isolation::Event && instance.usable() {
            file.warm = Some(instance);
        }
        let stamp = fit.stamp(stamp.clone(), &file.handler, Some(&state), !effects.writes.is_empty(), CONFIRMED);
        if let Some(mut writes) = migrated {
            writes.append(&mut effects.writes);
            effects.writes = writes;
        }
        Ok(Returned { state, result: Ok((effects, stamp)) })
    }
}

/// A failure of the handler is a result; one of the host is an error.
fn failed(state: State, failure: runtime::Failure) -> Result<Returned, Error> {
    match failure.kind {
        FailureKind::Host => Err(Error::Host(failure)),
        _ => Ok(Returned { state, result: Err(failure) }),
    }
}
