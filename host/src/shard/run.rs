//! The loop of one shard: completions first, then calls that were set aside, then timers, then mail. It owns its actors; nobody else touches them.

use super::actor::{Actor, Ticket, arrival};
use super::call::{CallFuture, Done};
use super::places::Places;
use super::timers::{Sleeping, Timers};
use super::{Batch, Completion, Mail, Owing, Parts};
use crate::directory::View;
use crate::event::EntityKey;
use crate::passes::{Ask, PassStep};
use crate::runtime::{Handler, Instance, Isolation};
use crate::store;
use crate::telemetry::events::{self, EventAt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use seriatim_sequencer::{Effect, Input, Now, mutant};
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, oneshot};

/// Mail taken before the loop looks at completions again.
const MAIL_AT_ONCE: usize = 8;
/// Events taken between two looks at calls that are set aside, about.
const EVENTS_BESIDE_CALLS: usize = 256;
/// Alarms of entities out of memory that are rung in one round.
pub(super) const ALARMS_AT_ONCE: usize = 64;
/// Calls of one entity before an instance is thrown away even within a run.
const INSTANCE_CALLS_MAX: u64 = 1_000_000;
/// The loop looks at its timers at least this often.
const ROUND_MAX: Duration = Duration::from_millis(1_000);

/// See the module.
pub(super) struct Shard {
    pub(super) parts: Parts,
    pub(super) actors: Slab<Actor>,
    pub(super) places: Places,
    pub(super) calls: FuturesUnordered<CallFuture>,
    /// Deliveries that wait because as many calls as allowed are set aside.
    pub(super) deferred: VecDeque<super::perform::Delivery>,
    pub(super) timers: Timers,
    /// By pipeline.
    pub(super) stream_timers: Vec<Timers>,
    pub(super) sleeping: Sleeping,
    /// By pipeline: entities in memory that wait because no handler is called, by the time since which they do.
    pub(super) barred: Vec<Timers>,
    /// By pipeline: when the next of them may be let go on as a probe.
    pub(super) probe_at: Vec<u64>,
    /// Stream time by pipeline, behind everything this shard has taken.
    pub(super) stream_now: Vec<u64>,
    /// Highest message handed on, by pipeline.
    pub(super) taken: Vec<u64>,
    /// By pipeline: entities that wait from a message that is still to be read (again), by the one before it. What retention takes until then never
    /// comes, and the entity has to learn that nothing is left. At most one for each entity in memory.
    behind: Vec<BTreeSet<(u64, usize)>>,
    /// The pipelines' own records live in the first shard.
    pub(super) own: Vec<Option<super::own::Own>>,
    /// Warm instances of `isolation = "shared"`, and of the run that goes on.
    pub(super) warm: Vec<Vec<Option<Instance>>>,
    pub(super) run_of: Option<usize>,
    pub(super) effects: Vec<Effect<Ticket>>,
    pub(super) changes_in_flight: usize,
    pub(super) held_bytes: u64,
    /// Entities that have a full queue for no other reason than commits under way, which end by themselves.
    pub(super) crowded: usize,
    /// A stop was asked for: nothing new begins.
    pub(super) stopping: bool,
    /// Who waits for what is in flight.
    drained: Option<oneshot::Sender<()>>,
    /// Catch-ups asked for so far: their numbers are never used twice.
    pub(super) passes: u64,
    pub(super) closed: bool,
    pub(super) host_now: u64,
    entries: VecDeque<store::Entry>,
}

impl Shard {
    pub(super) fn new(parts: Parts) -> Self {
        let pipelines = parts.pipelines.len();
        let mut own = Vec::new();
        own.resize_with(pipelines, || None);
        let warm = parts.pipelines.iter().map(|pipeline| pipeline.handlers.now().iter().map(|_| None).collect()).collect();
        let mut stream_timers = Vec::new();
        stream_timers.resize_with(pipelines, Timers::default);
        Self {
            actors: Slab::new(),
            places: Places::default(),
            calls: FuturesUnordered::new(),
            deferred: VecDeque::new(),
            timers: Timers::default(),
            stream_timers,
            sleeping: Sleeping::new(pipelines),
            barred: std::iter::repeat_with(Timers::default).take(pipelines).collect(),
            probe_at: vec![0; pipelines],
            stream_now: parts.at_start.iter().map(|(time, _)| *time).collect(),
            taken: parts.at_start.iter().map(|(_, taken)| *taken).collect(),
            behind: vec![BTreeSet::new(); pipelines],
            own,
            warm,
            run_of: None,
            effects: Vec::new(),
            changes_in_flight: 0,
            held_bytes: 0,
            crowded: 0,
            stopping: false,
            drained: None,
            passes: 0,
            closed: false,
            host_now: host_millis(),
            entries: VecDeque::new(),
            parts,
        }
    }

    /// Runs until every handle is gone, the host is poisoned, or it has drained.
    pub(super) async fn run(mut self, mut mail: mpsc::Receiver<Mail>, mut asks: mpsc::Receiver<super::Question>) {
        let mut completions = Vec::new();
        let poison = self.parts.poison.clone();
        self.load_own();
        loop {
            if poison.is_set() || (self.closed && self.idle()) {
                return;
            }
            self.host_now = host_millis();
            self.round(&mut completions);
            let room = self.has_room();
            let sleep = self.until_next();
            let inbox = self.parts.completions.clone();
            let committer = self.parts.committer.clone();
            let full = self.is_full();
            tokio::select! {
                biased;
                () = inbox.0.notified() => {}
                Some(done) = self.calls.next(), if !self.calls.is_empty() => {
                    self.host_now = host_millis();
                    self.call_ended(done);
                    self.start_deferred();
                }
                () = committer.room(), if full => {}
                received = mail.recv(), if room => match received {
                    Some(first) => {
                        self.host_now = host_millis();
                        let mut events = first.events();
                        self.take_mail(first);
                        for _ in 1..MAIL_AT_ONCE {
                            if self.calls.len() >= self.parts.bounds.calls_max || self.crowded > 0 { break; }
                            // A call set aside mostly needs no more than its thread back: before its entity's queue overflows, it gets that.
                            if events >= EVENTS_BESIDE_CALLS && !self.calls.is_empty() { break; }
                            let Ok(more) = mail.try_recv() else { break };
                            events += more.events();
                            self.take_mail(more);
                        }
                        // One at a time: many questions must not hold up the flow.
                        if let Ok(ask) = asks.try_recv() { self.ask(ask); }
                    }
                    None => self.closed = true,
                },
                Some(ask) = asks.recv(), if !full => {
                    self.host_now = host_millis();
                    self.ask(ask);
                }
                () = tokio::time::sleep(sleep) => {}
            }
        }
    }

    /// What there is to do without waiting. `completions` is empty before and after.
    pub(super) fn round(&mut self, completions: &mut Vec<Completion>) {
        self.parts.completions.0.take(completions);
        for completion in completions.drain(..) {
            self.completed(completion);
        }
        self.ring();
        self.hand_over();
        if self.drained.is_some() && self.idle() {
            self.answer_drain();
        }
    }

    /// Whether it takes mail now. If not, the reader waits.
    pub(super) fn has_room(&self) -> bool {
        self.calls.len() < self.parts.bounds.calls_max
            && self.changes_in_flight < self.parts.bounds.changes_max
            && self.crowded == 0
            && self.entries.is_empty()
            && !self.closed
    }

    /// The committer has no room for what this shard has already: nothing is asked of it now.
    pub(super) fn is_full(&self) -> bool {
        !self.entries.is_empty()
    }

    pub(super) fn idle(&self) -> bool {
        self.calls.is_empty()
            && self.deferred.is_empty()
            && self.changes_in_flight == 0
            && self.entries.is_empty()
            && self.actors.iter().all(|(_, actor)| actor.outbox.is_empty() || actor.outbox.is_refused())
    }

    fn answer_drain(&mut self) {
        if let Some(answer) = self.drained.take()
            && answer.send(()).is_err()
        {
            tracing::debug!("nobody waits for the drain any more");
        }
    }

    /// When a timer or an alarm rings next, on host time.
    pub(super) fn next_wakeup(&self) -> Option<u64> {
        let (alarm, release) = if self.stopping { (None, None) } else { (self.sleeping.next_host(), self.next_release()) };
        self.timers.next().into_iter().chain(alarm).chain(release).min()
    }

    fn until_next(&self) -> Duration {
        self.next_wakeup().map_or(ROUND_MAX, |at| Duration::from_millis(at.saturating_sub(self.host_now)).min(ROUND_MAX))
    }

    pub(super) fn now(&self, pipeline: usize) -> Now {
        if mutant!(GapTimerOnWallClock) {
            return Now { host: self.host_now, stream: self.host_now };
        }
        Now { host: self.host_now, stream: self.stream_now.get(pipeline).copied().unwrap_or_default() }
    }

    pub(super) fn take_mail(&mut self, mail: Mail) {
        match mail {
            Mail::Batch(batch) => self.batch(batch),
            Mail::Pass { key, number, step } => self.pass(&key, number, step),
            Mail::Wake { pipeline, owed } => {
                for Owing { key, waiting, outbox } in owed {
                    // The pipeline's own record was loaded before.
                    if key.entity.is_empty() {
                        continue;
                    }
                    if let Some(waiting) = waiting {
                        self.tell_waiting(pipeline, &key, &waiting);
                        // Somebody may have asked for it before: one in memory knows its alarm, and would never take this one off.
                        if self.places.find(&key, &self.actors).is_none() {
                            let view = View { live: false, waiting: Some(waiting), failed: None };
                            self.parts.directory.show(&key, view);
                            self.sleeping.insert(pipeline, &key.entity, &waiting);
                        }
                    }
                    if outbox {
                        self.wake(&key, pipeline);
                    }
                }
            }
            Mail::Drain(answer) => {
                self.stopping = true;
                self.drained = Some(answer);
                self.deferred.clear();
            }
        }
    }

    fn wake(&mut self, key: &EntityKey, pipeline: usize) {
        if key.entity.is_empty() {
            return;
        }
        if let Some(token) = self.actor(key, pipeline) {
            self.send(token);
            self.drive(token, Input::Tick);
        }
    }

    /// Events of one batch, those of one entity back to back: that makes the runs.
    fn batch(&mut self, mut batch: Batch) {
        let pipeline = batch.pipeline;
        if self.stopping {
            return;
        }
        let mut tokens = Vec::with_capacity(batch.events.len());
        for event in batch.events.drain(..) {
            match self.actor(&event.key, pipeline) {
                Some(token) => tokens.push((token, event)),
                None => return,
            }
        }
        tokens.sort_by_key(|(token, _)| *token);
        for (token, event) in tokens {
            self.drive(token, Input::Arrived(arrival(event, self.host_now)));
        }
        for item in batch.own {
            self.own_item(pipeline, item);
        }
        if let Some(taken) = self.taken.get_mut(pipeline) {
            *taken = batch.highest.max(*taken);
        }
        if let Some(time) = self.stream_now.get_mut(pipeline) {
            *time = batch.stream_time.max(*time);
        }
        self.caught_up(pipeline);
        self.make_room();
    }

    /// Tells those that were behind the reader that all they wait for has been read.
    fn caught_up(&mut self, pipeline: usize) {
        let taken = self.taken.get(pipeline).copied().unwrap_or_default();
        while let Some(behind) = self.behind.get_mut(pipeline)
            && behind.first().is_some_and(|(before, _)| *before <= taken)
            && let Some((_, token)) = behind.pop_first()
        {
            // Another entity may have its place by now: a tick harms nobody.
            if let Some(actor) = self.actors.get_mut(token).filter(|actor| actor.pipeline.index == pipeline) {
                actor.sequencer.read_through(taken);
                self.drive(token, Input::Tick);
            }
        }
    }

    fn pass(&mut self, key: &EntityKey, number: u64, step: PassStep) {
        let Some(token) = self.places.find(key, &self.actors) else { return };
        let current = self.actors.get(token).is_some_and(|actor| actor.busy.passes == number);
        if self.stopping || !current {
            return;
        }
        let ended = matches!(step, PassStep::Ended(_) | PassStep::Failed);
        let input = match step {
            PassStep::Started(gone_below) => Input::PassStarted { gone_below },
            PassStep::Event(event) => Input::PassArrived(arrival(event, self.host_now)),
            PassStep::Ended(to) => Input::PassEnded { to },
            PassStep::Failed => Input::PassFailed,
        };
        self.drive(token, input);
        self.enough(token, number);
        if ended
            && let Some(actor) = self.actors.get(token)
            && !actor.sequencer.catching_up()
            && let Some(service) = self.parts.catch_ups.get(actor.pipeline.index)
        {
            service.push(Ask::Done(key.clone(), number));
        }
        self.make_room();
    }

    /// Tells the service once that a pass brings more than the entity takes.
    fn enough(&mut self, token: usize, number: u64) {
        let actor = self.actors.get_mut(token).filter(|actor| actor.busy.enough != number && actor.sequencer.had_enough());
        if let Some(actor) = actor
            && let Some(service) = self.parts.catch_ups.get(actor.pipeline.index)
        {
            actor.busy.enough = number;
            service.push(Ask::Enough(actor.key.clone(), number));
        }
    }

    /// The entity's actor, loaded if it is not in memory. `None` when the store does not answer: the host is poisoned.
    pub(super) fn actor(&mut self, key: &EntityKey, pipeline: usize) -> Option<usize> {
        if let Some(token) = self.places.find(key, &self.actors) {
            return Some(token);
        }
        let shared = self.parts.pipelines.get(pipeline)?.clone();
        let taken = self.taken.get(pipeline).copied().unwrap_or_default();
        // One Arc per name: the actor's key, not the event's, is what stays in memory.
        let key = EntityKey { pipeline: shared.name.clone(), entity: key.entity.clone() };
        let actor = match self.parts.store.load(&key) {
            Ok(loaded) => Actor::load(key.clone(), shared, loaded, taken),
            Err(error @ store::Error::Record { .. }) => {
                tracing::error!(pipeline = %key.pipeline, entity = %key.entity, "the entity parks (record): {error}");
                let waiting = self.parts.store.load_waiting(&key).unwrap_or_default();
                Actor::unreadable(key.clone(), shared, waiting, taken)
            }
            Err(error) => {
                self.parts.poison.set(format!("the store does not answer: {error}"));
                return None;
            }
        };
        if let Some(waiting) = self.parts.directory.get(&key).and_then(|view| view.waiting) {
            self.sleeping.remove(pipeline, &key.entity, &waiting);
        }
        let from = actor.sequencer.waiting().map_or(0, |waiting| waiting.from);
        let token = self.actors.insert(actor);
        if from > taken.saturating_add(1)
            && let Some(behind) = self.behind.get_mut(pipeline)
        {
            behind.insert((from - 1, token));
        }
        self.places.insert(token, &self.actors);
        self.show(token);
        if self.actors.get(token).is_some_and(|actor| actor.sequencer.barred()) {
            // Whatever it was loaded for: it is no longer among those to be woken, so it must be among those to be released.
            self.settle(token);
        }
        self.send(token);
        let gone = self.actors.get_mut(token).and_then(|actor| actor.busy.taken_from()?.gone.take());
        if let Some((first, last)) = gone {
            self.drive(token, Input::Gone { first, last });
        }
        Some(token)
    }

    /// Steps an actor, and goes on for as long as its calls end at once.
    pub(super) fn drive(&mut self, token: usize, input: Input<Ticket>) {
        let mut next = Some(input);
        while let Some(input) = next.take() {
            let Some(actor) = self.actors.get_mut(token) else { return };
            let pipeline = actor.pipeline.index;
            let now = self.now(pipeline);
            let Some(actor) = self.actors.get_mut(token) else { return };
            let mut effects = std::mem::take(&mut self.effects);
            actor.sequencer.step(now, input, &mut effects);
            for effect in effects.drain(..) {
                if let Some(input) = self.perform(token, effect) {
                    next = Some(input);
                }
            }
            self.effects = effects;
        }
        self.settle(token);
    }

    /// Keeps the books after a step: timers, what is held, what is shown.
    pub(super) fn settle(&mut self, token: usize) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        let wakeup = actor.sequencer.next_wakeup();
        let host = wakeup.host.into_iter().chain(actor.busy.send_at).min();
        // What has not changed is not touched: it may have no memory.
        if host != actor.busy.timer {
            self.timers.set(&mut actor.busy.timer, host, token);
        }
        if wakeup.stream != actor.busy.stream_timer
            && let Some(timers) = self.stream_timers.get_mut(actor.pipeline.index)
        {
            timers.set(&mut actor.busy.stream_timer, wakeup.stream, token);
        }
        let since = actor.sequencer.barred().then_some(actor.busy.barred.unwrap_or(self.host_now));
        if since != actor.busy.barred
            && let Some(barred) = self.barred.get_mut(actor.pipeline.index)
        {
            barred.set(&mut actor.busy.barred, since, token);
        }
        let (held, bytes) = actor.sequencer.held();
        if held != actor.busy.held_events {
            events::held_changed(&actor.key.pipeline, difference(held, actor.busy.held_events));
            actor.busy.held_events = held;
        }
        // An outbox past its bound may stay so for long: nobody waits for that.
        let crowded = actor.busy.withheld == 0 && actor.sequencer.crowded();
        if crowded != actor.busy.crowded {
            self.crowded = if crowded { self.crowded + 1 } else { self.crowded.saturating_sub(1) };
            actor.busy.crowded = crowded;
        }
        let outbox = actor.outbox.len();
        if outbox != actor.busy.outbox_entries {
            events::outbox_changed(&actor.key.pipeline, difference(outbox, actor.busy.outbox_entries));
            actor.busy.outbox_entries = outbox;
        }
        if bytes != actor.busy.held_bytes {
            self.held_bytes = self.held_bytes.saturating_sub(actor.busy.held_bytes).saturating_add(bytes);
            actor.busy.held_bytes = bytes;
        }
        let unshown = actor.sequencer.waiting() != actor.shown.as_deref();
        actor.rest();
        if unshown {
            self.show(token);
        }
    }

    fn show(&mut self, token: usize) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        let waiting = actor.sequencer.waiting().copied();
        let (before, after) = (actor.shown.as_ref().map(|shown| shown.reason), waiting.map(|waiting| waiting.reason));
        if let Some(waiting) = waiting.filter(|waiting| waiting.parked() && before != after) {
            let sequence = actor.sequencer.position().map_or(1, |position| position.sequence.saturating_add(1));
            let error = actor.failure.as_deref().map_or("", |(failed, _)| failed.failure.message.as_str());
            let at = EventAt { pipeline: &actor.key.pipeline, entity: &actor.key.entity, sequence, stream_sequence: waiting.from };
            events::parked(at, waiting.reason.name(), error);
        }
        actor.shown = waiting.map(Box::new);
        self.parts.directory.show(&actor.key, View { live: true, waiting, failed: actor.failed() });
    }

    fn completed(&mut self, completion: Completion) {
        match completion {
            Completion::Committed(reply) => {
                self.changes_in_flight = self.changes_in_flight.saturating_sub(1);
                self.committed(usize::try_from(reply.entity).unwrap_or(usize::MAX), reply.number);
            }
            Completion::Published(reply) => self.published(reply),
            Completion::Searched(reply) => self.searched(reply),
        }
    }

    /// Timers and alarms that have rung.
    fn ring(&mut self) {
        // Collected first: a timer that is set again while it is looked at has its turn in the next round.
        let mut due: Vec<_> = std::iter::from_fn(|| self.timers.due(self.host_now)).collect();
        for token in due.drain(..) {
            self.look_at(token);
        }
        if self.stopping {
            return;
        }
        for pipeline in 0..self.stream_timers.len() {
            let now = self.now(pipeline).stream;
            if let Some(timers) = self.stream_timers.get_mut(pipeline) {
                due.extend(std::iter::from_fn(|| timers.due(now)));
            }
            for token in due.drain(..) {
                if let Some(actor) = self.actors.get_mut(token) {
                    actor.busy.stream_timer = None;
                }
                self.drive(token, Input::Tick);
            }
        }
        self.release();
        for _ in 0..ALARMS_AT_ONCE {
            let due = self.sleeping.due_host(self.host_now).or_else(|| {
                (0..self.stream_now.len()).find_map(|pipeline| {
                    let now = self.now(pipeline).stream;
                    Some((pipeline, self.sleeping.due_stream(pipeline, now)?))
                })
            });
            let Some((pipeline, entity)) = due else { return };
            let Some(key) = self.key(pipeline, entity) else { return };
            self.wake(&key, pipeline);
        }
    }

    pub(super) fn key(&self, pipeline: usize, entity: Arc<str>) -> Option<EntityKey> {
        Some(EntityKey { pipeline: self.parts.pipelines.get(pipeline)?.name.clone(), entity })
    }

    fn look_at(&mut self, token: usize) {
        if let Some(actor) = self.actors.get_mut(token) {
            actor.busy.timer = None;
            actor.busy.send_at = None;
        }
        self.send(token);
        if !self.stopping {
            self.drive(token, Input::Tick);
        }
    }

    pub(super) fn call_ended(&mut self, done: Done) {
        let token = done.token;
        match self.outcome(done) {
            Some(input) => self.drive(token, input),
            None => self.settle(token),
        }
    }

    /// Puts a change or a close in line; what the committer has no room for now waits here, in order.
    pub(super) fn enter(&mut self, entry: store::Entry) {
        if matches!(entry, store::Entry::Change(..) | store::Entry::Confirmed(..)) {
            self.changes_in_flight += 1;
        }
        self.entries.push_back(entry);
        if self.entries.len() >= 256 {
            self.hand_over();
        }
    }

    fn hand_over(&mut self) {
        if self.entries.is_empty() {
            return;
        }
        match self.parts.committer.try_send_all(&mut self.entries) {
            Ok(_) => {}
            // The host goes down around this shard; what is not durable is done again after the next start.
            Err(store::Error::Stopped) if self.stopping => {
                self.closed = true;
                self.entries.clear();
            }
            Err(error) => {
                self.parts.poison.set(format!("the committer takes nothing any more: {error}"));
            }
        }
    }

    /// Bounds: held bytes (the entity holding most waits), actors in memory (idle ones leave).
    pub(super) fn make_room(&mut self) {
        while self.held_bytes > self.parts.bounds.held_bytes {
            let Some((token, _)) =
                self.actors.iter().filter(|(_, actor)| actor.busy.held_bytes > 0).max_by_key(|(_, actor)| actor.busy.held_bytes)
            else {
                return;
            };
            let before = self.held_bytes;
            self.drive(token, Input::Shed);
            if self.held_bytes >= before {
                return;
            }
        }
        if self.actors.len() > self.parts.bounds.entities_max {
            let excess = self.actors.len() - self.parts.bounds.entities_max;
            let leaving: Vec<_> =
                self.actors.iter().filter(|(_, actor)| actor.can_leave()).map(|(token, _)| token).take(excess + excess / 4 + 16).collect();
            for token in leaving {
                self.leave(token);
            }
        }
    }

    pub(super) fn leave(&mut self, token: usize) {
        if let Some(actor) = self.actors.get(token) {
            self.places.remove(&actor.key, &self.actors);
        }
        let Some(mut actor) = self.actors.try_remove(token) else { return };
        self.timers.set(&mut actor.busy.timer, None, token);
        if let Some(timers) = self.stream_timers.get_mut(actor.pipeline.index) {
            timers.set(&mut actor.busy.stream_timer, None, token);
        }
        self.held_bytes = self.held_bytes.saturating_sub(actor.busy.held_bytes);
        self.crowded = self.crowded.saturating_sub(usize::from(actor.busy.crowded));
        if let Some(barred) = self.barred.get_mut(actor.pipeline.index) {
            barred.set(&mut actor.busy.barred, None, token);
        }
        if actor.busy.held_events > 0 {
            // What it held is read again later.
            events::held_changed(&actor.key.pipeline, difference(0, actor.busy.held_events));
        }
        if let Some(waiting) = actor.sequencer.waiting() {
            self.sleeping.insert(actor.pipeline.index, &actor.key.entity, waiting);
        }
        match actor.sequencer.waiting().copied() {
            Some(waiting) => {
                let view = View { live: false, waiting: Some(waiting), failed: actor.failed() };
                self.parts.directory.show(&actor.key, view);
            }
            None => self.parts.directory.forget(&actor.key),
        }
        if self.run_of == Some(token) {
            self.run_of = None;
        }
    }

    /// Instances for the next call of `token`: those of its own run, or shared ones.
    pub(super) fn instances(&mut self, token: usize, pipeline: usize, handlers: &[Handler]) -> Vec<Option<Instance>> {
        let same_run = self.run_of == Some(token);
        self.run_of = Some(token);
        let Some(warm) = self.warm.get_mut(pipeline) else { return Vec::new() };
        let keep = |(instance, handler): (&mut Option<Instance>, &Handler)| match handler.isolation() {
            Isolation::Shared => instance.take(),
            Isolation::Run if same_run => instance.take().filter(|instance| instance.calls() < INSTANCE_CALLS_MAX),
            Isolation::Run | Isolation::Event => {
                *instance = None;
                None
            }
        };
        warm.iter_mut().zip(handlers).map(keep).collect()
    }
}

fn difference(now: usize, before: usize) -> i32 {
    let size = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    size(now) - size(before)
}

pub(super) fn host_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
