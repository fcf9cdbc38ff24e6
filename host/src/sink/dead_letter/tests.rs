//! The form of dead letters, with every header that could command the broker.

use super::*;

/// Every `Nats-*` header known to servers and clients at the time of writing.
const NATS: [&str; 34] = [
    "Nats-Msg-Id",
    "Nats-Expected-Stream",
    "Nats-Expected-Last-Sequence",
    "Nats-Expected-Last-Subject-Sequence",
    "Nats-Expected-Last-Subject-Sequence-Subject",
    "Nats-Expected-Last-Msg-Id",
    "Nats-Stream",
    "Nats-Sequence",
    "Nats-Time-Stamp",
    "Nats-Subject",
    "Nats-Last-Stream",
    "Nats-Last-Consumer",
    "Nats-Last-Sequence",
    "Nats-Num-Pending",
    "Nats-Pending-Messages",
    "Nats-Pending-Bytes",
    "Nats-Stream-Source",
    "Nats-Rollup",
    "Nats-TTL",
    "Nats-Marker-Reason",
    "Nats-Msg-Size",
    "Nats-Consumer-Stalled",
    "Nats-Pin-Id",
    "Nats-Incr",
    "Nats-Counter-Sources",
    "Nats-Batch-Id",
    "Nats-Batch-Sequence",
    "Nats-Batch-Commit",
    "Nats-Schedule",
    "Nats-Schedule-Target",
    "Nats-Schedule-TTL",
    "Nats-Scheduler",
    "Nats-Schedule-Next",
    "Nats-Required-Api-Level",
];

fn message(headers: &[(&str, &str)], payload: &[u8]) -> Message {
    Message {
        subject: "flights.N1".into(),
        headers: headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect(),
        payload: Bytes::copy_from_slice(payload),
        stream_sequence: 42,
        time: 1_767_225_600_500,
    }
}

fn letter(message: Option<&Message>) -> DeadLetter<'_> {
    DeadLetter {
        pipeline: "flights",
        generation: 3,
        reason: Reason::Rejected,
        error: "no such airport",
        attempts: 2,
        handler: Some("rotation"),
        component: Some("abc"),
        entity: Some("N1"),
        epoch: Some(0),
        sequence: Some(7),
        id: Some("i-1"),
        stream: "FLIGHTS",
        stream_sequence: 42,
        lost_to: None,
        accepted: false,
        message,
    }
}

fn value<'b>(built: &'b Built, name: &str) -> Option<&'b str> {
    built.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
}

#[test]
fn it_carries_the_message_and_says_why() {
    let message = message(&[("traceparent", "00-1"), ("X", "1"), ("X", "2")], b"payload");
    let built = build(&letter(Some(&message)), 1 << 20);
    assert_eq!((built.subject.as_str(), built.message_id.as_str()), ("seriatim.dead.flights.rejected", "flights:3:dead:42"));
    assert_eq!((&built.payload[..], built.truncated), (&b"payload"[..], false));
    assert_eq!(built.headers.iter().filter(|(name, _)| name == "X").map(|(_, value)| value.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    for (name, expected) in [
        ("Reason", "rejected"),
        ("Error", "no such airport"),
        ("Attempts", "2"),
        ("Handler", "rotation"),
        ("Component", "abc"),
        ("Pipeline", "flights"),
        ("Entity", "N1"),
        ("Epoch", "0"),
        ("Sequence", "7"),
        ("Id", "i-1"),
        ("Stream", "FLIGHTS"),
        ("Stream-Sequence", "42"),
        ("Subject", "flights.N1"),
        ("Time", "2026-01-01T00:00:00.5Z"),
    ] {
        assert_eq!(value(&built, &format!("Seriatim-Dead-{name}")), Some(expected), "{name}");
    }
}

#[test]
fn no_nats_header_survives_under_its_own_name() {
    for name in NATS.iter().copied().chain(["nats-msg-id", "NATS-TTL", "Nats-", "Nats-Anything-New"]) {
        let message = message(&[(name, "5")], b"");
        let built = build(&letter(Some(&message)), 1 << 20);
        assert!(!built.headers.iter().any(|(header, _)| header.to_ascii_lowercase().starts_with("nats-")), "{name}");
        assert_eq!(value(&built, &format!("Seriatim-Dead-{name}")), Some("5"), "{name}");
        assert_eq!(original_name(&format!("Seriatim-Dead-{name}")).as_deref(), Some(name));
    }
}

#[test]
fn a_dead_letter_of_a_dead_letter_keeps_both_stories() {
    let headers = [
        ("Seriatim-Dead-Reason", "gap"),
        ("Seriatim-Dead-Nats-Msg-Id", "x"),
        ("Seriatim-Dead-Input-Reason", "trap"),
        ("seriatim-dead-error", "e"),
    ];
    let message = message(&headers, b"");
    let built = build(&letter(Some(&message)), 1 << 20);
    assert_eq!(value(&built, "Seriatim-Dead-Reason"), Some("rejected"));
    assert_eq!(value(&built, "Seriatim-Dead-Input-Reason"), Some("gap"));
    assert_eq!(value(&built, "Seriatim-Dead-Input-Nats-Msg-Id"), Some("x"));
    assert_eq!(value(&built, "Seriatim-Dead-Input-Input-Reason"), Some("trap"));
    assert_eq!(value(&built, "Seriatim-Dead-Input-error"), Some("e"));
    let mut names: Vec<&str> = built.headers.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all, "no name stands for two things");
}

#[test]
fn original_names_come_back() {
    for name in ["traceparent", "Seriatim-Id", "Seriatim-Dead-Reason", "Seriatim-Dead-Nats-Msg-Id", "Nats-TTL"] {
        let (carried, _) = carried(&Header { name: name.into(), value: String::new() });
        assert_eq!(original_name(&carried).as_deref(), Some(name));
    }
    assert_eq!(original_name("Seriatim-Dead-Reason"), None, "ours");
    assert_eq!(original_name("Nats-Msg-Id"), None, "ours");
}

#[test]
fn text_is_one_line_and_bounded() {
    assert_eq!(one_line("a\r\nb\tc\u{7}"), "a\\r\\nb\\tc\\u{7}");
    assert_eq!(one_line("grüße"), "grüße");
    for long in ["x".repeat(5000), "ü".repeat(5000), "\n".repeat(5000)] {
        let line = one_line(&long);
        assert!(line.len() <= TEXT_BYTES_MAX && line.len() > TEXT_BYTES_MAX - 8 && line.ends_with('…'), "{}", line.len());
    }
    assert_eq!(one_line(&"x".repeat(TEXT_BYTES_MAX)).len(), TEXT_BYTES_MAX);
    let message = message(&[("X", "a\rb"), ("bad name", "1"), ("naïve", "2")], b"");
    let error = "first\nNats-Msg-Id: forged";
    let built = build(&DeadLetter { error, ..letter(Some(&message)) }, 1 << 20);
    assert!(
        built.headers.iter().all(|(name, value)| !value.contains(['\r', '\n']) && name.bytes().all(|b| b.is_ascii_graphic() && b != b':'))
    );
    assert_eq!(value(&built, "Seriatim-Dead-Error"), Some("first\\nNats-Msg-Id: forged"));
    assert_eq!((value(&built, "X"), value(&built, "bad_name"), value(&built, "na_ve")), (Some("a\\rb"), Some("1"), Some("2")));
}

#[test]
fn what_is_too_big_goes_without_payload_and_if_need_be_without_the_inputs_headers() {
    let big = message(&[("X", "1")], &[b'x'; 4096]);
    let whole = build(&letter(Some(&big)), 1 << 20);
    assert_eq!(build(&letter(Some(&big)), whole.size()), whole, "exactly fits");
    let cut = build(&letter(Some(&big)), whole.size() - 1);
    assert!(cut.truncated && cut.payload.is_empty());
    assert_eq!((value(&cut, "Seriatim-Dead-Truncated"), value(&cut, "X")), (Some("true"), Some("1")));
    let wide = message(&[("X", &"y".repeat(4096))], b"p");
    let cut = build(&letter(Some(&wide)), 2048);
    assert!(cut.truncated && cut.size() <= 2048);
    assert_eq!((value(&cut, "X"), value(&cut, "Seriatim-Dead-Stream-Sequence")), (None, Some("42")));
}

#[test]
fn a_loss_is_named_without_a_message() {
    let range = DeadLetter { reason: Reason::Lost, entity: None, message: None, lost_to: Some(50), ..letter(None) };
    let built = build(&range, 1 << 20);
    assert_eq!((built.subject.as_str(), built.message_id.as_str()), ("seriatim.dead.flights.lost", "flights:3:dead:42:lost"));
    assert_eq!(value(&built, "Seriatim-Dead-Stream-Sequence-Last"), Some("50"));
    assert!(built.payload.is_empty() && !built.truncated && value(&built, "Seriatim-Dead-Subject").is_none());
    let of_entity = build(&DeadLetter { entity: Some("N 1:2"), ..range }, 1 << 20);
    assert_eq!(of_entity.message_id, "flights:3:dead:42:lost:N%201%3A2");
    // What went with the stream before has numbers of that stream: no later loss may have the same id.
    let gone = build(&DeadLetter { entity: Some("N1"), accepted: true, ..range.clone() }, 1 << 20);
    assert_eq!(gone.message_id, "flights:3:dead:42:gone:N1");
}

#[test]
fn reasons_are_the_documented_ones() {
    let names: Vec<&str> = Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(
        names.join(" "),
        "malformed gap late conflict rejected retries-exhausted trap timeout memory output-refused too-large migration lost skipped"
    );
}
