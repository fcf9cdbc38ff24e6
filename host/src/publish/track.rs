//! Which items of a plan are confirmed, and what a checkpoint may say of them. Pure.
//!
//! Items are handed over in the plan's order and taken as confirmed in the same order, so what is confirmed is always the plan's beginning. An
//! item's *mark* is the highest stream sequence known to be given when it was handed over: wherever it is stored, it is stored above. Marks
//! never fall, so the mark of the first item that is not confirmed holds for all behind it.

use std::collections::VecDeque;

/// No item this far behind the last saved checkpoint's is handed over: whoever resumes has this many ids to look for, at most.
pub const AHEAD_MAX: u64 = 100_000;
/// Largest window; well below [`AHEAD_MAX`], so that a checkpoint is always saved in time.
pub const WINDOW_MAX: usize = 10_000;

/// What is known of a plan's items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Reached {
    /// Items confirmed: these and all before them.
    pub confirmed: u64,
    /// Items from here on were never handed over.
    pub sent_below: u64,
    /// Whatever was stored of items that are not confirmed lies above this stream sequence.
    pub mark: u64,
}

/// Keeps account of one run.
#[derive(Clone, Debug)]
pub struct Track {
    confirmed: u64,
    next: u64,
    saved: Reached,
    highest: u64,
    marks: VecDeque<u64>,
    /// What the run before may have sent.
    earlier: Reached,
}

impl Track {
    /// A run that goes on from `reached`; `last_sequence` is the stream's, as it was when the run began.
    #[must_use]
    pub fn new(reached: Reached, last_sequence: u64) -> Self {
        Self {
            confirmed: reached.confirmed,
            next: reached.confirmed,
            saved: Reached { sent_below: reached.confirmed, ..reached },
            highest: last_sequence,
            marks: VecDeque::new(),
            earlier: reached,
        }
    }

    /// Items confirmed, from the plan's beginning.
    #[must_use]
    pub fn confirmed(&self) -> u64 {
        self.confirmed
    }

    /// Items handed over and not confirmed.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.marks.len()
    }

    /// Whether the next item may be handed over.
    #[must_use]
    pub fn may_hand_over(&self, window: usize) -> bool {
        self.marks.len() < window.min(WINDOW_MAX) && self.next < self.saved.sent_below
    }

    /// The next item is handed over.
    pub fn handed_over(&mut self) {
        let mark = self.mark_of(self.next);
        self.marks.push_back(mark);
        self.next += 1;
    }

    /// The first item in flight is in the stream; at this sequence, if the broker has said so.
    pub fn confirm(&mut self, stream_sequence: Option<u64>) {
        if self.marks.pop_front().is_some() {
            self.confirmed += 1;
            self.highest = self.highest.max(stream_sequence.unwrap_or(0));
        }
    }

    /// What a checkpoint may say now. It must be saved before it counts: [`Track::saved`].
    #[must_use]
    pub fn reached(&self) -> Reached {
        let mark = self.marks.front().copied().unwrap_or_else(|| self.mark_of(self.confirmed));
        Reached { confirmed: self.confirmed, sent_below: (self.confirmed + AHEAD_MAX).max(self.earlier.sent_below), mark }
    }

    /// What a checkpoint may say at the end of a run; `done`: the plan has no more items. With nothing in flight this run leaves nothing to look
    /// for.
    #[must_use]
    pub fn settled(&self, done: bool) -> Reached {
        match (self.marks.is_empty(), done) {
            (true, true) => Reached { confirmed: self.confirmed, sent_below: self.confirmed, mark: self.highest },
            (true, false) => Reached { sent_below: self.confirmed.max(self.earlier.sent_below), ..self.reached() },
            (false, _) => self.reached(),
        }
    }

    /// A checkpoint that says this is saved.
    pub fn saved(&mut self, reached: Reached) {
        self.saved = reached;
    }

    /// Whether so much is confirmed since the last one that a checkpoint should be saved without waiting for its time.
    #[must_use]
    pub fn wants_saving(&self) -> bool {
        self.confirmed >= self.saved.confirmed + AHEAD_MAX / 2
    }

    /// Whether a checkpoint would say anything new.
    #[must_use]
    pub fn has_moved(&self) -> bool {
        self.confirmed > self.saved.confirmed
    }

    /// What the run before may have sent keeps that run's mark: this one does not know where it is.
    fn mark_of(&self, item: u64) -> u64 {
        if item < self.earlier.sent_below { self.earlier.mark } else { self.highest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn nothing_leaves_before_a_checkpoint_says_that_it_may() {
        let mut track = Track::new(Reached { confirmed: 0, sent_below: 0, mark: 7 }, 7);
        assert!(!track.may_hand_over(10));
        let reached = track.reached();
        assert_eq!(reached, Reached { confirmed: 0, sent_below: AHEAD_MAX, mark: 7 });
        track.saved(reached);
        for _ in 0..10 {
            assert!(track.may_hand_over(10));
            track.handed_over();
        }
        assert!(!track.may_hand_over(10));
        track.confirm(Some(9));
        assert_eq!(track.reached(), Reached { confirmed: 1, sent_below: AHEAD_MAX + 1, mark: 7 });
        track.handed_over();
        for sequence in 10..=18 {
            track.confirm(Some(sequence));
        }
        assert_eq!((track.reached().mark, track.in_flight()), (9, 1), "the last one left when 9 was known");
        assert_eq!(track.settled(false), track.reached(), "something is open");
        track.confirm(Some(19));
        assert_eq!(track.settled(false), Reached { confirmed: 11, sent_below: 11, mark: 19 });
        assert!(track.has_moved() && !track.wants_saving());
    }

    #[test]
    fn what_an_earlier_run_may_have_sent_keeps_its_mark() {
        let earlier = Reached { confirmed: 5, sent_below: 8, mark: 40 };
        let mut track = Track::new(earlier, 60);
        track.saved(track.reached());
        for _ in 5..9 {
            track.handed_over();
        }
        for at in 5..8 {
            assert_eq!(track.reached().mark, 40, "{at}");
            track.confirm(None);
        }
        assert_eq!(track.reached().mark, 60);
        let early = Track::new(earlier, 60);
        assert_eq!(early.settled(false), earlier, "a run that stopped at once has learned nothing");
        assert_eq!(early.settled(true), Reached { confirmed: 5, sent_below: 5, mark: 60 });
    }

    /// A stream, and runs over one plan that are killed anywhere.
    struct World {
        stream: Vec<Option<u64>>,
        disk: Reached,
    }

    impl World {
        /// One run; `steps` decide what happens next. Returns whether everything is confirmed.
        fn run(&mut self, items: u64, steps: &[u8], window: usize) -> bool {
            let last = self.stream.len() as u64;
            let from = usize::try_from(self.disk.mark).unwrap();
            let found: BTreeSet<u64> = self.stream[from..].iter().flatten().copied().filter(|item| *item < self.disk.sent_below).collect();
            let mut track = Track::new(self.disk, last);
            self.disk = track.reached();
            track.saved(self.disk);
            let mut flying: VecDeque<(u64, bool)> = VecDeque::new();
            let mut stored: BTreeSet<u64> = found.clone();
            let mut next = track.confirmed();
            for step in steps {
                match step % 8 {
                    0..=2 if next < items && track.may_hand_over(window) => {
                        track.handed_over();
                        flying.push_back((next, !found.contains(&next)));
                        next += 1;
                    }
                    3..=4 => {
                        // Some item in flight is stored: any, the broker's answer comes later.
                        let at = usize::from(*step) / 8 % flying.len().max(1);
                        if let Some((item, true)) = flying.get(at)
                            && stored.insert(*item)
                        {
                            self.stream.push(Some(*item));
                        }
                    }
                    5 => self.stream.push(None),
                    6 => {
                        if let Some((item, sent)) = flying.front().copied()
                            && stored.contains(&item)
                        {
                            flying.pop_front();
                            let place = self.stream.iter().position(|stored| *stored == Some(item)).unwrap() as u64 + 1;
                            track.confirm(sent.then_some(place));
                        }
                    }
                    _ => {
                        self.disk = track.reached();
                        track.saved(self.disk);
                    }
                }
            }
            track.confirmed() == items
        }
    }

    proptest! {
        #[test]
        fn runs_that_are_killed_anywhere_publish_each_item_once(
            items in 0_u64..40, window in 1_usize..9, runs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..120), 0..8),
        ) {
            let mut world = World { stream: vec![None, None], disk: Reached { confirmed: 0, sent_below: 0, mark: 2 } };
            for steps in &runs {
                world.run(items, steps, window);
            }
            let finish: Vec<u8> = [0, 3, 6, 7].iter().copied().cycle().take(4 * 41).collect();
            prop_assert!(world.run(items, &finish, window));
            let mut found: Vec<u64> = world.stream.iter().flatten().copied().collect();
            found.sort_unstable();
            prop_assert_eq!(found, (0..items).collect::<Vec<_>>());
        }
    }
}
