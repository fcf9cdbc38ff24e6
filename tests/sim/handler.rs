//! The handler, answered natively: what `plugins/echo` does, plus what the payload says it does wrong. Beside it the real components of the
//! process, whose name and digests the host's records carry.

use crate::dice::Dice;
use crate::plan::{Does, Fails};
use bytes::Bytes;
use seriatim::event::Header;
use seriatim::runtime::{Effects, Emitted, Engine, EngineConfig, Failure, FailureKind, Handler, HandlerConfig, Isolation, Limits};
use seriatim::shard::{CallFuture, Calls, Done, Failed, Job};
use seriatim::store::Stamp;
use seriatim_tests::checker;
use seriatim_tests::harness::components::padded;
use seriatim_tests::harness::tools;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};

/// Its name.
pub(crate) const NAME: &str = "echo";

/// How many components there are: the same code in files of their own.
pub(crate) const COMPONENTS: usize = 2;

/// One of them, compiled once for all runs.
pub(crate) fn component(which: usize) -> Handler {
    static LOADED: OnceLock<[Handler; COMPONENTS]> = OnceLock::new();
    LOADED.get_or_init(|| std::array::from_fn(load))[which].clone()
}

fn load(which: usize) -> Handler {
    let bytes = padded(std::fs::read(tools::plugin(NAME)).unwrap(), which);
    let engine = Engine::new(&EngineConfig { calls_max: 1, cache_dir: None, handler_memory_max: 16 << 20 }).unwrap();
    let config = HandlerConfig {
        name: NAME.into(),
        config: [("to".to_owned(), "echo".to_owned())].into(),
        outputs: vec!["echo.>".to_owned()],
        isolation: Isolation::Run,
        limits: Limits::default(),
        load: 0,
    };
    engine.load(&bytes, config).unwrap()
}

/// Answers calls of one host.
#[derive(Debug)]
pub(crate) struct Echo {
    dice: Mutex<Dice>,
    slow: u64,
    aside: Arc<AtomicUsize>,
}

impl Echo {
    /// One call in `slow` does not end at once (0: all do).
    pub(crate) fn new(dice: Dice, slow: u64) -> Self {
        Self { dice: Mutex::new(dice), slow, aside: Arc::default() }
    }

    /// Calls that are set aside now, over all shards.
    pub(crate) fn aside(&self) -> Arc<AtomicUsize> {
        self.aside.clone()
    }
}

impl Calls for Echo {
    fn call(&self, job: Job) -> CallFuture {
        let mut dice = self.dice.lock().unwrap_or_else(PoisonError::into_inner);
        let polls = if dice.once_in(self.slow) { dice.range(1, 6) } else { 0 };
        self.aside.fetch_add(1, Ordering::Relaxed);
        Box::pin(Running { left: polls, job: Some(job), aside: self.aside.clone() })
    }
}

/// A call that ends after so many looks at it.
struct Running {
    left: u64,
    job: Option<Job>,
    aside: Arc<AtomicUsize>,
}

impl Future for Running {
    type Output = Done;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Done> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(handle(self.job.take().unwrap()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.aside.fetch_sub(1, Ordering::Relaxed);
    }
}

fn handle(mut job: Job) -> Done {
    let failure = match Does::of(&job.event.message.payload) {
        Does::Accept => None,
        Does::Reject => Some(FailureKind::Rejected),
        Does::FailThenAccept(times) => (job.attempt <= times).then_some(FailureKind::Retry),
        Does::AlwaysFail(fails) => Some(match fails {
            Fails::Retry => FailureKind::Retry,
            Fails::Trap => FailureKind::Trap,
            Fails::Timeout => FailureKind::Timeout,
            Fails::OutputRefused => FailureKind::OutputRefused,
        }),
    };
    let result = match failure {
        Some(kind) => Err(Failed { handler: 0, failure: Failure::new(kind, "as the event says") }),
        None => {
            // Who handles it is what the job began with, whatever has taken its place since.
            let stamp = |handler: &Handler| Stamp { component: handler.digest().clone(), version: 0, prior: None };
            job.stamps = job.handlers.iter().map(stamp).collect();
            Ok(vec![echo(&job)])
        }
    };
    job.done(result)
}

/// What `plugins/echo` does.
fn echo(job: &Job) -> Effects {
    let before = job.states.first().and_then(|state| state.get("count"));
    let count = before.map_or(0, |bytes| std::str::from_utf8(bytes).unwrap().parse::<u64>().unwrap()) + 1;
    let header = |name: &str, value: u64| Header { name: name.to_owned(), value: value.to_string() };
    let output = Emitted {
        subject: format!("echo.{}", checker::token(&job.event.key.entity)),
        headers: vec![header("Echo-Sequence", job.event.sequence), header("Echo-Count", count)],
        payload: job.event.message.payload.clone(),
    };
    Effects { writes: vec![("count".to_owned(), Some(Bytes::from(count.to_string())))], outputs: vec![output] }
}
