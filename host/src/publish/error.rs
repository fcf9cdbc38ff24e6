//! Why a run cannot begin, or ended before its plan did.

use super::checkpoint::CheckpointError;
use super::plan::PlanError;
use crate::producer;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// See the variants.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The input, or a row of it.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The input cannot be opened.
    #[error("{}: cannot be opened: {error}", path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The input can be read once only.
    #[error("{} is not a file that can be read again, so a run cannot be resumed: add --no-checkpoint", .0.display())]
    NotAFile(PathBuf),
    /// What would be written is another file that is needed.
    #[error("{first} and {second} are one file ({}): name another", path.display())]
    SameFile {
        /// What it is.
        first: &'static str,
        /// What it is, too.
        second: &'static str,
        /// Which.
        path: PathBuf,
    },
    /// The checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The report of bad rows cannot be made.
    #[error("the report {} cannot be written: {error}", path.display())]
    Report {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The broker, or a stream.
    #[error("{0}")]
    Broker(producer::Error),
    /// No stream for these subjects.
    #[error("no stream takes subjects {pattern}: create one that does, or correct --subject")]
    NoStream {
        /// The pattern of all subjects.
        pattern: String,
    },
    /// Several.
    #[error("subjects {pattern} lie in several streams ({names}): say with --stream which one is meant")]
    SeveralStreams {
        /// The pattern of all subjects.
        pattern: String,
        /// The streams.
        names: String,
    },
    /// The named one takes others.
    #[error("stream {stream} takes no subjects {pattern}: correct --subject or --stream")]
    OtherSubjects {
        /// The pattern of all subjects.
        pattern: String,
        /// The stream.
        stream: String,
    },
    /// Events would be numbered from 1 where there are events.
    #[error(
        "stream {stream} already has messages under {pattern}, and numbers would be counted from 1: for an entity that has events there, they would be \
         taken for repetitions of its first ones. If all entities of this input are new to the stream, add --append; else number the rows in a field \
         and name it with --sequence, or begin anew under a higher epoch with --epoch {epoch}"
    )]
    Occupied {
        /// The pattern of all subjects.
        pattern: String,
        /// The stream.
        stream: String,
        /// Lowest epoch that is free.
        epoch: u64,
    },
    /// Events would be numbered from 1 where there may have been events.
    #[error(
        "stream {stream} has no messages under {pattern}, but messages of it are gone (retention, limits or a purge), and numbers would be counted from \
         1: for an entity that had events there, they would be taken for repetitions of its first ones. If all entities of this input are new to the \
         stream, add --append; else number the rows in a field and name it with --sequence, or begin anew under a higher epoch with --epoch"
    )]
    HistoryGone {
        /// The pattern of all subjects.
        pattern: String,
        /// The stream.
        stream: String,
    },
    /// The broker takes an event for a repetition of one that the stream has no more.
    #[error(
        "{file}:{line}: stream {stream} did not take this event, because the broker still remembers its id: it was message {sequence}, which was removed \
         (a purge or the stream's limits). Run the command again, without --fresh, when {} have passed since it was published first; or number all \
         of the input anew with --fresh and a higher --epoch",
        humantime::format_duration(*window)
    )]
    Removed {
        /// The input.
        file: String,
        /// The event's line.
        line: u64,
        /// The stream.
        stream: String,
        /// Where the event was.
        sequence: u64,
        /// How long the stream remembers message ids.
        window: Duration,
    },
    /// An event was not taken.
    #[error("{file}:{line}: {error}")]
    Event {
        /// The input.
        file: String,
        /// The event's line.
        line: u64,
        /// Why not.
        error: producer::Error,
    },
    /// A thread cannot be started, or ended by a fault of this program.
    #[error("reading the input failed: {0}")]
    Reader(String),
}

impl Error {
    /// The process's exit code.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Plan(PlanError::NoColumn { .. }) | Self::NotAFile(_) | Self::SameFile { .. } => 2,
            _ => 1,
        }
    }
}
