//! Promise (G5, G7, G8): one entity with 20,000 waiting events, its missing event behind them all, neither stops busy entities nor loses a
//! single one of its own, whether the broker can filter by entity or not.

use crate::harness::config::Handler;
use crate::harness::{Input, SOURCE, World, tools};
use futures_util::{FutureExt as _, StreamExt as _};

const BACKLOG: u64 = 20_000;
const BUSY: u64 = 100;

async fn backlog(entity: &'static str) {
    let mut world = World::new().await;
    world.config.flights().entity = entity;
    let host = world.host().await;
    let mut inputs = Vec::new();
    for sequence in 2..=BACKLOG {
        inputs.push(Input::event("big", sequence));
        if sequence % (BACKLOG / BUSY) == 0 {
            inputs.extend((0..5).map(|other| Input::event(&format!("busy{other}"), sequence / (BACKLOG / BUSY))));
        }
    }
    world.publish(&inputs).await;
    for other in 0..5 {
        world.until_applied(&format!("busy{other}"), BUSY).await;
    }
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "gap")], 1.0).await;
    world.publish_one(Input::event("big", 1)).await;
    for sequence in BUSY + 1..=BUSY + 20 {
        world.publish(&[Input::event("busy0", sequence), Input::event("busy1", sequence)]).await;
        world.until_applied("busy1", sequence).await;
    }
    world.until_applied("big", BACKLOG / 2).await;
    world.until_applied("big", BACKLOG).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn of_an_entity_in_the_subject() {
    backlog("subject:2").await;
}

#[tokio::test]
async fn of_an_entity_in_the_payload() {
    backlog("json:/entity").await;
}

/// However few commits of it may be under way: what its events wait for ends by itself, so the reader waits too, and nothing is read twice.
#[tokio::test]
async fn in_order_is_read_once() {
    let mut world = World::new().await;
    world.config.run = vec![("commits-max", "1".to_owned())];
    let work = vec![("work", "state".to_owned())];
    world.config.flights().handlers = vec![Handler { component: tools::plugin("bench"), config: work, ..Handler::echo() }];
    let client = world.broker.connect().await;
    let made = format!("$JS.EVENT.ADVISORY.CONSUMER.CREATED.{SOURCE}.>");
    let mut made = client.subscribe(made).await.expect("a subscription");
    let inputs: Vec<_> = (1..=BACKLOG).map(|sequence| Input::event("big", sequence)).collect();
    world.publish(&inputs).await;
    let mut host = world.host().await;
    let applied = [("pipeline", "flights"), ("outcome", "applied")];
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    host.metric("seriatim_events_total", &applied, BACKLOG as f64).await;
    host.stop().await;
    // What the broker said before it answered this is here.
    client.flush().await.expect("an answer");
    let made: Vec<_> = std::iter::from_fn(|| made.next().now_or_never().flatten()).collect();
    assert_eq!(made.len(), 1, "consumers of the stream: {made:?}");
}
