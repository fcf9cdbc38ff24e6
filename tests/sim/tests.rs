//! The simulation as a test: every seed that ever failed, a fixed budget of others, and that a seed means the same run each time.

use crate::run;
use std::process::Command;

/// Seeds that run in every test.
const BUDGET: u64 = 300;

fn failed_before() -> Vec<u64> {
    let lines = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_whitespace().next()).map(|number| number.parse().unwrap()).collect()
}

/// All must be good; those that are not are named together.
fn good(seeds: impl Iterator<Item = u64>, operators: bool) {
    let outcomes = seeds.map(|seed| run::seed(seed, false, operators)).filter(|outcome| !outcome.broken.is_empty());
    let bad: Vec<_> = outcomes.map(|outcome| format!("seed {}: {}", outcome.seed, outcome.broken.join("\n"))).collect();
    assert!(bad.is_empty(), "{} seeds broke a promise (cargo xtask sim --seed N --trace):\n{}", bad.len(), bad.join("\n"));
}

#[test]
fn every_seed_that_ever_failed_is_good() {
    good(failed_before().into_iter(), true);
}

/// Most of them failed before there were operators, who make another run of half of them.
#[test]
fn every_seed_that_ever_failed_is_good_without_operators() {
    good(failed_before().into_iter(), false);
}

#[test]
fn a_budget_of_seeds_is_good() {
    good(0..BUDGET, true);
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in [1, 2, 3, 11, 12, 13, 14, 15] {
        let (first, second) = (run::seed(seed, false, true), run::seed(seed, true, true));
        assert_eq!(first.hash, second.hash, "seed {seed}");
        assert!(second.lines.len() > 10 && first.lines.is_empty());
        assert_eq!((first.stats, first.counts), (second.stats, second.counts), "seed {seed}");
    }
    assert_ne!(run::seed(1, false, true).hash, run::seed(2, false, true).hash);
}

/// Another process has other addresses, another order in its hash tables, and begins at another time.
#[test]
fn another_process_has_the_same_trace() {
    let hash = |seed: u64| {
        let test = std::env::current_exe().unwrap();
        let name = "tests::a_trace_is_told_to_another_process";
        let told = Command::new(test).args(["--exact", name, "--nocapture", "--ignored"]).env(SEED, seed.to_string()).output().unwrap();
        let text = String::from_utf8(told.stdout).unwrap();
        text.lines().find_map(|line| line.split_once("trace ").map(|(_, hash)| hash.to_owned())).unwrap_or_else(|| panic!("{text}"))
    };
    for seed in [4, 5, 6] {
        assert_eq!(hash(seed), format!("{:016x}", run::seed(seed, false, true).hash), "seed {seed}");
    }
}

const SEED: &str = "SERIATIM_SIM_SEED";

#[test]
#[ignore = "run by another test, in a process of its own"]
fn a_trace_is_told_to_another_process() {
    let seed: u64 = std::env::var_os(SEED).unwrap().to_str().unwrap().parse().unwrap();
    println!("trace {:016x}", run::seed(seed, false, true).hash);
}
