//! The offending history, for people.

use super::facts::{Entity, Facts, Message};
use crate::checker::store::Spot;
use std::fmt::Write;

/// Lines of each list around the offence.
const AROUND: usize = 6;

impl Facts<'_> {
    /// A message in one line.
    pub(super) fn name(&self, message: &Message<'_>) -> String {
        let meant = message.meant;
        let id = if meant.id.is_empty() { "none" } else { &meant.id };
        let (number, entity, epoch, sequence) = (meant.stream_sequence, &meant.entity, meant.epoch, meant.sequence);
        format!("message {number} ({entity:?} {epoch}:{sequence}, id {id}, {:?}, {:?})", meant.kind, meant.handled)
    }

    /// What came of a message, in words.
    pub(super) fn end(&self, message: &Message<'_>) -> String {
        let mut ends: Vec<String> = message.letters.iter().map(|letter| format!("dead ({})", self.letters[*letter].reason)).collect();
        if let Some(output) = message.applied {
            ends.push(format!("output {}", self.outputs[output].piece.at));
        }
        if message.gone {
            ends.push("gone with the stream as it was".to_owned());
        }
        if ends.is_empty() { "no end".to_owned() } else { ends.join(" and ") }
    }

    /// The entity's messages and outputs around a place, and its record.
    pub(super) fn history(&self, entity: &Entity<'_>, place: Spot) -> String {
        let mut text = String::new();
        let at = entity.events.partition_point(|event| self.messages[*event].place() < place);
        for event in entity.events.iter().skip(at.saturating_sub(AROUND)).take(2 * AROUND) {
            let message = &self.messages[*event];
            let mark = if message.place() == place { "→" } else { " " };
            write!(text, "\n    {mark} {}: {}", self.name(message), self.end(message)).ok();
        }
        let at = entity.outputs.iter().position(|output| self.outputs[*output].place == place).unwrap_or(entity.outputs.len());
        for output in entity.outputs.iter().skip(at.saturating_sub(AROUND)).take(2 * AROUND) {
            let output = &self.outputs[*output];
            let mark = if output.place == place { "→" } else { " " };
            let ((epoch, sequence), count, id) = (output.place, output.count, output.piece.id);
            write!(text, "\n    {mark} output {}: {epoch}:{sequence} count {count} id {id}", output.piece.at).ok();
        }
        match entity.view {
            Some(view) => {
                let (position, floor, given_up, fates) = (view.position, view.floor, &view.given_up, &view.fates);
                let ranges: Vec<_> = given_up.iter().map(|range| format!("{}:{}–{}", range.epoch, range.first, range.last)).collect();
                write!(text, "\n      record: position {position:?}, floor {floor:?}, given up {ranges:?}, fates {fates:?}").ok();
                write!(text, ", {} in the outbox", view.outbox.len()).ok();
                if let Some(waiting) = &view.waiting {
                    write!(text, ", waits from {} ({}), alarm {:?}", waiting.from, waiting.reason, waiting.alarm).ok();
                }
            }
            None => text.push_str("\n      no record"),
        }
        if let Some(store) = self.store {
            write!(text, "\n      watermark {}, highest {}", store.watermark, store.highest).ok();
        }
        text
    }
}

/// A payload, cut.
pub(super) fn text(bytes: &[u8]) -> String {
    const SHOWN: usize = 80;
    String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)]).into_owned()
}
