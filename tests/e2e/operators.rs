//! Promise (G8, design §5.5): an operator is told why an entity does not move, and what is done about it is durable when it is answered, done once,
//! and keeps the order of everything else.

use crate::harness::host::command;
use crate::harness::misbehave::command as told;
use crate::harness::{DEAD_LETTERS, Host, Input, World, misbehave, ports};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// A host whose admin API has a known port, and the config that names it.
pub(super) async fn operated(world: &mut World) -> (Host, PathBuf) {
    world.config.admin = ports::free();
    let host = world.host().await;
    (host, world.path("operator.toml"))
}

/// Runs a command of the operator's; its standard output as JSON.
pub(super) fn ask(config: &Path, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json", "--log", "error"]).collect();
    let (code, out) = command(config, &args);
    assert_eq!(code, Some(0), "{args:?}: {out}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
}

#[tokio::test]
async fn a_gap_is_explained_and_skipped() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.gap_wait = "1h";
    flights.gap_then = "park";
    let (host, config) = operated(&mut world).await;
    world.write_config("operator.toml", 0);
    world.publish_one(Input::event("a", 1)).await;
    world.publish(&[Input::event("a", 4), Input::event("a", 5)]).await;
    world.publish_one(Input::event("b", 1)).await;
    world.until_applied("b", 1).await;

    let report = ask(&config, &["entity", "show", "a"]);
    let sentence = report["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("a waits for events 2–3: ") && sentence.contains("came early"), "{sentence}");
    assert_eq!((&report["position"]["sequence"], &report["head"]["sequence"]), (&json!(1), &json!(2)));
    // A word names the place it means.
    let (code, out) = command(&config, &["entity", "skip", "a", "--sequence", "3"]);
    assert!(code == Some(1) && out.contains("2"), "{code:?} {out}");
    assert_eq!(ask(&config, &["entity", "skip", "a", "--sequence", "2"])["changed"], json!(true));
    world.until_applied("a", 5).await;
    let (code, out) = command(&config, &["entity", "show", "nobody"]);
    assert!(code == Some(1) && out.contains("nobody"), "{code:?} {out}");
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 4, 5])).await;
}

#[tokio::test]
async fn a_parked_entity_stays_parked_through_a_kill_and_goes_on_in_order() {
    let mut world = World::new().await;
    let (mut host, config) = operated(&mut world).await;
    world.write_config("operator.toml", 0);
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    assert_eq!(ask(&config, &["entity", "park", "a"])["changed"], json!(true));
    assert_eq!(ask(&config, &["entity", "park", "a"])["changed"], json!(false), "it was so already");
    host.kill();
    let host = world.host().await;
    world.publish(&[Input::event("a", 2), Input::event("a", 3), Input::event("b", 1)]).await;
    world.until_applied("b", 1).await;
    let list = ask(&config, &["entity", "list", "--state", "parked"]);
    assert_eq!((&list["entities"][0]["entity"], &list["entities"][0]["reason"]), (&json!("a"), &json!("operator")));
    assert_eq!(world.applied("a").await, Ok(1), "nothing of it is delivered");
    assert_eq!(ask(&config, &["entity", "resume", "a"])["changed"], json!(true));
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn a_dead_letter_is_given_again_once() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("1s")];
    flights.retry = vec![];
    let (host, config) = operated(&mut world).await;
    world.write_config("operator.toml", 0);
    world.publish_one(told("a", 1, &json!({ "do": "reject", "reason": "no" }))).await;
    world.until_count(DEAD_LETTERS, 1).await;
    let list = ask(&config, &["dead-letters", "list"]);
    assert_eq!((&list["dead_letters"][0]["reason"], &list["dead_letters"][0]["entity"]), (&json!("rejected"), &json!("a")));
    let number = list["dead_letters"][0]["stream_sequence"].to_string();
    let edited = world.path("edited.json");
    std::fs::write(&edited, r#"{"do":"echo"}"#).unwrap();
    let edit = edited.display().to_string();
    let done = ask(&config, &["dead-letters", "redrive", &number, "--edit", &edit]);
    assert!(done.to_string().contains("\"changed\":true"), "{done}");
    let again = ask(&config, &["dead-letters", "redrive", &number, "--edit", &edit]);
    assert!(again.to_string().contains("\"changed\":false"), "{again}");
    world.until_applied("a", 1).await;
    drop(host);
}
