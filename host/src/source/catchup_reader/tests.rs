//! Filters of one entity as values; passes against a real server.

use super::*;
use crate::nats::api;
use crate::nats::identity;
use crate::nats::testing::{self, Server};

fn filters(patterns: &[&str], token: usize) -> Vec<String> {
    let patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
    entity_filters(&patterns, token, "E")
}

#[test]
fn an_open_pattern_gives_the_token_and_its_bare_prefix() {
    assert_eq!(filters(&["flights.>"], 2), ["flights.E.>", "flights.E"]);
    assert_eq!(filters(&["flights.>"], 3), ["flights.*.E.>", "flights.*.E"]);
    assert_eq!(filters(&[">"], 1), ["E.>", "E"]);
    assert_eq!(filters(&["flights.*.>"], 2), ["flights.E.>"], "`>` is at least one token: flights.E alone never matched");
}

#[test]
fn a_closed_pattern_gives_itself_with_the_token() {
    assert_eq!(filters(&["flights.*"], 2), ["flights.E"]);
    assert_eq!(filters(&["flights.*.x"], 2), ["flights.E.x"]);
    assert_eq!(filters(&["flights.*.x", "flights.*.y"], 2), ["flights.E.x", "flights.E.y"]);
    assert_eq!(filters(&["*.flights"], 1), ["E.flights"]);
}

#[test]
fn patterns_that_cannot_hold_the_entity_there_give_nothing() {
    assert_eq!(filters(&["flights.F"], 2), Vec::<String>::new());
    assert_eq!(filters(&["flights.E", "flights.F"], 2), ["flights.E"]);
    assert_eq!(filters(&["flights.*"], 3), Vec::<String>::new());
    assert_eq!(filters(&["flights.*"], 0), Vec::<String>::new());
}

#[test]
fn filters_do_not_overlap() {
    assert_eq!(filters(&["flights.>", "flights.*"], 2), ["flights.E.>", "flights.E"]);
    assert_eq!(filters(&["a.>", "a.*.x"], 2), ["a.E.>", "a.E"]);
}

struct Running {
    items: mpsc::Receiver<CatchupItem>,
    to: watch::Sender<u64>,
    task: tokio::task::JoinHandle<Result<(), ReadError>>,
}

async fn pass(connection: &Connection, subjects: &[&str], from: u64, to: u64) -> Running {
    let facts = identity::facts(&connection.client(), "S").await.unwrap();
    let config = CatchupConfig {
        pipeline: "test".into(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        known: KnownStream { name: "S".into(), created_nanos: facts.created_nanos, ..KnownStream::default() },
        from,
    };
    let (sender, items) = mpsc::channel(2);
    let (to, receiver) = watch::channel(to);
    Running { items, to, task: tokio::spawn(run(connection.clone(), config, receiver, sender)) }
}

impl Running {
    /// Everything until the end is reached: the sequences, and the stream's first sequence as reported last.
    async fn reached(&mut self) -> (Vec<u64>, u64) {
        let (mut sequences, mut first) = (Vec::new(), 0);
        loop {
            let item =
                tokio::time::timeout(Duration::from_secs(20), self.items.recv()).await.expect("an item in time").expect("the pass runs");
            match item {
                CatchupItem::Opened { first_sequence } => first = first_sequence,
                CatchupItem::Messages(messages) => sequences.extend(messages.iter().map(|message| message.stream_sequence)),
                CatchupItem::Reached { .. } => return (sequences, first),
            }
        }
    }
}

async fn filled(server: &Server) -> Connection {
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    for number in 1..=30 {
        let subject = ["s.A", "s.B", "s.A.x"][number % 3];
        testing::publish(&connection, subject, &number.to_string()).await;
    }
    connection
}

async fn request(connection: &Connection, request: &str, body: serde_json::Value) {
    let _: serde_json::Value = api::call(&connection.client(), request, &body).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_reads_its_part_and_no_more() {
    let Some(server) = Server::start() else { return };
    let connection = filled(&server).await;
    let of_a: Vec<u64> = (5..=20).filter(|number| number % 3 != 1).collect();
    let filters = entity_filters(&["s.>".to_owned()], 2, "A");
    let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
    assert_eq!(pass(&connection, &filters, 5, 20).await.reached().await, (of_a, 1));
    assert_eq!(pass(&connection, &[], 1, 30).await.reached().await.0, (1..=30).collect::<Vec<_>>());
    assert_eq!(pass(&connection, &["s.nobody"], 1, 30).await.reached().await.0, Vec::<u64>::new());
    assert_eq!(pass(&connection, &["s.B"], 29, 30).await.reached().await.0, Vec::<u64>::new(), "nothing left below the end");
    assert_eq!(pass(&connection, &["s.B"], 31, 30).await.reached().await.0, Vec::<u64>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_raised_end_goes_on_without_missing_anything() {
    let Some(server) = Server::start() else { return };
    let connection = filled(&server).await;
    let mut running = pass(&connection, &[], 1, 10).await;
    assert_eq!(running.reached().await.0, (1..=10).collect::<Vec<_>>());
    running.to.send(11).unwrap();
    assert_eq!(running.reached().await.0, [11]);
    running.to.send(30).unwrap();
    assert_eq!(running.reached().await.0, (12..=30).collect::<Vec<_>>());
    testing::publish(&connection, "s.A", "31").await;
    running.to.send(31).unwrap();
    assert_eq!(running.reached().await.0, [31]);
    drop(running.items);
    assert!(running.task.await.unwrap().is_ok(), "dropping the receiver ends it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_reached_where_its_message_is_gone() {
    let Some(server) = Server::start() else { return };
    let connection = filled(&server).await;
    for sequence in [27, 28, 29, 30] {
        request(&connection, "STREAM.MSG.DELETE.S", serde_json::json!({ "seq": sequence })).await;
    }
    request(&connection, "STREAM.PURGE.S", serde_json::json!({ "seq": 20 })).await;
    assert_eq!(pass(&connection, &[], 5, 30).await.reached().await, ((20..=26).collect::<Vec<_>>(), 20));
    request(&connection, "STREAM.PURGE.S", serde_json::json!({})).await;
    assert_eq!(pass(&connection, &[], 5, 30).await.reached().await, (vec![], 31));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pass_survives_the_broker_and_ends_with_the_stream() {
    let Some(mut server) = Server::start() else { return };
    let connection = filled(&server).await;
    for number in 31..=3000 {
        connection.client().publish("s.A", number.to_string().into()).await.unwrap();
    }
    testing::publish(&connection, "s.A", "end").await;
    let mut running = pass(&connection, &[], 1, 3001).await;
    // The channel is small and nobody receives yet: the pass is in the middle when the broker dies.
    while running.items.len() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    server.kill();
    server.up();
    assert_eq!(running.reached().await.0, (1..=3001).collect::<Vec<_>>());
    request(&connection, "STREAM.DELETE.S", serde_json::json!({})).await;
    running.to.send(4000).unwrap();
    while running.items.recv().await.is_some() {}
    assert!(matches!(running.task.await.unwrap(), Err(ReadError::Gone { .. })));
}
