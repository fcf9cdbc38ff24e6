//! A stand-in for `nats`, the command line tool of NATS, for the machines that check the documentation: with Rust and Python alone the real
//! one cannot be installed.
//!
//! It knows the commands and flags that `docs/handlers.md` uses and refuses everything else, talks to a real broker, and prints what the real
//! tool (0.4) prints wherever the page shows it. Not for use by people.

use anyhow::{Context as _, Result, bail};
use async_nats::jetstream::{self, consumer, stream};
use async_nats::{Client, HeaderMap};
use clap::{Parser, Subcommand, ValueEnum};
use futures_util::StreamExt as _;
use std::process::ExitCode;
use time::OffsetDateTime;

/// Where the broker is unless `NATS_URL` says otherwise.
const SERVER: &str = "nats://127.0.0.1:4222";

#[derive(Parser)]
#[command(name = "nats", disable_help_subcommand = true)]
enum Command {
    /// JetStream streams
    #[command(subcommand)]
    Stream(StreamCommand),
    /// Publishes one message, without asking for a confirmation
    Pub {
        subject: String,
        body: String,
        /// Adds a header, NAME:VALUE
        #[arg(short = 'H', long = "header", value_parser = header)]
        headers: Vec<(String, String)>,
    },
    /// Prints the messages of a stream
    Sub {
        subject: String,
        /// Of a stream, from its first message on
        #[arg(long, required = true)]
        all: bool,
        /// Ends after this many
        #[arg(long, required = true)]
        count: u64,
        /// Only the payloads
        #[arg(long)]
        raw: bool,
    },
}

#[derive(Subcommand)]
enum StreamCommand {
    /// Creates a stream
    Add {
        name: String,
        #[arg(long, required = true, value_delimiter = ',')]
        subjects: Vec<String>,
        #[arg(long)]
        storage: Storage,
        #[arg(long)]
        retention: Retention,
        /// Asks nothing
        #[arg(long, required = true)]
        defaults: bool,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Storage {
    File,
    Memory,
}

#[derive(Clone, Copy, ValueEnum)]
enum Retention {
    Limits,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("a header is NAME:VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Command::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nats: error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<()> {
    let server = std::env::var_os("NATS_URL").map_or_else(|| SERVER.to_owned(), |url| url.to_string_lossy().into_owned());
    let client = async_nats::connect(&server).await.with_context(|| format!("cannot connect to {server}"))?;
    match command {
        Command::Stream(StreamCommand::Add { name, subjects, storage, retention, .. }) => {
            add(client, name, subjects, storage, retention).await
        }
        Command::Pub { subject, body, headers } => publish(client, subject, body, headers).await,
        Command::Sub { subject, count, raw, .. } => subscribe(client, &subject, count, raw).await,
    }
}

async fn add(client: Client, name: String, subjects: Vec<String>, storage: Storage, retention: Retention) -> Result<()> {
    let storage = match storage {
        Storage::File => stream::StorageType::File,
        Storage::Memory => stream::StorageType::Memory,
    };
    let Retention::Limits = retention;
    let config = stream::Config { name: name.clone(), subjects, storage, retention: stream::RetentionPolicy::Limits, ..Default::default() };
    jetstream::new(client).create_stream(config).await.context("could not create Stream")?;
    println!("Stream {name} was created");
    Ok(())
}

async fn publish(client: Client, subject: String, body: String, headers: Vec<(String, String)>) -> Result<()> {
    let mut map = HeaderMap::new();
    for (name, value) in &headers {
        map.append(name.as_str(), value.as_str());
    }
    let bytes = body.len();
    client.publish_with_headers(subject.clone(), map, body.into()).await?;
    client.flush().await?;
    eprintln!("{} Published {bytes} bytes to \"{subject}\"", clock(OffsetDateTime::now_utc()));
    Ok(())
}

async fn subscribe(client: Client, subject: &str, count: u64, raw: bool) -> Result<()> {
    let context = jetstream::new(client);
    let name = context.stream_by_subject(subject).await.with_context(|| format!("no stream found with subject: {subject}"))?;
    let config = consumer::pull::Config {
        ack_policy: consumer::AckPolicy::None,
        filter_subject: subject.to_owned(),
        memory_storage: true,
        ..Default::default()
    };
    let consumer = context.get_stream(&name).await?.create_consumer(config).await.context("failed to create consumer")?;
    eprintln!("{} Subscribing to subject {subject} from first received message", clock(OffsetDateTime::now_utc()));
    let mut messages = consumer.messages().await?;
    for number in 1..=count {
        let Some(message) = messages.next().await else { bail!("the broker ended the subscription") };
        let message = message?;
        let body = String::from_utf8_lossy(&message.payload).into_owned();
        if raw {
            println!("{body}");
            continue;
        }
        let info = message.info().map_err(anyhow::Error::from_boxed)?;
        let (sequence, pending, at) = (info.stream_sequence, info.pending, format!("{} {}", info.published.date(), clock(info.published)));
        println!(
            "[#{number}] Received JetStream message: stream: {name} seq: {sequence} / pending: {pending} / subject: {} / time: {at}",
            message.subject
        );
        if let Some(headers) = &message.headers {
            let mut lines: Vec<String> =
                headers.iter().flat_map(|(name, values)| values.iter().map(move |value| format!("{name}: {value}"))).collect();
            lines.sort();
            println!("{}\n", lines.join("\n"));
        }
        println!("{body}\n\n");
    }
    Ok(())
}

fn clock(at: OffsetDateTime) -> String {
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}
