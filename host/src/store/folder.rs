//! The store's folder: who may see it, who holds it, which format it has. Knows nothing of the engine inside.
//!
//! ```text
//! <store.path>/      0700
//!   lock             held while a process has the store open; says who
//!   format           the number of the format, as text
//!   data/            the engine's files; appears by a rename, so that it is complete or absent
//! ```

use super::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The format this build writes, and the highest it reads.
pub(crate) const FORMAT: u32 = 1;

/// A process that was killed may need a moment to let go of its files.
const LOCK_ATTEMPTS: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(100);

/// The folder, locked for this process until dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is absent, closes it to others and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        create(path)?;
        let entries = names(path)?;
        let ours = entries.is_empty() || entries.iter().any(|name| name == "lock" || name == "format" || name == "data");
        if !ours {
            return Err(Error::Foreign { path: path.into() });
        }
        close_to_others(path)?;
        let lock = lock(path)?;
        let folder = Self { path: path.into(), _lock: lock };
        folder.check_format()?;
        Ok(folder)
    }

    /// Copies the store of a folder that nobody uses to `to`, an empty folder, without writing anything here.
    pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
        let path = from.join("lock");
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(Error::NoStore { path: from.into() }),
            Err(source) => return Err(fault(&path, "open the lock file", source)),
        };
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { path: from.into(), holder: holder(&mut file) }),
            Err(TryLockError::Error(source)) => return Err(fault(&path, "lock it", source)),
        }
        let here = Self { path: from.into(), _lock: file };
        here.check_format()?;
        if !here.exists(&here.data())? {
            return Err(Error::NoStore { path: from.into() });
        }
        copy_all(&here.path.join("format"), &to.join("format"))?;
        copy_all(&here.data(), &to.join("data"))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the engine's files are.
    pub(crate) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// Fills `data` if it is absent: `make` builds it in another place, complete and closed, then it is renamed. A crash leaves no half of it.
    pub(crate) fn make_data(&self, make: impl FnOnce(&Path) -> Result<(), Error>) -> Result<(), Error> {
        let data = self.data();
        if self.exists(&data)? {
            return Ok(());
        }
        let unfinished = self.path.join("data.new");
        if self.exists(&unfinished)? {
            fs::remove_dir_all(&unfinished).map_err(|source| fault(&unfinished, "remove what an interrupted start left", source))?;
        }
        make(&unfinished)?;
        let format = self.path.join("format");
        let mut file = File::create(&format).map_err(|source| fault(&format, "create it", source))?;
        file.write_all(format!("{FORMAT}\n").as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(|source| fault(&format, "write it", source))?;
        fs::rename(&unfinished, &data).map_err(|source| fault(&data, "rename the new store into place", source))?;
        sync_folder(&self.path)?;
        if let Some(parent) = self.path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            sync_folder(parent)?;
        }
        Ok(())
    }

    fn check_format(&self) -> Result<(), Error> {
        let path = self.path.join("format");
        if !self.exists(&path)? {
            if self.exists(&self.data())? {
                return Err(self.damaged("it has data but no `format` file"));
            }
            return Ok(());
        }
        let text = fs::read_to_string(&path).map_err(|source| fault(&path, "read it", source))?;
        match text.trim().parse::<u32>() {
            Ok(FORMAT) => Ok(()),
            Ok(found) if found > FORMAT => Err(Error::NewerFormat { path: self.path.clone(), found, known: FORMAT }),
            _ => Err(self.damaged(format!("its `format` file says {:?}", text.chars().take(32).collect::<String>()))),
        }
    }

    pub(crate) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::Damaged { path: self.path.clone(), what: what.into() }
    }

    fn exists(&self, path: &Path) -> Result<bool, Error> {
        path.try_exists().map_err(|source| fault(path, "look at it", source))
    }
}

fn fault(path: &Path, doing: &'static str, source: std::io::Error) -> Error {
    Error::Folder { path: path.into(), doing, source }
}

/// A file, or a folder with all that is in it.
fn copy_all(from: &Path, to: &Path) -> Result<(), Error> {
    if !from.is_dir() {
        return fs::copy(from, to).map(drop).map_err(|source| fault(from, "copy it", source));
    }
    create(to)?;
    names(from)?.iter().try_for_each(|name| copy_all(&from.join(name), &to.join(name)))
}

fn create(path: &Path) -> Result<(), Error> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| fault(path, "create it", source))
}

/// Records hold what events held: the folder is for this user only, whatever the umask said when it was made.
fn close_to_others(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(path).map_err(|source| fault(path, "look at it", source))?.permissions().mode();
        if mode & 0o777 != 0o700 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                .map_err(|source| fault(path, "close it to other users", source))?;
        }
    }
    Ok(())
}

fn names(path: &Path) -> Result<Vec<std::ffi::OsString>, Error> {
    fs::read_dir(path)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.file_name())).collect())
        .map_err(|source| fault(path, "list it", source))
}

fn lock(folder: &Path) -> Result<File, Error> {
    let path = folder.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(false)
        .open(&path)
        .map_err(|source| fault(&path, "open the lock file", source))?;
    let mut attempt = 1;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if attempt < LOCK_ATTEMPTS => {
                attempt += 1;
                std::thread::sleep(LOCK_PAUSE);
            }
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { path: folder.into(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(fault(&path, "lock it", source)),
        }
    }
    let since = humantime::format_rfc3339_seconds(SystemTime::now());
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "process {}, since {since}", std::process::id()))
        .map_err(|source| fault(&path, "write who holds the lock", source))?;
    Ok(file)
}

/// Who holds it, as far as the lock file tells: on a shared file system the process may be on another machine.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let told = file.rewind().and_then(|()| file.take(200).read_to_string(&mut text)).is_ok();
    let text: String = text.trim().chars().filter(|letter| !letter.is_control()).collect();
    if told && !text.is_empty() { text } else { "it left no name".into() }
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| fault(path, "make its entries durable", source))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_opener_is_told_who_holds_it() {
        let place = tempfile::tempdir().unwrap();
        let first = Folder::open(place.path()).unwrap();
        let error = Folder::open(place.path()).unwrap_err();
        assert!(error.to_string().contains(&format!("process {}, since 20", std::process::id())), "{error}");
        assert!(error.to_string().contains("store.path"), "{error}");
        drop(first);
        Folder::open(place.path()).unwrap();
    }

    #[test]
    fn a_folder_with_other_files_is_left_alone() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("thesis.txt"), "x").unwrap();
        assert!(matches!(Folder::open(place.path()), Err(Error::Foreign { .. })));
        assert_eq!(names(place.path()).unwrap(), ["thesis.txt"]);
    }

    #[test]
    fn newer_and_unreadable_formats_are_refused_by_name() {
        let place = tempfile::tempdir().unwrap();
        let format = place.path().join("format");
        Folder::open(place.path()).unwrap().make_data(|path| fs::create_dir(path).map_err(|source| fault(path, "test", source))).unwrap();
        assert_eq!(fs::read_to_string(&format).unwrap(), "1\n");
        Folder::open(place.path()).unwrap();
        fs::write(&format, "7\n").unwrap();
        let error = Folder::open(place.path()).unwrap_err();
        assert!(error.to_string().contains("has format 7; this seriatim reads up to format 1"), "{error}");
        fs::write(&format, "seven").unwrap();
        assert!(matches!(Folder::open(place.path()), Err(Error::Damaged { .. })));
        fs::remove_file(&format).unwrap();
        assert!(matches!(Folder::open(place.path()), Err(Error::Damaged { .. })));
    }

    #[test]
    fn an_interrupted_making_starts_over() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let half = |path: &Path| {
            fs::create_dir(path).unwrap();
            fs::write(path.join("half"), "").unwrap();
            Err(folder.damaged("a crash"))
        };
        folder.make_data(half).unwrap_err();
        assert!(!folder.data().exists());
        folder.make_data(|path| fs::create_dir(path).map_err(|source| fault(path, "test", source))).unwrap();
        assert!(names(&folder.data()).unwrap().is_empty());
        folder.make_data(|_| panic!("made twice")).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn others_are_kept_out() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("a/b");
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        drop(Folder::open(&path).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
