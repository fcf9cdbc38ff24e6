//! Entities that wait because no handler of their pipeline is called: lets them go on in bounded batches when the circuit breaker has closed, and one now
//! and then while it wants a probe. Which of them becomes the probe, if any does, is the breaker's to say when its event is delivered.

use super::run::{ALARMS_AT_ONCE, Shard};
use crate::breaker::decide::Standing;
use seriatim_sequencer::Input;

/// Milliseconds after which another entity is let go on as a probe: the one before may have nothing to deliver, or must be read again first.
const PROBE_EVERY: u64 = 1_000;

impl Shard {
    /// Lets those go on whose turn has come.
    pub(super) fn release(&mut self) {
        for pipeline in 0..self.barred.len() {
            match self.standing(pipeline) {
                Some(Standing::Closed) => {
                    for _ in 0..ALARMS_AT_ONCE {
                        if !self.release_one(pipeline) {
                            break;
                        }
                    }
                }
                Some(Standing::Due) if self.probe_at(pipeline) <= self.host_now => {
                    if let Some(at) = self.probe_at.get_mut(pipeline) {
                        *at = self.host_now.saturating_add(PROBE_EVERY);
                    }
                    self.release_one(pipeline);
                }
                Some(Standing::Due | Standing::Open(_)) | None => {}
            }
        }
    }

    /// When the next one goes on, on host time.
    pub(super) fn next_release(&self) -> Option<u64> {
        let at = |pipeline| match self.standing(pipeline)? {
            Standing::Closed => Some(self.host_now),
            Standing::Due => Some(self.probe_at(pipeline)),
            Standing::Open(until) => Some(until),
        };
        (0..self.barred.len()).filter_map(at).min()
    }

    /// How the breaker stands; `None` when nobody here waits for it, or the pipeline has stopped.
    fn standing(&self, pipeline: usize) -> Option<Standing> {
        let waits = self.barred.get(pipeline).is_some_and(|barred| barred.next().is_some()) || self.sleeping.has_barred(pipeline);
        let shared = self.parts.pipelines.get(pipeline).filter(|shared| waits && shared.control.stopped().is_none())?;
        Some(shared.breaker.standing(self.host_now))
    }

    /// A clock that was set back must not keep it waiting.
    fn probe_at(&self, pipeline: usize) -> u64 {
        let at = self.probe_at.get(pipeline).copied().unwrap_or_default();
        if at > self.host_now.saturating_add(PROBE_EVERY) { 0 } else { at }
    }

    /// The one that has waited longest, those in memory first. False: there is none.
    fn release_one(&mut self, pipeline: usize) -> bool {
        let in_memory = self.barred.get_mut(pipeline).and_then(|barred| barred.due(u64::MAX));
        let token = match in_memory {
            Some(token) => token,
            None => {
                let entity = self.sleeping.take_barred(pipeline);
                let Some(key) = entity.and_then(|entity| self.key(pipeline, entity)) else { return false };
                let Some(token) = self.actor(&key, pipeline) else { return false };
                token
            }
        };
        if let Some(actor) = self.actors.get_mut(token) {
            actor.busy.barred = None;
        }
        self.drive(token, Input::Released);
        true
    }
}
