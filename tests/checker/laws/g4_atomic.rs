//! G4: state, position, outputs and dead letters of an event became durable together, and nothing left before that.

use super::facts::{Entity, Facts};
use super::g3_once::fails_for_good;
use super::piece::Letter;
use super::report::Guarantee::G4;
use super::{Handled, MeantAs, Report};
use crate::checker::store::EntityView;
use std::collections::HashSet;

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    accepted(facts, report);
    let Some(store) = facts.store else { return };
    for entity in facts.entities.values() {
        outputs(facts, entity, report);
        slots(facts, entity, report);
        component(facts, entity, report);
    }
    for letter in &facts.letters {
        dead(facts, letter, report);
    }
    let streams = facts.run.outputs.iter().chain(&facts.run.dead);
    let there: HashSet<&str> = streams.filter_map(|kept| kept.header("Nats-Msg-Id")).collect();
    for (name, view) in &store.entities {
        outbox(name, view, &there, report);
    }
}

/// What a failed attempt did leaves nothing.
fn accepted(facts: &Facts<'_>, report: &mut Report) {
    for entity in facts.entities.values() {
        for at in &entity.outputs {
            if facts.outputs[*at].piece.header("Seriatim-Redriven-Edited").is_some() {
                continue;
            }
            let Some(cause) = facts.outputs[*at].cause.map(|cause| &facts.messages[cause]) else { continue };
            let handled = cause.meant.handled;
            if handled == Handled::Rejects || fails_for_good(handled, facts.run.rules.attempts) {
                let text = format!(
                    "{} has an output, but the handler never accepts it{}",
                    facts.name(cause),
                    facts.history(entity, cause.place())
                );
                report.broken(G4, "output-of-accepted", text);
            }
        }
    }
}

/// The store shows the event of every output as done.
fn outputs(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let position = entity.view.and_then(|view| view.position);
    for at in &entity.outputs {
        let output = &facts.outputs[*at];
        let early = output.redriven.is_some() && entity.view.is_some_and(|view| view.gave_up(output.place));
        if !early && position.is_none_or(|position| output.place > position) {
            let (name, place, history) = (entity.name, output.place, facts.history(entity, output.place));
            report.broken(
                G4,
                "output-after-commit",
                format!("entity {name:?}: the output of {place:?} left before the store knew of it{history}"),
            );
            return;
        }
    }
}

/// Every event that the record remembers has its output, or its dead letter, or is a copy.
fn slots(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let Some(view) = entity.view else { return };
    for slot in &view.slots {
        let ended = facts.at_place(entity, slot.place).iter().any(|at| facts.took_its_place(entity, *at));
        if !ended {
            let (name, place, history) = (entity.name, slot.place, facts.history(entity, slot.place));
            report.broken(
                G4,
                "slot-has-its-end",
                format!("entity {name:?}: the record has {place:?} as done, without an output or a dead letter{history}"),
            );
        }
    }
}

/// The record names the component that handled the last event, which is the one that its output names.
fn component(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let Some((view, last)) = entity.view.zip(entity.outputs.last()) else { return };
    let output = &facts.outputs[*last];
    let (handler, made) = (output.piece.header("Seriatim-Handler"), output.piece.header("Seriatim-Component"));
    let named = handler.and_then(|handler| view.components.get(handler)).map(String::as_str);
    if named.is_some() && named != made {
        let (name, place, history) = (entity.name, output.place, facts.history(entity, output.place));
        let text = format!("entity {name:?}: the record names {named:?} for its last event, and the output of {place:?} {made:?}{history}");
        report.broken(G4, "component-of-the-record", text);
    }
}

/// The store shows the message of every dead letter as decided.
fn dead(facts: &Facts<'_>, letter: &Letter<'_>, report: &mut Report) {
    let Some(store) = facts.store else { return };
    let rebased = store.generations.iter().filter(|(generation, _)| *generation > letter.generation).map(|(_, from)| *from).min();
    let (number, lost) = (letter.number, letter.reason == "lost");
    if number <= store.watermark || rebased.is_some_and(|from| from <= number) || (lost && letter.entity.is_some()) {
        return;
    }
    let message = letter.about.map(|about| &facts.messages[about]);
    let event = message.filter(|message| message.meant.kind == MeantAs::Event);
    let name = event.map_or("", |message| message.meant.entity.as_str());
    let known = store.entities.get(name).is_some_and(|view| {
        let named = lost && view.lost.iter().any(|(first, last)| (*first..=*last).contains(&number));
        let told = named
            || view.fates.contains(&number)
            || number < view.done_below
            || view.waiting.as_ref().is_some_and(|waiting| number < waiting.from);
        let passed = event.is_some_and(|message| {
            let place = message.place();
            view.position.is_some_and(|position| place <= position) || view.gave_up(place)
        });
        if letter.beside_the_place() || lost { told } else { passed }
    });
    if !known {
        let history = facts.entities.get(name).zip(event).map(|(entity, message)| facts.history(entity, message.place()));
        let (at, reason, history) = (letter.piece.at, letter.reason, history.unwrap_or_default());
        report.broken(
            G4,
            "dead-letter-after-commit",
            format!("dead letter {at} ({reason}) of message {number} left before the store knew of it{history}"),
        );
    }
}

/// What is in the outbox leaves in line: what is in its stream already stands before what is not, and nothing stands there twice.
fn outbox(name: &str, view: &EntityView, there: &HashSet<&str>, report: &mut Report) {
    let mut seen = HashSet::new();
    let mut ahead = None;
    for entry in &view.outbox {
        let id = entry.message_id.as_str();
        if !seen.insert(id) {
            report.broken(G4, "outbox-in-line", format!("entity {name:?}: {id} stands twice in the outbox"));
        }
        match (there.contains(id), ahead) {
            (true, Some(ahead)) => {
                report.broken(
                    G4,
                    "outbox-in-line",
                    format!("entity {name:?}: {id} is in its stream, but {ahead} before it in the outbox is not"),
                );
            }
            (false, None) => ahead = Some(id),
            _ => {}
        }
    }
}
