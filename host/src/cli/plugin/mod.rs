//! `seriatim plugin`: what handlers are, whether they do what they should, how one begins, and which component each of a running host runs.

mod deploy;
mod inspect;
mod new;
mod settings;
mod templates;
mod test;

use super::door::{self, Failure, Said};
use std::path::Path;
use std::process::ExitCode;

/// Looks at a handler's file, tries it on events, begins a new one; and brings components to a running host.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Says what a handler's file is, what it imports and what it costs on this machine. Needs no host, no broker and no config.
    Inspect(inspect::Args),
    /// Runs a handler's file on events from a file, as a host would, without one: prints outputs and state, and compares them with what was expected.
    Test(Box<test::Args>),
    /// Writes a folder with a new handler that builds and has a passing test.
    New(new::Args),
    /// Lists which component each handler of a running host runs, and which it can go back to.
    List(deploy::List),
    /// Has a handler run another component, from the next event of each entity on. It lasts until what the config names changes.
    Load(deploy::Load),
    /// Has a handler run the component before again, or another one that is kept.
    Rollback(deploy::Rollback),
    /// Lets go of what state was before its migrations: they cannot be taken back any more.
    Confirm(deploy::Confirm),
}

impl Command {
    /// Whether what a handler logs is not the answer: only its warnings are shown then, unless the user asks for more.
    pub(super) const fn is_quiet(&self) -> bool {
        matches!(self, Self::Inspect(_) | Self::Test(_) | Self::New(_))
    }
}

/// Runs one of the commands.
pub(super) async fn main(config: &Path, command: Command) -> ExitCode {
    door::end(run(config, command).await)
}

async fn run(config: &Path, command: Command) -> Result<Said, Failure> {
    match command {
        Command::Inspect(args) => inspect::run(&args).await,
        Command::Test(args) => test::run(&args).await,
        Command::New(args) => new::run(&args),
        Command::List(args) => deploy::list(config, &args).await,
        Command::Load(args) => deploy::load(config, &args).await,
        Command::Rollback(args) => deploy::rollback(config, &args).await,
        Command::Confirm(args) => deploy::confirm(config, &args).await,
    }
}

/// The bytes of a handler's file.
fn component(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Failed(format!("{}: cannot be read: {error}", path.display())))
}
