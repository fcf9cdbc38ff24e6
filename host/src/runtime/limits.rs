//! What wasmtime enforces for us of the bounds of one call: memory over all memories and tables of an instance, and running time by epochs.

use super::Limits;
use super::engine::TICK;
use wasmtime::{ResourceLimiter, Result};

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

    /// Bytes of all memories and tables of the instance.
    pub(super) fn held(&self) -> usize {
        self.memory
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
    use std::time::Duration;

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
