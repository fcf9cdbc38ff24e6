//! The rows of an input, one at a time, each with its line and its bytes. Memory is bounded by the longest row allowed; a row that is no good
//! is given out as such, and reading goes on behind it.

use super::csv::CsvRows;
use super::field::{Fault, Values};
use super::ndjson::JsonRows;
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, Read};

/// Where rows come from.
pub type Input = Box<dyn BufRead + Send>;

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values under a line of column names (RFC 4180).
    Csv,
}

/// The type that a CSV column's values get in the payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// A whole number of 64 bits.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// One row as it was read.
#[derive(Debug)]
pub struct Row {
    /// Line of its first byte, from 1.
    pub line: u64,
    /// Its bytes without the line end; of a row that is too long, the beginning.
    pub raw: Vec<u8>,
    /// Its values, or why it has none.
    pub values: Result<Values, Fault>,
    /// What is behind it.
    pub end: RowEnd,
}

/// What ended a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowEnd {
    /// A line end, or what ends a row without one.
    Line,
    /// The end of the input, in the middle of a line: more of the row may be on its way.
    Input,
    /// The end of the input, within a quotation mark that has taken more than one line in.
    OpenQuote,
}

/// An input's rows.
pub enum Rows {
    /// NDJSON.
    Json(JsonRows),
    /// CSV.
    Csv(Box<CsvRows>),
}

impl Rows {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    /// The input cannot be read.
    pub fn next_row(&mut self) -> io::Result<Option<Row>> {
        match self {
            Self::Json(rows) => rows.next_row(),
            Self::Csv(rows) => rows.next_row(),
        }
    }

    /// Bytes read so far, those of the header included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Json(rows) => rows.bytes(),
            Self::Csv(rows) => rows.bytes(),
        }
    }
}

/// How far an input was read, and what it held up to there: two inputs with the same progress have the same rows so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Rows read, bad ones included.
    pub rows: u64,
    /// Bad ones among them.
    pub bad: u64,
    /// Running hash (xxh3) of all rows' bytes, in hexadecimal.
    #[serde(with = "hexadecimal")]
    pub hash: u128,
    /// Bytes read, for the progress bar.
    #[serde(skip)]
    pub bytes: u64,
}

impl Progress {
    /// Takes the bytes of one more row (or of the header) in.
    pub fn hash(&mut self, row: &[u8]) {
        use xxhash_rust::xxh3::xxh3_128;
        let mut both = [0; 32];
        let (before, this) = both.split_at_mut(16);
        before.copy_from_slice(&self.hash.to_le_bytes());
        this.copy_from_slice(&xxh3_128(row).to_le_bytes());
        self.hash = xxh3_128(&both);
    }

    /// Whether the input is the same up to here.
    #[must_use]
    pub fn same(&self, other: &Self) -> bool {
        (self.rows, self.bad, self.hash) == (other.rows, other.bad, other.hash)
    }
}

mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{value:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = String::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(serde::de::Error::custom)
    }
}

/// The input without the byte order mark that some programs write first.
pub(super) fn without_mark(mut input: Input) -> io::Result<Input> {
    const MARK: [u8; 3] = [0xEF, 0xBB, 0xBF];
    let mut head = Vec::with_capacity(MARK.len());
    (&mut input).take(MARK.len() as u64).read_to_end(&mut head)?;
    if head == MARK {
        head.clear();
    }
    Ok(Box::new(io::Cursor::new(head).chain(input)))
}

/// The bytes without line ends behind them.
pub(super) fn trim_end(mut raw: &[u8]) -> &[u8] {
    while let [rest @ .., b'\n' | b'\r'] = raw {
        raw = rest;
    }
    raw
}

/// The fault of a row that is longer than allowed.
pub(super) fn too_long(row_max: usize, hint: &str) -> Fault {
    Fault { offset: 0, reason: format!("the row is longer than {row_max} bytes, the bound set by --row-max{hint}") }
}

/// The fault of bytes that are not UTF-8.
pub(super) fn not_utf8(raw: &[u8]) -> Option<Fault> {
    let error = std::str::from_utf8(raw).err()?;
    Some(Fault { offset: error.valid_up_to(), reason: "not UTF-8; the input must be UTF-8".to_owned() })
}
