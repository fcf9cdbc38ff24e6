//! The words in which scenarios are told: one entity, one line per thing that happens, and what the sequencer wants done as plain text.

use seriatim_sequencer::{
    Alarm, Answer, Arrival, Change, DeadReason, Disorder, Effect, Failure, Input, Millis, Now, Operator, Outcome, Place, Policy, Redriven,
    Sequencer, Slot, Snapshot, Waiting,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One entity whose handlers accept everything and whose store is quick, unless told otherwise.
pub(crate) struct Scene {
    policy: Arc<Policy>,
    pub(crate) sequencer: Sequencer<u64>,
    now: Now,
    next: u64,
    events: BTreeMap<u64, Arrival<u64>>,
    slots: BTreeMap<u64, Slot>,
    pub(crate) durable: Snapshot,
    epoch: u64,
    slow_handlers: bool,
    slow_store: bool,
    said: Vec<String>,
}

impl Scene {
    pub(crate) fn new(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        Self {
            sequencer: Sequencer::new(Arc::clone(&policy), 0),
            policy,
            now: Now::default(),
            next: 1,
            events: BTreeMap::new(),
            slots: BTreeMap::new(),
            durable: Snapshot::default(),
            epoch: 0,
            slow_handlers: false,
            slow_store: false,
            said: Vec::new(),
        }
    }

    /// From here on handlers answer only when the scene says so.
    pub(crate) fn slow_handlers(mut self) -> Self {
        self.slow_handlers = true;
        self
    }

    pub(crate) fn slow_store(mut self, slow: bool) -> Self {
        self.slow_store = slow;
        self
    }

    pub(crate) fn epoch(&mut self, epoch: u64) {
        self.epoch = epoch;
    }

    /// The live reader brings the event with this sequence; stream sequences count from 1 in order of arrival.
    pub(crate) fn comes(&mut self, sequence: u64) -> String {
        self.comes_as(sequence, 1_000 * (self.epoch + 1) + sequence, sequence)
    }

    pub(crate) fn comes_as(&mut self, sequence: u64, id: u64, payload: u64) -> String {
        let stream_sequence = self.next;
        self.next += 1;
        let place = Place { epoch: self.epoch, sequence };
        let arrival = Arrival { ticket: stream_sequence, place, stream_sequence, id, payload, time: self.now.stream, bytes: 1 };
        self.events.insert(stream_sequence, arrival.clone());
        self.step(Input::Arrived(arrival))
    }

    pub(crate) fn step(&mut self, input: Input<u64>) -> String {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            let mut effects = Vec::new();
            self.sequencer.step(self.now, input, &mut effects);
            for effect in effects {
                self.said.push(self.tell(&effect));
                match effect {
                    Effect::Deliver { .. } if !self.slow_handlers => inputs.insert(0, Input::Applied),
                    Effect::Commit(change) => {
                        self.write(&change);
                        if !self.slow_store {
                            inputs.insert(0, Input::Committed);
                        }
                    }
                    _ => {}
                }
            }
        }
        std::mem::take(&mut self.said).join("; ")
    }

    fn write(&mut self, change: &Change<u64>) {
        if change.erases {
            self.slots.clear();
            self.durable.slots.clear();
        }
        if let Some(slot) = change.patch.slot {
            self.slots.insert(slot.count % self.policy.ids as u64, slot);
            self.durable.slots = self.slots.values().copied().collect();
        }
        if let Some(extras) = &change.patch.extras {
            self.durable.extras = (**extras).clone();
        }
        if let Some(waiting) = change.patch.waiting {
            self.durable.waiting = waiting;
        }
    }

    pub(crate) fn ok(&mut self) -> String {
        self.step(Input::Applied)
    }

    pub(crate) fn fails(&mut self, reason: DeadReason) -> String {
        self.step(Input::Failed(Failure { reason, error: String::from("no") }))
    }

    pub(crate) fn crowded(&self) -> bool {
        self.sequencer.crowded()
    }

    pub(crate) fn committed(&mut self) -> String {
        self.step(Input::Committed)
    }

    /// Host and stream time go on together.
    pub(crate) fn after(&mut self, millis: Millis) -> String {
        self.now.stream += millis;
        self.after_host(millis)
    }

    /// Only host time goes on: the host is behind, or cut off.
    pub(crate) fn after_host(&mut self, millis: Millis) -> String {
        self.now.host += millis;
        self.step(Input::Tick)
    }

    /// A whole catch-up, as the effect asked for it.
    pub(crate) fn reads(&mut self, from: u64, to: u64) -> String {
        let mut told = vec![self.step(Input::PassStarted { gone_below: 1 })];
        for stream_sequence in from..=to {
            told.push(self.brings(stream_sequence));
        }
        told.push(self.step(Input::PassEnded { to }));
        told.retain(|text| !text.is_empty());
        told.join("; ")
    }

    /// The catch-up brings the message with this stream sequence.
    pub(crate) fn brings(&mut self, stream_sequence: u64) -> String {
        let arrival = self.events[&stream_sequence].clone();
        self.step(Input::PassArrived(arrival))
    }

    pub(crate) fn had_enough(&self) -> bool {
        self.sequencer.had_enough()
    }

    pub(crate) fn park(&mut self) -> String {
        self.step(Input::Operator(Operator::Park))
    }

    pub(crate) fn resume(&mut self, sequence: u64) -> String {
        self.step(Input::Operator(Operator::Resume { place: Place { epoch: self.epoch, sequence } }))
    }

    pub(crate) fn skip(&mut self, sequence: u64) -> String {
        self.step(Input::Operator(Operator::Skip { place: Place { epoch: self.epoch, sequence } }))
    }

    /// The event that came with this stream sequence is redriven from a dead letter.
    pub(crate) fn redrive(&mut self, dead: u64, stream_sequence: u64, out_of_order: bool) -> String {
        let arrival = self.events[&stream_sequence].clone();
        self.step(Input::Redrive { dead, arrival, out_of_order })
    }

    /// The entity leaves memory (or the host stops with everything closed) and is loaded again.
    pub(crate) fn reload(&mut self) {
        assert!(self.sequencer.can_leave());
        self.restart(self.next - 1);
    }

    /// The host dies; everything up to the watermark is closed.
    pub(crate) fn restart(&mut self, watermark: u64) {
        self.sequencer = Sequencer::restore(Arc::clone(&self.policy), self.durable.clone(), watermark);
    }

    /// The live reader reads a message again after a restart.
    pub(crate) fn again(&mut self, stream_sequence: u64) -> String {
        let arrival = self.events[&stream_sequence].clone();
        self.step(Input::Arrived(arrival))
    }

    pub(crate) fn position(&self) -> u64 {
        self.sequencer.position().map_or(0, |place| place.sequence)
    }

    fn sequence(&self, ticket: u64) -> String {
        let place = self.events[&ticket].place;
        if place.epoch == 0 { place.sequence.to_string() } else { format!("{}/{}", place.epoch, place.sequence) }
    }

    fn tell(&self, effect: &Effect<u64>) -> String {
        match effect {
            Effect::Deliver { ticket, attempt, late } => {
                let attempt = if *attempt > 1 { format!(" attempt {attempt}") } else { String::new() };
                format!("deliver {}{attempt}{}", self.sequence(*ticket), if *late { " late" } else { "" })
            }
            Effect::Commit(change) => self.tell_change(change),
            Effect::Close { stream_sequence, outcome } => format!("close #{stream_sequence}{}", tell_outcome(*outcome)),
            Effect::CatchUp { from, to } => format!("read #{from} to #{to}"),
            Effect::ExtendCatchUp { to } => format!("read on to #{to}"),
            Effect::Stop { .. } => String::from("stop"),
            Effect::Disorder(Disorder::Gap(missing)) => format!("gap of {missing}"),
            Effect::Disorder(Disorder::Late) => String::from("late"),
            Effect::Disorder(Disorder::Conflict) => String::from("conflict"),
            Effect::Redriven { answer, .. } => match answer {
                Redriven::Done { late } => String::from(if *late { "redriven late" } else { "redriven" }),
                Redriven::Already => String::from("redriven before"),
                Redriven::Passed { since, head } => format!("passed by {since}, at {}", head.sequence),
                Redriven::Ahead { head } => format!("ahead of {}", head.sequence),
                Redriven::Forgotten => String::from("forgotten"),
                Redriven::Parked(reason) => format!("not redriven, parked {}", reason.name()),
                Redriven::Failed(reason) => format!("failed again {}", reason.name()),
                Redriven::Stopped => String::from("not redriven, stopped"),
                Redriven::Barred => String::from("not redriven, barred"),
                Redriven::Busy => String::from("busy"),
            },
            Effect::Answer(Answer::Superseded) => String::from("superseded"),
            Effect::Answer(Answer::Owes) => String::from("owes"),
            Effect::Answer(Answer::Done) => String::from("done"),
            Effect::Answer(Answer::Nothing) => String::from("nothing"),
            Effect::Answer(Answer::Elsewhere { head }) => format!("elsewhere {}", head.sequence),
        }
    }

    fn tell_change(&self, change: &Change<u64>) -> String {
        let mut words = vec![String::from(if change.erases { "erase" } else { "commit" })];
        if let Some(applied) = &change.applied {
            let redriven = applied.redriven.map_or_else(String::new, |dead| format!(" from {dead}"));
            words.push(format!("applied {}{redriven}", self.sequence(applied.ticket)));
        }
        if let Some(dead) = &change.dead {
            match (&dead.event, dead.lost) {
                (Some(event), _) => words.push(format!("dead {} {}", self.sequence(event.ticket), dead.reason.name())),
                (None, lost) => words.push(format!("{} {:?}", dead.reason.name(), lost.map(|lost| (lost.first, lost.last)))),
            }
        }
        match change.patch.waiting {
            Some(Some(waiting)) => words.push(tell_waiting(&waiting)),
            Some(None) => words.push(String::from("free")),
            None => {}
        }
        for (_, outcome) in change.closes.into_iter().filter(|(_, outcome)| *outcome == Some(Outcome::Duplicate)) {
            words.push(tell_outcome(outcome).trim().to_owned());
        }
        words.join(" ")
    }
}

fn tell_outcome(outcome: Option<Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Applied) => " applied",
        Some(Outcome::Duplicate) => " duplicate",
        Some(Outcome::DroppedLate) => " dropped late",
        Some(Outcome::DeadLettered) => " dead-lettered",
        None => "",
    }
}

fn tell_waiting(waiting: &Waiting) -> String {
    let alarm = match waiting.alarm {
        None => String::from("parked"),
        Some(Alarm::Host(at)) => format!("until host {at}"),
        Some(Alarm::Stream(at)) => format!("until stream {at}"),
    };
    format!("waits for {} from #{} {alarm}", waiting.reason.name(), waiting.from)
}
