//! From changes to keys and values, and from the keys and values of one entity back to what is known of it. Pure: any sorted store could use it.

use super::Error;
use super::keys::{self, Part, Prefix};
use super::record::{Dated, Fault, RingSlot, VERSION, Value};
use super::types::{Change, Confirmed, Loaded, Stamp, renumbered};
use bytes::Bytes;
use seriatim_contract::State;
use seriatim_sequencer::{Extras, Snapshot, Waiting, mutant};
use std::collections::BTreeMap;

/// The four keyspaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Space {
    /// Everything about entities but their outboxes.
    Records,
    /// Outputs and dead letters that are not confirmed.
    Outbox,
    /// Which entities wait, by name.
    Owing,
    /// The store's own record and the pipelines'.
    Meta,
}

/// Where, under which key, which value; `None` removes.
pub type Write = (Space, Vec<u8>, Option<Vec<u8>>);

/// The writes of one commit, in the order in which they were made.
#[derive(Default)]
pub(crate) struct Writes {
    all: Vec<Write>,
}

impl Writes {
    /// For about so many.
    pub(crate) fn with_capacity(writes: usize) -> Self {
        Self { all: Vec::with_capacity(writes) }
    }

    pub(crate) fn put(&mut self, space: Space, key: Vec<u8>, value: Vec<u8>) {
        self.all.push((space, key, Some(value)));
    }

    fn remove(&mut self, space: Space, key: Vec<u8>) {
        self.all.push((space, key, None));
    }

    /// Removes slots, state and stamps of an entity: those on disk (`written`), and those that this commit has written so far.
    pub(crate) fn erase(&mut self, prefix: &Prefix, mut written: Vec<Vec<u8>>) {
        let here = self.all.iter().filter(|(space, key, _)| *space == Space::Records && key.starts_with(prefix.bytes()));
        written.extend(here.map(|(_, key, _)| key.clone()));
        for key in written {
            if matches!(prefix.part(&key), Some(Part::Slot | Part::State { .. } | Part::Stamp { .. })) {
                self.remove(Space::Records, key);
            }
        }
    }

    /// The last write to each key, sorted by key. Within one engine batch all writes are of one age, so two to one key must not meet there;
    /// and neighbours written one after the other cost the engine's sorted memory half of what they cost in any order.
    pub(crate) fn settled(mut self) -> Vec<Write> {
        self.all.reverse();
        self.all.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        self.all.dedup_by(|later, first| (later.0, &later.1) == (first.0, &first.1));
        self.all
    }

    pub(crate) fn confirmed(&mut self, confirmed: &Confirmed) -> Result<(), Error> {
        self.remove(Space::Outbox, Prefix::new(&confirmed.key)?.outbox(confirmed.number));
        Ok(())
    }

    pub(crate) fn change(&mut self, change: &Change) -> Result<(), Error> {
        let prefix = Prefix::new(&change.key)?;
        let generation = change.generation;
        if let Some(slot) = change.patch.slot {
            let ring = change.ring.clamp(1, 1 << 31).next_power_of_two();
            self.put(Space::Records, prefix.slot(slot.count, ring), Dated { generation, value: RingSlot { slot, ring } }.encode());
        }
        if let Some(extras) = &change.patch.extras {
            self.put(Space::Records, prefix.extras(), Dated { generation, value: Extras::clone(extras) }.encode());
        }
        match change.patch.waiting {
            Some(Some(waiting)) => self.put(Space::Records, prefix.waiting(), Dated { generation, value: waiting }.encode()),
            Some(None) => self.remove(Space::Records, prefix.waiting()),
            None => {}
        }
        for write in &change.state {
            let key = prefix.state(&write.handler, &write.key)?;
            match &write.value {
                Some(value) => self.put(Space::Records, key, value.encode()),
                None => self.remove(Space::Records, key),
            }
        }
        for (handler, stamp) in &change.stamps {
            self.put(Space::Records, prefix.stamp(handler), stamp.encode());
        }
        for entry in &change.outbox_add {
            self.put(Space::Outbox, prefix.outbox(entry.number), entry.encode());
        }
        let gets_an_alarm = matches!(change.patch.waiting, Some(Some(Waiting { alarm: Some(_), .. })));
        match change.waits {
            _ if mutant!(OwingNotWritten) => {}
            Some(waits) if waits || gets_an_alarm => {
                self.put(Space::Owing, keys::owing(&change.key.pipeline, &change.key.entity)?, vec![VERSION]);
            }
            Some(_) => self.remove(Space::Owing, keys::owing(&change.key.pipeline, &change.key.entity)?),
            None => {}
        }
        Ok(())
    }
}

/// The parts of one entity's record as they are found.
#[derive(Default)]
pub(crate) struct Parts {
    slots: Vec<Dated<RingSlot>>,
    extras: Option<Dated<Extras>>,
    waiting: Option<Dated<Waiting>>,
    state: Vec<(String, State)>,
    stamps: Vec<(String, Stamp)>,
}

impl Parts {
    pub(crate) fn add(&mut self, prefix: &Prefix, key: &[u8], value: &[u8]) -> Result<(), Fault> {
        match prefix.part(key).ok_or("it has a part of an unknown kind: a newer seriatim may have written it")? {
            Part::Slot => self.slots.push(Dated::decode(value)?),
            Part::Extras => self.extras = Some(Dated::decode(value)?),
            Part::Waiting => self.waiting = Some(Dated::decode(value)?),
            Part::Stamp { handler } => self.stamps.push((handler.into(), Stamp::decode(value)?)),
            Part::State { handler, key } => {
                let value = Bytes::decode(value)?;
                match self.state.last_mut() {
                    // Keys come in order: all of one handler's stand together.
                    Some((last, keys)) if last == handler => {
                        keys.insert(key.into(), value);
                    }
                    _ => self.state.push((handler.into(), State::from_iter([(key.into(), value)]))),
                }
            }
        }
        Ok(())
    }

    /// Leaves out slots that a smaller ring would have overwritten by now, and brings parts of older generations up to the newest one among
    /// them: `generations` is asked only when they differ.
    pub(crate) fn finish(mut self, generations: impl FnOnce() -> Vec<(u64, u64)>) -> Loaded {
        let newest = self.slots.iter().map(|found| found.value).max_by_key(|found| found.slot.count);
        if let Some(newest) = newest {
            self.slots.retain(|found| found.value.slot.count.saturating_add(newest.ring.into()) > newest.slot.count);
        }
        let mut dated: BTreeMap<u64, Snapshot> = BTreeMap::new();
        for part in self.slots {
            dated.entry(part.generation).or_default().slots.push(part.value.slot);
        }
        if let Some(part) = self.extras {
            dated.entry(part.generation).or_default().extras = part.value;
        }
        if let Some(part) = self.waiting {
            dated.entry(part.generation).or_default().waiting = Some(part.value);
        }
        let Some((generation, mut snapshot)) = dated.pop_last() else {
            return Loaded { state: self.state, stamps: self.stamps, ..Loaded::default() };
        };
        let generations = if dated.is_empty() { Vec::new() } else { generations() };
        for (older, mut part) in dated {
            // The newer generation is not listed: none of the old stream sequences means anything.
            part.rebase(renumbered(&generations, older, generation).unwrap_or(0));
            snapshot.slots.append(&mut part.slots);
            if part.extras != Extras::default() {
                snapshot.extras = part.extras;
            }
            snapshot.waiting = snapshot.waiting.or(part.waiting);
        }
        Loaded { snapshot, state: self.state, stamps: self.stamps, outbox: Vec::new(), generation }
    }
}
