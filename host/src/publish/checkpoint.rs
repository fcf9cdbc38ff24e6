//! The file that makes a run resumable: what it says, when it may be believed, and how it is written so that a crash leaves the old one or the
//! new one whole.

use super::options::{lock_path, next_path};
use super::rows::Progress;
use super::track::Reached;
use crate::nats::identity::StreamFacts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

const VERSION: u32 = 1;
/// A checkpoint has a few hundred bytes.
const FILE_MAX: u64 = 1 << 20;

/// What the file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// The stream.
    pub stream: String,
    /// When it was created, nanoseconds since the Unix epoch.
    pub stream_created: i64,
    /// The options that shape the plan, as they are written on the command line.
    pub options: BTreeMap<String, String>,
    /// Length of the input, bytes.
    pub input_bytes: u64,
    /// How far the input was read.
    pub input: Progress,
    /// How far the plan was published.
    pub plan: Reached,
    /// Whether the whole plan was.
    pub done: bool,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// It cannot be read or written.
    #[error(
        "the checkpoint {} cannot be {what}: {error}. Name a place for it with --checkpoint, or do without one with --no-checkpoint (then a run that \
         is stopped cannot be gone on with)",
        path.display()
    )]
    File {
        /// Where.
        path: PathBuf,
        /// Read, written or locked.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
    /// It holds something else.
    #[error("{} is no checkpoint of this program: {detail}. Name another file with --checkpoint, or begin anew with --fresh", path.display())]
    Unreadable {
        /// Where.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
    /// Another run works with it.
    #[error("another run is using the checkpoint {}: wait until it has ended, or give this one a checkpoint of its own with --checkpoint", path.display())]
    InUse {
        /// Where.
        path: PathBuf,
    },
    /// It was made with other options.
    #[error(
        "the checkpoint {} was made with other options ({differences}): events would be numbered or ordered differently. Use the same options, or begin \
         anew with --fresh",
        path.display()
    )]
    Options {
        /// Where.
        path: PathBuf,
        /// Which, in both forms.
        differences: String,
    },
    /// The input has another length and the plan is not in the input's order.
    #[error(
        "the input has {found} bytes and had {known} when the checkpoint {} was made: with --shuffle-window or --duplicate another input is another \
         plan, which cannot go on from there. Publish what is new as an input of its own (its entities go on only with --sequence), or put the input \
         back as it was",
        path.display()
    )]
    Length {
        /// Where.
        path: PathBuf,
        /// Length now.
        found: u64,
        /// Length then.
        known: u64,
    },
    /// Another stream.
    #[error("the checkpoint {} belongs to stream {known}, not to {found}: name another file with --checkpoint", path.display())]
    OtherStream {
        /// Where.
        path: PathBuf,
        /// Its stream.
        known: String,
        /// The stream now.
        found: String,
    },
    /// The stream is not the one it was.
    #[error(
        "stream {stream} was deleted and created again, or restored to an older state, since the checkpoint {} was made: what was published may be gone. \
         To publish the whole input again, add --fresh",
        path.display()
    )]
    Recreated {
        /// Where.
        path: PathBuf,
        /// The stream.
        stream: String,
    },
    /// The stream cannot tell what it got.
    #[error(
        "stream {stream} no longer holds everything above message {mark} (retention, limits or a purge), so it cannot tell which of the events behind \
         event {confirmed} it got before the last run ended. To publish the whole input again, wait until {} have passed since that run (the broker \
         remembers message ids so long, also those of messages that are gone), then add --fresh --append: the host drops what it has seen, by number",
        humantime::format_duration(Duration::from_millis(*window_ms))
    )]
    Trimmed {
        /// The stream.
        stream: String,
        /// From where on it should be whole.
        mark: u64,
        /// Events that are certain.
        confirmed: u64,
        /// How long the stream remembers message ids, ms.
        window_ms: u64,
    },
}

impl Checkpoint {
    /// A checkpoint of a run that has just begun.
    #[must_use]
    pub fn new(facts: &StreamFacts, options: BTreeMap<String, String>, input_bytes: u64) -> Self {
        Self {
            version: VERSION,
            stream: facts.name.clone(),
            stream_created: facts.created_nanos,
            options,
            input_bytes,
            input: Progress::default(),
            plan: Reached { confirmed: 0, sent_below: 0, mark: facts.last_sequence },
            done: false,
        }
    }

    /// Whether a run with these options over an input of this length goes on from here. `in_order`: the plan is in the input's order, so that
    /// what is added to the input is added to the plan.
    ///
    /// # Errors
    /// Why not.
    pub fn check_input(&self, path: &Path, options: &BTreeMap<String, String>, bytes: u64, in_order: bool) -> Result<(), CheckpointError> {
        let path = || path.to_owned();
        let differences = differences(&self.options, options);
        if !differences.is_empty() {
            return Err(CheckpointError::Options { path: path(), differences });
        }
        if !in_order && self.input_bytes != bytes {
            return Err(CheckpointError::Length { path: path(), found: bytes, known: self.input_bytes });
        }
        Ok(())
    }

    /// Whether the stream is the one that it was made with.
    ///
    /// # Errors
    /// It is not.
    pub fn check_stream(&self, path: &Path, facts: &StreamFacts) -> Result<(), CheckpointError> {
        let path = || path.to_owned();
        if self.stream != facts.name {
            return Err(CheckpointError::OtherStream { path: path(), known: self.stream.clone(), found: facts.name.clone() });
        }
        if self.stream_created != facts.created_nanos || facts.last_sequence < self.plan.mark {
            return Err(CheckpointError::Recreated { path: path(), stream: facts.name.clone() });
        }
        Ok(())
    }

    /// Why a stream that cannot tell what it got stops this run.
    #[must_use]
    pub fn trimmed(&self, facts: &StreamFacts) -> CheckpointError {
        let (mark, confirmed) = (self.plan.mark, self.plan.confirmed);
        CheckpointError::Trimmed { stream: self.stream.clone(), mark, confirmed, window_ms: facts.duplicate_window_ms }
    }
}

/// Each option that is not the same in both.
fn differences(known: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> String {
    let mut all = Vec::new();
    let text = |value: Option<&String>| value.map_or_else(|| "not given".to_owned(), |value| format!("{value:?}"));
    let mut names: Vec<_> = known.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (then, here) = (known.get(name), now.get(name));
        if then != here {
            all.push(format!("{name}: {} then, {} now", text(then), text(here)));
        }
    }
    all.join("; ")
}

/// A checkpoint's file, locked against other runs.
#[derive(Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    _lock: File,
}

impl CheckpointFile {
    /// Takes the file for this run alone, until dropped. The lock is a file of its own (`<path>.lock`), which stays.
    ///
    /// # Errors
    /// Another run has it, or it cannot be locked.
    pub fn lock(path: &Path) -> Result<Self, CheckpointError> {
        let failed = |error| CheckpointError::File { path: path.to_owned(), what: "locked", error };
        let lock = OpenOptions::new().create(true).append(true).open(lock_path(path)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(CheckpointError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it says; `None` when there is none yet.
    ///
    /// # Errors
    /// It cannot be read, or is something else.
    pub fn load(&self) -> Result<Option<Checkpoint>, CheckpointError> {
        let unreadable = |detail: String| CheckpointError::Unreadable { path: self.path.clone(), detail };
        let failed = |error| CheckpointError::File { path: self.path.clone(), what: "read", error };
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
            Ok(found) if found.len() > FILE_MAX => return Err(unreadable("it is too large".to_owned())),
            Ok(_) => {}
        }
        let bytes = fs::read(&self.path).map_err(failed)?;
        let checkpoint: Checkpoint = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        match checkpoint.version {
            VERSION => Ok(Some(checkpoint)),
            other => Err(unreadable(format!("it has version {other}, this program reads version {VERSION}"))),
        }
    }

    /// Writes it: durable, and whole at every moment.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.write(checkpoint).map_err(|error| CheckpointError::File { path: self.path.clone(), what: "written", error })
    }

    fn write(&self, checkpoint: &Checkpoint) -> io::Result<()> {
        let next = next_path(&self.path);
        let mut file = File::create(&next)?;
        let mut text = serde_json::to_vec_pretty(checkpoint)?;
        text.push(b'\n');
        file.write_all(&text)?;
        file.sync_all()?;
        fs::rename(&next, &self.path)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::identity::{Discard, Retention};

    fn facts() -> StreamFacts {
        StreamFacts {
            name: "FLIGHTS".into(),
            created_nanos: 5,
            first_sequence: 1,
            last_sequence: 9,
            messages: 9,
            subjects: vec!["flights.>".into()],
            retention: Retention::Limits,
            max_msgs_per_subject: 0,
            discard: Discard::Old,
            duplicate_window_ms: 0,
            max_message_size: 0,
            max_age_ms: 0,
            max_bytes: 0,
            replicas: 1,
            sealed: false,
            server_time_ms: 0,
        }
    }

    fn options(entity: &str) -> BTreeMap<String, String> {
        [("--entity".to_owned(), entity.to_owned())].into()
    }

    #[test]
    fn it_is_read_as_it_was_written_and_only_by_one_run() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv.checkpoint");
        let file = CheckpointFile::lock(&path).unwrap();
        assert!(matches!(CheckpointFile::lock(&path), Err(CheckpointError::InUse { .. })));
        assert_eq!(file.load().unwrap(), None);
        let mut checkpoint = Checkpoint::new(&facts(), options("tail"), 77);
        checkpoint.input.hash(b"row");
        for confirmed in [1, 2] {
            checkpoint.plan.confirmed = confirmed;
            file.save(&checkpoint).unwrap();
            assert_eq!(file.load().unwrap().as_ref(), Some(&checkpoint));
        }
        drop(file);
        let file = CheckpointFile::lock(&path).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("\"version\": 1", "\"version\": 2")).unwrap();
        assert!(file.load().unwrap_err().to_string().contains("version 2"));
        fs::write(&path, "a,b\n").unwrap();
        assert!(file.load().unwrap_err().to_string().contains("no checkpoint of this program"));
    }

    #[test]
    fn other_options_another_length_and_another_stream_are_refused() {
        let path = Path::new("c");
        let checkpoint = Checkpoint::new(&facts(), options("tail"), 77);
        checkpoint.check_input(path, &options("tail"), 90, true).unwrap();
        assert!(matches!(checkpoint.check_input(path, &options("tail"), 90, false), Err(CheckpointError::Length { .. })));
        checkpoint.check_input(path, &options("tail"), 77, false).unwrap();
        let mut now = options("plane");
        now.insert("--epoch".into(), "2".into());
        let text = checkpoint.check_input(path, &now, 77, true).unwrap_err().to_string();
        assert!(text.contains("--entity: \"tail\" then, \"plane\" now; --epoch: not given then, \"2\" now"), "{text}");

        checkpoint.check_stream(path, &facts()).unwrap();
        let refused = |facts: StreamFacts| checkpoint.check_stream(path, &facts).unwrap_err();
        assert!(matches!(refused(StreamFacts { name: "B".into(), ..facts() }), CheckpointError::OtherStream { .. }));
        assert!(matches!(refused(StreamFacts { created_nanos: 6, ..facts() }), CheckpointError::Recreated { .. }));
        assert!(matches!(refused(StreamFacts { last_sequence: 8, ..facts() }), CheckpointError::Recreated { .. }));
    }
}
