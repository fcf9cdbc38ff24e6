//! Promise (G1, G3; design §3.11): a stream restored from older files gives numbers that were read before to other messages; that is noticed,
//! also when it has grown past them again, and also when what was lost had been read and not yet finished.

use crate::harness::{Input, SOURCE, World, command, misbehave};
use serde_json::json;

fn events(sequences: std::ops::RangeInclusive<u64>) -> Vec<Input> {
    sequences.flat_map(|sequence| ["a", "b"].map(|entity| Input::event(entity, sequence))).collect()
}

/// Messages `1..=5` of each entity, saved; then up to `10`, all applied; then the older files are put back.
async fn restored(world: &mut World) {
    let mut host = world.host().await;
    world.publish(&events(1..=5)).await;
    world.until_applied("b", 5).await;
    host.stop().await;
    world.broker.stop().await;
    let saved = world.broker.save(SOURCE);
    world.broker.again().await;
    let mut host = world.host().await;
    world.publish(&events(6..=10)).await;
    world.until_applied("b", 10).await;
    host.stop().await;
    world.broker.stop().await;
    world.broker.restore(&saved);
    world.broker.again().await;
}

async fn accepted(mut world: World) {
    let mut host = world.launch(&["--accept-stream", "flights"], "");
    host.ready().await;
    world.publish(&events(11..=20)).await;
    world.until_applied("a", 20).await;
    world.until_applied("b", 20).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn below_the_watermark() {
    let mut world = World::new().await;
    restored(&mut world).await;
    let before = world.everything();
    let mut host = world.launch(&[], "");
    host.refuses(&[SOURCE, "--accept-stream"]).await;
    drop(host);
    world.judge(&before).await;
    accepted(world).await;
}

#[tokio::test]
async fn what_was_published_before_it_was_accepted_is_read() {
    let mut world = World::new().await;
    restored(&mut world).await;
    // They take numbers that were other messages', below the watermark.
    world.publish(&[1, 2, 3].map(|sequence| Input::event("c", sequence))).await;
    let mut host = world.launch(&["--accept-stream", "flights"], "");
    host.ready().await;
    world.until_applied("c", 3).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn and_grown_past_the_watermark_again() {
    let mut world = World::new().await;
    restored(&mut world).await;
    // Producers send again what they know to be lost, and more.
    world.publish(&events(6..=10)).await;
    let before = world.everything();
    world.publish(&events(11..=16)).await;
    let mut host = world.launch(&[], "");
    host.refuses(&[SOURCE, "--accept-stream"]).await;
    drop(host);
    world.judge(&before.clone().outputs("a", 1..=10).outputs("b", 1..=10)).await;
    accepted(world).await;
}

#[tokio::test]
async fn between_the_watermark_and_the_highest_message_read() {
    let mut world = World::new().await;
    world.config.flights().handlers = vec![misbehave("5m")];
    // A long call keeps the second message open, so that the watermark stays below it while later messages are read.
    world.publish_one(Input::event("c", 1)).await;
    world.publish_one(command("slow", 1, &json!({ "do": "slow", "ms": 8_000 }))).await;
    world.publish(&events(1..=5)).await;
    world.broker.stop().await;
    let saved = world.broker.save(SOURCE);
    world.broker.again().await;
    world.publish(&events(6..=10)).await;
    let mut host = world.host().await;
    world.until_applied("a", 10).await;
    world.until_applied("b", 10).await;
    assert_eq!(world.applied("slow").await, Ok(0), "the slow call still runs");
    host.kill();
    world.broker.stop().await;
    world.broker.restore(&saved);
    world.broker.again().await;
    let mut host = world.launch(&[], "");
    host.refuses(&[SOURCE, "--accept-stream"]).await;
    drop(host);
    let mut host = world.launch(&["--accept-stream", "flights"], "");
    host.ready().await;
    world.until_applied("slow", 1).await;
    world.publish(&events(11..=20)).await;
    world.until_applied("a", 20).await;
    world.until_applied("b", 20).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn while_the_host_runs() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&events(1..=5)).await;
    world.until_applied("b", 5).await;
    world.broker.stop().await;
    let saved = world.broker.save(SOURCE);
    world.broker.again().await;
    world.publish(&events(6..=10)).await;
    world.until_applied("a", 10).await;
    world.until_applied("b", 10).await;
    world.broker.stop().await;
    world.broker.restore(&saved);
    world.broker.again().await;
    host.unready(&[SOURCE, "--accept-stream"]).await;
    host.stop().await;
    accepted(world).await;
}
