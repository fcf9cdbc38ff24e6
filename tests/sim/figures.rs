//! What a range of seeds came to, as JSON and as a table.

use crate::run::Outcome;
use crate::stats::Stats;
use anyhow::Result;
use serde_json::{Value, json};
use seriatim_tests::checker::laws::Counts;
use seriatim_tests::harness::{evidence, machine};

/// Failing seeds that are kept with their texts.
const FAILURES_KEPT: usize = 100;

/// The sum over seeds.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) from: u64,
    pub(crate) to: u64,
    /// How many were run.
    pub(crate) seeds: u64,
    pub(crate) stats: Stats,
    pub(crate) counts: Counts,
    /// How many seeds broke something.
    pub(crate) failed: u64,
    /// The first of them, ascending.
    pub(crate) failures: Vec<(u64, Vec<String>)>,
    pub(crate) seconds: u64,
}

impl Figures {
    pub(crate) fn new(from: u64, to: u64) -> Self {
        Self { from, to, ..Self::default() }
    }

    /// Adds a seed.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.seeds += 1;
        self.stats.merge(&outcome.stats);
        self.counts.add(&outcome.counts);
        if !outcome.broken.is_empty() {
            self.failed += 1;
            self.failures.push((outcome.seed, outcome.broken));
            self.failures.sort_by_key(|(seed, _)| *seed);
            self.failures.truncate(FAILURES_KEPT);
        }
    }

    /// Adds what another thread has found.
    pub(crate) fn merge(&mut self, other: Self) {
        self.seeds += other.seeds;
        self.stats.merge(&other.stats);
        self.counts.add(&other.counts);
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.sort_by_key(|(seed, _)| *seed);
        self.failures.truncate(FAILURES_KEPT);
    }

    /// All of it.
    pub(crate) fn json(&self, commit: Option<&str>) -> Result<Value> {
        let faults: serde_json::Map<_, _> = self.stats.faults().map(|(name, figure)| (name.to_owned(), json!(figure))).collect();
        let exercised: serde_json::Map<_, _> = self.stats.figures().map(|(name, figure)| (name.to_owned(), json!(figure))).collect();
        let failure = |(seed, broken): &(u64, Vec<String>)| {
            let text = broken.first().map(String::as_str).unwrap_or_default();
            json!({ "seed": seed, "check": check(text), "text": text })
        };
        Ok(json!({
            "date": evidence::date()?,
            "commit": commit,
            "machine": machine::description(),
            "seeds_from": self.from,
            "seeds_to": self.to,
            "seeds": self.seeds,
            "seconds": self.seconds,
            "violations": self.failed,
            "failures": self.failures.iter().map(failure).collect::<Vec<_>>(),
            "faults": faults,
            "exercised": exercised,
            "judged": self.counts,
        }))
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!("{} seeds in {} s, {} of them broke a promise\n", self.seeds, self.seconds, self.failed);
        let strikes: Vec<_> = self.stats.faults().map(|(name, figure)| format!("{name} {figure}")).collect();
        text.push_str(&format!("faults: {}\n", strikes.join(", ")));
        let exercised: Vec<_> = self.stats.figures().map(|(name, figure)| format!("{name} {figure}")).collect();
        text.push_str(&format!("exercised: {}\n", exercised.join(", ")));
        let dead: Vec<_> = self.counts.dead.iter().map(|(reason, figure)| format!("{reason} {figure}")).collect();
        let counts = &self.counts;
        text.push_str(&format!(
            "judged: {} messages, {} applied ({} late), {} duplicates, {} given up, {} dropped late, {} parked, {} retried; dead letters: {}\n",
            counts.messages,
            counts.applied,
            counts.delivered_late,
            counts.duplicates,
            counts.given_up,
            counts.dropped_late,
            counts.parked,
            counts.retried,
            dead.join(", ")
        ));
        text
    }
}

/// The name of the check in what it says: what stands before the first colon.
fn check(text: &str) -> &str {
    let text = text.strip_prefix("at a kill: ").unwrap_or(text);
    text.split(':').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_check_is_named() {
        assert_eq!(check("G3 output-once: output x is there twice"), "G3 output-once");
        assert_eq!(check("at a kill: G1 nothing-forgotten: has no end"), "G1 nothing-forgotten");
        assert_eq!(check("panic: index out of bounds"), "panic");
    }
}
