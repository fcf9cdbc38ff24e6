//! Promise (G1, G2, G8): what becomes of a gap that never closes is the policy's choice, is named, and touches nobody else.
//! Likewise what becomes of the missing event when it comes after all.

use crate::harness::{DEAD_LETTERS, Host, Input, World, time_passes};
use std::time::Duration;

const GAP: [(&str, &str); 2] = [("pipeline", "flights"), ("reason", "gap")];

/// `a` misses its second event; returns the stream sequences of its third and fourth.
async fn open_gap(world: &mut World, then: &'static str, late: &'static str) -> (Host, u64, u64) {
    let flights = world.config.flights();
    flights.gap_wait = "2s";
    flights.gap_then = then;
    flights.late = late;
    let host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    let third = world.publish_one(Input::event("a", 3)).await;
    let fourth = world.publish_one(Input::event("a", 4)).await;
    world.sentinel().await;
    (host, third, fourth)
}

#[tokio::test]
async fn skip_goes_on_without_it_and_dead_letters_it_when_late() {
    let mut world = World::new().await;
    let (host, ..) = open_gap(&mut world, "skip", "dead-letter").await;
    world.until_applied("a", 4).await;
    let late = world.publish_one(Input::event("a", 2)).await;
    world.publish_one(Input::event("a", 5)).await;
    world.until_applied("a", 5).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3, 4, 5]).dead(late, "late")).await;
}

#[tokio::test]
async fn skip_and_drop_when_late() {
    let mut world = World::new().await;
    let (host, ..) = open_gap(&mut world, "skip", "drop").await;
    world.until_applied("a", 4).await;
    world.publish_one(Input::event("a", 2)).await;
    host.metric("seriatim_events_total", &[("pipeline", "flights"), ("outcome", "dropped_late")], 1.0).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3, 4])).await;
}

#[tokio::test]
async fn skip_and_deliver_when_late_once() {
    let mut world = World::new().await;
    let (host, ..) = open_gap(&mut world, "skip", "deliver").await;
    world.until_applied("a", 4).await;
    world.publish_one(Input::event("a", 2)).await;
    world.publish_one(Input::event("a", 2).again()).await;
    world.publish_one(Input::event("a", 5)).await;
    world.until_applied("a", 5).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 3, 4, 2, 5])).await;
}

#[tokio::test]
async fn dead_letter_gives_up_the_early_ones_and_still_takes_the_missing_one() {
    let mut world = World::new().await;
    let (host, third, fourth) = open_gap(&mut world, "dead-letter", "dead-letter").await;
    world.until_count(DEAD_LETTERS, 2).await;
    world.publish_one(Input::event("a", 2)).await;
    world.publish_one(Input::event("a", 5)).await;
    world.until_applied("a", 5).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("a", [1, 2, 5]).dead(third, "gap").dead(fourth, "gap")).await;
}

#[tokio::test]
async fn park_waits_for_it_for_ever() {
    let mut world = World::new().await;
    let (host, ..) = open_gap(&mut world, "park", "dead-letter").await;
    time_passes(Duration::from_secs(4)).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &GAP, 1.0).await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 4).await;
    host.metric("seriatim_waiting_entities", &GAP, 0.0).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn park_survives_a_restart() {
    let mut world = World::new().await;
    let (mut host, ..) = open_gap(&mut world, "park", "dead-letter").await;
    time_passes(Duration::from_secs(4)).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &GAP, 1.0).await;
    host.kill();
    let host = world.host().await;
    // It is listed with its reason, although nothing of it has been read since the start.
    host.metric("seriatim_waiting_entities", &GAP, 1.0).await;
    world.publish_one(Input::event("a", 5)).await;
    world.sentinel().await;
    host.metric("seriatim_waiting_entities", &GAP, 1.0).await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 5).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn stop_stops_this_pipeline_only_and_a_restart_tries_again() {
    let mut world = World::new().await;
    world.add_trains().await;
    let (mut host, ..) = open_gap(&mut world, "stop", "dead-letter").await;
    host.unready(&["flights", "stop"]).await;
    world.train_passes(1).await;
    host.stop().await;

    let mut host = world.launch(&[], "");
    host.unready(&["flights", "stop"]).await;
    world.train_passes(2).await;
    host.stop().await;

    world.config.flights().gap_wait = "10m";
    let host = world.host().await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 4).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
