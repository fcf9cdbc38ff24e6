//! Runs handlers: WebAssembly components that export the `seriatim:handler` world. The only place that knows wasmtime. It turns (state,
//! event) into effects or a named failure, and does nothing with either: no store, no broker, no decision about retries. Shards call it.
//!
//! [`Engine`] compiles a file once into a [`Handler`]; a handler makes [`Instance`]s; an instance takes one [`Call`] at a time. Whether an
//! instance may serve another event is the handler's [`Isolation`]: ask [`Instance::serves`]. After any failure an instance is finished.

mod apart;
mod bindings;
mod cache;
mod engine;
mod facts;
mod imports;
mod instance;
mod lifecycle;
mod limits;
mod loader;
mod logging;
mod preview1;
mod structure;
mod wasi;
mod wrap;

#[cfg(test)]
mod purity;
#[cfg(test)]
mod tests;

pub use apart::{COMMAND as COMPILE_COMMAND, Compiler, compile_here};
pub use engine::{Engine, EngineConfig, Error};
pub use facts::{Facts, Form};
pub use instance::Instance;
pub use loader::{FILE_BYTES_MAX, Handler, LoadError};
pub use seriatim_contract::{
    Effects, Emitted, Failure, FailureKind, HEADER_FRAME_BYTES, Limits, OWN_HEADERS_BYTES, STATE_KEY_BYTES_MAX, State, subject_matches,
};

use crate::event::Event;
use std::collections::BTreeMap;
use std::sync::Arc;

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
    /// The number of the load that brought this component; 0 where nobody counts.
    pub load: u64,
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
