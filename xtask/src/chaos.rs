//! `cargo xtask chaos`: builds what it runs, then runs `tests/chaos/`: host and broker killed, stopped and cut off again and again, and a judge.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use crate::build::Programs;
use crate::guests;
use crate::process;
use crate::repo::Repo;
use crate::tools;

/// Where the figures of all recorded runs are.
const EVIDENCE: &str = "docs/evidence/chaos.json";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long it runs, about; from 5 on it must also reach minimum counts of everything it claims to exercise
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    minutes: f64,
    /// Load, configs and faults are drawn from it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Only phases of this kind: in-time, in-time-scan, skip, dead-letter, park or deliver
    #[arg(long, value_name = "KIND")]
    only: Option<String>,
    /// Where the run's figures go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Append the run's figures to docs/evidence/chaos.json
    #[arg(long)]
    record: bool,
}

/// Builds and runs; a broken promise is an error.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let tools = tools::ensure(repo)?;
    guests::build(repo, &tools)?;
    let programs = Programs::build(repo)?;

    let mut chaos = Command::new(programs.path("chaos")?);
    chaos.env("SERIATIM_BIN", programs.path("seriatim")?);
    chaos.env("SERIATIM_NATS_SERVER", &tools.nats_server).env("SERIATIM_PLUGINS", repo.plugins());
    chaos.args(["--minutes", &args.minutes.to_string(), "--seed", &args.seed.to_string()]);
    chaos.arg("--folder").arg(repo.target().join("chaos"));
    if let Some(kind) = &args.only {
        chaos.args(["--only", kind]);
    }
    if let Some(file) = &args.json {
        chaos.arg("--json").arg(file);
    }
    if args.record {
        chaos.arg("--record").arg(repo.path(EVIDENCE));
    }
    if let Some(commit) = repo.commit() {
        chaos.args(["--commit", &commit]);
    }
    process::run(&mut chaos)
}
