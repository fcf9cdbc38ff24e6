//! What all runs stand on: one broker, one source stream filled once, and how a run is timed, checked and cleared away.
//!
//! Every run is timed by the broker's clock, the same way for the raw loops and the host: from the creation of the consumer that reads the
//! source to the time stamp of the last output. So no polling of ours is in the result.

use crate::load::{self, Order, Tally};
use crate::raw;
use crate::report::{Environment, Loop, Run};
use anyhow::{Context as _, Result, ensure};
use async_nats::jetstream::{self, Context, stream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use seriatim_tests::harness::broker::Broker;
use seriatim_tests::harness::{SOURCE, machine, streams};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use time::OffsetDateTime;

/// The broker's limit of one message, bytes.
const MAX_PAYLOAD: u32 = 1024 * 1024;
/// Events published at once while the source is filled.
const FILL_AT_ONCE: u64 = 5_000;

/// The broker with its filled source, and the folder that goes away at the end.
pub(crate) struct Ground {
    pub(crate) broker: Broker,
    pub(crate) js: Context,
    pub(crate) messages: u64,
    nats_server: String,
    load_before: Option<f64>,
    folder: TempDir,
}

impl Ground {
    /// Starts the broker in `folder` and fills the source.
    pub(crate) async fn prepare(folder: &Path, messages: u64) -> Result<Self> {
        let load_before = machine::load();
        let folder = TempDir::with_prefix_in("bench-", folder).with_context(|| format!("cannot make a folder in {}", folder.display()))?;
        let broker = Broker::start(folder.path(), MAX_PAYLOAD).await;
        let client = async_nats::connect(broker.url()).await.context("cannot connect to the broker")?;
        let nats_server = client.server_info().version;
        let ground = Self { broker, js: jetstream::new(client), messages, nats_server, load_before, folder };
        ground.create(SOURCE, "flights.>").await?;
        let mut from = 0;
        while from < messages {
            let to = messages.min(from + FILL_AT_ONCE);
            let inputs: Vec<_> = (from..to).map(load::event).collect();
            streams::publish(&ground.js, &inputs).await;
            from = to;
        }
        let stored = ground.count(SOURCE).await?;
        ensure!(stored == messages, "the source holds {stored} events after {messages} were published");
        Ok(ground)
    }

    pub(crate) fn environment(&self, commit: Option<String>) -> Environment {
        Environment {
            profile: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
            commit,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: machine::processor(),
            system: machine::system(),
            nats_server: self.nats_server.clone(),
            load_before: self.load_before,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
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
    pub(crate) async fn last_stored(&self, name: &str) -> Result<OffsetDateTime> {
        let stream = self.js.get_stream(name).await.with_context(|| format!("cannot look at stream {name}"))?;
        Ok(stream.cached_info().state.last_timestamp)
    }

    /// When the first consumer of the source that exists now was made; `None` without any.
    pub(crate) async fn reading_since(&self) -> Result<Option<OffsetDateTime>> {
        let stream = self.js.get_stream(SOURCE).await.context("cannot look at the source")?;
        let consumers: Vec<_> = stream.consumers().try_collect().await.context("cannot list the source's consumers")?;
        Ok(consumers.iter().map(|consumer| consumer.created).min())
    }

    /// Reads a stream of outputs and counts them: each event's once, unchanged, and in order where that is promised. `sequence` names the
    /// header with the sequence of the event behind an output.
    pub(crate) async fn check(&self, name: &str, sequence: &str, order: Order) -> Result<()> {
        let stored = self.count(name).await?;
        let wanted = self.messages;
        ensure!(stored == wanted, "stream {name} holds {stored} outputs of {wanted} events");
        let mut tally = Tally::new(wanted, order)?;
        let stream = self.js.get_stream(name).await.with_context(|| format!("cannot read {name}"))?;
        let (_, mut messages) = raw::open(&stream).await?;
        for _ in 0..stored {
            let message = messages.next().await.with_context(|| format!("stream {name} ends early"))??;
            let headers = message.headers.as_ref().context("an output without headers")?;
            let value = |name: &str| headers.get(name).map(|value| value.as_str()).with_context(|| format!("an output without {name}"));
            let number = value(sequence)?.parse().with_context(|| format!("{sequence} is no number"))?;
            tally.take(value("Seriatim-Entity")?, number, &message.payload)?;
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

/// Processor time used so far: by the loop's process, by the broker's.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    worker: Duration,
    broker: Duration,
}

impl Used {
    pub(crate) fn now(worker: u32, broker: &Broker) -> Result<Self> {
        Ok(Self { worker: machine::processor_time(worker)?, broker: machine::processor_time(broker.id())? })
    }
}

/// One run as it was seen.
pub(crate) struct Measured {
    /// The loop, or the host's process, was started.
    pub(crate) started: OffsetDateTime,
    /// The consumer of the source was made.
    pub(crate) reading: OffsetDateTime,
    /// The last output was stored.
    pub(crate) finished: OffsetDateTime,
    /// Processor time between the latter two.
    pub(crate) used: (Used, Used),
}

impl Measured {
    /// The same as numbers.
    pub(crate) fn run(&self, round: u32, kind: Loop, messages: u64) -> Run {
        let seconds = (self.finished - self.reading).as_seconds_f64();
        let (before, after) = self.used;
        let each = |before: Duration, after: Duration| after.saturating_sub(before).as_secs_f64() * 1e6 / messages as f64;
        Run {
            round,
            kind,
            messages_per_second: messages as f64 / seconds,
            seconds,
            startup_seconds: (self.reading - self.started).as_seconds_f64(),
            loop_cpu_us_per_message: each(before.worker, after.worker),
            broker_cpu_us_per_message: each(before.broker, after.broker),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_in_numbers() {
        let at = |milliseconds| OffsetDateTime::UNIX_EPOCH + Duration::from_millis(milliseconds);
        let used = |worker, broker| Used { worker: Duration::from_millis(worker), broker: Duration::from_millis(broker) };
        let measured = Measured { started: at(100), reading: at(300), finished: at(2_300), used: (used(50, 1_000), used(550, 2_000)) };
        let run = measured.run(2, Loop::Raw, 100_000);
        assert_eq!((run.round, run.kind), (2, Loop::Raw));
        assert!((run.messages_per_second - 50_000.0).abs() < 1e-6);
        assert!((run.seconds - 2.0).abs() < 1e-9);
        assert!((run.startup_seconds - 0.2).abs() < 1e-9);
        assert!((run.loop_cpu_us_per_message - 5.0).abs() < 1e-9);
        assert!((run.broker_cpu_us_per_message - 10.0).abs() < 1e-9);
    }
}
