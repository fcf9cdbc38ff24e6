//! One host's life: started, disturbed, killed. A host that ends otherwise than it was made to is a finding.

use crate::deck::{Death, Fault, Life, When};
use crate::ground::Ground;
use crate::tally::Tally;
use anyhow::{Context as _, Result, bail, ensure};
use seriatim_tests::harness::proxy::Mode;
use seriatim_tests::harness::{DEAD_LETTERS, Host, OUTPUTS, die_after, die_at, until};
use std::os::unix::process::ExitStatusExt as _;
use std::time::{Duration, Instant};

/// Between two looks at the host.
const LOOK: Duration = Duration::from_millis(10);
/// How long a host may take to become ready before its life goes on regardless: it may find no broker, or a network that carries nothing.
const READY_MAX: Duration = Duration::from_secs(10);
/// How long a host that is told to die at a failpoint gets to come past it.
const PASSED_WITHIN: Duration = Duration::from_secs(8);
const SIGKILL: i32 = 9;

/// A life as it is lived.
pub(crate) struct Living<'a> {
    ground: &'a mut Ground,
    tally: &'a mut Tally,
    host: Host,
    /// The failpoint at which this host kills itself.
    failpoint: Option<&'static str>,
}

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    AsPlanned,
    /// It did not pass the failpoint in time, and was killed from outside.
    NotPassed(&'static str),
}

/// What is still wrong when a host starts, and how much longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Owed {
    /// The broker is down.
    broker: Option<Duration>,
    /// The network does not pass.
    network: Option<Duration>,
}

impl Owed {
    /// Puts right at once what is still wrong.
    pub(crate) async fn heal(self, ground: &mut Ground) {
        ground.proxy.set(Mode::Pass);
        if self.broker.is_some() {
            ground.broker.again().await;
        }
    }
}

/// Lives one life. `owed` is put right while this host starts; gives what the next life finds.
///
/// # Errors
/// A finding: the host ended by itself, or does not stop gracefully.
pub(crate) async fn live(ground: &mut Ground, tally: &mut Tally, life: &Life, owed: Owed) -> Result<(Ended, Owed)> {
    let (host, failpoint) = match life.death {
        Death::Failpoint { name, when: When::After(passes) } => (ground.host(&die_after(passes, name)), Some(name)),
        Death::Failpoint { name, when: When::Armed(_) } => (ground.host_to_arm(&die_at(name)), Some(name)),
        _ => (ground.host(""), None),
    };
    tally.lives += 1;
    let mut living = Living { ground, tally, host, failpoint };
    living.story(life, owed).await.with_context(|| format!("host {}: {life}", living.ground.hosts()))
}

impl Living<'_> {
    async fn story(&mut self, life: &Life, owed: Owed) -> Result<(Ended, Owed)> {
        if let Some(time) = owed.broker.or(owed.network) {
            let over = self.wait(time).await?;
            owed.heal(self.ground).await;
            if over {
                return self.died_at_failpoint();
            }
        }
        if life.ready_first && self.ready().await? {
            return self.died_at_failpoint();
        }
        if self.wait(life.before).await? {
            return self.died_at_failpoint();
        }
        if let Some(fault) = &life.fault {
            self.suffer(fault).await?;
            self.wait(life.after).await?;
        }
        if let Death::Failpoint { when, .. } = life.death {
            if let When::Armed(after) = when {
                if self.wait(after).await? {
                    bail!("the host died at a failpoint that was not armed");
                }
                self.ground.arm()?;
            }
            if self.wait(PASSED_WITHIN).await? {
                return self.died_at_failpoint();
            }
        }
        self.die(life).await
    }

    /// Waits; whether the host died at its failpoint meanwhile.
    async fn wait(&mut self, time: Duration) -> Result<bool> {
        let end = Instant::now() + time;
        loop {
            if self.is_over()? {
                return Ok(true);
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(left.min(LOOK)).await;
        }
    }

    /// Waits until it is ready, not for ever; whether the host died at its failpoint meanwhile.
    async fn ready(&mut self) -> Result<bool> {
        let end = Instant::now() + READY_MAX;
        while Instant::now() < end {
            if self.wait(LOOK * 3).await? {
                return Ok(true);
            }
            if self.ground.is_ready().await {
                self.tally.ready += 1;
                return Ok(false);
            }
        }
        Ok(false)
    }

    /// Whether it has ended as it was made to.
    fn is_over(&mut self) -> Result<bool> {
        let Some(status) = self.host.status() else { return Ok(false) };
        let log = self.host.log();
        let told = self.failpoint.is_some_and(|name| log.contains(&format!("failpoint {name}: SIGKILL")));
        ensure!(told && status.signal() == Some(SIGKILL), "the host ended by itself ({status}):\n{}", end_of(&log));
        Ok(true)
    }

    async fn suffer(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::BrokerKill { down } => {
                self.ground.broker.kill();
                self.tally.broker("alone");
                self.wait(*down).await?;
                self.ground.broker.again().await;
            }
            Fault::FreezeHost { hold } => {
                self.host.freeze();
                self.tally.fault("host stopped past every time-out");
                self.wait(*hold).await?;
                self.host.thaw();
            }
            Fault::FreezeBroker { hold } => {
                self.ground.broker.freeze();
                self.tally.fault("broker stopped past every time-out");
                let waited = self.wait(*hold).await;
                self.ground.broker.thaw();
                waited?;
            }
            Fault::Network { mode, hold, through } => {
                self.ground.proxy.set(*mode);
                self.tally.fault(name(*mode));
                self.wait(*hold).await?;
                if !through {
                    self.ground.proxy.set(Mode::Pass);
                }
            }
            Fault::Reset => {
                let before = self.ground.proxy.carried().reset;
                self.ground.proxy.reset();
                // Only what has hit a connection counts.
                self.wait(LOOK * 5).await?;
                if self.ground.proxy.carried().reset > before {
                    self.tally.fault("network: reset");
                }
            }
            Fault::OutputsFull { hold } => self.full(OUTPUTS, *hold, "output stream full").await?,
            Fault::DeadLettersFull { hold } => self.full(DEAD_LETTERS, *hold, "dead letters full").await?,
        }
        Ok(())
    }

    async fn full(&mut self, stream: &str, hold: Duration, name: &'static str) -> Result<()> {
        until("a stream to close", async || self.ground.close(stream).await).await;
        self.tally.fault(name);
        let waited = self.wait(hold).await;
        until("a stream to open", async || self.ground.open(stream).await).await;
        waited.map(|_| ())
    }

    async fn die(&mut self, life: &Life) -> Result<(Ended, Owed)> {
        let mut owed = Owed::default();
        let mut ended = Ended::AsPlanned;
        if let Some(Fault::Network { through: true, .. }) = life.fault {
            owed.network = Some(life.after);
        }
        match &life.death {
            Death::Kill => self.kill(if life.storm { "storm" } else { "random" })?,
            Death::Failpoint { name, .. } => {
                self.kill("random")?;
                ended = Ended::NotPassed(name);
            }
            Death::WithBroker { back_first, down } => {
                self.ground.broker.kill();
                self.kill("with the broker")?;
                self.tally.broker("with the host");
                if *back_first {
                    tokio::time::sleep(*down).await;
                    self.ground.broker.again().await;
                } else {
                    owed.broker = Some(*down);
                }
            }
            Death::Stop => self.stop().await?,
        }
        Ok((ended, owed))
    }

    fn kill(&mut self, how: &str) -> Result<()> {
        ensure!(!self.is_over()?, "the host was over before it was killed");
        self.host.kill();
        if self.ground.proxy.mode() == Mode::Stall {
            // What a dead host sent is not held back for longer than a duplicate window: against that no sender of ids can do anything.
            self.ground.proxy.close_all();
        }
        self.buried(how);
        Ok(())
    }

    fn died_at_failpoint(&mut self) -> Result<(Ended, Owed)> {
        let Some(name) = self.failpoint else { bail!("a host without a failpoint died at one") };
        self.buried(&format!("at {name}"));
        Ok((Ended::AsPlanned, Owed::default()))
    }

    async fn stop(&mut self) -> Result<()> {
        self.host.terminate();
        let status = self.host.ended().await;
        ensure!(status.success(), "a graceful stop ended with {status}:\n{}", end_of(&self.host.log()));
        self.tally.fault("graceful stop");
        self.tally.read_log(&self.host.log());
        Ok(())
    }

    /// Counts the death.
    fn buried(&mut self, how: &str) {
        let log = self.host.log();
        self.tally.kill(how, &log);
    }
}

fn name(mode: Mode) -> &'static str {
    use seriatim_tests::harness::proxy::Lost;
    match mode {
        Mode::Pass => "network: pass",
        Mode::Delay { .. } => "network: delayed",
        Mode::Slow { .. } => "network: slow",
        Mode::Stall => "network: stalled",
        Mode::Cut => "network: cut",
        Mode::HalfOpen(Lost::ToBroker) => "network: half-open to the broker",
        Mode::HalfOpen(Lost::ToHost) => "network: half-open to the host",
        Mode::HalfOpen(Lost::Both) => "network: half-open both ways",
    }
}

/// The last lines of a log.
pub(crate) fn end_of(log: &str) -> String {
    const LINES: usize = 40;
    let lines: Vec<_> = log.lines().collect();
    let from = lines.len().saturating_sub(LINES);
    lines.into_iter().skip(from).collect::<Vec<_>>().join("\n")
}
