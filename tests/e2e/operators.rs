//! Promise (G8, design §5.5): an operator is told why an entity does not move, and what is done about it is durable when it is answered, done once,
//! and keeps the order of everything else.

use crate::harness::misbehave::command as told;
use crate::harness::{DEAD_LETTERS, Input, Operator, World, misbehave, until};
use serde_json::{Value, json};

#[tokio::test]
async fn a_gap_is_explained_and_skipped() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.gap_wait = "1h";
    flights.gap_then = "park";
    let (host, operator) = Operator::with_host(&mut world).await;
    world.publish_one(Input::event("a", 1)).await;
    world.publish(&[Input::event("a", 4), Input::event("a", 5)]).await;
    world.publish_one(Input::event("b", 1)).await;
    world.until_applied("b", 1).await;

    let report = operator.ask(&["entity", "show", "a"]);
    let sentence = report["sentence"].as_str().unwrap();
    assert!(sentence.starts_with("a waits for events 2–3: ") && sentence.contains("came early"), "{sentence}");
    assert_eq!((&report["position"]["sequence"], &report["head"]["sequence"]), (&json!(1), &json!(2)));
    // A word names the place it means.
    operator.refused(&["entity", "skip", "a", "--sequence", "3"], &["2"]);
    assert_eq!(operator.ask(&["entity", "skip", "a", "--sequence", "2"])["changed"], json!(true));
    world.until_applied("a", 5).await;
    operator.refused(&["entity", "show", "nobody"], &["nobody"]);
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 4, 5])).await;
}

#[tokio::test]
async fn a_parked_entity_stays_parked_through_a_kill_and_goes_on_in_order() {
    let mut world = World::new().await;
    let (mut host, operator) = Operator::with_host(&mut world).await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    assert_eq!(operator.ask(&["entity", "park", "a"])["changed"], json!(true));
    assert_eq!(operator.ask(&["entity", "park", "a"])["changed"], json!(false), "it was so already");
    host.kill();
    let host = world.host().await;
    world.publish(&[Input::event("a", 2), Input::event("a", 3), Input::event("b", 1)]).await;
    world.until_applied("b", 1).await;
    let list = operator.ask(&["entity", "list", "--state", "parked"]);
    assert_eq!((&list["entities"][0]["entity"], &list["entities"][0]["reason"]), (&json!("a"), &json!("operator")));
    assert_eq!(world.applied("a").await, Ok(1), "nothing of it is delivered");
    assert_eq!(operator.ask(&["entity", "resume", "a"])["changed"], json!(true));
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn the_folder_of_a_stopped_host_tells_the_same_and_is_not_written_to() {
    let mut world = World::new().await;
    world.config.flights().gap_wait = "1h";
    let (mut host, operator) = Operator::with_host(&mut world).await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2), Input::event("a", 2).again(), Input::event("a", 4)]).await;
    world.until_applied("a", 2).await;
    until("a wait that is durable", async || {
        let report = operator.ask(&["entity", "show", "a"]);
        if report["waiting"].is_object() { Ok(()) } else { Err(report.to_string()) }
    })
    .await;
    let fates = |page: &Value| page["events"].as_array().unwrap().iter().map(|event| event["fate"].clone()).collect::<Vec<_>>();
    let history = operator.ask(&["entity", "history", "a"]);
    assert_eq!(fates(&history), ["finished", "finished", "finished", "waiting"]);
    host.stop().await;
    let store = world.path("store");
    let store = store.to_str().unwrap();
    for _ in 0..2 {
        assert_eq!(operator.ask(&["entity", "history", "a", "--store", store]), history);
    }
    let report = operator.ask(&["entity", "show", "a", "--store", store]);
    assert_eq!((&report["state"], &report["head"]["sequence"]), (&json!("waiting"), &json!(3)));
    let mut host = world.host().await;
    operator.refused(&["entity", "history", "a", "--store", store], &["is in use", "ask the running host"]);
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 4).await;
    host.stop().await;
    world.broker.kill();
    operator.refused(&["entity", "history", "a", "--store", store], &["an entity's events are in its stream"]);
    world.broker.again().await;
    let host = world.host().await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn a_dead_letter_is_given_again_once() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("1s")];
    flights.retry = vec![];
    let (host, operator) = Operator::with_host(&mut world).await;
    world.publish_one(told("a", 1, &json!({ "do": "reject", "reason": "no" }))).await;
    world.until_count(DEAD_LETTERS, 1).await;
    let list = operator.ask(&["dead-letters", "list"]);
    assert_eq!((&list["dead_letters"][0]["reason"], &list["dead_letters"][0]["entity"]), (&json!("rejected"), &json!("a")));
    let number = list["dead_letters"][0]["stream_sequence"].to_string();
    let edited = world.path("edited.json");
    std::fs::write(&edited, r#"{"do":"echo"}"#).unwrap();
    let edit = edited.display().to_string();
    let done = operator.ask(&["dead-letters", "redrive", &number, "--edit", &edit]);
    assert!(done.to_string().contains("\"changed\":true"), "{done}");
    let again = operator.ask(&["dead-letters", "redrive", &number, "--edit", &edit]);
    assert!(again.to_string().contains("\"changed\":false"), "{again}");
    world.until_applied("a", 1).await;
    drop(host);
}
