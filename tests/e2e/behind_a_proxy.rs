//! The proxy that chaos puts between host and broker is the only way the host takes: what it cuts is cut.

use crate::harness::proxy::{Mode, Proxy};
use crate::harness::{Host, Input, World, ports, time_passes};
use std::fs;
use std::time::Duration;

/// A host that finds its broker through the proxy.
fn launch(world: &World, proxy: &Proxy) -> Host {
    let (port, file) = (ports::free(), world.path("behind.toml"));
    fs::write(&file, world.config.toml(&proxy.url(), port)).expect("a config file");
    Host::spawn(&file, port, &[], "", &world.path("host-behind.log"))
}

#[tokio::test]
async fn the_host_talks_to_its_broker_through_the_proxy_only() {
    let mut world = World::new().await;
    let proxy = Proxy::start(world.broker.port()).await;
    let mut host = launch(&world, &proxy);
    host.ready().await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;

    // What the broker advertises does not lead past the proxy.
    let client = async_nats::connect(proxy.url()).await.expect("a client behind the proxy");
    assert!(client.server_info().connect_urls.is_empty(), "{:?}", client.server_info());
    drop(client);

    proxy.set(Mode::Cut);
    host.unready(&["not connected to the broker"]).await;
    world.publish_one(Input::event("a", 2)).await;
    // It tries to connect again and again; a second way would have been found by now, and its next event would be out.
    let cut = proxy.carried();
    time_passes(Duration::from_secs(7)).await;
    assert_eq!(world.applied("a").await, Ok(1), "the host has another way to its broker");
    assert_eq!(proxy.carried(), cut, "nothing was carried meanwhile");

    proxy.set(Mode::Pass);
    world.until_applied("a", 2).await;
    host.ready().await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
