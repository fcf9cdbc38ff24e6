//! `seriatim entity`: why an entity does not move, and what to do about it.

mod look;
mod operate;

#[cfg(test)]
mod tests;

use super::door::{self, AnyHostArgs, Failure, HostArgs, PipelineArg, Said};
use super::output;
use crate::control::{Control, EntityName, EntityState, Sort};
use crate::source::decode::check_entity;
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Looks at entities, and parks, resumes, skips or forgets them.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists entities that are in memory, wait or are parked.
    List(ListArgs),
    /// Says why an entity does not move, and everything about it.
    Show(ShowArgs),
    /// Reads an entity's events again from the stream, each with its fate.
    History(HistoryArgs),
    /// Shows what handlers keep for an entity.
    State(StateArgs),
    /// Lets nothing of an entity, or of many, be delivered until an operator says so.
    Park(ParkArgs),
    /// Tries again what an entity is at, or many.
    Resume(GoArgs),
    /// Gives up what an entity is at, the event or what is missing, and goes on; or of many.
    Skip(GoArgs),
    /// Erases an entity's state and ids; refused while something is owed.
    Forget(ForgetArgs),
}

/// Arguments of `entity list`.
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Only those in this state; several with commas, or repeated.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<StateWord>,
    /// Only those that wait for this reason.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Only those whose last failure was this handler's.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// Only those that have waited at least so long, such as 5m.
    #[arg(long, value_name = "DURATION", value_parser = output::duration)]
    older_than: Option<Duration>,
    /// By name, longest waiting first (age), or furthest behind first (backlog).
    #[arg(long, value_name = "ORDER", default_value = "name")]
    sort: SortWord,
    /// Most entities to print.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    /// Where an earlier list ended: what it said to give here.
    #[arg(long, value_name = "TEXT")]
    after: Option<String>,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: AnyHostArgs,
}

/// Arguments of `entity show`.
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The entity.
    #[arg(value_parser = entity, allow_hyphen_values = true)]
    entity: String,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: AnyHostArgs,
}

/// Arguments of `entity history`.
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// The entity.
    #[arg(value_parser = entity, allow_hyphen_values = true)]
    entity: String,
    /// From this stream sequence on.
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    from: u64,
    /// Most events to print.
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: AnyHostArgs,
}

/// Arguments of `entity state`.
#[derive(Debug, clap::Args)]
pub(super) struct StateArgs {
    /// The entity.
    #[arg(value_parser = entity, allow_hyphen_values = true)]
    entity: String,
    /// Only of this handler.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: AnyHostArgs,
}

/// Which entities: one by its name, those of a file, or all that match.
#[derive(Debug, Default, clap::Args)]
pub(super) struct TargetArgs {
    /// The entity.
    #[arg(value_parser = entity, allow_hyphen_values = true, conflicts_with_all = ["from", "state", "reason", "handler", "older_than", "all"])]
    entity: Option<String>,
    /// A file with one entity a line; - is standard input. Empty lines do not count.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// All in this state; several with commas, or repeated. Without it and --reason, resume and skip mean those that are parked.
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<StateWord>,
    /// All that wait for this reason.
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// All whose last failure was this handler's.
    #[arg(long, value_name = "NAME")]
    handler: Option<String>,
    /// All that have waited at least so long, such as 5m.
    #[arg(long, value_name = "DURATION", value_parser = output::duration)]
    older_than: Option<Duration>,
    /// All of the pipeline.
    #[arg(long)]
    all: bool,
    /// Do nothing, only say whom it would meet.
    #[arg(long)]
    dry_run: bool,
}

/// Arguments of `entity park`.
#[derive(Debug, clap::Args)]
pub(super) struct ParkArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: HostArgs,
}

/// Arguments of `entity resume` and `entity skip`.
#[derive(Debug, clap::Args)]
pub(super) struct GoArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// The sequence that the entity must be at; without it, the one it is at when asked.
    #[arg(long, value_name = "N", requires = "entity", conflicts_with_all = ["from", "state", "reason", "handler", "older_than", "all"], allow_negative_numbers = true, value_parser = clap::value_parser!(u64).range(1..))]
    sequence: Option<u64>,
    /// The epoch of --sequence.
    #[arg(long, value_name = "N", requires = "sequence", allow_negative_numbers = true, default_value_t = 0)]
    epoch: u64,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: HostArgs,
}

/// Arguments of `entity forget`.
#[derive(Debug, clap::Args)]
pub(super) struct ForgetArgs {
    /// The entity.
    #[arg(value_parser = entity, allow_hyphen_values = true)]
    entity: String,
    /// Do nothing, only show the entity.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: HostArgs,
}

/// A state, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum StateWord {
    /// In memory, and waits for nothing.
    Live,
    /// Goes on by itself.
    Waiting,
    /// Goes on by an operator's word, or when the missing event comes.
    Parked,
}

impl From<StateWord> for EntityState {
    fn from(word: StateWord) -> Self {
        match word {
            StateWord::Live => Self::Live,
            StateWord::Waiting => Self::Waiting,
            StateWord::Parked => Self::Parked,
        }
    }
}

/// An order, as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum SortWord {
    /// By name.
    Name,
    /// Longest waiting first.
    Age,
    /// Furthest behind first.
    Backlog,
}

impl From<SortWord> for Sort {
    fn from(word: SortWord) -> Self {
        match word {
            SortWord::Name => Self::Name,
            SortWord::Age => Self::Age,
            SortWord::Backlog => Self::Backlog,
        }
    }
}

/// What an entity may be called.
pub(super) fn entity(text: &str) -> Result<String, String> {
    check_entity(text).map(|()| text.to_owned()).map_err(|error| error.to_string())
}

/// Runs one of the commands.
pub(super) async fn main(config: &Path, command: Command) -> ExitCode {
    door::end(run(config, command).await)
}

async fn run(config: &Path, command: Command) -> Result<Said, Failure> {
    match command {
        Command::List(args) => look::list(&*args.host.open(config)?, &args).await,
        Command::Show(args) => look::show(&*args.host.open(config)?, &args).await,
        Command::History(args) => look::history(&*args.host.open_with_streams(config).await?, &args).await,
        Command::State(args) => look::state(&*args.host.open(config)?, &args).await,
        Command::Park(args) => operate::park(&*args.host.open(config)?, &args).await,
        Command::Resume(args) => operate::go(&*args.host.open(config)?, operate::Way::Resume, &args).await,
        Command::Skip(args) => operate::go(&*args.host.open(config)?, operate::Way::Skip, &args).await,
        Command::Forget(args) => operate::forget(&*args.host.open(config)?, &args).await,
    }
}

async fn name(control: &dyn Control, pipeline: &PipelineArg, entity: &str) -> Result<EntityName, Failure> {
    Ok(EntityName { pipeline: pipeline.name(control).await?, entity: entity.to_owned() })
}
