//! The store on this host's own disk: fjall (a log-structured tree), one database, one write batch and one fdatasync per commit.
//!
//! Keyspaces: `records` (everything about entities but their outboxes), `outbox`, `owing`, `meta`. A commit writes only what changed; nothing of
//! an entity is kept in memory between calls but the engine's bounded caches. The only file that knows the engine.

use super::folder::Folder;
use super::keys::{self, About, Part, Prefix};
use super::record::{Dated, Fault, RingSlot, StoreRecord, Value};
use super::types::{Batch, Change, Identity, Loaded, OutboxEntry, Owed, PipelineRecord, Progress};
use super::{Error, Store};
use crate::event::EntityKey;
use bytes::Bytes;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot as View};
use seriatim_sequencer::{Extras, Snapshot, Waiting};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Threads of the engine for flushing and compacting; they do not serve reads or commits.
const WORKERS: usize = 2;
const KEYSPACES: [(&str, u64); 4] = [("records", 8 << 20), ("outbox", 8 << 20), ("owing", 4 << 20), ("meta", 2 << 20)];

/// How to open it.
#[derive(Clone, Debug)]
pub struct Options {
    /// `store.path`
    pub path: PathBuf,
    /// Bytes of blocks the engine keeps in memory.
    pub cache_bytes: u64,
}

impl Options {
    /// The defaults for this folder.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), cache_bytes: 64 << 20 }
    }
}

/// See the module.
pub struct Embedded {
    // Dropped in this order: the engine lets go of its files before the folder's lock is released.
    engine: Engine,
    identity: Mutex<StoreRecord>,
    broken: OnceLock<String>,
    folder: Folder,
}

struct Engine {
    records: Keyspace,
    outbox: Keyspace,
    owing: Keyspace,
    meta: Keyspace,
    database: Database,
}

impl Engine {
    fn open(path: &Path, cache_bytes: u64, create: bool) -> Result<Self, EngineFault> {
        let database = Database::builder(path).cache_size(cache_bytes).worker_threads(WORKERS).manual_journal_persist(true).open()?;
        let keyspace = |at: usize| {
            let (name, memtable_bytes) = KEYSPACES.get(at).copied().unwrap_or(("meta", 4 << 20));
            if !create && !database.keyspace_exists(name) {
                return Err(EngineFault::Missing(name));
            }
            Ok(database.keyspace(name, || KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes))?)
        };
        Ok(Self { records: keyspace(0)?, outbox: keyspace(1)?, owing: keyspace(2)?, meta: keyspace(3)?, database })
    }
}

enum EngineFault {
    Missing(&'static str),
    Engine(fjall::Error),
}

impl From<fjall::Error> for EngineFault {
    fn from(error: fjall::Error) -> Self {
        Self::Engine(error)
    }
}

impl Embedded {
    /// Opens the folder, or makes a new store in it; what a crash left is recovered on the way.
    ///
    /// # Errors
    /// The folder is in use, foreign, damaged, of a newer format, or the disk does not answer.
    pub fn open(options: &Options) -> Result<Self, Error> {
        let folder = Folder::open(&options.path)?;
        folder.make_data(|path| make(&folder, path))?;
        let engine = Engine::open(&folder.data(), options.cache_bytes, false).map_err(|error| open_fault(&folder, error))?;
        let bytes = engine.meta.get(keys::STORE).map_err(|error| engine_fault("read the store's identity", &error))?;
        let bytes = bytes.ok_or_else(|| folder.damaged("it does not say which store it is"))?;
        let identity = StoreRecord::decode(&bytes).map_err(|what| folder.damaged(what))?;
        Ok(Self { engine, identity: Mutex::new(identity), broken: OnceLock::new(), folder })
    }

    /// The folder it lives in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, writes: Writes) -> Result<(), Error> {
        if let Some(reason) = self.broken.get() {
            return Err(Error::Poisoned { reason: reason.clone() });
        }
        let mut batch = self.engine.database.batch().durability(Some(PersistMode::SyncData));
        for (space, key, value) in writes.settled() {
            let keyspace = match space {
                Space::Records => &self.engine.records,
                Space::Outbox => &self.engine.outbox,
                Space::Owing => &self.engine.owing,
                Space::Meta => &self.engine.meta,
            };
            match value {
                Some(value) => batch.insert(keyspace, key, value),
                None => batch.remove(keyspace, key),
            }
        }
        batch.commit().map_err(|error| {
            // Whether it is on the disk is not known: only a restart, which reads what is there, may go on.
            let error = engine_fault("commit", &error);
            self.broken.set(error.to_string()).ok();
            error
        })
    }

    /// All reads go through one: a keyspace read directly shows half a batch while it is being applied.
    fn view(&self) -> View {
        self.engine.database.snapshot()
    }

    fn read_waiting(&self, view: &View, prefix: &Prefix, key: &EntityKey) -> Result<Option<Dated<Waiting>>, Error> {
        let bytes = view.get(&self.engine.records, prefix.waiting()).map_err(|error| read_fault(key, &error))?;
        bytes.map(|bytes| Dated::decode(&bytes)).transpose().map_err(|what| unreadable(key, what))
    }

    /// Where each generation of the pipeline began; empty when that cannot be read.
    fn generations(&self, view: &View, pipeline: &str) -> Vec<(u64, u64)> {
        let bytes = keys::pipeline(pipeline, About::Record).ok().and_then(|key| view.get(&self.engine.meta, key).ok().flatten());
        bytes.and_then(|bytes| PipelineRecord::decode(&bytes).ok()).map_or_else(Vec::new, |record| record.generations)
    }

    fn owed(&self, view: &View, key: &EntityKey) -> Result<Owed, Error> {
        let prefix = Prefix::new(key)?;
        // Unreadable: it is listed, so that it is loaded, so that it parks and is seen.
        let waiting = match self.read_waiting(view, &prefix, key) {
            Err(Error::Record { .. }) => None,
            other => other?,
        };
        let outbox = view.prefix(&self.engine.outbox, prefix.bytes()).next().is_some();
        Ok(Owed { entity: key.entity.to_string(), alarm: waiting.and_then(|waiting| waiting.value.alarm), outbox })
    }
}

impl Store for Embedded {
    fn load(&self, key: &EntityKey) -> Result<Loaded, Error> {
        let prefix = Prefix::new(key)?;
        let view = self.view();
        let mut parts = Parts::default();
        for guard in view.prefix(&self.engine.records, prefix.bytes()) {
            let (at, value) = guard.into_inner().map_err(|error| read_fault(key, &error))?;
            parts.add(&prefix, &at, &value).map_err(|what| unreadable(key, what))?;
        }
        let mut loaded = parts.finish(|| self.generations(&view, &key.pipeline));
        for guard in view.prefix(&self.engine.outbox, prefix.bytes()) {
            let (at, value) = guard.into_inner().map_err(|error| read_fault(key, &error))?;
            let entry = OutboxEntry::decode(&value).map_err(|what| unreadable(key, what))?;
            if prefix.number(&at) != Some(entry.number) {
                return Err(unreadable(key, format!("its outbox entry {} lies in another one's place", entry.number)));
            }
            loaded.outbox.push(entry);
        }
        Ok(loaded)
    }

    fn load_waiting(&self, key: &EntityKey) -> Result<Option<Waiting>, Error> {
        Ok(self.read_waiting(&self.view(), &Prefix::new(key)?, key)?.map(|waiting| waiting.value))
    }

    fn commit(&self, batch: &Batch) -> Result<(), Error> {
        let mut writes = Writes::default();
        for change in &batch.changes {
            writes.change(change)?;
        }
        for (name, record) in &batch.records {
            writes.put(Space::Meta, keys::pipeline(name, About::Record)?, record.encode());
            writes.put(Space::Meta, keys::pipeline(name, About::Progress)?, record.progress.encode());
        }
        for (name, progress) in &batch.pipelines {
            writes.put(Space::Meta, keys::pipeline(name, About::Progress)?, progress.encode());
        }
        self.write(writes)
    }

    fn owing(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<Owed>, Error> {
        let prefix = keys::owing(pipeline, "")?;
        let start = match after {
            Some(entity) => Bound::Excluded(keys::owing(pipeline, entity)?),
            None => Bound::Included(prefix.clone()),
        };
        let name: std::sync::Arc<str> = pipeline.into();
        let view = self.view();
        let mut owed = Vec::new();
        for guard in view.range::<Vec<u8>, _>(&self.engine.owing, (start, Bound::Unbounded)).take(max) {
            let at = guard.key().map_err(|error| engine_fault("read the index of entities that owe something", &error))?;
            let Some(entity) = at.strip_prefix(prefix.as_slice()) else { break };
            let entity = std::str::from_utf8(entity)
                .map_err(|error| self.folder.damaged(format!("an entity's name in the owing index is not text: {error}")))?;
            owed.push(self.owed(&view, &EntityKey { pipeline: name.clone(), entity: entity.into() })?);
        }
        Ok(owed)
    }

    fn pipelines(&self) -> Result<Vec<(String, PipelineRecord)>, Error> {
        let mut found: BTreeMap<String, (Option<PipelineRecord>, Option<Progress>)> = BTreeMap::new();
        for guard in self.view().prefix(&self.engine.meta, keys::PIPELINES) {
            let (at, value) = guard.into_inner().map_err(|error| engine_fault("read what is known of the pipelines", &error))?;
            let (name, about) = keys::pipeline_of(&at).ok_or_else(|| self.folder.damaged("it has a pipeline with an unknown kind of record"))?;
            let fault = |what: Fault| Error::record(name, "", what);
            let entry = found.entry(name.into()).or_default();
            match about {
                About::Record => entry.0 = Some(PipelineRecord::decode(&value).map_err(fault)?),
                About::Progress => entry.1 = Some(Progress::decode(&value).map_err(fault)?),
            }
        }
        let complete = |(name, (record, progress)): (String, (Option<PipelineRecord>, Option<Progress>))| match (record, progress) {
            (Some(record), Some(progress)) => Ok((name, PipelineRecord { progress, ..record })),
            (None, _) => Err(Error::record(&name, "", "its meaning is missing")),
            (_, None) => Err(Error::record(&name, "", "its watermark is missing")),
        };
        found.into_iter().map(complete).collect()
    }

    fn identity(&self) -> Identity {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        Identity { store_id: identity.store_id.clone(), run: identity.run }
    }

    fn raise_run(&self) -> Result<u64, Error> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = StoreRecord { run: identity.run + 1, ..identity.clone() };
        let mut writes = Writes::default();
        writes.put(Space::Meta, keys::STORE.to_vec(), raised.encode());
        self.write(writes)?;
        *identity = raised;
        Ok(identity.run)
    }
}

/// Makes a new, complete store in an absent folder and closes it.
fn make(folder: &Folder, path: &Path) -> Result<(), Error> {
    let engine = Engine::open(path, 1 << 20, true).map_err(|error| open_fault(folder, error))?;
    let created = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX));
    let identity = StoreRecord { store_id: nuid::next().to_string(), run: 0, created };
    let mut batch = engine.database.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(&engine.meta, keys::STORE, identity.encode());
    batch.commit().map_err(|error| engine_fault("write the new store", &error))
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Space {
    Records,
    Outbox,
    Owing,
    Meta,
}

/// The writes of one commit, in the order in which they were made.
#[derive(Default)]
struct Writes {
    all: Vec<(Space, Vec<u8>, Option<Vec<u8>>)>,
}

impl Writes {
    fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.all.push((space, key, Some(value)));
    }

    fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.all.push((space, key, None));
    }

    /// The last write to each key, sorted by key. Within one engine batch all writes are of one age, so two to one key must not meet there;
    /// and neighbours written one after the other cost the engine's sorted memory half of what they cost in any order.
    fn settled(mut self) -> Vec<(Space, Vec<u8>, Option<Vec<u8>>)> {
        self.all.reverse();
        self.all.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        self.all.dedup_by(|later, first| (later.0, &later.1) == (first.0, &first.1));
        self.all
    }

    fn change(&mut self, change: &Change) -> Result<(), Error> {
        let prefix = Prefix::new(&change.key)?;
        let generation = change.generation;
        if let Some(slot) = change.patch.slot {
            let ring = change.ring.clamp(1, 1 << 31).next_power_of_two();
            self.put(Space::Records, prefix.slot(slot.count, ring), Dated { generation, value: RingSlot { slot, ring } }.encode());
        }
        if let Some(extras) = &change.patch.extras {
            self.put(Space::Records, prefix.extras(), Dated { generation, value: Extras::clone(extras) }.encode());
        }
        match change.patch.waiting {
            Some(Some(waiting)) => self.put(Space::Records, prefix.waiting(), Dated { generation, value: waiting }.encode()),
            Some(None) => self.remove(Space::Records, prefix.waiting()),
            None => {}
        }
        for write in &change.state {
            let key = prefix.state(&write.handler, &write.key)?;
            match &write.value {
                Some(value) => self.put(Space::Records, key, value.encode()),
                None => self.remove(Space::Records, key),
            }
        }
        for number in &change.outbox_remove {
            self.remove(Space::Outbox, prefix.outbox(*number));
        }
        for entry in &change.outbox_add {
            self.put(Space::Outbox, prefix.outbox(entry.number), entry.encode());
        }
        let begins_to_owe = !change.outbox_add.is_empty() || matches!(change.patch.waiting, Some(Some(Waiting { alarm: Some(_), .. })));
        match change.owes {
            Some(owes) if owes || begins_to_owe => {
                self.put(Space::Owing, keys::owing(&change.key.pipeline, &change.key.entity)?, vec![super::record::VERSION]);
            }
            Some(_) => self.remove(Space::Owing, keys::owing(&change.key.pipeline, &change.key.entity)?),
            None => {}
        }
        Ok(())
    }
}

/// The parts of one entity's record as they are found.
#[derive(Default)]
struct Parts {
    slots: Vec<Dated<RingSlot>>,
    extras: Option<Dated<Extras>>,
    waiting: Option<Dated<Waiting>>,
    state: Vec<(String, BTreeMap<String, Bytes>)>,
}

impl Parts {
    fn add(&mut self, prefix: &Prefix, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        match prefix.part(key).ok_or("it has a part of an unknown kind: a newer seriatim may have written it")? {
            Part::Slot => self.slots.push(Dated::decode(value)?),
            Part::Extras => self.extras = Some(Dated::decode(value)?),
            Part::Waiting => self.waiting = Some(Dated::decode(value)?),
            Part::State { handler, key } => {
                let value = Bytes::decode(value)?;
                match self.state.last_mut() {
                    // Keys come in order: all of one handler's stand together.
                    Some((last, keys)) if last == handler => {
                        keys.insert(key.into(), value);
                    }
                    _ => self.state.push((handler.into(), BTreeMap::from([(key.into(), value)]))),
                }
            }
        }
        Ok(())
    }

    /// Leaves out slots that a smaller ring would have overwritten by now, and brings parts of older generations up to the newest one among
    /// them: `generations` is asked only when they differ.
    fn finish(mut self, generations: impl FnOnce() -> Vec<(u64, u64)>) -> Loaded {
        let newest = self.slots.iter().map(|found| found.value).max_by_key(|found| found.slot.count);
        if let Some(newest) = newest {
            self.slots.retain(|found| found.value.slot.count.saturating_add(newest.ring.into()) > newest.slot.count);
        }
        let mut dated: BTreeMap<u64, Snapshot> = BTreeMap::new();
        for part in self.slots {
            dated.entry(part.generation).or_default().slots.push(part.value.slot);
        }
        if let Some(part) = self.extras {
            dated.entry(part.generation).or_default().extras = part.value;
        }
        if let Some(part) = self.waiting {
            dated.entry(part.generation).or_default().waiting = Some(part.value);
        }
        let Some((generation, mut snapshot)) = dated.pop_last() else {
            return Loaded { state: self.state, ..Loaded::default() };
        };
        let generations = if dated.is_empty() { Vec::new() } else { generations() };
        for (older, mut part) in dated {
            // The newer generation is not listed: none of the old stream sequences means anything.
            let since = generations.iter().filter(|(number, _)| *number > older && *number <= generation);
            part.rebase(since.map(|(_, from)| *from).min().unwrap_or(0));
            snapshot.slots.append(&mut part.slots);
            if part.extras != Extras::default() {
                snapshot.extras = part.extras;
            }
            snapshot.waiting = snapshot.waiting.or(part.waiting);
        }
        Loaded { snapshot, state: self.state, outbox: Vec::new(), generation }
    }
}

fn unreadable(key: &EntityKey, what: Fault) -> Error {
    Error::record(&key.pipeline, &key.entity, what)
}

fn engine_fault(doing: &'static str, error: &fjall::Error) -> Error {
    Error::Engine { doing, reason: error.to_string() }
}

/// A block that is not what was written concerns the entities in it; a disk that does not answer concerns the host.
fn read_fault(key: &EntityKey, error: &fjall::Error) -> Error {
    match error {
        fjall::Error::Io(_) | fjall::Error::Storage(fjall::LsmError::Io(_)) => engine_fault("read a record", error),
        other => unreadable(key, other.to_string()),
    }
}

fn open_fault(folder: &Folder, error: EngineFault) -> Error {
    match error {
        EngineFault::Missing(name) => folder.damaged(format!("its part {name:?} is missing")),
        EngineFault::Engine(fjall::Error::Locked) => Error::Locked { path: folder.path().into(), holder: "it holds the engine's own lock".into() },
        EngineFault::Engine(error @ fjall::Error::Io(_)) => engine_fault("open the store's folder", &error),
        EngineFault::Engine(error) => folder.damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
