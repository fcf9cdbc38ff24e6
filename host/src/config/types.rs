//! The config as the rest of the host sees it: plain values, checked and complete. Each key's default, bounds and meaning stand in
//! [`KEYS`](super::KEYS). Nothing is read or decided here.

use super::problem::At;
use crate::breaker::decide::Settings;
use crate::object::Object;
use crate::source::sources::{EventSources, Source};
use seriatim_sequencer::{FailureThen, First, GapThen, Late, Policy};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// A gap open this long (host time) is committed as `waiting`, so that the watermark does not stand still for it (design §3.7).
const SETTLE: Duration = Duration::from_secs(1);

/// The whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Name of the file as it was given, for messages.
    pub file: String,
    /// `[nats]`.
    pub nats: NatsConfig,
    /// `[store]`.
    pub store: StoreConfig,
    /// `[telemetry]`.
    pub telemetry: TelemetryConfig,
    /// `[admin]`.
    pub admin: AdminConfig,
    /// `[run]`.
    pub run: RunConfig,
    /// `[dead-letters]`.
    pub dead_letters: DeadLettersConfig,
    /// `[pipelines.*]`, in the order of their names; at least one.
    pub pipelines: Vec<PipelineConfig>,
}

/// How to reach the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct NatsConfig {
    /// URLs without user and password; at least one.
    pub servers: Vec<At<String>>,
    /// How to log in.
    pub auth: NatsAuth,
    /// Present when the file has `[nats.tls]`.
    pub tls: Option<NatsTls>,
}

/// How to log in at the broker. Files are read at every connect, so that renewed ones are taken.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum NatsAuth {
    /// Not at all.
    #[default]
    None,
    /// A `.creds` file.
    Credentials(At<PathBuf>),
    /// A file that holds an nkey seed.
    Nkey(At<PathBuf>),
    /// User and password.
    Password {
        /// The user.
        user: String,
        /// A file that holds the password.
        file: At<PathBuf>,
    },
    /// A file that holds a token.
    Token(At<PathBuf>),
}

/// TLS towards the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct NatsTls {
    /// Authorities to trust instead of the system's (PEM).
    pub ca_file: Option<At<PathBuf>>,
    /// The client's certificate and key (PEM).
    pub identity: Option<(At<PathBuf>, At<PathBuf>)>,
    /// Refuse a server without TLS.
    pub required: bool,
}

/// Where records are kept. The kind is always the embedded one in this release.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreConfig {
    /// Folder of the store.
    pub path: At<PathBuf>,
    /// Bytes of its files kept in memory, at most.
    pub cache: usize,
}

/// Health and metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryConfig {
    /// Address of `/healthz`, `/readyz` and `/metrics`.
    pub listen: At<SocketAddr>,
}

/// API and page.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminConfig {
    /// Address.
    pub listen: At<SocketAddr>,
    /// Always present when `listen` is not a loopback address.
    pub token_file: Option<At<PathBuf>>,
    /// Always present when `listen` is not a loopback address.
    pub tls: Option<AdminTls>,
    /// Names it may be asked by, besides `localhost` and addresses.
    pub hosts: Vec<At<String>>,
}

/// The server's certificate.
#[derive(Clone, Debug, PartialEq)]
pub struct AdminTls {
    /// Certificate chain (PEM).
    pub cert_file: At<PathBuf>,
    /// Private key (PEM).
    pub key_file: At<PathBuf>,
}

/// Bounds of the whole host (G7).
#[derive(Clone, Debug, PartialEq)]
pub struct RunConfig {
    /// Shard loops; at least 1. `"cores"` is resolved here.
    pub shards: usize,
    /// How long a graceful stop may take.
    pub drain: Duration,
    /// Messages read ahead, for each pipeline.
    pub prefetch_messages: usize,
    /// Bytes read ahead, for each pipeline.
    pub prefetch_bytes: usize,
    /// In-order events kept in memory per entity behind the running one.
    pub queue_max: usize,
    /// Handler calls set aside per shard.
    pub calls_max: usize,
    /// Commits in flight per entity.
    pub commits_max: usize,
    /// Catch-ups at the same time.
    pub catch_ups_max: usize,
    /// Bytes of all held events.
    pub held_bytes: usize,
    /// Entities in memory.
    pub entities_max: usize,
    /// Outputs sent and not confirmed.
    pub publish_window: usize,
    /// Given-up ranges per entity.
    pub given_up_ranges_max: usize,
    /// Outbox entries per entity.
    pub outbox_max: usize,
    /// Outbox entries of a pipeline's own record.
    pub pipeline_outbox_max: usize,
    /// Lifecycle events that are not sent; 0 = none are.
    pub lifecycle_queue: usize,
    /// Share of a stream's limits, in percent, below which what is left of them counts as near; 0 = never.
    pub retention_near_percent: u64,
    /// Processor time that compiling a component may take while the host runs.
    pub compile_time_max: Duration,
    /// Bytes of address space that it may have.
    pub compile_memory_max: usize,
}

/// The stream of dead letters.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLettersConfig {
    /// Size of the stream in bytes.
    pub max_bytes: u64,
    /// Age at which they are deleted; none: never.
    pub max_age: Option<Duration>,
}

/// One pipeline.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Its name; the place is that of its table.
    pub name: At<String>,
    /// Stream to read.
    pub stream: At<String>,
    /// Subjects to read; they do not overlap; at least one.
    pub subjects: Vec<At<String>>,
    /// How it is read.
    pub read: Read,
    /// Where it starts when it is new.
    pub start: At<Start>,
    /// How long an entity is remembered that is not seen; none: for ever.
    pub retain: Option<Duration>,
    /// How a message becomes an event.
    pub event: EventConfig,
    /// Order.
    pub order: OrderConfig,
    /// Failure.
    pub failure: FailureConfig,
    /// Called in this order for each event; at least one.
    pub handlers: Vec<HandlerConfig>,
}

/// How a stream is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// The gapless ordered reader; no acks.
    Ordered,
}

/// Where a new pipeline starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first message that the stream still has.
    First,
    /// Behind the last message that the stream has when the pipeline is made.
    New,
    /// At this stream sequence, from 1.
    Sequence(u64),
    /// At the first message with this broker timestamp or a later one.
    Time(time::OffsetDateTime),
}

/// How a message becomes an event. The format is always `raw` in this release.
#[derive(Clone, Debug, PartialEq)]
pub struct EventConfig {
    /// The entity.
    pub entity: At<Source>,
    /// The producer's number.
    pub sequence: At<Source>,
    /// The producer's id; without one there, `Nats-Msg-Id`.
    pub id: At<Source>,
    /// The kind of event.
    pub kind: At<Source>,
    /// The producer's time.
    pub time: At<Source>,
    /// The epoch; without one it is 0.
    pub epoch: Option<At<Source>>,
}

/// What an entity's order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Contiguous numbers; gaps are seen.
    Sequence,
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence => f.write_str("sequence"),
        }
    }
}

/// The order of an entity's events.
#[derive(Clone, Debug, PartialEq)]
pub struct OrderConfig {
    /// What it goes by.
    pub by: By,
    /// Where a new entity starts.
    pub first_sequence: At<First>,
    /// The stream need not begin with every entity's first event.
    pub accept_missing_history: bool,
    /// Gaps.
    pub gap: GapConfig,
    /// Late events.
    pub late: Late,
    /// Recent ids kept per entity; at least 1.
    pub dedup_ids: usize,
}

/// What happens to gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct GapConfig {
    /// Stream time after which one gives up.
    pub wait: Duration,
    /// Early events held per entity.
    pub held_max: usize,
    /// How far ahead of the position a sequence may be.
    pub jump_max: u64,
    /// What giving up means.
    pub then: GapThen,
}

/// What happens to failed attempts.
#[derive(Clone, Debug, PartialEq)]
pub struct FailureConfig {
    /// Delays between attempts; their number is the number of retries.
    pub retry: Vec<Duration>,
    /// What exhaustion means.
    pub then: FailureThen,
    /// When the handlers are not called any more.
    pub breaker: BreakerConfig,
}

/// When a handler fails so often that none of its pipeline is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerConfig {
    /// Share of the last calls, in percent; 0 = never.
    pub percent: u64,
    /// Calls that are looked at.
    pub events: usize,
    /// Entities, at least, that the failures have to come from.
    pub entities: usize,
    /// From opening to the first probe.
    pub delay: Duration,
    /// Longest delay between probes; at least `delay`.
    pub delay_max: Duration,
}

impl BreakerConfig {
    /// What the breaker of the pipeline is told.
    pub fn settings(&self) -> Settings {
        let Self { percent, events, entities, delay, delay_max } = *self;
        Settings { percent, events, entities, delay: millis(delay), delay_max: millis(delay_max) }
    }
}

/// What instances are shared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Consecutive events of one entity.
    Run,
    /// Nothing: a fresh one for each event.
    Event,
    /// All entities.
    Shared,
}

/// Where a component is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Component {
    /// A file.
    File(PathBuf),
    /// An object of a JetStream object store.
    Object(Object),
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Object(object) => object.fmt(f),
        }
    }
}

/// One handler.
#[derive(Clone, Debug, PartialEq)]
pub struct HandlerConfig {
    /// Its name, unique within the pipeline.
    pub name: At<String>,
    /// Its component.
    pub component: At<Component>,
    /// What it can ask for.
    pub config: BTreeMap<String, String>,
    /// Subjects it may emit to.
    pub outputs: Vec<At<String>>,
    /// What its instances are shared by.
    pub isolation: Isolation,
    /// Bytes of all memories of one instance.
    pub memory_max: usize,
    /// Time of one call.
    pub time_max: Duration,
    /// Bytes of one entity's state.
    pub state_max: usize,
    /// Bytes of one value; at most `state_max`.
    pub state_value_max: usize,
    /// Keys of one entity's state.
    pub state_keys_max: usize,
    /// Outputs of one event.
    pub outputs_max: usize,
    /// Bytes of all outputs of one event.
    pub output_bytes_max: usize,
    /// Log lines of one call.
    pub log_lines_max: usize,
}

impl EventConfig {
    /// What the decoder is told.
    pub fn sources(&self) -> EventSources {
        EventSources {
            entity: self.entity.value.clone(),
            sequence: self.sequence.value.clone(),
            epoch: self.epoch.as_ref().map(|at| at.value.clone()),
            id: Some(self.id.value.clone()),
            kind: Some(self.kind.value.clone()),
            time: Some(self.time.value.clone()),
        }
    }
}

impl PipelineConfig {
    /// What the sequencer of each of its entities is told; but for `retain`, for which the store must say since when.
    pub fn policy(&self, run: &RunConfig) -> Policy {
        Policy {
            first: self.order.first_sequence.value,
            gap_wait: millis(self.order.gap.wait),
            gap_then: self.order.gap.then,
            held_max: self.order.gap.held_max,
            queue_max: run.queue_max,
            jump_max: self.order.gap.jump_max,
            late: self.order.late,
            ids: self.order.dedup_ids,
            retry: self.failure.retry.iter().copied().map(millis).collect(),
            failure_then: self.failure.then,
            commits_max: u32::try_from(run.commits_max).unwrap_or(u32::MAX),
            ranges_max: run.given_up_ranges_max,
            settle: millis(SETTLE),
            retain: None,
        }
    }

    /// `order.first-sequence` as it is written in the file.
    pub fn first_sequence_text(&self) -> String {
        match self.order.first_sequence.value {
            First::At(sequence) => sequence.to_string(),
            First::Any => "any".to_owned(),
        }
    }
}

/// In whole milliseconds.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
