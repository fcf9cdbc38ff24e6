//! Promise (docs/configuration.md, "The circuit breaker"; G8): when a handler breaks for everybody, its pipeline's entities wait instead of being
//! dead-lettered, and go on in order when it is well again or an operator says so. A few poisoned entities are no reason to stop.

use crate::harness::config::Handler;
use crate::harness::host::command as run;
use crate::harness::misbehave::command;
use crate::harness::{DEAD_LETTERS, Host, Input, World, misbehave, ports, telemetry, until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const EVENTS: &str = "EVENTS";
const HANDLER: [(&str, &str); 2] = [("pipeline", "flights"), ("handler", "echo")];
const WAITING: [(&str, &str); 2] = [("pipeline", "flights"), ("reason", "breaker")];

/// With so much memory the handler can do what the events ask of it, or with too little for any of them.
fn handler(memory: &'static str) -> Handler {
    let mut handler = misbehave("5s");
    handler.limits.push(("memory-max", memory));
    handler
}

/// A world in which a breaker opens after ten failures, with an admin API whose port is known.
async fn world() -> (World, PathBuf) {
    let mut world = World::new().await;
    world.stream(EVENTS, "seriatim.events.>", |_| ()).await;
    world.config.admin = ports::free();
    let flights = world.config.flights();
    flights.breaker = "{ percent = 50, events = 20, entities = 3, delay = \"300ms\", delay-max = \"1s\" }";
    let config = world.write_config("operator.toml", 0);
    (world, config)
}

/// Runs a command of the operator's; its standard output as JSON.
fn ask(config: &Path, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json", "--log", "error"]).collect();
    let (code, out) = run(config, &args);
    assert_eq!(code, Some(0), "{args:?}: {out}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
}

/// How many lifecycle events of this kind there are, at least.
async fn until_told(world: &World, kind: &str, least: usize) {
    until(&format!("{least} events {kind}"), async || {
        let kept = world.read(EVENTS).await;
        let found = kept.iter().filter(|kept| kept.subject == format!("seriatim.events.flights.{kind}")).count();
        if found >= least { Ok(()) } else { Err(format!("{found}")) }
    })
    .await;
}

async fn value(host: &Host, name: &str, labels: &[(&str, &str)]) -> f64 {
    let (_, text) = telemetry::get(host.port(), "/metrics").await.expect("metrics");
    telemetry::sum(&text, name, labels)
}

#[tokio::test]
async fn everybody_waits_through_kills_until_the_handler_is_well() {
    const ENTITIES: usize = 400;
    let (mut world, config) = world().await;
    let flights = world.config.flights();
    flights.handlers = vec![handler("8MiB")];
    // Without a breaker all of them would be dead letters within moments.
    flights.retry = vec!["2s", "2s", "2s", "2s"];
    let mut host = world.host().await;
    let grow = json!({ "do": "grow", "mib": 12 });
    let each = |sequence| (0..ENTITIES).map(|entity| command(&format!("e{entity}"), sequence, &grow)).collect::<Vec<_>>();
    world.publish(&each(1)).await;
    world.publish(&each(2)).await;

    host.metric("seriatim_breaker_open", &HANDLER, 1.0).await;
    host.metric_until("seriatim_waiting_entities", &WAITING, |waiting| waiting >= 380.0).await;
    host.unready(&["handler echo fails so often"]).await;
    until_told(&world, "breaker-opened", 1).await;
    let list = ask(&config, &["breaker", "list"]);
    assert_eq!((&list[0]["name"], &list[0]["breaker"]["handler"]), (&json!("flights"), &json!("echo")), "{list}");
    until("an entity that says why it waits", async || {
        let list = ask(&config, &["entity", "list", "--reason", "breaker"]);
        let shown = ask(&config, &["entity", "show", list["entities"][0]["entity"].as_str().unwrap_or_default()]);
        let sentence = shown["sentence"].as_str().unwrap_or_default();
        let told = sentence.contains("waits since") && sentence.contains("circuit breaker") && shown["waiting"]["reason"] == "breaker";
        if told { Ok(()) } else { Err(shown.to_string()) }
    })
    .await;

    // Many probes later hardly anybody has been called, and nothing is given up.
    until("probes that failed", async || {
        let failed = host.log().matches("the probe failed").count();
        if failed >= 4 { Ok(()) } else { Err(format!("{failed}")) }
    })
    .await;
    let failures = value(&host, "seriatim_handler_failures_total", &HANDLER).await;
    assert!((10.0..100.0).contains(&failures), "{failures} failed calls");

    // An operator who is wrong is told so by the next failures.
    let (code, out) = run(&config, &["breaker", "close", "rotation"]);
    assert!(code == Some(1) && out.contains("no handler"), "{out}");
    assert_eq!(ask(&config, &["breaker", "close", "echo"])["changed"], json!(true));
    until_told(&world, "breaker-closed", 1).await;
    until_told(&world, "breaker-opened", 2).await;
    let failures = value(&host, "seriatim_handler_failures_total", &HANDLER).await;
    assert!(failures < 200.0, "{failures} failed calls");

    // It starts closed, and opens again.
    host.kill();
    let mut host = world.launch(&[], "");
    host.metric("seriatim_breaker_open", &HANDLER, 1.0).await;
    until_told(&world, "breaker-opened", 3).await;
    world.publish(&each(3)).await;
    host.metric_until("seriatim_waiting_entities", &WAITING, |waiting| waiting > 300.0).await;
    host.kill();

    world.config.flights().handlers = vec![handler("64MiB")];
    let host = world.host().await;
    for entity in 0..ENTITIES {
        world.until_applied(&format!("e{entity}"), 3).await;
    }
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights")], 0.0).await;
    assert!(value(&host, "seriatim_breaker_open", &HANDLER).await < 0.5);
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn a_probe_that_succeeds_lets_everybody_go_on() {
    const BROKEN: usize = 12;
    const HEALTHY: usize = 300;
    let (mut world, _) = world().await;
    let flights = world.config.flights();
    flights.breaker = "{ percent = 50, events = 20, entities = 3, delay = \"3s\" }";
    flights.handlers = vec![misbehave("5s")];
    // They are not tried again within this test.
    flights.retry = vec!["1h"];
    let mut host = world.host().await;
    let broken: Vec<_> = (0..BROKEN).map(|entity| command(&format!("broken{entity}"), 1, &json!({ "do": "trap" }))).collect();
    world.publish(&broken).await;
    host.metric("seriatim_breaker_open", &HANDLER, 1.0).await;
    let healthy = |sequence| (0..HEALTHY).map(move |entity| Input::event(&format!("h{entity}"), sequence));
    world.publish(&healthy(1).chain(healthy(2)).collect::<Vec<_>>()).await;
    for entity in 0..HEALTHY {
        world.until_applied(&format!("h{entity}"), 2).await;
    }
    until_told(&world, "breaker-closed", 1).await;
    host.ready().await;
    host.metric("seriatim_breaker_open", &HANDLER, 0.0).await;
    host.metric("seriatim_waiting_entities", &WAITING, 0.0).await;
    let kept = world.read(EVENTS).await;
    let waited = kept.iter().filter(|kept| String::from_utf8_lossy(&kept.payload).contains("\"reason\":\"breaker\"")).count();
    assert!(waited > 0, "nobody had to wait");
    world.settle(host).await;
    let expected = (0..BROKEN).fold(world.everything(), |expected, entity| expected.outputs(&format!("broken{entity}"), []));
    world.judge(&expected).await;
}

#[tokio::test]
async fn poisoned_entities_do_not_open_it() {
    const POISON: u64 = 60;
    let (mut world, _) = world().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("5s")];
    flights.retry = vec![];
    let host = world.host().await;
    let mut expected = Vec::new();
    for sequence in 1..=POISON {
        for entity in ["one", "two"] {
            expected.push(world.publish_one(command(entity, sequence, &json!({ "do": "trap" }))).await);
        }
    }
    world.publish(&(1..=20).map(|sequence| Input::event("healthy", sequence)).collect::<Vec<_>>()).await;
    world.until_count(DEAD_LETTERS, expected.len()).await;
    world.until_applied("healthy", 20).await;
    assert!(!host.log().contains("circuit breaker"), "it opened");
    world.settle(host).await;
    let judged = world.everything().outputs("one", []).outputs("two", []);
    world.judge(&expected.into_iter().fold(judged, |judged, poison| judged.dead(poison, "trap"))).await;
}
