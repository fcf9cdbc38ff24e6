//! A month of real flights as events in true order: what `plugins/rotation` handles, and what a test must put back in order.
//!
//! [`read`] takes `plugins/rotation/data/flights-2013-01.csv.gz` and gives 52,966 events of 3,141 aircraft: 26,483 departures, 26,468 arrivals
//! and 15 diversions. An aircraft is an entity; its events are numbered 1, 2, 3, … without a hole, each departure directly before the end of
//! its flight. Over all aircraft they are ordered by time, so that aircraft interleave as they did.
//!
//! An event's payload is a JSON object, which is also its row in the NDJSON of [`write_ndjson`]; the README of `plugins/rotation` fixes both.

mod error;
mod event;
mod flight;
mod order;

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;

pub use error::{Error, Problem};
pub use event::{Event, Kind};

/// The events of a file of flights, packed with gzip, in the order of their time.
///
/// # Errors
/// A file that cannot be read, and the first row that makes no sense, by file, line and column.
pub fn read(path: &Path) -> Result<Vec<Event>, Error> {
    let file = path.display().to_string();
    let opened = File::open(path).map_err(|source| Error::Open { file: file.clone(), source })?;
    parse(&file, MultiGzDecoder::new(BufReader::new(opened)))
}

/// The events in CSV text, in the order of their time. `file` is what errors call the text.
///
/// # Errors
/// As [`read`].
pub fn parse(file: &str, csv: impl Read) -> Result<Vec<Event>, Error> {
    order::events(file, flight::flights(file, csv)?)
}

/// Writes each event's payload as a line: NDJSON as `seriatim publish` takes it, with entity, kind, id and time in the fields `tailnum`,
/// `kind`, `id` and `time`. The sequence is not in it: it is the number of the line among those of its aircraft, if `events` holds all of an
/// aircraft's events in their order.
///
/// # Errors
/// [`Error::Write`] if `to` does not take it.
pub fn write_ndjson<'a>(events: impl IntoIterator<Item = &'a Event>, mut to: impl Write) -> Result<(), Error> {
    for event in events {
        let mut line = event.payload()?;
        line.push(b'\n');
        to.write_all(&line).map_err(Error::Write)?;
    }
    to.flush().map_err(Error::Write)
}
