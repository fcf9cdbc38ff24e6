//! How often a range of seeds must have done what it claims to exercise: a range that did not has proved nothing, whatever it found.

use crate::faults::Fault;
use crate::stats::Stats;
use seriatim_tests::checker::laws::Counts;

/// From so many seeds on the minima hold.
pub(crate) const FROM_SEEDS: u64 = 2_000;

/// Figures of the simulation's own and how often each comes at least in [`FROM_SEEDS`] seeds.
const FIGURES: [(&str, u64); 25] = [
    ("starts", 4_000),
    ("graceful stops", 300),
    ("commits", 50_000),
    ("kills with calls set aside", 100),
    ("kills between publish and prune", 50),
    ("kills during a catch-up", 30),
    ("kills during a start", 20),
    ("kills during a graceful stop", 10),
    ("judged at a kill", 200),
    ("looks at calls set aside", 3_000),
    ("passes of one entity", 1_000),
    ("shared passes", 1_000),
    ("passes broken off", 5),
    ("passes ended early", 100),
    ("searches: there", 50),
    ("searches: absent", 300),
    ("publishes without an answer", 300),
    ("publishes the broker knew", 100),
    ("publishes into a full stream", 100),
    ("publishes refused for good", 20),
    ("reader: hole", 500),
    ("reader: reconnect", 300),
    ("reader: deleted", 300),
    ("streams accepted", 20),
    ("messages lost before they were read", 20),
];

/// The same of operators.
const WORDS: [(&str, u64); 11] = [
    ("words done: park", 200),
    ("words done: resume", 300),
    ("words done: skip", 80),
    ("words done: redrive in order", 10),
    ("words done: redrive that may be out of order", 50),
    ("words: redrives repeated", 100),
    ("words refused: another head", 300),
    ("words during a catch-up", 300),
    ("words durable and without an answer", 40),
    ("redrives refused because others were applied since", 20),
    ("runs that end with entities parked by an operator", 40),
];

/// How often each kind of fault strikes at least.
const FAULTS: u64 = 20;

/// What was not reached; of operators only where there were to be some.
pub(crate) fn missed(seeds: u64, stats: &Stats, counts: &Counts, operators: bool) -> Vec<String> {
    if seeds < FROM_SEEDS {
        return Vec::new();
    }
    let scaled = |least: u64| least * (seeds / FROM_SEEDS);
    let mut found: Vec<(String, u64, u64)> = Vec::new();
    let words: &[(&str, u64)] = if operators { &WORDS } else { &[] };
    found.extend(FIGURES.iter().chain(words).map(|(name, least)| ((*name).to_owned(), stats.figure(name), *least)));
    found.extend(Fault::ALL.iter().map(|kind| (format!("fault {}", kind.name()), stats.of_fault(*kind), FAULTS)));
    let dead = |reason: &str| counts.dead.get(reason).copied().unwrap_or_default();
    for reason in ["malformed", "gap", "late", "conflict", "rejected", "retries-exhausted", "trap", "timeout", "output-refused", "lost"] {
        found.push((format!("dead letters {reason}"), dead(reason), 20));
    }
    found.extend([
        ("applied".to_owned(), counts.applied, 20_000),
        ("duplicates".to_owned(), counts.duplicates, 5_000),
        ("given up".to_owned(), counts.given_up, 200),
        ("dropped late".to_owned(), counts.dropped_late, 20),
        ("delivered late".to_owned(), counts.delivered_late, 20),
        ("retried".to_owned(), counts.retried, 300),
        ("out of order".to_owned(), counts.out_of_order, 5_000),
        ("parked".to_owned(), counts.parked, 100),
    ]);
    let missed = found.into_iter().filter(|(_, came, least)| *came < scaled(*least));
    missed.map(|(name, came, least)| format!("{name}: {came}, at least {} were to come", scaled(least))).collect()
}
