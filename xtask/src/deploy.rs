//! Lints what stands in `deploy/`: the container file with hadolint, the systemd units with systemd-analyze, the alerts with promtool. No engine
//! and no running systemd is needed. A linter that is not here and cannot be installed is said to be missing, which is no failure, except that of
//! the alerts where it is asked for (`--strict`, or `CI` in the environment); what a linter finds is one.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::repo::Repo;
use crate::tools::{hadolint, promtool};

const CONTAINER_FILE: &str = "deploy/Containerfile";

/// Where the units expect the program.
const PROGRAM: &str = "/usr/local/bin/seriatim";

/// The units, and for services how exposed they may be, in tenths (`systemd-analyze security`: 0 safe to 100 unsafe). The one that restarts another
/// service has to be root.
const UNITS: [(&str, Option<u32>); 4] = [
    ("seriatim.service", Some(15)),
    ("seriatim-health.service", Some(15)),
    ("seriatim-health.timer", None),
    ("seriatim-restart.service", None),
];

/// The alerts' own tests; they name the file of the alerts.
const ALERTS: &str = "prometheus-alerts.yaml";
const ALERT_TESTS: &str = "prometheus-alerts.test.yaml";

/// Runs every linter that can be had. `strict`: the alerts must be checked.
pub(crate) fn lint(repo: &Repo, strict: bool) -> Result<()> {
    // All, whatever the first one says.
    let found: Vec<_> = [container_file(repo), units(repo), alerts(repo, strict)]
        .into_iter()
        .filter_map(Result::err)
        .map(|error| format!("{error:#}"))
        .collect();
    if !found.is_empty() {
        bail!("{}", found.join("; "));
    }
    Ok(())
}

fn container_file(repo: &Repo) -> Result<()> {
    match hadolint::ensure(repo) {
        Ok(program) => process::step(Command::new(program).args(["--failure-threshold", "style", CONTAINER_FILE]).current_dir(repo.root())),
        Err(error) => {
            println!("{CONTAINER_FILE}: no hadolint ({error:#}), not checked");
            Ok(())
        }
    }
}

fn alerts(repo: &Repo, strict: bool) -> Result<()> {
    let promtool = match promtool::ensure(repo) {
        Ok(promtool) => promtool,
        Err(error) if strict => return Err(error.context(format!("deploy/{ALERTS}: no promtool"))),
        Err(error) => {
            println!("deploy/{ALERTS}: no promtool ({error:#}), not checked");
            return Ok(());
        }
    };
    for (what, file) in [("check", ALERTS), ("test", ALERT_TESTS)] {
        process::step(Command::new(&promtool).args([what, "rules", file]).current_dir(repo.path("deploy")))?;
    }
    Ok(())
}

fn units(repo: &Repo) -> Result<()> {
    if process::answer(Command::new("systemd-analyze").arg("--version")).is_none() {
        println!("deploy/*.service: no systemd-analyze, not checked");
        return Ok(());
    }
    let folder = repo.target().join("deploy-lint");
    copy_units(&repo.path("deploy"), &folder)?;
    let analyze = || {
        let mut command = Command::new("systemd-analyze");
        command.current_dir(&folder);
        command
    };
    let mut failed = Vec::new();
    let mut verify = analyze();
    verify.args(["verify", "--man=no", "--recursive-errors=one"]).args(UNITS.map(|(unit, _)| format!("./{unit}")));
    if let Err(error) = process::step(&mut verify) {
        failed.push(error.to_string());
    }
    for (unit, threshold) in UNITS {
        let Some(threshold) = threshold else { continue };
        let mut security = analyze();
        security.args(["security", "--no-pager", "--offline=true", &format!("--threshold={threshold}"), &format!("./{unit}")]);
        // Its table is long: shown only where it is needed.
        if process::answer(&mut security).is_none() {
            let shown = process::step(&mut security);
            failed.push(shown.err().map_or_else(|| format!("{unit}: judged differently the second time"), |error| error.to_string()));
        }
    }
    if !failed.is_empty() {
        bail!("{}", failed.join("; "));
    }
    Ok(())
}

/// The units, with a program that exists on every machine in the place of the one that is to be installed: systemd-analyze looks for it.
fn copy_units(from: &Path, to: &Path) -> Result<()> {
    let stand_in = std::env::current_exe().context("cannot tell where this program is")?;
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for (unit, _) in UNITS {
        let path = from.join(unit);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        fs::write(to.join(unit), text.replace(PROGRAM, &stand_in.to_string_lossy()))
            .with_context(|| format!("cannot write {}", to.join(unit).display()))?;
    }
    Ok(())
}
