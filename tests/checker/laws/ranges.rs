//! A set of numbers, kept as ranges.

/// Ranges with both ends included; to be settled before it is asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    all: Vec<(u64, u64)>,
}

impl Ranges {
    pub(super) fn add(&mut self, range: (u64, u64)) {
        self.all.push(range);
    }

    /// Sorts and joins them.
    pub(super) fn settle(&mut self) {
        self.all.sort_unstable();
        let mut joined: Vec<(u64, u64)> = Vec::new();
        for (first, last) in self.all.drain(..) {
            match joined.last_mut() {
                Some(before) if first <= before.1 => before.1 = before.1.max(last),
                _ => joined.push((first, last)),
            }
        }
        self.all = joined;
    }

    pub(super) fn contain(&self, number: u64) -> bool {
        let after = self.all.partition_point(|range| range.0 <= number);
        after.checked_sub(1).is_some_and(|at| number <= self.all[at].1)
    }
}
