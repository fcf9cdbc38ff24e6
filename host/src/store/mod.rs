//! Where everything durable lives: state in, change out. `Store` is the trait, `embedded` this host's disk, `committer` the one thread that writes,
//! `record` the bytes, `contract` the suite every store must pass.
//!
//! Called by `app` (open, owing, sending, pipelines, identity), the shards (load) and the committer (commit). Knows nothing of shards, handlers or NATS.

mod batcher;
mod committer;
#[cfg(test)]
mod contract;
mod embedded;
mod error;
mod folder;
mod keyed;
mod keys;
mod layout;
mod poison;
mod queue;
mod record;
mod types;

pub use batcher::{Batcher, COMMIT_BYTES_MAX, COMMIT_CHANGES_MAX, Draft, Due, Entry, Reply, UnknownPipeline};
#[cfg(feature = "simulation")]
pub use committer::SteppedCommitter;
pub use committer::{Committer, CompletionSink, DurableProgress, Handle, Turn};
pub use embedded::{Embedded, Options};
pub use error::Error;
pub use keyed::{Disk, DiskFault, Each, Keyed, Range};
pub use layout::{Space, Write};
pub use poison::Poison;
pub use types::{
    Batch, Change, Confirmed, Identity, Loaded, Mark, Meaning, OutboxEntry, Owed, PipelineRecord, Prior, Progress, Stamp, StateWrite,
    StreamIdentity, Unseen, renumbered,
};

/// What a commit writes of one change, for the micro-benchmark of it.
///
/// # Errors
/// A name that is too long for a key.
#[doc(hidden)]
pub fn encoded(change: &Change) -> Result<Vec<Write>, Error> {
    let mut writes = layout::Writes::default();
    writes.change(change)?;
    Ok(writes.settled())
}

use crate::event::EntityKey;
use seriatim_sequencer::{Millis, Waiting};

/// A place that keeps records. All methods block; none may be called from an async task that others wait for, except `load` of one entity.
pub trait Store: Send + Sync + 'static {
    /// Everything durable about one entity; defaults when nothing is known of it.
    ///
    /// # Errors
    /// [`Error::Record`] when a part of it cannot be read (`load_waiting` may still work); [`Error::Engine`] when the disk does not answer.
    fn load(&self, key: &EntityKey) -> Result<Loaded, Error>;

    /// What the entity waits for, alone: it survives a record that cannot be read.
    ///
    /// # Errors
    /// As `load`.
    fn load_waiting(&self, key: &EntityKey) -> Result<Option<Waiting>, Error>;

    /// Writes all of the batch or nothing of it; fsynced when it returns. Of two writes to one thing the later one in the batch holds.
    ///
    /// # Errors
    /// After any error of the engine nothing is accepted any more ([`Error::Poisoned`]).
    fn commit(&self, batch: &Batch) -> Result<(), Error>;

    /// Entities that wait, those that are parked among them, in name order after `after`, at most `max`.
    ///
    /// # Errors
    /// [`Error::Engine`]. An entity whose record cannot be read is listed all the same.
    fn owing(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<Owed>, Error>;

    /// Entities that do not wait, but have something in their outbox, in the store's order after `after`, at most `max`. With those that [`owing`](Self::owing)
    /// lists they are all that owe something.
    ///
    /// # Errors
    /// [`Error::Engine`].
    fn sending(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, Error>;

    /// Looks at the next `max` entities after `after`, in the store's order, for those with state or ids that were not seen after `before` (stream
    /// time; 0 = nobody noted when). Whatever waits, owes something or cannot be read is passed over.
    ///
    /// # Errors
    /// [`Error::Engine`].
    fn unseen(&self, pipeline: &str, after: Option<&str>, max: usize, before: Millis) -> Result<Unseen, Error>;

    /// Every pipeline the store knows, by name.
    ///
    /// # Errors
    /// [`Error::Record`] (entity empty) when one cannot be read: the host must not start then.
    fn pipelines(&self) -> Result<Vec<(String, PipelineRecord)>, Error>;

    /// Who this store is.
    fn identity(&self) -> Identity;

    /// Adds one to the run number; durable before it returns.
    ///
    /// # Errors
    /// As `commit`.
    fn raise_run(&self) -> Result<u64, Error>;
}
