//! `seriatim dead-letters`: what was given up: look at it, give it again, take it out, delete it.

mod act;
mod look;

#[cfg(test)]
mod tests;

use super::door::{self, Failure, HostArgs, Said};
use super::entity::entity;
use super::output;
use crate::control::DeadLetterQuery;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Looks at dead letters, gives them again, exports or deletes them.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists dead letters, oldest first.
    List(ListArgs),
    /// Shows a dead letter with headers and payload.
    Show(ShowArgs),
    /// Gives a dead letter's event to its entity again, once, however often it is asked for; or those of many.
    Redrive(RedriveArgs),
    /// Writes dead letters with headers and payload (base64) as JSON, one a line.
    Export(ExportArgs),
    /// Deletes dead letters for good.
    Purge(PurgeArgs),
}

/// Which dead letters: those that match everything that is said.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ChoiceArgs {
    /// Of this pipeline.
    #[arg(long, value_name = "NAME")]
    pipeline: Option<String>,
    /// For this reason, such as gap, trap or retries-exhausted.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Of this entity.
    #[arg(long, value_name = "ENTITY", value_parser = entity, allow_hyphen_values = true)]
    entity: Option<String>,
    /// Failed in this handler.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Written longer ago than this, such as 30d.
    #[arg(long, value_name = "DURATION", value_parser = output::duration)]
    older_than: Option<Duration>,
    /// Written within this time, such as 2h.
    #[arg(long, value_name = "DURATION", value_parser = output::duration)]
    newer_than: Option<Duration>,
}

impl ChoiceArgs {
    fn query(&self, now: u64) -> DeadLetterQuery {
        let before = |age: &Duration| now.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX));
        DeadLetterQuery {
            pipeline: self.pipeline.clone(),
            reason: self.reason.clone(),
            entity: self.entity.clone(),
            handler: self.handler.clone(),
            since: self.newer_than.as_ref().map(before),
            until: self.older_than.as_ref().map(before),
            from: 0,
            limit: 0,
        }
    }

    const fn is_empty(&self) -> bool {
        self.pipeline.is_none()
            && self.reason.is_none()
            && self.entity.is_none()
            && self.handler.is_none()
            && self.older_than.is_none()
            && self.newer_than.is_none()
    }
}

/// Arguments of `dead-letters list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// From this number on.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    from: u64,
    /// Most dead letters to print.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    host: HostArgs,
}

/// Arguments of `dead-letters show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Its number: its sequence in the dead-letter stream.
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    number: u64,
    #[command(flatten)]
    host: HostArgs,
}

/// Arguments of `dead-letters redrive`.
#[derive(Debug, clap::Args)]
pub(super) struct RedriveArgs {
    /// Their numbers. Without one, all that match the options.
    #[arg(value_name = "N", allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..),
        conflicts_with_all = ["pipeline", "reason", "entity", "handler", "older_than", "newer_than", "all"])]
    numbers: Vec<u64>,
    #[command(flatten)]
    choice: ChoiceArgs,
    /// All there are.
    #[arg(long)]
    all: bool,
    /// Although events of the entity were applied since: the handler sees delivery.late() = true.
    #[arg(long)]
    out_of_order: bool,
    /// Give this file's bytes as the payload instead.
    #[arg(long, value_name = "FILE")]
    edit: Option<PathBuf>,
    /// Do nothing, only list which.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// Arguments of `dead-letters export`.
#[derive(Debug, clap::Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// From this number on.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    from: u64,
    /// File to write, which must not be there yet; without it standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
}

/// Arguments of `dead-letters purge`.
#[derive(Debug, clap::Args)]
pub(super) struct PurgeArgs {
    #[command(flatten)]
    choice: ChoiceArgs,
    /// All there are.
    #[arg(long, conflicts_with_all = ["pipeline", "reason", "entity", "handler", "older_than", "newer_than"])]
    all: bool,
    /// Delete nothing, only count.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    host: HostArgs,
}

/// Runs one of the commands.
pub(super) async fn main(config: &Path, command: Command) -> ExitCode {
    door::end(run(config, command).await)
}

async fn run(config: &Path, command: Command) -> Result<Said, Failure> {
    match command {
        Command::List(args) => look::list(&*args.host.open(config)?, &args).await,
        Command::Show(args) => look::show(&*args.host.open(config)?, &args).await,
        Command::Redrive(args) => act::redrive(&*args.host.open(config)?, &args).await,
        Command::Export(args) => look::export(&*args.host.open(config)?, &args).await,
        Command::Purge(args) => act::purge(&*args.host.open(config)?, &args).await,
    }
}
