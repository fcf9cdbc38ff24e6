//! Promise (G1, docs/operations.md): where the stream's limits overtake a parked entity it was told in time; what is gone is named, neither more nor
//! less; and everything else of it is applied, in order, once.

use crate::harness::{DEAD_LETTERS, Host, Input, Operator, SOURCE, World, until};
use serde_json::{Value, json};
use std::ops::RangeInclusive;

const EVENTS: &str = "EVENTS";
const NEAR: &str = "seriatim_retention_near_entities";
const PARKED: &str = "seriatim_parked_entities";
const STUCK: &str = "stuck";
/// Messages that the stream keeps.
const KEPT: i64 = 3000;
/// Followers behind the head; more than stay in memory (`queue-max`).
const FOLLOWERS: u64 = 1500;
/// Events of another entity, up to the warning.
const BEFORE: u64 = 1350;

struct Scene {
    world: World,
    host: Host,
    operator: Operator,
    busy: u64,
}

impl Scene {
    /// Parked at its head, warned of, and nothing is gone yet.
    async fn warned(entity: &'static str) -> Self {
        let mut world = World::new().await;
        world.stream(EVENTS, "seriatim.events.>", |_| ()).await;
        world.alter(SOURCE, |config| config.max_messages = KEPT).await;
        let flights = world.config.flights();
        (flights.entity, flights.failure_then, flights.retry) = (entity, "park", vec![]);
        (flights.gap_wait, flights.gap_then) = ("1s", "skip");
        flights.handlers[0].limits = vec![("output-bytes-max", "1KiB")];
        let (host, operator) = Operator::with_host(&mut world).await;
        let filler = json!({ "entity": STUCK, "sequence": 1, "filler": "x".repeat(2048) });
        let head = world.publish_one(Input::event(STUCK, 1).payload(filler.to_string())).await;
        host.metric(PARKED, &[("pipeline", "flights"), ("reason", "too-large")], 1.0).await;
        let followers: Vec<_> = (2..=FOLLOWERS + 1).map(|sequence| Input::event(STUCK, sequence)).collect();
        world.publish(&followers).await;
        let mut scene = Self { world, host, operator, busy: 0 };
        scene.others(BEFORE).await;

        scene.host.metric(NEAR, &[("pipeline", "flights")], 1.0).await;
        let warned = until("the lifecycle event", async || scene.warnings().await.pop().ok_or_else(|| "none".to_owned())).await;
        assert_eq!((&warned["entity"], &warned["needed"]), (&json!(STUCK), &json!(head)));
        let log = scene.host.log();
        assert!(log.lines().any(|line| line.contains("will soon remove events") && line.contains(STUCK)), "the log says so");
        assert_eq!(scene.first().await, head, "told in time");
        scene
    }

    /// So many events of another entity go through.
    async fn others(&mut self, count: u64) {
        let inputs: Vec<_> = (self.busy + 1..=self.busy + count).map(|sequence| Input::event("busy", sequence)).collect();
        self.busy += count;
        self.world.publish(&inputs).await;
        self.world.until_applied("busy", self.busy).await;
    }

    async fn warnings(&self) -> Vec<Value> {
        let kept = self.world.read(EVENTS).await;
        let near = kept.iter().filter(|kept| kept.subject == "seriatim.events.flights.retention-near");
        near.map(|kept| serde_json::from_slice(&kept.payload).expect("JSON")).collect()
    }

    /// The lowest stream sequence that the stream still has.
    async fn first(&self) -> u64 {
        self.world.js.get_stream(SOURCE).await.expect("the source").cached_info().state.first_sequence
    }

    /// What the dead letters `lost` name.
    async fn lost(&self) -> Vec<RangeInclusive<u64>> {
        let letters = self.world.read(DEAD_LETTERS).await;
        let lost = letters.iter().filter(|letter| letter.header("Seriatim-Dead-Reason") == Some("lost"));
        let number = |text: Option<&str>| text.and_then(|text| text.parse::<u64>().ok()).expect("a lost range has two ends");
        lost.map(|letter| {
            assert_eq!(letter.header("Seriatim-Dead-Entity"), Some(STUCK));
            number(letter.header("Seriatim-Dead-Stream-Sequence"))..=number(letter.header("Seriatim-Dead-Stream-Sequence-Last"))
        })
        .collect()
    }

    /// Everything of the entity is applied that was not gone: all of it ends, and what is named is gone, and was not applied.
    async fn rest_is_applied(mut self, gone_below: u64, skipped: Option<u64>) -> u64 {
        self.world.until_applied(STUCK, FOLLOWERS + 1).await;
        self.world.publish_one(Input::event(STUCK, FOLLOWERS + 2)).await;
        self.world.until_applied(STUCK, FOLLOWERS + 2).await;
        self.host.metric(NEAR, &[], 0.0).await;
        self.others(1).await;
        self.host.stop().await;

        let lost = self.lost().await;
        assert!(lost.iter().all(|range| *range.end() < gone_below), "{lost:?} is named, but from {gone_below} on everything was there");
        let stuck: Vec<_> = self.world.sent.iter().filter(|sent| sent.entity == STUCK).collect();
        let is_lost = |place: u64| lost.iter().any(|range| range.contains(&place));
        let named = stuck.iter().filter(|sent| is_lost(sent.stream_sequence)).count();
        let there = stuck.iter().filter(|sent| !is_lost(sent.stream_sequence) && Some(sent.stream_sequence) != skipped);
        let applied: Vec<_> = there.map(|sent| sent.sequence).collect();
        let mut expected = self.world.everything().outputs(STUCK, applied).lost();
        if let Some(head) = skipped {
            expected = expected.dead(head, "skipped");
        }
        self.world.judge(&expected).await;
        named as u64
    }
}

/// A host that was restarted has nothing of the entity in memory: what the stream lost is lost.
async fn after_a_restart(entity: &'static str) {
    let mut scene = Scene::warned(entity).await;
    scene.others(1000).await;
    let first = scene.first().await;
    scene.world.config.flights().handlers[0].limits = vec![];
    scene.host.kill();
    scene.host = scene.world.host().await;
    scene.host.metric(PARKED, &[("pipeline", "flights")], 1.0).await;
    assert!(scene.operator.say("resume", STUCK, 1));
    assert_eq!(scene.rest_is_applied(first, None).await, first - 1, "the head and its next followers, each of them named");
}

#[tokio::test]
async fn an_entity_in_the_subject() {
    after_a_restart("subject:2").await;
}

#[tokio::test]
async fn an_entity_in_the_payload() {
    after_a_restart("json:/entity").await;
}

/// What is in memory is not lost, whatever the stream has let go of.
#[tokio::test]
async fn what_is_in_memory_is_applied_all_the_same() {
    let mut scene = Scene::warned("subject:2").await;
    scene.others(1500).await;
    let first = scene.first().await;
    assert!((1200..FOLLOWERS).contains(&first), "some of what is not in memory is gone: {first}");
    assert!(scene.operator.say("skip", STUCK, 1));
    let named = scene.rest_is_applied(first, Some(1)).await;
    assert!((1..FOLLOWERS / 2).contains(&named), "{named} named, although the first thousand were in memory");
}
