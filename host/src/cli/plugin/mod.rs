//! `seriatim plugin`: what handlers are, whether they do what they should, and how one begins.

mod inspect;
mod new;
mod settings;
mod templates;
mod test;

use super::door::{self, Failure, Said};
use std::path::Path;
use std::process::ExitCode;

/// Looks at a handler's file, tries it on events, and begins a new one.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Says what a handler's file is, what it imports and what it costs on this machine. Needs no host, no broker and no config.
    Inspect(inspect::Args),
    /// Runs a handler's file on events from a file, as a host would, without one: prints outputs and state, and compares them with what was expected.
    Test(Box<test::Args>),
    /// Writes a folder with a new handler that builds and has a passing test.
    New(new::Args),
}

impl Command {
    /// Whether what a handler logs is not the answer: only its warnings are shown then, unless the user asks for more.
    pub(super) const fn is_quiet(&self) -> bool {
        match self {
            Self::Inspect(_) | Self::Test(_) | Self::New(_) => true,
        }
    }
}

/// Runs one of the commands.
pub(super) async fn main(command: Command) -> ExitCode {
    door::end(run(command).await)
}

async fn run(command: Command) -> Result<Said, Failure> {
    match command {
        Command::Inspect(args) => inspect::run(&args).await,
        Command::Test(args) => test::run(&args).await,
        Command::New(args) => new::run(&args),
    }
}

/// The bytes of a handler's file.
fn component(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Failed(format!("{}: cannot be read: {error}", path.display())))
}
