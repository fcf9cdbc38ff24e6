//! `seriatim plugin …`: components of handlers.

mod deploy;

use super::door::end;
use std::path::Path;
use std::process::ExitCode;

/// What to do with components.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists which component each handler of a running host runs, and which it can go back to.
    List(deploy::List),
    /// Has a handler run another component, from the next event of each entity on. It lasts until what the config names changes.
    Load(deploy::Load),
    /// Has a handler run the component before again, or another one that is kept.
    Rollback(deploy::Rollback),
    /// Lets go of what state was before its migrations: they cannot be taken back any more.
    Confirm(deploy::Confirm),
}

/// Runs the command.
pub(super) async fn main(config: &Path, command: Command) -> ExitCode {
    end(match command {
        Command::List(args) => deploy::list(config, &args).await,
        Command::Load(args) => deploy::load(config, &args).await,
        Command::Rollback(args) => deploy::rollback(config, &args).await,
        Command::Confirm(args) => deploy::confirm(config, &args).await,
    })
}
