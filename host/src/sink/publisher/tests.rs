//! In-flight accounting as a value; publishing against a real server that is full, missing, killed.

use super::*;
use crate::nats::api;
use crate::nats::testing::{self, Server};
use crate::sink::lookup::Lookup;
use crate::store::Mark;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Mutex;

fn waiting(token: u64, since: Instant) -> Waiting {
    Waiting { token, shard: 0, since }
}

#[test]
fn what_waited_past_its_time_does_not_leave() {
    let asked = |blind_until| PublishRequest { blind_until, ..request(1, "out.a", "a", 1) };
    assert!(!asked(None).too_late(None), "never sent before");
    assert!(!asked(Some(100)).too_late(Some(100)));
    assert!(asked(Some(100)).too_late(Some(101)));
    assert!(asked(Some(100)).too_late(None), "nobody knows");
}

#[test]
fn answers_are_matched_whatever_their_order() {
    let now = Instant::now();
    let mut in_flight = InFlight::default();
    for token in 0..5 {
        assert_eq!(in_flight.next_number(), token);
        in_flight.push(waiting(token, now));
    }
    assert_eq!(in_flight.take(3).map(|waiting| waiting.token), Some(3));
    assert!(in_flight.take(3).is_none(), "once");
    assert!(in_flight.take(9).is_none());
    assert_eq!(in_flight.take(0).map(|waiting| waiting.token), Some(0));
    assert!(in_flight.take(0).is_none());
    assert_eq!((in_flight.count, in_flight.slots.len(), in_flight.next_number()), (3, 4, 5));
}

#[test]
fn what_waits_too_long_is_given_up_and_everything_is_when_the_connection_goes() {
    let start = Instant::now();
    let mut in_flight = InFlight::default();
    let mut replies = vec![Vec::new()];
    in_flight.push(waiting(0, start));
    in_flight.push(waiting(1, start + Duration::from_secs(3)));
    in_flight.expire(start + Duration::from_secs(4), &mut replies, "late");
    assert!(replies[0].is_empty());
    in_flight.expire(start + CONFIRM_TIMEOUT, &mut replies, "late");
    assert_eq!(replies[0].iter().map(|reply| reply.token).collect::<Vec<_>>(), [0]);
    in_flight.fail_all(&mut replies, "gone");
    assert_eq!((replies[0].len(), in_flight.is_empty(), in_flight.next_number()), (2, true, 2));
}

#[test]
fn the_window_bounds_messages_and_slots() {
    let mut in_flight = InFlight::default();
    assert_eq!(in_flight.room(2), 2);
    let now = Instant::now();
    for number in 0..16 {
        in_flight.push(waiting(number, now));
        if number > 0 {
            in_flight.take(number);
        }
    }
    assert_eq!((in_flight.count, in_flight.room(2)), (1, 0), "answered slots behind an unanswered one are bounded");
    in_flight.take(0);
    assert_eq!(in_flight.room(2), 2);
}

#[test]
fn what_cannot_be_sent_is_refused_here() {
    let entry = |headers: &[(&str, &str)], payload: usize| OutboxEntry {
        number: 1,
        subject: "a".into(),
        headers: headers.iter().map(|(name, value)| ((*name).to_owned().into(), (*value).to_owned())).collect(),
        payload: Bytes::from(vec![b'x'; payload]),
        message_id: "id".into(),
        mark: Mark::default(),
        dead: false,
        cause: String::new(),
    };
    for headers in [&[("A", "x\r\ny")][..], &[("a b", "x")], &[("", "x")], &[("A:", "x")]] {
        assert!(prepare(&entry(headers, 0), 1000).unwrap_err().contains("cannot be sent"), "{headers:?}");
    }
    let map = prepare(&entry(&[("A", "1"), ("B", "x"), ("A", "2"), ("a", "3")], 0), 1000).unwrap();
    let all = |map: &async_nats::HeaderMap, name: &str| map.get_all(name).map(|value| value.as_str().to_owned()).collect::<Vec<_>>();
    assert_eq!([all(&map, "A"), all(&map, "a"), all(&map, "B")], [vec!["1", "2"], vec!["3"], vec!["x"]]);
    assert_eq!(map.get("Nats-Msg-Id").unwrap().as_str(), "id");
    // Past those that are compared with each other.
    let many: Vec<String> = (0..COMPARED).map(|number| format!("H{number}")).collect();
    let mut headers: Vec<(&str, &str)> = many.iter().map(|name| (name.as_str(), "first")).collect();
    headers.extend([("H0", "second"), ("H0", "third")]);
    let map = prepare(&entry(&headers, 0), 10_000).unwrap();
    assert_eq!((map.len(), all(&map, "H0")), (COMPARED + 1, ["first", "second", "third"].map(str::to_owned).to_vec()));
    let size = wire_size([("A", "1")].into_iter(), "id", 10);
    assert_eq!(size, "NATS/1.0\r\nA: 1\r\nNats-Msg-Id: id\r\n\r\n".len() + 10);
    assert!(prepare(&entry(&[("A", "1")], 10), size).is_ok());
    assert!(prepare(&entry(&[("A", "1")], 11), size).unwrap_err().contains("max_payload"));
}

#[derive(Default)]
struct Collected {
    replies: Mutex<BTreeMap<u64, Vec<PublishResult>>>,
}

impl PublishSink for Collected {
    fn published(&self, replies: Vec<PublishReply>) {
        let mut all = self.replies.lock().unwrap();
        for reply in replies {
            all.entry(reply.token).or_default().push(reply.result);
        }
    }
}

impl Collected {
    async fn of(&self, token: u64) -> PublishResult {
        for _ in 0..1000 {
            if let Some(results) = self.replies.lock().unwrap().get(&token) {
                return results[0].clone();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("no reply for {token}");
    }
}

fn request(token: u64, subject: &str, id: &str, payload: usize) -> PublishRequest {
    let entry = OutboxEntry {
        number: token,
        subject: subject.into(),
        headers: vec![("X".into(), "1".into())],
        payload: Bytes::from(vec![b'x'; payload]),
        message_id: id.into(),
        mark: Mark::default(),
        dead: false,
        cause: String::new(),
    };
    PublishRequest { token, shard: 0, entry: Arc::new(entry), blind_until: None }
}

async fn publisher(server: &Server, window: usize) -> (PublisherHandle, Arc<Collected>, Lookup) {
    let connection = server.connect().await;
    let lookup = Lookup::new(connection.clone());
    let sink = Arc::new(Collected::default());
    let (handle, publisher) = Publisher::new(connection, lookup.streams().clone(), vec![Arc::clone(&sink) as Arc<dyn PublishSink>], window);
    tokio::spawn(publisher.run());
    (handle, sink, lookup)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_outcome_as_it_is() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "OUT", &["out.>"], serde_json::json!({ "max_msg_size": 5000 })).await;
    testing::stream(&connection, "FULL", &["full.>"], serde_json::json!({ "max_msgs": 1, "discard": "new" })).await;
    testing::stream(&connection, "SEALED", &["sealed.>"], serde_json::json!({})).await;
    let sealed: serde_json::Value = api::call(&connection.client(), "STREAM.INFO.SEALED", &serde_json::json!({})).await.unwrap();
    let mut config = sealed["config"].clone();
    config["sealed"] = true.into();
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.UPDATE.SEALED", &config).await.unwrap();

    let (handle, sink, lookup) = publisher(&server, 100).await;
    let streams = lookup.streams();
    assert_eq!(streams.mark_for("out.a").stream, "", "not known yet");
    assert!(lookup.refresh().await);
    let mark = streams.mark_for("out.a");
    assert_eq!((mark.stream.as_str(), mark.last_sequence), ("OUT", 0));
    assert!(mark.created > 0 && mark.sent_after > 1_700_000_000_000 && streams.broker_now_ms().unwrap() >= mark.sent_after);

    handle.try_publish(request(1, "out.a", "a", 10)).unwrap();
    assert_eq!(sink.of(1).await, PublishResult::Confirmed { stream: "OUT".into(), sequence: 1, duplicate: false });
    handle.try_publish(request(2, "out.a", "a", 10)).unwrap();
    assert_eq!(sink.of(2).await, PublishResult::Confirmed { stream: "OUT".into(), sequence: 1, duplicate: true });
    assert_eq!(streams.mark_for("out.zzz").last_sequence, 1, "raised by the confirmation");
    handle.try_publish(request(3, "nobody.a", "b", 10)).unwrap();
    assert!(matches!(sink.of(3).await, PublishResult::Unavailable { .. }));
    handle.try_publish(request(4, "out.a", "c", 6000)).unwrap();
    assert!(matches!(sink.of(4).await, PublishResult::Refused { code: 10054, .. }), "{:?}", sink.of(4).await);
    handle.try_publish(request(5, "out.a", "d", 2_000_000)).unwrap();
    assert!(matches!(sink.of(5).await, PublishResult::Refused { code: 0, .. }));
    handle.try_publish(request(6, "full.a", "e", 10)).unwrap();
    assert!(matches!(sink.of(6).await, PublishResult::Confirmed { .. }));
    handle.try_publish(request(7, "full.a", "f", 10)).unwrap();
    assert!(matches!(sink.of(7).await, PublishResult::Unavailable { reason } if reason.contains("maximum messages exceeded")));
    handle.try_publish(request(8, "sealed.a", "g", 10)).unwrap();
    assert!(matches!(sink.of(8).await, PublishResult::Refused { .. }), "{:?}", sink.of(8).await);
    handle.try_publish(request(9, "out. a", "h", 10)).unwrap();
    assert!(matches!(sink.of(9).await, PublishResult::Refused { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_gets_one_reply_and_retries_store_each_message_once() {
    const MESSAGES: u64 = 5000;
    let Some(mut server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "OUT", &["out.>"], serde_json::json!({})).await;
    let (handle, sink, _) = publisher(&server, 256).await;
    let mut confirmed = 0;
    let mut todo: Vec<u64> = (0..MESSAGES).collect();
    let mut attempt = 0;
    while !todo.is_empty() {
        for (at, number) in todo.iter().enumerate() {
            let mut next = request(attempt * MESSAGES + number, "out.a", &number.to_string(), 100);
            while let Err(back) = handle.try_publish(next) {
                next = back;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if attempt == 0 && at == 2000 {
                server.kill();
                server.up();
            }
        }
        let mut again = Vec::new();
        for number in &todo {
            match sink.of(attempt * MESSAGES + number).await {
                PublishResult::Confirmed { .. } => confirmed += 1,
                PublishResult::Unavailable { .. } => again.push(*number),
                PublishResult::Refused { reason, .. } => panic!("{reason}"),
            }
        }
        todo = again;
        attempt += 1;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(confirmed, MESSAGES);
    assert!(sink.replies.lock().unwrap().values().all(|results| results.len() == 1), "one reply each");
    let facts = crate::nats::identity::facts(&connection.client(), "OUT").await.unwrap();
    assert_eq!(facts.messages, MESSAGES, "each stored once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_finds_what_is_above_the_mark() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    testing::stream(&connection, "OUT", &["out.>"], serde_json::json!({})).await;
    let (handle, sink, lookup) = publisher(&server, 100).await;
    for token in 0..50 {
        handle.try_publish(request(token, "out.a", &format!("id-{token}"), 10)).unwrap();
        sink.of(token).await;
    }
    let created = lookup.ask("OUT").await.unwrap().created_nanos;
    let scan = |created, mark| {
        let connection = connection.clone();
        async move {
            let mut ids = Vec::new();
            let scanned = crate::sink::scan::scan(&connection, "OUT", created, mark, |id, _| ids.push(id.to_owned())).await.unwrap();
            (scanned, ids)
        }
    };
    let (scanned, ids) = scan(created, 40).await;
    assert_eq!((scanned.end, scanned.absence_proves, ids.len()), (50, true, 10));
    assert_eq!((ids[0].as_str(), ids[9].as_str()), ("id-40", "id-49"));
    assert_eq!(scan(created, 50).await.1.len(), 0);
    assert_eq!(scan(created - 1, 50).await.1.len(), 50, "another stream: from its beginning");
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.PURGE.OUT", &serde_json::json!({ "seq": 45 })).await.unwrap();
    let (scanned, ids) = scan(created, 40).await;
    assert_eq!((scanned.end, scanned.absence_proves, ids.len()), (50, false, 6), "trimmed above the mark");
    let _: serde_json::Value = api::call(&connection.client(), "STREAM.PURGE.OUT", &serde_json::json!({})).await.unwrap();
    let (scanned, ids) = scan(created, 50).await;
    assert_eq!((scanned.end, scanned.absence_proves, ids.len()), (50, true, 0), "empty, and nothing above the mark was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_of_any_input_are_stored_and_command_nothing() {
    use crate::event::{Header, Message};
    use crate::sink::dead_letter::{self, DeadLetter, Reason};
    use crate::sink::dead_letter_stream::{self, DeadLetterOptions, ensure_stream};

    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    let options = DeadLetterOptions { max_bytes: 10 << 20, max_age: None, replicas: 1 };
    ensure_stream(&connection, &options).await.unwrap();
    let facts = ensure_stream(&connection, &options).await.unwrap();
    assert_eq!((facts.max_bytes, facts.discard, facts.max_age_ms), (10 << 20, crate::nats::identity::Discard::New, 0));

    let (handle, sink, _) = publisher(&server, 100).await;
    let commands = [
        ("Nats-Expected-Stream", "OTHER"),
        ("Nats-Expected-Last-Sequence", "77"),
        ("Nats-Expected-Last-Subject-Sequence", "77"),
        ("Nats-Expected-Last-Msg-Id", "x"),
        ("Nats-Rollup", "all"),
        ("Nats-TTL", "1s"),
        ("Nats-Msg-Id", "the-same"),
        ("Nats-Schedule", "@at 2030-01-01T00:00:00Z"),
        ("Nats-Batch-Id", "b"),
        ("Nats-Incr", "+1"),
        ("Nats-Required-Api-Level", "99"),
        ("X", "line\rbreak"),
    ];
    for (number, header) in (1..).zip(commands) {
        let message = Message {
            subject: "flights.N1".into(),
            headers: vec![Header { name: header.0.into(), value: header.1.into() }],
            payload: Bytes::from_static(b"p"),
            stream_sequence: number,
            time: 1,
        };
        let letter = DeadLetter {
            pipeline: "flights",
            generation: 1,
            reason: Reason::Malformed,
            error: "no\nsequence",
            attempts: 0,
            handler: None,
            component: None,
            entity: None,
            epoch: None,
            sequence: None,
            id: None,
            stream: "FLIGHTS",
            stream_sequence: number,
            lost_to: None,
            accepted: false,
            message: Some(&message),
        };
        let built = dead_letter::build(&letter, connection.max_payload());
        let entry = OutboxEntry {
            number,
            subject: built.subject,
            headers: built.headers.into_iter().map(|(name, value)| (name.into(), value)).collect(),
            payload: built.payload,
            message_id: built.message_id,
            mark: Mark::default(),
            dead: true,
            cause: "malformed".into(),
        };
        handle.try_publish(PublishRequest { token: number, shard: 0, entry: Arc::new(entry), blind_until: None }).unwrap();
        let expected = PublishResult::Confirmed { stream: dead_letter_stream::STREAM.into(), sequence: number, duplicate: false };
        assert_eq!(sink.of(number).await, expected, "{header:?}");
    }
    let facts = crate::nats::identity::facts(&connection.client(), dead_letter_stream::STREAM).await.unwrap();
    assert_eq!(facts.messages, commands.len() as u64, "nothing rolled up, nothing expired, nothing taken for a duplicate");

    let lossy = server.connect().await;
    let _: serde_json::Value = api::call(&lossy.client(), "STREAM.DELETE.SERIATIM_DEAD_LETTERS", &serde_json::json!({})).await.unwrap();
    testing::stream(&lossy, dead_letter_stream::STREAM, &[dead_letter_stream::SUBJECTS], serde_json::json!({ "max_msgs": 5 })).await;
    assert!(ensure_stream(&lossy, &options).await.unwrap_err().to_string().contains("discard policy"));
}
