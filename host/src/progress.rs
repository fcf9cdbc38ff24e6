//! How far long work is, on standard error: a bar on a terminal, otherwise a plain line now and then.

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far some work is. Dropping it takes the bar away.
pub struct View {
    bar: ProgressBar,
    terminal: bool,
    began: Instant,
    line: Instant,
    length: Option<u64>,
}

impl View {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new() -> Self {
        let now = Instant::now();
        Self { bar: ProgressBar::hidden(), terminal: std::io::stderr().is_terminal(), began: now, line: now, length: None }
    }

    /// The work begins. `length`: how much there is to do, in the unit of [`show`](Self::show), where that is known.
    pub fn begin(&mut self, length: Option<u64>) {
        self.length = length;
        if !self.terminal {
            return;
        }
        let (bar, form) = match length {
            Some(length) => (ProgressBar::new(length), "{bar:30} {percent}% {msg} ({elapsed}, about {eta} left)"),
            None => (ProgressBar::new_spinner(), "{spinner} {msg} ({elapsed})"),
        };
        self.bar = bar;
        if let Ok(style) = ProgressStyle::with_template(form) {
            self.bar.set_style(style);
        }
    }

    /// So much of the length is done; `text` says what that is. To be called now and then.
    pub fn show(&mut self, done: u64, text: &str) {
        if self.terminal {
            self.bar.set_position(done);
            self.bar.set_message(text.to_owned());
        } else if self.line.elapsed() >= LINE_EVERY {
            self.line = Instant::now();
            let share = self.length.filter(|length| *length > 0).map(|length| format!(" ({} %)", share(done, length)));
            eprintln!("{text}{} after {}", share.unwrap_or_default(), HumanDuration(self.began.elapsed()));
        }
    }

    /// How long it has taken so far.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The work has ended.
    pub fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// A line of text beside the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.end();
    }
}

/// In per cent, never more than all of it.
fn share(done: u64, length: u64) -> u128 {
    u128::from(done.min(length)) * 100 / u128::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_at_most_all_and_never_overflows() {
        assert_eq!((share(0, 3), share(2, 3), share(3, 3), share(4, 3)), (0, 66, 100, 100));
        assert_eq!(share(u64::MAX, u64::MAX), 100);
    }
}
