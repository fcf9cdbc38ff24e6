//! G3: state reflects an event once, and an output stands in its stream once.

use super::facts::{Entity, Facts};
use super::report::Guarantee::G3;
use super::{Failing, Handled, Hole, Report};
use crate::checker::store::Spot;
use std::collections::HashMap;

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    ids(facts, report);
    for entity in facts.entities.values() {
        places(facts, entity, report);
        count(facts, entity, report);
        state(facts, entity, report);
        if facts.run.rules.in_time && !facts.run.rules.lost {
            exact(facts, entity, report);
        }
    }
}

/// No id twice in a stream.
fn ids(facts: &Facts<'_>, report: &mut Report) {
    let mut seen = HashMap::new();
    for output in &facts.outputs {
        if let Some(earlier) = seen.insert(output.piece.id, output.piece.at) {
            let text = format!(
                "output {} is there twice: {earlier} and {}{}",
                output.piece.id,
                output.piece.at,
                about(facts, output.entity, output.place)
            );
            report.broken(G3, "output-once", text);
        }
    }
}

fn about(facts: &Facts<'_>, entity: &str, place: Spot) -> String {
    facts.entities.get(entity).map(|entity| facts.history(entity, place)).unwrap_or_default()
}

/// No place was applied twice, whatever the ids; redrives aside.
fn places(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let mut seen = HashMap::new();
    for at in entity.outputs.iter().filter(|at| facts.outputs[**at].redriven.is_none()) {
        let output = &facts.outputs[*at];
        if let Some(earlier) = seen.insert(output.place, output.piece.id)
            && earlier != output.piece.id
        {
            let (name, place, id) = (entity.name, output.place, output.piece.id);
            report.broken(
                G3,
                "place-once",
                format!("entity {name:?}: {place:?} was applied twice, as {earlier} and as {id}{}", facts.history(entity, place)),
            );
        }
    }
}

/// The handler's own count: 1, 2, 3, … in the order of the stream.
fn count(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    for (at, output) in entity.outputs.iter().map(|at| &facts.outputs[*at]).enumerate() {
        if output.count != at as u64 + 1 {
            let (name, place, count) = (entity.name, output.place, output.count);
            let text =
                format!("entity {name:?}: Echo-Count {count} at {place:?}, output number {}{}", at + 1, facts.history(entity, place));
            report.broken(G3, "count", text);
            return;
        }
    }
}

/// The handler's state counts the outputs that left or are about to.
fn state(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    if facts.store.is_none() {
        return;
    }
    let bytes = entity.view.and_then(|view| view.state.get(&facts.run.rules.handler)?.get("count"));
    let count = bytes.map_or(Ok(0), |bytes| serde_json::from_slice::<u64>(bytes));
    let outputs = entity.outputs.len() as u64;
    match count {
        Ok(count) if count == outputs => {}
        found => {
            let last = entity.outputs.last().map_or((u64::MAX, u64::MAX), |at| facts.outputs[*at].place);
            let text = format!(
                "entity {:?}: the state counts {found:?}, and there are {outputs} outputs{}",
                entity.name,
                facts.history(entity, last)
            );
            report.broken(G3, "state", text);
        }
    }
}

/// What must come of the event at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Must {
    Apply,
    Not,
    /// Published in several ways: either.
    May,
}

/// Everything came in time, so the places that are applied are known.
fn exact(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let rules = &facts.run.rules;
    if entity.skipped(None) {
        return;
    }
    let overtaken = overtaken(facts, entity);
    let (mut must, mut last) = (Must::Apply, None::<Spot>);
    for (place, group) in facts.places(entity) {
        let follows = match last.filter(|last| last.0 == place.0) {
            Some(last) => place.1 <= last.1 + 1,
            None => rules.first.is_none_or(|first| place.1 <= first),
        };
        let new_epoch = last.is_none_or(|last| last.0 != place.0);
        // Early events of an epoch that were dead-lettered say nothing of the next one.
        if new_epoch && must == Must::Not && rules.hole == Hole::DeadLetter {
            must = Must::May;
        }
        let before = rules.first.is_some_and(|first| place.1 < first);
        let (handled, ambiguous) = handled(facts, entity, group);
        let outcome = if before || (!follows && facts.is_far(place)) {
            Must::May
        } else {
            if !follows && must != Must::Not {
                must = if rules.hole == Hole::Skip { must } else { Must::Not };
            }
            last = Some(place);
            let fails = handled == Handled::Rejects || fails_for_good(handled, rules.attempts);
            let here = if fails && must == Must::Apply { Must::Not } else { must };
            if fails && handled != Handled::Rejects && rules.failing == Failing::Park && must == Must::Apply {
                must = Must::Not;
            }
            if ambiguous || overtaken.contains(&place.0) { Must::May } else { here }
        };
        let applied = group.iter().any(|at| facts.messages[*at].applied.is_some());
        let undone = (!facts.run.settled || entity.stands_still()) && group.iter().any(|at| facts.is_undone(Some(entity), *at));
        let wrong = match outcome {
            Must::Apply => !applied && !undone,
            Must::Not => applied,
            Must::May => false,
        };
        if wrong {
            let text = if applied { "was applied, but had to stay behind" } else { "was not applied, and nothing stands before it" };
            report.broken(G3, "exact", format!("entity {:?}: {place:?} {text}{}", entity.name, facts.history(entity, place)));
            return;
        }
    }
}

/// What the handler does at a place; true: it depends on which message counts, or whether its id was known.
fn handled(facts: &Facts<'_>, entity: &Entity<'_>, group: &[usize]) -> (Handled, bool) {
    let first = facts.messages[group[0]].meant;
    let differs = group.iter().any(|at| facts.messages[*at].meant.handled != first.handled);
    let known = group.iter().any(|at| entity.shared.contains(facts.messages[*at].meant.id.as_str()));
    (first.handled, differs || known)
}

pub(super) fn fails_for_good(handled: Handled, attempts: u32) -> bool {
    match handled {
        Handled::Accepts | Handled::Rejects => false,
        Handled::FailsThenAccepts(fails) => fails >= attempts,
        Handled::AlwaysFails(_) => true,
    }
}

/// Epochs of which something came only after a higher one had begun to come: it may have been late.
fn overtaken(facts: &Facts<'_>, entity: &Entity<'_>) -> Vec<u64> {
    let mut overtaken = Vec::new();
    let mut lowest_above = u64::MAX;
    for group in entity.events.chunk_by(|left, right| facts.messages[*left].place().0 == facts.messages[*right].place().0).rev() {
        let firsts = group.chunk_by(|left, right| facts.messages[*left].place() == facts.messages[*right].place());
        let latest = firsts.map(|copies| facts.messages[copies[0]].number()).max().unwrap_or(0);
        if latest > lowest_above {
            overtaken.push(facts.messages[group[0]].place().0);
        }
        lowest_above = lowest_above.min(group.iter().map(|at| facts.messages[*at].number()).min().unwrap_or(u64::MAX));
    }
    overtaken
}
