//! `seriatim breaker list|close`: circuit breakers of a running host.

use super::door::{Failure, HostArgs, PipelineArg, Said, end};
use super::output::{at, json, line, now, table};
use crate::control::{Control, PipelineRow};
use std::path::Path;
use std::process::ExitCode;

/// Most of an error that a table shows, characters.
const ERROR_MAX: usize = 100;

/// What to do with breakers.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Lists the pipelines whose circuit breaker is open: none of their handlers is called.
    List(HostArgs),
    /// Closes a pipeline's circuit breaker: its handlers are called again, and the entities that wait go on. It opens again if the handler still fails.
    Close(Close),
}

/// `breaker close`.
#[derive(Debug, clap::Args)]
pub(super) struct Close {
    /// The handler that it is open for, as `breaker list` tells.
    handler: String,
    #[command(flatten)]
    pipeline: PipelineArg,
    #[command(flatten)]
    host: HostArgs,
}

/// Runs the command.
pub(super) async fn main(config: &Path, command: Command) -> ExitCode {
    end(run(config, command).await)
}

async fn run(config: &Path, command: Command) -> Result<Said, Failure> {
    match command {
        Command::List(host) => list(&*host.open(config)?, host.json).await,
        Command::Close(args) => close(&*args.host.open(config)?, &args).await,
    }
}

async fn list(control: &dyn Control, as_json: bool) -> Result<Said, Failure> {
    let mut open: Vec<PipelineRow> = control.pipelines().await?;
    open.retain(|row| row.breaker.is_some());
    if as_json {
        return Ok(Said::of(json(&open)?));
    }
    if open.is_empty() {
        return Ok(Said { note: "no circuit breaker is open".to_owned(), ..Said::default() });
    }
    let row = |row: &PipelineRow| {
        let breaker = row.breaker.as_ref()?;
        let probe = if breaker.next_probe <= now() { "now".to_owned() } else { at(breaker.next_probe) };
        let waiting = row.waiting.to_string();
        Some(vec![row.name.clone(), breaker.handler.clone(), at(breaker.since), probe, waiting, line(&breaker.error, ERROR_MAX)])
    };
    let titles = ["PIPELINE", "HANDLER", "SINCE", "NEXT PROBE", "WAITING", "LAST ERROR"];
    Ok(Said::of(table(&titles, open.iter().filter_map(row))))
}

async fn close(control: &dyn Control, args: &Close) -> Result<Said, Failure> {
    let pipeline = args.pipeline.name(control).await?;
    let done = control.close_breaker(pipeline.clone(), args.handler.clone()).await?;
    if args.host.json {
        return Ok(Said::of(json(&done)?));
    }
    Ok(Said::of(if done.changed {
        format!("the circuit breaker of {pipeline} is closed: its handlers are called again")
    } else {
        format!("the circuit breaker of {pipeline} was not open")
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::testing::Memory;

    fn asked(handler: &str) -> Close {
        Close { handler: handler.to_owned(), pipeline: PipelineArg::default(), host: HostArgs::default() }
    }

    #[tokio::test]
    async fn open_ones_are_listed_and_closed_once() {
        let host = Memory::with(&[]).breaker_open();
        let text = list(&*host, false).await.unwrap().text;
        assert!(text.contains("flights") && text.contains("rotation") && text.contains("2013-01-01T00:26:40Z"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(close(&*host, &asked("rotation")).await.unwrap().text.contains("is closed"));
        assert!(close(&*host, &asked("rotation")).await.unwrap().text.contains("was not open"));
        assert_eq!(list(&*host, false).await.unwrap().note, "no circuit breaker is open");
        assert_eq!(list(&*host, true).await.unwrap().text, "[]");
    }

    #[tokio::test]
    async fn another_handler_is_refused() {
        let host = Memory::with(&[]).breaker_open();
        for (handler, why) in [("other", "because of rotation"), ("none", "no handler")] {
            let Err(Failure::Failed(text)) = close(&*host, &asked(handler)).await else { panic!("closed") };
            assert!(text.contains(why), "{text}");
        }
    }
}
