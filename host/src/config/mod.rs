//! The config file `seriatim.toml`: read, checked, and handed on as plain values. All problems of a file are found in one run, each with its
//! line, key and value, and what would be right. Opens the file itself and nothing else: whether a server, stream or component exists is
//! for `check` to find out, which reports it through [`At::problem`] in the same form.
//!
//! [`KEYS`] is the one table of keys, defaults and bounds; `docs/configuration.md` and `deploy/seriatim.toml` are compared with it.

#[cfg(test)]
mod docs;
mod document;
mod files;
mod keys;
mod parse;
mod problem;
mod read;
#[cfg(test)]
mod tests;
mod types;
mod values;

pub use keys::{KEYS, KeyDoc, Kind};
pub use problem::{At, Place, Problem, Problems};
pub use types::{
    AdminConfig, AdminTls, BreakerConfig, By, Component, Config, DeadLettersConfig, EventConfig, FailureConfig, GapConfig, HandlerConfig,
    Isolation, NatsAuth, NatsConfig, NatsTls, OrderConfig, PipelineConfig, Read, RunConfig, Start, StoreConfig, TelemetryConfig,
};

pub(crate) use types::millis;

use document::Document;
use std::io::Read as _;
use std::path::Path;

/// The example file: every key with its default.
pub const EXAMPLE: &str = include_str!("../../../deploy/seriatim.toml");

/// Config files larger than this are refused, in bytes.
const FILE_MAX: u64 = 1 << 20;

impl Config {
    /// Reads and checks a file. Relative paths in it are taken from the file's folder.
    ///
    /// # Errors
    /// Everything that is wrong with it, or why it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Problems> {
        let name = path.display().to_string();
        let folder = path.parent().unwrap_or(Path::new(""));
        match read_file(path) {
            Ok(text) => Self::parse(&text, &name, folder),
            Err(problem) => {
                let mut problems = Problems::new(name);
                problems.push(problem);
                Err(problems)
            }
        }
    }

    /// Checks the text of a file. `name` is what messages call it; relative paths are taken from `folder`.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(text: &str, name: &str, folder: &Path) -> Result<Self, Problems> {
        let (document, root) = Document::parse(text);
        let config = read::config(&document.root(&root), name, folder);
        let mut problems = Problems::new(name);
        problems.extend(document.into_problems());
        match config {
            Some(config) => problems.or_ok(config),
            None => {
                if problems.is_empty() {
                    problems.push(Problem::of_file("could not be read, for a reason that is not told; this is a fault of seriatim"));
                }
                Err(problems)
            }
        }
    }
}

fn read_file(path: &Path) -> Result<String, Problem> {
    let unreadable = |error: std::io::Error| Problem::of_file(format!("cannot be read: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_MAX {
        return Err(Problem::of_file("cannot be read: larger than 1 MiB"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let line = error.as_bytes().iter().take(good).filter(|byte| **byte == b'\n').count() + 1;
        let place = Place { line, ..Place::default() };
        Problem::new(&place, "not UTF-8; the file must be saved as UTF-8")
    })
}
