//! What a handler may do in one call, and how a call that goes too far fails. The host runs components over it, the SDK's test kit runs
//! handlers natively over it, so that both have the same limits and the same errors. Plain values: no wasm, no broker, no store, no clock.
//!
//! A call starts with the entity's state in a [`Scratch`]. Reads, writes and outputs happen there, each checked against [`Limits`]; an operation
//! past a bound gives the [`Failure`] that ends the call. What the call wants done is taken out as [`Effects`], or thrown away.

mod failure;
mod limits;
mod log;
mod scratch;
mod subject;
mod text;

pub use failure::{Failure, FailureKind};
pub use limits::{Limits, OWN_HEADERS_BYTES};
pub use log::{LineFate, LogLines, log_line};
pub use scratch::{Effects, Emitted, HEADER_FRAME_BYTES, STATE_KEY_BYTES_MAX, Scratch, State};
pub use subject::{check_outputs_pattern, check_pattern, overlap, subject_matches, subject_token, valid_pattern, valid_subject};
pub use text::{LINE_BYTES_MAX, has_control, one_line};

/// One header of a message or an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Name as it came.
    pub name: String,
    /// Value as it came.
    pub value: String,
}
