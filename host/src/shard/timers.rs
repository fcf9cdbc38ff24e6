//! When actors want to be looked at again: in memory by token, out of memory (waiting with an alarm) by name. Pure.

use crate::event::EntityKey;
use seriatim_sequencer::{Alarm, WaitReason, Waiting};
use std::collections::{BTreeSet, HashMap};

/// One clock's wishes.
#[derive(Debug, Default)]
pub(super) struct Timers {
    live: BTreeSet<(u64, usize)>,
}

impl Timers {
    /// Replaces an actor's wish.
    pub(super) fn set(&mut self, registered: &mut Option<u64>, wanted: Option<u64>, token: usize) {
        if *registered == wanted {
            return;
        }
        if let Some(at) = registered.take() {
            self.live.remove(&(at, token));
        }
        if let Some(at) = wanted {
            self.live.insert((at, token));
        }
        *registered = wanted;
    }

    /// The next actor whose time has come.
    pub(super) fn due(&mut self, now: u64) -> Option<usize> {
        let (at, token) = *self.live.first()?;
        if at > now {
            return None;
        }
        self.live.remove(&(at, token));
        Some(token)
    }

    /// When the next wish comes up.
    pub(super) fn next(&self) -> Option<u64> {
        self.live.first().map(|(at, _)| *at)
    }
}

/// Alarms of entities that are not in memory.
#[derive(Debug, Default)]
pub(super) struct Sleeping {
    alarms: HashMap<EntityKey, Wakes>,
    host: BTreeSet<(u64, EntityKey)>,
    /// By pipeline index.
    stream: Vec<BTreeSet<(u64, EntityKey)>>,
    /// By pipeline index: those that wait because no handler is called, by the time since which they wait.
    barred: Vec<BTreeSet<(u64, EntityKey)>>,
}

/// What wakes an entity.
#[derive(Clone, Copy, Debug)]
enum Wakes {
    Host(u64),
    Stream(u64),
    Release(u64),
}

impl Sleeping {
    pub(super) fn new(pipelines: usize) -> Self {
        Self { stream: vec![BTreeSet::new(); pipelines], barred: vec![BTreeSet::new(); pipelines], ..Self::default() }
    }

    /// The entity left memory, or was found at the start. A parked one is not woken.
    pub(super) fn insert(&mut self, pipeline: usize, key: EntityKey, waiting: &Waiting) {
        self.remove(pipeline, &key);
        let wakes = match (waiting.reason, waiting.alarm) {
            (_, None) => return,
            (WaitReason::Breaker, Some(_)) => Wakes::Release(waiting.since),
            (_, Some(Alarm::Host(at))) => Wakes::Host(at),
            (_, Some(Alarm::Stream(at))) => Wakes::Stream(at),
        };
        if let Some((at, line)) = self.line(pipeline, wakes) {
            line.insert((at, key.clone()));
        }
        self.alarms.insert(key, wakes);
    }

    /// The entity is in memory again.
    pub(super) fn remove(&mut self, pipeline: usize, key: &EntityKey) {
        if let Some(wakes) = self.alarms.remove(key)
            && let Some((at, line)) = self.line(pipeline, wakes)
        {
            line.remove(&(at, key.clone()));
        }
    }

    fn line(&mut self, pipeline: usize, wakes: Wakes) -> Option<(u64, &mut BTreeSet<(u64, EntityKey)>)> {
        Some(match wakes {
            Wakes::Host(at) => (at, &mut self.host),
            Wakes::Stream(at) => (at, self.stream.get_mut(pipeline)?),
            Wakes::Release(since) => (since, self.barred.get_mut(pipeline)?),
        })
    }

    /// The next entity whose alarm has rung on host time. It stays until it is loaded.
    pub(super) fn due_host(&self, now: u64) -> Option<EntityKey> {
        self.host.first().filter(|(at, _)| *at <= now).map(|(_, key)| key.clone())
    }

    /// The next entity of a pipeline whose alarm has rung on stream time.
    pub(super) fn due_stream(&self, pipeline: usize, now: u64) -> Option<EntityKey> {
        self.stream.get(pipeline)?.first().filter(|(at, _)| *at <= now).map(|(_, key)| key.clone())
    }

    /// The entity of a pipeline that has waited longest of those that wait because no handler is called.
    pub(super) fn barred(&self, pipeline: usize) -> Option<&EntityKey> {
        self.barred.get(pipeline)?.first().map(|(_, key)| key)
    }

    /// When the next one rings on host time.
    pub(super) fn next_host(&self) -> Option<u64> {
        self.host.first().map(|(at, _)| *at)
    }
}
