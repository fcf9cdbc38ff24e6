//! Rows of CSV (RFC 4180, by csv-core) under a header, and the JSON object that a row becomes: the header's names in its order, every value a
//! text unless its column was given a type. Nothing is guessed, so that leading zeros and ids such as 1E5 survive.

use super::field::{Fault, Field, Record, Values};
use super::rows::{Input, Row, Type, not_utf8, too_long, trim_end, without_mark};
use csv_core::{ReadFieldResult, ReadRecordResult, Reader};
use std::io;
use std::sync::Arc;

/// Why a header cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Nothing there.
    #[error("is empty; its first line must name the columns")]
    Missing,
    /// Two columns of one name.
    #[error("has two columns named {0:?}; give each a name of its own")]
    Twice(String),
    /// Bytes that are not UTF-8, or too many.
    #[error("has a first line that cannot be read: {0}")]
    Bad(String),
    /// The input cannot be read.
    #[error("cannot be read: {0}")]
    Input(#[from] io::Error),
}

/// Reads records.
pub struct CsvRows {
    input: Input,
    core: Reader,
    row_max: usize,
    line: u64,
    bytes: u64,
    header: Vec<String>,
    null: Option<Arc<str>>,
    text: Vec<u8>,
    ends: Vec<usize>,
}

impl CsvRows {
    /// Reads the header; records of at most `row_max` bytes follow. `null` is the text that stands for no value.
    ///
    /// # Errors
    /// There is no header that can be used.
    pub fn new(input: Input, row_max: usize, null: Option<&str>) -> Result<(Self, Vec<u8>), HeaderError> {
        let mut rows = Self {
            input: without_mark(input)?,
            core: Reader::new(),
            row_max,
            line: 1,
            bytes: 0,
            header: Vec::new(),
            null: null.map(Arc::from),
            text: vec![0; 1024],
            ends: vec![0; 32],
        };
        let Some(row) = rows.record()? else { return Err(HeaderError::Missing) };
        let record = match row.values {
            Ok(Values::Csv(record)) => record,
            Ok(Values::Json(_)) => Record::default(),
            Err(fault) => return Err(HeaderError::Bad(fault.reason)),
        };
        for index in 0..record.ends.len() {
            let name = record.get(index).unwrap_or_default();
            if rows.header.iter().any(|known| known == name) {
                return Err(HeaderError::Twice(name.to_owned()));
            }
            rows.header.push(name.to_owned());
        }
        Ok((rows, row.raw))
    }

    /// The columns' names.
    #[must_use]
    pub fn header(&self) -> &[String] {
        &self.header
    }

    /// Bytes read so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next_row(&mut self) -> io::Result<Option<Row>> {
        let Some(mut row) = self.record()? else { return Ok(None) };
        if let Ok(Values::Csv(record)) = &row.values {
            let (found, wanted) = (record.ends.len(), self.header.len());
            if found != wanted {
                let offset = if found > wanted { field_offset(&row.raw, wanted) } else { row.raw.len() };
                let reason = format!("the row has {found} values and the header has {wanted}; each row needs one for each column");
                row.values = Err(Fault { offset, reason });
            }
        }
        Ok(Some(row))
    }

    fn record(&mut self) -> io::Result<Option<Row>> {
        let mut raw = Vec::new();
        let (mut written, mut ended) = (0, 0);
        let mut long = false;
        loop {
            let chunk = self.input.fill_buf()?;
            let (text, ends) = (self.text.get_mut(written..).unwrap_or_default(), self.ends.get_mut(ended..).unwrap_or_default());
            let (result, used, out, found) = self.core.read_record(chunk, text, ends);
            if !long {
                raw.extend_from_slice(chunk.get(..used).unwrap_or_default());
                long = trim_end(&raw).len() > self.row_max + leading(&raw);
            }
            self.input.consume(used);
            self.bytes += used as u64;
            (written, ended) = (written + out, ended + found);
            match result {
                ReadRecordResult::InputEmpty => {}
                // What a row that is too long brings is written over; else both are bounded by the row's bytes.
                ReadRecordResult::OutputFull if long => written = 0,
                ReadRecordResult::OutputEndsFull if long => ended = 0,
                ReadRecordResult::OutputFull => self.text.resize(self.text.len().max(512) * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len().max(16) * 2, 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        // In front there may be what ended the record before, and empty lines.
        let before = leading(&raw);
        let breaks = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        let line = self.line + breaks(raw.get(..before).unwrap_or_default());
        self.line = self.core.line();
        let mut raw = raw.split_off(before);
        raw.truncate(trim_end(&raw).len());
        let values = if long {
            raw.truncate(self.row_max);
            Err(too_long(self.row_max, " (a quotation mark that is not closed makes one row of all that follows)"))
        } else {
            self.values(written, ended, &raw)
        };
        Ok(Some(Row { line, raw, values }))
    }

    fn values(&self, written: usize, ended: usize, raw: &[u8]) -> Result<Values, Fault> {
        let text = self.text.get(..written).unwrap_or_default().to_vec();
        let ends = self.ends.get(..ended).unwrap_or_default().to_vec();
        match String::from_utf8(text) {
            Ok(text) => Ok(Values::Csv(Record { text, ends, null: self.null.clone() })),
            Err(_) => Err(not_utf8(raw).unwrap_or(Fault { offset: 0, reason: "not UTF-8; the input must be UTF-8".to_owned() })),
        }
    }
}

/// Bytes of line ends in front.
fn leading(raw: &[u8]) -> usize {
    raw.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count()
}

/// Where in a record's bytes the value of a column begins; its end when there is no such column.
pub(super) fn field_offset(raw: &[u8], column: usize) -> usize {
    let mut core = Reader::new();
    let mut at = 0;
    let mut out = [0; 256];
    let mut left = column;
    while left > 0 {
        let rest = raw.get(at..).unwrap_or_default();
        if rest.is_empty() {
            return raw.len();
        }
        let (result, used, _) = core.read_field(rest, &mut out);
        at += used;
        if let ReadFieldResult::Field { .. } = result {
            left -= 1;
        }
    }
    at
}

/// Makes the payload of a record.
#[derive(Clone, Debug)]
pub struct Payload {
    columns: Vec<(Vec<u8>, Option<Type>)>,
}

impl Payload {
    /// For records under this header; columns that are not in `types` stay text.
    #[must_use]
    pub fn new(header: &[String], types: &[(Field, Type)]) -> Self {
        let typed = |at: usize| types.iter().find(|(field, _)| matches!(field, Field::Column { index, .. } if *index == at));
        let columns = header.iter().enumerate().map(|(at, name)| (json(name), typed(at).map(|(_, kind)| *kind))).collect();
        Self { columns }
    }

    /// A compact JSON object.
    ///
    /// # Errors
    /// The column whose value is not of its type, and why.
    pub fn write(&self, record: &Record) -> Result<Vec<u8>, (usize, String)> {
        let mut out = Vec::with_capacity(record.text.len() + self.columns.len() * 16 + 2);
        out.push(b'{');
        for (index, (name, kind)) in self.columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            out.push(b':');
            let value = record.get(index).unwrap_or_default();
            match kind {
                None => out.extend_from_slice(&json(value)),
                Some(_) if record.is_null(value) => out.extend_from_slice(b"null"),
                Some(kind) => out.extend_from_slice(typed(*kind, value).map_err(|reason| (index, reason))?.as_bytes()),
            }
        }
        out.push(b'}');
        Ok(out)
    }
}

fn json(text: &str) -> Vec<u8> {
    serde_json::Value::from(text).to_string().into_bytes()
}

fn typed(kind: Type, value: &str) -> Result<String, String> {
    let whole = || value.parse::<i64>().map(|number| number.to_string()).or_else(|_| value.parse::<u64>().map(|number| number.to_string()));
    match kind {
        Type::Integer => whole().map_err(|_| format!("{value:?} is not a whole number of 64 bits, as --type says")),
        Type::Number => match (whole(), serde_json::from_str::<serde_json::Number>(value), value.parse::<f64>()) {
            (Ok(whole), _, _) => Ok(whole),
            // As it stands, with all its digits.
            (_, Ok(_), Ok(number)) if number.is_finite() => Ok(value.to_owned()),
            (_, _, Ok(number)) if number.is_finite() => Ok(number.to_string()),
            _ => Err(format!("{value:?} is not a number that JSON has, as --type says")),
        },
        Type::Boolean if value.eq_ignore_ascii_case("true") => Ok("true".to_owned()),
        Type::Boolean if value.eq_ignore_ascii_case("false") => Ok("false".to_owned()),
        Type::Boolean => Err(format!("{value:?} is neither true nor false, as --type says")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::{BufReader, Cursor};

    type Found = (u64, String, Result<Vec<String>, (usize, String)>);

    fn open(text: &[u8], row_max: usize, chunk: usize) -> Result<CsvRows, HeaderError> {
        let input = Box::new(BufReader::with_capacity(chunk, Cursor::new(text.to_vec())));
        CsvRows::new(input, row_max, Some("NA")).map(|(rows, _)| rows)
    }

    fn rows(text: &[u8], row_max: usize, chunk: usize) -> Vec<Found> {
        let mut rows = open(text, row_max, chunk).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            let values = row.values.map_err(|fault| (fault.offset, fault.reason)).map(|values| match values {
                Values::Csv(record) => (0..record.ends.len()).map(|index| record.get(index).unwrap().to_owned()).collect(),
                Values::Json(_) => unreachable!(),
            });
            all.push((row.line, String::from_utf8_lossy(&row.raw).into_owned(), values));
        }
        all
    }

    fn good(line: u64, raw: &str, values: &[&str]) -> Found {
        (line, raw.to_owned(), Ok(values.iter().map(|value| (*value).to_owned()).collect()))
    }

    #[test]
    fn records_with_quotes_line_breaks_and_any_line_end() {
        let text = "\u{feff}a,b\r\n1,\"x, \"\"y\"\"\"\r\n\r\n\"two\nlines\",3\n\n\n,\n\"end\",ü".as_bytes();
        for chunk in [1, 2, 5, 300] {
            let expected = [
                good(2, "1,\"x, \"\"y\"\"\"", &["1", "x, \"y\""]),
                good(4, "\"two\nlines\",3", &["two\nlines", "3"]),
                good(8, ",", &["", ""]),
                good(9, "\"end\",ü", &["end", "ü"]),
            ];
            assert_eq!(rows(text, 100, chunk), expected, "{chunk}");
        }
    }

    #[test]
    fn what_is_no_row_is_told_with_its_place_and_reading_goes_on() {
        let long = "x".repeat(40);
        let text = [b"a,b\n1\n1,2,3\n\"q\nr\",\xFF\n".as_slice(), format!("{long},\"{long}\n{long}\"\n7,8").as_bytes()].concat();
        for chunk in [1, 4, 300] {
            let found = rows(&text, 30, chunk);
            let fault = |at: usize| found[at].2.clone().unwrap_err();
            assert_eq!((found[0].0, fault(0).0), (2, 1));
            assert!(fault(0).1.contains("has 1 values and the header has 2"));
            assert_eq!((found[1].0, fault(1).0), (3, 4), "the third value");
            assert_eq!((found[2].0, fault(2).0), (4, 6));
            assert!(fault(2).1.contains("not UTF-8"));
            assert_eq!(found[3].0, 6);
            assert!(fault(3).1.contains("longer than 30 bytes") && found[3].1.len() <= 30);
            assert_eq!(found[4], good(8, "7,8", &["7", "8"]));
        }
    }

    #[test]
    fn a_header_is_needed_and_each_name_once() {
        assert!(matches!(open(b"", 10, 8), Err(HeaderError::Missing)));
        assert!(matches!(open(b"\n\n", 10, 8), Err(HeaderError::Missing)));
        assert!(matches!(open(b"a,b,a\n", 10, 8), Err(HeaderError::Twice(name)) if name == "a"));
        assert!(matches!(open(b"a\xFF\n", 10, 8), Err(HeaderError::Bad(_))));
        assert!(matches!(open(b"aaaaaaaaaaaaaaaa\n", 10, 8), Err(HeaderError::Bad(_))));
    }

    fn payload(values: &[(&str, Option<Type>)]) -> Result<String, (usize, String)> {
        let header: Vec<_> = (0..values.len()).map(|at| format!("c{at}")).collect();
        let types: Vec<_> = values
            .iter()
            .enumerate()
            .filter_map(|(index, (_, kind))| kind.map(|kind| (Field::Column { name: String::new(), index }, kind)))
            .collect();
        let mut record = Record { null: Some("NA".into()), ..Record::default() };
        for (value, _) in values {
            record.text.push_str(value);
            record.ends.push(record.text.len());
        }
        Payload::new(&header, &types).write(&record).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn values_are_text_unless_a_type_is_given() {
        let text = payload(&[("007", None), ("1E5", None), ("NA", None), ("", None), ("a\"\n", None)]).unwrap();
        assert_eq!(text, r#"{"c0":"007","c1":"1E5","c2":"NA","c3":"","c4":"a\"\n"}"#);
        let (integer, number, boolean) = (Some(Type::Integer), Some(Type::Number), Some(Type::Boolean));
        let text =
            payload(&[("0517", integer), ("-2", integer), ("18446744073709551615", integer), ("NA", integer), ("", number)]).unwrap();
        assert_eq!(text, r#"{"c0":517,"c1":-2,"c2":18446744073709551615,"c3":null,"c4":null}"#);
        let text =
            payload(&[("1.10", number), ("7", number), (".5", number), ("1e3", number), ("TRUE", boolean), ("false", boolean)]).unwrap();
        assert_eq!(text, r#"{"c0":1.10,"c1":7,"c2":0.5,"c3":1e3,"c4":true,"c5":false}"#);
        for (value, kind) in
            [("1.5", integer), ("x", integer), ("99999999999999999999", integer), ("1e999", number), ("NaN", number), ("1", boolean)]
        {
            assert_eq!(payload(&[("", None), (value, kind)]).unwrap_err().0, 1, "{value}");
        }
    }

    proptest! {
        #[test]
        fn reading_does_not_depend_on_how_the_bytes_come(text in "[a,\"\n\r \u{fc}]{0,60}", chunk in 1_usize..9) {
            let text = format!("h,i\n{text}");
            prop_assert_eq!(rows(text.as_bytes(), 20, chunk), rows(text.as_bytes(), 20, 4096));
        }
    }
}
