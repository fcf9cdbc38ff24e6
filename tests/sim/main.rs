//! `cargo xtask sim`: the parts of the host that decide, in one thread and virtual time, over models of JetStream as it misbehaves and of a disk that
//! loses what was not fsynced; everything is drawn from a seed, and the checker judges what is left.
//!
//! `world.rs` is the scheduler, `acts.rs` what can happen, `strikes.rs` the faults, `host.rs` one incarnation of the host and `start.rs` its start; `stream.rs`, `broker.rs` and
//! `disk.rs` are the models; `gapless.rs`, `range.rs`, `reading.rs`, `passes.rs` and `publishing.rs` stand in for the host's connections;
//! `settings.rs`, `faults.rs` and `plan.rs` draw a run; `operators.rs` says words to the host while it runs, through `asking.rs`; `replacing.rs`
//! has another component handle what comes; `verdict.rs` hands what is left to the checker.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test: it stops at the first surprise"
)]

mod acts;
mod asking;
mod broker;
mod dice;
mod disk;
mod faults;
mod figures;
mod gapless;
mod handler;
mod host;
mod link;
mod mail;
mod minimum;
mod operators;
mod passes;
mod plan;
mod publishing;
mod range;
mod reading;
mod replacing;
mod run;
mod settings;
mod start;
mod stats;
mod stream;
mod strikes;
#[cfg(test)]
mod tests;
mod trace;
mod verdict;
mod world;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use figures::Figures;
use seriatim_tests::harness::evidence;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

/// Simulates the host over models of the broker and the disk, once for each seed
#[derive(Parser)]
struct Args {
    /// Which seeds: from A up to, not including, B
    #[arg(long, value_name = "A..B", value_parser = range, required_unless_present = "seed", conflicts_with = "seed")]
    seeds: Option<(u64, u64)>,
    /// One seed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Without operators: what a seed meant before there were any
    #[arg(long)]
    no_operators: bool,
    /// Print everything that happens
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Stop at the first seed that breaks a promise
    #[arg(long)]
    until_failure: bool,
    /// Threads
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Where the figures go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A file of evidence that the figures are appended to
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// What was built, for the record
    #[arg(long, value_name = "NAME")]
    commit: Option<String>,
}

fn range(text: &str) -> Result<(u64, u64), String> {
    let (from, to) = text.split_once("..").ok_or("two numbers with .. between them, for example 0..1000")?;
    let number = |text: &str| text.parse::<u64>().map_err(|error| format!("{text:?}: {error}"));
    let (from, to) = (number(from)?, number(to)?);
    if from < to { Ok((from, to)) } else { Err(format!("there is no seed from {from} up to {to}")) }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<()> {
    // A panic is a violation and told with its seed; its own lines would stand between those of other seeds.
    std::panic::set_hook(Box::new(|_| {}));
    if let Some(seed) = args.seed {
        return one(seed, args.trace, !args.no_operators);
    }
    let (from, to) = args.seeds.context("--seeds or --seed")?;
    let begin = Instant::now();
    let mut figures = all(from, to, args);
    figures.seconds = begin.elapsed().as_secs();
    print!("{}", figures.table());
    let told = figures.json(args.commit.as_deref())?;
    if let Some(file) = &args.json {
        fs::write(file, serde_json::to_string_pretty(&told)? + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    if figures.failed > 0 {
        bail!("{} of {} seeds broke a promise; repeat one with: cargo xtask sim --seed N --trace", figures.failed, figures.seeds);
    }
    let missed = minimum::missed(figures.seeds, &figures.stats, &figures.counts, !args.no_operators);
    ensure!(missed.is_empty(), "the seeds did not exercise what they claim:\n  {}", missed.join("\n  "));
    if let Some(file) = &args.record {
        let mut told = told;
        if let Some(told) = told.as_object_mut() {
            told.remove("failures");
        }
        evidence::record(file, told)?;
    }
    Ok(())
}

/// Explains one seed.
fn one(seed: u64, told: bool, operators: bool) -> Result<()> {
    let outcome = run::seed(seed, told, operators);
    for line in &outcome.lines {
        println!("{line}");
    }
    println!("seed {seed}: trace {:016x}", outcome.hash);
    if !outcome.broken.is_empty() {
        println!("{}", outcome.broken.join("\n"));
        bail!("seed {seed} broke a promise");
    }
    Ok(())
}

/// Runs a range of seeds, each thread taking the next one that nobody has.
fn all(from: u64, to: u64, args: &Args) -> Figures {
    let (next, stop) = (AtomicU64::new(from), AtomicBool::new(false));
    let sum = Mutex::new(Figures::new(from, to));
    std::thread::scope(|scope| {
        for _ in 0..args.jobs.max(1) {
            scope.spawn(|| {
                let mut own = Figures::default();
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= to {
                        break;
                    }
                    let outcome = run::seed(seed, false, !args.no_operators);
                    if !outcome.broken.is_empty() {
                        println!("seed {seed}: {}", outcome.broken.join("\n"));
                        println!("  repeat: cargo xtask sim --seed {seed} --trace");
                        stop.fetch_or(args.until_failure, Ordering::Relaxed);
                    }
                    own.add(outcome);
                }
                sum.lock().unwrap().merge(own);
            });
        }
    });
    sum.into_inner().unwrap()
}
