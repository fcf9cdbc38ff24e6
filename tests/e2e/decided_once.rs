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
    world.publish_one(command("slow", 1, &json!({ "do": "slow", "ms": 15_000 }))).await;
    world.publish(&[Input::event("a", 1), Input::event("a", 3)]).await;
    let malformed = world.publish_one(Input::event("nobody", 1).header("Seriatim-Sequence", "one")).await;
    world.until_applied("a", 3).await;
    let late = world.publish_one(Input::event("a", 2)).await;
    let conflict = world.publish_one(Input::event("a", 1).payload("other").again()).await;
    world.until_count(DEAD_LETTERS, 3).await;
    assert_eq!(world.applied("slow").await, Ok(0), "the slow call still runs");
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
