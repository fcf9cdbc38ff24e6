//! Promise (G1): a message that is no event becomes a dead letter with its reason, and the stream goes on behind it.

use crate::harness::{Input, World};

#[tokio::test]
async fn malformed_messages_of_ten_kinds_and_more() {
    let mut world = World::new().await;
    world.config.flights().entity = "header:Seriatim-Entity";
    let host = world.host().await;
    let good = || Input::event("m", 1).again();
    let malformed = [
        good().without("Seriatim-Sequence"),
        good().header("Seriatim-Sequence", ""),
        good().header("Seriatim-Sequence", "one"),
        good().header("Seriatim-Sequence", "0"),
        good().header("Seriatim-Sequence", "-1"),
        good().header("Seriatim-Sequence", "1.5"),
        good().header("Seriatim-Sequence", "18446744073709551616"),
        good().header("Seriatim-Sequence", "1000002"),
        good().and("Seriatim-Sequence", "2"),
        good().without("Seriatim-Entity"),
        good().header("Seriatim-Entity", ""),
        good().header("Seriatim-Entity", &"x".repeat(257)),
        good().header("Seriatim-Entity", "a\tb"),
        good().and("Seriatim-Entity", "other"),
        good().header("Seriatim-Time", "yesterday"),
        Input { headers: Vec::new(), payload: Vec::new(), ..good() },
    ];
    world.publish_one(Input::event("a", 1)).await;
    let mut numbers = Vec::new();
    for input in malformed {
        numbers.push(world.publish_one(input).await);
    }
    world.publish(&[Input::event("a", 2), Input::event("m", 1)]).await;
    world.until_applied("a", 2).await;
    world.until_applied("m", 1).await;
    world.settle(host).await;
    // The good event of `m` came last and must be what its entity starts with.
    let spoilt: Vec<_> = world.sent.iter().filter(|sent| numbers.contains(&sent.stream_sequence)).cloned().collect();
    assert_eq!(spoilt.len(), numbers.len());
    let mut expected = world.everything();
    for number in numbers {
        expected = expected.dead(number, "malformed");
    }
    world.judge(&expected).await;
}

#[tokio::test]
async fn payloads_that_hold_no_entity() {
    let mut world = World::new().await;
    world.config.flights().entity = "json:/entity";
    let host = world.host().await;
    let mut numbers = Vec::new();
    for payload in ["", "{", "[]", "{\"entity\":{}}", "{\"entity\":null}", "{\"entity\":\"\"}", "{\"entity\":1.5}"] {
        let input = Input::event("m", 1).again().payload(payload);
        numbers.push(world.publish_one(input).await);
    }
    world.publish(&[Input::event("a", 2), Input::event("a", 1)]).await;
    world.until_applied("a", 2).await;
    world.settle(host).await;
    let mut expected = world.everything().outputs("m", []);
    for number in numbers {
        expected = expected.dead(number, "malformed");
    }
    world.judge(&expected).await;
}
