//! The producer as programs see it, and the tasks behind it: performs what the ledger decides, and brings it the answers of publisher and
//! searcher. Decides nothing.

use super::error::Error;
use super::event::Numbered;
use super::history::{self, Asking};
use super::ledger::{Addition, Complaint, Effect, Ledger};
use crate::nats::connect::Connection;
use crate::nats::identity::StreamFacts;
use crate::sink::lookup::Lookup;
use crate::sink::publisher::{PublishReply, PublishRequest, PublishSink, Publisher, PublisherHandle};
use crate::sink::search::{SearchReply, SearchRequest, SearchSink, Searcher};
use crate::sink::streams::Streams;
use crate::store::Mark;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Default of [`Options::window`].
const WINDOW_DEFAULT: usize = 1000;
/// Most that [`Options::window`] can be; more counts as this.
const WINDOW_MAX: usize = 100_000;
/// Default of [`Options::patience`].
const PATIENCE_DEFAULT: Duration = Duration::from_secs(120);
/// The producer is the only one its publisher and searcher answer to.
const SHARD: usize = 0;

/// How to produce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The stream that must take every event; the broker refuses an event whose subject goes elsewhere. `None` = whichever takes it.
    pub stream: Option<String>,
    /// Events accepted and not confirmed at most (1 to 100,000): whoever publishes more waits. Default 1000.
    pub window: usize,
    /// With nothing confirmed for this long while something is owed, the producer gives up. Also how long a question to the broker may
    /// take. Default 2 min.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { stream: None, window: WINDOW_DEFAULT, patience: PATIENCE_DEFAULT }
    }
}

/// A confirmed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The stream that has it.
    pub stream: Arc<str>,
    /// Its sequence there.
    pub stream_sequence: u64,
    /// It was there already, from an earlier try or an earlier run. The broker says so for as long as it remembers the id (the stream's duplicate
    /// window), also when the message was removed since, by a purge or by the stream's limits: then the event is in the stream no more and was not stored
    /// again. Where that can be, ask [`has_message`](super::has_message) about a sequence from before this run.
    pub duplicate: bool,
}

/// How far a producer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events that are in their streams.
    pub confirmed: u64,
    /// Of these, those that were there already.
    pub duplicates: u64,
    /// Events that were accepted and failed.
    pub failed: u64,
    /// Events that were accepted and are neither yet.
    pub owed: u64,
}

/// What becomes of one accepted event. Dropping it changes nothing for the event.
#[derive(Debug)]
#[must_use = "the event is not in the stream before this says so (or Producer::finish does)"]
pub struct Pending {
    answer: oneshot::Receiver<Result<Receipt, Error>>,
}

impl Future for Pending {
    type Output = Result<Receipt, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.answer).poll(context).map(|answer| answer.unwrap_or(Err(Error::Dropped)))
    }
}

/// Publishes events of many entities. Clones are the same producer. When the last clone and flow is dropped, what is owed is given up:
/// [`Producer::finish`] waits for it.
#[derive(Clone)]
pub struct Producer {
    shared: Arc<Shared>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Producer").field("options", &self.shared.options).field("progress", &self.progress()).finish()
    }
}

/// What a caller waits with, and its place in the window.
struct Ticket {
    answer: oneshot::Sender<Result<Receipt, Error>>,
    place: OwnedSemaphorePermit,
}

struct State {
    ledger: Ledger<Ticket>,
    /// When the timer looks again; `u64::MAX` = when it is woken.
    timer: u64,
}

struct Shared {
    connection: Connection,
    options: Options,
    lookup: Lookup,
    streams: Streams,
    publisher: PublisherHandle,
    searcher: Searcher,
    state: Mutex<State>,
    window: Arc<Semaphore>,
    /// Wakes the timer: something is due earlier than it thinks.
    earlier: Arc<Notify>,
    /// Nothing is owed.
    idle: Notify,
    began: Instant,
    /// Ends with the last handle.
    tasks: Mutex<JoinSet<()>>,
}

impl Producer {
    /// A producer that publishes over `connection`. With [`Options::stream`] the stream must exist.
    pub async fn start(connection: Connection, options: Options) -> Result<Self, Error> {
        let options = Options { window: options.window.clamp(1, WINDOW_MAX), ..options };
        let lookup = Lookup::new(connection.clone());
        let streams = lookup.streams().clone();
        if let Some(stream) = &options.stream {
            history::of_stream(&connection, stream, options.patience, || lookup.ask(stream)).await?;
        }
        let mut publisher = None;
        let shared = Arc::new_cyclic(|shared: &Weak<Shared>| {
            let sink = Arc::new(Answers { shared: shared.clone() });
            let (handle, task) = Publisher::new(connection.clone(), streams.clone(), vec![sink as Arc<dyn PublishSink>], options.window);
            publisher = Some(task);
            Shared {
                connection: connection.clone(),
                lookup: lookup.clone(),
                streams,
                publisher: handle,
                searcher: Searcher::default(),
                state: Mutex::new(State { ledger: Ledger::new(options.patience), timer: u64::MAX }),
                window: Arc::new(Semaphore::new(options.window)),
                earlier: Arc::new(Notify::new()),
                idle: Notify::new(),
                began: Instant::now(),
                tasks: Mutex::new(JoinSet::new()),
                options,
            }
        });
        let answers = Arc::new(Answers { shared: Arc::downgrade(&shared) });
        {
            let mut tasks = shared.tasks.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(publisher) = publisher {
                tasks.spawn(publisher.run());
            }
            tasks.spawn(shared.searcher.clone().run(connection, lookup.clone(), vec![answers as Arc<dyn SearchSink>]));
            tasks.spawn(lookup.run());
            tasks.spawn(timer(Arc::downgrade(&shared), Arc::clone(&shared.earlier)));
        }
        Ok(Self { shared })
    }

    /// Accepts an event whose number the caller knows. Waits for room in the window, and once for each new stream for the broker's word on it.
    ///
    /// Events of one entity leave in the order of the calls, each when the one before is confirmed; their numbers are not looked at. An error
    /// here means that the event was not accepted, and nothing else has changed.
    pub async fn send(&self, event: Numbered) -> Result<Pending, Error> {
        self.accept(event, false).await
    }

    pub(super) async fn accept(&self, event: Numbered, by_flow: bool) -> Result<Pending, Error> {
        let shared = &self.shared;
        let entity: Arc<str> = event.entity.as_str().into();
        let sequence = event.sequence;
        let mut entry = event.message(shared.options.stream.as_deref())?;
        let place = self.place().await?;
        entry.mark = self.mark(&entry.subject).await?;
        let (answer, receiver) = oneshot::channel();
        let addition = Addition { entity, sequence, entry, ticket: Ticket { answer, place }, by_flow };
        shared.step(|ledger, now, _| ledger.add(now, addition))?;
        Ok(Pending { answer: receiver })
    }

    /// Where a search for a message that is accepted now would begin. Asks the broker only about a subject of an unknown stream.
    async fn mark(&self, subject: &str) -> Result<Mark, Error> {
        let mark = self.shared.streams.mark_for(subject);
        if mark.stream.is_empty() {
            let facts = self.stream_of(subject).await?;
            let sent_after = self.shared.streams.broker_earliest_ms().unwrap_or(0);
            return Ok(Mark { stream: facts.name, created: facts.created_nanos, last_sequence: facts.last_sequence, sent_after });
        }
        self.expect(subject, &mark.stream)?;
        Ok(mark)
    }

    /// A place in the window.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.shared.window).acquire_owned().await.map_err(|_| Error::Dropped)
    }

    /// The stream that takes this subject (no pattern), if it is one that may.
    pub(super) async fn stream_of(&self, subject: &str) -> Result<StreamFacts, Error> {
        let Shared { connection, options, lookup, .. } = &*self.shared;
        let mut asking = Asking::new(options.patience);
        loop {
            match lookup.resolve(subject).await {
                Ok(Some(facts)) => {
                    self.expect(subject, &facts.name)?;
                    return Ok(facts);
                }
                Err(error) if !error.is_stream_not_found() => {
                    asking.failed(options.stream.as_deref().unwrap_or(subject), &error, connection).await?;
                }
                _ => {
                    if asking.missing().await {
                        return Err(Error::NoStream { subject: subject.to_owned() });
                    }
                }
            }
        }
    }

    fn expect(&self, subject: &str, found: &str) -> Result<(), Error> {
        match &self.shared.options.stream {
            Some(expected) if expected != found => {
                Err(Error::OtherStream { subject: subject.to_owned(), found: found.to_owned(), expected: expected.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Lets an entity go on after [`Error::Refused`]: the caller sends another event in the place of the one that was refused, or knows of the gap. Returns
    /// whether the entity was blocked. One that has a flow is not freed by this but by opening its flow anew.
    #[must_use = "false = the entity is as it was"]
    pub fn unblock(&self, entity: &str) -> bool {
        self.shared.lock().ledger.unblock(entity)
    }

    /// How far it is.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.shared.lock().ledger.progress()
    }

    /// Waits until nothing is owed. Fails if any event failed since the start, also if its [`Pending`] said so before: what this returns speaks for
    /// all. Other clones may go on; then it returns at a moment at which nothing was owed.
    pub async fn finish(self) -> Result<Progress, Error> {
        loop {
            let idle = self.shared.idle.notified();
            tokio::pin!(idle);
            idle.as_mut().enable();
            {
                let state = self.shared.lock();
                if state.ledger.progress().owed == 0 {
                    return state.ledger.verdict();
                }
            }
            idle.await;
        }
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.shared.connection
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Whether this producer numbers events of the entity otherwise than by its versions.
    pub(super) fn is_numbering(&self, entity: &str) -> bool {
        self.shared.lock().ledger.is_numbering(entity)
    }

    pub(super) fn open_flow(&self, entity: &Arc<str>) -> Result<(), Error> {
        self.shared.lock().ledger.open_flow(entity)
    }

    pub(super) fn close_flow(&self, entity: &Arc<str>) {
        self.shared.lock().ledger.close_flow(entity);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Tells the ledger something, and performs what it decides.
    fn step<R>(&self, tell: impl FnOnce(&mut Ledger<Ticket>, u64, &mut Vec<Effect<Ticket>>) -> R) -> R {
        let mut effects = Vec::new();
        let now = self.now();
        let told = {
            let ledger = &mut self.lock().ledger;
            let told = tell(ledger, now, &mut effects);
            ledger.turn(now, |subject| self.streams.broker(subject), &mut effects);
            told
        };
        for effect in effects {
            self.perform(now, effect);
        }
        let state = self.lock();
        if state.ledger.alarm().is_some_and(|alarm| alarm < state.timer) {
            self.earlier.notify_one();
        }
        if state.ledger.progress().owed == 0 {
            self.idle.notify_waiters();
        }
        told
    }

    fn perform(&self, now: u64, effect: Effect<Ticket>) {
        match effect {
            Effect::Send { token, entry, blind_until } => {
                let request = PublishRequest { token: token as u64, shard: SHARD, entry, blind_until };
                if self.publisher.try_publish(request).is_err() {
                    self.lock().ledger.not_sent(now, token);
                }
            }
            Effect::Search { token, entry, mark } => self.searcher.search(SearchRequest { token: token as u64, shard: SHARD, entry, mark }),
            Effect::Settle { ticket: Ticket { answer, place }, result } => {
                // Before the answer: whoever has it finds room.
                drop(place);
                // Whoever does not wait for it has dropped the receiver.
                drop(answer.send(result));
            }
        }
    }
}

/// Rings the ledger's alarms, for as long as there is a producer.
async fn timer(shared: Weak<Shared>, earlier: Arc<Notify>) {
    loop {
        let woken = earlier.notified();
        let Some(producer) = shared.upgrade() else { return };
        producer.step(|_, _, _| ());
        let alarm = {
            let mut state = producer.lock();
            let alarm = state.ledger.alarm();
            state.timer = alarm.unwrap_or(u64::MAX);
            alarm.and_then(|alarm| producer.began.checked_add(Duration::from_millis(alarm)))
        };
        drop(producer);
        match alarm {
            // What was settled or began meanwhile moves the alarm: it is computed anew at each ring.
            Some(at) => drop(tokio::time::timeout_at(at, woken).await),
            None => woken.await,
        }
    }
}

/// Takes the answers of publisher and searcher.
struct Answers {
    shared: Weak<Shared>,
}

impl PublishSink for Answers {
    fn published(&self, replies: Vec<PublishReply>) {
        let Some(shared) = self.shared.upgrade() else { return };
        let complaint = shared.connection.refusal();
        shared.step(|ledger, now, effects| {
            let complaint = complaint.as_ref().map(|(text, age)| {
                let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                Complaint { text, at: now.saturating_sub(age) }
            });
            for PublishReply { token, result, .. } in replies {
                ledger.published(now, usize::try_from(token).unwrap_or(usize::MAX), result, complaint, effects);
            }
        });
    }
}

impl SearchSink for Answers {
    fn searched(&self, reply: SearchReply) {
        let Some(shared) = self.shared.upgrade() else { return };
        shared.step(|ledger, now, effects| {
            ledger.searched(now, usize::try_from(reply.token).unwrap_or(usize::MAX), reply.found, effects);
        });
    }
}
