//! The host as the other loop: the real program with one handler, from an empty store to the last event durable or the last output stored. What it
//! says is not believed: outputs are counted and a sample of entities is asked for, from outside.

use crate::ground::{Ground, Measured, Source, Used, now};
use crate::load::{Load, Order, name};
use crate::report::{Isolation, Loop, PREFETCH_MESSAGES, PUBLISH_WINDOW};
use anyhow::{Context as _, Result, anyhow, ensure};
use serde_json::Value;
use seriatim_tests::harness::config::Handler;
use seriatim_tests::harness::{Config, DEAD_LETTERS, Host, OUTPUTS, machine, ports, telemetry, tools, until};
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The host's own bucket. It knows the store of the run before, and a host with an empty store would refuse to start.
const BUCKET: &str = "SERIATIM";
/// The handler that all but the languages are measured with.
pub(crate) const BENCH: &str = "bench";
/// Between two looks at a run that is about to end.
const LOOK_MIN: Duration = Duration::from_millis(10);
/// Between two looks at a run that is far from its end: looking is work, too.
const LOOK_MAX: Duration = Duration::from_millis(250);
/// A host that gets no further for so long gets no further any more.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// Entities that are asked for at the end of a run.
const SAMPLE: u64 = 16;

/// Which host.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) kind: Loop,
    pub(crate) isolation: Isolation,
    /// The handler's component.
    pub(crate) handler: String,
    /// More of `[run]`.
    pub(crate) run: Vec<(&'static str, String)>,
    /// `order.gap.wait`.
    pub(crate) gap_wait: &'static str,
    /// `store.cache`.
    pub(crate) store_cache: &'static str,
}

impl Setup {
    pub(crate) fn new(kind: Loop, isolation: Isolation) -> Self {
        Self { kind, isolation, handler: BENCH.to_owned(), run: Vec::new(), gap_wait: "10m", store_cache: "64MiB" }
    }

    fn handler(&self) -> Handler {
        let (isolation, work) = match (self.isolation, self.kind) {
            (Isolation::Run, kind) => ("run", work(kind)),
            (Isolation::Event, kind) => ("event", work(kind)),
            (Isolation::Shared, kind) => ("shared", work(kind)),
        };
        let config = if self.handler == BENCH { vec![("work", work.to_owned())] } else { Vec::new() };
        Handler { component: tools::plugin(&self.handler), config, limits: vec![("isolation", isolation)], ..Handler::echo() }
    }
}

fn work(kind: Loop) -> &'static str {
    match kind {
        Loop::HostState => "state",
        Loop::HostOutput => "output",
        _ => "nothing",
    }
}

/// A host with its folder. It runs between [`Hosted::start`] and [`Hosted::stop`] or [`Hosted::kill`], as often as one likes.
pub(crate) struct Hosted {
    setup: Setup,
    folder: TempDir,
    file: PathBuf,
    telemetry: u16,
    admin: u16,
    starts: u32,
    host: Option<Host>,
}

impl Hosted {
    /// Writes its config, with an empty store, and makes the stream for its outputs.
    pub(crate) async fn new(ground: &Ground, setup: Setup) -> Result<Self> {
        ground.clear_consumers().await?;
        ground.create(OUTPUTS, "echo.>").await?;
        let folder = TempDir::with_prefix_in("host-", ground.folder()).context("cannot make a folder for the host")?;
        let (telemetry, admin) = (ports::free(), ports::free());
        let file = folder.path().join("seriatim.toml");
        let mut config = Config::new(folder.path());
        // The host's defaults; named so that they stay those of the raw loops.
        config.run = vec![("prefetch-messages", PREFETCH_MESSAGES.to_string()), ("publish-window", PUBLISH_WINDOW.to_string())];
        config.run.extend(setup.run.iter().cloned());
        config.admin = admin;
        config.store_cache = setup.store_cache;
        config.flights().gap_wait = setup.gap_wait;
        config.flights().handlers = vec![setup.handler()];
        fs::write(&file, config.toml(&ground.broker.url(), telemetry)).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { setup, folder, file, telemetry, admin, starts: 0, host: None })
    }

    /// Starts it; waits for nothing. Gives when.
    pub(crate) fn start(&mut self) -> Result<i64> {
        self.starts += 1;
        let log = self.folder.path().join(format!("host-{}.log", self.starts));
        let started = now()?;
        self.host = Some(Host::spawn(&self.file, self.telemetry, &[], "", &log));
        Ok(started)
    }

    fn running(&mut self) -> Result<&mut Host> {
        self.host.as_mut().context("the host does not run")
    }

    /// Processor time that it and the broker have used.
    pub(crate) fn used(&mut self, ground: &Ground) -> Result<Used> {
        Used::now(self.running()?.id(), ground.broker.id())
    }

    /// Its memory, bytes.
    pub(crate) fn resident(&mut self) -> Result<u64> {
        machine::resident(self.running()?.id())
    }

    /// Waits until it reads the source; gives since when, and the processor time used until then.
    pub(crate) async fn reading(&mut self, ground: &Ground) -> Result<(i64, Used)> {
        until("the host to read the source", async || {
            if let Err(ended) = self.alive() {
                return Ok(Err(ended));
            }
            match (self.used(ground), ground.reading_since().await) {
                (Ok(used), Ok(Some(since))) => Ok(Ok((since, used))),
                (Err(error), _) => Ok(Err(error)),
                (_, Ok(None)) => Err("it does not yet".to_owned()),
                (_, Err(error)) => Err(format!("{error:#}")),
            }
        })
        .await
    }

    /// Waits until `/readyz` says yes.
    pub(crate) async fn ready(&mut self) -> Result<()> {
        self.running()?.ready().await;
        Ok(())
    }

    /// An error when it has ended by itself.
    pub(crate) fn alive(&mut self) -> Result<()> {
        let host = self.running()?;
        if host.is_over() { Err(anyhow!("the host ended by itself\n{}", log_end(host))) } else { Ok(()) }
    }

    /// A metric, summed over all its series; 0 while it does not answer.
    pub(crate) async fn metric(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let text = telemetry::get(self.telemetry, "/metrics").await.map(|(_, text)| text).unwrap_or_default();
        let sum = telemetry::sum(&text, name, labels);
        if sum >= 0.0 { sum as u64 } else { 0 }
    }

    /// Events whose fate is decided, in this process; the commit follows.
    pub(crate) async fn handled(&self) -> u64 {
        self.metric("seriatim_events_total", &[]).await
    }

    /// Waits until something has come to this number; `what` says what is counted. No dead letter may come of it.
    pub(crate) async fn until_count(
        &mut self,
        ground: &Ground,
        what: &str,
        wanted: u64,
        count: impl AsyncFn(&Self) -> Result<u64>,
    ) -> Result<()> {
        let (began, mut progress, mut last) = (Instant::now(), Instant::now(), 0);
        loop {
            let found = count(self).await?;
            if found >= wanted {
                return Ok(());
            }
            self.alive()?;
            if found > last {
                (last, progress) = (found, Instant::now());
            } else if progress.elapsed() > Duration::from_secs(1) {
                self.no_dead_letters(ground).await?;
                let end = self.host.as_ref().map(log_end).unwrap_or_default();
                ensure!(progress.elapsed() < STALLED_AFTER, "{found} {what} of {wanted}, and no more for {STALLED_AFTER:?}\n{end}");
            }
            tokio::time::sleep(next_look(began.elapsed(), found, wanted)).await;
        }
    }

    /// Waits until a metric, summed over all its series, has come to this number.
    pub(crate) async fn until_metric(&mut self, ground: &Ground, metric: &str, wanted: u64) -> Result<()> {
        self.until_count(ground, metric, wanted, async |hosted: &Self| Ok(hosted.metric(metric, &[]).await)).await
    }

    /// Waits until this process has decided so many events.
    pub(crate) async fn until_handled(&mut self, ground: &Ground, wanted: u64) -> Result<()> {
        self.until_count(ground, "events handled", wanted, async |hosted: &Self| Ok(hosted.handled().await)).await
    }

    /// Waits until every message up to this one of the source is done, durably: that is what the watermark says.
    pub(crate) async fn until_durable(&mut self, ground: &Ground, wanted: u64) -> Result<()> {
        // Cheaper to ask for, and never later.
        self.until_handled(ground, wanted).await?;
        let watermark = async |hosted: &Self| {
            let pipelines = hosted.ask("/api/v1/pipelines").await?;
            pipelines.pointer("/pipelines/0/watermark").and_then(Value::as_u64).context("a pipeline without a watermark")
        };
        self.until_count(ground, "messages durable", wanted, watermark).await
    }

    /// Waits until so many outputs are stored.
    pub(crate) async fn until_stored(&mut self, ground: &Ground, wanted: u64) -> Result<()> {
        self.until_count(ground, "outputs", wanted, async |_: &Self| ground.count(OUTPUTS).await).await
    }

    /// What the host gives up is not done.
    async fn no_dead_letters(&self, ground: &Ground) -> Result<()> {
        let dead = ground.count(DEAD_LETTERS).await?;
        ensure!(dead == 0, "the host gave {dead} events up\n{}", self.host.as_ref().map(log_end).unwrap_or_default());
        Ok(())
    }

    /// SIGTERM, and everything in flight finished.
    pub(crate) async fn stop(&mut self) -> Result<()> {
        self.running()?.stop().await;
        self.host = None;
        Ok(())
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.running()?.kill();
        self.host = None;
        Ok(())
    }

    /// Asks for some entities by name: where they stand, and what they remember.
    pub(crate) async fn ask_for_a_sample(&self, load: &Load) -> Result<()> {
        let step = (load.entities / SAMPLE).max(1);
        for entity in (0..load.entities).step_by(usize::try_from(step)?) {
            let (entity, last) = (name(entity), load.last(entity));
            if last == 0 {
                continue;
            }
            let path = format!("/api/v1/pipelines/flights/entities/{entity}");
            let report = self.ask(&path).await?;
            let position = report.pointer("/position/sequence").and_then(Value::as_u64);
            ensure!(position == Some(last), "{entity} stands at {position:?}, not at {last}");
            if self.setup.kind == Loop::HostStateless || self.setup.handler != BENCH {
                continue;
            }
            let state = self.ask(&format!("{path}/state")).await?;
            let count = state.pointer("/entries/0/value").and_then(Value::as_str).and_then(|text| text.parse::<u64>().ok());
            ensure!(count == Some(last), "{entity} has counted {state}, not {last} events");
        }
        Ok(())
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let (status, body) = telemetry::get(self.admin, path).await.map_err(anyhow::Error::msg)?;
        ensure!(status == 200, "{path}: {status} {body}");
        serde_json::from_str(&body).with_context(|| format!("{path} is not JSON"))
    }

    /// Takes away what it left at the broker.
    pub(crate) async fn clear(self, ground: &Ground) -> Result<()> {
        drop(self.host);
        ground.delete(OUTPUTS).await?;
        if ground.js.get_stream(DEAD_LETTERS).await.is_ok() {
            ground.delete(DEAD_LETTERS).await?;
        }
        ground.js.delete_key_value(BUCKET).await.context("cannot delete the host's bucket")?;
        ground.clear_consumers().await
    }
}

/// Runs a fresh host over the whole source, and checks what came out.
pub(crate) async fn measure(ground: &Ground, source: &Source, setup: Setup) -> Result<Measured> {
    let output = setup.kind.has_output();
    let mut hosted = Hosted::new(ground, setup).await?;
    let started = hosted.start()?;
    let (reading, before) = hosted.reading(ground).await?;
    if output {
        hosted.until_stored(ground, source.load.events).await?;
    } else {
        hosted.until_durable(ground, source.messages).await?;
    }
    let seen = now()?;
    let used = hosted.used(ground)?.since(before);
    let finished = if output { ground.last_stored(OUTPUTS).await? } else { seen };
    // Copies behind the last output.
    hosted.until_handled(ground, source.messages).await?;
    hosted.ask_for_a_sample(&source.load).await?;
    hosted.no_dead_letters(ground).await?;
    hosted.stop().await?;
    if output {
        ground.check(OUTPUTS, "Seriatim-Cause-Sequence", source.load, Order::PerEntity).await?;
    } else {
        ensure!(ground.count(OUTPUTS).await? == 0, "outputs of a handler that sends none");
    }
    hosted.clear(ground).await?;
    Ok(Measured { started, reading, finished, used })
}

/// How long until the next look: half the time that is left if it goes on like this.
fn next_look(passed: Duration, done: u64, wanted: u64) -> Duration {
    if done == 0 {
        return LOOK_MIN;
    }
    let left = passed.mul_f64(wanted.saturating_sub(done) as f64 / done as f64);
    (left / 2).clamp(LOOK_MIN, LOOK_MAX)
}

/// The last lines of its log: the folder they are in goes away.
fn log_end(host: &Host) -> String {
    const LINES: usize = 20;
    let log = host.log();
    let mut lines: Vec<_> = log.lines().rev().take(LINES).collect();
    lines.reverse();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_become_frequent_towards_the_end() {
        let second = Duration::from_secs(1);
        assert_eq!(next_look(second, 0, 1_000), LOOK_MIN);
        assert_eq!(next_look(second, 1, 1_000), LOOK_MAX);
        assert_eq!(next_look(second, 900, 1_000), second / 18);
        assert_eq!(next_look(second, 999, 1_000), LOOK_MIN);
    }
}
