//! Entities that have not been seen for long: when an entity was last seen, and when that is long enough ago for its state and ids to go.
//!
//! The time is the broker's (stream time), never this host's: a host that was down for months drops nothing early, and old messages that are read
//! again are as old as the stream says they are. It is written rarely and rounded up: it says after which moment the entity was *not* seen.

use crate::effect::{Answer, Effect};
use crate::sequencer::Sequencer;
use crate::types::{Millis, Now};
use alloc::vec::Vec;

const DAY: Millis = 86_400_000;

/// For how long an entity is remembered that is not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retain {
    /// Milliseconds of stream time without a sign of it.
    pub after: Millis,
    /// Stream time since which sightings are noted: an entity without one, or with an older one, counts as seen then.
    pub since: Millis,
}

impl Retain {
    /// A sighting is written again when the last one that was written is older than this: a day, or 1/32 of `after` if that is less.
    #[must_use]
    pub fn step(self) -> Millis {
        (self.after / 32).clamp(1, DAY)
    }

    /// Whether an entity that was not seen after `seen` goes at this stream time.
    #[must_use]
    pub fn is_over(self, seen: Millis, stream: Millis) -> bool {
        stream >= seen.max(self.since).saturating_add(self.after)
    }
}

impl<T: Clone + 'static> Sequencer<T> {
    /// The entity is seen at `time` (the event's) or now, and what is written says that it was not.
    pub(crate) fn unnoted(&self, now: Now, time: Option<Millis>) -> bool {
        // A record that cannot be read is not written.
        self.policy.retain.is_some() && !self.unreadable && now.stream.max(time.unwrap_or(0)) > self.seen
    }

    /// Notes that it is seen, if that has to be written: the commit that follows carries it.
    pub(crate) fn see(&mut self, now: Now, time: Option<Millis>) {
        if let Some(retain) = self.policy.retain.filter(|_| self.unnoted(now, time)) {
            self.seen = now.stream.max(time.unwrap_or(0)).saturating_add(retain.step());
            self.dirty = true;
        }
    }

    /// If it was not seen for as long as the policy says, it is forgotten: state and ids go, where it stands stays.
    pub(crate) fn retire(&mut self, now: Now, out: &mut Vec<Effect<T>>) {
        if self.policy.retain.is_some_and(|retain| retain.is_over(self.seen, now.stream)) {
            self.forget(out);
        } else {
            out.push(Effect::Answer(Answer::Nothing));
        }
    }
}
