//! What admin and metrics see of the entities: who is in memory, and what they wait for. Shards show, nobody decides by it (design §3.9).

use crate::event::EntityKey;
use dashmap::DashMap;
use seriatim_sequencer::Waiting;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

/// What is shown of one entity.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// It is in memory.
    pub live: bool,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// The handler whose failure was its last one since it came into memory, by its index in the pipeline.
    pub failed: Option<usize>,
}

/// The same, small: there are as many as entities in memory, and few of those wait.
#[derive(Debug)]
struct Kept {
    live: bool,
    failed: Option<u16>,
    waiting: Option<Box<Waiting>>,
}

impl Kept {
    fn new(view: View) -> Self {
        let View { live, waiting, failed } = view;
        // There are not as many handlers as this number holds.
        let failed = failed.map(|failed| u16::try_from(failed).unwrap_or(u16::MAX));
        Self { live, failed, waiting: waiting.map(Box::new) }
    }

    fn view(&self) -> View {
        let Self { live, failed, ref waiting } = *self;
        View { live, failed: failed.map(usize::from), waiting: waiting.as_deref().copied() }
    }
}

/// Entities of a pipeline, by name.
type Entities = DashMap<Arc<str>, Kept>;

/// See the module. As large as the set of entities that are in memory (`run.entities-max`) or wait.
#[derive(Debug, Default)]
pub struct Directory {
    pipelines: RwLock<BTreeMap<Arc<str>, Arc<Entities>>>,
}

impl Directory {
    fn of(&self, pipeline: &str) -> Option<Arc<Entities>> {
        self.pipelines.read().unwrap_or_else(PoisonError::into_inner).get(pipeline).cloned()
    }

    fn all(&self) -> BTreeMap<Arc<str>, Arc<Entities>> {
        self.pipelines.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The entity is in memory, or what it waits for changed.
    pub fn show(&self, key: &EntityKey, view: View) {
        let entities = self.of(&key.pipeline).unwrap_or_else(|| {
            let mut pipelines = self.pipelines.write().unwrap_or_else(PoisonError::into_inner);
            pipelines.entry(key.pipeline.clone()).or_default().clone()
        });
        entities.insert(key.entity.clone(), Kept::new(view));
    }

    /// The entity left memory and waits for nothing.
    pub fn forget(&self, key: &EntityKey) {
        if let Some(entities) = self.of(&key.pipeline) {
            entities.remove(&key.entity);
        }
    }

    /// What is known of an entity.
    #[must_use]
    pub fn get(&self, key: &EntityKey) -> Option<View> {
        self.of(&key.pipeline)?.get(&key.entity).map(|kept| kept.view())
    }

    /// Shows every entity of a pipeline that is in memory or waits, in no order.
    pub fn each(&self, pipeline: &str, mut see: impl FnMut(&Arc<str>, &View)) {
        let Some(entities) = self.of(pipeline) else { return };
        for entry in entities.iter().filter(|entry| !entry.key().is_empty()) {
            see(entry.key(), &entry.view());
        }
    }

    /// Entities of a pipeline in memory.
    #[must_use]
    pub fn live_of(&self, pipeline: &str) -> u64 {
        self.of(pipeline).map_or(0, |entities| entities.iter().filter(|entry| entry.live).count() as u64)
    }

    /// Waiting entities by pipeline and reason, and for each pipeline since when the oldest waits (host milliseconds).
    #[must_use]
    pub fn waiting(&self) -> BTreeMap<(Arc<str>, &'static str), (usize, u64)> {
        let mut counts = BTreeMap::new();
        for (pipeline, entities) in self.all() {
            for entry in entities.iter() {
                if let Some(waiting) = &entry.waiting {
                    let (count, since) = counts.entry((pipeline.clone(), waiting.reason.name())).or_insert((0, u64::MAX));
                    *count += 1;
                    *since = waiting.since.min(*since);
                }
            }
        }
        counts
    }

    /// Parked entities by pipeline and reason.
    #[must_use]
    pub fn parked(&self) -> BTreeMap<(Arc<str>, &'static str), u64> {
        let mut counts = BTreeMap::new();
        for (pipeline, entities) in self.all() {
            for entry in entities.iter() {
                if let Some(waiting) = entry.waiting.as_ref().filter(|waiting| waiting.parked()) {
                    *counts.entry((pipeline.clone(), waiting.reason.name())).or_insert(0) += 1;
                }
            }
        }
        counts
    }

    /// The entity of a pipeline that waits for the lowest stream sequence, and that sequence.
    #[must_use]
    pub fn lowest_waiting(&self, pipeline: &str) -> Option<(Arc<str>, u64)> {
        let entities = self.of(pipeline)?;
        let waiting = entities.iter().filter_map(|entry| Some((entry.key().clone(), entry.waiting.as_ref()?.from)));
        waiting.min_by(|(one, first), (other, second)| (first, one).cmp(&(second, other)))
    }

    /// Entities of a pipeline that wait for something below this stream sequence.
    #[must_use]
    pub fn waiting_below(&self, pipeline: &str, below: u64) -> u64 {
        let waits = |kept: &Kept| kept.waiting.as_ref().is_some_and(|waiting| waiting.from < below);
        self.of(pipeline).map_or(0, |entities| entities.iter().filter(|entry| waits(entry.value())).count() as u64)
    }

    /// At most `max` entities that wait, those that follow `after`, in the order of their names. Each page looks at all entities once.
    #[must_use]
    pub fn waiting_after(&self, after: Option<&EntityKey>, max: usize) -> BTreeMap<EntityKey, Waiting> {
        let mut page = BTreeMap::new();
        for (pipeline, entities) in self.all() {
            for entry in entities.iter() {
                let Some(waiting) = entry.waiting.as_deref().copied() else { continue };
                let key = EntityKey { pipeline: pipeline.clone(), entity: entry.key().clone() };
                if after.is_some_and(|after| key <= *after) {
                    continue;
                }
                page.insert(key, waiting);
                if page.len() > max {
                    page.pop_last();
                }
            }
        }
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use seriatim_sequencer::{Alarm, Attempts, WaitReason};

    fn key(pipeline: &str, entity: &str) -> EntityKey {
        EntityKey { pipeline: pipeline.into(), entity: entity.into() }
    }

    fn view(from: u64, alarm: Option<Alarm>) -> View {
        let waiting = Waiting { from, reason: WaitReason::Gap, attempts: Attempts::default(), alarm, since: 1 };
        View { live: true, waiting: Some(waiting), failed: None }
    }

    #[test]
    fn who_waits_is_counted_and_listed_in_pages() {
        let directory = Directory::default();
        for number in 0..25u64 {
            let alarm = (number % 2 == 0).then_some(Alarm::Host(5));
            directory.show(&key("p", &format!("e{number:02}")), view(100 - number, alarm));
        }
        directory.show(&key("p", "live"), View { live: true, waiting: None, failed: None });
        directory.show(&key("q", "other"), view(1, None));
        assert_eq!(directory.parked().into_values().collect::<Vec<_>>(), [12, 1]);
        assert_eq!(directory.lowest_waiting("p"), Some(("e24".into(), 76)));
        assert_eq!(directory.lowest_waiting("none"), None);
        assert_eq!((directory.waiting_below("p", 76), directory.waiting_below("p", 78), directory.waiting_below("q", 2)), (0, 2, 1));
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = directory.waiting_after(after.as_ref(), 10);
            let Some((last, _)) = page.last_key_value() else { break };
            assert!(page.len() <= 10);
            after = Some(last.clone());
            seen.extend(page.into_keys());
        }
        assert_eq!(seen.len(), 26);
        assert!(seen.is_sorted());
    }
}
