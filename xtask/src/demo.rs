//! `cargo xtask demo`: builds what the demo runs, then becomes it. The demo itself is `tests/demo/`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::Programs;
use crate::guests;
use crate::repo::Repo;
use crate::tools;

/// The month of flights that the demo tells.
const FLIGHTS: &str = "plugins/rotation/data/flights-2013-01.csv.gz";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave broker and host running at the end, and print where they are
    #[arg(long)]
    keep: bool,
    /// Another disorder: the same number shuffles and doubles the same events
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// Never returns, except with an error: the demo takes this process's place, so that Ctrl-C reaches it and nobody else.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let tools = tools::ensure(repo)?;
    guests::build(repo, &tools)?;
    let programs = Programs::build(repo)?;
    let mut demo = Command::new(programs.path("demo")?);
    demo.arg("--flights").arg(repo.path(FLIGHTS));
    if args.keep {
        demo.arg("--keep");
    }
    if let Some(seed) = args.seed {
        demo.args(["--seed", &seed.to_string()]);
    }
    demo.env("SERIATIM_BIN", programs.path("seriatim")?)
        .env("SERIATIM_NATS_SERVER", &tools.nats_server)
        .env("SERIATIM_PLUGINS", repo.plugins());
    Err(demo.exec()).context("cannot start the demo")
}
