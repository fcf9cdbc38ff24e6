//! How each message ended, as far as it can be told from outside.

use super::facts::{Entity, Facts};
use super::{LateRule, MeantAs};
use crate::checker::store::Spot;

/// The end of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Applied,
    Dead,
    /// A copy of what stands, or its id was known.
    Duplicate,
    /// Late, under a policy that drops those.
    DroppedLate,
    /// Above the watermark, or its entity waits.
    Undone,
    Lost,
    /// It left with the stream as it was.
    Gone,
    /// None: it was forgotten.
    Forgotten,
}

/// The ends of all messages, in the order of the generator's log.
pub(super) fn of(facts: &Facts<'_>) -> Vec<End> {
    let mut ends: Vec<End> = (0..facts.messages.len()).map(|at| plain(facts, None, at).unwrap_or(End::Forgotten)).collect();
    for entity in facts.entities.values() {
        for (place, group) in facts.places(entity) {
            let at_place = Place::of(facts, entity, place, group);
            for at in group {
                ends[*at] = at_place.end(*at);
            }
        }
    }
    ends
}

/// An end of its own, which needs no other message.
fn plain(facts: &Facts<'_>, entity: Option<&Entity<'_>>, at: usize) -> Option<End> {
    let message = &facts.messages[at];
    if message.applied.is_some() {
        Some(End::Applied)
    } else if !message.letters.is_empty() {
        Some(End::Dead)
    } else if facts.is_lost(entity, at) {
        Some(End::Lost)
    } else if message.gone {
        Some(End::Gone)
    } else {
        facts.is_undone(entity, at).then_some(End::Undone)
    }
}

/// What the messages at one place say of each other.
struct Place<'f, 'a> {
    facts: &'f Facts<'a>,
    entity: &'f Entity<'a>,
    /// Payloads of those that stand: a copy rests on them.
    standing: Vec<&'a [u8]>,
    /// An event of this place ended, and the entity remembers by which payload: another one is a conflict, whatever its id.
    remembered: bool,
    /// The place is finished, and nobody remembers by which payload: a conflict can no longer be told from a copy.
    forgotten: bool,
    may_be_late: bool,
}

impl<'f, 'a> Place<'f, 'a> {
    fn of(facts: &'f Facts<'a>, entity: &'f Entity<'a>, place: Spot, group: &[usize]) -> Self {
        // What came late may have found a copy's id known before it was delivered.
        let in_turn = |at: &usize| facts.messages[*at].applied.is_some_and(|output| !facts.outputs[output].late);
        let ended = group.iter().any(|at| in_turn(at) || facts.died_as_event(*at));
        let alone = group.len() == 1;
        let remembers = !alone && remembers(facts, entity, place);
        let remembered = ended && remembers;
        let knows = |at: usize| !remembered && facts.took_its_place(entity, at);
        let stands = |at: &&usize| {
            let message = &facts.messages[**at];
            let open = message.letters.is_empty() && plain(facts, Some(entity), **at).is_some();
            // A copy of what stood in memory is one, even if that turned out to be in conflict with what was applied before its turn came.
            let conflict = message.letters.iter().any(|letter| facts.letters[*letter].reason == "conflict");
            open || message.applied.is_some() || !message.redriven.is_empty() || facts.died_as_event(**at) || knows(**at) || conflict
        };
        let mut standing: Vec<&[u8]> = group.iter().filter(stands).map(|at| facts.messages[*at].meant.payload.as_slice()).collect();
        standing.sort_unstable();
        standing.dedup();
        let forgotten = !alone && !remembers && group.iter().any(|at| facts.took_its_place(entity, *at));
        Self { facts, entity, standing, remembered, forgotten, may_be_late: facts.may_be_late(entity, place) }
    }

    fn end(&self, at: usize) -> End {
        let facts = self.facts;
        if let Some(end) = plain(facts, Some(self.entity), at) {
            return end;
        }
        let meant = facts.messages[at].meant;
        let copy = self.standing.binary_search(&meant.payload.as_slice()).is_ok();
        let known = !self.remembered && self.entity.known.contains(meant.id.as_str());
        if copy || self.forgotten || known {
            return End::Duplicate;
        }
        let dropped = facts.run.rules.late == LateRule::Drop && self.may_be_late && meant.kind == MeantAs::Event;
        if dropped { End::DroppedLate } else { End::Forgotten }
    }
}

/// Whether the entity still remembers the payload of an event: it is one of the last `dedup.ids` that it finished.
fn remembers(facts: &Facts<'_>, entity: &Entity<'_>, place: Spot) -> bool {
    let ids = facts.run.rules.ids.max(1);
    match entity.view {
        Some(view) => view.slots.iter().rev().take(ids).any(|slot| slot.place == place),
        None => entity.events.len() <= ids,
    }
}
