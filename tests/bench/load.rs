//! What every run processes, and the count of what came out of it: a fast wrong answer is an error, not a number. Pure.

use anyhow::{Context as _, Result, bail, ensure};
use seriatim_tests::harness::Input;

/// The events go to so many entities in turn.
pub(crate) const ENTITIES: u64 = 1_000;
/// Bytes of each payload.
pub(crate) const PAYLOAD_BYTES: usize = 100;

/// The event with this number, counted from 0. It has no `Nats-Msg-Id`: ids that the broker remembers for two minutes would make it slower
/// in the first runs than in the last ones.
pub(crate) fn event(number: u64) -> Input {
    let (entity, sequence) = (number % ENTITIES, number / ENTITIES + 1);
    Input::event(&format!("e{entity}"), sequence).payload(payload(number)).again()
}

fn payload(number: u64) -> Vec<u8> {
    format!("{number:0PAYLOAD_BYTES$}").into_bytes()
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
    order: Order,
    seen: Vec<bool>,
    found: u64,
}

impl Tally {
    /// Expects one output for each of `messages` events.
    pub(crate) fn new(messages: u64, order: Order) -> Result<Self> {
        let messages = usize::try_from(messages).context("more events than this machine can count")?;
        Ok(Self { order, seen: vec![false; messages], found: 0 })
    }

    /// Takes the next output of the stream; an error if it is nobody's, comes a second time, out of order or changed.
    pub(crate) fn take(&mut self, entity: &str, sequence: u64, found: &[u8]) -> Result<()> {
        let number = number(entity, sequence).with_context(|| format!("output of {entity} {sequence}, which nobody published"))?;
        let at = usize::try_from(number).context("more events than this machine can count")?;
        if self.order == Order::PerEntity && number >= ENTITIES {
            let before = usize::try_from(number - ENTITIES).ok().and_then(|at| self.seen.get(at));
            ensure!(before == Some(&true), "{entity}: {sequence} comes before {}", sequence - 1);
        }
        match self.seen.get_mut(at) {
            None => bail!("output of {entity} {sequence}, which nobody published"),
            Some(true) => bail!("{entity}: {sequence} comes a second time"),
            Some(seen) => *seen = true,
        }
        ensure!(found == payload(number), "{entity}: {sequence} has another payload than the event had");
        self.found += 1;
        Ok(())
    }

    /// An error unless every event has its output.
    pub(crate) fn finish(self) -> Result<()> {
        let wanted = self.seen.len() as u64;
        ensure!(self.found == wanted, "{} outputs of {wanted} are missing", wanted - self.found);
        Ok(())
    }
}

/// The number of an entity's event, `None` for entities and sequences that do not exist.
fn number(entity: &str, sequence: u64) -> Option<u64> {
    let index = entity.strip_prefix('e')?.parse::<u64>().ok().filter(|index| *index < ENTITIES)?;
    sequence.checked_sub(1)?.checked_mul(ENTITIES)?.checked_add(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGES: u64 = 2 * ENTITIES + 3;

    fn taken(tally: &mut Tally, number: u64) -> Result<()> {
        let event = event(number);
        tally.take(&event.entity, event.sequence, &event.payload)
    }

    fn said(result: Result<()>) -> String {
        format!("{:#}", result.expect_err("an error"))
    }

    #[test]
    fn events_count_up_within_their_entity() {
        let event = event(2 * ENTITIES + 7);
        assert_eq!((event.entity.as_str(), event.sequence), ("e7", 3));
        assert_eq!(event.payload.len(), PAYLOAD_BYTES);
        assert!(event.headers.iter().all(|(name, _)| name != "Nats-Msg-Id"));
    }

    #[test]
    fn all_in_order_is_right() {
        let mut tally = Tally::new(MESSAGES, Order::PerEntity).unwrap();
        for number in 0..MESSAGES {
            taken(&mut tally, number).unwrap();
        }
        tally.finish().unwrap();
    }

    #[test]
    fn order_matters_where_it_is_promised() {
        let mut host = Tally::new(MESSAGES, Order::PerEntity).unwrap();
        taken(&mut host, 1).unwrap();
        assert!(said(taken(&mut host, ENTITIES)).contains("e0: 2 comes before 1"));
        let mut raw = Tally::new(MESSAGES, Order::Any).unwrap();
        for number in (0..MESSAGES).rev() {
            taken(&mut raw, number).unwrap();
        }
        raw.finish().unwrap();
    }

    #[test]
    fn doubled_missing_changed_and_unknown_outputs_are_errors() {
        let mut tally = Tally::new(MESSAGES, Order::Any).unwrap();
        taken(&mut tally, 5).unwrap();
        assert!(said(taken(&mut tally, 5)).contains("second time"));
        assert!(said(tally.take("e6", 1, b"something else")).contains("another payload"));
        assert!(said(taken(&mut tally, MESSAGES)).contains("nobody published"));
        assert!(said(tally.take("e1000", 1, b"")).contains("nobody published"));
        assert!(said(tally.take("e1", 0, b"")).contains("nobody published"));
        assert!(said(tally.finish()).contains("are missing"));
    }
}
