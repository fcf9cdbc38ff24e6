//! What is published: events of many entities with every disorder that a stream can bring. A pure function of seed and time: the publisher
//! asks what is due.

use serde_json::json;
use seriatim_tests::checker::laws::{Handled, MeantAs};
use seriatim_tests::harness::Random;
use std::collections::BTreeMap;

/// Every message carries its number here, so that what the stream holds can be told apart, copies of a retry included.
pub(crate) const NUMBER: &str = "Chaos-Number";
/// The entity whose only event is the last one published.
pub(crate) const SENTINEL: &str = "sentinel";
/// A jump in sequences that no config of ours allows.
const TOO_FAR: u64 = 5_000_000;
/// Milliseconds between two looks at the plan.
const TICK: u64 = 10;
/// Events of one entity in a burst.
const BURST: usize = 40;

/// Where the host finds the entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Subject,
    Header,
    Json,
}

/// What kind of load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// New events a second, copies not counted.
    pub(crate) rate: u64,
    pub(crate) entities: usize,
    pub(crate) place: Place,
    /// Whether some entities have events that make the handler misbehave.
    pub(crate) misbehaving: bool,
    /// How late a missing event comes, in milliseconds: from, to.
    pub(crate) late: (u64, u64),
    /// Of the events of entities with gaps, one in so many is never published.
    pub(crate) never: Option<usize>,
    /// Whether entities start over under a higher epoch.
    pub(crate) epochs: bool,
}

/// One message, and what is meant by it.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) number: u64,
    pub(crate) subject: String,
    pub(crate) entity: String,
    pub(crate) epoch: u64,
    pub(crate) sequence: u64,
    pub(crate) id: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
    pub(crate) kind: MeantAs,
    pub(crate) handled: Handled,
}

/// What was planned, by kind: for the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planned(pub(crate) BTreeMap<&'static str, u64>);

/// Makes the messages.
pub(crate) struct Maker {
    shape: Shape,
    random: Random,
    entities: Vec<Entity>,
    plan: BTreeMap<(u64, u64), Message>,
    next_number: u64,
    clock: u64,
    pub(crate) planned: Planned,
}

struct Entity {
    name: String,
    epoch: u64,
    next: u64,
}

impl Maker {
    pub(crate) fn new(seed: u64, shape: Shape) -> Self {
        let entities = (0..shape.entities).map(|index| Entity { name: name(index, shape.place), epoch: 0, next: 1 }).collect();
        let random = Random::silent(seed);
        Self { shape, random, entities, plan: BTreeMap::new(), next_number: 0, clock: 0, planned: Planned::default() }
    }

    /// Everything that is due by `now`, milliseconds since the load began.
    pub(crate) fn due(&mut self, now: u64) -> Vec<Message> {
        while self.clock + TICK <= now {
            self.clock += TICK;
            self.tick();
        }
        let later = self.plan.split_off(&(now + 1, 0));
        std::mem::replace(&mut self.plan, later).into_values().collect()
    }

    /// Everything that was still to come, and the sentinel: nothing follows.
    pub(crate) fn rest(&mut self) -> Vec<Message> {
        let at = u64::MAX;
        let sentinel = self.message(&Entity { name: SENTINEL.to_owned(), epoch: 0, next: 1 }, 1);
        self.push(at, sentinel);
        std::mem::take(&mut self.plan).into_values().collect()
    }

    fn tick(&mut self) {
        let (now, rate) = (self.clock, self.shape.rate);
        let events = now * rate / 1000 - (now - TICK) * rate / 1000;
        for _ in 0..events {
            // The lower ones come more often.
            let index = self.random.below(self.shape.entities).min(self.random.below(self.shape.entities));
            self.event(index);
        }
        if self.one_in(400) {
            let index = self.random.below(self.shape.entities);
            (0..BURST).for_each(|_| self.event(index));
            self.count("bursts");
        }
    }

    fn event(&mut self, index: usize) {
        let starts_over = self.shape.epochs && self.one_in(120);
        let Some(entity) = self.entities.get_mut(index) else { return };
        if starts_over {
            (entity.epoch, entity.next) = (entity.epoch + 1, 1);
        }
        let sequence = entity.next;
        entity.next += 1;
        let entity = Entity { name: entity.name.clone(), epoch: entity.epoch, next: entity.next };
        if starts_over {
            self.count("epochs begun");
        }
        let gaps = index.is_multiple_of(3);
        if gaps && self.shape.never.is_some_and(|chances| self.one_in(chances)) {
            self.count("never published");
            return;
        }
        let mut message = self.message(&entity, sequence);
        if self.shape.misbehaving && index % 7 == 3 && self.one_in(8) {
            self.misbehave(&mut message);
        } else if sequence > 1 && self.one_in(250) {
            // A producer that errs: the event before had this id, too.
            self.count("ids used twice");
            message.id = id(&entity, sequence - 1);
            message.headers.retain(|(name, _)| name != "Nats-Msg-Id");
            let id = message.id.clone();
            set(&mut message, "Seriatim-Id", &id);
        }
        let delay = match self.random.below(24) {
            0 if gaps => {
                self.count("published late");
                self.between(self.shape.late.0, self.shape.late.1)
            }
            1..=8 => self.between(0, 400),
            _ => 0,
        };
        let at = self.clock + delay;
        self.copies(&message, at);
        self.push(at, message);
        if self.one_in(80) {
            self.malformed(&entity, sequence);
        }
    }

    /// The event itself, not yet in the plan.
    fn message(&mut self, entity: &Entity, sequence: u64) -> Message {
        let Entity { name, epoch, .. } = entity;
        let id = id(entity, sequence);
        let deeper = self.one_in(5) && name != SENTINEL;
        let subject = match self.shape.place {
            Place::Subject if deeper => format!("flights.{name}.more"),
            Place::Subject => format!("flights.{name}"),
            Place::Header | Place::Json => format!("flights.x{}", sequence % 5),
        };
        let mut headers = vec![("Seriatim-Sequence".to_owned(), sequence.to_string()), ("Seriatim-Id".to_owned(), id.clone())];
        if self.shape.place == Place::Header {
            headers.push(("Seriatim-Entity".to_owned(), name.clone()));
        }
        if self.shape.epochs {
            headers.push(("Seriatim-Epoch".to_owned(), epoch.to_string()));
        }
        headers.push(("Nats-Msg-Id".to_owned(), id.clone()));
        let payload = json!({ "entity": name, "epoch": epoch, "sequence": sequence }).to_string().into_bytes();
        let (entity, epoch) = (name.clone(), *epoch);
        Message { number: 0, subject, entity, epoch, sequence, id, headers, payload, kind: MeantAs::Event, handled: Handled::Accepts }
    }

    /// Turns an event into one that the guest `misbehave` takes as a command.
    fn misbehave(&mut self, message: &mut Message) {
        let name = &message.entity;
        let (what, command, handled) = match self.random.below(40) {
            0 => ("loops", json!({ "do": "spin" }), Handled::AlwaysFails("timeout")),
            1..=3 => ("memory hogs", json!({ "do": "grow", "mib": 64 }), Handled::AlwaysFails("memory")),
            4..=7 => ("traps", json!({ "do": "trap", "message": name }), Handled::AlwaysFails("trap")),
            8..=10 => ("floods", json!({ "do": "flood", "count": 5000, "bytes": 10 }), Handled::AlwaysFails("too-large")),
            11..=12 => {
                let command = json!({ "do": "emit", "subject": format!("flights.{name}"), "headers": [], "bytes": 1 });
                ("forbidden outputs", command, Handled::AlwaysFails("output-refused"))
            }
            13..=16 => ("rejections", json!({ "do": "reject", "reason": name }), Handled::Rejects),
            17..=19 => ("endless retries", json!({ "do": "retry", "until": 99 }), Handled::AlwaysFails("retries-exhausted")),
            20..=25 => ("retries", json!({ "do": "retry", "until": 2 }), Handled::FailsThenAccepts(1)),
            26..=29 => ("retries", json!({ "do": "retry", "until": 3 }), Handled::FailsThenAccepts(2)),
            _ => ("slow calls", json!({ "do": "slow", "ms": 30, "name": "slow" }), Handled::Accepts),
        };
        self.count(what);
        message.payload = command.to_string().into_bytes();
        message.handled = handled;
    }

    /// Copies of an event that is published at `at`: what a producer that retries, restarts or errs sends.
    fn copies(&mut self, message: &Message, at: u64) {
        let again = |message: &Message| {
            let mut copy = message.clone();
            copy.headers.retain(|(name, _)| name != "Nats-Msg-Id");
            copy
        };
        match self.random.below(64) {
            // The broker drops it, if it comes within its window.
            0..=3 => {
                self.count("copies with the same message id, soon");
                let delay = self.between(0, 800);
                self.push(at + delay, message.clone());
            }
            4..=6 => {
                self.count("copies with the same message id, past the window");
                let delay = self.between(2_500, 9_000);
                self.push(at + delay, message.clone());
            }
            7..=10 => {
                self.count("copies without a message id");
                let delay = self.between(0, 3_000);
                self.push(at + delay, again(message));
            }
            11..=12 => {
                self.count("copies with another id");
                let mut copy = again(message);
                copy.id = format!("{}-copy", message.id);
                set(&mut copy, "Seriatim-Id", &format!("{}-copy", message.id));
                let delay = self.between(0, 3_000);
                self.push(at + delay, copy);
            }
            13 => {
                self.count("other payloads under the same sequence");
                let mut copy = again(message);
                copy.id = format!("{}-other", message.id);
                set(&mut copy, "Seriatim-Id", &format!("{}-other", message.id));
                let other = json!({ "entity": message.entity, "epoch": message.epoch, "sequence": message.sequence, "other": true });
                copy.payload = other.to_string().into_bytes();
                copy.handled = Handled::Accepts;
                let delay = self.between(200, 2_000);
                self.push(at + delay, copy);
            }
            _ => {}
        }
    }

    /// A message of this entity that is no event.
    fn malformed(&mut self, entity: &Entity, sequence: u64) {
        let mut message = self.message(entity, sequence);
        message.headers.retain(|(name, _)| name != "Nats-Msg-Id");
        message.kind = MeantAs::Malformed;
        match self.random.below(7) {
            0 => message.headers.retain(|(name, _)| name != "Seriatim-Sequence"),
            1 => set(&mut message, "Seriatim-Sequence", "many"),
            2 => set(&mut message, "Seriatim-Sequence", "0"),
            3 => message.headers.push(("Seriatim-Sequence".to_owned(), (sequence + 1).to_string())),
            4 => set(&mut message, "Seriatim-Time", "yesterday"),
            5 if self.shape.place == Place::Json => message.payload = b"{".to_vec(),
            5 if self.shape.place == Place::Header => message.headers.retain(|(name, _)| name != "Seriatim-Entity"),
            _ => {
                // It can be read; that it is no event shows only beside the entity's position.
                message.kind = MeantAs::Event;
                message.sequence = sequence + TOO_FAR;
                set(&mut message, "Seriatim-Sequence", &(sequence + TOO_FAR).to_string());
                let id = format!("{}-far", message.id);
                set(&mut message, "Seriatim-Id", &id);
                message.id = id;
            }
        }
        self.count("malformed");
        let delay = self.between(0, 500);
        self.push(self.clock + delay, message);
    }

    fn push(&mut self, at: u64, mut message: Message) {
        self.next_number += 1;
        message.number = self.next_number;
        message.headers.push((NUMBER.to_owned(), message.number.to_string()));
        self.plan.insert((at, message.number), message);
    }

    fn count(&mut self, what: &'static str) {
        *self.planned.0.entry(what).or_default() += 1;
    }

    fn one_in(&mut self, chances: usize) -> bool {
        self.random.below(chances) == 0
    }

    fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.random.below(usize::try_from(to - from + 1).unwrap_or(1)) as u64
    }
}

/// Names of all kinds, as far as the place takes them.
fn name(index: usize, place: Place) -> String {
    match (index % 6, place) {
        (0, Place::Subject) => format!("E={index}"),
        (1, _) => format!("e-{index}_"),
        (0, _) => format!("e {index}/ü%"),
        (2, Place::Json) => format!("e\"{index}.>*"),
        _ => format!("e{index}"),
    }
}

fn id(entity: &Entity, sequence: u64) -> String {
    format!("{}-{}-{sequence}", entity.name, entity.epoch)
}

fn set(message: &mut Message, name: &str, value: &str) {
    message.headers.retain(|(known, _)| known != name);
    message.headers.push((name.to_owned(), value.to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape() -> Shape {
        Shape { rate: 150, entities: 60, place: Place::Subject, misbehaving: true, late: (500, 5_000), never: Some(60), epochs: true }
    }

    fn all(seed: u64, step: u64) -> Vec<Message> {
        let mut maker = Maker::new(seed, shape());
        let mut messages = Vec::new();
        for now in (0..20_000).step_by(usize::try_from(step).unwrap()) {
            messages.extend(maker.due(now));
        }
        messages.extend(maker.due(20_000));
        messages.extend(maker.rest());
        messages
    }

    #[test]
    fn the_same_seed_gives_the_same_load_however_it_is_asked_for() {
        let told = |messages: Vec<Message>| {
            let mut told: Vec<_> = messages.into_iter().map(|message| format!("{message:?}")).collect();
            told.sort();
            told
        };
        assert_eq!(told(all(3, 10)), told(all(3, 370)));
        assert_ne!(told(all(3, 10)), told(all(4, 10)));
    }

    #[test]
    fn every_kind_of_disorder_is_in_it() {
        let mut maker = Maker::new(1, shape());
        let messages = maker.due(60_000).len() + maker.rest().len();
        assert!((9_000..20_000).contains(&messages), "{messages} messages in a minute");
        let planned = &maker.planned.0;
        assert_eq!(planned.len(), 20, "{planned:?}");
        assert!(planned.values().all(|count| *count > 0));
    }

    #[test]
    fn each_number_is_given_once_and_the_last_message_is_the_sentinel() {
        let messages = all(9, 50);
        let mut numbers: Vec<_> = messages.iter().map(|message| message.number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=messages.len() as u64).collect::<Vec<_>>());
        assert_eq!(messages.last().map(|message| message.entity.as_str()), Some(SENTINEL));
    }
}
