//! The judge: sees the whole input at once, sorts it, and says what had to come out. Shares no code and no type with the sequencer.

use std::collections::{BTreeMap, BTreeSet};

/// Epoch and sequence.
type Spot = (u64, u64);

/// A message of the entity. `poison`: the handlers never accept it within the retries; `rejected`: because they refuse it for good.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) ticket: u64,
    pub(crate) place: Spot,
    pub(crate) id: u64,
    pub(crate) payload: u64,
    pub(crate) poison: bool,
    pub(crate) rejected: bool,
}

/// What a hole in the sequence, or an event that cannot succeed, means for what stands behind it: `Dies` = dead-lettered, or waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Behind {
    GoesOn,
    Waits,
    Dies,
}

/// What may be expected of a run.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Everything that came at all came in time, so what is applied is known exactly. Otherwise only rules hold.
    pub(crate) in_time: bool,
    pub(crate) hole: Behind,
    pub(crate) poison: Behind,
    /// Where an epoch begins; `None` = at the lowest that came.
    pub(crate) first: Option<u64>,
    pub(crate) ids: usize,
    pub(crate) far: u64,
    /// An operator skipped something.
    pub(crate) skipped: bool,
}

/// What became durable.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fates {
    /// In order; true = flagged late.
    pub(crate) applied: Vec<(u64, bool)>,
    /// The reason of its dead letter, or `dropped late`.
    pub(crate) of: BTreeMap<u64, &'static str>,
    pub(crate) lost: BTreeSet<u64>,
    /// The entity waits: everything from here on is still to do.
    pub(crate) waits_from: Option<u64>,
    pub(crate) watermark: u64,
}

pub(crate) fn judge(rules: &Rules, mut input: Vec<Seen>, fates: &Fates) -> Result<(), String> {
    input.sort_by_key(|seen| (seen.place, seen.ticket));
    let by_ticket: BTreeMap<u64, &Seen> = input.iter().map(|seen| (seen.ticket, seen)).collect();
    let applied: BTreeSet<u64> = fates.applied.iter().map(|(ticket, _)| *ticket).collect();
    if applied.len() != fates.applied.len() || applied.iter().any(|ticket| fates.of.contains_key(ticket)) {
        return Err(format!("a message ended twice: {fates:?}"));
    }
    // Order: strictly increasing, but for what is flagged late. Effectively once: one application per place.
    let order: Vec<Spot> = fates.applied.iter().filter(|(_, late)| !late).map(|(ticket, _)| by_ticket[ticket].place).collect();
    if order.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(format!("out of order: {order:?}"));
    }
    let places: BTreeSet<Spot> = applied.iter().map(|ticket| by_ticket[ticket].place).collect();
    if places.len() != applied.len() {
        return Err(format!("a place was applied twice: {:?}", fates.applied));
    }
    let undone = |seen: &Seen| seen.ticket > fates.watermark || fates.waits_from.is_some_and(|from| from <= seen.ticket);
    let end = |seen: &Seen| if applied.contains(&seen.ticket) { Some("applied") } else { fates.of.get(&seen.ticket).copied() };
    let known_id =
        |seen: &Seen| input.iter().any(|other| other.ticket != seen.ticket && seen.id != 0 && other.id == seen.id && end(other).is_some());
    let is_event =
        |seen: &Seen| matches!(end(seen), Some("applied" | "gap" | "rejected" | "retries-exhausted" | "trap" | "timeout" | "skipped"));
    // Every message ends exactly once, in a way that its neighbours justify.
    for group in input.chunk_by(|left, right| left.place == right.place) {
        for seen in group {
            let others = || group.iter().filter(|other| other.ticket != seen.ticket);
            let stands = |other: &Seen| end(other).is_some() || undone(other) || fates.lost.contains(&other.ticket) || known_id(other);
            let fits = match end(seen) {
                Some("applied") => !seen.poison,
                Some("rejected") => seen.rejected,
                Some("retries-exhausted" | "trap" | "timeout") => seen.poison && !seen.rejected && rules.poison == Behind::GoesOn,
                Some("malformed") => seen.place.1 > rules.far,
                Some("conflict") => others().any(|other| other.payload != seen.payload),
                Some("skipped") => rules.skipped,
                Some("gap") => rules.hole == Behind::Dies,
                Some("late" | "dropped late") => !rules.in_time || others().any(|other| is_event(other) || known_id(other)),
                Some(_) => false,
                // A copy (of the same payload, or one that the ring of ids no longer tells apart), lost, or still to do.
                None => {
                    others().any(|other| (is_event(other) || known_id(other)) && places.len() + fates.of.len() > rules.ids)
                        || others().any(|other| other.payload == seen.payload && stands(other))
                        || known_id(seen)
                        || fates.lost.contains(&seen.ticket)
                        || undone(seen)
                }
            };
            if !fits {
                return Err(format!("{seen:?} may not end as {:?}; its place: {group:?}", end(seen)));
            }
        }
    }
    // When everything came in time: walk the sorted places and say which are applied.
    let (mut predicted, mut behind, mut last) = (Vec::new(), Behind::GoesOn, None::<Spot>);
    let near = input.chunk_by(|left, right| left.place == right.place).filter(|group| rules.in_time && group[0].place.1 <= rules.far);
    for group in near {
        let (place, event) = (group[0].place, &group[0]);
        let follows = match last.filter(|last| last.0 == place.0) {
            Some(last) => place.1 == last.1 + 1,
            None => rules.first.is_none_or(|first| place.1 == first),
        };
        last = Some(place);
        if !follows && behind == Behind::GoesOn {
            behind = rules.hole;
        }
        if behind == Behind::GoesOn && event.poison && !event.rejected {
            behind = rules.poison;
        }
        match (behind, group.iter().any(is_event)) {
            (Behind::GoesOn, false) => return Err(format!("nothing stands before {place:?}, but it waits")),
            (Behind::Waits, true) => return Err(format!("{place:?} stands behind what cannot go on, but did")),
            (Behind::GoesOn, true) if !event.poison => predicted.push(place),
            _ => {}
        }
    }
    // Behind early events that were dead-lettered an operator may have let the rest go on.
    let fits = if behind == Behind::Dies { order.starts_with(&predicted) } else { order == predicted };
    if fits || !rules.in_time { Ok(()) } else { Err(format!("applied {order:?}, but had to be {predicted:?}")) }
}
