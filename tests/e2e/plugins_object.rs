//! Promise: a component in a JetStream object store is loaded, followed when it changes, and pinned: without the object what ran last runs on.

use crate::harness::components::{digest, versions};
use crate::harness::config::Handler;
use crate::harness::{Input, OUTPUTS, Operator, World, until};
use async_nats::jetstream::object_store;

async fn put(world: &World, bytes: &[u8]) {
    let store = world.js.get_object_store("PLUGINS").await.expect("the bucket");
    store.put("flights/handler.wasm", &mut &*bytes).await.expect("an object");
}

#[tokio::test]
async fn an_object_is_followed_and_pinned() {
    let mut world = World::new().await;
    let config = object_store::Config { bucket: "PLUGINS".to_owned(), ..Default::default() };
    world.js.create_object_store(config).await.expect("a bucket");
    let (one, two) = (versions("one", 1), versions("two", 1));
    put(&world, &one).await;
    world.config.flights().handlers = vec![Handler { component: "object:PLUGINS/flights/handler.wasm".into(), ..Handler::echo() }];
    let (mut host, operator) = Operator::with_host(&mut world).await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    put(&world, &two).await;
    until("the new object to be taken", async || {
        let rows = operator.ask(&["plugin", "list"]);
        if rows[0]["component"] == digest(&two).as_str() { Ok(()) } else { Err(rows.to_string()) }
    })
    .await;
    world.publish_one(Input::event("a", 2)).await;
    world.until_applied("a", 2).await;
    // A bad object changes nothing.
    put(&world, b"no component").await;
    until("the bad object to be refused", async || {
        let rows = operator.ask(&["plugin", "list"]);
        if rows[0]["refused"] == digest(b"no component").as_str() { Ok(()) } else { Err(rows.to_string()) }
    })
    .await;
    // And without the bucket, what ran last runs on after a restart.
    host.kill();
    world.js.delete_object_store("PLUGINS").await.expect("no bucket any more");
    let host = world.host().await;
    world.publish_one(Input::event("a", 3)).await;
    world.until_applied("a", 3).await;
    let kept = world.read(OUTPUTS).await;
    let made: Vec<_> = kept.iter().filter_map(|kept| kept.header("Made-By")).collect();
    assert_eq!(made, ["one", "two", "two"]);
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
