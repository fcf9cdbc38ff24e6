//! While a handler of the pipeline fails so often that none is called: the entity waits (`breaker`) without an attempt being counted, and goes on when
//! it is released or by an operator's word. Its alarm is the moment at which it began, so that it is owed through a crash.

use crate::effect::Effect;
use crate::sequencer::Sequencer;
use crate::types::{Alarm, Now, WaitReason, Waiting};
use alloc::vec::Vec;

impl<T: Clone + 'static> Sequencer<T> {
    /// What was delivered was not called.
    pub(crate) fn bar(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        if self.redrive_barred(out) {
            return;
        }
        let Some(current) = self.work.current.as_mut().filter(|current| current.running) else { return };
        current.running = false;
        let place = current.arrival.place;
        let parked = self.work.waiting.as_ref().is_some_and(|waiting| waiting.parked() && waiting.reason != WaitReason::Gap);
        // Parked meanwhile, it stays so; to give the event up nobody need be called.
        if parked || self.work.skip == Some(place) {
            return;
        }
        self.barred = true;
        // Released for a try that others made: what is durable says so already.
        if self.work.waiting.as_ref().map(|waiting: &Waiting| waiting.reason) != Some(WaitReason::Breaker) {
            self.wait(now, WaitReason::Breaker, Some(Alarm::Host(now.host)), None, out);
        }
    }

    /// Whether nothing is delivered until it is released.
    #[must_use]
    pub fn barred(&self) -> bool {
        self.barred
    }
}
