//! Decoding: what a good message gives, and every way in which one is malformed.

use super::*;
use crate::event::Header;

fn message(subject: &str, headers: &[(&str, &str)], payload: &[u8]) -> Arc<Message> {
    Arc::new(Message {
        subject: subject.to_owned(),
        headers: headers.iter().map(|(name, value)| Header { name: (*name).to_owned(), value: (*value).to_owned() }).collect(),
        payload: bytes::Bytes::copy_from_slice(payload),
        stream_sequence: 42,
        time: 1_700_000_000_000,
    })
}

fn decoder(change: impl FnOnce(&mut EventSources)) -> Decoder {
    let mut sources = EventSources::default();
    change(&mut sources);
    Decoder::new("flights".into(), "FLIGHTS".into(), sources)
}

fn refused(decoder: &Decoder, message: Arc<Message>) -> Malformed {
    decoder.decode(message).unwrap_err()
}

const SEQUENCE: (&str, &str) = ("Seriatim-Sequence", "7");

#[test]
fn a_full_message_gives_all_parts() {
    let headers = [
        SEQUENCE,
        ("Seriatim-Id", "i-1"),
        ("Seriatim-Type", "departed"),
        ("Seriatim-Time", "2026-01-01T01:00:00.5+01:00"),
        ("Nats-Msg-Id", "other"),
    ];
    let event = decoder(|_| ()).decode(message("flights.N1", &headers, b"x")).unwrap();
    assert_eq!((&*event.key.pipeline, &*event.key.entity, event.epoch, event.sequence), ("flights", "N1", 0, 7));
    assert_eq!((event.id.as_str(), event.has_id, event.kind.as_str(), event.time), ("i-1", true, "departed", 1_767_225_600_500));
}

#[test]
fn what_is_absent_has_a_stand_in() {
    let event = decoder(|_| ()).decode(message("flights.N1", &[SEQUENCE, ("Nats-Msg-Id", "m-1")], b"")).unwrap();
    assert_eq!((event.id.as_str(), event.has_id, event.kind.as_str(), event.time), ("m-1", true, "", 1_700_000_000_000));
    let event = decoder(|_| ()).decode(message("flights.N1", &[SEQUENCE, ("Seriatim-Id", "")], b"")).unwrap();
    assert_eq!((event.id.as_str(), event.has_id), ("FLIGHTS:42", false));
}

#[test]
fn an_epoch_is_read_where_it_is_configured() {
    let with = decoder(|sources| sources.epoch = Some("header:Seriatim-Epoch".parse().unwrap()));
    assert_eq!(with.decode(message("flights.N1", &[SEQUENCE, ("Seriatim-Epoch", "3")], b"")).unwrap().epoch, 3);
    assert_eq!(with.decode(message("flights.N1", &[SEQUENCE], b"")).unwrap().epoch, 0);
    assert!(refused(&with, message("flights.N1", &[SEQUENCE, ("Seriatim-Epoch", "x")], b"")).reason.contains("epoch"));
}

#[test]
fn a_subject_token_is_the_entity_as_it_stands() {
    let entity = |subject: &str| decoder(|_| ()).decode(message(subject, &[SEQUENCE], b"")).unwrap().key.entity.to_string();
    assert_eq!(entity("flights.E"), "E");
    assert_eq!(entity("flights.E.x"), "E");
    assert_eq!(entity("flights.=20%20ü"), "=20%20ü");
}

#[test]
fn payload_pointers_read_text_and_whole_numbers() {
    let json = decoder(|sources| {
        sources.entity = "json:/order/id".parse().unwrap();
        sources.sequence = "json:/n".parse().unwrap();
        sources.time = Some("json:/at".parse().unwrap());
    });
    let event = json.decode(message("orders", &[], br#"{"order":{"id":81},"n":"12","at":null}"#)).unwrap();
    assert_eq!((&*event.key.entity, event.sequence, event.time), ("81", 12, 1_700_000_000_000));
    let msgpack = decoder(|sources| {
        sources.entity = "msgpack:/id".parse().unwrap();
        sources.sequence = "msgpack:/n".parse().unwrap();
    });
    let payload = rmp_serde::to_vec(&serde_json::json!({ "id": "A1", "n": 3 })).unwrap();
    let event = msgpack.decode(message("orders", &[], &payload)).unwrap();
    assert_eq!((&*event.key.entity, event.sequence), ("A1", 3));
}

#[test]
fn an_id_may_be_the_content() {
    let content = decoder(|sources| sources.id = Some(Source::Content));
    let id = |payload: &[u8]| content.decode(message("flights.N1", &[SEQUENCE], payload)).unwrap().id;
    assert_eq!(id(b"a"), id(b"a"));
    assert_ne!(id(b"a"), id(b"b"));
    assert_eq!(id(b"").len(), 64);
}

#[test]
fn malformed_entities() {
    let plain = decoder(|_| ());
    let short = refused(&plain, message("flights", &[SEQUENCE], b""));
    assert_eq!(short, Malformed { reason: "no entity: subject \"flights\" has no token 2".into(), entity: None });
    let header = decoder(|sources| sources.entity = "header:Seriatim-Entity".parse().unwrap());
    let entity = |value: &str| refused(&header, message("a", &[SEQUENCE, ("Seriatim-Entity", value)], b"")).reason;
    assert!(refused(&header, message("a", &[SEQUENCE], b"")).reason.contains("header:Seriatim-Entity is not there"));
    assert!(entity("").contains("is empty"));
    assert!(entity(&"x".repeat(257)).contains("has 257 bytes; 256 are allowed"));
    assert!(entity("a\u{7}b").contains("control characters: \"a\\u{7}b\""));
    assert!(entity("a\u{85}b").contains("control characters"));
    assert!(entity("a\u{fffd}").contains("not valid UTF-8"));
    let twice = message("a", &[SEQUENCE, ("Seriatim-Entity", "A"), ("Seriatim-Entity", "A")], b"");
    assert!(refused(&header, twice).reason.contains("more than once"));
    assert!(header.decode(message("a", &[SEQUENCE, ("Seriatim-Entity", &"x".repeat(256))], b"")).is_ok());
}

#[test]
fn malformed_sequences_keep_the_entity() {
    let plain = decoder(|_| ());
    let with = |values: &[&str]| {
        let headers: Vec<(&str, &str)> = values.iter().map(|value| ("Seriatim-Sequence", *value)).collect();
        let malformed = refused(&plain, message("flights.N1", &headers, b""));
        assert_eq!(malformed.entity.as_deref(), Some("N1"));
        malformed.reason
    };
    assert!(with(&[]).contains("no sequence: header:Seriatim-Sequence is not there"));
    assert!(with(&["0"]).contains("is 0; the first is 1"));
    assert!(with(&["7", "7"]).contains("more than once"));
    for text in ["", "-1", "+1", "1.0", "1e3", "0x10", " 1", "seven", "18446744073709551616", "٧"] {
        assert!(with(&[text]).contains("is not a decimal number"), "{text}");
    }
    assert_eq!(plain.decode(message("flights.N1", &[("Seriatim-Sequence", "18446744073709551615")], b"")).unwrap().sequence, u64::MAX);
}

#[test]
fn malformed_ids_and_times() {
    let plain = decoder(|_| ());
    let twice = message("flights.N1", &[SEQUENCE, ("Seriatim-Id", "a"), ("Seriatim-Id", "b")], b"");
    assert!(refused(&plain, twice).reason.contains("the id is not clear"));
    let broken = message("flights.N1", &[SEQUENCE, ("Seriatim-Id", "a\nb")], b"");
    assert!(refused(&plain, broken).reason.contains("control characters"));
    for time in ["yesterday", "2026-01-01", "2026-13-01T00:00:00Z", "1767225600"] {
        assert!(
            refused(&plain, message("flights.N1", &[SEQUENCE, ("Seriatim-Time", time)], b"")).reason.contains("not RFC 3339"),
            "{time}"
        );
    }
}

#[test]
fn malformed_payloads() {
    let json = decoder(|sources| sources.entity = "json:/id".parse().unwrap());
    let reason = |payload: &[u8]| refused(&json, message("a", &[SEQUENCE], payload)).reason;
    assert!(reason(b"{").contains("not JSON"));
    assert!(reason(b"{}").contains("json:/id is not there"));
    assert!(reason(br#"{"id":1.5}"#).contains("neither text nor a whole number"));
    assert!(reason(br#"{"id":["a"]}"#).contains("neither text nor a whole number"));
    assert!(reason(&[b'['; 100_000]).contains("not JSON"), "deep nesting is refused, not followed");
    let msgpack = decoder(|sources| sources.entity = "msgpack:/id".parse().unwrap());
    assert!(refused(&msgpack, message("a", &[SEQUENCE], &[0xc1])).reason.contains("not MessagePack"));
    assert!(refused(&msgpack, message("a", &[SEQUENCE], &[0x91; 100_000])).reason.contains("not MessagePack"));
}

#[test]
fn a_reason_is_one_line_and_short() {
    let reason = refused(&decoder(|_| ()), message("flights.N1", &[("Seriatim-Sequence", &"x\n".repeat(5000))], b"")).reason;
    assert!(!reason.contains('\n') && reason.len() < 400, "{reason}");
}
