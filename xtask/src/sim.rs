//! `cargo xtask sim`: builds the simulation of `tests/sim/`, optimised, and runs seeds through it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build::Programs;
use crate::guests;
use crate::process;
use crate::repo::Repo;
use crate::tools;

/// Where the figures of all recorded runs are.
const EVIDENCE: &str = "docs/evidence/sim.json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Which seeds: from A up to, not including, B; from 2,000 seeds on they must also exercise what they claim
    #[arg(long, value_name = "A..B", required_unless_present = "seed", conflicts_with = "seed")]
    seeds: Option<String>,
    /// One seed
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print everything that happens in it
    #[arg(long, requires = "seed")]
    trace: bool,
    /// Without operators: what a seed meant before there were any
    #[arg(long)]
    no_operators: bool,
    /// Stop at the first seed that breaks a promise
    #[arg(long)]
    until_failure: bool,
    /// Threads (default: one)
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// Where the figures go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Append the figures to docs/evidence/sim.json
    #[arg(long)]
    record: bool,
    /// Take the build that the tests use, which is slower and may be there already
    #[arg(long)]
    dev: bool,
}

/// Builds and runs; a seed that breaks a promise is an error.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let tools = tools::ensure(repo)?;
    guests::build(repo, &tools)?;
    let programs = if args.dev { Programs::build(repo)? } else { Programs::optimised(repo, "sim")? };

    let mut sim = Command::new(programs.path("sim")?);
    sim.env("SERIATIM_PLUGINS", repo.plugins());
    option(&mut sim, "--seeds", args.seeds.as_ref());
    option(&mut sim, "--seed", args.seed.map(|seed| seed.to_string()));
    option(&mut sim, "--jobs", args.jobs.map(|jobs| jobs.to_string()));
    option(&mut sim, "--json", args.json.as_ref());
    option(&mut sim, "--record", args.record.then(|| repo.path(EVIDENCE)));
    option(&mut sim, "--commit", repo.commit());
    for (flag, given) in [("--trace", args.trace), ("--no-operators", args.no_operators), ("--until-failure", args.until_failure)] {
        if given {
            sim.arg(flag);
        }
    }
    process::run(&mut sim)
}

fn option(command: &mut Command, name: &str, value: Option<impl AsRef<std::ffi::OsStr>>) {
    if let Some(value) = value {
        command.arg(name).arg(value);
    }
}
