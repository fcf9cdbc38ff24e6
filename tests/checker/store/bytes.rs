//! The bytes of one value: a version byte, then MessagePack (a handler's state: its own bytes).

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fmt;

/// The version of every value but of some that tell more.
const VERSION: u8 = 1;

/// A place in an entity's order: epoch, then sequence.
pub type Spot = (u64, u64);

/// One entry of the ring of recent events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// The generation it was written under.
    pub generation: u64,
    /// Size of the ring it was written into.
    pub ring: u32,
    /// Running number, from 1.
    pub count: u64,
    /// The entity's position after this commit.
    pub position: Spot,
    /// Every message of the entity below this stream sequence had been decided.
    pub done_below: u64,
    /// The event's own place.
    pub place: Spot,
    /// Hash of its id; 0 = none.
    pub id: u64,
    /// Hash of its payload.
    pub payload: u64,
}

/// Sequences of one epoch that were given up, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Epoch.
    pub epoch: u64,
    /// First sequence.
    pub first: u64,
    /// Last sequence.
    pub last: u64,
}

/// What changes rarely in an entity's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extras {
    pub(super) generation: u64,
    pub(super) position: Option<Spot>,
    pub(super) done_below: u64,
    pub(super) floor: Spot,
    pub(super) floor_through: u64,
    pub(super) past: Vec<Spot>,
    pub(super) given_up: Vec<GivenUp>,
    pub(super) fates: Vec<u64>,
    pub(super) lost: Vec<(u64, u64)>,
}

/// Why an entity waits.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A gap.
    Gap,
    /// An attempt failed.
    Retry,
    /// More arrived than memory may hold.
    Overflow,
    /// It works off what is left.
    Resuming,
    /// An output cannot be published now.
    OutputUnavailable,
    /// An output was refused for good.
    OutputUndeliverable,
    /// Every attempt of an event failed; the reason that a dead letter would have.
    Failed(String),
    /// An operator parked it.
    Operator,
    /// Its record could not be read.
    Record,
    /// No room for another given-up range.
    RangesFull,
    /// The pipeline's handlers were not called (since version 2).
    Breaker,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gap => "gap",
            Self::Retry => "retry",
            Self::Overflow => "overflow",
            Self::Resuming => "resuming",
            Self::OutputUnavailable => "output-unavailable",
            Self::OutputUndeliverable => "output-undeliverable",
            Self::Failed(reason) => return write!(f, "failed ({reason})"),
            Self::Operator => "operator",
            Self::Record => "record",
            Self::RangesFull => "ranges-full",
            Self::Breaker => "breaker",
        })
    }
}

/// When a waiting entity goes on by itself, milliseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Alarm {
    /// On the host's clock.
    Host(u64),
    /// In stream time.
    Stream(u64),
}

/// The tries of one event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Its stream sequence.
    pub stream_sequence: u64,
    /// How often it failed.
    pub count: u32,
}

/// The one durable form of "cannot go on now".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// The generation it was written under.
    pub generation: u64,
    /// Everything of the entity at or above this stream sequence may still be to do.
    pub from: u64,
    /// Why.
    pub reason: Reason,
    /// Tries of the event at the head.
    pub attempts: Attempts,
    /// `None` = parked.
    pub alarm: Option<Alarm>,
    /// Host time since when.
    pub since: u64,
}

/// What was known of the output stream when an outbox entry was committed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its name; empty = unknown.
    pub stream: String,
    /// When it was created, nanoseconds since the Unix epoch.
    pub created: i64,
    /// Its last sequence.
    pub last_sequence: u64,
    /// The broker's clock at the commit, milliseconds.
    pub sent_after: u64,
}

/// A committed output or dead letter without a durable confirmation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxEntry {
    /// Its place in line.
    pub number: u64,
    /// Its subject.
    pub subject: String,
    /// Its headers, `Nats-Msg-Id` aside.
    pub headers: Vec<(String, String)>,
    /// Its payload.
    pub payload: Vec<u8>,
    /// `Nats-Msg-Id`.
    pub message_id: String,
    /// From where a search for it starts.
    pub mark: Mark,
    /// A dead letter.
    pub dead: bool,
    /// The handler's name, or the dead letter's reason.
    pub cause: String,
}

/// How far a pipeline is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) watermark: u64,
    pub(super) highest: u64,
    pub(super) highest_time: u64,
    pub(super) stream_time: u64,
}

/// The rest that is known of a pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) generation: u64,
    pub(super) subjects: Vec<String>,
    pub(super) stream: String,
    pub(super) created: i64,
    pub(super) generations: Vec<(u64, u64)>,
    pub(super) gone: Vec<(u64, u64, u64)>,
    pub(super) forgotten: bool,
}

/// What follows the version byte.
pub(super) fn body(bytes: &[u8]) -> Result<&[u8]> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((version, _)) => bail!("version {version}, only {VERSION} is known"),
        None => bail!("an empty value"),
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    parsed(body(bytes)?)
}

fn parsed<T: DeserializeOwned>(mut rest: &[u8]) -> Result<T> {
    let value = rmp_serde::from_read(&mut rest).context("not the MessagePack it should be")?;
    ensure!(rest.is_empty(), "{} bytes too many", rest.len());
    Ok(value)
}

pub(super) fn slot(bytes: &[u8]) -> Result<Slot> {
    let (generation, ring, count, position, done_below, place, id, payload) = read(bytes)?;
    Ok(Slot { generation, ring, count, position, done_below, place, id, payload })
}

/// The component that handled the entity's last event; in which version it keeps the state, and what that was before, is nothing the judge judges.
pub(super) fn component(bytes: &[u8]) -> Result<String> {
    let (component, _, _): (String, u32, Option<serde::de::IgnoredAny>) = read(bytes)?;
    Ok(component)
}

type ExtrasBytes = (u64, Option<Spot>, u64, Spot, u64, Vec<Spot>, Vec<(Spot, u64)>, Vec<u64>);

/// With what was named as lost, and what was decided below lower floors, which says nothing about what the judge judges.
type LostBytes = (ExtrasBytes, Vec<(u64, u64)>, Vec<(Spot, u64)>);

/// What was applied last, and which dead letters were redriven, say nothing about what the judge judges.
type RedrivenBytes = (LostBytes, Option<(Option<Spot>, u64)>, Vec<(u64, u64)>, u64);

/// When it was seen last says nothing about what the judge judges, either.
type SeenBytes = (RedrivenBytes, u64);

pub(super) fn extras(bytes: &[u8]) -> Result<Extras> {
    let (known, lost, _floors): LostBytes = match bytes.split_first() {
        Some((2, rest)) => parsed(rest)?,
        Some((3, rest)) => parsed::<RedrivenBytes>(rest)?.0,
        Some((4, rest)) => parsed::<SeenBytes>(rest)?.0.0,
        _ => (read(bytes)?, Vec::new(), Vec::new()),
    };
    let (generation, position, done_below, floor, floor_through, past, ranges, fates) = known;
    let given_up = ranges.into_iter().map(|((epoch, first), last)| GivenUp { epoch, first, last }).collect();
    Ok(Extras { generation, position, done_below, floor, floor_through, past, given_up, fates, lost })
}

pub(super) fn waiting(bytes: &[u8]) -> Result<Waiting> {
    // Version 2 is the same with a reason that version 1 did not know.
    let (generation, from, reason, (stream_sequence, count), alarm, since) = match bytes.split_first() {
        Some((2, rest)) => parsed(rest)?,
        _ => read(bytes)?,
    };
    Ok(Waiting { generation, from, reason, attempts: Attempts { stream_sequence, count }, alarm, since })
}

type OutboxBytes = (u64, String, Vec<(String, String)>, serde_bytes::ByteBuf, String, (String, i64, u64, u64), bool, String);

pub(super) fn outbox(bytes: &[u8]) -> Result<OutboxEntry> {
    let (number, subject, headers, payload, message_id, (stream, created, last_sequence, sent_after), dead, cause): OutboxBytes =
        read(bytes)?;
    let mark = Mark { stream, created, last_sequence, sent_after };
    Ok(OutboxEntry { number, subject, headers, payload: payload.into_vec(), message_id, mark, dead, cause })
}

pub(super) fn progress(bytes: &[u8]) -> Result<Progress> {
    let (watermark, highest, highest_time, stream_time) = read(bytes)?;
    Ok(Progress { watermark, highest, highest_time, stream_time })
}

type MeaningBytes = (Vec<String>, String, String, Option<String>, String, String, String);
type RecordBytes = (u64, MeaningBytes, (String, i64), Vec<(u64, u64)>, bool, Vec<(u64, u64, u64)>);

pub(super) fn record(bytes: &[u8]) -> Result<Record> {
    let (generation, (subjects, ..), (stream, created), generations, forgotten, gone): RecordBytes = match bytes.split_first() {
        // With since when it is noted when entities are seen.
        Some((2, rest)) => parsed::<(RecordBytes, u64)>(rest)?.0,
        _ => read(bytes)?,
    };
    Ok(Record { generation, subjects, stream, created, generations, gone, forgotten })
}

/// Store id, run number, created at.
pub(super) fn store(bytes: &[u8]) -> Result<(String, u64, u64)> {
    read(bytes)
}
