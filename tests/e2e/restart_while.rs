//! Promise (G1–G4, G8): a restart, graceful or not, in the middle of anything that lasts: held events, waiting entities, unconfirmed outputs.

use crate::harness::{Host, Input, OUTPUTS, World, command, die_at, misbehave, time_passes};
use serde_json::json;
use std::time::Duration;

/// Ends a host in one of the two ways.
async fn end(mut host: Host, gracefully: bool) {
    if gracefully { host.stop().await } else { host.kill() }
}

async fn while_events_are_held(gracefully: bool) {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    world.publish(&[Input::event("a", 5), Input::event("a", 3), Input::event("a", 4)]).await;
    world.sentinel().await;
    end(host, gracefully).await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 5).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn stopped_while_events_are_held() {
    while_events_are_held(true).await;
}

#[tokio::test]
async fn killed_while_events_are_held() {
    while_events_are_held(false).await;
}

/// The alarm of a retry that lies seconds ahead must ring after the restart, without any further event of the entity.
async fn while_an_entity_waits_for_a_retry(gracefully: bool) {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("5s")];
    flights.retry = vec!["3s"];
    let host = world.host().await;
    world.publish_one(command("a", 1, &json!({ "do": "retry", "until": 2 }))).await;
    world.publish_one(Input::event("a", 2)).await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "retry")], 1.0).await;
    end(host, gracefully).await;
    let host = world.host().await;
    world.until_applied("a", 2).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn stopped_while_an_entity_waits_for_a_retry() {
    while_an_entity_waits_for_a_retry(true).await;
}

#[tokio::test]
async fn killed_while_an_entity_waits_for_a_retry() {
    while_an_entity_waits_for_a_retry(false).await;
}

/// The output stream takes nothing for a while: outputs are committed and cannot be confirmed.
async fn while_outputs_are_unconfirmed(gracefully: bool) {
    let mut world = World::new().await;
    world.config.run.push(("drain", "\"1s\"".to_owned()));
    let host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    world.close(OUTPUTS).await;
    let inputs: Vec<_> = (2..=20).flat_map(|sequence| ["a", "b", "c"].map(|entity| Input::event(entity, sequence))).collect();
    world.publish(&[Input::event("b", 1), Input::event("c", 1)]).await;
    world.publish(&inputs).await;
    host.metric_until("seriatim_outbox_entries", &[], |entries| entries >= 3.0).await;
    end(host, gracefully).await;
    let host = world.host().await;
    world.open(OUTPUTS).await;
    world.until_count(OUTPUTS, 60).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn stopped_while_outputs_are_unconfirmed() {
    while_outputs_are_unconfirmed(true).await;
}

#[tokio::test]
async fn killed_while_outputs_are_unconfirmed() {
    while_outputs_are_unconfirmed(false).await;
}

/// The stream has the output, the host died before it knew, and the broker has forgotten the id since: it is looked for, not sent again.
#[tokio::test]
async fn killed_before_a_confirmation_and_started_past_the_duplicate_window() {
    let mut world = World::new().await;
    world.shorten_window(OUTPUTS, Duration::from_secs(1)).await;
    let mut host = world.launch(&[], &die_at("confirm-before"));
    world.publish_one(Input::event("a", 1)).await;
    world.busy_until_over(&mut host).await;
    time_passes(Duration::from_secs(4)).await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 2).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
