//! Promise (G1–G4, G8): an entity that waits with more than it may hold is caught up after a crash at any point: in particular between the
//! commit of the event that was missing and the first commit of the catch-up.

use crate::harness::{Input, World, die_after, die_at};

/// `a` waits for its first event with far more than it may hold; then the first event comes to a host that dies as told.
async fn dies(failpoints: &[String]) {
    let mut world = World::new().await;
    world.config.flights().held_max = 5;
    let mut host = world.host().await;
    let inputs: Vec<_> = (2..=60).map(|sequence| Input::event("a", sequence)).collect();
    world.publish(&inputs).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], 1.0).await;
    host.kill();

    world.publish_one(Input::event("a", 1)).await;
    for failpoints in failpoints {
        let mut host = world.launch(&[], failpoints);
        world.busy_until_over(&mut host).await;
    }
    let host = world.host().await;
    world.until_applied("a", 60).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn before_its_first_commit() {
    dies(&[die_at("catch-up-commit-before")]).await;
}

#[tokio::test]
async fn after_its_first_commit() {
    dies(&[die_at("catch-up-commit-after")]).await;
}

#[tokio::test]
async fn in_the_middle_again_and_again() {
    dies(&[die_at("catch-up-commit-before"), die_after(1, "commit-after"), die_after(3, "publish-after"), die_after(5, "commit-before")])
        .await;
}
