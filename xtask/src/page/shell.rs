//! Bash as a person uses it: one that takes block after block, and terminals that run beside it until Ctrl-C.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use super::expect::{self, Shown};

/// For the commands of one block; the longest build a handler with everything it depends on.
const BLOCK_MAX: Duration = Duration::from_secs(600);
/// For what a terminal is to print.
const PRINT_MAX: Duration = Duration::from_secs(90);
/// For a program to end after Ctrl-C.
const END_MAX: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(20);

/// One bash for many blocks.
pub(super) struct Shell {
    bash: Group,
    input: ChildStdin,
    /// The folder after each block; closed when the bash ended.
    folders: Receiver<String>,
    folder: PathBuf,
    logs: PathBuf,
    blocks: u32,
}

impl Shell {
    pub(super) fn open(mut bash: Command, folder: &Path, logs: &Path) -> Result<Self> {
        bash.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut bash = Group::start(&mut bash)?;
        let mut input = bash.child.stdin.take().context("bash has no input")?;
        let output = bash.child.stdout.take().context("bash has no output")?;
        let (sender, folders) = sync_channel(1);
        std::thread::spawn(move || {
            // Ends with the bash, or when nobody asks any more.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        // In functions and subshells too; the line is counted within the block.
        writeln!(input, r#"set -E; trap 'printf "line %s: %s\n" "$LINENO" "$BASH_COMMAND" > "$failed"' ERR"#)?;
        Ok(Self { bash, input, folders, folder: folder.to_owned(), logs: logs.to_owned(), blocks: 0 })
    }

    /// Where the reader stands.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs a block to its end and returns what it printed, on both outputs.
    pub(super) fn run(&mut self, commands: &str) -> Result<String> {
        self.blocks += 1;
        let file = |kind: &str| self.logs.join(format!("block-{}.{kind}", self.blocks));
        let (script, log, failed) = (file("sh"), file("log"), file("failed"));
        fs::write(&script, commands).with_context(|| format!("cannot write {}", script.display()))?;
        let (script, log_path, failed_path) = (script.display(), log.display(), failed.display());
        // A bash that a failed command has ended reads no more.
        let _gone =
            writeln!(self.input, "failed='{failed_path}'; source '{script}' </dev/null >'{log_path}' 2>&1; printf '%s\\n' \"$PWD\"");
        match self.folders.recv_timeout(BLOCK_MAX) {
            Ok(folder) => {
                self.folder = PathBuf::from(folder);
                read(&log)
            }
            Err(reason) => {
                let how = match reason {
                    RecvTimeoutError::Timeout => format!("it did not end within {} s", BLOCK_MAX.as_secs()),
                    RecvTimeoutError::Disconnected => self.bash.wait(END_MAX)?.map_or_else(String::new, |status| status.to_string()),
                };
                let command = read(&failed).unwrap_or_default();
                bail!("failed ({how}) at {}\n--- printed was\n{}", command.trim_end(), read(&log).unwrap_or_default().trim_end())
            }
        }
    }
}

/// A terminal that runs something.
pub(super) struct Terminal {
    commands: Group,
    log: PathBuf,
    /// Lines that the page has shown.
    shown: usize,
}

impl Terminal {
    /// Starts the commands; `log` takes what they print.
    pub(super) fn start(mut bash: Command, folder: &Path, commands: &str, log: PathBuf) -> Result<Self> {
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        bash.arg("-c").arg(commands).current_dir(folder);
        bash.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
        Ok(Self { commands: Group::start(&mut bash)?, log, shown: 0 })
    }

    /// Waits until it has printed this, after what was waited for before.
    pub(super) fn until(&mut self, shown: &Shown) -> Result<()> {
        let deadline = Instant::now() + PRINT_MAX;
        loop {
            let ended = self.commands.wait(Duration::ZERO)?;
            let printed = self.printed()?;
            if let Some(lines) = shown.begins(&printed)? {
                self.shown += lines;
                return Ok(());
            }
            if let Some(status) = ended {
                bail!("it ended ({status})\n{}", shown.difference(&printed)?);
            }
            if Instant::now() >= deadline {
                bail!("not within {} s\n{}", PRINT_MAX.as_secs(), shown.difference(&printed)?);
            }
            std::thread::sleep(POLL);
        }
    }

    /// Presses Ctrl-C and waits for the end. What ended before by itself is an error.
    pub(super) fn interrupt(mut self) -> Result<()> {
        if let Some(status) = self.commands.wait(Duration::ZERO)? {
            bail!("it ended by itself ({status})\n--- printed was\n{}", read(&self.log)?.trim_end());
        }
        self.commands.signal(Signal::INT);
        if self.commands.wait(END_MAX)?.is_none() {
            bail!("it runs on {} s after Ctrl-C\n--- printed was\n{}", END_MAX.as_secs(), read(&self.log)?.trim_end());
        }
        Ok(())
    }

    /// The whole lines printed that the page has not shown yet.
    fn printed(&self) -> Result<String> {
        let text = read(&self.log)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(expect::lines(whole).skip(self.shown).flat_map(|line| [line, "\n"]).collect())
    }
}

/// A program and everything it started; all of it ends with this value.
struct Group {
    child: Child,
}

impl Group {
    fn start(command: &mut Command) -> Result<Self> {
        Ok(Self { child: command.process_group(0).spawn().context("cannot start bash")? })
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // The group may be gone, which is what a signal is for.
            let _gone = kill_process_group(group, signal);
        }
    }

    /// How it ended, if it does within this time.
    fn wait(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().context("cannot wait for bash")? {
                return Ok(Some(status));
            }
            if Instant::now() >= deadline {
                return Ok(None);
            }
            std::thread::sleep(POLL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        let _ended = self.child.wait();
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bash() -> Command {
        let mut bash = Command::new("bash");
        bash.args(["-euo", "pipefail"]);
        bash
    }

    #[test]
    fn folder_and_variables_last_from_block_to_block() {
        let folder = tempfile::tempdir().unwrap();
        let mut shell = Shell::open(bash(), folder.path(), folder.path()).unwrap();
        assert_eq!(shell.run("mkdir inner\ncd inner\nword=hello\n").unwrap(), "");
        assert!(shell.folder().ends_with("inner"), "{}", shell.folder().display());
        assert_eq!(shell.run("echo $word\necho there >&2\ncat\n").unwrap(), "hello\nthere\n");
    }

    #[test]
    fn a_failing_command_ends_the_block_and_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (commands, named) in [("echo before\nfalse\necho after\n", "line 2: false"), ("echo before\nfalse | cat\n", "line 2: ")] {
            let mut shell = Shell::open(bash(), folder.path(), folder.path()).unwrap();
            let error = shell.run(commands).unwrap_err().to_string();
            assert!(error.contains("exit status: 1") && error.contains(named) && error.ends_with("before"), "{error}");
        }
    }

    #[test]
    fn a_terminal_prints_by_and_by_and_ends_with_ctrl_c() {
        let folder = tempfile::tempdir().unwrap();
        let start = |commands: &str| Terminal::start(bash(), folder.path(), commands, folder.path().join("log")).unwrap();
        let mut terminal = start("echo one; echo two; touch ready; exec tail -f /dev/null");
        terminal.until(&Shown::new("one\n")).unwrap();
        terminal.until(&Shown::new("two\n")).unwrap();
        terminal.interrupt().unwrap();

        let mut terminal = start("echo one; exit 3");
        let error = terminal.until(&Shown::new("two\n")).unwrap_err().to_string();
        assert!(error.contains("exit status: 3") && error.contains("--- printed was\none"), "{error}");
        assert!(terminal.interrupt().unwrap_err().to_string().contains("by itself"));
    }
}
