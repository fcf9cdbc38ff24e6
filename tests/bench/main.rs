//! The benchmark behind `cargo xtask bench`: raw async-nats loops and the host do the same work against the same broker, in turns, and what counts
//! are ratios within a round. It measures and checks; what the numbers are kept as is `report.rs`, what is wanted of them `targets.rs`.

/// The raw loops allocate as the host does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod child;
mod ground;
mod group;
mod hosted;
mod latency;
mod load;
mod memory;
mod micro;
mod page;
mod plans;
mod plots;
mod raw;
mod recovery;
mod report;
mod spread;
mod table;
mod targets;
mod wire;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, ValueEnum};
use ground::Ground;
use plans::Quantity;
use report::{FORMAT, Isolation, Micro, PREFETCH_MESSAGES, PUBLISH_WINDOW, Report};
use seriatim_tests::harness::{evidence, tools};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Measures raw async-nats loops and the host side by side
#[derive(Parser)]
enum Command {
    /// Measure
    Measure(Box<Args>),
    /// Run one raw loop, for the process that measures
    #[command(hide = true)]
    Loop(child::Errand),
}

/// A part of the benchmark.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Every loop beside every host
    Main,
    /// At half of what the raw loop can do
    Latency,
    /// Over 1 to 1,000,000 entities
    Entities,
    /// Over the number of events
    Events,
    /// Over the size of payloads
    Payload,
    /// Over the order of publication
    Disorder,
    /// One entity that has all events, or half of them
    Hot,
    /// Handlers in other languages, as far as they are built
    Languages,
    /// What an entity costs
    Memory,
    /// The first event after SIGKILL
    Recovery,
    /// What divan printed, if there is a file of it
    Micro,
}

#[derive(clap::Args)]
struct Args {
    /// Only these parts
    #[arg(long, value_delimiter = ',')]
    only: Vec<Part>,
    /// Hosts with these isolations, in this order
    #[arg(long, value_delimiter = ',', default_value = "run,event,shared")]
    isolation: Vec<Isolation>,
    /// Rounds of the main table; each runs every loop once, every second round in reverse order. Sweeps have at most three
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long the slowest host of a group runs, about: all of its loops get as many events as it handles in this time
    #[arg(long, value_name = "SECONDS", default_value_t = 4.0)]
    seconds: f64,
    /// Everything with so few events that it only shows that it works
    #[arg(long)]
    quick: bool,
    /// Where broker and hosts keep their files while it runs: a real disk, for the host waits for it
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// Where the result goes, in the place of DIR/bench.json
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Go on with what a run that broke off has left there: it is written after each table. Only of the same commit
    #[arg(long)]
    resume: bool,
    /// An earlier result to compare with
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Append the result to this file
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// Put the result's tables into this page, and its pictures into the folder of the same name
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// What divan printed
    #[arg(long, value_name = "FILE")]
    micro: Option<PathBuf>,
    /// What was built, for the record
    #[arg(long, value_name = "NAME")]
    commit: Option<String>,
    /// By which compiler, for the record
    #[arg(long, value_name = "VERSION")]
    rustc: Option<String>,
}

/// Rounds of everything but the main table, at most.
const ROUNDS_OF_SWEEPS: u32 = 3;
/// Starts after SIGKILL.
const KILLS: u32 = 3;

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Measure(args) => runtime().and_then(|runtime| runtime.block_on(run(args))),
        Command::Loop(errand) => child::main(&errand),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// In one thread: the processor is for those who are measured.
fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start")
}

async fn run(args: Box<Args>) -> Result<()> {
    // Read first: it may be the file that is written at the end.
    let baseline = args.baseline.as_deref().and_then(|file| {
        // An hour of measuring is not lost for want of a column beside it.
        Report::read(file).map_err(|error| eprintln!("compared with nothing: {error:#}")).ok()
    });
    let json = args.json.clone().unwrap_or_else(|| args.folder.join("bench.json"));
    let (report, failed) = measure(&args, &json).await?;
    let sections = table::sections(&report, baseline.as_ref());
    for section in &sections {
        println!("## {}\n\n{}", section.name, section.text);
    }
    println!("written to {}", json.display());
    if !failed.is_empty() {
        bail!("not measured: {}", failed.join(", "));
    }
    if let Some(file) = &args.record {
        report.record(file)?;
    }
    if let Some(file) = &args.page {
        // A column for another day's result, and targets of which some were not looked at, are nothing for the page.
        let complete = report.targets.iter().all(|target| target.reached.is_some());
        let mut sections = table::sections(&report, None);
        if !complete {
            sections.retain(|section| !["targets", "machine"].contains(&section.name.as_str()));
            let measured =
                format!("\nMeasured later than the rest: {}, {}.\n", report.date, report.environment.commit.as_deref().unwrap_or("?"));
            sections.iter_mut().for_each(|section| section.text.push_str(&measured));
        }
        let (charts, folder) = (plots::charts(&report), file.with_extension(""));
        let beside = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for chart in &charts {
            for section in sections.iter_mut().filter(|section| section.name == chart.section) {
                section.text.push_str(&format!("\n![{}]({beside}/{}.svg)\n", chart.title, chart.name));
            }
        }
        page::write(file, &sections)?;
        plots::draw(&folder, &charts)?;
    }
    Ok(())
}

/// Measures the parts that were asked for; what failed is named and does not stop the rest.
async fn measure(args: &Args, json: &Path) -> Result<(Report, Vec<String>)> {
    fs::create_dir_all(&args.folder).with_context(|| format!("cannot make {}", args.folder.display()))?;
    let folder = absolute(&args.folder)?;
    let micro = args.micro.as_deref().map(read_micro).transpose()?.unwrap_or_default();
    let ground = Ground::prepare(&folder).await?;
    let rounds = if args.quick { 1 } else { args.rounds };
    let mut report = Report {
        format: FORMAT,
        date: evidence::date()?,
        quick: args.quick,
        rounds,
        seconds: args.seconds,
        prefetch_messages: PREFETCH_MESSAGES,
        publish_window: PUBLISH_WINDOW,
        environment: ground.environment(args.commit.clone(), args.rustc.clone()),
        main: Vec::new(),
        latency: Vec::new(),
        sweeps: Vec::new(),
        memory: Vec::new(),
        recovery: Vec::new(),
        micro,
        targets: Vec::new(),
    };
    if args.resume {
        report = resumed(report, json)?;
    }
    let mut failed = Vec::new();
    let parts = Part::value_variants().iter().copied().filter(|part| args.only.is_empty() || args.only.contains(part));
    for part in parts {
        let name = part.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        ground.clean().await?;
        if let Err(error) = measure_part(&ground, args, part, &mut report, json).await {
            eprintln!("error: {name}: {error:#}");
            failed.push(name);
        }
    }
    report.targets = targets::of(&report);
    report.write(json)?;
    Ok((report, failed))
}

/// What an earlier run has measured of the same program, with what this one is told.
fn resumed(new: Report, json: &Path) -> Result<Report> {
    let old = Report::read(json)?;
    let (was, is) = (old.environment.commit.as_deref(), new.environment.commit.as_deref());
    anyhow::ensure!(was == is && is.is_some(), "{} is of commit {was:?}, and this is {is:?}: measure all of it anew", json.display());
    anyhow::ensure!((old.quick, old.rounds) == (new.quick, new.rounds), "{} has other rounds: measure all of it anew", json.display());
    Ok(Report { micro: new.micro, ..old })
}

/// Measures what of this part the report does not have yet. The report is written after each table.
async fn measure_part(ground: &Ground, args: &Args, part: Part, report: &mut Report, json: &Path) -> Result<()> {
    let small = args.quick.then_some(SMALL);
    let rounds = report.rounds;
    let quantity = match part {
        Part::Main => {
            let pace = group::Pace { rounds, seconds: args.seconds };
            for plan in plans::main_table(&args.isolation, small) {
                if report.main.iter().all(|group| group.name != plan.name) {
                    report.main.push(group::measure(ground, &plan, pace).await?);
                    report.write(json)?;
                }
            }
            return Ok(());
        }
        Part::Latency if !report.latency.is_empty() => return Ok(()),
        Part::Memory if !report.memory.is_empty() => return Ok(()),
        Part::Recovery if !report.recovery.is_empty() => return Ok(()),
        Part::Latency => {
            let rounds = rounds.min(ROUNDS_OF_SWEEPS);
            let (entities, pace) = match args.quick {
                true => (100, latency::Pace { rounds, seconds: 0.1, live_events: SMALL }),
                false => (10_000, latency::Pace { rounds, seconds: 10.0, live_events: 200_000 }),
            };
            report.latency = latency::measure(ground, &args.isolation, entities, plans::PAYLOAD_BYTES, &pace).await?;
            return report.write(json);
        }
        Part::Memory => {
            let entities = if args.quick { SMALL } else { 500_000 };
            report.memory = memory::measure(ground, entities, plans::PAYLOAD_BYTES).await?;
            return report.write(json);
        }
        Part::Recovery => {
            let (entities, kills) = if args.quick { (SMALL, 1) } else { (1_000_000, KILLS) };
            report.recovery = recovery::measure(ground, entities, kills, plans::PAYLOAD_BYTES).await?;
            return report.write(json);
        }
        Part::Micro => return Ok(()),
        Part::Entities => Quantity::Entities,
        Part::Events => Quantity::Events,
        Part::Payload => Quantity::Payload,
        Part::Disorder => Quantity::Disorder,
        Part::Hot => Quantity::Hot,
        Part::Languages => Quantity::Languages,
    };
    let pace = group::Pace { rounds: rounds.min(ROUNDS_OF_SWEEPS), seconds: args.seconds };
    let languages = if args.quick { vec![RUST.to_owned()] } else { languages() };
    for sweeping in plans::sweeps(quantity, &args.isolation, &languages, small) {
        if report.sweeps.iter().all(|sweep| sweep.name != sweeping.name) {
            report.sweeps.push(group::sweep(ground, &sweeping, pace).await?);
            report.write(json)?;
        }
    }
    Ok(())
}

/// The handler of which there is one in each language.
const RUST: &str = "echo";
/// Events of a run that only shows that it works.
const SMALL: u64 = 400;

/// The echo handlers that are built, the one in Rust first; what is not there is said.
fn languages() -> Vec<String> {
    const OTHERS: [&str; 5] = ["c", "go", "javascript", "python", "zig"];
    let mut found = vec![RUST.to_owned()];
    for language in OTHERS {
        let name = format!("echo-{language}");
        if tools::is_built(&name) {
            found.push(name);
        } else {
            eprintln!("languages: {name} is not built, left out (`cargo xtask plugins --languages all`)");
        }
    }
    found
}

fn read_micro(file: &Path) -> Result<Vec<Micro>> {
    micro::parse(&fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?)
}

/// The broker and the host are told their folders, and need not stand where this process does.
fn absolute(folder: &Path) -> Result<PathBuf> {
    folder.canonicalize().with_context(|| format!("cannot find {}", folder.display()))
}
