//! Against a real server: paging through many, filters, what is gone and what only does not answer, deletions, exports.

use super::*;
use crate::control::{self, Answer, HistoryPart, HistoryQuery, Letters, PurgeDone};
use crate::event::Header;
use crate::nats::testing::{self, Server};
use crate::nats::{api, identity};
use crate::sink::dead_letter::{Built, DeadLetter, Reason, build};
use crate::sink::dead_letter_stream::{DeadLetterOptions, ensure_stream};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::collections::BTreeSet;
use std::time::Duration;

/// Names of entities that are hard on subjects, headers and paths.
fn hard_names() -> Vec<String> {
    ["N1", "a.b", "*", ">", "two words", "𝄞✈ü", "=X%2F/\\\"'"].map(str::to_owned).into_iter().chain(["x".repeat(256)]).collect()
}

fn message(stream_sequence: u64, payload: &[u8]) -> Message {
    Message {
        subject: "flights.N1".into(),
        headers: [("Nats-Msg-Id", "own"), ("X", "1"), ("X", "2"), ("traceparent", "00-1")]
            .map(|(name, value)| Header { name: name.into(), value: value.into() })
            .to_vec(),
        payload: Bytes::copy_from_slice(payload),
        stream_sequence,
        time: 1_767_225_600_123,
    }
}

fn letter<'a>(message: &'a Message, entity: &'a str, reason: Reason) -> DeadLetter<'a> {
    DeadLetter {
        pipeline: "flights",
        generation: 3,
        reason,
        error: "why",
        attempts: 2,
        handler: Some("rotation"),
        component: None,
        entity: Some(entity),
        epoch: Some(0),
        sequence: Some(7),
        id: Some("i-1"),
        stream: "FLIGHTS",
        stream_sequence: message.stream_sequence,
        lost_to: None,
        accepted: false,
        message: Some(message),
    }
}

/// A server with a stream of dead letters.
async fn ready(server: &Server) -> (Connection, DeadLetters) {
    let connection = server.connect().await;
    let options = DeadLetterOptions { max_bytes: 0, max_age: None, replicas: 1 };
    ensure_stream(&connection, &options).await.unwrap();
    (connection.clone(), DeadLetters::new(connection))
}

async fn send(connection: &Connection, built: Built) {
    let mut headers = async_nats::HeaderMap::new();
    for (name, value) in built.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())) {
        headers.append(name, value);
    }
    headers.append("Nats-Msg-Id", built.message_id.as_str());
    connection.client().publish_with_headers(built.subject, headers, built.payload).await.unwrap();
}

/// Sends them without asking for each; returns when the stream has `total`.
async fn send_all(connection: &Connection, all: impl IntoIterator<Item = Built>, total: u64) {
    for built in all {
        send(connection, built).await;
    }
    connection.client().flush().await.unwrap();
    for _ in 0..2_000 {
        if identity::facts(&connection.client(), STREAM).await.unwrap().last_sequence >= total {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the stream did not take {total} dead letters");
}

fn query() -> DeadLetterQuery {
    DeadLetterQuery::default()
}

async fn request(connection: &Connection, request: &str, body: serde_json::Value) {
    let _: serde_json::Value = api::call(&connection.client(), request, &body).await.unwrap();
}

fn received(connection: &Connection) -> u64 {
    connection.client().statistics().in_messages.load(std::sync::atomic::Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_are_paged_without_reading_more_than_a_page_needs() {
    let Some(server) = Server::start() else { return };
    let (connection, letters) = ready(&server).await;
    let all = (1..=20_000).map(|number| {
        let message = message(number, b"payload");
        let reason = if number % 4 == 0 { Reason::Late } else { Reason::Trap };
        build(&letter(&message, &format!("E{}", number % 1_000), reason), 1 << 20)
    });
    send_all(&connection, all, 20_000).await;

    let before = received(&connection);
    let page = letters.list(&DeadLetterQuery { limit: 100, from: 5_000, ..query() }).await.unwrap();
    let numbers: Vec<u64> = page.dead_letters.iter().map(|row| row.stream_sequence).collect();
    assert_eq!((numbers, page.next, page.note), ((5_000..5_100).collect(), Some(5_100), None));
    let read = received(&connection) - before;
    assert!(read < 320, "{read} messages came for a page of 100: more than its prefetch");

    let late = DeadLetterQuery { reason: Some("late".into()), pipeline: Some("flights".into()), limit: 1_000, ..query() };
    let (mut found, mut from, mut pages) = (Vec::new(), 0, 0);
    let before = received(&connection);
    loop {
        let page = letters.list(&DeadLetterQuery { from, ..late.clone() }).await.unwrap();
        found.extend(page.dead_letters.iter().map(|row| row.source_sequence));
        pages += 1;
        let Some(next) = page.next else { break };
        from = next;
    }
    assert_eq!((found, pages), ((1..=5_000).map(|number| number * 4).collect::<Vec<u64>>(), 5), "the fifth page says that it is the last");
    let read = received(&connection) - before;
    assert!(read < 5_000 + 5 * 600, "{read} messages came: the broker is to leave out the other reasons");

    let of_entity = letters.list(&DeadLetterQuery { entity: Some("E7".into()), limit: 5, ..query() }).await.unwrap();
    assert_eq!(of_entity.dead_letters.iter().map(|row| row.source_sequence).collect::<Vec<_>>(), [7, 1_007, 2_007, 3_007, 4_007]);
    let rest = DeadLetterQuery { entity: Some("E7".into()), from: of_entity.next.unwrap(), ..query() };
    let rest = letters.list(&rest).await.unwrap();
    assert_eq!((rest.dead_letters.len(), rest.next), (15, None));

    let made = letters.made_of("flights", "FLIGHTS", (100, 199), 0).await.unwrap();
    assert_eq!((made.letters.len(), made.complete), (100, true));
    assert!(letters.made_of("flights", "OTHER", (100, 199), 0).await.unwrap().letters.is_empty());

    // Gone from the middle: not on any page, and not by its number.
    request(&connection, &format!("STREAM.MSG.DELETE.{STREAM}"), serde_json::json!({ "seq": 5_001 })).await;
    let page = letters.list(&DeadLetterQuery { limit: 2, from: 5_000, ..query() }).await.unwrap();
    assert_eq!(page.dead_letters.iter().map(|row| row.stream_sequence).collect::<Vec<_>>(), [5_000, 5_002]);
    assert!(matches!(letters.get(5_001).await, Err(Fault::Unknown(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn filters_meet_what_they_name_and_no_more() {
    let Some(server) = Server::start() else { return };
    let (connection, letters) = ready(&server).await;
    let names = hard_names();
    let inputs: Vec<Message> = (1..=8).map(|number| message(number, b"p")).collect();
    let of_names = names.iter().zip(&inputs).map(|(entity, message)| build(&letter(message, entity, Reason::Rejected), 1 << 20));
    send_all(&connection, of_names, 8).await;
    let other = message(100, b"p");
    let other = DeadLetter { pipeline: "orders", handler: Some("other"), ..letter(&other, "N1", Reason::Timeout) };
    send_all(&connection, [build(&other, 1 << 20)], 9).await;
    let times: Vec<(u64, u64)> =
        letters.list(&query()).await.unwrap().dead_letters.iter().map(|row| (row.stream_sequence, row.time)).collect();
    let of = async |query: DeadLetterQuery| -> Vec<u64> {
        letters.list(&query).await.unwrap().dead_letters.iter().map(|row| row.stream_sequence).collect()
    };
    for (at, name) in (1_u64..).zip(&names) {
        let expected: Vec<u64> = if name == "N1" { vec![1, 9] } else { vec![at] };
        assert_eq!(of(DeadLetterQuery { entity: Some(name.clone()), ..query() }).await, expected, "{name}");
    }
    assert_eq!(of(DeadLetterQuery { entity: Some("N".into()), ..query() }).await, Vec::<u64>::new());
    assert_eq!(of(DeadLetterQuery { pipeline: Some("orders".into()), ..query() }).await, [9]);
    assert_eq!(of(DeadLetterQuery { handler: Some("other".into()), ..query() }).await, [9]);
    for at in times.iter().flat_map(|(_, time)| [*time, *time + 1]) {
        let when = |keep: &dyn Fn(u64) -> bool| times.iter().filter(|(_, time)| keep(*time)).map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(of(DeadLetterQuery { since: Some(at), ..query() }).await, when(&|time| time >= at));
        let until = letters.list(&DeadLetterQuery { until: Some(at), ..query() }).await.unwrap();
        assert_eq!(until.dead_letters.iter().map(|row| row.stream_sequence).collect::<Vec<_>>(), when(&|time| time < at));
        assert_eq!(until.next, None, "what came later is no next page");
    }
    assert_eq!(of(DeadLetterQuery { since: Some(253_402_300_799_999), ..query() }).await, Vec::<u64>::new());
    assert_eq!(of(DeadLetterQuery { from: u64::MAX, ..query() }).await, Vec::<u64>::new());
    for bad in [
        DeadLetterQuery { pipeline: Some("*".into()), ..query() },
        DeadLetterQuery { reason: Some("none".into()), ..query() },
        DeadLetterQuery { since: Some(u64::MAX), ..query() },
    ] {
        assert!(matches!(letters.list(&bad).await, Err(Fault::Bad(_))));
        assert!(matches!(letters.purge(&bad, false).await, Err(Fault::Bad(_))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_stream_is_an_empty_list_and_no_answer_is_an_error() {
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    let letters = DeadLetters::new(connection.clone());
    let page = letters.list(&query()).await.unwrap();
    assert!(page.dead_letters.is_empty() && page.next.is_none() && page.note.is_some_and(|note| note.contains("there is no stream")));
    assert_eq!(letters.purge(&query(), false).await.unwrap(), PurgeDone { matched: 0, deleted: 0, next: None });
    assert!(letters.export(&query()).await.unwrap().letters.is_empty());
    for number in [0, 1, u64::MAX] {
        assert!(matches!(letters.get(number).await, Err(Fault::Unknown(_))), "{number}");
        assert!(matches!(letters.fetch(number).await, Err(Fault::Unknown(_))), "{number}");
    }
    let (connection, letters) = ready(&server).await;
    let input = message(1, b"p");
    send_all(&connection, [build(&letter(&input, "N1", Reason::Trap), 1 << 20)], 1).await;
    assert!(matches!(letters.get(2).await, Err(Fault::Unknown(why)) if why.contains("does not have it")));
    assert!(letters.get(1).await.is_ok());
    server.kill();
    assert!(matches!(letters.get(1).await, Err(Fault::Unavailable(_))), "nobody said that it is gone");
    assert!(matches!(letters.list(&query()).await, Err(Fault::Unavailable(_))));
    assert!(matches!(letters.purge(&query(), false).await, Err(Fault::Unavailable(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_comes_back_as_the_reader_had_it() {
    let Some(server) = Server::start() else { return };
    let (connection, letters) = ready(&server).await;
    let names = hard_names();
    let inputs: Vec<Message> = (1..=8).map(|number| message(number, &[0, 159, number as u8])).collect();
    let all = names.iter().zip(&inputs).map(|(entity, message)| build(&letter(message, entity, Reason::Rejected), 1 << 20));
    send_all(&connection, all, 8).await;
    for ((at, name), input) in (1..).zip(&names).zip(&inputs) {
        let source = letters.fetch(at).await.unwrap();
        assert_eq!(
            (source.dead_letter, source.pipeline.as_str(), source.generation, source.reason.as_str()),
            (at, "flights", 3, "rejected")
        );
        assert_eq!((source.entity.as_deref(), source.stream.as_str()), (Some(name.as_str()), "FLIGHTS"));
        let found = &source.message;
        assert_eq!((&found.subject, &found.headers, &found.payload), (&input.subject, &input.headers, &input.payload));
        assert_eq!((found.stream_sequence, found.time), (input.stream_sequence, input.time));
        let report = letters.get(at).await.unwrap();
        assert_eq!(STANDARD.decode(report.payload.unwrap()).unwrap(), input.payload);
        assert!(report.payload_missing.is_none() && report.headers.contains(&("Seriatim-Dead-Nats-Msg-Id".into(), "own".into())));
    }
    let lost = DeadLetter { lost_to: Some(50), message: None, reason: Reason::Lost, ..letter(&inputs[0], "N1", Reason::Lost) };
    send_all(&connection, [build(&lost, 1 << 20)], 9).await;
    assert!(matches!(letters.fetch(9).await, Err(Fault::Bad(why)) if why.contains("nothing to redrive")));
    assert!(letters.get(9).await.unwrap().payload_missing.is_some());
    connection.client().publish("seriatim.dead.flights.late", "by hand".into()).await.unwrap();
    send_all(&connection, [], 10).await;
    assert!(matches!(letters.fetch(10).await, Err(Fault::Bad(why)) if why.contains("no host wrote it")));
    assert_eq!(letters.list(&DeadLetterQuery { from: 10, ..query() }).await.unwrap().dead_letters.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_truncated_one_is_read_from_its_stream_while_that_has_it() {
    let Some(server) = Server::start() else { return };
    let (connection, letters) = ready(&server).await;
    testing::stream(&connection, "FLIGHTS", &["flights.>"], serde_json::json!({})).await;
    let payload = "x".repeat(1_000_000);
    testing::publish(&connection, "flights.N0", "small").await;
    let sequence = testing::publish(&connection, "flights.N1", &payload).await;
    let time = identity::message_time(&connection.client(), "FLIGHTS", sequence).await.unwrap().unwrap();
    let input = Message { headers: Vec::new(), time, ..message(sequence, payload.as_bytes()) };
    let real = build(&letter(&input, "N1", Reason::Trap), 4_096);
    let of_another = build(&letter(&Message { time: time - 1, ..input.clone() }, "N1", Reason::Gap), 4_096);
    assert!(real.truncated && of_another.truncated);
    send_all(&connection, [real, Built { message_id: "flights:2:dead:2".into(), ..of_another }], 2).await;

    assert_eq!(STANDARD.decode(letters.get(1).await.unwrap().payload.unwrap()).unwrap(), payload.as_bytes());
    let source = letters.fetch(1).await.unwrap();
    assert_eq!((source.message.payload.len(), source.message.subject.as_str(), source.message.time), (1_000_000, "flights.N1", time));
    assert_eq!(letters.export(&query()).await.unwrap().letters[0].payload.as_ref().map(String::len), Some(1_333_336));
    let other = letters.get(2).await.unwrap();
    assert!(other.payload.is_none() && other.payload_missing.unwrap().contains("is another one now"));
    assert!(matches!(letters.fetch(2).await, Err(Fault::Conflict { detail, .. }) if detail.contains("is another one now")));

    request(&connection, "STREAM.MSG.DELETE.FLIGHTS", serde_json::json!({ "seq": sequence })).await;
    assert!(letters.get(1).await.unwrap().payload_missing.unwrap().contains("does not have message 2 any more"));
    assert!(matches!(letters.fetch(1).await, Err(Fault::Conflict { detail, .. }) if detail.contains("any more")));
    request(&connection, "STREAM.DELETE.FLIGHTS", serde_json::json!({})).await;
    assert!(letters.get(1).await.unwrap().payload_missing.unwrap().contains("does not exist any more"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_takes_what_matches_and_nothing_else() {
    let Some(server) = Server::start() else { return };
    let (connection, letters) = ready(&server).await;
    let inputs: Vec<Message> = (1..=60).map(|number| message(number, b"p")).collect();
    let all = inputs.iter().map(|input| {
        let reason = if input.stream_sequence.is_multiple_of(2) { Reason::Late } else { Reason::Trap };
        build(&letter(input, if input.stream_sequence.is_multiple_of(3) { "*" } else { "N1" }, reason), 1 << 20)
    });
    send_all(&connection, all, 60).await;
    let late = DeadLetterQuery { reason: Some("late".into()), entity: Some("*".into()), ..query() };
    let counted = letters.purge(&late, true).await.unwrap();
    assert_eq!(counted, PurgeDone { matched: 10, deleted: 0, next: None });
    let first = letters.purge(&DeadLetterQuery { limit: 4, ..late.clone() }, false).await.unwrap();
    assert_eq!((first.matched, first.deleted, first.next), (4, 4, Some(26)), "6, 12, 18 and 24; 26 is the next late one");
    assert_eq!(letters.purge(&late, false).await.unwrap(), PurgeDone { matched: 6, deleted: 6, next: None });
    assert_eq!(letters.purge(&late, false).await.unwrap(), PurgeDone { matched: 0, deleted: 0, next: None }, "again");
    let left: BTreeSet<u64> = letters.list(&query()).await.unwrap().dead_letters.iter().map(|row| row.stream_sequence).collect();
    assert_eq!(left, (1..=60).filter(|number| number % 6 != 0).collect());
    let facts = identity::facts(&connection.client(), STREAM).await.unwrap();
    assert!(
        matches!(letters.delete(facts.created_nanos - 1, vec![1]).await, Err(Fault::Unavailable(why)) if why.contains("created again"))
    );
    assert_eq!(letters.delete(facts.created_nanos, vec![1, 6]).await, Ok(1), "6 was gone");
}

/// The exporting half of the port.
struct Port(DeadLetters);

impl Letters for Port {
    fn list(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        Box::pin(async move { self.0.list(&query).await })
    }
    fn get(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport> {
        Box::pin(self.0.get(stream_sequence))
    }
    fn fetch(&self, stream_sequence: u64) -> Answer<'_, RedriveSource> {
        Box::pin(self.0.fetch(stream_sequence))
    }
    fn export(&self, query: DeadLetterQuery) -> Answer<'_, ExportPage> {
        Box::pin(async move { self.0.export(&query).await })
    }
    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone> {
        Box::pin(async move { self.0.purge(&query, dry_run).await })
    }
    fn history(&self, _: HistoryQuery) -> Answer<'_, HistoryPart> {
        Box::pin(async { Ok(HistoryPart::default()) })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_is_a_line_for_each_with_everything_in_it() {
    let Some(server) = Server::start() else { return };
    let (connection, letters) = ready(&server).await;
    let names = hard_names();
    let inputs: Vec<Message> = (1..=30).map(|number| message(number, &[10, 13, 0, 255, number as u8])).collect();
    let all = inputs.iter().map(|input| build(&letter(input, &names[input.stream_sequence as usize % 8], Reason::Trap), 1 << 20));
    send_all(&connection, all, 30).await;
    // Larger than a page of an export may be, all together.
    let big = vec![b'x'; 900_000];
    let big: Vec<Message> = (31..=55).map(|number| message(number, &big)).collect();
    send_all(&connection, big.iter().map(|input| build(&letter(input, "N1", Reason::Trap), 1 << 20)), 55).await;

    let mut out = Vec::new();
    let written = control::export(&Port(letters.clone()), DeadLetterQuery { limit: 7, ..query() }, &mut out).await.unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((written, lines.len()), (55, 55));
    for (line, input) in lines.iter().zip(inputs.iter().chain(&big)) {
        assert_eq!((&line["format"], &line["source_sequence"]), (&"seriatim-dead-letter/1".into(), &input.stream_sequence.into()));
        assert_eq!(STANDARD.decode(line["payload"].as_str().unwrap()).unwrap(), input.payload);
        let headers: Vec<(String, String)> = serde_json::from_value(line["headers"].clone()).unwrap();
        assert!(headers.contains(&("X".into(), "1".into())) && headers.contains(&("X".into(), "2".into())));
    }
    assert_eq!(lines[0]["entity"], names[1].as_str());
    let whole = letters.export(&DeadLetterQuery { limit: 1_000, ..query() }).await.unwrap();
    assert!(whole.letters.len() < 55 && whole.next == Some(whole.letters.len() as u64 + 1), "{} in one page", whole.letters.len());
}
