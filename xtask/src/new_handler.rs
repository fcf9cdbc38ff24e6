//! What `seriatim plugin new` writes is built and tested as its README says, without a network, with the toolchain that builds all other handlers.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::Programs;
use crate::process;
use crate::repo::Repo;
use crate::tools::{self, CORE_TARGET, Tools};

const NAME: &str = "made-for-a-test";

/// `cargo xtask new-handler`: builds what it needs, and does it.
pub(crate) fn run(repo: &Repo) -> Result<()> {
    check(repo, &tools::ensure(repo)?, &Programs::build(repo)?)
}

/// Makes a handler, runs its test, builds it, and runs the file on its own events.
pub(crate) fn check(repo: &Repo, tools: &Tools, programs: &Programs) -> Result<()> {
    let _lock = repo.lock("new-handler")?;
    let seriatim = programs.path("seriatim")?;
    let folder = repo.target().join("new-handler");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    process::step(Command::new(&seriatim).args(["plugin", "new", NAME, "--sdk"]).arg(repo.root()).arg("--path").arg(&folder))?;
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
    let mut run = Command::new(&seriatim);
    run.args(["plugin", "test"]).arg(built).args(["events.ndjson", "--expect", "expected.ndjson", "--attack"]);
    process::step(run.current_dir(&folder))?;
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))
}
