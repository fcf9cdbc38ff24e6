//! Answers operators on a running host: the directory says who there is, shards answer for what is in memory and do what is asked, the store tells the rest.
//! What concerns dead letters and the stream goes to [`Letters`].

pub(super) mod list;
mod plugins;
mod redrive;
pub(super) mod values;

use super::report::{self, Around};
use super::{
    Answer, BreakerRow, BulkDone, BulkEntry, BulkFilter, Control, DeadLetterPage, DeadLetterQuery, DeadLetterReport, Done, EntityName,
    EntityPage, EntityQuery, EntityReport, EntityState, Fault, HandlerRow, HistoryPage, HistoryQuery, Letters, PipelineRow, PluginDone,
    PluginRow, PurgeDone, Redrive, RedriveDone, StateReport, Word, fate,
};
use crate::directory::Directory;
use crate::event::EntityKey;
use crate::pipeline::Pipeline;
use crate::plugins::deployer::Deployer;
use crate::router;
use crate::shard::{Asked, Handle, Question, Refused, Shown, Spoken};
use crate::source::decode::{Decoder, check_entity};
use crate::store::{DurableProgress, Error, Loaded, Store};
use futures_util::stream::{self, StreamExt};
use list::Wanted;
use seriatim_sequencer::{Now, Sequencer};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::{Semaphore, oneshot};

/// Questions of all operators that are under way at once.
const ASKS_AT_ONCE: usize = 64;
/// Entities of one word for many that are asked at once.
const BULK_AT_ONCE: usize = 16;
/// Names of one word for many that are in memory at once.
const BULK_PAGE: usize = 1_000;
/// Names in the answer to a word for many.
const BULK_NAMED: usize = 1_000;
/// How long an entity may take to answer before the one who asks is told to come back.
const PATIENCE: Duration = Duration::from_secs(30);

/// What [`Live`] works with.
pub struct LiveParts {
    /// All pipelines, by index.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// All shards, by index.
    pub shards: Vec<Handle>,
    /// Who is in memory, and who waits.
    pub directory: Arc<Directory>,
    /// How far each pipeline is.
    pub progress: Vec<Arc<DurableProgress>>,
    /// Where records are.
    pub store: Arc<dyn Store>,
    /// Each pipeline's decoder; `None` for one that is not read any more.
    pub decoders: Vec<Option<Arc<Decoder>>>,
    /// Who brings components; `None` where nobody does (simulation).
    pub deployer: Option<Arc<Deployer>>,
    /// What the broker keeps.
    pub letters: Arc<dyn Letters>,
}

/// See the module.
pub struct Live {
    parts: LiveParts,
    asks: Semaphore,
}

impl Live {
    /// Answers for a host that runs.
    #[must_use]
    pub fn new(parts: LiveParts) -> Self {
        Self { parts, asks: Semaphore::new(ASKS_AT_ONCE) }
    }

    fn pipeline(&self, name: &str) -> Result<&Arc<Pipeline>, Fault> {
        let found = self.parts.pipelines.iter().find(|pipeline| &*pipeline.name == name);
        found.ok_or_else(|| Fault::Unknown(format!("this host has no pipeline {name:?}")))
    }

    fn key(&self, name: &EntityName) -> Result<(EntityKey, &Arc<Pipeline>), Fault> {
        let pipeline = self.pipeline(&name.pipeline)?;
        checked(&name.entity)?;
        Ok((EntityKey { pipeline: pipeline.name.clone(), entity: name.entity.as_str().into() }, pipeline))
    }

    fn deployer(&self) -> Result<&Deployer, Fault> {
        self.parts.deployer.as_deref().ok_or_else(|| Fault::Unavailable("this host takes no components".to_owned()))
    }

    fn highest(&self, pipeline: &Pipeline) -> u64 {
        self.parts.progress.get(pipeline.index).map_or(0, |progress| progress.get().highest)
    }

    /// Asks the entity's shard and waits for the answer.
    async fn ask<T>(&self, key: EntityKey, pipeline: usize, what: impl FnOnce(oneshot::Sender<T>) -> Asked) -> Result<T, Fault> {
        let stopping = || Fault::Unavailable("the host is stopping; ask again when it runs".to_owned());
        let entity = key.entity.clone();
        let shard = self.parts.shards.get(router::shard_of(&key, self.parts.shards.len())).ok_or_else(stopping)?;
        let (to, answer) = oneshot::channel();
        let asked = async {
            let _permit = self.asks.acquire().await.map_err(|_| stopping())?;
            shard.ask(Question { key, pipeline, what: what(to) }).await.map_err(|_| stopping())?;
            answer.await.map_err(|_| stopping())
        };
        let late = |_| {
            Fault::Unavailable(format!(
                "{entity} did not answer within {PATIENCE:?}: it may be done all the same, look with `entity show` before asking again"
            ))
        };
        tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
    }

    /// The record as it is durable. Off the async threads: it reads the disk.
    async fn load(&self, key: &EntityKey) -> Result<Result<Loaded, Error>, Fault> {
        let (store, key) = (self.parts.store.clone(), key.clone());
        let loaded = tokio::task::spawn_blocking(move || store.load(&key)).await;
        loaded.map_err(|error| Fault::Unavailable(format!("the store could not be read: {error}")))
    }

    async fn loaded(&self, key: &EntityKey) -> Result<Loaded, Fault> {
        let loaded = self.load(key).await?.map_err(unreadable)?;
        if loaded == Loaded::default() {
            return Err(unknown(key));
        }
        Ok(loaded)
    }

    /// How an entity that is not in memory stands, from its record.
    fn recorded(&self, key: &EntityKey, pipeline: &Pipeline, record: Option<Loaded>) -> Result<Shown, Fault> {
        let progress = self.parts.progress.get(pipeline.index).map(|progress| progress.get()).unwrap_or_default();
        let now = Now { host: host_millis(), stream: progress.stream_time };
        match record {
            Some(loaded) if loaded == Loaded::default() => Err(unknown(key)),
            Some(loaded) => Ok(shown(pipeline, loaded, progress.highest, now)),
            None => {
                let waiting = self.parts.store.load_waiting(key).unwrap_or_default();
                let sequencer = Sequencer::<()>::unreadable(pipeline.policy.clone(), waiting, progress.highest);
                Ok(of(&sequencer, 0, now))
            }
        }
    }

    async fn show(&self, name: EntityName) -> Result<EntityReport, Fault> {
        let (key, pipeline) = self.key(&name)?;
        let in_memory = self.ask(key.clone(), pipeline.index, Asked::Show).await?;
        // `None`: it is there and cannot be read.
        let mut record = match self.load(&key).await? {
            Ok(loaded) => Some(loaded),
            Err(Error::Record { .. }) => None,
            Err(error) => return Err(unreadable(error)),
        };
        let stamps = record.as_mut().map(|loaded| std::mem::take(&mut loaded.stamps)).unwrap_or_default();
        let (shown, live) = match in_memory {
            Some(shown) => (*shown, true),
            None => (self.recorded(&key, pipeline, record)?, false),
        };
        let handlers = handlers(pipeline);
        let around = Around { policy: &pipeline.policy, handlers: &handlers, stamps: &stamps, highest: self.highest(pipeline), live };
        Ok(report::report(name, &shown, around))
    }

    async fn say(&self, name: &EntityName, word: Word) -> Result<Done, Fault> {
        let (key, pipeline) = self.key(name)?;
        let place = |place: Option<super::Place>| place.map(core_place);
        let spoken = match word {
            Word::Park => Spoken::Park,
            Word::Resume { place: at } => Spoken::Resume(place(at)),
            Word::Skip { place: at } => Spoken::Skip(place(at)),
        };
        let answer = self.ask(key.clone(), pipeline.index, |to| Asked::Word(spoken, to)).await?;
        done(&key, answer)
    }

    async fn say_to_many(&self, pipeline: String, word: Word, filter: BulkFilter, dry_run: bool) -> Result<BulkDone, Fault> {
        let shared = self.pipeline(&pipeline)?;
        let handler = named_handler(shared, filter.handler.as_deref())?;
        let wanted = Wanted { filter: &filter, handler, parked: word != Word::Park && filter.entities.is_empty(), now: host_millis() };
        let mut all = BulkDone { matched: 0, changed: 0, entities: Vec::new() };
        let mut after: Option<Arc<str>> = None;
        for at in 0.. {
            let page: Vec<Arc<str>> = if filter.entities.is_empty() {
                list::matching(&self.parts.directory, &pipeline, &wanted, after.as_deref(), BULK_PAGE)
            } else {
                let named = filter.entities.iter().skip(at * BULK_PAGE).take(BULK_PAGE);
                named.map(|entity| entity.as_str().into()).collect()
            };
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.clone());
            let said = page.into_iter().map(|entity| self.say_to_one(&pipeline, word, entity, &wanted, dry_run));
            let mut answers = stream::iter(said).buffered(BULK_AT_ONCE);
            while let Some((entity, answer)) = answers.next().await {
                let Some(answer) = answer else { continue };
                all.matched += 1;
                all.changed += u64::from(matches!(answer, Ok(Done { changed: true })) && !dry_run);
                if all.entities.len() < BULK_NAMED {
                    all.entities.push(BulkEntry { entity: entity.to_string(), error: answer.err().map(|fault| fault.to_string()) });
                }
            }
        }
        Ok(all)
    }

    /// One of many; `None`: it was named, but does not match the rest of the filter.
    async fn say_to_one(
        &self,
        pipeline: &str,
        word: Word,
        entity: Arc<str>,
        wanted: &Wanted<'_>,
        dry_run: bool,
    ) -> (Arc<str>, Option<Result<Done, Fault>>) {
        let filter = wanted.filter;
        let narrowed =
            !filter.states.is_empty() || filter.reason.is_some() || filter.handler.is_some() || filter.older_than_seconds.is_some();
        let key = EntityKey { pipeline: pipeline.into(), entity: entity.clone() };
        if narrowed && !self.parts.directory.get(&key).is_some_and(|view| wanted.fits(&view)) {
            return (entity, None);
        }
        if dry_run {
            // A name nobody knows is told before anything is done.
            let known = match self.parts.directory.get(&key) {
                Some(_) => Ok(Done { changed: false }),
                None => match checked(&entity) {
                    Ok(()) => self.loaded(&key).await.map(|_| Done { changed: false }),
                    Err(fault) => Err(fault),
                },
            };
            return (entity, Some(known));
        }
        let name = EntityName { pipeline: pipeline.to_owned(), entity: entity.to_string() };
        let answer = self.say(&name, word).await;
        (entity, Some(answer))
    }

    fn rows(&self) -> Vec<PipelineRow> {
        let row = |pipeline: &Arc<Pipeline>| {
            let progress = self.parts.progress.get(pipeline.index).map(|progress| progress.get()).unwrap_or_default();
            let (mut live, mut waiting, mut parked) = (0, 0, 0);
            self.parts.directory.each(&pipeline.name, |_, view| {
                live += u64::from(view.live);
                match report::state(view.waiting.as_ref()) {
                    EntityState::Live => {}
                    EntityState::Waiting => waiting += 1,
                    EntityState::Parked => parked += 1,
                }
            });
            PipelineRow {
                name: pipeline.name.to_string(),
                stream: pipeline.stream.clone(),
                generation: pipeline.generation,
                watermark: progress.watermark,
                highest: progress.highest,
                lag: pipeline.control.unread().map(|unread| unread.saturating_add(progress.highest.saturating_sub(progress.watermark))),
                live,
                waiting,
                parked,
                stopped: pipeline.control.stopped(),
                breaker: pipeline.breaker.open().map(|(handler, open)| BreakerRow {
                    handler: handler.to_string(),
                    since: open.since,
                    next_probe: open.until,
                    error: open.error,
                }),
                handlers: handlers(pipeline),
            }
        };
        self.parts.pipelines.iter().map(row).collect()
    }
}

/// The index of the handler that a filter names.
fn named_handler(pipeline: &Pipeline, wanted: Option<&str>) -> Result<Option<usize>, Fault> {
    let Some(wanted) = wanted else { return Ok(None) };
    let found = pipeline.handlers.now().iter().position(|handler| &**handler.name() == wanted);
    found.map(Some).ok_or_else(|| Fault::Unknown(format!("pipeline {} has no handler {wanted:?}", pipeline.name)))
}

impl Control for Live {
    fn pipelines(&self) -> Answer<'_, Vec<PipelineRow>> {
        Box::pin(async { Ok(self.rows()) })
    }

    fn entities(&self, query: EntityQuery) -> Answer<'_, EntityPage> {
        Box::pin(async move {
            let pipeline = self.pipeline(&query.pipeline)?;
            let handler = named_handler(pipeline, query.handler.as_deref())?;
            list::page(&self.parts.directory, &query, handler, self.highest(pipeline), host_millis())
        })
    }

    fn entity(&self, name: EntityName) -> Answer<'_, EntityReport> {
        Box::pin(self.show(name))
    }

    fn history(&self, query: HistoryQuery) -> Answer<'_, HistoryPage> {
        Box::pin(async move {
            let (key, pipeline) = self.key(&query.name)?;
            let part = self.parts.letters.history(query).await?;
            let mut loaded = self.load(&key).await?.map_err(unreadable)?;
            rebase(pipeline, &mut loaded);
            let progress = self.parts.progress.get(pipeline.index).map(|progress| progress.get()).unwrap_or_default();
            Ok(fate::page(part, &record_view(&loaded, progress.watermark, progress.highest)))
        })
    }

    fn state(&self, name: EntityName, handler: Option<String>) -> Answer<'_, StateReport> {
        Box::pin(async move {
            let (key, pipeline) = self.key(&name)?;
            let loaded = self.loaded(&key).await?;
            let known = |wanted: &String| {
                pipeline.handlers.now().iter().any(|handler| **handler.name() == **wanted)
                    || loaded.state.iter().any(|(name, _)| name == wanted)
            };
            if let Some(wanted) = handler.as_ref().filter(|wanted| !known(wanted)) {
                return Err(Fault::Unknown(format!("pipeline {} has no handler {wanted:?}", name.pipeline)));
            }
            Ok(values::report(&loaded.state, handler.as_deref()))
        })
    }

    fn operate(&self, name: EntityName, word: Word) -> Answer<'_, Done> {
        Box::pin(async move { self.say(&name, word).await })
    }

    fn operate_many(&self, pipeline: String, word: Word, filter: BulkFilter, dry_run: bool) -> Answer<'_, BulkDone> {
        Box::pin(self.say_to_many(pipeline, word, filter, dry_run))
    }

    fn close_breaker(&self, pipeline: String, handler: String) -> Answer<'_, Done> {
        Box::pin(async move {
            let shared = self.pipeline(&pipeline)?;
            match shared.breaker.close(host_millis(), &handler) {
                Ok(changed) => Ok(Done { changed }),
                Err(None) => Err(Fault::Unknown(format!("pipeline {pipeline} has no handler {handler:?}"))),
                Err(Some(other)) => {
                    let detail = format!("the circuit breaker of {pipeline} is open because of its handler {other}, not of {handler}");
                    Err(Fault::Conflict { detail, head: None })
                }
            }
        })
    }

    fn plugins(&self) -> Answer<'_, Vec<PluginRow>> {
        Box::pin(async { Ok(plugins::rows(self.deployer()?)) })
    }

    fn load_plugin(&self, pipeline: String, handler: String, component: Vec<u8>, from: String) -> Answer<'_, PluginDone> {
        Box::pin(async move { plugins::load(self.deployer()?, plugins::name(&pipeline, &handler), component, from).await })
    }

    fn rollback_plugin(&self, pipeline: String, handler: String, to: Option<String>) -> Answer<'_, PluginDone> {
        Box::pin(async move { plugins::rollback(self.deployer()?, plugins::name(&pipeline, &handler), to).await })
    }

    fn confirm_plugin(&self, pipeline: String, handler: String) -> Answer<'_, Done> {
        Box::pin(async move { plugins::confirm(self.deployer()?, plugins::name(&pipeline, &handler)).await })
    }

    fn forget(&self, name: EntityName) -> Answer<'_, Done> {
        Box::pin(async move {
            let (key, pipeline) = self.key(&name)?;
            let answer = self.ask(key.clone(), pipeline.index, Asked::Forget).await?;
            done(&key, answer)
        })
    }

    fn dead_letters(&self, query: DeadLetterQuery) -> Answer<'_, DeadLetterPage> {
        self.parts.letters.list(query)
    }

    fn dead_letter(&self, stream_sequence: u64) -> Answer<'_, DeadLetterReport> {
        self.parts.letters.get(stream_sequence)
    }

    fn redrive(&self, stream_sequence: u64, redrive: Redrive) -> Answer<'_, RedriveDone> {
        Box::pin(self.redrive_one(stream_sequence, redrive))
    }

    fn purge(&self, query: DeadLetterQuery, dry_run: bool) -> Answer<'_, PurgeDone> {
        self.parts.letters.purge(query, dry_run)
    }
}

/// What a shard's answer to a word means.
fn done(key: &EntityKey, answer: Result<seriatim_sequencer::Answer, Refused>) -> Result<Done, Fault> {
    use seriatim_sequencer::Answer as Core;
    let entity = &key.entity;
    match answer.map_err(|refused| refusal(key, refused))? {
        Core::Done => Ok(Done { changed: true }),
        Core::Nothing => Ok(Done { changed: false }),
        Core::Elsewhere { head } => {
            let detail = format!("{entity} stands at event {} (epoch {})", head.sequence, head.epoch);
            Err(Fault::Conflict { detail, head: Some(report::place(head)) })
        }
        Core::Superseded => {
            let detail = format!("another word to {entity} came between, or it parked meanwhile; look with `entity show`");
            Err(Fault::Conflict { detail, head: None })
        }
        Core::Owes => {
            let detail = format!("{entity} waits, or has events that are not done: it can be forgotten when nothing is owed");
            Err(Fault::Conflict { detail, head: None })
        }
    }
}

/// Why a shard did not ask the entity.
fn refusal(key: &EntityKey, refused: Refused) -> Fault {
    let entity = &key.entity;
    let conflict = |detail| Fault::Conflict { detail, head: None };
    match refused {
        Refused::Unknown => unknown(key),
        Refused::Stopping => Fault::Unavailable("the host is stopping; ask again when it runs".to_owned()),
        Refused::Stopped(reason) => {
            Fault::Unavailable(format!("pipeline {} has stopped ({reason}); restart the host, then ask again", key.pipeline))
        }
        Refused::Undeliverable => {
            conflict(format!("an output of {entity} was refused for good: mend its stream, then resume; nothing can be skipped before"))
        }
        Refused::Unconfirmed(count) => {
            conflict(format!("{count} outputs or dead letters of {entity} are not confirmed: it can be forgotten when they have left"))
        }
        Refused::Unreadable => conflict(format!("the record of {entity} cannot be read: restore it from a copy of the store")),
    }
}

pub(super) fn unknown(key: &EntityKey) -> Fault {
    Fault::Unknown(format!("nothing is known of an entity {:?} in pipeline {}", &*key.entity, key.pipeline))
}

pub(super) fn unreadable(error: Error) -> Fault {
    match error {
        Error::Record { .. } => Fault::Conflict { detail: error.to_string(), head: None },
        other => Fault::Unavailable(other.to_string()),
    }
}

/// An entity's name must be one that an event could have.
pub(super) fn checked(entity: &str) -> Result<(), Fault> {
    check_entity(entity).map_err(|error| Fault::Bad(format!("the entity's name: {error}")))
}

fn handlers(pipeline: &Pipeline) -> Vec<HandlerRow> {
    let row = |handler: &crate::runtime::Handler| HandlerRow { name: handler.name().to_string(), digest: handler.digest().to_string() };
    pipeline.handlers.now().iter().map(row).collect()
}

const fn core_place(place: super::Place) -> seriatim_sequencer::Place {
    seriatim_sequencer::Place { epoch: place.epoch, sequence: place.sequence }
}

/// Stream sequences of older generations lost their meaning.
fn rebase(pipeline: &Pipeline, loaded: &mut Loaded) {
    if let Some(from) = pipeline.renumbered_since(loaded.generation) {
        loaded.snapshot.rebase(from);
    }
}

/// How an entity stands that was loaded from its record.
fn shown(pipeline: &Pipeline, mut loaded: Loaded, taken: u64, now: Now) -> Shown {
    rebase(pipeline, &mut loaded);
    let outbox = loaded.outbox.len();
    of(&Sequencer::<()>::restore(pipeline.policy.clone(), loaded.snapshot, taken), outbox, now)
}

/// How a sequencer without an actor stands.
pub(super) fn of(sequencer: &Sequencer<()>, outbox: usize, now: Now) -> Shown {
    Shown {
        status: sequencer.status(now),
        floor: sequencer.floor(),
        given_up: sequencer.given_up().to_vec(),
        bytes: 0,
        outbox,
        tries: 0,
        failure: None,
        decisions: Vec::new(),
        now,
    }
}

/// What a record says of its entity's past.
pub(super) fn record_view(loaded: &Loaded, watermark: u64, highest: u64) -> fate::RecordView {
    let redriven = loaded.snapshot.extras.redriven.iter().map(|(dead, _)| *dead).collect();
    fate::RecordView { redriven, ..fate::RecordView::of(&loaded.snapshot, watermark, highest) }
}

pub(super) fn host_millis() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests;
