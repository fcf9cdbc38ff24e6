//! Promise (G1): what retention deleted before it was done is named; what it deleted after is nobody's concern.

use crate::harness::{DEAD_LETTERS, Host, Input, SOURCE, World};

fn events(entity: &str, sequences: std::ops::RangeInclusive<u64>) -> Vec<Input> {
    sequences.map(|sequence| Input::event(entity, sequence)).collect()
}

async fn ten_done(world: &mut World) -> Host {
    let flights = world.config.flights();
    flights.gap_wait = "1s";
    flights.gap_then = "skip";
    let host = world.host().await;
    world.publish(&events("a", 1..=10)).await;
    world.until_applied("a", 10).await;
    host
}

#[tokio::test]
async fn below_the_watermark() {
    let mut world = World::new().await;
    let mut host = ten_done(&mut world).await;
    host.stop().await;
    world.trim(SOURCE, 8).await;
    let host = world.host().await;
    world.publish(&events("a", 11..=15)).await;
    world.until_applied("a", 15).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn above_the_watermark() {
    let mut world = World::new().await;
    let mut host = ten_done(&mut world).await;
    host.stop().await;
    world.publish(&events("a", 11..=20)).await;
    world.trim(SOURCE, 16).await;
    let host = world.host().await;
    world.until_applied("a", 20).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", (1..=10).chain(16..=20)).lost()).await;
    named_once(&world).await;
    let host = world.host().await;
    world.settle(host).await;
    named_once(&world).await;
}

#[tokio::test]
async fn everything_above_the_watermark() {
    let mut world = World::new().await;
    let mut host = ten_done(&mut world).await;
    host.stop().await;
    world.publish(&events("a", 11..=20)).await;
    world.trim(SOURCE, 21).await;
    let host = world.host().await;
    world.publish(&events("a", 21..=22)).await;
    world.until_applied("a", 22).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", (1..=10).chain(21..=22)).lost()).await;
    named_once(&world).await;
}

#[tokio::test]
async fn under_a_waiting_entity() {
    let mut world = World::new().await;
    let gap = [("pipeline", "flights"), ("reason", "gap")];
    let mut host = world.host().await;
    world.publish_one(Input::event("w", 1)).await;
    let numbers = world.publish(&events("w", 3..=7)).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &gap, 1.0).await;
    host.stop().await;
    // 3, 4 and 5 of `w` were read once and not done.
    world.trim(SOURCE, numbers[3]).await;
    let host = world.host().await;
    world.publish_one(Input::event("w", 2)).await;
    world.until_applied("w", 2).await;
    // Its producer, told by the dead letter, sends them again.
    let again: Vec<_> = events("w", 3..=5).into_iter().map(Input::again).collect();
    world.publish(&again).await;
    world.until_applied("w", 7).await;
    world.settle(host).await;
    world.judge(&world.everything().lost()).await;
    named_once(&world).await;
}

async fn named_once(world: &World) {
    let letters = world.read(DEAD_LETTERS).await;
    let lost = letters.iter().filter(|letter| letter.header("Seriatim-Dead-Reason") == Some("lost")).count();
    assert_eq!(lost, 1, "one loss, named once");
}
