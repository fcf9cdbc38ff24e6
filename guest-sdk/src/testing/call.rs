//! One call: the handler over a scratch of the host's own kind. A host call past a limit unwinds out of the handler, as it would end the call in
//! the host; whatever ends a call is named here.

use super::Line;
use crate::host::{self, Host};
use crate::log::{Field, Level};
use crate::{Event, Handler, Header};
use seriatim_contract::{Effects, Emitted, Failure, FailureKind, Limits, LogLines, Scratch, State};
use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// What the config gives a handler.
#[derive(Clone, Debug, Default)]
pub(super) struct Setup {
    pub(super) config: BTreeMap<String, String>,
    pub(super) outputs: Vec<String>,
    pub(super) limits: Limits,
}

/// How an event comes to its handler.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) attempt: u32,
    pub(super) late: bool,
    pub(super) replay: bool,
}

/// Calls the handler with one event. Gives back the state as it came, and what the call wants done or why it did nothing.
pub(super) fn run<H: Handler>(
    setup: &mut Setup,
    event: Event,
    delivery: Delivery,
    state: State,
    logs: &mut Vec<Line>,
) -> (State, Result<Effects, Failure>) {
    logs.clear();
    let lines = LogLines::new(setup.limits.log_lines_max);
    let call =
        Call { setup: std::mem::take(setup), delivery, scratch: Scratch::new(state), lines, logs: std::mem::take(logs), ended: None };
    let (outcome, mut call) = host::with(call, || catch_unwind(AssertUnwindSafe(|| H::handle(event))));
    let result = call.result(outcome);
    *setup = call.setup;
    *logs = call.logs;
    let (state, effects) = call.scratch.finish();
    (state, result.map(|()| effects))
}

/// The host of one call.
struct Call {
    setup: Setup,
    delivery: Delivery,
    scratch: Scratch,
    lines: LogLines,
    logs: Vec<Line>,
    /// Why a host call ended the handler's.
    ended: Option<Failure>,
}

/// What unwinds out of a handler whose call has ended; the reason is in [`Call::ended`].
struct Ended;

impl Call {
    /// What became of the call.
    fn result(&mut self, outcome: Result<Result<(), crate::Failure>, Box<dyn Any + Send>>) -> Result<(), Failure> {
        if let Some(failure) = self.ended.take() {
            return Err(failure);
        }
        let (kind, reason) = match outcome {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(crate::Failure::Retry(reason))) => (FailureKind::Retry, reason),
            Ok(Err(crate::Failure::Reject(reason))) => (FailureKind::Rejected, reason),
            Err(panic) => {
                let reason = panic_text(&*panic);
                // A component says it in the log before it traps, and that line counts like any other.
                self.log_line(Level::Error, &format!("panicked: {reason}"), &[])?;
                return Err(Failure::new(FailureKind::Trap, reason));
            }
        };
        self.passed([reason.len()])?;
        Err(Failure::new(kind, reason))
    }

    /// Ends the handler's call if this failed.
    fn end<T>(&mut self, done: Result<T, Failure>) -> T {
        match done {
            Ok(done) => done,
            Err(failure) => {
                self.ended = Some(failure);
                // Past the panic hook: it is no panic, and nothing is to be printed.
                resume_unwind(Box::new(Ended))
            }
        }
    }

    /// What runs while the handler unwinds (a `Drop`) runs in no component: it meets a host that does nothing.
    fn over(&self) -> bool {
        self.ended.is_some() || std::thread::panicking()
    }

    /// Bytes that one host call hands over.
    fn passed(&self, bytes: impl IntoIterator<Item = usize>) -> Result<(), Failure> {
        let limits = &self.setup.limits;
        let passed = bytes.into_iter().fold(0, usize::saturating_add);
        if passed > limits.hostcall_bytes() { Err(limits.hostcall_too_large()) } else { Ok(()) }
    }

    fn set(&mut self, key: &str, value: &[u8]) -> Result<(), Failure> {
        self.passed([key.len(), value.len()])?;
        self.scratch.set(&self.setup.limits, key.to_owned(), value.to_vec().into())
    }

    fn output(&mut self, subject: &str, headers: &[Header], payload: &[u8]) -> Result<(), Failure> {
        let each = headers.iter().map(|header| size_of::<Header>() + header.name.len() + header.value.len());
        self.passed([subject.len(), payload.len()].into_iter().chain(each))?;
        let headers = headers.iter().map(|header| seriatim_contract::Header { name: header.name.clone(), value: header.value.clone() });
        let message = Emitted { subject: subject.to_owned(), headers: headers.collect(), payload: payload.to_vec().into() };
        self.scratch.emit(&self.setup.limits, &self.setup.outputs, message)
    }

    fn log_line(&mut self, level: Level, message: &str, fields: &[Field]) -> Result<(), Failure> {
        let each = fields.iter().map(|field| size_of::<Field>() + field.name.len() + field.value.len());
        self.passed(each.chain([message.len()]))?;
        self.lines.check()?;
        self.lines.count();
        let fields = fields.iter().map(|field| (field.name.clone(), field.value.clone())).collect();
        self.logs.push(Line { level, message: message.to_owned(), fields });
        Ok(())
    }
}

impl Host for Call {
    fn state_get(&mut self, key: &str) -> Option<Vec<u8>> {
        if self.over() {
            return None;
        }
        let passed = self.passed([key.len()]);
        self.end(passed);
        self.scratch.get(key).map(|value| value.to_vec())
    }

    fn state_set(&mut self, key: &str, value: &[u8]) {
        if !self.over() {
            let done = self.set(key, value);
            self.end(done);
        }
    }

    fn state_delete(&mut self, key: &str) {
        if !self.over() {
            let passed = self.passed([key.len()]);
            self.end(passed);
            self.scratch.delete(key.to_owned());
        }
    }

    fn state_keys(&mut self, prefix: &str, after: Option<&str>, max: u32) -> Vec<String> {
        if self.over() {
            return Vec::new();
        }
        let passed = self.passed([prefix.len(), after.map_or(0, str::len)]);
        self.end(passed);
        self.scratch.keys(prefix, after, max)
    }

    fn emit(&mut self, subject: &str, headers: &[Header], payload: &[u8]) {
        if !self.over() {
            let done = self.output(subject, headers, payload);
            self.end(done);
        }
    }

    fn log(&mut self, level: Level, message: &str, fields: &[Field]) {
        if !self.over() {
            let done = self.log_line(level, message, fields);
            self.end(done);
        }
    }

    fn config_get(&mut self, key: &str) -> Option<String> {
        self.setup.config.get(key).cloned()
    }

    fn attempt(&mut self) -> u32 {
        self.delivery.attempt
    }

    fn late(&mut self) -> bool {
        self.delivery.late
    }

    fn replay(&mut self) -> bool {
        self.delivery.replay
    }
}

/// What a panic says.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a text".to_owned())
}
