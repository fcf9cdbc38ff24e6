//! The benchmark behind `cargo xtask bench --quick`: a raw async-nats loop and the host do the same work against the same broker, in turns,
//! and what counts is the ratio of the two within a round. It measures and checks; what the numbers are kept as is `report.rs`.

mod ground;
mod hosted;
mod load;
mod raw;
mod report;
mod spread;
mod table;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use ground::Ground;
use report::{Loop, Report, Settings};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A run that takes longer is broken, whatever it waits for.
const RUN_MAX: Duration = Duration::from_secs(600);

/// Measures a raw async-nats loop and the host side by side
#[derive(Parser)]
struct Args {
    /// Events in the source stream, read by every run
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// Rounds; each runs every loop once, every second round in reverse order
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Where broker and hosts keep their files while it runs, and where `quick.json` goes: a real disk, for the host waits for it
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Where the result goes, in the place of DIR/quick.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// An earlier result to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Fail when the median of host / raw is lower than this
    #[arg(long, value_name = "RATIO")]
    fail_below: Option<f64>,
    /// What was built, for the record
    #[arg(long, value_name = "NAME")]
    commit: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<()> {
    // Read first: it may be the file that is written at the end.
    let baseline = args.baseline.as_deref().map(Report::read).transpose()?;
    let report = measure(&args).await?;
    let json = args.json.unwrap_or_else(|| args.folder.join("quick.json"));
    report.write(&json)?;
    print!("{}", table::of(&report, baseline.as_ref()));
    println!("written to {}", json.display());
    let ratio = report.headline()?;
    match args.fail_below {
        Some(bound) if ratio < bound => bail!("host / raw is {ratio:.2}, below {bound:.2}"),
        _ => Ok(()),
    }
}

async fn measure(args: &Args) -> Result<Report> {
    let settings = Settings::of(args.messages, args.rounds);
    fs::create_dir_all(&args.folder).with_context(|| format!("cannot make {}", args.folder.display()))?;
    let folder = absolute(&args.folder)?;
    let ground = Ground::prepare(&folder, args.messages).await?;
    let environment = ground.environment(args.commit.clone());
    let mut runs = Vec::new();
    for round in 1..=args.rounds {
        let mut loops = Loop::ALL;
        if round % 2 == 0 {
            loops.reverse();
        }
        for kind in loops {
            let measured = tokio::time::timeout(RUN_MAX, one(&ground, kind))
                .await
                .with_context(|| format!("not done after {RUN_MAX:?}"))
                .flatten()
                .with_context(|| format!("round {round}, {kind}"))?;
            let run = measured.run(round, kind, args.messages);
            eprintln!("round {round} of {}: {kind:<9} {:>8.0} msg/s", args.rounds, run.messages_per_second);
            runs.push(run);
        }
    }
    Report::new(settings, environment, runs)
}

async fn one(ground: &Ground, kind: Loop) -> Result<ground::Measured> {
    match kind {
        Loop::Read => raw::read(ground).await,
        Loop::Raw => raw::republish(ground, raw::Confirm::Futures).await,
        Loop::RawInbox => raw::republish(ground, raw::Confirm::OwnInbox).await,
        Loop::Host => hosted::run(ground).await,
    }
}

/// The broker and the host are told their folders, and need not stand where this process does.
fn absolute(folder: &Path) -> Result<PathBuf> {
    folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))
}
