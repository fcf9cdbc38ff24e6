//! Reads events from NDJSON: one event a line, in this module's own form or as `dead-letters export` writes them. Pure, apart from the reading itself.

use crate::control::{DeadLetterReport, EXPORT_FORMAT};
use crate::event::{EntityKey, Event, Header, Message};
use crate::publish::mapping::time_ms;
use crate::sink::dead_letter::{PREFIX, original_name};
use crate::source::decode::check_entity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use seriatim_contract::{subject_token, valid_subject};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

/// Bytes of a file of events: all of it is kept in memory.
pub const FILE_BYTES_MAX: u64 = 256 << 20;

/// The stream that events come from that do not say it: part of the id of those without one.
const STREAM: &str = "TEST";

/// The time of the first line that says none, milliseconds since the Unix epoch (2000-01-01); each line after it is a second later.
const FIRST_TIME: i64 = 946_684_800_000;

/// Why a file is no list of events.
#[derive(Debug, thiserror::Error)]
pub enum EventsError {
    /// It cannot be read.
    #[error("{file}: cannot be read: {error}")]
    Read {
        /// The file.
        file: String,
        /// Why not.
        error: io::Error,
    },
    /// It has too many bytes.
    #[error("{file}: has more than {FILE_BYTES_MAX} bytes, which is the most")]
    TooBig {
        /// The file.
        file: String,
    },
    /// It has no event.
    #[error("{file}: has no events; write one JSON object a line, such as {{\"entity\": \"alice\", \"payload\": {{\"amount\": 5}}}}")]
    Empty {
        /// The file.
        file: String,
    },
    /// A line is no event.
    #[error("{file}:{line}: {what}")]
    Line {
        /// The file.
        file: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
}

/// All events of `input`, in order. `file` is its name in errors, `pipeline` the one that events are said to come through.
///
/// # Errors
/// It cannot be read, has none, or a line is not an event; the error names the line.
pub fn read(input: impl Read, file: &str, pipeline: &str) -> Result<Vec<Arc<Event>>, EventsError> {
    let text = text(input, file)?;
    let mut numbers = Numbers { pipeline: pipeline.into(), ..Numbers::default() };
    let mut events = Vec::new();
    for (line, row) in text.lines().enumerate() {
        if row.trim().is_empty() {
            continue;
        }
        let wrong = |what| EventsError::Line { file: file.to_owned(), line: line.saturating_add(1), what };
        events.push(Arc::new(numbers.event(fields(row).map_err(wrong)?).map_err(wrong)?));
    }
    if events.is_empty() { Err(EventsError::Empty { file: file.to_owned() }) } else { Ok(events) }
}

/// A whole file of UTF-8, within its bound, without byte order mark.
pub(super) fn text(input: impl Read, file: &str) -> Result<String, EventsError> {
    let mut bytes = Vec::new();
    let read = input.take(FILE_BYTES_MAX.saturating_add(1)).read_to_end(&mut bytes);
    let size = read.map_err(|error| EventsError::Read { file: file.to_owned(), error })?;
    if u64::try_from(size).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        return Err(EventsError::TooBig { file: file.to_owned() });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = error.as_bytes().get(..error.utf8_error().valid_up_to()).unwrap_or_default();
        let line = good.iter().filter(|byte| **byte == b'\n').count().saturating_add(1);
        EventsError::Line { file: file.to_owned(), line, what: "not UTF-8".to_owned() }
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

/// What a line says, whichever form it has.
#[derive(Debug, Default)]
struct Fields {
    entity: String,
    epoch: Option<u64>,
    sequence: Option<u64>,
    id: Option<String>,
    kind: Option<String>,
    subject: Option<String>,
    time: Option<i64>,
    stream_sequence: Option<u64>,
    headers: Vec<Header>,
    payload: Bytes,
}

/// A line in our own form. (`RawValue` keeps the payload as it was written, byte for byte.)
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    entity: String,
    epoch: Option<u64>,
    sequence: Option<u64>,
    id: Option<String>,
    kind: Option<String>,
    subject: Option<String>,
    time: Option<Time>,
    stream_sequence: Option<u64>,
    headers: Option<Headers>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
    payload_base64: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a time is RFC 3339 text, or milliseconds since 1970")]
enum Time {
    Millis(i64),
    Text(String),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "headers are an object of texts, or a list of [name, value]")]
enum Headers {
    List(Vec<(String, String)>),
    Map(BTreeMap<String, String>),
}

/// What tells the forms apart.
#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    format: Option<Cow<'a, str>>,
    fate: Option<IgnoredAny>,
}

fn fields(row: &str) -> Result<Fields, String> {
    // serde would take a list for a struct, too.
    if !row.trim_start().starts_with('{') {
        return Err("not a JSON object like {\"entity\": \"alice\", \"payload\": {\"amount\": 5}}".to_owned());
    }
    let probe: Probe<'_> = serde_json::from_str(row).map_err(|error| not_json(&error))?;
    match probe.format.as_deref() {
        Some(EXPORT_FORMAT) => dead_letter(&serde_json::from_str(row).map_err(|error| not_json(&error))?),
        Some(other) => Err(format!("a line of the format {other:?} is not known; there are events, and dead letters ({EXPORT_FORMAT:?})")),
        None if probe.fate.is_some() => {
            Err("a line of `entity history` has no payload and no headers; `dead-letters export` writes lines that have".to_owned())
        }
        None => own(row),
    }
}

/// What serde says, with the column; the line is told by whoever knows it.
pub(super) fn not_json(error: &serde_json::Error) -> String {
    let told = error.to_string();
    let reason = told.rsplit_once(" at line ").map_or(told.as_str(), |(reason, _)| reason);
    format!("column {}: {reason}", error.column())
}

fn own(row: &str) -> Result<Fields, String> {
    let line: Line<'_> = serde_json::from_str(row).map_err(|error| not_json(&error))?;
    let payload = match (line.payload, line.payload_base64) {
        (Some(_), Some(_)) => return Err("has both `payload` and `payload_base64`; give one".to_owned()),
        (None, None) => Bytes::new(),
        (None, Some(text)) => base64(&text, "payload_base64")?,
        (Some(json), None) if json.get().starts_with('"') => {
            serde_json::from_str::<String>(json.get()).map_err(|error| not_json(&error))?.into()
        }
        (Some(json), None) => Bytes::copy_from_slice(json.get().as_bytes()),
    };
    let headers = match line.headers {
        None => Vec::new(),
        Some(Headers::List(list)) => list,
        Some(Headers::Map(map)) => map.into_iter().collect(),
    };
    Ok(Fields {
        entity: line.entity,
        epoch: line.epoch,
        sequence: line.sequence,
        id: line.id,
        kind: line.kind,
        subject: line.subject,
        time: match line.time {
            None => None,
            Some(Time::Millis(millis)) => Some(millis),
            Some(Time::Text(text)) => Some(time_ms(&text).map_err(|why| format!("`time` {why}"))?),
        },
        stream_sequence: line.stream_sequence,
        headers: headers.into_iter().map(|(name, value)| Header { name, value }).collect(),
        payload,
    })
}

fn base64(text: &str, field: &str) -> Result<Bytes, String> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("`{field}` is not base64: {error}"))
}

/// The event that a dead letter was made of.
fn dead_letter(report: &DeadLetterReport) -> Result<Fields, String> {
    let row = &report.row;
    let Some(payload) = &report.payload else {
        return Err(format!("this dead letter has no payload: {}", report.payload_missing.as_deref().unwrap_or("its messages are lost")));
    };
    let (Some(entity), Some(place)) = (&row.entity, row.place) else {
        return Err(format!("this dead letter ({}) has no entity or no sequence: it was never an event", row.reason));
    };
    let ours = |name: &str| {
        let mut found = report.headers.iter().filter_map(|(header, value)| Some((header.strip_prefix(PREFIX)?, value)));
        found.find(|(header, _)| *header == name).map(|(_, value)| value.clone())
    };
    let headers =
        report.headers.iter().filter_map(|(name, value)| original_name(name).map(|name| Header { name, value: value.clone() })).collect();
    Ok(Fields {
        entity: entity.clone(),
        epoch: Some(place.epoch),
        sequence: Some(place.sequence),
        // Events without an id got one of their stream and its sequence: that is no producer's.
        id: ours("Id").filter(|id| *id != format!("{}:{}", row.source, row.source_sequence)),
        subject: row.subject.clone(),
        time: ours("Time").and_then(|time| time_ms(&time).ok()),
        stream_sequence: Some(row.source_sequence),
        headers,
        payload: base64(payload, "payload")?,
        kind: None,
    }
    .with_time_of_producer())
}

impl Fields {
    /// The producer's time goes before the broker's.
    fn with_time_of_producer(mut self) -> Self {
        self.time = self.header("Seriatim-Time").and_then(|time| time_ms(time).ok()).or(self.time);
        self
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value.as_str())
    }
}

/// What a line takes from those before it.
#[derive(Debug)]
struct Numbers {
    pipeline: Arc<str>,
    /// Last sequence of each entity and epoch.
    last: BTreeMap<(String, u64), u64>,
    stream_sequence: u64,
    time: i64,
}

impl Default for Numbers {
    fn default() -> Self {
        Self { pipeline: Arc::default(), last: BTreeMap::new(), stream_sequence: 0, time: FIRST_TIME - 1_000 }
    }
}

impl Numbers {
    fn event(&mut self, fields: Fields) -> Result<Event, String> {
        check_entity(&fields.entity).map_err(|why| format!("`entity`: {why}"))?;
        let epoch = fields.epoch.unwrap_or(0);
        let last = self.last.entry((fields.entity.clone(), epoch)).or_insert(0);
        let sequence = fields.sequence.unwrap_or(last.saturating_add(1));
        if sequence == 0 {
            return Err("`sequence` is 0; the first is 1".to_owned());
        }
        *last = sequence;
        self.stream_sequence = fields.stream_sequence.unwrap_or(self.stream_sequence.saturating_add(1));
        self.time = fields.time.or_else(|| time_ms(fields.header("Seriatim-Time")?).ok()).unwrap_or(self.time.saturating_add(1_000));
        let subject = fields.subject.clone().unwrap_or_else(|| format!("events.{}", subject_token(&fields.entity)));
        if !valid_subject(&subject) {
            return Err(format!("`subject`: {subject:?} is not a subject: tokens between dots, without spaces, * and >"));
        }
        let id = fields.id.clone().or_else(|| fields.header("Seriatim-Id").or(fields.header("Nats-Msg-Id")).map(str::to_owned));
        let id = id.filter(|id| !id.is_empty());
        let kind = fields.kind.clone().or_else(|| fields.header("Seriatim-Type").map(str::to_owned)).unwrap_or_default();
        Ok(Event {
            key: EntityKey { pipeline: Arc::clone(&self.pipeline), entity: fields.entity.into() },
            epoch,
            sequence,
            has_id: id.is_some(),
            id: id.unwrap_or_else(|| format!("{STREAM}:{}", self.stream_sequence)),
            kind,
            time: self.time,
            message: Arc::new(Message {
                subject,
                headers: fields.headers,
                payload: fields.payload,
                stream_sequence: self.stream_sequence,
                time: u64::try_from(self.time).unwrap_or(0),
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Arc<Event>> {
        read(text.as_bytes(), "e.ndjson", "test").unwrap()
    }

    fn wrong(text: &str) -> String {
        read(text.as_bytes(), "e.ndjson", "test").unwrap_err().to_string()
    }

    #[test]
    fn what_a_line_does_not_say_has_a_default() {
        let events = all(
            "\u{feff}{\"entity\":\"a b\"}\n\n{\"entity\":\"a b\",\"payload\":{\"z\": 1, \"a\":2}}\r\n{\"entity\":\"c\",\"sequence\":7,\"payload\":\"text\"}\n{\"entity\":\"c\",\"payload_base64\":\"/w==\"}",
        );
        let told: Vec<_> = events.iter().map(|e| (&*e.key.entity, e.sequence, e.id.as_str(), e.has_id, e.time - FIRST_TIME)).collect();
        assert_eq!(
            told,
            [
                ("a b", 1, "TEST:1", false, 0),
                ("a b", 2, "TEST:2", false, 1_000),
                ("c", 7, "TEST:3", false, 2_000),
                ("c", 8, "TEST:4", false, 3_000)
            ]
        );
        let payloads: Vec<_> = events.iter().map(|event| event.message.payload.clone()).collect();
        assert_eq!(payloads, [&b""[..], b"{\"z\": 1, \"a\":2}", b"text", b"\xff"]);
        assert_eq!((events[0].message.subject.as_str(), events[0].kind.as_str(), events[0].epoch), ("events.a=20b", "", 0));
    }

    #[test]
    fn a_line_may_say_everything() {
        let line = r#"{"entity":"a","epoch":2,"sequence":5,"id":"i","kind":"made","subject":"s.a","time":"2013-01-01T00:00:00Z","stream_sequence":90,"headers":[["A","1"],["A","2"]],"payload":null}"#;
        let events = all(&format!("{line}\n{}", r#"{"entity":"b","time":5,"headers":{"Seriatim-Type":"k","Seriatim-Id":"x","B":""}}"#));
        let event = &events[0];
        assert_eq!((event.epoch, event.sequence, event.id.as_str(), event.has_id, event.kind.as_str()), (2, 5, "i", true, "made"));
        assert_eq!((event.time, event.message.stream_sequence, event.message.subject.as_str()), (1_356_998_400_000, 90, "s.a"));
        assert_eq!((event.message.headers.len(), event.message.payload.len()), (2, 0));
        assert_eq!((events[1].kind.as_str(), events[1].id.as_str(), events[1].time, events[1].message.stream_sequence), ("k", "x", 5, 91));
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        assert!(wrong("").contains("has no events"));
        let good = "{\"entity\":\"a\"}\n";
        for (line, told) in [
            ("{\"entity\":\"a\"", "e.ndjson:2: column 13: EOF"),
            ("[1]", "not a JSON object"),
            ("{\"entity\":\"a\",\"key\":1}", "unknown field `key`, expected one of `entity`"),
            ("{\"sequence\":1}", "missing field `entity`"),
            ("{\"entity\":\"\"}", "`entity`: it is empty"),
            ("{\"entity\":\"a\",\"sequence\":0}", "`sequence` is 0"),
            ("{\"entity\":\"a\",\"time\":\"noon\"}", "`time` is not a time"),
            ("{\"entity\":\"a\",\"time\":true}", "a time is RFC 3339"),
            ("{\"entity\":\"a\",\"subject\":\"a b\"}", "is not a subject"),
            ("{\"entity\":\"a\",\"headers\":[1]}", "headers are an object"),
            ("{\"entity\":\"a\",\"payload\":1,\"payload_base64\":\"\"}", "both"),
            ("{\"entity\":\"a\",\"payload_base64\":\"=\"}", "is not base64"),
            ("{\"format\":\"x/1\"}", "\"x/1\" is not known"),
            ("{\"stream_sequence\":1,\"fate\":\"finished\"}", "no payload and no headers"),
        ] {
            let found = wrong(&format!("{good}{line}\n"));
            assert!(found.starts_with("e.ndjson:2: ") && found.contains(told), "{line}: {found}");
        }
        let error = read(&b"{\"entity\":\"a\"}\n\xff"[..], "e.ndjson", "test").unwrap_err().to_string();
        assert_eq!(error, "e.ndjson:2: not UTF-8");
    }

    #[test]
    fn a_dead_letter_is_the_event_it_was_made_of() {
        use crate::control::{DeadLetterRow, Place, write_line};
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let row = DeadLetterRow {
            stream_sequence: 3,
            time: 9,
            pipeline: "orders".into(),
            reason: "trap".into(),
            error: "x".into(),
            entity: Some("a".into()),
            place: Some(Place { epoch: 1, sequence: 4 }),
            handler: None,
            attempts: 1,
            source: "ORDERS".into(),
            source_sequence: 77,
            source_last: None,
            subject: Some("orders.a".into()),
        };
        let mut report = DeadLetterReport {
            row,
            headers: vec![
                header("Seriatim-Dead-Id", "ORDERS:77"),
                header("Seriatim-Dead-Time", "2013-01-01T00:00:00Z"),
                header("Seriatim-Type", "made"),
                header("Nats-Msg-Id", "orders:0:dead:77"),
                header("Seriatim-Dead-Nats-Msg-Id", "own"),
            ],
            payload: Some("eA==".into()),
            payload_missing: None,
        };
        let line = |report: &DeadLetterReport| {
            let mut out = Vec::new();
            write_line(report, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let event = &all(&line(&report))[0];
        assert_eq!((&*event.key.entity, event.epoch, event.sequence, event.kind.as_str()), ("a", 1, 4, "made"));
        assert_eq!((event.message.stream_sequence, event.time, &event.message.payload[..]), (77, 1_356_998_400_000, &b"x"[..]));
        // The message's own id, as the host falls back to it.
        assert_eq!((event.id.as_str(), event.message.headers.len()), ("own", 2));
        report.payload = None;
        report.payload_missing = Some("gone".into());
        assert!(wrong(&line(&report)).contains("no payload: gone"));
        report.payload = Some(String::new());
        report.row.place = None;
        assert!(wrong(&line(&report)).contains("never an event"));
    }
}
