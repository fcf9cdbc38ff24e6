//! Promise (G8; design §3.7): entities that the broker cannot filter share one scan, and catch up with it while they and others go on receiving events.

use crate::harness::{Input, OUTPUTS, World};

const ENTITIES: usize = 40;
const BACKLOG: u64 = 12;
const LATER: u64 = 40;

fn each(sequence: u64) -> Vec<Input> {
    (0..ENTITIES).map(|entity| Input::event(&format!("e{entity}"), sequence)).collect()
}

#[tokio::test]
async fn busy_entities_in_the_payload_catch_up() {
    let mut world = World::new().await;
    let flights = world.config.flights();
    flights.entity = "json:/entity";
    flights.held_max = 3;
    world.config.run.push(("queue-max", "2".to_owned()));
    let host = world.host().await;
    for sequence in 2..=BACKLOG {
        world.publish(&each(sequence)).await;
    }
    world.publish(&each(1)).await;
    // Each round reaches entities that are catching up: it is dropped, or joins them, and extends what they read.
    for sequence in BACKLOG + 1..=LATER {
        world.publish(&each(sequence)).await;
    }
    world.until_count(OUTPUTS, ENTITIES * usize::try_from(LATER).expect("a small number")).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
