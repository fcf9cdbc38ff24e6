//! Runs handlers: WebAssembly components that export the `seriatim:handler` world. The only place that knows wasmtime. It turns (state,
//! event) into effects or a named failure, and does nothing with either: no store, no broker, no decision about retries. Shards call it.
//!
//! [`Engine`] compiles a file once into a [`Handler`]; a handler makes [`Instance`]s; an instance takes one [`Call`] at a time. Whether an
//! instance may serve another event is the handler's [`Isolation`]: ask [`Instance::serves`]. After any failure an instance is finished.

mod bindings;
mod cache;
mod engine;
mod imports;
mod instance;
mod limits;
mod loader;
mod logging;
mod scratch;
mod wasi;

#[cfg(test)]
mod purity;
#[cfg(test)]
mod tests;

pub use crate::subject::subject_matches;
pub use engine::{Engine, EngineConfig, Error};
pub use instance::Instance;
pub use limits::{Limits, OWN_HEADERS_BYTES};
pub use loader::{Handler, LoadError};
pub use scratch::{HEADER_FRAME_BYTES, STATE_KEY_BYTES_MAX};

use crate::event::{Event, Header};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One handler's state of one entity, by key.
pub type State = BTreeMap<String, Bytes>;

/// Which events may share an instance, and so its memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// One instance serves a run of one entity's events.
    #[default]
    Run,
    /// Every event gets a fresh instance.
    Event,
    /// One instance serves events of different entities, one after another.
    Shared,
}

impl Isolation {
    /// The name in the config.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Event => "event",
            Self::Shared => "shared",
        }
    }
}

/// What a handler is given besides its code.
#[derive(Clone, Debug)]
pub struct HandlerConfig {
    /// Its name: owns the state, stands in logs and headers.
    pub name: Arc<str>,
    /// What `config.get` answers.
    pub config: BTreeMap<String, String>,
    /// Subject patterns it may emit to.
    pub outputs: Vec<String>,
    /// Which events may share an instance.
    pub isolation: Isolation,
    /// Bounds of one call.
    pub limits: Limits,
}

/// One event for one handler.
#[derive(Clone, Debug)]
pub struct Call {
    /// The event.
    pub event: Arc<Event>,
    /// Which attempt at it this is; 1 is the first.
    pub attempt: u32,
    /// Whether it comes after its sequence was given up.
    pub late: bool,
    /// Whether a rebuild or replay command processes it again.
    pub replay: bool,
    /// The handler's state of the entity before the event.
    pub state: State,
}

/// What a call leaves.
#[derive(Debug)]
pub struct Returned {
    /// The state that came with the call, unchanged.
    pub state: State,
    /// What the handler did, or why it did nothing.
    pub result: Result<Effects, Failure>,
}

/// What a call that succeeded wants done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// The keys that changed, in order, each with its new value; `None` removes it. Writes that change nothing are left out.
    pub writes: Vec<(String, Option<Bytes>)>,
    /// Messages to send, in the order they were emitted. Checked: the broker will not refuse them for their form or size.
    pub outputs: Vec<Emitted>,
}

/// One message a handler sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Emitted {
    /// Where to; covered by the handler's `outputs`.
    pub subject: String,
    /// The handler's own headers.
    pub headers: Vec<Header>,
    /// The payload.
    pub payload: Bytes,
}

/// What kind of failure ended a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The handler asks for another attempt.
    Retry,
    /// The handler says it can never succeed.
    Rejected,
    /// The handler trapped, or the call broke inside the host.
    Trap,
    /// It ran longer than `time-max`.
    Timeout,
    /// It broke off after it was refused memory beyond `memory-max`.
    Memory,
    /// It emitted what it may not emit.
    OutputRefused,
    /// It went past a bound on state, outputs or log lines.
    TooLarge,
    /// The host could not run it: no room for an instance. Not the handler's fault; no attempt is counted.
    Host,
}

impl FailureKind {
    /// The name in metric labels, logs and dead letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Rejected => "rejected",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::OutputRefused => "output-refused",
            Self::TooLarge => "too-large",
            Self::Host => "host",
        }
    }
}

/// Why a call did nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its kind.
    pub kind: FailureKind,
    /// What happened: one line of at most 1 KiB.
    pub message: String,
    /// Where in the component, for what ended inside it: several lines, at most 4 KiB.
    pub backtrace: Option<String>,
}

impl Failure {
    /// A failure without a backtrace; the message is made one bounded line.
    pub(crate) fn new(kind: FailureKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: logging::one_line(message.as_ref(), logging::LINE_BYTES_MAX), backtrace: None }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind.name(), self.message)
    }
}

impl std::error::Error for Failure {}
