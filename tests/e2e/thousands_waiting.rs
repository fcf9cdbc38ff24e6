//! Promise (G7, G8): thousands of entities may wait at once, across a restart, and each goes on when its event comes.

use crate::harness::{Input, OUTPUTS, Random, World};

const ENTITIES: usize = 3000;
const GAP: [(&str, &str); 2] = [("pipeline", "flights"), ("reason", "gap")];

fn each(sequence: u64) -> Vec<Input> {
    (0..ENTITIES).map(|entity| Input::event(&format!("e{entity}"), sequence)).collect()
}

#[tokio::test]
async fn thousands_of_gaps_across_a_restart() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&each(3)).await;
    world.publish(&each(2)).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &GAP, 3000.0).await;
    host.kill();

    let host = world.host().await;
    let mut missing = each(1);
    let mut random = Random::new(83);
    for at in (1..missing.len()).rev() {
        missing.swap(at, random.below(at + 1));
    }
    world.publish(&missing).await;
    world.until_count(OUTPUTS, ENTITIES * 3 + 1).await;
    host.metric("seriatim_waiting_entities", &GAP, 0.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// With little room in memory for held events, most of them have to be read again.
#[tokio::test]
async fn hundreds_of_gaps_past_what_may_be_held() {
    let mut world = World::new().await;
    world.config.flights().held_max = 2;
    world.config.run.push(("catch-ups-max", "4".to_owned()));
    let mut host = world.host().await;
    let inputs: Vec<_> = (2..=8).flat_map(|sequence| (0..300).map(move |entity| Input::event(&format!("e{entity}"), sequence))).collect();
    world.publish(&inputs).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &GAP, 300.0).await;
    host.kill();

    let host = world.host().await;
    world.publish(&each(1)[..300]).await;
    world.until_count(OUTPUTS, 300 * 8 + 1).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
