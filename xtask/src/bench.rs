//! `cargo xtask bench --quick`: builds everything as it is released and runs the benchmark of `tests/bench/`, which measures and judges.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::build::Programs;
use crate::guests;
use crate::process;
use crate::repo::Repo;
use crate::tools;

/// The result that the checkout carries, to compare with.
const REFERENCE: &str = "docs/evidence/bench-quick.json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// A raw async-nats loop and the host side by side, a minute long: the only benchmark there is
    #[arg(long)]
    quick: bool,
    /// Events that each run processes (default: 100000)
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// Rounds, each with a run of every loop (default: 3)
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// Where the result goes (default: target/bench/quick.json)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// An earlier result to compare with (default: docs/evidence/bench-quick.json, if it is there)
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Fail when the median of host / raw is lower than this; without it, only what cannot be measured is a failure
    #[arg(long, value_name = "RATIO")]
    fail_below: Option<f64>,
}

/// Builds, measures, prints.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    if !args.quick {
        bail!("there is no long benchmark, only the quick one: `cargo xtask bench --quick`");
    }
    let tools = tools::ensure(repo)?;
    guests::build(repo, &tools)?;
    let programs = Programs::released(repo)?;

    let mut bench = Command::new(programs.path("bench")?);
    bench.env("SERIATIM_BIN", programs.path("seriatim")?);
    bench.env("SERIATIM_NATS_SERVER", &tools.nats_server).env("SERIATIM_PLUGINS", repo.plugins());
    bench.arg("--folder").arg(repo.target().join("bench"));
    option(&mut bench, "--messages", args.messages.map(|messages| messages.to_string()));
    option(&mut bench, "--rounds", args.rounds.map(|rounds| rounds.to_string()));
    option(&mut bench, "--json", args.json.as_ref());
    option(&mut bench, "--baseline", args.baseline.clone().or_else(|| Some(repo.path(REFERENCE)).filter(|path| path.is_file())));
    option(&mut bench, "--fail-below", args.fail_below.map(|ratio| ratio.to_string()));
    option(&mut bench, "--commit", repo.commit());
    process::run(&mut bench)
}

fn option(command: &mut Command, name: &str, value: Option<impl AsRef<std::ffi::OsStr>>) {
    if let Some(value) = value {
        command.arg(name).arg(value);
    }
}
