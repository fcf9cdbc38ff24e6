//! Promise (G4, G5, G8): an event that no handler can take is retried as configured, then handled by policy; other entities do not notice.

use crate::harness::{DEAD_LETTERS, Input, World, command, misbehave};
use serde_json::json;

/// `a`'s second event traps; `b` is healthy. Returns the poison's stream sequence.
async fn poison(world: &mut World, then: &'static str) -> u64 {
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("5s")];
    flights.failure_then = then;
    world.publish(&[Input::event("a", 1), Input::event("b", 1)]).await;
    let poison = world.publish_one(command("a", 2, &json!({ "do": "trap", "message": "no way" }))).await;
    world.publish(&[Input::event("a", 3), Input::event("b", 2), Input::event("b", 3)]).await;
    poison
}

#[tokio::test]
async fn dead_letter_and_go_on() {
    let mut world = World::new().await;
    let poison = poison(&mut world, "dead-letter").await;
    let host = world.host().await;
    world.until_applied("a", 3).await;
    world.until_applied("b", 3).await;
    host.metric("seriatim_handler_failures_total", &[("pipeline", "flights"), ("handler", "echo"), ("kind", "trap")], 3.0).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3]).dead(poison, "trap")).await;
    let letters = world.read(DEAD_LETTERS).await;
    assert_eq!(letters[0].header("Seriatim-Dead-Attempts"), Some("3"), "one try and two retries");
    assert_eq!(letters[0].header("Seriatim-Dead-Handler"), Some("echo"));
    let error = letters[0].header("Seriatim-Dead-Error").expect("an error for people");
    assert!(!error.is_empty(), "it says what happened");
}

#[tokio::test]
async fn park_until_told_also_after_a_restart() {
    let mut world = World::new().await;
    let parked = [("pipeline", "flights"), ("reason", "trap")];
    poison(&mut world, "park").await;
    let mut host = world.host().await;
    world.until_applied("b", 3).await;
    host.metric("seriatim_waiting_entities", &parked, 1.0).await;
    world.publish(&[Input::event("a", 4), Input::event("b", 4)]).await;
    world.until_applied("b", 4).await;
    host.kill();

    let host = world.host().await;
    world.publish(&[Input::event("a", 5), Input::event("b", 5)]).await;
    world.until_applied("b", 5).await;
    host.metric("seriatim_waiting_entities", &parked, 1.0).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1])).await;
}

#[tokio::test]
async fn stop_stops_this_pipeline_only_and_a_restart_tries_again() {
    let mut world = World::new().await;
    world.add_trains().await;
    let poison = poison(&mut world, "stop").await;
    let mut host = world.launch(&[], "");
    host.unready(&["flights", "stop"]).await;
    world.train_passes(1).await;
    assert!(world.read(DEAD_LETTERS).await.is_empty());
    host.stop().await;

    let mut host = world.launch(&[], "");
    host.unready(&["flights", "stop"]).await;
    world.train_passes(2).await;
    host.stop().await;

    world.config.flights().failure_then = "dead-letter";
    let host = world.host().await;
    world.until_applied("a", 3).await;
    world.until_applied("b", 3).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3]).dead(poison, "trap")).await;
}

#[tokio::test]
async fn a_retry_that_succeeds_leaves_no_trace_but_its_effect() {
    let mut world = World::new().await;
    world.config.flights().handlers = vec![misbehave("5s")];
    let host = world.host().await;
    world.publish_one(command("a", 1, &json!({ "do": "retry", "until": 3 }))).await;
    world.publish(&[Input::event("a", 2), Input::event("b", 1)]).await;
    world.until_applied("a", 2).await;
    host.metric("seriatim_retries_total", &[("pipeline", "flights"), ("handler", "echo")], 2.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
