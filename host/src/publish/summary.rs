//! What a run says: a bar or lines while it works, one line at the end.

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use serde::Serialize;
use std::fmt;
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Everything is published.
    Done,
    /// Everything was published before.
    NothingToDo,
    /// Everything is published but the last line, which has no line end.
    Unfinished,
    /// By a signal.
    Stopped,
    /// By an error.
    Failed,
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// Events published now.
    pub events: u64,
    /// Duplicates published now that the plan adds.
    pub duplicates: u64,
    /// Publications of the plan that were in the stream already.
    pub already_there: u64,
    /// Bad rows passed over, from the input's beginning.
    pub bad_rows: u64,
    /// The last line, if it is not published because it has no line end.
    pub unfinished_line: Option<u64>,
    /// How long it took.
    pub seconds: f64,
    /// Events and duplicates published now, a second.
    pub events_per_second: f64,
}

impl Summary {
    pub(super) fn new() -> Self {
        Self {
            ending: Ending::Failed,
            events: 0,
            duplicates: 0,
            already_there: 0,
            bad_rows: 0,
            unfinished_line: None,
            seconds: 0.0,
            events_per_second: 0.0,
        }
    }

    pub(super) fn published(&self) -> u64 {
        self.events + self.duplicates
    }

    /// Whether any event is known to be in the stream, by this run or one before.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.published() + self.already_there > 0
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn ended(mut self, ending: Ending, began: Instant) -> Self {
        self.ending = ending;
        self.seconds = (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        self.events_per_second = (self.published() as f64 / began.elapsed().as_secs_f64().max(0.001)).round();
        self
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events published, {} duplicates added, {} already there, {} bad rows, {:.1} s, {:.0} events/s",
            self.events, self.duplicates, self.already_there, self.bad_rows, self.seconds, self.events_per_second
        )
    }
}

/// Shows how far a run is, on standard error.
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

    /// The work begins, on an input of so many bytes.
    pub(super) fn begin(&mut self, length: Option<u64>) {
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

    /// So far it is; to be called now and then.
    pub(super) fn show(&mut self, summary: &Summary, bytes: u64) {
        #[allow(clippy::cast_precision_loss)]
        let rate = summary.published() as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        let text = format!("{} events, {rate:.0} events/s", HumanCount(summary.events));
        if self.terminal {
            self.bar.set_position(bytes);
            self.bar.set_message(text);
        } else if self.line.elapsed() >= LINE_EVERY {
            self.line = Instant::now();
            let share =
                self.length.filter(|length| *length > 0).map(|length| format!(" ({} % of the input)", bytes.min(length) * 100 / length));
            eprintln!("{text}{} after {}", share.unwrap_or_default(), HumanDuration(self.began.elapsed()));
        }
    }

    /// The work has ended.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }

    /// A line of text beside the bar.
    pub(super) fn say(&self, text: &str) {
        self.bar.suspend(|| eprintln!("{text}"));
    }
}

impl Default for View {
    fn default() -> Self {
        Self::new()
    }
}
