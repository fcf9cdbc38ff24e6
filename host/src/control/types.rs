//! The values of the port, as they stand in the API's JSON. Times are milliseconds since the Unix epoch.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why something cannot be answered or done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No such pipeline, entity, handler or dead letter (404).
    #[error("{0}")]
    Unknown(String),
    /// What was asked makes no sense (400).
    #[error("{0}")]
    Bad(String),
    /// The entity stands elsewhere, or owes something (409).
    #[error("{detail}")]
    Conflict {
        /// What is in the way.
        detail: String,
        /// Where it stands, for the one who asks again.
        head: Option<Place>,
    },
    /// The host cannot do it now: it stops, or the broker does not answer (503).
    #[error("{0}")]
    Unavailable(String),
}

/// A place in an entity's order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Place {
    /// Epoch; 0 without one.
    pub epoch: u64,
    /// Sequence within it.
    pub sequence: u64,
}

/// Which entity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntityName {
    /// Its pipeline.
    pub pipeline: String,
    /// Its name, as it stands in the subject or the payload.
    pub entity: String,
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PipelineRow {
    /// Its name.
    pub name: String,
    /// Its stream.
    pub stream: String,
    /// Its generation.
    pub generation: u64,
    /// Everything up to here is done.
    pub watermark: u64,
    /// Highest message read.
    pub highest: u64,
    /// Messages in the stream behind the watermark; `None` while the broker has not told.
    pub lag: Option<u64>,
    /// Entities in memory.
    pub live: u64,
    /// Entities that wait, parked ones not counted.
    pub waiting: u64,
    /// Entities that are parked.
    pub parked: u64,
    /// Why it stopped, if it did.
    pub stopped: Option<String>,
    /// Its circuit breaker, while it is open.
    #[serde(default)]
    pub breaker: Option<BreakerRow>,
    /// Its handlers.
    pub handlers: Vec<HandlerRow>,
}

/// An open circuit breaker: none of the pipeline's handlers is called.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BreakerRow {
    /// The handler that fails.
    pub handler: String,
    /// Since when.
    pub since: u64,
    /// From when on the next entity may be let through as a probe.
    pub next_probe: u64,
    /// What the handler failed with last.
    pub error: String,
}

/// One handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandlerRow {
    /// Its name.
    pub name: String,
    /// SHA-256 of its component.
    pub digest: String,
}

/// Which component handled the last event of an entity that a handler has applied, as the entity's record names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HandledBy {
    /// The handler's name.
    pub name: String,
    /// SHA-256 of the component.
    pub digest: String,
    /// The version in which it left the state; 0 without the interface `lifecycle`.
    pub state_version: u32,
    /// Whether it is what the handler runs now; not known of a stopped host.
    pub current: Option<bool>,
}

/// Which component a handler runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginRow {
    /// The pipeline.
    pub pipeline: String,
    /// The handler.
    pub handler: String,
    /// SHA-256 of the component that handles events now.
    pub component: String,
    /// The number of its load.
    pub load: u64,
    /// The version of the state that it reads and writes; 0 without the interface `lifecycle`.
    pub state_version: u32,
    /// Which events may share an instance: `run`, `event` or `shared`.
    pub isolation: String,
    /// Another component runs than what the config names: it was loaded, or rolled back to, since the config's last changed.
    pub overridden: bool,
    /// SHA-256 of what the config names now, where that was refused.
    pub refused: Option<String>,
    /// Migrations of loads up to this number are confirmed.
    pub confirmed: u64,
    /// Kept components, oldest load first.
    pub versions: Vec<PluginVersion>,
}

/// A component that is kept for a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginVersion {
    /// The number of its load.
    pub load: u64,
    /// SHA-256 of its file.
    pub component: String,
    /// Bytes of its file.
    pub bytes: u64,
    /// The version of its state.
    pub state_version: u32,
    /// When it was loaded, by the host's clock.
    pub at: u64,
    /// Where it came from.
    pub from: String,
}

/// What came of a load or a rollback.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PluginDone {
    /// Whether another component runs than before.
    pub changed: bool,
    /// SHA-256 of what runs.
    pub component: String,
    /// The number of its load.
    pub load: u64,
    /// The version of its state.
    pub state_version: u32,
}

/// What an entity does, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EntityState {
    /// In memory, and waits for nothing.
    Live,
    /// Goes on by itself.
    Waiting,
    /// Goes on by an operator's word, or when the missing event comes.
    Parked,
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sort {
    /// By name.
    #[default]
    Name,
    /// Longest waiting first.
    Age,
    /// Furthest behind first.
    Backlog,
}

/// Which entities.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntityQuery {
    /// Their pipeline.
    pub pipeline: String,
    /// Only those; empty = all.
    #[serde(default)]
    pub states: Vec<EntityState>,
    /// Only those that wait for this reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only those whose last failure was this handler's.
    #[serde(default)]
    pub handler: Option<String>,
    /// Only those that have waited at least so many seconds.
    #[serde(default)]
    pub older_than_seconds: Option<u64>,
    /// How they are sorted.
    #[serde(default)]
    pub sort: Sort,
    /// Where the page before ended: its `next`.
    #[serde(default)]
    pub after: Option<String>,
    /// Entities in a page; 0 = 100, at most 1,000.
    #[serde(default)]
    pub limit: usize,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntityPage {
    /// The entities.
    pub entities: Vec<EntityRow>,
    /// What to give as `after` for the next page; `None` = this was the last.
    pub next: Option<String>,
}

/// One entity of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntityRow {
    /// Which.
    pub entity: String,
    /// What it does.
    pub state: EntityState,
    /// In memory.
    pub live: bool,
    /// Why it waits.
    pub reason: Option<String>,
    /// Since when.
    pub since: Option<u64>,
    /// Stream sequences between what it waits for and the highest message read: an upper bound of what it has to do.
    pub backlog: u64,
    /// When it goes on by itself.
    pub alarm: Option<Alarm>,
}

/// When a waiting entity goes on by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "clock", content = "at")]
pub enum Alarm {
    /// On the host's clock (retries).
    Host(u64),
    /// On stream time (gaps).
    Stream(u64),
}

/// Everything about one entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EntityReport {
    /// Which.
    pub pipeline: String,
    /// Which.
    pub entity: String,
    /// One plain sentence: what it does, or why it does not move.
    pub sentence: String,
    /// What it does.
    pub state: EntityState,
    /// In memory.
    pub live: bool,
    /// The last place it has finished; `None` before its first.
    pub position: Option<Place>,
    /// What `resume` and `skip` have to name: the place it is at.
    pub head: Option<Place>,
    /// At or below it, an unknown id is late and is never delivered.
    pub floor: Option<Place>,
    /// Given-up ranges.
    pub given_up: Vec<Given>,
    /// Early events in memory.
    pub held: Option<Held>,
    /// In-order events in memory behind the head.
    pub queued: usize,
    /// Stream sequences that left memory and are read again later: first and last.
    pub dropped: Option<(u64, u64)>,
    /// A catch-up reads.
    pub catching_up: bool,
    /// Its waiting, if it waits.
    pub waiting: Option<WaitReport>,
    /// The last failure of a handler since it came into memory.
    pub last_error: Option<LastError>,
    /// Its pipeline's handlers, with the components that run now.
    pub handlers: Vec<HandlerRow>,
    /// The components that handled its last event, in the order of their handlers' names. Of handlers that have applied none there is nothing.
    pub handled_by: Vec<HandledBy>,
    /// Outputs and dead letters that the broker has not confirmed.
    pub outbox: OutboxReport,
    /// The last ten decisions since it came into memory, oldest first.
    pub decisions: Vec<Decision>,
    /// How far behind.
    pub behind: Behind,
}

/// A given-up range of sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Given {
    /// Epoch.
    pub epoch: u64,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
}

/// Early events in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Held {
    /// How many.
    pub events: usize,
    /// Lowest.
    pub lowest: Place,
    /// Highest.
    pub highest: Place,
    /// Broker time of the one that came first.
    pub since: u64,
    /// Bytes of all that is in memory for the entity.
    pub bytes: u64,
}

/// A waiting, as it is in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WaitReport {
    /// Why.
    pub reason: String,
    /// S: everything of the entity from this stream sequence on is still to do.
    pub from: u64,
    /// Since when.
    pub since: u64,
    /// When it goes on by itself; `None` = parked.
    pub alarm: Option<Alarm>,
    /// Failed tries of the event at the head.
    pub attempts: u32,
}

/// A handler's failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastError {
    /// Its name.
    pub handler: String,
    /// SHA-256 of its component.
    pub digest: String,
    /// How it failed.
    pub kind: String,
    /// In words.
    pub message: String,
    /// Where in the handler.
    pub backtrace: Option<String>,
    /// The event.
    pub place: Place,
    /// Its number in the stream.
    pub stream_sequence: u64,
    /// Which try.
    pub attempt: u32,
    /// When.
    pub at: u64,
}

/// What has not left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OutboxReport {
    /// Outputs and dead letters.
    pub entries: usize,
    /// Tries of the first.
    pub tries: usize,
}

/// Something that was decided.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Decision {
    /// When, on the host's clock.
    pub at: u64,
    /// What: `applied`, `duplicate`, `dropped-late`, `dead-lettered`, `waiting`, `resumed`, `given-up`, …
    pub what: String,
    /// The event's place, where there is one.
    pub place: Option<Place>,
    /// Its number in the stream, where there is one.
    pub stream_sequence: Option<u64>,
    /// In words.
    pub detail: String,
}

/// How far an entity, and its pipeline, are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Behind {
    /// Highest message the pipeline has read.
    pub highest: u64,
    /// Stream sequences between what the entity waits for and that.
    pub backlog: u64,
}

/// What an operator wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "word")]
pub enum Word {
    /// Let nothing of it be delivered.
    Park,
    /// Try again what it is at.
    Resume {
        /// What it is at; `None` (many entities only): wherever each is.
        place: Option<Place>,
    },
    /// Give up what it is at: the event, or what is missing.
    Skip {
        /// What it is at; `None` (many entities only): wherever each is.
        place: Option<Place>,
    },
}

/// It is done and durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// False: there was nothing to do, it was so already.
    pub changed: bool,
}

/// Which of many.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkFilter {
    /// Just these; empty = all that match the rest.
    #[serde(default)]
    pub entities: Vec<String>,
    /// Only those in these states; empty = in any.
    #[serde(default)]
    pub states: Vec<EntityState>,
    /// Only those that wait for this reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Only those whose last failure was this handler's.
    #[serde(default)]
    pub handler: Option<String>,
    /// Only those that have waited at least so many seconds.
    #[serde(default)]
    pub older_than_seconds: Option<u64>,
}

/// What was done to many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkDone {
    /// How many matched.
    pub matched: u64,
    /// How many were changed.
    pub changed: u64,
    /// The first 1,000 of them, with what was in the way where something was.
    pub entities: Vec<BulkEntry>,
}

/// One of many.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BulkEntry {
    /// Which.
    pub entity: String,
    /// What was in the way.
    pub error: Option<String>,
}

/// Which part of an entity's history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryQuery {
    /// Whose.
    pub name: EntityName,
    /// From this stream sequence on; 0 = from the first.
    #[serde(default)]
    pub from: u64,
    /// Events in a page; 0 = 100, at most 1,000.
    #[serde(default)]
    pub limit: usize,
}

/// One page of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryPage {
    /// The events.
    pub events: Vec<HistoryRow>,
    /// Where the next page begins; `None` = this was the last.
    pub next: Option<u64>,
}

/// One event of a history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryRow {
    /// Its number in the stream.
    pub stream_sequence: u64,
    /// Its place; `None` where it does not decode.
    pub place: Option<Place>,
    /// The producer's id.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// The broker's time.
    pub time: u64,
    /// Its fate as far as the record tells: `finished`, `given-up`, `late`, `waiting`, `not-read`, `malformed`.
    pub fate: String,
    /// In words.
    pub detail: String,
    /// Dead letters made of it: their numbers in the dead-letter stream.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dead_letters: Vec<u64>,
}

/// What a handler keeps for an entity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateReport {
    /// The entries.
    pub entries: Vec<StateEntry>,
}

/// One entry of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StateEntry {
    /// Whose.
    pub handler: String,
    /// The key.
    pub key: String,
    /// Bytes of the value.
    pub bytes: usize,
    /// `json`, `msgpack`, `text` or `bytes`.
    pub format: String,
    /// The value, decoded by its format; bytes as base64.
    pub value: serde_json::Value,
}

/// Which dead letters.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterQuery {
    /// Of this pipeline.
    #[serde(default)]
    pub pipeline: Option<String>,
    /// For this reason.
    #[serde(default)]
    pub reason: Option<String>,
    /// Of this entity.
    #[serde(default)]
    pub entity: Option<String>,
    /// Failed in this handler.
    #[serde(default)]
    pub handler: Option<String>,
    /// Written at or after this time.
    #[serde(default)]
    pub since: Option<u64>,
    /// Written before this time.
    #[serde(default)]
    pub until: Option<u64>,
    /// From this stream sequence (of the dead-letter stream) on.
    #[serde(default)]
    pub from: u64,
    /// Dead letters in a page; 0 = 100, at most 1,000.
    #[serde(default)]
    pub limit: usize,
}

/// One page of dead letters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterPage {
    /// The dead letters.
    pub dead_letters: Vec<DeadLetterRow>,
    /// Where the next page begins; `None` = this was the last. A page may be short, even empty, with a next one: only so many are looked through at once.
    pub next: Option<u64>,
    /// What there is to say about it: no stream of dead letters, or not all of it looked through.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One dead letter of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterRow {
    /// Its number in the dead-letter stream: what `show`, `redrive` and the API name it by.
    pub stream_sequence: u64,
    /// When it was written, by the broker.
    pub time: u64,
    /// Its pipeline.
    pub pipeline: String,
    /// Why.
    pub reason: String,
    /// Why, in words.
    pub error: String,
    /// Its entity, where known.
    pub entity: Option<String>,
    /// The event's place, where decoded.
    pub place: Option<Place>,
    /// The handler that failed.
    pub handler: Option<String>,
    /// Tries.
    pub attempts: u32,
    /// The stream the event came from.
    pub source: String,
    /// Its number there.
    pub source_sequence: u64,
    /// Last number of a lost range.
    pub source_last: Option<u64>,
    /// The event's subject; `None` for what is lost.
    pub subject: Option<String>,
}

/// One dead letter with everything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetterReport {
    /// As in a list.
    #[serde(flatten)]
    pub row: DeadLetterRow,
    /// All headers.
    pub headers: Vec<(String, String)>,
    /// The payload, base64; read from the source stream where the dead letter could not carry it.
    pub payload: Option<String>,
    /// Why there is no payload.
    pub payload_missing: Option<String>,
}

/// How an event is given again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redrive {
    /// Although events of the entity were applied since: the handler sees `delivery.late() = true`.
    #[serde(default)]
    pub out_of_order: bool,
    /// Another payload, base64.
    #[serde(default)]
    pub payload: Option<String>,
}

/// It was applied and is durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RedriveDone {
    /// False: this dead letter had been redriven before.
    pub changed: bool,
    /// Delivered as late.
    pub late: bool,
}

/// What was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PurgeDone {
    /// How many matched.
    pub matched: u64,
    /// How many were deleted.
    pub deleted: u64,
    /// Where to go on; `None` = everything was looked through.
    #[serde(default)]
    pub next: Option<u64>,
}
