//! What is wrong with a config file, in the form in which it is printed: every fault with its line, key and value. Also [`At`], a value that
//! remembers where it was written, so that checks which need servers or files can report in the same form later. No parsing here.

use std::fmt;
use std::ops::Deref;

/// Where a value stands in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 = the line as a whole.
    pub column: usize,
    /// Path of the key, such as `pipelines.flights.order.late`.
    pub key: String,
    /// The value as written (one line, shortened, without passwords); empty when nothing was written.
    pub text: String,
}

/// A value and where it was written. Two of them are equal when their values are.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it was written; for a default, the table that it belongs to.
    pub place: Place,
}

impl<T> At<T> {
    /// A problem with this value, for the checks that come after reading (a missing stream, a missing file).
    pub fn problem(&self, message: impl Into<String>) -> Problem {
        Problem::new(&self.place, message)
    }
}

impl<T> Deref for At<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

/// One fault of a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Line, from 1; 0 = the file as a whole.
    pub line: usize,
    /// Column in characters, from 1; 0 = the line as a whole.
    pub column: usize,
    /// Path of the key; empty when the fault belongs to none.
    pub key: String,
    /// The value as written; none when the key is missing or the fault is not one of a value.
    pub value: Option<String>,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem at a place.
    pub fn new(place: &Place, message: impl Into<String>) -> Self {
        Self {
            line: place.line,
            column: place.column,
            key: place.key.clone(),
            value: (!place.text.is_empty()).then(|| place.text.clone()),
            message: message.into(),
        }
    }

    /// A problem of the file as a whole.
    pub fn of_file(message: impl Into<String>) -> Self {
        Self::new(&Place::default(), message)
    }

    /// The problem in the form `FILE:LINE: KEY = VALUE: MESSAGE`.
    pub fn display<'a>(&'a self, file: &'a str) -> impl fmt::Display + 'a {
        Shown { file, problem: self }
    }
}

struct Shown<'a> {
    file: &'a str,
    problem: &'a Problem,
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { line, key, value, message, .. } = self.problem;
        f.write_str(self.file)?;
        if *line > 0 {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        match (key.is_empty(), value) {
            (false, Some(value)) => write!(f, "{key} = {value}: {message}"),
            (false, None) => write!(f, "{key}: {message}"),
            (true, Some(value)) => write!(f, "{value}: {message}"),
            (true, None) => f.write_str(message),
        }
    }
}

/// All faults of one config file, in the order of its lines. Displays one line for each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    /// No problems yet of the file of this name.
    pub fn new(file: impl Into<String>) -> Self {
        Self { file: file.into(), list: Vec::new() }
    }

    /// Adds one, keeping the order of the lines.
    pub fn push(&mut self, problem: Problem) {
        let place = (problem.line, problem.column);
        let index = self.list.partition_point(|p| (p.line, p.column) <= place);
        self.list.insert(index, problem);
    }

    /// Adds all of another list.
    pub fn extend(&mut self, problems: impl IntoIterator<Item = Problem>) {
        for problem in problems {
            self.push(problem);
        }
    }

    /// The name of the file, as it is shown.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// How many faults.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// The faults in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// `Ok(value)` when nothing is wrong.
    ///
    /// # Errors
    /// The problems themselves, when there are any.
    pub fn or_ok<T>(self, value: T) -> Result<T, Self> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.list.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}", problem.display(&self.file))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}
