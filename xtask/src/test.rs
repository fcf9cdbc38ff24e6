//! `cargo xtask test`: everything the tests need, then every test.
//!
//! Cargo's own lines are the report. A part that fails does not stop the next one; the command fails at the end and names them.

use std::env;
use std::num::NonZeroUsize;
use std::process::Command;
use std::thread;

use anyhow::{Result, bail};

use crate::build::{self, Programs};
use crate::guests;
use crate::new_handler;
use crate::page;
use crate::process;
use crate::repo::Repo;
use crate::tools::{self, CORE_TARGET, Tools};

/// What runs handlers natively, without a host: the SDK, the examples, and the table that the SDK's test kit shares with the host's tests.
const NATIVE: [(&str, &[&str]); 3] = [
    ("guest-sdk", &["--manifest-path", "guest-sdk/Cargo.toml", "--all-features"]),
    ("plugins", &["--manifest-path", "plugins/Cargo.toml", "--workspace"]),
    ("contract in the test kit", &["--manifest-path", "tests/guests/misbehave/Cargo.toml"]),
];

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave out the end-to-end tests, the pages of the docs, the SDK, the plugins' own tests and the builds for wasm that only prove something
    #[arg(long)]
    fast: bool,
    /// Handed to the test programs: a filter, `--nocapture`, …
    #[arg(last = true)]
    rest: Vec<String>,
}

/// Runs the tests; an error names the parts that failed.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let tools = tools::ensure(repo)?;
    guests::build(repo, &tools)?;
    let programs = Programs::build(repo)?;
    let binary = programs.path("seriatim")?;

    let mut host = process::cargo();
    host.arg("test").args(build::WORKSPACE).arg("--no-fail-fast");
    host.env("SERIATIM_BIN", &binary).env("SERIATIM_NATS_SERVER", &tools.nats_server).env("SERIATIM_PLUGINS", repo.plugins());
    // The end-to-end tests wait most of their time: for a broker that starts, a window that ends, an alarm that rings.
    if env::var_os("RUST_TEST_THREADS").is_none() {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        host.env("RUST_TEST_THREADS", cores.saturating_mul(2).to_string());
    }
    let mut failed = Vec::new();
    if !args.fast {
        fuzzer(repo, &mut host, &mut failed);
    }
    with(&mut host, repo, args);
    if args.fast {
        // By name, not by package: another choice of packages is another choice of features, and a build of its own.
        host.args(["--skip", "e2e::"]);
    }
    part("workspace", &mut host, &mut failed);
    if !args.fast {
        part("pure core for wasm", &mut pure_core(repo, &tools), &mut failed);
        // A filter names tests, of which a page is none.
        for page in page::PAGES.into_iter().filter(|_| args.rest.is_empty()) {
            note(page, page::follow(repo, &tools, &programs, page), &mut failed);
        }
        if args.rest.is_empty() {
            note("a new handler", new_handler::check(repo, &tools, &programs), &mut failed);
        }
        // Last, so that what closes the output is a count of tests.
        for (name, arguments) in NATIVE {
            let mut cargo = process::cargo();
            cargo.arg("test").args(arguments).env("CARGO_TARGET_DIR", repo.target().join("guest-sdk"));
            part(name, with(&mut cargo, repo, args), &mut failed);
        }
    }
    if !failed.is_empty() {
        bail!("tests failed: {}", failed.join(", "));
    }
    Ok(())
}

fn with<'a>(cargo: &'a mut Command, repo: &Repo, args: &Args) -> &'a mut Command {
    cargo.current_dir(repo.root()).arg("--").args(&args.rest)
}

fn part(name: &'static str, command: &mut Command, failed: &mut Vec<&'static str>) {
    note(name, process::step(command), failed);
}

fn note(name: &'static str, result: Result<()>, failed: &mut Vec<&'static str>) {
    if let Err(error) = result {
        eprintln!("error: {error:#}");
        failed.push(name);
    }
}

/// Gives the tests the fuzzer of the admin API. Without it they leave that out, which is said here, and is a failure in CI.
fn fuzzer(repo: &Repo, host: &mut Command, failed: &mut Vec<&'static str>) {
    match tools::schemathesis::ensure(repo) {
        Ok(folder) => {
            host.env("SERIATIM_SCHEMATHESIS", folder);
        }
        Err(error) if process::is_ci() => note("fuzzing of the admin API", Err(error), failed),
        Err(error) => eprintln!("fuzzing of the admin API: no schemathesis ({error:#}), left out"),
    }
}

/// The sequencer must compile where there is no operating system. (That it also behaves the same there is the guest `sequencer-purity`.)
fn pure_core(repo: &Repo, tools: &Tools) -> Command {
    let mut cargo = tools.wasm.cargo();
    cargo.args(["build", "--package", "seriatim-sequencer", "--target", CORE_TARGET]).current_dir(repo.root());
    cargo.env("CARGO_TARGET_DIR", repo.target().join("guests"));
    cargo
}
