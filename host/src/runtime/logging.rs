//! What handlers write into the host's log: one bounded line each, with the event's place beside it. Nothing a handler writes can forge a
//! line, a field or a terminal sequence.

use crate::event::Event;
use std::sync::Arc;

/// Bytes of one line of text that came from a handler.
pub(super) const LINE_BYTES_MAX: usize = 1024;

/// Text as one line of at most `max` bytes: control characters (and what terminals or line readers take for a line's end) are written as
/// escapes; what does not fit is cut and marked with `…`.
pub(crate) fn one_line(text: &str, max: usize) -> String {
    const CUT: char = '…';
    let mut line = String::with_capacity(text.len().min(max));
    let mut fits = 0;
    for c in text.chars() {
        if c.is_control()
            || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
        if line.len() > max {
            line.truncate(fits);
            line.push(CUT);
            return line;
        }
        if line.len() + CUT.len_utf8() <= max {
            fits = line.len();
        }
    }
    line
}

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
    lines_max: usize,
    lines: usize,
}

impl Log {
    pub(super) fn new(handler: Arc<str>, lines_max: usize) -> Self {
        Self { handler, lines_max, lines: 0 }
    }

    /// The call has written as many lines as it may.
    pub(super) fn full(&self) -> bool {
        self.lines >= self.lines_max
    }

    /// A new call begins.
    pub(super) fn restart(&mut self) {
        self.lines = 0;
    }

    /// Writes a line, or drops it when the call has written enough; the first to be dropped is replaced by a warning.
    pub(super) fn write<'a>(
        &mut self,
        event: Option<&Event>,
        level: Level,
        message: &str,
        fields: impl Iterator<Item = (&'a str, &'a str)>,
    ) {
        self.lines = self.lines.saturating_add(1);
        if self.lines <= self.lines_max {
            if !enabled(level) {
                return;
            }
            let mut line = one_line(message, LINE_BYTES_MAX);
            for (name, value) in fields {
                if line.len() >= LINE_BYTES_MAX {
                    break;
                }
                let room = LINE_BYTES_MAX - line.len();
                line.push_str(&format!(" {}={}", one_line(name, room), one_line(value, room)));
            }
            self.put(event, level, &one_line(&line, LINE_BYTES_MAX));
        } else if self.lines == self.lines_max.saturating_add(1) {
            let dropped = format!("further log lines of this call are dropped (log-lines-max = {})", self.lines_max);
            self.put(event, Level::Warn, &dropped);
        }
    }

    /// The rest of the call's lines was dropped before it came here.
    pub(super) fn drop_rest(&mut self, event: Option<&Event>) {
        if self.lines <= self.lines_max {
            self.lines = self.lines_max;
            self.write(event, Level::Warn, "", std::iter::empty());
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

#[cfg(test)]
mod tests {
    use super::one_line;

    #[test]
    fn a_line_stays_a_line_and_within_its_bound() {
        assert_eq!(one_line("plain — text", 1024), "plain — text");
        assert_eq!(one_line("a\r\nb\t\u{1b}[31m\0\u{202e}", 1024), "a\\r\\nb\\t\\u{1b}[31m\\u{0}\\u{202e}");
        assert_eq!(one_line("abcdefgh", 8), "abcdefgh");
        assert_eq!(one_line("abcdefghi", 8), "abcde…");
        assert_eq!(one_line("é\né\né", 8), "é\\n…");
        for max in 3..40 {
            assert!(one_line("ab\ncdé\u{1b}fgh ij — klm\u{2028}", max).len() <= max);
        }
        assert_eq!(one_line("", 0), "");
    }
}
