//! What a run is asked to do, and how its input is opened.

use super::error::Error;
use super::field::BadRow;
use super::plan::{OnBad, Plan, PlanError, Shape};
use super::rows::Input;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufReader, Seek as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

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

/// The input, opened once for a whole run: what is looked at and what is published is one file, also when another takes its name meanwhile.
#[derive(Debug)]
pub(super) enum Opened {
    Stdin,
    /// With its length, if it has one: then it can be read again.
    File(File, Option<u64>),
}

impl Opened {
    /// Its length, if it has one.
    pub(super) fn bytes(&self) -> Option<u64> {
        match self {
            Self::Stdin => None,
            Self::File(_, bytes) => *bytes,
        }
    }

    /// Reads it from its beginning. One reader at a time: they share their place in the file.
    fn reader(&self) -> io::Result<Input> {
        match self {
            Self::Stdin => Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, io::stdin()))),
            Self::File(file, bytes) => {
                let mut file = file.try_clone()?;
                if bytes.is_some() {
                    file.rewind()?;
                }
                Ok(Box::new(BufReader::with_capacity(BUFFER_BYTES, file)))
            }
        }
    }
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

    /// Whether the input is a file that can be read again.
    ///
    /// # Errors
    /// The file is not there.
    pub(super) fn is_file(&self) -> Result<bool, Error> {
        let Source::File(path) = &self.source else { return Ok(false) };
        fs::metadata(path).map(|found| found.is_file()).map_err(|error| Error::Open { path: path.clone(), error })
    }

    /// Makes sure that nothing that is written is the input or another of these files.
    ///
    /// # Errors
    /// Two of them are one file.
    pub(super) fn check_files(&self) -> Result<(), Error> {
        let input = match &self.source {
            // What standard input was redirected from.
            Source::Stdin => Path::new("/dev/stdin"),
            Source::File(path) => path,
        };
        let mut files = vec![("the input", input.to_owned())];
        files.extend(self.skip_bad.clone().map(|path| ("the report of --skip-bad", path)));
        if let Some(path) = &self.checkpoint {
            files.push(("the checkpoint", path.clone()));
            files.push(("the checkpoint's lock", lock_path(path)));
            files.push(("the checkpoint's next version", next_path(path)));
        }
        let places: Vec<_> = files.iter().map(|(_, path)| Place::of(path)).collect();
        for (at, (second, path)) in files.iter().enumerate() {
            let same = places.iter().take(at).position(|place| place.is_some() && places.get(at) == Some(place));
            if let Some((first, _)) = same.and_then(|same| files.get(same)) {
                return Err(Error::SameFile { first, second, path: path.clone() });
            }
        }
        Ok(())
    }

    /// Opens the input. May block: what is opened may be a pipe that nobody writes to.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn open(&self) -> Result<Opened, Error> {
        let Source::File(path) = &self.source else { return Ok(Opened::Stdin) };
        let opened = File::open(path).and_then(|file| {
            let found = file.metadata()?;
            Ok(Opened::File(file, found.is_file().then_some(found.len())))
        });
        opened.map_err(|error| Error::Open { path: path.clone(), error })
    }

    /// The plan from its beginning, for looking at: bad rows that a run passes over are passed over, and reported nowhere.
    pub(super) fn plan_to_look_at(&self, input: &Opened) -> Result<Plan, Error> {
        let on_bad = self.skip_bad.as_ref().map(|_| -> OnBad { Box::new(|_| Ok(())) });
        self.plan_with(input, on_bad)
    }

    /// The plan from its beginning, for publishing: the report of bad rows is begun anew.
    pub(super) fn plan(&self, input: &Opened) -> Result<Plan, Error> {
        self.plan_with(input, self.skip_bad.as_ref().map(report).transpose()?)
    }

    fn plan_with(&self, input: &Opened, on_bad: Option<OnBad>) -> Result<Plan, Error> {
        let file = self.file();
        let reader = input.reader().map_err(|error| PlanError::Input { file: file.clone(), error })?;
        Ok(Plan::new(&self.shape, &file, reader, on_bad)?)
    }
}

/// Where a run keeps other runs off a checkpoint.
pub(super) fn lock_path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_added_extension("lock")
}

/// Where a checkpoint is written before it takes the old one's place.
pub(super) fn next_path(checkpoint: &Path) -> PathBuf {
    checkpoint.with_added_extension("new")
}

/// What tells files apart, however their paths are written.
#[derive(PartialEq, Eq)]
enum Place {
    /// Of a file that is there: device and number on it.
    There(u64, u64),
    /// Of one that is not: its folder, and its name in it.
    Absent(PathBuf, Box<OsStr>),
}

impl Place {
    /// `None` = nothing can be there: its folder is missing.
    fn of(path: &Path) -> Option<Self> {
        if let Ok(found) = fs::metadata(path) {
            return Some(Self::There(found.dev(), found.ino()));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(Self::Absent(folder.canonicalize().ok()?, path.file_name()?.into()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publish::field::Field;
    use crate::publish::mapping::Mapping;
    use crate::publish::rows::Format;
    use crate::publish::shuffle::Disorder;
    use crate::publish::template::Template;

    fn options(input: &Path, checkpoint: Option<&Path>, skip_bad: Option<&Path>) -> Options {
        let mapping = Mapping {
            entity: Field::new("e"),
            subject: Template::parse("s.{e}").unwrap(),
            kind: None,
            id: None,
            time: None,
            sequence: None,
            epoch: None,
            payload: None,
        };
        let disorder = Disorder { window: 0, duplicate: 0.0, seed: 1 };
        let shape = Shape { format: Format::Ndjson, mapping, types: Vec::new(), null: None, row_max: 100, disorder, grows: true };
        Options {
            source: Source::File(input.to_owned()),
            shape,
            given: BTreeMap::new(),
            stream: None,
            checkpoint: checkpoint.map(Path::to_owned),
            fresh: false,
            append: false,
            window: 1,
            rate: None,
            skip_bad: skip_bad.map(Path::to_owned),
        }
    }

    #[test]
    fn no_file_is_used_for_two_things() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("in"), "{}").unwrap();
        fs::hard_link(at("in"), at("hard")).unwrap();
        std::os::unix::fs::symlink(at("in"), at("soft")).unwrap();
        fs::create_dir(at("sub")).unwrap();
        let told = |checkpoint: &str, report: &str| {
            let checked = options(&at("in"), Some(&at(checkpoint)), Some(&at(report))).check_files();
            checked.map_err(|error| (error.exit_code(), error.to_string()))
        };
        assert_eq!(told("c", "r"), Ok(()));
        for same in ["in", "hard", "soft", "sub/../in", "./in"] {
            let (code, text) = told("c", same).unwrap_err();
            assert!(code == 2 && text.contains("the input and the report of --skip-bad are one file"), "{text}");
            assert!(told(same, "r").unwrap_err().1.contains("the input and the checkpoint are one file"));
        }
        for (checkpoint, report) in [("c", "sub/../c"), ("c", "c.lock"), ("c", "c.new")] {
            assert!(told(checkpoint, report).unwrap_err().1.contains("the report of --skip-bad and the checkpoint"), "{report}");
        }
        fs::write(at("x.new"), "{}").unwrap();
        let error = options(&at("x.new"), Some(&at("x")), None).check_files().unwrap_err();
        assert!(error.to_string().contains("the input and the checkpoint's next version"), "{error}");
        assert!(told("nowhere/c", "nowhere/c").is_ok(), "where there is no folder nothing can be destroyed");
    }

    #[test]
    fn what_is_opened_once_is_read_again_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        fs::write(&path, "{\"e\":1}\n{\"e\":2}\n").unwrap();
        let options = options(&path, None, None);
        let opened = options.open().unwrap();
        fs::write(folder.path().join("other"), "{\"e\":9}\n").unwrap();
        fs::rename(folder.path().join("other"), &path).unwrap();
        for _ in 0..2 {
            let mut plan = options.plan_to_look_at(&opened).unwrap();
            let entities: Vec<_> = std::iter::from_fn(|| plan.next_item().unwrap()).map(|item| item.into_event().entity).collect();
            assert_eq!((entities, opened.bytes()), (vec!["1".to_owned(), "2".to_owned()], Some(16)));
        }
    }
}
