//! Builds every example handler and every test guest, each to `target/plugins/<package name>.wasm`.
//!
//! Guests are workspaces of their own, so that they inherit neither the host's target nor its profiles; they share one target folder. A
//! finished file is replaced only when its bytes changed: whoever caches by time or watches the folder sees no change where there is none.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::build::{self, Artifact, Programs, Target};
use crate::languages::{self, Built, Language};
use crate::process;
use crate::repo::Repo;
use crate::tools::{self, CORE_TARGET, Tools, WASI_TARGET};

/// The workspaces of guests that are core modules.
pub(crate) const CORE_WORKSPACES: [&str; 2] = ["plugins", "tests/guests"];
/// The workspace of guests that are WASI 0.2 components.
pub(crate) const WASI_WORKSPACE: &str = "tests/guests/wasip2";

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    targets: Vec<Target>,
}

/// What to build beside the handlers in Rust.
#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Also those in these languages
    #[arg(long, value_delimiter = ',')]
    languages: Vec<Language>,
    /// Fail where a language's tools cannot be had, instead of skipping it by name (as where `CI` is set in the environment)
    #[arg(long)]
    strict: bool,
    /// Print what handlers cost in these languages, as the table in docs/handlers.md: builds a release and has it inspect `echo` in each
    #[arg(long)]
    measure: bool,
    /// Measure with this `seriatim` instead of building a release
    #[arg(long, value_name = "FILE", requires = "measure")]
    seriatim: Option<PathBuf>,
}

/// `cargo xtask plugins`.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let built = languages::build(repo, &args.languages, args.strict || process::is_ci())?;
    collect(repo, &tools::ensure(repo)?, &built)?;
    if args.measure {
        let seriatim = match &args.seriatim {
            Some(program) => program.clone(),
            None => Programs::released(repo)?.path("seriatim")?,
        };
        print!("{}", languages::measure::table(&seriatim, &repo.plugins(), &built.languages)?);
    }
    Ok(())
}

/// Builds those in Rust; prints one line for each file that changed.
pub(crate) fn build(repo: &Repo, tools: &Tools) -> Result<()> {
    collect(repo, tools, &Built::default())
}

/// Builds those in Rust, and puts them beside those in other languages.
pub(crate) fn collect(repo: &Repo, tools: &Tools, others: &Built) -> Result<()> {
    let _lock = repo.lock("plugins")?;
    let plugins = repo.plugins();
    fs::create_dir_all(&plugins).with_context(|| format!("cannot make {}", plugins.display()))?;
    let mut made = BTreeMap::new();
    for workspace in CORE_WORKSPACES {
        build_workspace(repo, tools.wasm.cargo(), workspace, CORE_TARGET, &mut made)?;
    }
    if repo.path(WASI_WORKSPACE).join("Cargo.toml").is_file() {
        if tools.wasm.has_wasi() {
            build_workspace(repo, process::cargo(), WASI_WORKSPACE, WASI_TARGET, &mut made)?;
        } else {
            eprintln!("{WASI_WORKSPACE}: skipped, the compiler has no {WASI_TARGET} target (`rustup target add {WASI_TARGET}`)");
        }
    }
    made.extend(others.files.iter().cloned());
    remove_strangers(&plugins, &made)?;
    for (name, built) in &made {
        let finished = plugins.join(format!("{name}.wasm"));
        if copy_if_changed(built, &finished)? {
            println!("{}", finished.display());
        }
    }
    Ok(())
}

fn build_workspace(
    repo: &Repo,
    mut cargo: std::process::Command,
    workspace: &str,
    target: &str,
    made: &mut BTreeMap<String, PathBuf>,
) -> Result<()> {
    let folder = repo.path(workspace);
    if !folder.join("Cargo.toml").is_file() {
        bail!("{workspace}/Cargo.toml is not there");
    }
    let names = members(&folder).with_context(|| format!("cannot list the packages of {workspace}"))?;
    cargo.args(["build", "--quiet", "--release", "--target", target]).current_dir(&folder);
    for name in names.values() {
        cargo.args(["--package", name]);
    }
    cargo.env("CARGO_TARGET_DIR", repo.target().join("guests"));
    // Made for the host's compiler, not for wasm's.
    cargo.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let artifacts = build::artifacts(&mut cargo).with_context(|| format!("cannot build {workspace} for {target}"))?;
    for (name, path) in artifacts.iter().filter_map(|artifact| guest(artifact, &names)) {
        if made.insert(name.clone(), path).is_some() {
            bail!("two guests are named {name}; the second is in {workspace}");
        }
    }
    Ok(())
}

/// Package id → name, of the workspace's members that are guests. A library that only their tests use is not built for wasm.
fn members(folder: &Path) -> Result<BTreeMap<String, String>> {
    let text = process::stdout_of(process::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).current_dir(folder))?;
    let metadata: Metadata = serde_json::from_str(&text).context("cargo metadata printed something else")?;
    let guests = metadata.packages.into_iter().filter(|package| package.targets.iter().any(is_guest));
    Ok(guests.map(|package| (package.id, package.name)).collect())
}

/// Whether a finished file comes of it.
fn is_guest(target: &Target) -> bool {
    target.kind.iter().any(|kind| kind == "cdylib" || kind == "bin")
}

/// The finished guest's name and file, if this is one: a cdylib goes by its package's name, a binary by its own.
fn guest(artifact: &Artifact, members: &BTreeMap<String, String>) -> Option<(String, PathBuf)> {
    let package = members.get(&artifact.package_id)?;
    let name = if artifact.target.kind.iter().any(|kind| kind == "bin") { &artifact.target.name } else { package };
    let path = artifact.filenames.iter().find(|path| path.extension().is_some_and(|extension| extension == "wasm"))?;
    Some((name.clone(), path.clone()))
}

/// A handler that is built no more must not go on passing for one that is.
fn remove_strangers(plugins: &Path, made: &BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(plugins).with_context(|| format!("cannot read {}", plugins.display()))? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|extension| extension == "wasm") && !made.contains_key(&name) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
}

fn copy_if_changed(from: &Path, to: &Path) -> Result<bool> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(false);
    }
    let part = to.with_extension("tmp");
    fs::write(&part, &bytes).with_context(|| format!("cannot write {}", part.display()))?;
    fs::rename(&part, to).with_context(|| format!("cannot move {} into place", part.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::{Artifact, guest, is_guest};
    use crate::build::{Profile, Target};

    fn artifact(kind: &str, name: &str, files: &[&str]) -> Artifact {
        Artifact {
            package_id: "id".to_owned(),
            target: Target { name: name.to_owned(), kind: vec![kind.to_owned()] },
            profile: Profile { test: false },
            filenames: files.iter().map(PathBuf::from).collect(),
            executable: None,
        }
    }

    #[test]
    fn a_guest_goes_by_its_package_name() {
        let members = BTreeMap::from([("id".to_owned(), "spin-loop".to_owned())]);
        let found = guest(&artifact("cdylib", "spin_loop", &["/t/spin_loop.wasm"]), &members);
        assert_eq!(found, Some(("spin-loop".to_owned(), PathBuf::from("/t/spin_loop.wasm"))));
        assert_eq!(guest(&artifact("lib", "spin_loop", &["/t/libspin_loop.rlib"]), &members), None);
        assert_eq!(guest(&artifact("cdylib", "spin_loop", &["/t/spin_loop.wasm"]), &BTreeMap::new()), None);
    }

    #[test]
    fn a_library_is_no_guest() {
        let is = |kinds: &[&str]| is_guest(&Target { name: "x".to_owned(), kind: kinds.iter().map(|&kind| kind.to_owned()).collect() });
        assert!(is(&["cdylib", "lib"]) && is(&["bin"]));
        assert!(!is(&["lib"]) && !is(&["test"]) && !is(&["custom-build"]));
    }
}
