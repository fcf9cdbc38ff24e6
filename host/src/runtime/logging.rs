//! What handlers write into the host's log: one bounded line each, with the event's place beside it. Nothing a handler writes can forge a
//! line, a field or a terminal sequence.

use super::Failure;
use crate::event::Event;
use seriatim_contract::{LINE_BYTES_MAX, LineFate, LogLines, log_line, one_line};
use std::sync::Arc;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// The log of one call: counts its lines and writes those that are allowed.
#[derive(Debug)]
pub(super) struct Log {
    handler: Arc<str>,
    lines: LogLines,
}

impl Log {
    pub(super) fn new(handler: Arc<str>, lines_max: usize) -> Self {
        Self { handler, lines: LogLines::new(lines_max) }
    }

    /// Whether the handler may write another line.
    pub(super) fn check(&self) -> Result<(), Failure> {
        self.lines.check()
    }

    /// A new call begins.
    pub(super) fn restart(&mut self) {
        self.lines.restart();
    }

    /// Writes a line, or drops it when the call has written enough; the first to be dropped is replaced by a warning.
    pub(super) fn write<'a>(
        &mut self,
        event: Option<&Event>,
        level: Level,
        message: &str,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        match self.lines.count() {
            LineFate::Written if enabled(level) => self.put(event, level, &log_line(message, fields)),
            LineFate::FirstDropped(warning) => self.put(event, Level::Warn, &warning),
            LineFate::Written | LineFate::Dropped => {}
        }
    }

    /// The rest of the call's lines was dropped before it came here.
    pub(super) fn drop_rest(&mut self, event: Option<&Event>) {
        if let LineFate::FirstDropped(warning) = self.lines.drop_rest() {
            self.put(event, Level::Warn, &warning);
        }
    }

    fn put(&self, event: Option<&Event>, level: Level, line: &str) {
        let handler = &*self.handler;
        macro_rules! put {
            ($level:ident) => {
                match event {
                    Some(event) => tracing::event!(
                        target: "handler",
                        tracing::Level::$level,
                        pipeline = &*event.key.pipeline,
                        entity = %one_line(&event.key.entity, LINE_BYTES_MAX),
                        sequence = event.sequence,
                        stream_sequence = event.message.stream_sequence,
                        handler,
                        "{line}"
                    ),
                    // Written while the instance was made, before its first event.
                    None => tracing::event!(target: "handler", tracing::Level::$level, handler, "{line}"),
                }
            };
        }
        match level {
            Level::Trace => put!(TRACE),
            Level::Debug => put!(DEBUG),
            Level::Info => put!(INFO),
            Level::Warn => put!(WARN),
            Level::Error => put!(ERROR),
        }
    }
}

/// Whether anybody reads lines of this level: most hosts do not read a handler's debug lines.
fn enabled(level: Level) -> bool {
    match level {
        Level::Trace => tracing::enabled!(target: "handler", tracing::Level::TRACE),
        Level::Debug => tracing::enabled!(target: "handler", tracing::Level::DEBUG),
        Level::Info => tracing::enabled!(target: "handler", tracing::Level::INFO),
        Level::Warn => tracing::enabled!(target: "handler", tracing::Level::WARN),
        Level::Error => tracing::enabled!(target: "handler", tracing::Level::ERROR),
    }
}
