//! Shards: each owns the actors of its entities and runs them in one single-threaded loop, without locks on the data path (design §3.9).
//!
//! `run.rs` is the loop, `actor.rs` what it owns per entity, `perform.rs` the one match over the core's effects, `call.rs` one event through the handlers,
//! `release.rs` those that wait because no handler is called, `own.rs` the pipeline's own record, `ask.rs` what operators ask, `news.rs` what is told of an
//! entity. Everything enters through a [`Handle`]; answers come back through a [`Completion`] inbox.

mod actor;
mod ask;
mod call;
mod decisions;
pub(crate) mod fit;
mod news;
mod own;
mod perform;
mod places;
mod release;
mod run;
#[cfg(feature = "simulation")]
mod stepped;
mod timers;
mod wake;

pub use ask::{Asked, Question, RedriveTo, Refused, Shown, Spoken, WordTo};
pub use call::{CallFuture, Calls, Done, Failed, Instances, Job};
pub use decisions::{Decided, LastFailure, What};
pub(crate) use perform::reason as dead_reason;
#[cfg(feature = "simulation")]
pub use stepped::Stepped;
pub use wake::Waking;

use crate::directory::Directory;
use crate::event::{EntityKey, Event, Message};
use crate::inbox::Inbox;
use crate::passes::{Ask, PassStep};
use crate::pipeline::Pipeline;
use crate::sink::publisher::{PublishReply, PublishSink, PublisherHandle};
use crate::sink::search::{SearchReply, SearchSink, Searcher};
use crate::sink::streams::Streams;
use crate::store::{self, CompletionSink, DurableProgress, Poison, Reply, Store};
use seriatim_sequencer::Waiting;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, oneshot};

/// Batches that wait for a shard.
const MAIL_MAX: usize = 4;
/// Operators' questions that wait for a shard.
const ASKS_MAX: usize = 16;

/// What comes in from outside the shard, in one channel: order is kept from the reader to the actors.
#[derive(Debug)]
pub enum Mail {
    /// What a pipeline's reader handed on.
    Batch(Batch),
    /// What a catch-up read.
    Pass {
        /// The entity.
        key: EntityKey,
        /// Which of its passes.
        number: u64,
        /// One thing.
        step: PassStep,
    },
    /// Entities that owe something, found at the start.
    Wake {
        /// The pipeline's index.
        pipeline: usize,
        /// The entities.
        owed: Vec<Owing>,
    },
    /// Finish what is in flight, take no more; answer when nothing is left.
    Drain(oneshot::Sender<()>),
}

impl Mail {
    /// How many events it brings.
    fn events(&self) -> usize {
        match self {
            Self::Batch(batch) => batch.events.len(),
            Self::Pass { .. } => 1,
            Self::Wake { .. } | Self::Drain(_) => 0,
        }
    }
}

/// One entity that owes something.
#[derive(Clone, Debug)]
pub struct Owing {
    /// Which.
    pub key: EntityKey,
    /// What it waits for.
    pub waiting: Option<Waiting>,
    /// Its outbox holds something.
    pub outbox: bool,
}

/// One batch of one pipeline, for one shard.
#[derive(Debug, Default)]
pub struct Batch {
    /// The pipeline's index.
    pub pipeline: usize,
    /// Events of this shard's entities, in stream order.
    pub events: Vec<Arc<Event>>,
    /// For the pipeline's own record (first shard only).
    pub own: Vec<OwnItem>,
    /// Highest stream sequence of the whole batch, over all shards.
    pub highest: u64,
    /// Stream time behind it.
    pub stream_time: u64,
}

/// What has no entity.
#[derive(Debug)]
pub enum OwnItem {
    /// A message that does not decode.
    Malformed {
        /// The message.
        message: Arc<Message>,
        /// Why.
        reason: String,
        /// The entity, when that much could be read.
        entity: Option<String>,
    },
    /// Messages that retention deleted before they were read.
    Lost {
        /// First stream sequence.
        first: u64,
        /// Last one.
        last: u64,
    },
}

/// What comes back to a shard for something it asked.
#[derive(Debug)]
pub enum Completion {
    /// A change is durable.
    Committed(Reply),
    /// The publisher's answer.
    Published(PublishReply),
    /// The searcher's answer.
    Searched(SearchReply),
}

/// A shard's inbox for completions.
#[derive(Debug, Default)]
pub struct Completions(pub Inbox<Completion>);

impl CompletionSink for Completions {
    fn committed(&self, replies: &mut Vec<Reply>) {
        self.0.append(&mut replies.drain(..).map(Completion::Committed).collect());
    }
}

impl PublishSink for Completions {
    fn published(&self, replies: Vec<PublishReply>) {
        self.0.append(&mut replies.into_iter().map(Completion::Published).collect());
    }
}

impl SearchSink for Completions {
    fn searched(&self, reply: SearchReply) {
        self.0.push(Completion::Searched(reply));
    }
}

/// Bounds of one shard.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Calls set aside.
    pub calls_max: usize,
    /// Bytes held in memory, this shard's share of `held-bytes`.
    pub held_bytes: u64,
    /// Actors in memory, this shard's share of `entities-max`.
    pub entities_max: usize,
    /// Changes in flight before the shard takes no more mail.
    pub changes_max: usize,
}

/// Everything a shard works with.
pub struct Parts {
    /// Its number.
    pub index: usize,
    /// All pipelines, by index.
    pub pipelines: Vec<Arc<Pipeline>>,
    /// Where records are loaded from.
    pub store: Arc<dyn Store>,
    /// Where changes go.
    pub committer: store::Handle,
    /// Where outputs go.
    pub publisher: PublisherHandle,
    /// The broker's `max_payload`.
    pub max_payload: usize,
    /// How events reach their handlers.
    pub calls: Arc<dyn Calls>,
    /// What is known of output streams.
    pub streams: Streams,
    /// Who looks for outputs that may be there already.
    pub searcher: Searcher,
    /// Catch-up services, by pipeline.
    pub catch_ups: Vec<Arc<Inbox<Ask>>>,
    /// Where its completions arrive.
    pub completions: Arc<Completions>,
    /// What admin sees.
    pub directory: Arc<Directory>,
    /// Poisons the host.
    pub poison: Poison,
    /// How far each pipeline is on the disk.
    pub progress: Vec<Arc<DurableProgress>>,
    /// Its bounds.
    pub bounds: Bounds,
    /// Stream time and highest message handed on of each pipeline at the start.
    pub at_start: Vec<(u64, u64)>,
}

/// The way into a shard. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    mail: mpsc::Sender<Mail>,
    asks: mpsc::Sender<Question>,
}

/// The shard is gone: the host is stopping or poisoned.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the shard has ended")]
pub struct Gone;

impl Handle {
    /// A handle without a shard's thread, for simulations: whoever holds the other end takes the questions to a [`Stepped`]. It takes no mail.
    #[cfg(feature = "simulation")]
    #[must_use]
    pub fn unconnected() -> (Self, mpsc::Receiver<Question>) {
        let (mail, _) = mpsc::channel(1);
        let (asks, asked) = mpsc::channel(ASKS_MAX);
        (Self { mail, asks }, asked)
    }

    /// Hands mail on; waits while the shard is busy (back-pressure reaches the broker this way).
    ///
    /// # Errors
    /// The shard has ended.
    pub async fn send(&self, mail: Mail) -> Result<(), Gone> {
        self.mail.send(mail).await.map_err(|_| Gone)
    }

    /// Hands a question on, beside the mail: a shard takes few of them between its mails, and goes on answering while it takes no mail.
    ///
    /// # Errors
    /// The shard has ended.
    pub async fn ask(&self, question: Question) -> Result<(), Gone> {
        self.asks.send(question).await.map_err(|_| Gone)
    }
}

/// Starts a shard on a thread of its own.
///
/// # Errors
/// The thread cannot be started.
pub fn start(parts: Parts) -> std::io::Result<(Handle, JoinHandle<()>)> {
    let (mail, inbox) = mpsc::channel(MAIL_MAX);
    let (asks, asked) = mpsc::channel(ASKS_MAX);
    let poison = parts.poison.clone();
    let thread = std::thread::Builder::new().name(format!("shard-{}", parts.index)).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_time().build() {
            Ok(runtime) => runtime,
            Err(error) => {
                poison.set(format!("a shard could not start: {error}"));
                return;
            }
        };
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run::Shard::new(parts).run(inbox, asked))));
        if ended.is_err() {
            poison.set("a shard panicked; its last log lines say where");
        }
    })?;
    Ok((Handle { mail, asks }, thread))
}
