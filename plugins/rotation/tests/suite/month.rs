//! The whole month: every output against a plain computation over each aircraft's flights, and the totals against numbers that were counted
//! from the file by other means.

use rotation_events::{Event, Kind};
use serde_json::{Value, json};

use crate::run::{self, Output, THRESHOLD};

/// A flight as the events tell it: the departure and the end.
type Flight<'a> = [&'a Event; 2];

fn dep_delay(flight: Flight<'_>) -> i64 {
    let Kind::Departure { dep_delay } = flight[0].kind else { panic!("{} is no departure", flight[0].id) };
    dep_delay.into()
}

/// Delay on arrival and minutes in the air.
fn landed(flight: Flight<'_>) -> (Option<i64>, Option<i64>) {
    match flight[1].kind {
        Kind::Arrival { arr_delay, air_time } => (arr_delay.map(i64::from), air_time.map(i64::from)),
        Kind::Diversion => (None, None),
        Kind::Departure { .. } => panic!("{} is no end", flight[1].id),
    }
}

fn inherited(flights: &[Flight<'_>], n: usize) -> Option<i64> {
    let late = dep_delay(flights[n]).max(0);
    if late == 0 { Some(0) } else { Some(landed(flights[n.checked_sub(1)?]).0?.max(0).min(late)) }
}

/// The sums over the first `n` flights, from the beginning each time.
fn total(flights: &[Flight<'_>], n: usize) -> Value {
    let sum = |of: &dyn Fn(usize) -> i64| (0..n).map(of).sum::<i64>();
    json!({
        "alerts": sum(&|n| (dep_delay(flights[n]) > THRESHOLD.into()).into()),
        "diversions": sum(&|n| matches!(flights[n][1].kind, Kind::Diversion).into()),
        "flights": n,
        "inherited": sum(&|n| inherited(flights, n).unwrap_or(0)),
        "late_arrival": sum(&|n| landed(flights[n]).0.unwrap_or(0).max(0)),
        "late_departure": sum(&|n| dep_delay(flights[n]).max(0)),
        "minutes": sum(&|n| landed(flights[n]).1.unwrap_or(0)),
        "untimed": sum(&|n| landed(flights[n]).1.is_none().into()),
    })
}

/// An event's payload, from which outputs take flight and time.
fn row(event: &Event) -> Value {
    serde_json::from_slice(&event.payload().unwrap()).unwrap()
}

/// All that should come of an aircraft's flights, in order.
fn expected(flights: &[Flight<'_>]) -> Vec<Output> {
    let mut outputs = Vec::new();
    for n in 0..flights.len() {
        let (departure, end) = (row(flights[n][0]), row(flights[n][1]));
        let tailnum = flights[n][0].tailnum.as_str();
        let (delay, inherited) = (dep_delay(flights[n]), inherited(flights, n));
        if delay > THRESHOLD.into() {
            let cause = match inherited {
                None => "unknown",
                Some(inherited) if inherited * 2 >= delay => "late-aircraft",
                Some(_) => "other",
            };
            let previous = n.checked_sub(1).map(|before| {
                let end = row(flights[before][1]);
                let [carrier, flight, origin, dest, time] = ["carrier", "flight", "origin", "dest", "time"].map(|name| &end[name]);
                let arr_delay = landed(flights[before]).0;
                json!({"arr_delay": arr_delay, "carrier": carrier, "dest": dest, "flight": flight, "origin": origin, "time": time})
            });
            let alert = json!({
                "carrier": departure["carrier"], "cause": cause, "dep_delay": delay, "dest": departure["dest"], "flight": departure["flight"],
                "inherited": inherited, "origin": departure["origin"], "own": inherited.map(|inherited| delay - inherited),
                "previous": previous, "tailnum": tailnum, "threshold": THRESHOLD, "time": departure["time"],
            });
            outputs.push((format!("rotation.alert.{tailnum}"), alert.to_string()));
        }
        let (arr_delay, air_time) = landed(flights[n]);
        let summary = json!({
            "air_time": air_time, "arr_delay": arr_delay, "carrier": end["carrier"], "dep_delay": delay, "dest": end["dest"],
            "flight": end["flight"], "inherited": inherited, "origin": end["origin"], "outcome": end["kind"], "tailnum": tailnum,
            "time": end["time"], "total": total(flights, n + 1),
        });
        outputs.push((format!("rotation.summary.{tailnum}"), summary.to_string()));
    }
    outputs
}

#[test]
fn every_output_is_that_of_a_plain_computation() {
    let mut sums = [0; 9];
    for (tailnum, steps) in run::aircraft() {
        let flights: Vec<Flight<'_>> = steps.chunks(2).map(|pair| [pair[0].event, pair[1].event]).collect();
        let outputs: Vec<&Output> = steps.iter().flat_map(|step| &step.outputs).collect();
        let expected = expected(&flights);
        assert_eq!(outputs.len(), expected.len(), "{tailnum}");
        for (output, expected) in outputs.into_iter().zip(&expected) {
            assert_eq!(output, expected);
        }
        let total = total(&flights, flights.len());
        let state: Value = serde_json::from_str(&steps.last().unwrap().state).unwrap();
        assert_eq!((&state["airborne"], &state["total"]), (&Value::Null, &total), "{tailnum}");
        let names = ["flights", "diversions", "minutes", "untimed", "alerts", "inherited", "late_arrival", "late_departure"];
        for (sum, name) in sums.iter_mut().zip(names) {
            *sum += total[name].as_u64().unwrap();
        }
        sums[8] += 1;
    }
    assert_eq!(sums, [26_483, 15, 4_070_239, 85, 4_918, 80_342, 384_424, 341_410, 3_141]);
}

#[test]
fn the_month_has_its_alerts_by_cause() {
    let mut causes = [0; 3];
    let (mut own, mut day_old) = (0, 0);
    for steps in run::aircraft().values() {
        for (n, step) in steps.iter().enumerate() {
            let Some((_, alert)) = step.outputs.iter().find(|(subject, _)| subject.starts_with("rotation.alert.")) else { continue };
            let alert: Value = serde_json::from_str(alert).unwrap();
            let cause = ["late-aircraft", "other", "unknown"].iter().position(|cause| alert["cause"] == *cause).unwrap();
            causes[cause] += 1;
            own += alert["own"].as_u64().unwrap_or(0);
            let seconds = |n: usize| steps[n].event.time.unix_timestamp();
            day_old += usize::from(cause == 0 && seconds(n) - seconds(n - 1) > 24 * 60 * 60);
        }
    }
    assert_eq!((causes, own, day_old), ([1_239, 3_206, 473], 211_131, 330));
}

#[test]
fn two_events_of_an_aircraft_in_the_wrong_order_are_noticed() {
    let events: Vec<&Event> = run::events().iter().filter(|event| event.tailnum == "N14179").collect();
    for swapped in 0..events.len() - 1 {
        let mut events = events.clone();
        events.swap(swapped, swapped + 1);
        let mut kit = run::kit();
        let rejected = events.iter().filter(|event| kit.handle(run::delivered(event)).is_err()).count();
        assert!(rejected > 0, "{} and {} were swapped", events[swapped].id, events[swapped + 1].id);
    }
}
