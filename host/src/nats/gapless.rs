//! Reading a stream without missing a message: consumers one after another, each going on where the last was trusted.
//!
//! [`Gapless::next`] brings deliveries; when a generation breaks it says so ([`Item::Broken`]) and the next call waits
//! (100 ms to 5 s), asks the stream's leader for its facts, checks that it still is the same stream, makes a new consumer
//! under a new name one above the highest message handed on, and reports the facts ([`Item::Opened`]). It ends only when
//! going on would be wrong: another stream under the name, no stream, or a refusal.

use crate::event::Message;
use crate::nats::api::ApiError;
use crate::nats::connect::Connection;
use crate::nats::consumer::{Broken, Consumer, CreateError, Delivery, Reason, Spec};
use crate::nats::course::Course;
use crate::nats::identity::{self, IdentityError, KnownStream, StreamFacts, check_identity};
use crate::nats::raw;
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(5);
/// A stream must be missing this often in a row before it counts as gone (a cluster that comes up may not know it yet).
const GONE_AFTER: u32 = 4;
/// So many generations that lost the connection before their first message, and the next message is fetched singly.
const SUSPECT_AFTER: u32 = 2;

/// Why reading cannot go on.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// Another stream, or an older state of it.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The stream does not exist any more.
    #[error("stream {stream} does not exist (any more): create it or correct the config, then start again")]
    Gone {
        /// Its name.
        stream: String,
    },
    /// The broker refused, or ignores what we need.
    #[error("stream {stream} cannot be read: {detail}")]
    Refused {
        /// Its name.
        stream: String,
        /// Why.
        detail: String,
    },
}

/// What happens next in the stream.
#[derive(Debug)]
pub enum Item {
    /// A new generation reads on; these are the facts it began with.
    Opened(Box<StreamFacts>),
    /// The next message, in stream order; none is missing before it except what the stream itself no longer has.
    Message {
        /// The message.
        message: Message,
        /// Matching messages after it, as far as known.
        pending: u64,
    },
    /// Nothing came for one heartbeat.
    Idle {
        /// Everything up to here that matches was delivered.
        examined: u64,
        /// Matching messages not delivered yet, as far as known.
        pending: u64,
    },
    /// The generation ended; the next call makes another.
    Broken(Broken),
}

/// A reader of one stream that heals itself.
pub struct Gapless {
    connection: Connection,
    spec: Spec,
    course: Course,
    consumer: Option<Consumer>,
    number: u64,
    delays: ExponentialBackoff,
    wait: bool,
    missing: u32,
    /// Generations in a row that lost the connection without bringing a message.
    suspect: u32,
    broken: Option<Broken>,
}

impl Gapless {
    /// Reads `spec` from stream sequence `at` on, as long as the stream is `known`.
    pub fn new(connection: Connection, spec: Spec, known: KnownStream, at: u64) -> Self {
        Self {
            connection,
            spec,
            course: Course::new(known, at),
            consumer: None,
            number: 0,
            delays: delays(),
            wait: false,
            missing: 0,
            suspect: 0,
            broken: None,
        }
    }

    /// What is known of the stream, with the highest message handed on.
    pub fn known(&self) -> &KnownStream {
        self.course.known()
    }

    /// The stream sequence that the next message must reach.
    pub fn at(&self) -> u64 {
        self.course.at()
    }

    /// Matching messages that the present generation has not delivered yet, as far as known.
    pub fn pending(&self) -> u64 {
        self.consumer.as_ref().map_or(0, Consumer::pending)
    }

    /// The connection it reads on.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Gives the current generation up and reads again from `at`, which must not be above what was handed on.
    pub fn rewind(&mut self, at: u64, broken: &Broken) {
        self.note(broken);
        self.course.rewind(at);
    }

    /// The next item; waits for it. Cancel safe.
    pub async fn next(&mut self) -> Result<Item, ReadError> {
        if let Some(broken) = self.broken.take() {
            return Ok(Item::Broken(broken));
        }
        let Some(consumer) = self.consumer.as_mut() else { return self.open().await };
        let delivery = consumer.next().await;
        let pending = consumer.pending();
        Ok(self.judge(delivery, pending))
    }

    /// What has arrived already; never waits. A break is kept for [`Gapless::next`].
    pub fn try_next(&mut self) -> Option<Item> {
        let consumer = self.consumer.as_mut()?;
        let delivery = consumer.try_next()?;
        let pending = consumer.pending();
        match self.judge(delivery, pending) {
            Item::Broken(broken) => {
                self.broken = Some(broken);
                None
            }
            item => Some(item),
        }
    }

    /// Asks the leader how many matching messages are still to come, where the last known number may be out of date.
    pub async fn refresh_pending(&mut self) -> Result<u64, Broken> {
        match self.consumer.as_mut() {
            Some(consumer) => consumer.refresh_pending().await,
            None => Err(Broken::new(Reason::Request, "no consumer")),
        }
    }

    fn judge(&mut self, delivery: Result<Delivery, Broken>, pending: u64) -> Item {
        match delivery {
            Ok(Delivery::Message { message, pending }) => {
                self.handed_on(&message);
                Item::Message { message, pending }
            }
            Ok(Delivery::Idle { examined }) => {
                self.suspect = 0;
                self.calm();
                Item::Idle { examined, pending }
            }
            Err(broken) => {
                self.note(&broken);
                Item::Broken(broken)
            }
        }
    }

    fn handed_on(&mut self, message: &Message) {
        self.course.handed_on(message);
        self.suspect = 0;
        self.calm();
    }

    fn calm(&mut self) {
        if self.wait {
            self.wait = false;
            self.delays = delays();
        }
    }

    fn note(&mut self, broken: &Broken) {
        self.consumer = None;
        self.wait = true;
        if broken.reason == Reason::Reconnect {
            self.suspect = self.suspect.saturating_add(1);
        }
    }

    /// One attempt at a new generation. State changes only after the last await, so a cancelled attempt is simply repeated.
    async fn open(&mut self) -> Result<Item, ReadError> {
        if self.wait {
            tokio::time::sleep(self.delays.next().unwrap_or(DELAY_MAX)).await;
        }
        let client = self.connection.client();
        let facts = match identity::facts(&client, &self.spec.stream).await {
            Ok(facts) => facts,
            Err(error) => return self.failed(error),
        };
        self.missing = 0;
        let known = self.course.known();
        let time = if known.highest == 0 {
            None
        } else {
            match identity::message_time(&client, &self.spec.stream, known.highest).await {
                Ok(time) => time,
                Err(error) => return self.failed(error),
            }
        };
        check_identity(self.course.known(), &facts, time)?;
        if self.suspect >= SUSPECT_AFTER
            && let Some(item) = self.fetch_singly().await?
        {
            return Ok(item);
        }
        self.number = self.number.wrapping_add(1);
        match Consumer::create(&self.connection, &self.spec, self.number, self.course.next_consumer()).await {
            Ok(consumer) => {
                self.consumer = Some(consumer);
                Ok(Item::Opened(Box::new(facts)))
            }
            Err(CreateError::Transient(broken)) => {
                self.note(&broken);
                Ok(Item::Broken(broken))
            }
            Err(CreateError::Final(detail)) => Err(ReadError::Refused { stream: self.spec.stream.clone(), detail }),
        }
    }

    /// Fetches one message by the leader's word, past headers that end the client's connection.
    async fn fetch_singly(&mut self) -> Result<Option<Item>, ReadError> {
        match raw::next_message(&self.connection.client(), &self.spec.stream, &self.spec.subjects, self.course.at()).await {
            Ok(Some(raw)) => {
                let message = raw.message;
                self.handed_on(&message);
                if raw.unreadable {
                    tracing::warn!(
                        stream = %self.spec.stream,
                        stream_sequence = message.stream_sequence,
                        "a message with headers that the client library cannot read was fetched singly"
                    );
                    // Its neighbours are likely the same: look at the next one this way too, without waiting.
                    self.suspect = SUSPECT_AFTER;
                }
                Ok(Some(Item::Message { message, pending: 1 }))
            }
            Ok(None) => Ok(None),
            Err(error) => self.failed(error).map(Some),
        }
    }

    fn failed(&mut self, error: ApiError) -> Result<Item, ReadError> {
        let stream = || self.spec.stream.clone();
        if error.is_stream_not_found() {
            self.missing = self.missing.saturating_add(1);
            if self.missing >= GONE_AFTER {
                return Err(ReadError::Gone { stream: stream() });
            }
        } else if !error.is_transient() {
            return Err(ReadError::Refused { stream: stream(), detail: error.to_string() });
        }
        let broken = Broken::from(error);
        self.note(&broken);
        Ok(Item::Broken(broken))
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::new().with_min_delay(DELAY_MIN).with_max_delay(DELAY_MAX).without_max_times().with_jitter().build()
}
