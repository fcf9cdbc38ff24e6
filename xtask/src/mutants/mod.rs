//! `cargo xtask mutants`: makes each deliberate mistake of `host/sequencer/src/mutant.rs` in turn and sees who notices: tests, simulation, chaos.
//! One build serves all; the mistake is chosen when a process starts. A mutant that nobody notices fails the command.

mod child;
mod hunt;
/// The list itself, as the sequencer has it. Not as a dependency: its feature would then be on in a release build of the whole workspace.
#[allow(dead_code, unreachable_pub, reason = "the sequencer's own file")]
#[path = "../../../host/sequencer/src/mutant.rs"]
mod mutant;
mod report;
mod table;

use anyhow::{Result, bail};

use crate::repo::Repo;
use hunt::{Effort, Found, Hunters};
use mutant::Mutant;
pub(crate) use report::PAGE;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only this mutant (may be given several times)
    #[arg(long, value_name = "NAME", value_parser = by_name)]
    only: Vec<Mutant>,
    /// Leave the tests out
    #[arg(long)]
    no_tests: bool,
    /// Seeds of the simulation for each mutant; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 2_000)]
    sim_seeds: u64,
    /// Minutes of chaos for each mutant, 0.5 for half of one; 0 leaves it out
    #[arg(long, value_name = "M", default_value_t = 1.0, value_parser = minutes)]
    chaos_minutes: f64,
    /// Add the result to docs/evidence/mutants.json and write docs/evidence/mutants.md anew
    #[arg(long)]
    record: bool,
}

fn minutes(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|minutes| (0.0..=60.0).contains(minutes)).ok_or_else(|| "from 0 to 60".to_owned())
}

fn by_name(name: &str) -> Result<Mutant, String> {
    Mutant::by_name(name).ok_or_else(|| format!("there is none of that name; there are {}", names().collect::<Vec<_>>().join(", ")))
}

/// The names of all mutants.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    Mutant::ALL.iter().map(|mutant| mutant.name())
}

/// Hunts; an error names those that nobody noticed.
pub(crate) fn run(repo: &Repo, args: &Args) -> Result<()> {
    let mutants = if args.only.is_empty() { Mutant::ALL.to_vec() } else { args.only.clone() };
    let effort = Effort { tests: !args.no_tests, sim_seeds: args.sim_seeds, chaos_minutes: args.chaos_minutes };
    let mut hunters = Hunters::build(repo, effort)?;
    println!("without a mutant first; logs are in {}", repo.target().join("mutants").display());
    hunters.control(&mutants)?;
    println!("without a mutant everything passes");
    let mut found = Vec::new();
    for mutant in mutants {
        let hunted = hunters.hunt(mutant)?;
        println!("{}", report::line(&hunted));
        found.push(hunted);
    }
    let missed: Vec<String> = found.iter().filter(|hunted| !hunted.caught()).map(|hunted| hunted.mutant.clone()).collect();
    println!("{} of {} mutants caught", found.len() - missed.len(), found.len());
    for (name, hunter) in [("simulation", found.first().map(|hunted| &hunted.sim)), ("chaos", found.first().map(|hunted| &hunted.chaos))] {
        if let Some(Found::NotRun { why }) = hunter {
            println!("{name}: {why}, so it hunted nothing");
        }
    }
    if args.record {
        report::record(repo, effort, found)?;
    }
    if !missed.is_empty() {
        bail!("nobody who hunted noticed {}", missed.join(", "));
    }
    Ok(())
}
