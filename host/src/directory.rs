//! What admin and metrics see of the entities: who is in memory, where, and what they wait for. Shards show, nobody decides by it (design §3.9).

use crate::event::EntityKey;
use dashmap::DashMap;
use seriatim_sequencer::Waiting;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is shown of one entity.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Its shard.
    pub shard: usize,
    /// It is in memory.
    pub live: bool,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// The handler whose failure was its last one since it came into memory, by its index in the pipeline.
    pub failed: Option<usize>,
}

/// See the module. As large as the set of entities that are in memory (`run.entities-max`) or wait.
#[derive(Debug, Default)]
pub struct Directory {
    entities: DashMap<EntityKey, View>,
}

impl Directory {
    /// The entity is in memory, or what it waits for changed.
    pub fn show(&self, key: &EntityKey, view: View) {
        self.entities.insert(key.clone(), view);
    }

    /// The entity left memory and waits for nothing.
    pub fn forget(&self, key: &EntityKey) {
        self.entities.remove(key);
    }

    /// What is known of an entity.
    #[must_use]
    pub fn get(&self, key: &EntityKey) -> Option<View> {
        self.entities.get(key).map(|view| *view)
    }

    /// Shows every entity of a pipeline that is in memory or waits, in no order.
    pub fn each(&self, pipeline: &str, mut see: impl FnMut(&Arc<str>, &View)) {
        for entry in self.entities.iter().filter(|entry| &*entry.key().pipeline == pipeline && !entry.key().entity.is_empty()) {
            see(&entry.key().entity, entry.value());
        }
    }

    /// Entities of a pipeline in memory.
    #[must_use]
    pub fn live_of(&self, pipeline: &str) -> u64 {
        self.entities.iter().filter(|entry| entry.live && &*entry.key().pipeline == pipeline).count() as u64
    }

    /// Waiting entities by pipeline and reason, and for each pipeline since when the oldest waits (host milliseconds).
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<(Arc<str>, &'static str), (usize, u64)> {
        let mut counts = BTreeMap::new();
        for entry in &self.entities {
            if let Some(waiting) = entry.waiting {
                let (count, since) = counts.entry((entry.key().pipeline.clone(), waiting.reason.name())).or_insert((0, u64::MAX));
                *count += 1;
                *since = waiting.since.min(*since);
            }
        }
        counts
    }
}
