//! The store on this host's own disk: fjall (a log-structured tree), one database, one write batch and one fdatasync per commit.
//!
//! Keyspaces: `records` (everything about entities but their outboxes), `outbox`, `owing`, `meta`. A commit writes only what changed; nothing of
//! an entity is kept in memory between calls but the engine's bounded caches. The only file that knows the engine.

use super::Error;
use super::folder::Folder;
use super::keyed::{Disk, DiskFault, Each, Keyed, Range};
use super::keys;
use super::layout::{Space, Write};
use super::record::{StoreRecord, Value};
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot as View};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

/// Threads of the engine for flushing and compacting; they do not serve reads or commits. Not one: each commit asks for a flush of what is over its size, and
/// with a queue full of that the one thread that empties it would wait for room in it (fjall 3.1, `worker_pool.rs`). Of two, the first keeps itself free for
/// flushes, and hands compactions back to the queue for as long as the other is at work: up to a third of these threads' time in a long run.
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
pub type Embedded = Keyed<Files>;

/// The engine in its folder.
pub struct Files {
    // Dropped in this order: the engine lets go of its files before the folder's lock is released.
    engine: Engine,
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
        Self::on(Files { engine, folder })
    }

    /// Opens a copy of a stopped host's folder, made in `scratch` (an empty folder), so that nothing is written into the folder itself: what a crash left is
    /// recovered in the copy. Needs as much room as the store has.
    ///
    /// # Errors
    /// The folder is in use, holds no store, is damaged or of a newer format, or cannot be copied.
    pub fn open_copy(path: &Path, scratch: &Path) -> Result<Self, Error> {
        Folder::copy(path, scratch)?;
        Self::open(&Options::new(scratch))
    }

    /// The folder it lives in.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.disk.folder.path()
    }
}

impl Files {
    fn keyspace(&self, space: Space) -> &Keyspace {
        match space {
            Space::Records => &self.engine.records,
            Space::Outbox => &self.engine.outbox,
            Space::Owing => &self.engine.owing,
            Space::Meta => &self.engine.meta,
        }
    }
}

impl Disk for Files {
    type View = View;

    /// All reads go through one: a keyspace read directly shows half a batch while it is being applied.
    fn view(&self) -> View {
        self.engine.database.snapshot()
    }

    fn get(&self, view: &View, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, DiskFault> {
        Ok(view.get(self.keyspace(space), key).map_err(|error| fault(&error))?.map(|value| value.to_vec()))
    }

    fn scan(&self, view: &View, space: Space, range: Range<'_>, told: &dyn Fn(&DiskFault) -> Error, each: Each<'_>) -> Result<(), Error> {
        for guard in view.range::<&[u8], _>(self.keyspace(space), range) {
            let (key, value) = guard.into_inner().map_err(|error| told(&fault(&error)))?;
            if !each(&key, &value)? {
                break;
            }
        }
        Ok(())
    }

    fn write(&self, writes: Vec<Write>) -> Result<(), DiskFault> {
        let mut batch = self.engine.database.batch().durability(Some(PersistMode::SyncData));
        for (space, key, value) in writes {
            match value {
                Some(value) => batch.insert(self.keyspace(space), key, value),
                None => batch.remove(self.keyspace(space), key),
            }
        }
        batch.commit().map_err(|error| fault(&error))
    }

    fn damaged(&self, what: String) -> Error {
        self.folder.damaged(what)
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

fn engine_fault(doing: &'static str, error: &fjall::Error) -> Error {
    Error::Engine { doing, reason: error.to_string() }
}

fn fault(error: &fjall::Error) -> DiskFault {
    match error {
        fjall::Error::Io(_) | fjall::Error::Storage(fjall::LsmError::Io(_)) => DiskFault::Engine(error.to_string()),
        other => DiskFault::Damaged(other.to_string()),
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
