//! Promise (G1, docs/operations.md): before the stream's limits take what a parked entity still needs, log, metric and lifecycle event say so, once.

use crate::harness::{Input, SOURCE, World, command, misbehave, until};
use serde_json::{Value, json};

const EVENTS: &str = "EVENTS";
const NEAR: &str = "seriatim_retention_near_entities";
const LEFT: &str = "seriatim_retention_left_ratio";
const WARNING: &str = "will soon remove events";

/// A parked entity, and a stream that keeps this many messages and is filled up to this many by another entity.
async fn parked_with(messages_max: i64, filled: u64) -> (World, crate::harness::Host, u64) {
    let mut world = World::new().await;
    world.stream(EVENTS, "seriatim.events.>", |_| ()).await;
    world.alter(SOURCE, |config| config.max_messages = messages_max).await;
    let flights = world.config.flights();
    (flights.failure_then, flights.retry) = ("park", vec![]);
    flights.handlers = vec![misbehave("1s")];
    let host = world.host().await;
    let needed = world.publish_one(command("stuck", 1, &json!({ "do": "trap", "message": "why" }))).await;
    host.metric("seriatim_parked_entities", &[("pipeline", "flights"), ("reason", "trap")], 1.0).await;
    let busy: Vec<_> = (1..filled).map(|sequence| Input::event("busy", sequence)).collect();
    world.publish(&busy).await;
    world.until_applied("busy", filled - 1).await;
    (world, host, needed)
}

async fn warnings(world: &World) -> Vec<Value> {
    let kept = world.read(EVENTS).await;
    let near = kept.iter().filter(|kept| kept.subject == "seriatim.events.flights.retention-near");
    near.map(|kept| serde_json::from_slice(&kept.payload).expect("JSON")).collect()
}

#[tokio::test]
async fn it_is_told_before_anything_is_gone_and_once() {
    let (mut world, host, needed) = parked_with(200, 150).await;
    // A quarter of the room is left: not near. What was looked at is shown.
    host.metric(LEFT, &[], 0.25).await;
    host.metric(NEAR, &[], 0.0).await;
    assert!(warnings(&world).await.is_empty());

    let busy: Vec<_> = (150..=190).map(|sequence| Input::event("busy", sequence)).collect();
    world.publish(&busy).await;
    host.metric(NEAR, &[("pipeline", "flights")], 1.0).await;
    let warned = until("a warning", async || warnings(&world).await.pop().ok_or_else(|| "none".to_owned())).await;
    assert_eq!((&warned["entity"], &warned["stream"], &warned["entities"]), (&json!("stuck"), &json!(SOURCE), &json!(1)));
    assert_eq!((&warned["needed"], &warned["first"]), (&json!(needed), &json!(1)), "the stream still has it");
    assert!(host.log().contains(WARNING), "the log says so");

    // Nearer, and not told again; with more room it is not near any more.
    world.publish_one(Input::event("busy", 191)).await;
    host.metric_until(LEFT, &[], |left| left < 0.045).await;
    assert_eq!(warnings(&world).await.len(), 1);
    world.alter(SOURCE, |config| config.max_messages = 1000).await;
    host.metric(NEAR, &[], 0.0).await;
    assert_eq!(host.log().matches(WARNING).count(), 1);
    world.until_applied("busy", 191).await;
    world.settle(host).await;
}

#[tokio::test]
async fn a_stream_that_keeps_everything_is_never_near() {
    let (mut world, host, _) = parked_with(-1, 50).await;
    world.sentinel().await;
    host.metric(NEAR, &[], 0.0).await;
    host.metric(LEFT, &[], 1.0).await;
    assert!(!host.log().contains(WARNING));
    world.settle(host).await;
}
