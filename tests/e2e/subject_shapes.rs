//! Promise (design §3.7): an entity in a subject token is one entity on `flights.E` and on `flights.E.x`, in life and in a catch-up.

use crate::harness::{Input, World};

/// Every third event on the bare subject, the others below it.
fn mixed(entity: &str, sequence: u64) -> Input {
    let subject = match sequence % 3 {
        0 => format!("flights.{entity}"),
        1 => format!("flights.{entity}.departed"),
        _ => format!("flights.{entity}.arrived.late"),
    };
    Input::event(entity, sequence).on(&subject)
}

#[tokio::test]
async fn bare_and_longer_subjects_are_one_entity() {
    let mut world = World::new().await;
    let host = world.host().await;
    let inputs: Vec<_> = (1..=60).rev().map(|sequence| mixed("E", sequence)).collect();
    world.publish(&inputs).await;
    world.until_applied("E", 60).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn a_catch_up_reads_both_and_no_other_entity() {
    let mut world = World::new().await;
    world.config.flights().held_max = 5;
    let mut host = world.host().await;
    let inputs: Vec<_> = (2..=90).flat_map(|sequence| [mixed("E", sequence), mixed("EE", sequence), mixed("E-", sequence)]).collect();
    world.publish(&inputs).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], 3.0).await;
    host.kill();
    let host = world.host().await;
    for entity in ["E", "EE", "E-"] {
        world.publish_one(mixed(entity, 1)).await;
        world.until_applied(entity, 90).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
