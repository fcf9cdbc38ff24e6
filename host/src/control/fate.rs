//! What became of a message, as far as its entity's durable record tells. Pure: the record as values and the message go in. It follows what
//! `sequencer/src/arrival.rs` decides for a message that is read again, and says "waiting" of everything that is not decided yet.

use super::{DeadLetterRow, HistoryPage, HistoryPart, HistoryRow, Place, Seen};
use seriatim_sequencer::{Range, Snapshot, Waiting};
use std::collections::BTreeMap;

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its sequence is finished: it was applied, or is a copy of one that was.
    Finished,
    /// It was given up, and dead-lettered where the policy says so.
    GivenUp,
    /// It came after its sequence had been given up.
    Late,
    /// It is still to do.
    Waiting,
    /// The host has not read so far.
    NotRead,
    /// It is no event.
    Malformed,
}

impl Fate {
    /// The word in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::GivenUp => "given-up",
            Self::Late => "late",
            Self::Waiting => "waiting",
            Self::NotRead => "not-read",
            Self::Malformed => "malformed",
        }
    }
}

/// An event that the record still remembers by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Its place.
    pub place: Place,
    /// Hash of its id; 0 = none.
    pub id: u64,
    /// Hash of its payload.
    pub payload: u64,
}

/// An entity's record and how far its pipeline is, as plain values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordView {
    /// The last place it has finished; `None` = nothing durable says so.
    pub position: Option<Place>,
    /// At or below it, an unknown id is late; `None` = there is no floor.
    pub floor: Option<Place>,
    /// Messages up to here were decided when the floor rose last.
    pub floor_through: u64,
    /// Every message of the entity below this was decided.
    pub done_below: u64,
    /// Last positions of earlier epochs.
    pub past: Vec<Place>,
    /// Given-up ranges.
    pub given_up: Vec<Range>,
    /// Messages whose fate the position does not tell.
    pub fates: Vec<u64>,
    /// Recent events.
    pub recent: Vec<Remembered>,
    /// Its waiting.
    pub waiting: Option<Waiting>,
    /// Dead letters that were redriven, by their stream sequences.
    pub redriven: Vec<u64>,
    /// Up to here every message of the pipeline is closed.
    pub watermark: u64,
    /// The highest message that the pipeline has read.
    pub highest: u64,
}

impl RecordView {
    /// What a store keeps of the entity, beside how far its pipeline is.
    #[must_use]
    pub fn of(snapshot: &Snapshot, watermark: u64, highest: u64) -> Self {
        let extras = &snapshot.extras;
        let newest = snapshot.slots.iter().max_by_key(|slot| slot.count);
        let floor = (extras.floor > seriatim_sequencer::Place::default()).then(|| place(extras.floor));
        Self {
            position: newest.map(|slot| slot.position).max(extras.position).map(place),
            floor,
            floor_through: extras.floor_through,
            done_below: newest.map_or(0, |slot| slot.done_below).max(extras.done_below),
            past: extras.past.iter().copied().map(place).collect(),
            given_up: extras.given_up.clone(),
            fates: extras.fates.clone(),
            recent: snapshot.slots.iter().map(|slot| Remembered { place: place(slot.place), id: slot.id, payload: slot.payload }).collect(),
            waiting: snapshot.waiting,
            redriven: Vec::new(),
            watermark,
            highest,
        }
    }

    /// The message is decided, durably: only those that the entity waits with, or that lie above the watermark, may not be.
    fn decided(&self, stream_sequence: u64) -> bool {
        let passed = match self.waiting {
            Some(waiting) => stream_sequence < waiting.from,
            None => stream_sequence <= self.watermark,
        };
        passed || stream_sequence < self.done_below || self.fates.contains(&stream_sequence)
    }

    /// The last place of an epoch that is finished, where the record tells.
    fn last_of(&self, epoch: u64) -> Option<Place> {
        let position = self.position.filter(|position| position.epoch == epoch);
        position.or_else(|| self.past.iter().copied().find(|last| last.epoch == epoch))
    }

    fn above_floor(&self, at: Place) -> bool {
        self.floor.is_none_or(|floor| at > floor)
    }

    fn is_given_up(&self, at: Place) -> bool {
        self.given_up.iter().any(|range| range.first.epoch == at.epoch && (range.first.sequence..=range.last).contains(&at.sequence))
    }

    fn knows(&self, id: u64) -> bool {
        id != 0 && self.recent.iter().any(|known| known.id == id)
    }
}

/// The page of a history: each message with its fate.
#[must_use]
pub fn page(part: HistoryPart, view: &RecordView) -> HistoryPage {
    let HistoryPart { messages, letters, letters_complete, next } = part;
    let mut seen_at: BTreeMap<Place, u64> = BTreeMap::new();
    let rows = messages.into_iter().map(|message| {
        let made: Vec<&DeadLetterRow> = letters.iter().filter(|letter| is_made_of(letter, &message)).collect();
        let (fate, mut detail) = fate(view, &message, &made);
        if let Some(at) = message.place {
            match seen_at.get(&at) {
                Some(first) => detail.push_str(&format!("; it has the place of message {first}")),
                None => {
                    seen_at.insert(at, message.stream_sequence);
                }
            }
        }
        if !letters_complete && made.is_empty() && matches!(fate, Fate::Finished | Fate::GivenUp | Fate::Late) {
            detail.push_str("; there are too many dead letters to look through all of them for it");
        }
        HistoryRow {
            stream_sequence: message.stream_sequence,
            place: message.place,
            id: message.id,
            subject: message.subject,
            time: message.time,
            fate: fate.name().to_owned(),
            detail,
            dead_letters: made.iter().map(|letter| letter.stream_sequence).collect(),
        }
    });
    HistoryPage { events: rows.collect(), next }
}

/// The numbers of another stream, or of an older state of it, may be those of this one: subject, place and time must agree too.
fn is_made_of(letter: &DeadLetterRow, message: &Seen) -> bool {
    letter.source_sequence == message.stream_sequence
        && letter.subject.as_deref().is_some_and(|subject| subject == message.subject)
        && letter.place.is_none_or(|at| message.place.is_none_or(|place| place == at))
        && letter.time >= message.time
}

/// What became of one message: `letters` are the dead letters that were made of it.
#[must_use]
pub fn fate(view: &RecordView, message: &Seen, letters: &[&DeadLetterRow]) -> (Fate, String) {
    if let Some(letter) = letters.iter().find(|letter| view.redriven.contains(&letter.stream_sequence)) {
        return (Fate::Finished, format!("dead letter {} ({}), redriven since", letter.stream_sequence, letter.reason));
    }
    if let Some(letter) = letters.last() {
        let fate = match letter.reason.as_str() {
            "late" => Fate::Late,
            "malformed" => Fate::Malformed,
            _ => Fate::GivenUp,
        };
        return (fate, format!("dead letter {} ({}): {}", letter.stream_sequence, letter.reason, letter.error));
    }
    if message.stream_sequence > view.highest {
        return (Fate::NotRead, format!("the pipeline has read up to message {}", view.highest));
    }
    match (&message.malformed, message.place) {
        (Some(reason), _) => (Fate::Malformed, reason.clone()),
        (None, None) => (Fate::Malformed, "it has no place in the entity's order".to_owned()),
        (None, Some(at)) => of_place(view, message, at),
    }
}

fn of_place(view: &RecordView, message: &Seen, at: Place) -> (Fate, String) {
    let last = view.last_of(at.epoch);
    match view.recent.iter().find(|known| known.place == at).map(|known| known.payload == message.payload_hash) {
        Some(true) if view.is_given_up(at) => return (Fate::GivenUp, EARLY.to_owned()),
        Some(true) => return (Fate::Finished, "the record remembers it".to_owned()),
        Some(false) if view.decided(message.stream_sequence) => {
            return (Fate::GivenUp, "conflict: another payload with this sequence was seen before it, and counts".to_owned());
        }
        Some(false) => return still_to_do(view, message, at),
        None => {}
    }
    // The position alone tells, whatever else the entity waits with.
    if let Some(last) = last.filter(|last| at <= *last && !view.is_given_up(at) && view.above_floor(at)) {
        return (Fate::Finished, format!("the entity has finished sequence {}", named(last)));
    }
    if !view.decided(message.stream_sequence) {
        return still_to_do(view, message, at);
    }
    if view.is_given_up(at) {
        // What came early and was dead-lettered lies above the last position of its epoch; what lies below never came.
        let early = last.is_none_or(|last| at > last) || view.knows(message.id_hash);
        return if early { (Fate::GivenUp, EARLY.to_owned()) } else { (Fate::Late, LATE.to_owned()) };
    }
    if !view.above_floor(at) {
        return match message.stream_sequence <= view.floor_through || view.knows(message.id_hash) {
            true => (Fate::Finished, format!("finished, or given up: of sequence {} the record does not tell which any more", named(at))),
            false => (Fate::Late, LATE.to_owned()),
        };
    }
    match view.position {
        _ if view.fates.contains(&message.stream_sequence) => (Fate::GivenUp, ALONE.to_owned()),
        None => (Fate::Finished, "it is done with; the store keeps no position of the entity (any more)".to_owned()),
        Some(position) if at.epoch < position.epoch => (Fate::Late, LATE.to_owned()),
        Some(_) => (Fate::GivenUp, ALONE.to_owned()),
    }
}

const EARLY: &str = "it came early and was given up with its gap";
const LATE: &str = "its sequence had been given up before it came";
const ALONE: &str = "it was decided by itself (a conflict, late, or too far ahead); its dead letter is not there, or the policy keeps none";

fn still_to_do(view: &RecordView, message: &Seen, at: Place) -> (Fate, String) {
    let next = view.position.map(|position| Place { epoch: position.epoch, sequence: position.sequence.saturating_add(1) });
    let mut detail = match (view.waiting, next) {
        (Some(waiting), _) if message.stream_sequence >= waiting.from => {
            format!("the entity waits ({}) with everything from message {} on", waiting.reason.name(), waiting.from)
        }
        (_, Some(next)) if at > next => format!("read; the entity is at sequence {}", named(next)),
        (_, Some(next)) if at == next => "read; it is the next one".to_owned(),
        _ => "read, and not decided durably yet".to_owned(),
    };
    if let Some(waiting) = view.waiting.filter(|waiting| waiting.attempts.count > 0)
        && waiting.attempts.stream_sequence == message.stream_sequence
    {
        detail.push_str(&format!("; tried {} times", waiting.attempts.count));
    }
    (Fate::Waiting, detail)
}

fn place(at: seriatim_sequencer::Place) -> Place {
    Place { epoch: at.epoch, sequence: at.sequence }
}

fn named(at: Place) -> String {
    if at.epoch == 0 { at.sequence.to_string() } else { format!("{} of epoch {}", at.sequence, at.epoch) }
}

#[cfg(test)]
mod tests;
