//! The shell around a pass over a part of the source stream, as `nats/range.rs` has it, over the model broker.

use crate::broker::SOURCE;
use crate::gapless::{Gapless, Item, Polled};
use crate::link::Around;
use seriatim::event::Message;
use seriatim::nats::identity::IdentityError;
use seriatim::nats::range::InHand;

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
    in_hand: InHand,
}

impl Range {
    pub(crate) fn new(gapless: Gapless) -> Self {
        Self { gapless, in_hand: InHand::default() }
    }

    /// Whether a look would bring something now.
    pub(crate) fn ready(&self, to: u64, link: u64, now: u64) -> bool {
        self.in_hand.has(to) || self.in_hand.is_to_be_asked() || self.gapless.at() > to || self.gapless.ready(link, now)
    }

    pub(crate) fn next(&mut self, to: u64, around: &mut Around<'_>) -> Ranged {
        if let Some(message) = self.in_hand.take(to) {
            return Ranged::Step(Step::Message(message));
        }
        loop {
            if self.gapless.at() > to || (self.in_hand.ask() && self.nothing_left(to, around)) {
                return Ranged::Step(Step::End);
            }
            match self.gapless.poll(around) {
                Polled::Waits => return Ranged::Waits,
                Polled::Wrong(error) => return Ranged::Wrong(error),
                Polled::Item(Item::Opened { first_sequence }) => {
                    self.in_hand.seems_ended(self.gapless.pending() == 0);
                    return Ranged::Step(Step::Opened { first_sequence });
                }
                Polled::Item(Item::Message { message, pending }) => {
                    return Ranged::Step(self.in_hand.brought(message, pending, to).map_or(Step::End, Step::Message));
                }
                Polled::Item(Item::Idle { .. }) => self.in_hand.seems_ended(true),
                Polled::Item(Item::Broken(_)) => {}
            }
        }
    }

    pub(crate) fn try_next(&mut self, to: u64, around: &mut Around<'_>) -> Option<Message> {
        if let Some(message) = self.in_hand.take(to) {
            return Some(message);
        }
        if self.in_hand.is_past_the_end() || self.gapless.at() > to {
            return None;
        }
        match self.gapless.try_next(around)? {
            Item::Message { message, pending } => self.in_hand.brought(message, pending, to),
            _ => {
                self.in_hand.seems_ended(true);
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
