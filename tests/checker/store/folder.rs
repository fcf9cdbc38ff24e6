//! A store's folder, opened after its host has ended. What is opened is a copy: the folder stays as the host left it.

use super::{Keyspace, StoreView};
use anyhow::{Context, Result, ensure};
use fjall::{Database, KeyspaceCreateOptions, Readable};
use std::fs;
use std::path::Path;

const KEYSPACES: [(&str, Keyspace); 4] =
    [("records", Keyspace::Records), ("outbox", Keyspace::Outbox), ("owing", Keyspace::Owing), ("meta", Keyspace::Meta)];

impl StoreView {
    /// Reads the store in a folder (`store.path` of the config) that no host has open.
    ///
    /// # Errors
    /// No store there, or not of the documented format.
    pub fn from_folder(folder: &Path) -> Result<Self> {
        let copy = tempfile::tempdir().context("a folder for a copy of the store")?;
        let data = folder.join("data");
        copy_folder(&data, copy.path()).with_context(|| format!("copy the store's files in {}", data.display()))?;
        let database = Database::builder(copy.path()).worker_threads(1).open().context("open the copy of the store")?;
        let mut pairs = Vec::new();
        for (name, keyspace) in KEYSPACES {
            ensure!(database.keyspace_exists(name), "{} has no keyspace {name}", data.display());
            let opened = database.keyspace(name, KeyspaceCreateOptions::default)?;
            for guard in database.snapshot().iter(&opened) {
                let (key, value) = guard.into_inner()?;
                pairs.push((keyspace, key.to_vec(), value.to_vec()));
            }
        }
        Self::read(pairs)
    }
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir(&target)?;
            copy_folder(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
