//! What a run says: how far it is while it works, one line at the end.

use crate::progress::View;
use indicatif::HumanCount;
use serde::Serialize;
use std::fmt;
use std::time::Instant;

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

    /// Shows how far it is: so many bytes of the input.
    pub(super) fn show(&self, view: &mut View, bytes: u64) {
        #[allow(clippy::cast_precision_loss)]
        let rate = self.published() as f64 / view.elapsed().as_secs_f64().max(0.001);
        view.show(bytes, &format!("{} events, {rate:.0} events/s", HumanCount(self.events)));
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
