//! What makes handlers of one language: its program and version, the command that builds and those that test. A handler's folder is an example's, which
//! shares `guest-sdk/<language>/` with others, or a project of its own as `seriatim plugin new` writes it, which has a copy in `seriatim/`.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::{Language, c, find};
use crate::repo::Repo;

/// What makes handlers of one language.
pub(crate) struct Toolchain {
    language: Language,
    /// As the tool itself says, or the lock file.
    version: String,
    /// The program that is called.
    program: PathBuf,
    /// Whether C is built by `make`, as its README says.
    make: bool,
    tools: PathBuf,
    root: PathBuf,
}

impl Toolchain {
    pub(super) fn ensure(repo: &Repo, language: Language) -> Result<Self> {
        let (program, version) = match language {
            Language::C | Language::Zig => find::zig(repo)?,
            Language::Go => find::go(repo)?,
            Language::Python => find::componentize_py(repo)?,
            Language::Javascript => find::node(repo)?,
            Language::All => bail!("`all` is not one language"),
        };
        let make = language == Language::C && find::has_make();
        Ok(Self { language, version, program, make, tools: repo.tools(), root: repo.root().to_owned() })
    }

    pub(crate) fn language(&self) -> Language {
        self.language
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// Files and folders outside of an example's folder that it is made of.
    pub(super) fn shared(&self) -> &'static [&'static str] {
        match self.language {
            Language::C => &["guest-sdk/c"],
            Language::Zig => &["guest-sdk/zig"],
            Language::Go => &["guest-sdk/go"],
            Language::Python => &["guest-sdk/python"],
            Language::Javascript => {
                &["guest-sdk/javascript", "plugins/componentize.js", "plugins/package.json", "plugins/package-lock.json"]
            }
            Language::All => &[],
        }
    }

    /// The file, below the handler's folder, that its build leaves.
    pub(crate) fn result(&self, name: &str) -> PathBuf {
        let folder = if self.language == Language::Zig { "zig-out/bin" } else { "build" };
        Path::new(folder).join(format!("{name}.wasm"))
    }

    /// What builds it, to be run in its folder: the same command that its README names.
    pub(crate) fn build(&self, folder: &Path, name: &str) -> Result<Command> {
        let result = self.result(name);
        let own = is_project(folder);
        let mut command = self.command();
        match self.language {
            Language::C if self.make => command.arg(&result).arg(self.zig_variable()),
            Language::C => {
                command = self.with_environment(c::component(&self.program, folder, &self.sdk(folder), &result)?);
                &mut command
            }
            Language::Go => {
                command.args(["build", "-buildmode=c-shared", "-trimpath", "-ldflags=-s -w", "-o"]).arg(result).arg(".");
                command.env("GOOS", "wasip1").env("GOARCH", "wasm")
            }
            Language::Python => {
                command.arg("-d").arg(self.wit(folder)).args(["-w", "handler", "componentize", "-s", "app", "-o"]).arg(result);
                if own { &mut command } else { command.args(["-p", ".", "-p"]).arg(self.sdk(folder)) }
            }
            Language::Javascript => {
                let script = if own { folder.join("seriatim") } else { self.root.join("plugins") };
                command.arg(script.join("componentize.js")).arg(self.wit(folder)).arg("src/component.js").arg(result)
            }
            Language::Zig | Language::All => command.arg("build"),
        };
        Ok(command)
    }

    /// What runs its tests, one after another, to be run in its folder.
    pub(crate) fn test(&self, folder: &Path) -> Result<Vec<Command>> {
        let mut command = self.command();
        match self.language {
            Language::C if self.make => command.arg("test").arg(self.zig_variable()),
            Language::C => {
                let commands = c::tests(&self.program, folder, &self.sdk(folder))?;
                return Ok(commands.into_iter().map(|command| self.with_environment(command)).collect());
            }
            Language::Go => command.args(["test", "./..."]),
            Language::Python => {
                // The logic needs no component: Python itself runs it.
                command = Command::new("python3");
                command.args(["-m", "unittest", "--quiet"]).env("PYTHONDONTWRITEBYTECODE", "1");
                if is_project(folder) { &mut command } else { command.env("PYTHONPATH", self.sdk(folder)) }
            }
            Language::Javascript => command.arg("--test"),
            Language::Zig | Language::All => command.args(["build", "test"]),
        };
        Ok(vec![command])
    }

    fn sdk(&self, folder: &Path) -> PathBuf {
        if is_project(folder) { folder.join("seriatim") } else { self.root.join("guest-sdk").join(self.language.name()) }
    }

    fn wit(&self, folder: &Path) -> PathBuf {
        if is_project(folder) { folder.join("wit") } else { self.root.join("wit") }
    }

    fn zig_variable(&self) -> String {
        format!("ZIG={}", self.program.display())
    }

    fn command(&self) -> Command {
        let mut command = Command::new(if self.make { Path::new("make") } else { &self.program });
        if self.make {
            command.arg("--silent");
        }
        self.with_environment(command)
    }

    fn with_environment(&self, mut command: Command) -> Command {
        match self.language {
            Language::C | Language::Zig => command.env("ZIG_GLOBAL_CACHE_DIR", self.tools.join("zig-cache")),
            Language::Go => command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-mod=mod").env("GOPROXY", "off"),
            Language::Python => command.env("PYTHONPATH", self.tools.join("componentize-py")),
            Language::Javascript | Language::All => &mut command,
        };
        command
    }
}

/// Whether the folder is a project of its own, with a copy of what the examples share.
fn is_project(folder: &Path) -> bool {
    folder.join("seriatim").is_dir()
}
