//! What a handler is and what it costs: a file's facts, and times measured here and now. Medians, because a machine that does other things too has outliers.

use super::{Error, engine, tried};
use crate::event::Event;
use crate::runtime::{Call, Failure, Form, Handler, HandlerConfig, Isolation, Limits, State};
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Runs of each measurement, unless they take longer than [`TIME_MAX`].
const RUNS_MAX: usize = 1_000;

/// Runs of each measurement, however long they take.
const RUNS_MIN: usize = 5;

/// How long one measurement goes on.
const TIME_MAX: Duration = Duration::from_millis(800);

/// A fresh instance and a call that take at most so long are affordable for each event.
const FRESH_MAX: Duration = Duration::from_micros(100);

/// The worlds that a file may fit if it can be loaded: without and with the interface `lifecycle`.
const WORLD: &str = "seriatim:handler/handler@0.1.0";
const VERSIONED: &str = "seriatim:handler/versioned-handler@0.1.0";

/// What there is to say about a file. Times are microseconds but for `compile_ms`.
#[derive(Clone, Debug, Serialize)]
pub struct Inspection {
    /// `core module` or `component`.
    pub form: &'static str,
    /// The world it fits.
    pub world: &'static str,
    /// The version of the state that it reads and writes; 0 without the interface `lifecycle`.
    pub state_version: u32,
    /// Its size.
    pub bytes: usize,
    /// SHA-256 of the file, in hex: what the host names it by.
    pub sha256: String,
    /// What it imports, by name.
    pub imports: Vec<String>,
    /// What it exports, by name.
    pub exports: Vec<String>,
    /// How long it took to check, compile and link.
    pub compile_ms: f64,
    /// Bytes of the compiled form.
    pub compiled_bytes: Option<usize>,
    /// Bytes of memory and tables that an instance begins with.
    pub memory_bytes: usize,
    /// The same after a call.
    pub memory_after_call_bytes: usize,
    /// Making an instance.
    pub instantiate: Measured,
    /// Making an instance, one call on it, and throwing it away.
    pub fresh_call: Measured,
    /// A call on an instance that has had calls; `None`: calls fail.
    pub warm_call: Option<Measured>,
    /// Why the calls that were measured failed.
    pub failed: Option<String>,
    /// The isolation that fits its costs.
    pub isolation: &'static str,
    /// Why.
    pub why: String,
}

/// A time and how well it is known.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// The median, microseconds.
    pub median_us: f64,
    /// Of so many runs.
    pub runs: usize,
}

/// Looks at a file, loads it and tries it out as a host does, and measures it on `event`. What it needs is found out under `config`, whose isolation does not matter.
///
/// # Errors
/// The file is refused, its start code or its interface `lifecycle` fails, or the machine cannot run it.
pub async fn inspect(bytes: &[u8], config: HandlerConfig, event: Arc<Event>) -> Result<Inspection, Error> {
    let engine = engine(&config, None)?;
    let began = Instant::now();
    let handler = tokio::task::block_in_place(|| engine.load(bytes, HandlerConfig { isolation: Isolation::Shared, ..config }))?;
    let compile = began.elapsed();
    tried(&handler).await?;
    let facts = handler.facts();

    let mut instance = handler.instantiate().await.map_err(Error::Start)?;
    let memory_bytes = instance.memory();
    let first = instance.call(call(&event)).await.result;
    let memory_after_call_bytes = instance.memory();
    drop(instance);

    let instantiate = measure(async || handler.instantiate().await.map(drop).map_err(Error::Start)).await?;
    let fresh_call = measure(async || {
        let mut instance = handler.instantiate().await.map_err(Error::Start)?;
        // A call that fails has its cost, too.
        drop(instance.call(call(&event)).await);
        Ok(())
    })
    .await?;
    let warm_call = match &first {
        Ok(_) => warm(&handler, &event).await?,
        Err(_) => None,
    };
    let (isolation, why) = suggestion(fresh_call, warm_call);
    Ok(Inspection {
        form: Form::of(bytes).map_or("unknown", Form::name),
        world: if handler.state_version() == 0 { WORLD } else { VERSIONED },
        state_version: handler.state_version(),
        bytes: bytes.len(),
        sha256: handler.digest().to_string(),
        imports: facts.imports,
        exports: facts.exports,
        compile_ms: compile.as_secs_f64() * 1e3,
        compiled_bytes: facts.compiled_bytes,
        memory_bytes,
        memory_after_call_bytes,
        instantiate,
        fresh_call,
        warm_call,
        failed: first.err().map(|failure: Failure| failure.to_string()),
        isolation: isolation.name(),
        why,
    })
}

/// A call with an empty state.
fn call(event: &Arc<Event>) -> Call {
    Call { event: event.clone(), attempt: 1, late: false, replay: false, state: State::new() }
}

/// Calls on one instance; `None`: one of them failed.
async fn warm(handler: &Handler, event: &Arc<Event>) -> Result<Option<Measured>, Error> {
    let mut instance = handler.instantiate().await.map_err(Error::Start)?;
    // What an instance does only once is not the cost of a call.
    drop(instance.call(call(event)).await);
    let measured = measure(async || {
        drop(instance.call(call(event)).await);
        Ok(())
    })
    .await?;
    Ok(instance.usable().then_some(measured))
}

async fn measure(mut work: impl AsyncFnMut() -> Result<(), Error>) -> Result<Measured, Error> {
    let began = Instant::now();
    let mut times = Vec::new();
    while times.len() < RUNS_MIN || (times.len() < RUNS_MAX && began.elapsed() < TIME_MAX) {
        let run = Instant::now();
        work().await?;
        times.push(run.elapsed());
    }
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    Ok(Measured { median_us: median.as_secs_f64() * 1e6, runs: times.len() })
}

fn suggestion(fresh: Measured, warm: Option<Measured>) -> (Isolation, String) {
    let beside = warm.map_or(String::new(), |warm| format!(" (a call on a warm one {:.1} µs)", warm.median_us));
    let fresh_us = fresh.median_us;
    if fresh_us <= FRESH_MAX.as_secs_f64() * 1e6 {
        let why = format!(
            "a fresh instance and a call take {fresh_us:.1} µs{beside}: affordable for each event, and then nothing that an event leaves in memory can \
             reach another"
        );
        (Isolation::Event, why)
    } else {
        let why = format!(
            "a fresh instance and a call take {fresh_us:.1} µs{beside}: too much for each event where there are many; `run` makes one for a run of one \
             entity's events, and no other entity sees its memory"
        );
        (Isolation::Run, why)
    }
}

/// The limits that a look at a file begins with: a host's defaults, with as much memory as any handler may have, so that what it needs can be said.
#[must_use]
pub fn limits() -> Limits {
    Limits { memory_max: crate::runtime::EngineConfig::default().handler_memory_max, ..Limits::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(median_us: f64) -> Measured {
        Measured { median_us, runs: 9 }
    }

    #[test]
    fn what_is_cheap_may_be_fresh_for_each_event() {
        let (isolation, why) = suggestion(took(18.04), Some(took(1.0)));
        assert_eq!(isolation, Isolation::Event);
        assert!(why.starts_with("a fresh instance and a call take 18.0 µs (a call on a warm one 1.0 µs): affordable"), "{why}");
        let (isolation, why) = suggestion(took(600.0), None);
        assert_eq!(isolation, Isolation::Run);
        assert!(why.starts_with("a fresh instance and a call take 600.0 µs: too much"), "{why}");
    }

    #[tokio::test]
    async fn slow_work_is_measured_a_few_times_and_quick_work_often() {
        let quick = measure(async || Ok(())).await.unwrap();
        let slow = measure(async || {
            let began = Instant::now();
            while began.elapsed() < TIME_MAX / 4 {}
            Ok(())
        });
        let slow = slow.await.unwrap();
        assert_eq!(slow.runs, RUNS_MIN);
        assert!(slow.median_us >= 200_000.0 && quick.runs > slow.runs, "{slow:?} {quick:?}");
    }
}
