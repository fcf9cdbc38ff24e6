//! What a run is asked to do, and how its input is opened.

use super::error::Error;
use super::field::BadRow;
use super::plan::{OnBad, Plan, Shape};
use super::rows::Input;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::PathBuf;

const BUFFER_BYTES: usize = 64 * 1024;

/// Where the rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Standard input: once only.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// A run. Build it from checked values: nothing is checked here.
#[derive(Clone, Debug)]
pub struct Options {
    /// The input.
    pub source: Source,
    /// What the plan is.
    pub shape: Shape,
    /// The options that shape the plan, as they are written: a checkpoint keeps them.
    pub given: BTreeMap<String, String>,
    /// The stream; absent: the one that takes the subjects.
    pub stream: Option<String>,
    /// Where the checkpoint is; absent: none.
    pub checkpoint: Option<PathBuf>,
    /// Forget what the checkpoint says.
    pub fresh: bool,
    /// The entities of the input are new to a stream that has messages.
    pub append: bool,
    /// Events handed over and not confirmed, at most.
    pub window: usize,
    /// Publications a second, at most.
    pub rate: Option<f64>,
    /// Pass over bad rows, and list them here.
    pub skip_bad: Option<PathBuf>,
}

impl Options {
    /// What messages call the input.
    #[must_use]
    pub fn file(&self) -> String {
        match &self.source {
            Source::Stdin => "standard input".to_owned(),
            Source::File(path) => path.display().to_string(),
        }
    }

    /// The input's length, if it has one.
    ///
    /// # Errors
    /// The file is not there.
    pub(super) fn input_bytes(&self) -> Result<Option<u64>, Error> {
        let Source::File(path) = &self.source else { return Ok(None) };
        let found = std::fs::metadata(path).map_err(|error| Error::Open { path: path.clone(), error })?;
        Ok(found.is_file().then_some(found.len()))
    }

    fn open(&self) -> Result<Input, Error> {
        match &self.source {
            Source::Stdin => Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin()))),
            Source::File(path) => {
                let file = File::open(path).map_err(|error| Error::Open { path: path.clone(), error })?;
                Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
            }
        }
    }

    /// The plan from its beginning, for looking at: bad rows that a run passes over are passed over, and reported nowhere.
    pub(super) fn plan_to_look_at(&self) -> Result<Plan, Error> {
        let on_bad = self.skip_bad.as_ref().map(|_| -> OnBad { Box::new(|_| Ok(())) });
        Ok(Plan::new(&self.shape, &self.file(), self.open()?, on_bad)?)
    }

    /// The plan from its beginning, for publishing: the report of bad rows is begun anew.
    pub(super) fn plan(&self) -> Result<Plan, Error> {
        let on_bad = self.skip_bad.as_ref().map(report).transpose()?;
        Ok(Plan::new(&self.shape, &self.file(), self.open()?, on_bad)?)
    }
}

fn report(path: &PathBuf) -> Result<OnBad, Error> {
    let mut file = File::create(path).map_err(|error| Error::Report { path: path.clone(), error })?;
    Ok(Box::new(move |bad: &BadRow| {
        let mut line = serde_json::to_vec(bad)?;
        line.push(b'\n');
        file.write_all(&line)
    }))
}
