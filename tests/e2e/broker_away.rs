//! Promise (G1–G3, G8): the broker may be away, at the start, for a while, and for longer than its duplicate window and every gap's wait:
//! nothing is given up, nothing doubled, and nobody has to do anything.

use crate::harness::{Input, OUTPUTS, Random, World, shuffled, time_passes};
use std::time::Duration;

#[tokio::test]
async fn away_at_the_start() {
    let mut world = World::new().await;
    world.publish(&shuffled(&mut Random::new(61), 5, 20, 20)).await;
    world.broker.kill();
    let mut host = world.launch(&[], "");
    host.unready(&[]).await;
    world.broker.again().await;
    host.ready().await;
    world.until_count(OUTPUTS, 100).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn away_for_a_while() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    let inputs = shuffled(&mut Random::new(62), 10, 60, 30);
    let (before, after) = inputs.split_at(inputs.len() / 2);
    world.publish(before).await;
    world.until_count(OUTPUTS, 50).await;
    world.broker.kill();
    host.unready(&[]).await;
    world.broker.again().await;
    world.publish(after).await;
    world.until_count(OUTPUTS, 600).await;
    host.ready().await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn frozen_for_a_while() {
    let mut world = World::new().await;
    let host = world.host().await;
    let inputs = shuffled(&mut Random::new(63), 10, 60, 30);
    let (before, after) = inputs.split_at(inputs.len() / 2);
    world.publish(before).await;
    world.until_count(OUTPUTS, 50).await;
    world.broker.freeze();
    time_passes(Duration::from_secs(8)).await;
    world.broker.thaw();
    world.publish(after).await;
    world.until_count(OUTPUTS, 600).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn away_for_longer_than_the_duplicate_window_and_every_gap_wait() {
    let mut world = World::new().await;
    world.shorten_window(OUTPUTS, Duration::from_secs(1)).await;
    world.config.flights().gap_wait = "6s";
    world.config.flights().gap_then = "skip";
    let host = world.host().await;
    let inputs = shuffled(&mut Random::new(64), 10, 100, 1);
    world.publish(&inputs).await;
    world.publish(&[Input::event("gap", 1), Input::event("gap", 3), Input::event("gap", 4)]).await;
    world.until_applied("gap", 1).await;
    // Outputs are on their way when it goes; some of them are stored and never confirmed.
    world.broker.kill();
    time_passes(Duration::from_secs(12)).await;
    world.broker.again().await;
    world.publish_one(Input::event("gap", 2)).await;
    world.until_applied("gap", 4).await;
    world.until_count(OUTPUTS, 1004).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
