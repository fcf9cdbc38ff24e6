//! `cargo xtask chaos`: the real broker and the real host, killed, stopped and cut off from each other again and again under load, and a
//! judge that looks at nothing but what is left. A run is a series of phases, each with a config of its own in a folder of its own: faults
//! for a while, then none until everything is done, then the judgement.

mod deck;
mod evidence;
mod ground;
mod life;
mod load;
mod profile;
mod publisher;
mod settle;
mod table;
mod tally;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use deck::Deck;
use evidence::Facts;
use ground::Ground;
use life::{Ended, Owed};
use load::Maker;
use profile::{KINDS, Kind, Profile};
use publisher::Publisher;
use seriatim_tests::harness::tool::{INTERRUPTED, Told, tell};
use seriatim_tests::harness::world::print_logs;
use seriatim_tests::harness::{Random, machine};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tally::Tally;
use tempfile::TempDir;

/// Faults of one phase last at least and at most so long.
const PHASE: (Duration, Duration) = (Duration::from_secs(45), Duration::from_secs(130));
/// What a phase takes beside its faults, about: the start, the settling, the judgement.
const BESIDE: Duration = Duration::from_secs(15);

/// Kills and disturbs a broker and its host for some minutes, and judges everything that is left.
#[derive(Parser)]
struct Args {
    /// How long it runs, about. Runs of five minutes and more must also reach the minimum counts
    #[arg(long, value_name = "MINUTES", default_value_t = 5.0)]
    minutes: f64,
    /// Load, configs and faults are drawn from it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    seed: u64,
    /// Only phases of this kind: in-time, in-time-scan, skip, dead-letter, park or deliver
    #[arg(long, value_name = "KIND", value_parser = kind)]
    only: Option<Kind>,
    /// Where the run's figures go
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// A file that collects runs: this one is appended
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// What was built, for the figures
    #[arg(long, value_name = "NAME")]
    commit: Option<String>,
    /// Where the folder with everything is made (default: the system's folder for temporary files)
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

fn kind(name: &str) -> Result<Kind, String> {
    KINDS.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
        let names: Vec<_> = KINDS.iter().map(|kind| kind.name()).collect();
        format!("there are {}", names.join(", "))
    })
}

fn main() -> ExitCode {
    let args = Args::parse();
    match begin(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("chaos: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Runs in a folder that stays if something goes wrong.
fn begin(args: &Args) -> Result<ExitCode> {
    if !(0.05..=24.0 * 60.0).contains(&args.minutes) {
        bail!("--minutes {}: from 0.05 to 1440", args.minutes);
    }
    let folder = match &args.folder {
        Some(place) => {
            fs::create_dir_all(place).with_context(|| format!("cannot make {}", place.display()))?;
            TempDir::with_prefix_in("chaos-", place)
        }
        None => TempDir::with_prefix("seriatim-chaos-"),
    }
    .context("cannot make a folder")?;
    let problem = match tell(run(args, folder.path()))? {
        Told::Interrupted => {
            eprintln!("\nchaos: interrupted; everything it started has ended, its folder is removed");
            return Ok(ExitCode::from(INTERRUPTED));
        }
        Told::Ended(()) => return Ok(ExitCode::SUCCESS),
        Told::Failed(problem) => problem,
    };
    let folder = folder.keep();
    eprintln!("\nchaos: FAILED: {problem}");
    eprintln!("chaos: configs, logs, stores and streams are in {}", folder.display());
    let only = args.only.map(|kind| format!(" --only {}", kind.name())).unwrap_or_default();
    eprintln!("chaos: to repeat it: cargo xtask chaos --minutes {} --seed {}{only}", args.minutes, args.seed);
    Ok(ExitCode::FAILURE)
}

/// All phases.
async fn run(args: &Args, folder: &Path) -> Result<()> {
    let load_before = machine::load();
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(args.minutes * 60.0);
    let each = (Duration::from_secs_f64(args.minutes * 60.0 / 6.0)).clamp(PHASE.0, PHASE.1);
    let mut random = Random::silent(args.seed);
    let mut kinds = Vec::new();
    let mut deck = if args.minutes < 1.0 { Deck::short(draw(&mut random)) } else { Deck::new(draw(&mut random)) };
    let mut tally = Tally::default();
    println!("chaos: seed {}, {} minutes", args.seed, args.minutes);
    for number in 1.. {
        if kinds.is_empty() {
            kinds = shuffled(&mut random);
        }
        let kind = args.only.or_else(|| kinds.pop()).unwrap_or(Kind::Skip);
        let profile = Profile::draw(kind, &mut random);
        // The last phase takes what is left, if that is not enough for two.
        let left = end.saturating_duration_since(Instant::now());
        let time = if left < each * 2 + BESIDE { left.saturating_sub(BESIDE).max(Duration::from_secs(5)) } else { each };
        let home = folder.join(format!("phase-{number}"));
        let phase = Phase { number, profile, seed: draw(&mut random), folder: &home, faults_for: time };
        phase.run(&mut deck, &mut tally, begun).await.with_context(|| format!("phase {number} ({})", kind.name()))?;
        fs::remove_dir_all(&home).with_context(|| format!("cannot remove {}", home.display()))?;
        if end.saturating_duration_since(Instant::now()) < PHASE.0 / 2 {
            break;
        }
    }
    let facts = Facts { seed: args.seed, commit: args.commit.as_deref(), seconds: begun.elapsed().as_secs(), load_before, tally: &tally };
    let figures = facts.json()?;
    let minimums = tally.minimums(args.minutes);
    println!("{}", table::render(&tally, &minimums, begun.elapsed()));
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&figures).context("cannot write JSON")?;
        fs::write(file, text + "\n").with_context(|| format!("cannot write {}", file.display()))?;
    }
    let missed: Vec<_> = minimums.iter().filter(|minimum| !minimum.reached()).map(table::missed).collect();
    if !missed.is_empty() && args.minutes >= tally::JUDGED_FROM_MINUTES {
        bail!("no promise was broken, but the run did not exercise what it claims to: {}", missed.join("; "));
    }
    if let Some(file) = &args.record {
        seriatim_tests::harness::evidence::record(file, figures)?;
    }
    Ok(())
}

fn draw(random: &mut Random) -> u64 {
    random.below(usize::MAX) as u64
}

fn shuffled(random: &mut Random) -> Vec<Kind> {
    let mut kinds = KINDS.to_vec();
    for place in (1..kinds.len()).rev() {
        kinds.swap(place, random.below(place + 1));
    }
    kinds
}

/// One config, one folder, one judgement.
struct Phase<'a> {
    number: u32,
    profile: Profile,
    seed: u64,
    folder: &'a Path,
    faults_for: Duration,
}

impl Phase<'_> {
    async fn run(&self, deck: &mut Deck, tally: &mut Tally, begun: Instant) -> Result<()> {
        let profile = &self.profile;
        let say = |text: &str| println!("{:>5} s  phase {} {:<12} {text}", begun.elapsed().as_secs(), self.number, profile.kind.name());
        say(&profile.drawn);
        let told = self.live_through(deck, tally, &say).await;
        if told.is_err() {
            print_logs_of_last_hosts(self.folder);
        }
        told
    }

    async fn live_through(&self, deck: &mut Deck, tally: &mut Tally, say: &impl Fn(&str)) -> Result<()> {
        let profile = &self.profile;
        let mut ground = Ground::prepare(self.folder, profile).await?;
        let publisher = Publisher::start(ground.js.clone(), Maker::new(self.seed, profile.shape));
        let end = Instant::now() + self.faults_for;
        let mut owed = Owed::default();
        while Instant::now() < end {
            let life = deck.deal();
            say(&format!("host {}: {life}", ground.hosts() + 1));
            let (ended, left) = life::live(&mut ground, tally, &life, owed).await?;
            owed = left;
            if let Ended::NotPassed(name) = ended {
                deck.put_back(name);
                say(&format!("  it did not pass {name} in time"));
            }
        }
        owed.heal(&mut ground).await;
        say("no more faults");
        let log = publisher.finish().await.map_err(anyhow::Error::msg)?;
        for (name, count) in &log.planned.0 {
            *tally.planned.entry((*name).to_owned()).or_default() += count;
        }
        let rest = settle::settle(&mut ground, profile, tally).await?;
        say(&match &rest {
            Ok(()) => "all is done; reading what is left".to_owned(),
            Err(problem) => problem.clone(),
        });
        let report = settle::judge(&ground, profile, &log, self.folder, tally).await?;
        *tally.phases.entry(profile.kind.name().to_owned()).or_default() += 1;
        if !report.good() {
            bail!("{report}");
        }
        if let Err(problem) = rest {
            tally.violations += 1;
            bail!("G8: {problem}");
        }
        let counts = &report.counts;
        say(&format!("clean: {} messages, {} applied, {} kills so far", counts.messages, counts.applied, tally.host_kills()));
        Ok(())
    }
}

/// The config and the ends of the logs, of the last hosts only: there are hundreds.
fn print_logs_of_last_hosts(folder: &Path) {
    const KEPT: usize = 2;
    let place = folder.join("last-hosts");
    let number = |path: &Path| -> Option<u32> { path.file_stem()?.to_str()?.strip_prefix("host-")?.parse().ok() };
    let mut logs: Vec<_> = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    logs.retain(|path| number(path).is_some());
    logs.sort_by_key(|path| number(path));
    let config = folder.join("seriatim.toml");
    if fs::create_dir_all(&place).is_ok() {
        for path in logs.iter().rev().take(KEPT).chain([&config]) {
            if let Some(name) = path.file_name() {
                drop(fs::copy(path, place.join(name)));
            }
        }
        print_logs(&place);
    }
}
