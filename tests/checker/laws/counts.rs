//! What a run exercised, seen from outside.

use super::ends::End;
use super::facts::Facts;
use super::{Counts, Handled};

pub(super) fn of(facts: &Facts<'_>, ends: &[End]) -> Counts {
    let count = |end: End| ends.iter().filter(|known| **known == end).count() as u64;
    let mut counts = Counts {
        messages: facts.messages.len() as u64,
        entities: facts.entities.values().filter(|entity| !entity.events.is_empty()).count() as u64,
        applied: count(End::Applied),
        redriven: facts.outputs.iter().filter(|output| output.redriven.is_some()).count() as u64,
        delivered_late: facts.outputs.iter().filter(|output| output.late).count() as u64,
        duplicates: count(End::Duplicate),
        dropped_late: count(End::DroppedLate),
        lost: count(End::Lost),
        ..Counts::default()
    };
    for letter in &facts.letters {
        *counts.dead.entry(letter.reason.to_owned()).or_default() += 1;
    }
    let dead = |reason: &str| counts.dead.get(reason).copied().unwrap_or(0);
    (counts.conflicts, counts.malformed) = (dead("conflict"), dead("malformed"));
    counts.late = dead("late") + counts.dropped_late + counts.delivered_late;
    if let Some(store) = facts.store {
        counts.unread = facts.messages.iter().filter(|message| message.held && message.number() > store.watermark).count() as u64;
        for view in store.entities.values() {
            counts.outbox += view.outbox.len() as u64;
            counts.waiting += u64::from(view.waiting.is_some());
            counts.parked += u64::from(view.waiting.as_ref().is_some_and(|waiting| waiting.alarm.is_none()));
        }
    }
    for entity in facts.entities.values() {
        let mut latest = 0;
        for (_, group) in facts.places(entity) {
            let came = facts.messages[group[0]].number();
            counts.out_of_order += u64::from(came < latest);
            latest = latest.max(came);
        }
        if let Some(view) = entity.view {
            let position = view.position.unwrap_or_default();
            let below = view.given_up.iter().filter(|range| (range.epoch, range.first) <= position);
            counts.given_up += below.map(|range| range.last - range.first + 1).sum::<u64>();
        }
    }
    let retried =
        |message: &&super::facts::Message<'_>| matches!(message.meant.handled, Handled::FailsThenAccepts(1..)) && message.applied.is_some();
    counts.retried = facts.messages.iter().filter(retried).count() as u64;
    counts
}
