//! A handler on a person's own machine: the real component in the real runtime under its real limits, without broker, config and store.
//!
//! `events.rs` reads a file of events, `trial.rs` runs them through the core's sequencers and the component, `upgrade.rs` says which of them an older component
//! handles, `report.rs` says what came of it and compares two results, `attack.rs` runs them again in other ways that must make no difference, `inspect.rs`
//! measures what a handler costs. Only the command line calls this.

pub mod attack;
pub mod dice;
pub mod events;
pub mod inspect;
pub mod report;
pub mod trial;
pub mod upgrade;

#[cfg(test)]
mod tests;

use crate::runtime::{self, Engine, EngineConfig, Failure, FailureKind, Handler, HandlerConfig, Isolation, LoadError};
use std::io;
use std::path::PathBuf;
use tempfile::TempDir;

/// Instances that exist at once: one that is warm, one that is made.
const CALLS_MAX: usize = 4;

/// Why nothing can be said of a handler.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine cannot run WebAssembly.
    #[error("{0}")]
    Runtime(#[from] runtime::Error),
    /// The file is refused.
    #[error("refused at the step `{}`: {_0}", _0.step())]
    Load(#[from] LoadError),
    /// The component's own start code fails, or does not say the version of its state.
    #[error("refused at the step `smoke`: {0}")]
    Start(Failure),
    /// No place for compiled code.
    #[error("cannot make a temporary folder for compiled code: {0}")]
    Folder(#[source] io::Error),
    /// A call could not be made.
    #[error("the host could not run a call: {0}")]
    Host(Failure),
}

impl Error {
    /// The step at which the file was refused, if it is the file's fault.
    #[must_use]
    pub fn step(&self) -> Option<&'static str> {
        match self {
            Self::Load(error) => Some(error.step()),
            Self::Start(_) => Some("smoke"),
            Self::Runtime(_) | Self::Folder(_) | Self::Host(_) => None,
        }
    }

    /// Why, without the step.
    #[must_use]
    pub fn reason(&self) -> String {
        match self {
            Self::Load(error) => error.to_string(),
            Self::Start(failure) => failure.to_string(),
            Self::Runtime(_) | Self::Folder(_) | Self::Host(_) => self.to_string(),
        }
    }
}

/// Loads one file as often as it is wanted, each time into an engine of its own, as after a start of the host. It is compiled once.
#[derive(Debug)]
pub struct Loader {
    bytes: Vec<u8>,
    config: HandlerConfig,
    compiled: PathBuf,
    /// The file that it takes the place of in the middle of the events.
    older: Option<Box<Loader>>,
    /// Where `compiled` is in, if it goes with this value.
    _temporary: Option<TempDir>,
}

impl Loader {
    /// For a file's bytes. `cache`: a folder in which the compiled form is kept, and found by the next one.
    ///
    /// # Errors
    /// No temporary folder.
    pub fn new(bytes: Vec<u8>, config: HandlerConfig, cache: Option<PathBuf>) -> Result<Self, Error> {
        if let Some(compiled) = cache {
            return Ok(Self { bytes, config, compiled, older: None, _temporary: None });
        }
        let temporary = tempfile::tempdir().map_err(Error::Folder)?;
        let compiled = temporary.path().join("compiled");
        Ok(Self { bytes, config, compiled, older: None, _temporary: Some(temporary) })
    }

    /// The same file, with one that handles the first half of each entity's events before it.
    #[must_use]
    pub fn upgrading(self, older: Self) -> Self {
        Self { older: Some(Box::new(older)), ..self }
    }

    /// The file that it takes the place of.
    #[must_use]
    pub fn older(&self) -> Option<&Self> {
        self.older.as_deref()
    }

    /// The isolation of its config.
    #[must_use]
    pub fn isolation(&self) -> Isolation {
        self.config.isolation
    }

    /// The handler, under this isolation, tried as a host does before it lets it handle anything.
    ///
    /// # Errors
    /// The file is refused, or the machine cannot run it.
    pub async fn load(&self, isolation: Isolation) -> Result<Handler, Error> {
        let engine = engine(&self.config, Some(self.compiled.clone()))?;
        let handler = engine.load(&self.bytes, HandlerConfig { isolation, ..self.config.clone() })?;
        tried(&handler).await?;
        Ok(handler)
    }
}

/// The step `smoke` of a host, before a component handles anything.
async fn tried(handler: &Handler) -> Result<(), Error> {
    handler.try_out().await.map_err(|failure| if failure.kind == FailureKind::Host { Error::Host(failure) } else { Error::Start(failure) })
}

/// An engine for one handler.
fn engine(config: &HandlerConfig, cache_dir: Option<PathBuf>) -> Result<Engine, runtime::Error> {
    let default = EngineConfig::default();
    Engine::new(&EngineConfig {
        calls_max: CALLS_MAX,
        cache_dir,
        handler_memory_max: default.handler_memory_max.max(config.limits.memory_max),
    })
}
