//! What is to be published, item after item: a function of the input's bytes and the options that shape it, and of nothing else. So a run that
//! was stopped is gone on with by making the same plan again.

use super::csv::{CsvRows, HeaderError, Payload};
use super::field::{BadRow, Field};
use super::mapping::{ENTITIES_MAX, Mapping, NoEvent, Numbering};
use super::ndjson::JsonRows;
use super::rows::{Format, Input, Progress, RowEnd, Rows, Type};
use super::shuffle::{Disorder, Shuffle};
use crate::producer::Numbered;
use std::io;
use std::sync::Arc;

/// Everything that shapes a plan, but the input.
#[derive(Clone, Debug)]
pub struct Shape {
    /// How rows are written.
    pub format: Format,
    /// Which values are what.
    pub mapping: Mapping,
    /// Types of CSV columns.
    pub types: Vec<(Field, Type)>,
    /// CSV text that means "no value".
    pub null: Option<String>,
    /// Longest row, bytes.
    pub row_max: usize,
    /// In which order.
    pub disorder: Disorder,
    /// The input may grow behind its end: a last line without a line end is no row yet, for it may be half written.
    pub grows: bool,
}

/// Bytes of rows that `--shuffle-window` may hold back, at most.
pub const SHUFFLE_BYTES_MAX: usize = 256 << 20;

/// One publication.
#[derive(Clone, Debug)]
pub struct Item {
    event: Arc<Sourced>,
    duplicate: bool,
    /// How far the input was read when this item's turn came.
    pub progress: Progress,
}

#[derive(Clone, Debug)]
struct Sourced {
    event: Numbered,
    line: u64,
}

impl Item {
    /// Whether it is a duplicate that the plan adds.
    #[must_use]
    pub fn is_duplicate(&self) -> bool {
        self.duplicate
    }

    /// Line of its row.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.event.line
    }

    /// The event to publish.
    #[must_use]
    pub fn into_event(self) -> Numbered {
        let mut event = Arc::unwrap_or_clone(self.event).event;
        event.copy += u32::from(self.duplicate);
        event
    }
}

/// Why a plan cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A row that cannot be published.
    #[error("{0}")]
    Bad(Box<BadRow>),
    /// The input cannot be read.
    #[error("{file}: cannot be read: {error}")]
    Input {
        /// The input.
        file: String,
        /// Why not.
        error: io::Error,
    },
    /// The report of bad rows cannot be written.
    #[error("the report of bad rows cannot be written: {0}")]
    Report(io::Error),
    /// Its header cannot be used.
    #[error("{file} {error}")]
    Header {
        /// The input.
        file: String,
        /// Why not.
        error: HeaderError,
    },
    /// An option names a column that the header has not.
    #[error("{flag} {name}: {file} has no such column; it has {columns}")]
    NoColumn {
        /// The option.
        flag: &'static str,
        /// What it names.
        name: String,
        /// The input.
        file: String,
        /// The columns.
        columns: String,
    },
    /// Too many entities.
    #[error("{file}:{line}: more than {ENTITIES_MAX} entities; split the input")]
    TooManyEntities {
        /// The input.
        file: String,
        /// Where.
        line: u64,
    },
    /// The rows that wait for their turn are too many bytes.
    #[error(
        "{file}:{line}: the rows that --shuffle-window holds back have more than {} MiB: choose a smaller window", SHUFFLE_BYTES_MAX >> 20
    )]
    ShuffleFull {
        /// The input.
        file: String,
        /// Where.
        line: u64,
    },
    /// The input is not the one that the checkpoint was made with.
    #[error("{0}")]
    Changed(Changed),
}

/// How the input differs from the one that a checkpoint was made with.
#[derive(Debug, thiserror::Error)]
pub enum Changed {
    /// Other columns.
    #[error("{file} has changed since the last run: it has another header. Put the input back as it was, or begin anew with --fresh")]
    Header {
        /// The input.
        file: String,
    },
    /// Another event has been sent under a number.
    #[error(
        "{file} has changed since the last run: line {line} is event {place} (entity:epoch:number), and the stream has another event of that number, \
         which the run before sent. Put the input back as it was, or number all of it anew with --fresh and a higher --epoch"
    )]
    Event {
        /// The input.
        file: String,
        /// The event's line.
        line: u64,
        /// Which event.
        place: String,
    },
    /// Other rows.
    #[error(
        "{file} has changed since the last run: its first {rows} rows are not the ones that were published. Put the input back as it was, or begin \
         anew with --fresh"
    )]
    Rows {
        /// The input.
        file: String,
        /// Rows that should be the same.
        rows: u64,
    },
    /// Fewer rows.
    #[error(
        "{file} has become shorter since the last run: it has {found} rows, and {rows} were read. Put the input back as it was, or begin anew with --fresh"
    )]
    Shorter {
        /// The input.
        file: String,
        /// Rows it has.
        found: u64,
        /// Rows it had at least.
        rows: u64,
    },
}

/// What happens to a bad row that the plan passes over.
pub type OnBad = Box<dyn FnMut(&BadRow) -> io::Result<()> + Send>;

/// The plan of one input.
pub struct Plan {
    file: String,
    rows: Rows,
    mapping: Mapping,
    numbering: Numbering,
    shuffle: Shuffle<Arc<Sourced>>,
    progress: Progress,
    expected: Option<Progress>,
    on_bad: Option<OnBad>,
    ended: bool,
    grows: bool,
    unfinished: Option<u64>,
    /// Bytes of payload in `shuffle`, and how many there may be.
    held: usize,
    held_max: usize,
}

impl Plan {
    /// Begins the plan of an input that messages call `file`. Bad rows are handed to `on_bad` and passed over; without it they end the plan.
    ///
    /// # Errors
    /// The input cannot be read, or its header does not fit the options.
    pub fn new(shape: &Shape, file: &str, input: Input, on_bad: Option<OnBad>) -> Result<Self, PlanError> {
        let unreadable = |error| PlanError::Input { file: file.to_owned(), error };
        let mut mapping = shape.mapping.clone();
        let mut progress = Progress::default();
        let rows = match shape.format {
            Format::Ndjson => Rows::Json(JsonRows::new(input, shape.row_max).map_err(unreadable)?),
            Format::Csv => {
                let (rows, header) = CsvRows::new(input, shape.row_max, shape.null.as_deref()).map_err(|error| match error {
                    HeaderError::Input(error) => unreadable(error),
                    error => PlanError::Header { file: file.to_owned(), error },
                })?;
                if shape.grows && header.end != RowEnd::Line {
                    return Err(PlanError::Header { file: file.to_owned(), error: HeaderError::Unfinished });
                }
                progress.hash(&header.raw);
                let mut types = shape.types.clone();
                let typed = types.iter_mut().map(|(field, _)| ("--type", field));
                for (flag, field) in mapping.fields_mut().chain(typed) {
                    resolve(flag, field, rows.header(), file)?;
                }
                mapping.payload = Some(Payload::new(rows.header(), &types));
                Rows::Csv(Box::new(rows))
            }
        };
        let (numbering, shuffle) = (Numbering::default(), Shuffle::new(shape.disorder));
        let (file, grows) = (file.to_owned(), shape.grows);
        Ok(Self {
            file,
            rows,
            mapping,
            numbering,
            shuffle,
            progress,
            expected: None,
            on_bad,
            ended: false,
            grows,
            unfinished: None,
            held: 0,
            held_max: SHUFFLE_BYTES_MAX,
        })
    }

    /// Makes sure on the way that the input is the one that `progress` was reached with.
    #[must_use]
    pub fn expecting(mut self, progress: Progress) -> Self {
        // Before the first row there may be a header to compare.
        self.expected = Some(progress).filter(|expected| expected.rows > 0 || expected.hash != 0);
        self
    }

    /// Whether the input was found to be the expected one, as far as that goes.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.expected.is_none()
    }

    /// How far the input was read.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// At the end: the line of a last row that is not in the plan yet, because it has no line end.
    #[must_use]
    pub fn unfinished(&self) -> Option<u64> {
        self.unfinished
    }

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// The plan cannot go on; what came before stands.
    pub fn next_item(&mut self) -> Result<Option<Item>, PlanError> {
        loop {
            if let Some(placed) = self.shuffle.pop() {
                self.held = self.held.saturating_sub(placed.event.event.payload.len());
                return Ok(Some(Item { event: placed.event, duplicate: placed.duplicate, progress: self.progress }));
            }
            if self.ended {
                return Ok(None);
            }
            self.read()?;
        }
    }

    /// Takes one row in, or the end.
    fn read(&mut self) -> Result<(), PlanError> {
        self.compare()?;
        let mut row = self.rows.next_row().map_err(|error| PlanError::Input { file: self.file.clone(), error })?;
        if let Some(unfinished) = row.take_if(|row| self.grows && row.end == RowEnd::Input) {
            self.unfinished = Some(unfinished.line);
        }
        let Some(row) = row else {
            if let Some(expected) = &self.expected {
                let (file, found) = (self.file.clone(), self.progress.rows);
                return Err(PlanError::Changed(Changed::Shorter { file, found, rows: expected.rows }));
            }
            self.ended = true;
            self.shuffle.end();
            return Ok(());
        };
        let mut progress = self.progress;
        progress.hash(&row.raw);
        progress.rows += 1;
        progress.bytes = self.rows.bytes();
        match self.mapping.event(&row, &mut self.numbering) {
            Ok(event) => {
                let size = event.payload.len();
                self.held += size * self.shuffle.push(Arc::new(Sourced { event, line: row.line }));
                if self.held > self.held_max {
                    return Err(PlanError::ShuffleFull { file: self.file.clone(), line: row.line });
                }
            }
            Err(NoEvent::TooMany) => return Err(PlanError::TooManyEntities { file: self.file.clone(), line: row.line }),
            Err(NoEvent::Fault(fault)) => {
                let bad = BadRow::new(&self.file, row.line, &row.raw, fault);
                match &mut self.on_bad {
                    // Its end may yet be written: what is passed over now would be another row then.
                    Some(_) if self.grows && row.end == RowEnd::OpenQuote => return Err(PlanError::Bad(Box::new(bad))),
                    Some(on_bad) => on_bad(&bad).map_err(PlanError::Report)?,
                    None => return Err(PlanError::Bad(Box::new(bad))),
                }
                progress.bad += 1;
            }
        }
        self.progress = progress;
        self.compare()
    }

    /// Compares the input with the expected one, where that was read so far.
    fn compare(&mut self) -> Result<(), PlanError> {
        let progress = self.progress;
        let Some(expected) = self.expected.take_if(|expected| expected.rows == progress.rows) else { return Ok(()) };
        let file = || self.file.clone();
        match (expected.same(&progress), expected.rows) {
            (true, _) => Ok(()),
            (false, 0) => Err(PlanError::Changed(Changed::Header { file: file() })),
            (false, rows) => Err(PlanError::Changed(Changed::Rows { file: file(), rows })),
        }
    }
}

/// Finds the column that an option names.
fn resolve(flag: &'static str, field: &mut Field, header: &[String], file: &str) -> Result<(), PlanError> {
    let name = field.name().to_owned();
    match header.iter().position(|column| *column == name) {
        Some(index) => *field = Field::Column { name, index },
        None => return Err(PlanError::NoColumn { flag, name, file: file.to_owned(), columns: header.join(", ") }),
    }
    Ok(())
}

#[cfg(test)]
mod tests;
