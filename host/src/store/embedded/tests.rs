//! What is the embedded store's own: crashes, damage, locks. What every store must do is in `contract.rs`.

use super::super::contract;
use super::*;
use crate::event::EntityKey;
use crate::store::keys::Prefix;
use crate::store::{Batch, Change, Loaded, Mark, OutboxEntry, PipelineRecord, Progress, StateWrite, Store};
use bytes::Bytes;
use seriatim_sequencer::{Attempts, Place, Slot, WaitReason, Waiting};
use std::fs;
use std::sync::Arc;

fn open(path: &Path) -> Result<Embedded, Error> {
    Embedded::open(&Options { path: path.into(), cache_bytes: 1 << 20 })
}

fn key(entity: &str) -> EntityKey {
    EntityKey { pipeline: "p".into(), entity: entity.into() }
}

fn full_change(entity: &str, count: u64) -> Change {
    let mut change = Change::new(key(entity), 8, 0);
    let place = Place { epoch: 0, sequence: count };
    change.patch.slot = Some(Slot { count, position: place, done_below: 0, place, id: 0, payload: 0 });
    change.patch.extras = Some(Box::default());
    let waiting = Waiting { from: 3, reason: WaitReason::Operator, attempts: Attempts::default(), alarm: None, since: 0 };
    change.patch.waiting = Some(Some(waiting));
    change.state = vec![StateWrite { handler: "h".into(), key: "count".into(), value: Some(count.to_string().into()) }];
    change.outbox_add = vec![Arc::new(OutboxEntry {
        number: count,
        subject: "s".into(),
        headers: Vec::new(),
        payload: Bytes::new(),
        message_id: count.to_string(),
        mark: Mark::default(),
        dead: false,
        cause: "h".into(),
    })];
    change.waits = Some(true);
    change
}

fn commit(store: &Embedded, change: Change) {
    store.commit(&Batch { changes: vec![change], ..Batch::default() }).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn it_keeps_the_contract() {
    contract::suite(|path| Box::new(open(path).unwrap()));
}

#[test]
fn a_crash_after_a_commit_loses_nothing() {
    let (place, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(place.path()).unwrap();
    for round in 1..=5u64 {
        store.raise_run().unwrap();
        commit(&store, full_change("e", round));
        // What a process killed at this moment leaves behind: the files as the system sees them, nothing closed or flushed.
        let left = crashed.path().join(round.to_string());
        copy(place.path(), &left);
        let after = open(&left).unwrap();
        assert_eq!(after.identity(), store.identity());
        assert_eq!(after.load(&key("e")).unwrap(), store.load(&key("e")).unwrap());
        assert_eq!(after.load(&key("e")).unwrap().outbox.len() as u64, round);
        assert_eq!(after.owing("p", None, 9).unwrap().len(), 1);
        commit(&after, full_change("e", round + 1));
        drop(after);
        assert_eq!(open(&left).unwrap().load(&key("e")).unwrap().outbox.len() as u64, round + 1);
    }
}

#[test]
fn a_batch_that_was_cut_off_is_absent_as_a_whole() {
    let (place, crashed) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(place.path()).unwrap();
    commit(&store, full_change("e", 1));
    let journal = |path: &Path| {
        let mut journals: Vec<_> = fs::read_dir(path.join("data")).unwrap().map(|entry| entry.unwrap().path()).collect();
        journals.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
        assert_eq!(journals.len(), 1);
        journals.remove(0)
    };
    let length = |bytes: &[u8]| bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let before = length(&fs::read(journal(place.path())).unwrap());
    let mut batch = Batch { changes: vec![full_change("e", 2), full_change("f", 1)], ..Batch::default() };
    batch.pipelines.push(("p".into(), Progress { watermark: 9, ..Progress::default() }));
    batch.records.push(("p".into(), PipelineRecord::default()));
    store.commit(&batch).unwrap();
    let after = length(&fs::read(journal(place.path())).unwrap());
    assert!(before < after);
    for (round, cut) in (before..after).step_by(23).chain([after - 1]).enumerate() {
        let left = crashed.path().join(round.to_string());
        copy(place.path(), &left);
        let file = fs::OpenOptions::new().write(true).open(journal(&left)).unwrap();
        let whole = file.metadata().unwrap().len();
        file.set_len(cut as u64).unwrap();
        // Half of them end there; the others go on with the zeros of a preallocated file.
        if round % 2 == 0 {
            file.set_len(whole).unwrap();
        }
        let store = open(&left).unwrap_or_else(|error| panic!("cut at {cut} of {before}..{after}: {error}"));
        let loaded = store.load(&key("e")).unwrap();
        assert_eq!(loaded.outbox.len(), 1, "cut at {cut}");
        assert_eq!(store.load(&key("f")).unwrap(), Loaded::default());
        assert_eq!(store.pipelines().unwrap(), []);
        drop(store);
        fs::remove_dir_all(&left).unwrap();
    }
}

#[test]
fn one_folder_is_opened_once() {
    let place = tempfile::tempdir().unwrap();
    let first = open(place.path()).unwrap();
    let error = open(place.path()).err().unwrap();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    commit(&first, full_change("e", 1));
    drop(first);
    assert_eq!(open(place.path()).unwrap().load(&key("e")).unwrap().outbox.len(), 1);
}

#[test]
fn a_record_that_cannot_be_read_is_not_a_new_one() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path()).unwrap();
    let prefix = Prefix::new(&key("e")).unwrap();
    let victims: [(&str, &Keyspace, Vec<u8>); 4] = [
        ("slot", &store.disk.engine.records, prefix.slot(1, 8)),
        ("given up", &store.disk.engine.records, prefix.extras()),
        ("handler state", &store.disk.engine.records, prefix.state("h", "count").unwrap()),
        ("outbox", &store.disk.engine.outbox, prefix.outbox(1)),
    ];
    for (part, keyspace, at) in victims {
        commit(&store, full_change("e", 1));
        commit(&store, full_change("healthy", 1));
        for bytes in [vec![], vec![9, 1, 2], vec![0, 0xc1]] {
            keyspace.insert(at.clone(), bytes).unwrap();
            let error = store.load(&key("e")).unwrap_err();
            let Error::Record { pipeline, entity, what } = &error else { panic!("{error}") };
            assert_eq!((pipeline.as_str(), entity.as_str()), ("p", "e"));
            assert!(what.contains(part), "{what}");
            assert_eq!(store.load_waiting(&key("e")).unwrap().map(|waiting| waiting.from), Some(3));
            assert_eq!(store.owing("p", None, 9).unwrap().len(), 2);
            assert_eq!(store.load(&key("healthy")).unwrap().outbox.len(), 1);
        }
    }
    commit(&store, full_change("e", 1));
    store.load(&key("e")).unwrap();
    store.disk.engine.records.insert(prefix.waiting(), [7]).unwrap();
    let error = store.load_waiting(&key("e")).unwrap_err();
    assert!(error.to_string().contains("waiting has version 7, this seriatim reads up to version 2"), "{error}");
    assert!(matches!(store.load(&key("e")), Err(Error::Record { .. })));
    assert_eq!(store.owing("p", None, 9).unwrap().len(), 2, "it is still woken, so that it parks and is seen");
    let strange = [prefix.bytes(), &[99]].concat();
    commit(&store, full_change("e", 1));
    store.disk.engine.records.insert(strange, "x").unwrap();
    assert!(store.load(&key("e")).unwrap_err().to_string().contains("unknown kind"));
}

#[test]
fn damage_is_named_and_never_mended_silently() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path()).unwrap();
    let owing = store.disk.engine.owing.clone();
    store.disk.engine.database.delete_keyspace(owing).unwrap();
    drop(store);
    let error = open(place.path()).err().unwrap();
    assert!(matches!(&error, Error::Damaged { what, .. } if what.contains("owing")), "{error}");

    let place = tempfile::tempdir().unwrap();
    let store = open(place.path()).unwrap();
    store.disk.engine.meta.insert(keys::STORE, [9]).unwrap();
    drop(store);
    let error = open(place.path()).err().unwrap();
    assert!(error.to_string().contains("identity has version 9"), "{error}");
}

#[test]
fn names_that_do_not_fit_are_refused_before_anything_is_written() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path()).unwrap();
    let mut bad = full_change("f", 1);
    bad.state.push(StateWrite { handler: "h".into(), key: "k".repeat(70_000), value: None });
    let batch = Batch { changes: vec![full_change("e", 1), bad], ..Batch::default() };
    assert!(matches!(store.commit(&batch), Err(Error::TooLong { .. })));
    assert_eq!(store.load(&key("e")).unwrap(), Loaded::default());
    commit(&store, full_change("e", 1));
}

#[test]
fn after_a_failed_write_nothing_is_written() {
    let place = tempfile::tempdir().unwrap();
    let store = open(place.path()).unwrap();
    commit(&store, full_change("e", 1));
    store.broken.set("the disk is gone".into()).unwrap();
    let error = store.commit(&Batch { changes: vec![full_change("e", 2)], ..Batch::default() }).unwrap_err();
    assert!(matches!(&error, Error::Poisoned { reason } if reason == "the disk is gone"), "{error}");
    assert!(matches!(store.raise_run(), Err(Error::Poisoned { .. })));
    assert_eq!(store.load(&key("e")).unwrap().outbox.len(), 1);
}
