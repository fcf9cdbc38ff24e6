//! One seed from beginning to verdict.

use crate::stats::Stats;
use crate::verdict;
use crate::world::World;
use seriatim_tests::checker::laws::Counts;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What became of one seed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    /// The trace's hash.
    pub(crate) hash: u64,
    /// The trace's lines, if they were asked for.
    pub(crate) lines: Vec<String>,
    /// What was broken; empty = nothing.
    pub(crate) broken: Vec<String>,
    pub(crate) stats: Stats,
    pub(crate) counts: Counts,
}

/// Runs one seed; without operators it is the run that it was before there were any. A panic of the host or of the simulation is a violation like any other.
pub(crate) fn seed(seed: u64, told: bool, operators: bool) -> Outcome {
    let mut world = World::new(seed, told, operators);
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let rested = world.run();
        if !rested {
            let unrest = world.unrest();
            world.wrong.push(format!("G8: {unrest}"));
        }
        verdict::judge(&mut world, rested)
    }));
    let mut broken = std::mem::take(&mut world.wrong);
    let counts = match judged {
        Ok(report) => {
            broken.extend(report.broken.iter().map(ToString::to_string));
            report.counts
        }
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
            broken.push(format!("panic: {}", text.unwrap_or_default()));
            Counts::default()
        }
    };
    Outcome { seed, hash: world.trace.hash(), lines: world.trace.lines().to_vec(), broken, stats: std::mem::take(&mut world.stats), counts }
}
