//! An upgrade in the middle of the events: which of them the older component handles. Pure.
//!
//! What a replacement is for an entity is decided between two of its own events, so the cut is each entity's own, by place: whoever arrives late or twice,
//! and in which order entities are mixed, the same component handles the same events.

use super::report::{Done, Results};
use crate::event::Event;
use seriatim_sequencer::Place;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The last event of each entity that the older component handles. Entities without one are the newer component's from the start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cut(BTreeMap<Arc<str>, Place>);

impl Cut {
    /// The first half of each entity's events are the older component's.
    #[must_use]
    pub fn half(events: &[Arc<Event>]) -> Self {
        Self::at(events, |_, places| places.len() / 2)
    }

    /// Another cut than [`Cut::half`], whose results are `plain`: as many as `draw` says, a number below its argument. The last event of an entity that the newer
    /// component has applied stays with it: the state is of its version at the end, whatever the cut. An entity without such an event keeps its cut.
    #[must_use]
    pub fn moved(events: &[Arc<Event>], plain: &Results, mut draw: impl FnMut(usize) -> usize) -> Self {
        let half = Self::half(events);
        Self::at(events, |entity, places| {
            let done = plain.get(entity).map(|result| result.done.as_slice()).unwrap_or_default();
            let newer = |done: &&Done| matches!(done, Done::Applied { .. }) && !half.is_older(entity, done.place());
            let last = done.iter().filter(newer).map(Done::place).max();
            last.map_or(places.len() / 2, |last| draw(places.iter().take_while(|place| **place <= last).count()))
        })
    }

    fn at(events: &[Arc<Event>], mut older: impl FnMut(&str, &[Place]) -> usize) -> Self {
        let mut places: BTreeMap<Arc<str>, BTreeSet<Place>> = BTreeMap::new();
        for event in events {
            places.entry(event.key.entity.clone()).or_default().insert(Place { epoch: event.epoch, sequence: event.sequence });
        }
        let cut = places.into_iter().filter_map(|(entity, places)| {
            let places: Vec<Place> = places.into_iter().collect();
            let last = older(&entity, &places).checked_sub(1)?;
            Some((entity, *places.get(last)?))
        });
        Self(cut.collect())
    }

    /// Whether the older component handles this event.
    #[must_use]
    pub fn is_older(&self, entity: &str, place: Place) -> bool {
        self.0.get(entity).is_some_and(|last| place <= *last)
    }

    /// The results without the outputs of events that other components handle under the other cut: those may differ.
    #[must_use]
    pub fn comparable(&self, other: &Self, results: &Results) -> Results {
        let mut results = results.clone();
        for (entity, result) in &mut results {
            for done in &mut result.done {
                if let Done::Applied { place, outputs } = done
                    && self.is_older(entity, *place) != other.is_older(entity, *place)
                {
                    outputs.clear();
                }
            }
        }
        results
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler_test::events::read;
    use crate::handler_test::report::EntityResult;
    use crate::runtime::Emitted;

    fn at(sequence: u64) -> Place {
        Place { epoch: 0, sequence }
    }

    fn events() -> Vec<Arc<Event>> {
        let line = |entity: &str, sequence: u64| format!("{{\"entity\":\"{entity}\",\"sequence\":{sequence}}}\n");
        // Five of a, one of them twice and none in order, one of b.
        let lines = line("a", 9) + &line("a", 3) + &line("b", 1) + &line("a", 3) + &line("a", 5) + &line("a", 7) + &line("a", 4);
        read(lines.as_bytes(), "x", "test").unwrap()
    }

    #[test]
    fn the_first_half_of_an_entitys_places_is_the_older_ones() {
        let half = Cut::half(&events());
        let older: Vec<_> = [3, 4, 5, 7, 9].into_iter().filter(|sequence| half.is_older("a", at(*sequence))).collect();
        assert_eq!(older, [3, 4]);
        assert!(!half.is_older("b", at(1)), "one event alone is the newer one's");
        let mut turned = events();
        turned.reverse();
        assert_eq!(Cut::half(&turned), half);
    }

    fn applied(sequence: u64) -> Done {
        let outputs = vec![Emitted { subject: "s".into(), headers: Vec::new(), payload: bytes::Bytes::new() }];
        Done::Applied { place: at(sequence), outputs }
    }

    fn dead(sequence: u64) -> Done {
        Done::Dead { place: at(sequence), reason: "rejected".into(), error: String::new(), attempts: 1 }
    }

    fn of_a(done: Vec<Done>) -> Results {
        BTreeMap::from([("a".to_owned(), EntityResult { done, ..EntityResult::default() })])
    }

    #[test]
    fn a_moved_cut_leaves_the_newer_component_what_it_applied_last() {
        let moved = |done: Vec<Done>, chosen: usize| {
            let mut bounds = Vec::new();
            let cut = Cut::moved(&events(), &of_a(done), |bound| {
                bounds.push(bound);
                chosen.min(bound - 1)
            });
            (bounds, cut)
        };
        let all: Vec<_> = [3, 4, 5, 7, 9].map(applied).into();
        let (bounds, cut) = moved(all.clone(), 99);
        assert_eq!(bounds, [5], "b was not applied: it is not asked for");
        assert!(cut.is_older("a", at(7)) && !cut.is_older("a", at(9)));
        let (_, cut) = moved(all, 0);
        assert!(!cut.is_older("a", at(3)));
        let (bounds, _) = moved(vec![applied(3), applied(4), applied(5), dead(7), dead(9)], 0);
        assert_eq!(bounds, [3]);
        let (bounds, cut) = moved(vec![applied(3), applied(4), dead(5), dead(7), dead(9)], 0);
        assert_eq!((bounds.len(), cut), (0, Cut::half(&events())), "the newer one has applied nothing");
    }

    #[test]
    fn outputs_are_compared_where_both_cuts_give_an_event_to_the_same_component() {
        let results = of_a([3, 4, 5, 7, 9].map(applied).into());
        let moved = Cut::moved(&events(), &results, |bound| bound - 1);
        let kept = moved.comparable(&Cut::half(&events()), &results);
        let counts: Vec<_> = kept["a"]
            .done
            .iter()
            .map(|done| match done {
                Done::Applied { outputs, .. } => outputs.len(),
                Done::Dead { .. } => 9,
            })
            .collect();
        assert_eq!(counts, [1, 1, 0, 0, 1]);
    }
}
