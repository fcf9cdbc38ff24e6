//! The shell around a pass over a part of the source stream, as `nats/range.rs` has it, over the model broker.

use crate::broker::SOURCE;
use crate::gapless::{Gapless, Item, Polled};
use crate::link::Around;
use seriatim::event::Message;
use seriatim::nats::identity::IdentityError;

/// What a pass brings.
#[derive(Debug)]
pub(crate) enum Step {
    Opened {
        first_sequence: u64,
    },
    Message(Message),
    /// Nothing that matches is left at or below the end.
    End,
}

/// What a look at it brings.
#[derive(Debug)]
pub(crate) enum Ranged {
    Step(Step),
    Waits,
    Wrong(IdentityError),
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Range {
    pub(crate) gapless: Gapless,
    /// Nothing seems to be left; the leader is to say so.
    ended: bool,
    /// A message that was read and lies above the end as it was then.
    over: Option<Message>,
}

impl Range {
    pub(crate) fn new(gapless: Gapless) -> Self {
        Self { gapless, ended: false, over: None }
    }

    /// Whether a look would bring something now.
    pub(crate) fn ready(&self, to: u64, link: u64, now: u64) -> bool {
        self.over.as_ref().is_some_and(|message| message.stream_sequence <= to)
            || self.ended
            || self.gapless.at() > to
            || self.gapless.ready(link, now)
    }

    pub(crate) fn next(&mut self, to: u64, around: &mut Around<'_>) -> Ranged {
        if let Some(message) = self.over.take_if(|message| message.stream_sequence <= to) {
            return Ranged::Step(Step::Message(message));
        }
        loop {
            if self.gapless.at() > to || (std::mem::take(&mut self.ended) && self.nothing_left(to, around)) {
                return Ranged::Step(Step::End);
            }
            match self.gapless.poll(around) {
                Polled::Waits => return Ranged::Waits,
                Polled::Wrong(error) => return Ranged::Wrong(error),
                Polled::Item(Item::Opened { first_sequence }) => {
                    self.ended = self.gapless.pending() == 0;
                    return Ranged::Step(Step::Opened { first_sequence });
                }
                Polled::Item(Item::Message { message, .. }) if message.stream_sequence > to => {
                    self.over = Some(message);
                    return Ranged::Step(Step::End);
                }
                Polled::Item(Item::Message { message, pending }) => {
                    self.ended = pending == 0;
                    return Ranged::Step(Step::Message(message));
                }
                Polled::Item(Item::Idle { .. }) => self.ended = true,
                Polled::Item(Item::Broken(_)) => {}
            }
        }
    }

    pub(crate) fn try_next(&mut self, to: u64, around: &mut Around<'_>) -> Option<Message> {
        if let Some(message) = self.over.take_if(|message| message.stream_sequence <= to) {
            return Some(message);
        }
        if self.over.is_some() || self.gapless.at() > to {
            return None;
        }
        match self.gapless.try_next(around)? {
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
    fn nothing_left(&self, to: u64, around: &mut Around<'_>) -> bool {
        let at = self.gapless.at();
        around.ask(SOURCE).is_ok_and(|stream| stream.next(at, self.gapless.filters()).is_none_or(|found| found.sequence > to))
    }
}
