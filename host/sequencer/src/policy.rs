//! What the operator decided about order and failure: the `order` and `failure` tables of a pipeline, and the bounds.

use crate::retain::Retain;
use crate::types::Millis;
use alloc::vec::Vec;

/// Policy of one pipeline (design §5.2). Immutable while the host runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Where a new entity starts.
    pub first: First,
    /// Milliseconds of stream time after which a gap gives up.
    pub gap_wait: Millis,
    /// What giving up means.
    pub gap_then: GapThen,
    /// Early events kept in memory per entity.
    pub held_max: usize,
    /// In-order events kept in memory per entity behind the running one.
    pub queue_max: usize,
    /// A sequence more than this ahead of the position is malformed.
    pub jump_max: u64,
    /// What happens to late events.
    pub late: Late,
    /// Recent ids kept per entity (at least 1).
    pub ids: usize,
    /// Delays between attempts; its length is the number of retries.
    pub retry: Vec<Millis>,
    /// What exhaustion means.
    pub failure_then: FailureThen,
    /// Commits in flight per entity.
    pub commits_max: u32,
    /// Given-up ranges kept per entity.
    pub ranges_max: usize,
    /// A gap open this long (host time) commits `waiting`, so that the watermark does not stand still for it.
    pub settle: Millis,
    /// For how long an entity is remembered that is not seen; `None`: for ever.
    pub retain: Option<Retain>,
}

/// `order.first-sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// A new entity starts at this sequence.
    At(u64),
    /// It takes the lowest seen within `gap.wait`.
    Any,
}

/// `order.gap.then`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapThen {
    /// The position jumps to the lowest held event.
    Skip,
    /// The early events are dead-lettered, one commit each.
    DeadLetter,
    /// The entity parks until the missing event or an operator comes.
    Park,
    /// The pipeline stops.
    Stop,
}

/// `order.late`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Dead-letter it.
    DeadLetter,
    /// Drop it, counted.
    Drop,
    /// Deliver it out of order, flagged.
    Deliver,
}

/// `failure.then`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureThen {
    /// Dead-letter the event and go on.
    DeadLetter,
    /// Park the entity at it.
    Park,
    /// Stop the pipeline.
    Stop,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first: First::At(1),
            gap_wait: 30_000,
            gap_then: GapThen::Park,
            held_max: 1000,
            queue_max: 1000,
            jump_max: 1_000_000,
            late: Late::DeadLetter,
            ids: 64,
            retry: alloc::vec![100, 1_000, 10_000],
            failure_then: FailureThen::DeadLetter,
            commits_max: 16,
            ranges_max: 64,
            settle: 1_000,
            retain: None,
        }
    }
}
