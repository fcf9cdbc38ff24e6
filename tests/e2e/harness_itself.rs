//! The harness does what the other tests rely on: it needs a broker and no host.

use crate::harness::{Input, OUTPUTS, Random, SOURCE, World, shuffled};

#[tokio::test]
async fn published_messages_survive_the_broker_and_are_read_back() {
    let mut world = World::new().await;
    let mut random = Random::new(1);
    let inputs = shuffled(&mut random, 5, 100, 20);
    world.publish(&inputs).await;
    assert_eq!(world.sent.len(), inputs.len(), "each is stored: the doubled ones go past the broker's duplicate check");

    world.broker.kill();
    world.broker.again().await;
    let kept = world.read(SOURCE).await;
    assert_eq!(kept.len(), inputs.len());
    for (kept, sent) in kept.iter().zip(&world.sent) {
        assert_eq!(kept.stream_sequence, sent.stream_sequence);
        assert_eq!(kept.payload, sent.payload);
        assert_eq!(kept.header("Seriatim-Sequence"), Some(sent.sequence.to_string().as_str()));
    }
    assert!(world.read(OUTPUTS).await.is_empty());
    assert!(world.read("NO_SUCH_STREAM").await.is_empty());
}

#[tokio::test]
async fn the_broker_drops_a_known_message_id_and_the_record_knows_it() {
    let mut world = World::new().await;
    let first = world.publish_one(Input::event("a", 1)).await;
    let second = world.publish_one(Input::event("a", 1)).await;
    assert_eq!(first, second);
    assert_eq!(world.read(SOURCE).await.len(), 1);
    let third = world.publish_one(Input::event("a", 1).again()).await;
    assert!(third > first);
}

#[tokio::test]
async fn publishing_goes_on_through_an_outage() {
    let mut world = World::new().await;
    let inputs: Vec<_> = (1..=2000).map(|sequence| Input::event("a", sequence)).collect();
    let publishing = world.publish_meanwhile(inputs);
    world.until_count(SOURCE, 300).await;
    world.broker.kill();
    world.broker.again().await;
    world.note(publishing.await.expect("a publisher that ends"));
    let kept = world.read(SOURCE).await;
    assert!(kept.len() >= 2000, "{} messages", kept.len());
}

#[tokio::test]
async fn a_stream_can_be_put_back_to_older_files() {
    let mut world = World::new().await;
    world.publish_one(Input::event("a", 1)).await;
    world.broker.stop().await;
    let saved = world.broker.save(SOURCE);
    world.broker.again().await;
    world.publish_one(Input::event("a", 2)).await;
    world.broker.stop().await;
    world.broker.restore(&saved);
    world.broker.again().await;
    let kept = world.read(SOURCE).await;
    assert_eq!(kept.len(), 1);
    assert_eq!(kept[0].header("Seriatim-Id"), Some("a-1"));
}
