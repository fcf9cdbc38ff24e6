//! Promise (G1, G3): what was decided stays decided. A restart that reads malformed, late and conflicting messages again, long after every
//! duplicate window, neither decides nor publishes anything a second time.

use crate::harness::{DEAD_LETTERS, Input, OUTPUTS, World, command, misbehave, time_passes};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn dead_letters_are_not_written_again_long_after() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("5m")];
    flights.gap_wait = "500ms";
    flights.gap_then = "skip";
    let mut host = world.host().await;
    // A long call keeps the first message open: a restart has to read everything behind it again.
    world.publish_one(command("slow", 1, &json!({ "do": "slow", "ms": 20_000 }))).await;
    world.publish(&[Input::event("a", 1), Input::event("a", 3)]).await;
    let malformed = world.publish_one(Input::event("nobody", 1).header("Seriatim-Sequence", "one")).await;
    world.until_applied("a", 3).await;
    let late = world.publish_one(Input::event("a", 2)).await;
    let conflict = world.publish_one(Input::event("a", 1).payload("other").again()).await;
    world.until_count(DEAD_LETTERS, 3).await;
    world.shorten_window(DEAD_LETTERS, Duration::from_secs(1)).await;
    world.shorten_window(OUTPUTS, Duration::from_secs(1)).await;
    host.kill();
    time_passes(Duration::from_secs(4)).await;

    let host = world.host().await;
    world.until_applied("slow", 1).await;
    world.settle(host).await;
    let expected = world.everything().outputs("a", [1, 3]).outputs("nobody", []);
    world.judge(&expected.dead(malformed, "malformed").dead(late, "late").dead(conflict, "conflict")).await;
}

#[tokio::test]
async fn an_idle_entity_sends_nothing_the_next_day() {
    let mut world = World::new().await;
    world.shorten_window(OUTPUTS, Duration::from_secs(1)).await;
    for gracefully in [true, false] {
        let mut host = world.host().await;
        let first = if gracefully { 1 } else { 4 };
        let inputs: Vec<_> = (first..first + 3).map(|sequence| Input::event("idle", sequence)).collect();
        world.publish(&inputs).await;
        world.until_applied("idle", first + 2).await;
        // Confirmations are written at once when nothing else happens.
        host.metric("seriatim_outbox_entries", &[], 0.0).await;
        if gracefully { host.stop().await } else { host.kill() }
        time_passes(Duration::from_secs(4)).await;
        let host = world.host().await;
        world.settle(host).await;
    }
    world.judge(&world.everything()).await;
}
