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
use seriatim_sequencer::{DeadReason, Extras, NamedLost, mutant};
use std::collections::BTreeSet;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(super) struct Own {
    token: usize,
    /// Malformed messages that were decided.
    fates: BTreeSet<u64>,
    /// Messages that were named as lost.
    lost: NamedLost,
}

impl Shard {
    /// Loads the pipelines' own records; what their outboxes hold leaves at once.
    pub(super) fn load_own(&mut self) {
        if self.parts.index != 0 {
            return;
        }
        for pipeline in self.parts.pipelines.clone() {
            let key = EntityKey { pipeline: pipeline.name.clone(), entity: "".into() };
            let mut loaded = match self.parts.store.load(&key) {
                Ok(loaded) => loaded,
                Err(error) => {
                    self.parts.poison.set(format!("the record of pipeline {} cannot be read: {error}", pipeline.name));
                    return;
                }
            };
            // What is left of the record are its dead letters, which leave like an entity's.
            let mut snapshot = std::mem::take(&mut loaded.snapshot);
            if let Some(from) = pipeline.renumbered_since(loaded.generation) {
                snapshot.rebase(from);
            }
            let (fates, lost) = (snapshot.extras.fates.into_iter().collect(), NamedLost::restore(snapshot.extras.lost));
            let token = self.actors.insert(Actor::load(key, pipeline.clone(), loaded, 0));
            if let Some(own) = self.own.get_mut(pipeline.index) {
                *own = Some(Own { token, fates, lost });
            }
            self.send(token);
        }
    }

    /// Dead-letters what has no entity; the message closes with that commit.
    pub(super) fn own_item(&mut self, pipeline: usize, item: OwnItem) {
        let watermark = self.parts.progress.get(pipeline).map_or(0, |progress| progress.get().watermark);
        let Some(Some(own)) = self.own.get_mut(pipeline) else { return };
        let (first, last, news) = match &item {
            OwnItem::Malformed { message, .. } => {
                let at = message.stream_sequence;
                let new = own.fates.insert(at) || mutant!(MalformedDecidedTwice);
                (at, at, if new { vec![(at, at)] } else { Vec::new() })
            }
            // Read again after a crash the range may have grown: only what was not named before is.
            OwnItem::Lost { first, last } => (*first, *last, std::iter::from_fn(|| own.lost.name_next(*first, *last)).collect()),
        };
        own.fates = own.fates.split_off(&watermark.saturating_add(1));
        own.lost.forget_below(watermark.saturating_add(1));
        if news.is_empty() {
            if let Some(pipeline) = self.parts.pipelines.get(pipeline) {
                events::finished(&pipeline.name, events::Outcome::Duplicate);
            }
            for stream_sequence in [first, last] {
                self.enter(Entry::Close { pipeline, stream_sequence });
            }
            return;
        }
        self.own_letters(pipeline, &item, &news, [first, last]);
    }

    /// One commit for all of them: what is remembered as named and the letters that name it are durable together.
    fn own_letters(&mut self, pipeline: usize, item: &OwnItem, parts: &[(u64, u64)], closes: [u64; 2]) {
        let Some(Some(own)) = self.own.get(pipeline) else { return };
        let (token, fates, lost) = (own.token, own.fates.iter().copied().collect(), own.lost.ranges().to_vec());
        let streams = self.parts.streams.clone();
        let max_payload = self.parts.max_payload;
        let Some(actor) = self.actors.get_mut(token) else { return };
        let shared = actor.pipeline.clone();
        let mut change = Box::new(Change::new(actor.key.clone(), shared.ring, shared.generation));
        change.patch.extras = Some(Box::new(Extras { fates, lost, ..Extras::default() }));
        change.closes.extend(closes);
        for &(at, end) in parts {
            let (reason, error, message, entity, lost_to) = match item {
                OwnItem::Malformed { message, reason, entity } => {
                    (DeadReason::Malformed, reason.clone(), Some(&**message), entity.as_deref(), None)
                }
                OwnItem::Lost { .. } => {
                    let error = format!("stream sequences {at} to {end} were deleted by retention before they were read");
                    (DeadReason::Lost, error, None, None, Some(end))
                }
            };
            let at_event = EventAt { pipeline: &shared.name, entity: entity.unwrap_or_default(), sequence: 0, stream_sequence: at };
            events::dead_lettered(at_event, reason.name(), &error);
            actor.news.note_dead(actor.busy.commits.len(), reason, &error, at);
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
                lost_to,
                accepted: false,
                message,
            };
            let entry = super::actor::entry(dead_letter::build(&letter, max_payload), actor.outbox.number(), reason, &streams);
            let entry = Arc::new(entry);
            change.outbox_add.push(entry.clone());
            actor.outbox.push(entry);
        }
        actor.busy.commits.push_back(actor.outbox.last_number());
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
