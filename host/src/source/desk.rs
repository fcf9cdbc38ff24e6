//! The catch-up passes of one pipeline: who is in which, how far each reads, and which step of it goes to whom. Pure: what shards ask and what passes
//! read goes in; passes to begin and steps for shards come out.

use super::catchup::{CatchUps, Start};
use crate::event::{EntityKey, Event};
use crate::passes::{Ask, PassStep, Request};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A pass to begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begin {
    /// Its number.
    pub pass: u64,
    /// It reads this entity's messages only; `None`: all of the pipeline's.
    pub entity: Option<EntityKey>,
    /// First stream sequence.
    pub from: u64,
    /// Last stream sequence, until it is extended.
    pub to: u64,
    /// Entities in it.
    pub entities: usize,
}

/// What an ask means for a pass that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// It reads up to here.
    Extended {
        /// Its number.
        pass: u64,
        /// Last stream sequence.
        to: u64,
    },
    /// Nobody is in it any more.
    Left {
        /// Its number.
        pass: u64,
    },
    /// It ends for this entity where it is: ask for the stream's first sequence, and then for its steps ([`Desk::enough`]).
    Enough {
        /// Its number.
        pass: u64,
        /// Which entity.
        key: EntityKey,
        /// Which of the entity's passes.
        number: u64,
    },
}

/// One step of a pass, on its way to a shard.
#[derive(Debug)]
pub struct Step {
    /// Which shard.
    pub shard: usize,
    /// Which entity.
    pub key: EntityKey,
    /// Which of the entity's passes.
    pub number: u64,
    /// The step.
    pub step: PassStep,
}

/// See the module.
#[derive(Debug)]
pub struct Desk {
    catch_ups: CatchUps,
    passes: BTreeMap<u64, Pass>,
    of: BTreeMap<EntityKey, u64>,
    begun: u64,
}

/// A pass that runs. All its entities get everything up to its end, which is the highest that any of them asked for: it may be ahead of the live
/// reader for some of them, and an arrival that a pass brought before is known to the sequencer.
#[derive(Debug, Default)]
struct Pass {
    wants: BTreeMap<EntityKey, Want>,
    to: u64,
    /// The stream's first sequence when it began to read.
    opened_at: u64,
}

#[derive(Clone, Copy, Debug)]
struct Want {
    shard: usize,
    number: u64,
}

impl Desk {
    /// For one pipeline; at most `max` passes at once. `own`: the broker can filter by entity.
    #[must_use]
    pub fn new(max: usize, own: bool) -> Self {
        Self { catch_ups: CatchUps::new(max, own), passes: BTreeMap::new(), of: BTreeMap::new(), begun: 0 }
    }

    /// A shard asks.
    pub fn ask(&mut self, ask: Ask) -> Option<Told> {
        match ask {
            Ask::Start(request) => {
                // A pass that leads to the next one in the step that ended it has no other end.
                let told = self.leave(&request.key);
                self.catch_ups.ended(&request.key);
                self.catch_ups.request(request);
                told
            }
            Ask::Extend(key, to) => {
                let pass = *self.of.get(&key)?;
                let running = self.passes.get_mut(&pass)?;
                if to <= running.to {
                    return None;
                }
                running.to = to;
                Some(Told::Extended { pass, to })
            }
            Ask::Done(key, number) => {
                self.pass_of(&key, number)?;
                let told = self.leave(&key);
                self.catch_ups.ended(&key);
                told
            }
            Ask::Enough(key, number) => {
                self.pass_of(&key, number)?;
                let pass = *self.of.get(&key)?;
                Some(Told::Enough { pass, key, number })
            }
        }
    }

    /// The next pass that may begin now.
    pub fn begin(&mut self) -> Option<Begin> {
        let (entity, requests) = match self.catch_ups.start()? {
            Start::Own(request) => (Some(request.key.clone()), vec![request]),
            Start::Shared(requests) => (None, requests),
        };
        self.begun += 1;
        let pass = self.begun;
        let from = requests.iter().map(|request| request.from).min().unwrap_or(1);
        let to = requests.iter().map(|request| request.to).max().unwrap_or(0);
        let entities = requests.len();
        let mut wants = BTreeMap::new();
        for Request { key, shard, number, .. } in requests {
            self.of.insert(key.clone(), pass);
            wants.insert(key, Want { shard, number });
        }
        self.passes.insert(pass, Pass { wants, to, opened_at: 0 });
        Some(Begin { pass, entity, from, to, entities })
    }

    /// Whether anybody is in the pass.
    #[must_use]
    pub fn wanted(&self, pass: u64) -> bool {
        self.passes.contains_key(&pass)
    }

    /// The pass reads (again); the stream's first message is this one now.
    #[must_use]
    pub fn opened(&mut self, pass: u64, first_sequence: u64) -> Vec<Step> {
        if let Some(running) = self.passes.get_mut(&pass) {
            running.opened_at = first_sequence;
        }
        self.for_all(pass, || vec![PassStep::Started(first_sequence)])
    }

    /// The pass read an event; nothing when its entity is not in it.
    #[must_use]
    pub fn event(&self, pass: u64, event: Arc<Event>) -> Option<Step> {
        let Want { shard, number } = *self.passes.get(&pass)?.wants.get(&event.key)?;
        Some(Step { shard, key: event.key.clone(), number, step: PassStep::Event(event) })
    }

    /// The pass has read everything up to `to`. `first_sequence`: the stream's, asked for after that: what retention took while the pass read was not
    /// brought, and must not count as absent. `None`: the leader did not answer.
    #[must_use]
    pub fn reached(&self, pass: u64, to: u64, first_sequence: Option<u64>) -> Vec<Step> {
        let opened_at = self.passes.get(&pass).map_or(0, |running| running.opened_at);
        self.for_all(pass, || match first_sequence {
            Some(first) if first > opened_at => vec![PassStep::Started(first), PassStep::Ended(to)],
            Some(_) => vec![PassStep::Ended(to)],
            None => vec![PassStep::Failed],
        })
    }

    /// The pass ends for this entity where it is, although it reads on until the entity has left it. `first_sequence`: as for [`Desk::reached`], but
    /// without an answer the pass goes on.
    #[must_use]
    pub fn enough(&self, key: &EntityKey, number: u64, first_sequence: Option<u64>) -> Vec<Step> {
        let (Some((pass, want)), Some(first)) = (self.pass_of(key, number), first_sequence) else {
            return Vec::new();
        };
        // Nothing is said about how far it has read: what it brought last may still be on its way.
        let started = (first > pass.opened_at).then_some(PassStep::Started(first));
        let steps = started.into_iter().chain([PassStep::Ended(0)]);
        steps.map(|step| Step { shard: want.shard, key: key.clone(), number, step }).collect()
    }

    /// The running pass with this number of the entity's.
    fn pass_of(&self, key: &EntityKey, number: u64) -> Option<(&Pass, Want)> {
        let pass = self.passes.get(self.of.get(key)?)?;
        let want = pass.wants.get(key).filter(|want| want.number == number)?;
        Some((pass, *want))
    }

    /// The pass broke off.
    #[must_use]
    pub fn failed(&self, pass: u64) -> Vec<Step> {
        self.for_all(pass, || vec![PassStep::Failed])
    }

    fn for_all(&self, pass: u64, steps: impl Fn() -> Vec<PassStep>) -> Vec<Step> {
        let wants = self.passes.get(&pass).into_iter().flat_map(|running| &running.wants);
        let all = wants.flat_map(|(key, want)| {
            steps().into_iter().map(|step| Step { shard: want.shard, key: key.clone(), number: want.number, step })
        });
        all.collect()
    }

    fn leave(&mut self, key: &EntityKey) -> Option<Told> {
        let pass = self.of.remove(key)?;
        let running = self.passes.get_mut(&pass)?;
        running.wants.remove(key);
        if !running.wants.is_empty() {
            return None;
        }
        self.passes.remove(&pass);
        Some(Told::Left { pass })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(entity: &str) -> EntityKey {
        EntityKey { pipeline: "p".into(), entity: entity.into() }
    }

    fn start(entity: &str, number: u64, from: u64, to: u64) -> Ask {
        Ask::Start(Request { key: key(entity), shard: 0, number, from, to, since: from })
    }

    #[test]
    fn a_shared_pass_reads_for_all_of_its_entities_and_ends_with_the_last() {
        let mut desk = Desk::new(8, false);
        assert_eq!((desk.ask(start("a", 1, 5, 9)), desk.ask(start("b", 2, 3, 20))), (None, None));
        assert_eq!(desk.begin(), Some(Begin { pass: 1, entity: None, from: 3, to: 20, entities: 2 }));
        assert_eq!(desk.ask(Ask::Extend(key("a"), 15)), None, "it reads further already");
        assert_eq!(desk.ask(Ask::Extend(key("a"), 25)), Some(Told::Extended { pass: 1, to: 25 }));
        assert_eq!(desk.reached(1, 25, Some(0)).len(), 2);
        assert_eq!(desk.ask(Ask::Done(key("a"), 7)), None, "another of its passes");
        assert_eq!(desk.ask(Ask::Done(key("a"), 1)), None);
        assert_eq!(desk.ask(Ask::Done(key("b"), 2)), Some(Told::Left { pass: 1 }));
        assert!(!desk.wanted(1) && desk.begin().is_none());
    }

    #[test]
    fn what_retention_took_during_a_pass_is_told_before_its_end() {
        let mut desk = Desk::new(8, true);
        desk.ask(start("a", 1, 5, 9));
        assert_eq!(desk.begin().and_then(|begin| begin.entity), Some(key("a")));
        assert!(matches!(desk.opened(1, 4).as_slice(), [Step { step: PassStep::Started(4), number: 1, .. }]));
        assert!(matches!(desk.reached(1, 9, Some(4)).as_slice(), [Step { step: PassStep::Ended(9), .. }]));
        let steps = desk.reached(1, 9, Some(7));
        assert!(matches!(steps.as_slice(), [Step { step: PassStep::Started(7), .. }, Step { step: PassStep::Ended(9), .. }]));
        assert!(matches!(desk.reached(1, 9, None).as_slice(), [Step { step: PassStep::Failed, .. }]));
    }

    #[test]
    fn a_pass_ends_early_for_who_had_enough_and_reads_on_for_the_others() {
        let mut desk = Desk::new(8, false);
        desk.ask(start("a", 1, 5, 90));
        desk.ask(start("b", 2, 5, 90));
        desk.begin();
        assert!(!desk.opened(1, 4).is_empty());
        assert_eq!(desk.ask(Ask::Enough(key("a"), 7)), None, "another of its passes");
        assert_eq!(desk.ask(Ask::Enough(key("a"), 1)), Some(Told::Enough { pass: 1, key: key("a"), number: 1 }));
        assert!(desk.enough(&key("a"), 1, None).is_empty(), "the leader does not answer: it goes on");
        assert!(matches!(desk.enough(&key("a"), 1, Some(4)).as_slice(), [Step { step: PassStep::Ended(0), number: 1, .. }]));
        let steps = desk.enough(&key("a"), 1, Some(8));
        assert!(matches!(steps.as_slice(), [Step { step: PassStep::Started(8), .. }, Step { step: PassStep::Ended(0), .. }]));
        assert_eq!(desk.ask(Ask::Done(key("a"), 1)), None, "b is in it");
        assert!(desk.enough(&key("a"), 1, Some(8)).is_empty() && desk.reached(1, 90, Some(4)).len() == 1);
    }

    #[test]
    fn an_entity_that_asks_again_leaves_the_pass_it_was_in() {
        let mut desk = Desk::new(8, true);
        desk.ask(start("a", 1, 5, 9));
        desk.begin();
        assert_eq!(desk.ask(start("a", 2, 6, 9)), Some(Told::Left { pass: 1 }));
        assert_eq!(desk.begin().map(|begin| begin.pass), Some(2));
        assert_eq!(desk.ask(Ask::Done(key("a"), 1)), None, "an end of the earlier pass");
    }
}
