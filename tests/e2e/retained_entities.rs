//! Promise (G3, docs/configuration.md "Retention of entities"): state and ids of an entity that was not seen for `retain` go, where it stands stays;
//! what waits or owes is never touched; and a crash in the middle of a sweep costs nothing.

use crate::harness::{Host, Input, OUTPUTS, Operator, World, die_after, time_passes, until};
use serde_json::{Value, json};
use std::time::Duration;

fn state(operator: &Operator, entity: &str) -> Vec<Value> {
    operator.ask(&["entity", "state", entity])["entries"].as_array().expect("entries").clone()
}

/// Sequence and `Echo-Count`, which is kept in the handler's state, of an entity's outputs.
async fn outputs(world: &World, entity: &str) -> Vec<(u64, u64)> {
    let number = |text: Option<&str>| text.and_then(|text| text.parse().ok()).expect("a number");
    let all = world.read(OUTPUTS).await;
    let own = all.iter().filter(|kept| kept.subject == format!("echo.{entity}"));
    own.map(|kept| (number(kept.header("Echo-Sequence")), number(kept.header("Echo-Count")))).collect()
}

const RETIRED: (&str, &[(&str, &str)]) = ("seriatim_entities_retired_total", &[("pipeline", "flights")]);

#[tokio::test]
async fn who_was_not_seen_goes_and_where_it_stands_stays() {
    let mut world = World::new().await;
    world.config.flights().retain = Some("2s");
    let (host, operator) = Operator::with_host(&mut world).await;
    world
        .publish(&[("a", 1), ("a", 2), ("gap", 1), ("gap", 3), ("parked", 1)].map(|(entity, sequence)| Input::event(entity, sequence)))
        .await;
    for (entity, sequence) in [("a", 2), ("gap", 1), ("parked", 1)] {
        world.until_applied(entity, sequence).await;
    }
    assert_eq!(operator.ask(&["entity", "park", "parked"])["changed"], json!(true));
    world.close(OUTPUTS).await;
    world.publish_one(Input::event("owing", 1)).await;
    host.metric_until(RETIRED.0, RETIRED.1, |retired| retired >= 1.0).await;
    // All the others are old enough by then, too.
    time_passes(Duration::from_secs(4)).await;
    host.metric(RETIRED.0, RETIRED.1, 1.0).await;
    assert!(host.log().contains("had not been seen for that long"), "a line for the sweep that did something");
    assert_eq!(state(&operator, "a"), Vec::<Value>::new());
    assert_eq!(operator.ask(&["entity", "show", "a"])["position"]["sequence"], json!(2));
    for entity in ["gap", "parked", "owing"] {
        assert!(!state(&operator, entity).is_empty(), "{entity} has something to do");
    }
    world.open(OUTPUTS).await;
    world.until_applied("owing", 1).await;
    world.publish(&[Input::event("a", 2).again(), Input::event("a", 3), Input::event("gap", 2), Input::event("parked", 2)]).await;
    assert_eq!(operator.ask(&["entity", "resume", "parked"])["changed"], json!(true));
    for (entity, sequence) in [("a", 3), ("gap", 3), ("parked", 2)] {
        world.until_applied(entity, sequence).await;
    }
    host.metric_until("seriatim_events_total", &[("outcome", "duplicate")], |duplicates| duplicates == 1.0).await;
    world.settle(host).await;
    assert_eq!(outputs(&world, "a").await, [(1, 1), (2, 2), (3, 1)], "the state began anew, the order did not");
    assert_eq!(outputs(&world, "gap").await, [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(outputs(&world, "parked").await, [(1, 1), (2, 2)]);
    assert_eq!(outputs(&world, "owing").await, [(1, 1)]);
}

#[tokio::test]
async fn killed_in_the_middle_of_a_sweep() {
    const ENTITIES: u64 = 60;
    let names: Vec<_> = (0..ENTITIES).map(|number| format!("e{number}")).collect();
    let mut world = World::new().await;
    world.config.flights().retain = Some("2s");
    world.publish(&names.iter().map(|name| Input::event(name, 1)).collect::<Vec<_>>()).await;
    for (hits, point) in [(0, "erase-before"), (0, "erase-after"), (1, "erase-before"), (1, "erase-after")] {
        let mut host: Host = world.launch(&[], &die_after(hits, point));
        host.ended().await;
    }
    let (host, operator) = Operator::with_host(&mut world).await;
    for name in &names {
        until("an entity without state", async || match state(&operator, name).len() {
            0 => Ok(()),
            entries => Err(format!("{name} has {entries} entries")),
        })
        .await;
    }
    let more = names.iter().flat_map(|name| [Input::event(name, 1).again(), Input::event(name, 2)]);
    world.publish(&more.collect::<Vec<_>>()).await;
    for name in &names {
        world.until_applied(name, 2).await;
    }
    world.settle(host).await;
    for name in &names {
        assert_eq!(outputs(&world, name).await, [(1, 1), (2, 1)], "{name}");
    }
}
