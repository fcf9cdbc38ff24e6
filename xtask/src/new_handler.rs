//! What `seriatim plugin new` writes is built and tested as its README says, without a network, with the toolchains that build all other handlers.

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

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

/// Makes a handler in Rust, runs its test, builds it, and runs the file on its own events: with nothing but what is in its folder and cargo's crates. Its test is
/// run with the SDK of the checkout, too.
pub(crate) fn check(repo: &Repo, tools: &Tools, programs: &Programs) -> Result<()> {
    let _lock = repo.lock("new-handler")?;
    let seriatim = programs.path("seriatim")?;
    let folder = outside(repo)?;
    make(&seriatim, "rust", &folder, |new| new)?;
    test(repo, &folder)?;
    let mut build = tools.wasm.cargo();
    build.args(["build", "--quiet", "--offline", "--release", "--target", CORE_TARGET]);
    build.env("CARGO_TARGET_DIR", repo.target().join("guests")).env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    process::step(build.current_dir(&folder))?;
    let built = repo.target().join("guests").join(CORE_TARGET).join("release").join(format!("{}.wasm", NAME.replace('-', "_")));
    try_out(repo, &seriatim, &folder, &built)?;
    remove(&folder)?;

    let folder = inside(repo, "rust");
    make(&seriatim, "rust", &folder, |new| new.arg("--sdk").arg(repo.root()))?;
    // The versions that everything else here is built with: there is no network to ask for others.
    fs::copy(repo.path("guest-sdk/Cargo.lock"), folder.join("Cargo.lock")).context("cannot copy the SDK's Cargo.lock")?;
    test(repo, &folder)?;
    remove(&folder)
}

/// The same in each of these languages.
pub(crate) fn check_others(repo: &Repo, programs: &Programs, toolchains: &[Toolchain]) -> Result<()> {
    let _lock = repo.lock("new-handler")?;
    let seriatim = programs.path("seriatim")?;
    for toolchain in toolchains {
        let language = toolchain.language();
        let folder = inside(repo, language.name());
        make(&seriatim, language.name(), &folder, |new| new)?;
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

/// A new handler's folder in the checkout.
fn inside(repo: &Repo, language: &str) -> PathBuf {
    repo.target().join("new-handler").join(language)
}

/// One outside it, where neither cargo nor a path leads back. It is the same each time: what a failed run leaves is found there, and goes with the next.
fn outside(repo: &Repo) -> Result<PathBuf> {
    let mut hasher = DefaultHasher::new();
    repo.root().hash(&mut hasher);
    let folder = env::temp_dir().join(format!("seriatim-new-handler-{:016x}", hasher.finish()));
    ensure!(!folder.starts_with(repo.root()), "the temporary folder {} is inside the checkout: set TMPDIR to another", folder.display());
    Ok(folder)
}

/// Makes a new handler there. What a run before left, so that one could look at it, is gone.
fn make(seriatim: &Path, language: &str, folder: &Path, more: impl FnOnce(&mut Command) -> &mut Command) -> Result<()> {
    remove(folder)?;
    let mut new = Command::new(seriatim);
    new.args(["plugin", "new", NAME, "--language", language]).arg("--path").arg(folder);
    process::step(more(&mut new))
}

/// Runs a Rust handler's own test.
fn test(repo: &Repo, folder: &Path) -> Result<()> {
    let mut test = process::cargo();
    test.args(["test", "--quiet", "--offline"]).env("CARGO_TARGET_DIR", repo.target().join("guest-sdk"));
    process::step(test.current_dir(folder))
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
