//! Promise (deploy/, docs/deployment.md): the commands of the systemd units and of the container file work in the layout that they assume: a config
//! folder that cannot be written, a state folder, a user without any rights.

use crate::harness::{Host, Input, World, ports, tools, until};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whom the host runs as when the tests run as root.
const NOBODY: u32 = 65532;

/// `/usr/local/bin/seriatim`, `/etc/seriatim` and `/var/lib/seriatim`, in the test's folder.
struct Layout {
    program: PathBuf,
    config: PathBuf,
    state: PathBuf,
}

impl Layout {
    fn new(world: &mut World) -> (Self, u16) {
        let layout = Self { program: world.path("seriatim"), config: world.path("etc"), state: world.path("var") };
        fs::copy(tools::seriatim(), &layout.program).expect("a program that anybody may run");
        fs::create_dir_all(layout.config.join("plugins")).expect("a folder for the config");
        fs::create_dir(&layout.state).expect("a folder for the state");
        fs::copy(tools::plugin("echo"), layout.config.join("plugins/echo.wasm")).expect("a handler");
        world.config.store = layout.state.join("store");
        world.config.flights().handlers[0].component = "plugins/echo.wasm".into();
        let port = ports::free();
        let text = world.config.toml(&world.broker.url(), port);
        fs::write(layout.config.join("seriatim.toml"), text).expect("a config");
        for folder in [layout.config.join("plugins"), layout.config.clone()] {
            set_mode(&folder, 0o555);
        }
        set_mode(&layout.state, 0o700);
        if geteuid().is_root() {
            set_mode(&world.path("."), 0o755);
            chown(&layout.state, Some(NOBODY), Some(NOBODY)).expect("a folder of the user");
        }
        (layout, port)
    }

    /// A command line of the deployed files: their places become the test's.
    fn command(&self, line: &[String]) -> Command {
        let place = |word: &String| {
            let word = word.replace("/usr/local/bin/seriatim", &self.program.display().to_string());
            word.replace("/etc/seriatim", &self.config.display().to_string())
        };
        let words: Vec<_> = line.iter().map(place).collect();
        let mut command = Command::new(&words[0]);
        if geteuid().is_root() {
            command = Command::new("setpriv");
            command.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
            command.args(["--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]).arg(&words[0]);
        }
        command.args(&words[1..]).env_clear().current_dir(&self.config);
        command
    }

    fn config_files(&self) -> Vec<PathBuf> {
        let list = |folder: &Path| fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect::<Vec<_>>();
        let mut files = [list(&self.config), list(&self.config.join("plugins"))].concat();
        files.sort();
        files
    }
}

impl Drop for Layout {
    /// So that whoever is not root can remove the test's folder.
    fn drop(&mut self) {
        for folder in [self.config.join("plugins"), self.config.clone()] {
            set_mode(&folder, 0o755);
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn deployed(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words of a unit's `ExecStart`.
fn exec_start(unit: &str) -> Vec<String> {
    let text = deployed(unit);
    let line = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("an ExecStart");
    line.split_whitespace().map(str::to_owned).collect()
}

/// The words of an instruction of the container file in its JSON form.
fn instruction(name: &str) -> Vec<String> {
    let text = deployed("Containerfile");
    let line = text.lines().rfind(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name}"));
    let (_, words) = line.split_once('[').expect("a list of words");
    serde_json::from_str(&format!("[{words}")).expect("a list of words")
}

/// Runs `run`, has it work, asks `health`, and stops it.
async fn works(run: &[String], health: &[String]) {
    let mut world = World::new().await;
    let (layout, port) = Layout::new(&mut world);
    let before = layout.config_files();
    let mut host = Host::start(layout.command(run), port, &world.path("host-deployed.log"));
    host.ready().await;
    world.publish(&[Input::event("a", 2), Input::event("a", 1)]).await;
    world.until_applied("a", 2).await;
    until("the probe to say yes", async || {
        let asked = layout.command(health).output().expect("the probe");
        if asked.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&asked.stderr).into_owned()) }
    })
    .await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
    assert_eq!(layout.config_files(), before, "nothing is written beside the config");
    assert!(world.config.store.join("compiled").is_dir(), "compiled handlers are kept in the store's folder");
    let gone = layout.command(health).output().expect("the probe");
    assert_eq!(gone.status.code(), Some(1), "{}", String::from_utf8_lossy(&gone.stderr));
}

#[tokio::test]
async fn the_units_commands_work() {
    works(&exec_start("seriatim.service"), &exec_start("seriatim-health.service")).await;
}

#[tokio::test]
async fn the_containers_commands_work() {
    works(&[instruction("ENTRYPOINT"), instruction("CMD")].concat(), &instruction("HEALTHCHECK")).await;
}
