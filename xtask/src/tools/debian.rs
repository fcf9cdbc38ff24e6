//! The wasm target where rustup cannot download: Debian's `rustc-web` and `rust-web-src`, from which a standard library is built once.
//!
//! The library lands in `.tools/wasm-sysroot/<compiler version>`; from then on guests build without any unstable switch.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::version::Version;
use super::wasm::{CORE_TARGET, has_std};
use crate::process;
use crate::repo::Repo;

/// What a person without root runs.
pub(super) const INSTALL: &str = "apt-get install --no-install-recommends rustc-web cargo-web rust-web-src lld-19";

const RUSTC: &str = "/usr/bin/rustc";
const CARGO: &str = "/usr/bin/cargo";
const LINKER: &str = "wasm-ld-19";

/// A standard library for wasm, and the compiler it belongs to.
pub(crate) struct Sysroot {
    path: PathBuf,
}

impl Sysroot {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn cargo(&self) -> Command {
        let mut cargo = debian_cargo();
        cargo.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", format!("--sysroot {}", self.path.display()));
        cargo
    }
}

fn debian_cargo() -> Command {
    let mut cargo = Command::new(CARGO);
    cargo.env("RUSTC", RUSTC).env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", LINKER);
    // Set by the cargo that runs us, for its own toolchain.
    for inherited in ["CARGO", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(inherited);
    }
    cargo
}

/// What an earlier run built, if it fits the compiler that is installed now.
pub(super) fn find(repo: &Repo) -> Option<Sysroot> {
    if !is_installed() {
        return None;
    }
    let path = sysroot_of(repo, compiler()?);
    has_std(&libraries(&path)).then_some(Sysroot { path })
}

pub(super) fn install(repo: &Repo) -> Result<Sysroot> {
    if !is_installed() {
        install_packages()?;
    }
    let version = compiler().with_context(|| format!("{RUSTC} does not run after `{INSTALL}`"))?;
    let path = sysroot_of(repo, version);
    eprintln!("building the {CORE_TARGET} standard library once, into {}", path.display());
    build(repo, &path)?;
    Ok(Sysroot { path })
}

fn sysroot_of(repo: &Repo, version: Version) -> PathBuf {
    repo.tools().join("wasm-sysroot").join(version.to_string())
}

fn is_installed() -> bool {
    compiler().is_some() && Path::new(CARGO).is_file() && Path::new("/usr/bin").join(LINKER).is_file() && source_lock().is_some()
}

fn compiler() -> Option<Version> {
    Version::find_in(&process::answer(Command::new(RUSTC).arg("--version"))?)
}

/// The lock file of the library's source, which `build-std` needs; its presence tells that the source package is there.
fn source_lock() -> Option<PathBuf> {
    let sysroot = process::answer(Command::new(RUSTC).args(["--print", "sysroot"]))?;
    let path = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library/Cargo.lock");
    path.is_file().then_some(path)
}

fn install_packages() -> Result<()> {
    if process::answer(Command::new("apt-get").arg("--version")).is_none() {
        bail!("rustup could not add it, and this is no Debian");
    }
    if process::answer(Command::new("id").arg("-u")).is_none_or(|id| id.trim() != "0") {
        bail!("rustup could not add it, and installing Debian's packages needs root");
    }
    // Old package lists name versions that are gone; a failed update may still leave a list that works.
    if let Err(error) = process::step(apt().args(["update", "-q"])) {
        eprintln!("{error:#}");
    }
    let mut words = INSTALL.split(' ').skip(1);
    let mut apt = apt();
    apt.args(["-q", "-y"]).args(&mut words);
    process::step(&mut apt)
}

fn apt() -> Command {
    let mut apt = Command::new("apt-get");
    apt.env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

fn libraries(sysroot: &Path) -> PathBuf {
    sysroot.join("lib/rustlib").join(CORE_TARGET).join("lib")
}

/// Builds an empty crate together with the standard library and keeps the library's part.
fn build(repo: &Repo, sysroot: &Path) -> Result<()> {
    let scratch = repo.tools().join("wasm-sysroot").join("build");
    let crate_folder = scratch.join("empty");
    fs::create_dir_all(crate_folder.join("src")).with_context(|| format!("cannot make {}", crate_folder.display()))?;
    fs::write(
        crate_folder.join("Cargo.toml"),
        "[package]\nname = \"empty\"\nversion = \"0.0.0\"\nedition = \"2021\"\n[lib]\n[workspace]\n[profile.release]\npanic = \"abort\"\n",
    )?;
    fs::write(crate_folder.join("src/lib.rs"), "")?;
    let target = scratch.join("target");
    let mut cargo = debian_cargo();
    cargo.args(["build", "--release", "--target", CORE_TARGET]).current_dir(&crate_folder);
    cargo.env("CARGO_TARGET_DIR", &target);
    cargo.env("RUSTC_BOOTSTRAP", "1").env("CARGO_UNSTABLE_BUILD_STD", "std,panic_abort");
    cargo.env("RUSTFLAGS", "-Cembed-bitcode=yes");
    process::step(&mut cargo)?;

    let built = target.join(CORE_TARGET).join("release/deps");
    let part = scratch.join("part");
    if part.exists() {
        fs::remove_dir_all(&part).with_context(|| format!("cannot remove {}", part.display()))?;
    }
    let libraries = libraries(&part);
    fs::create_dir_all(&libraries).with_context(|| format!("cannot make {}", libraries.display()))?;
    for entry in fs::read_dir(&built).with_context(|| format!("cannot read {}", built.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rlib")
            && let Some(name) = path.file_name()
        {
            fs::copy(&path, libraries.join(name)).with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    if sysroot.exists() {
        fs::remove_dir_all(sysroot).with_context(|| format!("cannot remove {}", sysroot.display()))?;
    }
    fs::rename(&part, sysroot).with_context(|| format!("cannot move {} into place", part.display()))?;
    fs::remove_dir_all(&scratch).with_context(|| format!("cannot remove {}", scratch.display()))
}
