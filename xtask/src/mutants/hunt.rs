//! The three hunters: tests, simulation and chaos. Each gets the mistake through its environment and says whether it noticed.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use super::child::{self, Ended};
use super::mutant::{Mutant, VARIABLE};
use super::table::{Home, about};
use crate::build::Programs;
use crate::guests;
use crate::repo::Repo;
use crate::tools;

/// The tests of one crate run for less than a minute. A mistake can make one of them hang; what failed until then counts.
const SUITE_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Every wait of an end-to-end test ends by itself after 90 s.
const E2E_LIMIT: Duration = Duration::from_secs(15 * 60);
const SIM_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Beyond its own minutes, without a mistake.
const CHAOS_LIMIT: Duration = Duration::from_secs(15 * 60);
/// With one: so many times what it took without, since a broken host may never settle (G8), and that is noticed too.
const CHAOS_PATIENCE: u32 = 3;
/// And no less than this: without a mistake it takes about a minute beyond its own.
const CHAOS_LIMIT_MIN: Duration = Duration::from_secs(2 * 60);
/// The host's tests of these parts are left out: no mistake is made in them, and they take most of the time.
const PARTS_LEFT_OUT: [&str; 6] = ["cli::", "config::", "producer::", "publish::", "runtime::", "telemetry::"];
/// Failed tests that are named.
const NAMED_MAX: usize = 3;
/// The same for every mutant, so that a run can be had again.
const CHAOS_SEED: u64 = 1;

/// What one hunter found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub(super) enum Found {
    /// It noticed: by what, and after how much work.
    Caught { by: Vec<String>, after: String },
    /// It did not notice.
    Missed { after: String },
    /// It did not hunt.
    NotRun { why: String },
}

impl Found {
    pub(super) fn caught(&self) -> bool {
        matches!(self, Self::Caught { .. })
    }
}

/// What all hunters found about one mutant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Hunted {
    pub(super) mutant: String,
    pub(super) tests: Found,
    pub(super) sim: Found,
    pub(super) chaos: Found,
}

impl Hunted {
    /// With what an earlier run found in place of what was left out of this one.
    pub(super) fn or(self, before: Option<Self>) -> Self {
        let Some(before) = before else { return self };
        let or = |now: Found, before: Found| if matches!(now, Found::NotRun { .. }) { before } else { now };
        Self { tests: or(self.tests, before.tests), sim: or(self.sim, before.sim), chaos: or(self.chaos, before.chaos), ..self }
    }

    pub(super) fn caught(&self) -> bool {
        [&self.tests, &self.sim, &self.chaos].into_iter().any(Found::caught)
    }
}

/// How much simulation and chaos each mutant gets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effort {
    pub(super) tests: bool,
    pub(super) sim_seeds: u64,
    pub(super) chaos_minutes: f64,
}

/// Everything that is run, built once.
pub(super) struct Hunters {
    suite: PathBuf,
    host: PathBuf,
    e2e: PathBuf,
    /// `None`: this checkout has no such program.
    sim: Option<PathBuf>,
    chaos: Option<PathBuf>,
    environment: [(&'static str, PathBuf); 3],
    /// Where each crate's tests expect to stand.
    sequencer_folder: PathBuf,
    host_folder: PathBuf,
    tests_folder: PathBuf,
    logs: PathBuf,
    effort: Effort,
    /// How long chaos may take.
    chaos_limit: Duration,
}

impl Hunters {
    pub(super) fn build(repo: &Repo, effort: Effort) -> Result<Self> {
        let tools = tools::ensure(repo)?;
        guests::build(repo, &tools)?;
        let programs = Programs::build(repo)?;
        let logs = repo.target().join("mutants");
        fs::create_dir_all(&logs).with_context(|| format!("cannot make {}", logs.display()))?;
        Ok(Self {
            suite: programs.tests("test", "suite")?,
            host: programs.tests("lib", "seriatim")?,
            e2e: programs.tests("test", "e2e")?,
            sim: programs.path("sim").ok(),
            chaos: programs.path("chaos").ok(),
            environment: [
                ("SERIATIM_BIN", programs.path("seriatim")?),
                ("SERIATIM_NATS_SERVER", tools.nats_server),
                ("SERIATIM_PLUGINS", repo.plugins()),
            ],
            sequencer_folder: repo.path("host/sequencer"),
            host_folder: repo.path("host"),
            tests_folder: repo.path("tests"),
            logs,
            effort,
            chaos_limit: CHAOS_LIMIT + Duration::from_secs_f64(60.0 * effort.chaos_minutes),
        })
    }

    /// All hunters, without a mistake: whoever complains now would complain about every mutant.
    pub(super) fn control(&mut self, mutants: &[Mutant]) -> Result<()> {
        let mut complaints = Vec::new();
        let mut judge = |name: &str, ended: Option<Ended>| {
            if let Some(ended) = ended.filter(|ended| !ended.well()) {
                let failed = ended.failed_tests().unwrap_or_default().join(", ");
                complaints.push(format!("{name} {} {failed}\n{}", how(&ended), ended.last_lines()));
            }
        };
        if self.effort.tests {
            judge("the sequencer's suite", Some(self.suite(None, Home::Sequencer, &[])?));
            judge("the host's tests", Some(self.suite(None, Home::Host, &[])?));
        }
        let e2e: BTreeSet<&str> = mutants.iter().flat_map(|mutant| about(*mutant).e2e).copied().collect();
        if self.effort.tests && !e2e.is_empty() {
            judge("the end-to-end tests", Some(self.e2e(None, &e2e.into_iter().collect::<Vec<_>>())?));
        }
        judge("the simulation", self.simulate(None)?);
        let begin = Instant::now();
        judge("chaos", self.chaos(None)?);
        self.chaos_limit = (begin.elapsed() * CHAOS_PATIENCE).max(CHAOS_LIMIT_MIN);
        if !complaints.is_empty() {
            bail!("without a mutant everything must pass, or nothing is proven:\n{}", complaints.join("\n"));
        }
        Ok(())
    }

    pub(super) fn hunt(&self, mutant: Mutant) -> Result<Hunted> {
        Ok(Hunted {
            mutant: mutant.name().to_owned(),
            tests: self.by_tests(mutant)?,
            sim: self.by_sim(mutant)?,
            chaos: self.by_chaos(mutant)?,
        })
    }

    fn by_tests(&self, mutant: Mutant) -> Result<Found> {
        if !self.effort.tests {
            return Ok(not_run(true));
        }
        let about = about(mutant);
        let crate_name = if about.home == Home::Sequencer { "sequencer" } else { "host" };
        let ended = self.suite(Some(mutant), about.home, &[])?;
        let mut run = ended.tests_run()?;
        let failed: Vec<String> = ended.failed_tests()?.into_iter().take(NAMED_MAX).collect();
        // Twice, since a busy machine can fail a test of its own accord once.
        let mut by = Vec::new();
        if !failed.is_empty() {
            let again = self.suite(Some(mutant), about.home, &failed)?.failed_tests()?;
            by.extend(failed.iter().filter(|name| again.contains(name)).map(|name| format!("{crate_name}::{name}")));
        }
        if !about.e2e.is_empty() {
            let ended = self.e2e(Some(mutant), about.e2e)?;
            run += about.e2e.len();
            by.extend(ended.failed_tests()?);
            if ended.out_of_time() {
                by.push("e2e, by time-out".to_owned());
            }
        }
        let after = format!("{run} tests");
        Ok(if by.is_empty() { Found::Missed { after } } else { Found::Caught { by, after } })
    }

    fn by_sim(&self, mutant: Mutant) -> Result<Found> {
        let Some(ended) = self.simulate(Some(mutant))? else { return Ok(not_run(self.sim.is_some())) };
        let seeds = self.effort.sim_seeds;
        if ended.well() {
            return Ok(Found::Missed { after: format!("{seeds} seeds") });
        }
        if ended.out_of_time() {
            return Ok(Found::Caught { by: vec!["by time-out".to_owned()], after: format!("at most {seeds} seeds") });
        }
        refused(&ended)?;
        let told = fs::read_to_string(self.sim_json(Some(mutant))).ok().and_then(|text| serde_json::from_str::<SimResult>(&text).ok());
        if told.as_ref().is_some_and(|told| told.failures.is_empty()) {
            return Ok(Found::Missed { after: format!("{seeds} seeds, which exercised too little") });
        }
        let first = told.as_ref().and_then(|told| told.failures.first());
        let by = first.map_or_else(|| violation(&ended), |first| format!("{} (seed {})", first.check, first.seed));
        Ok(Found::Caught { by: vec![by], after: format!("{} seeds", told.map_or(seeds, |told| told.seeds)) })
    }

    fn by_chaos(&self, mutant: Mutant) -> Result<Found> {
        let Some(ended) = self.chaos(Some(mutant))? else { return Ok(not_run(self.chaos.is_some())) };
        let after = format!("{} min", self.effort.chaos_minutes);
        if ended.well() {
            return Ok(Found::Missed { after });
        }
        if ended.out_of_time() {
            let limit = self.chaos_limit.as_secs();
            return Ok(Found::Caught { by: vec![format!("G8: not settled after {limit} s")], after });
        }
        refused(&ended)?;
        Ok(Found::Caught { by: vec![violation(&ended)], after })
    }

    /// The tests of the crate in which the mistake is made; with names, only those.
    fn suite(&self, mutant: Option<Mutant>, home: Home, names: &[String]) -> Result<Ended> {
        let (program, folder, name) = match home {
            Home::Sequencer => (&self.suite, &self.sequencer_folder, "sequencer"),
            Home::Host => (&self.host, &self.host_folder, "host"),
        };
        let mut command = self.command(program, folder, mutant);
        if names.is_empty() {
            for part in PARTS_LEFT_OUT.into_iter().filter(|_| home == Home::Host) {
                command.args(["--skip", part]);
            }
        } else {
            command.arg("--exact").args(names);
        }
        child::run(&mut command, &self.log(mutant, name), SUITE_LIMIT)
    }

    fn e2e(&self, mutant: Option<Mutant>, names: &[&str]) -> Result<Ended> {
        let mut command = self.command(&self.e2e, &self.tests_folder, mutant);
        command.arg("--exact").args(names);
        child::run(&mut command, &self.log(mutant, "e2e"), E2E_LIMIT)
    }

    fn simulate(&self, mutant: Option<Mutant>) -> Result<Option<Ended>> {
        let Some(program) = self.sim.as_ref().filter(|_| self.effort.sim_seeds > 0) else { return Ok(None) };
        let json = self.sim_json(mutant);
        // What an earlier run left must not be taken for this one's.
        drop(fs::remove_file(&json));
        let mut command = self.command(program, &self.tests_folder, mutant);
        command.args(["--seeds", &format!("0..{}", self.effort.sim_seeds), "--until-failure", "--json"]).arg(&json);
        child::run(&mut command, &self.log(mutant, "sim"), SIM_LIMIT).map(Some)
    }

    fn chaos(&self, mutant: Option<Mutant>) -> Result<Option<Ended>> {
        let minutes = self.effort.chaos_minutes;
        let Some(program) = self.chaos.as_ref().filter(|_| minutes > 0.0) else { return Ok(None) };
        let mut command = self.command(program, &self.tests_folder, mutant);
        command.args(["--minutes", &minutes.to_string(), "--seed", &CHAOS_SEED.to_string(), "--folder"]).arg(&self.logs);
        child::run(&mut command, &self.log(mutant, "chaos"), self.chaos_limit).map(Some)
    }

    fn command(&self, program: &Path, folder: &Path, mutant: Option<Mutant>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).env_remove(VARIABLE).envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(mutant) = mutant {
            command.env(VARIABLE, mutant.name());
        }
        command
    }

    fn log(&self, mutant: Option<Mutant>, hunter: &str) -> PathBuf {
        self.logs.join(format!("{}.{hunter}.log", mutant.map_or("control", Mutant::name)))
    }

    fn sim_json(&self, mutant: Option<Mutant>) -> PathBuf {
        self.logs.join(format!("{}.sim.json", mutant.map_or("control", Mutant::name)))
    }
}

/// What is read of the simulation's own result.
#[derive(Deserialize)]
struct SimResult {
    /// How many seeds it ran.
    seeds: u64,
    failures: Vec<SimFailure>,
}

#[derive(Deserialize)]
struct SimFailure {
    seed: u64,
    check: String,
}

/// A program that did not understand its arguments has hunted nothing.
fn refused(ended: &Ended) -> Result<()> {
    const USAGE: i32 = 2;
    if ended.status.and_then(|status| status.code()) == Some(USAGE) {
        bail!("a hunter refused its arguments:\n{}", ended.last_lines());
    }
    Ok(())
}

/// The guarantee that a hunter names first, in its own words.
fn violation(ended: &Ended) -> String {
    const LONGEST: usize = 160;
    let named = ended
        .output
        .lines()
        .find(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| matches!(word.as_bytes(), [b'G', b'1'..=b'9'])));
    let line = named.or_else(|| ended.output.lines().rev().find(|line| !line.trim().is_empty())).unwrap_or("it ended without a word");
    line.trim().chars().take(LONGEST).collect()
}

fn not_run(built: bool) -> Found {
    Found::NotRun { why: if built { "not asked for" } else { "not built" }.to_owned() }
}

fn how(ended: &Ended) -> String {
    match ended.status {
        Some(status) => format!("ended with {status}"),
        None => "ran out of time".to_owned(),
    }
}
