//! The port between shards and the re-reading of the stream: what a shard asks of the catch-up service, and what it gets. Plain data; `app` wires it, so
//! that imports keep pointing one way.

use crate::event::{EntityKey, Event};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// An entity wants its messages from `from` to `to` read again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Which entity.
    pub key: EntityKey,
    /// The shard that asks.
    pub shard: usize,
    /// Which of the entity's passes: steps of an earlier one mean nothing to a later one.
    pub number: u64,
    /// First stream sequence.
    pub from: u64,
    /// Last stream sequence.
    pub to: u64,
    /// Since when it waits, host milliseconds: who waits longest comes first.
    pub since: u64,
}

/// What a shard asks of the catch-up service of a pipeline.
#[derive(Debug)]
pub enum Ask {
    /// Read an entity's messages again.
    Start(Request),
    /// Go on up to here.
    Extend(EntityKey, u64),
    /// This pass of the entity is over.
    Done(EntityKey, u64),
    /// Whatever this pass of the entity still brings is let go of: it may end where it is.
    Enough(EntityKey, u64),
}

/// One thing a catch-up brings.
#[derive(Debug)]
pub enum PassStep {
    /// It reads; the stream has nothing below this.
    Started(u64),
    /// A message of the entity.
    Event(Arc<Event>),
    /// Everything up to here was brought.
    Ended(u64),
    /// It broke off.
    Failed,
}

/// Whether the shard took it; false: the shard has ended.
pub type Taken = Pin<Box<dyn Future<Output = bool> + Send>>;

/// The way back into the shards.
pub trait PassPort: Send + Sync + 'static {
    /// Hands one step of the entity's pass `number` to its shard; waits while it is busy.
    fn step(&self, shard: usize, key: EntityKey, number: u64, step: PassStep) -> Taken;
}
