//! When the handlers of a pipeline are not called any more because one of them fails so often, and when they are called again. A plain value that
//! steps: time comes in, decisions come out.
//!
//! A fault is a trap, a time-out or memory past its bound: what a broken component does to any event. What a handler says itself (retry, reject) is
//! none, and faults of a few entities, however many, never open it.

use seriatim_sequencer::Millis;
use std::collections::{HashSet, VecDeque};

/// `failure.breaker` of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Share of the last `events` calls, in percent, from which on faults open it; 0 = never.
    pub percent: u64,
    /// Calls of each handler that are looked at.
    pub events: usize,
    /// Entities, at least, that the faults have to come from.
    pub entities: usize,
    /// From opening to the first probe.
    pub delay: Millis,
    /// Longest delay: each probe that fails doubles it.
    pub delay_max: Millis,
}

/// Whether a delivery is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Go {
    /// It is.
    Call,
    /// It is, and tells whether the others are made again.
    Probe,
    /// It is not: its entity waits.
    Wait,
}

/// How a call ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    /// Hash of its entity.
    pub entity: u64,
    /// It was let through as a probe.
    pub probe: bool,
    /// So many handlers, from the first, returned.
    pub good: usize,
    /// What the one behind them failed with, if that was a fault.
    pub fault: Option<&'a str>,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// No handler is called any more.
    Opened {
        /// The one that fails, by its place in the pipeline.
        handler: usize,
        /// What it failed with last.
        error: String,
        /// When the first probe may be made.
        until: Millis,
    },
    /// A probe failed.
    Again {
        /// As above.
        handler: usize,
        /// What the probe failed with.
        error: String,
        /// When the next one may be made.
        until: Millis,
    },
    /// They are called again.
    Closed {
        /// The one that had failed.
        handler: usize,
    },
}

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Handlers are called.
    Closed,
    /// The next delivery is a probe.
    Due,
    /// Nothing is called before this time.
    Open(Millis),
}

/// An open breaker, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// The handler that fails, by its place in the pipeline.
    pub handler: usize,
    /// Since when.
    pub since: Millis,
    /// When the next probe may be made.
    pub until: Millis,
    /// What the handler failed with last.
    pub error: String,
}

/// The last calls of one handler. Without a fault among them there is nothing to remember.
#[derive(Clone, Debug, Default)]
struct Window {
    calls: VecDeque<(u64, bool)>,
    faults: usize,
}

impl Window {
    fn push(&mut self, entity: u64, fault: bool, max: usize) {
        if !fault && self.faults == 0 {
            return;
        }
        if self.calls.len() >= max
            && let Some((_, true)) = self.calls.pop_front()
        {
            self.faults -= 1;
        }
        self.calls.push_back((entity, fault));
        self.faults += usize::from(fault);
        if self.faults == 0 {
            self.calls.clear();
        }
    }

    /// Whether so many entities, at least, have faults in it.
    fn has_entities(&self, least: usize) -> bool {
        let mut seen = HashSet::new();
        self.calls.iter().any(|(entity, fault)| *fault && seen.insert(*entity) && seen.len() >= least)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Decider {
    settings: Settings,
    /// By handler.
    windows: Vec<Window>,
    open: Option<Open>,
    /// From when a clock that was set back is told.
    waits_from: Millis,
    delay: Millis,
    /// A probe closed it last at this time.
    closed_at: Option<Millis>,
}

impl Decider {
    /// Closed, for a pipeline of so many handlers.
    #[must_use]
    pub fn new(settings: Settings, handlers: usize) -> Self {
        let delay = settings.delay;
        Self { settings, windows: vec![Window::default(); handlers], open: None, waits_from: 0, delay, closed_at: None }
    }

    /// Closed, and without a fault among the last calls: calls that end well change nothing.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.open.is_none() && self.windows.iter().all(|window| window.faults == 0)
    }

    /// The open breaker.
    #[must_use]
    pub fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// How it stands now.
    #[must_use]
    pub fn standing(&self, now: Millis) -> Standing {
        match &self.open {
            None => Standing::Closed,
            Some(open) if now >= open.until || now < self.waits_from => Standing::Due,
            Some(open) => Standing::Open(open.until),
        }
    }

    /// An event's turn has come. A probe that has not ended within another delay is taken for lost: the next one is made.
    pub fn ask(&mut self, now: Millis) -> Go {
        match self.standing(now) {
            Standing::Closed => Go::Call,
            Standing::Open(_) => Go::Wait,
            Standing::Due => {
                self.wait(now);
                Go::Probe
            }
        }
    }

    fn wait(&mut self, now: Millis) -> Millis {
        let until = now.saturating_add(self.delay);
        self.waits_from = now;
        if let Some(open) = &mut self.open {
            open.until = until;
        }
        until
    }

    fn longer(&self) -> Millis {
        self.delay.saturating_mul(2).min(self.settings.delay_max).max(self.settings.delay)
    }

    /// A call ended.
    pub fn ended(&mut self, now: Millis, call: Ended<'_>) -> Option<Turn> {
        if self.settings.percent == 0 {
            return None;
        }
        let Some(open) = &self.open else { return self.counted(now, call) };
        // What was called before it opened tells nothing new.
        if !call.probe {
            return None;
        }
        let handler = open.handler;
        let Some(error) = call.fault else {
            self.open = None;
            self.closed_at = Some(now);
            return Some(Turn::Closed { handler });
        };
        self.delay = self.longer();
        let until = self.wait(now);
        if let Some(open) = &mut self.open {
            error.clone_into(&mut open.error);
        }
        Some(Turn::Again { handler, error: error.to_owned(), until })
    }

    fn counted(&mut self, now: Millis, call: Ended<'_>) -> Option<Turn> {
        let Settings { percent, events, entities, .. } = self.settings;
        for window in self.windows.iter_mut().take(call.good) {
            window.push(call.entity, false, events);
        }
        let error = call.fault?;
        let handler = call.good;
        let window = self.windows.get_mut(handler)?;
        window.push(call.entity, true, events);
        let share = (window.faults as u64).saturating_mul(100) >= percent.saturating_mul(events as u64);
        if !share || !window.has_entities(entities) {
            return None;
        }
        // It opens again soon after a probe closed it: what the probe met was not what the others meet.
        let again = self.closed_at.is_some_and(|at| now.saturating_sub(at) < self.settings.delay_max);
        self.delay = if again { self.longer() } else { self.settings.delay };
        self.windows.fill(Window::default());
        self.open = Some(Open { handler, since: now, until: now, error: error.to_owned() });
        let until = self.wait(now);
        Some(Turn::Opened { handler, error: error.to_owned(), until })
    }

    /// An operator says that the handler is well.
    ///
    /// # Errors
    /// It is open because of another handler: its place in the pipeline.
    pub fn close(&mut self, handler: usize) -> Result<Option<Turn>, usize> {
        let Some(open) = self.open.take_if(|open| open.handler == handler) else {
            return self.open.as_ref().map_or(Ok(None), |open| Err(open.handler));
        };
        (self.closed_at, self.delay) = (None, self.settings.delay);
        Ok(Some(Turn::Closed { handler: open.handler }))
    }
}

#[cfg(test)]
mod tests;
