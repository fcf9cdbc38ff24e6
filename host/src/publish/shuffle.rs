//! The order in which a plan publishes its events: as they come, or mixed within a window, some of them twice. Pure.
//!
//! Each event gets a key, its place plus a random number below the window, and leaves once no later place can have a lower key. So an event
//! moves by less than `window` places, and what is kept is bounded by the window: at most three windows of events. "Random" is a hash of seed
//! and place: the same events with the same seed give the same order on every machine, however they are fed and wherever a run stopped.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// How much disorder is wanted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Disorder {
    /// An event moves by less than this many places; 0 and 1 leave the order as it is.
    pub window: u64,
    /// Share of events that leave twice, 0 to 1.
    pub duplicate: f64,
    /// Which of the many orders.
    pub seed: u64,
}

impl Disorder {
    /// Whether events leave just as they come.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.window <= 1 && self.duplicate <= 0.0
    }
}

/// An event on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed<T> {
    /// The event's place among the events as they came, from 0.
    pub place: u64,
    /// Whether this is its duplicate.
    pub duplicate: bool,
    /// The event.
    pub event: T,
}

/// Takes events as they come and gives them out in the plan's order.
#[derive(Debug)]
pub struct Shuffle<T> {
    disorder: Disorder,
    next: u64,
    ended: bool,
    waiting: BinaryHeap<Keyed<T>>,
}

#[derive(Debug)]
struct Keyed<T> {
    key: u64,
    placed: Placed<T>,
}

/// What a random number is for.
#[derive(Clone, Copy)]
enum Draw {
    Original = 1,
    WhetherTwice = 2,
    Duplicate = 3,
}

impl<T: Clone> Shuffle<T> {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(disorder: Disorder) -> Self {
        Self { disorder, next: 0, ended: false, waiting: BinaryHeap::new() }
    }

    /// The next event comes. Returns how often it will leave.
    pub fn push(&mut self, event: T) -> usize {
        let place = self.next;
        self.next += 1;
        let window = self.disorder.window.max(1);
        let twice = self.chance(place);
        if twice {
            let key = place + self.below(place, Draw::Duplicate, window.saturating_mul(2));
            self.waiting.push(Keyed { key, placed: Placed { place, duplicate: true, event: event.clone() } });
        }
        let key = place + self.below(place, Draw::Original, window);
        self.waiting.push(Keyed { key, placed: Placed { place, duplicate: false, event } });
        1 + usize::from(twice)
    }

    /// No more events come: everything may leave.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// The next event of the plan, if nothing that is still to come can be before it.
    pub fn pop(&mut self) -> Option<Placed<T>> {
        let first = self.waiting.peek()?;
        // A later place has a key of at least `next`, and at the same key the earlier place goes first.
        if self.ended || first.key <= self.next { self.waiting.pop().map(|keyed| keyed.placed) } else { None }
    }

    fn random(&self, place: u64, draw: Draw) -> u64 {
        let mut bytes = [0; 9];
        let (number, kind) = bytes.split_at_mut(8);
        number.copy_from_slice(&place.to_le_bytes());
        kind.fill(draw as u8);
        xxh3_64_with_seed(&bytes, self.disorder.seed)
    }

    fn below(&self, place: u64, draw: Draw, bound: u64) -> u64 {
        // The upper half of the product: as even as the hash, without division.
        u64::try_from((u128::from(self.random(place, draw)) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    fn chance(&self, place: u64) -> bool {
        const STEPS: u64 = 1 << 32;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let threshold = (self.disorder.duplicate.clamp(0.0, 1.0) * STEPS as f64) as u64;
        self.random(place, Draw::WhetherTwice) >> 32 < threshold
    }
}

impl<T> Keyed<T> {
    fn rank(&self) -> (u64, u64, bool) {
        (self.key, self.placed.place, self.placed.duplicate)
    }
}

/// The heap gives the greatest: the lowest key is the greatest.
impl<T> Ord for Keyed<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.rank().cmp(&self.rank())
    }
}

impl<T> PartialOrd for Keyed<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> PartialEq for Keyed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.rank() == other.rank()
    }
}

impl<T> Eq for Keyed<T> {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn order(disorder: Disorder, events: u64, takes: &[bool]) -> (Vec<(u64, bool)>, usize) {
        let mut shuffle = Shuffle::new(disorder);
        let mut out = Vec::new();
        let mut most = 0;
        for place in 0..events {
            shuffle.push(place);
            most = most.max(shuffle.waiting.len());
            let take = takes.get(usize::try_from(place).unwrap() % takes.len().max(1)).copied().unwrap_or(true);
            while take && let Some(placed) = shuffle.pop() {
                out.push((placed.event, placed.duplicate));
            }
        }
        shuffle.end();
        while let Some(placed) = shuffle.pop() {
            assert_eq!(placed.place, placed.event);
            out.push((placed.event, placed.duplicate));
        }
        (out, most)
    }

    #[test]
    fn without_disorder_events_leave_at_once_and_in_order() {
        for window in [0, 1] {
            let mut shuffle = Shuffle::new(Disorder { window, duplicate: 0.0, seed: 9 });
            for place in 0..100 {
                shuffle.push(place);
                assert_eq!(shuffle.pop().map(|placed| (placed.event, placed.duplicate)), Some((place, false)));
                assert_eq!(shuffle.pop(), None);
            }
        }
    }

    #[test]
    fn the_plan_is_frozen_because_checkpoints_outlive_the_program() {
        let (out, _) = order(Disorder { window: 4, duplicate: 0.5, seed: 1 }, 8, &[]);
        let text: Vec<String> = out.iter().map(|(place, duplicate)| format!("{place}{}", if *duplicate { "'" } else { "" })).collect();
        assert_eq!(text.join(" "), FROZEN);
    }

    const FROZEN: &str = "0 3 1 2 4 0' 1' 2' 5 7 7' 6";

    #[test]
    fn about_the_wanted_share_is_duplicated() {
        let (out, _) = order(Disorder { window: 50, duplicate: 0.1, seed: 5 }, 10_000, &[]);
        let duplicates = out.iter().filter(|(_, duplicate)| *duplicate).count();
        assert!((900..1100).contains(&duplicates), "{duplicates}");
        assert_eq!(order(Disorder { window: 3, duplicate: 1.0, seed: 5 }, 100, &[]).0.len(), 200);
    }

    proptest! {
        #[test]
        fn every_event_leaves_once_near_its_place(
            window in 0_u64..40, duplicate in 0.0..1.0_f64, seed: u64, events in 0_u64..300, takes in prop::collection::vec(any::<bool>(), 1..7),
        ) {
            let disorder = Disorder { window, duplicate, seed };
            let (out, most) = order(disorder, events, &[true]);
            let originals: Vec<u64> = out.iter().filter(|(_, duplicate)| !duplicate).map(|(place, _)| *place).collect();
            for (at, place) in originals.iter().enumerate() {
                prop_assert!((at as u64).abs_diff(*place) < window.max(1), "{place} is at {at}");
            }
            let mut sorted = originals.clone();
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..events).collect::<Vec<_>>());
            let mut twice: Vec<u64> = out.iter().filter(|(_, duplicate)| *duplicate).map(|(place, _)| *place).collect();
            let count = twice.len();
            twice.sort_unstable();
            twice.dedup();
            prop_assert_eq!(twice.len(), count, "at most one duplicate each");
            for place in twice {
                let original = out.iter().position(|item| *item == (place, false)).unwrap();
                let copy = out.iter().position(|item| *item == (place, true)).unwrap();
                prop_assert!((original.abs_diff(copy) as u64) < 8 * window.max(1));
            }
            prop_assert!(most as u64 <= 3 * window.max(1) + 2, "{most} are kept for a window of {window}");
            prop_assert_eq!(order(disorder, events, &takes).0, out, "however it is fed");
        }
    }
}
