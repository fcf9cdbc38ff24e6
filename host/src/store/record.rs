//! The bytes of every value in a store: a version byte, then MessagePack (a handler's state: its own bytes as they are). Pure.
//!
//! Every version ever written stays readable: its fixture in `tests/fixtures/records-v<N>.hex` is frozen. A value of a newer version is refused by
//! name. The shapes here are deliberately not the core's own types: changing those must not change what is on disk.

use super::types::{Mark, Meaning, OutboxEntry, PipelineRecord, Prior, Progress, Stamp, StreamIdentity};
use bytes::Bytes;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use seriatim_sequencer::{Alarm, Attempts, DeadReason, Extras, Place, Range, Slot, Unapplied, WaitReason, Waiting};
use std::borrow::Cow;
use std::sync::Arc;

/// The version of every value but those that say otherwise.
pub(crate) const VERSION: u8 = 1;

/// Why a value cannot be read; goes into [`super::Error::Record`].
pub(crate) type Fault = String;

/// A part of an entity's record with the generation it was written under: stream sequences in it belong to that generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dated<T> {
    pub(crate) generation: u64,
    pub(crate) value: T,
}

/// A slot, and the size of the ring it was written into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RingSlot {
    pub(crate) slot: Slot,
    pub(crate) ring: u32,
}

/// The store's own record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoreRecord {
    pub(crate) store_id: String,
    pub(crate) run: u64,
    /// When it was made, milliseconds since the Unix epoch; for people.
    pub(crate) created: u64,
}

/// A type with a place of its own on disk.
pub(crate) trait Value: Sized {
    /// For messages.
    const WHAT: &'static str;
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Result<Self, Fault>;
}

fn write<T: Serialize>(wire: &T) -> Vec<u8> {
    write_as(VERSION, wire)
}

fn write_as<T: Serialize>(version: u8, wire: &T) -> Vec<u8> {
    write_in(Vec::with_capacity(64), version, wire)
}

/// Into an empty vector that has room for it, about.
fn write_in<T: Serialize>(mut bytes: Vec<u8>, version: u8, wire: &T) -> Vec<u8> {
    bytes.push(version);
    // Writing tuples, numbers and strings into memory has no way to fail; what it wrote is checked when read.
    rmp_serde::encode::write(&mut bytes, wire).ok();
    bytes
}

fn body<'a>(what: &str, version: u8, bytes: &'a [u8]) -> Result<&'a [u8], Fault> {
    match bytes.split_first() {
        Some((&found, rest)) if found == version => Ok(rest),
        Some((&found, _)) if found > version => {
            Err(format!("its {what} has version {found}, this seriatim reads up to version {version}: run the newer version that wrote it"))
        }
        Some((found, _)) => Err(format!("its {what} has the unknown version {found}")),
        None => Err(format!("its {what} is empty")),
    }
}

fn read<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, Fault> {
    read_as(what, VERSION, bytes)
}

fn read_as<T: DeserializeOwned>(what: &str, version: u8, bytes: &[u8]) -> Result<T, Fault> {
    let mut reader = body(what, version, bytes)?;
    let value = rmp_serde::decode::from_read(&mut reader).map_err(|error| format!("its {what}: {error}"))?;
    if reader.is_empty() { Ok(value) } else { Err(format!("its {what} is followed by {} bytes that do not belong there", reader.len())) }
}

type PlaceV1 = (u64, u64);

const fn place(place: Place) -> PlaceV1 {
    (place.epoch, place.sequence)
}

const fn unplace((epoch, sequence): PlaceV1) -> Place {
    Place { epoch, sequence }
}

/// generation, ring, count, position, done below, place, id, payload
type SlotV1 = (u64, u32, u64, PlaceV1, u64, PlaceV1, u64, u64);

impl Value for Dated<RingSlot> {
    const WHAT: &'static str = "slot";

    fn encode(&self) -> Vec<u8> {
        let RingSlot { slot, ring } = self.value;
        let wire: SlotV1 =
            (self.generation, ring, slot.count, place(slot.position), slot.done_below, place(slot.place), slot.id, slot.payload);
        write(&wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (generation, ring, count, position, done_below, at, id, payload): SlotV1 = read(Self::WHAT, bytes)?;
        let slot = Slot { count, position: unplace(position), done_below, place: unplace(at), id, payload };
        Ok(Self { generation, value: RingSlot { slot, ring } })
    }
}

/// generation, position, done below, floor, floor through, past epochs' last positions, given up (first, last), fates
type ExtrasV1 = (u64, Option<PlaceV1>, u64, PlaceV1, u64, Vec<PlaceV1>, Vec<(PlaceV1, u64)>, Vec<u64>);

/// load, component, version, state, written
type PriorV1<'a> = (u64, Cow<'a, str>, u32, Vec<(Cow<'a, str>, Cow<'a, serde_bytes::Bytes>)>, bool);

/// component, version, the state from before
type StampV1<'a> = (Cow<'a, str>, u32, Option<PriorV1<'a>>);

impl Value for Stamp {
    const WHAT: &'static str = "note of which component handled it";

    fn encode(&self) -> Vec<u8> {
        let prior = self.prior.as_ref().map(|prior| -> PriorV1<'_> {
            let state = prior.state.iter().map(|(key, value)| (Cow::from(key), Cow::Borrowed(serde_bytes::Bytes::new(value)))).collect();
            (prior.load, Cow::from(&*prior.component), prior.version, state, prior.written)
        });
        let wire: StampV1<'_> = (Cow::from(&*self.component), self.version, prior);
        write(&wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (component, version, prior): StampV1<'static> = read(Self::WHAT, bytes)?;
        let prior = prior.map(|(load, component, version, state, written)| {
            let state = state.into_iter().map(|(key, value)| (key.into_owned(), Bytes::copy_from_slice(&value))).collect();
            Arc::new(Prior { load, component: component.into(), version, state, written })
        });
        Ok(Self { component: component.into(), version, prior })
    }
}

/// What was named as lost (first, last), lower floors; written only where there is any, so that an older version reads all that it can.
type ExtrasV2 = (ExtrasV1, Vec<(u64, u64)>, Vec<(PlaceV1, u64)>);

/// (applied through, count); redriven (dead letter, its event), forgotten up to. Written only where there is any.
type ExtrasV3 = (ExtrasV2, Option<(Option<PlaceV1>, u64)>, Vec<(u64, u64)>, u64);

/// Not seen after. Written only where that was noted.
type ExtrasV4 = (ExtrasV3, u64);

impl Value for Dated<Extras> {
    const WHAT: &'static str = "list of what was given up";

    fn encode(&self) -> Vec<u8> {
        let extras = &self.value;
        let given_up = extras.given_up.iter().map(|range| (place(range.first), range.last)).collect();
        let wire: ExtrasV1 = (
            self.generation,
            extras.position.map(place),
            extras.done_below,
            place(extras.floor),
            extras.floor_through,
            extras.past.iter().copied().map(place).collect(),
            given_up,
            extras.fates.clone(),
        );
        let floors = extras.floors.iter().map(|(at, through)| (place(*at), *through)).collect();
        let wire: ExtrasV2 = (wire, extras.lost.clone(), floors);
        let redriven = extras.unapplied.is_some() || !extras.redriven.is_empty() || extras.redriven_forgotten > 0;
        if !redriven && extras.seen == 0 {
            return if extras.lost.is_empty() && extras.floors.is_empty() { write(&wire.0) } else { write_as(2, &wire) };
        }
        let unapplied = extras.unapplied.map(|unapplied| (unapplied.through.map(place), unapplied.count));
        let wire: ExtrasV3 = (wire, unapplied, extras.redriven.clone(), extras.redriven_forgotten);
        if extras.seen == 0 {
            return write_as(3, &wire);
        }
        let wire: ExtrasV4 = (wire, extras.seen);
        write_as(4, &wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (wire, seen): ExtrasV4 = match bytes.first() {
            Some(&VERSION) => (((read(Self::WHAT, bytes)?, Vec::new(), Vec::new()), None, Vec::new(), 0), 0),
            Some(&2) => ((read_as(Self::WHAT, 2, bytes)?, None, Vec::new(), 0), 0),
            Some(&3) => (read_as(Self::WHAT, 3, bytes)?, 0),
            _ => read_as(Self::WHAT, 4, bytes)?,
        };
        let ((wire, lost, floors), unapplied, redriven, redriven_forgotten) = wire;
        let unapplied = unapplied.map(|(through, count)| Unapplied { through: through.map(unplace), count });
        let (generation, position, done_below, floor, floor_through, past, given_up, fates) = wire;
        let past = past.into_iter().map(unplace).collect();
        let given_up = given_up.into_iter().map(|(first, last)| Range { first: unplace(first), last }).collect();
        let value = Extras {
            position: position.map(unplace),
            done_below,
            floor: unplace(floor),
            floor_through,
            past,
            given_up,
            fates,
            lost,
            floors: floors.into_iter().map(|(at, through)| (unplace(at), through)).collect(),
            unapplied,
            redriven,
            redriven_forgotten,
            seen,
        };
        Ok(Self { generation, value })
    }
}

/// generation, from, reason, (attempts' stream sequence, count), alarm, since. Version 2 is the same, for the reason `breaker`, which older versions do
/// not know: they refuse it by name.
type WaitingV1 = (u64, u64, WaitReason, (u64, u32), Option<Alarm>, u64);

impl Value for Dated<Waiting> {
    const WHAT: &'static str = "waiting";

    fn encode(&self) -> Vec<u8> {
        let waiting = &self.value;
        let attempts = (waiting.attempts.stream_sequence, waiting.attempts.count);
        let wire: WaitingV1 = (self.generation, waiting.from, waiting.reason, attempts, waiting.alarm, waiting.since);
        let later = matches!(waiting.reason, WaitReason::Breaker | WaitReason::Failed(DeadReason::Migration));
        write_as(if later { 2 } else { VERSION }, &wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let version = if bytes.first() == Some(&VERSION) { VERSION } else { 2 };
        let (generation, from, reason, (stream_sequence, count), alarm, since): WaitingV1 = read_as(Self::WHAT, version, bytes)?;
        Ok(Self { generation, value: Waiting { from, reason, attempts: Attempts { stream_sequence, count }, alarm, since } })
    }
}

/// stream, created, last sequence, sent after
type MarkV1 = (String, i64, u64, u64);
/// number, subject, headers, payload, message id, mark, dead, cause
#[derive(Deserialize)]
struct OutboxV1(u64, String, Vec<(Cow<'static, str>, String)>, serde_bytes::ByteBuf, String, MarkV1, bool, String);
#[derive(Serialize)]
struct OutboxRefV1<'a>(
    u64,
    &'a str,
    &'a [(Cow<'static, str>, String)],
    &'a serde_bytes::Bytes,
    &'a str,
    (&'a str, i64, u64, u64),
    bool,
    &'a str,
);

impl Value for OutboxEntry {
    const WHAT: &'static str = "outbox";

    fn encode(&self) -> Vec<u8> {
        write_in(
            Vec::with_capacity(self.size()),
            VERSION,
            &OutboxRefV1(
                self.number,
                &self.subject,
                &self.headers,
                serde_bytes::Bytes::new(&self.payload),
                &self.message_id,
                (&self.mark.stream, self.mark.created, self.mark.last_sequence, self.mark.sent_after),
                self.dead,
                &self.cause,
            ),
        )
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let OutboxV1(number, subject, headers, payload, message_id, (stream, created, last_sequence, sent_after), dead, cause) =
            read(Self::WHAT, bytes)?;
        let mark = Mark { stream, created, last_sequence, sent_after };
        Ok(Self { number, subject, headers, payload: payload.into_vec().into(), message_id, mark, dead, cause })
    }
}

/// A handler's value is its own; only the version byte is ours.
impl Value for Bytes {
    const WHAT: &'static str = "handler state";

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() + 1);
        bytes.push(VERSION);
        bytes.extend_from_slice(self);
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        body(Self::WHAT, VERSION, bytes).map(Self::copy_from_slice)
    }
}

/// watermark, highest, its time, stream time
type ProgressV1 = (u64, u64, u64, u64);

impl Value for Progress {
    const WHAT: &'static str = "watermark";

    fn encode(&self) -> Vec<u8> {
        let wire: ProgressV1 = (self.watermark, self.highest, self.highest_time, self.stream_time);
        write(&wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (watermark, highest, highest_time, stream_time): ProgressV1 = read(Self::WHAT, bytes)?;
        Ok(Self { watermark, highest, highest_time, stream_time })
    }
}

/// subjects, entity, sequence, epoch, by, first sequence, stream
type MeaningV1 = (Vec<String>, String, String, Option<String>, String, String, String);
/// generation, meaning, (stream name, created), generations (generation, from)
type PipelineV1 = (u64, MeaningV1, (String, i64), Vec<(u64, u64)>, bool, Vec<(u64, u64, u64)>);

/// Since when it is noted when entities are seen. Written only where it is.
type PipelineV2 = (PipelineV1, u64);

/// Without the progress, which is a value of its own.
impl Value for PipelineRecord {
    const WHAT: &'static str = "meaning";

    fn encode(&self) -> Vec<u8> {
        let meaning = self.meaning.clone();
        let meaning: MeaningV1 =
            (meaning.subjects, meaning.entity, meaning.sequence, meaning.epoch, meaning.by, meaning.first_sequence, meaning.stream);
        let wire: PipelineV1 = (
            self.generation,
            meaning,
            (self.stream.name.clone(), self.stream.created),
            self.generations.clone(),
            self.forgotten,
            self.gone.clone(),
        );
        match self.noted_since {
            None => write(&wire),
            Some(since) => {
                let wire: PipelineV2 = (wire, since);
                write_as(2, &wire)
            }
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (wire, noted_since) = match bytes.first() {
            Some(&VERSION) => (read(Self::WHAT, bytes)?, None),
            _ => {
                let (wire, since): PipelineV2 = read_as(Self::WHAT, 2, bytes)?;
                (wire, Some(since))
            }
        };
        let (generation, meaning, (name, created), generations, forgotten, gone): PipelineV1 = wire;
        let (subjects, entity, sequence, epoch, by, first_sequence, stream) = meaning;
        let meaning = Meaning { subjects, entity, sequence, epoch, by, first_sequence, stream };
        Ok(Self {
            generation,
            progress: Progress::default(),
            meaning,
            stream: StreamIdentity { name, created },
            generations,
            forgotten,
            gone,
            noted_since,
        })
    }
}

/// store id, run, created
type StoreV1 = (String, u64, u64);

impl Value for StoreRecord {
    const WHAT: &'static str = "identity";

    fn encode(&self) -> Vec<u8> {
        let wire: StoreV1 = (self.store_id.clone(), self.run, self.created);
        write(&wire)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        let (store_id, run, created): StoreV1 = read(Self::WHAT, bytes)?;
        Ok(Self { store_id, run, created })
    }
}

#[cfg(test)]
mod tests;
