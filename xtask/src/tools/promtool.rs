//! The checker of Prometheus rules: the machine's own `promtool`, or Debian's package `prometheus`, unpacked into `.tools/prometheus`: nothing is
//! installed, and no server is started.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::repo::Repo;

const PACKAGE: &str = "prometheus";

/// Finds it, or fetches it.
pub(crate) fn ensure(repo: &Repo) -> Result<PathBuf> {
    let _lock = repo.lock("promtool")?;
    let folder = repo.tools().join("prometheus");
    let usable = |path: &PathBuf| process::answer(Command::new(path).arg("--version")).is_some();
    let unpacked = folder.join("usr/bin/promtool");
    if let Some(path) = [PathBuf::from("promtool"), unpacked.clone()].into_iter().find(usable) {
        return Ok(path);
    }
    if process::answer(Command::new("apt-get").arg("--version")).is_none() {
        bail!("this is no Debian: install Prometheus, which brings promtool");
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let download = || process::step(Command::new("apt-get").args(["-q", "download", PACKAGE]).current_dir(&folder));
    // A new machine has no package lists, an old one lists that name versions which are gone. Only root may fetch them.
    download()
        .or_else(|_| process::step(Command::new("apt-get").args(["-q", "update"])).and_then(|()| download()))
        .with_context(|| format!("apt-get install {PACKAGE} brings it"))?;
    let files = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let package =
        files.filter_map(|entry| entry.ok().map(|entry| entry.path())).find(|path| path.extension().is_some_and(|kind| kind == "deb"));
    let package = package.with_context(|| format!("apt-get left no package in {}", folder.display()))?;
    process::step(Command::new("dpkg-deb").arg("--extract").args([&package, &folder]))?;
    fs::remove_file(&package).with_context(|| format!("cannot remove {}", package.display()))?;
    if !usable(&unpacked) {
        bail!("{} was unpacked, but does not run", unpacked.display());
    }
    Ok(unpacked)
}
