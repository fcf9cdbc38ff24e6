//! What runs exercised, counted: a range of seeds that did nothing of a kind has proved nothing about it.

use crate::faults::Fault;
use std::collections::BTreeMap;

/// Figures by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stats {
    figures: BTreeMap<&'static str, u64>,
    faults: [u64; Fault::ALL.len()],
}

impl Stats {
    pub(crate) fn add(&mut self, name: &'static str) {
        self.more(name, 1);
    }

    pub(crate) fn more(&mut self, name: &'static str, by: u64) {
        *self.figures.entry(name).or_default() += by;
    }

    pub(crate) fn fault(&mut self, kind: Fault) {
        self.faults[kind as usize] += 1;
    }

    pub(crate) fn faults(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Fault::ALL.into_iter().map(|kind| (kind.name(), self.faults[kind as usize]))
    }

    pub(crate) fn figures(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.figures.iter().map(|(name, figure)| (*name, *figure))
    }

    pub(crate) fn figure(&self, name: &str) -> u64 {
        self.figures.get(name).copied().unwrap_or_default()
    }

    pub(crate) fn of_fault(&self, kind: Fault) -> u64 {
        self.faults[kind as usize]
    }

    /// Adds another run's figures.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (name, figure) in &other.figures {
            self.more(name, *figure);
        }
        for (sum, more) in self.faults.iter_mut().zip(other.faults) {
            *sum += more;
        }
    }
}
