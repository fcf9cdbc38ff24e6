//! What operators said holds: who was told to stand still stands still, a word about what is done changes nothing, and what was redriven is applied
//! once. Whether a word that was not answered took effect may be either way.

use super::facts::{Entity, Facts};
use super::report::Guarantee::{G2, G3, G8};
use super::{Answer, Head, Report, Said, Word};
use crate::checker::store::{Reason, Spot};
use std::collections::BTreeMap;

impl Entity<'_> {
    /// An operator may have given up this place, or any: as the event at the head, or as one that was missing.
    pub(super) fn skipped(&self, place: Option<Spot>) -> bool {
        self.said.iter().any(|said| match said.word {
            Word::Skip(Head::Seen(seen)) => place.is_none_or(|place| place == seen) && said.may_be_done(),
            Word::Skip(Head::Any) => said.may_be_done(),
            _ => false,
        })
    }

    /// It is parked by an operator's word, or may be where no record tells.
    pub(super) fn stands_still(&self) -> bool {
        let Some(view) = self.view else { return self.may_be_parked() };
        view.waiting.as_ref().is_some_and(|waiting| waiting.reason == Reason::Operator && waiting.alarm.is_none())
    }

    /// Some word may have parked it, and none since is known to have let it go on.
    pub(super) fn may_be_parked(&self) -> bool {
        let parks = |said: &&&Said| matches!(said.word, Word::Park { .. }) && said.answer != Answer::Refused;
        self.said.iter().rev().take_while(|said| !said.let_go()).any(|said| parks(&said))
    }

    /// Words by which it stands still, if any: each confirmed, and nothing was said since that may have let it go on.
    fn parked_by(&self) -> impl Iterator<Item = u64> {
        let last = self.said.iter().rev().take_while(|said| !said.may_let_go());
        last.filter_map(|said| match said.word {
            Word::Park { counted } if said.answer.confirmed() => Some(counted),
            _ => None,
        })
    }
}

impl Said {
    fn may_be_done(&self) -> bool {
        matches!(self.answer, Answer::Done | Answer::Open)
    }

    /// After it the entity is not parked by the words before it.
    fn let_go(&self) -> bool {
        match self.word {
            Word::Resume(_) => self.answer.confirmed(),
            Word::Skip(_) => self.answer == Answer::Done,
            Word::Park { .. } | Word::Redrive { .. } => false,
        }
    }

    /// After it the entity may go on. A skip that something came between has let it go on all the same.
    fn may_let_go(&self) -> bool {
        match self.word {
            Word::Resume(Head::Wrong(_)) | Word::Skip(Head::Wrong(_)) => false,
            Word::Resume(_) => self.answer != Answer::Refused,
            Word::Skip(_) => true,
            Word::Park { .. } | Word::Redrive { .. } => false,
        }
    }
}

impl Facts<'_> {
    /// Whether a redrive that took effect may have been one out of order.
    pub(super) fn redriven_out_of_order(&self, letter: u64) -> bool {
        let words = self.redrives.get(&letter).map_or(&[][..], Vec::as_slice);
        let out = |said: &&&Said| matches!(said.word, Word::Redrive { out_of_order: true, .. });
        match words.iter().find(|said| said.answer == Answer::Done) {
            Some(done) => out(&done),
            None => words.iter().filter(|said| said.answer == Answer::Open).any(|said| out(&said)),
        }
    }
}

pub(super) fn check(facts: &Facts<'_>, report: &mut Report) {
    for entity in facts.entities.values().filter(|entity| !entity.said.is_empty()) {
        heads(facts, entity, report);
        if facts.store.is_some() {
            still(facts, entity, report);
            skipped(facts, entity, report);
        }
    }
    redrives(facts, report);
}

/// A word that names what is not at the head is refused.
fn heads(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    for said in &entity.said {
        if let Word::Resume(Head::Wrong(place)) | Word::Skip(Head::Wrong(place)) = said.word
            && said.answer.confirmed()
        {
            let history = facts.history(entity, place);
            let text =
                format!("entity {:?}: {:?} was answered {:?}, but nothing is to do there{history}", entity.name, said.word, said.answer);
            report.broken(G2, "word-names-the-head", text);
        }
    }
}

/// Who was parked stays parked: at most the event that was with the handlers then is applied.
fn still(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let Some(counted) = entity.parked_by().min() else { return };
    let waiting = entity.view.and_then(|view| view.waiting.as_ref());
    let fast = |reason: &Reason| matches!(reason, Reason::Operator | Reason::OutputUndeliverable | Reason::Record);
    let parked = waiting.is_some_and(|waiting| waiting.alarm.is_none() && fast(&waiting.reason));
    let count = count(facts, entity);
    if !parked || count > counted + 1 {
        let history = facts.history(entity, (u64::MAX, u64::MAX));
        let text = format!(
            "entity {:?} was parked by an operator when its handler had counted {counted}, and nobody said otherwise since: it counts {count}{history}",
            entity.name
        );
        report.broken(G8, "parked-stands-still", text);
    }
}

fn count(facts: &Facts<'_>, entity: &Entity<'_>) -> u64 {
    let bytes = entity.view.and_then(|view| view.state.get(&facts.run.rules.handler)?.get("count"));
    bytes.and_then(|bytes| serde_json::from_slice(bytes).ok()).unwrap_or(0)
}

/// What was skipped lies behind the entity.
fn skipped(facts: &Facts<'_>, entity: &Entity<'_>, report: &mut Report) {
    let position = entity.view.and_then(|view| view.position);
    for said in &entity.said {
        if let Word::Skip(Head::Seen(place)) = said.word
            && said.answer == Answer::Done
            && position.is_none_or(|position| position < place)
        {
            let history = facts.history(entity, place);
            let text = format!("entity {:?}: that {place:?} was skipped was confirmed, but it stands before it{history}", entity.name);
            report.broken(G8, "skipped-goes-on", text);
        }
    }
}

/// Each dead letter is applied once if somebody was told so, and never if nobody asked.
fn redrives(facts: &Facts<'_>, report: &mut Report) {
    let mut outputs: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for output in &facts.outputs {
        if let Some(letter) = output.redriven {
            outputs.entry(letter).or_default().push(output.piece.id);
        }
    }
    for (letter, ids) in &outputs {
        if ids.len() > 1 {
            report.broken(G3, "redriven-once", format!("dead letter {letter} was redriven {} times, as {ids:?}", ids.len()));
        }
        let asked = facts.redrives.get(letter).is_some_and(|words| words.iter().any(|said| said.may_be_done()));
        if !asked {
            report.broken(
                G3,
                "redriven-as-said",
                format!("dead letter {letter} was redriven as {ids:?}, which nobody asked for, or was refused"),
            );
        }
    }
    for (letter, words) in &facts.redrives {
        if !outputs.contains_key(letter)
            && let Some(said) = words.iter().find(|said| said.answer.confirmed())
        {
            let text =
                format!("dead letter {letter} of {:?}: its redrive was answered {:?}, but it has no output", said.entity, said.answer);
            report.broken(G3, "redriven-as-said", text);
        }
    }
}
