//! A numbered event, what is allowed in it, and the message it becomes. Pure.

use super::error::Error;
use crate::source::decode::ENTITY_BYTES_MAX;
use crate::store::{Mark, OutboxEntry};
use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use seriatim_contract::{has_control, valid_subject};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Header with the entity.
pub(super) const ENTITY: &str = "Seriatim-Entity";
/// Header with the event's number within its entity.
pub(super) const SEQUENCE: &str = "Seriatim-Sequence";
/// Header with the epoch.
pub(super) const EPOCH: &str = "Seriatim-Epoch";
/// Header with the event's id.
pub(super) const ID: &str = "Seriatim-Id";
/// Header with the kind of event.
pub(super) const KIND: &str = "Seriatim-Type";
/// Header with the event's own time.
pub(super) const TIME: &str = "Seriatim-Time";

/// Names that the producer itself writes.
const OURS: [&str; 6] = [ENTITY, SEQUENCE, EPOCH, ID, KIND, TIME];
/// Bytes of a subject at most. The server closes a connection whose message has more than 4096 bytes (max_control_line) in front of its headers:
/// the subject, a reply subject and two lengths.
const SUBJECT_BYTES_MAX: usize = 2048;
/// Bytes of the digest in a message id, before it is written in hexadecimal.
const DIGEST_BYTES: usize = 8;

/// An event whose number the caller knows. See [`message_id`] for what makes two of them the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Numbered {
    /// Whose event: 1–256 bytes, no control characters, no white space around it.
    pub entity: String,
    /// Where it goes: 1–2048 bytes, no wildcards.
    pub subject: String,
    /// Its number within the entity (and epoch): 1, 2, 3, …
    pub sequence: u64,
    /// Raised by a producer that numbers from 1 again; absent counts as 0.
    pub epoch: Option<u64>,
    /// Unique within the entity. Absent: `<entity, percent-encoded>:<epoch>:<sequence>`.
    pub id: Option<String>,
    /// Kind of event.
    pub kind: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub time_ms: Option<i64>,
    /// More headers. `Nats-…` and those that the other fields become are refused.
    pub headers: Vec<(String, String)>,
    /// Payload.
    pub payload: Bytes,
    /// 0 = the event itself; n > 0 = its n-th deliberate duplicate: the same `Seriatim-Id` under a `Nats-Msg-Id` of its own, so
    /// that the stream takes it.
    pub copy: u32,
}

/// An event of a [`Flow`](super::Flow), or of a command to an [`Entity`](super::Entity), which gives it its number. The fields mean what they mean in [`Numbered`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewEvent {
    /// Where it goes; no wildcards.
    pub subject: String,
    /// Unique within the entity; absent: made of entity, epoch and number, or, in a command, one that nobody else has.
    pub id: Option<String>,
    /// Kind of event.
    pub kind: Option<String>,
    /// Milliseconds since the Unix epoch.
    pub time_ms: Option<i64>,
    /// More headers.
    pub headers: Vec<(String, String)>,
    /// Payload.
    pub payload: Bytes,
}

impl NewEvent {
    pub(super) fn numbered(self, entity: &str, epoch: Option<u64>, sequence: u64) -> Numbered {
        let Self { subject, id, kind, time_ms, headers, payload } = self;
        Numbered { entity: entity.to_owned(), subject, sequence, epoch, id, kind, time_ms, headers, payload, copy: 0 }
    }
}

/// The `Nats-Msg-Id` of an event: `<entity, percent-encoded>:<epoch>:<sequence>:<digest>:<copy>`.
///
/// It depends on nothing but the event, so a program that starts again and publishes the same event gives it the same id: the
/// broker (within the stream's duplicate window) and [`tail`](super::tail()) (for as long as the stream keeps its messages) know
/// it. The digest (first 8 bytes of a SHA-256) covers subject, id, kind and payload, not time and other headers, which
/// a program may stamp anew. So two *different* events that were given the same number, say by runs over different inputs, have
/// different ids: both reach the stream, where the host names the conflict, instead of the second one vanishing as a "duplicate".
/// `Seriatim-Id` is not enough for this: it is unique within its entity only.
#[must_use]
pub fn message_id(event: &Numbered) -> String {
    let mut hash = Sha256::new();
    let parts = [
        event.subject.as_bytes(),
        event.id.as_deref().unwrap_or_default().as_bytes(),
        event.kind.as_deref().unwrap_or_default().as_bytes(),
    ];
    for part in parts {
        // Lengths in between: ("a", "bc") and ("ab", "c") differ.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.update(&event.payload);
    let digest: String = hash.finalize().iter().take(DIGEST_BYTES).map(|byte| format!("{byte:02x}")).collect();
    format!("{}:{digest}:{}", place(event), event.copy)
}

/// What a message id says beside the digest: `<entity, percent-encoded>:<epoch>:<sequence>` and the copy. Two events with the same have the same
/// number, whatever else is in them.
pub(crate) fn numbered_place(message_id: &str) -> Option<(&str, &str)> {
    let (rest, copy) = message_id.rsplit_once(':')?;
    let (place, _digest) = rest.rsplit_once(':')?;
    Some((place, copy))
}

/// `<entity>:<epoch>:<sequence>`.
fn place(event: &Numbered) -> String {
    format!("{}:{}:{}", utf8_percent_encode(&event.entity, NON_ALPHANUMERIC), event.epoch.unwrap_or(0), event.sequence)
}

impl Numbered {
    /// The message, neither numbered nor marked yet, or what is wrong with the event. `expected` = the only stream that may take it.
    pub(super) fn message(self, expected: Option<&str>) -> Result<OutboxEntry, Error> {
        let headers = self.all_headers(expected)?;
        let message_id = message_id(&self);
        let Self { subject, payload, .. } = self;
        let headers = headers.into_iter().map(|(name, value)| (name.into(), value)).collect();
        Ok(OutboxEntry { number: 0, subject, headers, payload, message_id, mark: Mark::default(), dead: false, cause: String::new() })
    }

    /// Whether it can be an event at all.
    pub fn check(&self) -> Result<(), Error> {
        self.all_headers(None).map(drop)
    }

    fn all_headers(&self, expected: Option<&str>) -> Result<Vec<(String, String)>, Error> {
        check_entity(&self.entity)?;
        if !valid_subject(&self.subject) {
            return Err(self.invalid(
                "subject",
                format!("{:?} is not a subject to publish to (tokens between dots, no wildcards, no spaces)", self.subject),
            ));
        }
        if self.subject.len() > SUBJECT_BYTES_MAX {
            return Err(self.invalid("subject", format!("it has {} bytes; {SUBJECT_BYTES_MAX} are allowed", self.subject.len())));
        }
        if self.sequence == 0 {
            return Err(self.invalid("sequence", "it is 0; the first is 1".to_owned()));
        }
        let mut headers = vec![(ENTITY.to_owned(), self.entity.clone()), (SEQUENCE.to_owned(), self.sequence.to_string())];
        if let Some(epoch) = self.epoch {
            headers.push((EPOCH.to_owned(), epoch.to_string()));
        }
        if let Some(id) = &self.id {
            check_word(id).map_err(|problem| self.invalid("id", problem))?;
        }
        headers.push((ID.to_owned(), self.id.clone().unwrap_or_else(|| place(self))));
        if let Some(kind) = &self.kind {
            check_word(kind).map_err(|problem| self.invalid("kind", problem))?;
            headers.push((KIND.to_owned(), kind.clone()));
        }
        if let Some(millis) = self.time_ms {
            let time = rfc3339(millis).ok_or_else(|| self.invalid("time_ms", format!("{millis} ms is no time of the years 0 to 9999")))?;
            headers.push((TIME.to_owned(), time));
        }
        for (name, value) in &self.headers {
            check_header(name, value).map_err(|problem| self.invalid(&format!("header {name:?}"), problem))?;
            headers.push((name.clone(), value.clone()));
        }
        if let Some(stream) = expected {
            headers.push(("Nats-Expected-Stream".to_owned(), stream.to_owned()));
        }
        Ok(headers)
    }

    fn invalid(&self, field: &str, problem: String) -> Error {
        Error::Invalid { entity: self.entity.clone(), sequence: self.sequence, field: field.to_owned(), problem }
    }
}

/// Whether this can be an entity: what the host will read from the header is what was given.
pub(super) fn check_entity(entity: &str) -> Result<(), Error> {
    let problem = if entity.len() > ENTITY_BYTES_MAX {
        Some(format!("it has {} bytes; {ENTITY_BYTES_MAX} are allowed", entity.len()))
    } else {
        check_word(entity).err()
    };
    match problem {
        Some(problem) => {
            Err(Error::Invalid { entity: entity.chars().take(64).collect(), sequence: 0, field: "entity".to_owned(), problem })
        }
        None => Ok(()),
    }
}

/// Text that a header carries unchanged: header values lose the white space around them.
fn check_word(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("it is empty".to_owned())
    } else if has_control(text) {
        Err("it contains control characters".to_owned())
    } else if text.trim() != text {
        Err("there is white space around it".to_owned())
    } else if text.contains(char::REPLACEMENT_CHARACTER) {
        Err("it contains U+FFFD, the sign of text that was not UTF-8".to_owned())
    } else {
        Ok(())
    }
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_graphic() && byte != b':') {
        return Err("a header's name is of visible ASCII characters without a colon".to_owned());
    }
    if name.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("nats-")) {
        return Err("names that begin with Nats- are commands to the broker".to_owned());
    }
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(name)) {
        return Err("this header has a field of its own".to_owned());
    }
    if value.contains(['\r', '\n', '\0']) {
        return Err("its value contains a line break or a zero byte".to_owned());
    }
    Ok(())
}

fn rfc3339(millis: i64) -> Option<String> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000).ok()?.format(&Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Numbered {
        Numbered {
            entity: "N1/é".into(),
            subject: "flights.N1".into(),
            sequence: 7,
            payload: Bytes::from_static(b"x"),
            ..Numbered::default()
        }
    }

    fn field(change: impl FnOnce(&mut Numbered)) -> String {
        let mut event = event();
        change(&mut event);
        match event.check() {
            Err(Error::Invalid { field, .. }) => field,
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn the_headers_say_what_the_event_is() {
        let event = Numbered {
            epoch: Some(2),
            kind: Some("departed".into()),
            time_ms: Some(1_356_998_400_250),
            headers: vec![("X-Source".into(), "tower".into())],
            ..event()
        };
        let id = message_id(&event);
        let entry = event.message(Some("FLIGHTS")).unwrap();
        let expected = [
            ("Seriatim-Entity", "N1/é"),
            ("Seriatim-Sequence", "7"),
            ("Seriatim-Epoch", "2"),
            ("Seriatim-Id", "N1%2F%C3%A9:2:7"),
            ("Seriatim-Type", "departed"),
            ("Seriatim-Time", "2013-01-01T00:00:00.25Z"),
            ("X-Source", "tower"),
            ("Nats-Expected-Stream", "FLIGHTS"),
        ];
        assert_eq!(entry.headers, expected.map(|(name, value)| (name.into(), value.to_owned())));
        assert_eq!((entry.subject.as_str(), &entry.message_id), ("flights.N1", &id));
    }

    #[test]
    fn the_message_id_is_frozen_because_programs_compare_it_with_what_older_ones_sent() {
        assert_eq!(message_id(&event()), "N1%2F%C3%A9:0:7:5ce742ff7bf92809:0");
    }

    #[test]
    fn a_message_id_says_which_number_it_has() {
        let event = event();
        let id = message_id(&event);
        assert_eq!(numbered_place(&id), Some(("N1%2F%C3%A9:0:7", "0")));
        let other = message_id(&Numbered { payload: Bytes::new(), copy: 1, ..event });
        assert_eq!(numbered_place(&other), Some(("N1%2F%C3%A9:0:7", "1")));
        assert_eq!((numbered_place("x"), numbered_place("a:b")), (None, None));
    }

    #[test]
    fn the_message_id_tells_events_apart_and_knows_the_same_one_again() {
        let id = message_id(&event());
        let with = |change: fn(&mut Numbered)| {
            let mut event = event();
            change(&mut event);
            message_id(&event)
        };
        for other in [
            with(|event| event.entity = "N2".into()),
            with(|event| event.sequence = 8),
            with(|event| event.epoch = Some(1)),
            with(|event| event.copy = 1),
            with(|event| event.subject = "flights.N2".into()),
            with(|event| event.id = Some("a".into())),
            with(|event| event.kind = Some("a".into())),
            with(|event| event.payload = Bytes::from_static(b"y")),
        ] {
            assert_ne!(other, id);
        }
        assert_ne!(with(|event| event.id = Some("a".into())), with(|event| event.kind = Some("a".into())));
        assert_eq!(with(|event| event.time_ms = Some(5)), id);
        assert_eq!(with(|event| event.headers.push(("traceparent".into(), "x".into()))), id);
        assert_eq!(with(|event| event.epoch = Some(0)), id, "no epoch counts as 0");
    }

    #[test]
    fn each_field_that_cannot_be_sent_is_named() {
        assert_eq!(event().check(), Ok(()));
        for entity in ["", " N1", "N1\n", "\u{fffd}"] {
            assert_eq!(field(|event| event.entity = entity.into()), "entity", "{entity:?}");
        }
        assert_eq!(field(|event| event.entity = "é".repeat(129)), "entity");
        assert_eq!(field(|event| event.entity = "é".repeat(128)), "Ok(())");
        for subject in ["", "a..b", "a.*", "a.>", "a b"] {
            assert_eq!(field(|event| event.subject = subject.into()), "subject", "{subject:?}");
        }
        assert_eq!(field(|event| event.subject = "s".repeat(2049)), "subject");
        assert_eq!(field(|event| event.subject = "s".repeat(2048)), "Ok(())");
        assert_eq!(field(|event| event.sequence = 0), "sequence");
        assert_eq!(field(|event| event.id = Some(String::new())), "id");
        assert_eq!(field(|event| event.kind = Some("a\r\nX: y".into())), "kind");
        assert_eq!(field(|event| event.time_ms = Some(i64::MAX)), "time_ms");
        for (name, value) in [("X", "a\nb"), ("X", "a\rb"), ("a b", ""), ("", ""), ("nats-rollup", "all"), ("seriatim-id", "1"), ("X:", "")]
        {
            assert_eq!(field(|event| event.headers.push((name.into(), value.into()))), format!("header {name:?}"));
        }
    }
}
