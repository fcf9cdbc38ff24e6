//! Promise (G2): events that reach the stream shuffled are applied in their entity's order, each once.

use crate::harness::{Input, Random, World, shuffled};

#[tokio::test]
async fn shuffled_events_come_out_in_order() {
    let mut world = World::new().await;
    let inputs = shuffled(&mut Random::new(11), 20, 100, 200);
    let (before, after) = inputs.split_at(inputs.len() / 2);
    world.publish(before).await;
    let host = world.host().await;
    world.publish(after).await;
    for entity in 0..20 {
        world.until_applied(&format!("e{entity}"), 100).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn a_reversed_history_comes_out_in_order() {
    let mut world = World::new().await;
    let inputs: Vec<_> = (1..=500).rev().map(|sequence| Input::event("a", sequence)).collect();
    let host = world.host().await;
    world.publish(&inputs).await;
    world.until_applied("a", 500).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn entities_with_awkward_names_stay_apart() {
    let mut world = World::new().await;
    let names = ["ü", "a=b", "a", "A", "50%", "x:y", "E-1_", "a=3Db", "\"q\""];
    let host = world.host().await;
    for sequence in [2, 1, 3] {
        let inputs: Vec<_> = names.iter().map(|name| Input::event(name, sequence)).collect();
        world.publish(&inputs).await;
    }
    for name in names {
        world.until_applied(name, 3).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
