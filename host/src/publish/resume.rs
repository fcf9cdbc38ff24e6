//! Going on where an earlier run ended: is the input the same, is the stream, and which of the items that may have been sent are there?

use super::checkpoint::{Checkpoint, CheckpointFile};
use super::error::Error;
use super::options::{Opened, Options};
use super::plan::{Changed, PlanError};
use super::session::on_thread;
use crate::nats::connect::Connection;
use crate::nats::identity::StreamFacts;
use crate::producer::{self, message_id, numbered_place};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// What there is to do.
pub(super) enum Resumed {
    /// To publish the plan from where it is confirmed, but for these ids: the stream has them.
    GoOn(HashSet<String>),
    /// Nothing: the whole plan is published. A last row without a line end, if there is one on this line, is not in the plan.
    Nothing { unfinished: Option<u64> },
}

/// What the input holds behind the items that are certain.
struct Ahead {
    /// Items that an earlier run may have sent, by number and copy: [`super::track::AHEAD_MAX`] and its window at most.
    items: HashMap<String, Sendable>,
    /// Whether anything is left to do.
    left: bool,
    unfinished: Option<u64>,
}

struct Sendable {
    id: String,
    line: u64,
}

/// Finds out where to go on. `facts` are the stream's as this run found them.
pub(super) async fn resume(
    connection: &Connection,
    options: &Options,
    input: &Arc<Opened>,
    file: &CheckpointFile,
    checkpoint: &Checkpoint,
    facts: &StreamFacts,
    patience: Duration,
) -> Result<Resumed, Error> {
    checkpoint.check_stream(file.path(), facts)?;
    let ahead = {
        let (options, input, checkpoint) = (options.clone(), Arc::clone(input), checkpoint.clone());
        on_thread(move || look_ahead(&options, &input, &checkpoint)).await??
    };
    if checkpoint.done && !ahead.left {
        return Ok(Resumed::Nothing { unfinished: ahead.unfinished });
    }
    let (mut found, mut others) = (HashSet::new(), HashSet::new());
    if ahead.items.is_empty() {
        return Ok(Resumed::GoOn(found));
    }
    let note = |id: &str, _| {
        let Some((number, item)) = number_and_copy(id).and_then(|number| ahead.items.get_key_value(&number)) else { return };
        if item.id == id {
            found.insert(item.id.clone());
        } else {
            others.insert(number.as_str());
        }
    };
    let tail = producer::tail(connection, &facts.name, checkpoint.plan.mark, patience, note).await.map_err(Error::Broker)?;
    checkpoint.check_stream(file.path(), &tail.stream)?;
    // An event that this input does not have was sent under the number of one that it has: publishing would give the number twice.
    let changed = others.into_iter().filter_map(|number| ahead.items.get(number)).filter(|item| !found.contains(&item.id));
    if let Some(item) = changed.min_by_key(|item| item.line) {
        let place = numbered_place(&item.id).map_or("", |(place, _)| place).to_owned();
        return Err(PlanError::Changed(Changed::Event { file: options.file(), line: item.line, place }).into());
    }
    if !tail.absence_proves && found.len() < ahead.items.len() {
        return Err(checkpoint.trimmed(facts).into());
    }
    Ok(Resumed::GoOn(found))
}

/// What a message id says beside the event's content.
fn number_and_copy(id: &str) -> Option<String> {
    numbered_place(id).map(|(place, copy)| format!("{place}:{copy}"))
}

/// Makes the plan again, as far as an earlier run can have come, and makes sure that the input is the one it was.
fn look_ahead(options: &Options, input: &Opened, checkpoint: &Checkpoint) -> Result<Ahead, Error> {
    let reached = &checkpoint.plan;
    let mut plan = options.plan_to_look_at(input)?.expecting(checkpoint.input);
    let mut items = HashMap::new();
    let mut index = 0;
    loop {
        if index > reached.confirmed.max(reached.sent_below) && plan.is_verified() {
            return Ok(Ahead { items, left: true, unfinished: None });
        }
        match plan.next_item() {
            Ok(Some(item)) => {
                if (reached.confirmed..reached.sent_below).contains(&index) {
                    let line = item.line();
                    let id = message_id(&item.into_event());
                    items.extend(number_and_copy(&id).map(|number| (number, Sendable { id, line })));
                }
                index += 1;
            }
            Ok(None) if index < reached.confirmed => {
                let changed = Changed::Rows { file: options.file(), rows: checkpoint.input.rows };
                return Err(PlanError::Changed(changed).into());
            }
            Ok(None) => {
                let left = index > reached.confirmed || plan.progress().rows > checkpoint.input.rows;
                return Ok(Ahead { items, left, unfinished: plan.unfinished() });
            }
            // The run itself will come there, behind what is good.
            Err(PlanError::Bad(_)) if plan.is_verified() && index >= reached.confirmed => {
                return Ok(Ahead { items, left: true, unfinished: None });
            }
            Err(error) => return Err(error.into()),
        }
    }
}
