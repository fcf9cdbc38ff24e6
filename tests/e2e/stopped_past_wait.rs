//! Promise (G2): a gap gives up by the stream's time, never because this host stood still. The missing event came in time and lies in the
//! socket of a stopped host; when it goes on, long past `wait`, nothing is given up.

use crate::harness::{Input, World, command, misbehave, time_passes, until};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn sigstop_past_wait_with_the_missing_event_in_the_socket() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.gap_wait = "4s";
    flights.gap_then = "skip";
    let mut host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 3), Input::event("b", 2)]).await;
    world.sentinel().await;
    host.freeze();
    world.publish(&[Input::event("a", 2), Input::event("b", 1)]).await;
    time_passes(Duration::from_secs(10)).await;
    // Behind them in the stream: a message whose timestamp lies past everybody's wait.
    world.publish_one(Input::event("c", 1)).await;
    host.thaw();
    world.until_applied("a", 3).await;
    world.until_applied("b", 2).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn down_past_wait_with_the_missing_event_in_the_stream() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.gap_wait = "4s";
    flights.gap_then = "skip";
    let mut host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 3)]).await;
    world.sentinel().await;
    host.kill();
    world.publish_one(Input::event("a", 2)).await;
    time_passes(Duration::from_secs(10)).await;
    world.publish_one(Input::event("c", 1)).await;
    let host = world.host().await;
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn killed_with_the_missing_event_read_and_not_decided() {
    const ENTITIES: u64 = 12;
    let mut world = World::new().await;
    world.config.run = vec![("shards", "2".to_owned()), ("calls-max", "1".to_owned())];
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("5m")];
    (flights.gap_wait, flights.gap_then) = ("1s", "skip");
    let mut host = world.host().await;
    // One shard is held up by a long call with these events, read and undecided, behind it; the other goes on.
    world.publish_one(command("slow", 1, &json!({ "do": "slow", "ms": 15_000 }))).await;
    let early: Vec<_> = (0..ENTITIES).flat_map(|entity| [2, 1].map(|sequence| Input::event(&format!("e{entity}"), sequence))).collect();
    world.publish(&early).await;
    time_passes(Duration::from_secs(2)).await;
    let later: Vec<_> = (0..ENTITIES).map(|entity| Input::event(&format!("y{entity}"), 1)).collect();
    world.publish(&later).await;
    until("a commit whose time is past the wait of the undecided events", async || {
        for entity in 0..ENTITIES {
            if world.applied(&format!("y{entity}")).await? == 1 {
                return Ok(());
            }
        }
        Err("none of the later events is applied".to_owned())
    })
    .await;
    assert_eq!(world.applied("slow").await, Ok(0), "the slow call still runs");
    host.kill();
    let host = world.host().await;
    for entity in 0..ENTITIES {
        world.until_applied(&format!("e{entity}"), 2).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
