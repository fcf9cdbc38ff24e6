//! Rows of CSV (RFC 4180, by csv-core) under a header, and the JSON object that a row becomes: the header's names in its order, every value a
//! text unless its column was given a type. Nothing is guessed, so that leading zeros and ids such as 1E5 survive.

use super::field::{Fault, Field, Record, Values};
use super::rows::{Input, Row, RowEnd, Type, not_utf8, too_long, trim_end, without_mark};
use csv_core::{ReadFieldResult, ReadRecordResult, Reader};
use std::io;
use std::sync::Arc;

/// Why a header cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Nothing there.
    #[error("is empty; its first line must name the columns")]
    Missing,
    /// Without a line end, in an input that is still being written.
    #[error("has a first line without a line end, so it may be half written: add a line end, or read it as it is with --no-checkpoint")]
    Unfinished,
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
    /// Reads the header, which is given out too; records of at most `row_max` bytes follow. `null` is the text that stands for no value.
    ///
    /// # Errors
    /// There is no header that can be used.
    pub fn new(input: Input, row_max: usize, null: Option<&str>) -> Result<(Self, Row), HeaderError> {
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
        let record = match &row.values {
            Ok(Values::Csv(record)) => record,
            Ok(Values::Json(_)) => &Record::default(),
            Err(fault) => return Err(HeaderError::Bad(fault.reason.clone())),
        };
        for index in 0..record.ends.len() {
            let name = record.get(index).unwrap_or_default();
            if rows.header.iter().any(|known| known == name) {
                return Err(HeaderError::Twice(name.to_owned()));
            }
            rows.header.push(name.to_owned());
        }
        Ok((rows, row))
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
        let mut line = self.line;
        let (mut written, mut ended) = (0, 0);
        let mut long = false;
        // The line end that the input lacks is fed behind its end; a record that does not end there has a quotation mark that is not closed.
        let (mut unfinished, mut open) = (false, false);
        loop {
            let mut chunk = self.input.fill_buf()?;
            let at_end = chunk.is_empty();
            if at_end {
                if raw.is_empty() {
                    return Ok(None);
                }
                if unfinished {
                    open = true;
                    break;
                }
                chunk = b"\n";
            }
            let (text, ends) = (self.text.get_mut(written..).unwrap_or_default(), self.ends.get_mut(ended..).unwrap_or_default());
            let (result, used, out, found) = self.core.read_record(chunk, text, ends);
            if at_end {
                unfinished = used > 0;
            } else {
                if !long {
                    raw.extend_from_slice(chunk.get(..used).unwrap_or_default());
                    line += drop_leading(&mut raw);
                    // A line end of one byte may be behind the record.
                    long = raw.len() > self.row_max + 1;
                }
                self.input.consume(used);
                self.bytes += used as u64;
            }
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
        self.line = self.core.line();
        // Of a long row the beginning is kept as it stands: how much more of it was read depends on how the bytes came.
        if !long {
            raw.truncate(trim_end(&raw).len());
        }
        let values = if long || raw.len() > self.row_max {
            raw.truncate(self.row_max);
            Err(too_long(self.row_max, " (a quotation mark that is not closed makes one row of all that follows)"))
        } else if open {
            let reason = "a quotation mark is not closed: the row goes on to the input's end".to_owned();
            Err(Fault { offset: field_offset(&raw, ended), reason })
        } else {
            self.values(written, ended, &raw)
        };
        let end = match (unfinished, open && (long || raw.contains(&b'\n'))) {
            (_, true) => RowEnd::OpenQuote,
            (true, false) => RowEnd::Input,
            (false, false) => RowEnd::Line,
        };
        Ok(Some(Row { line, raw, values, end }))
    }

    fn values(&self, written: usize, ended: usize, raw: &[u8]) -> Result<Values, Fault> {
        if let Some(fault) = not_utf8(raw) {
            return Err(fault);
        }
        // Without its quotation marks and commas what is UTF-8 stays UTF-8: nothing is replaced here.
        let text = String::from_utf8_lossy(self.text.get(..written).unwrap_or_default()).into_owned();
        let ends = self.ends.get(..ended).unwrap_or_default().to_vec();
        Ok(Values::Csv(Record { text, ends, null: self.null.clone() }))
    }
}

/// Takes away what is in front of a record: the second half of the line end before, and empty lines. Returns how many lines that were.
fn drop_leading(raw: &mut Vec<u8>) -> u64 {
    let leading = raw.iter().take_while(|byte| matches!(byte, b'\n' | b'\r')).count();
    raw.drain(..leading).filter(|byte| *byte == b'\n').count() as u64
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
mod tests;
