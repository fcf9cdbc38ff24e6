//! Makes an event of a message, or says what is wrong with it. Pure: same message, same answer.
//!
//! Strict where a mistake would reorder or merge entities (entity, sequence, epoch, id: present once, exact form), because
//! a malformed message becomes a dead letter that can be looked at, and a wrongly read one cannot be told from a right one.

use crate::event::{EntityKey, Event, Message};
use crate::source::sources::{EventSources, Source};
use serde::Deserialize;
use seriatim_contract::has_control;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Longest entity name, bytes.
pub const ENTITY_BYTES_MAX: usize = 256;

/// Why a text that somebody gave as an entity's name cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEntity {
    /// No text.
    #[error("it is empty; an entity has 1 to {ENTITY_BYTES_MAX} bytes")]
    Empty,
    /// So many bytes.
    #[error("it has {0} bytes; an entity has 1 to {ENTITY_BYTES_MAX}")]
    TooLong(usize),
    /// Line breaks and their like.
    #[error("it has control characters; no entity has")]
    ControlCharacters,
}

/// Whether an event could have this entity (design §5.1).
///
/// # Errors
/// It could not, and why.
pub fn check_entity(text: &str) -> Result<(), NotAnEntity> {
    match text.len() {
        0 => Err(NotAnEntity::Empty),
        length if length > ENTITY_BYTES_MAX => Err(NotAnEntity::TooLong(length)),
        _ if has_control(text) => Err(NotAnEntity::ControlCharacters),
        _ => Ok(()),
    }
}

/// How much of an offending value a reason quotes, characters.
const QUOTE_MAX: usize = 64;
const MSGPACK_DEPTH_MAX: usize = 128;

/// A message that is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Malformed {
    /// What is wrong, in one line.
    pub reason: String,
    /// The entity, if that much could be read.
    pub entity: Option<String>,
}

/// Decodes one pipeline's messages (`format = "raw"`, `by = "sequence"`).
#[derive(Clone, Debug)]
pub struct Decoder {
    pipeline: Arc<str>,
    stream: Arc<str>,
    sources: EventSources,
}

impl Decoder {
    /// A decoder for messages of `stream`.
    pub fn new(pipeline: Arc<str>, stream: Arc<str>, sources: EventSources) -> Self {
        Self { pipeline, stream, sources }
    }

    /// The event in this message.
    pub fn decode(&self, message: Arc<Message>) -> Result<Event, Malformed> {
        let parts = self.parts(&message)?;
        Ok(Event {
            key: EntityKey { pipeline: Arc::clone(&self.pipeline), entity: parts.entity },
            epoch: parts.epoch,
            sequence: parts.sequence,
            id: parts.id,
            has_id: parts.has_id,
            kind: parts.kind,
            time: parts.time,
            message,
        })
    }

    /// The entity alone, where it can be read: enough for a pass that looks for one entity's messages.
    pub fn entity(&self, message: &Message) -> Option<Arc<str>> {
        Reader::new(message).entity(&self.sources.entity).ok()
    }

    fn parts(&self, message: &Message) -> Result<Parts, Malformed> {
        let reader = Reader::new(message);
        let entity = reader.entity(&self.sources.entity).map_err(|reason| Malformed { reason, entity: None })?;
        self.rest(&reader, message, &entity).map_err(|reason| Malformed { reason, entity: Some(entity.to_string()) })
    }

    fn rest(&self, reader: &Reader<'_>, message: &Message, entity: &Arc<str>) -> Result<Parts, String> {
        let sources = &self.sources;
        let sequence = match reader.number("sequence", &sources.sequence)? {
            Some(0) => return Err(format!("the sequence in {} is 0; the first is 1", sources.sequence)),
            Some(sequence) => sequence,
            None => return Err(format!("no sequence: {} is not there", sources.sequence)),
        };
        let epoch = match &sources.epoch {
            Some(source) => reader.number("epoch", source)?.unwrap_or(0),
            None => 0,
        };
        let configured = match &sources.id {
            Some(source) => reader.text("id", source)?.filter(|id| !id.is_empty()),
            None => None,
        };
        let id = match configured {
            Some(id) => Some(id),
            None => reader.header("id", "Nats-Msg-Id")?.filter(|id| !id.is_empty()).map(Cow::Borrowed),
        };
        if id.as_deref().is_some_and(has_control) {
            return Err("the id contains control characters".to_owned());
        }
        let kind = match &sources.kind {
            Some(source) => reader.text("kind", source)?.unwrap_or_default().into_owned(),
            None => String::new(),
        };
        let time = match &sources.time {
            Some(source) => reader.text("time", source)?.map(|text| parse_time(&text, source)).transpose()?,
            None => None,
        };
        Ok(Parts {
            entity: Arc::clone(entity),
            epoch,
            sequence,
            has_id: id.is_some(),
            id: id.map_or_else(|| format!("{}:{}", self.stream, message.stream_sequence), Cow::into_owned),
            kind,
            time: time.unwrap_or(i64::try_from(message.time).unwrap_or(i64::MAX)),
        })
    }
}

struct Parts {
    entity: Arc<str>,
    epoch: u64,
    sequence: u64,
    id: String,
    has_id: bool,
    kind: String,
    time: i64,
}

/// Looks into one message; the payload is parsed once, when a source points into it.
struct Reader<'a> {
    message: &'a Message,
    json: OnceCell<Result<serde_json::Value, String>>,
    msgpack: OnceCell<Result<serde_json::Value, String>>,
}

impl<'a> Reader<'a> {
    fn new(message: &'a Message) -> Self {
        Self { message, json: OnceCell::new(), msgpack: OnceCell::new() }
    }

    fn entity(&self, source: &Source) -> Result<Arc<str>, String> {
        let text = self.text("entity", source)?.ok_or_else(|| match source {
            Source::Subject(number) => format!("no entity: subject {} has no token {number}", quote(&self.message.subject)),
            _ => format!("no entity: {source} is not there"),
        })?;
        match text.len() {
            0 => return Err(format!("the entity in {source} is empty")),
            1..=ENTITY_BYTES_MAX => {}
            length => return Err(format!("the entity in {source} has {length} bytes; {ENTITY_BYTES_MAX} are allowed")),
        }
        if has_control(&text) {
            return Err(format!("the entity in {source} contains control characters: {}", quote(&text)));
        }
        if !text.is_ascii() && text.contains(char::REPLACEMENT_CHARACTER) {
            return Err(format!("the entity in {source} is not valid UTF-8: {}", quote(&text)));
        }
        Ok(text.as_ref().into())
    }

    /// A decimal number; text or, in a payload, a number.
    fn number(&self, part: &str, source: &Source) -> Result<Option<u64>, String> {
        let Some(text) = self.text(part, source)? else { return Ok(None) };
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits => Ok(Some(number)),
            _ => Err(format!("the {part} in {source} is not a decimal number of 64 bits: {}", quote(&text))),
        }
    }

    fn text(&self, part: &str, source: &Source) -> Result<Option<Cow<'_, str>>, String> {
        match source {
            Source::Subject(number) => Ok(number.checked_sub(1).and_then(|at| self.message.subject.split('.').nth(at)).map(Cow::Borrowed)),
            Source::Header(name) => Ok(self.header(part, name)?.map(Cow::Borrowed)),
            Source::Json(pointer) => {
                let parsed = self.json.get_or_init(|| {
                    serde_json::from_slice(&self.message.payload).map_err(|error| format!("the payload is not JSON: {error}"))
                });
                scalar(part, source, parsed.as_ref().map_err(Clone::clone)?.pointer(pointer))
            }
            Source::Msgpack(pointer) => {
                let parsed = self.msgpack.get_or_init(|| {
                    parse_msgpack(&self.message.payload)
                        .map_err(|error| format!("the payload is not MessagePack that can be read: {error}"))
                });
                scalar(part, source, parsed.as_ref().map_err(Clone::clone)?.pointer(pointer))
            }
            Source::Stream => Ok(Some(Cow::Owned(self.message.stream_sequence.to_string()))),
            Source::Content => Ok(Some(Cow::Owned(hex::encode(Sha256::digest(&self.message.payload))))),
        }
    }

    /// The header's one value.
    fn header(&self, part: &str, name: &str) -> Result<Option<&'a str>, String> {
        let mut values = self.message.headers.iter().filter(|header| header.name == name);
        let value = values.next();
        match values.next() {
            Some(_) => Err(format!("the {part} is not clear: header {name} is there more than once")),
            None => Ok(value.map(|header| header.value.as_str())),
        }
    }
}

/// Text, or a whole number as text; `null` is absent.
fn scalar<'v>(part: &str, source: &Source, value: Option<&'v serde_json::Value>) -> Result<Option<Cow<'v, str>>, String> {
    match value {
        None | Some(serde_json::Value::Null) => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(serde_json::Value::Number(number)) if number.is_u64() || number.is_i64() => Ok(Some(Cow::Owned(number.to_string()))),
        Some(other) => Err(format!("the {part} in {source} is neither text nor a whole number: {}", quote(&other.to_string()))),
    }
}

/// Nesting is bounded as it is for JSON: each level takes stack, and this is foreign input.
fn parse_msgpack(payload: &[u8]) -> Result<serde_json::Value, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(payload);
    deserializer.set_max_depth(MSGPACK_DEPTH_MAX);
    serde_json::Value::deserialize(&mut deserializer)
}

fn parse_time(text: &str, source: &Source) -> Result<i64, String> {
    OffsetDateTime::parse(text, &Rfc3339)
        .ok()
        .and_then(|time| i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok())
        .ok_or_else(|| format!("the time in {source} is not RFC 3339: {}", quote(text)))
}

/// A value for a message: quoted, escaped, cut.
fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTE_MAX) {
        Some((end, _)) => format!("{:?}…", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests;
