//! Promise (G3): an entity that is done and idle owes nothing: a restart long after the duplicate window sends nothing again.

use crate::harness::{Input, OUTPUTS, World, time_passes};
use std::time::Duration;

#[tokio::test]
async fn an_idle_entity_sends_nothing_the_next_day() {
    let mut world = World::new().await;
    world.shorten_window(OUTPUTS, Duration::from_secs(1)).await;
    for gracefully in [true, false] {
        let mut host = world.host().await;
        let first = if gracefully { 1 } else { 4 };
        let inputs: Vec<_> = (first..first + 3).map(|sequence| Input::event("idle", sequence)).collect();
        world.publish(&inputs).await;
        world.until_applied("idle", first + 2).await;
        // Confirmations are written at once when nothing else happens.
        host.metric("seriatim_outbox_entries", &[], 0.0).await;
        if gracefully {
            host.stop().await
        } else {
            host.kill()
        }
        time_passes(Duration::from_secs(4)).await;
        let host = world.host().await;
        world.settle(host).await;
    }
    world.judge(&world.everything()).await;
}
