//! What every run processes, and the count of what came out of it: a fast wrong answer is an error, not a number. Pure.

use anyhow::{Context as _, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use seriatim_tests::harness::{Input, Random};

/// Places within which a copy follows what it is a copy of.
const COPY_WITHIN: usize = 1_000;
/// One seed for all, so that every run of every day has the same disorder.
const SEED: u64 = 7;

/// Whose event comes when, before any disorder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Arrangement {
    /// So many events of one entity, then as many of the next, and so on in turn. 1: no two of an entity follow each other.
    Bursts(u64),
    /// Every second event belongs to the first entity, the others to the rest in turn.
    Hot,
}

/// What is wrong with the order in which they are published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Disorder {
    /// Nothing.
    None,
    /// Each event is moved by less than so many places.
    Window(u64),
    /// So many of a hundred events come a second time.
    Copies(u64),
}

/// The events of one source stream, numbered from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Load {
    pub(crate) events: u64,
    pub(crate) entities: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) arrangement: Arrangement,
    pub(crate) disorder: Disorder,
}

impl Load {
    /// In order, entities in turn.
    pub(crate) fn in_turn(events: u64, entities: u64, payload_bytes: usize) -> Self {
        Self { events, entities, payload_bytes, arrangement: Arrangement::Bursts(1), disorder: Disorder::None }
    }

    /// The same with other events: as many, arranged the same way.
    pub(crate) fn with_events(self, events: u64) -> Self {
        Self { events, ..self }
    }

    /// Index of its entity, and its sequence there.
    pub(crate) fn place(&self, number: u64) -> (u64, u64) {
        match self.arrangement {
            Arrangement::Bursts(burst) => {
                let (turn, within) = (number / burst, number % burst);
                (turn % self.entities, turn / self.entities * burst + within + 1)
            }
            Arrangement::Hot if number.is_multiple_of(2) || self.entities == 1 => (0, number / self.hot_step() + 1),
            Arrangement::Hot => {
                let (turn, others) = (number / 2, self.entities - 1);
                (1 + turn % others, turn / others + 1)
            }
        }
    }

    /// The number of an entity's event, `None` for entities and sequences that do not exist.
    pub(crate) fn number(&self, entity: u64, sequence: u64) -> Option<u64> {
        let before = sequence.checked_sub(1).filter(|_| entity < self.entities)?;
        let number = match self.arrangement {
            Arrangement::Bursts(burst) => {
                let turn = (before / burst).checked_mul(self.entities)?.checked_add(entity)?;
                turn.checked_mul(burst)?.checked_add(before % burst)?
            }
            Arrangement::Hot if entity == 0 => before.checked_mul(self.hot_step())?,
            Arrangement::Hot => before.checked_mul(self.entities - 1)?.checked_add(entity - 1)?.checked_mul(2)?.checked_add(1)?,
        };
        (number < self.events).then_some(number)
    }

    fn hot_step(&self) -> u64 {
        if self.entities == 1 { 1 } else { 2 }
    }

    /// How many events an entity has, which is also its last sequence.
    pub(crate) fn last(&self, entity: u64) -> u64 {
        // Sequences ascend with numbers, so there is one place where they stop.
        let (mut low, mut high) = (0, self.events);
        while low < high {
            let middle = low + (high - low).div_ceil(2);
            if self.number(entity, middle).is_some() {
                low = middle;
            } else {
                high = middle - 1;
            }
        }
        low
    }

    /// The event. It has no `Nats-Msg-Id`: ids that the broker remembers for two minutes would make it slower in the first runs than in the last.
    pub(crate) fn event(&self, number: u64) -> Input {
        let (entity, sequence) = self.place(number);
        Input::event(&name(entity), sequence).payload(self.payload(number)).again()
    }

    /// The number, and dots up to the length.
    pub(crate) fn payload(&self, number: u64) -> Vec<u8> {
        let mut payload = format!("{number:020}").into_bytes();
        payload.resize(self.payload_bytes, b'.');
        payload
    }

    /// Numbers in the order of their publication, copies included.
    pub(crate) fn order(&self) -> Result<Vec<u64>> {
        let mut random = Random::silent(SEED);
        let mut keyed: Vec<(u64, u64)> = Vec::with_capacity(usize::try_from(self.events)?);
        match self.disorder {
            Disorder::None => return Ok((0..self.events).collect()),
            Disorder::Window(window) => {
                let window = usize::try_from(window)?.max(1);
                keyed.extend((0..self.events).map(|number| (number + random.below(window) as u64, number)));
            }
            Disorder::Copies(percent) => {
                for number in 0..self.events {
                    keyed.push((number, number));
                    if (random.below(100) as u64) < percent {
                        keyed.push((number + 1 + random.below(COPY_WITHIN) as u64, number));
                    }
                }
            }
        }
        keyed.sort_by_key(|(place, _)| *place);
        Ok(keyed.into_iter().map(|(_, number)| number).collect())
    }
}

/// The name of the entity with this index.
pub(crate) fn name(entity: u64) -> String {
    format!("e{entity}")
}

/// What is promised about the order of outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Each entity's come in the order of its events.
    PerEntity,
    /// None.
    Any,
}

/// Counts outputs against events.
pub(crate) struct Tally {
    load: Load,
    order: Order,
    seen: Vec<bool>,
    /// The last sequence of each entity.
    last: Vec<u64>,
    found: u64,
}

impl Tally {
    /// Expects one output for each event.
    pub(crate) fn new(load: Load, order: Order) -> Result<Self> {
        let (events, entities) = (usize::try_from(load.events)?, usize::try_from(load.entities)?);
        Ok(Self { load, order, seen: vec![false; events], last: vec![0; entities], found: 0 })
    }

    /// Takes the next output of the stream; an error if it is nobody's, comes a second time, out of order or changed.
    /// Gives the number of its event.
    pub(crate) fn take(&mut self, entity: &str, sequence: u64, found: &[u8]) -> Result<u64> {
        let index = entity.strip_prefix('e').and_then(|index| index.parse::<u64>().ok());
        let number = index.and_then(|index| self.load.number(index, sequence));
        let (Some(index), Some(number)) = (index, number) else { bail!("output of {entity} {sequence}, which nobody published") };
        let last = usize::try_from(index).ok().and_then(|at| self.last.get_mut(at)).context("an entity too many")?;
        match usize::try_from(number).ok().and_then(|at| self.seen.get_mut(at)) {
            None => bail!("output of {entity} {sequence}, which nobody published"),
            Some(true) => bail!("{entity}: {sequence} comes a second time"),
            Some(seen) => *seen = true,
        }
        if self.order == Order::PerEntity {
            ensure!(sequence == *last + 1, "{entity}: {sequence} comes after {last}");
            *last = sequence;
        }
        ensure!(found == self.load.payload(number), "{entity}: {sequence} has another payload than the event had");
        self.found += 1;
        Ok(number)
    }

    /// An error unless every event has its output.
    pub(crate) fn finish(self) -> Result<()> {
        let wanted = self.load.events;
        ensure!(self.found == wanted, "{} outputs of {wanted} are missing", wanted - self.found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said<T: std::fmt::Debug>(result: Result<T>) -> String {
        format!("{:#}", result.expect_err("an error"))
    }

    fn arranged(entities: u64, arrangement: Arrangement) -> Load {
        Load { arrangement, ..Load::in_turn(1_003, entities, 100) }
    }

    #[test]
    fn every_arrangement_numbers_each_entitys_events_from_one() {
        for load in [
            arranged(100, Arrangement::Bursts(1)),
            arranged(10, Arrangement::Bursts(32)),
            arranged(10_000, Arrangement::Bursts(32)),
            arranged(1, Arrangement::Bursts(32)),
            arranged(100, Arrangement::Hot),
            arranged(1, Arrangement::Hot),
        ] {
            let mut last = vec![0; 10_000];
            for number in 0..load.events {
                let (entity, sequence) = load.place(number);
                assert!(entity < load.entities, "{load:?}");
                assert_eq!(load.number(entity, sequence), Some(number), "{load:?}");
                let at = &mut last[usize::try_from(entity).unwrap()];
                assert_eq!(sequence, *at + 1, "{load:?}, entity {entity}");
                *at = sequence;
            }
            for entity in 0..load.entities {
                assert_eq!(load.last(entity), last[usize::try_from(entity).unwrap()], "{load:?}, entity {entity}");
            }
            assert_eq!((load.number(0, 0), load.number(load.entities, 1)), (None, None));
        }
    }

    #[test]
    fn each_window_of_the_benchmark_mixes_events_of_one_entity() {
        let load = Load::in_turn(20_000, crate::plans::ENTITIES_IN_DISORDER, 100);
        let mixed = |disorder| {
            let load = Load { disorder, ..load };
            let mut last = vec![0; usize::try_from(load.entities).unwrap()];
            let order = load.order().unwrap();
            let early = order.iter().filter(|number| {
                let (entity, sequence) = load.place(**number);
                let last = &mut last[usize::try_from(entity).unwrap()];
                let next = *last + 1;
                *last = sequence.max(*last);
                sequence != next
            });
            early.count() as f64 / order.len() as f64
        };
        assert_eq!(mixed(Disorder::None), 0.0);
        let (near, far) = (mixed(Disorder::Window(100)), mixed(Disorder::Window(10_000)));
        assert!(near > 0.3 && far > near, "{near} {far}");
    }

    #[test]
    fn bursts_are_runs_of_one_entity_and_turns_are_none() {
        let entities = |load: Load| (0..64).map(|number| load.place(number).0).collect::<Vec<_>>();
        let bursts = entities(arranged(100, Arrangement::Bursts(32)));
        assert!(bursts[..32].iter().all(|entity| *entity == 0) && bursts[32..].iter().all(|entity| *entity == 1));
        assert!(entities(arranged(100, Arrangement::Bursts(1))).windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn an_event_is_as_large_as_was_asked_for_and_has_no_id_for_the_broker() {
        let event = arranged(100, Arrangement::Bursts(1)).event(207);
        assert_eq!((event.entity.as_str(), event.sequence, event.payload.len()), ("e7", 3, 100));
        assert!(event.headers.iter().all(|(name, _)| name != "Nats-Msg-Id"));
    }

    #[test]
    fn disorder_loses_nothing() {
        let load = arranged(100, Arrangement::Bursts(1));
        let moved = Load { disorder: Disorder::Window(50), ..load }.order().unwrap();
        assert!(moved.iter().zip(0..).all(|(number, place)| number.abs_diff(place) < 50) && moved != load.order().unwrap());
        let mut sorted = moved;
        sorted.sort_unstable();
        assert_eq!(sorted, load.order().unwrap());
        let mut copied = Load { disorder: Disorder::Copies(20), ..load }.order().unwrap();
        assert!((1_100..1_300).contains(&copied.len()), "{}", copied.len());
        copied.sort_unstable();
        copied.dedup();
        assert_eq!(copied, load.order().unwrap());
    }

    fn taken(tally: &mut Tally, number: u64) -> Result<u64> {
        let event = tally.load.event(number);
        tally.take(&event.entity, event.sequence, &event.payload)
    }

    #[test]
    fn all_in_order_is_right() {
        for arrangement in [Arrangement::Bursts(1), Arrangement::Bursts(32), Arrangement::Hot] {
            let load = arranged(10, arrangement);
            let mut tally = Tally::new(load, Order::PerEntity).unwrap();
            for number in 0..load.events {
                taken(&mut tally, number).unwrap();
            }
            tally.finish().unwrap();
        }
    }

    #[test]
    fn order_matters_where_it_is_promised() {
        let load = arranged(100, Arrangement::Bursts(1));
        let mut host = Tally::new(load, Order::PerEntity).unwrap();
        taken(&mut host, 1).unwrap();
        assert!(said(taken(&mut host, 100)).contains("e0: 2 comes after 0"));
        let mut raw = Tally::new(load, Order::Any).unwrap();
        for number in (0..load.events).rev() {
            taken(&mut raw, number).unwrap();
        }
        raw.finish().unwrap();
    }

    #[test]
    fn doubled_missing_changed_and_unknown_outputs_are_errors() {
        let load = arranged(100, Arrangement::Bursts(1));
        let mut tally = Tally::new(load, Order::Any).unwrap();
        taken(&mut tally, 5).unwrap();
        assert!(said(taken(&mut tally, 5)).contains("second time"));
        assert!(said(tally.take("e6", 1, b"something else")).contains("another payload"));
        assert!(said(tally.take("e0", 12, b"")).contains("nobody published"));
        assert!(said(tally.take("e100", 1, b"")).contains("nobody published"));
        assert!(said(tally.take("e1", 0, b"")).contains("nobody published"));
        assert!(said(tally.finish()).contains("are missing"));
    }
}
