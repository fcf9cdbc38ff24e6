//! WASI 0.2 for components that import it: a system that works and is empty. No environment, files or network: calls answer as they do where
//! there are none. What could tell two runs apart comes from the event: the wall clock is the event's time; the monotonic clock starts there
//! and moves by what is asked of it, so that sleeping ends at once; randomness is seeded from (pipeline, entity, epoch, sequence). What is
//! printed goes to the log. Nothing in here waits for anything.

use super::imports::{Data, event_of};
use super::loader::Inner;
use super::logging::Level;
use super::{Failure, FailureKind};
use crate::event::Event;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWrite;
use wasmtime::Result;
use wasmtime::component::{HasSelf, Linker, Resource, ResourceTable};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::bindings::{clocks, random};
use wasmtime_wasi::p2::pipe::MemoryInputPipe;
use wasmtime_wasi::p2::{DynPollable, OutputStream, Pollable, StreamResult, subscribe};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// Resources an instance may hold on the host's side.
const RESOURCES_MAX: usize = 1024;

/// Random bytes one call may ask for.
const RANDOM_BYTES_MAX: u64 = 64 << 10;

/// How far the monotonic clock moves each time it is read.
const CLOCK_STEP_NANOS: u64 = 1000;

/// Bytes of one line on stdout or stderr that are kept.
const LINE_BYTES_MAX: usize = 1024;

/// Adds WASI to a linker that has our own interfaces.
pub(super) fn add_to_linker(linker: &mut Linker<Data>) -> Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    // The interfaces that could tell two runs apart are ours.
    linker.allow_shadowing(true);
    clocks::wall_clock::add_to_linker::<Data, HasSelf<Data>>(linker, |data| data)?;
    clocks::monotonic_clock::add_to_linker::<Data, HasSelf<Data>>(linker, |data| data)?;
    random::random::add_to_linker::<Data, HasSelf<Data>>(linker, |data| data)?;
    random::insecure::add_to_linker::<Data, HasSelf<Data>>(linker, |data| data)?;
    random::insecure_seed::add_to_linker::<Data, HasSelf<Data>>(linker, |data| data)?;
    linker.allow_shadowing(false);
    Ok(())
}

/// One instance's system. Made at its first WASI call.
pub(super) struct Wasi {
    ctx: WasiCtx,
    table: ResourceTable,
    stdio: Arc<Mutex<Stdio>>,
    wall: Duration,
    monotonic_nanos: u64,
    random: Random,
}

impl Wasi {
    fn new(handler: &Inner, event: Option<&Event>) -> Self {
        let stdio = Arc::new(Mutex::new(Stdio { lines_max: handler.limits.log_lines_max, ..Stdio::default() }));
        let mut ctx = WasiCtx::builder();
        ctx.stdin(MemoryInputPipe::new(Bytes::new()))
            .stdout(Pipe { stdio: stdio.clone(), error: false })
            .stderr(Pipe { stdio: stdio.clone(), error: true })
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .allow_blocking_current_thread(true);
        let mut table = ResourceTable::new();
        table.set_max_capacity(RESOURCES_MAX);
        let mut wasi = Self { ctx: ctx.build(), table, stdio, wall: Duration::ZERO, monotonic_nanos: 0, random: Random::new(event) };
        wasi.begin(event);
        wasi
    }

    /// Clocks and randomness as this event has them; outside of a call (while the instance is made) time stands at 1970.
    fn begin(&mut self, event: Option<&Event>) {
        let millis = event.map_or(0, |event| u64::try_from(event.time).unwrap_or(0));
        self.wall = Duration::from_millis(millis);
        self.monotonic_nanos = millis.saturating_mul(1_000_000);
        self.random = Random::new(event);
    }
}

impl Data {
    fn wasi(&mut self) -> &mut Wasi {
        let Self { wasi, handler, running, .. } = self;
        wasi.get_or_insert_with(|| Box::new(Wasi::new(handler, event_of(running))))
    }

    /// A new call begins.
    pub(super) fn begin_wasi(&mut self) {
        if let Some(wasi) = &mut self.wasi {
            wasi.begin(event_of(&self.running));
        }
    }

    /// Puts the lines that were printed so far into the log.
    pub(super) fn flush_stdio(&mut self) {
        let Some(wasi) = &self.wasi else { return };
        let (lines, dropped) = lock(&wasi.stdio).take();
        let event = event_of(&self.running);
        for (error, line) in lines {
            let level = if error { Level::Warn } else { Level::Info };
            self.log.write(event, level, &line, std::iter::empty());
        }
        if dropped {
            self.log.drop_rest(event);
        }
    }

    /// The same at the end of a call, with what has no line's end yet.
    pub(super) fn finish_stdio(&mut self) {
        if let Some(wasi) = &self.wasi {
            lock(&wasi.stdio).end_lines();
            self.flush_stdio();
        }
    }
}

impl WasiView for Data {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let Wasi { ctx, table, .. } = self.wasi();
        WasiCtxView { ctx, table }
    }
}

impl clocks::wall_clock::Host for Data {
    fn now(&mut self) -> Result<clocks::wall_clock::Datetime> {
        let wall = self.wasi().wall;
        Ok(clocks::wall_clock::Datetime { seconds: wall.as_secs(), nanoseconds: wall.subsec_nanos() })
    }

    fn resolution(&mut self) -> Result<clocks::wall_clock::Datetime> {
        Ok(clocks::wall_clock::Datetime { seconds: 0, nanoseconds: 1_000_000 })
    }
}

/// A wait that is over: the clock has been moved instead.
struct Over;

#[wasmtime_wasi::async_trait]
impl Pollable for Over {
    async fn ready(&mut self) {}
}

impl clocks::monotonic_clock::Host for Data {
    fn now(&mut self) -> Result<u64> {
        let nanos = &mut self.wasi().monotonic_nanos;
        *nanos = nanos.saturating_add(CLOCK_STEP_NANOS);
        Ok(*nanos)
    }

    fn resolution(&mut self) -> Result<u64> {
        Ok(CLOCK_STEP_NANOS)
    }

    fn subscribe_instant(&mut self, when: u64) -> Result<Resource<DynPollable>> {
        let wasi = self.wasi();
        wasi.monotonic_nanos = wasi.monotonic_nanos.max(when);
        let over = wasi.table.push(Over)?;
        subscribe(&mut wasi.table, over)
    }

    fn subscribe_duration(&mut self, nanos: u64) -> Result<Resource<DynPollable>> {
        let when = self.wasi().monotonic_nanos.saturating_add(nanos);
        self.subscribe_instant(when)
    }
}

/// SHA-256 in counter mode: a generator that will give the same bytes in every later release, as replays need.
struct Random {
    seed: [u8; 32],
    counter: u64,
}

impl Random {
    fn new(event: Option<&Event>) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"seriatim random 1");
        if let Some(event) = event {
            for part in [&event.key.pipeline, &event.key.entity] {
                hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(part.as_bytes());
            }
            hash.update(event.epoch.to_be_bytes());
            hash.update(event.sequence.to_be_bytes());
        }
        Self { seed: hash.finalize().into(), counter: 0 }
    }

    fn block(&mut self) -> [u8; 32] {
        self.counter = self.counter.wrapping_add(1);
        Sha256::new().chain_update(self.seed).chain_update(self.counter.to_be_bytes()).finalize().into()
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.block());
        }
        bytes.truncate(len);
        bytes
    }

    fn number(&mut self) -> u64 {
        self.block().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }
}

impl Data {
    fn random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        match usize::try_from(len) {
            Ok(bytes) if len <= RANDOM_BYTES_MAX => Ok(self.wasi().random.bytes(bytes)),
            _ => Err(self
                .end(Failure::new(FailureKind::TooLarge, format!("asked for {len} random bytes at once; the most is {RANDOM_BYTES_MAX}")))),
        }
    }
}

impl random::random::Host for Data {
    fn get_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_random_u64(&mut self) -> Result<u64> {
        Ok(self.wasi().random.number())
    }
}

impl random::insecure::Host for Data {
    fn get_insecure_random_bytes(&mut self, len: u64) -> Result<Vec<u8>> {
        self.random_bytes(len)
    }

    fn get_insecure_random_u64(&mut self) -> Result<u64> {
        Ok(self.wasi().random.number())
    }
}

impl random::insecure_seed::Host for Data {
    /// Seeds of hash maps, kept in globals by most languages: the same for every event, so that it does not matter which event an instance
    /// began with.
    fn insecure_seed(&mut self) -> Result<(u64, u64)> {
        Ok((0x5345_5249_4154_494d, 0x6861_6e64_6c65_7221))
    }
}

/// What was printed: complete lines, and the beginnings of one on each stream. Bounded.
#[derive(Default)]
struct Stdio {
    lines_max: usize,
    lines: Vec<(bool, String)>,
    dropped: bool,
    /// stdout and stderr.
    unfinished: [Vec<u8>; 2],
}

impl Stdio {
    fn print(&mut self, error: bool, bytes: &[u8]) {
        let mut parts = bytes.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let line = self.unfinished(error);
            let room = LINE_BYTES_MAX.saturating_add(1).saturating_sub(line.len());
            line.extend(part.iter().take(room));
            if parts.peek().is_some() {
                self.end_line(error);
            }
        }
    }

    fn unfinished(&mut self, error: bool) -> &mut Vec<u8> {
        let [stdout, stderr] = &mut self.unfinished;
        if error { stderr } else { stdout }
    }

    fn end_line(&mut self, error: bool) {
        let line = std::mem::take(self.unfinished(error));
        if self.lines.len() < self.lines_max {
            self.lines.push((error, String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line)).into_owned()));
        } else {
            self.dropped = true;
        }
    }

    fn end_lines(&mut self) {
        for error in [false, true] {
            if !self.unfinished(error).is_empty() {
                self.end_line(error);
            }
        }
    }

    fn take(&mut self) -> (Vec<(bool, String)>, bool) {
        (std::mem::take(&mut self.lines), std::mem::take(&mut self.dropped))
    }
}

fn lock(stdio: &Mutex<Stdio>) -> MutexGuard<'_, Stdio> {
    // Whatever a panic left in it is text.
    stdio.lock().unwrap_or_else(PoisonError::into_inner)
}

/// stdout or stderr.
#[derive(Clone)]
struct Pipe {
    stdio: Arc<Mutex<Stdio>>,
    error: bool,
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }

    /// Used by WASI 0.3 only, which is not served.
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(tokio::io::sink())
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

#[wasmtime_wasi::async_trait]
impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        lock(&self.stdio).print(self.error, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}
