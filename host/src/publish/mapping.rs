//! What event a row is: entity, number, id, kind, time, subject and payload from its values. Pure.

use super::csv::{Payload, field_offset};
use super::field::{Fault, Field, Record, Values, member_offset};
use super::rows::Row;
use super::template::Template;
use crate::producer::{Error as ProducerError, Numbered};
use std::borrow::Cow;
use std::collections::HashMap;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Entities of one input at most: each costs its name and some 60 bytes of memory.
pub const ENTITIES_MAX: usize = 10_000_000;

/// Which values of a row are what.
#[derive(Clone, Debug)]
pub struct Mapping {
    /// The entity.
    pub entity: Field,
    /// The subject.
    pub subject: Template,
    /// Kind of event.
    pub kind: Option<Field>,
    /// Id of the event.
    pub id: Option<Field>,
    /// When it happened.
    pub time: Option<Field>,
    /// Its number; absent: counted.
    pub sequence: Option<Field>,
    /// Of all events.
    pub epoch: Option<u64>,
    /// How a CSV record becomes a payload.
    pub payload: Option<Payload>,
}

impl Mapping {
    /// All fields that rows must have.
    pub(super) fn fields_mut(&mut self) -> impl Iterator<Item = (&'static str, &mut Field)> {
        let Self { entity, subject, kind, id, time, sequence, .. } = self;
        let named = [("--kind", kind), ("--id", id), ("--time", time), ("--sequence", sequence)];
        std::iter::once(("--entity", entity))
            .chain(named.into_iter().filter_map(|(flag, field)| field.as_mut().map(|field| (flag, field))))
            .chain(subject.fields_mut().map(|field| ("--subject", field)))
    }
}

/// Gives events their numbers: counts them, or takes what a field says and tells repetitions apart.
#[derive(Clone, Debug, Default)]
pub struct Numbering {
    entities: HashMap<String, Last>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Last {
    /// Highest number so far.
    sequence: u64,
    /// Events whose number was not above it.
    repeated: u32,
}

/// Why a row is no event.
#[derive(Debug, PartialEq, Eq)]
pub enum NoEvent {
    /// Something is wrong with the row.
    Fault(Fault),
    /// Nothing is wrong with it, but there are too many entities.
    TooMany,
}

impl From<Fault> for NoEvent {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Mapping {
    /// The event of a row, and its number. A row that is none uses no number.
    ///
    /// `copy` of the event is 0, or even: repetitions of a number in the input (`--sequence`) are messages of their own, and odd numbers are
    /// left for the duplicates that the plan adds.
    ///
    /// # Errors
    /// What is wrong with the row.
    pub fn event(&self, row: &Row, numbering: &mut Numbering) -> Result<Numbered, NoEvent> {
        let values = row.values.as_ref().map_err(Clone::clone)?;
        let at = |field: &Field, reason: String| fault(row, field, format!("{} {reason}", quoted(field)));
        let text = |field: &Field| match values.text(field) {
            Ok(value) => Ok(value.filter(|value| !value.is_empty())),
            Err(reason) => Err(at(field, reason)),
        };
        let needed = |field: &Field| text(field)?.ok_or_else(|| at(field, "is missing or empty; every row needs it".to_owned()));
        let entity = needed(&self.entity)?.into_owned();
        let id = self.id.as_ref().map(needed).transpose()?.map(Cow::into_owned);
        let kind = self.kind.as_ref().map(text).transpose()?.flatten().map(Cow::into_owned);
        let time_ms = match &self.time {
            Some(field) => Some(time_ms(&needed(field)?).map_err(|reason| at(field, reason))?),
            None => None,
        };
        let given = match &self.sequence {
            Some(field) => Some(number(&needed(field)?).map_err(|reason| at(field, reason))?),
            None => None,
        };
        let subject = self.subject.subject(values).map_err(|(field, reason)| at(field, reason))?;
        let payload = match (&self.payload, values) {
            (Some(payload), Values::Csv(record)) => {
                payload.write(record).map_err(|(column, reason)| wrong_type(row, record, column, reason))?
            }
            _ => row.raw.clone(),
        };
        let last = numbering.entities.get(&entity).copied().unwrap_or_default();
        let sequence = given.unwrap_or(last.sequence + 1);
        let repeated = sequence <= last.sequence;
        let copy = if repeated { 2 * (last.repeated + 1) } else { 0 };
        let event = Numbered {
            entity,
            subject,
            sequence,
            epoch: self.epoch,
            id,
            kind,
            time_ms,
            payload: payload.into(),
            copy,
            ..Numbered::default()
        };
        if let Err(error) = event.check() {
            return Err(self.invalid(row, error).into());
        }
        if !numbering.entities.contains_key(&event.entity) && numbering.entities.len() >= ENTITIES_MAX {
            return Err(NoEvent::TooMany);
        }
        let last = Last { sequence: last.sequence.max(sequence), repeated: last.repeated + u32::from(repeated) };
        match numbering.entities.get_mut(&event.entity) {
            Some(known) => *known = last,
            None => drop(numbering.entities.insert(event.entity.clone(), last)),
        }
        Ok(event)
    }

    fn invalid(&self, row: &Row, error: ProducerError) -> Fault {
        let ProducerError::Invalid { field, problem, .. } = error else { return Fault { offset: 0, reason: error.to_string() } };
        let source = match field.as_str() {
            "entity" => Some(&self.entity),
            "id" => self.id.as_ref(),
            "kind" => self.kind.as_ref(),
            "time_ms" => self.time.as_ref(),
            "sequence" => self.sequence.as_ref(),
            "subject" => self.subject.fields().next(),
            _ => None,
        };
        match source {
            Some(source) => {
                fault(row, source, format!("{}, which is the event's {}: {problem}", quoted(source), field.trim_end_matches("_ms")))
            }
            None => Fault { offset: 0, reason: format!("the event's {field}: {problem}") },
        }
    }
}

fn quoted(field: &Field) -> String {
    format!("{:?}", field.name())
}

fn fault(row: &Row, field: &Field, reason: String) -> Fault {
    let offset = match field {
        Field::Column { index, .. } => field_offset(&row.raw, *index),
        Field::Member(_) | Field::Pointer(_) => std::str::from_utf8(&row.raw).map_or(0, |text| member_offset(text, field)),
    };
    Fault { offset, reason }
}

fn wrong_type(row: &Row, record: &Record, column: usize, reason: String) -> Fault {
    debug_assert!(column < record.ends.len());
    Fault { offset: field_offset(&row.raw, column), reason }
}

/// RFC 3339, or whole milliseconds since the Unix epoch.
pub(crate) fn time_ms(text: &str) -> Result<i64, String> {
    if let Ok(millis) = text.parse() {
        return Ok(millis);
    }
    let time = OffsetDateTime::parse(text, &Rfc3339);
    let millis = time.ok().and_then(|time| i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).ok());
    millis.ok_or_else(|| format!("is not a time: {text:?}; write RFC 3339 like 2013-01-01T05:17:00Z, or milliseconds since 1970"))
}

fn number(text: &str) -> Result<u64, String> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(0) => Err("is 0; the first number of an entity is 1".to_owned()),
        Ok(number) if digits => Ok(number),
        _ => Err(format!("is not a number from 1 to {}: {text:?}", u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::rows::RowEnd;

    fn mapping() -> Mapping {
        Mapping {
            entity: Field::new("tail"),
            subject: Template::parse("flights.{tail}").unwrap(),
            kind: None,
            id: None,
            time: None,
            sequence: None,
            epoch: None,
            payload: None,
        }
    }

    fn row(text: &str) -> Row {
        Row { line: 3, raw: text.into(), values: Ok(Values::Json(serde_json::from_str(text).unwrap())), end: RowEnd::Line }
    }

    fn reason(mapping: &Mapping, text: &str) -> (usize, String) {
        match mapping.event(&row(text), &mut Numbering::default()) {
            Err(NoEvent::Fault(fault)) => (fault.offset, fault.reason),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rows_are_counted_for_each_entity_and_bad_ones_use_no_number() {
        let mut numbering = Numbering::default();
        let mut next = |text: &str| mapping().event(&row(text), &mut numbering).map(|event| (event.subject, event.sequence));
        assert_eq!(next(r#"{"tail":"N1"}"#), Ok(("flights.N1".into(), 1)));
        assert_eq!(next(r#"{"tail":"N.2"}"#), Ok(("flights.N=2E2".into(), 1)));
        assert!(next(r#"{"tail":" N1"}"#).is_err());
        assert!(next(r#"{"tail":""}"#).is_err());
        assert_eq!(next(r#"{"tail":"N1","x":2}"#), Ok(("flights.N1".into(), 2)));
    }

    #[test]
    fn all_parts_come_from_their_fields() {
        let mapping = Mapping {
            kind: Some(Field::new("k")),
            id: Some(Field::new("/deep/id")),
            time: Some(Field::new("t")),
            sequence: Some(Field::new("n")),
            epoch: Some(3),
            ..mapping()
        };
        let text = r#"{"tail":7,"k":"left","deep":{"id":"i"},"t":"2013-01-01T00:00:00.5Z","n":"12"} "#;
        let event = mapping.event(&row(text), &mut Numbering::default()).unwrap();
        let expected = Numbered {
            entity: "7".into(),
            subject: "flights.7".into(),
            sequence: 12,
            epoch: Some(3),
            id: Some("i".into()),
            kind: Some("left".into()),
            time_ms: Some(1_356_998_400_500),
            payload: text.as_bytes().to_vec().into(),
            ..Numbered::default()
        };
        assert_eq!(event, expected, "the payload is the row as it came");
        let other = r#"{"tail":7,"k":null,"deep":{"id":"i"},"t":-5,"n":1}"#;
        let event = mapping.event(&row(other), &mut Numbering::default()).unwrap();
        assert_eq!((event.kind, event.time_ms), (None, Some(-5)));
        let (offset, text) = reason(&mapping, r#"{"tail":7,"deep":{"id":"i"},"t":"yesterday","n":1}"#);
        assert!(offset == 28 && text.contains("\"t\" is not a time: \"yesterday\"") && text.contains("RFC 3339"), "{offset} {text}");
        for n in ["0", "-1", "\"+1\"", "1.5", "\"18446744073709551616\""] {
            let (offset, text) = reason(&mapping, &format!(r#"{{"n":{n},"tail":7,"deep":{{"id":"i"}},"t":1}}"#));
            assert!(offset == 1 && text.starts_with("\"n\" is "), "{n}: {offset} {text}");
        }
        assert_eq!(
            reason(&mapping, r#"{"tail":7,"deep":{},"t":1,"n":1}"#),
            (10, "\"/deep/id\" is missing or empty; every row needs it".into())
        );
        assert!(reason(&mapping, r#"{"tail":7,"deep":{"id":"i"},"t":999999999999999,"n":1}"#).1.contains("time"));
    }

    #[test]
    fn repetitions_of_a_number_are_messages_of_their_own() {
        let mapping = Mapping { sequence: Some(Field::new("n")), ..mapping() };
        let mut numbering = Numbering::default();
        let copies: Vec<_> = [5, 5, 3, 6, 6, 7]
            .iter()
            .map(|n| mapping.event(&row(&format!(r#"{{"tail":"a","n":{n}}}"#)), &mut numbering).unwrap())
            .map(|event| (event.sequence, event.copy))
            .collect();
        assert_eq!(copies, [(5, 0), (5, 2), (3, 4), (6, 0), (6, 6), (7, 0)]);
    }

    #[test]
    fn the_entity_must_fit_a_header() {
        let long = "x".repeat(257);
        assert!(reason(&mapping(), &format!(r#"{{"a":1,"tail":"{long}"}}"#)).1.contains("257 bytes"));
        assert_eq!(reason(&mapping(), r#"{"a":1,"tail":"x\n"}"#).0, 7);
        let template = Mapping { subject: Template::parse("flights.{a}").unwrap(), ..mapping() };
        let (offset, text) = reason(&template, &format!(r#"{{"tail":1,"a":"{}"}}"#, "ä".repeat(400)));
        assert!(offset == 10 && text.contains("2408 bytes; 2048 are allowed"), "{offset} {text}");
        assert!(reason(&mapping(), r#"{"a":1,"tail":1.5}"#).1.contains("neither text nor a whole number"));
    }
}
