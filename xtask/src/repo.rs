//! Where things are in the checkout. Every path that another module uses is made here.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process;

/// The checkout that this xtask was built in.
pub(crate) struct Repo {
    root: PathBuf,
}

impl Repo {
    pub(crate) fn find() -> Result<Self> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = here.parent().context("xtask is not inside a checkout")?.to_path_buf();
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// What `tools` installs; ignored by git.
    pub(crate) fn tools(&self) -> PathBuf {
        self.path(".tools")
    }

    /// Cargo's folder for the host, where `CARGO_TARGET_DIR` may have moved it.
    pub(crate) fn target(&self) -> PathBuf {
        match std::env::var_os("CARGO_TARGET_DIR") {
            Some(path) => self.root.join(path),
            None => self.path("target"),
        }
    }

    /// The finished handlers, one `<package name>.wasm` each.
    pub(crate) fn plugins(&self) -> PathBuf {
        self.target().join("plugins")
    }

    /// What is checked out, for figures: the commit, and `-dirty` where the checkout differs from it.
    pub(crate) fn commit(&self) -> Option<String> {
        let mut git = Command::new("git");
        git.args(["describe", "--always", "--dirty", "--abbrev=12"]).current_dir(self.root());
        Some(process::answer(&mut git)?.trim().to_owned()).filter(|told| !told.is_empty())
    }

    /// Holds a lock on `.tools/<name>.lock` until the value is dropped, so that parallel runs do not install or build the same thing at once.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let folder = self.tools();
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join(format!("{name}.lock"));
        let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        if file.try_lock().is_err() {
            eprintln!("waiting for another `cargo xtask` ({})", path.display());
            file.lock().with_context(|| format!("cannot lock {}", path.display()))?;
        }
        Ok(file)
    }
}
