//! `cargo xtask sim`: the parts of the host that decide, in one thread and virtual time, over models of JetStream as it misbehaves and of a disk that
//! loses what was not fsynced; everything is drawn from a seed, and the checker judges what is left.
//!
//! `world.rs` is the scheduler, `strikes.rs` the faults, `host.rs` one incarnation of the host and `start.rs` its start; `stream.rs`, `broker.rs` and
//! `disk.rs` are the models; `gapless.rs`, `range.rs`, `reading.rs`, `passes.rs` and `publishing.rs` stand in for the host's connections;
//! `settings.rs`, `faults.rs` and `plan.rs` draw a run; `verdict.rs` hands it to the checker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: it stops at the first surprise"
)]

mod broker;
mod dice;
mod disk;
mod faults;
mod gapless;
mod handler;
mod host;
mod link;
mod mail;
mod passes;
mod plan;
mod publishing;
mod range;
mod reading;
mod run;
mod settings;
mod start;
mod stats;
mod stream;
mod strikes;
mod trace;
mod verdict;
mod world;

fn main() {
    let seeds: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let (from, to) = (seeds[0], seeds.get(1).copied().unwrap_or(seeds[0]));
    let begin = std::time::Instant::now();
    let mut stats = stats::Stats::default();
    let mut bad = 0;
    for seed in from..=to {
        let outcome = run::seed(seed, from == to);
        for line in &outcome.lines {
            println!("{line}");
        }
        if !outcome.broken.is_empty() {
            bad += 1;
            println!("seed {} {:x}: {}", outcome.seed, outcome.hash, outcome.broken.join("\n"));
        }
        stats.merge(&outcome.stats);
    }
    for (name, figure) in stats.faults().chain(stats.figures()) {
        println!("{name}: {figure}");
    }
    println!("{bad} bad of {} in {:?}", to - from + 1, begin.elapsed());
}
