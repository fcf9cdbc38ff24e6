//! What can be wrong with a file of flights. Every error about a row names file, line and column.

use std::io;

/// Why there are no events.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is not there or may not be read.
    #[error("cannot open {file}: {source}")]
    Open {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file broke off, is not packed with gzip, or is not CSV: a row with more or fewer fields than the header, or not UTF-8.
    #[error("{file}, line {line}: {source}")]
    Csv {
        /// The file.
        file: String,
        /// The line on which the row begins; the header is line 1.
        line: u64,
        /// What the CSV reader said.
        source: csv::Error,
    },
    /// The header has no such column.
    #[error("{file}, line 1: the header has no column `{column}`")]
    NoColumn {
        /// The file.
        file: String,
        /// The column's name.
        column: &'static str,
    },
    /// A field that makes no sense.
    #[error("{file}, line {line}, column `{column}`: {problem}")]
    Field {
        /// The file.
        file: String,
        /// The line on which the row begins; the header is line 1.
        line: u64,
        /// The column's name.
        column: &'static str,
        /// What is wrong with it.
        problem: Problem,
    },
    /// An event that JSON cannot express.
    #[error("event {id} cannot be written as JSON: {source}")]
    Json {
        /// The event's id.
        id: String,
        /// What the JSON writer said.
        source: serde_json::Error,
    },
    /// The lines could not be written.
    #[error("cannot write the events: {0}")]
    Write(io::Error),
}

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Missing, where it must be there.
    #[error("is missing")]
    Missing,
    /// Not a whole number, or not one that the column can hold.
    #[error("`{0}` is not a whole number of the expected size")]
    NotANumber(String),
    /// Not a time of day.
    #[error("`{0}` is not a time of day as HHMM, 0 to 2400")]
    NotATime(String),
    /// Year, month and day are no date.
    #[error("`{0}` is not a date of the years 1 to 9998")]
    NotADate(String),
    /// The delay does not lead from the scheduled departure to the real one.
    #[error("scheduled {scheduled} and {delay} minutes do not make {departure}")]
    Inconsistent {
        /// The scheduled departure, HHMM.
        scheduled: String,
        /// The delay in minutes.
        delay: String,
        /// The departure, HHMM.
        departure: String,
    },
    /// There, although the flight did not get that far.
    #[error("`{0}` is there, but the flight has no {1}")]
    Unexpected(String, &'static str),
    /// The same aircraft flew this flight on this date already.
    #[error("flight {flight} is in the file twice, the other time on line {line}")]
    Twice {
        /// Carrier, number, date and origin.
        flight: String,
        /// The line of the other one.
        line: u64,
    },
}
