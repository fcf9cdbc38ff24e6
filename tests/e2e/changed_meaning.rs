//! Promise (design §3.6): positions mean what subjects, entity and first sequence were when they were written. A config that changes one of
//! them refuses to start, names it and the flag that accepts it.

use crate::harness::{Config, Input, World};

/// Runs once, changes the config, and expects a refusal that names `words`; then accepts with `flags`.
async fn refused(change: impl FnOnce(&mut Config), words: &[&str], flags: &[&str]) -> World {
    let mut world = World::new().await;
    let mut host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 2)]).await;
    world.until_applied("a", 2).await;
    host.stop().await;
    let before = world.everything();
    change(&mut world.config);

    let mut host = world.launch(&[], "");
    host.refuses(words).await;
    host.refuses(&flags[..1]).await;
    drop(host);
    world.judge(&before).await;

    let mut host = world.launch(flags, "");
    host.ready().await;
    host.stop().await;
    // Accepted once, it is the meaning: the next start needs no flag.
    let mut host = world.host().await;
    host.stop().await;
    world
}

#[tokio::test]
async fn changed_subjects() {
    let change = |config: &mut Config| config.flights().subjects = vec!["flights.*"];
    let mut world = refused(change, &["flights", "subjects"], &["--accept-meaning", "flights"]).await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn changed_entity() {
    let change = |config: &mut Config| config.flights().entity = "header:Seriatim-Entity";
    refused(change, &["flights", "entity"], &["--accept-meaning", "flights"]).await;
}

#[tokio::test]
async fn changed_first_sequence() {
    let change = |config: &mut Config| config.flights().first_sequence = "\"any\"";
    refused(change, &["flights", "first-sequence"], &["--accept-meaning", "flights"]).await;
}

#[tokio::test]
async fn renamed_pipeline() {
    let change = |config: &mut Config| config.flights().name = "voyages";
    refused(change, &["flights"], &["--forget-pipeline", "flights"]).await;
}
