//! "Why is this entity not moving?": a sequencer's state as a value for people, metrics and the admin API.

use crate::sequencer::Sequencer;
use crate::types::{Alarm, Millis, Now, Place, WaitReason, Waiting};
use alloc::format;
use alloc::string::String;

/// What an entity is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The last place it has finished; `None` before its first.
    pub position: Option<Place>,
    /// What it is at.
    pub head: Head,
    /// The durable form, if it waits.
    pub waiting: Option<Waiting>,
    /// What an operator's word has to name: the event at the head, or the first place that is missing.
    pub place: Place,
    /// Early events in memory: how many, lowest and highest place.
    pub held: Option<(usize, Place, Place)>,
    /// The broker's time of the early event that came first.
    pub held_since: Option<Millis>,
    /// Stream time at which the gap gives up.
    pub gives_up: Option<Millis>,
    /// In-order events in memory behind the head.
    pub queued: usize,
    /// Commits that are not durable yet.
    pub in_flight: u32,
    /// Stream sequences that left memory and are read again later, first and last.
    pub dropped: Option<(u64, u64)>,
    /// A catch-up is asked for or reads.
    pub catching_up: bool,
    /// Milliseconds until the alarm rings, on its clock; 0 = it has rung.
    pub alarm_in: Option<Millis>,
}

/// What the entity is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing to do.
    Idle,
    /// An event is with the handlers.
    Running(Place),
    /// An event waits for its next attempt.
    Retrying {
        /// The event.
        place: Place,
        /// Attempts made.
        attempts: u32,
    },
    /// This place has not come.
    Missing(Place),
    /// Its outputs cannot be published.
    Blocked,
    /// The handlers are not called, because one of them fails so often.
    Barred(Place),
    /// It is parked.
    Parked(WaitReason),
    /// Its pipeline stopped at it.
    Stopped,
}

impl<T: Clone + 'static> Sequencer<T> {
    /// Why this entity is not moving, if it is not.
    #[must_use]
    pub fn status(&self, now: Now) -> Status {
        let parked = self.work.waiting.filter(Waiting::parked).map(|waiting| waiting.reason);
        let head = match (&self.work.current, parked) {
            _ if self.stopped => Head::Stopped,
            _ if self.redrive_running() => Head::Running(self.work.redriving.as_ref().map_or_else(Place::default, |r| r.arrival.place)),
            (Some(current), _) if current.running => Head::Running(current.arrival.place),
            (_, Some(reason)) if reason != WaitReason::Gap => Head::Parked(reason),
            _ if self.blocked => Head::Blocked,
            _ if self.barred => Head::Barred(self.head_place()),
            (Some(current), _) => Head::Retrying { place: current.arrival.place, attempts: current.attempt },
            (None, _) if !self.work.held.is_empty() || self.work.waiting.is_some_and(|waiting| waiting.reason == WaitReason::Gap) => {
                Head::Missing(self.next_place())
            }
            (None, _) => Head::Idle,
        };
        let held = self.work.held.lowest().zip(self.work.held.highest()).map(|(lowest, highest)| (self.work.held.len(), lowest, highest));
        let alarm_in = self.work.waiting.and_then(|waiting| waiting.alarm).map(|alarm| match alarm {
            Alarm::Host(at) => at.saturating_sub(now.host),
            Alarm::Stream(at) => at.saturating_sub(now.stream),
        });
        Status {
            position: self.position(),
            head,
            place: self.head_place(),
            waiting: self.work.waiting,
            held,
            held_since: self.work.held.first().map(|(_, time)| time),
            gives_up: self.work.held.first().filter(|_| self.in_gap()).map(|(_, time)| time.saturating_add(self.policy.gap_wait)),
            queued: self.work.queue.len(),
            in_flight: self.in_flight,
            dropped: self.work.dropped.map(|dropped| (dropped.from, dropped.to)),
            catching_up: self.work.pass.is_some(),
            alarm_in,
        }
    }
}

impl Status {
    /// One plain sentence, without the entity's name.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self.head {
            Head::Idle => String::from("is up to date"),
            Head::Running(place) => format!("is handling event {}", place.sequence),
            Head::Retrying { place, attempts } => format!("waits to try event {} again after {attempts} failed attempts", place.sequence),
            Head::Missing(place) => match self.held {
                Some((count, lowest, highest)) => {
                    format!(
                        "waits for event {}: {count} from {} to {} came early and are held",
                        place.sequence, lowest.sequence, highest.sequence
                    )
                }
                None => format!("waits for event {}", place.sequence),
            },
            Head::Blocked => String::from("waits until its outputs can be published"),
            Head::Barred(place) => format!("waits to handle event {} until its handlers are called again", place.sequence),
            Head::Parked(reason) => format!("is parked ({})", reason.name()),
            Head::Stopped => String::from("stopped its pipeline"),
        }
    }
}
