//! What every store must do, whatever is underneath: one suite, run against each of them.
//!
//! Each rule gets a folder of its own and looks at what it wrote twice: at once, and after the store was closed and opened again.

use super::types::{
    Batch, Change, Confirmed, Loaded, Mark, Meaning, OutboxEntry, Owed, PipelineRecord, Progress, StateWrite, StreamIdentity, Unseen,
};
use super::{Error, Store};
use crate::event::EntityKey;
use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use seriatim_contract::State;
use seriatim_sequencer::{Alarm, Attempts, Extras, Place, Range, Slot, Snapshot, WaitReason, Waiting};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

type Open<'a> = &'a dyn Fn(&Path) -> Box<dyn Store>;
type Rule = fn(Open<'_>, &Path);

/// Runs every rule.
pub(crate) fn suite(open: impl Fn(&Path) -> Box<dyn Store>) {
    let rules: [(&str, Rule); 16] = [
        ("a new store knows nothing", a_new_store_knows_nothing),
        ("what was committed is there", what_was_committed_is_there),
        ("a change touches only what it names", a_change_touches_only_what_it_names),
        ("what is erased goes, where it stands stays", what_is_erased_goes),
        ("the later write of a batch holds", the_later_write_of_a_batch_holds),
        ("the newest slots stay, whatever the ring", the_newest_slots_stay_whatever_the_ring),
        ("entities and pipelines do not mix", entities_and_pipelines_do_not_mix),
        ("owing is paged in name order", owing_is_paged_in_name_order),
        ("who was not seen is paged, and has nothing to do", who_was_not_seen_is_paged),
        ("what gets an alarm is indexed", what_gets_an_alarm_is_indexed),
        ("who has outputs is found by them", who_has_outputs_is_found_by_them),
        ("pipelines keep meaning and progress", pipelines_keep_meaning_and_progress),
        ("run numbers rise, ids differ", run_numbers_rise_and_ids_differ),
        ("older generations are rebased", older_generations_are_rebased),
        ("a reader sees whole batches", a_reader_sees_whole_batches),
        ("it agrees with a model", it_agrees_with_a_model),
    ];
    for (name, rule) in rules {
        println!("contract: {name}");
        let place = tempfile::tempdir().unwrap();
        rule(&open, place.path());
    }
}

fn key(pipeline: &str, entity: &str) -> EntityKey {
    EntityKey { pipeline: pipeline.into(), entity: entity.into() }
}

fn change(entity: &str) -> Change {
    Change::new(key("p", entity), 4, 0)
}

fn slot(count: u64) -> Slot {
    let place = Place { epoch: 0, sequence: count };
    Slot { count, position: place, done_below: count + 1, place, id: count * 7, payload: count * 11 }
}

fn waiting(alarm: Option<Alarm>) -> Waiting {
    Waiting { from: 5, reason: WaitReason::Gap, attempts: Attempts { stream_sequence: 5, count: 1 }, alarm, since: 9 }
}

fn write(key: &str, value: Option<&'static [u8]>) -> StateWrite {
    StateWrite { handler: "h".into(), key: key.into(), value: value.map(Bytes::from_static) }
}

fn output(number: u64) -> OutboxEntry {
    OutboxEntry {
        number,
        subject: format!("out.{number}"),
        headers: vec![("A".into(), "b".into())],
        payload: Bytes::from(vec![7; 10]),
        message_id: format!("p:0:0:e:{number}:h:0"),
        mark: Mark { stream: "OUT".into(), created: 3, last_sequence: number, sent_after: 8 },
        dead: number.is_multiple_of(2),
        cause: "h".into(),
    }
}

fn commit(store: &dyn Store, changes: Vec<Change>) {
    store.commit(&Batch { changes, ..Batch::default() }).unwrap();
}

fn confirmed(entity: &str, numbers: &[u64]) -> Vec<Confirmed> {
    numbers.iter().map(|number| Confirmed { key: key("p", entity), number: *number }).collect()
}

/// Checks now and after closing and opening.
fn both(open: Open<'_>, place: &Path, store: Box<dyn Store>, check: impl Fn(&dyn Store)) -> Box<dyn Store> {
    check(&*store);
    drop(store);
    let store = open(place);
    check(&*store);
    store
}

fn a_new_store_knows_nothing(open: Open<'_>, place: &Path) {
    both(open, place, open(place), |store| {
        assert!(store.identity().store_id.len() >= 16, "{:?}", store.identity());
        assert_eq!(store.identity().run, 0);
        assert_eq!(store.pipelines().unwrap(), []);
        assert_eq!(store.load(&key("p", "e")).unwrap(), Loaded::default());
        assert_eq!(store.load_waiting(&key("p", "e")).unwrap(), None);
        assert_eq!(store.owing("p", None, 10).unwrap(), []);
        store.commit(&Batch::default()).unwrap();
    });
}

fn what_was_committed_is_there(open: Open<'_>, place: &Path) {
    let store = open(place);
    let extras = Extras {
        position: Some(Place { epoch: 1, sequence: 2 }),
        given_up: vec![Range { first: Place { epoch: 1, sequence: 9 }, last: 10 }],
        fates: vec![4, 5],
        ..Extras::default()
    };
    let mut one = change("e");
    one.patch.slot = Some(slot(1));
    one.patch.extras = Some(Box::new(extras.clone()));
    one.patch.waiting = Some(Some(waiting(Some(Alarm::Stream(77)))));
    one.state = vec![write("b", Some(b"2")), write("a", Some(b"")), write("", Some(b"root"))];
    one.state.push(StateWrite { handler: "g".into(), key: "z".into(), value: Some(Bytes::from(vec![1; 300_000])) });
    one.outbox_add = vec![Arc::new(output(300)), Arc::new(output(2))];
    one.waits = Some(true);
    one.generation = 3;
    commit(&*store, vec![one]);
    both(open, place, store, |store| {
        let loaded = store.load(&key("p", "e")).unwrap();
        let snapshot = Snapshot { slots: vec![slot(1)], extras: extras.clone(), waiting: Some(waiting(Some(Alarm::Stream(77)))) };
        assert_eq!(loaded.snapshot, snapshot);
        assert_eq!(loaded.generation, 3);
        assert_eq!(loaded.outbox, [output(2), output(300)], "ascending by number");
        let state: BTreeMap<_, _> = loaded.state.into_iter().collect();
        assert_eq!(state["g"][&"z".to_owned()].len(), 300_000);
        assert_eq!(
            state["h"].iter().map(|(key, value)| (key.as_str(), &value[..])).collect::<Vec<_>>(),
            [("", &b"root"[..]), ("a", b""), ("b", b"2")]
        );
        assert_eq!(store.load_waiting(&key("p", "e")).unwrap(), Some(waiting(Some(Alarm::Stream(77)))));
        assert_eq!(store.owing("p", None, 10).unwrap(), [Owed { entity: "e".into(), alarm: Some(Alarm::Stream(77)), outbox: true }]);
    });
}

fn a_change_touches_only_what_it_names(open: Open<'_>, place: &Path) {
    let store = open(place);
    let mut one = change("e");
    one.patch.slot = Some(slot(1));
    one.patch.extras = Some(Box::new(Extras { fates: vec![1], ..Extras::default() }));
    one.patch.waiting = Some(Some(waiting(None)));
    one.state = vec![write("a", Some(b"1")), write("b", Some(b"2"))];
    one.outbox_add = vec![Arc::new(output(1)), Arc::new(output(2))];
    one.waits = Some(true);
    commit(&*store, vec![one]);
    let before = store.load(&key("p", "e")).unwrap();
    commit(&*store, vec![change("e")]);
    assert_eq!(store.load(&key("p", "e")).unwrap(), before);
    let mut two = change("e");
    two.patch.waiting = Some(None);
    two.state = vec![write("a", None), write("never", None)];
    store.commit(&Batch { changes: vec![two], confirmed: confirmed("e", &[1, 9]), ..Batch::default() }).unwrap();
    both(open, place, store, |store| {
        let loaded = store.load(&key("p", "e")).unwrap();
        assert_eq!(loaded.snapshot.slots, [slot(1)]);
        assert_eq!(loaded.snapshot.extras.fates, [1]);
        assert_eq!(loaded.snapshot.waiting, None);
        assert_eq!(loaded.state, [("h".to_string(), State::from_iter([("b".to_string(), Bytes::from_static(b"2"))]))]);
        assert_eq!(loaded.outbox, [output(2)]);
        assert_eq!(store.owing("p", None, 10).unwrap(), [Owed { entity: "e".into(), alarm: None, outbox: true }]);
    });
}

fn what_is_erased_goes(open: Open<'_>, place: &Path) {
    let store = open(place);
    let mut known = change("e");
    known.patch.slot = Some(slot(1));
    known.state = vec![write("a", Some(b"1"))];
    known.outbox_add = vec![Arc::new(output(1))];
    let mut other = change("ee");
    other.patch.slot = Some(slot(1));
    commit(&*store, vec![known, other]);
    let mut later = change("e");
    later.patch.slot = Some(slot(2));
    later.state = vec![write("b", Some(b"2"))];
    let mut erased = change("e");
    erased.erases = true;
    erased.patch.extras = Some(Box::new(Extras { position: Some(Place { epoch: 0, sequence: 2 }), ..Extras::default() }));
    // What an earlier change of the same batch wrote goes too.
    commit(&*store, vec![later, erased]);
    both(open, place, store, |store| {
        let loaded = store.load(&key("p", "e")).unwrap();
        assert_eq!((loaded.snapshot.slots.len(), loaded.state.len(), loaded.outbox.len()), (0, 0, 1));
        assert_eq!(loaded.snapshot.extras.position, Some(Place { epoch: 0, sequence: 2 }));
        assert_eq!(store.load(&key("p", "ee")).unwrap().snapshot.slots, [slot(1)]);
    });
}

fn who_was_not_seen_is_paged(open: Open<'_>, place: &Path) {
    let store = open(place);
    let known = |entity: &str, seen: u64| {
        let mut change = change(entity);
        change.patch.slot = Some(slot(1));
        change.patch.extras = (seen > 0).then(|| Box::new(Extras { seen, ..Extras::default() }));
        change
    };
    let (mut own, mut parked, mut owing, mut state_alone, mut gone) =
        (known("", 5), known("parked", 5), known("owing", 5), change("state-alone"), known("gone", 5));
    own.state = vec![write("a", Some(b"1"))];
    parked.patch.waiting = Some(Some(waiting(None)));
    parked.waits = Some(true);
    owing.outbox_add = vec![Arc::new(output(1))];
    state_alone.state = vec![write("a", Some(b"1"))];
    gone.state = vec![write("a", Some(b"1")), write("b", Some(b"2"))];
    let mut other = known("old", 5);
    other.key = key("pp", "old");
    commit(&*store, vec![own, parked, owing, state_alone, gone, other]);
    commit(&*store, vec![known("old", 100), known("new", 101), known("unnoted", 0), known("z", 5), known("bb", 6)]);
    let mut erased = change("gone");
    erased.erases = true;
    erased.patch.extras = Some(Box::new(Extras { seen: 5, ..Extras::default() }));
    commit(&*store, vec![erased]);
    both(open, place, store, |store| {
        for size in [1, 2, 3, 100] {
            let (mut found, mut looked_at, mut after) = (BTreeSet::new(), 0, None::<String>);
            loop {
                let page = store.unseen("p", after.as_deref(), size, 100).unwrap();
                assert!(page.entities.len() <= size);
                let Some(last) = page.last else { break };
                looked_at += 1;
                assert!(page.entities.into_iter().all(|entity| found.insert(entity)), "found twice");
                after = Some(last);
            }
            assert_eq!(looked_at, 9_usize.div_ceil(size));
            let expected: BTreeSet<_> = ["bb", "old", "state-alone", "unnoted", "z"].map(str::to_owned).into();
            assert_eq!(found, expected);
        }
        assert_eq!(store.unseen("q", None, 10, 100).unwrap(), Unseen::default());
        assert_eq!(store.unseen("p", None, 100, 0).unwrap().entities, ["unnoted", "state-alone"]);
    });
}

fn the_later_write_of_a_batch_holds(open: Open<'_>, place: &Path) {
    let store = open(place);
    let mut first = change("e");
    first.patch.slot = Some(slot(1));
    first.patch.waiting = Some(Some(waiting(None)));
    first.state = vec![write("a", Some(b"1")), write("b", Some(b"1")), write("c", None)];
    first.waits = Some(true);
    let mut second = change("e");
    second.patch.slot = Some(slot(5));
    second.patch.waiting = Some(None);
    second.state = vec![write("a", Some(b"2")), write("b", None), write("c", Some(b"2"))];
    second.waits = Some(false);
    let (mut third, mut fourth) = (change("f"), change("f"));
    (third.waits, fourth.waits) = (Some(false), Some(true));
    let step = |watermark| ("p".into(), Progress { watermark, ..Progress::default() });
    let records = vec![("p".into(), PipelineRecord::default())];
    store
        .commit(&Batch { changes: vec![first, second, third, fourth], pipelines: vec![step(1), step(2)], records, ..Batch::default() })
        .unwrap();
    both(open, place, store, |store| {
        let loaded = store.load(&key("p", "e")).unwrap();
        assert_eq!(loaded.snapshot.slots, [slot(5)], "both went into the same place of the ring");
        assert_eq!(loaded.snapshot.waiting, None);
        let state: Vec<_> = loaded.state[0].1.iter().map(|(key, value)| (key.as_str(), &value[..])).collect();
        assert_eq!(state, [("a", &b"2"[..]), ("c", b"2")]);
        assert_eq!(store.owing("p", None, 10).unwrap(), [Owed { entity: "f".into(), alarm: None, outbox: false }]);
        assert_eq!(store.pipelines().unwrap()[0].1.progress.watermark, 2);
    });
}

fn the_newest_slots_stay_whatever_the_ring(open: Open<'_>, place: &Path) {
    let store = open(place);
    // (ring, up to which count): grows, shrinks, and is no power of two.
    let phases = [(4, 10), (64, 30), (3, 50), (1, 52), (10, 300), (16, 309)];
    let (mut count, mut least) = (0, usize::MAX);
    for (ring, to) in phases {
        let mut before = least.min(usize::try_from(count).unwrap());
        while count < to {
            count += 1;
            let mut one = Change::new(key("p", "e"), ring, 0);
            one.patch.slot = Some(slot(count));
            commit(&*store, vec![one]);
            let mut found: Vec<u64> = store.load(&key("p", "e")).unwrap().snapshot.slots.iter().map(|slot| slot.count).collect();
            found.sort_unstable();
            assert_eq!(found.last(), Some(&count));
            assert!(found.len() <= usize::try_from(ring.next_power_of_two()).unwrap(), "ring {ring}, count {count}: {found:?}");
            before += 1;
            let due = u64::try_from(before).unwrap().min(ring.into()).min(count);
            for wanted in count + 1 - due..=count {
                assert!(found.contains(&wanted), "ring {ring}, count {count}: {wanted} is not in {found:?}");
            }
        }
        // What the next ring may rely on: no more than this one kept.
        least = usize::try_from(ring).unwrap();
    }
    both(open, place, store, |store| {
        let counts: BTreeSet<u64> = store.load(&key("p", "e")).unwrap().snapshot.slots.iter().map(|slot| slot.count).collect();
        assert_eq!(counts.last(), Some(&309));
    });
}

fn entities_and_pipelines_do_not_mix(open: Open<'_>, place: &Path) {
    let store = open(place);
    let names = ["", "a", "aa", "a.b", "a\u{4}h", "\u{1f600}", "b"];
    let mut changes = Vec::new();
    for pipeline in ["p", "pa"] {
        for entity in names {
            let mut one = Change::new(key(pipeline, entity), 4, 0);
            let handler = "h".into();
            one.state = vec![StateWrite { handler, key: "who".into(), value: Some(Bytes::from(format!("{pipeline}/{entity}"))) }];
            one.outbox_add = vec![Arc::new(OutboxEntry { subject: format!("{pipeline}/{entity}"), ..output(1) })];
            one.waits = Some(true);
            changes.push(one);
        }
    }
    commit(&*store, changes);
    both(open, place, store, |store| {
        for pipeline in ["p", "pa"] {
            for entity in names {
                let loaded = store.load(&key(pipeline, entity)).unwrap();
                let own = format!("{pipeline}/{entity}");
                assert_eq!(loaded.state, [("h".to_string(), State::from_iter([("who".to_string(), Bytes::from(own.clone()))]))]);
                assert_eq!(loaded.outbox.iter().map(|entry| entry.subject.as_str()).collect::<Vec<_>>(), [own]);
            }
            let mut sorted = names.to_vec();
            sorted.sort_unstable();
            let owing: Vec<_> = store.owing(pipeline, None, 100).unwrap().into_iter().map(|owed| owed.entity).collect();
            assert_eq!(owing, sorted);
        }
        assert_eq!(store.owing("", None, 100).unwrap(), []);
    });
}

fn owing_is_paged_in_name_order(open: Open<'_>, place: &Path) {
    let store = open(place);
    let mut names: Vec<String> = (0..250).map(|n| format!("e{n}")).collect();
    commit(&*store, names.iter().map(|name| Change { waits: Some(true), ..change(name) }).collect());
    let cleared = ["e7", "e249", "e100"];
    commit(&*store, cleared.iter().map(|name| Change { waits: Some(false), ..change(name) }).collect());
    names.retain(|name| !cleared.contains(&name.as_str()));
    names.sort_unstable();
    both(open, place, store, |store| {
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = store.owing("p", after.as_deref(), 60).unwrap();
            assert!(page.len() <= 60);
            let Some(last) = page.last() else { break };
            after = Some(last.entity.clone());
            found.extend(page.into_iter().map(|owed| owed.entity));
        }
        assert_eq!(found, names);
        assert_eq!(store.owing("p", None, 0).unwrap(), []);
        assert_eq!(store.owing("p", Some("zzz"), 9).unwrap(), []);
    });
}

fn what_gets_an_alarm_is_indexed(open: Open<'_>, place: &Path) {
    let store = open(place);
    // A change that says "does not wait" and adds an alarm contradicts itself: nothing owed may be forgotten.
    let (mut alarm_set, mut parked) = (change("b"), change("c"));
    alarm_set.patch.waiting = Some(Some(waiting(Some(Alarm::Host(1)))));
    parked.patch.waiting = Some(Some(waiting(None)));
    let changes = [alarm_set, parked].map(|one| Change { waits: Some(false), ..one });
    commit(&*store, changes.to_vec());
    both(open, place, store, |store| {
        assert_eq!(store.owing("p", None, 9).unwrap(), [Owed { entity: "b".into(), alarm: Some(Alarm::Host(1)), outbox: false }]);
    });
}

fn who_has_outputs_is_found_by_them(open: Open<'_>, place: &Path) {
    let store = open(place);
    let names: Vec<String> = (0..120).map(|n| format!("e{n}")).chain(["a.b".into(), "\u{1f600}".into()]).collect();
    let with_outputs = |pipeline: &str, name: &str| {
        let outbox_add = vec![Arc::new(output(1)), Arc::new(output(2))];
        Change { outbox_add, ..Change::new(key(pipeline, name), 4, 0) }
    };
    let mut changes: Vec<_> = names.iter().map(|name| with_outputs("p", name)).collect();
    // Not listed: the pipeline's own record, another pipeline's, whoever waits.
    changes.extend([with_outputs("p", ""), with_outputs("pp", "e1"), with_outputs("o", "e1")]);
    changes.push(Change { waits: Some(true), ..change("e7") });
    commit(&*store, changes);
    // Nor whoever has all of them confirmed; one that is left is enough.
    let left = [confirmed("e11", &[1, 2]), confirmed("e12", &[1])].concat();
    store.commit(&Batch { confirmed: left, ..Batch::default() }).unwrap();
    let expected: BTreeSet<&str> = names.iter().map(String::as_str).filter(|name| !["e7", "e11"].contains(name)).collect();
    both(open, place, store, |store| {
        for size in [1, 7, 1000] {
            let (mut found, mut after) = (BTreeSet::new(), None::<String>);
            loop {
                let page = store.sending("p", after.as_deref(), size).unwrap();
                assert!(page.len() <= size);
                let Some(last) = page.last() else { break };
                after = Some(last.clone());
                assert!(page.into_iter().all(|entity| found.insert(entity)), "found twice");
            }
            assert_eq!(found.iter().map(String::as_str).collect::<BTreeSet<_>>(), expected);
        }
        assert_eq!(store.sending("p", None, 0).unwrap(), [""; 0]);
        assert_eq!(store.sending("q", None, 9).unwrap(), [""; 0]);
        assert_eq!(store.sending("pp", None, 9).unwrap(), ["e1"]);
        assert!(store.owing("p", None, 9).unwrap().iter().map(|owed| (owed.entity.as_str(), owed.outbox)).eq([("e7", true)]));
    });
}

fn pipelines_keep_meaning_and_progress(open: Open<'_>, place: &Path) {
    let store = open(place);
    let record = |generation| PipelineRecord {
        generation,
        progress: Progress { watermark: 9, highest: 9, highest_time: 1, stream_time: 1 },
        meaning: Meaning {
            subjects: vec!["a.>".into(), "b".into()],
            epoch: Some("header:E".into()),
            by: "sequence".into(),
            ..Meaning::default()
        },
        stream: StreamIdentity { name: "S".into(), created: 12 },
        generations: vec![(0, 1), (generation, 10)],
        noted_since: (generation == 2).then_some(77),
        ..PipelineRecord::default()
    };
    let records = vec![("zeta".into(), record(1)), ("alpha".into(), record(2))];
    store.commit(&Batch { records, ..Batch::default() }).unwrap();
    let moved = Progress { watermark: 20, highest: 30, highest_time: 40, stream_time: 50 };
    store.commit(&Batch { pipelines: vec![("zeta".into(), moved)], ..Batch::default() }).unwrap();
    let store = both(open, place, store, |store| {
        let expected = [("alpha".to_string(), record(2)), ("zeta".to_string(), PipelineRecord { progress: moved, ..record(1) })];
        assert_eq!(store.pipelines().unwrap(), expected);
    });
    // Progress without meaning is not a pipeline: nobody may go on from it.
    store.commit(&Batch { pipelines: vec![("new".into(), moved)], ..Batch::default() }).unwrap();
    assert!(matches!(store.pipelines(), Err(Error::Record { pipeline, .. }) if pipeline == "new"));
}

fn run_numbers_rise_and_ids_differ(open: Open<'_>, place: &Path) {
    let store = open(place);
    let id = store.identity().store_id;
    assert_eq!(store.raise_run().unwrap(), 1);
    assert_eq!(store.raise_run().unwrap(), 2);
    let store = both(open, place, store, |store| {
        assert_eq!((store.identity().store_id, store.identity().run), (id.clone(), 2));
    });
    assert_eq!(store.raise_run().unwrap(), 3);
    let other = tempfile::tempdir().unwrap();
    assert_ne!(open(other.path()).identity().store_id, id);
}

fn older_generations_are_rebased(open: Open<'_>, place: &Path) {
    let store = open(place);
    let mut old = change("e");
    old.patch.slot = Some(Slot { done_below: 800, ..slot(1) });
    old.patch.extras = Some(Box::new(Extras { fates: vec![400, 700], done_below: 350, ..Extras::default() }));
    old.patch.waiting = Some(Some(Waiting { from: 900, ..waiting(None) }));
    commit(&*store, vec![old.clone(), Change { key: key("unknown", "e"), ..old }]);
    let record = PipelineRecord { generation: 2, generations: vec![(0, 1), (1, 600), (2, 500)], ..PipelineRecord::default() };
    store.commit(&Batch { records: vec![("p".into(), record)], ..Batch::default() }).unwrap();
    let new = |pipeline| {
        let mut new = Change::new(key(pipeline, "e"), 4, 2);
        new.patch.slot = Some(Slot { done_below: 1000, ..slot(2) });
        new
    };
    let untouched = store.load(&key("p", "e")).unwrap();
    assert_eq!((untouched.generation, untouched.snapshot.slots[0].done_below), (0, 800), "one generation alone stays as it was written");
    commit(&*store, vec![new("p"), new("unknown")]);
    both(open, place, store, |store| {
        let loaded = store.load(&key("p", "e")).unwrap();
        assert_eq!(loaded.generation, 2);
        let mut slots = loaded.snapshot.slots;
        slots.sort_unstable_by_key(|slot| slot.count);
        assert_eq!(slots.iter().map(|slot| slot.done_below).collect::<Vec<_>>(), [500, 1000]);
        assert_eq!((loaded.snapshot.extras.done_below, loaded.snapshot.extras.fates), (350, vec![400]));
        assert_eq!(loaded.snapshot.waiting.unwrap().from, 500);
        // Where the generations began is not known: no old stream sequence may decide anything.
        let loaded = store.load(&key("unknown", "e")).unwrap();
        assert!(loaded.snapshot.extras.fates.is_empty());
        assert_eq!(loaded.snapshot.waiting.unwrap().from, 0);
    });
}

fn a_reader_sees_whole_batches(open: Open<'_>, place: &Path) {
    let store = open(place);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for count in 1..=300u64 {
                let mut one = change("e");
                one.patch.slot = Some(slot(count));
                one.state = ["a", "z"].map(|name| StateWrite { value: Some(Bytes::from(count.to_string())), ..write(name, None) }).into();
                commit(&*store, vec![one]);
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) {
            let loaded = store.load(&key("p", "e")).unwrap();
            let newest = loaded.snapshot.slots.iter().map(|slot| slot.count).max().unwrap_or(0);
            for value in loaded.state.iter().flat_map(|handler| handler.1.values()) {
                assert_eq!(value, &Bytes::from(newest.to_string()));
            }
        }
    });
}

/// What the store should hold, as plain maps.
#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    state: State,
    outbox: BTreeMap<u64, OutboxEntry>,
    waiting: Option<Waiting>,
    newest: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, u8, u8, u8)>),
    Reopen,
}

fn it_agrees_with_a_model(open: Open<'_>, _: &Path) {
    let edit = (0u8..3, 0u8..6, 0u8..4, any::<u8>());
    let step = prop_oneof![8 => prop::collection::vec(edit, 1..12).prop_map(Step::Commit), 1 => Just(Step::Reopen)];
    let config = Config { cases: 24, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&prop::collection::vec(step, 1..25), |steps| {
            let place = tempfile::tempdir().unwrap();
            let mut store = Some(open(place.path()));
            let mut models: BTreeMap<String, Model> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Reopen => {
                        drop(store.take());
                        store = Some(open(place.path()));
                    }
                    Step::Commit(edits) => {
                        let mut batch = Batch::default();
                        edits.into_iter().for_each(|edit| apply(&mut models, edit, &mut batch));
                        store.as_ref().unwrap().commit(&batch).unwrap();
                    }
                }
                for (entity, model) in &models {
                    let loaded = store.as_ref().unwrap().load(&key("p", entity)).unwrap();
                    prop_assert_eq!(&loaded.state.into_iter().next().unwrap_or_default().1, &model.state);
                    prop_assert_eq!(&loaded.outbox, &model.outbox.values().cloned().collect::<Vec<_>>());
                    prop_assert_eq!(loaded.snapshot.waiting, model.waiting);
                    prop_assert_eq!(loaded.snapshot.slots.iter().map(|slot| slot.count).max().unwrap_or(0), model.newest);
                }
            }
            Ok(())
        })
        .unwrap();
}

fn apply(models: &mut BTreeMap<String, Model>, (entity, kind, at, value): (u8, u8, u8, u8), batch: &mut Batch) {
    let entity = format!("e{entity}");
    let model = models.entry(entity.clone()).or_default();
    let mut one = change(&entity);
    let (name, number) = (format!("k{at}"), u64::from(at));
    match kind {
        0 => {
            let bytes = Bytes::from(vec![value; usize::from(value)]);
            one.state = vec![StateWrite { value: Some(bytes.clone()), ..write(&name, None) }];
            model.state.insert(name, bytes);
        }
        1 => {
            one.state = vec![write(&name, None)];
            model.state.remove(&name);
        }
        2 => {
            one.outbox_add = vec![Arc::new(output(number))];
            model.outbox.insert(number, output(number));
        }
        // What is confirmed was durable before.
        3 if !batch.changes.iter().any(|change| change.key == one.key && change.outbox_add.iter().any(|entry| entry.number == number)) => {
            batch.confirmed.append(&mut confirmed(&entity, &[number]));
            model.outbox.remove(&number);
        }
        3 => {}
        4 => {
            model.waiting = (value % 2 == 0).then(|| waiting(Some(Alarm::Host(value.into()))));
            one.patch.waiting = Some(model.waiting);
        }
        _ => {
            model.newest += 1;
            one.patch.slot = Some(slot(model.newest));
        }
    }
    batch.changes.push(one);
}
