//! What `seriatim plugin new` writes is built and tested as its README says, without a network, with the toolchains that build all other handlers.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::Programs;
use crate::languages::{self, Language, Toolchain};
use crate::process;
use crate::repo::Repo;
use crate::tools::{self, CORE_TARGET, Tools};

const NAME: &str = "made-for-a-test";

/// What to make new handlers in, beside Rust.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Also one in each of these languages
    #[arg(long, value_delimiter = ',')]
    languages: Vec<Language>,
    /// Fail where a language's tools cannot be had, instead of skipping it by name (as where `CI` is set in the environment)
    #[arg(long)]
    strict: bool,
}

/// `cargo xtask new-handler`: builds what it needs, and does it.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let (tools, programs) = (tools::ensure(repo)?, Programs::build(repo)?);
    check(repo, &tools, &programs)?;
    check_others(repo, &programs, &languages::toolchains(repo, &args.languages, args.strict || process::is_ci())?)
}

/// Makes a handler in Rust, runs its test, builds it, and runs the file on its own events.
pub(crate) fn check(repo: &Repo, tools: &Tools, programs: &Programs) -> Result<()> {
    let _lock = repo.lock("new-handler")?;
    let seriatim = programs.path("seriatim")?;
    let folder = make(repo, &seriatim, "rust", |new| new.arg("--sdk").arg(repo.root()))?;
    // The versions that everything else here is built with: there is no network to ask for others.
    fs::copy(repo.path("guest-sdk/Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy the SDK's Cargo.lock")?;

    let mut test = process::cargo();
    test.args(["test", "--quiet", "--offline"]).env("CARGO_TARGET_DIR", repo.target().join("guest-sdk"));
    process::step(test.current_dir(&folder))?;
    let mut build = tools.wasm.cargo();
    build.args(["build", "--quiet", "--offline", "--release", "--target", CORE_TARGET]);
    build.env("CARGO_TARGET_DIR", repo.target().join("guests")).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::step(build.current_dir(&folder))?;
    let built = repo.target().join("guests").join(CORE_TARGET).join("release").join(format!("{}.wasm", NAME.replace('-', "_")));
    try_out(repo, &seriatim, &folder, &built)?;
    remove(&folder)
}

/// The same in each of these languages.
pub(crate) fn check_others(repo: &Repo, programs: &Programs, toolchains: &[Toolchain]) -> Result<()> {
    let _lock = repo.lock("new-handler")?;
    let seriatim = programs.path("seriatim")?;
    for toolchain in toolchains {
        let language = toolchain.language();
        let folder = make(repo, &seriatim, language.name(), |new| new)?;
        if language == Language::Javascript {
            // Where the network is, `npm install` makes it.
            symlink(repo.path("plugins/node_modules"), folder.join("node_modules")).context("cannot link node_modules")?;
        }
        languages::run_tests(toolchain, &folder)?;
        let built = languages::run_build(toolchain, &folder, NAME)?;
        try_out(repo, &seriatim, &folder, &built)?;
        remove(&folder)?;
    }
    Ok(())
}

/// A new handler's folder. What a run before left there, so that one could look at it, is gone.
fn make(repo: &Repo, seriatim: &Path, language: &str, more: impl FnOnce(&mut Command) -> &mut Command) -> Result<PathBuf> {
    let folder = repo.target().join("new-handler").join(language);
    remove(&folder)?;
    let mut new = Command::new(seriatim);
    new.args(["plugin", "new", NAME, "--language", language]).arg("--path").arg(&folder);
    process::step(more(&mut new))?;
    Ok(folder)
}

/// Runs the file on the events that were made with it, in every way that must make no difference.
fn try_out(repo: &Repo, seriatim: &Path, folder: &Path, built: &Path) -> Result<()> {
    let mut run = Command::new(seriatim);
    run.args(["plugin", "test"]).arg(built).args(["events.ndjson", "--expect", "expected.ndjson", "--attack", "--outputs"]);
    // A host that is built for tests is slow, and so may the machine be.
    run.arg(format!("{NAME}.*")).args(["--memory-max", "64MiB", "--time-max", "60s", "--cache"]);
    run.arg(repo.target().join("new-handler-compiled"));
    process::step(run.current_dir(folder))
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}
