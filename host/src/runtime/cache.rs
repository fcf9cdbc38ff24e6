//! Compiled components on disk, so that a start does not compile what the last one did. The folder is the host's own and private; a file is
//! used only if it was made from the same bytes for the same engine and its checksum is right. Never an input format: whatever is wrong
//! here, the component is compiled again.

use sha2::{Digest, Sha256};
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;
use wasmtime::component::Component;

/// Compiled components kept; the ones not used for longest go first.
const FILES_MAX: usize = 64;

/// Bytes of one compiled component that are read back.
pub(super) const BYTES_MAX: u64 = 1 << 30;

/// Raised when the way a core module is wrapped changes.
const WRAPPING: u64 = 2;

/// The folder.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    /// Stands for the engine and its settings.
    engine: u64,
}

impl Cache {
    /// Opens the folder, making it if need be. `None`, with a line in the log, if it cannot be made or is not private.
    pub(super) fn open(dir: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        WRAPPING.hash(&mut hasher);
        match private(dir) {
            Ok(()) => Some(Self { dir: dir.to_owned(), engine: hasher.finish() }),
            Err(error) => {
                tracing::warn!(folder = %dir.display(), %error, "compiled handlers are not cached");
                None
            }
        }
    }

    /// The compiled form of the component with this digest, if it is there and whole.
    pub(super) fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        match self.read(&path) {
            Ok(bytes) => match deserialize(engine, &bytes) {
                Ok(component) => {
                    // Used just now: `prune` goes by this. Where it cannot be set this one goes earlier than it should, nothing else.
                    fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now())).ok();
                    Some(component)
                }
                Err(error) => self.useless(&path, &format!("{error:#}")),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => self.useless(&path, &error.to_string()),
        }
    }

    /// Keeps the compiled form. A failure costs the next start a compilation, nothing else.
    pub(super) fn store(&self, digest: &str, component: &Component) {
        match component.serialize() {
            Ok(bytes) => self.keep(digest, &bytes),
            Err(error) => tracing::warn!(digest, "compiled handler not cached: {error:#}"),
        }
    }

    /// The same for a compiled form as bytes.
    pub(super) fn keep(&self, digest: &str, bytes: &[u8]) {
        let path = self.path(digest);
        let written = write(&path, bytes).and_then(|()| {
            write(&sum_path(&path), checksum(bytes).as_bytes())?;
            self.prune()
        });
        if let Err(error) = written {
            tracing::warn!(file = %path.display(), %error, "compiled handler not cached");
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{:016x}.cwasm", self.engine))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let expected = fs::read_to_string(sum_path(path))?;
        if fs::metadata(path)?.len() > BYTES_MAX {
            return Err(io::Error::other("too big"));
        }
        let bytes = fs::read(path)?;
        if checksum(&bytes) == expected { Ok(bytes) } else { Err(io::Error::other("its checksum is wrong")) }
    }

    fn useless(&self, path: &Path, why: &str) -> Option<Component> {
        tracing::warn!(file = %path.display(), why, "cached handler not usable: compiling again");
        None
    }

    /// A file was last used when it was last modified: made, or touched by [`Cache::load`].
    fn prune(&self) -> io::Result<()> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "cwasm") {
                files.push((fs::metadata(&path)?.modified()?, path));
            }
        }
        files.sort();
        let surplus = files.len().saturating_sub(FILES_MAX);
        for (_, path) in files.iter().take(surplus) {
            fs::remove_file(path)?;
            fs::remove_file(sum_path(path))?;
        }
        Ok(())
    }
}

/// Makes the folder, or sees that the one that is there lets nobody else in.
fn private(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let folder = fs::metadata(dir)?;
    if folder.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!("others may enter the folder: `chmod 700 {}` or name another", dir.display())));
    }
    // Whoever owns what this process makes is this process: no need for a system call of our own.
    let probe = dir.join(temporary("probe"));
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe).and_then(|file| file.metadata());
    fs::remove_file(&probe)?;
    if made?.uid() == folder.uid() { Ok(()) } else { Err(io::Error::other("the folder belongs to another user")) }
}

fn sum_path(path: &Path) -> PathBuf {
    path.with_extension("sha256")
}

fn checksum(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn temporary(name: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!(".{name}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// The whole file or none of it.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_file_name(temporary("new"));
    let written = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What is left of it has no name anybody looks for.
        fs::remove_file(&temporary).ok();
    }
    written
}

#[allow(unsafe_code)]
pub(super) fn deserialize(engine: &wasmtime::Engine, bytes: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: `deserialize` trusts its input to come from wasmtime's compiler. These bytes were read whole from a folder that only this
    // user can enter (checked when it was opened), under a name this module gives to what it serialized, and match the checksum written with
    // them; or they came through a pipe from a process of this same program that compiled them (`apart.rs`). wasmtime itself checks its version and
    // settings. Nothing else ever reaches this function.
    unsafe { Component::deserialize(engine, bytes) }
}

#[cfg(test)]
mod tests {
    use super::super::engine::settings;
    use super::*;
    use std::time::Duration;

    #[test]
    fn what_was_used_stays_when_what_was_not_goes() {
        let folder = tempfile::tempdir().unwrap();
        let engine = wasmtime::Engine::new(&settings(None)).unwrap();
        let cache = Cache::open(&folder.path().join("compiled"), &engine).unwrap();
        let empty = Component::from_binary(&engine, b"\0asm\x0d\0\x01\0").unwrap();
        let names: Vec<String> = (0..FILES_MAX).map(|number| format!("{number:02}")).collect();
        for (age, name) in (1..).zip(&names) {
            cache.store(name, &empty);
            let made = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
            fs::File::open(cache.path(name)).unwrap().set_modified(made).unwrap();
        }
        assert!(cache.load(&engine, &names[0]).is_some());
        cache.store("new", &empty);
        let gone: Vec<_> = names.iter().filter(|name| !cache.path(name).exists()).collect();
        assert_eq!(gone, [&names[1]], "the oldest that nobody used");
        assert!(!sum_path(&cache.path(&names[1])).exists() && cache.load(&engine, &names[0]).is_some());
        assert!(cache.load(&engine, "new").is_some());
    }
}
