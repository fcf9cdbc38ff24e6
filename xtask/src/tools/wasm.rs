//! The wasm targets: the toolchain's own, added by rustup, or a standard library built from Debian's packages.
//!
//! Guests are core modules for `wasm32-unknown-unknown`; one test guest is a WASI 0.2 component. The second is worth having, not worth
//! failing for: where its target cannot be had, that guest is skipped by name.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::debian;
use crate::process;
use crate::repo::Repo;

pub(crate) const CORE_TARGET: &str = "wasm32-unknown-unknown";
pub(crate) const WASI_TARGET: &str = "wasm32-wasip2";

/// How guests are compiled here.
pub(crate) struct Wasm {
    core: Core,
    wasi: bool,
}

enum Core {
    Toolchain,
    Debian(debian::Sysroot),
}

impl Wasm {
    /// A cargo whose compiler has a standard library for [`CORE_TARGET`].
    pub(crate) fn cargo(&self) -> Command {
        match &self.core {
            Core::Toolchain => process::cargo(),
            Core::Debian(sysroot) => sysroot.cargo(),
        }
    }

    /// The same toolchain as the host's, with its lints. Debian's packages of the wasm compiler have none.
    pub(crate) fn is_own_toolchain(&self) -> bool {
        matches!(self.core, Core::Toolchain)
    }

    pub(crate) fn has_wasi(&self) -> bool {
        self.wasi
    }

    pub(super) fn origin(&self) -> String {
        match &self.core {
            Core::Toolchain => "the toolchain's own".to_owned(),
            Core::Debian(sysroot) => format!("Debian's compiler with {}", sysroot.path().display()),
        }
    }
}

pub(super) fn ensure(repo: &Repo) -> Result<Wasm> {
    let core = core(repo)?;
    // Where rustup could not add the first target it is not asked for the second.
    let wasi = installed(WASI_TARGET) || (matches!(core, Core::Toolchain) && add(WASI_TARGET));
    Ok(Wasm { core, wasi })
}

fn core(repo: &Repo) -> Result<Core> {
    if installed(CORE_TARGET) {
        return Ok(Core::Toolchain);
    }
    if let Some(sysroot) = debian::find(repo) {
        return Ok(Core::Debian(sysroot));
    }
    if add(CORE_TARGET) {
        return Ok(Core::Toolchain);
    }
    match debian::install(repo) {
        Ok(sysroot) => Ok(Core::Debian(sysroot)),
        Err(error) => bail!(
            "the compiler has no {CORE_TARGET} target, and it could not be added: {error:#}. Run `rustup target add {CORE_TARGET}`, or on Debian `{}`",
            debian::INSTALL
        ),
    }
}

/// Asks the compiler where the target's libraries belong, and looks. Works for every way of installing Rust.
fn installed(target: &str) -> bool {
    let Some(folder) = process::answer(process::rustc().args(["--print", "target-libdir", "--target", target])) else {
        return false;
    };
    has_std(&PathBuf::from(folder.trim()))
}

/// `libstd` is the last that a target needs; without it the target was only half unpacked.
pub(super) fn has_std(folder: &Path) -> bool {
    let Ok(entries) = std::fs::read_dir(folder) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

/// True if rustup added the target to the toolchain in use.
fn add(target: &str) -> bool {
    if process::answer(Command::new("rustup").arg("--version")).is_none() {
        return false;
    }
    match process::step(Command::new("rustup").args(["target", "add", target])) {
        Ok(()) => installed(target),
        Err(error) => {
            eprintln!("{error:#}");
            false
        }
    }
}
