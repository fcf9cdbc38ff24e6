//! Compiling in a process of its own: the same program, started by this one with a component on its standard input, puts the compiled form on its standard
//! output. A thread that compiles cannot be broken off; a process can, it has limits that the system keeps, and where the compiler itself falls it
//! falls alone.

use super::cache::BYTES_MAX;
use super::engine::settings;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// The hidden command of the program that compiles, and its options.
pub const COMMAND: &str = "compile-component";
const SECONDS: &str = "--seconds-max";
const MEMORY: &str = "--memory-max";

/// By the clock a compilation may take so many times its processor time: it runs at the lowest priority.
const BY_THE_CLOCK: u32 = 4;
/// Bytes of what the process says when it fails.
const SAID_MAX: u64 = 8 << 10;
/// How often it is looked at whether the process has ended.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Kibibytes that the allocator takes at once in the process that compiles: by itself it takes a gibibyte before the limit is set.
const ARENA_KIB: &str = "32768";
/// How the system is told whom to end first when it is out of memory.
const OOM_SCORE: (&str, &str) = ("/proc/self/oom_score_adj", "1000");
/// What begins the last words of a process that may not bound itself.
const UNBOUND: &str = "the process that compiles cannot bound itself";
/// What is said when memory is refused: by Rust's allocator, by the system, by whoever reads the component.
const NO_MEMORY: [&str; 3] = ["memory allocation of", "Cannot allocate memory", "out of memory"];

/// How components are compiled apart.
#[derive(Clone, Debug)]
pub struct Compiler {
    /// This program.
    pub program: PathBuf,
    /// Processor time that one compilation may take, rounded up to seconds, and a quarter of what it may take by the clock (`run.compile-time-max`).
    pub time_max: Duration,
    /// Bytes of address space that it may have (`run.compile-memory-max`).
    pub memory_max: usize,
}

/// Why there is no compiled form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Of the component, which would fail again: what the compiler says of it, or which limit it reached.
    Component(String),
    /// Of the machine or of how the host is allowed to run: the component may compile another time.
    Machine(String),
}

impl Compiler {
    /// With the program that runs, also where its file has been replaced since.
    #[must_use]
    pub fn of_this_program(time_max: Duration, memory_max: usize) -> Self {
        let itself = PathBuf::from("/proc/self/exe");
        let program = if itself.exists() { itself } else { std::env::current_exe().unwrap_or(itself) };
        Self { program, time_max, memory_max }
    }

    /// The compiled form of a component. Blocks until the process has ended; it ends with the thread that called this.
    ///
    /// # Errors
    /// See [`Fault`].
    pub(super) fn compile(&self, component: &[u8]) -> Result<Vec<u8>, Fault> {
        let mut command = Command::new(&self.program);
        command.arg(COMMAND).arg(SECONDS).arg(self.seconds().to_string()).arg(MEMORY).arg(self.memory_max.to_string());
        command.env("MIMALLOC_ARENA_RESERVE", ARENA_KIB);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| Fault::Machine(format!("the process that compiles cannot be started: {error}")))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // Each end of a pipe on a thread of its own: nobody waits for somebody who waits for him.
        let (ended, made, said) = std::thread::scope(|threads| {
            // One that ends early reads no more: what it ended with says why.
            threads.spawn(move || stdin.map(|mut stdin| stdin.write_all(component)));
            let made = threads.spawn(move || all_of(stdout, BYTES_MAX));
            let said = threads.spawn(move || beginning_of(stderr, SAID_MAX));
            let ended = self.end_of(&mut child);
            let joined =
                |bytes: std::thread::Result<io::Result<Vec<u8>>>| bytes.unwrap_or_else(|_| Err(io::Error::other("a reader's panic")));
            (ended, joined(made.join()), joined(said.join()))
        });
        let unread = |error: io::Error| Fault::Machine(format!("the process that compiles could not be followed: {error}"));
        match ended.map_err(unread)? {
            Some(status) if status.success() => made.map_err(unread),
            ended => Err(self.why(ended, &String::from_utf8_lossy(&said.unwrap_or_default()))),
        }
    }

    fn seconds(&self) -> u64 {
        self.time_max.as_secs().saturating_add(u64::from(self.time_max.subsec_nanos() > 0))
    }

    /// Its end, or `None`: it was killed because it took too long.
    fn end_of(&self, child: &mut Child) -> io::Result<Option<ExitStatus>> {
        let begun = Instant::now();
        let patience = self.time_max.saturating_mul(BY_THE_CLOCK);
        loop {
            let ended = child.try_wait();
            match ended {
                Ok(None) if begun.elapsed() < patience => std::thread::sleep(LOOK_EVERY),
                Ok(Some(status)) => return Ok(Some(status)),
                Ok(None) | Err(_) => {
                    child.kill()?;
                    child.wait()?;
                    return ended;
                }
            }
        }
    }

    fn why(&self, ended: Option<ExitStatus>, said: &str) -> Fault {
        let (time, memory) = (self.time_max, self.memory_max);
        let said = seriatim_contract::one_line(said.trim(), 2048);
        let Some(status) = ended else {
            // Or the system would have ended it for its processor time.
            return Fault::Machine(format!(
                "it took longer than {BY_THE_CLOCK} times run.compile-time-max = {time:?}, and not even once that of processor time: the machine is busy"
            ));
        };
        let by = |signal: Signal| status.signal() == Some(signal.as_raw());
        if said.starts_with(UNBOUND) {
            return Fault::Machine(said);
        }
        Fault::Component(if by(Signal::XCPU) {
            format!("it takes more processor time than run.compile-time-max = {time:?}")
        } else if NO_MEMORY.iter().any(|words| said.contains(words)) {
            format!("it takes more memory than run.compile-memory-max = {memory} bytes")
        } else if by(Signal::KILL) {
            "the process that compiled it was killed from outside: for memory, if the machine has less than run.compile-memory-max; load it again if not".to_owned()
        } else if status.code() == Some(1) {
            said
        } else {
            format!("the compiler fell ({status}): {said}")
        })
    }
}

/// The beginning; the rest is read too, so that whoever writes it can end.
fn beginning_of(from: Option<impl Read>, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        from.by_ref().take(max).read_to_end(&mut bytes)?;
        io::copy(&mut from, &mut io::sink())?;
    }
    Ok(bytes)
}

/// Everything up to a bound; more is an error.
fn all_of(from: Option<impl Read>, max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > max { Err(io::Error::other(format!("more than {max} bytes"))) } else { Ok(bytes) }
}

/// The other side: compiles what comes on standard input, in this process, which has no other purpose, within limits that the system keeps.
///
/// # Errors
/// In words: the component does not compile, or the limits cannot be set.
pub fn compile_here(seconds: u64, memory: u64) -> Result<(), String> {
    let limit = |resource, current: u64, most: u64| {
        let set = setrlimit(resource, Rlimit { current: Some(current), maximum: Some(most) });
        set.map_err(|error| {
            format!("{UNBOUND}: {error}; it must be allowed to set limits (setrlimit, prlimit64), as by deploy/seriatim.service")
        })
    };
    // Ends with whoever waits for it. Where that does not work, the time is bounded anyway.
    set_parent_process_death_signal(Some(Signal::KILL)).ok();
    // Where the system is out of memory it ends this process, not the host; where it may not be told, it decides.
    std::fs::write(OOM_SCORE.0, OOM_SCORE.1).ok();
    limit(Resource::Core, 0, 0)?;
    limit(Resource::Cpu, seconds, seconds.saturating_add(1))?;
    limit(Resource::As, memory, memory)?;
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component).map_err(|error| format!("no component: {error}"))?;
    let text = |error: wasmtime::Error| format!("{error:#}");
    let engine = wasmtime::Engine::new(&settings(None)).map_err(text)?;
    let compiled = engine.precompile_component(&component).map_err(text)?;
    let mut out = io::stdout().lock();
    out.write_all(&compiled).and_then(|()| out.flush()).map_err(|error| format!("the compiled form cannot be handed on: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// A compiler that is this script.
    fn script(folder: &tempfile::TempDir, lines: &str) -> Compiler {
        let program = folder.path().join("compiler");
        std::fs::write(&program, format!("#!/bin/sh\n{lines}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        Compiler { program, time_max: Duration::from_secs(60), memory_max: 1 << 30 }
    }

    #[test]
    fn what_comes_back_is_what_the_process_has_written() {
        let folder = tempfile::tempdir().unwrap();
        // More than a pipe holds, both ways.
        let component = vec![7; 1 << 20];
        assert_eq!(script(&folder, "exec cat").compile(&component), Ok(component.clone()));
        let told = script(&folder, "echo \"$@\"").compile(&component).unwrap();
        assert_eq!(String::from_utf8(told).unwrap(), "compile-component --seconds-max 60 --memory-max 1073741824\n", "read or not");
    }

    #[test]
    fn what_ends_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for (lines, why) in [
            ("echo 'invalid\nthing' >&2; exit 1", "invalid\\nthing"),
            ("kill -XCPU $$", "more processor time than run.compile-time-max = 60s"),
            ("echo 'memory allocation of 7 bytes failed' >&2; kill -ABRT $$", "more memory than run.compile-memory-max = 1073741824"),
            ("echo 'no component: out of memory' >&2; exit 1", "more memory than run.compile-memory-max"),
            ("head -c 20000 /dev/zero | tr '\\0' x >&2; exit 1", "xxxxx"),
            ("kill -KILL $$", "killed from outside"),
            ("kill -SEGV $$", "the compiler fell (signal: 11"),
            ("exit 9", "the compiler fell (exit status: 9)"),
        ] {
            let error = script(&folder, lines).compile(b"x").unwrap_err();
            assert!(matches!(&error, Fault::Component(said) if said.contains(why)), "{lines}: {error:?}");
        }
    }

    #[test]
    fn what_the_component_is_not_to_blame_for_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let nobody = Compiler { program: folder.path().join("nobody"), ..script(&folder, "") };
        let unbound = script(&folder, &format!("echo '{UNBOUND}: not permitted' >&2; exit 1"));
        for (compiler, why) in [(nobody, "cannot be started"), (unbound, "not permitted")] {
            let error = compiler.compile(b"x").unwrap_err();
            assert!(matches!(&error, Fault::Machine(said) if said.contains(why)), "{error:?}");
        }
    }

    #[test]
    fn what_does_not_end_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let slow = Compiler { time_max: Duration::from_millis(300), ..script(&folder, "echo $$ > \"$0.pid\"; exec sleep 1000") };
        let error = slow.compile(b"x").unwrap_err();
        assert!(matches!(&error, Fault::Machine(why) if why.contains("longer than 4 times run.compile-time-max = 300ms")), "{error:?}");
        let id = std::fs::read_to_string(slow.program.with_extension("pid")).unwrap();
        assert!(!std::path::Path::new("/proc").join(id.trim()).exists(), "it is gone");
    }
}
