//! Looks at what the config names, a file or an object, and has it loaded when it has changed. A refused one is told once, and tried again when it changes;
//! what fails for a reason of its surroundings is tried again as it is.

use super::Name;
use super::deployer::{Deployer, Refusal};
use super::found::Found;
use crate::nats::connect::Connection;
use crate::nats::object::About;
use crate::object::Object;
use crate::runtime::FILE_BYTES_MAX;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
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

/// What could not be done at the last try, so that it is told when it begins and when it changes, not at each try. `T`: what a look tells.
#[derive(Debug)]
struct Trouble<T>(Option<(T, String)>);

impl<T: PartialEq> Trouble<T> {
    fn news(&mut self, look: T, why: &str) -> bool {
        let now = Some((look, why.to_owned()));
        let news = self.0 != now;
        self.0 = now;
        news
    }

    /// It was done, or is waited for no more.
    fn over(&mut self) {
        self.0 = None;
    }
}

/// Tells why what the config names does not run yet.
fn waits(name: &Name, from: &str, why: &str, news: bool) {
    if news {
        tracing::warn!(pipeline = %name.pipeline, handler = %name.handler, from, "the component that the config names is tried again, what runs goes on: {why}");
    } else {
        tracing::debug!(pipeline = %name.pipeline, handler = %name.handler, from, "still: {why}");
    }
}

/// Follows a file until it is dropped.
pub async fn file(deployer: Arc<Deployer>, name: Name, path: PathBuf) {
    let from = path.display().to_string();
    let (mut settling, mut trouble) = (Settling::default(), Trouble(None));
    loop {
        tokio::time::sleep(FILE_EVERY).await;
        let look = match tokio::fs::metadata(&path).await {
            Ok(meta) => Look::from(&meta),
            Err(error) => {
                let why = format!("it cannot be looked at: {error}");
                waits(&name, &from, &why, trouble.news(None, &why));
                continue;
            }
        };
        if settling.step(look) {
            let settled = match Found::in_file(&path).await {
                Ok(found) => changed(&deployer, &name, found, &from).await,
                Err(why) => Err(format!("it cannot be read: {why}")),
            };
            match settled {
                Ok(()) => trouble.over(),
                Err(why) => {
                    waits(&name, &from, &why, trouble.news(Some(look), &why));
                    settling.again();
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }
}

/// Follows an object until it is dropped.
pub async fn object(deployer: Arc<Deployer>, name: Name, object: Object, connection: Connection) {
    let from = object.to_string();
    let mut trouble = Trouble(None);
    loop {
        tokio::time::sleep(OBJECT_EVERY).await;
        let told = object.about(&connection).await;
        let look = told.as_ref().ok().cloned();
        let unread = |why| format!("it cannot be read: {why}");
        let settled = match told {
            Ok(About { digest, .. }) if deployer.registry().settled(&name, &digest) => Ok(()),
            Ok(About { digest, bytes }) if bytes > FILE_BYTES_MAX as u64 => {
                changed(&deployer, &name, Found::TooLarge { bytes, digest }, &from).await
            }
            Ok(_) => match object.read(&connection, FILE_BYTES_MAX).await {
                Ok(bytes) => changed(&deployer, &name, Found::Whole(bytes), &from).await,
                Err(why) => Err(unread(why)),
            },
            Err(why) => Err(unread(why)),
        };
        match settled {
            Ok(()) => trouble.over(),
            Err(why) => {
                waits(&name, &from, &why, trouble.news(look, &why));
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Settles it: it runs, or it was refused for what it is. An error is of its surroundings, and another look has to find it.
async fn changed(deployer: &Deployer, name: &Name, found: Found, from: &str) -> Result<(), String> {
    let digest = found.digest();
    let registry = deployer.registry();
    if registry.settled(name, &digest) {
        let back = registry.entry(name).is_some_and(|entry| entry.config == digest && !entry.refused.is_empty());
        // What was refused is not there any more.
        return if back { noted(deployer, name, String::new()).await } else { Ok(()) };
    }
    let loaded = match found.whole(&name.handler) {
        Ok(bytes) => deployer.load(name, bytes, from.to_owned(), true).await,
        Err(refusal) => Err(refusal),
    };
    match loaded {
        Ok(_) => Ok(()),
        Err(refusal) => refused(deployer, name, digest, from, refusal).await,
    }
}

/// Notes a refusal by a step, which would refuse it again. Any other is an error: a full disk says nothing about the component.
async fn refused(deployer: &Deployer, name: &Name, digest: String, from: &str, refusal: Refusal) -> Result<(), String> {
    if !matches!(refusal, Refusal::Step { .. }) {
        return Err(refusal.to_string());
    }
    tracing::error!(pipeline = %name.pipeline, handler = %name.handler, component = digest, from, "the changed component does not run, the one before goes on: {refusal}");
    noted(deployer, name, digest).await
}

async fn noted(deployer: &Deployer, name: &Name, refused: String) -> Result<(), String> {
    deployer.refused(name, refused).await.map_err(|error| format!("what was refused cannot be noted: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::digest;
    use super::super::found::{CHUNK, read};
    use super::super::shelf::{Shelf, ShelfError};
    use super::*;
    use crate::runtime::{Compiler, Engine, EngineConfig};
    use std::path::Path;
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

    #[tokio::test]
    async fn only_what_a_step_refused_is_not_tried_again() {
        let folder = tempfile::tempdir().unwrap();
        let (deployer, name) = deployer(folder.path());
        let noted = || deployer.registry().entry(&name).map(|entry| entry.refused.clone());
        for refusal in [
            Refusal::Keep(ShelfError::Damaged { path: "full".into() }),
            Refusal::Busy("not now".to_owned()),
            Refusal::Unknown("p/h".to_owned()),
            Refusal::Rollback("nothing".to_owned()),
        ] {
            let why = refusal.to_string();
            assert_eq!(refused(&deployer, &name, "d1".to_owned(), "file", refusal).await, Err(why));
            assert_eq!(noted(), None);
        }
        let step = Refusal::Step { step: "world", why: "another".to_owned() };
        assert_eq!(refused(&deployer, &name, "d1".to_owned(), "file", step).await, Ok(()));
        assert_eq!(noted(), Some("d1".to_owned()));
        // As it comes from a load: this deployer has no handler to bring anything to.
        assert!(changed(&deployer, &name, Found::Whole(b"x".to_vec()), "file").await.unwrap_err().contains("p/h"));
        assert!(!deployer.registry().settled(&name, &digest(b"x")));
    }

    #[tokio::test]
    async fn what_is_too_large_is_known_by_its_digest_and_refused_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("handler.wasm");
        let large = vec![7; 2 * CHUNK + 1];
        std::fs::write(&path, &large).unwrap();
        let max = large.len() as u64;
        assert_eq!(read(&path, max).await, Ok(Found::Whole(large.clone())), "just not too large");
        let found = read(&path, max - 1).await.unwrap();
        assert_eq!(found, Found::TooLarge { bytes: max, digest: digest(&large) });
        assert_eq!(read(folder.path(), max).await, Err("it is no file".to_owned()));

        let (deployer, name) = deployer(folder.path());
        assert_eq!(changed(&deployer, &name, found, "file").await, Ok(()));
        assert_eq!(deployer.registry().entry(&name).unwrap().refused, digest(&large));
        let again = Shelf::open(folder.path().join("plugins"), std::slice::from_ref(&name)).unwrap();
        assert!(again.registry().settled(&name, &digest(&large)), "also after a restart");
    }

    #[test]
    fn trouble_is_told_when_it_begins_and_when_it_changes() {
        let mut trouble = Trouble(None);
        assert_eq!(
            [trouble.news(1, "full"), trouble.news(1, "full"), trouble.news(2, "full"), trouble.news(2, "cut")],
            [true, false, true, true]
        );
        trouble.over();
        assert!(trouble.news(2, "cut"));
    }

    /// With a registry, and without handlers.
    fn deployer(folder: &Path) -> (Deployer, Name) {
        let shelf = Shelf::open(folder.join("plugins"), &[]).unwrap();
        let engine = Engine::new(&EngineConfig { calls_max: 1, ..EngineConfig::default() }).unwrap();
        let compiler = Compiler { program: folder.join("nobody"), time_max: Duration::from_secs(1), memory_max: 1 << 20 };
        let name = Name { pipeline: "p".into(), handler: "h".into() };
        (Deployer::new(Arc::new(shelf), engine, compiler, Vec::new()), name)
    }
}
