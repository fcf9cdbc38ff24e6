//! `cargo xtask`: everything the project does to itself that is more than one cargo command.
//!
//! Each command is one module and one line in [`Command`]. Nothing here is part of the product, and the product never calls it.

mod build;
mod ci;
mod guests;
mod process;
mod repo;
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
    Plugins,
    /// Run every test (tools and plugins first)
    Test(test::Args),
    /// Check the rules of the house: imports, sizes, and that docs and code agree
    Tidy(tidy::Args),
    /// Everything CI checks after the tests: formatting, lints, docs, tidy, dependencies
    Ci,
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
        Command::Plugins => guests::build(&repo, &tools::ensure(&repo)?)?,
        Command::Test(args) => test::run(&repo, &args)?,
        Command::Tidy(args) => tidy::run(&repo, &args)?,
        Command::Ci => ci::run(&repo)?,
    }
    Ok(())
}
