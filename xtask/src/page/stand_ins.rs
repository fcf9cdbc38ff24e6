//! The reader's folder, and the programs the reader has.
//!
//! A folder `bin` at the front of `PATH` holds what the page expects to be installed:
//!
//! * `seriatim`: the binary that the tests run, logging as it does on a terminal.
//! * `nats-server`: the one that the tests run, on a free port.
//! * `nats`: the stand-in of `tests/nats/`, since a machine with Rust and Python cannot install the real one.
//! * `cargo`: itself, with three differences. Builds for wasm use the compiler that `cargo xtask tools` found. All builds of a page share
//!   `target/page` of the checkout, so that a second run is quick. `cargo install` of the host does nothing: its binary is there already, and a
//!   release build of it takes longer than all tests.
//! * `rustup`, only where the wasm target does not come from rustup: `cargo xtask tools` has provided it, so adding it does nothing.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs;
use std::hash::{Hash as _, Hasher as _};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::build::Programs;
use crate::process;
use crate::repo::Repo;
use crate::tools::{CORE_TARGET, Tools};

/// Below the ports that systems give to outgoing connections.
const PORTS: std::ops::Range<u16> = 12_000..30_000;
/// What cargo and its compiler are told by the cargo that runs us, and what would move the reader's builds elsewhere.
const NOT_THE_READERS: [&str; 6] =
    ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_MANIFEST_DIR", "NATS_CONTEXT"];

/// The addresses that the page means, and those used instead.
struct Addresses {
    nats: u16,
    telemetry: u16,
}

/// Where one page is followed.
pub(super) struct Place {
    folder: PathBuf,
    addresses: Addresses,
}

impl Place {
    /// An empty folder with a link to the checkout and the stand-ins. Its path is the same in every run, so that cargo finds what it built.
    pub(super) fn make(repo: &Repo, tools: &Tools, programs: &Programs, page: &str) -> Result<Self> {
        let mut hasher = DefaultHasher::new();
        (repo.root(), page).hash(&mut hasher);
        let folder = std::env::temp_dir().join(format!("seriatim-page-{:016x}", hasher.finish()));
        let port = free_port(PORTS.start)?;
        let place = Self { folder, addresses: Addresses { nats: port, telemetry: free_port(port + 1)? } };
        place.remove()?;
        for made in [place.folder.clone(), place.bin(), place.logs()] {
            fs::create_dir(&made).with_context(|| format!("cannot make {}", made.display()))?;
        }
        symlink(repo.root(), place.folder.join("seriatim")).context("cannot link the checkout")?;
        place.install(repo, tools, programs)?;
        Ok(place)
    }

    /// Where the reader begins.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn bin(&self) -> PathBuf {
        self.folder.join(".bin")
    }

    /// For what the commands print.
    pub(super) fn logs(&self) -> PathBuf {
        self.folder.join(".logs")
    }

    pub(super) fn remove(&self) -> Result<()> {
        if self.folder.exists() {
            fs::remove_dir_all(&self.folder).with_context(|| format!("cannot remove {}", self.folder.display()))?;
        }
        Ok(())
    }

    /// The page's text with the addresses in use.
    pub(super) fn local(&self, text: &str) -> String {
        let Addresses { nats, telemetry } = self.addresses;
        text.replace(":4222", &format!(":{nats}")).replace(":9464", &format!(":{telemetry}"))
    }

    /// A config that leaves the addresses out means the default ones: they are added at its end.
    pub(super) fn with_addresses(&self, config: &str) -> String {
        let Addresses { nats, telemetry } = self.addresses;
        let mut config = config.to_owned();
        for (table, line) in
            [("[nats]", format!("servers = [\"nats://127.0.0.1:{nats}\"]")), ("[telemetry]", format!("listen = \"127.0.0.1:{telemetry}\""))]
        {
            if !config.lines().any(|there| there == table) {
                config.push_str(&format!("\n{table}\n{line}\n"));
            }
        }
        config
    }

    /// A bash as the reader's.
    pub(super) fn bash(&self) -> Result<Command> {
        let mut bash = Command::new("bash");
        let path = std::env::var_os("PATH").unwrap_or_default();
        bash.args(["-euo", "pipefail"])
            .env("PATH", std::env::join_paths(std::iter::once(self.bin()).chain(std::env::split_paths(&path)))?)
            .env("NATS_URL", format!("nats://127.0.0.1:{}", self.addresses.nats))
            .env("CARGO_TERM_COLOR", "never");
        for name in NOT_THE_READERS {
            bash.env_remove(name);
        }
        Ok(bash)
    }

    fn install(&self, repo: &Repo, tools: &Tools, programs: &Programs) -> Result<()> {
        let link = self.bin().join("nats");
        symlink(programs.path("nats")?, &link).with_context(|| format!("cannot make {}", link.display()))?;
        self.script("seriatim", &format!("exec {} --log-form human \"$@\"\n", quoted(programs.path("seriatim")?)))?;
        let port = self.addresses.nats;
        self.script("nats-server", &format!("exec {} --addr 127.0.0.1 --port {port} \"$@\"\n", quoted(&tools.nats_server)))?;

        let target = repo.target().join("page");
        fs::create_dir_all(&target).with_context(|| format!("cannot make {}", target.display()))?;
        self.script("cargo", &cargo(&target, &process::cargo(), &tools.wasm.cargo()))?;
        if !tools.wasm.is_own_toolchain() || process::answer(Command::new("rustup").arg("--version")).is_none() {
            let only = format!("[ \"$*\" = 'target add {CORE_TARGET}' ] || {{ echo \"rustup $*: not known here\" >&2; exit 1; }}\n");
            self.script("rustup", &only)?;
        }
        Ok(())
    }

    fn script(&self, name: &str, text: &str) -> Result<()> {
        let path = self.bin().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}")).with_context(|| format!("cannot write {}", path.display()))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).with_context(|| format!("cannot make {} a program", path.display()))
    }
}

/// A script that runs `own`, and `wasm` for the wasm target.
fn cargo(target: &Path, own: &Command, wasm: &Command) -> String {
    let mut environment = String::new();
    for (name, value) in wasm.get_envs() {
        environment.push_str(&match value {
            Some(value) => format!("export {}={}; ", name.display(), quoted(value)),
            None => format!("unset {}; ", name.display()),
        });
    }
    format!(
        r#"if [ -f Cargo.toml ] && [ ! -e target ]; then ln -s {target} target; fi
case " $* " in
" install --locked --path seriatim/host ") [ -f seriatim/host/Cargo.toml ]; exit ;;
*" --target {CORE_TARGET} "*) {environment}exec {wasm} "$@" ;;
*) exec {own} "$@" ;;
esac
"#,
        target = quoted(target),
        wasm = quoted(wasm.get_program()),
        own = quoted(own.get_program()),
    )
}

/// One word of a shell script.
fn quoted(word: impl AsRef<OsStr>) -> String {
    format!("'{}'", word.as_ref().to_string_lossy().replace('\'', r"'\''"))
}

/// The first free port from here on; where different runs begin to look differs.
fn free_port(from: u16) -> Result<u16> {
    let count = PORTS.end - PORTS.start;
    let begin = u16::try_from(std::process::id() % u32::from(count))?;
    for step in 0..count {
        let port = PORTS.start + (begin.wrapping_add(from - PORTS.start).wrapping_add(step)) % count;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port between {} and {} is free", PORTS.start, PORTS.end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_a_quoted_word_as_one() {
        let word = "it's $HOME; \"x\"";
        let said = process::answer(Command::new("sh").arg("-c").arg(format!("printf %s {}", quoted(word))));
        assert_eq!(said.as_deref(), Some(word));
    }

    #[test]
    fn addresses_of_the_page_become_free_ones() {
        let place = Place { folder: PathBuf::new(), addresses: Addresses { nats: 1, telemetry: 2 } };
        assert_eq!(place.local("nats://h:4222 14222 http://h:9464/readyz"), "nats://h:1 14222 http://h:2/readyz");
        let config = place.with_addresses("[telemetry]\nlisten = \"h:2\"\n");
        assert_eq!(config, "[telemetry]\nlisten = \"h:2\"\n\n[nats]\nservers = [\"nats://127.0.0.1:1\"]\n");
        assert_eq!(place.with_addresses(&config), config);
    }

    #[test]
    fn cargo_is_another_one_for_wasm() {
        let mut wasm = Command::new("echo");
        wasm.env("STAND_IN", "it's set").env_remove("HOME");
        let folder = tempfile::tempdir().unwrap();
        let script = cargo(folder.path(), &Command::new("printf"), &wasm);
        let run = |arguments: &[&str]| {
            process::answer(Command::new("sh").args(["-c", &script, "cargo"]).args(arguments).current_dir(folder.path()))
        };
        assert_eq!(run(&["own %s", "x"]).as_deref(), Some("own x"));
        let arguments = ["build", "--release", "--target", CORE_TARGET];
        assert_eq!(run(&arguments).as_deref(), Some(format!("{}\n", arguments.join(" ")).as_str()));
        let install = ["install", "--locked", "--path", "seriatim/host"];
        assert_eq!(run(&install), None);
        fs::create_dir_all(folder.path().join("seriatim/host")).unwrap();
        fs::write(folder.path().join("seriatim/host/Cargo.toml"), "").unwrap();
        assert_eq!(run(&install).as_deref(), Some(""));
    }
}
