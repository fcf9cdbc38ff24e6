//! The producer against a real server: killed, full, out of reach, with a confirmation that got lost.

mod commands;

use super::*;
use crate::event::Message;
use crate::nats::api;
use crate::nats::connect::{ConnectOptions, Connection, connect};
use crate::nats::testing::{self, Server};
use crate::sink::scan::{self, Part};
use bytes::Bytes;
use futures_util::FutureExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options { patience: PATIENCE, ..Options::default() }
}

fn numbered(entity: &str, sequence: u64) -> Numbered {
    let payload = format!("{entity} {sequence}").into();
    Numbered { entity: entity.into(), subject: format!("in.{entity}"), sequence, payload, ..Numbered::default() }
}

fn new(entity: &str, payload: &str) -> NewEvent {
    NewEvent { subject: format!("in.{entity}"), payload: payload.to_owned().into(), ..NewEvent::default() }
}

/// Every message of the stream: entity, sequence, stream sequence.
async fn stored(connection: &Connection) -> Vec<(String, u64, u64)> {
    let mut all = Vec::new();
    let part = Part { stream: "IN", subjects: Vec::new(), created_nanos: 0, mark: 0, patience: PATIENCE };
    let note = |message: &Message| {
        let header = |name| message.header(name).unwrap().to_owned();
        all.push((header("Seriatim-Entity"), header("Seriatim-Sequence").parse().unwrap(), message.stream_sequence));
    };
    scan::headers(connection, part, note).await.unwrap();
    all
}

async fn count(connection: &Connection) -> u64 {
    stream_facts(connection, "IN", PATIENCE).await.unwrap().messages
}

/// Waits for a condition that others bring about.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap_or_else(|_| panic!("never happened: {what}"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_holds_and_nothing_is_lost_or_doubled_through_kills_of_the_broker() {
    const EVENTS: u64 = 300;
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let producer = Producer::start(server.connect().await, Options { window: 200, ..options() }).await.unwrap();
    let entities = ["A", "B", "C", "D"];
    let mut pending = Vec::new();
    for sequence in 1..=EVENTS {
        for entity in entities {
            pending.push((entity, sequence, producer.send(numbered(entity, sequence)).await.unwrap()));
        }
        if sequence % 100 == 50 {
            server.kill();
            server.up();
        }
    }
    let progress = producer.finish().await.unwrap();
    assert_eq!((progress.confirmed, progress.failed, progress.owed), (EVENTS * 4, 0, 0));
    let stored = stored(&connection).await;
    for (entity, sequence, pending) in pending {
        let receipt = pending.await.unwrap();
        assert_eq!(receipt.stream.as_ref(), "IN");
        let there = stored.iter().find(|(_, _, at)| *at == receipt.stream_sequence).unwrap();
        assert_eq!((there.0.as_str(), there.1), (entity, sequence));
    }
    for entity in entities {
        let sequences: Vec<u64> = stored.iter().filter(|(name, _, _)| name == entity).map(|(_, sequence, _)| *sequence).collect();
        assert_eq!(sequences, (1..=EVENTS).collect::<Vec<_>>(), "entity {entity}");
    }
}

/// Stands between producer and server. Muted, it lets nothing come back; cut, it drops what is connected and takes nothing.
struct Between {
    address: String,
    muted: Arc<AtomicBool>,
    cut: watch::Sender<bool>,
}

impl Between {
    async fn start(server: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let muted = Arc::new(AtomicBool::new(false));
        let cut = watch::Sender::new(false);
        let (to, quiet, watched) = (server.address(), Arc::clone(&muted), cut.clone());
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let mut is_cut = watched.subscribe();
                if *is_cut.borrow_and_update() {
                    continue;
                }
                let (to, quiet) = (to.clone(), Arc::clone(&quiet));
                tokio::spawn(async move {
                    tokio::select! {
                        () = carry(client, to, quiet) => {}
                        _ = is_cut.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { address, muted, cut }
    }

    async fn connect(&self) -> Connection {
        let options = ConnectOptions { servers: vec![format!("nats://{}", self.address)], name: "between".into(), ..Default::default() };
        connect(options).await.unwrap()
    }
}

async fn carry(mut client: TcpStream, server: String, muted: Arc<AtomicBool>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut server = TcpStream::connect(server).await.unwrap();
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let answers = async {
        let mut buffer = vec![0; 65_536];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if !muted.load(Ordering::SeqCst) && to_client.write_all(&buffer[..count]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
        () = answers => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_stored_while_its_confirmation_got_lost_is_found_after_the_duplicate_window() {
    let Some(server) = Server::start() else { return };
    let direct = server.connect().await;
    testing::stream(&direct, "IN", &["in.>"], serde_json::json!({ "duplicate_window": 200_000_000u64 })).await;
    let between = Between::start(&server).await;
    let producer = Producer::start(between.connect().await, options()).await.unwrap();
    producer.send(numbered("A", 1)).await.unwrap().await.unwrap();

    between.muted.store(true, Ordering::SeqCst);
    let mut pending = Vec::new();
    for entity in ["A", "B", "C"] {
        for sequence in 2..=3 {
            pending.push((entity, sequence, producer.send(numbered(entity, sequence)).await.unwrap()));
        }
    }
    until("the first of each entity is stored", async || count(&direct).await == 4).await;
    between.cut.send_replace(true);
    between.muted.store(false, Ordering::SeqCst);
    // The window has passed once the broker takes an id again that it got after the ones above.
    let probe = Numbered { entity: "probe".into(), ..numbered("probe", 1) };
    let mut probes = 0;
    let other = Producer::start(server.connect().await, options()).await.unwrap();
    until("the duplicate window passes", async || {
        let receipt = other.send(probe.clone()).await.unwrap().await.unwrap();
        probes += u64::from(!receipt.duplicate);
        probes == 2
    })
    .await;
    between.cut.send_replace(false);

    for (entity, sequence, pending) in pending {
        let receipt = pending.await.unwrap();
        assert_eq!(receipt.duplicate, sequence == 2, "{entity} {sequence}: the first was there, the second had not left");
    }
    let progress = producer.finish().await.unwrap();
    assert_eq!((progress.confirmed, progress.duplicates), (7, 3));
    let mut places: Vec<_> =
        stored(&direct).await.into_iter().filter(|(name, _, _)| name != "probe").map(|(name, n, _)| (name, n)).collect();
    places.sort();
    let expected = [("A", 1), ("A", 2), ("A", 3), ("B", 2), ("B", 3), ("C", 2), ("C", 3)];
    assert_eq!(places, expected.map(|(name, sequence)| (name.to_owned(), sequence)), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_is_the_only_one_and_the_next_goes_on_with_its_numbers() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let producer = Producer::start(connection.clone(), options()).await.unwrap();
    let in_stream = || Start::Stream { subjects: "in.>".into() };

    let mut flow = producer.flow("A", in_stream()).await.unwrap();
    assert_eq!((flow.last(), flow.epoch()), (0, None));
    assert_eq!(producer.flow("A", Start::First).await.unwrap_err(), Error::FlowOpen { entity: "A".into() });
    assert_eq!(producer.send(numbered("A", 1)).await.unwrap_err(), Error::FlowOpen { entity: "A".into() });
    producer.send(numbered("AB", 77)).await.unwrap().await.unwrap();
    for payload in ["x", "y", "z"] {
        flow.publish(new("A", payload)).await.unwrap().await.unwrap();
    }
    let bad = NewEvent { subject: "in.*".into(), ..NewEvent::default() };
    assert!(matches!(flow.publish(bad).await, Err(Error::Invalid { field, .. }) if field == "subject"));
    assert_eq!(flow.last(), 3, "what was not accepted has no number");
    drop(flow);

    // Another process.
    let second = Producer::start(server.connect().await, options()).await.unwrap();
    let mut flow = second.flow("A", in_stream()).await.unwrap();
    assert_eq!(flow.last(), 3);
    assert!(flow.start_over(0).is_err());
    flow.start_over(2).unwrap();
    flow.publish(new("A", "again")).await.unwrap().await.unwrap();
    drop(flow);
    let flow = second.flow("A", Start::Stream { subjects: "in.A".into() }).await.unwrap();
    assert_eq!((flow.last(), flow.epoch()), (1, Some(2)));
    assert!(matches!(second.flow("B", Start::Stream { subjects: "in..x".into() }).await, Err(Error::Invalid { .. })));
    assert_eq!(second.flow("B", in_stream()).await.unwrap().last(), 0, "a flow that could not be opened is not in the way");

    let _: serde_json::Value = api::call(&connection.client(), "STREAM.PURGE.IN", &serde_json::json!({ "seq": 5 })).await.unwrap();
    assert_eq!(second.flow("A", in_stream()).await.unwrap_err(), Error::FlowOpen { entity: "A".into() });
    drop(flow);
    assert_eq!(second.flow("A", in_stream()).await.unwrap().last(), 1, "the highest is still there");
    assert_eq!(second.flow("AB", in_stream()).await.unwrap_err(), Error::HistoryGone { entity: "AB".into(), stream: "IN".into() });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flow_does_not_number_by_one_of_several_streams() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "FIRST", &["in.a.>"], serde_json::json!({})).await;
    testing::stream(&connection, "IN", &["in.b.>"], serde_json::json!({})).await;
    let producer = Producer::start(connection.clone(), options()).await.unwrap();
    let event = Numbered { subject: "in.b.x".into(), ..numbered("A", 7) };
    producer.send(event).await.unwrap().await.unwrap();
    let start = |subjects: &str| Start::Stream { subjects: subjects.into() };
    let several = Error::SeveralStreams { subjects: "in.>".into(), names: "FIRST, IN".into() };
    assert_eq!(producer.flow("A", start("in.>")).await.unwrap_err(), several);
    assert_eq!(producer.flow("A", start("in.b.*")).await.unwrap().last(), 7);
    let nowhere = Error::NoStream { subject: "out.*".into() };
    assert_eq!(producer.flow("A", start("out.*")).await.unwrap_err(), nowhere);
    let named = Producer::start(connection, Options { stream: Some("IN".into()), ..options() }).await.unwrap();
    assert_eq!(named.flow("A", start("in.>")).await.unwrap().last(), 7, "the stream is said");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_of_a_message_that_was_removed_can_be_told() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let producer = Producer::start(connection.clone(), options()).await.unwrap();
    for (sequence, purged) in [(1, false), (1, true)] {
        let receipt = producer.send(numbered("A", 1)).await.unwrap().await.unwrap();
        assert_eq!((receipt.stream_sequence, receipt.duplicate), (sequence, purged));
        assert_eq!(has_message(&connection, "IN", sequence, PATIENCE).await, Ok(!purged));
        let _: serde_json::Value = api::call(&connection.client(), "STREAM.PURGE.IN", &serde_json::json!({})).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_an_event_refused_for_good_its_entity_waits_for_the_caller_and_others_go_on() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({ "max_msg_size": 2000 })).await;
    let producer = Producer::start(connection.clone(), options()).await.unwrap();
    let large = Numbered { payload: Bytes::from(vec![0; 5000]), ..numbered("A", 2) };
    let events = [numbered("A", 1), large, numbered("A", 3), numbered("B", 1), numbered("A", 4)];
    let mut pending = Vec::new();
    for event in events {
        // The refusal may have come before the later ones are given: then they fail at once.
        pending.push(match producer.send(event).await {
            Ok(pending) => pending.await,
            Err(error) => Err(error),
        });
    }
    assert!(pending[0].is_ok() && pending[3].is_ok());
    assert!(matches!(&pending[1], Err(Error::Refused { entity, sequence: 2, code: 10054, .. }) if entity == "A"), "{:?}", pending[1]);
    for (at, number) in [(2, 3), (4, 4)] {
        assert_eq!(pending[at], Err(Error::Blocked { entity: "A".into(), sequence: number, refused: 2 }));
    }
    assert!(producer.unblock("A"));
    for sequence in 2..=4 {
        producer.send(numbered("A", sequence)).await.unwrap().await.unwrap();
    }
    assert!(matches!(producer.finish().await, Err(Error::Failed { failed: 1, .. })));
    assert_eq!(count(&connection).await, 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_bounds_what_is_owed_and_patience_ends_it() {
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let patient = Producer::start(server.connect().await, Options { window: 3, ..options() }).await.unwrap();
    let short = Options { window: 3, patience: Duration::from_secs(8), ..options() };
    let impatient = Producer::start(server.connect().await, short).await.unwrap();
    for producer in [&patient, &impatient] {
        producer.send(numbered("A", 1)).await.unwrap().await.unwrap();
    }
    server.kill();
    let mut pending = Vec::new();
    for producer in [&patient, &impatient] {
        for sequence in 2..=4 {
            pending.push(producer.send(numbered("A", sequence)).now_or_never().expect("room for three").unwrap());
        }
        assert!(producer.send(numbered("B", 1)).now_or_never().is_none(), "no room for a fourth");
        assert_eq!(producer.progress().owed, 3);
    }
    let gave_up = pending.split_off(3);
    for pending in gave_up {
        assert!(matches!(pending.await, Err(Error::GaveUp { .. })));
    }
    assert!(matches!(impatient.send(numbered("C", 1)).await, Err(Error::GaveUp { .. })));
    assert!(matches!(impatient.finish().await, Err(Error::GaveUp { .. })));
    server.up();
    for pending in pending {
        pending.await.unwrap();
    }
    assert_eq!(patient.finish().await.unwrap().confirmed, 4);

    // Whoever drops a producer without finishing is told.
    let dropped = Producer::start(server.connect().await, options()).await.unwrap();
    dropped.send(numbered("A", 5)).await.unwrap().await.unwrap();
    server.kill();
    let pending = dropped.send(numbered("A", 6)).await.unwrap();
    drop(dropped);
    assert_eq!(pending.await, Err(Error::Dropped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_without_room_is_waited_for() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({ "max_msgs": 2, "discard": "new" })).await;
    let producer = Producer::start(connection.clone(), options()).await.unwrap();
    let mut pending = Vec::new();
    for sequence in 1..=4 {
        pending.push(producer.send(numbered("A", sequence)).await.unwrap());
    }
    until("the stream is full", async || producer.progress().confirmed == 2).await;
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.PURGE.IN", &serde_json::json!({})).await.unwrap();
    for pending in pending {
        pending.await.unwrap();
    }
    assert_eq!(stored(&connection).await, [("A".to_owned(), 3, 3), ("A".to_owned(), 4, 4)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_stream_that_is_named_takes_events() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    testing::stream(&connection, "OTHER", &["other.>"], serde_json::json!({})).await;
    let named = Options { stream: Some("IN".into()), ..options() };
    let producer = Producer::start(connection.clone(), named).await.unwrap();
    let to = |subject: &str| Numbered { subject: subject.into(), ..numbered("A", 1) };
    let other = Error::OtherStream { subject: "other.A".into(), found: "OTHER".into(), expected: "IN".into() };
    assert_eq!(producer.send(to("other.A")).await.unwrap_err(), other);
    assert_eq!(producer.send(to("nowhere.A")).await.unwrap_err(), Error::NoStream { subject: "nowhere.A".into() });
    producer.send(to("in.A")).await.unwrap().await.unwrap();
    assert_eq!(producer.finish().await.unwrap().confirmed, 1);
    let missing = Options { stream: Some("GONE".into()), ..options() };
    assert!(matches!(Producer::start(connection, missing).await, Err(Error::Read { stream, .. }) if stream == "GONE"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documented_permissions_are_enough_and_what_the_user_may_not_publish_is_refused() {
    let Some(mut server) = Server::start() else { return };
    let admin = server.connect().await;
    testing::stream(&admin, "IN", &["in.>"], serde_json::json!({})).await;
    server.kill();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("nats.conf");
    let users = r#"authorization { users: [{ user: u, password: p, permissions: {
        publish: [
            "in.A", "$JS.API.STREAM.INFO.IN", "$JS.API.STREAM.MSG.GET.IN",
            "$JS.API.CONSUMER.CREATE.IN.>", "$JS.API.CONSUMER.MSG.NEXT.IN.>", "$JS.API.CONSUMER.INFO.IN.>", "$JS.API.CONSUMER.DELETE.IN.>"
        ],
        subscribe: "_INBOX.>"
    } }] }, no_auth_user: u"#;
    std::fs::write(&config, users).unwrap();
    server.up_with(&["-c", config.to_str().unwrap()]);
    let connection = server.connect().await;
    let producer = Producer::start(connection.clone(), Options { stream: Some("IN".into()), ..options() }).await.unwrap();
    let mut flow = producer.flow("A", Start::Stream { subjects: "in.A".into() }).await.unwrap();
    flow.publish(new("A", "x")).await.unwrap().await.unwrap();
    let mut ids = 0;
    tail(&connection, "IN", 0, PATIENCE, |_, _| ids += 1).await.unwrap();
    assert_eq!(ids, 1);
    drop(flow);
    let entity = producer.entity("A", "in.A").await.unwrap();
    let version = entity.latest().await.unwrap();
    assert_eq!(entity.publish(&version, new("A", "y")).await.unwrap().sequence, 2);
    assert_eq!(connection.trouble(), None, "the server had nothing to complain of");

    let refused = producer.send(numbered("B", 1)).await.unwrap().await;
    assert!(matches!(&refused, Err(Error::Refused { reason, .. }) if reason.contains("Permissions Violation")), "{refused:?}");
    let refused = producer.entity("C", "in.C").await.unwrap().publish(&Version::default(), new("C", "x")).await;
    assert!(matches!(&refused, Err(Error::Refused { reason, .. }) if reason.contains("Permissions Violation")), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tail_has_the_ids_of_what_was_published_and_a_copy_is_a_message_of_its_own() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "IN", &["in.>"], serde_json::json!({})).await;
    let producer = Producer::start(connection.clone(), options()).await.unwrap();
    let copy = Numbered { copy: 1, ..numbered("A", 1) };
    let other = Numbered { payload: Bytes::from_static(b"of another run"), ..numbered("A", 1) };
    let events = [numbered("A", 1), numbered("A", 2), copy, other, numbered("A", 1)];
    let mut receipts = Vec::new();
    for event in &events {
        receipts.push(producer.send(event.clone()).await.unwrap().await.unwrap());
    }
    assert_eq!(receipts.iter().map(|receipt| receipt.stream_sequence).collect::<Vec<_>>(), [1, 2, 3, 4, 1]);
    assert_eq!(receipts.iter().map(|receipt| receipt.duplicate).collect::<Vec<_>>(), [false, false, false, false, true]);

    let mut ids = Vec::new();
    let tail = tail(&connection, "IN", 1, PATIENCE, |id, sequence| ids.push((id.to_owned(), sequence))).await.unwrap();
    assert_eq!((tail.stream.last_sequence, tail.absence_proves), (4, true));
    assert_eq!(ids, [1, 2, 3].map(|at| (message_id(&events[at]), at as u64 + 1)));
    let mut seriatim_ids = Vec::new();
    let part = Part { stream: "IN", subjects: Vec::new(), created_nanos: 0, mark: 0, patience: PATIENCE };
    scan::headers(&connection, part, |message| seriatim_ids.push(message.header("Seriatim-Id").unwrap().to_owned())).await.unwrap();
    assert_eq!(seriatim_ids, ["A:0:1", "A:0:2", "A:0:1", "A:0:1"]);
}
