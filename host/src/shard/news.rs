//! What is told of an entity (lifecycle events): taken from the changes that its core decides, sent when they are durable. Decides nothing.

use super::actor::{Actor, Ticket};
use super::run::Shard;
use crate::event::EntityKey;
use crate::sink::{dead_letter, lifecycle};
use crate::telemetry::lifecycle::{self as telemetry, Event, Kind};
use seriatim_sequencer::rare::{Nothing, Rare};
use seriatim_sequencer::{Change, DeadReason, Head, Now, Place, Sequencer, WaitReason, Waiting};
use std::collections::VecDeque;

/// What has been told of an entity, and what will be told once its commits are durable.
#[derive(Debug, Default)]
pub(super) struct News {
    /// What it waits for, as of the last change.
    waiting: Option<Waiting>,
    /// The first missing place of the gap that was told of.
    gap: Option<Place>,
    /// In order, each with the number of this entity's commits that have to become durable before it is true.
    untold: VecDeque<(usize, Kind)>,
}

impl News {
    /// What had been told before it was loaded.
    pub(super) fn before(sequencer: &Sequencer<Ticket>) -> Rare<Self> {
        let waiting = sequencer.waiting().copied();
        let gap = waiting.filter(|waiting| waiting.reason == WaitReason::Gap).and_then(|_| missing(sequencer));
        Rare::from(Self { waiting, gap, untold: VecDeque::new() })
    }

    /// To be told when the change that is built now is durable; so many are in flight before it.
    pub(super) fn note(&mut self, in_flight: usize, kind: Kind) {
        self.untold.push_back((in_flight.saturating_add(1), kind));
    }

    /// The same for a dead letter of what has no place.
    pub(super) fn note_dead(&mut self, in_flight: usize, reason: DeadReason, error: &str, stream_sequence: u64) {
        let (reason, error) = (reason.name(), dead_letter::one_line(error));
        self.note(in_flight, Kind::DeadLettered { reason, error, stream_sequence, epoch: None, sequence: None });
    }
}

impl Nothing for News {
    const NOTHING: &'static Self = &Self { waiting: None, gap: None, untold: VecDeque::new() };

    fn nothing() -> Self {
        Self::default()
    }

    fn is_nothing(&self) -> bool {
        self.waiting.is_none() && self.gap.is_none() && self.untold.is_empty()
    }
}

/// The place that an entity in a gap waits for.
fn missing(sequencer: &Sequencer<Ticket>) -> Option<Place> {
    match sequencer.status(Now::default()).head {
        Head::Missing(place) => Some(place),
        _ => None,
    }
}

impl Actor {
    /// What a change tells beside what it gives up.
    fn learn(&mut self, change: &Change<Ticket>) {
        let in_flight = self.busy.commits.len();
        let Change { patch, dead, .. } = change;
        if let Some(dead) = dead {
            let place = dead.event.as_ref().map(|event| event.place);
            let stream_sequence = dead.stream_sequence();
            let (epoch, sequence) = (place.map(|place| place.epoch), place.map(|place| place.sequence));
            let error = dead_letter::one_line(&dead.error);
            self.news.note(in_flight, Kind::DeadLettered { reason: dead.reason.name(), error, stream_sequence, epoch, sequence });
            if let Some(place) = place.filter(|_| dead.reason == DeadReason::Skipped) {
                self.news.note(in_flight, Kind::Skipped { epoch: place.epoch, sequence: place.sequence });
            }
        }
        let extras = patch.extras.as_deref();
        let reached = patch.slot.map(|slot| slot.position).max(extras.and_then(|extras| extras.position));
        if let Some(first) = self.news.gap.filter(|gap| reached.is_some_and(|position| position >= *gap)) {
            self.news.gap = None;
            let given_up = extras.is_some_and(|extras| {
                extras.floor >= first
                    || extras.given_up.iter().any(|range| range.first <= first && first <= Place { sequence: range.last, ..range.first })
            });
            if !given_up {
                self.news.note(in_flight, Kind::GapClosed { epoch: first.epoch, first: first.sequence });
            }
        }
        let Some(now) = patch.waiting else { return };
        let before = std::mem::replace(&mut self.news.waiting, now);
        if now.is_some_and(|now| now.reason == WaitReason::Gap)
            && let Some(first) = missing(&self.sequencer)
            && self.news.gap != Some(first)
        {
            self.news.gap = Some(first);
            let lowest = self.sequencer.status(Now::default()).held.map(|(_, lowest, _)| lowest);
            let last = lowest.filter(|lowest| lowest.epoch == first.epoch).map(|lowest| lowest.sequence.saturating_sub(1));
            self.news.note(in_flight, Kind::GapOpened { epoch: first.epoch, first: first.sequence, last });
        }
        let told = |waiting: &Waiting| (waiting.reason, waiting.parked());
        match (before, now) {
            (Some(before), None) => self.news.note(in_flight, Kind::Resumed { reason: before.reason.name(), since: before.since }),
            (before, Some(now)) if before.as_ref().map(told) != Some(told(&now)) => {
                let error = self.failure.as_deref().map(|(failed, _)| dead_letter::one_line(&failed.failure.message));
                let position = self.sequencer.position().unwrap_or_default();
                let head = telemetry::Place { epoch: position.epoch, sequence: position.sequence.saturating_add(1) };
                self.news.note(in_flight, lifecycle::state(&now, Some(head), error));
            }
            _ => {}
        }
    }
}

impl Shard {
    /// Takes from a change what there will be to tell.
    pub(super) fn learn(&mut self, token: usize, change: &Change<Ticket>) {
        if let Some(actor) = self.actors.get_mut(token).filter(|actor| actor.pipeline.lifecycle.is_on()) {
            actor.learn(change);
        }
    }

    /// The oldest commit in flight of an actor is durable: what it makes true is told.
    pub(super) fn tell_news(&mut self, token: usize) {
        let Some(actor) = self.actors.get_mut(token) else { return };
        if actor.news.untold.is_empty() {
            return;
        }
        for (commits, _) in &mut actor.news.untold {
            *commits = commits.saturating_sub(1);
        }
        while let Some((_, kind)) = actor.news.untold.pop_front_if(|(commits, _)| *commits == 0) {
            let entity = Some(actor.key.entity.clone()).filter(|entity| !entity.is_empty());
            let (pipeline, generation) = (actor.key.pipeline.clone(), actor.pipeline.generation);
            actor.pipeline.lifecycle.push(Event { pipeline, generation, entity, at: self.host_now, kind });
        }
    }

    /// Found waiting at a start.
    pub(super) fn tell_waiting(&self, pipeline: usize, key: &EntityKey, waiting: &Waiting) {
        let Some(pipeline) = self.parts.pipelines.get(pipeline) else { return };
        let (name, entity, kind) = (pipeline.name.clone(), Some(key.entity.clone()), lifecycle::state(waiting, None, None));
        pipeline.lifecycle.push(Event { pipeline: name, generation: pipeline.generation, entity, at: self.host_now, kind });
    }
}
