//! A row's values and the fields that name them; what is wrong with a row, and where. Pure.

use serde::Deserialize;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;

/// Which value of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// A member of the row's JSON object.
    Member(String),
    /// A JSON pointer.
    Pointer(String),
    /// A column of the CSV header, counted from 0.
    Column {
        /// Its name in the header.
        name: String,
        /// Its place.
        index: usize,
    },
}

impl Field {
    /// A name as it was given: what begins with `/` is a JSON pointer.
    #[must_use]
    pub fn new(name: &str) -> Self {
        if name.starts_with('/') { Self::Pointer(name.to_owned()) } else { Self::Member(name.to_owned()) }
    }

    /// The name as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Member(name) | Self::Pointer(name) | Self::Column { name, .. } => name,
        }
    }
}

/// The values of one row.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Of a JSON object.
    Json(Value),
    /// Of a CSV record.
    Csv(Record),
}

/// One CSV record, unquoted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// All values, one behind the other.
    pub(super) text: String,
    /// Where each ends.
    pub(super) ends: Vec<usize>,
    /// The text that means "no value" (`--null`).
    pub(super) null: Option<std::sync::Arc<str>>,
}

impl Record {
    /// The value of a column.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..*self.ends.get(index)?)
    }

    /// Whether this value stands for none.
    #[must_use]
    pub fn is_null(&self, value: &str) -> bool {
        value.is_empty() || self.null.as_deref() == Some(value)
    }
}

impl Values {
    /// The value of a field as text; a whole number counts as its digits. Absent and `null` (in CSV the `--null` text) are `None`.
    ///
    /// # Errors
    /// The value is neither text nor a whole number.
    pub fn text(&self, field: &Field) -> Result<Option<Cow<'_, str>>, String> {
        match (self, field) {
            (Self::Csv(record), Field::Column { index, .. }) => {
                Ok(record.get(*index).filter(|value| value.is_empty() || !record.is_null(value)).map(Cow::Borrowed))
            }
            (Self::Json(row), Field::Member(name)) => scalar(row.get(name)),
            (Self::Json(row), Field::Pointer(pointer)) => scalar(row.pointer(pointer)),
            _ => Ok(None),
        }
    }
}

fn scalar(value: Option<&Value>) -> Result<Option<Cow<'_, str>>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(Cow::Borrowed(text))),
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => Ok(Some(Cow::Owned(number.to_string()))),
        Some(_) => Err("is neither text nor a whole number".to_owned()),
    }
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where in the row's bytes.
    pub offset: usize,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

/// A row that cannot be published.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, thiserror::Error)]
#[error("{file}:{line}:{column}: {reason}")]
pub struct BadRow {
    /// The input's name.
    pub file: String,
    /// Line of the offending place, from 1.
    pub line: u64,
    /// Its column, counted in characters from 1.
    pub column: u64,
    /// What is wrong, and what is allowed.
    pub reason: String,
    /// The row, as far as it was kept; bytes that are not UTF-8 are replaced.
    pub row: String,
}

impl BadRow {
    /// The fault's place: `row` begins on line `line`, in column 1 of it.
    #[must_use]
    pub fn new(file: &str, line: u64, row: &[u8], fault: Fault) -> Self {
        let before = row.get(..fault.offset.min(row.len())).unwrap_or_default();
        let breaks = before.iter().filter(|byte| **byte == b'\n').count() as u64;
        let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let characters = String::from_utf8_lossy(before.get(start..).unwrap_or_default()).chars().count() as u64;
        Self {
            file: file.to_owned(),
            line: line.saturating_add(breaks),
            column: characters.saturating_add(1),
            reason: fault.reason,
            row: String::from_utf8_lossy(row).into_owned(),
        }
    }
}

/// Where in a JSON row the member stands that this field lies in; the row's beginning when it is not there.
pub(super) fn member_offset(row: &str, field: &Field) -> usize {
    let (Field::Member(name) | Field::Column { name, .. }) = field else {
        let first = field.name().split('/').nth(1).unwrap_or_default().replace("~1", "/").replace("~0", "~");
        return member_offset(row, &Field::Member(first));
    };
    let Ok(Keys(keys)) = serde_json::from_str::<Keys<'_>>(row) else { return 0 };
    let found = keys.into_iter().find(|key| key == name);
    // A name without escapes is a piece of the row itself: its address tells its place.
    match found {
        Some(Cow::Borrowed(key)) => (key.as_ptr() as usize).saturating_sub(row.as_ptr() as usize).saturating_sub(1),
        _ => 0,
    }
}

/// An object's names, as they stand.
struct Keys<'a>(Vec<Cow<'a, str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Keys<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Keys<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = Vec::new();
                while let Some(Name(key)) = map.next_key()? {
                    keys.push(key);
                    map.next_value::<IgnoredAny>()?;
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// A name that is borrowed where it can be.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_text_or_whole_numbers() {
        let row = Values::Json(json!({ "a": "x", "n": -7, "f": 1.5, "o": {}, "null": null, "deep": [ { "b~/": "y" } ] }));
        let text = |name: &str| row.text(&Field::new(name)).map(|value| value.map(Cow::into_owned));
        assert_eq!(text("a"), Ok(Some("x".into())));
        assert_eq!(text("n"), Ok(Some("-7".into())));
        assert_eq!(text("/deep/0/b~0~1"), Ok(Some("y".into())));
        assert_eq!((text("null"), text("absent"), text("/absent/x")), (Ok(None), Ok(None), Ok(None)));
        assert!(text("f").is_err() && text("o").is_err());
    }

    #[test]
    fn a_record_tells_columns_apart() {
        let record = Record { text: "aNA".into(), ends: vec![1, 1, 3], null: Some("NA".into()) };
        assert_eq!([0, 1, 2, 3].map(|index| record.get(index)), [Some("a"), Some(""), Some("NA"), None]);
        let values = Values::Csv(record);
        let column = |index| values.text(&Field::Column { name: "x".into(), index }).unwrap();
        assert_eq!((column(0).as_deref(), column(1).as_deref(), column(2)), (Some("a"), Some(""), None));
    }

    #[test]
    fn a_fault_is_placed_by_line_and_character() {
        let fault = |offset| Fault { offset, reason: "bad".into() };
        let row = "ä,b\nüx,y".as_bytes();
        let place = |offset| {
            let bad = BadRow::new("f.csv", 7, row, fault(offset));
            (bad.line, bad.column)
        };
        assert_eq!((place(0), place(3), place(5), place(7), place(99)), ((7, 1), (7, 3), (8, 1), (8, 2), (8, 5)));
        assert_eq!(BadRow::new("f.csv", 7, row, fault(3)).to_string(), "f.csv:7:3: bad");
    }

    #[test]
    fn the_member_of_a_json_row_is_found() {
        let row = r#" {"a": {"tail": 1}, "tail": 2, "x\ny": 3}"#;
        assert_eq!(member_offset(row, &Field::new("tail")), row.rfind("\"tail\"").unwrap());
        assert_eq!(member_offset(row, &Field::new("/a/tail")), 2);
        assert_eq!((member_offset(row, &Field::new("x\ny")), member_offset(row, &Field::new("none"))), (0, 0));
        assert_eq!(member_offset("[", &Field::new("a")), 0);
    }
}
