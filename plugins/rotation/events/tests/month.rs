//! The month as it is: the counts, the order, and the payloads byte for byte.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::LazyLock;

use rotation_events::{Event, Kind, read, write_ndjson};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/flights-2013-01.csv.gz");

fn month() -> &'static [Event] {
    static MONTH: LazyLock<Vec<Event>> = LazyLock::new(|| read(Path::new(FILE)).unwrap());
    &MONTH
}

fn by_aircraft(events: &[Event]) -> BTreeMap<&str, Vec<&Event>> {
    let mut aircraft: BTreeMap<&str, Vec<&Event>> = BTreeMap::new();
    for event in events {
        aircraft.entry(&event.tailnum).or_default().push(event);
    }
    aircraft
}

#[test]
fn every_flight_that_left_is_two_events() {
    let events = month();
    let of_kind = |name| events.iter().filter(|event| event.kind.name() == name).count();
    assert_eq!((of_kind("departure"), of_kind("arrival"), of_kind("diversion")), (26_483, 26_468, 15));
    assert_eq!(events.len(), 52_966);
    let aircraft = by_aircraft(events);
    let sizes = || aircraft.values().map(Vec::len);
    assert_eq!((aircraft.len(), sizes().min(), sizes().max()), (3_141, Some(2), Some(144)));
}

#[test]
fn seventy_arrivals_tell_neither_delay_nor_air_time() {
    let events = month();
    let unknown = |event: &&Event| matches!(event.kind, Kind::Arrival { arr_delay: None, air_time: None });
    let unknown: Vec<_> = events.iter().filter(unknown).collect();
    assert_eq!(unknown.len(), 70);
    for event in unknown {
        assert!(String::from_utf8(event.payload().unwrap()).unwrap().ends_with(r#","arr_delay":null,"air_time":null}"#));
    }
    let half = |event: &&Event| {
        matches!(event.kind, Kind::Arrival { arr_delay: None, air_time: Some(_) } | Kind::Arrival { arr_delay: Some(_), air_time: None })
    };
    assert_eq!(events.iter().find(half), None);
}

#[test]
fn an_aircraft_is_numbered_without_a_hole_and_each_departure_stands_before_its_end() {
    for (tailnum, events) in by_aircraft(month()) {
        assert!(events.iter().map(|event| event.sequence).eq(1..=events.len() as u64), "{tailnum}");
        assert!(events.is_sorted_by_key(|event| event.time), "{tailnum}");
        let ids: BTreeSet<_> = events.iter().map(|event| &event.id).collect();
        assert_eq!(ids.len(), events.len(), "{tailnum}");
        for flight in events.chunks(2) {
            let [departure, end] = flight else { panic!("{tailnum} is in the air at the end") };
            assert!(matches!(departure.kind, Kind::Departure { .. }) && !matches!(end.kind, Kind::Departure { .. }), "{tailnum}");
            let flight = |event: &Event| (event.carrier.clone(), event.flight, event.origin.clone(), event.dest.clone());
            assert_eq!(flight(departure), flight(end));
            assert_eq!(departure.id.strip_suffix("-dep"), end.id.strip_suffix("-arr").or(end.id.strip_suffix("-div")));
        }
    }
}

#[test]
fn aircraft_interleave_by_time() {
    let events = month();
    assert!(events.is_sorted_by_key(|event| event.time));
    let (switches, pairs) = (events.windows(2).filter(|pair| pair[0].tailnum != pair[1].tailnum).count(), events.len() - 1);
    assert!(switches * 100 > pairs * 95, "{switches} of {pairs}");
    assert_eq!(events, read(Path::new(FILE)).unwrap(), "the order is the same every time");
}

#[test]
fn six_departures_wait_for_the_end_of_the_flight_before() {
    let mut waited = Vec::new();
    for events in by_aircraft(month()).values() {
        for pair in events.windows(2) {
            if matches!(pair[1].kind, Kind::Departure { .. }) && pair[0].time == pair[1].time {
                waited.push(pair[1].id.clone());
            }
        }
    }
    waited.sort();
    let expected = [
        "DL120-2013-01-17-JFK-dep",
        "DL1765-2013-01-24-JFK-dep",
        "DL2126-2013-01-08-JFK-dep",
        "DL2126-2013-01-10-JFK-dep",
        "DL863-2013-01-29-JFK-dep",
        "UA371-2013-01-08-EWR-dep",
    ];
    assert_eq!(waited, expected);
}

#[test]
fn rows_are_payloads_byte_for_byte() {
    let events = month();
    let mut lines = Vec::new();
    write_ndjson(events, &mut lines).unwrap();
    let lines = String::from_utf8(lines).unwrap();
    assert_eq!(lines.lines().count(), events.len());
    for line in [
        r#"{"tailnum":"N14228","kind":"departure","id":"UA1545-2013-01-01-EWR-dep","time":"2013-01-01T05:17:00Z","carrier":"UA","flight":1545,"origin":"EWR","dest":"IAH","dep_delay":2}"#,
        r#"{"tailnum":"N14228","kind":"arrival","id":"UA1545-2013-01-01-EWR-arr","time":"2013-01-01T09:04:00Z","carrier":"UA","flight":1545,"origin":"EWR","dest":"IAH","arr_delay":11,"air_time":227}"#,
    ] {
        assert!(lines.lines().any(|there| there == line), "{line}");
    }
    for (event, line) in events.iter().zip(lines.lines()) {
        assert_eq!(event.payload().unwrap(), line.as_bytes());
    }
}
