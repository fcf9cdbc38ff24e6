//! The bounds of one call, with their defaults, and the part of them that wasmtime enforces for us: memory over all memories and tables of an
//! instance, and running time by epochs.

use super::engine::TICK;
use std::time::Duration;
use wasmtime::{ResourceLimiter, Result};

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
    fn default() -> Self {
        Self {
            memory_max: 16 << 20,
            time_max: Duration::from_secs(1),
            state_max: 1 << 20,
            state_value_max: 256 << 10,
            state_keys_max: 1000,
            outputs_max: 100,
            output_bytes_max: 4 << 20,
            log_lines_max: 100,
            subject_bytes_max: 512,
            headers_max: 64,
            header_bytes_max: 16 << 10,
            payload_max: 1 << 20,
        }
    }
}

impl Limits {
    /// How many bytes a guest may make the host take over in one host call: the largest value or message it could have accepted.
    pub(crate) fn hostcall_bytes(&self) -> usize {
        const SLACK: usize = 64 << 10;
        self.state_value_max.max(self.payload_max.saturating_add(self.header_bytes_max)).saturating_add(SLACK)
    }
}

/// Bytes one table element takes.
const ELEMENT_BYTES: usize = size_of::<usize>();

/// Counts what an instance holds and how long its call has run.
#[derive(Debug)]
pub(super) struct Meter {
    memory_max: usize,
    memory: usize,
    /// The last growth that was granted: taken back if it fails after all.
    granted: usize,
    /// Bytes that were asked for when memory was refused, in this call.
    refused: Option<usize>,
    ticks_max: u64,
    ticks: u64,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        let ticks_max = limits.time_max.as_nanos().div_ceil(TICK.as_nanos().max(1));
        Self {
            memory_max: limits.memory_max,
            memory: 0,
            granted: 0,
            refused: None,
            ticks_max: u64::try_from(ticks_max).unwrap_or(u64::MAX).max(1),
            ticks: 0,
        }
    }

    /// A new call begins.
    pub(super) fn restart(&mut self) {
        self.refused = None;
        self.ticks = 0;
    }

    /// The call has run into another tick; whether it may go on.
    pub(super) fn tick(&mut self) -> bool {
        self.ticks = self.ticks.saturating_add(1);
        // The first tick ends anywhere within its length: only whole ones count.
        self.ticks <= self.ticks_max
    }

    /// Whether it was stopped for running too long.
    pub(super) fn timed_out(&self) -> bool {
        self.ticks > self.ticks_max
    }

    /// What it asked for when it was refused memory in this call.
    pub(super) fn refused(&self) -> Option<usize> {
        self.refused
    }

    fn grow(&mut self, current: usize, desired: usize) -> bool {
        let growth = desired.saturating_sub(current);
        let total = self.memory.saturating_add(growth);
        if total > self.memory_max {
            self.refused = Some(total);
            return false;
        }
        self.memory = total;
        self.granted = growth;
        true
    }

    fn growth_failed(&mut self) {
        self.memory = self.memory.saturating_sub(self.granted);
        self.refused = Some(self.memory.saturating_add(self.granted));
        self.granted = 0;
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(current, desired))
    }

    fn memory_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.growth_failed();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> Result<bool> {
        Ok(self.grow(current.saturating_mul(ELEMENT_BYTES), desired.saturating_mul(ELEMENT_BYTES)))
    }

    fn table_grow_failed(&mut self, _error: wasmtime::Error) -> Result<()> {
        self.growth_failed();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(memory_max: usize) -> Meter {
        Meter::new(&Limits { memory_max, time_max: Duration::from_millis(30), ..Limits::default() })
    }

    #[test]
    fn memory_is_summed_over_memories_and_tables() {
        let mut meter = meter(300 << 10);
        assert!(meter.memory_growing(0, 128 << 10, None).unwrap());
        assert!(meter.memory_growing(0, 128 << 10, None).unwrap());
        assert!(meter.table_growing(0, 1000, None).unwrap());
        assert_eq!(meter.refused(), None);
        assert!(!meter.memory_growing(128 << 10, 192 << 10, None).unwrap());
        assert_eq!(meter.refused(), Some((320 << 10) + 8000));
        meter.restart();
        assert_eq!(meter.refused(), None);
        assert!(!meter.table_growing(1000, 10_000, None).unwrap());
        assert!(meter.table_growing(1000, 2000, None).unwrap());
    }

    #[test]
    fn a_growth_that_failed_is_given_back() {
        let mut meter = meter(200 << 10);
        assert!(meter.memory_growing(0, 128 << 10, None).unwrap());
        meter.memory_grow_failed(wasmtime::Error::msg("no")).unwrap();
        assert!(meter.memory_growing(0, 192 << 10, None).unwrap());
    }

    #[test]
    fn time_is_whole_ticks_that_ran() {
        let mut meter = meter(0);
        assert!((0..3).all(|_| meter.tick()));
        assert!(!meter.timed_out());
        assert!(!meter.tick());
        assert!(meter.timed_out());
        meter.restart();
        assert!(!meter.timed_out());
    }
}
