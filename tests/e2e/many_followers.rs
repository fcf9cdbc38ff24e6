//! Promise (G2, G5, G8, docs/operations.md): an entity whose head fails for good may have 100,000 followers. Nobody else waits for them, and when an
//! operator says how to go on, they are applied in order, once, from the stream into the live flow, through kills of the host.
//!
//! `SERIATIM_FOLLOWERS=100000 cargo xtask test -- many_followers` is the whole number; every run has 20,000.

use crate::harness::{Host, Input, Operator, World, tools};

/// Followers, unless `SERIATIM_FOLLOWERS` says how many: 100,000 take three minutes of two cores.
const MANY: u64 = 20_000;
/// Enough for a catch-up in which a host can be killed several times.
const SOME: u64 = 6_000;
/// Bursts of live events on the way, about.
const ROUNDS: u64 = 50;
/// Followers between two events of each other entity.
const APART: u64 = 500;
const OTHERS: [&str; 5] = ["busy0", "busy1", "busy2", "busy3", "busy4"];
const PARKED: &str = "seriatim_parked_entities";
const STUCK: &str = "stuck";

/// One entity parked at its first event, with its followers behind it, and others that went on.
struct Scene {
    world: World,
    host: Host,
    operator: Operator,
    /// The head's stream sequence.
    head: u64,
    /// Highest sequence published of [`STUCK`].
    last: u64,
    /// Highest sequence published of each of [`OTHERS`].
    others: u64,
}

impl Scene {
    async fn parked(entity: &'static str, followers: u64) -> Self {
        let mut world = World::new().await;
        let flights = world.config.flights();
        (flights.entity, flights.failure_then, flights.retry) = (entity, "park", vec![]);
        // Room for the output of every event but the head's.
        flights.handlers[0].limits = vec![("output-bytes-max", "1KiB")];
        let (host, operator) = Operator::with_host(&mut world).await;
        let filler = serde_json::json!({ "entity": STUCK, "sequence": 1, "filler": "x".repeat(2048) });
        let head = world.publish_one(Input::event(STUCK, 1).payload(filler.to_string())).await;
        host.metric(PARKED, &[("pipeline", "flights"), ("reason", "too-large")], 1.0).await;

        let mut inputs = Vec::new();
        let mut others = 0;
        for sequence in 2..=followers + 1 {
            inputs.push(Input::event(STUCK, sequence));
            if sequence % APART == 0 {
                others += 1;
                inputs.extend(OTHERS.map(|other| Input::event(other, others)));
            }
        }
        world.publish(&inputs).await;
        for other in OTHERS {
            world.until_applied(other, others).await;
        }
        let scene = Self { world, host, operator, head, last: followers + 1, others };
        scene.stands().await;
        scene
    }

    /// It is parked, and nothing of it has been applied.
    async fn stands(&self) {
        self.host.metric(PARKED, &[("pipeline", "flights")], 1.0).await;
        assert_eq!(self.world.applied(STUCK).await, Ok(0), "nothing of it is applied");
    }

    /// More followers arrive, and others' events, which are applied.
    async fn live(&mut self) {
        let mut inputs: Vec<_> = (self.last + 1..=self.last + 20).map(|sequence| Input::event(STUCK, sequence)).collect();
        self.last += 20;
        self.others += 1;
        inputs.extend(OTHERS.map(|other| Input::event(other, self.others)));
        self.world.publish(&inputs).await;
        for other in OTHERS {
            self.world.until_applied(other, self.others).await;
        }
    }

    /// Live traffic until the entity has come this far; how often others went on while it had not.
    async fn live_until(&mut self, sequence: u64) -> u32 {
        let mut rounds = 0;
        loop {
            let applied = self.world.applied(STUCK).await.unwrap_or_default();
            if applied >= sequence {
                return rounds;
            }
            self.live().await;
            rounds += 1;
            self.world.until_applied(STUCK, sequence.min(applied + self.last / ROUNDS)).await;
        }
    }

    /// The host dies, and another takes its place.
    async fn killed(&mut self) {
        self.host.kill();
        self.host = self.world.host().await;
    }

    /// All of it is done, and it follows the live flow; gives the world for the judge.
    async fn joined(mut self) -> World {
        self.world.until_applied(STUCK, self.last).await;
        self.live().await;
        self.world.until_applied(STUCK, self.last).await;
        self.host.metric(PARKED, &[], 0.0).await;
        self.host.metric("seriatim_waiting_entities", &[], 0.0).await;
        self.operator.refused(&["entity", "skip", STUCK, "--sequence", "1"], &["stands at event"]);
        assert_eq!(self.operator.ask(&["entity", "resume", STUCK])["changed"], serde_json::json!(false), "it waits for nothing");
        self.world.settle(self.host).await;
        self.world
    }
}

async fn resumed_in_vain_and_skipped(entity: &'static str) {
    let many = tools::followers().unwrap_or(MANY);
    let mut scene = Scene::parked(entity, many).await;
    for word in ["resume", "skip"] {
        scene.operator.refused(&["entity", word, STUCK, "--sequence", "2"], &["stands at event 1"]);
    }
    assert!(scene.operator.say("resume", STUCK, 1));
    scene.host.metric("seriatim_handler_failures_total", &[], 2.0).await;
    scene.stands().await;

    assert!(scene.operator.say("skip", STUCK, 1));
    scene.operator.refused(&["entity", "skip", STUCK, "--sequence", "1"], &["stands at event"]);
    let rounds = scene.live_until(many).await;
    assert!(rounds >= 5, "others went on {rounds} times during a catch-up of {many} events");
    let (head, last) = (scene.head, scene.last + 20);
    let world = scene.joined().await;
    world.judge(&world.everything().outputs(STUCK, 2..=last).dead(head, "skipped")).await;
}

#[tokio::test]
async fn of_an_entity_in_the_subject() {
    resumed_in_vain_and_skipped("subject:2").await;
}

#[tokio::test]
async fn of_an_entity_in_the_payload() {
    resumed_in_vain_and_skipped("json:/entity").await;
}

/// Killed while parked, after the word is answered, twice on the way, near the joining and after it. The word is said once.
async fn through_kills(entity: &'static str, word: &str) -> (World, u64, u64) {
    let some = tools::followers().unwrap_or(SOME);
    let mut scene = Scene::parked(entity, some).await;
    // What the head failed for is mended.
    scene.world.config.flights().handlers[0].limits = vec![];
    scene.killed().await;
    scene.stands().await;
    scene.live().await;
    assert!(scene.operator.say(word, STUCK, 1));
    scene.killed().await;
    for place in [some / 4, some / 2, some, some + 20] {
        scene.live_until(place).await;
        scene.killed().await;
    }
    let (head, last) = (scene.head, scene.last + 20);
    (scene.joined().await, head, last)
}

#[tokio::test]
async fn resumed_with_kills_on_the_way() {
    let (world, ..) = through_kills("subject:2", "resume").await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn resumed_by_a_shared_scan_with_kills_on_the_way() {
    let (world, ..) = through_kills("json:/entity", "resume").await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn skipped_with_kills_on_the_way() {
    let (world, head, last) = through_kills("json:/entity", "skip").await;
    world.judge(&world.everything().outputs(STUCK, 2..=last).dead(head, "skipped")).await;
}

/// Events 2 to 5 never come. Of the rest the later half arrives first: what is held when the entity parks is not the lowest that there is.
async fn missing_ones_are_given_up(entity: &'static str, kills: bool) {
    let mut world = World::new().await;
    let flights = world.config.flights();
    (flights.entity, flights.gap_wait, flights.gap_then, flights.held_max) = (entity, "1s", "park", 50);
    let (mut host, operator) = Operator::with_host(&mut world).await;
    let follower = |sequence| Input::event(STUCK, sequence);
    let inputs: Vec<_> = [1].into_iter().chain(SOME / 2..=SOME).chain(6..SOME / 2).map(follower).collect();
    world.publish(&inputs).await;
    for sequence in 1..=20 {
        world.publish(&OTHERS.map(|other| Input::event(other, sequence))).await;
    }
    for other in OTHERS {
        world.until_applied(other, 20).await;
    }
    host.metric(PARKED, &[("pipeline", "flights"), ("reason", "gap")], 1.0).await;
    if kills {
        host.kill();
        host = world.host().await;
        host.metric(PARKED, &[("pipeline", "flights"), ("reason", "gap")], 1.0).await;
    }
    operator.refused(&["entity", "skip", STUCK, "--sequence", "6"], &["stands at event 2"]);
    assert!(operator.say("skip", STUCK, 2));
    for place in [SOME / 4, SOME / 2].into_iter().filter(|_| kills) {
        host.kill();
        host = world.host().await;
        world.until_applied(STUCK, place).await;
    }
    world.until_applied(STUCK, SOME).await;
    operator.refused(&["entity", "skip", STUCK, "--sequence", "2"], &["stands at event"]);
    let late = world.publish_one(follower(3)).await;
    world.publish_one(follower(SOME + 1)).await;
    world.until_applied(STUCK, SOME + 1).await;
    world.settle(host).await;
    world.judge(&world.everything().outputs(STUCK, [1].into_iter().chain(6..=SOME + 1)).dead(late, "late")).await;
}

#[tokio::test]
async fn behind_missing_ones_that_are_given_up() {
    missing_ones_are_given_up("subject:2", false).await;
}

#[tokio::test]
async fn behind_missing_ones_that_are_given_up_by_a_shared_scan_with_kills_on_the_way() {
    missing_ones_are_given_up("json:/entity", true).await;
}
