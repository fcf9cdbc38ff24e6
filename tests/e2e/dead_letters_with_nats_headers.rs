//! Promise (design §5.3): a dead letter carries its message as it came; no header of it can make the broker do anything.

use crate::harness::{DEAD_LETTERS, Input, OUTPUTS, SOURCE, World};

#[tokio::test]
async fn inputs_that_carry_every_nats_header() {
    let mut world = World::new().await;
    world
        .alter(SOURCE, |config| {
            config.allow_rollup = true;
            config.allow_message_ttl = true;
            config.allow_message_schedules = true;
        })
        .await;
    // What the broker acts upon on the way in, one message each so that it accepts them; then all that it only keeps.
    let acted_upon = [
        ("Nats-Rollup", "sub"),
        ("Nats-TTL", "1h"),
        ("Nats-Expected-Stream", SOURCE),
        ("Nats-Expected-Last-Sequence", "3"),
        ("Nats-Expected-Last-Subject-Sequence", "0"),
        ("Nats-Expected-Last-Msg-Id", "m-5"),
        ("Nats-Msg-Id", "m-own"),
    ];
    let mut numbers = Vec::new();
    for (at, (name, value)) in (1..).zip(acted_upon) {
        let subject = format!("flights.m{at}");
        let id = format!("m-{at}");
        let input = Input::event("m", 1).on(&subject).header("Nats-Msg-Id", &id).header("Seriatim-Sequence", "no").header(name, value);
        numbers.push(world.publish_one(input).await);
    }
    let schedule = Input::event("m", 1)
        .on("flights.m98")
        .header("Nats-Msg-Id", "m-98")
        .header("Seriatim-Sequence", "no")
        .header("Nats-Schedule", "@at 2100-01-01T00:00:00Z")
        .header("Nats-Schedule-Target", "flights.never")
        .header("Nats-Schedule-TTL", "1h");
    numbers.push(world.publish_one(schedule).await);
    let kept = [
        "Nats-Marker-Reason",
        "Nats-Stream",
        "Nats-Subject",
        "Nats-Sequence",
        "Nats-Last-Sequence",
        "Nats-Time-Stamp",
        "Nats-Num-Pending",
        "Nats-Pin-Id",
        "Nats-Trace-Dest-Of-Nobody",
    ];
    let mut input = Input::event("m", 1)
        .on("flights.m99")
        .header("Nats-Msg-Id", "m-99")
        .header("Seriatim-Sequence", "no")
        .header("traceparent", "00-0af7-b7ad-01")
        .and("X-Twice", "1")
        .and("X-Twice", "2");
    for name in kept {
        input = input.header(name, "7");
    }
    numbers.push(world.publish_one(input).await);
    let host = world.host().await;
    world.until_count(DEAD_LETTERS, numbers.len()).await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    world.settle(host).await;
    let mut expected = world.everything().outputs("m", []);
    for number in &numbers {
        expected = expected.dead(*number, "malformed");
    }
    world.judge(&expected).await;
    assert_eq!(world.read(DEAD_LETTERS).await.len(), numbers.len(), "none was rolled up or expired");
    assert_eq!(world.read(OUTPUTS).await.len(), 2, "the output of a, and the sentinel's");
}

#[tokio::test]
async fn a_message_as_large_as_the_broker_takes() {
    const PAYLOAD_MAX: u32 = 64 * 1024;
    let mut world = World::with_broker(PAYLOAD_MAX).await;
    let input = Input::event("m", 1).header("Seriatim-Sequence", "no");
    let headers = 12 + input.headers.iter().map(|(name, value)| name.len() + value.len() + 4).sum::<usize>();
    let payload = vec![b'x'; PAYLOAD_MAX as usize - headers];
    let number = world.publish_one(input.payload(payload)).await;
    let host = world.host().await;
    world.until_count(DEAD_LETTERS, 1).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs("m", []).dead(number, "malformed")).await;
    let letters = world.read(DEAD_LETTERS).await;
    assert_eq!(letters[0].header("Seriatim-Dead-Truncated"), Some("true"));
    assert!(letters[0].payload.is_empty());
}
