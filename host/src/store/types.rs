//! What goes into a store and what comes out of it. Plain data, without an opinion on how it is written (that is `record.rs`).

use crate::event::EntityKey;
use bytes::Bytes;
use seriatim_contract::State;
use seriatim_sequencer::{Alarm, Patch, Snapshot};
use std::borrow::Cow;
use std::sync::Arc;

/// Who a store is (design G6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Random; made with the store.
    pub store_id: String,
    /// Raised at every start.
    pub run: u64,
}

/// Everything durable about one entity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Loaded {
    /// The core's part. All of it as of `generation`: older parts have been rebased to it.
    pub snapshot: Snapshot,
    /// State by handler name and key. Handlers without state do not appear.
    pub state: Vec<(String, State)>,
    /// Which component handled the entity's last event, by handler name. Handlers of which nothing is known do not appear.
    pub stamps: Vec<(String, Stamp)>,
    /// Outputs and dead letters not yet confirmed, ascending by number.
    pub outbox: Vec<OutboxEntry>,
    /// The highest generation any part was written under; 0 when there is none.
    pub generation: u64,
}

/// One entity that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// The entity; empty = the pipeline's own record.
    pub entity: String,
    /// When its waiting rings, if it waits with an alarm.
    pub alarm: Option<Alarm>,
    /// Whether its outbox holds anything.
    pub outbox: bool,
}

/// One page of a look at all of a pipeline's entities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unseen {
    /// Those that have something to retire and were not seen.
    pub entities: Vec<String>,
    /// The last one that was looked at; `None`: the page before was the last one.
    pub last: Option<String>,
}

/// What one commit changes of one entity.
#[derive(Clone, Debug)]
pub struct Change {
    /// Which entity; an empty name = the pipeline's own record.
    pub key: EntityKey,
    /// The core's part.
    pub patch: Patch,
    /// How many slots the entity keeps (`dedup.ids`, at least 1). Rounded up to a power of two, so that after a change of the ring no
    /// more is forgotten than the smaller one promises.
    pub ring: u32,
    /// State written by the handlers.
    pub state: Vec<StateWrite>,
    /// Which component did, of handlers whose stamp changed.
    pub stamps: Vec<(Arc<str>, Stamp)>,
    /// Outputs and dead letters that may leave once this is durable.
    pub outbox_add: Vec<Arc<OutboxEntry>>,
    /// Puts the entity into the index of those that wait, or takes it out; `None` only when the index says the right thing already.
    /// A change that itself adds an alarm cannot take it out.
    pub waits: Option<bool>,
    /// Stream sequences whose fate becomes durable with this change (for the watermark of the same commit).
    pub closes: Vec<u64>,
    /// The pipeline's generation.
    pub generation: u64,
    /// All slots and all state of the entity go, also those that an earlier change of the same batch wrote.
    pub erases: bool,
}

impl Change {
    /// A change that changes nothing yet.
    #[must_use]
    pub fn new(key: EntityKey, ring: u32, generation: u64) -> Self {
        Self {
            key,
            patch: Patch::default(),
            ring,
            state: Vec::new(),
            stamps: Vec::new(),
            outbox_add: Vec::new(),
            waits: None,
            closes: Vec::new(),
            generation,
            erases: false,
        }
    }
}

/// One write of a handler's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateWrite {
    /// The handler that owns it.
    pub handler: Arc<str>,
    /// The key within that handler's state of this entity.
    pub key: String,
    /// `None` deletes.
    pub value: Option<Bytes>,
}

/// Which component handled an entity's last event, and in which version it keeps the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// SHA-256 of the component's file, in hex.
    pub component: Arc<str>,
    /// The version of the state, as `lifecycle.state-version` told; 0 for components without.
    pub version: u32,
    /// The state from before its last migration, until that is confirmed.
    pub prior: Option<Arc<Prior>>,
}

/// A handler's state of one entity as it was before a migration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prior {
    /// The number of the load that migrated it.
    pub load: u64,
    /// The component that had written it.
    pub component: Arc<str>,
    /// Its version.
    pub version: u32,
    /// By key.
    pub state: State,
    /// Something was written to the migrated state: taking this one back would lose that.
    pub written: bool,
}

/// What is written together.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Changes, in order.
    pub changes: Vec<Change>,
    /// Outputs and dead letters that their streams have: they leave the store, before any of the changes is written.
    pub confirmed: Vec<Confirmed>,
    /// How far each pipeline is, with these changes.
    pub pipelines: Vec<(Arc<str>, Progress)>,
    /// Pipelines that are new or whose meaning changed (their progress included; an entry in `pipelines` wins).
    pub records: Vec<(Arc<str>, PipelineRecord)>,
}

/// An entry of an outbox that its stream has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Whose; an empty name = the pipeline's own record.
    pub key: EntityKey,
    /// Its number in the entity's outbox.
    pub number: u64,
}

impl Batch {
    /// How many changes and confirmations.
    #[must_use]
    pub fn size(&self) -> usize {
        self.changes.len() + self.confirmed.len()
    }

    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.size() == 0 && self.pipelines.is_empty() && self.records.is_empty()
    }
}

/// How far a pipeline is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Highest stream sequence up to which every message's fate is durable.
    pub watermark: u64,
    /// Highest message read.
    pub highest: u64,
    /// The broker's timestamp of it, milliseconds; before the first message of an accepted stream, of the highest one of the stream before.
    pub highest_time: u64,
    /// Stream time (design §3.3) at the watermark, milliseconds: whoever reads on from there begins with it.
    pub stream_time: u64,
}

/// A committed output or dead letter that JetStream has not confirmed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Ascending within the entity; its place in line.
    pub number: u64,
    /// Where it goes.
    pub subject: String,
    /// With these headers (`Nats-Msg-Id` aside). Names that the host gives stand in the program.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// And this payload.
    pub payload: Bytes,
    /// `Nats-Msg-Id`.
    pub message_id: String,
    /// From where a search for it starts.
    pub mark: Mark,
    /// A dead letter.
    pub dead: bool,
    /// The handler's name, or the dead letter's reason (metrics).
    pub cause: String,
}

impl OutboxEntry {
    /// Bytes of its record, about.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        self.payload.len() + self.subject.len() + self.message_id.len() + headers + 128
    }
}

/// What was known of the output stream when the entry was committed (design §3.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its name; empty = unknown.
    pub stream: String,
    /// When it was created, nanoseconds since the Unix epoch.
    pub created: i64,
    /// Its last sequence; 0 = unknown.
    pub last_sequence: u64,
    /// The broker's clock at the commit, milliseconds: it cannot have been sent before.
    pub sent_after: u64,
}

/// From which stream sequence on numbers mean other messages in generation `to` than in generation `from`: where the lowest stream that was accepted in
/// between goes on. `None`: they mean the same. `generations` as in [`PipelineRecord::generations`].
#[must_use]
pub fn renumbered(generations: &[(u64, u64)], from: u64, to: u64) -> Option<u64> {
    generations.iter().filter(|(number, _)| *number > from && *number <= to).map(|(_, begin)| *begin).min()
}

/// What the store knows of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineRecord {
    /// Raised when an operator accepts a changed stream or a rebuild.
    pub generation: u64,
    /// How far it is.
    pub progress: Progress,
    /// What gives positions their meaning.
    pub meaning: Meaning,
    /// Which stream it read.
    pub stream: StreamIdentity,
    /// Every generation with the stream sequence it began at, ascending.
    pub generations: Vec<(u64, u64)>,
    /// For each accepted stream: its generation, and the first and last stream sequence that went with the one before it.
    pub gone: Vec<(u64, u64, u64)>,
    /// The config no longer has it, and an operator accepted that: it is not read, but what it owes still leaves.
    pub forgotten: bool,
    /// The stream time since which it is noted when entities are seen (`retain` is configured); `None`: it is not.
    pub noted_since: Option<u64>,
}

/// The parts of the config that give positions their meaning: a difference refuses to start (design §3.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meaning {
    /// `subjects`
    pub subjects: Vec<String>,
    /// `event.entity`
    pub entity: String,
    /// `event.sequence`
    pub sequence: String,
    /// `event.epoch`
    pub epoch: Option<String>,
    /// `order.by`
    pub by: String,
    /// `order.first-sequence`
    pub first_sequence: String,
    /// `stream`
    pub stream: String,
}

/// Which stream, exactly: a recreated one has the same name and another time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamIdentity {
    /// Name.
    pub name: String,
    /// Created at, nanoseconds since the Unix epoch.
    pub created: i64,
}
