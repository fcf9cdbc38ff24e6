//! Where components and the registry are kept: the folder `plugins` of the store. Components lie under their digests; both are whole or not there.

use super::registry::Registry;
use super::{Name, digest};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Name of the registry's file.
const REGISTRY: &str = "registry.json";
/// What a component's file name ends with.
const ENDING: &str = "wasm";
/// Bytes of a registry that are read: thousands of handlers.
const REGISTRY_BYTES_MAX: u64 = 16 << 20;

/// Why the shelf cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ShelfError {
    /// The disk.
    #[error("{path}: cannot {doing}: {source}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// How it failed.
        source: io::Error,
    },
    /// The registry is none.
    #[error("{path}: the registry of components cannot be read: {why}. Move it away to start with what the config names")]
    Registry {
        /// Its file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A kept component is not what was kept.
    #[error("{path}: the kept component is not there, or damaged: load it again")]
    Damaged {
        /// Its file.
        path: PathBuf,
    },
}

/// See the module.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    registry: Mutex<Registry>,
}

impl Shelf {
    /// Opens the folder, making it if need be. `names`: the handlers that the config has.
    ///
    /// # Errors
    /// The disk, or a registry that is not one.
    pub fn open(folder: PathBuf, names: &[Name]) -> Result<Self, ShelfError> {
        fs::create_dir_all(&folder).map_err(|source| fault(&folder, "make the folder", source))?;
        let path = folder.join(REGISTRY);
        let mut registry = match read(&path, REGISTRY_BYTES_MAX) {
            Ok(bytes) => Registry::read(&bytes).map_err(|why| ShelfError::Registry { path: path.clone(), why })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Registry::default(),
            Err(source) => return Err(fault(&path, "read", source)),
        };
        let before = registry.clone();
        registry.retain(names);
        let changed = registry != before;
        let shelf = Self { folder, registry: Mutex::new(registry) };
        if changed {
            // Written down before `tidy` removes their components: or they would be missed when the handler comes back.
            shelf.change(|_| ())?;
        }
        Ok(shelf)
    }

    /// The registry as it is.
    #[must_use]
    pub fn registry(&self) -> Registry {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The number of the next load. Numbers of loads that come to nothing are not used again in this run.
    #[must_use]
    pub fn next_load(&self) -> u64 {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).next_load()
    }

    /// Changes the registry, durably. Blocks.
    ///
    /// # Errors
    /// The disk: then it stays as it was.
    pub fn change<T>(&self, change: impl FnOnce(&mut Registry) -> T) -> Result<T, ShelfError> {
        let path = self.folder.join(REGISTRY);
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = registry.clone();
        let changed = change(&mut next);
        let text = serde_json::to_vec_pretty(&next).map_err(|error| fault(&path, "write", io::Error::other(error)))?;
        self.write(&path, &text)?;
        *registry = next;
        Ok(changed)
    }

    /// Keeps a component; durable when it returns. Blocks.
    ///
    /// # Errors
    /// The disk.
    pub fn put(&self, digest: &str, bytes: &[u8]) -> Result<(), ShelfError> {
        let path = self.path(digest);
        if self.get(digest).is_ok() {
            return Ok(());
        }
        self.write(&path, bytes)
    }

    /// A kept component. Blocks.
    ///
    /// # Errors
    /// It is not there, or not what was kept.
    pub fn get(&self, wanted: &str) -> Result<Vec<u8>, ShelfError> {
        let path = self.path(wanted);
        let bytes = read(&path, crate::runtime::FILE_BYTES_MAX as u64).unwrap_or_default();
        if digest(&bytes) == wanted { Ok(bytes) } else { Err(ShelfError::Damaged { path }) }
    }

    /// Removes components that no version names any more. What cannot be removed stays.
    pub fn tidy(&self) {
        let registry = self.registry();
        let kept: BTreeSet<&str> = registry.digests().collect();
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let named = path.extension().is_some_and(|ending| ending == ENDING || ending == "new");
            let known = path.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| kept.contains(stem));
            if named
                && !known
                && let Err(error) = fs::remove_file(&path)
            {
                tracing::debug!(file = %path.display(), "a component that is not needed any more could not be removed: {error}");
            }
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest).with_extension(ENDING)
    }

    /// The whole file or none of it.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), ShelfError> {
        let unfinished = path.with_extension("new");
        let written = File::create(&unfinished)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| fs::rename(&unfinished, path))
            .and_then(|()| File::open(&self.folder)?.sync_all());
        written.map_err(|source| fault(path, "write", source))
    }
}

fn read(path: &Path, max: u64) -> io::Result<Vec<u8>> {
    if fs::metadata(path)?.len() > max {
        return Err(io::Error::other(format!("it has more than {max} bytes")));
    }
    fs::read(path)
}

fn fault(path: &Path, doing: &'static str, source: io::Error) -> ShelfError {
    ShelfError::Io { path: path.to_owned(), doing, source }
}

#[cfg(test)]
mod tests {
    use super::super::registry::Version;
    use super::*;

    #[test]
    fn what_is_put_is_there_after_a_restart_and_strangers_go() {
        let folder = tempfile::tempdir().unwrap();
        let name = Name { pipeline: "p".into(), handler: "h".into() };
        let names = [name.clone()];
        let shelf = Shelf::open(folder.path().join("plugins"), &names).unwrap();
        let (one, two) = (digest(b"one"), digest(b"two"));
        shelf.put(&one, b"one").unwrap();
        shelf.put(&two, b"two").unwrap();
        let load = shelf.next_load();
        shelf.change(|registry| registry.loaded(&name, Version { load, digest: one.clone(), ..Version::default() }, true)).unwrap();
        shelf.tidy();
        assert_eq!(shelf.get(&one).unwrap(), b"one");
        assert!(shelf.get(&two).unwrap_err().to_string().contains("load it again"));
        let again = Shelf::open(folder.path().join("plugins"), &names).unwrap();
        assert_eq!(again.registry(), shelf.registry());
        assert_eq!(again.get(&one).unwrap(), b"one");
    }

    #[test]
    fn a_handler_that_the_config_lost_is_forgotten_with_its_components() {
        let folder = tempfile::tempdir().unwrap();
        let name = Name { pipeline: "p".into(), handler: "h".into() };
        let one = digest(b"one");
        let shelf = Shelf::open(folder.path().to_owned(), std::slice::from_ref(&name)).unwrap();
        shelf.put(&one, b"one").unwrap();
        let load = shelf.next_load();
        shelf.change(|registry| registry.loaded(&name, Version { load, digest: one.clone(), ..Version::default() }, true)).unwrap();
        Shelf::open(folder.path().to_owned(), &[]).unwrap().tidy();
        let back = Shelf::open(folder.path().to_owned(), std::slice::from_ref(&name)).unwrap();
        assert!(back.registry().entry(&name).is_none() && back.get(&one).is_err());
    }

    #[test]
    fn a_damaged_component_and_a_damaged_registry_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::open(folder.path().to_owned(), &[]).unwrap();
        let one = digest(b"one");
        shelf.put(&one, b"one").unwrap();
        fs::write(shelf.path(&one), b"other").unwrap();
        assert!(matches!(shelf.get(&one), Err(ShelfError::Damaged { .. })));
        shelf.put(&one, b"one").unwrap();
        assert_eq!(shelf.get(&one).unwrap(), b"one", "putting it again mends it");
        fs::write(folder.path().join(REGISTRY), "{").unwrap();
        let error = Shelf::open(folder.path().to_owned(), &[]).unwrap_err().to_string();
        assert!(error.contains("registry.json") && error.contains("Move it away"), "{error}");
    }
}
