//! The reader against a real server that is killed, trimmed and fooled.

use super::*;
use crate::nats::api;
use crate::nats::testing::{self, Server};
use crate::telemetry::lifecycle::Queue;

const WAIT: Duration = Duration::from_secs(30);

#[test]
fn heartbeats_are_a_quarter_of_the_gap_wait() {
    assert_eq!(heartbeat_for(Duration::from_secs(30)), HEARTBEAT_MAX);
    assert_eq!(heartbeat_for(Duration::from_secs(2)), Duration::from_millis(500));
    assert_eq!(heartbeat_for(Duration::ZERO), HEARTBEAT_MIN);
}

async fn known(connection: &Connection, stream: &str) -> KnownStream {
    let facts = identity::facts(&connection.client(), stream).await.unwrap();
    KnownStream { name: stream.into(), created_nanos: facts.created_nanos, ..KnownStream::default() }
}

fn config(known: KnownStream, subjects: &[&str], start_at: u64) -> ReaderConfig {
    ReaderConfig {
        lifecycle: (0, Queue::default()),
        pipeline: "test".into(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        known,
        start_at,
        stream_time: 0,
        prefetch_messages: 100,
        prefetch_bytes: 1 << 20,
        heartbeat: Duration::from_millis(100),
    }
}

struct Running {
    batches: mpsc::Receiver<ReadBatch>,
    task: tokio::task::JoinHandle<Result<(), ReadError>>,
}

fn start(connection: &Connection, config: ReaderConfig) -> Running {
    let (out, batches) = mpsc::channel(4);
    let task = tokio::spawn(Reader::new(connection.clone(), config).run(out));
    Running { batches, task }
}

impl Running {
    async fn next(&mut self) -> ReadBatch {
        tokio::time::timeout(WAIT, self.batches.recv()).await.expect("a batch in time").expect("the reader runs")
    }

    /// Reads on until the message with this payload; returns everything.
    async fn until(&mut self, last: &str) -> (Vec<Arc<Message>>, Vec<LostRange>) {
        let (mut messages, mut lost): (Vec<Arc<Message>>, Vec<LostRange>) = Default::default();
        while messages.last().is_none_or(|message| testing::payload(message) != last) {
            let batch = self.next().await;
            messages.extend(batch.messages);
            lost.extend(batch.lost);
        }
        (messages, lost)
    }

    async fn end(self) -> ReadError {
        let Self { mut batches, task } = self;
        let drain = async { while batches.recv().await.is_some() {} };
        tokio::time::timeout(WAIT, drain).await.expect("the reader ends in time");
        task.await.unwrap().expect_err("an error")
    }
}

fn sequences(messages: &[Arc<Message>]) -> Vec<u64> {
    messages.iter().map(|message| message.stream_sequence).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missed_while_the_broker_is_killed() {
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    let mut reader = start(&connection, config(known(&connection, "S").await, &["s.>"], 1));
    let mut read = Vec::new();
    for round in 0..3 {
        for number in 0..200 {
            testing::publish(&connection, "s.a", &format!("{round}-{number}")).await;
        }
        server.kill();
        server.up();
        testing::publish(&connection, "s.a", &format!("{round}-end")).await;
        read.extend(reader.until(&format!("{round}-end")).await.0);
    }
    let sequences = sequences(&read);
    assert!(sequences.windows(2).all(|pair| pair[1] > pair[0]), "each once, in order");
    assert_eq!(sequences, (1..=read.last().unwrap().stream_sequence).collect::<Vec<_>>(), "none missed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stream_time_moves_on_at_the_head_and_follows_messages() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    let mut reader = start(&connection, ReaderConfig { stream_time: 1000, ..config(known(&connection, "S").await, &["s.>"], 1) });
    while reader.next().await.stream_time < 1_300 {}
    testing::publish(&connection, "s.a", "x").await;
    let (messages, _) = reader.until("x").await;
    let time = messages[0].time;
    let mut last = 0;
    while last < time + 300 {
        let batch = reader.next().await;
        assert!(batch.at_head && batch.pending == 0 && batch.stream_time >= last);
        last = batch.stream_time;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_retention_removed_unread_is_named_once() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    for number in 1..=20 {
        testing::publish(&connection, "s.a", &number.to_string()).await;
    }
    let purge = |keep_from: u64| {
        let connection = connection.clone();
        async move {
            let _: serde_json::Value =
                api::call(&connection.client(), "STREAM.PURGE.S", &serde_json::json!({ "seq": keep_from })).await.unwrap();
        }
    };
    purge(11).await;
    let mut reader = start(&connection, config(known(&connection, "S").await, &["s.>"], 5));
    let (messages, lost) = reader.until("20").await;
    assert_eq!(sequences(&messages), (11..=20).collect::<Vec<_>>());
    assert_eq!(lost, [LostRange { first: 5, last: 10 }]);
    // Trimmed while read up to the head: nothing was lost.
    purge(21).await;
    testing::publish(&connection, "s.a", "21").await;
    let (_, lost) = reader.until("21").await;
    assert_eq!(lost, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_subjects_and_deleted_messages_are_no_loss() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    for number in 1..=30 {
        testing::publish(&connection, ["s.a", "s.b", "s.c"][number % 3], &number.to_string()).await;
    }
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.MSG.DELETE.S", &serde_json::json!({ "seq": 15 })).await.unwrap();
    testing::publish(&connection, "s.a", "end").await;
    let mut reader = start(&connection, config(known(&connection, "S").await, &["s.a", "s.b"], 1));
    let (messages, lost) = reader.until("end").await;
    let expected: Vec<u64> = (1..=30).filter(|number| number % 3 != 2 && *number != 15).chain([31]).collect();
    assert_eq!((sequences(&messages), lost), (expected, vec![]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recreated_or_deleted_stream_ends_the_reader() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    for (name, recreate) in [("A", true), ("B", false)] {
        testing::stream(&connection, name, &[&format!("{name}.>")], serde_json::json!({})).await;
        let mut reader = start(&connection, config(known(&connection, name).await, &[], 1));
        testing::publish(&connection, &format!("{name}.x"), "x").await;
        reader.until("x").await;
        let _: serde_json::Value = api::call(&connection.client(), &format!("STREAM.DELETE.{name}"), &serde_json::json!({})).await.unwrap();
        if recreate {
            testing::stream(&connection, name, &[&format!("{name}.>")], serde_json::json!({})).await;
            assert!(matches!(reader.end().await, ReadError::Identity(_)));
        } else {
            assert!(matches!(reader.end().await, ReadError::Gone { .. }));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_break_the_client_library_are_read_all_the_same() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    testing::publish(&connection, "s.a", "1").await;
    let blocks = [
        &b"NATS/1.0\r\nA: \xff\r\n\r\n"[..],
        b"NATS/1.0\r\nA: x\ry\r\n\r\n",
        b"NATS/1.0\r\nbad name: 1\r\n\r\n",
        b"NATS/1.0\r\nnocolon\r\n\r\n",
    ];
    for block in blocks {
        testing::publish_raw(&server, "s.a", block, b"bad").await;
    }
    testing::publish(&connection, "s.a", "6").await;
    testing::publish_raw(&server, "s.a", blocks[1], b"bad").await;
    testing::publish(&connection, "s.a", "end").await;
    let mut reader = start(&connection, config(known(&connection, "S").await, &["s.>"], 1));
    let (messages, lost) = reader.until("end").await;
    assert_eq!((sequences(&messages), lost), ((1..=8).collect(), vec![]));
    assert_eq!(messages[2].headers[0].value, "x\ry");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_larger_than_the_prefetch_is_read() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    let big = "x".repeat(1_000_000);
    for number in 0..6 {
        testing::publish(&connection, "s.a", &big).await;
        testing::publish(&connection, "s.a", &number.to_string()).await;
    }
    let mut reader = start(&connection, ReaderConfig { prefetch_bytes: 1024, ..config(known(&connection, "S").await, &["s.>"], 1) });
    assert_eq!(sequences(&reader.until("5").await.0), (1..=12).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_stops_the_pulling() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    for number in 0..3000 {
        connection.client().publish("s.a", number.to_string().into()).await.unwrap();
    }
    testing::publish(&connection, "s.a", "end").await;
    let mut reader = start(&connection, config(known(&connection, "S").await, &["s.>"], 1));
    // Nobody receives: the server must stop delivering, long before the end.
    let mut delivered = (0, 0);
    while delivered.0 == 0 || delivered.0 != delivered.1 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let list: serde_json::Value = api::call(&connection.client(), "CONSUMER.LIST.S", &serde_json::json!({})).await.unwrap();
        delivered = (list["consumers"][0]["delivered"]["consumer_seq"].as_u64().unwrap_or(0), delivered.0);
    }
    assert!(delivered.0 < 6 * BATCH_MAX as u64, "{delivered:?}");
    assert_eq!(reader.until("end").await.0.len(), 3001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_is_resolved_to_a_stream_sequence() {
    use crate::nats::identity::{Start, facts, message_time, resolve_start};

    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    let client = connection.client();
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    let empty = facts(&client, "S").await.unwrap();
    for start in [Start::First, Start::New, Start::Time(0), Start::Sequence(0)] {
        assert_eq!(resolve_start(&client, &start, &empty).await.unwrap(), 1, "{start:?}");
    }
    for number in 0..5 {
        testing::publish(&connection, "s.a", &number.to_string()).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _: serde_json::Value = api::call(&client, "STREAM.PURGE.S", &serde_json::json!({ "seq": 2 })).await.unwrap();
    let now = facts(&client, "S").await.unwrap();
    let third = i64::try_from(message_time(&client, "S", 3).await.unwrap().unwrap()).unwrap();
    assert_eq!(message_time(&client, "S", 1).await.unwrap(), None);
    for (start, expected) in [
        (Start::First, 2),
        (Start::New, 6),
        (Start::Sequence(4), 4),
        (Start::Time(0), 2),
        (Start::Time(third), 3),
        (Start::Time(third + 1), 4),
        (Start::Time(third + 3_600_000), 6),
    ] {
        assert_eq!(resolve_start(&client, &start, &now).await.unwrap(), expected, "{start:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_state_of_the_stream_ends_the_reader() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    for number in 0..5 {
        testing::publish(&connection, "s.a", &number.to_string()).await;
    }
    let now = known(&connection, "S").await;
    let later = KnownStream { highest: 9, highest_time: 1, ..now.clone() };
    assert!(matches!(
        start(&connection, config(later, &[], 10)).end().await,
        ReadError::Identity(identity::IdentityError::WentBack { .. })
    ));
    let other = KnownStream { highest: 3, highest_time: 1, ..now };
    assert!(matches!(
        start(&connection, config(other, &[], 4)).end().await,
        ReadError::Identity(identity::IdentityError::OtherMessage { .. })
    ));
}
