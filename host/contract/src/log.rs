//! The log lines of one call: how many it may write, and what a line looks like.

use crate::text::{LINE_BYTES_MAX, one_line};
use crate::{Failure, FailureKind};

/// Counts the log lines of one call.
#[derive(Clone, Debug)]
pub struct LogLines {
    max: usize,
    count: usize,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LineFate {
    /// It is written.
    Written,
    /// It is the first past the limit: this warning is written in its place.
    FirstDropped(String),
    /// It is past the limit.
    Dropped,
}

impl LogLines {
    /// None so far, at most `max` (`log-lines-max`).
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, count: 0 }
    }

    /// A new call begins.
    pub fn restart(&mut self) {
        self.count = 0;
    }

    /// Whether the handler may write another line.
    ///
    /// # Errors
    /// [`FailureKind::TooLarge`] when the call has written as many as it may: one more ends it.
    pub fn check(&self) -> Result<(), Failure> {
        if self.count < self.max {
            return Ok(());
        }
        let max = self.max;
        Err(Failure::new(FailureKind::TooLarge, format!("more than {max} log lines in one call (log-lines-max)")))
    }

    /// One more line.
    pub fn count(&mut self) -> LineFate {
        self.count = self.count.saturating_add(1);
        if self.count <= self.max {
            LineFate::Written
        } else if self.count == self.max.saturating_add(1) {
            LineFate::FirstDropped(format!("further log lines of this call are dropped (log-lines-max = {})", self.max))
        } else {
            LineFate::Dropped
        }
    }

    /// The rest of the call's lines was dropped before it could be counted.
    pub fn drop_rest(&mut self) -> LineFate {
        self.count = self.count.max(self.max);
        self.count()
    }
}

/// A message and its named values as the one line that stands in the host's log: ` name=value` after the message, escaped, at most
/// [`LINE_BYTES_MAX`] bytes.
pub fn log_line<'a>(message: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut line = one_line(message, LINE_BYTES_MAX);
    for (name, value) in fields {
        if line.len() >= LINE_BYTES_MAX {
            break;
        }
        let room = LINE_BYTES_MAX - line.len();
        line.push_str(&format!(" {}={}", one_line(name, room), one_line(value, room)));
    }
    one_line(&line, LINE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_past_the_limit_end_the_call_or_are_dropped_with_one_warning() {
        let mut lines = LogLines::new(2);
        assert_eq!((lines.count(), lines.check().is_ok(), lines.count()), (LineFate::Written, true, LineFate::Written));
        let failure = lines.check().unwrap_err();
        assert_eq!(failure.to_string(), "too-large: more than 2 log lines in one call (log-lines-max)");
        assert!(matches!(lines.count(), LineFate::FirstDropped(warning) if warning.contains("log-lines-max = 2")));
        assert_eq!((lines.count(), lines.drop_rest()), (LineFate::Dropped, LineFate::Dropped));
        lines.restart();
        assert!(matches!(lines.drop_rest(), LineFate::FirstDropped(_)));
        assert_eq!(lines.drop_rest(), LineFate::Dropped);
    }

    #[test]
    fn a_line_holds_its_values_and_stays_within_its_bound() {
        let fields = [("k", "v\r\n"), ("long", &*"x".repeat(2000))];
        let line = log_line("a\nb", fields.into_iter());
        assert!(line.starts_with("a\\nb k=v\\r\\n long=xxx"), "{line}");
        assert!(line.len() <= LINE_BYTES_MAX);
    }
}
