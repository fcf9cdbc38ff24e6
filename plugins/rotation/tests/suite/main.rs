//! The handler against its README, rule by rule and over the whole month.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]

mod month;
mod readme;
mod rules;
mod run;
