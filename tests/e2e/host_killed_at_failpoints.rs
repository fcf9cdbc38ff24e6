//! Promise (G1–G4): a crash at each boundary between deciding, committing, publishing, confirming and pruning costs nothing.
//! The catch-up's own boundaries are in `killed_around_a_catch_up_commit.rs`.

use crate::harness::{Random, World, die_after, shuffled};

/// Kills the host at `point` after a few different numbers of hits, one after the other on the same store; then lets it finish.
async fn dies_at(point: &str) {
    let mut world = World::new().await;
    let inputs = shuffled(&mut Random::new(41), 10, 60, 30);
    let mut parts = inputs.chunks(inputs.len() / 4 + 1);
    for hits in [0, 1, 7] {
        world.publish(parts.next().expect("a part to publish")).await;
        let mut host = world.launch(&[], &die_after(hits, point));
        world.busy_until_over(&mut host).await;
    }
    for part in parts {
        world.publish(part).await;
    }
    let host = world.host().await;
    for entity in 0..10 {
        world.until_applied(&format!("e{entity}"), 60).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn before_a_commit() {
    dies_at("commit-before").await;
}

#[tokio::test]
async fn after_a_commit() {
    dies_at("commit-after").await;
}

#[tokio::test]
async fn before_a_publication() {
    dies_at("publish-before").await;
}

#[tokio::test]
async fn after_a_publication() {
    dies_at("publish-after").await;
}

#[tokio::test]
async fn before_a_confirmation() {
    dies_at("confirm-before").await;
}

#[tokio::test]
async fn after_a_confirmation() {
    dies_at("confirm-after").await;
}

#[tokio::test]
async fn before_a_prune() {
    dies_at("prune-before").await;
}

#[tokio::test]
async fn after_a_prune() {
    dies_at("prune-after").await;
}
