//! `cargo xtask ci`: what CI checks after the tests. Every check runs, whatever the ones before it said; the command fails at the end.

use std::process::Command;

use anyhow::{Result, bail};

use crate::bench;
use crate::build::{self, Programs};
use crate::deploy;
use crate::guests;
use crate::languages::{self, Language};
use crate::new_handler;
use crate::process;
use crate::repo::Repo;
use crate::tidy;
use crate::tools::{self, CORE_TARGET, Tools, WASI_TARGET};

/// What to check how.
#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Fail where a linter that has to check something cannot be had, instead of saying so (as where `CI` is set in the environment)
    #[arg(long)]
    strict: bool,
}

/// Runs every check; an error names those that failed.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let strict = args.strict || process::is_ci();
    let tools = tools::ensure(repo)?;
    let mut failed = Vec::new();
    let mut note = |name: &'static str, result: Result<()>| {
        if let Err(error) = result {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    };
    note("format", format(repo));
    note("lints", lints(repo));
    note("lints of guests", guest_lints(repo, &tools));
    note("docs", docs(repo));
    note("tidy", tidy::run(repo, &tidy::Args::default()));
    note("dependencies", dependencies(repo));
    note("deploy", deploy::lint(repo, strict));
    note("handlers in other languages", other_languages(repo, &tools, strict));
    note("benchmark", bench::quick(repo, &tools));
    if !failed.is_empty() {
        bail!("ci: failed: {}", failed.join(", "));
    }
    println!("ci: everything checked is right");
    Ok(())
}

/// A cargo for one of the workspaces, all of which are folders of the checkout.
fn cargo_in(repo: &Repo, folder: &str) -> Command {
    let mut cargo = process::cargo();
    cargo.current_dir(repo.path(folder));
    cargo
}

/// A part of the toolchain that a minimal installation leaves out.
fn component(subcommand: &str, name: &str) -> Result<()> {
    let there = || process::answer(process::cargo().args([subcommand, "--version"])).is_some();
    if there() || (process::step(Command::new("rustup").args(["component", "add", name])).is_ok() && there()) {
        return Ok(());
    }
    bail!("`cargo {subcommand}` is not installed: `rustup component add {name}`")
}

/// Every workspace of the checkout that exists; the host's is the first.
fn workspaces(repo: &Repo) -> impl Iterator<Item = &'static str> {
    let all = ["", "guest-sdk", "plugins", "tests/guests", guests::WASI_WORKSPACE, "fuzz"];
    all.into_iter().filter(|folder| has_manifest(repo, folder))
}

fn has_manifest(repo: &Repo, folder: &str) -> bool {
    repo.path(folder).join("Cargo.toml").is_file()
}

fn format(repo: &Repo) -> Result<()> {
    component("fmt", "rustfmt")?;
    let mut wrong = Vec::new();
    for folder in workspaces(repo) {
        if process::step(cargo_in(repo, folder).args(["fmt", "--check"])).is_err() {
            wrong.push(if folder.is_empty() { "the host's workspace" } else { folder });
        }
    }
    if !wrong.is_empty() {
        bail!("run `cargo fmt` in {}", wrong.join(", "));
    }
    Ok(())
}

fn lints(repo: &Repo) -> Result<()> {
    component("clippy", "clippy")?;
    process::step(cargo_in(repo, "").arg("clippy").args(build::WORKSPACE).args(["--all-targets", "--", "-D", "warnings"]))?;
    // As it is released: without failpoints something may be unused.
    process::step(cargo_in(repo, "").args(["clippy", "--workspace", "--", "-D", "warnings"]))
}

fn guest_lints(repo: &Repo, tools: &Tools) -> Result<()> {
    let target_folder = repo.target().join("guests");
    let clippy = |folder: &str, arguments: &[&str]| {
        let mut cargo = cargo_in(repo, folder);
        cargo.args(["clippy", "--workspace"]).args(arguments).args(["--", "-D", "warnings"]).env("CARGO_TARGET_DIR", &target_folder);
        process::step(&mut cargo)
    };
    clippy("guest-sdk", &["--all-targets", "--all-features"])?;
    // Natively: their tests, and what is no handler.
    clippy("plugins", &["--all-targets"])?;
    if !tools.wasm.is_own_toolchain() {
        println!("lints of guests: the compiler for wasm has no clippy, not checked");
        return Ok(());
    }
    for workspace in guests::CORE_WORKSPACES {
        clippy(workspace, &["--release", "--target", CORE_TARGET])?;
    }
    if has_manifest(repo, guests::WASI_WORKSPACE) && tools.wasm.has_wasi() {
        clippy(guests::WASI_WORKSPACE, &["--release", "--target", WASI_TARGET])?;
    }
    Ok(())
}

/// Builds the handlers in every language, runs their own tests, makes a new one in each, and holds the examples to the bytes of those in Rust: in the
/// runtime alone, and in a real host with a real broker.
fn other_languages(repo: &Repo, tools: &Tools, strict: bool) -> Result<()> {
    let built = languages::build(repo, &[Language::All], strict)?;
    guests::collect(repo, tools, &built)?;
    languages::test(repo, &built.languages)?;
    let programs = Programs::build(repo)?;
    new_handler::check_others(repo, &programs, &languages::toolchains(repo, &built.languages, strict)?)?;
    let mut suite = cargo_in(repo, "");
    suite.arg("test").args(build::WORKSPACE).args(["--lib", "runtime::tests::languages"]);
    suite.env("SERIATIM_PLUGINS", repo.plugins()).env("SERIATIM_LANGUAGES", built.names());
    process::step(&mut suite)?;
    let mut e2e = cargo_in(repo, "");
    e2e.arg("test").args(build::WORKSPACE).args(["--test", "e2e", "e2e::languages::"]);
    e2e.env("SERIATIM_BIN", programs.path("seriatim")?).env("SERIATIM_NATS_SERVER", &tools.nats_server);
    e2e.env("SERIATIM_PLUGINS", repo.plugins()).env("SERIATIM_LANGUAGES", built.names());
    process::step(&mut e2e)
}

fn docs(repo: &Repo) -> Result<()> {
    process::step(cargo_in(repo, "").args(["doc", "--no-deps"]).args(build::WORKSPACE).env("RUSTDOCFLAGS", "-D warnings"))?;
    let mut sdk = cargo_in(repo, "guest-sdk");
    sdk.args(["doc", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings").env("CARGO_TARGET_DIR", repo.target().join("guests"));
    process::step(&mut sdk)
}

/// Licences, bans and sources are facts of the checkout; advisories need a database that a closed machine cannot fetch.
fn dependencies(repo: &Repo) -> Result<()> {
    if process::answer(process::cargo().args(["deny", "--version"])).is_none() {
        println!("cargo-deny: not installed, not checked");
        return Ok(());
    }
    for folder in workspaces(repo) {
        let mut deny = cargo_in(repo, folder);
        deny.args(["deny", "--log-level", "error", "--config"]).arg(repo.path("deny.toml"));
        process::step(deny.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))?;
    }
    if process::answer(cargo_in(repo, "").args(["deny", "fetch", "db"])).is_none() {
        println!("cargo-deny advisories: the database cannot be reached, not checked");
        return Ok(());
    }
    process::step(cargo_in(repo, "").args(["deny", "--log-level", "error", "check", "advisories"]))
}
