//! The store on this host's own disk: fjall (a log-structured tree), one database, one write batch and one fdatasync per commit.
//!
//! Keyspaces: `records` (everything about entities but their outboxes), `outbox`, `owing`, `meta`. A commit writes only what changed; nothing of
//! an entity is kept in memory between calls but the engine's bounded caches. The only file that knows the engine.

use super::folder::Folder;
use super::keys::{self, About, Prefix};
use super::layout::{Parts, Space, Writes};
use super::record::{Dated, Fault, StoreRecord, Value};
use super::types::{Batch, Identity, Loaded, OutboxEntry, Owed, PipelineRecord, Progress};
use super::{Error, Store};
use crate::event::EntityKey;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot as View};
use seriatim_sequencer::Waiting;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// Threads of the engine for flushing and compacting; they do not serve reads or commits.
const WORKERS: usize = 2;
/// Name and bytes in memory before a flush. Small ones: searching a large sorted memory costs more than flushing it oftener (measured: a fifth).
const KEYSPACES: [(&str, u64); 4] = [("records", 8 << 20), ("outbox", 8 << 20), ("owing", 4 << 20), ("meta", 2 << 20)];
/// What recovery after a crash has to replay, at most about this (the engine's default is four times that, and several seconds).
const JOURNAL_BYTES_MAX: u64 = 128 << 20;

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
        let database = Database::builder(path)
            .cache_size(cache_bytes)
            .max_journaling_size(JOURNAL_BYTES_MAX)
            .worker_threads(WORKERS)
            .manual_journal_persist(true)
            .open()?;
        let keyspace = |at: usize| {
            let (name, memtable_bytes) = KEYSPACES.get(at).copied().unwrap_or(("meta", 2 << 20));
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
            let (name, about) =
                keys::pipeline_of(&at).ok_or_else(|| self.folder.damaged("it has a pipeline with an unknown kind of record"))?;
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
        EngineFault::Engine(fjall::Error::Locked) => {
            Error::Locked { path: folder.path().into(), holder: "it holds the engine's own lock".into() }
        }
        EngineFault::Engine(error @ fjall::Error::Io(_)) => engine_fault("open the store's folder", &error),
        EngineFault::Engine(error) => folder.damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
