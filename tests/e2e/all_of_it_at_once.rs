//! The promise of the whole (issue "Foundation", "Done when"): a client publishes 30,000 shuffled and duplicated events while the host is killed
//! eight times and the broker twice; each entity's outputs are exactly 1..n, in order, once, with `Echo-Count` equal to `Echo-Sequence`.

use crate::harness::{OUTPUTS, Random, World, shuffled};

const ENTITIES: usize = 100;
const EVENTS: u64 = 300;

#[tokio::test]
async fn thirty_thousand_events_eight_kills_of_the_host_and_two_of_the_broker() {
    let mut world = World::new().await;
    let inputs = shuffled(&mut Random::new(97), ENTITIES, EVENTS, 2000);
    let all = ENTITIES * usize::try_from(EVENTS).expect("a small number");
    let publishing = world.publish_meanwhile(inputs);
    for kill in 1..=8 {
        let mut host = world.host().await;
        world.until_count(OUTPUTS, all * kill / 10).await;
        if kill % 4 == 0 {
            world.broker.kill();
            host.kill();
            world.broker.again().await;
        } else {
            host.kill();
        }
    }
    let host = world.host().await;
    let sent = publishing.await.expect("a publisher that ends");
    world.note(sent);
    for entity in 0..ENTITIES {
        world.until_applied(&format!("e{entity}"), EVENTS).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
