//! Live on real shards, with the embedded store and its committer; handlers and broker are played.

use super::*;
use crate::breaker::Breaker;
use crate::control::{ExportPage, HistoryPart, Place, RedriveSource, Sort};
use crate::event::{Event, Header, Message};
use crate::inbox::Inbox;
use crate::pipeline;
use crate::runtime::{Failure, FailureKind};
use crate::shard::{Batch, Bounds, CallFuture, Calls, Completions, Failed, Job, Mail, Owing, Parts};
use crate::sink::publisher::{PublishReply, PublishRequest, PublishResult, PublishSink, PublisherHandle};
use crate::sink::search::Searcher;
use crate::sink::streams::Streams;
use crate::source::sources::{EventSources, Source};
use crate::store::{self, Committer, CompletionSink, Embedded, Identity, Options, Owed, PipelineRecord, Poison, Progress, Unseen};
use crate::telemetry::lifecycle::Queue;
use seriatim_sequencer::{Alarm, Attempts, FailureThen, Policy, WaitReason, Waiting};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

mod retain;

/// Commits only while it is open.
struct Gated {
    inner: Embedded,
    open: Mutex<bool>,
    opened: Condvar,
}

impl Gated {
    fn set(&self, open: bool) {
        *self.open.lock().unwrap() = open;
        self.opened.notify_all();
    }
}

impl Store for Gated {
    fn load(&self, key: &EntityKey) -> Result<Loaded, Error> {
        self.inner.load(key)
    }
    fn load_waiting(&self, key: &EntityKey) -> Result<Option<Waiting>, Error> {
        self.inner.load_waiting(key)
    }
    fn commit(&self, batch: &store::Batch) -> Result<(), Error> {
        drop(self.opened.wait_while(self.open.lock().unwrap(), |open| !*open).unwrap());
        self.inner.commit(batch)
    }
    fn owing(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<Owed>, Error> {
        self.inner.owing(pipeline, after, max)
    }

    fn sending(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, Error> {
        self.inner.sending(pipeline, after, max)
    }
    fn unseen(&self, pipeline: &str, after: Option<&str>, max: usize, before: u64) -> Result<Unseen, Error> {
        self.inner.unseen(pipeline, after, max, before)
    }
    fn pipelines(&self) -> Result<Vec<(String, PipelineRecord)>, Error> {
        self.inner.pipelines()
    }
    fn identity(&self) -> Identity {
        self.inner.identity()
    }
    fn raise_run(&self) -> Result<u64, Error> {
        self.inner.raise_run()
    }
}

/// Handlers that trap on the payload `trap` until they are mended.
#[derive(Default)]
struct Played {
    mended: AtomicBool,
    /// Places and late flags of what was handled.
    handled: Mutex<Vec<(u64, bool)>>,
}

impl Calls for Played {
    fn call(&self, job: Job) -> CallFuture {
        let traps = &job.event.message.payload[..] == b"trap" && !self.mended.load(Ordering::SeqCst);
        let result = if traps {
            Err(Failed { handler: 0, failure: Failure::new(FailureKind::Trap, "unreachable") })
        } else {
            self.handled.lock().unwrap().push((job.event.sequence, job.late));
            Ok(Vec::new())
        };
        Box::pin(std::future::ready(job.done(result)))
    }
}

fn message(entity: &str, sequence: u64, stream_sequence: u64, payload: &'static str) -> Arc<Message> {
    let headers = vec![Header { name: "Seriatim-Sequence".to_owned(), value: sequence.to_string() }];
    let subject = format!("flights.{entity}");
    Arc::new(Message { subject, headers, payload: payload.into(), stream_sequence, time: 1_000 + stream_sequence })
}

/// Dead letter N is that of N1's message N.
struct Letterbox;

fn none<T>() -> Answer<'static, T> {
    Box::pin(async { Err(Fault::Unavailable("not played".to_owned())) })
}

impl Letters for Letterbox {
    fn list(&self, _: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        none()
    }
    fn get(&self, _: u64) -> Answer<'_, DeadLetterReport> {
        none()
    }
    fn fetch(&self, stream_sequence: u64) -> Answer<'_, RedriveSource> {
        Box::pin(async move {
            Ok(RedriveSource {
                dead_letter: stream_sequence,
                pipeline: "flights".to_owned(),
                generation: 0,
                reason: "trap".to_owned(),
                entity: Some("N1".to_owned()),
                place: Some(Place { epoch: 0, sequence: stream_sequence }),
                stream: "FLIGHTS".to_owned(),
                message: message("N1", stream_sequence, stream_sequence, "trap"),
            })
        })
    }
    fn export(&self, _: DeadLetterQuery) -> Answer<'_, ExportPage> {
        none()
    }
    fn purge(&self, _: DeadLetterQuery, _: bool) -> Answer<'_, PurgeDone> {
        none()
    }
    fn history(&self, _: HistoryQuery) -> Answer<'_, HistoryPart> {
        none()
    }
}

struct Stage {
    live: Arc<Live>,
    store: Arc<Gated>,
    played: Arc<Played>,
    shard: Handle,
    decoder: Arc<Decoder>,
    committer: Committer,
    next: u64,
    _folder: tempfile::TempDir,
}

impl Stage {
    async fn new(policy: Policy) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = Embedded::open(&Options::new(folder.path().join("store"))).unwrap();
        let store = Arc::new(Gated { inner, open: Mutex::new(true), opened: Condvar::new() });
        let played = Arc::new(Played::default());
        let name: Arc<str> = "flights".into();
        let pipeline = Arc::new(Pipeline {
            index: 0,
            name: name.clone(),
            stream: "FLIGHTS".to_owned(),
            policy: Arc::new(policy),
            handlers: crate::pipeline::Handlers::default(),
            generation: 0,
            generations: vec![(0, 1)],
            gone: Vec::new(),
            accepted: false,
            forgotten: false,
            ring: 8,
            outbox_max: 100,
            own_outbox_max: 100,
            control: pipeline::Control::default(),
            breaker: Breaker::off(),
            lifecycle: Queue::default(),
        });
        let completions = Arc::new(Completions::default());
        let sinks: Vec<Arc<dyn CompletionSink>> = vec![completions.clone()];
        let poison = Poison::new();
        let committer = Committer::start(store.clone(), vec![(name.clone(), Progress::default())], sinks, 1_000, poison.clone()).unwrap();
        let (publisher, requests) = PublisherHandle::unconnected(16);
        tokio::spawn(confirm(requests, completions.clone()));
        let directory = Arc::new(Directory::default());
        let streams = Streams::default();
        streams.set_clock(1, 1);
        let (shard, _) = crate::shard::start(Parts {
            index: 0,
            pipelines: vec![pipeline.clone()],
            store: store.clone(),
            committer: committer.handle(),
            publisher,
            max_payload: 1 << 20,
            calls: played.clone(),
            streams,
            searcher: Searcher::default(),
            catch_ups: vec![Arc::new(Inbox::default())],
            completions,
            directory: directory.clone(),
            poison,
            progress: vec![committer.progress(0).unwrap()],
            bounds: Bounds { calls_max: 4, held_bytes: 1 << 20, entities_max: 4, changes_max: 1_000 },
            at_start: vec![(0, 0)],
        })
        .unwrap();
        let sources = EventSources {
            entity: Source::Subject(2),
            sequence: Source::Header("Seriatim-Sequence".to_owned()),
            ..EventSources::default()
        };
        let decoder = Arc::new(Decoder::new(name, "FLIGHTS".into(), sources));
        let live = Arc::new(Live::new(LiveParts {
            pipelines: vec![pipeline],
            shards: vec![shard.clone()],
            directory,
            progress: vec![committer.progress(0).unwrap()],
            store: store.clone(),
            decoders: vec![Some(decoder.clone())],
            deployer: None,
            letters: Arc::new(Letterbox),
        }));
        Self { live, store, played, shard, decoder, committer, next: 1, _folder: folder }
    }

    /// The reader brings an event.
    async fn comes(&mut self, entity: &str, sequence: u64, payload: &'static str) {
        let at = self.next;
        self.next += 1;
        let message = message(entity, sequence, at, payload);
        let opened = store::Entry::Opened { pipeline: 0, messages: vec![(at, message.time)], stream_time: message.time };
        self.committer.handle().send(opened).unwrap();
        let event: Arc<Event> = Arc::new(self.decoder.decode(message).unwrap());
        let batch = Batch { pipeline: 0, events: vec![event], own: Vec::new(), highest: at, stream_time: 1_000 + at };
        self.shard.send(Mail::Batch(batch)).await.unwrap();
    }

    async fn report(&self, entity: &str) -> EntityReport {
        self.live.entity(name(entity)).await.unwrap()
    }

    /// Asks again until the entity stands so: what the shard has been given takes a moment.
    async fn until(&self, entity: &str, stands: impl Fn(&EntityReport) -> bool) -> EntityReport {
        let wait = async {
            loop {
                if let Ok(report) = self.live.entity(name(entity)).await
                    && stands(&report)
                {
                    return report;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.expect("it never stood so")
    }

    fn handled(&self) -> Vec<(u64, bool)> {
        self.played.handled.lock().unwrap().clone()
    }
}

async fn confirm(mut requests: tokio::sync::mpsc::Receiver<PublishRequest>, completions: Arc<Completions>) {
    let mut sequence = 0;
    while let Some(request) = requests.recv().await {
        sequence += 1;
        let result = PublishResult::Confirmed { stream: "OUT".into(), sequence, duplicate: false };
        completions.published(vec![PublishReply { token: request.token, shard: request.shard, result }]);
    }
}

fn name(entity: &str) -> EntityName {
    EntityName { pipeline: "flights".to_owned(), entity: entity.to_owned() }
}

fn at(sequence: u64) -> Option<Place> {
    Some(Place { epoch: 0, sequence })
}

fn parks() -> Policy {
    Policy { retry: Vec::new(), failure_then: FailureThen::Park, ..Policy::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parked_entity_is_shown_resumed_and_skipped_by_the_place_it_stands_at() {
    let mut stage = Stage::new(parks()).await;
    stage.comes("N1", 1, "trap").await;
    stage.comes("N1", 2, "ok").await;
    let report = stage.until("N1", |report| report.state == EntityState::Parked).await;
    assert!(report.sentence.contains("is parked") && report.sentence.contains("unreachable"), "{}", report.sentence);
    assert_eq!((report.head, report.last_error.map(|error| error.kind)), (at(1), Some("trap".to_owned())));
    assert!(report.decisions.iter().any(|decision| decision.what == "parked"), "{:?}", report.decisions);
    let elsewhere = stage.live.operate(name("N1"), Word::Resume { place: at(2) }).await.unwrap_err();
    assert!(matches!(elsewhere, Fault::Conflict { head, .. } if head == at(1)), "{elsewhere}");
    stage.played.mended.store(true, Ordering::SeqCst);
    assert_eq!(stage.live.operate(name("N1"), Word::Resume { place: at(1) }).await, Ok(Done { changed: true }));
    stage.until("N1", |report| report.state == EntityState::Live && report.position == at(2)).await;
    assert_eq!(stage.live.operate(name("N1"), Word::Resume { place: at(3) }).await, Ok(Done { changed: false }), "repeated: harmless");
    assert_eq!(stage.handled(), [(1, false), (2, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_goes_back_only_when_it_is_durable() {
    let mut stage = Stage::new(parks()).await;
    stage.comes("N1", 1, "ok").await;
    stage.until("N1", |report| report.position == at(1)).await;
    stage.committer.handle().flush().await.unwrap();
    stage.store.set(false);
    let live = stage.live.clone();
    let parking = tokio::spawn(async move { live.operate(name("N1"), Word::Park).await });
    stage.until("N1", |report| report.state == EntityState::Parked).await;
    assert!(!parking.is_finished(), "answered before its commit");
    assert_eq!(stage.store.load_waiting(&EntityKey { pipeline: "flights".into(), entity: "N1".into() }).unwrap(), None);
    stage.store.set(true);
    assert_eq!(parking.await.unwrap(), Ok(Done { changed: true }));
    assert!(stage.store.load_waiting(&EntityKey { pipeline: "flights".into(), entity: "N1".into() }).unwrap().is_some());
}

/// A start tells a shard who owes something, and somebody may have asked for one of them before: its alarm would ring for ever, and no other behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entity_that_was_asked_for_before_the_start_woke_it_holds_no_other_alarm_up() {
    let mut stage = Stage::new(parks()).await;
    stage.comes("N1", 1, "ok").await;
    stage.until("N1", |report| report.position == at(1)).await;
    let owed = |entity: &str, alarm| {
        let waiting =
            Waiting { from: 1, reason: WaitReason::Resuming, attempts: Attempts::default(), alarm: Some(Alarm::Host(alarm)), since: 0 };
        Owing { key: EntityKey { pipeline: "flights".into(), entity: entity.into() }, waiting: Some(waiting), outbox: false }
    };
    let owed = vec![owed("N1", 1), owed("N2", 2)];
    stage.shard.send(Mail::Wake { pipeline: 0, owed }).await.unwrap();
    stage.until("N2", |report| report.live).await;
    assert!(stage.report("N1").await.live);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_redriven_once_and_in_order_unless_asked_otherwise() {
    let mut stage = Stage::new(Policy { retry: Vec::new(), ..Policy::default() }).await;
    stage.comes("N1", 1, "trap").await;
    stage.until("N1", |report| report.position == at(1)).await;
    let again = stage.live.redrive(1, Redrive::default()).await.unwrap_err();
    assert!(again.to_string().contains("failed again (trap): unreachable; nothing was changed"), "{again}");
    stage.played.mended.store(true, Ordering::SeqCst);
    assert_eq!(stage.live.redrive(1, Redrive::default()).await, Ok(RedriveDone { changed: true, late: false }));
    assert_eq!(stage.live.redrive(1, Redrive::default()).await, Ok(RedriveDone { changed: false, late: false }));
    stage.played.mended.store(false, Ordering::SeqCst);
    stage.comes("N1", 2, "trap").await;
    stage.comes("N1", 3, "ok").await;
    stage.until("N1", |report| report.position == at(3)).await;
    stage.played.mended.store(true, Ordering::SeqCst);
    let passed = stage.live.redrive(2, Redrive::default()).await.unwrap_err();
    assert!(matches!(&passed, Fault::Conflict { detail, head } if detail.starts_with("1 events") && *head == at(4)), "{passed}");
    let moved = Redrive { out_of_order: true, payload: Some("%".to_owned()) };
    assert!(matches!(stage.live.redrive(2, moved).await, Err(Fault::Bad(_))));
    let edited = Redrive { out_of_order: true, payload: Some("bWVuZGVk".to_owned()) };
    assert_eq!(stage.live.redrive(2, edited).await, Ok(RedriveDone { changed: true, late: true }));
    assert_eq!(stage.handled(), [(1, false), (3, false), (2, true)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_are_parked_listed_and_resumed_though_few_fit_into_memory() {
    let mut stage = Stage::new(parks()).await;
    for entity in 0..60 {
        stage.comes(&format!("E{entity:02}"), 1, "ok").await;
    }
    stage.committer.handle().flush().await.unwrap();
    stage.until("E59", |report| report.position == at(1)).await;
    let named: Vec<_> = (0..60).map(|entity| format!("E{entity:02}")).chain(["nobody".to_owned()]).collect();
    let filter = BulkFilter { entities: named, ..BulkFilter::default() };
    let dry = stage.live.operate_many("flights".to_owned(), Word::Park, filter.clone(), true).await.unwrap();
    assert_eq!((dry.matched, dry.changed), (61, 0));
    assert_eq!(stage.live.pipelines().await.unwrap()[0].parked, 0);
    let done = stage.live.operate_many("flights".to_owned(), Word::Park, filter.clone(), false).await.unwrap();
    assert_eq!((done.matched, done.changed), (61, 60));
    assert!(done.entities.iter().all(|entry| entry.error.is_some() == (entry.entity == "nobody")), "{:?}", done.entities);
    let query = EntityQuery { pipeline: "flights".to_owned(), sort: Sort::Backlog, limit: 1_000, ..EntityQuery::default() };
    let rows = stage.live.entities(query).await.unwrap().entities;
    assert!(rows.len() == 60 && rows.iter().all(|row| row.reason.as_deref() == Some("operator")), "{rows:?}");
    assert!(rows.iter().filter(|row| row.live).count() < 30, "they leave memory");
    let report = stage.report("E00").await;
    assert!(!report.live && report.sentence.contains("was parked by an operator"), "{}", report.sentence);
    let filter = BulkFilter { reason: Some("operator".to_owned()), ..BulkFilter::default() };
    let resume = Word::Resume { place: None };
    let done = stage.live.operate_many("flights".to_owned(), resume, filter.clone(), false).await.unwrap();
    assert_eq!((done.matched, done.changed), (60, 60));
    let done = stage.live.operate_many("flights".to_owned(), resume, filter, false).await.unwrap();
    assert_eq!((done.matched, done.changed), (0, 0));
    assert_eq!(stage.live.pipelines().await.unwrap()[0].parked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgetting_refuses_what_owes_and_keeps_where_the_entity_stands() {
    let mut stage = Stage::new(parks()).await;
    stage.comes("N1", 1, "ok").await;
    stage.comes("N2", 2, "ok").await;
    stage.until("N2", |report| report.held.is_some()).await;
    stage.until("N1", |report| report.position == at(1)).await;
    assert!(matches!(stage.live.forget(name("N2")).await, Err(Fault::Conflict { .. })));
    assert_eq!(stage.live.forget(name("N1")).await, Ok(Done { changed: true }));
    let key = EntityKey { pipeline: "flights".into(), entity: "N1".into() };
    let loaded = stage.store.load(&key).unwrap();
    assert_eq!((loaded.snapshot.slots.len(), loaded.snapshot.extras.position.map(|position| position.sequence)), (0, Some(1)));
    stage.comes("N1", 2, "ok").await;
    stage.until("N1", |report| report.position == at(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_knows_and_what_makes_no_sense_is_said() {
    let stage = Stage::new(parks()).await;
    let live = &stage.live;
    for entity in ["nobody", "a b", "a.b", "*", ">", "\u{1F600}", &"x".repeat(256)] {
        assert!(matches!(live.entity(name(entity)).await, Err(Fault::Unknown(_))), "{entity}");
        assert!(matches!(live.operate(name(entity), Word::Park).await, Err(Fault::Unknown(_))), "{entity}");
        assert!(matches!(live.state(name(entity), None).await, Err(Fault::Unknown(_))), "{entity}");
        assert!(matches!(live.forget(name(entity)).await, Err(Fault::Unknown(_))), "{entity}");
    }
    for entity in ["", "a\nb", &"x".repeat(257)] {
        assert!(matches!(live.entity(name(entity)).await, Err(Fault::Bad(_))), "{entity}");
    }
    let elsewhere = EntityName { pipeline: "other".to_owned(), entity: "N1".to_owned() };
    assert!(matches!(live.entity(elsewhere).await, Err(Fault::Unknown(_))));
    let filter = BulkFilter { handler: Some("h".to_owned()), ..BulkFilter::default() };
    assert!(matches!(live.operate_many("flights".to_owned(), Word::Park, filter, true).await, Err(Fault::Unknown(_))));
    let query = EntityQuery { pipeline: "flights".to_owned(), ..EntityQuery::default() };
    assert_eq!(live.entities(query).await.unwrap().entities, [], "nobody was kept in memory for being asked");
}
