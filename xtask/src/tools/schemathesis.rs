//! The fuzzer of HTTP interfaces: the pinned Python package with everything that it asks for, in `.tools/schemathesis`. It is run as a module of the
//! machine's own Python, with this folder as its path.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use super::pip;
use crate::process;
use crate::repo::Repo;

/// The version that pip installs and that the program must say it is.
const VERSION: &str = "4.32.5";

/// Finds it, or installs it: the folder that `PYTHONPATH` has to name.
pub(crate) fn ensure(repo: &Repo) -> Result<PathBuf> {
    let _lock = repo.lock("schemathesis")?;
    let folder = repo.tools().join("schemathesis");
    let usable = || {
        let mut python = Command::new("python3");
        python.args(["-m", "schemathesis.cli", "--version"]).env("PYTHONPATH", &folder);
        process::answer(&mut python).is_some_and(|answer| answer.contains(VERSION))
    };
    if usable() {
        return Ok(folder);
    }
    pip::install(&format!("schemathesis=={VERSION}"), &folder, pip::Needs::Installed)?;
    if !usable() {
        bail!("schemathesis {VERSION} was installed into {}, but does not run", folder.display());
    }
    Ok(folder)
}
