//! What a consumer would do that takes messages as they arrive: no order, no memory of what it has seen.

use crate::arrival::{Arrival, Step};
use std::collections::{BTreeMap, BTreeSet};

/// What such a consumer would have believed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Naive {
    /// Departures of aircraft that were in the air, and ends of flights of aircraft that were on the ground.
    pub(crate) impossible: u64,
    /// Aircraft with at least one of them.
    pub(crate) aircraft: usize,
}

/// Reads the stream in the order of arrival. After an impossible event it believes that event, as a consumer would that overwrites a row.
pub(crate) fn consume(stream: &[Arrival]) -> Naive {
    let mut airborne: BTreeMap<&str, bool> = BTreeMap::new();
    let mut fooled = BTreeSet::new();
    let mut impossible = 0;
    for arrival in stream {
        let departs = arrival.step == Step::Departs;
        let before = airborne.insert(&arrival.aircraft, departs).unwrap_or(false);
        if before == departs {
            impossible += 1;
            fooled.insert(arrival.aircraft.as_str());
        }
    }
    Naive { impossible, aircraft: fooled.len() }
}

#[cfg(test)]
mod tests {
    use super::{Naive, consume};
    use crate::arrival::arrivals;

    #[test]
    fn true_order_has_nothing_impossible() {
        assert_eq!(consume(&arrivals("A1+ B1+ A2- B2- A3+ A4-")), Naive::default());
    }

    #[test]
    fn what_cannot_be_is_counted() {
        // B ends before it has left; A leaves twice, as a duplicate and as an event out of order.
        assert_eq!(consume(&arrivals("B2- B1+ A1+ A1+ A3+ A2- A4-")), Naive { impossible: 4, aircraft: 2 });
    }
}
