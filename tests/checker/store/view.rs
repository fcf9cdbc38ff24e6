//! From keys and values to what a store says: each pipeline, each of its entities.

use super::bytes::{self, Extras, GivenUp, OutboxEntry, Slot, Spot, Waiting};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;

/// The four keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Keyspace {
    /// Everything about entities but their outboxes.
    Records,
    /// Outputs and dead letters on their way.
    Outbox,
    /// The index of entities that owe something.
    Owing,
    /// The store's own record and two per pipeline.
    Meta,
}

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreView {
    /// Who it is.
    pub store_id: String,
    /// Raised at every start.
    pub run: u64,
    /// When it was made, milliseconds since the Unix epoch.
    pub created: u64,
    /// Its pipelines by name.
    pub pipelines: BTreeMap<String, PipelineView>,
}

/// What it holds of one pipeline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PipelineView {
    /// Raised when an operator accepts a changed stream.
    pub generation: u64,
    /// Highest stream sequence up to which every message's fate is durable.
    pub watermark: u64,
    /// Highest message read.
    pub highest: u64,
    /// The broker's timestamp of it, milliseconds.
    pub highest_time: u64,
    /// Stream time, milliseconds.
    pub stream_time: u64,
    /// Subjects that it reads.
    pub subjects: Vec<String>,
    /// The stream that it reads.
    pub stream: String,
    /// When that stream was created, nanoseconds since the Unix epoch.
    pub stream_created: i64,
    /// Every generation with the stream sequence it began at.
    pub generations: Vec<(u64, u64)>,
    /// For each accepted stream its generation, and the first and last stream sequence that went with the one before it.
    pub gone: Vec<(u64, u64, u64)>,
    /// The config no longer has it.
    pub forgotten: bool,
    /// Its entities by name; the empty name is the pipeline's own record.
    pub entities: BTreeMap<String, EntityView>,
}

/// What it holds of one entity. Parts written under an older generation are brought up to the pipeline's: stream sequences that mean other
/// messages now decide nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityView {
    /// The last place that the entity finished; `None` = it has not begun.
    pub position: Option<Spot>,
    /// Every message of the entity below this stream sequence has been decided.
    pub done_below: u64,
    /// At or below this place an unknown id is late.
    pub floor: Spot,
    /// Messages up to this stream sequence had been decided when the floor rose last.
    pub floor_through: u64,
    /// Last positions of earlier epochs.
    pub past: Vec<Spot>,
    /// What was given up.
    pub given_up: Vec<GivenUp>,
    /// Stream sequences whose fate the position does not tell.
    pub fates: Vec<u64>,
    /// Ranges of stream sequences that were named as lost.
    pub lost: Vec<(u64, u64)>,
    /// Recent events, ascending by count.
    pub slots: Vec<Slot>,
    /// `None` = it does not wait.
    pub waiting: Option<Waiting>,
    /// State by handler and key.
    pub state: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
    /// Which component handled its last event, by handler.
    pub components: BTreeMap<String, String>,
    /// Outputs and dead letters on their way, ascending by number.
    pub outbox: Vec<OutboxEntry>,
    /// Whether it stands in the index of those that wait.
    pub owing: bool,
    /// The highest generation that a part of it was written under.
    pub generation: u64,
}

impl EntityView {
    /// Whether a place lies in a range that was given up.
    pub fn gave_up(&self, place: Spot) -> bool {
        let after = self.given_up.partition_point(|range| (range.epoch, range.first) <= place);
        after.checked_sub(1).is_some_and(|at| self.given_up[at].epoch == place.0 && place.1 <= self.given_up[at].last)
    }
}

impl StoreView {
    /// Reads it from raw keys and values, in any order.
    ///
    /// # Errors
    /// A key or a value that is not of the documented format.
    pub fn read(pairs: impl IntoIterator<Item = (Keyspace, Vec<u8>, Vec<u8>)>) -> Result<Self> {
        let mut view = Self::default();
        let mut extras: BTreeMap<(String, String), Extras> = BTreeMap::new();
        for (keyspace, key, value) in pairs {
            let found = match keyspace {
                Keyspace::Meta => view.meta(&key, &value),
                Keyspace::Records => view.records(&key, &value, &mut extras),
                Keyspace::Outbox => view.outbox(&key, &value),
                Keyspace::Owing => view.owing(&key, &value),
            };
            found.with_context(|| format!("{keyspace:?}, key {:?}", String::from_utf8_lossy(&key)))?;
        }
        for ((pipeline, entity), extras) in extras {
            view.entity(&pipeline, &entity).take_extras(extras);
        }
        for pipeline in view.pipelines.values_mut() {
            let generations = std::mem::take(&mut pipeline.generations);
            for entity in pipeline.entities.values_mut() {
                entity.finish(&generations);
            }
            pipeline.generations = generations;
        }
        Ok(view)
    }

    fn pipeline(&mut self, name: &str) -> &mut PipelineView {
        self.pipelines.entry(name.to_owned()).or_default()
    }

    fn entity(&mut self, pipeline: &str, entity: &str) -> &mut EntityView {
        self.pipeline(pipeline).entities.entry(entity.to_owned()).or_default()
    }

    /// `store`, or `p<pipeline>` and `p` (progress) or `r` (record).
    fn meta(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if key == b"store" {
            (self.store_id, self.run, self.created) = bytes::store(value)?;
            return Ok(());
        }
        let rest = key.strip_prefix(b"p").context("an unknown key")?;
        let (name, about) = short(rest)?;
        let pipeline = self.pipeline(name);
        match about {
            b"p" => {
                let progress = bytes::progress(value)?;
                (pipeline.watermark, pipeline.highest) = (progress.watermark, progress.highest);
                (pipeline.highest_time, pipeline.stream_time) = (progress.highest_time, progress.stream_time);
            }
            b"r" => {
                let record = bytes::record(value)?;
                (pipeline.generation, pipeline.subjects, pipeline.stream) = (record.generation, record.subjects, record.stream);
                (pipeline.stream_created, pipeline.generations) = (record.created, record.generations);
                (pipeline.gone, pipeline.forgotten) = (record.gone, record.forgotten);
            }
            other => bail!("an unknown kind {other:?}"),
        }
        Ok(())
    }

    /// `<pipeline><entity><kind>…`
    fn records(&mut self, key: &[u8], value: &[u8], extras: &mut BTreeMap<(String, String), Extras>) -> Result<()> {
        let (pipeline, entity, rest) = prefix(key)?;
        let (kind, rest) = rest.split_first().context("a key without a kind")?;
        let view = self.entity(pipeline, entity);
        match (kind, rest.len()) {
            (1, 0) => view.waiting = Some(bytes::waiting(value)?),
            (2, 0) => {
                extras.insert((pipeline.to_owned(), entity.to_owned()), bytes::extras(value)?);
            }
            (3, 8) => {
                let slot = bytes::slot(value)?;
                let at = u64::from_be_bytes(rest.try_into()?);
                anyhow::ensure!(slot.ring > 0 && slot.count % u64::from(slot.ring) == at, "slot {slot:?} at {at}");
                view.slots.push(slot);
            }
            (4, 1..) => {
                let (handler, key) = short(rest)?;
                let key = std::str::from_utf8(key)?;
                let value = bytes::body(value)?.to_vec();
                view.state.entry(handler.to_owned()).or_default().insert(key.to_owned(), value);
            }
            (5, 1..) => {
                let handler = std::str::from_utf8(rest)?.to_owned();
                view.components.insert(handler, bytes::component(value)?);
            }
            _ => bail!("an unknown kind {kind}"),
        }
        Ok(())
    }

    /// `<pipeline><entity><number>`
    fn outbox(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (pipeline, entity, rest) = prefix(key)?;
        let number = u64::from_be_bytes(rest.try_into().context("not a number")?);
        let entry = bytes::outbox(value)?;
        anyhow::ensure!(entry.number == number, "entry {} under number {number}", entry.number);
        self.entity(pipeline, entity).outbox.push(entry);
        Ok(())
    }

    /// `<pipeline><entity>`, the entity without a length.
    fn owing(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let (pipeline, entity) = short(key)?;
        let entity = std::str::from_utf8(entity)?;
        anyhow::ensure!(bytes::body(value)?.is_empty(), "a value where none belongs");
        self.entity(pipeline, entity).owing = true;
        Ok(())
    }
}

impl EntityView {
    fn take_extras(&mut self, extras: Extras) {
        self.position = extras.position;
        self.done_below = extras.done_below;
        (self.floor, self.floor_through) = (extras.floor, extras.floor_through);
        (self.past, self.given_up) = (extras.past, extras.given_up);
        (self.fates, self.lost) = (extras.fates, extras.lost);
        self.generation = extras.generation;
    }

    /// Puts the parts together: the newest slot tells the position, unless the extras stand above it. `generations` are the pipeline's.
    fn finish(&mut self, generations: &[(u64, u64)]) {
        let since = |older: u64| generations.iter().filter(|(generation, _)| *generation > older).map(|(_, from)| *from).min();
        if let Some(from) = since(self.generation) {
            self.done_below = self.done_below.min(from);
            self.floor_through = self.floor_through.min(from.saturating_sub(1));
            self.fates.retain(|fate| *fate < from);
        }
        self.slots.sort_by_key(|slot| slot.count);
        // What a smaller ring would have overwritten by now is left over from a larger one.
        if let Some((newest, ring)) = self.slots.last().map(|slot| (slot.count, u64::from(slot.ring))) {
            self.slots.retain(|slot| slot.count.saturating_add(ring) > newest);
        }
        for slot in &mut self.slots {
            self.generation = self.generation.max(slot.generation);
            if let Some(from) = since(slot.generation) {
                slot.done_below = slot.done_below.min(from);
            }
        }
        if let Some(newest) = self.slots.last() {
            self.position = self.position.max(Some(newest.position));
            self.done_below = self.done_below.max(newest.done_below);
        }
        if let Some(waiting) = &mut self.waiting {
            self.generation = self.generation.max(waiting.generation);
            if let Some(from) = since(waiting.generation) {
                waiting.from = waiting.from.min(from);
                if waiting.attempts.stream_sequence >= from {
                    waiting.attempts = bytes::Attempts::default();
                }
            }
        }
        self.outbox.sort_by_key(|entry| entry.number);
    }
}

/// A text with its length before it in one byte, and what follows.
fn short(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let (length, rest) = bytes.split_first().context("no length")?;
    let (text, rest) = rest.split_at_checked(usize::from(*length)).context("shorter than it says")?;
    Ok((std::str::from_utf8(text)?, rest))
}

/// Pipeline, and entity with its length before it in two bytes; what follows.
fn prefix(key: &[u8]) -> Result<(&str, &str, &[u8])> {
    let (pipeline, rest) = short(key)?;
    let (length, rest) = rest.split_first_chunk::<2>().context("no length of the entity")?;
    let (entity, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length))).context("shorter than it says")?;
    Ok((pipeline, std::str::from_utf8(entity)?, rest))
}
