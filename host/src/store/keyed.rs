//! A store over four sorted keyspaces with atomic batches: everything that a store does but the disk itself. The embedded store's disk is an engine
//! (`embedded.rs`); a simulation brings one that loses what was not synced.

use super::keys::{self, About, Part, Prefix};
use super::layout::{Parts, Space, Write, Writes};
use super::record::{Dated, Fault, StoreRecord, Value};
use super::types::{Batch, Identity, Loaded, OutboxEntry, Owed, PipelineRecord, Progress, Unseen};
use super::{Error, Store};
use crate::event::EntityKey;
use seriatim_sequencer::{Extras, Millis, Waiting};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Why a disk did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DiskFault {
    /// It does not answer: concerns the host.
    Engine(String),
    /// What it holds is not what was written: concerns the entities in it.
    Damaged(String),
}

/// What [`Disk::scan`] calls for each key and value; false ends the scan.
pub type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> Result<bool, Error>;

/// So many writes a change is, about: a slot, a value of state and an output.
const WRITES_OF_A_CHANGE: usize = 3;

/// From where to where a scan goes. A sorted disk that marks what was removed walks over all such marks until it finds a key or the end of the range: whoever
/// knows the end says so.
pub type Range<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// Four sorted keyspaces. Reads go through a view, which shows whole batches only.
pub trait Disk: Send + Sync + 'static {
    /// A moment.
    type View;

    /// As it is now.
    fn view(&self) -> Self::View;

    /// One value.
    ///
    /// # Errors
    /// See [`DiskFault`].
    fn get(&self, view: &Self::View, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, DiskFault>;

    /// Keys and values of the range, in order, while `each` wants more. A fault of the disk goes through `fault`.
    ///
    /// # Errors
    /// Those of `each` and of `fault`.
    fn scan(
        &self,
        view: &Self::View,
        space: Space,
        range: Range<'_>,
        fault: &dyn Fn(&DiskFault) -> Error,
        each: Each<'_>,
    ) -> Result<(), Error>;

    /// All of them or none; synced when it returns. Each key at most once, in order.
    ///
    /// # Errors
    /// Whether it was written is not known then.
    fn write(&self, writes: Vec<Write>) -> Result<(), DiskFault>;

    /// The error of a store that does not hold what a store must hold.
    fn damaged(&self, what: String) -> Error;
}

/// See the module.
pub struct Keyed<D> {
    pub(super) disk: D,
    identity: Mutex<StoreRecord>,
    pub(super) broken: OnceLock<String>,
}

impl<D: Disk> Keyed<D> {
    /// The store on this disk.
    ///
    /// # Errors
    /// It does not say which store it is.
    pub(super) fn on(disk: D) -> Result<Self, Error> {
        let bytes = disk.get(&disk.view(), Space::Meta, keys::STORE).map_err(|fault| engine_fault("read the store's identity", &fault))?;
        let bytes = bytes.ok_or_else(|| disk.damaged("it does not say which store it is".into()))?;
        let identity = StoreRecord::decode(&bytes).map_err(|what| disk.damaged(what))?;
        Ok(Self { disk, identity: Mutex::new(identity), broken: OnceLock::new() })
    }

    /// A store on a simulation's disk, which becomes store `store_id` if it is empty.
    ///
    /// # Errors
    /// As for any other store.
    #[cfg(feature = "simulation")]
    pub fn simulated(disk: D, store_id: &str) -> Result<Self, Error> {
        let known = disk.get(&disk.view(), Space::Meta, keys::STORE).map_err(|fault| engine_fault("read the store's identity", &fault))?;
        if known.is_none() {
            let record = StoreRecord { store_id: store_id.to_owned(), run: 0, created: 0 };
            let first = vec![(Space::Meta, keys::STORE.to_vec(), Some(record.encode()))];
            disk.write(first).map_err(|fault| engine_fault("write the new store", &fault))?;
        }
        Self::on(disk)
    }

    fn write(&self, writes: Writes) -> Result<(), Error> {
        if let Some(reason) = self.broken.get() {
            return Err(Error::Poisoned { reason: reason.clone() });
        }
        self.disk.write(writes.settled()).map_err(|fault| {
            // Whether it is on the disk is not known: only a restart, which reads what is there, may go on.
            let error = engine_fault("commit", &fault);
            self.broken.set(error.to_string()).ok();
            error
        })
    }

    /// Everything that begins with `prefix`.
    fn prefixed(
        &self,
        view: &D::View,
        space: Space,
        prefix: &[u8],
        fault: &dyn Fn(&DiskFault) -> Error,
        each: Each<'_>,
    ) -> Result<(), Error> {
        self.within(view, space, Bound::Included(prefix), prefix, fault, each)
    }

    /// What begins with `prefix`, from a key on.
    fn within(
        &self,
        view: &D::View,
        space: Space,
        from: Bound<&[u8]>,
        prefix: &[u8],
        fault: &dyn Fn(&DiskFault) -> Error,
        each: Each<'_>,
    ) -> Result<(), Error> {
        let end = keys::behind(prefix);
        self.disk.scan(view, space, (from, end.as_ref().map(Vec::as_slice)), fault, each)
    }

    fn read_waiting(&self, view: &D::View, prefix: &Prefix, key: &EntityKey) -> Result<Option<Dated<Waiting>>, Error> {
        let bytes = self.disk.get(view, Space::Records, &prefix.waiting()).map_err(|fault| read_fault(key, &fault))?;
        bytes.map(|bytes| Dated::decode(&bytes)).transpose().map_err(|what| unreadable(key, what))
    }

    /// Removes what makes an entity's record grow: slots and state.
    fn erase(&self, key: &EntityKey, writes: &mut Writes) -> Result<(), Error> {
        let prefix = Prefix::new(key)?;
        let mut written = Vec::new();
        let view = self.disk.view();
        self.prefixed(&view, Space::Records, prefix.bytes(), &|fault| engine_fault("read what is to be erased", fault), &mut |at, _| {
            written.push(at.to_vec());
            Ok(true)
        })?;
        writes.erase(&prefix, written);
        Ok(())
    }

    /// Where each generation of the pipeline began; empty when that cannot be read.
    fn generations(&self, view: &D::View, pipeline: &str) -> Vec<(u64, u64)> {
        let key = keys::pipeline(pipeline, About::Record).ok();
        let bytes = key.and_then(|key| self.disk.get(view, Space::Meta, &key).ok().flatten());
        bytes.and_then(|bytes| PipelineRecord::decode(&bytes).ok()).map_or_else(Vec::new, |record| record.generations)
    }

    /// The next entity of a pipeline from a key on, and whether it goes: it has state or ids, does not wait, and was not seen after `before`.
    fn next_unseen(&self, view: &D::View, all: &[u8], from: &[u8], before: Millis) -> Result<Option<(String, bool)>, Error> {
        let mut found: Option<(Prefix, EntityKey)> = None;
        let (mut goes, mut seen) = (false, 0);
        let fault = |fault: &DiskFault| engine_fault("look for entities that were not seen", fault);
        self.within(view, Space::Records, Bound::Included(from), all, &fault, &mut |at, value| {
            let Some(rest) = at.strip_prefix(all) else { return Ok(false) };
            let (prefix, _) = match &found {
                Some(known) if !at.starts_with(known.0.bytes()) => return Ok(false),
                Some(known) => known,
                None => {
                    let entity = keys::entity_of(rest).ok_or_else(|| self.disk.damaged("an entity's name is not text".into()))?;
                    let pipeline = all.get(1..).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
                    let key = EntityKey { pipeline: pipeline.into(), entity: entity.into() };
                    found.insert((Prefix::new(&key)?, key))
                }
            };
            match prefix.part(at) {
                // A record that cannot be read stays as it is: its entity parks when it is loaded.
                Some(Part::Extras) => match Dated::<Extras>::decode(value) {
                    Ok(extras) => seen = extras.value.seen,
                    Err(_) => return Ok(false),
                },
                Some(Part::Slot | Part::State { .. } | Part::Stamp { .. }) => {
                    goes = seen <= before;
                    return Ok(false);
                }
                Some(Part::Waiting) | None => return Ok(false),
            }
            Ok(true)
        })?;
        let Some((_, key)) = found else { return Ok(None) };
        // Whoever waits has ended the scan above.
        let sends = goes && self.sends(view, &key)?;
        Ok(Some((key.entity.to_string(), goes && !sends)))
    }

    /// The first entity of a pipeline, from a key on, that has something in its outbox.
    fn next_sending(&self, view: &D::View, all: &[u8], from: &[u8]) -> Result<Option<String>, Error> {
        let mut found = None;
        let fault = |fault: &DiskFault| engine_fault("look for entities with outputs", fault);
        self.within(view, Space::Outbox, Bound::Included(from), all, &fault, &mut |at, _| {
            let entity = at.strip_prefix(all).and_then(keys::entity_of);
            found = Some(entity.ok_or_else(|| self.disk.damaged("an entity's name is not text".into()))?.to_owned());
            Ok(false)
        })?;
        Ok(found)
    }

    /// The index says that it waits.
    fn waits(&self, view: &D::View, key: &EntityKey) -> Result<bool, Error> {
        let owing = keys::owing(&key.pipeline, &key.entity)?;
        Ok(self.disk.get(view, Space::Owing, &owing).map_err(|fault| read_fault(key, &fault))?.is_some())
    }

    /// There is something in its outbox.
    fn sends(&self, view: &D::View, key: &EntityKey) -> Result<bool, Error> {
        let mut sends = false;
        self.prefixed(view, Space::Outbox, Prefix::new(key)?.bytes(), &|fault| read_fault(key, fault), &mut |_, _| {
            sends = true;
            Ok(false)
        })?;
        Ok(sends)
    }

    fn owed(&self, view: &D::View, key: &EntityKey) -> Result<Owed, Error> {
        let prefix = Prefix::new(key)?;
        // Unreadable: it is listed, so that it is loaded, so that it parks and is seen.
        let waiting = match self.read_waiting(view, &prefix, key) {
            Err(Error::Record { .. }) => None,
            other => other?,
        };
        let alarm = waiting.and_then(|waiting| waiting.value.alarm);
        Ok(Owed { entity: key.entity.to_string(), alarm, outbox: self.sends(view, key)? })
    }
}

impl<D: Disk> Store for Keyed<D> {
    fn load(&self, key: &EntityKey) -> Result<Loaded, Error> {
        let prefix = Prefix::new(key)?;
        let view = self.disk.view();
        let fault = |fault: &DiskFault| read_fault(key, fault);
        let mut parts = Parts::default();
        self.prefixed(&view, Space::Records, prefix.bytes(), &fault, &mut |at, value| {
            parts.add(&prefix, at, value).map_err(|what| unreadable(key, what)).map(|()| true)
        })?;
        let mut loaded = parts.finish(|| self.generations(&view, &key.pipeline));
        self.prefixed(&view, Space::Outbox, prefix.bytes(), &fault, &mut |at, value| {
            let entry = OutboxEntry::decode(value).map_err(|what| unreadable(key, what))?;
            if prefix.number(at) != Some(entry.number) {
                return Err(unreadable(key, format!("its outbox entry {} lies in another one's place", entry.number)));
            }
            loaded.outbox.push(entry);
            Ok(true)
        })?;
        Ok(loaded)
    }

    fn load_waiting(&self, key: &EntityKey) -> Result<Option<Waiting>, Error> {
        Ok(self.read_waiting(&self.disk.view(), &Prefix::new(key)?, key)?.map(|waiting| waiting.value))
    }

    fn commit(&self, batch: &Batch) -> Result<(), Error> {
        let mut writes =
            Writes::with_capacity(batch.changes.len().saturating_mul(WRITES_OF_A_CHANGE).saturating_add(batch.confirmed.len()));
        // First: should one of the changes bring an entry of the same number, it must stay.
        for confirmed in &batch.confirmed {
            writes.confirmed(confirmed)?;
        }
        for change in &batch.changes {
            if change.erases {
                self.erase(&change.key, &mut writes)?;
            }
            writes.change(change)?;
        }
        for (name, record) in &batch.records {
            writes.put(Space::Meta, keys::pipeline(name, About::Record)?, record.encode());
            writes.put(Space::Meta, keys::pipeline(name, About::Progress)?, record.progress.encode());
        }
        for (name, progress) in &batch.pipelines {
            writes.put(Space::Meta, keys::pipeline(name, About::Progress)?, progress.encode());
        }
        self.write(writes)
    }

    fn owing(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<Owed>, Error> {
        let prefix = keys::owing(pipeline, "")?;
        let after = after.map(|entity| keys::owing(pipeline, entity)).transpose()?;
        let start = after.as_deref().map_or(Bound::Included(prefix.as_slice()), Bound::Excluded);
        let name: std::sync::Arc<str> = pipeline.into();
        let view = self.disk.view();
        let mut owed = Vec::new();
        let fault = |fault: &DiskFault| engine_fault("read the index of entities that wait", fault);
        self.within(&view, Space::Owing, start, &prefix, &fault, &mut |at, _| {
            let Some(entity) = at.strip_prefix(prefix.as_slice()).filter(|_| owed.len() < max) else { return Ok(false) };
            let entity = std::str::from_utf8(entity)
                .map_err(|error| self.disk.damaged(format!("an entity's name in the owing index is not text: {error}")))?;
            owed.push(self.owed(&view, &EntityKey { pipeline: name.clone(), entity: entity.into() })?);
            Ok(true)
        })?;
        Ok(owed)
    }

    fn sending(&self, pipeline: &str, after: Option<&str>, max: usize) -> Result<Vec<String>, Error> {
        let (all, first) = keys::entities(pipeline)?;
        let key = |entity: &str| EntityKey { pipeline: pipeline.into(), entity: entity.into() };
        let next = |entity: &str| Prefix::new(&key(entity)).map(|prefix| keys::next(prefix.bytes()));
        let mut from = after.map_or(Ok(Some(first)), next)?;
        let view = self.disk.view();
        let mut page = Vec::new();
        while let Some(start) = from.filter(|_| page.len() < max) {
            let Some(entity) = self.next_sending(&view, &all, &start)? else { break };
            from = next(&entity)?;
            if !self.waits(&view, &key(&entity))? {
                page.push(entity);
            }
        }
        Ok(page)
    }

    fn unseen(&self, pipeline: &str, after: Option<&str>, max: usize, before: Millis) -> Result<Unseen, Error> {
        let (all, first) = keys::entities(pipeline)?;
        let end = |entity: &str| Prefix::new(&EntityKey { pipeline: pipeline.into(), entity: entity.into() }).map(|prefix| prefix.end());
        let mut from = after.map_or(Ok(first), end)?;
        let view = self.disk.view();
        let mut page = Unseen::default();
        for _ in 0..max {
            let Some((entity, goes)) = self.next_unseen(&view, &all, &from, before)? else { break };
            from = end(&entity)?;
            if goes {
                page.entities.push(entity.clone());
            }
            page.last = Some(entity);
        }
        Ok(page)
    }

    fn pipelines(&self) -> Result<Vec<(String, PipelineRecord)>, Error> {
        let mut found: BTreeMap<String, (Option<PipelineRecord>, Option<Progress>)> = BTreeMap::new();
        let fault = |fault: &DiskFault| engine_fault("read what is known of the pipelines", fault);
        self.prefixed(&self.disk.view(), Space::Meta, keys::PIPELINES, &fault, &mut |at, value| {
            let (name, about) =
                keys::pipeline_of(at).ok_or_else(|| self.disk.damaged("it has a pipeline with an unknown kind of record".into()))?;
            let fault = |what: Fault| Error::record(name, "", what);
            let entry = found.entry(name.into()).or_default();
            match about {
                About::Record => entry.0 = Some(PipelineRecord::decode(value).map_err(fault)?),
                About::Progress => entry.1 = Some(Progress::decode(value).map_err(fault)?),
            }
            Ok(true)
        })?;
        let complete = |(name, (record, progress)): (String, (Option<PipelineRecord>, Option<Progress>))| match (record, progress) {
            (Some(record), Some(progress)) => Ok((name, PipelineRecord { progress, ..record })),
            (None, _) => Err(Error::record(&name, "", "its meaning is missing")),
            (_, None) => Err(Error::record(&name, "", "its watermark is missing")),
        };
        found.into_iter().map(complete).collect()
    }

    fn identity(&self) -> Identity {
        let identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        Identity { store_id: identity.store_id.clone(), run: identity.run }
    }

    fn raise_run(&self) -> Result<u64, Error> {
        let mut identity = self.identity.lock().unwrap_or_else(PoisonError::into_inner);
        let raised = StoreRecord { run: identity.run + 1, ..identity.clone() };
        let mut writes = Writes::default();
        writes.put(Space::Meta, keys::STORE.to_vec(), raised.encode());
        self.write(writes)?;
        *identity = raised;
        Ok(identity.run)
    }
}

fn unreadable(key: &EntityKey, what: Fault) -> Error {
    Error::record(&key.pipeline, &key.entity, what)
}

fn engine_fault(doing: &'static str, fault: &DiskFault) -> Error {
    let (DiskFault::Engine(reason) | DiskFault::Damaged(reason)) = fault;
    Error::Engine { doing, reason: reason.clone() }
}

/// A block that is not what was written concerns the entities in it; a disk that does not answer concerns the host.
fn read_fault(key: &EntityKey, fault: &DiskFault) -> Error {
    match fault {
        DiskFault::Engine(_) => engine_fault("read a record", fault),
        DiskFault::Damaged(reason) => unreadable(key, reason.clone()),
    }
}
