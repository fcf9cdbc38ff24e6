//! What can go wrong with a store: every message says what, where, and what to do about it.

use std::path::PathBuf;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has the folder open.
    #[error(
        "store folder {} is in use by another process ({holder}); two hosts on one store would break the order: stop that process, or give this host a `store.path` of its own",
        path.display()
    )]
    Locked {
        /// The store's folder.
        path: PathBuf,
        /// What the holder wrote into the lock file.
        holder: String,
    },
    /// A host runs on the folder.
    #[error("store folder {} is in use ({holder}): ask the running host instead (without --store), or stop it first", path.display())]
    InUse {
        /// The store's folder.
        path: PathBuf,
        /// What the holder wrote into the lock file.
        holder: String,
    },
    /// There is no store to be read.
    #[error("folder {} holds no store: give the `store.path` of a host that has run", path.display())]
    NoStore {
        /// The folder.
        path: PathBuf,
    },
    /// The folder was written by a newer seriatim.
    #[error("store folder {} has format {found}; this seriatim reads up to format {known}: run the newer version that wrote it", path.display())]
    NewerFormat {
        /// The store's folder.
        path: PathBuf,
        /// Format found.
        found: u32,
        /// Highest format this build reads.
        known: u32,
    },
    /// The folder holds files and none of them is a store.
    #[error("folder {} is not empty and holds no store: set `store.path` to a new or an empty folder", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
    },
    /// Something of the store is missing or cannot be understood.
    #[error("store folder {} is damaged ({what}): restore it from a copy; do not delete it, it knows what has been done", path.display())]
    Damaged {
        /// The store's folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The operating system refused something about the folder.
    #[error("store folder {}: cannot {doing}: {source}", path.display())]
    Folder {
        /// Which path.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// The refusal.
        source: std::io::Error,
    },
    /// The storage engine failed.
    #[error("store: cannot {doing}: {reason}: look at the disk (space, errors) and restart")]
    Engine {
        /// What was tried.
        doing: &'static str,
        /// What the engine says.
        reason: String,
    },
    /// One record cannot be read. Its entity is parked with reason `record`; it is never taken for a new one.
    #[error(
        "store: the record of entity {entity:?} of pipeline {pipeline} cannot be read ({what}); it stays parked until its record is restored or forgotten"
    )]
    Record {
        /// The pipeline.
        pipeline: String,
        /// The entity; empty = the pipeline's own record.
        entity: String,
        /// What is wrong with it.
        what: String,
    },
    /// A name or a key does not fit into a key of the store.
    #[error("store: {what} has {bytes} bytes, more than the {max} that fit into a key")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// Its size.
        bytes: usize,
        /// What fits.
        max: usize,
    },
    /// A commit failed before, or a task of the host panicked: nothing is written any more.
    #[error("store: nothing is written any more: {reason}")]
    Poisoned {
        /// What happened first.
        reason: String,
    },
    /// The committer has been stopped.
    #[error("store: the committer has stopped")]
    Stopped,
}

impl Error {
    /// A record that cannot be read.
    pub(crate) fn record(pipeline: &str, entity: &str, what: impl Into<String>) -> Self {
        Self::Record { pipeline: pipeline.into(), entity: entity.into(), what: what.into() }
    }
}
