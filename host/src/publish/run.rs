//! A run from its beginning to its end: finds the stream, decides with the checkpoint where to begin, and lets a [`Session`] work.

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::error::Error;
use super::options::Options;
use super::resume;
use super::session::{Keeping, Parts, Session};
use super::summary::{Ending, Summary, View};
use super::track::{Reached, Track};
use crate::nats::api;
use crate::nats::connect::Connection;
use crate::nats::identity::StreamFacts;
use crate::nats::raw;
use crate::producer::{self, Producer};
use serde::Deserialize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// With nothing confirmed for this long, a run ends; what it had confirmed stands in the checkpoint.
const PATIENCE: Duration = Duration::from_secs(120);

/// What can be known to be wrong before the broker is asked: the input is there, can be read again if it must, and its header has the columns
/// that the options name.
///
/// # Errors
/// What is wrong.
pub fn check(options: &Options) -> Result<(), Error> {
    let Some(path) = (match &options.source {
        super::options::Source::Stdin => None,
        super::options::Source::File(path) => Some(path),
    }) else {
        return Ok(());
    };
    match options.input_bytes()? {
        Some(_) => options.plan_to_look_at().map(drop),
        None if options.checkpoint.is_some() => Err(Error::NotAFile(path.clone())),
        None => Ok(()),
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

async fn publish(
    connection: &Connection,
    options: &Options,
    stop: watch::Receiver<u32>,
    view: &mut View,
    summary: &mut Summary,
) -> Result<Ending, Error> {
    let bytes = options.input_bytes()?;
    let facts = find_stream(connection, options).await?;
    let mut keeping = None;
    let mut found = HashSet::new();
    let mut reached = None;
    if let Some(path) = &options.checkpoint {
        let file = Arc::new(CheckpointFile::lock(path)?);
        let length = bytes.unwrap_or(0);
        let checkpoint = match file.load() {
            Ok(Some(known)) if !options.fresh => {
                known.check_input(path, &options.given, length, options.shape.disorder.is_none())?;
                view.say(&format!("going on from {}: {} publications are confirmed", path.display(), known.plan.confirmed));
                match resume::found(connection, options, &file, &known, &facts, PATIENCE).await? {
                    Some(ids) => found = ids,
                    None => {
                        (summary.already_there, summary.bad_rows) = (known.plan.confirmed, known.input.bad);
                        return Ok(Ending::NothingToDo);
                    }
                }
                reached = Some(known.plan);
                let mut checkpoint = known;
                checkpoint.input_bytes = length;
                checkpoint
            }
            Err(error) if !options.fresh => return Err(error.into()),
            _ => Checkpoint::new(&facts, options.given.clone(), length),
        };
        keeping = Some(Keeping { file, checkpoint });
    }
    let track = match reached {
        Some(reached) => Track::new(reached, facts.last_sequence),
        None => {
            check_history(connection, options, &facts).await?;
            Track::new(Reached { confirmed: 0, sent_below: 0, mark: facts.last_sequence }, facts.last_sequence)
        }
    };
    if keeping.is_some() && !facts.keeps_everything() {
        view.say(&format!(
            "stream {} may lose messages by its limits (retention, messages per subject): a run that is killed can be gone on with only if the stream \
             still has what it got",
            facts.name
        ));
    }
    let start = producer::Options { stream: Some(facts.name.clone()), window: options.window, patience: PATIENCE };
    let producer = Producer::start(connection.clone(), start).await.map_err(Error::Broker)?;
    let plan = options.plan()?;
    view.begin(bytes);
    let mut session = Session::new(Parts { producer, options, track, keeping, found, view, stop });
    let ended = session.run(plan).await;
    *summary = session.summary;
    ended
}

/// The one stream that takes the subjects.
async fn find_stream(connection: &Connection, options: &Options) -> Result<StreamFacts, Error> {
    #[derive(Deserialize)]
    struct Names {
        #[serde(default)]
        streams: Option<Vec<String>>,
    }
    let pattern = options.shape.mapping.subject.pattern();
    let names: Names = api::call(&connection.client(), "STREAM.NAMES", &serde_json::json!({ "subject": pattern })).await?;
    let names = names.streams.unwrap_or_default();
    let name = match (&options.stream, names.as_slice()) {
        (Some(stream), names) if names.contains(stream) => stream,
        (Some(stream), _) => {
            // Told apart: a stream that does not exist is said so.
            producer::stream_facts(connection, stream, PATIENCE).await.map_err(Error::Broker)?;
            return Err(Error::OtherSubjects { pattern, stream: stream.clone() });
        }
        (None, [name]) => name,
        (None, []) => return Err(Error::NoStream { pattern }),
        (None, _) => return Err(Error::SeveralStreams { pattern, names: names.join(", ") }),
    };
    producer::stream_facts(connection, name, PATIENCE).await.map_err(Error::Broker)
}

/// Counting from 1 is wrong where the stream may have events of the same entities.
async fn check_history(connection: &Connection, options: &Options, facts: &StreamFacts) -> Result<(), Error> {
    if options.append || options.shape.mapping.sequence.is_some() {
        return Ok(());
    }
    let pattern = options.shape.mapping.subject.pattern();
    match raw::next_message(&connection.client(), &facts.name, std::slice::from_ref(&pattern), 1).await? {
        Some(_) => Err(Error::Occupied { pattern, stream: facts.name.clone() }),
        None => Ok(()),
    }
}
