//! Promise (G1, G3; design §3.11): a stream that was deleted and made again numbers its messages anew; nobody mistakes the new ones for old
//! ones: the pipeline stops, says why and which flag accepts it.

use crate::harness::{Input, SOURCE, World};

async fn recreate(world: &World) {
    world.js.delete_stream(SOURCE).await.expect("a deleted stream");
    world.stream(SOURCE, "flights.>", |_| ()).await;
}

fn events(sequences: std::ops::RangeInclusive<u64>) -> Vec<Input> {
    sequences.flat_map(|sequence| ["a", "b"].map(|entity| Input::event(entity, sequence))).collect()
}

#[tokio::test]
async fn while_the_host_was_down() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&events(1..=5)).await;
    world.until_applied("b", 5).await;
    host.stop().await;
    let before = world.everything();
    recreate(&world).await;
    world.publish(&events(6..=12)).await;

    let mut host = world.launch(&[], "");
    host.refuses(&[SOURCE, "--accept-stream"]).await;
    drop(host);
    world.judge(&before).await;

    let mut host = world.launch(&["--accept-stream", "flights"], "");
    host.ready().await;
    world.until_applied("a", 12).await;
    world.until_applied("b", 12).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
    // Accepted once, it is the stream: the next start needs no flag.
    let host = world.host().await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn while_the_host_runs() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&events(1..=5)).await;
    world.until_applied("b", 5).await;
    recreate(&world).await;
    world.publish(&events(6..=12)).await;
    host.unready(&[SOURCE, "--accept-stream"]).await;
    host.stop().await;

    let mut host = world.launch(&["--accept-stream", "flights"], "");
    host.ready().await;
    world.until_applied("a", 12).await;
    world.until_applied("b", 12).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn under_a_waiting_entity() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&events(1..=2)).await;
    world.publish(&[Input::event("a", 5), Input::event("a", 4)]).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], 1.0).await;
    host.stop().await;
    recreate(&world).await;
    world.publish(&[Input::event("a", 3), Input::event("b", 3)]).await;

    // What `a` had waiting is gone with the old stream: that is named, and the policy decides about the gap that it leaves.
    let flights = world.config.flights();
    flights.gap_wait = "1s";
    flights.gap_then = "skip";
    let mut host = world.launch(&["--accept-stream", "flights"], "");
    host.ready().await;
    world.until_applied("a", 3).await;
    world.publish_one(Input::event("a", 6)).await;
    world.until_applied("a", 6).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 2, 3, 6]).lost()).await;
}
