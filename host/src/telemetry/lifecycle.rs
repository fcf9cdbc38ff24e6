//! Lifecycle events: what other software may want to know of entities and pipelines without asking, as JSON. `docs/lifecycle-events.schema.json`
//! says what each holds, `docs/operations.md` how they are read.
//!
//! Whoever learns of something pushes it into the [`Queue`] behind the commit that made it durable; `sink/lifecycle.rs` publishes. A push never
//! waits: what the queue has no room for is counted, and the state of all that wait is told again as soon as there is room.

use super::events;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::{Notify, mpsc};

/// Subjects are `<this>.<pipeline>.<kind>`.
pub const SUBJECT: &str = "seriatim.events";
/// Version of the form, raised when a reader of the one before would misread it.
pub const VERSION: u32 = 1;

/// When something that waits goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "clock", content = "at")]
pub enum Alarm {
    /// On the host's clock, milliseconds since the Unix epoch.
    Host(u64),
    /// On stream time, milliseconds since the Unix epoch.
    Stream(u64),
}

/// A place in an entity's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its epoch.
    pub epoch: u64,
    /// Its sequence.
    pub sequence: u64,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Kind {
    /// Events came early and have been waiting for a missing one for so long that this is durable.
    GapOpened {
        /// The missing ones' epoch.
        epoch: u64,
        /// The first missing sequence.
        first: u64,
        /// The last one, where the lowest early event is of the same epoch.
        #[serde(skip_serializing_if = "Option::is_none")]
        last: Option<u64>,
    },
    /// The first missing event of a gap came.
    GapClosed {
        /// Its epoch.
        epoch: u64,
        /// Its sequence.
        first: u64,
    },
    /// Missing events are not waited for any more.
    GapGivenUp {
        /// Their epoch.
        epoch: u64,
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
    },
    /// An entity cannot go on now, or waits for something else than before.
    Waiting {
        /// Why.
        reason: &'static str,
        /// S: everything of it from this stream sequence on is still to do.
        from: u64,
        /// Since when, milliseconds since the Unix epoch.
        since: u64,
        /// What it is at: its epoch and sequence; `None` where the state is told again.
        #[serde(flatten)]
        head: Option<Place>,
        /// When it goes on by itself.
        #[serde(skip_serializing_if = "Option::is_none")]
        alarm: Option<Alarm>,
    },
    /// An entity goes on only by an operator's word or, for a gap, when the missing event comes.
    Parked {
        /// Why.
        reason: &'static str,
        /// S, as for `waiting`.
        from: u64,
        /// Since when it waits, milliseconds since the Unix epoch.
        since: u64,
        /// What it is at: its epoch and sequence; `None` where the state is told again.
        #[serde(flatten)]
        head: Option<Place>,
        /// The handler's last words, where it parked for a failure and they are known.
        #[serde(skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// An entity waits for nothing any more.
    Resumed {
        /// Why it had waited last.
        reason: &'static str,
        /// Since when it had waited, milliseconds since the Unix epoch.
        since: u64,
    },
    /// An operator gave up what an entity was at.
    Skipped {
        /// Its epoch.
        epoch: u64,
        /// Its sequence; of a gap, the first one missing.
        sequence: u64,
    },
    /// An event was given up and kept.
    DeadLettered {
        /// Why.
        reason: &'static str,
        /// In words.
        error: String,
        /// Its number in the source stream; of a lost range, the first one.
        stream_sequence: u64,
        /// Its epoch, where it was decoded.
        #[serde(skip_serializing_if = "Option::is_none")]
        epoch: Option<u64>,
        /// Its sequence, where it was decoded.
        #[serde(skip_serializing_if = "Option::is_none")]
        sequence: Option<u64>,
    },
    /// A handler fails so often that its pipeline's entities wait.
    BreakerOpened {
        /// The handler.
        handler: String,
        /// What it said last.
        error: String,
    },
    /// The handler is called again.
    BreakerClosed {
        /// The handler.
        handler: String,
    },
    /// The stream is read with a new consumer.
    ReaderRestarted {
        /// Why, in one word.
        reason: &'static str,
        /// In words.
        detail: String,
    },
    /// The stream's limits will soon take what is still needed.
    RetentionNear {
        /// The stream.
        stream: String,
        /// The first stream sequence that it still has.
        first: u64,
        /// The lowest stream sequence that is still needed: the named entity's, or the first one that is not done.
        needed: u64,
        /// Entities that wait for something that is near its end.
        entities: u64,
    },
}

impl Kind {
    /// The last token of its subject.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::GapOpened { .. } => "gap-opened",
            Self::GapClosed { .. } => "gap-closed",
            Self::GapGivenUp { .. } => "gap-given-up",
            Self::Waiting { .. } => "waiting",
            Self::Parked { .. } => "parked",
            Self::Resumed { .. } => "resumed",
            Self::Skipped { .. } => "skipped",
            Self::DeadLettered { .. } => "dead-lettered",
            Self::BreakerOpened { .. } => "breaker-opened",
            Self::BreakerClosed { .. } => "breaker-closed",
            Self::ReaderRestarted { .. } => "reader-restarted",
            Self::RetentionNear { .. } => "retention-near",
        }
    }

    /// What tells it from others of its kind and entity: facts that are durable, so that it is the same whenever it is told. Of what
    /// is about no durable fact, or told again, the moment.
    fn about(&self, at: u64) -> String {
        match self {
            Self::GapOpened { epoch, first, .. } | Self::GapClosed { epoch, first } | Self::GapGivenUp { epoch, first, .. } => {
                format!("{epoch}.{first}")
            }
            Self::Waiting { reason, from, since, head, .. } | Self::Parked { reason, from, since, head, .. } => match head {
                Some(Place { epoch, sequence }) => format!("{from}.{since}.{reason}.{epoch}.{sequence}"),
                // Within one wait an entity can park, go on and park again. What is told again is never a copy of what was told before.
                None => format!("{from}.{since}.{reason}.again.{at}"),
            },
            Self::Resumed { since, .. } => since.to_string(),
            Self::Skipped { epoch, sequence } => format!("{epoch}.{sequence}"),
            Self::DeadLettered { stream_sequence, .. } => stream_sequence.to_string(),
            Self::BreakerOpened { handler, .. } | Self::BreakerClosed { handler } => format!("{handler}.{at}"),
            Self::ReaderRestarted { reason, .. } => format!("{reason}.{at}"),
            Self::RetentionNear { needed, .. } => needed.to_string(),
        }
    }
}

/// One lifecycle event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// Its generation.
    pub generation: u64,
    /// The entity; `None` where it is about none.
    pub entity: Option<Arc<str>>,
    /// When it was learned, on the host's clock, milliseconds since the Unix epoch.
    pub at: u64,
    /// What happened.
    pub kind: Kind,
}

impl Event {
    /// Learned of now.
    #[must_use]
    pub fn now(pipeline: Arc<str>, generation: u64, entity: Option<Arc<str>>, kind: Kind) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { pipeline, generation, entity, at: u64::try_from(since.as_millis()).unwrap_or(u64::MAX), kind }
    }

    /// Where it is published.
    #[must_use]
    pub fn subject(&self) -> String {
        format!("{SUBJECT}.{}.{}", self.pipeline, self.kind.name())
    }

    /// Its `Nats-Msg-Id`: the same however often it is sent.
    #[must_use]
    pub fn id(&self) -> String {
        let entity = utf8_percent_encode(self.entity.as_deref().unwrap_or_default(), NON_ALPHANUMERIC);
        format!("{}:{}:event:{}:{entity}:{}", self.pipeline, self.generation, self.kind.name(), self.kind.about(self.at))
    }

    /// As it is published.
    ///
    /// # Errors
    /// It cannot be written as JSON, which no value of these types brings about.
    pub fn json(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Form<'a> {
            version: u32,
            id: String,
            pipeline: &'a str,
            generation: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            entity: Option<&'a str>,
            at: u64,
            #[serde(flatten)]
            kind: &'a Kind,
        }
        let Self { pipeline, generation, entity, at, kind } = self;
        let (generation, at) = (*generation, *at);
        serde_json::to_vec(&Form { version: VERSION, id: self.id(), pipeline, generation, entity: entity.as_deref(), at, kind })
    }
}

/// Where lifecycle events are pushed. Clones are the same queue; [`Queue::default`] is none: what is pushed there is gone.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    inner: Option<Arc<Inner>>,
}

#[derive(Debug)]
struct Inner {
    events: mpsc::Sender<Event>,
    overflowed: AtomicBool,
    /// Pushed and not yet dealt with.
    pending: AtomicUsize,
    idle: Notify,
}

impl Queue {
    /// A queue with room for `max` events (`run.lifecycle-queue`), and its other end; without room for any: none.
    #[must_use]
    pub fn new(max: usize) -> (Self, Option<Received>) {
        if max == 0 {
            return (Self::default(), None);
        }
        let (sender, events) = mpsc::channel(max);
        let inner =
            Arc::new(Inner { events: sender, overflowed: AtomicBool::new(false), pending: AtomicUsize::new(0), idle: Notify::new() });
        (Self { inner: Some(inner.clone()) }, Some(Received { events, inner }))
    }

    /// Whether anybody takes what is pushed: if not, it need not be made.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.inner.is_some()
    }

    /// Takes an event. Never waits: when there is no room it is counted (`seriatim_lifecycle_events_total`) and gone.
    pub fn push(&self, event: Event) {
        let Some(inner) = &self.inner else { return };
        // Before it can be taken, so that the count never lags behind.
        inner.pending.fetch_add(1, Ordering::AcqRel);
        if let Err(mpsc::error::TrySendError::Full(event) | mpsc::error::TrySendError::Closed(event)) = inner.events.try_send(event) {
            inner.dealt_with(1);
            inner.overflowed.store(true, Ordering::Release);
            events::lifecycle(&event.pipeline, events::Lifecycle::Overflowed);
        }
    }

    /// Returns when everything that was pushed has been dealt with.
    pub async fn idle(&self) {
        let Some(inner) = &self.inner else { return };
        loop {
            let mut idle = std::pin::pin!(inner.idle.notified());
            idle.as_mut().enable();
            if inner.pending.load(Ordering::Acquire) == 0 {
                return;
            }
            idle.await;
        }
    }
}

impl Inner {
    fn dealt_with(&self, count: usize) {
        if self.pending.fetch_sub(count, Ordering::AcqRel) == count {
            self.idle.notify_waiters();
        }
    }
}

/// The end at which events are taken.
#[derive(Debug)]
pub struct Received {
    events: mpsc::Receiver<Event>,
    inner: Arc<Inner>,
}

impl Received {
    /// Adds at least one event and at most `max` to `into`, in the order they were pushed; waits for the first.
    pub async fn take(&mut self, into: &mut Vec<Event>, max: usize) {
        self.events.recv_many(into, max).await;
    }

    /// Adds what there is now, at most `max`.
    pub fn take_now(&mut self, into: &mut Vec<Event>, max: usize) {
        while into.len() < max
            && let Ok(event) = self.events.try_recv()
        {
            into.push(event);
        }
    }

    /// So many of what was taken have been dealt with.
    pub fn dealt_with(&self, count: usize) {
        self.inner.dealt_with(count);
    }

    /// Whether something found no room since this was asked last.
    #[must_use]
    pub fn overflowed(&self) -> bool {
        self.inner.overflowed.swap(false, Ordering::AcqRel)
    }
}

#[cfg(test)]
mod tests;
