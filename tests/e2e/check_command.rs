//! Promise (design §5.4): `seriatim check` names every fault of a config in one run, with its line, and starts nothing; exit code 78.

use crate::harness::config::Handler;
use crate::harness::{World, check};
use serde_json::Value;

#[tokio::test]
async fn ten_faults_are_ten_lines() {
    let world = World::new().await;
    let text = r#"[nats]
servers = ["ftp://127.0.0.1:4222"]
[store]
kind = "jetstream"
path = "store"
[telemetry]
listen = "nowhere"
[run]
queue-max = 0
colour = "red"
[pipelines.flights]
stream = "FLIGHTS"
subjects = []
[pipelines.flights.event]
entity = "token:2"
[pipelines.flights.order]
gap = { wait = "soon", then = "forget" }
late = "ignore"
[[pipelines.flights.handlers]]
name = "Echo!"
component = "echo.wasm"
time-max = "0s"
"#;
    let file = world.path("ten-faults.toml");
    std::fs::write(&file, text).expect("a config file in the test's folder");
    let (code, out) = check(&file);
    assert_eq!(code, Some(78), "{out}");
    for (line, key) in [
        (2, "servers"),
        (4, "kind"),
        (7, "listen"),
        (9, "queue-max"),
        (10, "colour"),
        (13, "subjects"),
        (15, "entity"),
        (17, "wait"),
        (17, "then"),
        (18, "late"),
    ] {
        let place = format!("ten-faults.toml:{line}:");
        let told = out.lines().any(|told| told.contains(&place) && told.contains(key));
        assert!(told, "no line names {place} {key}:\n{out}");
    }
}

#[tokio::test]
async fn handlers_that_run_shared_are_named_by_check_and_at_the_start() {
    let mut world = World::new().await;
    world.add_trains().await;
    let shared = |name| Handler { name, limits: vec![("isolation", "shared")], ..Handler::echo() };
    // In each pipeline one that does and one that does not, by names that say where.
    world.config.flights().handlers = vec![shared("loud"), Handler { name: "quiet", ..Handler::echo() }];
    let trains = world.config.pipelines[1].handlers.remove(0);
    let alone = Handler { name: "alone", limits: vec![("isolation", "event")], ..trains.clone() };
    world.config.pipelines[1].handlers = vec![alone, Handler { to: trains.to, outputs: trains.outputs, ..shared("open") }];
    let expected = [("flights", "loud"), ("trains", "open")];

    let (code, out) = check(&world.write_config("shared.toml", 9));
    assert_eq!(code, Some(0), "{out}");
    let told: Vec<_> = out.lines().filter(|line| line.contains("isolation = \"shared\"")).collect();
    assert_eq!(told.len(), expected.len(), "{out}");
    for (told, (pipeline, handler)) in told.iter().zip(expected) {
        assert!(told.contains(&format!("pipeline {pipeline}: the handler {handler} runs `isolation = \"shared\"`")), "{out}");
    }

    let host = world.host().await;
    let log = host.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told = lines.iter().filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with("the handler runs shared")));
    let told: Vec<_> = told.map(|line| (line["pipeline"].as_str().unwrap_or(""), line["handler"].as_str().unwrap_or(""))).collect();
    assert_eq!(told, expected, "{log}");
}

#[tokio::test]
async fn a_good_config_passes_and_starts_nothing() {
    let world = World::new().await;
    let file = world.write_config("good.toml", 9);
    let (code, out) = check(&file);
    assert_eq!(code, Some(0), "{out}");
    assert!(!world.config.store.exists(), "check makes no store");
    assert!(world.js.get_stream(crate::harness::DEAD_LETTERS).await.is_err(), "check makes no stream");
}
