//! What an entity keeps in memory: the in-order queue behind the running event, and the early events held until their gap closes.

use crate::types::{Arrival, Millis, Place};
use alloc::collections::{BTreeMap, VecDeque};

/// In-order arrivals behind the running one: places are consecutive.
#[derive(Clone, Debug)]
pub(crate) struct Queue<T> {
    events: VecDeque<Arrival<T>>,
    /// Stream sequences ascend (they nearly always do), so the lowest is at the front.
    sorted: bool,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { events: VecDeque::new(), sorted: true }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(crate) fn push(&mut self, arrival: Arrival<T>) {
        match self.events.back() {
            Some(back) => self.sorted &= back.stream_sequence < arrival.stream_sequence,
            None => self.sorted = true,
        }
        // Where events come one at a time there is never more than one.
        if self.events.capacity() == 0 {
            self.events.reserve_exact(1);
        }
        self.events.push_back(arrival);
    }

    pub(crate) fn back(&self) -> Option<&Arrival<T>> {
        self.events.back()
    }

    pub(crate) fn pop(&mut self) -> Option<Arrival<T>> {
        self.events.pop_front()
    }

    /// The event at a place, if it is queued.
    pub(crate) fn get(&self, place: Place) -> Option<&Arrival<T>> {
        let first = self.events.front()?.place;
        if first.epoch != place.epoch {
            return None;
        }
        let at = place.sequence.checked_sub(first.sequence)?;
        self.events.get(usize::try_from(at).ok()?)
    }

    pub(crate) fn lowest_stream(&self) -> Option<u64> {
        if self.sorted {
            return self.events.front().map(|event| event.stream_sequence);
        }
        self.events.iter().map(|event| event.stream_sequence).min()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arrival<T>> {
        self.events.iter()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.events.iter().map(|event| u64::from(event.bytes)).sum()
    }
}

/// Early events, by place; and by stream sequence, for S and for the time of the first one held.
#[derive(Clone, Debug)]
pub(crate) struct Held<T> {
    by_place: BTreeMap<Place, Arrival<T>>,
    by_stream: BTreeMap<u64, (Place, Millis)>,
    bytes: u64,
}

impl<T> Held<T> {
    pub(crate) const fn new() -> Self {
        Self { by_place: BTreeMap::new(), by_stream: BTreeMap::new(), bytes: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_place.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_place.is_empty()
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(crate) fn get(&self, place: Place) -> Option<&Arrival<T>> {
        self.by_place.get(&place)
    }

    pub(crate) fn insert(&mut self, arrival: Arrival<T>) {
        self.bytes += u64::from(arrival.bytes);
        self.by_stream.insert(arrival.stream_sequence, (arrival.place, arrival.time));
        self.by_place.insert(arrival.place, arrival);
    }

    pub(crate) fn lowest(&self) -> Option<Place> {
        self.by_place.first_key_value().map(|(place, _)| *place)
    }

    pub(crate) fn highest(&self) -> Option<Place> {
        self.by_place.last_key_value().map(|(place, _)| *place)
    }

    pub(crate) fn remove(&mut self, place: Place) -> Option<Arrival<T>> {
        let arrival = self.by_place.remove(&place)?;
        self.by_stream.remove(&arrival.stream_sequence);
        self.bytes -= u64::from(arrival.bytes);
        Some(arrival)
    }

    pub(crate) fn lowest_stream(&self) -> Option<u64> {
        self.by_stream.first_key_value().map(|(stream_sequence, _)| *stream_sequence)
    }

    /// The event that came first, and its time at the broker.
    pub(crate) fn first(&self) -> Option<(Place, Millis)> {
        self.by_stream.first_key_value().map(|(_, first)| *first)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arrival<T>> {
        self.by_place.values()
    }
}
