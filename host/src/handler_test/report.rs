//! What came of a run, entity by entity: as NDJSON that can be kept and compared with, and where two of them differ. Pure.
//!
//! The lines: `applied` (an event, with its outputs), `dead-letter` (an event that was given up), and last of each entity `entity` (its state, where it
//! stands, what it waits for). Bytes that are UTF-8 stand as text, others as base64 in a field of the same name with `_base64`.

use super::events::{EventsError, not_json, text};
use crate::event::Header;
use crate::runtime::{Emitted, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use seriatim_sequencer::Place;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// Characters of a value that a difference shows.
const SHOWN_MAX: usize = 200;

/// Of each entity, by name.
pub type Results = BTreeMap<String, EntityResult>;

/// What came of one entity's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntityResult {
    /// What was decided, in that order.
    pub done: Vec<Done>,
    /// Its state at the end.
    pub state: State,
    /// The last place it has finished.
    pub position: Option<Place>,
    /// Why it does not go on, in a sentence; `None`: it has nothing to do.
    pub waiting: Option<String>,
}

/// How one event ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// The handler returned `ok`.
    Applied {
        /// The event.
        place: Place,
        /// What was emitted.
        outputs: Vec<Emitted>,
    },
    /// It was given up.
    Dead {
        /// The event.
        place: Place,
        /// Why, as in a dead letter's header.
        reason: String,
        /// In words.
        error: String,
        /// How often it was tried.
        attempts: u32,
    },
}

impl Done {
    /// The event.
    #[must_use]
    pub fn place(&self) -> Place {
        match self {
            Self::Applied { place, .. } | Self::Dead { place, .. } => *place,
        }
    }
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    Applied {
        entity: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        epoch: u64,
        sequence: u64,
        outputs: Vec<Output>,
    },
    DeadLetter {
        entity: String,
        #[serde(default, skip_serializing_if = "is_zero")]
        epoch: u64,
        sequence: u64,
        reason: String,
        error: String,
        attempts: u32,
    },
    Entity {
        entity: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        position: Option<Position>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        waiting: Option<String>,
        state: Vec<Value>,
    },
    /// What the command says besides: its counts, its attacks.
    #[serde(other)]
    Other,
}

#[derive(Debug, Serialize, Deserialize)]
struct Position {
    #[serde(default, skip_serializing_if = "is_zero")]
    epoch: u64,
    sequence: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Output {
    subject: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Value {
    key: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde's signature
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Text and base64: one of the two.
fn split(bytes: &Bytes) -> (Option<String>, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Some(text.to_owned()), None),
        Err(_) => (None, Some(STANDARD.encode(bytes))),
    }
}

fn joined(text: Option<String>, base64: Option<String>) -> Result<Bytes, String> {
    match (text, base64) {
        (Some(_), Some(_)) => Err("has text and base64 for the same bytes; one of them is enough".to_owned()),
        (Some(text), None) => Ok(text.into()),
        (None, Some(base64)) => STANDARD.decode(base64).map(Bytes::from).map_err(|error| format!("not base64: {error}")),
        (None, None) => Ok(Bytes::new()),
    }
}

/// Writes a line for each event and each entity.
///
/// # Errors
/// It cannot be written.
pub fn write(results: &Results, out: &mut dyn Write) -> io::Result<()> {
    for (name, result) in results {
        for done in &result.done {
            line(out, &done_line(name, done))?;
        }
        let state = result.state.iter().map(|(key, bytes)| {
            let (value, value_base64) = split(bytes);
            Value { key: key.clone(), value, value_base64 }
        });
        let position = result.position.map(|place| Position { epoch: place.epoch, sequence: place.sequence });
        line(out, &Line::Entity { entity: name.clone(), position, waiting: result.waiting.clone(), state: state.collect() })?;
    }
    Ok(())
}

fn line(out: &mut dyn Write, line: &Line) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

fn done_line(name: &str, done: &Done) -> Line {
    let entity = name.to_owned();
    match done {
        Done::Applied { place, outputs } => {
            let outputs = outputs.iter().map(|output| {
                let (payload, payload_base64) = split(&output.payload);
                let headers = output.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
                Output { subject: output.subject.clone(), headers, payload, payload_base64 }
            });
            Line::Applied { entity, epoch: place.epoch, sequence: place.sequence, outputs: outputs.collect() }
        }
        Done::Dead { place, reason, error, attempts } => Line::DeadLetter {
            entity,
            epoch: place.epoch,
            sequence: place.sequence,
            reason: reason.clone(),
            error: error.clone(),
            attempts: *attempts,
        },
    }
}

/// Reads back what [`write()`] wrote; the order of entities does not matter.
///
/// # Errors
/// It cannot be read, or a line is none of ours; the error names the line.
pub fn read(input: impl Read, file: &str) -> Result<Results, EventsError> {
    let text = text(input, file)?;
    let mut results = Results::new();
    for (number, row) in text.lines().enumerate().filter(|(_, row)| !row.trim().is_empty()) {
        let wrong = |what: String| EventsError::Line { file: file.to_owned(), line: number.saturating_add(1), what };
        let line = serde_json::from_str(row)
            .map_err(|error| wrong(format!("not a line that `plugin test --json` or --write-expect wrote: {}", not_json(&error))))?;
        take(&mut results, line).map_err(wrong)?;
    }
    Ok(results)
}

fn take(results: &mut Results, line: Line) -> Result<(), String> {
    match line {
        Line::Applied { entity, epoch, sequence, outputs } => {
            let outputs = outputs.into_iter().map(|output| {
                let headers = output.headers.into_iter().map(|(name, value)| Header { name, value }).collect();
                Ok(Emitted { subject: output.subject, headers, payload: joined(output.payload, output.payload_base64)? })
            });
            let outputs = outputs.collect::<Result<_, String>>()?;
            results.entry(entity).or_default().done.push(Done::Applied { place: Place { epoch, sequence }, outputs });
        }
        Line::DeadLetter { entity, epoch, sequence, reason, error, attempts } => {
            results.entry(entity).or_default().done.push(Done::Dead { place: Place { epoch, sequence }, reason, error, attempts });
        }
        Line::Entity { entity, position, waiting, state } => {
            let result = results.entry(entity).or_default();
            result.position = position.map(|Position { epoch, sequence }| Place { epoch, sequence });
            result.waiting = waiting;
            for Value { key, value, value_base64 } in state {
                result.state.insert(key, joined(value, value_base64)?);
            }
        }
        Line::Other => {}
    }
    Ok(())
}

/// Where two results of one entity part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The entity.
    pub entity: String,
    /// The event; `None` for what is only seen at the end.
    pub sequence: Option<u64>,
    /// Its epoch.
    #[serde(skip_serializing_if = "is_zero")]
    pub epoch: u64,
    /// What differs.
    pub what: String,
    /// What was expected.
    pub expected: String,
    /// What was found.
    pub found: String,
}

/// How strictly results are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// The texts of errors, too.
    Compared,
    /// Not those: a failure's text may name the attempt.
    Ignored,
}

/// The first difference of each entity, by name.
#[must_use]
pub fn differences(expected: &Results, found: &Results, texts: Texts) -> Vec<Difference> {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let first = names.into_iter().filter_map(|name| {
        let told = match (expected.get(name), found.get(name)) {
            (Some(expected), Some(found)) => entity_difference(expected, found, texts),
            (Some(_), None) => Some((None, "the entity".to_owned(), "it is there".to_owned(), "nothing of it".to_owned())),
            (None, _) => Some((None, "the entity".to_owned(), "nothing of it".to_owned(), "it is there".to_owned())),
        };
        told.map(|(place, what, expected, found): Told| Difference {
            entity: name.clone(),
            sequence: place.map(|place| place.sequence),
            epoch: place.map_or(0, |place| place.epoch),
            what,
            expected,
            found,
        })
    });
    first.collect()
}

/// Place, what, expected, found.
type Told = (Option<Place>, String, String, String);

fn entity_difference(expected: &EntityResult, found: &EntityResult, texts: Texts) -> Option<Told> {
    for at in 0..expected.done.len().max(found.done.len()) {
        let told = match (expected.done.get(at), found.done.get(at)) {
            (Some(a), Some(b)) => done_difference(a, b, texts),
            (a, b) => {
                let place = a.or(b).map(Done::place);
                let said = |done: Option<&Done>| done.map_or("nothing more of the entity".to_owned(), ended);
                Some((place, "how the event ended".to_owned(), said(a), said(b)))
            }
        };
        if told.is_some() {
            return told;
        }
    }
    let keys: std::collections::BTreeSet<&String> = expected.state.keys().chain(found.state.keys()).collect();
    for key in keys {
        let (a, b) = (expected.state.get(key), found.state.get(key));
        if a != b {
            let said = |value: Option<&Bytes>| value.map_or("no value".to_owned(), shown);
            return Some((None, format!("the state's key `{key}` at the end"), said(a), said(b)));
        }
    }
    let told = |result: &EntityResult| result.waiting.clone().unwrap_or_else(|| "waits for nothing".to_owned());
    if expected.waiting != found.waiting {
        return Some((None, "what it waits for at the end".to_owned(), told(expected), told(found)));
    }
    let stands = |result: &EntityResult| result.position.map_or("nowhere".to_owned(), place_text);
    (expected.position != found.position).then(|| (None, "where it stands at the end".to_owned(), stands(expected), stands(found)))
}

fn done_difference(expected: &Done, found: &Done, texts: Texts) -> Option<Told> {
    let at = Some(expected.place());
    if expected.place() != found.place() {
        return Some((at, "which event came next".to_owned(), ended(expected), ended(found)));
    }
    match (expected, found) {
        (Done::Applied { outputs: a, .. }, Done::Applied { outputs: b, .. }) => {
            if a.len() != b.len() {
                return Some((at, "the number of outputs".to_owned(), a.len().to_string(), b.len().to_string()));
            }
            let number = a.iter().zip(b).position(|(a, b)| a != b)?;
            let (a, b) = a.iter().zip(b).nth(number)?;
            let what = |part: &str| format!("output {}: {part}", number.saturating_add(1));
            Some(if a.subject != b.subject {
                (at, what("subject"), a.subject.clone(), b.subject.clone())
            } else if a.headers != b.headers {
                (at, what("headers"), headers(&a.headers), headers(&b.headers))
            } else {
                (at, what("payload"), shown(&a.payload), shown(&b.payload))
            })
        }
        (Done::Dead { reason: a, attempts: m, error: s, .. }, Done::Dead { reason: b, attempts: n, error: t, .. }) => {
            let same = a == b && m == n && (texts == Texts::Ignored || s == t);
            (!same).then(|| (at, "the dead letter".to_owned(), ended(expected), ended(found)))
        }
        _ => Some((at, "how the event ended".to_owned(), ended(expected), ended(found))),
    }
}

/// In a few words.
fn ended(done: &Done) -> String {
    match done {
        Done::Applied { place, outputs } => format!("{} applied, outputs: {}", place_text(*place), outputs.len()),
        Done::Dead { place, reason, error, attempts } => {
            format!("{} dead-lettered ({reason}, attempts: {attempts}): {error}", place_text(*place))
        }
    }
}

/// A place as a person says it.
fn place_text(place: Place) -> String {
    if place.epoch == 0 { place.sequence.to_string() } else { format!("{} of epoch {}", place.sequence, place.epoch) }
}

fn headers(headers: &[Header]) -> String {
    headers.iter().map(|header| format!("{}: {}", header.name, header.value)).collect::<Vec<_>>().join("; ")
}

/// Bytes as a person reads them.
#[must_use]
pub fn shown(bytes: &Bytes) -> String {
    let (text, base64) = split(bytes);
    let all = text.or_else(|| base64.map(|base64| format!("(base64) {base64}"))).unwrap_or_default();
    let mut short: String = all.chars().take(SHOWN_MAX).collect();
    if all.chars().nth(SHOWN_MAX).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Place {
        Place { epoch: 0, sequence }
    }

    fn emitted(subject: &str, header: &str, payload: &[u8]) -> Emitted {
        let headers = vec![Header { name: "H".into(), value: header.into() }];
        Emitted { subject: subject.into(), headers, payload: Bytes::copy_from_slice(payload) }
    }

    fn results() -> Results {
        let done = vec![
            Done::Applied { place: at(1), outputs: vec![emitted("s.a", "1", b"x"), emitted("s.a", "2", b"\xff\n")] },
            Done::Dead { place: at(2), reason: "trap".into(), error: "unreachable".into(), attempts: 4 },
            Done::Applied { place: Place { epoch: 1, sequence: 1 }, outputs: Vec::new() },
        ];
        let state = State::from_iter([("k".into(), Bytes::from_static(b"7")), ("z".into(), Bytes::from_static(b"\xfe"))]);
        let a = EntityResult { done, state, position: Some(Place { epoch: 1, sequence: 1 }), waiting: Some("waits for event 2".into()) };
        Results::from([("a".to_owned(), a), ("b".to_owned(), EntityResult::default())])
    }

    #[test]
    fn what_is_written_is_read_back() {
        let mut out = Vec::new();
        write(&results(), &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5);
        assert!(text.starts_with(
            r#"{"type":"applied","entity":"a","sequence":1,"outputs":[{"subject":"s.a","headers":[["H","1"]],"payload":"x"}"#
        ));
        let with_more = format!("{{\"type\":\"summary\",\"events\":3}}\n{text}\n");
        assert_eq!(read(with_more.as_bytes(), "x").unwrap(), results());
        let error = read(&b"{}\n"[..], "x.ndjson").unwrap_err().to_string();
        assert!(error.starts_with("x.ndjson:1: not a line that"), "{error}");
        let error =
            read(&b"\n{\"type\":\"entity\",\"entity\":\"a\",\"state\":[{\"key\":\"k\",\"value\":\"\",\"value_base64\":\"\"}]}"[..], "x");
        assert!(error.unwrap_err().to_string().contains("x:2: has text and base64"));
    }

    #[test]
    fn the_first_difference_of_an_entity_is_named() {
        assert_eq!(differences(&results(), &results(), Texts::Compared), []);
        let changed = |change: &dyn Fn(&mut EntityResult)| {
            let mut other = results();
            change(other.get_mut("a").unwrap());
            let mut all = differences(&results(), &other, Texts::Ignored);
            assert_eq!(all.len(), 1);
            let one = all.remove(0);
            (one.sequence, one.what, one.expected, one.found)
        };
        let told = |place: Option<u64>, what: &str, expected: &str, found: &str| (place, what.into(), expected.into(), found.into());
        let output = |result: &mut EntityResult, new: Emitted| {
            let Done::Applied { outputs, .. } = &mut result.done[0] else { panic!() };
            outputs[1] = new;
        };
        assert_eq!(changed(&|r| output(r, emitted("s.b", "2", b"\xff\n"))), told(Some(1), "output 2: subject", "s.a", "s.b"));
        assert_eq!(changed(&|r| output(r, emitted("s.a", "3", b"\xff\n"))), told(Some(1), "output 2: headers", "H: 2", "H: 3"));
        assert_eq!(changed(&|r| output(r, emitted("s.a", "2", b"y"))), told(Some(1), "output 2: payload", "(base64) /wo=", "y"));
        assert_eq!(changed(&|r| drop(r.state.insert("k".into(), Bytes::from_static(b"8")))).1, "the state's key `k` at the end");
        assert_eq!(changed(&|r| drop(r.state.remove("z"))).3, "no value");
        assert_eq!(changed(&|r| r.waiting = None).3, "waits for nothing");
        assert_eq!(changed(&|r| r.position = None).3, "nowhere");
        assert_eq!(changed(&|r| drop(r.done.pop())).3, "nothing more of the entity");
        assert_eq!(changed(&|r| drop(r.done.remove(0))).1, "which event came next");
        let mut gone = results();
        gone.remove("b");
        assert_eq!(differences(&gone, &results(), Texts::Ignored)[0].found, "it is there");
        let mut text = results();
        text.get_mut("a").unwrap().done[1] = Done::Dead { place: at(2), reason: "trap".into(), error: "other".into(), attempts: 4 };
        assert_eq!(differences(&results(), &text, Texts::Ignored), []);
        assert_eq!(differences(&results(), &text, Texts::Compared)[0].what, "the dead letter");
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shown(&Bytes::from("ä".repeat(300))).chars().count(), SHOWN_MAX + 1);
    }
}
