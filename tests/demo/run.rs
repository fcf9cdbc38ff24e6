//! The run: a publisher that nobody disturbs, and hosts that are killed one after the other until the last one may finish.

use crate::kills::{self, How, KILLS, Kill};
use crate::progress::Progress;
use crate::scratch::{ECHO, ROTATION, Scratch};
use anyhow::{Context as _, Result, bail};
use indicatif::HumanCount;
use seriatim_tests::harness::host::Host;
use seriatim_tests::harness::process::Process;
use seriatim_tests::harness::{streams, telemetry, until};
use std::time::{Duration, Instant};

/// Between two looks at the streams.
const LOOK: Duration = Duration::from_millis(5);
/// After a death the number of outputs is taken when it has not changed for this long: what the host sent last may still be on its way.
const CALM: Duration = Duration::from_millis(20);
/// Without a new output for this long the run is stuck.
const PATIENCE: Duration = Duration::from_secs(60);

/// What happened.
pub(crate) struct Run {
    /// One for each host process, in order; all but the last ended by a kill.
    pub(crate) lives: Vec<Life>,
    /// From the first host's start to the last output.
    pub(crate) elapsed: Duration,
}

/// One host process.
pub(crate) struct Life {
    /// From its start until `/readyz` said yes.
    pub(crate) ready: Duration,
    /// From its start until its first new output was there.
    pub(crate) first_output: Duration,
    /// From its first new output until it was killed, or had nothing left to do.
    pub(crate) worked: Duration,
    /// Events handled in that time.
    pub(crate) events: u64,
    /// How it ended; none for the last.
    pub(crate) kill: Option<Kill>,
}

/// Messages in the two output streams.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Outputs {
    echo: u64,
    rotation: u64,
}

impl Outputs {
    fn all(self) -> u64 {
        self.echo + self.rotation
    }
}

/// Everything the run needs.
pub(crate) struct Runner<'a> {
    /// Broker, folder, config.
    pub(crate) scratch: &'a Scratch,
    /// What the person sees.
    pub(crate) progress: &'a Progress,
    /// Outputs that there will be in the end.
    pub(crate) total: u64,
    /// The process that publishes.
    pub(crate) publisher: Process,
}

impl Runner<'_> {
    /// Runs hosts until everything is done; the last one is stopped gracefully, so that nothing more can come.
    ///
    /// # Errors
    /// A host or the publisher ends by itself, nothing moves any more, or a kill did not hit a working host.
    pub(crate) async fn run(mut self) -> Result<Run> {
        let begun = Instant::now();
        let mut lives: Vec<Life> = Vec::new();
        for (how, number) in KILLS.into_iter().zip(1..) {
            let target = self.total * number as u64 / (KILLS.len() as u64 + 1);
            let life = self.live_and_die(number, how, target, lives.last()).await?;
            lives.push(life);
        }
        let (last, elapsed) = self.live_and_finish(KILLS.len() + 1, begun, lives.last()).await?;
        lives.push(last);
        Ok(Run { lives, elapsed })
    }

    /// One host until `target` outputs are there; then its death.
    async fn live_and_die(&mut self, number: usize, how: How, target: u64, before: Option<&Life>) -> Result<Life> {
        let mut watch = Watch::start(self, number, how, before).await;
        while watch.outputs.all() < target || watch.ready.is_none() {
            watch.look(self).await?;
        }
        let (worked, events) = watch.work()?;
        let Watch { mut host, ready, first_output, before, .. } = watch;
        match how {
            How::Outside => host.kill(),
            How::Failpoint(_) => {
                self.scratch.arm(number)?;
                host.ended().await;
            }
        }
        let status = host.status().context("a host that is dead has no status")?;
        let kill = Kill { how, outputs: self.calm().await.all() };
        kills::counts(&kill, status, &host.log(), before.all(), self.total)
            .map_err(|problem| anyhow::anyhow!("kill {number} does not count: {problem}"))?;
        let (ready, (first_output, _)) = (ready.context("never ready")?, first_output.context("no output")?);
        Ok(Life { ready, first_output, worked, events, kill: Some(kill) })
    }

    /// The last host, until nothing is left to do.
    async fn live_and_finish(&mut self, number: usize, begun: Instant, before: Option<&Life>) -> Result<(Life, Duration)> {
        let mut watch = Watch::start(self, number, How::Outside, before).await;
        while watch.outputs.all() < self.total || watch.ready.is_none() {
            watch.look(self).await?;
        }
        let elapsed = begun.elapsed();
        let (worked, events) = watch.work()?;
        while !self.has_published()? || self.unread().await {
            watch.look(self).await?;
        }
        let Watch { mut host, ready, first_output, .. } = watch;
        host.stop().await;
        let (ready, (first_output, _)) = (ready.context("never ready")?, first_output.context("no output")?);
        Ok((Life { ready, first_output, worked, events, kill: None }, elapsed))
    }

    /// Whether the publisher is done.
    fn has_published(&mut self) -> Result<bool> {
        match self.publisher.status() {
            Some(status) if !status.success() => bail!("`seriatim publish` failed ({status}); the end of its log is above"),
            status => Ok(status.is_some()),
        }
    }

    /// Whether the running host has not read all of the source yet.
    async fn unread(&self) -> bool {
        let (_, text) = until("the host's metrics", async || telemetry::get(self.scratch.telemetry, "/metrics").await).await;
        telemetry::sum(&text, "seriatim_stream_lag_messages", &[]) > 0.0
    }

    async fn outputs(&self) -> Outputs {
        let js = &self.scratch.js;
        let count = async || Ok(Outputs { echo: streams::count(js, ECHO).await?, rotation: streams::count(js, ROTATION).await? });
        until("the number of outputs", count).await
    }

    /// The outputs, once nothing more comes from a host that is dead.
    async fn calm(&self) -> Outputs {
        let mut outputs = self.outputs().await;
        loop {
            tokio::time::sleep(CALM).await;
            let now = self.outputs().await;
            if now == outputs {
                return now;
            }
            outputs = now;
        }
    }
}

/// One running host under observation.
struct Watch<'a> {
    host: Host,
    number: usize,
    started: Instant,
    before: Outputs,
    outputs: Outputs,
    moved: Instant,
    ready: Option<Duration>,
    first_output: Option<(Duration, Outputs)>,
    revived: Option<&'a Kill>,
}

impl<'a> Watch<'a> {
    async fn start(runner: &Runner<'_>, number: usize, dies: How, before: Option<&'a Life>) -> Self {
        let outputs = runner.outputs().await;
        let started = Instant::now();
        let host = runner.scratch.host(number, dies);
        let revived = before.and_then(|life| life.kill.as_ref());
        Self { host, number, started, before: outputs, outputs, moved: started, ready: None, first_output: None, revived }
    }

    /// Looks once at the host, the streams and the publisher.
    async fn look(&mut self, runner: &mut Runner<'_>) -> Result<()> {
        tokio::time::sleep(LOOK).await;
        if let Some(status) = self.host.status() {
            bail!("host {} ended by itself ({status}); the end of its log is above", self.number);
        }
        runner.has_published()?;
        let outputs = runner.outputs().await;
        if outputs != self.outputs {
            self.outputs = outputs;
            self.moved = Instant::now();
        } else if self.moved.elapsed() > PATIENCE {
            let (_, says) = telemetry::get(runner.scratch.telemetry, "/readyz").await.unwrap_or_else(|error| (0, error));
            bail!("no new output for {PATIENCE:?}, {} of {} are there; /readyz: {says}", outputs.all(), runner.total);
        }
        if self.first_output.is_none() && outputs.all() > self.before.all() {
            self.first_output = Some((self.started.elapsed(), outputs));
            self.tell(runner);
        }
        if self.ready.is_none() && matches!(telemetry::get(runner.scratch.telemetry, "/readyz").await, Ok((200, _))) {
            self.ready = Some(self.started.elapsed());
        }
        let now = if self.first_output.is_some() { "working" } else { "starting" };
        runner.progress.at(outputs.all(), &format!("host {} {now}", self.number));
        Ok(())
    }

    /// The line about the kill before, once its successor works.
    fn tell(&self, runner: &Runner<'_>) {
        let (Some(kill), Some((after, _))) = (self.revived, self.first_output) else { return };
        runner.progress.say(&format!(
            "  ✕ SIGKILL {}/{} {}, at {} of {} outputs; working again after {} ms",
            self.number - 1,
            KILLS.len(),
            kill.how,
            HumanCount(kill.outputs),
            HumanCount(runner.total),
            HumanCount(after.as_millis() as u64),
        ));
    }

    /// For how long it has worked, and how many events it has handled in that time.
    fn work(&self) -> Result<(Duration, u64)> {
        let (after, first) = self.first_output.with_context(|| format!("host {} has sent nothing", self.number))?;
        Ok((self.started.elapsed().saturating_sub(after), self.outputs.echo.saturating_sub(first.echo)))
    }
}
