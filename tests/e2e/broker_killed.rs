//! Promise (G1–G3, G8): the broker may be killed and started again under load; the host goes on by itself.

use crate::harness::{OUTPUTS, Random, World, shuffled};

#[tokio::test]
async fn sigkill_and_restart_of_the_broker_under_load() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    let publishing = world.publish_meanwhile(shuffled(&mut Random::new(53), 20, 150, 100));
    for seen in [300, 1200, 2100] {
        world.until_count(OUTPUTS, seen).await;
        world.broker.kill();
        world.broker.again().await;
    }
    let sent = publishing.await.expect("a publisher that ends");
    world.note(sent);
    world.until_count(OUTPUTS, 3000).await;
    host.ready().await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn sigkill_of_both_at_once() {
    let mut world = World::new().await;
    let mut host = world.host().await;
    let publishing = world.publish_meanwhile(shuffled(&mut Random::new(54), 10, 100, 50));
    for seen in [100, 500] {
        world.until_count(OUTPUTS, seen).await;
        world.broker.kill();
        host.kill();
        world.broker.again().await;
        host = world.host().await;
    }
    let sent = publishing.await.expect("a publisher that ends");
    world.note(sent);
    world.until_count(OUTPUTS, 1000).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
