//! What handlers may call: the imports of the world, over the call's scratch. A call past a bound ends the guest's call; the failure waits in
//! the store's data, where `instance.rs` finds it.

use super::bindings::seriatim::handler::{config, delivery, log, output, state, types};
use super::limits::Meter;
use super::loader::Inner;
use super::logging::{Level, Log};
use super::wasi::Wasi;
use super::{Emitted, Failure, FailureKind};
use crate::event::{Event, Header};
use bytes::Bytes;
use seriatim_contract::Scratch;
use std::sync::Arc;
use wasmtime::Error;

/// The call in progress: its event, how it came, and what the handler has done so far.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) event: Arc<Event>,
    pub(super) attempt: u32,
    pub(super) late: bool,
    pub(super) replay: bool,
    pub(super) scratch: Scratch,
}

/// Everything that belongs to one instance on the host's side.
pub(super) struct Data {
    /// The handler it is an instance of.
    pub(super) handler: Arc<Inner>,
    /// What it holds and how long it has run.
    pub(super) meter: Meter,
    /// Its lines in the log.
    pub(super) log: Log,
    /// The call in progress, if there is one.
    pub(super) running: Option<Running>,
    /// Why a host function ended the call.
    pub(super) ended: Option<Failure>,
    /// Its view of an empty system: made at the first WASI call, so most never have one.
    pub(super) wasi: Option<Box<Wasi>>,
}

impl Data {
    pub(super) fn new(handler: Arc<Inner>) -> Self {
        let meter = Meter::new(&handler.limits);
        let log = Log::new(handler.name.clone(), handler.limits.log_lines_max);
        Self { handler, meter, log, running: None, ended: None, wasi: None }
    }

    /// Ends the guest's call with this failure.
    pub(super) fn end(&mut self, failure: Failure) -> Error {
        let error = Error::msg(failure.to_string());
        self.ended.get_or_insert(failure);
        error
    }

    /// Does something in the call in progress, and ends the call with what it fails with. A component that calls from its start code has none.
    fn in_call<R>(&mut self, work: impl FnOnce(&Inner, &mut Running) -> Result<R, Failure>) -> wasmtime::Result<R> {
        let done = match &mut self.running {
            Some(running) => work(&self.handler, running),
            None => Err(Failure::new(FailureKind::Trap, "the component called the host while it handled no event")),
        };
        done.map_err(|failure| self.end(failure))
    }
}

/// The event of the call in progress.
pub(super) fn event_of(running: &Option<Running>) -> Option<&Event> {
    running.as_ref().map(|running| &*running.event)
}

impl types::Host for Data {}

impl state::Host for Data {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<Vec<u8>>> {
        self.in_call(|_, running| Ok(running.scratch.get(&key).map(|value| value.to_vec())))
    }

    fn set(&mut self, key: String, value: Vec<u8>) -> wasmtime::Result<()> {
        self.in_call(|handler, running| running.scratch.set(&handler.limits, key, Bytes::from(value)))
    }

    fn delete(&mut self, key: String) -> wasmtime::Result<()> {
        self.in_call(|_, running| {
            running.scratch.delete(key);
            Ok(())
        })
    }

    fn keys(&mut self, prefix: String, after: Option<String>, max: u32) -> wasmtime::Result<Vec<String>> {
        self.in_call(|_, running| Ok(running.scratch.keys(&prefix, after.as_deref(), max)))
    }
}

impl output::Host for Data {
    fn emit(&mut self, subject: String, headers: Vec<types::HeaderResult>, payload: Vec<u8>) -> wasmtime::Result<()> {
        #[cfg(test)]
        assert_ne!(payload, b"host-panic", "a test asked the host to panic inside a call");
        let headers = headers.into_iter().map(|header| Header { name: header.name, value: header.value }).collect();
        let message = Emitted { subject, headers, payload: Bytes::from(payload) };
        self.in_call(|handler, running| running.scratch.emit(&handler.limits, &handler.outputs, message))
    }
}

impl log::Host for Data {
    fn write(&mut self, level: log::Level, message: String, fields: Vec<log::Field>) -> wasmtime::Result<()> {
        let level = match level {
            log::Level::Trace => Level::Trace,
            log::Level::Debug => Level::Debug,
            log::Level::Info => Level::Info,
            log::Level::Warn => Level::Warn,
            log::Level::Error => Level::Error,
        };
        self.flush_stdio();
        self.log.check().map_err(|failure| self.end(failure))?;
        let fields = fields.iter().map(|field| (field.name.as_str(), field.value.as_str()));
        self.log.write(event_of(&self.running), level, &message, fields);
        Ok(())
    }
}

impl config::Host for Data {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        Ok(self.handler.config.get(&key).cloned())
    }
}

impl delivery::Host for Data {
    fn attempt(&mut self) -> wasmtime::Result<u32> {
        self.in_call(|_, running| Ok(running.attempt))
    }

    fn late(&mut self) -> wasmtime::Result<bool> {
        self.in_call(|_, running| Ok(running.late))
    }

    fn replay(&mut self) -> wasmtime::Result<bool> {
        self.in_call(|_, running| Ok(running.replay))
    }
}
