//! Promise (G2, G8): while an event is missing, the later ones of its entity wait and nobody else does; when it comes, they go on in order.

use crate::harness::{Input, World};

#[tokio::test]
async fn held_events_go_on_when_the_missing_one_comes() {
    let mut world = World::new().await;
    let host = world.host().await;
    world.publish(&[Input::event("a", 1), Input::event("a", 4), Input::event("a", 3), Input::event("a", 6)]).await;
    world.publish(&[Input::event("b", 1), Input::event("b", 2)]).await;
    world.until_applied("b", 2).await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], 1.0).await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 4).await;
    world.publish_one(Input::event("a", 5)).await;
    world.until_applied("a", 6).await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], 0.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn more_early_events_than_are_held() {
    let mut world = World::new().await;
    world.config.flights().held_max = 10;
    let host = world.host().await;
    let mut inputs: Vec<_> = (2..=200).map(|sequence| Input::event("a", sequence)).collect();
    inputs.reverse();
    world.publish(&inputs).await;
    world.sentinel().await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 200).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn an_entity_that_starts_anywhere_takes_the_lowest_seen() {
    let mut world = World::new().await;
    world.config.flights().first_sequence = "\"any\"";
    world.config.flights().gap_wait = "1s";
    let host = world.host().await;
    world.publish(&[Input::event("a", 9), Input::event("a", 7), Input::event("a", 8)]).await;
    world.until_applied("a", 9).await;
    let late = world.publish_one(Input::event("a", 6)).await;
    world.publish_one(Input::event("a", 10)).await;
    world.until_applied("a", 10).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [7, 8, 9, 10]).dead(late, "late")).await;
}
