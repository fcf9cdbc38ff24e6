//! The proof of the ordering core: a judge that shares no code with it, a small world that drives it through faults, properties over seeds, and
//! readable scenarios.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

// One generator of disorder for everything that is drawn by a seed.
#[allow(dead_code)]
#[path = "../../../../tests/sim/dice.rs"]
mod dice;
mod judge;
mod ledger;
mod plan;
mod properties;
mod redrive;
mod retain;
mod scenarios;
mod scene;
mod units;
mod world;
