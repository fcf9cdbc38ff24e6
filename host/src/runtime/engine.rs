//! The process's one WebAssembly engine: its settings, its pool of instances, its clock tick and its linkers. Made once at start; handlers and
//! instances keep it alive.

use super::bindings;
use super::cache::Cache;
use super::imports::Data;
use super::wasi;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::component::{HasSelf, Linker};
use wasmtime::{Config, Enabled, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig, WasmBacktraceDetails};

/// How long a guest runs before it yields to its shard, and the unit in which `time-max` is counted.
pub(super) const TICK: Duration = Duration::from_millis(10);

/// What the engine is given.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Calls in flight at once over all shards: sizes the pool of instances.
    pub calls_max: usize,
    /// Where compiled components are kept; none compiles at every start.
    pub cache_dir: Option<PathBuf>,
    /// Highest `memory-max` of any handler: what a slot of the pool can hold.
    pub handler_memory_max: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { calls_max: 64, cache_dir: None, handler_memory_max: 256 << 20 }
    }
}

/// Why the engine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// wasmtime refused its settings.
    #[error("cannot set up the WebAssembly engine on this machine: {0}")]
    Setup(String),
    /// The operating system gave no thread.
    #[error("cannot start the epoch ticker thread: {0}")]
    Ticker(#[source] std::io::Error),
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    pub(super) shared: Arc<Shared>,
}

/// What all clones share.
pub(super) struct Shared {
    pub(super) engine: wasmtime::Engine,
    /// For components that import our interfaces only.
    pub(super) plain: Linker<Data>,
    /// For components that import WASI too.
    pub(super) wasi: Linker<Data>,
    pub(super) cache: Option<Cache>,
    pub(super) memory_ceiling: usize,
    allocator: &'static str,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("allocator", &self.shared.allocator).finish_non_exhaustive()
    }
}

impl Engine {
    /// Sets up the engine and starts its ticker.
    ///
    /// # Errors
    /// [`Error`] when the machine cannot run it.
    pub fn new(config: &EngineConfig) -> Result<Self, Error> {
        let (engine, allocator) = match wasmtime::Engine::new(&settings(Some(pool(config)))) {
            Ok(engine) => (engine, "pooling"),
            Err(error) => {
                // Usually too little address space (`ulimit -v`, some ARM boards): slower, and just as right.
                tracing::warn!(error = %format!("{error:#}"), "no room for a pool of instances: each is allocated on demand");
                (wasmtime::Engine::new(&settings(None)).map_err(setup)?, "on-demand")
            }
        };
        let plain = linker(&engine).map_err(setup)?;
        let mut with_wasi = linker(&engine).map_err(setup)?;
        wasi::add_to_linker(&mut with_wasi).map_err(setup)?;
        start_ticker(&engine).map_err(Error::Ticker)?;
        let cache = config.cache_dir.as_deref().and_then(|dir| Cache::open(dir, &engine));
        let memory_ceiling = config.handler_memory_max;
        Ok(Self { shared: Arc::new(Shared { engine, plain, wasi: with_wasi, cache, memory_ceiling, allocator }) })
    }

    /// Where instances come from: `pooling` or `on-demand`.
    #[must_use]
    pub fn allocator(&self) -> &'static str {
        self.shared.allocator
    }
}

fn setup(error: wasmtime::Error) -> Error {
    Error::Setup(format!("{error:#}"))
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Data>> {
    let mut linker = Linker::new(engine);
    bindings::Handler::add_to_linker::<_, HasSelf<Data>>(&mut linker, |data| data)?;
    Ok(linker)
}

pub(super) fn settings(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        // Two settings that make floating point the same on every machine (G9).
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .cranelift_opt_level(OptLevel::Speed)
        .memory_init_cow(true)
        // Never by an environment variable.
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// Room for the instances of `calls_max` calls. An event in flight keeps one per handler of its pipeline, and a component can be several core
/// instances (its module, adapters, shims).
fn pool(config: &EngineConfig) -> PoolingAllocationConfig {
    let calls = u32::try_from(config.calls_max).unwrap_or(u32::MAX);
    let instances = calls.saturating_mul(4).saturating_add(64);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(6))
        .total_memories(instances.saturating_mul(2))
        .total_tables(instances.saturating_mul(4))
        .total_stacks(instances)
        .max_memories_per_module(4)
        .max_tables_per_module(4)
        .table_elements(50_000)
        .max_memory_size(config.handler_memory_max)
        .max_unused_warm_slots(calls.max(16))
        .table_keep_resident(16 << 10);
    if PoolingAllocationConfig::is_pagemap_scan_available() {
        pool.pagemap_scan(Enabled::Auto).linear_memory_keep_resident(2 << 20);
    } else {
        // Without the scan, resetting 2 MiB by hand costs more than it saves.
        pool.linear_memory_keep_resident(64 << 10);
    }
    pool
}

/// A thread of its own, so that no busy runtime can stop the clock of the guests that keep it busy. Ends when the engine is gone.
fn start_ticker(engine: &wasmtime::Engine) -> std::io::Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new().name("epoch-ticker".into()).spawn(move || {
        loop {
            std::thread::sleep(TICK);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => break,
            }
        }
    })?;
    Ok(())
}
