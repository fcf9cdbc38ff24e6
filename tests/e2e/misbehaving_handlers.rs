//! Promise (G4, G5): whatever a handler does wrong is contained, named and without effect; the entity goes on, and the others never noticed.

use crate::harness::{DEAD_LETTERS, Input, OUTPUTS, World, command, misbehave};
use serde_json::{Value, json};
use seriatim_tests::checker::Kept;

/// `a`'s second event misbehaves and ends as a dead letter for `reason`; everything else comes out.
async fn ends_as(reason: &'static str, misbehaviour: Value) -> String {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("1s")];
    flights.retry = vec!["10ms"];
    let host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("b", 1)]).await;
    let number = world.publish_one(command("a", 2, &misbehaviour)).await;
    world.publish(&[Input::event("b", 2), Input::event("a", 3)]).await;
    world.until_applied("b", 2).await;
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3]).dead(number, reason)).await;
    let letters = world.read(DEAD_LETTERS).await;
    letters[0].header("Seriatim-Dead-Error").unwrap_or_default().to_owned()
}

#[tokio::test]
async fn trap() {
    ends_as("trap", json!({ "do": "trap" })).await;
}

#[tokio::test]
async fn endless_recursion() {
    ends_as("trap", json!({ "do": "overflow" })).await;
}

#[tokio::test]
async fn endless_loop() {
    ends_as("timeout", json!({ "do": "spin" })).await;
}

#[tokio::test]
async fn memory_in_one_piece() {
    ends_as("memory", json!({ "do": "grow", "mib": 64 })).await;
}

#[tokio::test]
async fn memory_in_many_pieces() {
    ends_as("memory", json!({ "do": "grow", "mib": 64, "piece": 4096 })).await;
}

#[tokio::test]
async fn a_flood_of_outputs() {
    ends_as("too-large", json!({ "do": "flood", "count": 100_000, "bytes": 10 })).await;
}

#[tokio::test]
async fn outputs_of_too_many_bytes() {
    ends_as("too-large", json!({ "do": "flood", "count": 50, "bytes": 100_000 })).await;
}

#[tokio::test]
async fn a_flood_of_log_lines() {
    ends_as("too-large", json!({ "do": "log-flood", "count": 100_000 })).await;
}

#[tokio::test]
async fn state_past_its_limits() {
    ends_as("too-large", json!({ "do": "fill", "keys": 20, "bytes": 200_000 })).await;
}

#[tokio::test]
async fn a_forbidden_subject() {
    let error = ends_as("output-refused", json!({ "do": "emit", "subject": "flights.a", "headers": [], "bytes": 1 })).await;
    assert!(error.contains("flights.a"), "{error:?} names the subject");
}

#[tokio::test]
async fn no_subject_at_all() {
    ends_as("output-refused", json!({ "do": "emit", "subject": "echo..a b", "headers": [], "bytes": 1 })).await;
}

#[tokio::test]
async fn line_breaks_in_headers() {
    let headers = [["X", "a\r\nNats-Rollup: all"]];
    ends_as("output-refused", json!({ "do": "emit", "subject": "echo.a", "headers": headers, "bytes": 1 })).await;
    let headers = [["X\r\nNats-Rollup", "all"]];
    ends_as("output-refused", json!({ "do": "emit", "subject": "echo.a", "headers": headers, "bytes": 1 })).await;
}

#[tokio::test]
async fn headers_that_are_ours() {
    for name in ["Nats-Msg-Id", "Nats-Rollup", "Seriatim-Entity"] {
        let headers = [[name, "x"]];
        ends_as("output-refused", json!({ "do": "emit", "subject": "echo.a", "headers": headers, "bytes": 1 })).await;
    }
}

#[tokio::test]
async fn a_rejection() {
    let error = ends_as("rejected", json!({ "do": "reject", "reason": "not\nmine" })).await;
    assert!(error.contains("mine") && !error.contains('\n'), "{error:?} is one line");
}

#[tokio::test]
async fn work_before_a_failure_leaves_nothing() {
    for (how, reason) in [("retry", "retries-exhausted"), ("reject", "rejected"), ("trap", "trap")] {
        ends_as(reason, json!({ "do": "fail-after-work", "how": how })).await;
    }
}

/// What a handler keeps in its globals lasts as long as its instance, and that does not outlive an event that did not commit.
#[tokio::test]
async fn an_instance_that_failed_serves_no_more() {
    let mut world = World::new().await;
    let mut handler = misbehave("5s");
    handler.limits.push(("isolation", "shared"));
    world.config.flights().handlers = vec![handler];
    world.config.run.push(("shards", "1".to_owned()));
    let host = world.host().await;
    let spy = json!({ "do": "spy" });
    for sequence in [1, 2] {
        world.publish_one(command("a", sequence, &spy)).await;
        world.until_count(OUTPUTS, usize::try_from(sequence).unwrap()).await;
    }
    world.publish_one(command("a", 3, &json!({ "do": "reject", "reason": "no" }))).await;
    world.until_count(DEAD_LETTERS, 1).await;
    world.publish_one(command("a", 4, &spy)).await;
    world.until_count(OUTPUTS, 3).await;
    world.settle(host).await;
    let calls = |output: &Kept| serde_json::from_slice::<Value>(&output.payload).unwrap()["calls"].as_u64();
    let told: Vec<_> = world.read(OUTPUTS).await.iter().take(3).map(calls).collect();
    assert_eq!(told, [Some(1), Some(2), Some(1)], "calls that the instance had seen");
}

#[tokio::test]
async fn a_slow_handler_holds_nobody_else_up() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("5m")];
    world.config.run.push(("shards", "1".to_owned()));
    let host = world.host().await;
    world.publish_one(command("slow", 1, &json!({ "do": "slow", "ms": 10_000 }))).await;
    for sequence in 1..=50 {
        let inputs: Vec<_> = (0..10).map(|entity| Input::event(&format!("e{entity}"), sequence)).collect();
        world.publish(&inputs).await;
    }
    for entity in 0..10 {
        world.until_applied(&format!("e{entity}"), 50).await;
    }
    assert_eq!(world.applied("slow").await, Ok(0), "the slow one is still at work: the others did not wait for it");
    world.until_applied("slow", 1).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
