//! What can happen to an entity.

use crate::types::{Arrival, Failure, Place};

/// One thing that happened. Every input is handled in one `step`, and one step never blocks.
#[derive(Clone, Debug)]
pub enum Input<T> {
    /// The live reader brought a message of this entity.
    Arrived(Arrival<T>),
    /// Every handler returned `ok` for what was delivered.
    Applied,
    /// A handler failed; nothing it did is kept.
    Failed(Failure),
    /// The delivery could not be made for a reason of the host (pool exhausted, stopping): no attempt is counted.
    Undelivered,
    /// The delivery was not made because a handler of the pipeline fails so often that none is called: no attempt is counted, and the entity waits
    /// (`breaker`) until it is released.
    Barred,
    /// The handlers are called again, at least for this entity. Answered to nothing: harmless when it was not barred.
    Released,
    /// The oldest commit in flight is durable.
    Committed,
    /// Time moved; alarms may ring.
    Tick,
    /// The catch-up that was asked for has started. `gone_below`: the stream has nothing below this any more (on the leader's word).
    PassStarted {
        /// First stream sequence the stream still has.
        gone_below: u64,
    },
    /// The catch-up brought a message of this entity (again).
    PassArrived(Arrival<T>),
    /// The catch-up has read everything of the entity up to and including `to`.
    PassEnded {
        /// Highest stream sequence covered.
        to: u64,
    },
    /// The catch-up could not be read (reader lost): nothing above the last `PassArrived` is known.
    PassFailed,
    /// An operator accepted a changed stream, and what this waiting entity still had to do is not in it any more.
    Gone {
        /// First stream sequence (of the stream as it was).
        first: u64,
        /// Last one.
        last: u64,
    },
    /// Outputs of the entity cannot be published now.
    OutputsBlocked,
    /// Outputs flow again.
    OutputsFree,
    /// An output or dead letter was refused for good.
    OutputsRefused,
    /// The host holds more than `held-bytes`, and this entity holds most.
    Shed,
    /// An operator's word.
    Operator(Operator),
    /// An operator gives a dead letter's event again. Answered with `Redriven`, once.
    Redrive {
        /// The dead letter's stream sequence.
        dead: u64,
        /// Its event, as it came.
        arrival: Arrival<T>,
        /// Although events behind it were applied since.
        out_of_order: bool,
    },
    /// State and ids of the entity go. Answered with `Answer`, at once.
    Forget,
    /// The same, if the entity was not seen for as long as the policy remembers one. Answered with `Answer`, at once.
    Retire,
}

/// What an operator may ask. `place` is the place after the position that the operator saw: another one refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    /// Stop here until told otherwise.
    Park,
    /// Try the head again.
    Resume {
        /// The head the operator means.
        place: Place,
    },
    /// Dead-letter the head (`skipped`) and go on; on a gap: give up the missing ones.
    Skip {
        /// The head, or the first missing place, that the operator means.
        place: Place,
    },
}
