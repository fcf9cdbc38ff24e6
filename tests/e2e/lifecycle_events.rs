//! Promise (docs/operations.md, "Lifecycle events"): what happens to an entity is published behind the commit that makes it true, under an id that
//! stays the same; what finds no room is told again; and data never waits for any of it.

use crate::harness::{Input, World, command, misbehave, until};
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use seriatim_tests::checker::Kept;
use std::collections::BTreeSet;
use std::time::Duration;

const EVENTS: &str = "EVENTS";

/// The events on the operator's stream, as JSON.
async fn told(world: &World) -> Vec<Value> {
    world.read(EVENTS).await.iter().map(|kept| serde_json::from_slice(&kept.payload).expect("JSON")).collect()
}

/// Waits until one of this kind, about this entity, has been told, and gives it.
async fn until_told(world: &World, kind: &str, entity: &str) -> Value {
    until(&format!("{kind} of {entity}"), async || {
        let told = told(world).await;
        let found = told.iter().find(|event| event["kind"] == kind && event["entity"] == entity);
        found.cloned().ok_or_else(|| format!("{told:?}"))
    })
    .await
}

#[tokio::test]
async fn each_turn_of_an_entity_is_told_once_and_again_after_a_crash() {
    let mut world = World::new().await;
    world.stream(EVENTS, "seriatim.events.>", |_| ()).await;
    let flights = world.config.flights();
    (flights.gap_wait, flights.failure_then, flights.retry) = ("2s", "park", vec!["50ms"]);
    flights.handlers = vec![misbehave("1s")];
    // Whatever is sent, the copies too that the stream would drop.
    let mut sent = world.broker.connect().await.subscribe("seriatim.events.>").await.expect("a subscription");
    let mut host = world.host().await;

    // A gap that is open for long, parks, and closes.
    world.publish_one(Input::event("a", 1)).await;
    let early = world.publish_one(Input::event("a", 4)).await;
    let opened = until_told(&world, "gap-opened", "a").await;
    assert_eq!((&opened["epoch"], &opened["first"], &opened["last"]), (&json!(0), &json!(2), &json!(3)));
    let waits = until_told(&world, "waiting", "a").await;
    assert_eq!((&waits["reason"], &waits["from"], &waits["alarm"]["clock"]), (&json!("gap"), &json!(early), &json!("stream")));
    let parked = until_told(&world, "parked", "a").await;
    assert_eq!((&parked["reason"], &parked["since"], &parked["alarm"]), (&json!("gap"), &waits["since"], &Value::Null));
    world.publish(&[Input::event("a", 2), Input::event("a", 3)]).await;
    let closed = until_told(&world, "gap-closed", "a").await;
    assert_eq!((&closed["first"], &closed["pipeline"], &closed["generation"]), (&json!(2), &json!("flights"), &json!(0)));
    let resumed = until_told(&world, "resumed", "a").await;
    assert_eq!(resumed["since"], waits["since"]);

    // What no handler gets, and what none can do.
    let malformed = world.publish_one(Input::event("m", 1).header("Seriatim-Sequence", "nine")).await;
    let dead = until("a dead letter", async || {
        let told = told(&world).await;
        told.iter().find(|event| event["kind"] == "dead-lettered").cloned().ok_or_else(|| format!("{told:?}"))
    })
    .await;
    assert_eq!((&dead["reason"], &dead["stream_sequence"]), (&json!("malformed"), &json!(malformed)));
    let trapping = world.publish_one(command("b", 1, &json!({ "do": "trap", "message": "why" }))).await;
    let parked = until_told(&world, "parked", "b").await;
    assert_eq!((&parked["reason"], &parked["from"], &parked["sequence"]), (&json!("trap"), &json!(trapping), &json!(1)));
    assert!(parked["error"].as_str().is_some_and(|error| !error.is_empty()), "{parked}");

    let kept = world.read(EVENTS).await;
    let ids: Vec<_> = kept.iter().map(id).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "each once: {ids:?}");
    for kept in &kept {
        let event: Value = serde_json::from_slice(&kept.payload).expect("JSON");
        assert_eq!((event["id"].as_str(), event["version"].as_u64()), (Some(id(kept).as_str()), Some(1)));
        assert_eq!(kept.subject, format!("seriatim.events.flights.{}", event["kind"].as_str().expect("a kind")));
    }
    let mut heard = Vec::new();
    while heard.len() < kept.len() {
        let message = tokio::time::timeout(Duration::from_secs(60), sent.next()).await.expect("what the stream has").expect("a message");
        heard.push(message.headers.and_then(|headers| headers.get("Nats-Msg-Id").map(ToString::to_string)).expect("an id"));
    }
    assert_eq!(heard, ids, "each is sent once, in the order in which they became true");
    let least = f64::from(u32::try_from(kept.len()).expect("few"));
    host.metric_until("seriatim_lifecycle_events_total", &[("outcome", "sent")], |count| count >= least).await;

    // After a crash the present state is told again.
    host.kill();
    host.ended().await;
    world.js.delete_stream(EVENTS).await.expect("a deleted stream");
    world.stream(EVENTS, "seriatim.events.>", |_| ()).await;
    let host = world.host().await;
    let again = until_told(&world, "parked", "b").await;
    assert_eq!((&again["reason"], &again["since"], &again["from"]), (&parked["reason"], &parked["since"], &parked["from"]));
    world.settle(host).await;
}

fn id(kept: &Kept) -> String {
    kept.headers.iter().find(|(name, _)| name == "Nats-Msg-Id").map(|(_, id)| id.clone()).expect("an id")
}

#[tokio::test]
async fn without_a_stream_whoever_listens_hears_it() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    (flights.gap_wait, flights.gap_then) = ("1s", "skip");
    let client = world.broker.connect().await;
    let mut heard = client.subscribe("seriatim.events.flights.gap-given-up").await.expect("a subscription");
    client.flush().await.expect("a subscription that the broker knows");
    let host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 5)]).await;
    let message = tokio::time::timeout(Duration::from_secs(60), heard.next()).await.expect("an event").expect("a message");
    let event: Value = serde_json::from_slice(&message.payload).expect("JSON");
    assert_eq!((&event["entity"], &event["first"], &event["last"]), (&json!("a"), &json!(2), &json!(4)));
    world.until_applied("a", 5).await;
    world.settle(host).await;
}

#[tokio::test]
async fn what_finds_no_room_is_told_again_and_data_does_not_wait() {
    const WAITING: usize = 40;
    let entities: Vec<_> = (0..WAITING / 2).flat_map(|number| [format!("m{number}"), format!("a{number}")]).collect();
    let (later, sooner): (Vec<_>, Vec<_>) = entities.iter().partition(|entity| entity.starts_with('a'));
    let mut world = World::new().await;
    world.stream(EVENTS, "seriatim.events.>", |_| ()).await;
    world.close(EVENTS).await;
    world.config.run.push(("lifecycle-queue", "2".to_owned()));
    let host = world.host().await;
    // Those that come later are before the others in order: where the state was being told again, they have been passed.
    let mut waiting = 0;
    for entities in [sooner, later] {
        let early: Vec<_> = entities.iter().map(|entity| Input::event(entity, 2)).collect();
        world.publish(&early).await;
        waiting += entities.len();
        host.metric("seriatim_waiting_entities", &[("reason", "gap")], waiting as f64).await;
        host.metric_until("seriatim_lifecycle_events_total", &[("outcome", "overflowed")], |count| count > 0.0).await;
    }
    // Nothing is held up by events that cannot leave.
    world.publish_one(Input::event("busy", 1)).await;
    world.until_applied("busy", 1).await;
    world.open(EVENTS).await;
    until("the state of all that wait", async || {
        let told = told(&world).await;
        let waiting: BTreeSet<_> =
            told.iter().filter(|event| event["kind"] == "waiting").map(|event| event["entity"].to_string()).collect();
        if waiting.len() == WAITING { Ok(()) } else { Err(format!("{} are told", waiting.len())) }
    })
    .await;
    let first: Vec<_> = entities.iter().map(|entity| Input::event(entity, 1)).collect();
    world.publish(&first).await;
    host.metric("seriatim_waiting_entities", &[("reason", "gap")], 0.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
