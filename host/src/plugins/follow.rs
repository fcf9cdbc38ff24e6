//! Looks at what the config names, a file or an object, and has it loaded when it has changed. A refused one is told once, and tried again when it changes.

use super::deployer::{Deployer, Refusal};
use super::{Name, digest};
use crate::nats::connect::Connection;
use crate::object::Object;
use crate::runtime::FILE_BYTES_MAX;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a file is looked at.
const FILE_EVERY: Duration = Duration::from_secs(1);
/// How often an object is asked for.
const OBJECT_EVERY: Duration = Duration::from_secs(2);

/// What could not be looked at or loaded for a reason of its surroundings is tried again after this.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

/// What a look at a file tells without reading it. Size and time of modification alone may be those of the file before: `cp -p` keeps the time, and so do
/// builds that give every file the same. Times are seconds and nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
    inode: u64,
}

impl From<&Metadata> for Look {
    fn from(meta: &Metadata) -> Self {
        Self {
            bytes: meta.len(),
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            inode: meta.ino(),
        }
    }
}

/// When a file is worth reading: it has changed, and two looks agree that nobody writes it any more. Pure.
#[derive(Debug, Default)]
struct Settling {
    last: Option<Look>,
    read: Option<Look>,
}

impl Settling {
    fn step(&mut self, look: Look) -> bool {
        let settled = self.last.replace(look) == Some(look);
        if !settled || self.read == Some(look) {
            return false;
        }
        self.read = Some(look);
        true
    }

    /// What was read came to nothing: the next look is as good as the first.
    fn again(&mut self) {
        *self = Self::default();
    }
}

/// Follows a file until it is dropped.
pub async fn file(deployer: Arc<Deployer>, name: Name, path: PathBuf) {
    let mut settling = Settling::default();
    loop {
        tokio::time::sleep(FILE_EVERY).await;
        let Ok(meta) = tokio::fs::metadata(&path).await else { continue };
        if settling.step(Look::from(&meta)) {
            let settled = match read(&path).await {
                Ok(bytes) => changed(&deployer, &name, bytes, &path.display().to_string()).await,
                Err(why) => {
                    tracing::warn!(pipeline = %name.pipeline, handler = %name.handler, file = %path.display(), "the component's file cannot be read, what runs goes on: {why}");
                    false
                }
            };
            if !settled {
                settling.again();
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

async fn read(path: &Path) -> Result<Vec<u8>, String> {
    let max = FILE_BYTES_MAX as u64;
    let meta = tokio::fs::metadata(path).await.map_err(|error| error.to_string())?;
    if meta.len() > max {
        return Err(format!("it has {} bytes; the most is {max}", meta.len()));
    }
    tokio::fs::read(path).await.map_err(|error| error.to_string())
}

/// Follows an object until it is dropped.
pub async fn object(deployer: Arc<Deployer>, name: Name, object: Object, connection: Connection) {
    loop {
        tokio::time::sleep(OBJECT_EVERY).await;
        let told = object.digest(&connection).await;
        let news = told.as_ref().is_ok_and(|digest| !deployer.registry().settled(&name, digest));
        let read = match told {
            Ok(_) if !news => continue,
            Ok(_) => object.read(&connection, FILE_BYTES_MAX).await,
            Err(why) => Err(why),
        };
        match read {
            Ok(bytes) => {
                if !changed(&deployer, &name, bytes, &object.to_string()).await {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
            Err(why) => {
                tracing::debug!(pipeline = %name.pipeline, handler = %name.handler, "the component's object cannot be read, what runs goes on: {why}")
            }
        }
    }
}

/// Whether that is settled: it runs, or it was refused for what it is. If not, another look has to find it.
async fn changed(deployer: &Deployer, name: &Name, bytes: Vec<u8>, from: &str) -> bool {
    let digest = digest(&bytes);
    if deployer.registry().settled(name, &digest) {
        return true;
    }
    match deployer.load(name, bytes, from.to_owned(), true).await {
        Ok(_) => true,
        Err(Refusal::Busy(why)) => {
            tracing::warn!(pipeline = %name.pipeline, handler = %name.handler, "the changed component waits: {why}");
            false
        }
        Err(refusal) => {
            tracing::error!(pipeline = %name.pipeline, handler = %name.handler, component = digest, from, "the changed component does not run, the one before goes on: {refusal}");
            deployer.refused(name, digest).await;
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Instant, SystemTime};

    #[test]
    fn a_file_is_read_when_it_has_changed_and_nobody_writes_it() {
        let look = |bytes| Look { bytes, modified: (0, 0), changed: (0, 0), inode: 1 };
        let mut settling = Settling::default();
        let read: Vec<_> = [1, 1, 1, 2, 3, 3, 3, 3].into_iter().map(|bytes| settling.step(look(bytes))).collect();
        assert_eq!(read, [false, true, false, false, false, true, false, false]);
        settling.again();
        assert_eq!([settling.step(look(3)), settling.step(look(3)), settling.step(look(3))], [false, true, false], "it came to nothing");
    }

    #[test]
    fn a_file_of_the_same_size_and_time_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, other) = (folder.path().join("handler.wasm"), folder.path().join("other.wasm"));
        let write = |path: &Path, text: &str| {
            std::fs::write(path, text).unwrap();
            std::fs::File::options().write(true).open(path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        };
        let look = || Look::from(&std::fs::metadata(&path).unwrap());
        write(&path, "one");
        write(&other, "two");
        let before = look();
        assert_eq!(look(), before, "nobody touched it");
        std::fs::rename(&other, &path).unwrap();
        let moved = look();
        assert_ne!(moved, before, "another file under the name");
        assert_eq!((moved.bytes, moved.modified), (before.bytes, before.modified));
        // Written in place, as `cp -p` does: noticed once the clock of the file system, which is coarse, has moved.
        let begun = Instant::now();
        while look() == moved {
            assert!(begun.elapsed() < Duration::from_secs(60), "not noticed");
            write(&path, "six");
        }
        assert_eq!((look().bytes, look().modified, look().inode), (moved.bytes, moved.modified, moved.inode));
    }
}
