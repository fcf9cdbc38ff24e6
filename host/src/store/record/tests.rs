//! Every version ever written is read, what is written is read back, and what cannot be read is named.

use super::super::types::{Mark, Meaning, OutboxEntry, PipelineRecord, Prior, Progress, Stamp, StreamIdentity};
use super::*;
use proptest::prelude::*;
use seriatim_contract::State;
use seriatim_sequencer::DeadReason;
use std::collections::BTreeMap;

fn slot() -> Dated<RingSlot> {
    let slot = Slot {
        count: 70_001,
        position: Place { epoch: 1, sequence: 300 },
        done_below: 5_000_000_000,
        place: Place { epoch: 1, sequence: 299 },
        id: u64::MAX,
        payload: 0x0123_4567_89ab_cdef,
    };
    Dated { generation: 2, value: RingSlot { slot, ring: 64 } }
}

fn extras() -> Dated<Extras> {
    let value = Extras {
        position: Some(Place { epoch: 0, sequence: 9 }),
        done_below: 17,
        floor: Place { epoch: 0, sequence: 4 },
        floor_through: 16,
        past: vec![Place { epoch: 0, sequence: 3 }],
        given_up: vec![Range { first: Place { epoch: 0, sequence: 11 }, last: 12 }],
        fates: vec![18, 300],
        lost: Vec::new(),
        ..Extras::default()
    };
    Dated { generation: 0, value }
}

fn waiting() -> Dated<Waiting> {
    let attempts = Attempts { stream_sequence: 99, count: 3 };
    let value =
        Waiting { from: 98, reason: WaitReason::Retry, attempts, alarm: Some(Alarm::Host(1_700_000_000_000)), since: 1_699_999_999_000 };
    Dated { generation: 1, value }
}

fn outbox() -> OutboxEntry {
    OutboxEntry {
        number: 12,
        subject: "rotation.N1=2F".into(),
        headers: vec![("Seriatim-Entity".into(), "N1".into())],
        payload: Bytes::from_static(&[0, 255, 1]),
        message_id: "flights:0:0:N1:12:rotation:0".into(),
        mark: Mark { stream: "ROTATION".into(), created: -1, last_sequence: 77, sent_after: 1_700_000_000_000 },
        dead: true,
        cause: "rotation".into(),
    }
}

fn pipeline() -> PipelineRecord {
    let meaning = Meaning {
        subjects: vec!["flights.>".into()],
        entity: "subject:2".into(),
        sequence: "header:Seriatim-Sequence".into(),
        epoch: None,
        by: "sequence".into(),
        first_sequence: "1".into(),
        stream: "FLIGHTS".into(),
    };
    let stream = StreamIdentity { name: "FLIGHTS".into(), created: 1_700_000_000_123_456_789 };
    PipelineRecord {
        generation: 1,
        progress: Progress::default(),
        meaning,
        stream,
        generations: vec![(0, 1), (1, 500)],
        ..PipelineRecord::default()
    }
}

/// All of them. A new reason does not compile until it stands in `is_listed`; then add it here and to the fixture.
const REASONS: [WaitReason; 22] = [
    WaitReason::Gap,
    WaitReason::Retry,
    WaitReason::Overflow,
    WaitReason::Resuming,
    WaitReason::OutputUnavailable,
    WaitReason::OutputUndeliverable,
    WaitReason::Operator,
    WaitReason::Record,
    WaitReason::RangesFull,
    WaitReason::Failed(DeadReason::Malformed),
    WaitReason::Failed(DeadReason::Gap),
    WaitReason::Failed(DeadReason::Late),
    WaitReason::Failed(DeadReason::Conflict),
    WaitReason::Failed(DeadReason::Rejected),
    WaitReason::Failed(DeadReason::RetriesExhausted),
    WaitReason::Failed(DeadReason::Trap),
    WaitReason::Failed(DeadReason::Timeout),
    WaitReason::Failed(DeadReason::Memory),
    WaitReason::Failed(DeadReason::OutputRefused),
    WaitReason::Failed(DeadReason::TooLarge),
    WaitReason::Failed(DeadReason::Lost),
    WaitReason::Failed(DeadReason::Skipped),
];

fn is_listed(reason: WaitReason) -> bool {
    use DeadReason as D;
    use WaitReason as W;
    let known = match reason {
        W::Gap
        | W::Retry
        | W::Overflow
        | W::Resuming
        | W::OutputUnavailable
        | W::OutputUndeliverable
        | W::Operator
        | W::Record
        | W::RangesFull => true,
        // Version 2.
        W::Breaker | W::Failed(D::Migration) => return true,
        W::Failed(D::Malformed | D::Gap | D::Late | D::Conflict | D::Rejected | D::RetriesExhausted | D::Trap | D::Timeout | D::Memory) => {
            true
        }
        W::Failed(D::OutputRefused | D::TooLarge | D::Lost | D::Skipped) => true,
    };
    known && REASONS.contains(&reason)
}

/// What a frozen line must decode to, and what is written today for the same value.
fn values() -> Vec<(String, Vec<u8>)> {
    let mut values = vec![
        ("slot".to_string(), slot().encode()),
        ("extras".into(), extras().encode()),
        ("extras-empty".into(), Dated { generation: 0, value: Extras::default() }.encode()),
        ("waiting".into(), waiting().encode()),
        ("outbox".into(), outbox().encode()),
        ("state".into(), Bytes::from_static(b"\x00{}").encode()),
        ("progress".into(), Progress { watermark: 1, highest: 2, highest_time: 3, stream_time: 4 }.encode()),
        ("pipeline".into(), pipeline().encode()),
        ("store".into(), StoreRecord { store_id: "k3Jx0".into(), run: 4, created: 1_700_000_000_000 }.encode()),
    ];
    for reason in REASONS {
        let value = Waiting { reason, alarm: None, ..waiting().value };
        let name = if let WaitReason::Failed(reason) = reason { format!("failed-{}", reason.name()) } else { reason.name().into() };
        values.push((format!("waiting-{name}"), Dated { generation: 1, value }.encode()));
    }
    let stream = Waiting { alarm: Some(Alarm::Stream(5)), ..waiting().value };
    values.push(("waiting-stream-alarm".into(), Dated { generation: 1, value: stream }.encode()));
    values
}

fn fixture() -> BTreeMap<String, Vec<u8>> {
    lines(include_str!("../../../../tests/fixtures/records-v1.hex"))
}

fn lines(text: &str) -> BTreeMap<String, Vec<u8>> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(|line| line.split_once(": ").map(|(name, bytes)| (name.into(), hex::decode(bytes).unwrap())).unwrap()).collect()
}

#[test]
fn version_1_is_frozen() {
    let frozen = fixture();
    let written: BTreeMap<_, _> = values().into_iter().collect();
    for (name, bytes) in &written {
        assert_eq!(
            frozen.get(name).map(hex::encode),
            Some(hex::encode(bytes)),
            "{name}: what is written has changed: that needs a new version"
        );
    }
    assert_eq!(frozen.len(), written.len(), "a frozen value is no longer tested");
}

#[test]
fn version_1_is_read() {
    let frozen = fixture();
    let bytes = |name: &str| frozen[name].as_slice();
    assert_eq!(Dated::decode(bytes("slot")), Ok(slot()));
    assert_eq!(Dated::decode(bytes("extras")), Ok(extras()));
    assert_eq!(Dated::decode(bytes("extras-empty")), Ok(Dated { generation: 0, value: Extras::default() }));
    assert_eq!(Dated::decode(bytes("waiting")), Ok(waiting()));
    assert_eq!(OutboxEntry::decode(bytes("outbox")), Ok(outbox()));
    assert_eq!(Bytes::decode(bytes("state")), Ok(Bytes::from_static(b"\x00{}")));
    assert_eq!(Progress::decode(bytes("progress")), Ok(Progress { watermark: 1, highest: 2, highest_time: 3, stream_time: 4 }));
    assert_eq!(PipelineRecord::decode(bytes("pipeline")), Ok(pipeline()));
    let store = StoreRecord { store_id: "k3Jx0".into(), run: 4, created: 1_700_000_000_000 };
    assert_eq!(StoreRecord::decode(bytes("store")), Ok(store));
    for reason in REASONS {
        let name = if let WaitReason::Failed(reason) = reason { format!("failed-{}", reason.name()) } else { reason.name().into() };
        let read = Dated::<Waiting>::decode(bytes(&format!("waiting-{name}"))).unwrap();
        assert_eq!((read.value.reason, read.value.alarm), (reason, None));
        assert!(is_listed(read.value.reason));
    }
    assert_eq!(Dated::<Waiting>::decode(bytes("waiting-stream-alarm")).unwrap().value.alarm, Some(Alarm::Stream(5)));
}

#[test]
fn version_2_tells_what_was_named_as_lost() {
    let mut told = extras();
    told.value.lost = vec![(20, 31), (40, u64::MAX)];
    told.value.floors = vec![(Place { epoch: 0, sequence: 2 }, 90)];
    let frozen = lines(include_str!("../../../../tests/fixtures/records-v2.hex"));
    assert_eq!(frozen["extras"], told.encode(), "what is written has changed ({}): that needs a new version", hex::encode(told.encode()));
    assert_eq!(Dated::decode(&frozen["extras"]), Ok(told));
}

#[test]
fn version_2_of_waiting_tells_that_the_handlers_were_not_called() {
    let told = Dated { generation: 1, value: Waiting { reason: WaitReason::Breaker, ..waiting().value } };
    let frozen = lines(include_str!("../../../../tests/fixtures/records-v2.hex"));
    assert_eq!(
        frozen["waiting-breaker"],
        told.encode(),
        "what is written has changed ({}): that needs a new version",
        hex::encode(told.encode())
    );
    assert!(is_listed(told.value.reason));
    assert_eq!(Dated::decode(&frozen["waiting-breaker"]), Ok(told));
    let newer = [&[9], &frozen["waiting-breaker"][1..]].concat();
    assert!(Dated::<Waiting>::decode(&newer).unwrap_err().contains("reads up to version 2"));
}

#[test]
fn version_2_of_waiting_tells_that_the_state_could_not_be_migrated() {
    let reason = WaitReason::Failed(DeadReason::Migration);
    let told = Dated { generation: 1, value: Waiting { reason, alarm: None, ..waiting().value } };
    let frozen = lines(include_str!("../../../../tests/fixtures/records-v2.hex"));
    assert_eq!(frozen["waiting-failed-migration"], told.encode(), "what is written has changed ({})", hex::encode(told.encode()));
    assert!(is_listed(told.value.reason));
    assert_eq!(Dated::decode(&frozen["waiting-failed-migration"]), Ok(told));
}

#[test]
fn stamps_tell_which_component_and_what_was_before() {
    let plain = Stamp { component: "5e".repeat(32).into(), version: 0, prior: None };
    let state = State::from_iter([("k".to_owned(), Bytes::from_static(b"\x00v"))]);
    let prior = Prior { load: 3, component: "ab".into(), version: 1, state, written: true };
    let migrated = Stamp { component: "cd".into(), version: 2, prior: Some(Arc::new(prior)) };
    let frozen = lines(include_str!("../../../../tests/fixtures/records-stamps-v1.hex"));
    for (name, stamp) in [("stamp", plain), ("stamp-migrated", migrated)] {
        assert_eq!(frozen[name], stamp.encode(), "what is written has changed ({}): that needs a new version", hex::encode(stamp.encode()));
        assert_eq!(Stamp::decode(&frozen[name]), Ok(stamp));
    }
}

#[test]
fn version_3_tells_what_was_redriven_and_what_was_applied_last() {
    let mut told = extras();
    told.value.lost = vec![(20, 31)];
    told.value.unapplied = Some(Unapplied { through: Some(Place { epoch: 0, sequence: 7 }), count: 300 });
    (told.value.redriven, told.value.redriven_forgotten) = (vec![(70, 9), (71, 12)], 3);
    let frozen = lines(include_str!("../../../../tests/fixtures/records-v3.hex"));
    assert_eq!(frozen["extras"], told.encode(), "what is written has changed ({}): that needs a new version", hex::encode(told.encode()));
    assert_eq!(Dated::decode(&frozen["extras"]), Ok(told));
    let mut none = extras();
    none.value.unapplied = Some(Unapplied { through: None, count: 0 });
    assert_eq!(frozen["extras-nothing-applied"], none.encode(), "{}", hex::encode(none.encode()));
    assert_eq!(Dated::decode(&frozen["extras-nothing-applied"]), Ok(none));
}

#[test]
fn version_4_tells_when_it_was_seen() {
    let mut told = extras();
    told.value.seen = 1_700_000_000_000;
    let frozen = lines(include_str!("../../../../tests/fixtures/records-v4.hex"));
    assert_eq!(frozen["extras"], told.encode(), "what is written has changed ({}): that needs a new version", hex::encode(told.encode()));
    assert_eq!(Dated::decode(&frozen["extras"]), Ok(told));
    let mut all = extras();
    (all.value.lost, all.value.seen) = (vec![(20, 31)], 7);
    (all.value.redriven, all.value.redriven_forgotten) = (vec![(70, 9)], 3);
    assert_eq!(frozen["extras-redriven"], all.encode(), "{}", hex::encode(all.encode()));
    assert_eq!(Dated::decode(&frozen["extras-redriven"]), Ok(all));
}

#[test]
fn version_2_of_a_pipeline_tells_since_when_that_is_noted() {
    let told = PipelineRecord { noted_since: Some(1_700_000_000_000), ..pipeline() };
    let frozen = lines(include_str!("../../../../tests/fixtures/records-v2.hex"));
    assert_eq!(frozen["pipeline"], told.encode(), "what is written has changed ({}): that needs a new version", hex::encode(told.encode()));
    assert_eq!(PipelineRecord::decode(&frozen["pipeline"]), Ok(told));
}

#[test]
fn what_cannot_be_read_is_named() {
    let good = slot().encode();
    let newer = [&[9], &good[1..]].concat();
    let fault = Dated::<RingSlot>::decode(&newer).unwrap_err();
    assert!(fault.contains("slot has version 9") && fault.contains("reads up to version 1"), "{fault}");
    assert!(Dated::<RingSlot>::decode(&[0]).unwrap_err().contains("unknown version 0"));
    assert!(Dated::<RingSlot>::decode(&[]).unwrap_err().contains("is empty"));
    assert!(Dated::<RingSlot>::decode(&good[..good.len() - 1]).is_err());
    assert!(Dated::<RingSlot>::decode(&[&good[..], &[0]].concat()).unwrap_err().contains("1 bytes that do not belong"));
    assert!(Bytes::decode(&[2, 1]).unwrap_err().contains("handler state has version 2"));
}

fn places() -> impl Strategy<Value = Place> {
    (any::<u64>(), any::<u64>()).prop_map(|(epoch, sequence)| Place { epoch, sequence })
}

fn reasons() -> impl Strategy<Value = WaitReason> {
    prop::sample::select([&REASONS[..], &[WaitReason::Breaker]].concat())
}

fn alarms() -> impl Strategy<Value = Option<Alarm>> {
    prop_oneof![Just(None), any::<u64>().prop_map(|at| Some(Alarm::Host(at))), any::<u64>().prop_map(|at| Some(Alarm::Stream(at)))]
}

proptest! {
    #[test]
    fn slots_come_back(generation: u64, ring: u32, count: u64, position in places(), done_below: u64, place in places(), id: u64, payload: u64) {
        let value = RingSlot { slot: Slot { count, position, done_below, place, id, payload }, ring };
        let dated = Dated { generation, value };
        prop_assert_eq!(Dated::decode(&dated.encode()), Ok(dated));
    }

    #[test]
    fn extras_come_back(
        generation: u64, position in prop::option::of(places()), done_below: u64, floor in places(), floor_through: u64,
        past in prop::collection::vec(places(), 0..20), ranges in prop::collection::vec((places(), any::<u64>()), 0..20),
        fates in prop::collection::vec(any::<u64>(), 0..20), lost in prop::collection::vec(any::<(u64, u64)>(), 0..4),
        floors in prop::collection::vec((places(), any::<u64>()), 0..4),
        unapplied in prop::option::of((prop::option::of(places()), any::<u64>())),
        redriven in prop::collection::vec(any::<(u64, u64)>(), 0..4), redriven_forgotten in 0_u64..2, seen in 0_u64..2,
    ) {
        let given_up = ranges.into_iter().map(|(first, last)| Range { first, last }).collect();
        let unapplied = unapplied.map(|(through, count)| Unapplied { through, count });
        let known = Extras { position, done_below, floor, floor_through, past, given_up, fates, ..Extras::default() };
        let dated = Dated { generation, value: Extras { lost, floors, unapplied, redriven, redriven_forgotten, seen, ..known } };
        prop_assert_eq!(Dated::decode(&dated.encode()), Ok(dated));
    }

    #[test]
    fn waiting_comes_back(generation: u64, from: u64, reason in reasons(), stream_sequence: u64, count: u32, alarm in alarms(), since: u64) {
        let dated = Dated { generation, value: Waiting { from, reason, attempts: Attempts { stream_sequence, count }, alarm, since } };
        prop_assert_eq!(Dated::decode(&dated.encode()), Ok(dated));
    }

    #[test]
    fn outputs_come_back(
        number: u64, texts in prop::collection::vec("\\PC{0,30}", 4), headers in prop::collection::vec(("\\PC{0,9}", "\\PC{0,300}"), 0..5),
        payload in prop::collection::vec(any::<u8>(), 0..300), created: i64, last_sequence: u64, sent_after: u64, dead: bool,
    ) {
        let mark = Mark { stream: texts[0].clone(), created, last_sequence, sent_after };
        let [_, subject, message_id, cause] = <[String; 4]>::try_from(texts).unwrap();
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let entry = OutboxEntry { number, subject, headers, payload: payload.into(), message_id, mark, dead, cause };
        prop_assert_eq!(OutboxEntry::decode(&entry.encode()), Ok(entry));
    }

    #[test]
    fn state_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let value = Bytes::from(bytes);
        prop_assert_eq!(Bytes::decode(&value.encode()), Ok(value));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for version in [VERSION, 2, 3, 4, bytes.first().copied().unwrap_or(0)] {
            let bytes = [&[version], &bytes[..]].concat();
            Dated::<RingSlot>::decode(&bytes).ok();
            Dated::<Extras>::decode(&bytes).ok();
            Dated::<Waiting>::decode(&bytes).ok();
            OutboxEntry::decode(&bytes).ok();
            PipelineRecord::decode(&bytes).ok();
            StoreRecord::decode(&bytes).ok();
        }
    }
}
