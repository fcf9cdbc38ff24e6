//! Promise (G3): what a producer sends twice counts once; what it sends twice with two contents is named.

use crate::harness::{Input, SOURCE, World, until};
use std::time::Duration;

#[tokio::test]
async fn the_same_id_inside_the_brokers_window() {
    let mut world = World::new().await;
    let host = world.host().await;
    for _ in 0..3 {
        world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
        world.publish(&[Input::event("a", 1).again(), Input::event("a", 2).again()]).await;
    }
    world.until_applied("a", 2).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn the_same_id_beyond_the_brokers_window() {
    let mut world = World::new().await;
    world.shorten_window(SOURCE, Duration::from_millis(200)).await;
    let host = world.host().await;
    let first = world.publish_one(Input::event("a", 1)).await;
    world.publish_one(Input::event("a", 2)).await;
    // Past its window the broker stores the same message id again.
    until("the broker to forget the message id", async || {
        let again = world.publish_one(Input::event("a", 1)).await;
        if again > first { Ok(()) } else { Err("a duplicate".to_owned()) }
    })
    .await;
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    host.metric("seriatim_events_total", &[("pipeline", "flights"), ("outcome", "duplicate")], 1.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn the_same_event_under_another_id() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
    let renamed = Input::event("a", 1).header("Seriatim-Id", "other").header("Nats-Msg-Id", "other");
    world.publish(&[renamed, Input::event("a", 3)]).await;
    world.until_applied("a", 3).await;
    host.metric("seriatim_events_total", &[("pipeline", "flights"), ("outcome", "duplicate")], 1.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn the_same_sequence_with_another_payload_is_a_conflict() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
    let other = Input::event("a", 1).payload("something else").header("Seriatim-Id", "other").again();
    let conflict = world.publish_one(other).await;
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything().dead(conflict, "conflict")).await;
}

#[tokio::test]
async fn a_known_id_under_a_new_sequence_counts_for_the_sequence_only() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    world.publish_one(Input::event("a", 2).header("Seriatim-Id", "a-1").again()).await;
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3])).await;
}

#[tokio::test]
async fn held_events_that_come_twice_count_once() {
    let mut world = World::new().await;
    let host = world.host().await;
    for sequence in [3, 2, 3, 2, 4, 4] {
        world.publish_one(Input::event("a", sequence).again()).await;
    }
    world.sentinel().await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 4).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
