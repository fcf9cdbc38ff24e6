//! What an entity remembers of its past: the ring of recent events and the ranges that were given up. Plain containers; they decide nothing.

use crate::snapshot::{Range, Slot};
use crate::types::Place;
use alloc::vec::Vec;

/// The last `ids` events of the entity, by id and by place. Grows to its bound on demand, then overwrites the oldest.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recent {
    /// Ids apart from the rest, so that the scan that every in-order event pays runs over one dense array.
    ids: Vec<u64>,
    places: Vec<(Place, u64)>,
    next: u32,
    bound: u32,
}

impl Recent {
    pub(crate) fn new(bound: usize) -> Self {
        Self { ids: Vec::new(), places: Vec::new(), next: 0, bound: u32::try_from(bound).unwrap_or(u32::MAX).max(1) }
    }

    pub(crate) fn push(&mut self, place: Place, id: u64, payload: u64) {
        if self.ids.len() < self.bound as usize {
            // Many entities have one event and rest.
            if self.ids.is_empty() {
                self.ids.reserve_exact(1);
                self.places.reserve_exact(1);
            }
            self.ids.push(id);
            self.places.push((place, payload));
            return;
        }
        let next = self.next as usize;
        if let (Some(old_id), Some(old)) = (self.ids.get_mut(next), self.places.get_mut(next)) {
            *old_id = id;
            *old = (place, payload);
        }
        self.next = (self.next + 1) % self.bound;
    }

    /// The payload hash remembered for a place.
    pub(crate) fn payload_at(&self, place: Place) -> Option<u64> {
        self.places.iter().find(|known| known.0 == place).map(|known| known.1)
    }

    /// Whether the id (not 0) is remembered.
    pub(crate) fn knows(&self, id: u64) -> bool {
        id != 0 && self.ids.contains(&id)
    }

    /// Newest `bound` slots, oldest first.
    pub(crate) fn restore(bound: usize, slots: &mut [Slot]) -> Self {
        slots.sort_unstable_by_key(|slot| slot.count);
        let mut recent = Self::new(bound);
        let skip = slots.len().saturating_sub(bound.max(1));
        for slot in slots.iter().skip(skip) {
            recent.push(slot.place, slot.id, slot.payload);
        }
        recent
    }
}

/// Ranges of sequences that were given up: ascending, disjoint, never adjacent.
#[derive(Clone, Debug, Default)]
pub(crate) struct GivenUp {
    ranges: Vec<Range>,
}

impl GivenUp {
    pub(crate) const fn restore(ranges: Vec<Range>) -> Self {
        Self { ranges }
    }

    pub(crate) fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    fn find(&self, place: Place) -> Option<usize> {
        let after = self.ranges.partition_point(|range| range.first <= place);
        let at = after.checked_sub(1)?;
        let range = self.ranges.get(at)?;
        (range.first.epoch == place.epoch && place.sequence <= range.last).then_some(at)
    }

    pub(crate) fn contains(&self, place: Place) -> bool {
        !self.ranges.is_empty() && self.find(place).is_some()
    }

    /// Takes out the range that begins at `place`; its last sequence.
    pub(crate) fn take(&mut self, place: Place) -> Option<u64> {
        if self.ranges.is_empty() {
            return None;
        }
        let at = self.find(place)?;
        Some(self.ranges.remove(at).last)
    }

    /// Adds what of a range is not in here yet as ranges of their own, and takes out what is: that came, and is finished with the rest.
    pub(crate) fn insert_missing(&mut self, first: Place, last: u64) {
        let mut from = first;
        while from.sequence <= last {
            let next = self.ranges.partition_point(|range| range.first < from);
            let came = self.ranges.get(next).copied().filter(|range| range.first.epoch == first.epoch && range.first.sequence <= last);
            let Some(came) = came else { break };
            self.ranges.remove(next);
            if from.sequence < came.first.sequence {
                self.insert(from, came.first.sequence - 1);
            }
            from.sequence = came.last.saturating_add(1);
        }
        if from.sequence <= last {
            self.insert(from, last);
        }
    }

    /// Adds a range, merging with its neighbours. It overlaps none: what is given up is given up once.
    pub(crate) fn insert(&mut self, first: Place, last: u64) {
        let mut range = Range { first, last };
        let mut at = self.ranges.partition_point(|known| known.first < first);
        if let Some(before) = at.checked_sub(1).and_then(|before| self.ranges.get(before)).copied()
            && before.first.epoch == first.epoch
            && before.last.saturating_add(1) >= first.sequence
        {
            at -= 1;
            self.ranges.remove(at);
            range = Range { first: before.first, last: last.max(before.last) };
        }
        while let Some(after) = self.ranges.get(at).copied()
            && after.first.epoch == first.epoch
            && after.first.sequence <= range.last.saturating_add(1)
        {
            self.ranges.remove(at);
            range.last = range.last.max(after.last);
        }
        self.ranges.insert(at, range);
    }

    /// Takes one place out: it arrived after all and was delivered.
    pub(crate) fn carve(&mut self, place: Place) {
        let Some(at) = self.find(place) else { return };
        let range = self.ranges.remove(at);
        if place.sequence < range.last {
            let first = Place { epoch: place.epoch, sequence: place.sequence + 1 };
            self.ranges.insert(at, Range { first, last: range.last });
        }
        if range.first.sequence < place.sequence {
            self.ranges.insert(at, Range { first: range.first, last: place.sequence - 1 });
        }
    }

    /// Takes the lowest range out if all of it lies at or below the position; it folds into the floor.
    pub(crate) fn fold(&mut self, position: Place) -> Option<Place> {
        let range = *self.ranges.first()?;
        let last = Place { epoch: range.first.epoch, sequence: range.last };
        if last > position {
            return None;
        }
        self.ranges.remove(0);
        Some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::{GivenUp, Recent};
    use crate::types::Place;
    use alloc::vec::Vec;

    fn at(sequence: u64) -> Place {
        Place { epoch: 0, sequence }
    }

    #[test]
    fn ranges_merge_and_split() {
        let mut given_up = GivenUp::default();
        given_up.insert(at(5), 6);
        given_up.insert(at(9), 9);
        given_up.insert(at(7), 8);
        assert_eq!(given_up.len(), 1);
        assert!(given_up.contains(at(6)) && !given_up.contains(at(10)));
        given_up.carve(at(7));
        let bounds: Vec<_> = given_up.ranges().iter().map(|range| (range.first.sequence, range.last)).collect();
        assert_eq!(bounds, [(5, 6), (8, 9)]);
        given_up.carve(at(5));
        given_up.carve(at(6));
        assert!(!given_up.contains(at(6)) && given_up.contains(at(8)));
        assert_eq!(given_up.fold(at(8)), None, "a range above the position never folds");
        assert_eq!(given_up.fold(at(9)), Some(at(9)));
    }

    #[test]
    fn what_came_is_taken_out_of_what_is_missing() {
        let mut given_up = GivenUp::default();
        given_up.insert(at(5), 6);
        given_up.insert(at(9), 9);
        given_up.insert(at(12), 13);
        given_up.insert_missing(at(5), 10);
        let bounds: Vec<_> = given_up.ranges().iter().map(|range| (range.first.sequence, range.last)).collect();
        assert_eq!(bounds, [(7, 8), (10, 10), (12, 13)]);
        assert_eq!((given_up.take(at(11)), given_up.take(at(12))), (None, Some(13)));
    }

    #[test]
    fn epochs_do_not_merge() {
        let mut given_up = GivenUp::default();
        given_up.insert(at(5), 6);
        given_up.insert(Place { epoch: 1, sequence: 7 }, 7);
        assert_eq!(given_up.len(), 2);
        assert!(!given_up.contains(Place { epoch: 1, sequence: 5 }));
    }

    #[test]
    fn the_ring_forgets_the_oldest() {
        let mut recent = Recent::new(2);
        for sequence in 1..=3 {
            recent.push(at(sequence), sequence * 10, sequence);
        }
        assert!(!recent.knows(10) && recent.knows(20) && recent.knows(30) && !recent.knows(0));
        assert_eq!((recent.payload_at(at(1)), recent.payload_at(at(3))), (None, Some(3)));
    }
}
