//! A pipeline's own record: dead letters of what has no entity (malformed, lost). It lives in the first shard, as an actor whose entity is empty;
//! its fates are kept by stream sequence until the watermark has passed them (design §3.6), so that nothing is decided twice.

use super::OwnItem;
use super::actor::Actor;
use super::perform::COMMIT;
use super::run::Shard;
use crate::event::EntityKey;
use crate::sink::dead_letter::{self, DeadLetter};
use crate::store::{Change, Entry, Reply};
use crate::telemetry::events::{self, EventAt};
use seriatim_sequencer::{DeadReason, Extras, mutant};
use std::collections::BTreeSet;

/// See the module.
#[derive(Debug)]
pub(super) struct Own {
    token: usize,
    fates: BTreeSet<u64>,
}

impl Shard {
    /// Loads the pipelines' own records; what their outboxes hold leaves at once.
    pub(super) fn load_own(&mut self) {
        if self.parts.index != 0 {
            return;
        }
        for pipeline in self.parts.pipelines.clone() {
            let key = EntityKey { pipeline: pipeline.name.clone(), entity: "".into() };
            let loaded = match self.parts.store.load(&key) {
                Ok(loaded) => loaded,
                Err(error) => {
                    self.parts.poison.set(format!("the record of pipeline {} cannot be read: {error}", pipeline.name));
                    return;
                }
            };
            let rebased =
                pipeline.generations.iter().filter(|(generation, _)| *generation > loaded.generation).map(|(_, from)| *from).min();
            let fates = loaded.snapshot.extras.fates.iter().copied().filter(|fate| rebased.is_none_or(|from| *fate < from)).collect();
            let mut loaded = loaded;
            loaded.snapshot = seriatim_sequencer::Snapshot::default();
            let token = self.actors.insert(Actor::load(key, pipeline.clone(), loaded, 0));
            if let Some(own) = self.own.get_mut(pipeline.index) {
                *own = Some(Own { token, fates });
            }
            self.send(token);
        }
    }

    /// Dead-letters what has no entity; the message closes with that commit.
    pub(super) fn own_item(&mut self, pipeline: usize, item: OwnItem) {
        let (at, end) = match &item {
            OwnItem::Malformed { message, .. } => (message.stream_sequence, message.stream_sequence),
            OwnItem::Lost { first, last } => (*first, *last),
        };
        let Some(Some(own)) = self.own.get_mut(pipeline) else { return };
        let token = own.token;
        if !own.fates.insert(at) && !mutant!(MalformedDecidedTwice) {
            if let Some(pipeline) = self.parts.pipelines.get(pipeline) {
                events::finished(&pipeline.name, events::Outcome::Duplicate);
            }
            for stream_sequence in [at, end] {
                self.enter(Entry::Close { pipeline, stream_sequence });
            }
            return;
        }
        let watermark = self.parts.progress.get(pipeline).map_or(0, |progress| progress.get().watermark);
        own.fates = own.fates.split_off(&watermark.saturating_add(1));
        let fates = own.fates.iter().copied().collect();
        let streams = self.parts.streams.clone();
        let max_payload = self.parts.max_payload;
        let Some(actor) = self.actors.get_mut(token) else { return };
        let shared = actor.pipeline.clone();
        let (reason, error, message, entity, lost) = match &item {
            OwnItem::Malformed { message, reason, entity } => {
                (DeadReason::Malformed, reason.clone(), Some(&**message), entity.as_deref(), None)
            }
            OwnItem::Lost { first, last } => {
                let error = format!("stream sequences {first} to {last} were deleted by retention before they were read");
                (DeadReason::Lost, error, None, None, Some((*first, *last)))
            }
        };
        let at_event = EventAt { pipeline: &shared.name, entity: entity.unwrap_or_default(), sequence: 0, stream_sequence: at };
        events::dead_lettered(at_event, reason.name(), &error);
        actor.news.note_dead(actor.commits.len(), reason, &error, at);
        let letter = DeadLetter {
            pipeline: &shared.name,
            generation: shared.generation,
            reason,
            error: &error,
            attempts: 0,
            handler: None,
            component: None,
            entity,
            epoch: None,
            sequence: None,
            id: None,
            stream: &shared.stream,
            stream_sequence: at,
            lost_to: lost.map(|(_, last)| last),
            accepted: false,
            message,
        };
        let entry = super::actor::entry(dead_letter::build(&letter, max_payload), actor.outbox.number(), reason, &streams);
        let mut change = Box::new(Change::new(actor.key.clone(), shared.ring, shared.generation));
        change.patch.extras = Some(Box::new(Extras { fates, ..Extras::default() }));
        change.closes.extend([at, end]);
        change.outbox_add.push(entry.clone());
        change.owes = (!actor.owes).then_some(true);
        actor.owes = true;
        actor.outbox.push(entry);
        actor.commits.push_back(actor.outbox.last_number());
        let full = actor.outbox.len() >= shared.own_outbox_max;
        self.enter(Entry::Change(change, Reply { shard: self.parts.index, entity: token as u64, number: COMMIT }));
        if full && !shared.control.own_full() {
            tracing::error!(pipeline = %shared.name, "dead letters of messages without an entity cannot be published; the pipeline stops reading until there is room");
            shared.control.set_own_full(true);
        }
    }

    /// A confirmed dead letter made room.
    pub(super) fn own_room(&mut self, token: usize) {
        if let Some(actor) = self.actors.get(token)
            && actor.key.entity.is_empty()
            && actor.pipeline.control.own_full()
            && actor.outbox.len() < actor.pipeline.own_outbox_max / 2 + 1
        {
            actor.pipeline.control.set_own_full(false);
        }
    }
}
