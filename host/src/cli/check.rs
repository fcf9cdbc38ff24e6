//! `seriatim check`: everything that can be known to be wrong before a start, in one run, each with its line. Nothing is started or changed.

use crate::admin::api::{ApiError as AdminError, Settings};
use crate::app;
use crate::config::{Config, Isolation, Problems};
use crate::nats::api::ApiError;
use crate::nats::connect::{Connection, connect_once};
use crate::nats::identity;
use crate::sink::lookup;
use seriatim_contract::overlap;
use std::path::Path;
use std::process::ExitCode;

/// What a handler may emit is bounded by the broker; without one, by NATS' default.
const MAX_PAYLOAD: usize = 1 << 20;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Do not ask the broker: only the file and the handlers.
    #[arg(long)]
    offline: bool,
}

pub(super) async fn main(path: &Path, args: Args) -> ExitCode {
    let config = match Config::load(path) {
        Ok(config) => config,
        Err(problems) => return report(&problems),
    };
    let mut problems = config.check_files();
    check_admin(&config, &mut problems);
    let connection = if args.offline { None } else { connect(&config, &mut problems).await };
    let payload_max = connection.as_ref().map_or(MAX_PAYLOAD, Connection::max_payload);
    match app::check_handlers(&config, payload_max, connection.as_ref()).await {
        Ok(()) => {}
        Err(app::Error::Config(found)) => problems
            .extend(found.iter().filter(|found| !problems.iter().any(|known| known.line == found.line)).cloned().collect::<Vec<_>>()),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    if let Some(connection) = &connection {
        check_streams(&config, connection, &mut problems).await;
    }
    if !problems.is_empty() {
        return report(&problems);
    }
    let asked = if args.offline { "the broker was not asked" } else { "streams and servers answer" };
    let pipelines = match config.pipelines.len() {
        1 => "1 pipeline".to_owned(),
        many => format!("{many} pipelines"),
    };
    println!("{}: {pipelines}, handlers can run, {asked}", config.file);
    for pipeline in &config.pipelines {
        for handler in pipeline.handlers.iter().filter(|handler| handler.isolation == Isolation::Shared) {
            println!(
                "pipeline {}: the handler {} runs `isolation = \"shared\"`: what it keeps in its memory for one entity, another one's events can meet",
                pipeline.name.value, handler.name.value
            );
        }
    }
    ExitCode::SUCCESS
}

/// Tokens and certificates that are there, but are none.
fn check_admin(config: &Config, problems: &mut Problems) {
    let Err(error) = Settings::load(&config.admin) else { return };
    let place = match &error {
        AdminError::Tokens(_) => config.admin.token_file.as_ref(),
        _ => config.admin.tls.as_ref().map(|tls| &tls.cert_file),
    };
    let Some(place) = place else { return };
    let found = place.problem(error.to_string());
    // A file that is not there is known already.
    if !problems.iter().any(|known| known.line == found.line) {
        problems.push(found);
    }
}

fn report(problems: &Problems) -> ExitCode {
    eprintln!("{problems}");
    ExitCode::from(78)
}

async fn connect(config: &Config, problems: &mut Problems) -> Option<Connection> {
    match connect_once(app::connect_options(&config.nats, "seriatim check")).await {
        Ok(connection) => Some(connection),
        Err(error) => {
            if let Some(server) = config.nats.servers.first() {
                problems.push(server.problem(error.to_string()));
            }
            None
        }
    }
}

async fn check_streams(config: &Config, connection: &Connection, problems: &mut Problems) {
    let client = connection.client();
    let told = |error: ApiError| connection.denied().map_or_else(|| error.to_string(), |denied| format!("{error}; {denied}"));
    for pipeline in &config.pipelines {
        match identity::facts(&client, &pipeline.stream.value).await {
            Ok(facts) if facts.retention != identity::Retention::Limits => {
                problems.push(
                    pipeline.stream.problem(
                        "its retention is not \"limits\": reading it needs acks (read = \"durable\"), which is not in this release",
                    ),
                );
            }
            Ok(facts) => {
                for subject in &pipeline.subjects {
                    if !facts.subjects.iter().any(|pattern| overlap(pattern, &subject.value)) {
                        problems.push(subject.problem(format!(
                            "stream {} has no such subjects; it has {}",
                            facts.name,
                            facts.subjects.join(", ")
                        )));
                    }
                }
            }
            Err(error) => problems.push(pipeline.stream.problem(told(error))),
        }
        for output in pipeline.handlers.iter().flat_map(|handler| &handler.outputs) {
            match lookup::stream_name(connection, &output.value).await {
                Ok(Some(name)) => match identity::facts(&client, &name).await {
                    Ok(facts) if !facts.keeps_everything() => eprintln!(
                        "{}:{}: warning: stream {name} may lose messages by its limits (retention, messages per subject): outputs are once only within its duplicate window",
                        config.file, output.place.line
                    ),
                    Ok(_) => {}
                    Err(error) => problems.push(output.problem(told(error))),
                },
                Ok(None) => problems.push(output.problem("no stream takes these subjects: an output there could never be stored")),
                Err(error) => problems.push(output.problem(told(error))),
            }
        }
    }
}
