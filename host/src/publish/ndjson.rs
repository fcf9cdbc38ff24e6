//! Rows of NDJSON: one JSON object a line; empty lines are passed over.

use super::field::{Fault, Values};
use super::rows::{Input, Row, RowEnd, not_utf8, too_long, trim_end, without_mark};
use std::io::{self, BufRead as _, Read as _};

/// Reads them.
pub struct JsonRows {
    input: Input,
    row_max: usize,
    line: u64,
    bytes: u64,
}

impl JsonRows {
    /// Rows of at most `row_max` bytes.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn new(input: Input, row_max: usize) -> io::Result<Self> {
        Ok(Self { input: without_mark(input)?, row_max, line: 1, bytes: 0 })
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
        loop {
            let line = self.line;
            let mut raw = Vec::new();
            // Room for the line end, which does not count.
            let room = self.row_max + 2;
            let read = (&mut self.input).take(room as u64).read_until(b'\n', &mut raw)?;
            if read == 0 {
                return Ok(None);
            }
            self.bytes += read as u64;
            let mut ended = raw.last() == Some(&b'\n');
            self.line += u64::from(ended);
            raw.truncate(trim_end(&raw).len());
            if raw.len() > self.row_max || (!ended && read == room) {
                if !ended {
                    ended = self.skip_line()?;
                }
                return Ok(Some(Row { line, raw, values: Err(too_long(self.row_max, "")), end: end(ended) }));
            }
            if raw.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let values = parse(&raw);
            // A whole object is a whole row without its line end, too: half of one is no JSON.
            let end = end(ended || values.is_ok());
            return Ok(Some(Row { line, raw, values, end }));
        }
    }

    /// Passes over the rest of a line; false = the input ended before it.
    fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            let chunk = self.input.fill_buf()?;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.input.consume(used);
            self.bytes += used as u64;
            if end.is_some() {
                self.line += 1;
            }
            if end.is_some() || used == 0 {
                return Ok(end.is_some());
            }
        }
    }
}

fn end(line_ended: bool) -> RowEnd {
    if line_ended { RowEnd::Line } else { RowEnd::Input }
}

fn parse(raw: &[u8]) -> Result<Values, Fault> {
    let text = match std::str::from_utf8(raw) {
        Ok(text) => text,
        Err(_) => return Err(not_utf8(raw).unwrap_or(Fault { offset: 0, reason: "not UTF-8".to_owned() })),
    };
    match serde_json::from_str(text) {
        Ok(value @ serde_json::Value::Object(_)) => Ok(Values::Json(value)),
        Ok(_) => Err(Fault { offset: 0, reason: "the row is JSON, but not an object like {\"name\": value}".to_owned() }),
        Err(error) => {
            let told = error.to_string();
            let reason = told.rsplit_once(" at line ").map_or(told.as_str(), |(reason, _)| reason);
            Err(Fault { offset: error.column().saturating_sub(1), reason: format!("not JSON: {reason}") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufReader, Cursor};

    type Found = (u64, String, Result<(), (usize, String)>);

    fn rows(text: &[u8], row_max: usize, chunk: usize) -> Vec<Found> {
        let mut rows = JsonRows::new(Box::new(BufReader::with_capacity(chunk, Cursor::new(text.to_vec()))), row_max).unwrap();
        let mut all = Vec::new();
        while let Some(row) = rows.next_row().unwrap() {
            let values = row.values.map(drop).map_err(|fault| (fault.offset, fault.reason));
            all.push((row.line, String::from_utf8_lossy(&row.raw).into_owned(), values));
        }
        assert_eq!(rows.bytes() + if text.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 }, text.len() as u64);
        all
    }

    #[test]
    fn lines_are_rows_as_they_stand() {
        for chunk in [1, 2, 7, 100] {
            let found = rows(b"\xEF\xBB\xBF{\"a\": 1} \r\n\n  \n{\"b\":\"\xC3\xBC\"}", 20, chunk);
            assert_eq!(found, [(1, "{\"a\": 1} ".into(), Ok(())), (4, "{\"b\":\"ü\"}".into(), Ok(()))], "{chunk}");
        }
        assert!(rows(b"", 10, 4).is_empty());
    }

    #[test]
    fn what_is_no_row_is_told_with_its_place_and_reading_goes_on() {
        let text = b"{\"a\": x}\n[1]\n{\"long\": \"0123456789\"}\n{\"a\":\"\xFF\"}\n{}\n{\"a\":";
        for chunk in [1, 3, 64] {
            let found = rows(text, 12, chunk);
            let faults: Vec<_> = found.iter().map(|(line, _, values)| (*line, values.clone().err())).collect();
            assert_eq!(faults[0], (1, Some((6, "not JSON: expected value".into()))));
            assert!(faults[1].1.as_ref().unwrap().1.contains("not an object"));
            assert!(faults[2].1.as_ref().unwrap().1.contains("longer than 12 bytes"));
            assert_eq!(faults[3], (4, Some((6, "not UTF-8; the input must be UTF-8".into()))));
            assert_eq!(faults[4], (5, None));
            assert_eq!(faults[5].0, 6);
            assert!(faults[5].1.as_ref().unwrap().1.starts_with("not JSON: EOF"));
            assert!(found[2].1.len() <= 14, "what is kept of a row is bounded");
        }
    }

    #[test]
    fn a_last_line_that_may_go_on_is_told() {
        let unfinished = |text: &str| {
            let mut rows = JsonRows::new(Box::new(Cursor::new(text.to_owned().into_bytes())), 12).unwrap();
            let mut all = Vec::new();
            while let Some(row) = rows.next_row().unwrap() {
                all.push(row.end == RowEnd::Input);
            }
            all
        };
        assert_eq!(unfinished("{}\n{}\r\n"), [false, false]);
        assert_eq!(unfinished("{}\n{\"a\": 1"), [false, true]);
        assert_eq!(unfinished("{}\n{\"a\": 1}"), [false, false], "nothing that belongs to it can follow");
        assert_eq!(unfinished("{}\n  "), [false]);
        assert_eq!(unfinished("{\"long\": \"0123456789\"}\n{\"long\": \"0123456789"), [false, true]);
        assert_eq!(unfinished("{\"a\":12345}\r\r\r\r\n{}\n"), [false, false], "one line, whatever is at its end");
    }
}
