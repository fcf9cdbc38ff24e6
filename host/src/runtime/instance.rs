//! One instance of a handler: makes it, calls it with one event at a time, and says by name how a call ended. A call is a future that gives
//! way at every epoch tick; drop it and the instance is finished, with the state that was handed in.

use super::bindings::{self, seriatim::handler::types};
use super::imports::{Data, Running};
use super::loader::Inner;
use super::{Call, Failure, FailureKind, Handler, Isolation, Returned};
use crate::event::{EntityKey, Event};
use futures_util::FutureExt as _;
use seriatim_contract::{Scratch, one_line};
use seriatim_sequencer::mutant;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use wasmtime::{PoolConcurrencyLimitError, Store, Trap, UpdateDeadline, WasmBacktrace};

/// Bytes of a backtrace that are kept.
const BACKTRACE_BYTES_MAX: usize = 4096;

/// Component handles (of WASI resources) that an instance may hold.
const HANDLES_MAX: usize = 1024;

/// One instance, with memory of its own.
pub struct Instance {
    pub(super) store: Store<Data>,
    world: bindings::Handler,
    pub(super) raw: wasmtime::component::Instance,
    /// Whose events it has handled last.
    served: Option<EntityKey>,
    calls: u64,
    pub(super) usable: bool,
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("handler", &self.store.data().handler.name)
            .field("calls", &self.calls)
            .field("usable", &self.usable)
            .finish_non_exhaustive()
    }
}

impl Instance {
    pub(super) async fn new(handler: Arc<Inner>) -> Result<Self, Failure> {
        let mut store = Store::new(handler.pre.engine(), Data::new(handler.clone()));
        store.limiter(|data| &mut data.meter);
        store.set_hostcall_fuel(handler.limits.hostcall_bytes());
        store.set_max_component_handles(HANDLES_MAX);
        store.epoch_deadline_callback(|mut store| {
            if store.data_mut().meter.tick() {
                // tokio's own yield, so that a busy guest cannot keep a runtime from its sockets.
                Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
            } else {
                Ok(UpdateDeadline::Interrupt)
            }
        });
        store.set_epoch_deadline(1);
        let making = async {
            let raw = handler.pre.instantiate_async(&mut store).await?;
            handler.indices.load(&mut store, &raw).map(|world| (world, raw))
        };
        let made = AssertUnwindSafe(making).catch_unwind().await;
        store.data_mut().finish_stdio();
        match made {
            Ok(Ok((world, raw))) => Ok(Self { store, world, raw, served: None, calls: 0, usable: true }),
            Ok(Err(error)) => Err(classify(store.data_mut(), &error)),
            Err(_) => Err(panicked()),
        }
    }

    /// Whether it was made of this very handler, and not of one that it has taken the place of.
    #[must_use]
    pub fn is_of(&self, handler: &Handler) -> bool {
        Arc::ptr_eq(&self.store.data().handler, &handler.inner)
    }

    /// Whether it can take another call: not after a failure, nor after a call that was dropped before its end.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.usable
    }

    /// How many calls it has taken.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls
    }

    /// Bytes of all its memories and tables now.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.store.data().meter.held()
    }

    /// Whether it may take an event of this entity: it is usable, and the handler's isolation allows it.
    #[must_use]
    pub fn serves(&self, entity: &EntityKey) -> bool {
        self.usable
            && match (self.store.data().handler.isolation, &self.served) {
                (_, None) | (Isolation::Shared, Some(_)) => true,
                (Isolation::Event, Some(_)) => false,
                (Isolation::Run, Some(served)) => served == entity,
            }
    }

    /// Handles one event. The future gives way at every epoch tick (10 ms of running) and ends at the latest after `time-max` of running.
    /// Nothing that a guest does panics or blocks it.
    pub async fn call(&mut self, call: Call) -> Returned {
        let Call { event, attempt, late, replay, state } = call;
        if !self.serves(&event.key) {
            let failure = Failure::new(FailureKind::Host, "the instance is finished or belongs to another entity; make a new one");
            return Returned { state, result: Err(failure) };
        }
        // Until the call has returned well, so that a dropped future leaves it unusable.
        self.usable = false;
        self.calls = self.calls.saturating_add(1);
        self.served = Some(event.key.clone());
        self.store.data_mut().begin(Running { event: event.clone(), attempt, late, replay, scratch: Scratch::new(state) });
        self.store.set_epoch_deadline(1);
        let headers: Vec<_> = event.message.headers.iter().map(|h| types::HeaderParam { name: &h.name, value: &h.value }).collect();
        let outcome = AssertUnwindSafe(self.world.call_handle(&mut self.store, param(&event, &headers))).catch_unwind().await;

        let data = self.store.data_mut();
        data.finish_stdio();
        let (state, effects) = data.running.take().map_or_else(Default::default, |running| running.scratch.finish());
        let result = match outcome {
            Ok(Ok(Ok(()))) => Ok(effects),
            Ok(Ok(Err(types::Failure::Retry(reason)))) => Err(Failure::new(FailureKind::Retry, reason)),
            Ok(Ok(Err(types::Failure::Reject(reason)))) => Err(Failure::new(FailureKind::Rejected, reason)),
            Ok(Err(error)) => Err(classify(data, &error)),
            Err(_) => Err(panicked()),
        };
        self.usable = result.is_ok();
        if mutant!(InstanceKeptAfterReject) {
            self.usable |= result.as_ref().is_err_and(|failure| matches!(failure.kind, FailureKind::Retry | FailureKind::Rejected));
        }
        Returned { state, result }
    }
}

impl Data {
    /// A new call begins.
    fn begin(&mut self, running: Running) {
        self.running = Some(running);
        self.begin_alone();
    }

    /// A call without an event begins.
    pub(super) fn begin_alone(&mut self) {
        self.meter.restart();
        self.log.restart();
        self.ended = None;
        self.begin_wasi();
    }
}

/// The event as the guest sees it.
fn param<'a>(event: &'a Event, headers: &'a [types::HeaderParam<'a>]) -> types::Event<'a> {
    types::Event {
        pipeline: &event.key.pipeline,
        entity: &event.key.entity,
        epoch: event.epoch,
        sequence: event.sequence,
        id: &event.id,
        kind: &event.kind,
        subject: &event.message.subject,
        time: event.time,
        stream_sequence: event.message.stream_sequence,
        headers,
        payload: &event.message.payload,
    }
}

/// The panic itself is in the process's own log, where its hook has put it.
pub(super) fn panicked() -> Failure {
    Failure::new(FailureKind::Trap, "host panicked in call")
}

/// Names what ended a call from within.
pub(super) fn classify(data: &mut Data, error: &wasmtime::Error) -> Failure {
    let limits = &data.handler.limits;
    let trap = error.downcast_ref::<Trap>();
    let failure = if let Some(failure) = data.ended.take() {
        failure
    } else if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return Failure::new(FailureKind::Host, format!("no room for another instance: {error:#} (raise run.calls-max)"));
    } else if data.meter.timed_out() {
        Failure::new(FailureKind::Timeout, format!("ran longer than time-max = {:?}", limits.time_max))
    } else if let Some(exit) = error.downcast_ref::<wasmtime_wasi::I32Exit>() {
        Failure::new(FailureKind::Trap, format!("the component called exit({})", exit.0))
    } else if hostcall_bytes_exhausted(error) {
        limits.hostcall_too_large()
    } else if let Some(asked) = data.meter.refused() {
        let why = trap.map(|trap| format!(", then: {trap}")).unwrap_or_default();
        Failure::new(FailureKind::Memory, format!("asked for {asked} bytes of memory, more than memory-max = {}{why}", limits.memory_max))
    } else if let Some(trap) = trap {
        Failure::new(FailureKind::Trap, trap.to_string())
    } else {
        Failure::new(FailureKind::Trap, error.root_cause().to_string())
    };
    Failure { backtrace: error.downcast_ref::<WasmBacktrace>().map(backtrace), ..failure }
}

/// wasmtime has no type for it.
fn hostcall_bytes_exhausted(error: &wasmtime::Error) -> bool {
    error.root_cause().to_string().contains("fuel allocated for hostcalls has been exhausted")
}

/// A backtrace within its bound. Function names come from the component: each line is made one.
fn backtrace(trace: &WasmBacktrace) -> String {
    let mut text = String::new();
    for line in trace.to_string().lines() {
        let line = one_line(line, 512);
        if text.len().saturating_add(line.len()) >= BACKTRACE_BYTES_MAX {
            break;
        }
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&line);
    }
    text
}
