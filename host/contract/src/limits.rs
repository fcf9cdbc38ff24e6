//! The bounds of one call, with their defaults.

use crate::{Failure, FailureKind};
use std::time::Duration;

/// Room that `emit` leaves in a message for the headers the host adds on its way out (design §5.3): the message id (under 1 KiB), causation
/// and correlation id (each cut to 1 KiB), and short ones.
pub const OWN_HEADERS_BYTES: usize = 4096;

/// Bounds of one call of one handler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// `memory-max`: bytes of all memories and tables of an instance together.
    pub memory_max: usize,
    /// `time-max`: how long one call may execute. Counted in epoch ticks in which it ran, so time spent set aside or stopped does not count.
    pub time_max: Duration,
    /// `state-max`: bytes of all keys and values of one entity.
    pub state_max: usize,
    /// `state-value-max`: bytes of one value.
    pub state_value_max: usize,
    /// `state-keys-max`: keys of one entity.
    pub state_keys_max: usize,
    /// `outputs-max`: messages emitted by one call.
    pub outputs_max: usize,
    /// `output-bytes-max`: bytes of all messages emitted by one call: subjects, headers and payloads.
    pub output_bytes_max: usize,
    /// `log-lines-max`: log lines of one call; one more ends it (lines printed through WASI are dropped instead).
    pub log_lines_max: usize,
    /// Bytes of one subject.
    pub subject_bytes_max: usize,
    /// Headers of one message.
    pub headers_max: usize,
    /// Bytes of the headers of one message.
    pub header_bytes_max: usize,
    /// The broker's `max_payload`: headers, the host's included ([`OWN_HEADERS_BYTES`]), and payload of one message.
    pub payload_max: usize,
}

impl Default for Limits {
    /// What a config that names none of them gets, and a broker's own default of `max_payload`.
    fn default() -> Self {
        Self {
            memory_max: 16 << 20,
            time_max: Duration::from_secs(1),
            state_max: 1 << 20,
            state_value_max: 256 << 10,
            state_keys_max: 1000,
            outputs_max: 100,
            output_bytes_max: 1 << 20,
            log_lines_max: 100,
            subject_bytes_max: 512,
            headers_max: 64,
            header_bytes_max: 16 << 10,
            payload_max: 1 << 20,
        }
    }
}

impl Limits {
    /// How many bytes a handler may make the host take over in one host call: the largest value or message it could have accepted.
    #[must_use]
    pub fn hostcall_bytes(&self) -> usize {
        const SLACK: usize = 64 << 10;
        self.state_value_max.max(self.payload_max.saturating_add(self.header_bytes_max)).saturating_add(SLACK)
    }

    /// The failure of a host call that passes more than [`hostcall_bytes`](Self::hostcall_bytes).
    #[must_use]
    pub fn hostcall_too_large(&self) -> Failure {
        Failure::new(FailureKind::TooLarge, format!("passed more than {} bytes to the host in one call", self.hostcall_bytes()))
    }
}
