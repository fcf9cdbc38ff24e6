//! One output or dead letter, wherever it stands: in its stream or still in an outbox. Read from its headers alone.

use super::Rules;
use crate::checker::store::OutboxEntry;
use crate::checker::{Kept, decoded, find};
use std::fmt;

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum At {
    /// In its stream, under this number.
    Stream(u64),
    /// In an outbox, under this number.
    Outbox(u64),
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(number) => write!(f, "{number} of its stream"),
            Self::Outbox(number) => write!(f, "{number} of the outbox"),
        }
    }
}

/// A message of the host.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece<'a> {
    pub(super) at: At,
    /// `Nats-Msg-Id`; empty = none.
    pub(super) id: &'a str,
    pub(super) subject: &'a str,
    pub(super) headers: &'a [(String, String)],
    pub(super) payload: &'a [u8],
}

impl<'a> Piece<'a> {
    pub(super) fn kept(kept: &'a Kept) -> Self {
        let id = kept.header("Nats-Msg-Id").unwrap_or_default();
        let Kept { stream_sequence, subject, headers, payload } = kept;
        Self { at: At::Stream(*stream_sequence), id, subject, headers, payload }
    }

    pub(super) fn entry(entry: &'a OutboxEntry) -> Self {
        let OutboxEntry { number, subject, headers, payload, message_id, .. } = entry;
        Self { at: At::Outbox(*number), id: message_id, subject, headers, payload }
    }

    pub(super) fn header(&self, name: &str) -> Option<&'a str> {
        find(self.headers, name)
    }

    /// How a dead letter has to name a header of its message: what the broker would act upon is renamed.
    pub(super) fn renamed(name: &str) -> String {
        if name.starts_with("Nats-") { format!("Seriatim-Dead-{name}") } else { name.to_owned() }
    }

    /// Whether a dead letter has this header of its message.
    pub(super) fn carries(&self, name: &str, value: &str) -> bool {
        let name = Self::renamed(name);
        self.headers.iter().any(|(known, found)| *known == name && found == value)
    }

    fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.header(name).ok_or_else(|| format!("no {name}"))?;
        value.parse().map_err(|_| format!("{name} is {value:?}"))
    }
}

/// An output, as far as the laws understand it.
#[derive(Clone, Debug)]
pub(super) struct Output<'a> {
    pub(super) piece: Piece<'a>,
    pub(super) entity: &'a str,
    pub(super) place: (u64, u64),
    pub(super) count: u64,
    pub(super) generation: u64,
    /// The dead letter that its event was redriven from.
    pub(super) redriven: Option<u64>,
    /// The message that it is the output of, by its number in the generator's log.
    pub(super) cause: Option<usize>,
    /// It was delivered out of order.
    pub(super) late: bool,
}

impl<'a> Output<'a> {
    /// `<pipeline>:<generation>:<epoch>:<entity, percent-encoded>:<sequence>:<handler>:<index>`, of a redriven event `:r<dead letter>` behind it, and the
    /// headers that say the same.
    pub(super) fn of(piece: Piece<'a>, rules: &Rules) -> Result<Self, String> {
        let entity = piece.header("Seriatim-Entity").ok_or("no Seriatim-Entity")?;
        let sequence = piece.number("Seriatim-Cause-Sequence")?;
        let count = piece.number("Echo-Count")?;
        if piece.id.is_empty() {
            return Err("no Nats-Msg-Id".to_owned());
        }
        let mut parts: Vec<_> = piece.id.split(':').collect();
        let redriven = match parts.as_slice() {
            [_, _, _, _, _, _, _, again] => Some(again.strip_prefix('r').and_then(|letter| letter.parse::<u64>().ok())),
            _ => None,
        };
        parts.truncate(7);
        let &[pipeline, generation, epoch, who, number, handler, "0"] = parts.as_slice() else {
            return Err(format!("Nats-Msg-Id is {:?}, not seven parts with the index 0", piece.id));
        };
        let told = piece.header("Seriatim-Redriven").map(|letter| letter.parse().ok());
        if told != redriven || redriven == Some(None) {
            return Err(format!("Nats-Msg-Id is {:?}, Seriatim-Redriven {:?}", piece.id, piece.header("Seriatim-Redriven")));
        }
        let named = pipeline == rules.pipeline && handler == rules.handler && number == sequence.to_string();
        match (decoded(who), generation.parse(), epoch.parse()) {
            (Some(who), Ok(generation), Ok(epoch)) if who == entity && named => Ok(Self {
                piece,
                entity,
                place: (epoch, sequence),
                count,
                generation,
                redriven: redriven.flatten(),
                cause: None,
                late: false,
            }),
            _ => Err(format!("Nats-Msg-Id {:?} does not name pipeline, generation, epoch, entity, sequence and handler", piece.id)),
        }
    }
}

/// A dead letter, as far as the laws understand it.
#[derive(Clone, Debug)]
pub(super) struct Letter<'a> {
    pub(super) piece: Piece<'a>,
    pub(super) reason: &'a str,
    /// The stream sequence that it names; of a lost range the first.
    pub(super) number: u64,
    /// Last number of a lost range, else the same.
    pub(super) last: u64,
    pub(super) entity: Option<&'a str>,
    pub(super) attempts: u64,
    pub(super) generation: u64,
    /// The message that it is about, by its number in the generator's log.
    pub(super) about: Option<usize>,
}

impl<'a> Letter<'a> {
    /// `<pipeline>:<generation>:dead:<stream sequence>`, for a loss with `:lost` behind it, and the entity's name if it is one entity's
    /// (`:gone` for what one entity lost with a stream that was replaced).
    pub(super) fn of(piece: Piece<'a>, rules: &Rules) -> Result<Self, String> {
        let reason = piece.header("Seriatim-Dead-Reason").ok_or("no Seriatim-Dead-Reason")?;
        let number = piece.number("Seriatim-Dead-Stream-Sequence")?;
        let attempts = piece.number("Seriatim-Dead-Attempts")?;
        let lost = reason == "lost";
        let last = if lost { piece.number("Seriatim-Dead-Stream-Sequence-Last")? } else { number };
        let entity = piece.header("Seriatim-Dead-Entity");
        let parts: Vec<_> = piece.id.split(':').collect();
        let (generation, named) = match parts.as_slice() {
            [pipeline, generation, "dead", named] if !lost => (generation, *pipeline == rules.pipeline && *named == number.to_string()),
            [pipeline, generation, "dead", named, "lost" | "gone", who @ ..] if lost => {
                let who = match who {
                    [] => entity.is_none(),
                    [who] => decoded(who).as_deref() == entity,
                    _ => false,
                };
                (generation, who && *pipeline == rules.pipeline && *named == number.to_string())
            }
            _ => return Err(format!("Nats-Msg-Id is {:?}", piece.id)),
        };
        match generation.parse() {
            Ok(generation) if named && last >= number => {
                Ok(Self { piece, reason, number, last, entity, attempts, generation, about: None })
            }
            _ => Err(format!("Nats-Msg-Id {:?} does not name pipeline, generation and stream sequence {number} to {last}", piece.id)),
        }
    }

    /// It ends its message without ending the place of it: another message may stand there.
    pub(super) fn beside_the_place(&self) -> bool {
        matches!(self.reason, "conflict" | "late" | "malformed")
    }
}
