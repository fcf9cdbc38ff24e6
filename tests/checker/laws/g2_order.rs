//! G2: an entity's events are applied in order, and what is missing is named.

use super::facts::{Entity, Facts};
use super::report::Guarantee::G2;
use super::{Hole, LateRule, Report};
use crate::checker::store::{EntityView, Spot};

/// Marks the outputs that a policy let be delivered out of order; everything else out of order is broken, but what an operator redrove so.
pub(super) fn order(facts: &mut Facts<'_>, report: &mut Report) {
    let mut late = Vec::new();
    for entity in facts.entities.values() {
        let mut highest: Option<Spot> = None;
        for at in &entity.outputs {
            let place = facts.outputs[*at].place;
            if let Some(letter) = facts.outputs[*at].redriven {
                let out_of_order = facts.redriven_out_of_order(letter);
                if !out_of_order && highest.is_some_and(|before| place <= before) {
                    let history = facts.history(entity, place);
                    let text = format!("entity {:?}: {place:?} was redriven in order and follows {highest:?}{history}", entity.name);
                    report.broken(G2, "order", text);
                }
                highest = if out_of_order { highest } else { highest.max(Some(place)) };
                continue;
            }
            match highest {
                Some(before) if place <= before => match delivered_late(facts, entity, place) {
                    Ok(()) => late.push(*at),
                    Err(problem) => {
                        let text =
                            format!("entity {:?}: {place:?} follows {before:?}, {problem}{}", entity.name, facts.history(entity, place));
                        report.broken(G2, "order", text);
                    }
                },
                _ => highest = Some(place),
            }
        }
    }
    for at in late {
        facts.outputs[at].late = true;
    }
}

/// Whether a place may have been given up and delivered after all: something above it came before it.
fn delivered_late(facts: &Facts<'_>, entity: &Entity<'_>, place: Spot) -> Result<(), String> {
    let rules = &facts.run.rules;
    if rules.late != LateRule::Deliver {
        return Err("and late events are not delivered".to_owned());
    }
    if !entity.skipped(None) && (rules.in_time || (rules.hole != Hole::Skip && rules.first.is_some())) {
        return Err("and its place cannot have been given up".to_owned());
    }
    let number = |at: &usize| facts.messages[*at].number();
    let came = facts.at_place(entity, place).iter().map(number).max().unwrap_or(0);
    let above = entity.events.partition_point(|at| facts.messages[*at].place() <= place);
    // The last copy of it must stand behind the first of what passed it; numbers that were given again do not tell.
    if rules.generations > 0 || entity.events[above..].iter().any(|at| number(at) < came) {
        Ok(())
    } else {
        Err("and it came before everything above it".to_owned())
    }
}

/// What is missing below the position is named, and nothing that was applied is named as missing.
pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    for entity in facts.entities.values() {
        let Some(view) = entity.view else { continue };
        for at in &entity.outputs {
            let place = facts.outputs[*at].place;
            // What was dead-lettered early and redriven stays in its range until the position gets there.
            let ahead = facts.outputs[*at].redriven.is_some() && view.position.is_none_or(|position| place > position);
            if view.gave_up(place) && !ahead {
                let text =
                    format!("entity {:?}: {place:?} was applied and is named as given up{}", entity.name, facts.history(entity, place));
                report.broken(G2, "given-up-not-applied", text);
            }
        }
        for (first, last) in missing(facts, entity, view) {
            if !named(view, first, last) {
                let ((epoch, from), history) = (first, facts.history(entity, first));
                let text = format!(
                    "entity {:?}: {epoch}:{from}–{last} lie below the position, did not end and are not named{history}",
                    entity.name
                );
                report.broken(G2, "missing-is-named", text);
            }
        }
    }
}

/// Ranges of sequences at or below the position at which nothing ended: first place, last sequence.
fn missing(facts: &Facts<'_>, entity: &Entity<'_>, view: &EntityView) -> Vec<(Spot, u64)> {
    let base = facts.run.rules.first.unwrap_or(1);
    let mut missing = Vec::new();
    // Where each epoch ended. Epochs that are not told were passed over before they began.
    for end in view.past.iter().filter(|past| Some(past.0) != view.position.map(|at| at.0)).chain(&view.position) {
        let epoch = end.0;
        let from = entity.events.partition_point(|at| facts.messages[*at].place() < (epoch, base));
        let inside = entity.events[from..].iter().take_while(|at| facts.messages[**at].place() <= *end);
        let mut next = base;
        for at in inside.filter(|at| facts.took_its_place(entity, **at)) {
            let sequence = facts.messages[*at].place().1;
            if next < sequence {
                missing.push(((epoch, next), sequence - 1));
            }
            next = sequence + 1;
        }
        if next <= end.1 {
            missing.push(((epoch, next), end.1));
        }
    }
    missing
}

fn named(view: &EntityView, first: Spot, last: u64) -> bool {
    let (epoch, from) = first;
    let above = if view.floor.0 > epoch {
        return true;
    } else if view.floor.0 == epoch {
        from.max(view.floor.1.saturating_add(1))
    } else {
        from
    };
    let after = view.given_up.partition_point(|range| (range.epoch, range.first) <= (epoch, above));
    let range = after.checked_sub(1).map(|at| view.given_up[at]).filter(|range| range.epoch == epoch);
    above > last || range.is_some_and(|range| last <= range.last)
}
