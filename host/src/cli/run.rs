//! `seriatim run`.

use crate::app::{self, Flags};
use crate::config::Config;
use std::path::Path;
use std::process::ExitCode;

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Take this config's pipelines over from another store. That store's host must never run again: what it has done is not known here.
    #[arg(long)]
    take_over: bool,
    /// Accept that this pipeline's stream was recreated or restored: a new generation begins.
    #[arg(long, value_name = "PIPELINE")]
    accept_stream: Vec<String>,
    /// Accept that this pipeline's config gives positions another meaning (subjects, entity, sequence, epoch, by, first-sequence).
    #[arg(long, value_name = "PIPELINE")]
    accept_meaning: Vec<String>,
    /// Accept that the store has this pipeline and the config has not.
    #[arg(long, value_name = "PIPELINE")]
    forget_pipeline: Vec<String>,
}

pub(super) async fn main(path: &Path, args: Args) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("{problems}");
            return ExitCode::from(78);
        }
    };
    let Args { take_over, accept_stream, accept_meaning, forget_pipeline } = args;
    let flags = Flags { take_over, accept_stream, accept_meaning, forget_pipeline };
    for name in flags.accept_stream.iter().chain(&flags.accept_meaning) {
        if !config.pipelines.iter().any(|pipeline| pipeline.name.value == *name) {
            eprintln!("{}: has no pipeline {name:?}", config.file);
            return ExitCode::from(2);
        }
    }
    match app::run(config, flags, stop_signal()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = error.exit_code();
            match &error {
                app::Error::Poisoned(_) => tracing::error!("{error}"),
                _ => eprintln!("{error}"),
            }
            ExitCode::from(code)
        }
    }
}

/// Returns at the first SIGINT or SIGTERM.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(error) => {
                tracing::warn!("SIGTERM is not heard: {error}");
                std::future::pending::<()>().await;
            }
        }
    };
    tokio::select! {
        result = tokio::signal::ctrl_c() => {
            if let Err(error) = result {
                tracing::warn!("SIGINT is not heard: {error}");
                std::future::pending::<()>().await;
            }
        }
        () = terminated => {}
    }
}
