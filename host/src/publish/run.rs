//! A run from its beginning to its end: finds the stream, decides with the checkpoint where to begin, and lets a [`Session`] work.

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::error::Error;
use super::options::{Options, Source};
use super::plan::Plan;
use super::resume::{Resumed, resume};
use super::session::{Keeping, Session, Work, on_thread, signalled};
use super::summary::{Ending, Summary};
use super::track::{Reached, Track};
use crate::nats::connect::Connection;
use crate::nats::identity::StreamFacts;
use crate::nats::raw;
use crate::producer::{self, Producer};
use crate::progress::View;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// With nothing confirmed for this long, a run ends; what it had confirmed stands in the checkpoint.
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be known to be wrong before the broker is asked: no file is used for two things, the input is there, can be read again if it must, and
/// its header has the columns that the options name.
///
/// # Errors
/// What is wrong.
pub fn check(options: &Options) -> Result<(), Error> {
    options.check_files()?;
    let Source::File(path) = &options.source else { return Ok(()) };
    match options.is_file()? {
        true => options.plan_to_look_at(&options.open()?).map(drop),
        false if options.checkpoint.is_some() => Err(Error::NotAFile(path.clone())),
        false => Ok(()),
    }
}

/// Publishes the plan, as far as it is not in the stream already. `stop` counts signals: the first ends the handing over, the second the waiting
/// for what is in flight.
pub async fn run(connection: &Connection, options: &Options, stop: watch::Receiver<u32>, view: &mut View) -> (Summary, Result<(), Error>) {
    let began = Instant::now();
    let mut summary = Summary::new();
    let ended = publish(connection, options, stop, view, &mut summary).await;
    view.end();
    match ended {
        Ok(ending) => (summary.ended(ending, began), Ok(())),
        Err(error) => (summary.ended(Ending::Failed, began), Err(error)),
    }
}

/// What the preparation of a run comes to.
enum Prepared {
    /// There is nothing to do: all of the plan is published, as the checkpoint says.
    Nothing {
        checkpoint: Checkpoint,
        unfinished: Option<u64>,
    },
    Begin {
        work: Box<Work>,
        plan: Box<Plan>,
        bytes: Option<u64>,
    },
}

async fn publish(
    connection: &Connection,
    options: &Options,
    mut stop: watch::Receiver<u32>,
    view: &mut View,
    summary: &mut Summary,
) -> Result<Ending, Error> {
    let prepared = tokio::select! {
        biased;
        () = signalled(&mut stop, 1) => return Ok(Ending::Stopped),
        prepared = prepare(connection, options, view) => prepared?,
    };
    match prepared {
        Prepared::Nothing { checkpoint, unfinished } => {
            (summary.already_there, summary.bad_rows) = (checkpoint.plan.confirmed, checkpoint.input.bad);
            summary.unfinished_line = unfinished;
            Ok(if unfinished.is_some() { Ending::Unfinished } else { Ending::NothingToDo })
        }
        Prepared::Begin { work, plan, bytes } => {
            view.begin(bytes);
            let mut session = Session::new(*work, options, view, stop);
            let ended = session.run(*plan).await;
            *summary = session.summary;
            ended
        }
    }
}

/// Everything before the first event is sent. Changes nothing, so it can be given up anywhere.
async fn prepare(connection: &Connection, options: &Options, view: &View) -> Result<Prepared, Error> {
    let opened = {
        let options = options.clone();
        Arc::new(on_thread(move || options.open()).await??)
    };
    let bytes = opened.bytes();
    let facts = find_stream(connection, options).await?;
    let fresh = Reached { confirmed: 0, sent_below: 0, mark: facts.last_sequence };
    let (mut keeping, mut reached, mut found) = (None, None, HashSet::new());
    if let Some(path) = &options.checkpoint {
        let file = Arc::new(CheckpointFile::lock(path)?);
        let length = bytes.unwrap_or(0);
        let checkpoint = match load(&file, path, options, length)? {
            Some(mut known) => {
                view.say(&format!("going on from {}: {} publications are confirmed", path.display(), known.plan.confirmed));
                match resume(connection, options, &opened, &file, &known, &facts, PATIENCE).await? {
                    Resumed::GoOn(ids) => found = ids,
                    Resumed::Nothing { unfinished } => return Ok(Prepared::Nothing { checkpoint: known, unfinished }),
                }
                reached = Some(known.plan);
                known.input_bytes = length;
                known
            }
            None => Checkpoint::new(&facts, options.given.clone(), length),
        };
        keeping = Some(Keeping { file, checkpoint });
    }
    if reached.is_none() {
        check_history(connection, options, &facts).await?;
    }
    if keeping.is_some() && !facts.keeps_everything() {
        view.say(&format!(
            "stream {} may lose messages by its limits (retention, messages per subject): a run that is killed can be gone on with only if the stream \
             still has what it got",
            facts.name
        ));
    }
    let start = producer::Options { stream: Some(facts.name.clone()), window: options.window, patience: PATIENCE };
    let producer = Producer::start(connection.clone(), start).await.map_err(Error::Broker)?;
    let expected = keeping.as_ref().map(|keeping| keeping.checkpoint.input).unwrap_or_default();
    let plan = {
        let options = options.clone();
        on_thread(move || options.plan(&opened)).await??.expecting(expected)
    };
    let track = Track::new(reached.unwrap_or(fresh), facts.last_sequence);
    let work = Work { connection: connection.clone(), producer, beginning: facts, track, keeping, found };
    Ok(Prepared::Begin { work: Box::new(work), plan: Box::new(plan), bytes })
}

/// The checkpoint that this run goes on from, if there is one.
fn load(file: &CheckpointFile, path: &Path, options: &Options, bytes: u64) -> Result<Option<Checkpoint>, Error> {
    if options.fresh {
        return Ok(None);
    }
    let known = file.load()?;
    if let Some(known) = &known {
        known.check_input(path, &options.given, bytes, options.shape.disorder.is_none())?;
    }
    Ok(known)
}

/// The one stream that takes the subjects.
async fn find_stream(connection: &Connection, options: &Options) -> Result<StreamFacts, Error> {
    let pattern = options.shape.mapping.subject.pattern();
    let name = match &options.stream {
        Some(name) => name.clone(),
        None => producer::only_stream(connection, &pattern, PATIENCE).await.map_err(|error| match error {
            producer::Error::NoStream { subject } => Error::NoStream { pattern: subject },
            producer::Error::SeveralStreams { subjects, names } => Error::SeveralStreams { pattern: subjects, names },
            error => Error::Broker(error),
        })?,
    };
    let facts = producer::stream_facts(connection, &name, PATIENCE).await.map_err(Error::Broker)?;
    if !facts.subjects.iter().any(|subject| seriatim_contract::overlap(subject, &pattern)) {
        return Err(Error::OtherSubjects { pattern, stream: name });
    }
    Ok(facts)
}

/// Counting from 1 is wrong where the stream has, or had, events of the same entities under the same epoch.
async fn check_history(connection: &Connection, options: &Options, facts: &StreamFacts) -> Result<(), Error> {
    if options.append || options.shape.mapping.sequence.is_some() || facts.last_sequence == 0 {
        return Ok(());
    }
    let pattern = options.shape.mapping.subject.pattern();
    let stream = facts.name.clone();
    let ask = || async { raw::last_of_subject(&connection.client(), &facts.name, &pattern).await };
    let last = producer::of_stream(connection, &facts.name, PATIENCE, ask).await.map_err(Error::Broker)?;
    let epoch_of = |found: &raw::RawMessage| found.message.header("Seriatim-Epoch").and_then(|epoch| epoch.parse().ok()).unwrap_or(0_u64);
    let epoch = options.shape.mapping.epoch.unwrap_or(0);
    match last.as_ref().map(epoch_of) {
        Some(there) if there >= epoch => Err(Error::Occupied { pattern, stream, epoch: there.saturating_add(1) }),
        // Whatever has left the stream had a lower epoch.
        Some(_) => Ok(()),
        None if epoch > 0 || facts.absence_proves(0) => Ok(()),
        None => Err(Error::HistoryGone { pattern, stream }),
    }
}
