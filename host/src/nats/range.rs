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

/// A pass. Dropping it ends it.
pub struct RangeReader {
    gapless: Gapless,
    spec: Spec,
    /// Nothing seems to be left; the leader is to say so.
    ended: bool,
    /// A message that was read and lies above the end as it was then.
    over: Option<Message>,
}

impl RangeReader {
    /// A pass that starts at `from`, in the stream that `known` describes.
    pub fn new(connection: Connection, spec: Spec, known: KnownStream, from: u64) -> Self {
        Self { gapless: Gapless::new(connection, spec.clone(), known, from), spec, ended: false, over: None }
    }

    /// The next step towards `to` (which never goes down from call to call). After an [`Step::End`] a higher `to` goes on.
    pub async fn next(&mut self, to: u64) -> Result<Step, ReadError> {
        if let Some(message) = self.over.take_if(|message| message.stream_sequence <= to) {
            return Ok(Step::Message(message));
        }
        loop {
            // `at` is one above the last message: past `to`, everything up to it has been handed on.
            if self.gapless.at() > to || (std::mem::take(&mut self.ended) && self.nothing_left(to).await) {
                return Ok(Step::End);
            }
            match self.gapless.next().await? {
                Item::Opened(facts) => {
                    self.ended = self.gapless.pending() == 0;
                    return Ok(Step::Opened(facts));
                }
                Item::Message { message, .. } if message.stream_sequence > to => {
                    self.over = Some(message);
                    return Ok(Step::End);
                }
                Item::Message { message, pending } => {
                    self.ended = pending == 0;
                    return Ok(Step::Message(message));
                }
                Item::Idle { .. } => self.ended = true,
                Item::Broken(broken) => {
                    tracing::debug!(stream = %self.spec.stream, reason = %broken.detail, "a pass over the stream is interrupted; going on");
                }
            }
        }
    }

    /// A message at or below `to` that has arrived already; never waits.
    pub fn try_next(&mut self, to: u64) -> Option<Message> {
        if let Some(message) = self.over.take_if(|message| message.stream_sequence <= to) {
            return Some(message);
        }
        if self.over.is_some() || self.gapless.at() > to {
            return None;
        }
        match self.gapless.try_next()? {
            Item::Message { message, .. } if message.stream_sequence > to => {
                self.over = Some(message);
                None
            }
            Item::Message { message, pending } => {
                self.ended = pending == 0;
                Some(message)
            }
            _ => {
                self.ended = true;
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
