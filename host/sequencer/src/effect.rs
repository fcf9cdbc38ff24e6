//! What the shell must do. Effects are performed in the order they stand in; the store's queue keeps that order, so that a close can never
//! become durable before the commits that stand before it.

use crate::snapshot::Patch;
use crate::types::{Arrival, DeadReason, Place, WaitReason};
use alloc::string::String;

/// One thing to do.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // Boxing the change would allocate in every in-order step.
pub enum Effect<T> {
    /// Call the handlers. Answer with `Applied`, `Failed`, `Undelivered` or `Barred`, once.
    Deliver {
        /// The event.
        ticket: T,
        /// 1 = first try.
        attempt: u32,
        /// The sequence had been given up (`late = "deliver"`).
        late: bool,
    },
    /// Write this durably, then answer `Committed` (in order).
    Commit(Change<T>),
    /// The message's fate is durable once everything before this effect is.
    Close {
        /// The message.
        stream_sequence: u64,
        /// How it ended, for the counters; `None` = its entity waits for it.
        outcome: Option<Outcome>,
    },
    /// Read the entity's messages again, from `from` to `to`. Answer with `PassStarted`, `PassArrived`…, `PassEnded`.
    CatchUp {
        /// S.
        from: u64,
        /// L: the highest stream sequence that was dropped.
        to: u64,
    },
    /// Go on with a running catch-up up to `to`: arrivals were dropped meanwhile.
    ExtendCatchUp {
        /// New L.
        to: u64,
    },
    /// Stop the pipeline (`then = "stop"`).
    Stop {
        /// For people.
        reason: StopReason,
    },
    /// Something out of order happened (metrics only).
    Disorder(Disorder),
    /// Answer to an operator's word, to `Forget` or to `Retire`. Words are answered in the order in which they were given.
    Answer(Answer),
    /// Answer to a redrive.
    Redriven {
        /// The dead letter's stream sequence.
        dead: u64,
        /// What became of it.
        answer: Redriven,
    },
}

/// One commit. The shell adds the handlers' state and outputs when `applied` is set.
#[derive(Clone, Debug)]
pub struct Change<T> {
    /// What of the entity's own record changes.
    pub patch: Patch,
    /// The event whose scratch (state, outputs) becomes durable with this change.
    pub applied: Option<Applied<T>>,
    /// Events given up in this change.
    pub dead: Option<Dead<T>>,
    /// The message whose fate this change makes durable, and how it ended.
    pub closes: Option<(u64, Option<Outcome>)>,
    /// All slots and all handlers' state go with this change.
    pub erases: bool,
}

/// What was applied.
#[derive(Clone, Debug)]
pub struct Applied<T> {
    /// The event.
    pub ticket: T,
    /// Which attempt succeeded.
    pub attempt: u32,
    /// The dead letter it was redriven from.
    pub redriven: Option<u64>,
}

/// A dead letter to be written with a change.
#[derive(Clone, Debug)]
pub struct Dead<T> {
    /// The event; `None` for what retention took (`lost`).
    pub event: Option<Arrival<T>>,
    /// Why.
    pub reason: DeadReason,
    /// For people.
    pub error: String,
    /// How often it was tried.
    pub attempts: u32,
    /// For `lost`: what may be gone.
    pub lost: Option<Lost>,
}

impl<T> Dead<T> {
    /// The message that it is about; of a loss the first that may be gone.
    #[must_use]
    pub fn stream_sequence(&self) -> u64 {
        self.event.as_ref().map_or(self.lost.map_or(0, |lost| lost.first), |event| event.stream_sequence)
    }
}

/// Stream sequences in which unfinished messages of the entity may be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
    /// They went with the stream that stood there before another was accepted: their numbers mean other messages now.
    pub accepted: bool,
}

/// How a message ended (metric `seriatim_events_total`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Applied by every handler.
    Applied,
    /// Seen before.
    Duplicate,
    /// Late, and the policy drops late ones.
    DroppedLate,
    /// Dead-lettered.
    DeadLettered,
}

/// Metric `seriatim_disorder_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disorder {
    /// A gap opened; how many sequences are missing.
    Gap(u64),
    /// A late event came.
    Late,
    /// A conflict was seen.
    Conflict,
}

/// Why a pipeline stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// `gap.then = "stop"`.
    Gap {
        /// The first missing place.
        missing: Place,
    },
    /// `failure.then = "stop"`.
    Failure {
        /// The event that failed.
        place: Place,
        /// How.
        reason: DeadReason,
        /// For people.
        error: String,
    },
}

/// Answer to an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Done once the commits before this effect are durable.
    Done,
    /// The entity stands elsewhere.
    Elsewhere {
        /// The head as it is.
        head: Place,
    },
    /// Nothing to do: it was not parked, or already so; or it was seen too recently to go.
    Nothing,
    /// Something came between: another word, or the entity parked.
    Superseded,
    /// Something of it is unfinished: it cannot be forgotten.
    Owes,
}

/// Answer to a redrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redriven {
    /// Applied; done once the commits before this effect are durable.
    Done {
        /// Out of order.
        late: bool,
    },
    /// It was redriven before.
    Already,
    /// Events behind it were applied since.
    Passed {
        /// How many, at most.
        since: u64,
        /// Where the entity stands.
        head: Place,
    },
    /// The entity's pipeline stops.
    Stopped,
    /// The entity has not come to its place.
    Ahead {
        /// Where it stands.
        head: Place,
    },
    /// So many dead letters of the entity were redriven that nobody remembers whether this one was.
    Forgotten,
    /// The entity is parked, for a reason that lets nothing be delivered.
    Parked(WaitReason),
    /// The handlers failed again; nothing was changed.
    Failed(DeadReason),
    /// Another redrive of the entity is under way.
    Busy,
    /// A handler of the pipeline fails so often that none is called.
    Barred,
}
