//! What is to be published, item after item: a function of the input's bytes and the options that shape it, and of nothing else. So a run that
//! was stopped is gone on with by making the same plan again.

use super::csv::{CsvRows, HeaderError, Payload};
use super::field::{BadRow, Field};
use super::mapping::{ENTITIES_MAX, Mapping, NoEvent, Numbering};
use super::ndjson::JsonRows;
use super::rows::{Format, Input, Progress, Rows, Type};
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
}

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
    /// The input is not the one that the checkpoint was made with.
    #[error("{0}")]
    Changed(Changed),
}

/// How the input differs from the one that a checkpoint was made with.
#[derive(Debug, thiserror::Error)]
pub enum Changed {
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
                progress.hash(&header);
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
        Ok(Self { file: file.to_owned(), rows, mapping, numbering, shuffle, progress, expected: None, on_bad, ended: false })
    }

    /// Makes sure on the way that the input is the one that `progress` was reached with.
    #[must_use]
    pub fn expecting(mut self, progress: Progress) -> Self {
        self.expected = Some(progress).filter(|expected| expected.rows > 0);
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

    /// The next item; `None` at the end.
    ///
    /// # Errors
    /// The plan cannot go on; what came before stands.
    pub fn next_item(&mut self) -> Result<Option<Item>, PlanError> {
        loop {
            if let Some(placed) = self.shuffle.pop() {
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
        let row = self.rows.next_row().map_err(|error| PlanError::Input { file: self.file.clone(), error })?;
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
            Ok(event) => self.shuffle.push(Arc::new(Sourced { event, line: row.line })),
            Err(NoEvent::TooMany) => return Err(PlanError::TooManyEntities { file: self.file.clone(), line: row.line }),
            Err(NoEvent::Fault(fault)) => {
                let bad = BadRow::new(&self.file, row.line, &row.raw, fault);
                match &mut self.on_bad {
                    Some(on_bad) => on_bad(&bad).map_err(PlanError::Report)?,
                    None => return Err(PlanError::Bad(Box::new(bad))),
                }
                progress.bad += 1;
            }
        }
        self.progress = progress;
        if let Some(expected) = self.expected.take_if(|expected| expected.rows == progress.rows)
            && !expected.same(&progress)
        {
            return Err(PlanError::Changed(Changed::Rows { file: self.file.clone(), rows: expected.rows }));
        }
        Ok(())
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
