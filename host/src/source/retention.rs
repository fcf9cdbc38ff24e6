//! Warns before the stream's limits remove what is still to be done: of an entity that waits (from its S on), or of the pipeline itself (behind
//! the watermark). One task per pipeline looks at intervals; `Approach` decides when to say so, once each time something comes near.

use crate::directory::Directory;
use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::limits::{self, Limits};
use crate::nats::{identity, raw};
use crate::pipeline::Pipeline;
use crate::store::DurableProgress;
use crate::telemetry::events;
use crate::telemetry::lifecycle::{Event, Kind};
use std::sync::Arc;
use std::time::Duration;

/// How often the stream is asked.
pub const EVERY: Duration = Duration::from_secs(10);

/// What the task works with.
pub struct Watch {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// The subjects it reads.
    pub subjects: Vec<String>,
    /// Where the stream is asked.
    pub connection: Connection,
    /// Who waits.
    pub directory: Arc<Directory>,
    /// How far the pipeline is.
    pub progress: Arc<DurableProgress>,
    /// `run.retention-near-percent`.
    pub percent: u64,
}

/// What is still to be done and goes first.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Needed {
    /// The entity that waits for it; `None` = it is the pipeline's next message.
    entity: Option<Arc<str>>,
    sequence: u64,
    /// The broker's timestamp, ms.
    time: u64,
}

/// When to warn. Pure.
#[derive(Debug, Default)]
struct Approach {
    warned: Option<Needed>,
}

impl Approach {
    /// Whether to warn, now that this much is left. An entity is warned of once for each S, the pipeline once until it has got away.
    fn step(&mut self, needed: Option<&Needed>, left: f64, percent: u64) -> bool {
        /// Left this many times the share, it has got away: not so little more that it comes and goes.
        const AWAY: f64 = 1.5;
        let near = share(percent);
        let Some(needed) = needed.filter(|_| left < near * AWAY) else {
            self.warned = None;
            return false;
        };
        let same = |warned: &Needed| warned.entity == needed.entity && (needed.entity.is_none() || warned.sequence == needed.sequence);
        if left >= near || self.warned.as_ref().is_some_and(same) {
            return false;
        }
        self.warned = Some(needed.clone());
        true
    }
}

impl Watch {
    /// Looks until it is dropped.
    pub async fn run(self) {
        let mut approach = Approach::default();
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.look(&mut approach).await {
                tracing::debug!(pipeline = %self.pipeline.name, "how near retention is could not be asked: {error}");
            }
        }
    }

    async fn look(&self, approach: &mut Approach) -> Result<(), ApiError> {
        let Pipeline { name, stream, .. } = &*self.pipeline;
        let client = self.connection.client();
        let limits = limits::limits(&client, stream).await?;
        let needed = if limits.take_anything() { self.needed().await? } else { None };
        let left = needed.as_ref().map_or(1.0, |needed| limits.left(needed.sequence, needed.time));
        let warn = approach.step(needed.as_ref(), left, self.percent);
        let below = if left < share(self.percent) { self.near_below(&limits).await? } else { 0 };
        let entities = self.directory.waiting_below(name, below);
        events::retention_is(name, entities, left);
        if let Some(Needed { entity, sequence, .. }) = needed.filter(|_| warn) {
            let first = limits.first_sequence;
            events::retention_near(name, stream, entity.as_deref().unwrap_or_default(), sequence, first, entities);
            let kind = Kind::RetentionNear { stream: stream.clone(), first, needed: sequence, entities };
            self.pipeline.lifecycle.push(Event::now(name.clone(), self.pipeline.generation, entity, kind));
        }
        Ok(())
    }

    /// What goes first of all that is still to be done.
    async fn needed(&self) -> Result<Option<Needed>, ApiError> {
        let (client, stream) = (self.connection.client(), &self.pipeline.stream);
        let unread = raw::next_message(&client, stream, &self.subjects, self.progress.get().watermark.saturating_add(1)).await?;
        let unread = unread.map(|found| Needed { entity: None, sequence: found.message.stream_sequence, time: found.message.time });
        let Some((entity, from)) = self.directory.lowest_waiting(&self.pipeline.name) else { return Ok(unread) };
        if unread.as_ref().is_some_and(|unread| unread.sequence < from) {
            return Ok(unread);
        }
        // What the stream no longer has below is lost already, and named by the catch-up that does not find it.
        let waited = raw::next_message(&client, stream, &[], from).await?;
        Ok(waited.map(|found| Needed { entity: Some(entity), sequence: found.message.stream_sequence, time: found.message.time }))
    }

    /// Below this stream sequence, messages are near their end.
    async fn near_below(&self, limits: &Limits) -> Result<u64, ApiError> {
        let by_room = limits.near_by_room(self.percent);
        let Some(time) = limits.near_by_age(self.percent) else { return Ok(by_room) };
        let millis = i64::try_from(time).unwrap_or(i64::MAX);
        let younger = identity::first_at_time(&self.connection.client(), &self.pipeline.stream, millis).await?;
        Ok(by_room.max(younger.unwrap_or(limits.last_sequence.saturating_add(1))))
    }
}

fn share(percent: u64) -> f64 {
    f64::from(u32::try_from(percent).unwrap_or(u32::MAX)) / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(name: &str, sequence: u64) -> Option<Needed> {
        Some(Needed { entity: Some(name.into()), sequence, time: 0 })
    }

    #[test]
    fn each_approach_is_told_once() {
        let mut approach = Approach::default();
        assert!(!approach.step(entity("a", 7).as_ref(), 0.5, 10));
        assert!(approach.step(entity("a", 7).as_ref(), 0.09, 10));
        assert!(!approach.step(entity("a", 7).as_ref(), 0.05, 10), "told");
        assert!(approach.step(entity("b", 9).as_ref(), 0.05, 10), "another one comes near");
        assert!(!approach.step(None, 1.0, 10));
        assert!(approach.step(entity("b", 9).as_ref(), 0.05, 10), "again, after nothing was near");
    }

    #[test]
    fn what_hovers_at_the_mark_is_told_once() {
        let mut approach = Approach::default();
        let behind = |sequence| Some(Needed { entity: None, sequence, time: 0 });
        assert!(approach.step(behind(7).as_ref(), 0.09, 10));
        for (sequence, left) in [(8, 0.11), (9, 0.09), (10, 0.14), (11, 0.01)] {
            assert!(!approach.step(behind(sequence).as_ref(), left, 10));
        }
        assert!(!approach.step(behind(12).as_ref(), 0.2, 10));
        assert!(approach.step(behind(13).as_ref(), 0.09, 10), "it had got away");
        assert!(!Approach::default().step(behind(1).as_ref(), 0.0, 0), "0 % is never");
    }
}
