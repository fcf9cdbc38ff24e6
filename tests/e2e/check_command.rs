//! Promise (design §5.4): `seriatim check` names every fault of a config in one run, with its line, and starts nothing; exit code 78.

use crate::harness::{World, check};

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
    world.config.flights().handlers[0].limits = vec![("isolation", "shared")];
    let (code, out) = check(&world.write_config("shared.toml", 9));
    assert!(code == Some(0) && out.contains("pipeline flights: the handler echo runs `isolation = \"shared\"`"), "{out}");
    let host = world.host().await;
    assert!(host.log().contains("the handler runs shared"), "{}", host.log());
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
