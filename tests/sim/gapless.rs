//! The shell around the host's gapless reading, as `nats/gapless.rs` and `nats/consumer.rs` have it, with the model's consumers in the place of the
//! broker's. What decides is the host's: where reading stands (`Course`), whether deliveries are contiguous (`Deliveries`), whether it is the same
//! stream (`check_identity`).

use crate::broker::{Away, Broker, Consumer, Delivery, SOURCE};
use crate::link::{Around, message};
use seriatim::event::Message;
use seriatim::nats::course::{Course, Deliveries};
use seriatim::nats::identity::{IdentityError, KnownStream, check_identity};

const DELAY_MIN: u64 = 100;
const DELAY_MAX: u64 = 5_000;
const SUSPECT_AFTER: u32 = 2;

/// What happens next in the stream.
#[derive(Debug)]
pub(crate) enum Item {
    /// A new consumer reads on; the stream's first sequence as it began.
    Opened {
        first_sequence: u64,
    },
    Message {
        message: Message,
        pending: u64,
    },
    Idle {
        examined: u64,
        pending: u64,
    },
    /// The consumer ended; why.
    Broken(&'static str),
}

/// What a look at it brings.
#[derive(Debug)]
pub(crate) enum Polled {
    Item(Item),
    /// Nothing now.
    Waits,
    /// Going on would be wrong.
    Wrong(IdentityError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Gapless {
    filters: Vec<String>,
    heartbeat: u64,
    course: Course,
    open: Option<Open>,
    /// Attempts in a row that brought nothing.
    tries: u32,
    /// No attempt before this time.
    not_before: u64,
    suspect: u32,
    broken: Option<&'static str>,
    /// Since when it has been waiting for the next delivery.
    waiting_since: Option<u64>,
}

#[derive(Debug)]
struct Open {
    consumer: Consumer,
    deliveries: Deliveries,
    link: u64,
    pending: u64,
}

impl Gapless {
    pub(crate) fn new(filters: Vec<String>, heartbeat: u64, known: KnownStream, at: u64) -> Self {
        Self {
            filters,
            heartbeat,
            course: Course::new(known, at),
            open: None,
            tries: 0,
            not_before: 0,
            suspect: 0,
            broken: None,
            waiting_since: None,
        }
    }

    /// The stream sequence that the next message must reach.
    pub(crate) fn at(&self) -> u64 {
        self.course.at()
    }

    pub(crate) fn filters(&self) -> &[String] {
        &self.filters
    }

    pub(crate) fn pending(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.pending)
    }

    /// The consumer, for the world's faults and deliveries.
    pub(crate) fn consumer(&mut self) -> Option<&mut Consumer> {
        self.open.as_mut().map(|open| &mut open.consumer)
    }

    /// It has a consumer, and the broker still has it.
    pub(crate) fn reads(&self, broker: &Broker) -> bool {
        self.open.as_ref().is_some_and(|open| open.consumer.alive(broker))
    }

    /// The broker's time of the next heartbeat.
    pub(crate) fn heartbeat_at(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.consumer.heartbeat_at(self.heartbeat))
    }

    fn patience(&self) -> u64 {
        2 * self.heartbeat + self.heartbeat.max(500)
    }

    /// When it wants to be looked at, on the host's monotonic clock; `None`: when something arrives.
    pub(crate) fn wakes_at(&self) -> Option<u64> {
        match (&self.open, self.waiting_since) {
            (None, _) => Some(self.not_before),
            (Some(_), since) => since.map(|since| since + self.patience()),
        }
    }

    /// Whether a look would bring something now.
    pub(crate) fn ready(&self, link: u64, now: u64) -> bool {
        if self.broken.is_some() {
            return true;
        }
        match &self.open {
            None => now >= self.not_before,
            Some(open) => {
                open.consumer.has_arrived() || open.link != link || self.waiting_since.is_none_or(|since| now >= since + self.patience())
            }
        }
    }

    /// Gives the consumer up and reads again from `at`.
    pub(crate) fn rewind(&mut self, at: u64, around: &mut Around<'_>) {
        self.note(around, "unsure");
        self.course.rewind(at);
    }

    /// The next item, if there is one.
    pub(crate) fn poll(&mut self, around: &mut Around<'_>) -> Polled {
        if let Some(reason) = self.broken.take() {
            return Polled::Item(Item::Broken(reason));
        }
        let Some(open) = &mut self.open else {
            return if around.now >= self.not_before { self.open(around) } else { Polled::Waits };
        };
        while let Some(delivery) = open.consumer.take() {
            match judge(open, delivery) {
                Ok(None) => {}
                Ok(Some(item)) => return Polled::Item(self.handed(item)),
                Err(reason) => return Polled::Item(self.note(around, reason)),
            }
        }
        if open.link != around.link.generation {
            return Polled::Item(self.note(around, "reconnect"));
        }
        let since = *self.waiting_since.get_or_insert(around.now);
        if around.now >= since + self.patience() {
            return Polled::Item(self.note(around, "heartbeat"));
        }
        Polled::Waits
    }

    /// What has arrived already. A break is kept for the next look.
    pub(crate) fn try_next(&mut self, around: &mut Around<'_>) -> Option<Item> {
        let open = self.open.as_mut()?;
        loop {
            let delivery = open.consumer.take()?;
            match judge(open, delivery) {
                Ok(None) => {}
                Ok(Some(item)) => return Some(self.handed(item)),
                Err(reason) => {
                    self.note(around, reason);
                    self.broken = Some(reason);
                    return None;
                }
            }
        }
    }

    /// The leader's word on what is pending.
    pub(crate) fn ask_pending(&mut self, around: &mut Around<'_>) -> Result<u64, Away> {
        around.ask(SOURCE)?;
        let open = self.open.as_mut().ok_or(Away)?;
        open.pending = open.consumer.ask_pending(around.broker)?;
        Ok(open.pending)
    }

    fn handed(&mut self, item: Item) -> Item {
        if let Item::Message { message, .. } = &item {
            self.course.handed_on(message);
        }
        (self.tries, self.suspect, self.waiting_since) = (0, 0, None);
        item
    }

    fn note(&mut self, around: &mut Around<'_>, reason: &'static str) -> Item {
        let delay = (DELAY_MIN << self.tries.min(6)).min(DELAY_MAX);
        self.not_before = around.now + delay + around.dice.range(0, delay);
        self.tries += 1;
        self.open = None;
        self.waiting_since = None;
        if reason == "reconnect" {
            self.suspect += 1;
        }
        around.stats.add(reason_name(reason));
        Item::Broken(reason)
    }

    /// One attempt at a new consumer.
    fn open(&mut self, around: &mut Around<'_>) -> Polled {
        let Ok(facts) = around.facts(SOURCE) else { return Polled::Item(self.note(around, "request")) };
        let highest = self.course.known().highest;
        let time = match highest {
            0 => None,
            highest => match around.ask(SOURCE) {
                Ok(stream) => stream.get(highest).map(|stored| stored.time),
                Err(Away) => return Polled::Item(self.note(around, "request")),
            },
        };
        if let Err(error) = check_identity(self.course.known(), &facts, time) {
            return Polled::Wrong(error);
        }
        if self.suspect >= SUSPECT_AFTER {
            let (at, filters) = (self.course.at(), self.filters.clone());
            let Ok(stream) = around.ask(SOURCE) else { return Polled::Item(self.note(around, "request")) };
            if let Some(stored) = stream.next(at, &filters) {
                let message = message(stored);
                around.stats.add("reader: fetched singly");
                return Polled::Item(self.handed(Item::Message { message, pending: 1 }));
            }
        }
        let at = self.course.next_consumer();
        match around.ask(SOURCE).is_ok().then(|| around.broker.consume(SOURCE, &self.filters, at)) {
            Some(Ok(consumer)) => {
                let pending = consumer.pending;
                self.open = Some(Open { consumer, deliveries: Deliveries::new(at), link: around.link.generation, pending });
                Polled::Item(Item::Opened { first_sequence: facts.first_sequence })
            }
            _ => Polled::Item(self.note(around, "request")),
        }
    }
}

/// What a delivery is worth.
fn judge(open: &mut Open, delivery: Delivery) -> Result<Option<Item>, &'static str> {
    match delivery {
        Delivery::Message { message: stored, number, times, pending } => {
            let asked_for = open.deliveries.take(number, times, stored.sequence).map_err(|_| "hole")?;
            open.pending = pending;
            Ok(asked_for.then(|| Item::Message { message: message(&stored), pending }))
        }
        Delivery::Heartbeat { number, examined } => {
            open.deliveries.heartbeat(Some(number)).map_err(|_| "hole")?;
            Ok(Some(Item::Idle { examined, pending: open.pending }))
        }
        Delivery::Ended => Err("deleted"),
    }
}

fn reason_name(reason: &'static str) -> &'static str {
    match reason {
        "hole" => "reader: hole",
        "heartbeat" => "reader: heartbeat",
        "deleted" => "reader: deleted",
        "reconnect" => "reader: reconnect",
        "request" => "reader: request",
        _ => "reader: unsure",
    }
}
