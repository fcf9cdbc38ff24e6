//! Commands against a real server: who wins a version, who is told so, and what a lost confirmation is taken for.

use super::*;
use crate::nats::raw;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;

async fn producer(connection: Connection) -> Producer {
    Producer::start(connection, options()).await.unwrap()
}

fn event(payload: &str) -> NewEvent {
    NewEvent { kind: Some("made".into()), payload: payload.to_owned().into(), ..NewEvent::default() }
}

/// The version with each event of the entity, in the order of the stream.
async fn versions(entity: &Entity) -> Vec<Version> {
    let mut all: Vec<Version> = Vec::new();
    while let Some(stored) = entity.next(&all.last().cloned().unwrap_or_default()).await.unwrap() {
        all.push(stored.version);
    }
    all
}

/// What one writer was told.
#[derive(Default)]
struct Told {
    won: Vec<Version>,
    lost: Vec<(u64, Version, Version)>,
}

/// Publishes until it has won so often, each time on the last version that it knows of.
async fn write(entity: Entity, wins: usize, done: Arc<AtomicU64>) -> Told {
    let mut told = Told::default();
    let mut version = entity.latest().await.unwrap();
    while told.won.len() < wins {
        // The same content from both: only the id tells whose it is.
        match entity.publish(&version, event("x")).await {
            Ok(next) => {
                assert_eq!(next.sequence, version.sequence + 1);
                told.won.push(next.clone());
                version = next;
                done.fetch_add(1, Ordering::SeqCst);
            }
            Err(Error::Conflict { sequence, winner, latest, .. }) => {
                assert_eq!(sequence, version.sequence + 1);
                told.lost.push((sequence, *winner, (*latest).clone()));
                version = *latest;
            }
            Err(other) => panic!("{other}"),
        }
    }
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_writers_that_race_through_kills_of_the_broker_one_wins_each_version_and_the_other_is_told() {
    const WINS: u64 = 250;
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let done = Arc::new(AtomicU64::new(0));
    let mut writers = Vec::new();
    for _ in 0..2 {
        let entity = producer(server.connect().await).await.entity("A", "in.A").await.unwrap();
        writers.push(tokio::spawn(write(entity, WINS as usize, Arc::clone(&done))));
    }
    for kill_at in [100, 300] {
        until("the writers get on", async || done.load(Ordering::SeqCst) >= kill_at).await;
        server.kill();
        server.up();
    }
    let mut told = Vec::new();
    for writer in writers {
        told.push(writer.await.unwrap());
    }

    let entity = producer(connection.clone()).await.entity("A", "in.A").await.unwrap();
    let stored: BTreeMap<u64, Version> = versions(&entity).await.into_iter().map(|version| (version.sequence, version)).collect();
    assert_eq!(count(&connection).await, 2 * WINS, "nothing else is in the stream");
    assert!(stored.keys().copied().eq(1..=2 * WINS));
    let won: BTreeSet<u64> = told.iter().flat_map(|told| &told.won).map(|version| version.sequence).collect();
    assert_eq!(won.len(), told.iter().map(|told| told.won.len()).sum::<usize>(), "no version is won twice");
    for (one, other) in [(&told[0], &told[1]), (&told[1], &told[0])] {
        for version in &one.won {
            assert_eq!(&stored[&version.sequence], version, "what was won is what is stored");
        }
        assert!(!one.lost.is_empty(), "they were to race");
        for (sequence, winner, latest) in &one.lost {
            assert_eq!((winner.sequence, &stored[sequence]), (*sequence, winner), "the winner is the event that has the number");
            assert!(other.won.contains(winner), "and it is the other's");
            assert_eq!(&stored[&latest.sequence], latest);
            assert!(latest.sequence >= winner.sequence);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_confirmation_is_no_conflict_and_what_cannot_be_told_is_not_guessed() {
    let Some(server) = Server::start() else { return };
    let direct = server.connect().await;
    // Ids are forgotten by the time the event is sent again.
    testing::stream(&direct, "IN", &["in.>"], serde_json::json!({ "duplicate_window": 100_000_000u64 })).await;
    let keeps_one = serde_json::json!({ "duplicate_window": 100_000_000u64, "max_msgs_per_subject": 1 });
    testing::stream(&direct, "LAST", &["last.>"], keeps_one).await;
    let (other, between) = (producer(server.connect().await).await, Between::start(&server).await);
    let slow = producer(between.connect().await).await;
    let mut publishing = Vec::new();
    for subject in ["in.A", "in.B", "last.A"] {
        let entity = slow.entity("A", subject).await.unwrap();
        publishing.push((subject, entity));
    }

    between.muted.store(true, Ordering::SeqCst);
    let mut answers = Vec::new();
    for (subject, entity) in publishing {
        let publish = async move { entity.publish(&Version::default(), event("x")).await };
        answers.push((subject, tokio::spawn(publish)));
    }
    until("all are stored", async || {
        let mut stored = true;
        for (stream, subject) in [("IN", "in.A"), ("IN", "in.B"), ("LAST", "last.A")] {
            stored &= raw::last_of_subject(&direct.client(), stream, subject).await.unwrap().is_some();
        }
        stored
    })
    .await;
    // Others go on behind two of them.
    for subject in ["in.A", "last.A"] {
        let entity = other.entity("A", subject).await.unwrap();
        let first = entity.latest().await.unwrap();
        assert_eq!(first.sequence, 1);
        assert_eq!(entity.publish(&first, event("y")).await.unwrap().sequence, 2);
    }
    between.cut.send_replace(true);
    between.muted.store(false, Ordering::SeqCst);
    between.cut.send_replace(false);

    for (subject, answer) in answers {
        let answer = answer.await.unwrap();
        if subject == "last.A" {
            assert!(matches!(&answer, Err(Error::Undecided { sequence: 1, .. })), "{answer:?}");
            continue;
        }
        let entity = other.entity("A", subject).await.unwrap();
        let stored = versions(&entity).await;
        assert_eq!(answer, Ok(stored[0].clone()), "{subject}: it was stored, and only the confirmation got lost");
        assert_eq!(stored.len(), if subject == "in.A" { 2 } else { 1 }, "{subject}: nothing is there twice");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_is_repeated_under_its_own_id_is_the_same_one() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let entity = producer(connection.clone()).await.entity("A", "in.A").await.unwrap();
    let mine = || NewEvent { id: Some("command 7".into()), ..event("x") };
    let first = entity.publish(&Version::default(), mine()).await.unwrap();
    entity.publish(&first, event("y")).await.unwrap();
    // A program that was stopped before it knew, and starts again.
    let again = producer(server.connect().await).await.entity("A", "in.A").await.unwrap();
    assert_eq!(again.publish(&Version::default(), mine()).await, Ok(first.clone()));
    assert_eq!(first.id, "command 7");
    // Another content is another event, whatever id it was given.
    let other = again.publish(&Version::default(), NewEvent { payload: "z".into(), ..mine() }).await;
    assert!(matches!(&other, Err(Error::Conflict { winner, latest, .. }) if **winner == first && latest.sequence == 2), "{other:?}");
    assert_eq!(count(&connection).await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_patience_ends_what_is_not_known_is_called_so_and_the_same_command_finds_it_out() {
    let Some(mut server) = Server::start() else { return };
    let direct = server.connect().await;
    testing::stream(&direct, "IN", &["in.>"], serde_json::json!({})).await;
    let between = Between::start(&server).await;
    let impatient = Options { patience: Duration::from_secs(1), ..options() };
    let producer = Producer::start(between.connect().await, impatient).await.unwrap();
    let entity = producer.entity("A", "in.A").await.unwrap();
    between.muted.store(true, Ordering::SeqCst);
    let lost = entity.publish(&Version::default(), event("x")).await;
    let Err(Error::Undecided { sequence: 1, id, .. }) = lost else { panic!("{lost:?}") };
    assert_eq!(count(&direct).await, 1, "it was stored");
    let again = self::producer(server.connect().await).await.entity("A", "in.A").await.unwrap();
    let same = NewEvent { id: Some(id), ..event("x") };
    assert_eq!(again.publish(&Version::default(), same).await, again.latest().await);
    assert_eq!(count(&direct).await, 1, "once");

    server.kill();
    between.cut.send_replace(true);
    until("the producer's connection is gone", async || !producer.connection().is_connected()).await;
    let never_left = entity.publish(&Version::default(), event("x")).await;
    assert!(matches!(never_left, Err(Error::Unavailable { .. })), "{never_left:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subject_that_does_not_tell_where_an_entity_stands_is_named() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let producer = producer(connection.clone()).await;
    let entity = producer.entity("A", "in.A").await.unwrap();
    assert_eq!((entity.latest().await, entity.next(&Version::default()).await), (Ok(Version::default()), Ok(None)));
    let mut version = Version::default();
    for _ in 0..3 {
        version = entity.publish(&version, event("x")).await.unwrap();
    }
    assert_eq!(entity.latest().await.as_ref(), Ok(&version));

    let elsewhere = NewEvent { subject: "in.B".into(), ..event("x") };
    assert!(matches!(entity.publish(&version, elsewhere).await, Err(Error::Invalid { field, sequence: 4, .. }) if field == "subject"));
    let large = NewEvent { payload: vec![0; 2_000_000].into(), ..event("x") };
    assert!(matches!(entity.publish(&version, large).await, Err(Error::Refused { sequence: 4, .. })));
    let flow = producer.flow("A", Start::After(3)).await.unwrap();
    assert_eq!(entity.publish(&version, event("x")).await, Err(Error::FlowOpen { entity: "A".into() }));
    drop(flow);
    assert!(matches!(producer.entity("A", "in.*").await, Err(Error::Invalid { field, .. }) if field == "subject"));

    // Somebody publishes what is no event of the entity: it is neither passed over nor taken for one.
    testing::publish(&connection, "in.A", "no event").await;
    for wrong in
        [entity.latest().await.map(drop), entity.next(&version).await.map(drop), entity.publish(&version, event("x")).await.map(drop)]
    {
        assert!(matches!(&wrong, Err(Error::NotItsOwn { stream_sequence: 4, .. })), "{wrong:?}");
    }

    // What is gone from the front may have been the entity's, whose numbers would begin again.
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.PURGE.IN", &serde_json::json!({})).await.unwrap();
    let gone = Error::HistoryGone { entity: "A".into(), stream: "IN".into() };
    assert_eq!(entity.latest().await, Err(gone.clone()));
    assert_eq!(entity.next(&Version::default()).await, Err(gone.clone()));
    assert_eq!(entity.publish(&version, event("x")).await, Err(gone));
    // Whoever knows where it stands says so.
    let known = Version { stream_sequence: 0, ..version };
    assert_eq!(entity.publish(&known, event("x")).await.unwrap().sequence, 4);
    assert_eq!(entity.latest().await.unwrap().stream_sequence, 5);
}
