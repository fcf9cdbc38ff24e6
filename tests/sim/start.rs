//! A start of the host, as `app/start.rs` and `app/run.rs` do it: store, streams, identity, record, wiring. Whether the pipeline may go on, and from
//! where, the host's `decide` says.

use crate::asking::{Asking, Shelf};
use crate::broker::{DEAD, SOURCE};
use crate::disk::ModelDisk;
use crate::gapless::Gapless;
use crate::handler::{self, Echo};
use crate::host::{Host, Parts, Waking};
use crate::link::{Around, facts};
use crate::mail::Mailboxes;
use crate::note;
use crate::passes::Passes;
use crate::plan::SUBJECTS;
use crate::publishing::{Lookup, Publishing, Searching};
use crate::reading::LiveReader;
use crate::settings::{Late, Settings, Then};
use crate::trace::Trace;
use seriatim::app::decide::{self, Accepts, Decision};
use seriatim::breaker::Breaker;
use seriatim::control::LiveParts;
use seriatim::directory::Directory;
use seriatim::inbox::Inbox;
use seriatim::nats::bucket::Entry;
use seriatim::nats::identity::{KnownStream, check_identity};
use seriatim::pipeline::{Control, Pipeline};
use seriatim::shard::{self, Bounds, Completions, Stepped};
use seriatim::sink::publisher::PublisherHandle;
use seriatim::sink::search::Searcher;
use seriatim::sink::streams::Streams;
use seriatim::source::decode::Decoder;
use seriatim::source::follow::Follower;
use seriatim::source::reader::heartbeat_for;
use seriatim::source::sources::{EventSources, Source};
use seriatim::store::{Batch, CompletionSink, Keyed, Meaning, Poison, SteppedCommitter, Store};
use seriatim::telemetry::lifecycle::Queue;
use seriatim_sequencer::{FailureThen, First, GapThen, Policy, Retain};
use std::sync::Arc;
use std::time::Duration;

/// The pipeline's name.
pub(crate) const PIPELINE: &str = "flights";
/// The source stream's name.
pub(crate) const STREAM: &str = "FLIGHTS";
/// The broker's largest message.
const MAX_PAYLOAD: usize = 1 << 20;

/// Why the host did not start.
#[derive(Debug)]
pub(crate) enum NotStarted {
    /// The broker does not answer: later.
    Away,
    /// An operator has to accept the stream.
    Stream(String),
    /// What must never happen.
    Wrong(String),
}

/// What a start is given beside what it can reach.
pub(crate) struct Given<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) disk: &'a ModelDisk,
    /// What the bucket says of the pipeline.
    pub(crate) told: Option<&'a Entry>,
    pub(crate) accept_stream: bool,
    /// The host's wall clock.
    pub(crate) wall: u64,
    /// Which component the handler runs.
    pub(crate) component: usize,
}

/// Starts it.
pub(crate) fn start(given: &Given<'_>, around: &mut Around<'_>, trace: &mut Trace) -> Result<Host, NotStarted> {
    let wrong = |error: &dyn std::fmt::Display| NotStarted::Wrong(format!("the host does not start: {error}"));
    let settings = given.settings;
    let store = Keyed::simulated(given.disk.clone(), "simulated").map_err(|error| wrong(&error))?;
    let dead = around.facts(DEAD).map_err(|_| NotStarted::Away)?;
    let Decision { record, changed, accepted } = decide(given, &store, around)?;
    store.raise_run().map_err(|error| wrong(&error))?;
    decide::not_rolled_back(PIPELINE, &record, &store.identity().store_id, given.told, false).map_err(|error| wrong(&error))?;
    let name: Arc<str> = PIPELINE.into();
    if changed {
        let batch = Batch { records: vec![(name.clone(), record.clone())], ..Batch::default() };
        store.commit(&batch).map_err(|error| wrong(&error))?;
    }
    note!(trace, "host: starts at watermark {} generation {}", record.progress.watermark, record.generation);
    let pipeline = Arc::new(Pipeline {
        index: 0,
        name: name.clone(),
        stream: STREAM.to_owned(),
        policy: Arc::new(policy(settings)),
        handlers: vec![handler::component(given.component)].into(),
        generation: record.generation,
        generations: record.generations.clone(),
        gone: record.gone.clone(),
        accepted,
        forgotten: false,
        ring: u32::try_from(settings.ids).unwrap(),
        outbox_max: settings.outbox_max,
        own_outbox_max: settings.own_outbox_max,
        control: Control::default(),
        breaker: Breaker::off(),
        lifecycle: Queue::default(),
    });
    let streams = Streams::default();
    streams.learn(dead);
    let store: Arc<dyn Store> = Arc::new(store);
    let poison = Poison::new();
    let completions: Vec<_> = (0..settings.shards).map(|_| Arc::new(Completions::default())).collect();
    let sinks = completions.iter().map(|completions| completions.clone() as Arc<dyn CompletionSink>).collect();
    let committer = SteppedCommitter::new(store.clone(), vec![(name, record.progress)], sinks, settings.commit_queue, poison.clone());
    let progress = committer.progress(0).unwrap();
    let (publisher, requests) = PublisherHandle::unconnected(settings.publish_window);
    let searcher = Searcher::default();
    let asks: Arc<Inbox<_>> = Arc::default();
    let directory = Arc::new(Directory::default());
    let echo = Arc::new(Echo::new(around.dice.split(), settings.slow_calls));
    let aside = echo.aside();
    streams.set_clock(around.broker.now, around.broker.now);
    let shard = |index: usize| {
        let parts = shard::Parts {
            index,
            pipelines: vec![pipeline.clone()],
            store: store.clone(),
            calls: echo.clone(),
            committer: committer.handle(),
            publisher: publisher.clone(),
            max_payload: MAX_PAYLOAD,
            streams: streams.clone(),
            searcher: searcher.clone(),
            catch_ups: vec![asks.clone()],
            completions: completions[index].clone(),
            directory: directory.clone(),
            poison: poison.clone(),
            progress: vec![progress.clone()],
            bounds: Bounds {
                calls_max: settings.calls_max,
                held_bytes: settings.held_bytes,
                entities_max: settings.entities_max,
                changes_max: settings.changes_max,
            },
            at_start: vec![(record.progress.stream_time, record.progress.watermark)],
        };
        Stepped::start(parts, given.wall)
    };
    let shards = (0..settings.shards).map(shard).collect();
    let decoder = Arc::new(Decoder::new(PIPELINE.into(), STREAM.into(), sources(settings)));
    let (handles, questions) = (0..settings.shards).map(|_| shard::Handle::unconnected()).unzip();
    let shelf = Arc::new(Shelf::default());
    let live = LiveParts {
        pipelines: vec![pipeline.clone()],
        shards: handles,
        directory: directory.clone(),
        progress: vec![progress.clone()],
        store: store.clone(),
        decoders: vec![Some(decoder.clone())],
        deployer: None,
        letters: shelf.clone(),
    };
    let known = known(&record);
    let heartbeat = heartbeat_for(Duration::from_millis(settings.gap_wait));
    let start_at = record.progress.watermark + 1;
    let gapless = Gapless::new(vec![SUBJECTS.to_owned()], u64::try_from(heartbeat.as_millis()).unwrap(), known.clone(), start_at);
    let follower = Follower::new(start_at, record.progress.stream_time, heartbeat);
    let reader = LiveReader::new(gapless, follower, around.now, settings.batch_max);
    let passes = Passes::new(settings.catch_ups_max, settings.token, asks, decoder.clone(), known, progress.clone());
    let parts = Parts {
        started: around.now,
        pipeline,
        decoder,
        store,
        committer,
        progress,
        shards,
        completions,
        mail: Mailboxes::new(settings.shards),
        asking: Asking::new(live, shelf, questions),
        reader,
        waking: Waking::new(settings.owing_page),
        passes,
        publishing: Publishing::new(requests, settings.publish_window),
        searching: Searching::new(searcher),
        lookup: Lookup { due: around.now },
        streams,
        poison,
        aside,
        clock: (around.broker.now, around.now, given.wall),
    };
    Ok(Host::new(parts))
}

fn decide(given: &Given<'_>, store: &Keyed<ModelDisk>, around: &mut Around<'_>) -> Result<Decision, NotStarted> {
    let known_pipelines = store.pipelines().map_err(|error| NotStarted::Wrong(error.to_string()))?;
    let now = around.broker.now;
    let source = around.ask(SOURCE).map_err(|_| NotStarted::Away)?;
    let facts = facts(source, now);
    let accepts = Accepts { stream: given.accept_stream, meaning: false, missing_history: true };
    let refused = |error: decide::Refused| NotStarted::Stream(error.to_string());
    match known_pipelines.first() {
        None => decide::begin(PIPELINE, meaning(given.settings), &facts, facts.first_sequence.max(1), accepts).map_err(refused),
        Some((_, stored)) => {
            let known = known(stored);
            let time = if known.highest == 0 { None } else { source.get(known.highest).map(|stored| stored.time) };
            let checked = check_identity(&known, &facts, time);
            let younger = source.messages().find(|stored| stored.time > known.highest_time).map(|stored| stored.sequence);
            decide::go_on(PIPELINE, stored, meaning(given.settings), &facts, checked, younger, accepts).map_err(refused)
        }
    }
    .map(|decision| {
        let at = decision.record.progress.watermark;
        decision.anchored(source.get(at).map(|stored| stored.time))
    })
}

fn known(record: &seriatim::store::PipelineRecord) -> KnownStream {
    KnownStream {
        name: record.stream.name.clone(),
        created_nanos: record.stream.created,
        highest: record.progress.highest,
        highest_time: record.progress.highest_time,
    }
}

fn sources(settings: &Settings) -> EventSources {
    let header = |name: &str| Source::Header(name.to_owned());
    EventSources {
        entity: if settings.token { Source::Subject(2) } else { header("Seriatim-Entity") },
        epoch: settings.epochs.then(|| header("Seriatim-Epoch")),
        ..EventSources::default()
    }
}

fn meaning(settings: &Settings) -> Meaning {
    let sources = sources(settings);
    Meaning {
        subjects: vec![SUBJECTS.to_owned()],
        entity: sources.entity.to_string(),
        sequence: sources.sequence.to_string(),
        epoch: sources.epoch.map(|epoch| epoch.to_string()),
        by: "sequence".to_owned(),
        first_sequence: settings.first.map_or_else(|| "any".to_owned(), |first| first.to_string()),
        stream: STREAM.to_owned(),
    }
}

fn policy(settings: &Settings) -> Policy {
    Policy {
        first: settings.first.map_or(First::Any, First::At),
        gap_wait: settings.gap_wait,
        gap_then: match settings.gap_then {
            Then::Skip => GapThen::Skip,
            Then::DeadLetter => GapThen::DeadLetter,
            Then::Park => GapThen::Park,
        },
        held_max: settings.held_max,
        queue_max: settings.queue_max,
        jump_max: settings.jump_max,
        late: match settings.late {
            Late::DeadLetter => seriatim_sequencer::Late::DeadLetter,
            Late::Drop => seriatim_sequencer::Late::Drop,
            Late::Deliver => seriatim_sequencer::Late::Deliver,
        },
        ids: settings.ids,
        retry: settings.retry.clone(),
        failure_then: if settings.failed_parks { FailureThen::Park } else { FailureThen::DeadLetter },
        commits_max: settings.commits_max,
        ranges_max: settings.ranges_max,
        settle: settings.settle,
        // Noting when an entity was seen changes nothing of what becomes of its events.
        retain: settings.ids.is_multiple_of(2).then_some(Retain { after: 60_000, since: 0 }),
    }
}
