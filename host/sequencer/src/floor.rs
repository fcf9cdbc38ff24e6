//! The floor: at or below it an unknown id is late and is never delivered, unless its message had been decided before. A plain value.

use crate::types::Place;
use alloc::vec::Vec;

/// Lower floors that are remembered; one more, and what was decided below the lowest may be called late again.
const LOWER_MAX: usize = 4;

/// See the module. Each level says: every message with a place at or below it, up to a stream sequence, has been decided. A level holds for its own
/// place only: what lay above it then may still have been in memory, and a crash undoes that.
#[derive(Clone, Debug, Default)]
pub(crate) struct Floor {
    at: Place,
    through: u64,
    /// Ascending by place, descending by stream sequence, all above `through`.
    lower: Vec<(Place, u64)>,
}

impl Floor {
    pub(crate) const fn restore(at: Place, through: u64, lower: Vec<(Place, u64)>) -> Self {
        Self { at, through, lower }
    }

    /// There is none.
    pub(crate) fn is_none(&self) -> bool {
        self.at <= Place::default()
    }

    pub(crate) fn at(&self) -> Place {
        self.at
    }

    pub(crate) fn through(&self) -> u64 {
        self.through
    }

    pub(crate) fn lower(&self) -> &[(Place, u64)] {
        &self.lower
    }

    /// The floor rises to a place; everything at or below that has been decided up to `judged`.
    pub(crate) fn rise(&mut self, to: Place, judged: u64) {
        if to <= self.at {
            return;
        }
        if self.through > judged && !self.is_none() {
            self.lower.push((self.at, self.through));
            if self.lower.len() > LOWER_MAX {
                self.lower.remove(0);
            }
        }
        self.at = to;
        self.through = judged;
        self.drop_covered();
    }

    /// Everything at or below the floor has been decided up to here.
    pub(crate) fn judged(&mut self, through: u64) {
        if self.at > Place::default() {
            self.through = self.through.max(through);
            self.drop_covered();
        }
    }

    fn drop_covered(&mut self) {
        let through = self.through;
        self.lower.retain(|level| level.1 > through);
    }

    /// Whether the message with this place at or below the floor has been decided.
    pub(crate) fn knows(&self, place: Place, stream_sequence: u64) -> bool {
        stream_sequence <= self.through || self.lower.iter().any(|(at, through)| place <= *at && stream_sequence <= *through)
    }
}

#[cfg(test)]
mod tests {
    use super::{Floor, LOWER_MAX};
    use crate::types::Place;

    fn at(sequence: u64) -> Place {
        Place { epoch: 0, sequence }
    }

    #[test]
    fn what_was_decided_below_a_lower_floor_says_nothing_of_what_lies_above_it() {
        let mut floor = Floor::default();
        floor.rise(at(5), 14);
        assert!(floor.knows(at(3), 14) && !floor.knows(at(3), 15));
        // After a crash it rises again, before message 14 has been read again.
        floor.rise(at(34), 11);
        assert!(!floor.knows(at(34), 14) && floor.knows(at(34), 11) && floor.knows(at(3), 14));
        floor.judged(20);
        assert!(floor.knows(at(34), 20) && floor.lower().is_empty());
    }

    #[test]
    fn lower_floors_are_bounded() {
        let mut floor = Floor::default();
        for step in 0..20 {
            floor.rise(at(step + 1), 100 - step);
        }
        assert_eq!(floor.lower().len(), LOWER_MAX);
        assert!(!floor.knows(at(1), 100) && floor.knows(at(19), 82));
    }
}
