//! The watermark of one pipeline: the highest stream sequence up to which every message's fate is durable. Pure.
//!
//! Invariants: messages open in ascending order, each at most once; the value never falls; a message that was never opened cannot hold the
//! value back; closing twice, or closing what is not open, changes nothing.

use std::collections::VecDeque;

/// See the module.
#[derive(Clone, Debug)]
pub struct Watermark {
    /// Open messages, and closed ones that stand behind an open one; ascending.
    entries: VecDeque<(u64, bool)>,
    /// Highest stream sequence ever opened (or the start).
    highest: u64,
    /// How many entries are open.
    open: usize,
}

impl Watermark {
    /// A watermark that stands at `at`: everything up to and including it is done.
    #[must_use]
    pub fn new(at: u64) -> Self {
        Self { entries: VecDeque::new(), highest: at, open: 0 }
    }

    /// A message was read. What is not above everything opened before is not opened twice (design §3.1): returns false.
    pub fn open(&mut self, stream_sequence: u64) -> bool {
        if stream_sequence <= self.highest {
            return false;
        }
        self.highest = stream_sequence;
        self.entries.push_back((stream_sequence, false));
        self.open += 1;
        true
    }

    /// The message's fate is durable (or becomes so with the commit being built).
    pub fn close(&mut self, stream_sequence: u64) {
        let Ok(at) = self.entries.binary_search_by_key(&stream_sequence, |entry| entry.0) else { return };
        if let Some(entry) = self.entries.get_mut(at)
            && !entry.1
        {
            entry.1 = true;
            self.open -= 1;
        }
        while self.entries.front().is_some_and(|entry| entry.1) {
            self.entries.pop_front();
        }
    }

    /// Everything up to here is done.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.entries.front().map_or(self.highest, |entry| entry.0 - 1)
    }

    /// Highest message read.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// Messages read whose fate is not durable yet.
    #[must_use]
    pub fn open_messages(&self) -> usize {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use super::Watermark;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn stands_below_the_lowest_open_message_and_skips_what_the_filter_skips() {
        let mut mark = Watermark::new(10);
        assert_eq!(mark.value(), 10);
        for sequence in [12, 15, 20] {
            assert!(mark.open(sequence));
        }
        assert_eq!(mark.value(), 11);
        mark.close(15);
        assert_eq!(mark.value(), 11);
        mark.close(12);
        assert_eq!(mark.value(), 19);
        mark.close(20);
        assert_eq!((mark.value(), mark.highest(), mark.open_messages()), (20, 20, 0));
    }

    #[test]
    fn a_message_is_not_opened_twice() {
        let mut mark = Watermark::new(0);
        assert!(mark.open(1));
        assert!(!mark.open(1));
        mark.close(1);
        assert!(!mark.open(1));
        assert_eq!(mark.value(), 1);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(gaps in prop::collection::vec(1u64..5, 1..60), closes in prop::collection::vec(0usize..60, 0..120)) {
            let mut mark = Watermark::new(0);
            let (mut all, mut open, mut at) = (Vec::new(), BTreeSet::new(), 0);
            for gap in gaps {
                at += gap;
                mark.open(at);
                all.push(at);
                open.insert(at);
            }
            for close in closes {
                let sequence = all[close % all.len()];
                mark.close(sequence);
                open.remove(&sequence);
                prop_assert_eq!(mark.value(), open.first().map_or(at, |first| first - 1));
                prop_assert_eq!(mark.open_messages(), open.len());
            }
        }
    }
}
