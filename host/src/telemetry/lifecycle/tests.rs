//! The form of lifecycle events against their schema, their ids, and the queue's bound. What is published when is tested end to end.

use super::super::metrics::tests::recorded;
use super::*;
use serde_json::{Value, json};
use std::future::Future;
use std::task::{Context, Poll, Waker};

const AT: Option<Place> = Some(Place { epoch: 0, sequence: 41 });

/// One of every kind, the optional parts with and without.
fn every_kind() -> Vec<Event> {
    let kinds = [
        Kind::GapOpened { epoch: 0, first: 41, last: Some(41) },
        Kind::GapOpened { epoch: 1, first: 1, last: None },
        Kind::GapClosed { epoch: 0, first: 41 },
        Kind::GapGivenUp { epoch: 0, first: 41, last: 44 },
        Kind::Waiting { reason: "retry", from: 7, since: 1_700_000_000_000, head: AT, alarm: Some(Alarm::Host(1_700_000_000_100)) },
        Kind::Waiting { reason: "gap", from: 7, since: 1_700_000_000_000, head: AT, alarm: Some(Alarm::Stream(1_700_000_030_000)) },
        Kind::Waiting { reason: "overflow", from: 7, since: 1_700_000_000_000, head: None, alarm: None },
        Kind::Parked { reason: "trap", from: 7, since: 1_700_000_000_000, head: AT, error: Some("unreachable".to_owned()) },
        Kind::Parked { reason: "operator", from: 7, since: 1_700_000_000_000, head: None, error: None },
        Kind::Resumed { reason: "gap", since: 1_700_000_000_000 },
        Kind::Skipped { epoch: 0, sequence: 41 },
        Kind::DeadLettered { reason: "trap", error: "unreachable".to_owned(), stream_sequence: 7, epoch: Some(0), sequence: Some(41) },
        Kind::DeadLettered { reason: "malformed", error: "no sequence".to_owned(), stream_sequence: 8, epoch: None, sequence: None },
        Kind::BreakerOpened { handler: "echo".to_owned(), error: "unreachable".to_owned() },
        Kind::BreakerClosed { handler: "echo".to_owned() },
        Kind::ReaderRestarted { reason: "heartbeat", detail: "none for 10 s".to_owned() },
        Kind::RetentionNear { stream: "FLIGHTS".to_owned(), first: 5, needed: 7, entities: 1 },
    ];
    kinds.into_iter().map(event).collect()
}

fn event(kind: Kind) -> Event {
    let about_none = matches!(kind, Kind::BreakerOpened { .. } | Kind::BreakerClosed { .. } | Kind::ReaderRestarted { .. });
    let entity = (!about_none).then(|| "N711 MQ".into());
    Event { pipeline: "flights".into(), generation: 2, entity, at: 1_700_000_000_500, kind }
}

fn schema() -> Value {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/lifecycle-events.schema.json");
    serde_json::from_str(&std::fs::read_to_string(FILE).expect("the schema")).expect("JSON")
}

#[test]
fn every_kind_is_as_the_schema_says() {
    let schema = schema();
    let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
    compiler.add_resource("lifecycle-events.schema.json", schema.clone()).expect("a schema");
    let index = compiler.compile("lifecycle-events.schema.json", &mut schemas).expect("a schema that means something");
    let mut names: Vec<_> = every_kind().iter().map(|event| event.kind.name()).collect();
    for event in every_kind() {
        let value: Value = serde_json::from_slice(&event.json().expect("JSON")).expect("JSON");
        assert_eq!(value["kind"], event.kind.name());
        if let Err(error) = schemas.validate(&value, index) {
            panic!("{value}: {error:#}");
        }
        // Nothing is published that the schema does not name, and nothing that it requires may be missing.
        let mut more = value.clone();
        more["surprise"] = json!(1);
        assert!(schemas.validate(&more, index).is_err(), "{more}");
        for required in ["version", "id", "pipeline", "generation", "at", "kind"] {
            let mut less = value.clone();
            less.as_object_mut().expect("an object").remove(required);
            assert!(schemas.validate(&less, index).is_err(), "without {required}: {less}");
        }
    }
    names.dedup();
    let described: Vec<_> =
        schema["oneOf"].as_array().expect("kinds").iter().map(|one| one["properties"]["kind"]["const"].clone()).collect();
    assert_eq!(described, names, "the schema has every kind, in the order of the code");
}

#[test]
fn subject_and_id_tell_what_it_is_about() {
    let waiting = |head| event(Kind::Waiting { reason: "retry", from: 7, since: 9, head, alarm: None });
    assert_eq!(waiting(AT).subject(), "seriatim.events.flights.waiting");
    assert_eq!(waiting(AT).id(), "flights:2:event:waiting:N711%20MQ:7.9.retry.0.41");
    assert_eq!(Event { at: 1, ..waiting(AT) }.id(), waiting(AT).id(), "whenever it is learned");
    assert_ne!(Event { at: 1, ..waiting(None) }.id(), waiting(None).id(), "told again is no copy");
    let mut ids: Vec<_> = every_kind().iter().map(Event::id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), every_kind().len());
}

#[test]
fn a_full_queue_takes_nothing_counts_it_and_says_so() {
    let closed = || event(Kind::GapClosed { epoch: 0, first: 1 });
    let (queue, received) = Queue::new(2);
    let mut received = received.expect("a queue with room");
    let text = recorded(|| (0..5).for_each(|_| queue.push(closed())));
    let line = "seriatim_lifecycle_events_total{outcome=\"overflowed\",pipeline=\"flights\"} 3";
    assert!(text.lines().any(|found| found == line), "{text}");
    assert!(received.overflowed() && !received.overflowed(), "said once");
    let mut taken = Vec::new();
    received.take_now(&mut taken, 10);
    assert_eq!(taken.len(), 2);
    let mut idle = std::pin::pin!(queue.idle());
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(idle.as_mut().poll(&mut context), Poll::Pending);
    received.dealt_with(2);
    assert_eq!(idle.as_mut().poll(&mut context), Poll::Ready(()));
    // There is room again.
    queue.push(closed());
    received.take_now(&mut taken, 10);
    assert_eq!((taken.len(), received.overflowed()), (3, false));
}

#[test]
fn without_a_queue_nothing_is_kept() {
    let (queue, received) = Queue::new(0);
    assert!(received.is_none() && !queue.is_on() && !Queue::default().is_on());
    queue.push(event(Kind::GapClosed { epoch: 0, first: 1 }));
}
