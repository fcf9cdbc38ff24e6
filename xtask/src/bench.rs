//! `cargo xtask bench`: builds everything as it is released and runs the benchmark of `tests/bench/`, which measures and judges, and the
//! micro-benchmarks of `host/benches/`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::build::Programs;
use crate::guests;
use crate::languages::{self, Language};
use crate::process;
use crate::repo::Repo;
use crate::tools::{self, Tools};

/// Where the results of all recorded runs are.
const EVIDENCE: &str = "docs/evidence/bench.json";
/// The page that shows the last of them.
const PAGE: &str = "docs/performance.md";
/// The part that is run by cargo and not by the benchmark's own program.
const MICRO: &str = "micro";
/// The part for which handlers in other languages are built.
const LANGUAGES: &str = "languages";

#[derive(Default, clap::Args)]
pub(crate) struct Args {
    /// Everything small, in the build that the tests use: two minutes, for breakage only, without the micro-benchmarks
    #[arg(long)]
    quick: bool,
    /// Only these parts: main, latency, entities, events, payload, disorder, hot, languages, memory, recovery, micro
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<String>,
    /// Hosts with these isolations (default: run,event,shared)
    #[arg(long, value_name = "LIST")]
    isolation: Option<String>,
    /// Rounds of the main table, each with a run of every loop (default: 5)
    #[arg(long, value_name = "N")]
    rounds: Option<u32>,
    /// How long the slowest host of a group runs, about (default: 4)
    #[arg(long, value_name = "SECONDS")]
    seconds: Option<f64>,
    /// Where the result goes (default: target/bench/bench.json)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Go on with what a run that broke off has left there: it is written after each table. Only of the same commit
    #[arg(long, conflicts_with = "quick")]
    resume: bool,
    /// An earlier result to compare with (default: the last of docs/evidence/bench.json, if there is one)
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Append the result to docs/evidence/bench.json, and put tables and pictures into docs/performance.md
    #[arg(long, conflicts_with = "quick")]
    record: bool,
}

impl Args {
    fn measures(&self, part: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == part)
    }
}

/// Builds, measures, prints.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let tools = tools::ensure(repo)?;
    // Those in other languages as far as their tools can be had.
    let wanted: &[Language] = if args.quick || !args.measures(LANGUAGES) { &[] } else { &[Language::All] };
    guests::collect(repo, &tools, &languages::build(repo, wanted, false)?)?;
    measure(repo, &tools, args)
}

/// With the handlers that are built; for breakage only: nothing of it is a number to keep.
pub(crate) fn quick(repo: &Repo, tools: &Tools) -> Result<()> {
    measure(repo, tools, &Args { quick: true, ..Args::default() })
}

fn measure(repo: &Repo, tools: &Tools, args: &Args) -> Result<()> {
    let programs = if args.quick { Programs::build(repo)? } else { Programs::released(repo)? };
    let folder = repo.target().join("bench");

    let mut bench = Command::new(programs.path("bench")?);
    bench.env("SERIATIM_BIN", programs.path("seriatim")?);
    bench.env("SERIATIM_NATS_SERVER", &tools.nats_server).env("SERIATIM_PLUGINS", repo.plugins());
    bench.arg("measure").arg("--folder").arg(&folder);
    if args.quick {
        bench.arg("--quick");
    } else if args.measures(MICRO) {
        let file = folder.join("micro.txt");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        fs::write(&file, micro(repo)?).with_context(|| format!("cannot write {}", file.display()))?;
        bench.arg("--micro").arg(&file);
    }
    option(&mut bench, "--only", Some(args.only.join(",")).filter(|parts| !parts.is_empty()));
    option(&mut bench, "--isolation", args.isolation.as_ref());
    option(&mut bench, "--rounds", args.rounds.map(|rounds| rounds.to_string()));
    option(&mut bench, "--seconds", args.seconds.map(|seconds| seconds.to_string()));
    option(&mut bench, "--json", args.json.as_ref());
    option(&mut bench, "--baseline", args.baseline.clone().or_else(|| Some(repo.path(EVIDENCE)).filter(|path| path.is_file())));
    if args.resume {
        bench.arg("--resume");
    }
    if args.record {
        bench.arg("--record").arg(repo.path(EVIDENCE)).arg("--page").arg(repo.path(PAGE));
    }
    option(&mut bench, "--commit", repo.commit());
    option(&mut bench, "--rustc", process::answer(process::rustc().arg("--version")).map(|told| told.trim().to_owned()));
    process::run(&mut bench)
}

/// What divan prints. The same choice of packages as for the released programs, so that they are built once.
fn micro(repo: &Repo) -> Result<String> {
    let mut cargo = process::cargo();
    cargo.args(["bench", "--workspace", "--bench", MICRO]).current_dir(repo.root()).env("SERIATIM_PLUGINS", repo.plugins());
    process::stdout_of(&mut cargo)
}

fn option(command: &mut Command, name: &str, value: Option<impl AsRef<std::ffi::OsStr>>) {
    if let Some(value) = value {
        command.arg(name).arg(value);
    }
}
