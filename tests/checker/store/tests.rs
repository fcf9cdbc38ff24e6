//! The frozen bytes of version 1, and what the parts of a key mean.

use super::bytes::{self, Progress};
use super::*;
use fjall::{Database, KeyspaceCreateOptions, PersistMode};
use std::collections::BTreeMap;

/// `tests/fixtures/records-v1.hex`: values as the first release wrote them.
fn frozen() -> BTreeMap<&'static str, Vec<u8>> {
    let lines = include_str!("../../fixtures/records-v1.hex").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").map(|(name, bytes)| (name, hex::decode(bytes).unwrap())).unwrap()).collect()
}

fn waiting(reason: Reason) -> Waiting {
    let attempts = Attempts { stream_sequence: 99, count: 3 };
    Waiting { generation: 1, from: 98, reason, attempts, alarm: None, since: 1_699_999_999_000 }
}

#[test]
fn the_frozen_values_are_read() {
    let frozen = frozen();
    let slot = Slot {
        generation: 2,
        ring: 64,
        count: 70_001,
        position: (1, 300),
        done_below: 5_000_000_000,
        place: (1, 299),
        id: u64::MAX,
        payload: 0x0123_4567_89ab_cdef,
    };
    assert_eq!(bytes::slot(&frozen["slot"]).unwrap(), slot);
    let extras = bytes::extras(&frozen["extras"]).unwrap();
    assert_eq!((extras.position, extras.done_below, extras.floor, extras.floor_through), (Some((0, 9)), 17, (0, 4), 16));
    assert_eq!((extras.past, extras.fates), (vec![(0, 3)], vec![18, 300]));
    assert_eq!(extras.given_up, [GivenUp { epoch: 0, first: 11, last: 12 }]);
    assert_eq!(bytes::extras(&frozen["extras-empty"]).unwrap(), bytes::Extras::default());
    let retry = Waiting { alarm: Some(Alarm::Host(1_700_000_000_000)), ..waiting(Reason::Retry) };
    assert_eq!(bytes::waiting(&frozen["waiting"]).unwrap(), retry);
    assert_eq!(bytes::waiting(&frozen["waiting-stream-alarm"]).unwrap().alarm, Some(Alarm::Stream(5)));
    let entry = bytes::outbox(&frozen["outbox"]).unwrap();
    assert_eq!((entry.number, entry.subject.as_str(), entry.dead, entry.cause.as_str()), (12, "rotation.N1=2F", true, "rotation"));
    assert_eq!((entry.payload.as_slice(), entry.message_id.as_str()), (&[0, 255, 1][..], "flights:0:0:N1:12:rotation:0"));
    assert_eq!(entry.headers, [("Seriatim-Entity".to_owned(), "N1".to_owned())]);
    assert_eq!(entry.mark, Mark { stream: "ROTATION".to_owned(), created: -1, last_sequence: 77, sent_after: 1_700_000_000_000 });
    assert_eq!(bytes::body(&frozen["state"]).unwrap(), b"\x00{}");
    let progress = Progress { watermark: 1, highest: 2, highest_time: 3, stream_time: 4 };
    assert_eq!(bytes::progress(&frozen["progress"]).unwrap(), progress);
    let record = bytes::record(&frozen["pipeline"]).unwrap();
    assert_eq!((record.generation, record.stream.as_str(), record.created), (1, "FLIGHTS", 1_700_000_000_123_456_789));
    assert_eq!((record.generations, record.subjects), (vec![(0, 1), (1, 500)], vec!["flights.>".to_owned()]));
    assert_eq!(bytes::store(&frozen["store"]).unwrap(), ("k3Jx0".to_owned(), 4, 1_700_000_000_000));
}

#[test]
fn every_reason_is_read() {
    let mut read = 0;
    for (name, value) in frozen().into_iter().filter(|(name, _)| *name != "waiting-stream-alarm") {
        let Some(name) = name.strip_prefix("waiting-") else { continue };
        let found = bytes::waiting(&value).unwrap();
        let shown = match &found.reason {
            Reason::Failed(reason) => format!("failed-{reason}"),
            other => other.to_string(),
        };
        assert_eq!((shown.as_str(), &found), (name, &waiting(found.reason.clone())));
        read += 1;
    }
    assert_eq!(read, 22);
    let line = include_str!("../../fixtures/records-v2.hex").lines().find_map(|line| line.strip_prefix("waiting-breaker: ")).unwrap();
    let told = Waiting { alarm: Some(Alarm::Host(1_700_000_000_000)), ..waiting(Reason::Breaker) };
    assert_eq!(bytes::waiting(&hex::decode(line).unwrap()).unwrap(), told);
}

/// `<length, u8><text>`
fn short(text: &str) -> Vec<u8> {
    [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// `<pipeline><length, u16><entity>` and the rest.
fn key(entity: &str, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(entity.len()).unwrap().to_be_bytes();
    [&short("flights"), &length[..], entity.as_bytes(), rest].concat()
}

fn slot_at(count: u64, ring: u32, position: (u64, u64), generation: u64, done_below: u64) -> (Keyspace, Vec<u8>, Vec<u8>) {
    let value = (generation, ring, count, position, done_below, position, 0u64, 0u64);
    let bytes = [&[1], rmp_serde::to_vec(&value).unwrap().as_slice()].concat();
    (Keyspace::Records, key("N1", &[&[3], &(count % u64::from(ring)).to_be_bytes()[..]].concat()), bytes)
}

/// A pipeline of generation 1, which began at 500, with an entity `N1` whose extras were written before and whose slots partly.
fn pairs() -> Vec<(Keyspace, Vec<u8>, Vec<u8>)> {
    let frozen = frozen();
    let state = [&[4], short("echo").as_slice(), b"count"].concat();
    vec![
        (Keyspace::Meta, b"store".to_vec(), frozen["store"].clone()),
        (Keyspace::Meta, [b"p", short("flights").as_slice(), b"p"].concat(), frozen["progress"].clone()),
        (Keyspace::Meta, [b"p", short("flights").as_slice(), b"r"].concat(), frozen["pipeline"].clone()),
        (Keyspace::Records, key("N1", &[1]), frozen["waiting"].clone()),
        (Keyspace::Records, key("N1", &[2]), frozen["extras"].clone()),
        slot_at(12, 4, (0, 10), 0, 700),
        slot_at(7, 8, (0, 5), 0, 6),
        slot_at(11, 4, (0, 8), 0, 9),
        (Keyspace::Records, key("N1", &state), b"\x0142".to_vec()),
        (Keyspace::Records, key("N1", b"\x05echo"), hex::decode("0193a26364029503a26162019192a16bc4020076c3").unwrap()),
        (Keyspace::Outbox, key("N1", &12u64.to_be_bytes()), frozen["outbox"].clone()),
        (Keyspace::Owing, [short("flights").as_slice(), b"N1"].concat(), vec![1]),
        (Keyspace::Records, key("", &[2]), frozen["extras-empty"].clone()),
    ]
}

fn check(view: &StoreView) {
    assert_eq!((view.store_id.as_str(), view.run, view.created), ("k3Jx0", 4, 1_700_000_000_000));
    let flights = &view.pipelines["flights"];
    assert_eq!((flights.watermark, flights.highest, flights.highest_time, flights.stream_time), (1, 2, 3, 4));
    assert_eq!((flights.generation, flights.generations.len(), flights.entities.len()), (1, 2, 2));
    let entity = &flights.entities["N1"];
    // The newest slot stands above the extras; what a ring of 4 would have overwritten is left out.
    assert_eq!((entity.position, entity.slots.len(), entity.slots[1].count), (Some((0, 10)), 2, 12));
    // Written under generation 0: from 500 on the numbers mean other messages.
    assert_eq!((entity.done_below, entity.generation, entity.fates.as_slice()), (500, 1, &[18, 300][..]));
    assert_eq!(entity.waiting.as_ref().unwrap().from, 98);
    assert_eq!((entity.state["echo"]["count"].as_slice(), entity.owing, entity.outbox.len()), (&b"42"[..], true, 1));
    assert!(entity.gave_up((0, 11)) && entity.gave_up((0, 12)) && !entity.gave_up((0, 13)) && !entity.gave_up((1, 11)));
    assert_eq!(entity.components["echo"], "cd");
    assert!(!flights.entities[""].owing);
}

#[test]
fn a_store_is_read_from_keys_and_values_in_any_order() {
    check(&StoreView::read(pairs()).unwrap());
    check(&StoreView::read(pairs().into_iter().rev()).unwrap());
}

#[test]
fn what_is_not_of_the_format_is_named() {
    let read = |keyspace, key: Vec<u8>, value: &[u8]| format!("{:#}", StoreView::read([(keyspace, key, value.to_vec())]).unwrap_err());
    let slot = frozen()["slot"].clone();
    let slot_key = |at: u64| key("N1", &[&[3], &at.to_be_bytes()[..]].concat());
    for (problem, wanted) in [
        (read(Keyspace::Records, key("N1", &[9]), &[1]), "an unknown kind 9"),
        (read(Keyspace::Records, key("N1", &[1]), &[3, 0]), "version 3"),
        (read(Keyspace::Records, key("N1", &[1]), &[1, 0xc0]), "not the MessagePack it should be"),
        (read(Keyspace::Records, slot_key(70_001 % 64), &[slot.as_slice(), &[0]].concat()), "1 bytes too many"),
        (read(Keyspace::Records, slot_key(5), &slot), "at 5"),
        (read(Keyspace::Outbox, key("N1", &3u64.to_be_bytes()), &frozen()["outbox"]), "entry 12 under number 3"),
        (read(Keyspace::Owing, short("flights"), &[1, 1]), "a value where none belongs"),
        (read(Keyspace::Meta, b"x".to_vec(), &[1]), "an unknown key"),
        (read(Keyspace::Meta, b"\x70\x09fli".to_vec(), &[1]), "shorter than it says"),
    ] {
        assert!(problem.contains(wanted), "{wanted}: {problem}");
    }
}

#[test]
fn a_folder_is_read_and_left_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    {
        let database = Database::builder(folder.path().join("data")).open().unwrap();
        let keyspaces = ["records", "outbox", "owing", "meta"].map(|name| database.keyspace(name, KeyspaceCreateOptions::default).unwrap());
        for (keyspace, key, value) in pairs() {
            keyspaces[keyspace as usize].insert(key, value).unwrap();
        }
        database.persist(PersistMode::SyncAll).unwrap();
    }
    check(&StoreView::from_folder(folder.path()).unwrap());
    check(&StoreView::from_folder(folder.path()).unwrap());
    let problem = StoreView::from_folder(&folder.path().join("absent")).unwrap_err();
    assert!(format!("{problem:#}").contains("absent/data"), "{problem:#}");
}
