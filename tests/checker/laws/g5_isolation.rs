//! G5: what happens to one entity leaves the others alone.

use super::facts::{Entity, Facts};
use super::report::Guarantee::G5;
use super::show::text;
use super::{Handled, Report};
use crate::checker::store::{Reason, Spot};
use std::collections::{HashMap, HashSet};

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    foreign(facts, report);
    for entity in facts.entities.values().filter(|entity| undisturbed(facts, entity)) {
        let reason =
            entity.view.and_then(|view| view.waiting.as_ref()).filter(|waiting| waiting.alarm.is_none()).map(|waiting| &waiting.reason);
        let dead = entity.events.iter().find(|at| !facts.messages[**at].letters.is_empty());
        if let Some(at) = dead {
            let message = &facts.messages[*at];
            let history = facts.history(entity, message.place());
            report.broken(
                G5,
                "undisturbed-goes-on",
                format!("nothing was wrong with entity {:?}, but {} is {}{history}", entity.name, facts.name(message), facts.end(message)),
            );
        } else if let Some(reason) = reason {
            let history = facts.history(entity, (0, 0));
            report.broken(
                G5,
                "undisturbed-goes-on",
                format!("nothing was wrong with entity {:?}, but it is parked ({reason}){history}", entity.name),
            );
        }
        if facts.run.settled {
            all_applied(facts, entity, report);
        }
    }
}

/// Everything of an undisturbed entity is applied in the end.
fn all_applied(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let open = facts.places(entity).find(|(_, group)| group.iter().all(|at| facts.messages[*at].applied.is_none()));
    if let Some((place, _)) = open {
        let history = facts.history(entity, place);
        report.broken(
            G5,
            "undisturbed-is-done",
            format!("nothing was wrong with entity {:?}, but {place:?} was not applied{history}", entity.name),
        );
    }
}

/// Nothing was done to it: no failing event, no conflict, no shared id, no loss, no gap of its own, no output that was refused.
fn undisturbed(facts: &Facts<'_>, entity: &Entity<'_>) -> bool {
    let rules = &facts.run.rules;
    let waiting = entity.view.and_then(|view| view.waiting.as_ref());
    if waiting.is_some_and(|waiting| waiting.reason == Reason::OutputUndeliverable) || entity.skipped(None) || entity.stands_still() {
        return false;
    }
    let plain = entity.events.iter().map(|at| &facts.messages[*at]).all(|message| {
        let held = message.held || !(rules.lost || message.gone);
        message.meant.handled == Handled::Accepts && held
    });
    if !plain || !entity.shared.is_empty() || entity.events.is_empty() {
        return false;
    }
    // Where any sequence may be the first, each epoch gives up what lies below its first: that can raise the floor above copies of lower epochs.
    let copies = rules.first.is_none() && facts.places(entity).any(|(_, group)| group.len() > 1);
    let (mut last, mut latest, mut latest_of_lower) = (None::<Spot>, 0, 0);
    for (place, group) in facts.places(entity) {
        let before = last.filter(|last| last.0 == place.0);
        if before.is_none() {
            latest_of_lower = latest;
        }
        let follows = match before {
            Some(before) => place.1 == before.1 + 1,
            None => rules.first.is_none_or(|first| place.1 == first),
        };
        let payload = &facts.messages[group[0]].meant.payload;
        let same = group.iter().all(|at| facts.messages[*at].meant.payload == *payload);
        // Its own disorder could have opened a gap that gave up, or come behind the begin of a higher epoch.
        let came = facts.messages[group[0]].number();
        let behind = if rules.in_time && rules.first.is_some() { latest_of_lower } else { latest };
        let floor = copies && before.is_none() && last.is_some();
        if !follows || !same || came < behind || floor {
            return false;
        }
        latest = latest.max(came);
        last = Some(place);
    }
    true
}

/// An output holds its own entity's bytes.
fn foreign(facts: &Facts<'_>, report: &mut Report) {
    let strange: HashSet<&[u8]> = facts
        .outputs
        .iter()
        .filter(|output| output.cause.is_none())
        .map(|output| output.piece.payload)
        .filter(|payload| !payload.is_empty())
        .collect();
    if strange.is_empty() {
        return;
    }
    let messages = facts.messages.iter().filter(|message| strange.contains(message.meant.payload.as_slice()));
    let owners: HashMap<&[u8], &str> = messages.map(|message| (message.meant.payload.as_slice(), message.meant.entity.as_str())).collect();
    for output in facts.outputs.iter().filter(|output| output.cause.is_none()) {
        if let Some(owner) = owners.get(output.piece.payload).filter(|owner| **owner != output.entity) {
            let (at, entity, payload) = (output.piece.at, output.entity, text(output.piece.payload));
            report.broken(
                G5,
                "no-foreign-bytes",
                format!("output {at} of entity {entity:?} holds what was published for {owner:?}: {payload:?}"),
            );
        }
    }
}
