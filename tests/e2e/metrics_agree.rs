//! Promise (docs/metrics.md): the sums are true: after a run with duplicates, conflicts, gaps, late events and failures, the counters say what the
//! judge counts from the outside, and each message of the stream is in exactly one of them.

use super::judged_by_the_laws::{judge, mess, run};
use crate::harness::{Input, OUTPUTS, Random, World, misbehave};
use seriatim_tests::checker::laws::{Failing, Hole, LateRule, Rules};

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).expect("a small number"))
}

#[tokio::test]
async fn events_held_by_an_entity_that_leaves_memory_are_not_counted_as_held() {
    const FLIGHTS: &[(&str, &str)] = &[("pipeline", "flights")];
    let mut world = World::new().await;
    world.config.run.push(("entities-max", "1000".to_owned()));
    let host = world.host().await;
    world.publish(&[Input::event("gap", 1), Input::event("gap", 3), Input::event("gap", 4)]).await;
    host.metric("seriatim_held_events", FLIGHTS, 2.0).await;
    host.metric("seriatim_waiting_entities", &[FLIGHTS[0], ("reason", "gap")], 1.0).await;
    world.publish(&(0..4_000).map(|number| Input::event(&format!("e{number}"), 1)).collect::<Vec<_>>()).await;
    world.until_count(OUTPUTS, 4_001).await;
    host.metric("seriatim_held_events", FLIGHTS, 0.0).await;
    host.metric("seriatim_waiting_entities", &[FLIGHTS[0], ("reason", "gap")], 1.0).await;
    world.publish_one(Input::event("gap", 2)).await;
    world.until_applied("gap", 4).await;
    host.metric("seriatim_held_events", FLIGHTS, 0.0).await;
}

#[tokio::test]
async fn the_counters_say_what_the_judge_counts() {
    const ENTITIES: usize = 24;
    const FLIGHTS: (&str, &str) = ("pipeline", "flights");
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.handlers = vec![misbehave("1s")];
    (flights.gap_wait, flights.gap_then) = ("2s", "skip");
    let handler = flights.handlers[0].name;
    let rules = Rules {
        handler: handler.to_owned(),
        hole: Hole::Skip,
        late: LateRule::DeadLetter,
        failing: Failing::DeadLetter,
        attempts: 3,
        held_max: 1000,
        ids: 64,
        ..Rules::default()
    };
    let (early, late, plan) = mess(&mut Random::new(11), ENTITIES);
    let host = world.host().await;
    world.publish(&early).await;
    for entity in 0..ENTITIES {
        world.until_applied(&format!("m{entity}"), 20).await;
    }
    world.publish(&late).await;
    world.publish_one(Input::event("last", 1)).await;
    // Everything that was published has come to its end.
    let all = float(u64::try_from(world.sent.len()).expect("a small number"));
    host.metric("seriatim_events_total", &[FLIGHTS], all).await;
    host.metric("seriatim_waiting_entities", &[FLIGHTS], 0.0).await;
    host.metric("seriatim_outbox_entries", &[FLIGHTS], 0.0).await;
    host.metric("seriatim_held_events", &[FLIGHTS], 0.0).await;

    // The judge reads the store of a host that has ended: what this one counted is kept.
    let (_, scraped) = crate::harness::telemetry::get(host.port(), "/metrics").await.expect("metrics");
    let sum = |name: &str, labels: &[(&str, &str)]| crate::harness::telemetry::sum(&scraped, name, labels);
    let mut host = host;
    host.stop().await;
    let settled = run(&mut world, &plan, &rules, true).await;
    let counts = judge(&settled);
    let agree = |name: &str, labels: &[(&str, &str)], counted: u64| {
        let told = sum(name, labels);
        assert!((told - float(counted)).abs() < 1e-9, "{name}{labels:?} says {told}, counted were {counted}: {counts:?}");
    };
    agree("seriatim_events_total", &[FLIGHTS, ("outcome", "applied")], counts.applied);
    agree("seriatim_events_total", &[FLIGHTS, ("outcome", "duplicate")], counts.duplicates);
    agree("seriatim_events_total", &[FLIGHTS, ("outcome", "dropped_late")], counts.dropped_late);
    agree("seriatim_events_total", &[FLIGHTS, ("outcome", "dead_lettered")], counts.dead.values().sum());
    agree("seriatim_events_total", &[], counts.messages);
    for (reason, count) in &counts.dead {
        agree("seriatim_dead_letters_total", &[FLIGHTS, ("reason", reason)], *count);
    }
    agree("seriatim_dead_letters_total", &[], counts.dead.values().sum());
    agree("seriatim_disorder_total", &[FLIGHTS, ("kind", "conflict")], counts.conflicts);
    agree("seriatim_disorder_total", &[FLIGHTS, ("kind", "late")], counts.late);
    agree("seriatim_outputs_total", &[FLIGHTS, ("handler", handler)], world.read(OUTPUTS).await.len() as u64);
    agree("seriatim_processing_lag_seconds_count", &[FLIGHTS], counts.applied);
    agree("seriatim_sequence_gap_count", &[FLIGHTS], sum("seriatim_disorder_total", &[("kind", "gap")]) as u64);
    // So that this does not agree by counting nothing.
    assert!(counts.duplicates > 50 && counts.given_up > 0 && counts.late > 0 && counts.conflicts > 0, "{counts:?}");
    assert!(["late", "conflict", "malformed", "rejected", "trap"].iter().all(|reason| counts.dead[*reason] > 0), "{counts:?}");
}
