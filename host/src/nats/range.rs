//! One pass over a part of a stream, `from..=to`, without missing a message: what catch-ups and scans of output streams
//! read with. The end may be moved up while it runs.

use crate::event::Message;
use crate::nats::connect::Connection;
use crate::nats::consumer::Spec;
use crate::nats::gapless::{Gapless, Item, ReadError};
use crate::nats::identity::{KnownStream, StreamFacts};
use crate::nats::raw;

/// What a pass brings.
#[derive(Debug)]
pub enum Step {
    /// A generation of the reader began, with these facts (the first step, and again after every break).
    Opened(Box<StreamFacts>),
    /// The next message, at or below the end.
    Message(Message),
    /// Nothing that matches is left at or below the end.
    End,
}

/// What a pass has in hand beside its reader. Pure: the end may move up, the reader may have gone past it, and an empty consumer proves nothing.
#[derive(Debug, Default)]
pub struct InHand {
    /// Nothing seems to be left; the leader is to say so.
    ended: bool,
    /// A message that was read and lies above the end as it was then.
    over: Option<Message>,
}

impl InHand {
    /// The message that was read too early, once the end has reached it.
    pub fn take(&mut self, to: u64) -> Option<Message> {
        self.over.take_if(|message| message.stream_sequence <= to)
    }

    /// Whether a message waits for the end to move up.
    #[must_use]
    pub fn is_past_the_end(&self) -> bool {
        self.over.is_some()
    }

    /// Whether [`take`](Self::take) would bring one.
    #[must_use]
    pub fn has(&self, to: u64) -> bool {
        self.over.as_ref().is_some_and(|message| message.stream_sequence <= to)
    }

    /// The reader brought a message, and so many are pending behind it. `None`: it lies above the end and is kept.
    pub fn brought(&mut self, message: Message, pending: u64, to: u64) -> Option<Message> {
        if message.stream_sequence > to {
            self.over = Some(message);
            return None;
        }
        self.ended = pending == 0;
        Some(message)
    }

    /// The reader has nothing more, as far as its consumer tells.
    pub fn seems_ended(&mut self, ended: bool) {
        self.ended = ended;
    }

    /// Whether it is time to ask the leader whether anything is left.
    #[must_use]
    pub fn is_to_be_asked(&self) -> bool {
        self.ended
    }

    /// The same; asked once.
    pub fn ask(&mut self) -> bool {
        std::mem::take(&mut self.ended)
    }
}

/// A pass. Dropping it ends it.
pub struct RangeReader {
    gapless: Gapless,
    spec: Spec,
    in_hand: InHand,
}

impl RangeReader {
    /// A pass that starts at `from`, in the stream that `known` describes.
    pub fn new(connection: Connection, spec: Spec, known: KnownStream, from: u64) -> Self {
        Self { gapless: Gapless::new(connection, spec.clone(), known, from), spec, in_hand: InHand::default() }
    }

    /// The next step towards `to` (which never goes down from call to call). After an [`Step::End`] a higher `to` goes on.
    pub async fn next(&mut self, to: u64) -> Result<Step, ReadError> {
        if let Some(message) = self.in_hand.take(to) {
            return Ok(Step::Message(message));
        }
        loop {
            // `at` is one above the last message: past `to`, everything up to it has been handed on.
            if self.gapless.at() > to || (self.in_hand.ask() && self.nothing_left(to).await) {
                return Ok(Step::End);
            }
            match self.gapless.next().await? {
                Item::Opened(facts) => {
                    self.in_hand.seems_ended(self.gapless.pending() == 0);
                    return Ok(Step::Opened(facts));
                }
                Item::Message { message, pending } => {
                    return Ok(self.in_hand.brought(message, pending, to).map_or(Step::End, Step::Message));
                }
                Item::Idle { .. } => self.in_hand.seems_ended(true),
                Item::Broken(broken) => {
                    tracing::debug!(stream = %self.spec.stream, reason = %broken.detail, "a pass over the stream is interrupted; going on");
                }
            }
        }
    }

    /// A message at or below `to` that has arrived already; never waits.
    pub fn try_next(&mut self, to: u64) -> Option<Message> {
        if let Some(message) = self.in_hand.take(to) {
            return Some(message);
        }
        if self.in_hand.is_past_the_end() || self.gapless.at() > to {
            return None;
        }
        match self.gapless.try_next()? {
            Item::Message { message, pending } => self.in_hand.brought(message, pending, to),
            _ => {
                self.in_hand.seems_ended(true);
                None
            }
        }
    }

    /// The leader's word on whether anything that matches is left up to `to`.
    async fn nothing_left(&self, to: u64) -> bool {
        match raw::next_message(&self.gapless.connection().client(), &self.spec.stream, &self.spec.subjects, self.gapless.at()).await {
            Ok(found) => found.is_none_or(|found| found.message.stream_sequence > to),
            Err(error) => {
                tracing::debug!(stream = %self.spec.stream, reason = %error, "cannot tell yet whether the pass is at its end");
                false
            }
        }
    }
}
