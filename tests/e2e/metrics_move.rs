//! Promise (docs/metrics.md): every metric of that page exists in a running host and moves when what it tells of happens.

use crate::harness::{Input, OUTPUTS, SOURCE, World, command, misbehave, telemetry, until};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Looks at metrics, and remembers which.
struct Seen<'a> {
    host: &'a crate::harness::Host,
    names: BTreeSet<&'static str>,
}

impl Seen<'_> {
    async fn at(&mut self, name: &'static str, labels: &[(&str, &str)], enough: impl Fn(f64) -> bool) {
        self.host.metric_until(name, labels, enough).await;
        self.names.insert(name);
    }

    /// A histogram has counted at least this often.
    async fn counted(&mut self, name: &'static str, labels: &[(&str, &str)], least: f64) {
        self.host.metric_until(&format!("{name}_count"), labels, |count| count >= least).await;
        self.names.insert(name);
    }
}

#[tokio::test]
async fn every_documented_metric_moves() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    (flights.failure_then, flights.retry, flights.gap_wait) = ("park", vec!["50ms"], "2s");
    flights.retain = Some("5s");
    flights.handlers = vec![misbehave("1s")];
    flights.breaker = "{ percent = 50, events = 4, entities = 2, delay = \"100ms\" }";
    let handler = [("pipeline", "flights"), ("handler", flights.handlers[0].name)];
    // Little is read ahead, so that a backlog is seen as one.
    world.config.run.push(("prefetch-messages", "2".to_owned()));
    let backlog: Vec<_> = (1..=10_000).map(|number: u64| Input::event(&format!("b{}", number % 100), number.div_ceil(100))).collect();
    world.publish(&backlog).await;
    let host = world.host().await;
    let mut seen = Seen { host: &host, names: BTreeSet::new() };
    seen.at("seriatim_stream_lag_messages", &[("pipeline", "flights")], |lag| lag > 0.0).await;
    seen.at("seriatim_stream_lag_messages", &[("pipeline", "flights")], |lag| lag == 0.0).await;
    seen.at("seriatim_build_info", &[], |one| one == 1.0).await;

    world.publish(&[Input::event("a", 1), Input::event("a", 1).again(), Input::event("a", 4), Input::event("a", 5)]).await;
    seen.at("seriatim_held_events", &[("pipeline", "flights")], |held| held == 2.0).await;
    seen.at("seriatim_disorder_total", &[("kind", "gap")], |gaps| gaps >= 1.0).await;
    seen.counted("seriatim_sequence_gap", &[], 1.0).await;
    seen.at("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], |waiting| waiting == 1.0).await;
    seen.at("seriatim_oldest_waiting_seconds", &[("pipeline", "flights")], |age| age > 0.0).await;
    seen.at("seriatim_parked_entities", &[("pipeline", "flights"), ("reason", "gap")], |parked| parked == 1.0).await;
    world.publish(&[Input::event("a", 2), Input::event("a", 3)]).await;
    world.until_applied("a", 5).await;
    for (name, labels) in [
        ("seriatim_held_events", &[][..]),
        ("seriatim_waiting_entities", &[][..]),
        ("seriatim_parked_entities", &[][..]),
        ("seriatim_oldest_waiting_seconds", &[][..]),
    ] {
        seen.at(name, labels, |back| back == 0.0).await;
    }
    seen.at("seriatim_live_entities", &[("pipeline", "flights")], |live| live >= 101.0).await;
    seen.at("seriatim_events_total", &[("outcome", "applied")], |applied| applied >= 10_005.0).await;
    seen.at("seriatim_events_total", &[("outcome", "duplicate")], |duplicates| duplicates >= 1.0).await;
    seen.counted("seriatim_processing_lag_seconds", &[], 10_005.0).await;
    seen.counted("seriatim_entity_wait_seconds", &[], 10_005.0).await;
    seen.counted("seriatim_handler_duration_seconds", &handler, 10_005.0).await;
    seen.counted("seriatim_commit_duration_seconds", &[], 1.0).await;
    seen.counted("seriatim_commit_changes", &[], 1.0).await;
    seen.at("seriatim_lifecycle_events_total", &[("outcome", "sent")], |sent| sent >= 1.0).await;

    world.publish_one(Input::event("a", 6).header("Seriatim-Sequence", "six")).await;
    seen.at("seriatim_dead_letters_total", &[("pipeline", "flights"), ("reason", "malformed")], |dead| dead == 1.0).await;
    seen.at("seriatim_events_total", &[("outcome", "dead_lettered")], |dead| dead == 1.0).await;

    world.close(OUTPUTS).await;
    world.publish_one(Input::event("blocked", 1)).await;
    seen.at("seriatim_outbox_entries", &[("pipeline", "flights")], |entries| entries >= 1.0).await;
    world.open(OUTPUTS).await;
    seen.at("seriatim_outbox_entries", &[("pipeline", "flights")], |entries| entries == 0.0).await;
    seen.at("seriatim_outputs_total", &handler, |outputs| outputs >= 10_006.0).await;

    let stuck = world.publish_one(command("stuck", 1, &json!({ "do": "trap", "message": "why" }))).await;
    seen.at("seriatim_handler_failures_total", &[handler[0], handler[1], ("kind", "trap")], |failures| failures == 2.0).await;
    seen.at("seriatim_retries_total", &handler, |retries| retries == 1.0).await;
    // The stream keeps ten messages, of which the parked one is the first.
    world.trim(SOURCE, stuck).await;
    world.alter(SOURCE, |config| config.max_messages = 10).await;
    world.publish(&(1..=8).map(|sequence| Input::event("busy", sequence)).collect::<Vec<_>>()).await;
    seen.at("seriatim_retention_left_ratio", &[("pipeline", "flights")], |left| left < 0.11).await;
    world.publish_one(Input::event("busy", 9)).await;
    seen.at("seriatim_retention_near_entities", &[("pipeline", "flights")], |near| near == 1.0).await;

    let broken = |entity| command(entity, 1, &json!({ "do": "trap" }));
    world.publish(&[broken("broken1"), broken("broken2")]).await;
    seen.at("seriatim_breaker_open", &handler, |open| open == 1.0).await;
    // It closes by a probe that succeeds; with nobody left to probe with, it stays open until an event comes: so one more comes, again and again.
    let mut sequence = 9;
    until("the breaker to close", async || {
        sequence += 1;
        world.publish_one(Input::event("busy", sequence)).await;
        let (_, text) = telemetry::get(host.port(), "/metrics").await?;
        let open = telemetry::sum(&text, "seriatim_breaker_open", &handler);
        let parked = telemetry::sum(&text, "seriatim_parked_entities", &[("reason", "trap")]);
        if open == 0.0 && parked == 3.0 { Ok(()) } else { Err(format!("open: {open}, parked: {parked}")) }
    })
    .await;
    seen.at("seriatim_entities_retired_total", &[("pipeline", "flights")], |retired| retired >= 1.0).await;

    world.broker.kill();
    world.broker.again().await;
    seen.at("seriatim_reader_restarts_total", &[("pipeline", "flights")], |restarts| restarts >= 1.0).await;

    let (_, text) = telemetry::get(host.port(), "/metrics").await.expect("metrics");
    assert!(text.contains("seriatim_build_info"));
    let names = documented();
    let missing: Vec<_> = names.iter().filter(|name| !seen.names.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "documented, and nobody has seen it move: {missing:?}");
}

/// The metrics of docs/metrics.md.
fn documented() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/metrics.md");
    let text = fs::read_to_string(page).expect("docs/metrics.md");
    let names = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    names.map(|(name, _)| name.to_owned()).filter(|name| name.starts_with("seriatim_")).collect()
}
