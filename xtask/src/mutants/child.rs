//! One program of a hunt: its output in a file, a limit on its time, and nothing of it left behind.

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use regex::Regex;
use rustix::process::{Pid, Signal, kill_process_group};

/// How it ended.
pub(super) struct Ended {
    /// `None`: it ran out of time and was killed, with all that it had started.
    pub(super) status: Option<ExitStatus>,
    pub(super) output: String,
}

impl Ended {
    pub(super) fn well(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }

    pub(super) fn out_of_time(&self) -> bool {
        self.status.is_none()
    }

    /// The tests that a test program calls failed, in the order in which they ended.
    pub(super) fn failed_tests(&self) -> Result<Vec<String>> {
        let line = Regex::new(r"(?m)^test ([^ ]+) \.\.\. FAILED$")?;
        Ok(line.captures_iter(&self.output).filter_map(|found| Some(found.get(1)?.as_str().to_owned())).collect())
    }

    /// How many tests a test program has run.
    pub(super) fn tests_run(&self) -> Result<usize> {
        let line = Regex::new(r"(?m)^test [^ ]+ \.\.\. (ok|FAILED)$")?;
        Ok(line.find_iter(&self.output).count())
    }

    /// The end of what it said, for an error.
    pub(super) fn last_lines(&self) -> String {
        let lines: Vec<&str> = self.output.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

/// Runs the program to its end, or for `limit` at most. Standard output and error go to `log`.
pub(super) fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let program = command.get_program().display().to_string();
    let file = File::create(log).with_context(|| format!("cannot make {}", log.display()))?;
    let again = file.try_clone().with_context(|| format!("cannot write {} twice", log.display()))?;
    command.stdin(Stdio::null()).stdout(file).stderr(again).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {program}"))?;
    let group = Pid::from_child(&child);
    let (ended, waits) = mpsc::channel::<io::Result<ExitStatus>>();
    // Whoever waits below is there until the answer has come.
    let waiter = thread::spawn(move || ended.send(child.wait()).is_ok());
    let status = match waits.recv_timeout(limit) {
        Ok(status) => Some(status.with_context(|| format!("cannot wait for {program}"))?),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => bail!("nobody waits for {program} any more"),
    };
    // Hosts and brokers that a test program which died has left behind belong to its group. An error means that there are none.
    kill_process_group(group, Signal::KILL).ok();
    drop(waiter.join());
    let output = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(Ended { status, output: String::from_utf8_lossy(&output).into_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn the_end_the_output_and_the_failed_tests_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo 'test a::b ... ok'; echo 'test a::c ... FAILED'; echo 'test result: FAILED. 1 passed' >&2; exit 3"]);
        let ended = run(&mut shell, &folder.path().join("log"), Duration::from_secs(60)).unwrap();
        assert_eq!((ended.status.and_then(|status| status.code()), ended.well(), ended.out_of_time()), (Some(3), false, false));
        assert_eq!((ended.failed_tests().unwrap(), ended.tests_run().unwrap()), (vec!["a::c".to_owned()], 2));
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_what_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Instant::now();
        let mut shell = Command::new("sh");
        shell.args(["-c", "sleep 600 & echo $!; wait"]);
        let ended = run(&mut shell, &folder.path().join("log"), Duration::from_millis(500)).unwrap();
        assert!(ended.out_of_time() && begin.elapsed() < Duration::from_secs(60));
        let child = sysinfo::Pid::from_u32(ended.output.trim().parse().unwrap());
        // Dead at once, but not gone before whoever adopted it has looked.
        let lives =
            || sysinfo::System::new_all().unwrap().process(child).is_some_and(|process| process.status() != sysinfo::ProcessStatus::Zombie);
        while lives() {
            assert!(begin.elapsed() < Duration::from_secs(60), "what it had started lives on");
        }
    }
}
