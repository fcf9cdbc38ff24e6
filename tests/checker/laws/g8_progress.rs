//! G8: when faults stop, everything is worked off but what is parked, and that says why. What waits is listed at any time.

use super::facts::{Entity, Facts};
use super::g3_once::fails_for_good;
use super::report::Guarantee::G8;
use super::{Failing, Handled, Hole, Report};
use crate::checker::store::{EntityView, PipelineView, Reason, Waiting};

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    let Some(store) = facts.store else { return };
    for (name, view) in &store.entities {
        owing(facts, name, view, report);
    }
    for entity in facts.entities.values() {
        let Some(waiting) = entity.view.and_then(|view| view.waiting.as_ref()) else { continue };
        if waiting.alarm.is_none()
            && let Err(problem) = justified(facts, store, entity, waiting)
        {
            let history = facts.history(entity, next(facts, entity));
            report.broken(
                G8,
                "parked-justified",
                format!("entity {:?} is parked ({}), but {problem}{history}", entity.name, waiting.reason),
            );
        }
        if facts.run.settled && waiting.alarm.is_some() {
            let history = facts.history(entity, next(facts, entity));
            report.broken(G8, "nobody-waits", format!("entity {:?} still waits ({}){history}", entity.name, waiting.reason));
        }
    }
    if !facts.run.settled {
        return;
    }
    let last = facts.messages.iter().filter(|message| message.held).map(|message| message.number()).max().unwrap_or(0);
    if store.watermark < last {
        let (watermark, highest) = (store.watermark, store.highest);
        report.broken(
            G8,
            "watermark",
            format!("the watermark stands at {watermark} (highest read: {highest}), the last message is {last}"),
        );
    }
    for (name, view) in &store.entities {
        // An operator's word may stand in the place of the reason for which an output was refused.
        let parked = facts.entities.get(name.as_str()).is_some_and(Entity::stands_still);
        let refused = parked || view.waiting.as_ref().is_some_and(|waiting| waiting.reason == Reason::OutputUndeliverable);
        if let Some(entry) = view.outbox.first().filter(|_| !refused) {
            let (left, id) = (view.outbox.len(), &entry.message_id);
            report.broken(G8, "outbox-empty", format!("entity {name:?} has {left} entries in its outbox, {id} first"));
        }
    }
}

/// The index lists exactly those that wait; while the host lived, at least those. (Who has outputs is found by them.)
fn owing(facts: &Facts<'_>, name: &str, view: &EntityView, report: &mut Report) {
    match &view.waiting {
        Some(waiting) if !view.owing => {
            let reason = &waiting.reason;
            let what =
                format!("entity {name:?} waits ({reason}), but the index of those that wait does not list it: a start would forget it");
            report.broken(G8, "owing-lists-all", what);
        }
        None if view.owing && facts.run.settled => {
            report.broken(G8, "owing-lists-only", format!("entity {name:?} does not wait, but the index of those that wait lists it"));
        }
        _ => {}
    }
}

/// The place that the entity needs next.
fn next(facts: &Facts<'_>, entity: &Entity<'_>) -> (u64, u64) {
    let first = facts.run.rules.first.unwrap_or(1);
    entity.view.and_then(|view| view.position).map_or((0, first), |(epoch, sequence)| (epoch, sequence.saturating_add(1)))
}

/// Whether an entity may be parked for this reason.
fn justified(facts: &Facts<'_>, store: &PipelineView, entity: &Entity<'_>, waiting: &Waiting) -> Result<(), String> {
    let rules = &facts.run.rules;
    match &waiting.reason {
        Reason::Gap => {
            if rules.hole != Hole::Park {
                return Err("no gap parks".to_owned());
            }
            let place = next(facts, entity);
            let came = facts.at_place(entity, place).iter().map(|at| (*at, &facts.messages[*at])).find(|(at, message)| {
                message.held && message.letters.is_empty() && message.number() <= store.watermark && !facts.is_lost(Some(entity), *at)
            });
            came.map_or(Ok(()), |(_, message)| Err(format!("{} came", facts.name(message))))
        }
        Reason::Failed(reason) => {
            if rules.failing != Failing::Park {
                return Err("what fails is dead-lettered".to_owned());
            }
            let tried = waiting.attempts;
            // Of several messages of that number (the stream was restored) any may be the one.
            let events: Vec<_> = entity.events.iter().map(|at| &facts.messages[*at]).collect();
            let mut named = events.iter().filter(|message| message.number() == tried.stream_sequence).peekable();
            let Some(event) = named.peek() else {
                // It was in the stream as it was before one was accepted, and its number means another message now.
                if rules.generations > 0 && tried.stream_sequence == 0 {
                    return Ok(());
                }
                return Err(format!("message {} is not one of its events", tried.stream_sequence));
            };
            let refused = Err(format!("{} was tried {} times of {}", facts.name(event), tried.count, rules.attempts));
            let like_that = named.any(|event| match event.meant.handled {
                Handled::AlwaysFails(always) => always == reason,
                handled => fails_for_good(handled, rules.attempts) && reason == "retries-exhausted",
            });
            if like_that && tried.count >= rules.attempts { Ok(()) } else { refused }
        }
        Reason::Operator if entity.may_be_parked() => Ok(()),
        Reason::RangesFull if rules.hole == Hole::DeadLetter => Ok(()),
        Reason::OutputUndeliverable if entity.view.is_some_and(|view| !view.outbox.is_empty()) => Ok(()),
        _ => Err("nothing here may park it".to_owned()),
    }
}
