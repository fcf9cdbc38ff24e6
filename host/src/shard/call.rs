//! One event through all handlers of its pipeline: one transaction (design §3.8). Values in, an outcome out; nothing is visible until every handler
//! returned `ok`, and after a failure every instance it touched is thrown away.

use super::fit;
use crate::event::Event;
use crate::pipeline::Pipeline;
use crate::runtime::{Call, Effects, Failure, FailureKind, Handler, Instance, Isolation, State};
use crate::store::Stamp;
use crate::telemetry::events;
use seriatim_sequencer::mutant;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a call waits before it is tried again when the host could not run it.
const HOST_BACK_OFF: Duration = Duration::from_millis(100);

/// A call under way.
pub type CallFuture = Pin<Box<dyn Future<Output = Done>>>;

/// How an event reaches its handlers. The host runs their instances; the simulation answers in their place.
pub trait Calls: Send + Sync + 'static {
    /// Starts one call. The future is polled on the shard's thread, and dropped when the host goes down.
    fn call(&self, job: Job) -> CallFuture;
}

/// Runs instances of the pipeline's handlers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instances;

impl Calls for Instances {
    fn call(&self, job: Job) -> CallFuture {
        Box::pin(run(job))
    }
}

/// What a call needs.
#[derive(Debug)]
pub struct Job {
    /// The actor's; goes back with the outcome.
    pub token: usize,
    /// Whose handlers.
    pub pipeline: Arc<Pipeline>,
    /// Those that were current when the call began.
    pub handlers: Arc<[Handler]>,
    /// The event.
    pub event: Arc<Event>,
    /// Which attempt at it this is; 1 is the first.
    pub attempt: u32,
    /// Whether it comes after its sequence was given up.
    pub late: bool,
    /// The handlers' states of the entity, in the pipeline's order.
    pub states: Vec<State>,
    /// Which components handled the entity's last event, in the pipeline's order.
    pub stamps: Vec<Stamp>,
    /// Warm instances, one place per handler.
    pub instances: Vec<Option<Instance>>,
}

impl Job {
    /// The end of the call.
    #[must_use]
    pub fn done(self, result: Result<Vec<Effects>, Failed>) -> Done {
        let Self { token, handlers, event, attempt, states, stamps, instances, .. } = self;
        Done { token, handlers, event, attempt, states, stamps, instances, result }
    }
}

/// What it leaves.
#[derive(Debug)]
pub struct Done {
    pub(super) token: usize,
    /// Those that handled it.
    pub(super) handlers: Arc<[Handler]>,
    pub(super) event: Arc<Event>,
    pub(super) attempt: u32,
    pub(super) states: Vec<State>,
    /// As they are with this event; as they were, if it failed.
    pub(super) stamps: Vec<Stamp>,
    /// Those that may serve again.
    pub(super) instances: Vec<Option<Instance>>,
    pub(super) result: Result<Vec<Effects>, Failed>,
}

/// Which handler failed, and how.
#[derive(Debug)]
pub struct Failed {
    /// Its place in the pipeline.
    pub handler: usize,
    /// Why.
    pub failure: Failure,
}

/// Runs the job to its end. A fault of the host (no room for an instance) is tried again and never counted.
async fn run(mut job: Job) -> Done {
    loop {
        let result = attempt(&mut job).await;
        if let Err(Failed { failure: Failure { kind: FailureKind::Host, message, .. }, handler }) = &result {
            let name = job.handlers.get(*handler).map_or("?", |handler| &**handler.name());
            tracing::warn!(pipeline = %job.pipeline.name, handler = name, "the host could not run a call, trying again: {message}");
            tokio::time::sleep(HOST_BACK_OFF).await;
            continue;
        }
        return job.done(result);
    }
}

async fn attempt(job: &mut Job) -> Result<Vec<Effects>, Failed> {
    let (pipeline, handlers) = (job.pipeline.clone(), job.handlers.clone());
    let mut all = Vec::with_capacity(handlers.len());
    let mut stamps = Vec::with_capacity(handlers.len());
    for (index, handler) in handlers.iter().enumerate() {
        let warm = job.instances.get_mut(index).and_then(Option::take);
        let warm = warm.filter(|instance| instance.is_of(handler) && instance.serves(&job.event.key));
        let instance = match warm {
            Some(instance) => Ok(instance),
            None => handler.instantiate().await,
        };
        let mut instance = match instance {
            Ok(instance) => instance,
            Err(failure) => return Err(give_up(job, index, failure)),
        };
        let state = job.states.get_mut(index).map(std::mem::take).unwrap_or_default();
        let stamp = job.stamps.get(index).cloned().unwrap_or_default();
        let confirmed = pipeline.handlers.confirmed(index);
        let fit = fit::fit(&stamp, &state, handler, confirmed);
        // What it was stays with the job until the event has succeeded.
        let (before, state) = match fit.state(&mut instance, &state).await {
            Ok(None) => (None, state),
            Ok(Some(fitting)) => (Some(state), fitting),
            Err(failure) => {
                if let Some(place) = job.states.get_mut(index) {
                    *place = state;
                }
                return Err(give_up(job, index, failure));
            }
        };
        let call = Call { event: job.event.clone(), attempt: job.attempt, late: job.late, replay: false, state };
        let started = Instant::now();
        let returned = instance.call(call).await;
        events::handler_called(&pipeline.name, handler.name(), started.elapsed());
        let fitting = returned.state;
        let migrated = before.as_ref().map(|before| fit::difference(before, &fitting));
        if let Some(place) = job.states.get_mut(index) {
            *place = before.unwrap_or(fitting);
        }
        match returned.result {
            Ok(mut effects) => {
                let before = job.states.get(index);
                stamps.push(fit.stamp(stamp, handler, before, !effects.writes.is_empty(), confirmed));
                if let Some(mut writes) = migrated {
                    writes.append(&mut effects.writes);
                    effects.writes = writes;
                }
                all.push(effects);
            }
            Err(failure) if mutant!(InstanceKeptAfterReject) => {
                if let Some(place) = job.instances.get_mut(index) {
                    *place = Some(instance);
                }
                return Err(Failed { handler: index, failure });
            }
            Err(failure) => return Err(give_up(job, index, failure)),
        }
        if handler.isolation() != Isolation::Event
            && instance.usable()
            && let Some(place) = job.instances.get_mut(index)
        {
            *place = Some(instance);
        }
    }
    job.stamps = stamps;
    Ok(all)
}

fn give_up(job: &mut Job, handler: usize, failure: Failure) -> Failed {
    for instance in &mut job.instances {
        *instance = None;
    }
    Failed { handler, failure }
}
