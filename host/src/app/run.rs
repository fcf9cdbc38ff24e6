//! `seriatim run`: up, on, and down again.

use super::handlers::{self, Loaded};
use super::io::Io;
use super::start::{self, Ready};
use super::status::Status;
use super::stopped;
use super::{Error, Flags, connect_options, connection_name};
use crate::admin::{api, health};
use crate::config::{Component, Config};
use crate::control::{BrokerLetters, History, Live, LiveParts};
use crate::directory::Directory;
use crate::event::EntityKey;
use crate::inbox::Inbox;
use crate::nats::bucket::HeartbeatError;
use crate::nats::connect::{Connection, connect};
use crate::passes::{Ask, PassPort, PassStep, Taken};
use crate::pipeline::Pipeline;
use crate::plugins::deployer::{Deployer, Target};
use crate::plugins::shelf::Shelf;
use crate::plugins::{Name, follow};
use crate::router;
use crate::runtime::{Engine, EngineConfig, Isolation};
use crate::shard::{self, Bounds, Completions, Handle, Mail, Owing, Waking};
use crate::sink::dead_letter_stream::{self, DeadLetterOptions};
use crate::sink::lifecycle;
use crate::sink::lookup::Lookup;
use crate::sink::publisher::{PublishSink, Publisher};
use crate::sink::search::{SearchSink, Searcher};
use crate::source::catchup_service::{self, Service};
use crate::source::decode::Decoder;
use crate::source::reader::{self, Reader, ReaderConfig};
use crate::source::retention;
use crate::store::{Committer, CompletionSink, DurableProgress, Embedded, Options, Poison, Store};
use crate::sweep::Sweep;
use crate::telemetry::lifecycle::{Queue, Received};
use crate::telemetry::{events, metrics};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Batches that wait between a reader and its router.
const BATCHES_MAX: usize = 2;
/// Entities that owe something which are looked at in one page.
const OWING_PAGE: usize = 512;
/// Changes in flight per shard before it takes no more mail.
const CHANGES_MAX: usize = 8192;
/// What a graceful stop gives lifecycle events to leave.
const NEWS_DRAIN: Duration = Duration::from_secs(2);
/// How often the bucket hears from us.
const HEARTBEAT: Duration = Duration::from_secs(5);

/// Runs the host until a stop is asked for (`Ok`) or it cannot go on.
///
/// # Errors
/// See [`Error`].
pub async fn run(config: Config, flags: Flags, stop: impl Future<Output = ()> + Send) -> Result<(), Error> {
    let poison = Poison::new();
    let recorded = metrics::install().map_err(|error| Error::Poisoned(error.to_string()))?;
    let status = Arc::new(Status::new(recorded, poison.clone()));
    let address = config.telemetry.listen.value;
    let listener = TcpListener::bind(address).await.map_err(|error| Error::Listen { address, error })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(address), "telemetry listens");
    let (down, downed) = oneshot::channel::<()>();
    let server = tokio::spawn(health::serve(listener, status.clone(), async {
        drop(downed.await);
    }));
    let result = {
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            result = up_and_on(&config, &flags, &status, &poison, &mut stop) => result,
            reason = poison.wait() => Err(Error::Poisoned(reason)),
        }
    };
    drop(down);
    if let Err(error) = server.await {
        tracing::debug!("the telemetry server ended: {error}");
    }
    result
}

async fn up_and_on(
    config: &Config,
    flags: &Flags,
    status: &Arc<Status>,
    poison: &Poison,
    stop: &mut (impl Future<Output = ()> + Unpin),
) -> Result<(), Error> {
    let starting = Host::start(config, flags, status, poison);
    let host = tokio::select! {
        host = starting => host?,
        () = &mut *stop => {
            tracing::info!("stopped while starting");
            return Ok(());
        }
    };
    tracing::info!(pipelines = host.pipelines.len(), shards = host.shards.len(), "running");
    stop.await;
    status.phase(Some("stopping"));
    tracing::info!(within = ?config.run.drain, "stopping: no more reading, finishing what is in flight");
    host.down(config.run.drain).await
}

/// Everything that runs.
struct Host {
    pipelines: Vec<Arc<Pipeline>>,
    shards: Vec<Handle>,
    threads: Vec<std::thread::JoinHandle<()>>,
    /// Where the connections are.
    io: Threads,
    /// Readers, routers and catch-ups: aborted first.
    reading: JoinSet<()>,
    /// Publisher, searcher, streams, heartbeats: aborted last.
    serving: JoinSet<()>,
    committer: Committer,
    directory: Arc<Directory>,
    /// Where lifecycle events go.
    lifecycle: Queue,
    /// Ends the admin API when it is dropped.
    admin: Option<oneshot::Sender<()>>,
}

impl Host {
    async fn start(config: &Config, flags: &Flags, status: &Arc<Status>, poison: &Poison) -> Result<Self, Error> {
        let store = Arc::new(open_store(config).await?);
        status.phase(Some("connecting to the broker"));
        let threads = Threads { reader: Io::start("nats-reader")?, publisher: Io::start("nats-publisher")? };
        let connection = threads.reader.connect(connect_options(&config.nats, &connection_name(config, "reader"))).await?;
        let publishing = threads.publisher.connect(connect_options(&config.nats, &connection_name(config, "publisher"))).await?;
        let max_payload = publishing.max_payload();
        let (lifecycle, received) = Queue::new(config.run.lifecycle_queue);
        let telling = match received {
            Some(received) => Some((connect(connect_options(&config.nats, &connection_name(config, "lifecycle"))).await?, received)),
            None => None,
        };
        status.phase(Some("loading handlers"));
        let engine = engine(config, true)?;
        tracing::info!(allocator = engine.allocator(), "handlers run in the WebAssembly engine");
        let Loaded { handlers, shelf } = handlers::start(config, &engine, max_payload, &connection).await?;
        for (pipeline, handlers) in config.pipelines.iter().zip(&handlers) {
            events::pipeline_known(&pipeline.name.value, handlers.iter().map(|(handler, _)| &**handler.name()));
            for (handler, _) in handlers {
                tracing::info!(pipeline = pipeline.name.value, handler = %handler.name(), component = %handler.digest(), isolation = handler.isolation().name(), "handler loaded");
                if handler.isolation() == Isolation::Shared {
                    tracing::warn!(pipeline = pipeline.name.value, handler = %handler.name(), "the handler runs shared: what it keeps in its memory for one entity, another one's events can meet");
                }
            }
        }
        status.phase(Some("checking streams"));
        let dead = DeadLetterOptions { max_bytes: config.dead_letters.max_bytes, max_age: config.dead_letters.max_age, replicas: 1 };
        let checked = async {
            let dead = dead_letter_stream::ensure_stream(&publishing, &dead).await?;
            Ok((dead, start::pipelines(config, flags, &store, &connection, handlers, &lifecycle).await?))
        };
        let (dead, ready) = checked.await.map_err(|error: Error| match publishing.denied().or_else(|| connection.denied()) {
            Some(denied) => Error::Denied { error: Box::new(error), denied },
            None => error,
        })?;
        status.phase(Some("starting"));
        let lookup = Lookup::new(publishing.clone());
        // So that the first marks and the broker's clock are known before anything is committed.
        if let Err(error) = lookup.ask(&dead.name).await {
            tracing::debug!("the stream of dead letters was not asked for its facts: {error}");
        }
        let deploying = (shelf, engine);
        Self::wire(
            config,
            status,
            poison,
            Wire { threads, deploying, store, connection, publishing, max_payload, lookup, ready, lifecycle, telling },
        )
        .await
    }

    async fn wire(config: &Config, status: &Arc<Status>, poison: &Poison, wire: Wire) -> Result<Self, Error> {
        let Wire { threads: io, deploying, store, connection, publishing, max_payload, lookup, ready, lifecycle, telling } = wire;
        let count = config.run.shards.max(1);
        let completions: Vec<_> = (0..count).map(|_| Arc::new(Completions::default())).collect();
        let pipelines: Vec<_> = ready.iter().map(|ready| ready.pipeline.clone()).collect();
        let progress = ready.iter().map(|ready| (ready.pipeline.name.clone(), ready.record.progress)).collect();
        let sinks = completions.iter().map(|completions| completions.clone() as Arc<dyn CompletionSink>).collect();
        let committer = Committer::start(store.clone(), progress, sinks, CHANGES_MAX * count * 2, poison.clone())?;
        let durable: Vec<Arc<DurableProgress>> = (0..pipelines.len()).filter_map(|index| committer.progress(index)).collect();
        let mut serving = JoinSet::new();
        let sinks = completions.iter().map(|completions| completions.clone() as Arc<dyn PublishSink>).collect();
        let (publisher, task) = Publisher::new(publishing.clone(), lookup.streams().clone(), sinks, config.run.publish_window);
        guard_on(io.publisher.handle(), &mut serving, poison, "publisher", task.run());
        guard_on(io.publisher.handle(), &mut serving, poison, "stream look-up", lookup.clone().run());
        let searcher = Searcher::default();
        let sinks = completions.iter().map(|completions| completions.clone() as Arc<dyn SearchSink>).collect();
        guard_on(io.publisher.handle(), &mut serving, poison, "searcher", searcher.clone().run(publishing.clone(), lookup.clone(), sinks));
        let directory = Arc::new(Directory::default());
        if let Some((connection, received)) = telling {
            let generations = pipelines.iter().map(|pipeline| (pipeline.name.clone(), pipeline.generation)).collect();
            let publisher = lifecycle::Publisher::new(connection, received, directory.clone(), generations);
            guard(&mut serving, poison, "lifecycle events", publisher.run());
        }
        let catch_ups: Vec<Arc<Inbox<Ask>>> = pipelines.iter().map(|_| Arc::default()).collect();
        let (mut shards, mut threads) = (Vec::new(), Vec::new());
        for (index, completions) in completions.into_iter().enumerate() {
            let parts = shard::Parts {
                index,
                pipelines: pipelines.clone(),
                store: store.clone(),
                committer: committer.handle(),
                publisher: publisher.clone(),
                max_payload,
                calls: Arc::new(shard::Instances),
                streams: lookup.streams().clone(),
                searcher: searcher.clone(),
                catch_ups: catch_ups.clone(),
                completions,
                directory: directory.clone(),
                poison: poison.clone(),
                progress: durable.clone(),
                bounds: Bounds {
                    calls_max: config.run.calls_max,
                    held_bytes: (config.run.held_bytes / count) as u64,
                    entities_max: (config.run.entities_max / count).max(1),
                    changes_max: CHANGES_MAX,
                },
                at_start: ready.iter().map(|ready| (ready.record.progress.stream_time, ready.record.progress.watermark)).collect(),
            };
            let (handle, thread) = shard::start(parts).map_err(Error::Thread)?;
            shards.push(handle);
            threads.push(thread);
        }
        let mut host = Self {
            pipelines,
            shards,
            threads,
            io,
            reading: JoinSet::new(),
            serving,
            committer,
            directory: directory.clone(),
            lifecycle,
            admin: None,
        };
        let mut histories = Vec::new();
        for (ready, durable) in ready.into_iter().zip(durable.iter().cloned()) {
            host.wake(&*store, &ready.pipeline).await?;
            let asks = catch_ups.get(ready.pipeline.index).cloned().unwrap_or_default();
            if let Some(retain) = ready.pipeline.policy.retain {
                let sweep = Sweep { pipeline: ready.pipeline.clone(), retain, store: store.clone(), shards: host.shards.clone() };
                guard(&mut host.reading, poison, "sweep", sweep.run());
            }
            histories.push(host.read(config, ready, durable, &connection, asks, poison));
        }
        let deployer = host.deploy(config, deploying, max_payload, &connection, poison);
        host.listen(config, store, durable, histories, deployer, poison).await?;
        status.running(host.pipelines.clone(), directory, vec![connection, publishing]);
        Ok(host)
    }

    /// Wakes those that owe something.
    async fn wake(&self, store: &dyn Store, pipeline: &Arc<Pipeline>) -> Result<(), Error> {
        let mut waking = Waking::default();
        while let Some(owing) = waking.page(store, pipeline, OWING_PAGE)? {
            self.tell_owing(pipeline, owing).await?;
        }
        Ok(())
    }

    async fn tell_owing(&self, pipeline: &Pipeline, owing: Vec<Owing>) -> Result<(), Error> {
        let mut parts: Vec<Vec<_>> = self.shards.iter().map(|_| Vec::new()).collect();
        for owing in owing {
            if let Some(part) = parts.get_mut(router::shard_of(&owing.key, self.shards.len())) {
                part.push(owing);
            }
        }
        for (shard, owed) in self.shards.iter().zip(parts) {
            if !owed.is_empty() && shard.send(Mail::Wake { pipeline: pipeline.index, owed }).await.is_err() {
                return Err(Error::Poisoned("a shard ended while starting".to_owned()));
            }
        }
        Ok(())
    }

    fn read(
        &mut self,
        config: &Config,
        ready: Ready,
        durable: Arc<DurableProgress>,
        connection: &Connection,
        asks: Arc<Inbox<Ask>>,
        poison: &Poison,
    ) -> Option<History> {
        let Ready { pipeline, record, mut claim } = ready;
        let settings = config.pipelines.get(pipeline.index)?;
        let subjects: Vec<_> = settings.subjects.iter().map(|subject| subject.value.clone()).collect();
        let decoder = Arc::new(Decoder::new(pipeline.name.clone(), pipeline.stream.as_str().into(), settings.event.sources()));
        let known = start::known_stream(&record);
        let reader = ReaderConfig {
            pipeline: pipeline.name.clone(),
            subjects: subjects.clone(),
            known: known.clone(),
            start_at: record.progress.watermark.saturating_add(1),
            stream_time: record.progress.stream_time,
            prefetch_messages: config.run.prefetch_messages as u64,
            prefetch_bytes: config.run.prefetch_bytes as u64,
            heartbeat: reader::heartbeat_for(settings.order.gap.wait),
            lifecycle: (pipeline.generation, pipeline.lifecycle.clone()),
        };
        if config.run.retention_near_percent > 0 {
            let watch = retention::Watch {
                pipeline: pipeline.clone(),
                subjects: subjects.clone(),
                connection: connection.clone(),
                directory: self.directory.clone(),
                progress: durable.clone(),
                percent: config.run.retention_near_percent,
            };
            guard(&mut self.serving, poison, "retention watch", watch.run());
        }
        let (batches, received) = mpsc::channel(BATCHES_MAX);
        let (stopping, reads) = (pipeline.clone(), Reader::new(connection.clone(), reader).run(batches));
        guard_on(self.io.reader.handle(), &mut self.reading, poison, "reader", async move {
            if let Err(error) = reads.await {
                events::pipeline_stopped(&stopping.name, &error.to_string());
                stopping.control.stop(error.to_string());
            }
        });
        let (routes, poisoned) =
            (router::run(pipeline.clone(), decoder.clone(), received, self.shards.clone(), self.committer.handle()), poison.clone());
        guard_on(self.io.reader.handle(), &mut self.reading, poison, "router", async move {
            if let Err(error) = routes.await {
                poisoned.set(error.to_string());
            }
        });
        let source = stopped::history_source(settings, decoder.clone());
        let token = source.token;
        let (stream, progress) = (known.clone(), durable.clone());
        let history = History { source, known: Box::new(move || stream.as_of(progress.get().highest, progress.get().highest_time)) };
        let service = Service {
            pipeline: pipeline.name.clone(),
            subjects,
            token,
            connection: connection.clone(),
            known,
            progress: durable.clone(),
            decoder,
            port: Arc::new(Port(self.shards.clone())),
            max: config.run.catch_ups_max,
        };
        guard_on(
            self.io.reader.handle(),
            &mut self.reading,
            poison,
            "catch-up service",
            catchup_service::run(service, asks, poison.clone()),
        );
        let superseded = poison.clone();
        guard(&mut self.serving, poison, "heartbeat", async move {
            let mut record = record;
            loop {
                tokio::time::sleep(HEARTBEAT).await;
                record.progress = durable.get();
                match claim.heartbeat(&start::claim_facts(&record)).await {
                    Ok(()) => {}
                    Err(error @ HeartbeatError::Superseded { .. }) => {
                        superseded.set(error.to_string());
                        return;
                    }
                    Err(error) => tracing::debug!(pipeline = %pipeline.name, "the broker did not take our heartbeat: {error}"),
                }
            }
        });
        Some(history)
    }

    /// Lets components be replaced: by an operator, or because what the config names has changed.
    fn deploy(
        &mut self,
        config: &Config,
        (shelf, engine): (Arc<Shelf>, Engine),
        payload_max: usize,
        connection: &Connection,
        poison: &Poison,
    ) -> Arc<Deployer> {
        let mut targets = Vec::new();
        let mut sources = Vec::new();
        for (pipeline, settings) in self.pipelines.iter().zip(&config.pipelines) {
            for (place, handler) in settings.handlers.iter().enumerate() {
                let name = Name { pipeline: pipeline.name.clone(), handler: handler.name.value.as_str().into() };
                sources.push((name.clone(), handler.component.value.clone()));
                targets.push(Target { name, place, pipeline: pipeline.clone(), config: handlers::handler_config(handler, payload_max) });
            }
        }
        let deployer = Arc::new(Deployer::new(shelf, engine, handlers::compiler(config), targets));
        for (name, source) in sources {
            match source {
                Component::File(path) => guard(&mut self.serving, poison, "component file", follow::file(deployer.clone(), name, path)),
                Component::Object(object) => {
                    guard(
                        &mut self.serving,
                        poison,
                        "component object",
                        follow::object(deployer.clone(), name, object, connection.clone()),
                    );
                }
            }
        }
        deployer
    }

    /// Answers operators, on a connection of its own: what they ask must not stand before what is read or published.
    async fn listen(
        &mut self,
        config: &Config,
        store: Arc<Embedded>,
        durable: Vec<Arc<DurableProgress>>,
        histories: Vec<Option<History>>,
        deployer: Arc<Deployer>,
        poison: &Poison,
    ) -> Result<(), Error> {
        let address = config.admin.listen.value;
        let listener = TcpListener::bind(address).await.map_err(|error| Error::ListenAdmin { address, error })?;
        let settings = api::Settings::load(&config.admin)?;
        tracing::info!(address = %listener.local_addr().unwrap_or(address), "admin listens");
        let connection = connect(connect_options(&config.nats, &connection_name(config, "admin"))).await?;
        let decoders = histories.iter().map(|history| history.as_ref().map(|history| history.source.decoder.clone())).collect();
        let histories = histories.into_iter().flatten().map(|history| (history.source.pipeline.to_string(), history)).collect();
        let control = Live::new(LiveParts {
            pipelines: self.pipelines.clone(),
            shards: self.shards.clone(),
            directory: self.directory.clone(),
            progress: durable,
            store,
            decoders,
            deployer: Some(deployer),
            letters: Arc::new(BrokerLetters::new(connection, histories)),
        });
        let (stop, stopped) = oneshot::channel::<()>();
        self.admin = Some(stop);
        guard(&mut self.serving, poison, "admin API", async move {
            let served = api::serve(listener, Arc::new(control), settings, async {
                drop(stopped.await);
            });
            if let Err(error) = served.await {
                tracing::error!("{error}; operators cannot ask this host until it is restarted");
            }
        });
        Ok(())
    }

    /// Stop reading, finish what is in flight, commit, publish, write confirmations. What the time does not allow stays in the outbox.
    async fn down(mut self, drain: Duration) -> Result<(), Error> {
        self.reading.shutdown().await;
        drop(self.admin.take());
        let drained = async {
            let mut answers = Vec::new();
            for shard in &self.shards {
                let (answer, answered) = oneshot::channel();
                if shard.send(Mail::Drain(answer)).await.is_ok() {
                    answers.push(answered);
                }
            }
            for answered in answers {
                if answered.await.is_err() {
                    tracing::debug!("a shard ended before it had drained");
                }
            }
        };
        if tokio::time::timeout(drain, drained).await.is_err() {
            tracing::warn!(run.drain = ?drain, "not everything came to its end in time; what was committed and not confirmed stays in the outbox");
        }
        let flushed = self.committer.handle().flush().await;
        if tokio::time::timeout(NEWS_DRAIN, self.lifecycle.idle()).await.is_err() {
            tracing::info!("not every lifecycle event could be sent; the next start tells what waits then");
        }
        self.serving.shutdown().await;
        self.shards.clear();
        let (committer, threads) = (self.committer, self.threads);
        let stopped = tokio::task::spawn_blocking(move || {
            let stopped = committer.stop();
            drop(threads);
            stopped
        });
        flushed?;
        match stopped.await {
            Ok(stopped) => stopped?,
            Err(error) => tracing::warn!("the committer's end was not seen: {error}"),
        }
        tracing::info!("stopped");
        Ok(())
    }
}

/// Runs a task whose panic poisons the host (design §3.6): a host that limps on without its reader would look ready and do nothing.
fn guard(tasks: &mut JoinSet<()>, poison: &Poison, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
    tasks.spawn(poison.clone().guards(name, task));
}

/// The same on another runtime.
fn guard_on(
    on: &tokio::runtime::Handle,
    tasks: &mut JoinSet<()>,
    poison: &Poison,
    name: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    tasks.spawn_on(poison.clone().guards(name, task), on);
}

/// Connections with threads of their own: what the other one does stands before neither reading nor publishing.
struct Threads {
    reader: Io,
    publisher: Io,
}

struct Wire {
    threads: Threads,
    store: Arc<Embedded>,
    connection: Connection,
    publishing: Connection,
    max_payload: usize,
    lookup: Lookup,
    ready: Vec<Ready>,
    lifecycle: Queue,
    telling: Option<(Connection, Received)>,
    deploying: (Arc<Shelf>, Engine),
}

async fn open_store(config: &Config) -> Result<Embedded, Error> {
    let options = Options { cache_bytes: config.store.cache as u64, ..Options::new(config.store.path.value.clone()) };
    let opened = tokio::task::block_in_place(|| Embedded::open(&options))?;
    tracing::info!(path = %opened.path().display(), store = opened.identity().store_id, run = opened.identity().run, "store opened");
    Ok(opened)
}

/// The engine for this config: calls set aside on every shard, and the largest memory any handler may ask for.
pub(super) fn engine(config: &Config, cache: bool) -> Result<Engine, crate::runtime::Error> {
    let handlers = config.pipelines.iter().flat_map(|pipeline| &pipeline.handlers);
    let memory_max = handlers.map(|handler| handler.memory_max).max().unwrap_or_default();
    let count = config.pipelines.iter().map(|pipeline| pipeline.handlers.len()).sum::<usize>().max(1);
    let calls_max = config.run.shards.max(1) * (config.run.calls_max + 1) * count;
    let cache_dir = cache.then(|| config.store.path.value.join("compiled"));
    Engine::new(&EngineConfig { calls_max, cache_dir, handler_memory_max: memory_max })
}

struct Port(Vec<Handle>);

impl PassPort for Port {
    fn step(&self, shard: usize, key: EntityKey, number: u64, step: PassStep) -> Taken {
        let handle = self.0.get(shard).cloned();
        Box::pin(async move {
            match handle {
                Some(handle) => handle.send(Mail::Pass { key, number, step }).await.is_ok(),
                None => false,
            }
        })
    }
}
