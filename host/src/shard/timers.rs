//! When actors want to be looked at again: in memory by token, out of memory (waiting with an alarm) by name. Pure.

use crate::event::EntityKey;
use seriatim_sequencer::Alarm;
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
    alarms: HashMap<EntityKey, Alarm>,
    host: BTreeSet<(u64, EntityKey)>,
    /// By pipeline index.
    stream: Vec<BTreeSet<(u64, EntityKey)>>,
}

impl Sleeping {
    pub(super) fn new(pipelines: usize) -> Self {
        Self { stream: vec![BTreeSet::new(); pipelines], ..Self::default() }
    }

    /// The entity left memory, or was found at the start.
    pub(super) fn insert(&mut self, pipeline: usize, key: EntityKey, alarm: Alarm) {
        self.remove(pipeline, &key);
        match alarm {
            Alarm::Host(at) => {
                self.host.insert((at, key.clone()));
            }
            Alarm::Stream(at) => {
                if let Some(stream) = self.stream.get_mut(pipeline) {
                    stream.insert((at, key.clone()));
                }
            }
        }
        self.alarms.insert(key, alarm);
    }

    /// The entity is in memory again.
    pub(super) fn remove(&mut self, pipeline: usize, key: &EntityKey) {
        match self.alarms.remove(key) {
            Some(Alarm::Host(at)) => {
                self.host.remove(&(at, key.clone()));
            }
            Some(Alarm::Stream(at)) => {
                if let Some(stream) = self.stream.get_mut(pipeline) {
                    stream.remove(&(at, key.clone()));
                }
            }
            None => {}
        }
    }

    /// The next entity whose alarm has rung on host time. It stays until it is loaded.
    pub(super) fn due_host(&self, now: u64) -> Option<EntityKey> {
        self.host.first().filter(|(at, _)| *at <= now).map(|(_, key)| key.clone())
    }

    /// The next entity of a pipeline whose alarm has rung on stream time.
    pub(super) fn due_stream(&self, pipeline: usize, now: u64) -> Option<EntityKey> {
        self.stream.get(pipeline)?.first().filter(|(at, _)| *at <= now).map(|(_, key)| key.clone())
    }

    /// When the next one rings on host time.
    pub(super) fn next_host(&self) -> Option<u64> {
        self.host.first().map(|(at, _)| *at)
    }
}
