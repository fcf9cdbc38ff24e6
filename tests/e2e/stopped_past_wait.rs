//! Promise (G2): a gap gives up by the stream's time, never because this host stood still. The missing event came in time and lies in the
//! socket of a stopped host; when it goes on, long past `wait`, nothing is given up.

use crate::harness::{Input, World, time_passes};
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
