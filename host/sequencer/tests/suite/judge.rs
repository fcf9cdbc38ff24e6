//! The judge: sees the whole input at once, sorts it, and says what had to come out. Shares no code and no type with the sequencer.

use std::collections::{BTreeMap, BTreeSet};

type Spot = (u64, u64);

/// A message of the entity. `poison`: the handlers can never accept it within the retries; `rejected`: because they refuse it for good.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) ticket: u64,
    pub(crate) place: Spot,
    pub(crate) id: u64,
    pub(crate) payload: u64,
    pub(crate) poison: bool,
    pub(crate) rejected: bool,
}

/// What may be expected of a run. `exact`: no gap was ever given up, so the applied list is known.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    pub(crate) exact: bool,
    pub(crate) ids: usize,
    pub(crate) jump_max: u64,
    pub(crate) dead_letters_failures: bool,
    pub(crate) operator: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Dead(&'static str),
    DroppedLate,
}

/// What became durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fates {
    /// In order; true = flagged late.
    pub(crate) applied: Vec<(u64, bool)>,
    pub(crate) of: BTreeMap<u64, Fate>,
    pub(crate) lost: BTreeSet<u64>,
    /// The entity waits: everything from here on is still to do.
    pub(crate) waits_from: Option<u64>,
    pub(crate) watermark: u64,
}

pub(crate) fn judge(rules: &Rules, mut input: Vec<Seen>, fates: &Fates) -> Result<(), String> {
    input.sort_by_key(|seen| (seen.place, seen.ticket));
    let by_ticket: BTreeMap<u64, &Seen> = input.iter().map(|seen| (seen.ticket, seen)).collect();
    let applied: BTreeMap<u64, bool> = fates.applied.iter().copied().collect();
    if applied.len() != fates.applied.len() || applied.keys().any(|ticket| fates.of.contains_key(ticket)) {
        return Err(format!("a message ended twice: {fates:?}"));
    }
    // Order: strictly increasing, but for what is flagged late. Effectively once: one application per place.
    let order: Vec<Spot> = fates.applied.iter().filter(|(_, late)| !late).map(|(ticket, _)| by_ticket[ticket].place).collect();
    if order.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(format!("out of order: {order:?}"));
    }
    let places: BTreeSet<Spot> = applied.keys().map(|ticket| by_ticket[ticket].place).collect();
    if places.len() != applied.len() {
        return Err(format!("a place was applied twice: {:?}", fates.applied));
    }
    let undone = |seen: &Seen| seen.ticket > fates.watermark || fates.waits_from.is_some_and(|from| from <= seen.ticket);
    let ends = |seen: &Seen| match (applied.get(&seen.ticket), fates.of.get(&seen.ticket)) {
        (Some(_), _) => Some("applied"),
        (None, Some(Fate::Dead(reason))) => Some(*reason),
        (None, Some(Fate::DroppedLate)) => Some("dropped late"),
        (None, None) => None,
    };
    let mut predicted = Vec::new();
    let mut stuck = false;
    for group in input.chunk_by(|left, right| left.place == right.place) {
        let place = group[0].place;
        let far = place.1 > 10 * rules.jump_max;
        let event = group.iter().find(|seen| {
            matches!(ends(seen), Some("applied" | "gap" | "rejected" | "retries-exhausted" | "trap" | "timeout" | "memory" | "skipped"))
        });
        for seen in group {
            let end = ends(seen);
            let copy_of_event = event.is_some_and(|event| event.ticket != seen.ticket);
            let fits = match end {
                Some("applied") => !seen.poison,
                Some("rejected") => seen.rejected,
                Some("retries-exhausted" | "trap" | "timeout") => seen.poison && !seen.rejected && rules.dead_letters_failures,
                Some("malformed") => far,
                Some("conflict") => group.iter().any(|other| other.payload != seen.payload),
                Some("skipped") => rules.operator,
                Some("gap" | "late" | "dropped late") => !rules.exact,
                Some(other) => return Err(format!("{seen:?} ended as {other}")),
                // No fate of its own: a copy (of the same payload, or one that the ring of ids no longer tells apart), lost, or still waiting.
                None => {
                    let same = |other: &Seen| other.ticket != seen.ticket && other.payload == seen.payload && (ends(other).is_some() || undone(other) || fates.lost.contains(&other.ticket));
                    let same_id = |other: &&Seen| other.ticket != seen.ticket && seen.id != 0 && other.id == seen.id;
                    (copy_of_event && (group.iter().any(same) || places.len() + fates.of.len() > rules.ids))
                        || group.iter().any(same)
                        || input.iter().filter(same_id).any(|other| ends(other).is_some())
                        || fates.lost.contains(&seen.ticket)
                        || undone(seen)
                }
            };
            if !fits {
                return Err(format!("{seen:?} may not end as {end:?}; its place: {group:?}"));
            }
        }
        let poison = group[0].poison;
        let waits = group.iter().all(|seen| undone(seen) && ends(seen).is_none());
        if rules.exact && !far {
            stuck |= poison && !rules.dead_letters_failures && !group[0].rejected && event.is_none();
            if !stuck && waits {
                return Err(format!("nothing stands before {place:?}, but it waits"));
            }
            if !stuck && !poison {
                predicted.push(place);
            }
        }
    }
    if rules.exact && order != predicted {
        return Err(format!("applied {order:?}, but had to be {predicted:?}"));
    }
    Ok(())
}
