//! `cargo xtask demo`: a month of real flights, out of order and with duplicates, through a host that is killed six times; then a table
//! and a verdict on every aircraft. This file is the story; each chapter has a file of its own.

mod arrival;
mod disorder;
mod kills;
mod naive;
mod plain;
mod progress;
mod run;
mod scratch;
mod table;
mod verdict;

use anyhow::{Context as _, Result, bail};
use arrival::Arrival;
use clap::Parser;
use console::style;
use indicatif::HumanCount;
use kills::How;
use plain::Month;
use progress::Progress;
use run::Runner;
use scratch::{ECHO, FLIGHTS, ROTATION, Scratch};
use seriatim_tests::checker::Kept;
use seriatim_tests::harness::tool::{INTERRUPTED, Told, tell};
use seriatim_tests::harness::world::print_logs;
use seriatim_tests::harness::{DEAD_LETTERS, streams};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::TempDir;

/// How many places an event may be moved in the stream: about three days of flights.
const WINDOW: usize = 5000;
/// From how many minutes on a late departure raises an alert.
const THRESHOLD_MINUTES: i32 = 15;
/// Differences that are shown in full.
const SHOWN: usize = 5;

/// Kills a host six times in the middle of a month of flights and checks every output.
#[derive(Parser)]
struct Args {
    /// The month: `plugins/rotation/data/flights-2013-01.csv.gz`
    #[arg(long, value_name = "FILE")]
    flights: PathBuf,
    /// Leave broker and host running and print where they are
    #[arg(long)]
    keep: bool,
    /// Of the disorder: the same number shuffles and doubles the same events
    #[arg(long, value_name = "NUMBER", default_value_t = 2013)]
    seed: u64,
}

/// How the story ended.
enum End {
    Identical,
    Different,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match begin(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Tells the story in a folder that stays if something goes wrong, or if it shall.
fn begin(args: &Args) -> Result<ExitCode> {
    let folder = TempDir::with_prefix("seriatim-demo-").context("cannot make a scratch folder")?;
    let problem = match tell(story(args, folder.path()))? {
        Told::Interrupted => {
            eprintln!("\ndemo: interrupted; everything it started has ended, its folder is removed");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Told::Ended(End::Identical) => {
            if args.keep {
                drop(folder.keep());
            }
            return Ok(ExitCode::SUCCESS);
        }
        Told::Ended(End::Different) => None,
        Told::Failed(problem) => Some(problem),
    };
    let folder = folder.keep();
    if let Some(problem) = problem {
        print_logs(&folder);
        eprintln!("demo: failed: {problem}");
    }
    eprintln!("demo: logs, config, store and streams are in {}", folder.display());
    Ok(ExitCode::FAILURE)
}

async fn story(args: &Args, folder: &Path) -> Result<End> {
    println!("\n  A month of real flights: every departure from New York's three airports in January 2013, and its end.");
    let events = rotation_events::read(&args.flights).context("cannot read the month of flights")?;
    let month = Month::compute(&events, THRESHOLD_MINUTES)?;
    let file = folder.join("events.ndjson");
    let out = BufWriter::new(File::create(&file).context("cannot write the events")?);
    rotation_events::write_ndjson(&events, out)?;
    println!(
        "  {} events of {} aircraft are published out of order, a tenth of them twice.\n  \
         The host that puts them right is killed {} times.\n",
        HumanCount(month.events()),
        HumanCount(month.aircraft()),
        kills::KILLS.len(),
    );

    let scratch = Scratch::start(folder, THRESHOLD_MINUTES).await?;
    let progress = Progress::new(month.outputs());
    let publisher = scratch.publisher(&file, WINDOW, args.seed);
    let run = Runner { scratch: &scratch, progress: &progress, total: month.outputs(), publisher }.run().await?;
    progress.end();

    let flights = read(&scratch, FLIGHTS).await?.iter().map(Arrival::of).collect::<Result<Vec<_>>>()?;
    let disorder = disorder::measure(&flights);
    let missing = disorder.incomplete(&month.sequences);
    if let Some(first) = missing.first() {
        bail!("the stream does not hold all events of {} aircraft, {first} for one: `seriatim publish` left some out", missing.len());
    }
    let (window, seed, threshold) = (WINDOW, args.seed, THRESHOLD_MINUTES);
    println!("{}", table::render(&table::Facts { month: &month, disorder: &disorder, run: &run, window, seed, threshold }));
    let naive = naive::consume(&flights);
    println!(
        "  A naive consumer of the same stream, in order of arrival and without a memory, would have seen\n  \
         {} impossible transitions in {} aircraft: departures in mid-air, arrivals on the ground.\n",
        HumanCount(naive.impossible),
        HumanCount(naive.aircraft as u64),
    );
    let end = judge(&scratch, &month).await?;
    if args.keep {
        keep(scratch, folder).await;
    }
    Ok(end)
}

/// Compares what the broker holds with the plain computation, and prints the verdict.
async fn judge(scratch: &Scratch, month: &Month) -> Result<End> {
    let mut differences = verdict::compare("echo", &month.echo, &read(scratch, ECHO).await?);
    differences.extend(verdict::compare("rotation", &month.rotation, &read(scratch, ROTATION).await?));
    let dead = read(scratch, DEAD_LETTERS).await?;
    for letter in dead.iter().take(SHOWN) {
        let reason = letter.header("Seriatim-Dead-Reason").unwrap_or("no reason");
        let error = letter.header("Seriatim-Dead-Error").unwrap_or_default();
        println!("  dead letter on {}: {reason}: {error}", letter.subject);
    }
    for difference in differences.iter().take(SHOWN) {
        println!("  {difference}");
    }
    let all = month.aircraft();
    let wrong: BTreeSet<_> = differences.iter().map(|difference| &difference.aircraft).collect();
    if wrong.is_empty() && dead.is_empty() {
        println!(
            "  {verdict} {all} of {all} aircraft. All {outputs} outputs are what a plain computation in true order gives:\n  \
             the same bytes, in the same order, each exactly once. No dead letters.\n",
            verdict = style("identical:").green().bold(),
            all = HumanCount(all),
            outputs = HumanCount(month.outputs()),
        );
        return Ok(End::Identical);
    }
    println!(
        "  {} {} of {} aircraft, {} dead letters.\n",
        style("different:").red().bold(),
        HumanCount(wrong.len() as u64),
        HumanCount(all),
        dead.len()
    );
    Ok(End::Different)
}

/// Starts a host once more and lets it and the broker live on.
async fn keep(scratch: Scratch, folder: &Path) {
    let mut host = scratch.host(kills::KILLS.len() + 2, How::Outside);
    host.ready().await;
    let (url, telemetry, config) = (scratch.url(), scratch.telemetry, scratch.config());
    let (host, broker) = (host.keep(), scratch.keep());
    println!(
        "  Left running:\n    \
         broker     {url}  (process {broker}; streams {FLIGHTS}, {ECHO}, {ROTATION}, {DEAD_LETTERS})\n    \
         telemetry  http://127.0.0.1:{telemetry}/metrics  (host: process {host})\n    \
         config     {config}\n    \
         stop it    kill {host} {broker}\n    \
         and then   rm -r {folder}\n",
        config = config.display(),
        folder = folder.display(),
    );
}

async fn read(scratch: &Scratch, stream: &str) -> Result<Vec<Kept>> {
    streams::read(&scratch.js, stream).await.map_err(|problem| anyhow::anyhow!("cannot read the stream {stream}: {problem}"))
}
