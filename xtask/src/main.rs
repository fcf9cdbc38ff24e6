//! `cargo xtask`: everything the project does to itself that is more than one cargo command.
//!
//! Each command is one module and one line in [`Command`]. Nothing here is part of the product, and the product never calls it.

mod bench;
mod build;
mod chaos;
mod ci;
mod demo;
mod deploy;
mod guests;
mod languages;
mod mutants;
mod new_handler;
mod page;
mod process;
mod repo;
mod sim;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use clap::Parser;

use crate::repo::Repo;

/// Builds, tests and checks Seriatim.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Find or install what tests need: a nats-server and the wasm targets
    Tools,
    /// Build every example handler and test guest to `target/plugins/<name>.wasm`
    Plugins(guests::Args),
    /// Kill a host six times in the middle of a month of real flights, and check every output
    Demo(demo::Args),
    /// Measure the host beside raw async-nats loops, in a release build
    Bench(bench::Args),
    /// Kill, stop and cut off broker and host again and again under load, and judge what is left
    Chaos(chaos::Args),
    /// Run the host's parts in one thread and virtual time over a broker and a disk that misbehave, seed by seed
    Sim(sim::Args),
    /// Run every test (tools and plugins first)
    Test(test::Args),
    /// Make each deliberate mistake in turn: tests, simulation or chaos must notice
    Mutants(mutants::Args),
    /// Do what a page of the docs says, block by block (part of `test`)
    Page(page::Args),
    /// Make handlers with `seriatim plugin new`, build them and run their tests (part of `test`; in languages other than Rust, of `ci`)
    NewHandler(new_handler::Args),
    /// Check the rules of the house: imports, sizes, and that docs and code agree
    Tidy(tidy::Args),
    /// Everything CI checks after the tests: formatting, lints, docs, tidy, deployment files, dependencies, handlers in other languages, a quick benchmark
    Ci(ci::Args),
}

fn main() -> ExitCode {
    match run(Command::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    let repo = Repo::find()?;
    match command {
        Command::Tools => tools::ensure(&repo)?.describe(),
        Command::Plugins(args) => guests::run(&repo, &args)?,
        Command::Demo(args) => demo::run(&repo, &args)?,
        Command::Bench(args) => bench::run(&repo, &args)?,
        Command::Chaos(args) => chaos::run(&repo, &args)?,
        Command::Sim(args) => sim::run(&repo, &args)?,
        Command::Test(args) => test::run(&repo, &args)?,
        Command::Mutants(args) => mutants::run(&repo, &args)?,
        Command::NewHandler(args) => new_handler::run(&repo, &args)?,
        Command::Page(args) => page::run(&repo, &args)?,
        Command::Tidy(args) => tidy::run(&repo, &args)?,
        Command::Ci(args) => ci::run(&repo, &args)?,
    }
    Ok(())
}
