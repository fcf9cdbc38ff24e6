//! Good histories by hand: each call says what became of a message, and streams and store follow.

use crate::checker::laws::{Answer, Handled, Meant, MeantAs, Run, Said, Word};
use crate::checker::store::{Attempts, EntityView, GivenUp, OutboxEntry, PipelineView, Reason, Slot, Spot, StoreView, Waiting};
use crate::checker::{Kept, token};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

pub(super) const PIPELINE: &str = "flights";

/// A run that is being made up.
pub(super) struct Scene {
    pub(super) run: Run,
}

impl Scene {
    /// Nothing happened yet.
    pub(super) fn new() -> Self {
        let mut run = Run { settled: true, ..Run::default() };
        run.source.first_sequence = 1;
        let mut store = StoreView::default();
        store.pipelines.insert(PIPELINE.to_owned(), PipelineView::default());
        run.store = Some(store);
        Self { run }
    }

    pub(super) fn store(&mut self) -> &mut PipelineView {
        self.run.store.as_mut().unwrap().pipelines.get_mut(PIPELINE).unwrap()
    }

    pub(super) fn view(&mut self, entity: &str) -> &mut EntityView {
        self.store().entities.entry(entity.to_owned()).or_default()
    }

    /// An event is published and read.
    pub(super) fn sent(&mut self, entity: &str, place: Spot) -> u64 {
        let number = self.run.source.last_sequence + 1;
        let id = format!("{entity}-{}-{}", place.0, place.1);
        let headers = vec![("Seriatim-Sequence".to_owned(), place.1.to_string()), ("Nats-Msg-Id".to_owned(), format!("{id}-{number}"))];
        self.run.sent.push(Meant {
            stream_sequence: number,
            time: 1_000 * number,
            entity: entity.to_owned(),
            epoch: place.0,
            sequence: place.1,
            id,
            subject: format!("flights.{}", token(entity)),
            headers,
            payload: format!("{entity} {}:{}", place.0, place.1).into_bytes(),
            kind: MeantAs::Event,
            handled: Handled::Accepts,
        });
        self.run.source.last_sequence = number;
        let store = self.store();
        (store.watermark, store.highest) = (number, number);
        number
    }

    /// The message that was published last.
    pub(super) fn last(&mut self) -> &mut Meant {
        self.run.sent.last_mut().unwrap()
    }

    /// The message of that number; of several the latest.
    pub(super) fn meant(&mut self, number: u64) -> &mut Meant {
        self.run.sent.iter_mut().rfind(|meant| meant.stream_sequence == number).unwrap()
    }

    /// It was applied: its output is in the stream.
    pub(super) fn applied(&mut self, number: u64) {
        let kept = self.output(number);
        self.run.outputs.push(kept);
    }

    /// An operator says something.
    pub(super) fn said(&mut self, entity: &str, word: Word, answer: Answer) {
        self.run.said.push(Said { entity: entity.to_owned(), word, answer });
    }

    /// It was redriven from a dead letter: its output is in the stream, and the record remembers no event for it.
    pub(super) fn redriven(&mut self, number: u64, letter: u64, edited: Option<Vec<u8>>) {
        let entity = self.meant(number).entity.clone();
        let slots = self.view(&entity).slots.clone();
        let mut kept = self.output(number);
        self.view(&entity).slots = slots;
        let id = kept.headers.iter_mut().find(|(name, _)| name == "Nats-Msg-Id").unwrap();
        id.1 = format!("{}:r{letter}", id.1);
        kept.headers.push(("Seriatim-Redriven".to_owned(), letter.to_string()));
        if let Some(payload) = edited {
            kept.headers.push(("Seriatim-Redriven-Edited".to_owned(), "true".to_owned()));
            kept.payload = payload;
        }
        self.run.outputs.push(kept);
    }

    /// Its output, committed but in no stream yet.
    pub(super) fn output(&mut self, number: u64) -> Kept {
        let meant = self.meant(number).clone();
        let (entity, place) = (meant.entity.as_str(), (meant.epoch, meant.sequence));
        let view = self.view(entity);
        let state = view.state.entry("echo".to_owned()).or_default();
        let count = state.get("count").map_or(0, |count| serde_json::from_slice::<u64>(count).unwrap()) + 1;
        state.insert("count".to_owned(), count.to_string().into_bytes());
        let component = "0123456789abcdef".repeat(4);
        view.components.insert("echo".to_owned(), component.clone());
        self.finished(number);
        let who = utf8_percent_encode(entity, NON_ALPHANUMERIC);
        let headers = [
            ("Nats-Msg-Id", format!("{PIPELINE}:0:{}:{who}:{}:echo:0", place.0, place.1)),
            ("Seriatim-Entity", entity.to_owned()),
            ("Seriatim-Cause-Sequence", place.1.to_string()),
            ("Seriatim-Causation-Id", if meant.id.is_empty() { format!("FLIGHTS:{number}") } else { meant.id }),
            ("Seriatim-Pipeline", PIPELINE.to_owned()),
            ("Seriatim-Handler", "echo".to_owned()),
            ("Seriatim-Component", component),
            ("Echo-Sequence", place.1.to_string()),
            ("Echo-Count", count.to_string()),
        ];
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let stream_sequence = self.run.outputs.len() as u64 + 1;
        Kept { stream_sequence, subject: format!("echo.{}", token(entity)), headers, payload: meant.payload }
    }

    /// Puts what was committed into an entity's outbox.
    pub(super) fn wait_to_leave(&mut self, entity: &str, kept: Kept, dead: bool) {
        let Kept { subject, mut headers, payload, .. } = kept;
        let at = headers.iter().position(|(name, _)| name == "Nats-Msg-Id").unwrap();
        let message_id = headers.remove(at).1;
        let view = self.view(entity);
        let number = view.outbox.last().map_or(1, |entry| entry.number + 1);
        view.outbox.push(OutboxEntry { number, subject, headers, payload, message_id, dead, ..OutboxEntry::default() });
    }

    /// The position moves to it.
    pub(super) fn finished(&mut self, number: u64) {
        let meant = self.meant(number).clone();
        let (place, ids) = ((meant.epoch, meant.sequence), self.run.rules.ids as u64);
        let view = self.view(&meant.entity);
        if let Some(before) = view.position.filter(|before| before.0 < place.0) {
            view.past.push(before);
        }
        let position = view.position.map_or(place, |position| position.max(place));
        view.position = Some(position);
        view.done_below = view.done_below.max(number + 1);
        let count = view.slots.last().map_or(0, |slot| slot.count) + 1;
        let ring = u32::try_from(ids.next_power_of_two()).unwrap();
        view.slots.push(Slot { generation: 0, ring, count, position, done_below: number + 1, place, id: 0, payload: 0 });
        view.slots.retain(|slot| slot.count + u64::from(ring) > count);
    }

    /// It is dead-lettered; an event that took its place moves the position.
    pub(super) fn dead(&mut self, number: u64, reason: &str) {
        let kept = self.letter(number, reason);
        self.run.dead.push(kept);
    }

    pub(super) fn letter(&mut self, number: u64, reason: &str) -> Kept {
        let meant = self.meant(number).clone();
        let attempts = match reason {
            "rejected" => 1,
            "trap" | "retries-exhausted" => self.run.rules.attempts,
            _ => 0,
        };
        match reason {
            "conflict" | "late" | "malformed" => {}
            _ => self.finished(number),
        }
        let mut headers: Vec<(String, String)> = meant
            .headers
            .iter()
            .map(|(name, value)| (if name.starts_with("Nats-") { format!("Seriatim-Dead-{name}") } else { name.clone() }, value.clone()))
            .collect();
        let mut ours = vec![
            ("Nats-Msg-Id", format!("{PIPELINE}:0:dead:{number}")),
            ("Seriatim-Dead-Reason", reason.to_owned()),
            ("Seriatim-Dead-Attempts", attempts.to_string()),
            ("Seriatim-Dead-Pipeline", PIPELINE.to_owned()),
            ("Seriatim-Dead-Stream", "FLIGHTS".to_owned()),
            ("Seriatim-Dead-Stream-Sequence", number.to_string()),
            ("Seriatim-Dead-Subject", meant.subject),
        ];
        if meant.kind == MeantAs::Event {
            ours.push(("Seriatim-Dead-Entity", meant.entity));
            ours.push(("Seriatim-Dead-Epoch", meant.epoch.to_string()));
            ours.push(("Seriatim-Dead-Sequence", meant.sequence.to_string()));
        }
        headers.extend(ours.into_iter().map(|(name, value)| (name.to_owned(), value)));
        let stream_sequence = self.run.dead.len() as u64 + 1;
        Kept { stream_sequence, subject: format!("seriatim.dead.{PIPELINE}.{reason}"), headers, payload: meant.payload }
    }

    /// Retention took a range before it was done; for one entity, or for all.
    pub(super) fn lost(&mut self, first: u64, last: u64, entity: Option<&str>) {
        let mut id = format!("{PIPELINE}:0:dead:{first}:lost");
        let mut headers = vec![
            ("Seriatim-Dead-Reason", "lost".to_owned()),
            ("Seriatim-Dead-Attempts", "0".to_owned()),
            ("Seriatim-Dead-Pipeline", PIPELINE.to_owned()),
            ("Seriatim-Dead-Stream", "FLIGHTS".to_owned()),
            ("Seriatim-Dead-Stream-Sequence", first.to_string()),
            ("Seriatim-Dead-Stream-Sequence-Last", last.to_string()),
        ];
        if let Some(entity) = entity {
            id = format!("{id}:{}", utf8_percent_encode(entity, NON_ALPHANUMERIC));
            headers.push(("Seriatim-Dead-Entity", entity.to_owned()));
        }
        headers.push(("Nats-Msg-Id", id));
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let stream_sequence = self.run.dead.len() as u64 + 1;
        self.run.dead.push(Kept { stream_sequence, subject: format!("seriatim.dead.{PIPELINE}.lost"), headers, payload: Vec::new() });
    }

    /// A gap gave up: these sequences are named.
    pub(super) fn given_up(&mut self, entity: &str, epoch: u64, first: u64, last: u64) {
        let view = self.view(entity);
        view.given_up.push(GivenUp { epoch, first, last });
        view.position = view.position.max(Some((epoch, last)));
    }

    /// The entity waits and is listed.
    pub(super) fn waits(&mut self, entity: &str, from: u64, reason: Reason, attempts: Attempts) -> &mut Waiting {
        let view = self.view(entity);
        view.owing = true;
        view.waiting.insert(Waiting { generation: 0, from, reason, attempts, alarm: None, since: 0 })
    }
}
