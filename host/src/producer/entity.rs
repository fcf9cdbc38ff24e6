//! One entity that commands publish to: reads its events from its subject, and publishes the next one under the version that it was decided
//! on. Asks and answers; whose event a message is, and who won, is decided in `version`.

use super::client::Producer;
use super::error::Error;
use super::event::{NewEvent, Numbered};
use super::history::{self, Asking};
use super::ledger::forbids;
use super::version::{self, Next, Stored, Version, Wrong};
use crate::event::Message;
use crate::nats::raw;
use crate::sink::conditional::{self, Answer};
use std::time::Instant;

/// An entity whose events are published under expected versions. It keeps no state of its own: clones, and other processes, may publish too.
///
/// The entity has a subject of its own, which holds its numbered events and nothing else.
#[derive(Clone, Debug)]
pub struct Entity {
    producer: Producer,
    entity: String,
    subject: String,
    stream: String,
}

impl Producer {
    /// An entity by its name and the subject that all of its events go to. Asks the broker which stream takes the subject.
    pub async fn entity(&self, entity: &str, subject: &str) -> Result<Entity, Error> {
        let first = Numbered { entity: entity.to_owned(), subject: subject.to_owned(), sequence: 1, ..Numbered::default() };
        first.check()?;
        let stream = self.stream_of(subject).await?.name;
        Ok(Entity { producer: self.clone(), entity: first.entity, subject: first.subject, stream })
    }
}

impl Entity {
    /// The entity as it stands: its last event, which is the last message of its subject. Without any it is the default version, if the stream
    /// has all that it ever took; else [`Error::HistoryGone`].
    pub async fn latest(&self) -> Result<Version, Error> {
        match self.last_message().await? {
            Some(message) => self.read(message).map(|stored| stored.version),
            None => self.nothing(&Version::default()).await.map(|()| Version::default()),
        }
    }

    /// The event that came next after a version, if there is one. From the default version on, it brings every event of the entity, one question
    /// to the broker each. [`Error::HistoryGone`] if events between are gone from the stream.
    pub async fn next(&self, after: &Version) -> Result<Option<Stored>, Error> {
        let Some(message) = self.message_after(after).await? else {
            return self.nothing(after).await.map(|()| None);
        };
        let stored = self.read(message)?;
        match stored.follows(after) {
            Ok(()) => Ok(Some(stored)),
            Err(Wrong::Missing) => Err(self.history_gone()),
            Err(Wrong::NotNew) => {
                Err(self
                    .not_its_own(stored.version.stream_sequence, format!("it is event {}, and comes after event {after}", stored.version)))
            }
        }
    }

    /// Publishes the event that comes next after `expected`, if that is still the entity's last one; returns the version with it. Else it is not
    /// stored, and [`Error::Conflict`] names the event that was.
    ///
    /// The event's `subject` is the entity's, or empty. Its `id` tells it from all others: whoever gives one gives no two events of the entity the
    /// same, but for one that is to be stored once although it is published several times (a command that is repeated after
    /// [`Error::Undecided`], or by a program that starts again). Without an `id` it gets one that nobody else has.
    ///
    /// While the broker does not answer it tries again, up to [`Options::patience`](super::Options::patience). An answer that got lost is no
    /// conflict: what the stream holds after `expected` tells whether it is this event.
    pub async fn publish(&self, expected: &Version, event: NewEvent) -> Result<Version, Error> {
        if self.producer.is_numbering(&self.entity) {
            return Err(Error::FlowOpen { entity: self.entity.clone() });
        }
        let numbered = self.after(expected, event)?;
        let mut version =
            Version { sequence: numbered.sequence, epoch: numbered.epoch, id: numbered.id.clone().unwrap_or_default(), stream_sequence: 0 };
        let entry = conditional::under(numbered.message(Some(&self.stream))?, expected.stream_sequence);
        let _place = self.producer.place().await?;
        let mut asking = Asking::new(self.producer.options().patience);
        let mut may_be_stored = false;
        loop {
            let tried = Instant::now();
            let reason = match conditional::publish(self.producer.connection(), &entry).await {
                Answer::Stored { stream_sequence } => {
                    version.stream_sequence = stream_sequence;
                    return Ok(version);
                }
                Answer::Refused { reason, code } => return Err(self.refused(&version, reason, code)),
                Answer::Unavailable { reason, may_be_stored: may } => {
                    if let Some(forbidden) = self.forbidden_since(tried) {
                        return Err(self.refused(&version, forbidden, 0));
                    }
                    may_be_stored |= may;
                    reason
                }
                Answer::Overtaken => {
                    let found = self.overtaken(expected, &version, &entry.message_id, may_be_stored, &mut asking).await;
                    match found {
                        Ok(Some(stream_sequence)) => {
                            version.stream_sequence = stream_sequence;
                            return Ok(version);
                        }
                        Ok(None) => "the stream is still storing another event of the entity".to_owned(),
                        Err(error @ (Error::Unavailable { .. } | Error::Read { .. })) if may_be_stored => {
                            return Err(self.undecided(&version, error.to_string()));
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            if !asking.again().await {
                return Err(match may_be_stored {
                    true => self.undecided(&version, reason),
                    false => Error::Unavailable { patience: self.producer.options().patience, reason },
                });
            }
        }
    }

    /// The event under its number, with an id that nobody else has.
    fn after(&self, expected: &Version, event: NewEvent) -> Result<Numbered, Error> {
        let invalid =
            |sequence, field: &str, problem| Error::Invalid { entity: self.entity.clone(), sequence, field: field.to_owned(), problem };
        let Some(sequence) = expected.sequence.checked_add(1) else {
            let problem = "there is none after the highest: start over with a higher epoch".to_owned();
            return Err(invalid(expected.sequence, "sequence", problem));
        };
        if !event.subject.is_empty() && event.subject != self.subject {
            let problem = format!("it is {:?}, and the entity's is {:?}", event.subject, self.subject);
            return Err(invalid(sequence, "subject", problem));
        }
        let id = event.id.unwrap_or_else(|| nuid::next().to_string());
        let event = NewEvent { subject: self.subject.clone(), id: Some(id), ..event };
        Ok(event.numbered(&self.entity, expected.epoch, sequence))
    }

    /// What it means that the subject's last message is not the expected one: ours is there (its stream sequence), it is too early to say
    /// (`None`), or ours is not there and why.
    async fn overtaken(
        &self,
        expected: &Version,
        ours: &Version,
        message_id: &str,
        may_be_stored: bool,
        asking: &mut Asking,
    ) -> Result<Option<u64>, Error> {
        let Some(first) = self.message_after(expected).await? else {
            let last = self.last_message().await?.map_or(0, |message| message.stream_sequence);
            if last == expected.stream_sequence || !asking.missing().await {
                return Ok(None);
            }
            return Err(match may_be_stored {
                true => self.undecided(ours, "messages of its subject are gone".to_owned()),
                false => self.history_gone(),
            });
        };
        let first_id = first.header("Nats-Msg-Id").map(str::to_owned);
        let winner = self.read(first)?.version;
        match version::judge((message_id, ours), may_be_stored, first_id.as_deref(), &winner) {
            Next::Ours => Ok(Some(winner.stream_sequence)),
            Next::Unclear if !self.has_all_since(expected).await? => {
                Err(self.undecided(ours, "messages of its subject are gone".to_owned()))
            }
            Next::Theirs | Next::Unclear => {
                let latest = match self.last_message().await? {
                    Some(message) => self.read(message)?.version,
                    None => winner.clone(),
                };
                Err(Error::Conflict {
                    entity: self.entity.clone(),
                    sequence: ours.sequence,
                    winner: Box::new(winner),
                    latest: Box::new(latest),
                })
            }
        }
    }

    async fn message_after(&self, version: &Version) -> Result<Option<Message>, Error> {
        let Self { producer, stream, subject, .. } = self;
        let connection = producer.connection();
        let from = version.stream_sequence.saturating_add(1);
        let asked = || async { raw::next_message(&connection.client(), stream, std::slice::from_ref(subject), from).await };
        let found = history::of_stream(connection, stream, producer.options().patience, asked).await?;
        Ok(found.map(|raw| raw.message))
    }

    async fn last_message(&self) -> Result<Option<Message>, Error> {
        let Self { producer, stream, subject, .. } = self;
        let connection = producer.connection();
        let asked = || async { raw::last_of_subject(&connection.client(), stream, subject).await };
        let found = history::of_stream(connection, stream, producer.options().patience, asked).await?;
        Ok(found.map(|raw| raw.message))
    }

    fn read(&self, message: Message) -> Result<Stored, Error> {
        let stream_sequence = message.stream_sequence;
        Stored::read(message, &self.entity).map_err(|problem| self.not_its_own(stream_sequence, problem))
    }

    /// There is nothing after this version, which of an entity without events must be certain.
    async fn nothing(&self, after: &Version) -> Result<(), Error> {
        if after.sequence > 0 || self.has_all_since(after).await? { Ok(()) } else { Err(self.history_gone()) }
    }

    /// Whether the stream has all that it ever took after this version.
    async fn has_all_since(&self, version: &Version) -> Result<bool, Error> {
        let Self { producer, stream, .. } = self;
        let facts = history::stream_facts(producer.connection(), stream, producer.options().patience).await?;
        Ok(facts.absence_proves(version.stream_sequence))
    }

    /// What the server does not permit it does not answer either: its complaint is the only sign.
    fn forbidden_since(&self, tried: Instant) -> Option<String> {
        let (complaint, age) = self.producer.connection().refusal()?;
        (age <= tried.elapsed() && forbids(&complaint, &self.subject)).then_some(complaint)
    }

    fn refused(&self, ours: &Version, reason: String, code: u64) -> Error {
        Error::Refused { entity: self.entity.clone(), sequence: ours.sequence, subject: self.subject.clone(), reason, code }
    }

    fn undecided(&self, ours: &Version, reason: String) -> Error {
        Error::Undecided { entity: self.entity.clone(), sequence: ours.sequence, id: ours.id.clone(), reason }
    }

    fn history_gone(&self) -> Error {
        Error::HistoryGone { entity: self.entity.clone(), stream: self.stream.clone() }
    }

    fn not_its_own(&self, stream_sequence: u64, problem: String) -> Error {
        Error::NotItsOwn { entity: self.entity.clone(), stream: self.stream.clone(), stream_sequence, problem }
    }
}
