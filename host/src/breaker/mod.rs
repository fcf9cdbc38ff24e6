//! The circuit breaker of a pipeline, shared by its shards: asked before each call, told of each call's end, closed by a probe or by an operator. It
//! decides nothing ([`decide`] does); it tells the log, the metrics and the lifecycle events what was decided. In memory only: after a start it is closed.
//!
//! While no handler has failed lately (almost always) neither question takes a lock.

pub mod decide;

use crate::telemetry::events;
use crate::telemetry::lifecycle::{Event, Kind, Queue};
use decide::{Decider, Ended, Go, Open, Settings, Standing, Turn};
use seriatim_sequencer::Millis;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Whose it is, and who is told.
#[derive(Debug, Default)]
pub struct About {
    /// The pipeline.
    pub pipeline: Arc<str>,
    /// Its generation.
    pub generation: u64,
    /// Its handlers' names.
    pub handlers: Vec<Arc<str>>,
    /// Where lifecycle events go.
    pub lifecycle: Queue,
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    about: About,
    /// Closed, and nothing to remember: as the decider says, read without its lock.
    quiet: AtomicBool,
    decider: Mutex<Decider>,
}

impl Breaker {
    /// Closed.
    #[must_use]
    pub fn new(settings: Settings, about: About) -> Self {
        let decider = Mutex::new(Decider::new(settings, about.handlers.len()));
        Self { about, quiet: AtomicBool::new(true), decider }
    }

    /// One that never opens.
    #[must_use]
    pub fn off() -> Self {
        Self::new(Settings { percent: 0, events: 0, entities: 0, delay: 0, delay_max: 0 }, About::default())
    }

    fn decider(&self) -> MutexGuard<'_, Decider> {
        self.decider.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Acquire)
    }

    /// Whether a delivery is made now.
    pub fn ask(&self, now: Millis) -> Go {
        if self.is_quiet() { Go::Call } else { self.decider().ask(now) }
    }

    /// How it stands.
    pub fn standing(&self, now: Millis) -> Standing {
        if self.is_quiet() { Standing::Closed } else { self.decider().standing(now) }
    }

    /// A call of an entity's event ended: `good` handlers, from the first, returned; the one behind them failed with `fault`, if that was one.
    pub fn ended(&self, now: Millis, entity: &str, probe: bool, good: usize, fault: Option<&str>) {
        if fault.is_none() && self.is_quiet() {
            return;
        }
        let mut hasher = DefaultHasher::new();
        entity.hash(&mut hasher);
        let turn = {
            let mut decider = self.decider();
            let turn = decider.ended(now, Ended { entity: hasher.finish(), probe, good, fault });
            self.quiet.store(decider.is_quiet(), Ordering::Release);
            turn
        };
        self.tell(now, turn);
    }

    /// An operator closes it, naming the handler. True: it was open.
    ///
    /// # Errors
    /// No such handler (`None`), or it is open because of another one: its name.
    pub fn close(&self, now: Millis, handler: &str) -> Result<bool, Option<Arc<str>>> {
        let at = self.about.handlers.iter().position(|name| **name == *handler).ok_or(None)?;
        let turn = {
            let mut decider = self.decider();
            let turn = decider.close(at).map_err(|other| Some(self.handler(other)))?;
            self.quiet.store(decider.is_quiet(), Ordering::Release);
            turn
        };
        let was_open = turn.is_some();
        self.tell(now, turn);
        Ok(was_open)
    }

    /// The open breaker, with the name of its handler.
    #[must_use]
    pub fn open(&self) -> Option<(Arc<str>, Open)> {
        if self.is_quiet() {
            return None;
        }
        let open = self.decider().open().cloned()?;
        Some((self.handler(open.handler), open))
    }

    fn handler(&self, at: usize) -> Arc<str> {
        self.about.handlers.get(at).cloned().unwrap_or_default()
    }

    fn tell(&self, now: Millis, turn: Option<Turn>) {
        let About { pipeline, generation, lifecycle, .. } = &self.about;
        let kind = match turn {
            None => return,
            Some(Turn::Again { handler, error, until }) => {
                return events::breaker_probed(pipeline, &self.handler(handler), &error, until.saturating_sub(now));
            }
            Some(Turn::Opened { handler, error, until }) => {
                let handler = self.handler(handler);
                events::breaker_opened(pipeline, &handler, &error, until.saturating_sub(now));
                Kind::BreakerOpened { handler: handler.to_string(), error: crate::sink::dead_letter::one_line(&error) }
            }
            Some(Turn::Closed { handler }) => {
                let handler = self.handler(handler);
                events::breaker_closed(pipeline, &handler);
                Kind::BreakerClosed { handler: handler.to_string() }
            }
        };
        lifecycle.push(Event { pipeline: pipeline.clone(), generation: *generation, entity: None, at: now, kind });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> (Breaker, crate::telemetry::lifecycle::Received) {
        let (lifecycle, received) = Queue::new(8);
        let about = About { pipeline: "p".into(), generation: 3, handlers: vec!["a".into(), "b".into()], lifecycle };
        let settings = Settings { percent: 50, events: 4, entities: 2, delay: 10, delay_max: 40 };
        (Breaker::new(settings, about), received.unwrap())
    }

    #[test]
    fn it_is_quiet_until_something_fails_and_again_when_that_is_forgotten() {
        let (breaker, _received) = breaker();
        breaker.ended(1, "x", false, 2, None);
        assert!(breaker.is_quiet());
        breaker.ended(2, "x", false, 1, Some("no"));
        assert!(!breaker.is_quiet() && breaker.ask(3) == Go::Call);
        for _ in 0..4 {
            breaker.ended(4, "y", false, 2, None);
        }
        assert!(breaker.is_quiet());
    }

    #[test]
    fn what_turns_is_told_and_an_operator_names_the_handler() {
        let (breaker, mut received) = breaker();
        breaker.ended(1, "x", false, 1, Some("no"));
        breaker.ended(2, "y", false, 1, Some("no\nwhy"));
        let (handler, open) = breaker.open().unwrap();
        assert_eq!((&*handler, open.since, open.until), ("b", 2, 12));
        assert_eq!((breaker.ask(11), breaker.standing(11), breaker.standing(12)), (Go::Wait, Standing::Open(12), Standing::Due));
        assert_eq!(breaker.close(13, "c"), Err(None));
        assert_eq!(breaker.close(13, "a"), Err(Some("b".into())));
        assert_eq!((breaker.close(13, "b"), breaker.close(14, "b")), (Ok(true), Ok(false)));
        assert!(breaker.is_quiet() && breaker.open().is_none());
        let mut told = Vec::new();
        received.take_now(&mut told, 8);
        let ids: Vec<_> = told.iter().map(Event::id).collect();
        assert_eq!(ids, ["p:3:event:breaker-opened::b.2", "p:3:event:breaker-closed::b.13"]);
        assert_eq!(told[0].kind, Kind::BreakerOpened { handler: "b".to_owned(), error: "no\\nwhy".to_owned() });
    }

    #[test]
    fn one_that_is_off_never_opens() {
        let breaker = Breaker::off();
        for entity in 0..1_000 {
            breaker.ended(1, &entity.to_string(), false, 0, Some("no"));
            assert_eq!(breaker.ask(1), Go::Call);
        }
        assert!(breaker.is_quiet());
    }
}
