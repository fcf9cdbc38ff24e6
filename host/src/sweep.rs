//! The sweep for `retain`: looks at all entities of a pipeline, page by page and at a modest pace, and asks those that were not seen for long to let
//! their state and ids go. Decides nothing: the store lists candidates, and each entity's actor has the word, by its shard's own stream time.

use crate::event::EntityKey;
use crate::pipeline::Pipeline;
use crate::router;
use crate::shard::{Asked, Handle, Question};
use crate::store::{self, Store, Unseen};
use crate::telemetry::events;
use futures_util::StreamExt;
use seriatim_sequencer::{Answer, Retain};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Entities looked at in one page.
const PAGE: usize = 256;
/// Rest between two pages: about 2,500 entities a second are looked at.
const REST: Duration = Duration::from_millis(100);
/// Entities asked at the same time: their commits share an fsync, and operators' questions still find room.
const AT_ONCE: usize = 8;
/// The first sweep begins this long after a start, or sooner if `retain` is short.
const FIRST: Duration = Duration::from_secs(60);
/// Never more often than this.
const EVERY_MIN: Duration = Duration::from_secs(1);

/// What a sweep works with.
pub struct Sweep {
    /// The pipeline.
    pub pipeline: Arc<Pipeline>,
    /// What it remembers for how long.
    pub retain: Retain,
    /// Where its entities are.
    pub store: Arc<dyn Store>,
    /// Who owns them.
    pub shards: Vec<Handle>,
}

impl Sweep {
    /// Sweeps until the host goes down: each time when sightings that were just written are a step older (a day at most).
    pub async fn run(self) {
        let every = Duration::from_millis(self.retain.step()).max(EVERY_MIN);
        tokio::time::sleep(every.min(FIRST)).await;
        loop {
            if let Err(error) = self.once().await {
                // What is wrong with the store poisons the host where it matters: here nothing is lost.
                tracing::warn!(pipeline = %self.pipeline.name, "the sweep for entities that were not seen ended early, the next one begins anew: {error}");
            }
            tokio::time::sleep(every).await;
        }
    }

    /// One sweep over all entities; how many were retired.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn once(&self) -> Result<u64, store::Error> {
        let mut after = None;
        let mut retired = 0;
        while let Some(before) = self.before() {
            let page = self.page(after, before).await?;
            let asked = futures_util::stream::iter(page.entities).map(|entity| self.ask(entity)).buffer_unordered(AT_ONCE);
            retired += asked.filter(|gone| std::future::ready(*gone)).count().await as u64;
            after = page.last;
            if after.is_none() {
                break;
            }
            tokio::time::sleep(REST).await;
        }
        if retired > 0 {
            events::swept(&self.pipeline.name, retired, Duration::from_millis(self.retain.after));
        }
        Ok(retired)
    }

    /// Who was not seen after this goes; `None`: nobody can be so old yet.
    fn before(&self) -> Option<u64> {
        let before = self.pipeline.control.stream_time().checked_sub(self.retain.after)?;
        (before >= self.retain.since).then_some(before)
    }

    async fn page(&self, after: Option<String>, before: u64) -> Result<Unseen, store::Error> {
        let (store, name) = (self.store.clone(), self.pipeline.name.clone());
        let page = tokio::task::spawn_blocking(move || store.unseen(&name, after.as_deref(), PAGE, before));
        page.await
            .unwrap_or_else(|error| Err(store::Error::Engine { doing: "look for entities that were not seen", reason: error.to_string() }))
    }

    /// Whether the entity let go, durably. One that is busy, or a host that stops, waits for another sweep.
    async fn ask(&self, entity: String) -> bool {
        let key = EntityKey { pipeline: self.pipeline.name.clone(), entity: entity.into() };
        let Some(shard) = self.shards.get(router::shard_of(&key, self.shards.len())) else { return false };
        let (to, answer) = oneshot::channel();
        let question = Question { key, pipeline: self.pipeline.index, what: Asked::Retire(to) };
        let gone = shard.ask(question).await.is_ok() && matches!(answer.await, Ok(Ok(Answer::Done)));
        if gone {
            events::retired(&self.pipeline.name);
        }
        gone
    }
}
