//! The one owner of an entity: its sequencer, its handlers' state, its outbox. Loads from the record, turns decisions into changes.

use super::ask::Open;
use super::call::Failed;
use super::decisions::{Decisions, LastFailure};
use super::news::News;
use crate::event::{EntityKey, Event};
use crate::pipeline::Pipeline;
use crate::runtime::{Effects, Emitted, Handler, State};
use crate::sink::dead_letter::{self, Built, DeadLetter};
use crate::sink::outbox::Outbox;
use crate::sink::streams::Streams;
use crate::store::{Change, Confirmed, Loaded, OutboxEntry, Stamp, StateWrite};
use seriatim_sequencer::rare::{Nothing, Rare};
use seriatim_sequencer::{Applied, Arrival, Dead, DeadReason, Place, Sequencer, Waiting, mutant};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::Arc;

/// What the core carries for an event.
#[derive(Clone, Debug)]
pub(super) struct Ticket {
    pub(super) event: Arc<Event>,
    /// Host time at which this shard got it.
    pub(super) read_at: u64,
    /// Redriven, with a payload that an operator changed.
    pub(super) edited: bool,
}

impl std::ops::Deref for Ticket {
    type Target = Event;

    fn deref(&self) -> &Event {
        &self.event
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Actor {
    pub(super) key: EntityKey,
    pub(super) pipeline: Arc<Pipeline>,
    pub(super) sequencer: Sequencer<Ticket>,
    /// One per handler, in the pipeline's order; empty places while a call has them.
    pub(super) states: Vec<State>,
    pub(super) outbox: Outbox,
    /// Which components handled its last event, as it is durable or on its way there; in the pipeline's order.
    pub(super) stamps: Vec<Stamp>,
    /// The last failure of the event at the head.
    pub(super) failure: Option<Box<(Failed, Arc<[Handler]>)>>,
    /// `waiting` is set in the last change that was built: what a crash right behind it would find.
    pub(super) waits: bool,
    /// What the index of those that wait says.
    pub(super) listed: bool,
    /// The sequencer was told that outputs are blocked.
    pub(super) blocked: bool,
    /// The call under way is a probe of the circuit breaker.
    pub(super) probe: bool,
    /// It came into memory only to be asked.
    pub(super) visits: bool,
    /// Given-up sequences up to here were named in the log.
    pub(super) named: Place,
    /// What the directory says.
    pub(super) shown: Option<Box<Waiting>>,
    /// What is told of it.
    pub(super) news: Rare<News>,
    /// The last failure since it came into memory.
    pub(super) last_failure: Option<Box<LastFailure>>,
    /// The last decisions since it came into memory.
    pub(super) decisions: Decisions,
    /// What it was asked and has not answered.
    pub(super) open: Option<Box<Open>>,
    /// What is under way.
    pub(super) busy: Rare<Busy>,
}

/// What an actor has while something of it is under way.
#[derive(Debug)]
pub(super) struct Busy {
    /// What the handlers did, between their return and the commit.
    pub(super) scratch: Vec<Effects>,
    /// The handlers that the event whose change is not made yet ran through, and what they are noted with.
    pub(super) ran: Option<Arc<[Handler]>>,
    pub(super) ran_stamps: Vec<Stamp>,
    /// For each commit in flight: the outbox number it carries up to.
    pub(super) commits: VecDeque<u64>,
    /// Durable commits that the sequencer has not been told of: its outbox is past its bound.
    pub(super) withheld: u32,
    /// Confirmed outputs that are on their way out of the store.
    pub(super) prunes: u32,
    /// Host time at which the outbox wants to be looked at again.
    pub(super) send_at: Option<u64>,
    /// Registered among those that wait because no handler is called.
    pub(super) barred: Option<u64>,
    /// Registered in the shard's timers.
    pub(super) timer: Option<u64>,
    pub(super) stream_timer: Option<u64>,
    /// Bytes counted against `held-bytes`.
    pub(super) held_bytes: u64,
    /// Counted in the gauges.
    pub(super) held_events: usize,
    pub(super) outbox_entries: usize,
    /// Counted among those for whose commits the shard waits before it takes more mail.
    pub(super) crowded: bool,
    /// Catch-ups asked for so far: the number of the running one.
    pub(super) passes: u64,
    /// The last of its passes that brought more than it takes.
    pub(super) enough: u64,
    /// Stream sequences it waited for that are gone with the stream as it was.
    pub(super) gone: Option<(u64, u64)>,
}

impl Busy {
    const NONE: Self = Self {
        scratch: Vec::new(),
        ran: None,
        ran_stamps: Vec::new(),
        commits: VecDeque::new(),
        withheld: 0,
        prunes: 0,
        send_at: None,
        barred: None,
        timer: None,
        stream_timer: None,
        held_bytes: 0,
        held_events: 0,
        outbox_entries: 0,
        crowded: false,
        passes: 0,
        enough: 0,
        gone: None,
    };
}

impl Nothing for Busy {
    const NOTHING: &'static Self = &Self::NONE;

    fn nothing() -> Self {
        Self::NONE
    }

    fn is_nothing(&self) -> bool {
        // Numbers of passes mean nothing while none is under way: no number is used twice.
        let Self { scratch, ran, ran_stamps, commits, withheld, prunes, passes: _, enough: _, .. } = self;
        let Self { send_at, barred, timer, stream_timer, held_bytes, held_events, outbox_entries, crowded, gone, .. } = self;
        let handled = scratch.is_empty() && ran.is_none() && ran_stamps.is_empty();
        let durable = commits.is_empty() && *withheld == 0 && *prunes == 0;
        let unregistered = send_at.is_none() && barred.is_none() && timer.is_none() && stream_timer.is_none();
        handled && durable && unregistered && !*crowded && *held_bytes == 0 && *held_events == 0 && *outbox_entries == 0 && gone.is_none()
    }
}

impl Actor {
    /// From its record. Records of an older generation know other messages by the same stream sequences.
    pub(super) fn load(key: EntityKey, pipeline: Arc<Pipeline>, mut loaded: Loaded, taken: u64) -> Self {
        let from = pipeline.renumbered_since(loaded.generation);
        let mut gone = None;
        // What the stream lost when it was accepted is named for each that waited for it, whenever it is loaded.
        let newer = pipeline.gone.iter().filter(|(generation, ..)| *generation > loaded.generation);
        let lost = newer.min_by_key(|(generation, ..)| *generation).map(|(_, first, last)| (*first, *last));
        if let Some(from) = from {
            let unfinished = loaded.snapshot.waiting.map(|waiting| waiting.from);
            gone = unfinished.zip(lost).map(|(s, (first, last))| (s.max(first), last)).filter(|(first, last)| first <= last);
            loaded.snapshot.rebase(from);
        }
        let handlers = pipeline.handlers.now();
        let states = handlers.iter().map(|handler| {
            let at = loaded.state.iter().position(|(name, _)| **name == **handler.name());
            at.map(|at| loaded.state.swap_remove(at).1).unwrap_or_default()
        });
        let states = states.collect();
        let stamps = handlers.iter().map(|handler| {
            let at = loaded.stamps.iter().position(|(name, _)| **name == **handler.name());
            let mut stamp = at.map(|at| loaded.stamps.swap_remove(at).1).unwrap_or_default();
            if stamp.component == *handler.digest() {
                // One text for all that have it.
                stamp.component = handler.digest().clone();
            }
            stamp
        });
        let stamps = stamps.collect();
        let named = loaded
            .snapshot
            .extras
            .given_up
            .last()
            .map_or(Place::default(), |range| Place { epoch: range.first.epoch, sequence: range.last });
        let waits = loaded.snapshot.waiting.is_some();
        let mut sequencer = Sequencer::restore(pipeline.policy.clone(), loaded.snapshot, taken);
        let outbox = Outbox::restore(loaded.outbox);
        // A full outbox is as full after a start as before it.
        let withheld = if outbox.len() > pipeline.outbox_max { pipeline.policy.commits_max } else { 0 };
        sequencer.withhold(withheld);
        let news = News::before(&sequencer);
        let busy = Rare::from(Busy { withheld, gone, ..Busy::NONE });
        Self { news, states, stamps, outbox, busy, waits, listed: waits, named, ..Self::around(key, pipeline, sequencer) }
    }

    /// Its record cannot be read: it parks.
    pub(super) fn unreadable(key: EntityKey, pipeline: Arc<Pipeline>, waiting: Option<Waiting>, taken: u64) -> Self {
        // Its generation is not known: S goes back as far as any accepted stream may have moved it.
        let from = pipeline.renumbered_since(0);
        let waiting = waiting.map(|waiting| Waiting { from: from.map_or(waiting.from, |from| waiting.from.min(from)), ..waiting });
        // Listed by its first change, whatever the index says now.
        let (listed, waits) = (false, waiting.is_some());
        let sequencer = Sequencer::unreadable(pipeline.policy.clone(), waiting, taken);
        Self { news: News::before(&sequencer), listed, waits, ..Self::around(key, pipeline, sequencer) }
    }

    fn around(key: EntityKey, pipeline: Arc<Pipeline>, sequencer: Sequencer<Ticket>) -> Self {
        Self {
            key,
            pipeline,
            sequencer,
            states: Vec::new(),
            stamps: Vec::new(),
            outbox: Outbox::default(),
            failure: None,
            waits: false,
            listed: false,
            blocked: false,
            probe: false,
            named: Place::default(),
            shown: None,
            news: Rare::none(),
            last_failure: None,
            decisions: Decisions::default(),
            open: None,
            visits: false,
            busy: Rare::none(),
        }
    }

    /// Whether it may leave memory (design §3.9).
    pub(super) fn can_leave(&self) -> bool {
        !self.key.entity.is_empty()
            && self.sequencer.can_leave()
            && self.outbox.is_empty()
            && self.busy.commits.is_empty()
            && self.busy.prunes == 0
            && self.busy.withheld == 0
            && self.open.as_ref().is_none_or(|open| open.is_empty())
    }

    /// Nothing of it may be under way for a while: what only that needs gives its memory back.
    pub(super) fn rest(&mut self) {
        if self.busy.commits.is_empty() && !self.sequencer.running() && !self.sequencer.catching_up() {
            self.sequencer.rest();
            self.busy.rest();
            self.outbox.rest();
            self.news.rest();
            self.open.take_if(|open| open.is_empty());
        }
    }

    /// The handler of the last failure.
    pub(super) fn failed(&self) -> Option<usize> {
        self.last_failure.as_ref().map(|failure| failure.handler)
    }

    /// Turns the core's change into one for the store: state and outputs of the handlers, the dead letter, what it owes.
    pub(super) fn change(&mut self, change: seriatim_sequencer::Change<Ticket>, streams: &Streams, max_payload: usize) -> Box<Change> {
        let mut out = Box::new(Change::new(self.key.clone(), self.pipeline.ring, self.pipeline.generation));
        out.closes = change.closes.into_iter().map(|(stream_sequence, _)| stream_sequence).collect();
        out.patch = change.patch;
        out.erases = change.erases;
        if change.erases {
            self.states.iter_mut().for_each(|state| *state = State::default());
            self.stamps.iter_mut().for_each(|stamp| *stamp = Stamp::default());
        }
        if let Some(applied) = change.applied {
            let (ran, scratch) = (self.busy.ran.take().unwrap_or_default(), std::mem::take(&mut self.busy.scratch));
            self.note(&ran, &mut out);
            for (index, (handler, effects)) in ran.iter().zip(scratch).enumerate() {
                self.write(index, handler, effects.writes, &mut out);
                for (at, output) in effects.outputs.into_iter().enumerate() {
                    let entry = self.output(&applied, handler, at, output, streams);
                    out.outbox_add.push(Arc::new(entry));
                }
            }
            self.failure = None;
        }
        if let Some(dead) = change.dead {
            out.outbox_add.push(Arc::new(self.dead_letter(&dead, streams, max_payload)));
            self.failure = None;
        }
        for entry in &out.outbox_add {
            self.outbox.push(entry.clone());
        }
        self.list(&mut out);
        out
    }

    /// A confirmed entry leaves the store.
    pub(super) fn prune(&mut self, number: u64) -> Confirmed {
        self.busy.prunes += 1;
        // None has this number.
        let number = if mutant!(PruneLost) { 0 } else { number };
        Confirmed { key: self.key.clone(), number }
    }

    fn list(&mut self, out: &mut Change) {
        // By the change, not by the sequencer, which may be some changes ahead. Parked ones stand in the index too, so that a start can list them.
        if let Some(waiting) = &out.patch.waiting {
            self.waits = waiting.is_some();
        }
        if self.waits != self.listed {
            self.listed = self.waits;
            out.waits = Some(self.waits);
        }
    }

    fn write(&mut self, index: usize, handler: &Handler, writes: Vec<(String, Option<bytes::Bytes>)>, out: &mut Change) {
        let name = handler.name().clone();
        let Some(state) = self.states.get_mut(index) else { return };
        for (key, value) in writes {
            if state.is_empty() && value.is_some() {
                // Many entities have one entry.
                *state = State::with_capacity(1);
            }
            match &value {
                Some(value) => state.insert(key.clone(), value.clone()),
                None => state.remove(&key),
            };
            out.state.push(StateWrite { handler: name.clone(), key, value });
        }
    }

    /// Notes which components handled the event, where they are others than before.
    fn note(&mut self, ran: &[Handler], out: &mut Change) {
        let stamps = std::mem::take(&mut self.busy.ran_stamps);
        self.stamps.resize_with(ran.len(), Stamp::default);
        for ((handler, old), mut new) in ran.iter().zip(&mut self.stamps).zip(stamps) {
            if mutant!(StampOfTheNext)
                && let Some(next) = self.pipeline.handlers.now().iter().find(|next| next.name() == handler.name())
            {
                new.component = next.digest().clone();
            }
            if *old != new {
                *old = new.clone();
                out.stamps.push((handler.name().clone(), new));
            }
        }
    }

    /// Design §5.3, "Out".
    fn output(&mut self, applied: &Applied<Ticket>, handler: &Handler, index: usize, output: Emitted, streams: &Streams) -> OutboxEntry {
        let (event, pipeline) = (&*applied.ticket.event, &self.pipeline);
        let entity = percent_encoding::utf8_percent_encode(&self.key.entity, percent_encoding::NON_ALPHANUMERIC);
        let (name, generation, handler_name) = (&*pipeline.name, pipeline.generation, &**handler.name());
        // Room for all of it at once; text has no way to refuse more.
        let mut message_id = String::with_capacity(name.len() + self.key.entity.len() + handler_name.len() + 48);
        write!(message_id, "{name}:{generation}:{}:{entity}:{}:{handler_name}:{index}", event.epoch, event.sequence).ok();
        if let Some(dead) = applied.redriven {
            write!(message_id, ":r{dead}").ok();
        }
        // Room for the host's own.
        let mut headers = Vec::with_capacity(output.headers.len() + 9);
        headers.extend(output.headers.into_iter().map(|header| (Cow::Owned(header.name), header.value)));
        let correlation = event.message.header("Seriatim-Correlation-Id").unwrap_or(&event.id);
        for (header, value) in [
            ("Seriatim-Entity", String::from(&*self.key.entity)),
            ("Seriatim-Cause-Sequence", event.sequence.to_string()),
            ("Seriatim-Causation-Id", dead_letter::one_line(&event.id)),
            ("Seriatim-Correlation-Id", dead_letter::one_line(correlation)),
            ("Seriatim-Pipeline", String::from(name)),
            ("Seriatim-Handler", String::from(handler_name)),
            ("Seriatim-Component", String::from(&**handler.digest())),
        ] {
            headers.push((Cow::Borrowed(header), value));
        }
        if let Some(parent) = event.message.header("traceparent")
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("traceparent"))
        {
            headers.push(("traceparent".into(), dead_letter::one_line(parent)));
        }
        if let Some(dead) = applied.redriven {
            headers.push(("Seriatim-Redriven".into(), dead.to_string()));
            if applied.ticket.edited {
                headers.push(("Seriatim-Redriven-Edited".into(), "true".to_owned()));
            }
        }
        let mark = streams.mark_for(&output.subject);
        let cause = String::from(handler_name);
        OutboxEntry {
            number: self.outbox.number(),
            subject: output.subject,
            headers,
            payload: output.payload,
            message_id,
            mark,
            dead: false,
            cause,
        }
    }

    fn dead_letter(&mut self, dead: &Dead<Ticket>, streams: &Streams, max_payload: usize) -> OutboxEntry {
        let failed = self.failure.as_deref().and_then(|(failed, handlers)| handlers.get(failed.handler).map(|handler| (failed, handler)));
        let backtrace = failed.and_then(|(failed, _)| failed.failure.backtrace.as_deref());
        let error = match backtrace {
            Some(backtrace) => format!("{}; {backtrace}", dead.error),
            None => dead.error.clone(),
        };
        let event = dead.event.as_ref().map(|arrival| &*arrival.ticket.event);
        let letter = DeadLetter {
            pipeline: &self.pipeline.name,
            generation: self.pipeline.generation,
            reason: dead.reason,
            error: &error,
            attempts: dead.attempts,
            handler: failed.map(|(_, handler)| &**handler.name()),
            component: failed.map(|(_, handler)| &**handler.digest()),
            entity: Some(&self.key.entity),
            epoch: event.map(|event| event.epoch),
            sequence: event.map(|event| event.sequence),
            id: event.map(|event| event.id.as_str()),
            stream: &self.pipeline.stream,
            stream_sequence: dead.stream_sequence(),
            lost_to: dead.lost.map(|lost| lost.last),
            accepted: dead.lost.is_some_and(|lost| lost.accepted),
            message: event.map(|event| &*event.message),
        };
        let built = dead_letter::build(&letter, max_payload);
        entry(built, self.outbox.number(), dead.reason, streams)
    }
}

/// A dead letter as an entry of an outbox.
pub(super) fn entry(built: Built, number: u64, reason: DeadReason, streams: &Streams) -> OutboxEntry {
    let Built { subject, message_id, headers, payload, .. } = built;
    let mark = streams.mark_for(&subject);
    let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
    OutboxEntry { number, subject, headers, payload, message_id, mark, dead: true, cause: reason.name().to_owned() }
}

/// What the sequencer is told of an event.
pub(super) fn arrival(event: Arc<Event>, read_at: u64) -> Arrival<Ticket> {
    /// What an event costs in memory beside its bytes.
    const OVERHEAD: usize = 256;
    let message = &event.message;
    let headers: usize = message.headers.iter().map(|header| header.name.len() + header.value.len() + 48).sum();
    let bytes = message.payload.len() + message.subject.len() + event.id.len() + headers + OVERHEAD;
    Arrival {
        place: seriatim_sequencer::Place { epoch: event.epoch, sequence: event.sequence },
        stream_sequence: message.stream_sequence,
        id: event.id_hash(),
        payload: event.payload_hash(),
        time: message.time,
        bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        ticket: Ticket { event, read_at, edited: false },
    }
}
