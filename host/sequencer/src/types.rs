//! Words shared by every part of the core: places, times, arrivals, waiting. Plain data; nothing here decides.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, on whichever clock the field names.
pub type Millis = u64;

/// Both clocks at one moment (design §3.3). The core never reads a clock: the shell hands this in with each step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Host time: retry delays run on it.
    pub host: Millis,
    /// Stream time: gaps are judged by it. Never ahead of what was read before this step.
    pub stream: Millis,
}

/// A place in an entity's order: compared by epoch first, then by sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Raised by a producer that starts over.
    pub epoch: u64,
    /// The producer's number within the entity.
    pub sequence: u64,
}

/// One message of the entity as the sequencer sees it. `T` is the shell's ticket for the event itself: opaque here.
#[derive(Clone, Debug)]
pub struct Arrival<T> {
    /// What the shell gets back with `Deliver` or a dead letter. Cheap to clone.
    pub ticket: T,
    /// Where the message stands in the entity's order.
    pub place: Place,
    /// The broker's number of the message.
    pub stream_sequence: u64,
    /// Hash of the producer's id; 0 = no id.
    pub id: u64,
    /// Hash of the payload.
    pub payload: u64,
    /// The broker's timestamp of the message.
    pub time: Millis,
    /// What it costs to hold it in memory.
    pub bytes: u32,
}

/// Why an event (or a range of them) was given up. `name` is what headers, metrics and subjects use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeadReason {
    /// Could not be decoded, or its sequence lies more than `jump-max` ahead.
    Malformed,
    /// Came early and its gap did not close in time (`gap.then = "dead-letter"`).
    Gap,
    /// Its sequence had been given up before it came.
    Late,
    /// Same sequence as an event seen before, another payload.
    Conflict,
    /// The handler said it can never succeed.
    Rejected,
    /// The handler asked for a retry more often than the policy grants.
    RetriesExhausted,
    /// The handler trapped.
    Trap,
    /// The handler used more time than `time-max`.
    Timeout,
    /// The handler asked for more memory than `memory-max`.
    Memory,
    /// The handler emitted what it may not emit.
    OutputRefused,
    /// State, outputs or log lines past their limits.
    TooLarge,
    /// The handler's state of the entity is of a version that the component cannot take.
    Migration,
    /// Retention deleted it before it was done.
    Lost,
    /// An operator skipped it.
    Skipped,
}

impl DeadReason {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Malformed,
        Self::Gap,
        Self::Late,
        Self::Conflict,
        Self::Rejected,
        Self::RetriesExhausted,
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::OutputRefused,
        Self::TooLarge,
        Self::Migration,
        Self::Lost,
        Self::Skipped,
    ];

    /// The reason as it stands in headers, subjects and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Gap => "gap",
            Self::Late => "late",
            Self::Conflict => "conflict",
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries-exhausted",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutputRefused => "output-refused",
            Self::TooLarge => "too-large",
            Self::Migration => "migration",
            Self::Lost => "lost",
            Self::Skipped => "skipped",
        }
    }
}

/// Why an entity cannot go on now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitReason {
    /// A gap: the event after the position has not come.
    Gap,
    /// An attempt failed; the alarm tells when the next one starts.
    Retry,
    /// More arrived than `queue-max` or `held-bytes` lets stay in memory.
    Overflow,
    /// What it waited for is there; it is working off the rest.
    Resuming,
    /// An output or dead letter cannot be published now (stream full, leaderless, missing).
    OutputUnavailable,
    /// An output or dead letter was refused for good.
    OutputUndeliverable,
    /// Attempts are exhausted and `failure.then = "park"` (the failure tells how it failed).
    Failed(DeadReason),
    /// An operator parked it.
    Operator,
    /// Its record in the store could not be read.
    Record,
    /// No room for another given-up range above the position.
    RangesFull,
    /// A handler of its pipeline fails so often that none is called.
    Breaker,
}

impl WaitReason {
    /// The reason as it stands in metric labels and in the admin API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Retry => "retry",
            Self::Overflow => "overflow",
            Self::Resuming => "resuming",
            Self::OutputUnavailable => "output-unavailable",
            Self::OutputUndeliverable => "output-undeliverable",
            Self::Failed(reason) => reason.name(),
            Self::Operator => "operator",
            Self::Record => "record",
            Self::RangesFull => "ranges-full",
            Self::Breaker => "breaker",
        }
    }
}

/// When a waiting entity goes on by itself; it names its clock (design §3.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Alarm {
    /// At this host time (retries, work that is owed).
    Host(Millis),
    /// At this stream time (gaps).
    Stream(Millis),
}

impl Alarm {
    /// Whether the alarm has rung.
    #[must_use]
    pub const fn rung(self, now: Now) -> bool {
        match self {
            Self::Host(at) => now.host >= at,
            Self::Stream(at) => now.stream >= at,
        }
    }
}

/// The tries of one event, named by its stream sequence.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempts {
    /// The event that was tried.
    pub stream_sequence: u64,
    /// How often it was tried and failed.
    pub count: u32,
}

/// The one durable form of "cannot go on now" (design §3.7): everything of this entity at or after `from` is still to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// S: no unfinished message of the entity has a lower stream sequence.
    pub from: u64,
    /// Why.
    pub reason: WaitReason,
    /// Tries of the event at the head.
    pub attempts: Attempts,
    /// When it goes on by itself; `None` = parked.
    pub alarm: Option<Alarm>,
    /// Host time at which it began to wait (for people and metrics; decides nothing).
    pub since: Millis,
}

impl Waiting {
    /// Parked: goes on only by an operator's word or, for a gap, when the missing event comes.
    #[must_use]
    pub const fn parked(&self) -> bool {
        self.alarm.is_none()
    }
}

/// A failure of the handlers, as the core needs to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What a dead letter would say. `Rejected` is never tried again.
    pub reason: DeadReason,
    /// For people; goes into the dead letter.
    pub error: String,
}
