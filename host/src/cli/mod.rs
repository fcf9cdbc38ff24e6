//! The command line (design §5.4): one file per command. Exit codes: 0 done, 1 failed, 2 usage, 78 bad config.

mod breaker;
mod check;
mod compile;
mod dead_letters;
mod door;
mod entity;
mod health;
mod output;
mod plugin;
mod publish;
mod run;

use crate::runtime::COMPILE_COMMAND;
use crate::telemetry::logging::Form;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;

/// Per-entity ordered, effectively-once stream processing on NATS JetStream, with WebAssembly handlers.
#[derive(Debug, Parser)]
#[command(name = "seriatim", version, about, long_about = None)]
pub struct Cli {
    /// The config file.
    #[arg(long, global = true, default_value = "seriatim.toml", value_name = "FILE")]
    config: PathBuf,
    /// What to log: a level, or parts such as seriatim=debug,async_nats=warn.
    #[arg(long, global = true, default_value = "info", value_name = "FILTER")]
    log: String,
    /// How to log.
    #[arg(long, global = true, default_value = "auto", value_name = "FORM")]
    log_form: LogForm,
    #[command(subcommand)]
    command: Called,
}

/// Who calls this program.
#[derive(Debug, Subcommand)]
enum Called {
    /// The host itself.
    #[command(name = COMPILE_COMMAND, hide = true)]
    Compile(compile::Args),
    /// A person.
    #[command(flatten)]
    Asked(Command),
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogForm {
    /// Human on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the host.
    Run(run::Args),
    /// Checks the config, its handlers, streams and servers; starts nothing.
    Check(check::Args),
    /// Asks a running host whether it works (or, with --live, whether it can go on): for probes that run a command.
    Health(health::Args),
    /// Publishes the rows of a file as numbered events, each once, also through kills and restarts.
    Publish(Box<publish::Args>),
    /// Says why an entity does not move, and parks, resumes, skips or forgets entities.
    #[command(subcommand)]
    Entity(Box<entity::Command>),
    /// Lists circuit breakers that are open, and closes one.
    #[command(subcommand)]
    Breaker(Box<breaker::Command>),
    /// Looks at dead letters, gives them again, exports or deletes them.
    #[command(subcommand)]
    DeadLetters(Box<dead_letters::Command>),
    /// Looks at a handler's file, tries it on events, begins a new one; and brings components to a running host.
    #[command(subcommand)]
    Plugin(Box<plugin::Command>),
}

impl Command {
    /// Whether what goes well is told by the command itself, and the log only shows warnings.
    fn is_quiet(&self) -> bool {
        match self {
            Self::Publish(_) => true,
            Self::Plugin(command) => command.is_quiet(),
            _ => false,
        }
    }
}

/// Runs the command that the arguments ask for.
#[must_use]
pub fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let config_named = matches.value_source("config") == Some(ValueSource::CommandLine);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let command = match cli.command {
        Called::Compile(args) => return compile::main(&args),
        Called::Asked(command) => command,
    };
    let form = match cli.log_form {
        LogForm::Auto => Form::Auto,
        LogForm::Human => Form::Human,
        LogForm::Json => Form::Json,
    };
    let quiet = command.is_quiet() && matches.value_source("log") != Some(ValueSource::CommandLine);
    if let Err(error) = crate::telemetry::logging::init(if quiet { "warn" } else { &cli.log }, form) {
        eprintln!("--log: {error}");
        return ExitCode::from(2);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    #[cfg(feature = "failpoints")]
    let _scenario = fail::FailScenario::setup();
    let code = runtime.block_on(async {
        match command {
            Command::Run(args) => run::main(&cli.config, args).await,
            Command::Check(args) => check::main(&cli.config, args).await,
            Command::Health(args) => health::main(&cli.config, &args),
            Command::Publish(args) => publish::main(&cli.config, config_named, *args).await,
            Command::Entity(command) => entity::main(&cli.config, *command).await,
            Command::Plugin(command) => plugin::main(&cli.config, *command).await,
            Command::Breaker(command) => breaker::main(&cli.config, *command).await,
            Command::DeadLetters(command) => dead_letters::main(&cli.config, *command).await,
        }
    });
    runtime.shutdown_background();
    code
}
