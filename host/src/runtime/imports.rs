//! What handlers may call: the imports of the world, over the call's scratch. A call past a bound ends the guest's call; the failure waits in
//! the store's data, where `instance.rs` finds it.

use super::bindings::seriatim::handler::{config, delivery, log, output, state, types};
use super::limits::Meter;
use super::loader::Inner;
use super::logging::{Level, Log};
use super::scratch::Scratch;
use super::wasi::Wasi;
use super::{Emitted, Failure, FailureKind};
use crate::event::Header;
use bytes::Bytes;
use std::sync::Arc;
use wasmtime::{Error, Result};

/// Everything that belongs to one instance on the host's side.
pub(super) struct Data {
    /// The handler it is an instance of.
    pub(super) handler: Arc<Inner>,
    /// What it holds and how long it has run.
    pub(super) meter: Meter,
    /// Its lines in the log.
    pub(super) log: Log,
    /// The call in progress.
    pub(super) scratch: Scratch,
    /// Why a host function ended the call.
    pub(super) ended: Option<Failure>,
    /// Its view of an empty system: made at the first WASI call, so most never have one.
    pub(super) wasi: Option<Box<Wasi>>,
}

impl Data {
    pub(super) fn new(handler: Arc<Inner>) -> Self {
        let meter = Meter::new(&handler.limits);
        let log = Log::new(handler.name.clone(), handler.limits.log_lines_max);
        Self { handler, meter, log, scratch: Scratch::default(), ended: None, wasi: None }
    }

    /// Ends the guest's call with this failure.
    pub(super) fn end(&mut self, failure: Failure) -> Error {
        let error = Error::msg(failure.to_string());
        self.ended.get_or_insert(failure);
        error
    }

    /// The scratch of the call in progress; a component that calls from its start code has none.
    fn scratch(&mut self) -> Result<&mut Scratch> {
        if self.scratch.event.is_none() {
            return Err(self.end(Failure::new(FailureKind::Trap, "the component called the host before its first event")));
        }
        Ok(&mut self.scratch)
    }
}

impl types::Host for Data {}

impl state::Host for Data {
    fn get(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        Ok(self.scratch()?.get(&key).map(|value| value.to_vec()))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> Result<()> {
        self.scratch()?;
        self.scratch.set(&self.handler.limits, key, Bytes::from(value)).map_err(|failure| self.end(failure))
    }

    fn delete(&mut self, key: String) -> Result<()> {
        self.scratch()?.delete(key);
        Ok(())
    }

    fn keys(&mut self, prefix: String, after: Option<String>, max: u32) -> Result<Vec<String>> {
        Ok(self.scratch()?.keys(&prefix, after.as_deref(), max))
    }
}

impl output::Host for Data {
    fn emit(&mut self, subject: String, headers: Vec<types::HeaderResult>, payload: Vec<u8>) -> Result<()> {
        self.scratch()?;
        #[cfg(test)]
        assert_ne!(payload, b"host-panic", "a test asked the host to panic inside a call");
        let headers = headers.into_iter().map(|header| Header { name: header.name, value: header.value }).collect();
        let message = Emitted { subject, headers, payload: Bytes::from(payload) };
        self.scratch.emit(&self.handler.limits, &self.handler.outputs, message).map_err(|failure| self.end(failure))
    }
}

impl log::Host for Data {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<log::Field>) -> Result<()> {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.flush_stdio();
        if self.log.full() {
            let most = self.handler.limits.log_lines_max;
            let message = format!("more than {most} log lines in one call (log-lines-max)");
            return Err(self.end(Failure::new(FailureKind::TooLarge, message)));
        }
        let fields = fields.iter().map(|field| (field.name.as_str(), field.value.as_str()));
        self.log.write(self.scratch.event.as_deref(), level, &message, fields);
        Ok(())
    }
}

impl config::Host for Data {
    fn get(&mut self, key: String) -> Result<Option<String>> {
        Ok(self.handler.config.get(&key).cloned())
    }
}

impl delivery::Host for Data {
    fn attempt(&mut self) -> Result<u32> {
        Ok(self.scratch()?.attempt)
    }

    fn late(&mut self) -> Result<bool> {
        Ok(self.scratch()?.late)
    }

    fn replay(&mut self) -> Result<bool> {
        Ok(self.scratch()?.replay)
    }
}
