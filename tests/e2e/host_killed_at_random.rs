//! Promise (G1–G4): the host may be killed at any moment; nothing is lost, doubled or reordered.

use crate::harness::{OUTPUTS, Random, World, shuffled};

#[tokio::test]
async fn sigkill_at_random_moments() {
    let mut world = World::new().await;
    let mut random = Random::new(29);
    let inputs = shuffled(&mut random, 20, 150, 100);
    let publishing = world.publish_meanwhile(inputs);
    let mut seen = 0;
    for _ in 0..6 {
        let mut host = world.host().await;
        // Up to one in six of the outputs more, then dead: sometimes right after the start.
        seen += random.below(500);
        world.until_count(OUTPUTS, seen.min(3000)).await;
        host.kill();
    }
    let sent = publishing.await.expect("a publisher that ends");
    world.note(sent);
    let host = world.host().await;
    world.until_count(OUTPUTS, 3000).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn sigkill_before_anything_is_ready() {
    let mut world = World::new().await;
    world.publish(&shuffled(&mut Random::new(30), 5, 40, 20)).await;
    for alive in [false, true, true] {
        let mut host = world.launch(&[], "");
        if alive {
            host.alive().await;
        }
        host.kill();
    }
    let host = world.host().await;
    world.until_count(OUTPUTS, 200).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
