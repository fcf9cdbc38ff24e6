//! Promise (G3, G5, G8; design §3.10): what the broker refuses is never dropped: the entity waits while that can pass, and parks when it cannot.

use crate::harness::{DEAD_LETTERS, Input, OUTPUTS, World, command, misbehave};
use serde_json::json;

fn round(sequence: u64) -> Vec<Input> {
    ["a", "b", "c"].map(|entity| Input::event(entity, sequence)).to_vec()
}

#[tokio::test]
async fn full_for_a_while() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish(&round(1)).await;
    world.until_count(OUTPUTS, 3).await;
    world.close(OUTPUTS).await;
    for sequence in 2..=40 {
        world.publish(&round(sequence)).await;
    }
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "output-unavailable")], 3.0).await;
    world.open(OUTPUTS).await;
    world.until_count(OUTPUTS, 120).await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "output-unavailable")], 0.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn missing_for_a_while() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.js.delete_stream(OUTPUTS).await.expect("a deleted stream");
    world.publish(&round(1)).await;
    world.publish(&round(2)).await;
    host.metric_until("seriatim_outbox_entries", &[], |entries| entries >= 3.0).await;
    world.stream(OUTPUTS, "echo.>", |_| ()).await;
    world.until_count(OUTPUTS, 6).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// The stream takes no message of that size: that will not pass. The entity parks; its neighbours and its own earlier outputs are not touched.
#[tokio::test]
async fn a_message_refused_for_good() {
    let mut world = World::new().await;
    world.config.flights().handlers = vec![misbehave("5s")];
    world.alter(OUTPUTS, |config| config.max_message_size = 4096).await;
    let parked = [("pipeline", "flights"), ("reason", "output-undeliverable")];
    let mut host = world.host().await;
    world.publish(&round(1)).await;
    world.until_count(OUTPUTS, 3).await;
    let large = json!({ "do": "emit", "subject": "echo.a", "headers": [["Echo-Sequence", "2"], ["Echo-Count", "2"]], "bytes": 10_000 });
    world.publish_one(command("a", 2, &large)).await;
    world.publish(&[Input::event("a", 3), Input::event("b", 2), Input::event("c", 2)]).await;
    world.until_applied("b", 2).await;
    world.until_applied("c", 2).await;
    host.metric("seriatim_waiting_entities", &parked, 1.0).await;
    host.kill();
    let host = world.host().await;
    host.metric("seriatim_waiting_entities", &parked, 1.0).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1])).await;
}

#[tokio::test]
async fn dead_letters_full_for_a_while() {
    let mut world = World::new().await;
    world.config.flights().handlers = vec![misbehave("5s")];
    let host = world.host().await;
    let reject = |entity, sequence| command(entity, sequence, &json!({ "do": "reject", "reason": "no" }));
    let mut dead = vec![world.publish_one(reject("a", 1)).await];
    world.until_count(DEAD_LETTERS, 1).await;
    world.close(DEAD_LETTERS).await;
    dead.push(world.publish_one(reject("a", 2)).await);
    dead.push(world.publish_one(Input::event("m", 1).header("Seriatim-Sequence", "no")).await);
    world.publish(&round(3)[1..]).await;
    world.publish(&[Input::event("a", 3), Input::event("b", 1), Input::event("b", 2)]).await;
    // Others are not held up by it.
    world.until_applied("b", 3).await;
    world.open(DEAD_LETTERS).await;
    world.until_count(DEAD_LETTERS, 3).await;
    world.publish(&[Input::event("c", 1), Input::event("c", 2)]).await;
    world.until_applied("a", 3).await;
    world.until_applied("c", 3).await;
    world.settle(host).await;
    let expected = world.everything().outputs("a", [3]).outputs("m", []);
    world.judge(&expected.dead(dead[0], "rejected").dead(dead[1], "rejected").dead(dead[2], "malformed")).await;
}
