//! The thread around the batcher: order, durability before replies, poison. The store here is a seam: it blocks, fails or panics when told to.

use super::*;
use crate::event::EntityKey;
use crate::store::{Batch, Change, Embedded, Identity, Loaded, Options, Owed, PipelineRecord, Unseen};
use seriatim_sequencer::Waiting;
use std::sync::{Condvar, Mutex};

const LONG: Duration = Duration::from_secs(30);

/// What the store is to do with its n-th commit (from 1).
#[derive(Clone, Copy, PartialEq)]
enum Trouble {
    None,
    Fail(usize),
    Panic(usize),
}

struct Seam {
    committed: Mutex<Vec<Batch>>,
    trouble: Trouble,
    gate: Mutex<bool>,
    opened: Condvar,
}

impl Seam {
    fn new(trouble: Trouble, open: bool) -> Arc<Self> {
        Arc::new(Self { committed: Mutex::default(), trouble, gate: Mutex::new(open), opened: Condvar::new() })
    }

    fn open(&self) {
        *self.gate.lock().unwrap() = true;
        self.opened.notify_all();
    }

    fn commits(&self) -> Vec<Batch> {
        self.committed.lock().unwrap().clone()
    }
}

impl Store for Seam {
    fn commit(&self, batch: &Batch) -> Result<(), Error> {
        let number = self.committed.lock().unwrap().len() + 1;
        let mut open = self.gate.lock().unwrap();
        while !*open {
            open = self.opened.wait(open).unwrap();
        }
        drop(open);
        match self.trouble {
            Trouble::Fail(at) if at <= number => {
                return Err(Error::Engine { doing: "commit", reason: "no space left on device".into() });
            }
            Trouble::Panic(at) if at <= number => panic!("a bug in the store"),
            _ => {}
        }
        self.committed.lock().unwrap().push(batch.clone());
        Ok(())
    }
    fn load(&self, _: &EntityKey) -> Result<Loaded, Error> {
        Ok(Loaded::default())
    }
    fn load_waiting(&self, _: &EntityKey) -> Result<Option<Waiting>, Error> {
        Ok(None)
    }
    fn owing(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<Owed>, Error> {
        Ok(Vec::new())
    }

    fn sending(&self, _: &str, _: Option<&str>, _: usize) -> Result<Vec<String>, Error> {
        Ok(Vec::new())
    }
    fn unseen(&self, _: &str, _: Option<&str>, _: usize, _: u64) -> Result<Unseen, Error> {
        Ok(Unseen::default())
    }
    fn pipelines(&self) -> Result<Vec<(String, PipelineRecord)>, Error> {
        Ok(Vec::new())
    }
    fn identity(&self) -> Identity {
        Identity { store_id: "seam".into(), run: 1 }
    }
    fn raise_run(&self) -> Result<u64, Error> {
        Ok(2)
    }
}

#[derive(Default)]
struct Sink {
    replies: Mutex<Vec<Reply>>,
    more: Condvar,
}

impl Sink {
    fn wait_for(&self, count: usize) -> Vec<Reply> {
        let replies = self.replies.lock().unwrap();
        let (replies, time) = self.more.wait_timeout_while(replies, LONG, |replies| replies.len() < count).unwrap();
        assert!(!time.timed_out(), "only {} of {count} replies came", replies.len());
        replies.clone()
    }
}

impl CompletionSink for Sink {
    fn committed(&self, replies: &mut Vec<Reply>) {
        self.replies.lock().unwrap().append(replies);
        self.more.notify_all();
    }
}

struct Scene {
    committer: Committer,
    handle: Handle,
    sinks: Vec<Arc<Sink>>,
    poison: Poison,
}

fn scene(store: Arc<dyn Store>, queue_max: usize) -> Scene {
    let sinks: Vec<Arc<Sink>> = (0..2).map(|_| Arc::default()).collect();
    let dynamic = sinks.iter().map(|sink| sink.clone() as Arc<dyn CompletionSink>).collect();
    let poison = Poison::new();
    let committer = Committer::start(store, vec![("p".into(), Progress::default())], dynamic, queue_max, poison.clone()).unwrap();
    Scene { handle: committer.handle(), committer, sinks, poison }
}

fn change(shard: usize, number: u64, closes: &[u64]) -> Entry {
    let key = EntityKey { pipeline: "p".into(), entity: format!("e{shard}").into() };
    Entry::Change(Box::new(Change { closes: closes.to_vec(), ..Change::new(key, 4, 0) }), Reply { shard, entity: 0, number })
}

fn opened(sequences: std::ops::RangeInclusive<u64>) -> Entry {
    Entry::Opened { pipeline: 0, messages: sequences.map(|sequence| (sequence, sequence)).collect(), stream_time: 0 }
}

#[test]
fn what_queues_up_during_a_commit_goes_into_the_next_one() {
    let seam = Seam::new(Trouble::None, false);
    let scene = scene(seam.clone(), 10_000);
    scene.handle.send(opened(1..=1000)).unwrap();
    scene.handle.send(change(0, 1, &[1])).unwrap();
    while scene.handle.queued() > 0 {
        std::thread::yield_now();
    }
    let mut rest: VecDeque<_> = (2..=1000).map(|number| change((number % 2) as usize, number, &[number])).collect();
    scene.handle.send_all(&mut rest).unwrap();
    assert!(scene.sinks.iter().all(|sink| sink.replies.lock().unwrap().is_empty()), "replies before the commit returned");
    assert_eq!(scene.committer.progress(0).unwrap().get(), Progress::default());
    seam.open();
    for (shard, sink) in scene.sinks.iter().enumerate() {
        let expected: Vec<u64> = (1..=1000).filter(|number| if *number == 1 { shard == 0 } else { number % 2 == shard as u64 }).collect();
        assert_eq!(sink.wait_for(expected.len()).iter().map(|reply| reply.number).collect::<Vec<_>>(), expected);
    }
    assert_eq!(scene.committer.progress(0).unwrap().get().watermark, 1000);
    let sizes: Vec<usize> = seam.commits().iter().map(|batch| batch.changes.len()).collect();
    assert!(sizes[0] <= 2 && sizes.len() <= 3 && sizes.iter().sum::<usize>() == 1000, "{sizes:?}");
    scene.committer.stop().unwrap();
}

#[test]
fn drafts_are_bounded_and_stopping_writes_everything() {
    let seam = Seam::new(Trouble::None, true);
    let scene = scene(seam.clone(), 50_000);
    let mut all: VecDeque<_> = (1..=20_000).map(|number| change(0, number, &[])).collect();
    scene.handle.send_all(&mut all).unwrap();
    scene.handle.send(opened(1..=3)).unwrap();
    scene.committer.stop().unwrap();
    let commits = seam.commits();
    assert!(commits.iter().all(|batch| batch.changes.len() <= COMMIT_CHANGES_MAX));
    assert_eq!(commits.iter().map(|batch| batch.changes.len()).sum::<usize>(), 20_000);
    assert_eq!(commits.last().unwrap().pipelines[0].1.highest, 3, "what was opened is written when stopping");
    assert!(scene.sinks[0].replies.lock().unwrap().iter().map(|reply| reply.number).eq(1..=20_000));
    assert!(matches!(scene.handle.send(change(0, 1, &[])), Err(Error::Stopped)));
}

#[test]
fn a_full_queue_holds_the_sender_and_loses_nothing() {
    let seam = Seam::new(Trouble::None, true);
    let scene = scene(seam, 3);
    for number in 1..=2000 {
        scene.handle.send(change(0, number, &[])).unwrap();
    }
    assert!(scene.sinks[0].wait_for(2000).iter().map(|reply| reply.number).eq(1..=2000));
}

#[test]
fn a_failed_commit_poisons_and_nothing_follows() {
    for trouble in [Trouble::Fail(3), Trouble::Panic(3)] {
        let seam = Seam::new(trouble, true);
        let scene = scene(seam.clone(), 4);
        for number in 1..=2 {
            scene.handle.send(change(0, number, &[])).unwrap();
            scene.sinks[0].wait_for(number as usize);
        }
        // Whoever goes on sending is told, also when the queue was full at that moment.
        let refused = (3..10_000).find_map(|number| scene.handle.send(change(0, number, &[])).err()).unwrap();
        let text = if trouble == Trouble::Fail(3) { "no space left on device" } else { "the committer panicked: a bug in the store" };
        assert!(matches!(&refused, Error::Poisoned { reason } if reason.contains(text)), "{refused}");
        assert!(scene.poison.poisoned().unwrap().contains(text));
        assert_eq!(scene.sinks[0].replies.lock().unwrap().len(), 2, "a reply for what is not durable");
        assert_eq!(seam.commits().len(), 2, "a commit after the failed one");
        assert!(matches!(scene.committer.stop(), Err(Error::Poisoned { .. })));
    }
}

#[test]
fn poison_from_elsewhere_stops_commits() {
    let seam = Seam::new(Trouble::None, true);
    let scene = scene(seam.clone(), 4);
    scene.poison.set("the publisher panicked");
    let refused = (1..10_000).find_map(|number| scene.handle.send(change(0, number, &[])).err()).unwrap();
    assert!(refused.to_string().contains("the publisher panicked"), "{refused}");
    assert_eq!(seam.commits().len(), 0);
}

#[test]
fn what_names_an_unknown_pipeline_or_shard_poisons() {
    for (bad, text) in [(Entry::Close { pipeline: 7, stream_sequence: 1 }, "pipeline number 7"), (change(9, 1, &[]), "shard 9")] {
        let scene = scene(Seam::new(Trouble::None, true), 4);
        scene.handle.send(bad).unwrap();
        let refused = (1..10_000).find_map(|number| scene.handle.send(change(0, number, &[])).err()).unwrap();
        assert!(refused.to_string().contains(text), "{refused}");
    }
}

#[tokio::test]
async fn a_flush_returns_when_everything_before_it_is_durable() {
    let seam = Seam::new(Trouble::None, true);
    let scene = scene(seam.clone(), 2);
    scene.handle.flush().await.unwrap();
    assert_eq!(seam.commits().len(), 0, "nothing to write");
    scene.handle.send(opened(1..=5)).unwrap();
    for number in 1..=5 {
        scene.handle.send(Entry::Close { pipeline: 0, stream_sequence: number }).unwrap();
    }
    scene.handle.flush().await.unwrap();
    assert_eq!(seam.commits().last().unwrap().pipelines[0].1.watermark, 5);
    assert_eq!(scene.committer.progress(0).unwrap().get().watermark, 5);
    scene.poison.set("enough");
    scene.handle.send(change(0, 1, &[])).ok();
    let error = tokio::time::timeout(LONG, scene.handle.flush()).await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Poisoned { .. }), "{error}");
}

#[test]
fn closes_alone_reach_the_disk_without_another_word() {
    let seam = Seam::new(Trouble::None, true);
    let scene = scene(seam.clone(), 100);
    scene.handle.send(opened(1..=9)).unwrap();
    let progress = scene.committer.progress(0).unwrap();
    for number in 1..=3 {
        scene.handle.send(Entry::Close { pipeline: 0, stream_sequence: number }).unwrap();
    }
    let deadline = Instant::now() + LONG;
    while progress.get().watermark < 3 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    assert!(seam.commits().len() <= 2);
}

#[test]
fn with_the_real_store_what_was_replied_to_survives() {
    let place = tempfile::tempdir().unwrap();
    let open = || Arc::new(Embedded::open(&Options::new(place.path())).unwrap());
    let store = open();
    store.commit(&Batch { records: vec![("p".into(), PipelineRecord::default())], ..Batch::default() }).unwrap();
    let scene = scene(store, 64);
    scene.handle.send(opened(1..=500)).unwrap();
    for number in 1..=500 {
        let Entry::Change(mut one, reply) = change(0, number, &[number]) else { unreachable!() };
        one.state.push(crate::store::StateWrite { handler: "h".into(), key: format!("{number:03}"), value: Some("x".into()) });
        scene.handle.send(Entry::Change(one, reply)).unwrap();
    }
    scene.sinks[0].wait_for(500);
    drop(scene);
    let store = open();
    let key = EntityKey { pipeline: "p".into(), entity: "e0".into() };
    assert_eq!(store.load(&key).unwrap().state[0].1.len(), 500);
    assert_eq!(store.pipelines().unwrap()[0].1.progress.watermark, 500);
}
