//! The ordering core of Seriatim: one [`Sequencer`] per entity decides deliver / duplicate / hold / late / wait for every arrival.
//!
//! It is pure: no clock, no I/O, no threads, no store; `no_std` + `alloc`, and in-order steps do not allocate (but for the first after a
//! [`Sequencer::rest`]). Time and facts go in, effects come out as values.
//!
//! # Driving contract
//!
//! 1. Build with [`Sequencer::new`] (nothing durable is known), [`Sequencer::restore`] or, when the record cannot be read,
//!    [`Sequencer::unreadable`].
//! 2. Hand in everything that happens through [`Sequencer::step`], in the order in which it happened, with both clocks. A step never blocks and
//!    never panics.
//! 3. Perform the effects in the order in which they stand. `Commit` and `Close` go through *one* first-in-first-out queue into the store: a
//!    close is durable only when every commit before it is. That alone makes "a message closes only when its entity's earlier changes are
//!    durable" true.
//! 4. Answer each `Deliver` once (`Applied`, `Failed`, `Undelivered` or `Barred`), each `Commit` once and in order (`Committed`), each `CatchUp` with
//!    `PassStarted`, any number of `PassArrived`, then `PassEnded` or `PassFailed`. A pass may end early once `had_enough` says so.
//! 5. After each step ask [`Sequencer::next_wakeup`]; step with `Tick` when one of its times has come.
//! 6. While [`Sequencer::barred`] it asks for no time: step with `Released` when the handlers may be called.
//! 7. Where there are very many, call [`Sequencer::rest`] when nothing of one is under way.
//!
//! Nothing that was not committed survives a crash; [`Sequencer::restore`] from what was, plus reading the stream again from the watermark,
//! always leads to the same results. The property tests cut at every effect boundary to prove it.

#![no_std]

extern crate alloc;

/// Whether this process makes the deliberate mistake of that name (see `mutant.rs`); without the feature `mutants` constantly `false`.
#[cfg(feature = "mutants")]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        $crate::mutant::active($crate::mutant::Mutant::$name)
    };
}

/// Whether this process makes the deliberate mistake of that name (see `mutant.rs`); without the feature `mutants` constantly `false`.
#[cfg(not(feature = "mutants"))]
#[macro_export]
macro_rules! mutant {
    ($name:ident) => {
        false
    };
}

mod arrival;
mod barred;
mod dedup;
mod effect;
mod explain;
mod floor;
mod gap;
mod history;
mod input;
mod lost;
#[cfg(feature = "mutants")]
pub mod mutant;
mod pending;
mod policy;
pub mod rare;
mod redrive;
mod reorder;
mod retain;
mod sequencer;
mod snapshot;
mod types;
mod waiting;

pub use effect::{Answer, Applied, Change, Dead, Disorder, Effect, Lost, Outcome, Redriven, StopReason};
pub use explain::{Head, Status};
pub use input::{Input, Operator};
pub use lost::NamedLost;
pub use policy::{FailureThen, First, GapThen, Late, Policy};
pub use retain::Retain;
pub use sequencer::{Sequencer, Wakeup};
pub use snapshot::{Extras, Patch, Range, Slot, Snapshot, Unapplied};
pub use types::{Alarm, Arrival, Attempts, DeadReason, Failure, Millis, Now, Place, WaitReason, Waiting};
