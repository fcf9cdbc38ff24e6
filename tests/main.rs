//! The one integration binary: real broker, real host process, real handlers; a judge that shares no code with the host.
//! How it is laid out: `README.md` beside this file.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: it stops at the first surprise"
)]

mod e2e;

use seriatim_tests::harness;
