//! How much out of order the stream was: exact numbers, counted on the stream itself in the order of arrival.

use crate::arrival::Arrival;
use std::collections::{BTreeMap, BTreeSet};

/// The figures.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Disorder {
    /// Messages of the stream.
    pub(crate) messages: u64,
    /// Messages whose event had arrived before.
    pub(crate) duplicates: u64,
    /// Events that came before an earlier one of their aircraft: they have to be held back.
    pub(crate) held: u64,
    /// The most events that have to be held at the same time.
    pub(crate) held_at_once: u64,
    /// The most events of its aircraft that were missing before an event that came early.
    pub(crate) worst_gap: u64,
    /// The aircraft of the worst gap; empty if there was none.
    pub(crate) worst_gap_aircraft: String,
    /// The most messages that arrived between an event and the last one it had to be held for.
    pub(crate) longest_hold: u64,
    /// For each aircraft the events that are there without a hole from 1.
    pub(crate) complete: BTreeMap<String, u64>,
}

/// One aircraft: everything up to `position` has arrived, and so have the early ones, each with the place it came at.
#[derive(Default)]
struct Aircraft {
    position: u64,
    early: BTreeMap<u64, u64>,
}

/// Goes through the stream once.
pub(crate) fn measure(stream: &[Arrival]) -> Disorder {
    let mut figures = Disorder::default();
    let mut fleet: BTreeMap<&str, Aircraft> = BTreeMap::new();
    let mut held_now: u64 = 0;
    for (arrival, place) in stream.iter().zip(0_u64..) {
        figures.messages += 1;
        let aircraft = fleet.entry(&arrival.aircraft).or_default();
        if arrival.sequence <= aircraft.position || aircraft.early.contains_key(&arrival.sequence) {
            figures.duplicates += 1;
        } else if arrival.sequence > aircraft.position + 1 {
            let there = aircraft.early.range(..arrival.sequence).count() as u64;
            let missing = arrival.sequence - 1 - aircraft.position - there;
            if missing > figures.worst_gap {
                figures.worst_gap = missing;
                figures.worst_gap_aircraft.clone_from(&arrival.aircraft);
            }
            aircraft.early.insert(arrival.sequence, place);
            figures.held += 1;
            held_now += 1;
            figures.held_at_once = figures.held_at_once.max(held_now);
        } else {
            aircraft.position += 1;
            while let Some(since) = aircraft.early.remove(&(aircraft.position + 1)) {
                aircraft.position += 1;
                held_now -= 1;
                figures.longest_hold = figures.longest_hold.max(place - since);
            }
        }
    }
    figures.complete = fleet.into_iter().map(|(name, aircraft)| (name.to_owned(), aircraft.position)).collect();
    figures
}

impl Disorder {
    /// Aircraft of which the stream does not hold exactly the events 1 to the expected number.
    pub(crate) fn incomplete<'a>(&'a self, expected: &'a BTreeMap<String, u64>) -> BTreeSet<&'a str> {
        let names = self.complete.keys().chain(expected.keys());
        names.filter(|name| self.complete.get(*name) != expected.get(*name)).map(String::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Disorder, measure};
    use crate::arrival::arrivals;
    use std::collections::{BTreeMap, BTreeSet};

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
    }

    #[test]
    fn order_is_no_disorder() {
        let figures = measure(&arrivals("A1+ B1+ A2- B2-"));
        assert_eq!(figures, Disorder { messages: 4, complete: counts(&[("A", 2), ("B", 2)]), ..Disorder::default() });
    }

    #[test]
    fn duplicates_of_done_and_of_held_events_are_counted() {
        let figures = measure(&arrivals("A1+ A1+ A3+ A3+ A2- A3+"));
        assert_eq!((figures.messages, figures.duplicates, figures.held), (6, 3, 1));
    }

    #[test]
    fn a_gap_is_what_is_missing_and_not_what_is_held() {
        // When 5 comes 1, 2 and 3 are missing, 4 is there. 4 waits from place 0 to place 4, 5 from 1 to 4.
        let figures = measure(&arrivals("A4- A5+ A3+ A2- A1+ B2- B1+"));
        assert_eq!((figures.held, figures.held_at_once, figures.worst_gap, figures.longest_hold), (5, 4, 3, 4));
        assert_eq!(figures.worst_gap_aircraft, "A");
    }

    #[test]
    fn what_the_stream_lacks_is_named() {
        let figures = measure(&arrivals("A1+ A3+ B1+ B2- C1+"));
        assert_eq!(figures.incomplete(&counts(&[("A", 3), ("B", 2), ("D", 2)])), BTreeSet::from(["A", "C", "D"]));
        assert!(figures.incomplete(&counts(&[("A", 1), ("B", 2), ("C", 1)])).is_empty());
    }
}
