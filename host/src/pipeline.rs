//! What every part of a running pipeline shares: its identity, policy and handlers, and the switches that stop it. Built once by `app`.

use crate::breaker::Breaker;
use crate::runtime::Handler;
use crate::store::renumbered;
use crate::telemetry::lifecycle::Queue;
use seriatim_sequencer::Policy;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::Notify;

/// One pipeline of this host.
#[derive(Debug)]
pub struct Pipeline {
    /// Its index in the host.
    pub index: usize,
    /// Its name.
    pub name: Arc<str>,
    /// The stream it reads.
    pub stream: String,
    /// What its sequencers are told.
    pub policy: Arc<Policy>,
    /// Called in this order for each event.
    pub handlers: Handlers,
    /// Part of every output id (design §1).
    pub generation: u64,
    /// Every generation with the stream sequence it began at.
    pub generations: Vec<(u64, u64)>,
    /// For each accepted stream: its generation, and what went with the one before it.
    pub gone: Vec<(u64, u64, u64)>,
    /// A stream was accepted at this start.
    pub accepted: bool,
    /// The config no longer has it: it only sends what it owes.
    pub forgotten: bool,
    /// Recent ids kept per entity.
    pub ring: u32,
    /// Outputs and dead letters per entity that are not confirmed, before it stops to take more.
    pub outbox_max: usize,
    /// Dead letters of messages without an entity that are not confirmed, before the pipeline stops to read.
    pub own_outbox_max: usize,
    /// Its switches.
    pub control: Control,
    /// Whether its handlers are called.
    pub breaker: Breaker,
    /// Where lifecycle events go.
    pub lifecycle: Queue,
}

impl Pipeline {
    /// From which stream sequence on numbers mean other messages now than they did under this generation; `None`: they mean the same.
    #[must_use]
    pub fn renumbered_since(&self, generation: u64) -> Option<u64> {
        renumbered(&self.generations, generation, self.generation)
    }
}

/// The handlers of a pipeline, in the order of the config. Each may be replaced by another component of the same name while events are handled:
/// an event is handled by those that were there when its call began.
#[derive(Debug, Default)]
pub struct Handlers {
    current: RwLock<Arc<[Handler]>>,
    /// For each: migrations of loads up to this number are confirmed.
    confirmed: Box<[AtomicU64]>,
}

impl Handlers {
    /// These, with the number of the last load of each that an operator has confirmed.
    #[must_use]
    pub fn new(handlers: Vec<(Handler, u64)>) -> Self {
        let (handlers, confirmed): (Vec<_>, Vec<_>) = handlers.into_iter().unzip();
        Self { current: RwLock::new(handlers.into()), confirmed: confirmed.into_iter().map(AtomicU64::new).collect() }
    }

    /// Those that handle events from now on, until one is replaced.
    #[must_use]
    pub fn now(&self) -> Arc<[Handler]> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The one at this place handles the next event of each entity. Calls under way end with the one that they began with.
    pub fn replace(&self, place: usize, handler: Handler) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        *current = current.iter().enumerate().map(|(at, old)| if at == place { handler.clone() } else { old.clone() }).collect();
    }

    /// The number of the last load whose migrations are confirmed.
    #[must_use]
    pub fn confirmed(&self, place: usize) -> u64 {
        self.confirmed.get(place).map_or(0, |confirmed| confirmed.load(Ordering::Acquire))
    }

    /// Migrations of loads up to this number cannot be taken back any more.
    pub fn confirm(&self, place: usize, load: u64) {
        if let Some(confirmed) = self.confirmed.get(place) {
            confirmed.fetch_max(load, Ordering::AcqRel);
        }
    }
}

impl From<Vec<Handler>> for Handlers {
    fn from(handlers: Vec<Handler>) -> Self {
        Self::new(handlers.into_iter().map(|handler| (handler, 0)).collect())
    }
}

/// The switches of a pipeline.
#[derive(Debug, Default)]
pub struct Control {
    stopped: Mutex<Option<String>>,
    own_full: AtomicBool,
    room: Notify,
    halt: Notify,
    /// One more than the messages that are not read; 0 = the broker has not told.
    unread: AtomicU64,
    /// Stream time behind everything that was read.
    stream_time: AtomicU64,
}

impl Control {
    /// Stops the pipeline for good (until the next start). The first reason holds.
    pub fn stop(&self, reason: impl Into<String>) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        if stopped.is_none() {
            *stopped = Some(reason.into());
        }
        self.halt.notify_one();
    }

    /// Why the pipeline stopped, if it did.
    #[must_use]
    pub fn stopped(&self) -> Option<String> {
        self.stopped.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// So many messages of the stream are not read.
    pub fn set_unread(&self, messages: u64) {
        self.unread.store(messages.saturating_add(1), Ordering::Release);
    }

    /// Messages of the stream that are not read; `None` while the broker has not told.
    #[must_use]
    pub fn unread(&self) -> Option<u64> {
        self.unread.load(Ordering::Acquire).checked_sub(1)
    }

    /// Everything up to this stream time has been read.
    pub fn set_stream_time(&self, time: u64) {
        self.stream_time.fetch_max(time, Ordering::AcqRel);
    }

    /// Stream time as far as it was read since the start; 0 before anything was. Shards may be behind it.
    #[must_use]
    pub fn stream_time(&self) -> u64 {
        self.stream_time.load(Ordering::Acquire)
    }

    /// Returns when the pipeline is stopped.
    pub async fn halted(&self) {
        while self.stopped().is_none() {
            self.halt.notified().await;
        }
    }

    /// The pipeline's own outbox is full, or has room again.
    pub fn set_own_full(&self, full: bool) {
        self.own_full.store(full, Ordering::Release);
        if !full {
            self.room.notify_one();
        }
    }

    /// Whether reading pauses because dead letters of messages without an entity cannot be published.
    #[must_use]
    pub fn own_full(&self) -> bool {
        self.own_full.load(Ordering::Acquire)
    }

    /// Returns when the pipeline's own outbox has room.
    pub async fn own_room(&self) {
        while self.own_full() {
            self.room.notified().await;
        }
    }
}
