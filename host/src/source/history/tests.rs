//! Which messages are an entity's, against a real server: by subject, by payload, in pages, and from no other stream.

use super::*;
use crate::nats::api;
use crate::nats::testing::{self, Server};
use crate::source::sources::{EventSources, Source};

fn source(subjects: &[&str], entity: Source) -> HistorySource {
    let token = if let Source::Subject(token) = entity { Some(token) } else { None };
    let sources = EventSources { entity, sequence: Source::Stream, id: None, kind: None, time: None, epoch: None };
    HistorySource {
        pipeline: "test".into(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        token,
        decoder: Arc::new(Decoder::new("test".into(), "S".into(), sources)),
    }
}

async fn known(connection: &Connection) -> KnownStream {
    let facts = identity::facts(&connection.client(), "S").await.unwrap();
    KnownStream { name: "S".into(), created_nanos: facts.created_nanos, ..KnownStream::default() }
}

async fn page(
    connection: &Connection,
    source: &HistorySource,
    entity: &str,
    from: u64,
    limit: usize,
) -> Result<(Vec<u64>, Page), HistoryError> {
    let mut found = Vec::new();
    let read = read(connection, source, known(connection).await, entity, (from, limit), |message| {
        found.push(match message {
            Found::Event(event) => event.message.stream_sequence,
            Found::Malformed { message, .. } => message.stream_sequence,
        });
    });
    let page = read.await?;
    Ok((found, page))
}

fn unlikely(why: &HistoryError) -> bool {
    matches!(why, HistoryError::NoEntity { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_of_a_subject_is_found_by_the_broker_in_pages() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    let long = "x".repeat(256);
    let subjects = ["s.A".to_owned(), "s.A.x".to_owned(), "s.B".to_owned(), "s.𝄞✈".to_owned(), "s.a*b".to_owned(), format!("s.{long}")];
    for _ in 0..5 {
        for subject in &subjects {
            testing::publish(&connection, subject, "{}").await;
        }
    }
    let source = source(&["s.>"], Source::Subject(2));
    let of_a: Vec<u64> = (0..5).flat_map(|round| [6 * round + 1, 6 * round + 2]).collect();
    let (found, whole) = page(&connection, &source, "A", 0, 100).await.unwrap();
    assert_eq!((found, whole), (of_a.clone(), Page { looked: 10, next: None }), "bare and longer subjects, and nothing else is looked at");
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let (part, page) = page(&connection, &source, "A", from, 3).await.unwrap();
        assert!(part.len() <= 3);
        found.extend(part);
        let Some(next) = page.next else { break };
        from = next;
    }
    assert_eq!(found, of_a);
    for (at, entity) in [(4, "𝄞✈"), (5, "a*b"), (6, long.as_str())] {
        let expected: Vec<u64> = (0..5).map(|round| 6 * round + at).collect();
        assert_eq!(page(&connection, &source, entity, 0, 100).await.unwrap().0, expected, "{entity}");
    }
    for nobody in ["nobody", "*", ">"] {
        assert_eq!(page(&connection, &source, nobody, 0, 100).await.unwrap().0, Vec::<u64>::new(), "{nobody}");
    }
    for entity in ["", "a.b", "two words", "a\u{7}", &"x".repeat(257)] {
        let error = page(&connection, &source, entity, 0, 100).await.unwrap_err();
        assert!(unlikely(&error), "{entity}: {error}");
    }
    assert_eq!(page(&connection, &source, "A", u64::MAX, 100).await.unwrap().0, Vec::<u64>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_of_a_payload_is_found_by_bounded_scans() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    let names = ["*", ">", "a.b", "two words", "𝄞✈", &"x".repeat(256)];
    for name in names {
        testing::publish(&connection, "s.x", &serde_json::json!({ "e": name }).to_string()).await;
    }
    testing::publish(&connection, "s.x", "no json").await;
    for number in 8..=25_000 {
        let name = if number == 24_000 { "a.b" } else { "other" };
        connection.client().publish("s.x", format!(r#"{{"e":"{name}"}}"#).into()).await.unwrap();
    }
    testing::publish(&connection, "s.x", r#"{"e":"*"}"#).await;
    let source = source(&["s.>"], Source::Json("/e".into()));
    for (at, name) in (1..).zip(names) {
        let (found, page) = page(&connection, &source, name, 0, 1).await.unwrap();
        assert_eq!((found, page.next), (vec![at], Some(at + 1)), "{name}");
    }
    let (found, first) = page(&connection, &source, "a.b", 4, 100).await.unwrap();
    let next = first.next.expect("not all of it was looked at");
    assert!(found.is_empty() && first.looked <= LOOK_MAX && next <= LOOK_MAX + 4, "{first:?}");
    let (mut found, mut from) = (Vec::new(), next);
    loop {
        let (part, page) = page(&connection, &source, "a.b", from, 100).await.unwrap();
        found.extend(part);
        let Some(next) = page.next else { break };
        assert!(next > from);
        from = next;
    }
    assert_eq!(found, [24_000]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn malformed_messages_of_the_entity_are_named() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    testing::publish(&connection, "s.A", "{}").await;
    let mut source = source(&["s.>"], Source::Subject(2));
    let sources = EventSources { id: None, kind: None, time: None, ..EventSources::default() };
    source.decoder = Arc::new(Decoder::new("test".into(), "S".into(), sources));
    let mut reasons = Vec::new();
    let read = read(&connection, &source, known(&connection).await, "A", (0, 10), |found| {
        if let Found::Malformed { reason, .. } = found {
            reasons.push(reason);
        }
    });
    read.await.unwrap();
    assert_eq!(reasons, ["no sequence: header:Seriatim-Sequence is not there"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_stream_is_not_taken_for_the_one_that_was_read() {
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;
    testing::publish(&connection, "s.A", "{}").await;
    let source = source(&["s.>"], Source::Subject(2));
    let current = known(&connection).await;
    let ask = async |known: KnownStream, from: u64| read(&connection, &source, known, "A", (from, 10), |_| {}).await;
    let other = KnownStream { created_nanos: current.created_nanos - 1, ..current.clone() };
    let further = KnownStream { highest: 9, highest_time: 1, ..current.clone() };
    for known in [other, further] {
        for from in [0, 100] {
            assert!(matches!(ask(known.clone(), from).await, Err(HistoryError::Read(ReadError::Identity(_)))), "{known:?} from {from}");
        }
    }
    assert_eq!(ask(current.clone(), 0).await.unwrap().looked, 1);
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.DELETE.S", &serde_json::json!({})).await.unwrap();
    assert!(matches!(ask(current.clone(), 0).await, Err(HistoryError::Read(ReadError::Gone { .. }))));
    server.kill();
    assert!(matches!(ask(current, 0).await, Err(HistoryError::Api(_))), "nobody said that it is gone");
}
