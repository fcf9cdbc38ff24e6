//! What everything that runs Seriatim from outside stands on: a real broker and a real host process (`harness`), and a judge that shares no
//! code with the host (`checker`). The end-to-end tests (`main.rs`), the demo (`demo/`) and the benchmark (`bench/`) use it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test's ground: it stops at the first surprise"
)]

pub mod checker;
pub mod harness;
