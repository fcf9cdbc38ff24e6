//! A real `seriatim run`: started, watched through its telemetry port and its log, and ended in every way a process can end.

use super::process::Process;
use super::wait::{PATIENCE, until, until_within};
use super::{telemetry, tools};
use rustix::process::Signal;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

/// Runs `seriatim check` to its end: exit code, and everything it printed.
pub fn check(config: &Path) -> (Option<i32>, String) {
    command(config, &["check"])
}

/// Runs a command of `seriatim` to its end: exit code, and everything it printed.
pub fn command(config: &Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(tools::seriatim()).args(args).arg("--config").arg(config).output().expect("seriatim to start");
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&text).into_owned())
}

/// A host process. Dropping it kills it.
pub struct Host {
    process: Process,
    port: u16,
}

impl Host {
    /// Starts `seriatim run --config <config> <args>`; waits for nothing.
    pub fn spawn(config: &Path, port: u16, args: &[&str], failpoints: &str, log: &Path) -> Self {
        let mut command = Self::command(config, failpoints);
        command.args(args);
        Self::start(command, port, log)
    }

    /// `seriatim run --config <config>`, for a caller who wants to change it before [`Host::start`].
    pub fn command(config: &Path, failpoints: &str) -> Command {
        let mut command = Command::new(tools::seriatim());
        command.arg("run").arg("--config").arg(config);
        command.env_remove("FAILPOINTS").env_remove("FAILPOINTS_ARMED_BY").env("RUST_BACKTRACE", "1");
        if !failpoints.is_empty() {
            command.env("FAILPOINTS", failpoints);
        }
        command
    }

    /// Starts what [`Host::command`] made; waits for nothing. `port` is the config's for telemetry.
    pub fn start(command: Command, port: u16, log: &Path) -> Self {
        Self { process: Process::spawn("seriatim", command, log), port }
    }

    /// Lets it live on after this value, and after this process; gives its process id.
    pub fn keep(self) -> u32 {
        self.process.keep()
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The system's number for its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Where its telemetry listens.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Waits until it answers at all.
    pub async fn alive(&self) {
        until("the host to answer", async || match telemetry::get(self.port, "/healthz").await? {
            (200, _) => Ok(()),
            (status, body) => Err(format!("/healthz {status}: {body}")),
        })
        .await;
    }

    /// Waits until `/readyz` says yes.
    pub async fn ready(&mut self) {
        self.ready_within(PATIENCE).await;
    }

    /// The same with another patience, where much has to be compiled.
    pub async fn ready_within(&mut self, patience: Duration) {
        until_within(patience, "the host to be ready", async || {
            if let Some(status) = self.process.status() {
                panic!("the host ended instead of getting ready ({status})");
            }
            match telemetry::get(self.port, "/readyz").await? {
                (200, _) => Ok(()),
                (status, body) => Err(format!("/readyz {status}: {body}")),
            }
        })
        .await;
    }

    /// Waits until `/readyz` says no and its reason (or the log) holds every one of `words`.
    pub async fn unready(&mut self, words: &[&str]) {
        until(&format!("/readyz to say no, with {words:?}"), async || {
            if let Some(status) = self.process.status() {
                panic!("the host ended ({status})");
            }
            let (status, body) = telemetry::get(self.port, "/readyz").await?;
            let text = format!("{body}\n{}", self.process.log());
            let told = status == 503 && words.iter().all(|word| text.contains(word));
            if told { Ok(()) } else { Err(format!("/readyz {status}: {body}")) }
        })
        .await;
    }

    /// Waits until the host refuses to work and names every one of `words`: it has ended with a failure, or it runs and is not ready.
    pub async fn refuses(&mut self, words: &[&str]) {
        until(&format!("a refusal that names {words:?}"), async || {
            let ended = self.process.status();
            let mut text = self.process.log();
            let refused = match ended {
                Some(status) if status.success() => panic!("the host ended without a failure"),
                Some(_) => true,
                None => {
                    let (status, body) = telemetry::get(self.port, "/readyz").await?;
                    text.push_str(&body);
                    status == 503
                }
            };
            let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
            match (refused, missing.is_empty(), ended) {
                (true, true, _) => Ok(()),
                (_, _, Some(status)) => panic!("the host ended ({status}) without naming {missing:?}"),
                (refused, _, None) => Err(format!("refused: {refused}, not named: {missing:?}")),
            }
        })
        .await;
    }

    /// Waits until a metric, summed over the series with these labels, is `wanted`.
    pub async fn metric(&self, name: &str, labels: &[(&str, &str)], wanted: f64) {
        self.metric_until(name, labels, |value| (value - wanted).abs() < 1e-9).await;
    }

    /// Waits until a metric, summed over the series with these labels, satisfies `enough`.
    pub async fn metric_until(&self, name: &str, labels: &[(&str, &str)], enough: impl Fn(f64) -> bool) {
        until(&format!("metric {name}{labels:?}"), async || {
            let (_, text) = telemetry::get(self.port, "/metrics").await?;
            let value = telemetry::sum(&text, name, labels);
            if enough(value) { Ok(()) } else { Err(value.to_string()) }
        })
        .await;
    }

    /// Where it answers for itself.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; waits for nothing.
    pub fn terminate(&mut self) {
        self.process.signal(Signal::TERM);
    }

    /// SIGTERM, and everything in flight finished: exit code 0.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.process.ended().await;
        assert!(status.success(), "a graceful stop ends with 0, not with {status}");
    }

    /// SIGSTOP.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// SIGCONT.
    pub fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits until it ends by itself (a failpoint, a poison).
    pub async fn ended(&mut self) -> ExitStatus {
        self.process.ended().await
    }

    /// How it ended, if it did.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.process.status()
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.process.status().is_some()
    }
}
