//! A child process with its output in a file; killed when dropped, stopped or not.

use super::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{File, read_to_string};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// A running child.
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts `command` with standard output and error in `log`.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Self {
        let out = File::create(log).expect("a log file in the test's folder");
        let err = out.try_clone().expect("a second handle of the log file");
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start ({command:?}): {error}"));
        Self { child, name: name.to_owned(), log: log.to_owned(), status: None }
    }

    /// Sends a signal; nothing happens if the process has ended.
    pub fn signal(&mut self, signal: Signal) {
        if self.status().is_some() {
            return;
        }
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).unwrap_or_else(|error| panic!("{} cannot be sent {signal:?}: {error}", self.name));
    }

    /// SIGKILL, and gone when it returns.
    pub fn kill(&mut self) {
        self.signal(Signal::KILL);
        if self.status.is_none() {
            self.status = Some(self.child.wait().expect("a child to wait for"));
        }
    }

    /// How it ended, if it did.
    pub fn status(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().expect("a child to ask");
        }
        self.status
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let name = self.name.clone();
        until(&format!("{name} to end"), async || self.status().ok_or_else(|| "it runs".to_owned())).await
    }

    /// Everything it has said so far.
    pub fn log(&self) -> String {
        read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            // SIGKILL works on a stopped process, too. Nothing to do about an error here.
            drop(self.child.kill());
            drop(self.child.wait());
        }
    }
}
