//! The catch-up service's shell, as `source/catchup_service.rs` and `source/catchup_reader.rs` have it: passes that read, and steps on their way into
//! the shards' mailboxes. Who is in which pass, and what goes to whom, the host's `Desk` decides.

use crate::broker::SOURCE;
use crate::gapless::Gapless;
use crate::link::Around;
use crate::mail::Mailboxes;
use crate::note;
use crate::plan::SUBJECTS;
use crate::range::{Range, Ranged, Step as Read};
use crate::trace::Trace;
use seriatim::event::Message;
use seriatim::inbox::Inbox;
use seriatim::nats::identity::KnownStream;
use seriatim::passes::{Ask, PassStep};
use seriatim::shard::Mail;
use seriatim::source::catchup_reader::entity_filters;
use seriatim::source::decode::Decoder;
use seriatim::source::desk::{Begin, Desk, Step, Told};
use seriatim::store::DurableProgress;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Batches that wait between the reader of a pass and the shards.
const BATCHES_MAX: usize = 4;
/// Messages in one of them at most: few, so that more can happen between them.
const BATCH_MAX: usize = 8;
const HEARTBEAT: u64 = 500;

/// See the module.
pub(crate) struct Passes {
    desk: Desk,
    asks: Arc<Inbox<Ask>>,
    decoder: Arc<Decoder>,
    known: KnownStream,
    progress: Arc<DurableProgress>,
    token: bool,
    running: BTreeMap<u64, Running>,
}

/// One pass: what reads and what hands on.
struct Running {
    range: Range,
    to: u64,
    batch: Vec<Arc<Message>>,
    /// The end that was reached last.
    reached: Option<u64>,
    broken: bool,
    items: VecDeque<Item>,
    messages: VecDeque<Arc<Message>>,
    steps: VecDeque<Step>,
    /// All of its entities were told that it broke off.
    told: bool,
}

enum Item {
    Opened(u64),
    Messages(Vec<Arc<Message>>),
    Reached(u64),
}

impl Passes {
    pub(crate) fn new(
        max: usize,
        token: bool,
        asks: Arc<Inbox<Ask>>,
        decoder: Arc<Decoder>,
        known: KnownStream,
        progress: Arc<DurableProgress>,
    ) -> Self {
        Self { desk: Desk::new(max, token), asks, decoder, known, progress, token, running: BTreeMap::new() }
    }

    /// Nothing is asked and nothing runs.
    pub(crate) fn idle(&self) -> bool {
        self.asks.is_empty() && self.running.is_empty()
    }

    pub(crate) fn asked(&self) -> bool {
        !self.asks.is_empty()
    }

    /// The passes that run, by number.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.running.keys().copied()
    }

    /// The reader of a pass.
    pub(crate) fn gapless(&mut self, pass: u64) -> Option<&mut Gapless> {
        self.running.get_mut(&pass).map(|running| &mut running.range.gapless)
    }

    /// Takes what was asked and begins what may begin.
    pub(crate) fn take_asks(&mut self, around: &mut Around<'_>, trace: &mut Trace) {
        let mut taken = Vec::new();
        self.asks.take(&mut taken);
        for ask in taken {
            note!(trace, "catch-ups: {}", asked(&ask));
            match self.desk.ask(ask) {
                Some(Told::Extended { pass, to }) => {
                    if let Some(running) = self.running.get_mut(&pass) {
                        running.to = to;
                    }
                }
                Some(Told::Left { pass }) => {
                    self.running.remove(&pass);
                }
                Some(Told::Enough { pass, key, number }) => {
                    let first = around.facts(SOURCE).ok().map(|facts| facts.first_sequence);
                    around.stats.add("passes ended early");
                    let steps = self.desk.enough(&key, number, first);
                    if let Some(running) = self.running.get_mut(&pass) {
                        running.steps.extend(steps);
                    }
                }
                None => {}
            }
        }
        while let Some(begin) = self.desk.begin() {
            note!(trace, "catch-ups: pass {} from {} to {} for {} entities", begin.pass, begin.from, begin.to, begin.entities);
            around.stats.add(if begin.entity.is_some() { "passes of one entity" } else { "shared passes" });
            let running = self.begin(&begin);
            self.running.insert(begin.pass, running);
        }
    }

    fn begin(&self, begin: &Begin) -> Running {
        let subjects = [SUBJECTS.to_owned()];
        let filters = match begin.entity.as_ref().filter(|_| self.token) {
            Some(key) => entity_filters(&subjects, 2, &key.entity),
            None => subjects.to_vec(),
        };
        let progress = self.progress.get();
        let known = KnownStream { highest: progress.highest, highest_time: progress.highest_time, ..self.known.clone() };
        Running {
            range: Range::new(Gapless::new(filters, HEARTBEAT, known, begin.from)),
            to: begin.to,
            batch: Vec::new(),
            reached: None,
            broken: false,
            items: VecDeque::new(),
            messages: VecDeque::new(),
            steps: VecDeque::new(),
            told: false,
        }
    }

    /// Whether the pass has something to read now.
    pub(crate) fn can_read(&self, pass: u64, link: u64, now: u64) -> bool {
        let Some(running) = self.running.get(&pass) else { return false };
        !running.broken
            && running.items.len() < BATCHES_MAX
            && running.reached.is_none_or(|reached| running.to > reached)
            && (!running.batch.is_empty() || running.range.ready(running.to, link, now))
    }

    /// When the pass wants to be looked at.
    pub(crate) fn wakes_at(&self, pass: u64) -> Option<u64> {
        let running = self.running.get(&pass)?;
        let reads = !running.broken && running.reached.is_none_or(|reached| running.to > reached);
        running.range.gapless.wakes_at().filter(|_| reads)
    }

    /// The reader of the pass takes a step.
    pub(crate) fn read(&mut self, pass: u64, around: &mut Around<'_>, trace: &mut Trace) {
        let Some(running) = self.running.get_mut(&pass) else { return };
        let to = running.to;
        let size = around.dice.size(1, BATCH_MAX);
        while running.batch.len() < size {
            match running.range.try_next(to, around) {
                Some(message) => running.batch.push(Arc::new(message)),
                None => break,
            }
        }
        if !running.batch.is_empty() {
            running.items.push_back(Item::Messages(std::mem::take(&mut running.batch)));
            return;
        }
        match running.range.next(to, around) {
            Ranged::Waits => {}
            Ranged::Wrong(error) => {
                note!(trace, "pass {pass}: {error}");
                running.broken = true;
            }
            Ranged::Step(Read::Opened { first_sequence }) => running.items.push_back(Item::Opened(first_sequence)),
            Ranged::Step(Read::Message(message)) => running.batch.push(Arc::new(message)),
            Ranged::Step(Read::End) => {
                note!(trace, "pass {pass}: at its end {to}");
                running.reached = Some(to);
                running.items.push_back(Item::Reached(to));
            }
        }
    }

    /// Whether the pass has something to hand on now.
    pub(crate) fn can_serve(&self, pass: u64, mail: &Mailboxes) -> bool {
        let Some(running) = self.running.get(&pass) else { return false };
        match running.steps.front() {
            Some(step) => mail.has_room(step.shard),
            None => !running.messages.is_empty() || !running.items.is_empty() || (running.broken && !running.told),
        }
    }

    /// Hands on one step of the pass, or finds the next one.
    pub(crate) fn serve(&mut self, pass: u64, mail: &mut Mailboxes, around: &mut Around<'_>, trace: &mut Trace) {
        let Some(running) = self.running.get_mut(&pass) else { return };
        if let Some(step) = running.steps.pop_front() {
            note!(trace, "pass {pass}: {} {}", step.key.entity, stepped(&step.step));
            mail.push(step.shard, Mail::Pass { key: step.key, number: step.number, step: step.step });
            return;
        }
        if let Some(message) = running.messages.pop_front() {
            if let Ok(event) = self.decoder.decode(message) {
                running.steps.extend(self.desk.event(pass, Arc::new(event)));
            }
            return;
        }
        match running.items.pop_front() {
            Some(Item::Opened(first_sequence)) => running.steps.extend(self.desk.opened(pass, first_sequence)),
            Some(Item::Messages(messages)) => running.messages.extend(messages),
            Some(Item::Reached(to)) => {
                let first = around.facts(SOURCE).ok().map(|facts| facts.first_sequence);
                running.steps.extend(self.desk.reached(pass, to, first));
            }
            None => {
                running.told = true;
                around.stats.add("passes broken off");
                running.steps.extend(self.desk.failed(pass));
            }
        }
    }
}

fn asked(ask: &Ask) -> String {
    match ask {
        Ask::Start(request) => format!("{} asks for {}..{}", request.key.entity, request.from, request.to),
        Ask::Extend(key, to) => format!("{} asks on to {to}", key.entity),
        Ask::Done(key, number) => format!("{} is done with its pass {number}", key.entity),
        Ask::Enough(key, number) => format!("{} had enough of its pass {number}", key.entity),
    }
}

fn stepped(step: &PassStep) -> String {
    match step {
        PassStep::Started(gone_below) => format!("started, nothing below {gone_below}"),
        PassStep::Event(event) => format!("{} at {}", event.sequence, event.message.stream_sequence),
        PassStep::Ended(to) => format!("ended at {to}"),
        PassStep::Failed => "failed".to_owned(),
    }
}
