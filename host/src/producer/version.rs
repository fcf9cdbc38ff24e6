//! Versions of an entity: what its subject holds, and whose event came next after one. Pure.

use super::event;
use super::history;
use crate::event::Message;
use bytes::Bytes;
use std::fmt;

/// An entity after one of its events: what a command is decided on, and published under. The default is an entity without events.
///
/// The fields are open, so that a program that keeps what it has read of the entity elsewhere can say where that ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// The event's number within the entity (and epoch); 0 = no event yet. This is the version as people say it.
    pub sequence: u64,
    /// The epoch that the number belongs to; absent counts as 0.
    pub epoch: Option<u64>,
    /// The event's `Seriatim-Id`; empty without one.
    pub id: String,
    /// Where the event stands in the stream, which is what the broker compares; 0 = the stream has no event of the entity.
    pub stream_sequence: u64,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.sequence)?;
        if let Some(epoch) = self.epoch {
            write!(f, " of epoch {epoch}")?;
        }
        write!(f, " (id {:?}, stream sequence {})", self.id, self.stream_sequence)
    }
}

impl Version {
    /// Epoch and number, to compare.
    fn place(&self) -> (u64, u64) {
        (self.epoch.unwrap_or(0), self.sequence)
    }
}

/// One event as the entity's subject holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The entity's version with this event.
    pub version: Version,
    /// Kind of event.
    pub kind: Option<String>,
    /// All headers of the message.
    pub headers: Vec<(String, String)>,
    /// Payload.
    pub payload: Bytes,
}

impl Stored {
    /// A message of the entity's subject as its event, or why it is none.
    pub(super) fn read(message: Message, entity: &str) -> Result<Self, String> {
        let Some(place) = history::place(&message, entity) else {
            let says = |name| match message.header(name) {
                Some(value) => format!("{name} is {value:?}"),
                None => format!("it has no {name}"),
            };
            return Err(format!("it is no numbered event of the entity ({}, {})", says(event::ENTITY), says(event::SEQUENCE)));
        };
        let header = |name| message.header(name).map(str::to_owned);
        let version = Version {
            sequence: place.sequence,
            epoch: (place.epoch > 0).then_some(place.epoch),
            id: header(event::ID).unwrap_or_default(),
            stream_sequence: message.stream_sequence,
        };
        let kind = header(event::KIND);
        let headers = message.headers.into_iter().map(|header| (header.name, header.value)).collect();
        Ok(Self { version, kind, headers, payload: message.payload })
    }

    /// Whether the event is the one that comes after this version, or what is wrong with it.
    pub(super) fn follows(&self, before: &Version) -> Result<(), Wrong> {
        let (epoch, sequence) = self.version.place();
        let (epoch_before, sequence_before) = before.place();
        let expected = if epoch > epoch_before { 1 } else { sequence_before.saturating_add(1) };
        if epoch < epoch_before || sequence < expected {
            Err(Wrong::NotNew)
        } else if sequence > expected {
            Err(Wrong::Missing)
        } else {
            Ok(())
        }
    }
}

/// Why an event does not come after a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Its number was there before.
    NotNew,
    /// There are events between.
    Missing,
}

/// Whose event came next after the version that ours expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ours, by an earlier try.
    Ours,
    /// Another one, and ours is not in the stream.
    Theirs,
    /// Another one; ours may have been in the stream before it, and be gone.
    Unclear,
}

/// Judges the first message that the stream has after the expected version. The broker stored ours only if it came right after that version, so
/// ours is this message or none, unless messages are gone.
///
/// `ours` is our event's `Nats-Msg-Id` and number; `may_be_stored`: an earlier try of it may have reached the stream.
pub(super) fn judge(ours: (&str, &Version), may_be_stored: bool, first_id: Option<&str>, first: &Version) -> Next {
    let (our_id, our_version) = ours;
    if first_id == Some(our_id) {
        Next::Ours
    } else if may_be_stored && first.place() > our_version.place() {
        Next::Unclear
    } else {
        Next::Theirs
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Header;

    fn version(epoch: u64, sequence: u64) -> Version {
        Version { sequence, epoch: (epoch > 0).then_some(epoch), id: format!("id-{sequence}"), stream_sequence: sequence * 10 }
    }

    fn message(headers: &[(&str, &str)]) -> Message {
        let headers = headers.iter().map(|(name, value)| Header { name: (*name).into(), value: (*value).into() }).collect();
        Message { subject: "a".into(), headers, payload: Bytes::from_static(b"x"), stream_sequence: 30, time: 1 }
    }

    #[test]
    fn a_message_is_read_as_the_event_that_it_is() {
        let headers = [("Seriatim-Entity", "A"), ("Seriatim-Id", "id-3"), ("Seriatim-Sequence", "3"), ("Seriatim-Type", "made")];
        let stored = Stored::read(message(&headers), "A").unwrap();
        assert_eq!((&stored.version, stored.kind.as_deref()), (&version(0, 3), Some("made")));
        assert_eq!(
            (stored.headers.len(), &stored.payload[..], stored.version.to_string()),
            (4, &b"x"[..], r#"3 (id "id-3", stream sequence 30)"#.to_owned())
        );
        let wrong = Stored::read(message(&headers), "B").unwrap_err();
        assert_eq!(wrong, r#"it is no numbered event of the entity (Seriatim-Entity is "A", Seriatim-Sequence is "3")"#);
        let wrong = Stored::read(message(&headers[..2]), "A").unwrap_err();
        assert_eq!(wrong, r#"it is no numbered event of the entity (Seriatim-Entity is "A", it has no Seriatim-Sequence)"#);
    }

    #[test]
    fn an_event_follows_the_one_before_it_or_begins_a_higher_epoch() {
        let stored = |epoch, sequence| Stored { version: version(epoch, sequence), kind: None, headers: Vec::new(), payload: Bytes::new() };
        assert_eq!(stored(0, 1).follows(&Version::default()), Ok(()));
        assert_eq!(stored(0, 8).follows(&version(0, 7)), Ok(()));
        assert_eq!(stored(3, 1).follows(&version(2, 7)), Ok(()));
        for (stored, before) in [(stored(0, 9), version(0, 7)), (stored(0, 5), Version::default()), (stored(3, 2), version(2, 7))] {
            assert_eq!(stored.follows(&before), Err(Wrong::Missing), "{before}");
        }
        for (stored, before) in [(stored(0, 7), version(0, 7)), (stored(1, 8), version(2, 7))] {
            assert_eq!(stored.follows(&before), Err(Wrong::NotNew), "{before}");
        }
    }

    #[test]
    fn the_first_event_after_the_expected_version_is_ours_or_took_our_place() {
        let ours = version(0, 8);
        let judge = |may_be_stored, id, first: Version| judge(("ours", &ours), may_be_stored, id, &first);
        for may_be_stored in [false, true] {
            assert_eq!(judge(may_be_stored, Some("ours"), version(0, 8)), Next::Ours);
            assert_eq!(judge(may_be_stored, Some("theirs"), version(0, 8)), Next::Theirs);
            assert_eq!(judge(may_be_stored, None, version(0, 8)), Next::Theirs);
            assert_eq!(judge(may_be_stored, Some("a copy"), version(0, 7)), Next::Theirs);
        }
        for (first, unclear) in [(version(0, 9), Next::Unclear), (version(1, 1), Next::Unclear)] {
            assert_eq!(judge(false, Some("theirs"), first.clone()), Next::Theirs, "ours never left");
            assert_eq!(judge(true, Some("theirs"), first), unclear, "number 8 was there, and is gone");
        }
    }
}
