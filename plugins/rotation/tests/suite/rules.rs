//! One rule of the README a test.

use rotation::Rotation;
use serde_json::{Value, json};
use seriatim_guest::testing::{Failure, FailureKind, Kit, Sent, event};

use crate::run::{self, delivered};

const N1: &str = "N1";

fn departure(flight: u32, dep_delay: impl Into<Value>) -> Value {
    json!({"tailnum": N1, "time": "2013-01-01T05:00:00Z", "carrier": "UA", "flight": flight, "origin": "EWR", "dest": "IAH", "dep_delay": dep_delay.into()})
}

fn arrival(flight: u32, arr_delay: impl Into<Value>, air_time: impl Into<Value>) -> Value {
    json!({"tailnum": N1, "time": "2013-01-01T09:00:00Z", "carrier": "UA", "flight": flight, "origin": "EWR", "dest": "IAH",
        "arr_delay": arr_delay.into(), "air_time": air_time.into()})
}

fn diversion(flight: u32) -> Value {
    json!({"tailnum": N1, "time": "2013-01-01T09:30:00Z", "carrier": "UA", "flight": flight, "origin": "EWR", "dest": "IAH"})
}

/// The aircraft N1, event by event.
struct Aircraft {
    kit: Kit<Rotation>,
    sequence: u64,
}

impl Aircraft {
    fn new() -> Self {
        Self { kit: run::kit(), sequence: 0 }
    }

    fn try_handle(&mut self, kind: &str, payload: &Value) -> Result<Vec<Sent>, Failure> {
        self.sequence += 1;
        self.kit.handle(event(N1, self.sequence).kind(kind).json(payload))
    }

    /// The only output, if there is one.
    fn handle(&mut self, kind: &str, payload: &Value) -> Option<(String, Value)> {
        let sent = self.try_handle(kind, payload).unwrap();
        assert!(sent.len() < 2);
        sent.first().map(|sent| (sent.subject.clone(), sent.json()))
    }

    /// The text of a rejection, which leaves no trace.
    fn reject(&mut self, kind: &str, payload: &Value) -> String {
        let before = self.kit.state_of(N1);
        let failure = self.try_handle(kind, payload).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Rejected, "{failure}");
        assert_eq!(self.kit.state_of(N1), before);
        failure.message
    }

    /// A flight from departure to arrival; its alert and its summary.
    fn fly(&mut self, dep_delay: i32, arr_delay: impl Into<Value>, air_time: impl Into<Value>) -> (Option<Value>, Value) {
        let alert = self.handle("departure", &departure(1, dep_delay)).map(|(_, alert)| alert);
        (alert, self.handle("arrival", &arrival(1, arr_delay, air_time)).unwrap().1)
    }

    fn state(&self) -> Value {
        self.kit.get(N1, "aircraft").unwrap()
    }
}

#[test]
fn a_departure_puts_it_into_the_air_and_an_arrival_on_the_ground() {
    let mut aircraft = Aircraft::new();
    assert_eq!(aircraft.handle("departure", &departure(1, 2)), None);
    let airborne = json!({"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH", "dep_delay": 2, "inherited": null});
    assert_eq!(aircraft.state()["airborne"], airborne);
    assert_eq!(aircraft.state()["previous"], Value::Null);
    let (subject, summary) = aircraft.handle("arrival", &arrival(1, -7, 200)).unwrap();
    assert_eq!((subject.as_str(), &summary["outcome"]), ("rotation.summary.N1", &json!("arrival")));
    assert_eq!(aircraft.state()["airborne"], Value::Null);
    let previous = json!({"carrier": "UA", "flight": 1, "origin": "EWR", "dest": "IAH", "arr_delay": -7, "time": "2013-01-01T09:00:00Z"});
    assert_eq!(aircraft.state()["previous"], previous);
}

#[test]
fn what_cannot_happen_in_true_order_is_rejected() {
    let mut aircraft = Aircraft::new();
    let on_the_ground = "UA1 EWR-IAH while on the ground: impossible in true order";
    assert_eq!(aircraft.reject("arrival", &arrival(1, 0, 9)), format!("arrival of {on_the_ground}"));
    assert_eq!(aircraft.reject("diversion", &diversion(1)), format!("diversion of {on_the_ground}"));
    aircraft.handle("departure", &departure(1, 0));
    let airborne = "while airborne with UA1 EWR-IAH: impossible in true order";
    assert_eq!(aircraft.reject("departure", &departure(1, 0)), format!("departure of UA1 EWR-IAH {airborne}"));
    assert_eq!(aircraft.reject("departure", &departure(2, 0)), format!("departure of UA2 EWR-IAH {airborne}"));
    assert_eq!(aircraft.reject("arrival", &arrival(2, 0, 9)), format!("arrival of UA2 EWR-IAH {airborne}"));
    assert_eq!(aircraft.reject("diversion", &diversion(2)), format!("diversion of UA2 EWR-IAH {airborne}"));
    aircraft.handle("arrival", &arrival(1, 0, 9));
    assert_eq!(aircraft.reject("arrival", &arrival(1, 0, 9)), format!("arrival of {on_the_ground}"));
}

#[test]
fn the_end_of_another_flight_is_rejected_by_each_of_its_parts() {
    for (field, other) in [("carrier", json!("AA")), ("flight", json!(7)), ("origin", json!("JFK")), ("dest", json!("MIA"))] {
        let mut aircraft = Aircraft::new();
        aircraft.handle("departure", &departure(1, 0));
        let mut end = arrival(1, 0, 9);
        end[field] = other;
        assert!(aircraft.reject("arrival", &end).contains("while airborne with UA1 EWR-IAH"), "{field}");
    }
}

#[test]
fn an_alert_is_for_more_than_the_threshold() {
    let mut aircraft = Aircraft::new();
    assert_eq!(aircraft.fly(15, 0, 9).0, None);
    let (subject, alert) = aircraft.handle("departure", &departure(1, 16)).unwrap();
    assert_eq!(subject, "rotation.alert.N1");
    assert_eq!((&alert["dep_delay"], &alert["threshold"]), (&json!(16), &json!(15)));
    assert_eq!(aircraft.state()["total"]["alerts"], json!(1));
}

#[test]
fn the_cause_is_the_larger_part_and_unknown_without_a_known_arrival() {
    let part = |alert: Option<Value>| {
        let alert = alert.unwrap();
        [alert["cause"].clone(), alert["inherited"].clone(), alert["own"].clone()]
    };
    let mut aircraft = Aircraft::new();
    // (the arrival before, the departure) → what the alert says
    assert_eq!(part(aircraft.fly(30, 15, 9).0), [json!("unknown"), Value::Null, Value::Null]);
    assert_eq!(part(aircraft.fly(30, 15, 9).0), [json!("late-aircraft"), json!(15), json!(15)]);
    assert_eq!(part(aircraft.fly(31, 500, 9).0), [json!("other"), json!(15), json!(16)]);
    assert_eq!(part(aircraft.fly(30, -5, 9).0), [json!("late-aircraft"), json!(30), json!(0)]);
    assert_eq!(part(aircraft.fly(30, Value::Null, Value::Null).0), [json!("other"), json!(0), json!(30)]);
    let (alert, _) = aircraft.fly(30, 99, 9);
    assert_eq!(alert.as_ref().unwrap()["previous"]["arr_delay"], Value::Null);
    assert_eq!(part(alert), [json!("unknown"), Value::Null, Value::Null]);
    aircraft.handle("departure", &departure(1, 0));
    aircraft.handle("diversion", &diversion(1));
    assert_eq!(part(aircraft.fly(30, 0, 9).0), [json!("unknown"), Value::Null, Value::Null]);
}

#[test]
fn a_departure_that_is_not_late_inherits_nothing() {
    let mut aircraft = Aircraft::new();
    assert_eq!(aircraft.fly(0, 100, 9).1["inherited"], json!(0));
    assert_eq!(aircraft.fly(-4, 100, 9).1["inherited"], json!(0));
    assert_eq!(aircraft.fly(4, 100, 9).1["inherited"], json!(4));
    assert_eq!(aircraft.state()["total"]["inherited"], json!(4));
}

#[test]
fn totals_sum_what_is_known_and_count_what_is_not() {
    let mut aircraft = Aircraft::new();
    aircraft.fly(20, 30, 100);
    aircraft.fly(-5, -10, 50);
    let (_, summary) = aircraft.fly(3, Value::Null, Value::Null);
    assert_eq!((&summary["arr_delay"], &summary["air_time"]), (&Value::Null, &Value::Null));
    aircraft.handle("departure", &departure(1, 0));
    let (subject, summary) = aircraft.handle("diversion", &diversion(1)).unwrap();
    assert_eq!((subject.as_str(), &summary["outcome"]), ("rotation.summary.N1", &json!("diversion")));
    assert_eq!((&summary["arr_delay"], &summary["air_time"]), (&Value::Null, &Value::Null));
    let total = json!({"alerts": 1, "diversions": 1, "flights": 4, "inherited": 0, "late_arrival": 30, "late_departure": 23, "minutes": 150, "untimed": 2});
    assert_eq!(summary["total"], total);
    assert_eq!(aircraft.state()["total"], total);
}

#[test]
fn entities_are_written_as_subject_tokens() {
    let mut kit = run::kit();
    let mut payload = departure(1, 99);
    payload["tailnum"] = json!("N1.x");
    let sent = kit.handle(event("N1.x", 1).kind("departure").json(&payload)).unwrap();
    assert_eq!(sent[0].subject, "rotation.alert.N1=2Ex");
}

#[test]
fn the_payload_must_be_about_the_entity() {
    let mut aircraft = Aircraft::new();
    let mut payload = departure(1, 0);
    payload["tailnum"] = json!("N2");
    assert_eq!(aircraft.reject("departure", &payload), r#"the payload's tailnum is "N2", the entity is "N1""#);
}

#[test]
fn only_three_kinds_are_known() {
    let mut aircraft = Aircraft::new();
    assert_eq!(aircraft.reject("landing", &departure(1, 0)), r#"kind "landing" is none of departure, arrival, diversion"#);
    assert_eq!(aircraft.reject("", &departure(1, 0)), r#"kind "" is none of departure, arrival, diversion"#);
    let mut payload = departure(1, 0);
    payload["kind"] = json!("arrival");
    assert_eq!(aircraft.handle("departure", &payload), None, "the event's kind counts, not the payload's");
}

#[test]
fn every_field_must_be_there_and_of_its_type() {
    let good = [("departure", departure(1, 0)), ("arrival", arrival(1, 0, 9)), ("diversion", diversion(1))];
    for (kind, good) in good {
        for field in good.as_object().unwrap().keys() {
            let mut aircraft = Aircraft::new();
            if kind != "departure" {
                aircraft.handle("departure", &departure(1, 0));
            }
            let mut lacking = good.clone();
            lacking.as_object_mut().unwrap().remove(field);
            let expected = format!("payload is not the expected JSON: missing field `{field}`");
            let reason = aircraft.reject(kind, &lacking);
            assert!(reason.starts_with(&expected), "{kind} without {field}: {reason}");
            for other in [json!(true), json!(1.5), json!([1])] {
                let mut wrong = good.clone();
                wrong[field] = other;
                let reason = aircraft.reject(kind, &wrong);
                assert!(reason.starts_with("payload is not the expected JSON: invalid type"), "{kind}, {field}: {reason}");
            }
            if !matches!(field.as_str(), "arr_delay" | "air_time") {
                let mut null = good.clone();
                null[field] = Value::Null;
                assert!(aircraft.reject(kind, &null).starts_with("payload is not the expected JSON: "), "{kind}, {field}");
            }
            assert!(aircraft.handle(kind, &good).is_some() || kind == "departure", "{kind}");
        }
    }
    let failure = run::kit().handle(event(N1, 1).kind("departure").bytes("{")).unwrap_err();
    assert!(failure.kind == FailureKind::Rejected && failure.message.starts_with("payload is not the expected JSON: "), "{failure}");
}

#[test]
fn numbers_have_the_ranges_of_the_readme() {
    let mut aircraft = Aircraft::new();
    for wrong in [json!(i64::from(i32::MAX) + 1), json!(i64::from(i32::MIN) - 1), json!(u64::MAX), json!(2.0)] {
        assert!(aircraft.reject("departure", &departure(1, wrong)).starts_with("payload is not the expected JSON: invalid"));
    }
    aircraft.handle("departure", &departure(1, i32::MIN));
    for wrong in [json!(-1), json!(u64::from(u32::MAX) + 1)] {
        assert!(aircraft.reject("arrival", &arrival(1, 0, wrong)).starts_with("payload is not the expected JSON: invalid"));
    }
    aircraft.handle("arrival", &arrival(1, i32::MAX, u32::MAX));
    let (alert, summary) = aircraft.fly(i32::MAX, i32::MIN, u32::MAX);
    assert_eq!(alert.unwrap()["inherited"], json!(i32::MAX));
    assert_eq!(summary["total"]["minutes"], json!(2 * u64::from(u32::MAX)));
}

#[test]
fn a_total_that_would_not_fit_is_rejected() {
    let mut state = json!({"airborne": null, "previous": null, "total": {}});
    for total in ["alerts", "diversions", "flights", "inherited", "late_arrival", "late_departure", "minutes", "untimed"] {
        state["total"][total] = json!(u64::MAX);
    }
    let mut kit = run::kit().state(N1, "aircraft", &state);
    let failure = kit.handle(event(N1, 1).kind("departure").json(&departure(1, 1))).unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Rejected, "a total of the aircraft would be too large"));
}

#[test]
fn a_state_that_is_not_its_own_is_rejected() {
    let mut kit = run::kit().state(N1, "aircraft", &7);
    let failure = kit.handle(event(N1, 1).kind("departure").json(&departure(1, 1))).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Rejected);
    assert!(failure.message.starts_with("state `aircraft` is not the expected JSON: "), "{failure}");
}

#[test]
fn without_a_good_threshold_it_asks_to_be_called_again() {
    let retry = |kit: Kit<Rotation>| {
        let mut kit = kit.outputs(["rotation.>"]);
        let failure = kit.handle(event(N1, 1).kind("departure").json(&departure(1, 1))).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Retry, "{failure}");
        failure.message
    };
    assert_eq!(retry(Kit::new()), r#"config "threshold-minutes" is missing: how many minutes late a departure may be without an alert"#);
    for text in ["", "soon", "+5", "-1", "1.5", " 5", "1441", "99999999999"] {
        let expected = format!(r#"config "threshold-minutes" is "{text}": not a whole number from 0 to 1440"#);
        assert_eq!(retry(Kit::new().config("threshold-minutes", text)), expected);
    }
    for text in ["0", "015", "1440"] {
        let mut kit = Kit::<Rotation>::new().config("threshold-minutes", text).outputs(["rotation.>"]);
        kit.handle(event(N1, 1).kind("departure").json(&departure(1, 0))).unwrap();
    }
}

#[test]
fn the_same_events_give_the_same_bytes() {
    run::kit().assert_replays(run::events().iter().filter(|event| event.tailnum == "N14179").map(delivered));
}
