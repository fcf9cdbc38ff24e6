//! The watermark of one pipeline: the highest stream sequence up to which every message's fate is durable, and the stream time that belongs to it. Pure.
//!
//! Invariants: messages open in ascending order, each at most once; value and time never fall; a message that was never opened cannot hold the
//! value back; closing twice, or closing what is not open, changes nothing; the time is never ahead of what is read again from the value on.

use seriatim_sequencer::mutant;
use std::collections::VecDeque;

/// See the module.
#[derive(Clone, Debug)]
pub struct Watermark {
    /// Open messages, and closed ones that stand behind an open one; ascending.
    entries: VecDeque<Entry>,
    /// Highest stream sequence ever opened (or the start).
    highest: u64,
    /// Stream time behind everything that was read, milliseconds.
    read_time: u64,
    /// How many entries are open.
    open: usize,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    stream_sequence: u64,
    closed: bool,
    /// Stream time before it was read.
    time_before: u64,
}

impl Watermark {
    /// A watermark that stands at `at`, at this stream time: everything up to and including it is done.
    #[must_use]
    pub fn new(at: u64, stream_time: u64) -> Self {
        Self { entries: VecDeque::new(), highest: at, read_time: stream_time, open: 0 }
    }

    /// A message with this broker time was read. What is not above everything opened before is not opened twice (design §3.1): returns false.
    pub fn open(&mut self, stream_sequence: u64, time: u64) -> bool {
        if stream_sequence <= self.highest {
            return false;
        }
        self.highest = stream_sequence;
        self.entries.push_back(Entry { stream_sequence, closed: false, time_before: self.read_time });
        self.read(time);
        self.open += 1;
        true
    }

    /// Stream time has come this far, behind everything opened before.
    pub fn read(&mut self, stream_time: u64) {
        self.read_time = self.read_time.max(stream_time);
    }

    /// Stream time as whoever reads on from the value must begin with it: before the first message that is still open. Later, and a gap would give up
    /// after a crash although what fills it is read again next.
    #[must_use]
    pub fn time(&self) -> u64 {
        let first = self.entries.front().filter(|_| !mutant!(StreamTimeOfHighest));
        first.map_or(self.read_time, |entry| entry.time_before)
    }

    /// The message's fate is durable (or becomes so with the commit being built).
    pub fn close(&mut self, stream_sequence: u64) {
        let Ok(at) = self.entries.binary_search_by_key(&stream_sequence, |entry| entry.stream_sequence) else { return };
        if let Some(entry) = self.entries.get_mut(at)
            && !entry.closed
        {
            entry.closed = true;
            self.open -= 1;
        }
        while self.entries.front().is_some_and(|entry| entry.closed) {
            self.entries.pop_front();
        }
    }

    /// Everything up to here is done.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.entries.front().map_or(self.highest, |entry| entry.stream_sequence - 1)
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
        let mut mark = Watermark::new(10, 0);
        assert_eq!(mark.value(), 10);
        for sequence in [12, 15, 20] {
            assert!(mark.open(sequence, sequence));
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
        let mut mark = Watermark::new(0, 0);
        assert!(mark.open(1, 1));
        assert!(!mark.open(1, 1));
        mark.close(1);
        assert!(!mark.open(1, 1));
        assert_eq!(mark.value(), 1);
    }

    #[test]
    fn its_time_is_the_one_before_the_first_open_message() {
        let mut mark = Watermark::new(0, 100);
        for (stream_sequence, time) in [(1, 110), (2, 150), (3, 140)] {
            mark.open(stream_sequence, time);
        }
        mark.read(200);
        assert_eq!(mark.time(), 100);
        mark.close(2);
        assert_eq!(mark.time(), 100, "1 is open");
        mark.close(1);
        assert_eq!((mark.value(), mark.time()), (2, 150));
        mark.close(3);
        assert_eq!(mark.time(), 200, "nothing would be read again");
        mark.open(4, 210);
        assert_eq!(mark.time(), 200);
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(gaps in prop::collection::vec(1u64..5, 1..60), closes in prop::collection::vec(0usize..60, 0..120)) {
            let mut mark = Watermark::new(0, 0);
            let (mut all, mut open, mut at) = (Vec::new(), BTreeSet::new(), 0);
            for gap in gaps {
                at += gap;
                mark.open(at, at);
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
