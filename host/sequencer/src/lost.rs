//! Which stream sequences have been named as lost. A plain container; it decides nothing.

use alloc::vec::Vec;

/// Ranges remembered at most; past it the gap between two of them is named too (all of it is gone as well: retention takes from the front).
const RANGES_MAX: usize = 16;

/// Inclusive ranges of stream sequences, ascending, disjoint, never adjacent.
#[derive(Clone, Debug, Default)]
pub struct NamedLost {
    ranges: Vec<(u64, u64)>,
}

impl NamedLost {
    /// As [`ranges`](Self::ranges) told.
    #[must_use]
    pub const fn restore(ranges: Vec<(u64, u64)>) -> Self {
        Self { ranges }
    }

    /// All that is remembered.
    #[must_use]
    pub fn ranges(&self) -> &[(u64, u64)] {
        &self.ranges
    }

    /// The lowest part of a range that was not named before; from now on it was. `None`: nothing is left to name. No answer overlaps an earlier one.
    pub fn name_next(&mut self, first: u64, last: u64) -> Option<(u64, u64)> {
        let next = self.unnamed(first, last).or_else(|| match self.ranges.as_slice() {
            [lower, upper, ..] if self.ranges.len() > RANGES_MAX => Some((lower.1 + 1, upper.0 - 1)),
            _ => None,
        })?;
        self.ranges.push(next);
        self.merge();
        Some(next)
    }

    fn unnamed(&self, first: u64, last: u64) -> Option<(u64, u64)> {
        let mut from = first;
        for (known_first, known_last) in self.ranges.iter().copied().filter(|known| known.1 >= first) {
            if from < known_first {
                return Some((from, last.min(known_first - 1))).filter(|(first, last)| first <= last);
            }
            from = known_last.checked_add(1)?;
        }
        (from <= last).then_some((from, last))
    }

    fn merge(&mut self) {
        self.ranges.sort_unstable();
        self.ranges.dedup_by(|next, before| {
            let joins = before.1.saturating_add(1) >= next.0;
            if joins {
                before.1 = before.1.max(next.1);
            }
            joins
        });
    }

    /// Nothing below `low` is asked for again.
    pub fn forget_below(&mut self, low: u64) {
        self.ranges.retain(|(_, last)| *last >= low);
    }
}

#[cfg(test)]
mod tests {
    use super::{NamedLost, RANGES_MAX};
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    #[test]
    fn only_what_was_not_named_is_named() {
        let mut lost = NamedLost::default();
        let name = |lost: &mut NamedLost, first, last| core::iter::from_fn(|| lost.name_next(first, last)).collect::<Vec<_>>();
        assert_eq!(name(&mut lost, 4, 6), [(4, 6)]);
        assert_eq!(name(&mut lost, 10, 12), [(10, 12)]);
        assert_eq!(name(&mut lost, 2, 14), [(2, 3), (7, 9), (13, 14)]);
        assert_eq!(lost.ranges(), [(2, 14)]);
        assert_eq!(name(&mut lost, 5, 14), []);
        lost.forget_below(15);
        assert_eq!(lost.ranges(), []);
    }

    #[test]
    fn at_the_bound_the_gap_between_two_is_named() {
        let mut lost = NamedLost::default();
        let mut named = BTreeSet::new();
        for round in 0..3 * RANGES_MAX as u64 {
            while let Some((first, last)) = lost.name_next(10 * round + 5, 10 * round + 7) {
                assert!((first..=last).all(|number| named.insert(number)), "named once: {first} to {last}");
            }
            assert!(lost.ranges().len() <= RANGES_MAX);
        }
    }
}
