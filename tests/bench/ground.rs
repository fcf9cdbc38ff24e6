//! What all runs stand on: one broker, a source stream filled for a group of runs, and how a run is timed, checked and cleared away.
//!
//! Every run begins, by the broker's clock, when the consumer is made that reads the source. So nothing of how we watch is in the result.

use crate::load::{Load, Order, Tally};
use crate::report::{Environment, Loop, Run};
use crate::wire::{self, Publisher, Pull};
use anyhow::{Context as _, Result, ensure};
use async_nats::Client;
use async_nats::jetstream::consumer::AckPolicy;
use async_nats::jetstream::{self, Context, stream};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use seriatim_tests::harness::broker::Broker;
use seriatim_tests::harness::{Input, SOURCE, machine, streams};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use time::OffsetDateTime;

/// The broker's limit of one message, bytes.
const MAX_PAYLOAD: u32 = 1024 * 1024;

/// The broker, and the folder that goes away at the end.
pub(crate) struct Ground {
    pub(crate) broker: Broker,
    pub(crate) client: Client,
    pub(crate) js: Context,
    nats_server: String,
    load_before: Option<f64>,
    folder: TempDir,
}

/// Name and version of the libraries that most of the time is spent in, as this build has them.
fn libraries() -> Vec<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    const SHOWN: [&str; 4] = ["async-nats", "fjall", "tokio", "wasmtime"];
    let lock: Lock = toml::from_str(include_str!("../../Cargo.lock")).unwrap_or(Lock { package: Vec::new() });
    lock.package.into_iter().filter(|one| SHOWN.contains(&one.name.as_str())).map(|one| format!("{} {}", one.name, one.version)).collect()
}

/// A filled source.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    pub(crate) load: Load,
    /// Messages in it: the events and their copies.
    pub(crate) messages: u64,
}

impl Ground {
    /// Starts the broker in `folder`.
    pub(crate) async fn prepare(folder: &Path) -> Result<Self> {
        let load_before = machine::load();
        let folder = TempDir::with_prefix_in("bench-", folder).with_context(|| format!("cannot make a folder in {}", folder.display()))?;
        let broker = Broker::start(folder.path(), MAX_PAYLOAD).await;
        let client = wire::connect(&broker.url()).await?;
        let nats_server = client.server_info().version;
        Ok(Self { broker, js: jetstream::new(client.clone()), client, nats_server, load_before, folder })
    }

    pub(crate) fn environment(&self, commit: Option<String>, rustc: Option<String>) -> Environment {
        Environment {
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            commit,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            rustc,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: machine::memory(),
            processor: machine::processor(),
            system: machine::system(),
            disk: machine::file_system(self.folder()),
            nats_server: self.nats_server.clone(),
            libraries: libraries(),
            load_before: self.load_before,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Fills a fresh source with a load.
    pub(crate) async fn fill(&self, load: Load) -> Result<Source> {
        let order = load.order()?;
        let messages = order.len() as u64;
        self.fill_with(order.into_iter().map(|number| load.event(number))).await?;
        let stored = self.count(SOURCE).await?;
        ensure!(stored == messages, "the source holds {stored} events after {messages} were published");
        Ok(Source { load, messages })
    }

    /// Fills a fresh source with these.
    pub(crate) async fn fill_with(&self, inputs: impl Iterator<Item = Input>) -> Result<()> {
        self.empty_source().await?;
        self.publish(inputs).await
    }

    /// A fresh source without messages.
    pub(crate) async fn empty_source(&self) -> Result<()> {
        if self.js.get_stream(SOURCE).await.is_ok() {
            self.delete(SOURCE).await?;
        }
        self.create(SOURCE, "flights.>").await
    }

    /// Publishes as fast as it goes.
    pub(crate) async fn publish(&self, inputs: impl Iterator<Item = Input>) -> Result<()> {
        let mut publisher = Publisher::new(&self.client).await?;
        for input in inputs {
            while !publisher.has_room() {
                publisher.confirmation().await?;
            }
            let headers = input.header_map();
            publisher.send(input.subject, headers, input.payload.into()).await?;
        }
        publisher.all_confirmed().await
    }

    /// Removes every stream and bucket, so that a part finds the broker empty, whatever became of the one before.
    pub(crate) async fn clean(&self) -> Result<()> {
        let names: Vec<String> = self.js.stream_names().try_collect().await.context("cannot list the streams")?;
        for name in names {
            self.delete(&name).await?;
        }
        Ok(())
    }

    /// Makes a stream on disk.
    pub(crate) async fn create(&self, name: &str, subject: &str) -> Result<()> {
        let config = stream::Config { name: name.to_owned(), subjects: vec![subject.to_owned()], ..Default::default() };
        self.js.create_stream(config).await.with_context(|| format!("cannot make stream {name}"))?;
        Ok(())
    }

    pub(crate) async fn delete(&self, name: &str) -> Result<()> {
        self.js.delete_stream(name).await.with_context(|| format!("cannot delete stream {name}"))?;
        Ok(())
    }

    /// Messages in a stream; 0 if there is none.
    pub(crate) async fn count(&self, name: &str) -> Result<u64> {
        streams::count(&self.js, name).await.map_err(anyhow::Error::msg)
    }

    /// When the last message of a stream was stored.
    pub(crate) async fn last_stored(&self, name: &str) -> Result<i64> {
        let stream = self.js.get_stream(name).await.with_context(|| format!("cannot look at stream {name}"))?;
        nanoseconds(stream.cached_info().state.last_timestamp)
    }

    /// When the first consumer of the source that exists now was made; `None` without any.
    pub(crate) async fn reading_since(&self) -> Result<Option<i64>> {
        let stream = self.js.get_stream(SOURCE).await.context("cannot look at the source")?;
        let consumers: Vec<_> = stream.consumers().try_collect().await.context("cannot list the source's consumers")?;
        consumers.iter().map(|consumer| consumer.created).min().map(nanoseconds).transpose()
    }

    /// Reads a stream of outputs and counts them: each event's once, unchanged, and in order where that is promised. `sequence` names the
    /// header with the sequence of the event behind an output.
    pub(crate) async fn check(&self, name: &str, sequence: &str, load: Load, order: Order) -> Result<()> {
        self.outputs(name, sequence, load, order, |_, _| ()).await
    }

    /// The same, and tells each output's event and when the output was stored.
    pub(crate) async fn outputs(&self, name: &str, sequence: &str, load: Load, order: Order, mut told: impl FnMut(u64, i64)) -> Result<()> {
        let (stored, wanted) = (self.count(name).await?, load.events);
        ensure!(stored == wanted, "stream {name} holds {stored} outputs of {wanted} events");
        let mut tally = Tally::new(load, order)?;
        let stream = self.js.get_stream(name).await.with_context(|| format!("cannot read {name}"))?;
        let mut pull = Pull::open(&self.client, &stream, AckPolicy::None).await?;
        for _ in 0..stored {
            let message = pull.next().await.with_context(|| format!("stream {name} ends early"))?;
            let headers = message.headers.as_ref().context("an output without headers")?;
            let value = |name: &str| headers.get(name).map(|value| value.as_str()).with_context(|| format!("an output without {name}"));
            let sequence = value(sequence)?.parse().with_context(|| format!("{sequence} is no number"))?;
            let number = tally.take(value("Seriatim-Entity")?, sequence, &message.payload)?;
            told(number, stored_at(&message)?);
        }
        tally.finish()
    }

    /// Removes what a run left on the source, so that the next one finds it as this one did.
    pub(crate) async fn clear_consumers(&self) -> Result<()> {
        let stream = self.js.get_stream(SOURCE).await.context("cannot look at the source")?;
        let names: Vec<String> = stream.consumer_names().try_collect().await.context("cannot list the source's consumers")?;
        for name in names {
            stream.delete_consumer(&name).await.with_context(|| format!("cannot delete consumer {name}"))?;
        }
        Ok(())
    }
}

/// When the broker stored a message: a token of its reply subject, which is two places further where it names domain and account.
fn stored_at(message: &async_nats::Message) -> Result<i64> {
    let reply = message.reply.as_ref().context("a message without a reply subject")?;
    let at = if reply.split('.').count() < 11 { 7 } else { 9 };
    let token = reply.split('.').nth(at).context("a reply subject of another form")?;
    token.parse().with_context(|| format!("`{token}` in {} is no time", reply.as_str()))
}

/// Nanoseconds since the Unix epoch by this machine's clock, which is the broker's.
pub(crate) fn now() -> Result<i64> {
    nanoseconds(OffsetDateTime::now_utc())
}

fn nanoseconds(time: OffsetDateTime) -> Result<i64> {
    i64::try_from(time.unix_timestamp_nanos()).context("a time beyond the year 2262")
}

/// Processor time used: by the loop's process, by the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Used {
    worker: Duration,
    broker: Duration,
}

impl Used {
    /// Since their start.
    pub(crate) fn now(worker: u32, broker: u32) -> Result<Self> {
        Ok(Self { worker: machine::processor_time(worker)?, broker: machine::processor_time(broker)? })
    }

    /// From `before` to this.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { worker: self.worker.saturating_sub(before.worker), broker: self.broker.saturating_sub(before.broker) }
    }
}

/// One run as it was seen: times in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Measured {
    /// The process was started.
    pub(crate) started: i64,
    /// The consumer of the source was made.
    pub(crate) reading: i64,
    /// Everything was done.
    pub(crate) finished: i64,
    /// Between the latter two.
    pub(crate) used: Used,
}

impl Measured {
    /// The same as numbers.
    pub(crate) fn run(&self, round: u32, kind: Loop, messages: u64) -> Run {
        let between = |from: i64, to: i64| (to - from) as f64 / 1e9;
        let seconds = between(self.reading, self.finished);
        let each = |used: Duration| used.as_secs_f64() * 1e6 / messages as f64;
        Run {
            round,
            kind,
            messages_per_second: messages as f64 / seconds,
            seconds,
            startup_seconds: between(self.started, self.reading),
            loop_cpu_us_per_message: each(self.used.worker),
            broker_cpu_us_per_message: each(self.used.broker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_numbers() {
        let used = |worker, broker| Used { worker: Duration::from_millis(worker), broker: Duration::from_millis(broker) };
        let at = |milliseconds: i64| milliseconds * 1_000_000;
        let used = used(550, 2_000).since(used(50, 1_000));
        let run = Measured { started: at(100), reading: at(300), finished: at(2_300), used }.run(2, Loop::Raw, 100_000);
        assert_eq!((run.round, run.kind), (2, Loop::Raw));
        assert!((run.messages_per_second - 50_000.0).abs() < 1e-6);
        assert!((run.seconds - 2.0).abs() < 1e-9);
        assert!((run.startup_seconds - 0.2).abs() < 1e-9);
        assert!((run.loop_cpu_us_per_message - 5.0).abs() < 1e-9);
        assert!((run.broker_cpu_us_per_message - 10.0).abs() < 1e-9);
    }

    #[test]
    fn what_a_child_prints_is_read_again() {
        let used = Used { worker: Duration::from_millis(1), broker: Duration::from_micros(2) };
        let measured = Measured { started: 1, reading: 2, finished: 3, used };
        assert_eq!(serde_json::from_str::<Measured>(&serde_json::to_string(&measured).unwrap()).unwrap(), measured);
    }
}
