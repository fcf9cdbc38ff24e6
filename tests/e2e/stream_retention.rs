//! Promise (G1): a stream whose broker deletes what it delivers to a reader without acks is not read; `run` says so.

use crate::harness::{SOURCE, World};
use async_nats::jetstream::stream::RetentionPolicy;

#[tokio::test]
async fn only_limits_retention_is_read() {
    for retention in [RetentionPolicy::Interest, RetentionPolicy::WorkQueue] {
        let mut world = World::new().await;
        world.js.delete_stream(SOURCE).await.expect("a deleted stream");
        world.stream(SOURCE, "flights.>", |config| config.retention = retention).await;
        let mut host = world.launch(&[], "");
        host.refuses(&[SOURCE, "retention", "limits"]).await;
    }
}
