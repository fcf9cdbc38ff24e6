//! Going on where an earlier run ended: is the input the same, is the stream, and which of the items that may have been sent are there?

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::error::Error;
use super::options::Options;
use super::plan::{Changed, PlanError};
use crate::nats::connect::Connection;
use crate::nats::identity::StreamFacts;
use crate::producer::{self, message_id};
use std::collections::HashSet;
use std::time::Duration;

/// What the input holds behind the items that are certain.
struct Ahead {
    /// Ids of the items that an earlier run may have sent: [`super::track::AHEAD_MAX`] and its window at most.
    ids: HashSet<String>,
    /// Whether anything is left to do.
    left: bool,
}

/// The ids of items that are in the stream already, or `None` when the whole plan is. `facts` are the stream's as this run found them.
pub(super) async fn found(
    connection: &Connection,
    options: &Options,
    file: &CheckpointFile,
    checkpoint: &Checkpoint,
    facts: &StreamFacts,
    patience: Duration,
) -> Result<Option<HashSet<String>>, Error> {
    checkpoint.check_stream(file.path(), facts)?;
    let ahead = {
        let (options, checkpoint) = (options.clone(), checkpoint.clone());
        tokio::task::spawn_blocking(move || look_ahead(&options, &checkpoint)).await.map_err(|error| Error::Reader(error.to_string()))??
    };
    if checkpoint.done && !ahead.left {
        return Ok(None);
    }
    let mut found = HashSet::new();
    if ahead.ids.is_empty() {
        return Ok(Some(found));
    }
    let note = |id: &str, _| {
        if ahead.ids.contains(id) {
            found.insert(id.to_owned());
        }
    };
    let tail = producer::tail(connection, &facts.name, checkpoint.plan.mark, patience, note).await.map_err(Error::Broker)?;
    checkpoint.check_stream(file.path(), &tail.stream)?;
    if !tail.absence_proves && found.len() < ahead.ids.len() {
        return Err(checkpoint.trimmed().into());
    }
    Ok(Some(found))
}

/// Makes the plan again, as far as an earlier run can have come, and makes sure that the input is the one it was.
fn look_ahead(options: &Options, checkpoint: &Checkpoint) -> Result<Ahead, Error> {
    let reached = &checkpoint.plan;
    let mut plan = options.plan_to_look_at()?.expecting(checkpoint.input);
    let mut ids = HashSet::new();
    let mut index = 0;
    loop {
        if index > reached.confirmed.max(reached.sent_below) && plan.is_verified() {
            return Ok(Ahead { ids, left: true });
        }
        match plan.next_item() {
            Ok(Some(item)) => {
                if (reached.confirmed..reached.sent_below).contains(&index) {
                    ids.insert(message_id(&item.into_event()));
                }
                index += 1;
            }
            Ok(None) if index < reached.confirmed => {
                let changed = Changed::Rows { file: options.file(), rows: checkpoint.input.rows };
                return Err(PlanError::Changed(changed).into());
            }
            Ok(None) => {
                let left = index > reached.confirmed || plan.progress().rows > checkpoint.input.rows;
                return Ok(Ahead { ids, left });
            }
            // The run itself will come there, behind what is good.
            Err(PlanError::Bad(_)) if plan.is_verified() && index >= reached.confirmed => return Ok(Ahead { ids, left: true }),
            Err(error) => return Err(error.into()),
        }
    }
}
