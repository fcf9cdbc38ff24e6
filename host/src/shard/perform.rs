//! The one `match` over what the core decides, and what comes back for it. No arm decides anything.

#![deny(clippy::wildcard_enum_match_arm)]

use super::actor::Ticket;
use super::call::{Done, Failed, Job};
use super::decisions::LastFailure;
use super::run::Shard;
use crate::breaker::decide::Go;
use crate::passes::{Ask, Request};
use crate::runtime::{FailureKind, Isolation};
use crate::sink::outbox::Next;
use crate::sink::publisher::{PublishReply, PublishRequest, PublishResult};
use crate::sink::search::{Found, SearchReply, SearchRequest};
use crate::store::{Entry, Reply};
use crate::telemetry::events::{self, EventAt};
use crate::telemetry::lifecycle::Kind;
use seriatim_sequencer::{Change, DeadReason, Disorder, Effect, Failure, Input, Outcome, Place, StopReason, mutant};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Number of a reply that is not a commit of the core (a confirmed output leaving the store).
const PRUNE: u64 = 0;
/// Number of a reply to a commit of the core.
pub(super) const COMMIT: u64 = 1;
/// Tries of an output before its entity waits for the stream.
const PATIENCE: usize = 2;

/// A delivery that waits for a free place.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) token: usize,
    pub(super) ticket: Ticket,
    pub(super) attempt: u32,
    pub(super) late: bool,
}

impl Shard {
    /// Performs one effect. What follows from it at once is returned.
    pub(super) fn perform(&mut self, token: usize, effect: Effect<Ticket>) -> Option<Input<Ticket>> {
        let actor = self.actors.get_mut(token)?;
        actor.decisions.note(self.host_now, &effect);
        // Only lent, where it can be: all shards count a clone on the same memory.
        let pipeline = actor.pipeline.index;
        match effect {
            Effect::Deliver { ticket, attempt, late } => {
                let delivery = Delivery { token, ticket, attempt, late };
                if self.stopping || actor.pipeline.control.stopped().is_some() {
                    return None;
                }
                if self.calls.len() >= self.parts.bounds.calls_max {
                    self.deferred.push_back(delivery);
                    return None;
                }
                return self.deliver(delivery);
            }
            Effect::Commit(change) => {
                self.tell(token, &change);
                self.tell_given_up(token, &change);
                self.learn(token, &change);
                let Self { actors, parts, .. } = self;
                let actor = actors.get_mut(token)?;
                let change = actor.change(change, &parts.streams, parts.max_payload);
                actor.busy.commits.push_back(actor.outbox.last_number());
                self.enter(Entry::Change(change, Reply { shard: self.parts.index, entity: token as u64, number: COMMIT }));
            }
            Effect::Close { stream_sequence, outcome } => {
                if let Some(outcome) = outcome {
                    events::finished(&actor.pipeline.name, outcome_name(outcome));
                }
                self.enter(Entry::Close { pipeline, stream_sequence });
            }
            Effect::CatchUp { from, to } => {
                self.passes += 1;
                let actor = self.actors.get_mut(token)?;
                actor.busy.passes = self.passes;
                let since = actor.sequencer.waiting().map_or(self.host_now, |waiting| waiting.since);
                let request = Request { key: actor.key.clone(), shard: self.parts.index, number: actor.busy.passes, from, to, since };
                if let Some(service) = self.parts.catch_ups.get(pipeline) {
                    service.push(Ask::Start(request));
                }
            }
            Effect::ExtendCatchUp { to } => {
                let actor = self.actors.get(token)?;
                if let Some(service) = self.parts.catch_ups.get(pipeline) {
                    service.push(Ask::Extend(actor.key.clone(), to));
                }
            }
            Effect::Stop { reason } => {
                let pipeline = actor.pipeline.clone();
                let reason = match reason {
                    StopReason::Gap { missing } => {
                        format!("entity {:?}: event {} did not come (order.gap.then = \"stop\")", actor.key.entity, missing.sequence)
                    }
                    StopReason::Failure { place, reason, error } => format!(
                        "entity {:?}: event {} failed ({}): {error} (failure.then = \"stop\")",
                        actor.key.entity,
                        place.sequence,
                        reason.name()
                    ),
                };
                events::pipeline_stopped(&pipeline.name, &reason);
                pipeline.control.stop(reason);
            }
            Effect::Disorder(disorder) => self.tell_disorder(token, disorder),
            Effect::Answer(answer) => self.actors.get_mut(token)?.answer_word(answer),
            Effect::Redriven { answer, .. } => self.actors.get_mut(token)?.answer_redrive(answer),
        }
        None
    }

    /// Counts and logs what a change ends.
    fn tell(&self, token: usize, change: &Change<Ticket>) {
        let Some(actor) = self.actors.get(token) else { return };
        let key = &actor.key;
        for (_, outcome) in change.closes.into_iter() {
            if let (Some(Outcome::Applied), Some(applied)) = (outcome, &change.applied) {
                events::applied(&key.pipeline, Duration::from_millis(self.host_now.saturating_sub(applied.ticket.message.time)));
            } else if let Some(outcome) = outcome.filter(|outcome| *outcome != Outcome::DeadLettered) {
                events::finished(&key.pipeline, outcome_name(outcome));
            }
        }
        if let Some(dead) = &change.dead {
            let sequence = dead.event.as_ref().map_or(0, |event| event.place.sequence);
            let at = EventAt { pipeline: &key.pipeline, entity: &key.entity, sequence, stream_sequence: dead.stream_sequence() };
            events::dead_lettered(at, dead.reason.name(), &dead.error);
        }
    }

    /// Names what never came, once it is decided (G2). The ranges above the position are early events that were dead-lettered.
    fn tell_given_up(&mut self, token: usize, change: &Change<Ticket>) {
        let (Some(actor), Some(extras)) = (self.actors.get_mut(token), &change.patch.extras) else { return };
        let position = extras.position.unwrap_or_default();
        for range in &extras.given_up {
            let last = Place { epoch: range.first.epoch, sequence: range.last };
            if last > actor.named && last <= position {
                let sequence = range.first.sequence.max(if actor.named.epoch == last.epoch { actor.named.sequence + 1 } else { 0 });
                let at = EventAt { pipeline: &actor.key.pipeline, entity: &actor.key.entity, sequence, stream_sequence: 0 };
                events::given_up(at, range.last);
                actor.news.note(actor.busy.commits.len(), Kind::GapGivenUp { epoch: last.epoch, first: sequence, last: range.last });
                actor.named = last;
            }
        }
    }

    fn tell_disorder(&self, token: usize, disorder: Disorder) {
        let Some(actor) = self.actors.get(token) else { return };
        let sequence = actor.sequencer.position().map_or(1, |position| position.sequence.saturating_add(1));
        let at = EventAt { pipeline: &actor.key.pipeline, entity: &actor.key.entity, sequence, stream_sequence: 0 };
        match disorder {
            Disorder::Gap(missing) => events::gap_opened(at, missing),
            Disorder::Late => events::out_of_order(at, events::Disorder::Late),
            Disorder::Conflict => events::out_of_order(at, events::Disorder::Conflict),
        }
    }

    /// Starts a call and polls it once: most end here, within the tick. The others are set aside.
    fn deliver(&mut self, delivery: Delivery) -> Option<Input<Ticket>> {
        let Delivery { token, ticket: Ticket { event, read_at, .. }, attempt, late } = delivery;
        let actor = self.actors.get_mut(token)?;
        let pipeline = actor.pipeline.clone();
        match pipeline.breaker.ask(self.host_now) {
            Go::Call => {}
            Go::Probe => actor.probe = true,
            Go::Wait => return Some(Input::Barred),
        }
        let mut states = std::mem::take(&mut actor.states);
        let stamps = actor.stamps.clone();
        let handlers = pipeline.handlers.now();
        states.resize_with(handlers.len(), Default::default);
        if attempt == 1 {
            events::turn_came(&pipeline.name, Duration::from_millis(self.host_now.saturating_sub(read_at)));
        }
        let instances = self.instances(token, pipeline.index, &handlers);
        let mut future = self.parts.calls.call(Job { token, pipeline, handlers, event, attempt, late, states, stamps, instances });
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => self.outcome(done),
            Poll::Pending => {
                // The instances went with it: the next call starts a run of its own.
                self.run_of = None;
                self.calls.push(future);
                None
            }
        }
    }

    pub(super) fn start_deferred(&mut self) {
        while self.calls.len() < self.parts.bounds.calls_max {
            let Some(delivery) = self.deferred.pop_front() else { return };
            let stopped = self.actors.get(delivery.token).is_none_or(|actor| actor.pipeline.control.stopped().is_some());
            if stopped {
                continue;
            }
            let token = delivery.token;
            if let Some(input) = self.deliver(delivery) {
                self.drive(token, input);
            }
        }
    }

    /// What a call that ended means to the core.
    pub(super) fn outcome(&mut self, done: Done) -> Option<Input<Ticket>> {
        let Done { token, handlers, event, attempt, states, stamps, instances, result } = done;
        let actor = self.actors.get_mut(token)?;
        actor.states = states;
        // An instance that was set aside comes back into another entity's run: only shared ones may serve that.
        let same_run = self.run_of == Some(token);
        if let Some(warm) = self.warm.get_mut(actor.pipeline.index) {
            for ((place, instance), handler) in warm.iter_mut().zip(instances).zip(&*handlers) {
                if instance.is_some() && (same_run || handler.isolation() == Isolation::Shared) {
                    *place = instance;
                }
            }
        }
        let probe = std::mem::take(&mut actor.probe);
        let (good, fault) = match &result {
            Ok(_) => (handlers.len(), None),
            Err(Failed { handler, failure }) if failure.kind.is_fault() => (*handler, Some(failure.message.as_str())),
            Err(Failed { handler, .. }) => (handler.saturating_add(1), None),
        };
        actor.pipeline.breaker.ended(self.host_now, &actor.key.entity, probe, good, fault);
        match result {
            Ok(effects) => {
                actor.busy.scratch = effects;
                actor.busy.ran = Some(handlers);
                actor.busy.ran_stamps = stamps;
                Some(Input::Applied)
            }
            Err(failed) => {
                let failure = Failure { reason: reason(failed.failure.kind), error: failed.failure.message.clone() };
                let name = handlers.get(failed.handler).map_or("", |handler| &**handler.name());
                let key = &actor.key;
                let at = EventAt {
                    pipeline: &key.pipeline,
                    entity: &key.entity,
                    sequence: event.sequence,
                    stream_sequence: event.message.stream_sequence,
                };
                let delay = actor.pipeline.policy.retry.get(usize::try_from(attempt).unwrap_or(usize::MAX).saturating_sub(1));
                let crate::runtime::Failure { kind, message, backtrace } = &failed.failure;
                events::handler_failed(at, name, kind.name(), attempt, message, backtrace.as_deref());
                let redriven = actor.sequencer.redrive_running();
                if let Some(delay) = delay.filter(|_| !matches!(kind, FailureKind::Rejected | FailureKind::Migration) && !redriven) {
                    events::retry_set(at, name, attempt, Duration::from_millis(*delay));
                }
                actor.last_failure = Some(Box::new(LastFailure {
                    handler: failed.handler,
                    kind: kind.name(),
                    message: message.clone(),
                    backtrace: backtrace.clone(),
                    place: Place { epoch: event.epoch, sequence: event.sequence },
                    stream_sequence: event.message.stream_sequence,
                    attempt,
                    at: self.host_now,
                }));
                // A redriven event's failure is not that of the event at the head.
                if !redriven {
                    actor.failure = Some(Box::new((failed, handlers.clone())));
                }
                Some(Input::Failed(failure))
            }
        }
    }

    /// A change is durable.
    pub(super) fn committed(&mut self, token: usize, number: u64) {
        if token == usize::MAX {
            return;
        }
        let Some(actor) = self.actors.get_mut(token) else { return };
        if number == PRUNE {
            actor.busy.prunes = actor.busy.prunes.saturating_sub(1);
            actor.rest();
            return;
        }
        if let Some(up_to) = actor.busy.commits.pop_front() {
            actor.outbox.durable(up_to);
            if let Some(open) = &mut actor.open {
                open.durable();
            }
        }
        self.tell_news(token);
        self.send(token);
        let Some(actor) = self.actors.get_mut(token) else { return };
        if actor.outbox.len() > actor.pipeline.outbox_max {
            actor.busy.withheld += 1;
            self.settle(token);
        } else {
            self.drive(token, Input::Committed);
        }
        self.leave_after_visit(token);
    }

    /// Lets the head of an actor's outbox leave, if it may.
    pub(super) fn send(&mut self, token: usize) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        let Some(head) = actor.outbox.ready() else { return };
        let broker = self.parts.streams.broker(&head.subject);
        match actor.outbox.next(self.host_now, broker) {
            Next::Nothing => {}
            Next::At(at) => {
                actor.busy.send_at = Some(at);
                self.settle(token);
            }
            Next::Send { entry, blind_until } => {
                let request = PublishRequest { token: token as u64, shard: self.parts.index, entry, blind_until };
                if self.parts.publisher.try_publish(request).is_err() {
                    actor.busy.send_at = Some(actor.outbox.not_sent(self.host_now));
                    self.settle(token);
                }
            }
            Next::Search { entry, mark } => {
                self.parts.searcher.search(SearchRequest { token: token as u64, shard: self.parts.index, entry, mark });
            }
        }
    }

    /// The publisher answered for the head of an actor's outbox.
    pub(super) fn published(&mut self, reply: PublishReply) {
        let token = usize::try_from(reply.token).unwrap_or(usize::MAX);
        if mutant!(DeadLetterDroppedWhenRefused)
            && self.actors.get(token).is_some_and(|actor| actor.outbox.head().is_some_and(|head| head.dead))
        {
            return self.confirmed(token);
        }
        match reply.result {
            PublishResult::Confirmed { .. } => {
                self.confirmed(token);
                crate::failpoint!("confirm-after");
            }
            PublishResult::Unavailable { reason } => self.unavailable(token, &reason),
            PublishResult::Refused { reason, code } => {
                let Some(actor) = self.actors.get_mut(token) else { return };
                let subject = actor.outbox.head().map(|entry| entry.subject.clone()).unwrap_or_default();
                tracing::error!(pipeline = %actor.key.pipeline, entity = %actor.key.entity, subject, "an output was refused for good, the entity parks (output-undeliverable): {reason} (error {code})");
                actor.outbox.refused();
                actor.blocked = false;
                // The pipeline's own record has no order to keep and nothing to park.
                if !actor.key.entity.is_empty() {
                    self.drive(token, Input::OutputsRefused);
                }
            }
        }
    }

    fn unavailable(&mut self, token: usize, reason: &str) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        actor.busy.send_at = Some(actor.outbox.unavailable(self.host_now));
        if actor.outbox.tries() >= PATIENCE && !actor.blocked && !actor.key.entity.is_empty() {
            actor.blocked = true;
            let subject = actor.outbox.head().map(|entry| entry.subject.clone()).unwrap_or_default();
            tracing::warn!(pipeline = %actor.key.pipeline, entity = %actor.key.entity, subject, "outputs cannot be published now, the entity waits: {reason}");
            self.drive(token, Input::OutputsBlocked);
        }
        self.settle(token);
    }

    fn confirmed(&mut self, token: usize) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        let Some(entry) = actor.outbox.confirmed() else { return };
        if !entry.dead {
            events::output_confirmed(&actor.key.pipeline, &entry.cause);
        }
        let confirmed = actor.prune(entry.number);
        let freed = std::mem::take(&mut actor.blocked);
        let room = actor.outbox.len() <= actor.pipeline.outbox_max;
        let told = if room { std::mem::take(&mut actor.busy.withheld) } else { 0 };
        self.enter(Entry::Confirmed(confirmed, Reply { shard: self.parts.index, entity: token as u64, number: PRUNE }));
        for _ in 0..told {
            self.drive(token, Input::Committed);
        }
        if freed {
            self.drive(token, Input::OutputsFree);
        }
        self.own_room(token);
        self.send(token);
        self.settle(token);
    }

    /// The searcher answered: the head of an actor's outbox is in its stream, or is not.
    pub(super) fn searched(&mut self, reply: SearchReply) {
        let token = usize::try_from(reply.token).unwrap_or(usize::MAX);
        match reply.found {
            Found::There { .. } => self.confirmed(token),
            Found::Absent { end, never } => {
                if let Some(actor) = self.actors.get_mut(token) {
                    actor.outbox.absent(end, never);
                }
                self.send(token);
            }
            Found::Unknown { reason } => self.unavailable(token, &reason),
        }
    }
}

/// What a dead letter says of an event that was given up after such a failure.
pub(crate) fn reason(kind: FailureKind) -> DeadReason {
    match kind {
        FailureKind::Retry | FailureKind::Host => DeadReason::RetriesExhausted,
        FailureKind::Rejected => DeadReason::Rejected,
        FailureKind::Trap => DeadReason::Trap,
        FailureKind::Timeout => DeadReason::Timeout,
        FailureKind::Memory => DeadReason::Memory,
        FailureKind::OutputRefused => DeadReason::OutputRefused,
        FailureKind::TooLarge => DeadReason::TooLarge,
        FailureKind::Migration => DeadReason::Migration,
    }
}

fn outcome_name(outcome: Outcome) -> events::Outcome {
    match outcome {
        Outcome::Applied => events::Outcome::Applied,
        Outcome::Duplicate => events::Outcome::Duplicate,
        Outcome::DroppedLate => events::Outcome::DroppedLate,
        Outcome::DeadLettered => events::Outcome::DeadLettered,
    }
}
