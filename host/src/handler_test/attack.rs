//! Runs the same events again in ways that must make no difference, and says where one did. In a host all of this happens by itself: machines crash,
//! instances come and go, messages arrive twice and in another order. A handler that is a function of its state and the event never notices.

use super::dice::Dice;
use super::report::{Difference, Done, Texts, differences};
use super::trial::{Script, Settings, Trial, run};
use super::upgrade::Cut;
use super::{Error, Loader};
use crate::event::{Event, Message};
use crate::runtime::Isolation;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tracing::instrument::WithSubscriber as _;
use tracing::subscriber::NoSubscriber;

/// How often each variation that depends on chance is tried, each time with another seed.
const ROUNDS: u64 = 3;

/// Times that one run starts anew.
const RESTARTS: usize = 3;

/// One way to run the events again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Variation {
    /// A fresh instance for each event.
    IsolationEvent,
    /// One instance for a run of one entity's events.
    IsolationRun,
    /// One instance for all.
    IsolationShared,
    /// All of an entity's events before those of the next.
    OneAfterAnother,
    /// Fresh instances at other places.
    Cuts,
    /// Entities mixed otherwise; each one's events stay in their order.
    Reorder,
    /// Copies of events arrive later.
    Duplicates,
    /// Calls are made again, as after a crash before the commit or a failed attempt.
    Repeat,
    /// The process starts anew between two events.
    Restart,
    /// The messages stand elsewhere in their stream.
    Renumbered,
    /// All of it but the renumbering.
    Everything,
    /// The older file handles more or fewer of each entity's events. Only where there is one.
    Upgrade,
}

impl Variation {
    /// All of them, in this order.
    pub const ALL: [Self; 12] = [
        Self::IsolationEvent,
        Self::IsolationRun,
        Self::IsolationShared,
        Self::OneAfterAnother,
        Self::Cuts,
        Self::Reorder,
        Self::Duplicates,
        Self::Repeat,
        Self::Restart,
        Self::Renumbered,
        Self::Everything,
        Self::Upgrade,
    ];

    /// What is done, in a few words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IsolationEvent => "a fresh instance for each event",
            Self::IsolationRun => "one instance for a run of one entity's events",
            Self::IsolationShared => "one instance for all entities",
            Self::OneAfterAnother => "all events of one entity, then those of the next",
            Self::Cuts => "fresh instances at other places",
            Self::Reorder => "entities mixed in another order",
            Self::Duplicates => "copies of events arrive later",
            Self::Repeat => "calls made again, as after a crash or a failed attempt",
            Self::Restart => "the process starts anew between events",
            Self::Renumbered => "other places in the stream",
            Self::Upgrade => "the upgrade between other events",
            Self::Everything => "all of these at once",
        }
    }

    /// What it usually means when it makes a difference.
    #[must_use]
    pub fn means(self) -> &'static str {
        match self {
            Self::IsolationEvent | Self::IsolationRun | Self::IsolationShared | Self::OneAfterAnother | Self::Cuts => {
                "the handler remembers something in its memory (a global, a static, a cache) instead of in `state`. An instance may be thrown \
                 away after any event, and may serve any other event that the isolation allows"
            }
            Self::Reorder => {
                "what the handler does for one entity depends on the events of others: it remembers something in its memory instead of in `state`"
            }
            Self::Duplicates => "a copy that the host drops still changed something: the handler remembers something in its memory",
            Self::Repeat => {
                "the result depends on how often a call was made: on `delivery.attempt`, or on something that the handler remembers in its memory"
            }
            Self::Restart => "the handler remembers something in its memory, which a restart empties, instead of in `state`",
            Self::Renumbered => {
                "the result depends on `stream-sequence`, which differs when the same event is published again; `sequence` is the event's own"
            }
            Self::Upgrade => {
                "`migrate` makes another state of what the older component left than this one would have made of the same events. (Outputs of the events \
                 that the other component handles are not compared; where the two are meant to treat these events otherwise, a difference is no mistake)"
            }
            Self::Everything => "see the other variations; this one does several things at once",
        }
    }

    /// Whether it depends on the seed.
    fn by_chance(self) -> bool {
        matches!(self, Self::Cuts | Self::Reorder | Self::Duplicates | Self::Repeat | Self::Restart | Self::Upgrade | Self::Everything)
    }
}

/// One variation that was run.
#[derive(Clone, Debug, Serialize)]
pub struct Attacked {
    /// Which.
    pub variation: Variation,
    /// With this seed; `None`: it does not depend on one.
    pub seed: Option<u64>,
    /// The first difference of the first entity that has one; `None`: there is none.
    pub difference: Option<Difference>,
    /// How many entities have one.
    pub entities: usize,
}

/// Runs every variation of the events whose plain run gave `plain`. `progress` is told before each: its number from 0, how many there are, its name.
/// The handler's lines in the log are those of the plain run only.
///
/// # Errors
/// As [`run`].
pub async fn attack(
    loader: &Loader,
    settings: &Settings,
    events: &[Arc<Event>],
    plain: &Trial,
    seed: u64,
    mut progress: impl FnMut(usize, usize, Variation),
) -> Result<Vec<Attacked>, Error> {
    let mut plans = Vec::new();
    for variation in Variation::ALL {
        let left_out = match variation {
            Variation::Upgrade => loader.older().is_none(),
            Variation::IsolationEvent => loader.isolation() == Isolation::Event,
            Variation::IsolationRun => loader.isolation() == Isolation::Run,
            Variation::IsolationShared => loader.isolation() == Isolation::Shared,
            _ => false,
        };
        if left_out {
            continue;
        }
        if variation.by_chance() {
            plans.extend((0..ROUNDS).map(|round| (variation, Some(seed.wrapping_add(round)))));
        } else {
            plans.push((variation, None));
        }
    }
    let mut attacked = Vec::new();
    for (number, (variation, seed)) in plans.iter().enumerate() {
        progress(number, plans.len(), *variation);
        let script = script(*variation, seed.unwrap_or_default(), events, plain, loader.isolation());
        let cut = script.cut.clone();
        let trial = run(loader, settings, script).with_subscriber(NoSubscriber::default()).await?;
        let mut found = match cut {
            None => differences(&plain.results, &trial.results, Texts::Ignored),
            Some(cut) => {
                let half = Cut::half(events);
                let comparable = |trial: &Trial| cut.comparable(&half, &trial.results);
                differences(&comparable(plain), &comparable(&trial), Texts::Ignored)
            }
        };
        let entities = found.len();
        found.truncate(1);
        attacked.push(Attacked { variation: *variation, seed: *seed, difference: found.pop(), entities });
    }
    Ok(attacked)
}

fn script(variation: Variation, seed: u64, events: &[Arc<Event>], plain: &Trial, isolation: Isolation) -> Script {
    // Each variation has dice of its own, so that adding one changes no other.
    let mut dice = Dice::new(seed.wrapping_mul(31).wrapping_add(variation as u64));
    let events = events.to_vec();
    let same = |isolation| Script::plain(events.clone(), isolation);
    match variation {
        Variation::IsolationEvent => same(Isolation::Event),
        Variation::IsolationRun => same(Isolation::Run),
        Variation::IsolationShared => same(Isolation::Shared),
        Variation::OneAfterAnother => {
            let mut grouped = events.clone();
            grouped.sort_by(|a, b| a.key.entity.cmp(&b.key.entity));
            Script::plain(grouped, Isolation::Run)
        }
        Variation::Cuts => Script { cuts: Some(dice), ..same(Isolation::Shared) },
        Variation::Reorder => Script::plain(mixed(&events, &mut dice), Isolation::Shared),
        Variation::Duplicates => Script::plain(copied(&events, plain, &mut dice), isolation),
        Variation::Repeat => Script { repeats: Some(dice), ..same(isolation) },
        Variation::Restart => Script { restarts: restarts(plain, &mut dice), ..same(Isolation::Shared) },
        Variation::Upgrade => Script { cut: Some(Cut::moved(&events, &plain.results, |bound| dice.below(bound))), ..same(isolation) },
        Variation::Renumbered => Script::plain(events.iter().map(|event| renumbered(event)).collect(), isolation),
        Variation::Everything => Script {
            restarts: restarts(plain, &mut dice),
            cuts: Some(Dice::new(seed.wrapping_add(1))),
            repeats: Some(Dice::new(seed.wrapping_add(2))),
            ..Script::plain(copied(&mixed(&events, &mut dice), plain, &mut dice), Isolation::Shared)
        },
    }
}

/// Mixes the entities; each one's events keep their order.
fn mixed(events: &[Arc<Event>], dice: &mut Dice) -> Vec<Arc<Event>> {
    let mut turns: Vec<&Arc<str>> = events.iter().map(|event| &event.key.entity).collect();
    dice.shuffle(&mut turns);
    let mut queues: BTreeMap<&Arc<str>, VecDeque<&Arc<Event>>> = BTreeMap::new();
    for event in events {
        queues.entry(&event.key.entity).or_default().push_back(event);
    }
    turns.into_iter().filter_map(|entity| queues.get_mut(entity)?.pop_front().cloned()).collect()
}

/// A quarter of the events that were applied come a second time, somewhere behind the first. (Of those that were given up a copy may be given up again.)
fn copied(events: &[Arc<Event>], plain: &Trial, dice: &mut Dice) -> Vec<Arc<Event>> {
    let applied: BTreeSet<(&str, u64, u64)> = plain
        .results
        .iter()
        .flat_map(|(name, result)| result.done.iter().map(move |done| (name, done)))
        .filter(|(_, done)| matches!(done, Done::Applied { .. }))
        .map(|(name, done)| (name.as_str(), done.place().epoch, done.place().sequence))
        .collect();
    let mut placed: Vec<(usize, &Arc<Event>)> = events.iter().enumerate().collect();
    for (at, event) in events.iter().enumerate() {
        if dice.once_in(4) && applied.contains(&(&*event.key.entity, event.epoch, event.sequence)) {
            placed.push((at.saturating_add(dice.below(events.len().saturating_sub(at))), event));
        }
    }
    // Stable: what is in its place comes before a copy put there.
    placed.sort_by_key(|(at, _)| *at);
    placed.into_iter().map(|(_, event)| event.clone()).collect()
}

fn restarts(plain: &Trial, dice: &mut Dice) -> VecDeque<u64> {
    let calls = usize::try_from(plain.tally.calls).unwrap_or(usize::MAX);
    // Not before the first call: there nothing is there to be lost.
    let at: BTreeSet<u64> = (0..RESTARTS).map(|_| dice.below(calls.saturating_sub(1)).saturating_add(1) as u64).collect();
    at.into_iter().collect()
}

/// The same event at another place of the stream.
fn renumbered(event: &Event) -> Arc<Event> {
    let number = event.message.stream_sequence;
    let message = Message { stream_sequence: number.saturating_mul(3).saturating_add(1_000), ..(*event.message).clone() };
    Arc::new(Event { message: Arc::new(message), ..event.clone() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler_test::events::read;

    fn names(events: &[Arc<Event>]) -> Vec<String> {
        events.iter().map(|event| format!("{}{}", event.key.entity, event.sequence)).collect()
    }

    fn events() -> Vec<Arc<Event>> {
        let lines: String = (0..60).map(|n| format!("{{\"entity\":\"{}\"}}\n", ["a", "b", "c"][n % 3])).collect();
        read(lines.as_bytes(), "x", "test").unwrap()
    }

    #[test]
    fn mixing_keeps_each_entitys_order() {
        let mixed = mixed(&events(), &mut Dice::new(1));
        assert_ne!(names(&mixed), names(&events()));
        for entity in ["a", "b", "c"] {
            let of: Vec<_> = names(&mixed).into_iter().filter(|name| name.starts_with(entity)).collect();
            assert_eq!(of, (1..=20).map(|n| format!("{entity}{n}")).collect::<Vec<_>>());
        }
    }

    #[test]
    fn copies_come_after_their_originals_and_of_applied_events_only() {
        let mut plain = Trial { results: BTreeMap::new(), tally: Default::default() };
        assert_eq!(names(&copied(&events(), &plain, &mut Dice::new(1))), names(&events()));
        let done = |sequence| Done::Applied { place: seriatim_sequencer::Place { epoch: 0, sequence }, outputs: Vec::new() };
        plain.results.entry("a".to_owned()).or_default().done = (1..=20).map(done).collect();
        let copied = names(&copied(&events(), &plain, &mut Dice::new(1)));
        assert!(copied.len() > 60 && copied.len() < 80, "{copied:?}");
        let firsts: Vec<_> =
            copied.iter().enumerate().filter(|(at, name)| !copied[..*at].contains(name)).map(|(_, name)| name.clone()).collect();
        assert_eq!(firsts, names(&events()));
        assert!(copied.iter().filter(|name| !name.starts_with('a')).count() == 40);
    }
}
