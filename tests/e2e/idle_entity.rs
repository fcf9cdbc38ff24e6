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

/// Whether something was sent is known from the store, which forgets what was confirmed, and not from the stream, which may let it go.
#[tokio::test]
async fn what_was_confirmed_is_not_sent_again_when_its_stream_has_let_it_go() {
    let mut world = World::new().await;
    world.shorten_window(OUTPUTS, Duration::from_secs(1)).await;
    let mut host = world.host().await;
    world.publish(&[Input::event("idle", 1), Input::event("idle", 2)]).await;
    world.until_applied("idle", 2).await;
    host.metric("seriatim_outbox_entries", &[], 0.0).await;
    host.stop().await;
    world.js.get_stream(OUTPUTS).await.expect("the outputs").purge().await.expect("a purged stream");
    time_passes(Duration::from_secs(4)).await;
    let host = world.host().await;
    // The entity is loaded, with all that it owes.
    world.publish_one(Input::event("idle", 3)).await;
    world.until_applied("idle", 3).await;
    world.settle(host).await;
    let outputs = world.read(OUTPUTS).await;
    let sent: Vec<_> = outputs.iter().filter(|output| output.subject == "echo.idle").map(|output| output.header("Echo-Sequence")).collect();
    assert_eq!(sent, [Some("3")]);
}
