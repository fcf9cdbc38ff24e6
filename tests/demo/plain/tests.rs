//! The README's own examples, and small months by hand.

use super::{Month, Output, count};
use rotation_events::{Event, Kind};
use time::OffsetDateTime;

const THRESHOLD: i32 = 15;
/// 2013-01-02T21:45:00Z
const EVENING: i64 = 1_357_163_100;

fn event(aircraft: &str, sequence: u64, kind: Kind) -> Event {
    Event {
        tailnum: aircraft.into(),
        sequence,
        kind,
        id: format!("{aircraft}-{sequence}"),
        time: OffsetDateTime::from_unix_timestamp(EVENING).unwrap(),
        carrier: "UA".into(),
        flight: 1299,
        origin: "EWR".into(),
        dest: "RSW".into(),
    }
}

fn departs(dep_delay: i32) -> Kind {
    Kind::Departure { dep_delay }
}

fn arrives(arr_delay: i32) -> Kind {
    Kind::Arrival { arr_delay: Some(arr_delay), air_time: Some(100) }
}

/// One aircraft's month: what `rotation` sends.
fn sent(kinds: &[Kind]) -> Vec<Output> {
    let events: Vec<_> = kinds.iter().zip(1..).map(|(kind, sequence)| event("N12221", sequence, *kind)).collect();
    Month::compute(&events, THRESHOLD).unwrap().rotation.remove("N12221").unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.payload.clone()).unwrap()
}

/// What `pick` finds in the alert of a departure this late after an arrival this late.
fn alert(arr_delay: i32, dep_delay: i32, pick: &str) -> serde_json::Value {
    let outputs = sent(&[departs(0), arrives(arr_delay), departs(dep_delay)]);
    let alert: serde_json::Value = serde_json::from_slice(&outputs.last().unwrap().payload).unwrap();
    alert[pick].clone()
}

#[test]
fn the_readmes_examples_come_out_byte_for_byte() {
    let outputs = sent(&[departs(16), Kind::Diversion]);
    assert_eq!(
        outputs.iter().map(|output| output.subject.as_str()).collect::<Vec<_>>(),
        ["rotation.alert.N12221", "rotation.summary.N12221"]
    );
    assert_eq!(
        text(&outputs[0]),
        r#"{"carrier":"UA","cause":"unknown","dep_delay":16,"dest":"RSW","flight":1299,"inherited":null,"origin":"EWR","own":null,"previous":null,"tailnum":"N12221","threshold":15,"time":"2013-01-02T21:45:00Z"}"#
    );
    // The README's diversion ends later; everything else is the same.
    assert_eq!(
        text(&outputs[1]),
        r#"{"air_time":null,"arr_delay":null,"carrier":"UA","dep_delay":16,"dest":"RSW","flight":1299,"inherited":null,"origin":"EWR","outcome":"diversion","tailnum":"N12221","time":"2013-01-02T21:45:00Z","total":{"alerts":1,"diversions":1,"flights":1,"inherited":0,"late_arrival":0,"late_departure":16,"minutes":0,"untimed":1}}"#
    );
}

#[test]
fn an_alert_names_its_cause_and_the_flight_before() {
    assert_eq!(
        (alert(149, 27, "inherited"), alert(149, 27, "own"), alert(149, 27, "cause")),
        (27.into(), 0.into(), "late-aircraft".into())
    );
    assert_eq!((alert(10, 20, "inherited"), alert(10, 20, "own"), alert(10, 20, "cause")), (10.into(), 10.into(), "late-aircraft".into()));
    assert_eq!((alert(10, 21, "inherited"), alert(10, 21, "cause")), (10.into(), "other".into()));
    assert_eq!((alert(-24, 131, "inherited"), alert(-24, 131, "own"), alert(-24, 131, "cause")), (0.into(), 131.into(), "other".into()));
    assert_eq!(alert(7, 30, "previous")["arr_delay"], 7);
}

#[test]
fn the_threshold_itself_gives_no_alert() {
    assert!(sent(&[departs(15)]).is_empty());
    assert_eq!(sent(&[departs(16)]).len(), 1);
}

#[test]
fn a_summary_carries_the_totals_with_its_flight() {
    let unknown = Kind::Arrival { arr_delay: None, air_time: None };
    let outputs = sent(&[departs(-3), arrives(12), departs(5), unknown, departs(4), arrives(-1)]);
    let totals = |output: &Output| text(output).split_once(r#""total":"#).unwrap().1.to_owned();
    assert_eq!(
        totals(&outputs[2]),
        r#"{"alerts":0,"diversions":0,"flights":3,"inherited":5,"late_arrival":12,"late_departure":9,"minutes":200,"untimed":1}}"#
    );
    assert!(text(&outputs[0]).contains(r#""inherited":0"#), "on time: nothing is inherited");
    assert!(text(&outputs[1]).contains(r#""inherited":5"#));
    assert!(text(&outputs[2]).contains(r#""inherited":null"#), "the delay before it is not known");
}

#[test]
fn echo_sends_every_payload_with_its_number() {
    let events = [event("N1", 1, departs(0)), event("N2", 1, departs(0)), event("N1", 2, arrives(0))];
    let month = Month::compute(&events, THRESHOLD).unwrap();
    let echo = &month.echo["N1"][1];
    assert_eq!((echo.subject.as_str(), echo.cause, &echo.payload), ("echo.N1", Some(2), &events[2].payload().unwrap()));
    assert_eq!(echo.headers, [("Echo-Sequence".to_owned(), vec!["2".to_owned()]), ("Echo-Count".to_owned(), vec!["2".to_owned()])].into());
    assert_eq!((month.events(), month.aircraft(), month.outputs(), count(&month.rotation)), (3, 2, 4, 1));
    assert!(month.rotation["N2"].is_empty());
}

#[test]
fn what_is_not_in_true_order_is_refused() {
    let refused = |kinds: &[(u64, Kind)]| {
        let events: Vec<_> = kinds.iter().map(|(sequence, kind)| event("N1", *sequence, *kind)).collect();
        Month::compute(&events, THRESHOLD).unwrap_err().to_string()
    };
    assert_eq!(refused(&[(1, departs(0)), (3, arrives(0))]), "N1: event 3 stands where 2 belongs");
    assert_eq!(refused(&[(1, departs(0)), (2, departs(0))]), "N1: departure N1-2 in mid-air");
    assert_eq!(refused(&[(1, arrives(0))]), "N1: N1-1 on the ground");
}

#[test]
fn the_whole_month_has_the_readmes_numbers() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/rotation/data/flights-2013-01.csv.gz");
    let events = rotation_events::read(std::path::Path::new(file)).unwrap();
    let month = Month::compute(&events, THRESHOLD).unwrap();
    let figures = &month.figures;
    assert_eq!((month.events(), month.aircraft()), (52_966, 3141));
    assert_eq!((figures.departures, figures.arrivals, figures.diversions), (26_483, 26_468, 15));
    assert_eq!(figures.alerts, [("late-aircraft", 1239), ("other", 3206), ("unknown", 473)].into());
    assert_eq!(figures.latest, (1301, "HA51 from JFK to HNL with N384HA, on 10 January".to_owned()));
    assert_eq!(count(&month.rotation), 26_483 + 4918);
}
