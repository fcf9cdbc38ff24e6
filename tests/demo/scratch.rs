//! The demo's folder, its broker and everything it starts in there.

use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, stream};
use seriatim_tests::harness::broker::Broker;
use seriatim_tests::harness::host::Host;
use seriatim_tests::harness::process::Process;
use seriatim_tests::harness::{ports, tools};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::kills::How;

/// The stream of events.
pub(crate) const FLIGHTS: &str = "FLIGHTS";
/// The stream of what the handler `echo` sends.
pub(crate) const ECHO: &str = "ECHO";
/// The stream of what the handler `rotation` sends.
pub(crate) const ROTATION: &str = "ROTATION";

/// What one message may have at most, in bytes: the broker's own default.
const MAX_PAYLOAD: u32 = 1024 * 1024;

/// A broker with the three streams, and a config for hosts.
pub(crate) struct Scratch {
    /// A connection of the demo's own.
    pub(crate) js: jetstream::Context,
    /// The port on which every host serves its telemetry.
    pub(crate) telemetry: u16,
    broker: Broker,
    folder: PathBuf,
}

impl Scratch {
    /// Starts the broker in `folder`, creates the streams and writes the config.
    ///
    /// # Errors
    /// The broker refuses a stream, or the config cannot be written.
    pub(crate) async fn start(folder: &Path, threshold_minutes: i32) -> Result<Self> {
        let broker = Broker::start_apart(folder, MAX_PAYLOAD).await;
        let js = jetstream::new(broker.connect().await);
        for (name, subjects) in [(FLIGHTS, "flights.>"), (ECHO, "echo.>"), (ROTATION, "rotation.>")] {
            let config = stream::Config { name: name.to_owned(), subjects: vec![subjects.to_owned()], ..Default::default() };
            js.create_stream(config).await.with_context(|| format!("the broker refuses the stream {name}"))?;
        }
        let scratch = Self { js, telemetry: ports::free(), broker, folder: folder.to_owned() };
        fs::write(scratch.config(), scratch.toml(threshold_minutes)).context("cannot write the host's config")?;
        Ok(scratch)
    }

    /// Starts a host; waits for nothing. A failpoint waits for [`Scratch::arm`].
    pub(crate) fn host(&self, number: usize, dies: How) -> Host {
        let failpoints = match dies {
            How::Outside => String::new(),
            How::Failpoint(name) => format!("{name}=return"),
        };
        let mut command = Host::command(&self.config(), &failpoints);
        command.env("FAILPOINTS_ARMED_BY", self.trigger(number)).process_group(0);
        Host::start(command, self.telemetry, &self.log(number))
    }

    /// Tells a host to die at its failpoint.
    ///
    /// # Errors
    /// The folder does not take the file that says so.
    pub(crate) fn arm(&self, number: usize) -> Result<()> {
        fs::write(self.trigger(number), "").context("cannot arm the failpoint")
    }

    /// Starts `seriatim publish` on the file of events, shuffled within `window` places, a tenth of them twice.
    pub(crate) fn publisher(&self, events: &Path, window: usize, seed: u64) -> Process {
        let mut command = Command::new(tools::seriatim());
        command.arg("publish").arg(events);
        command.args(["--subject", "flights.{tailnum}", "--entity", "tailnum", "--kind", "kind", "--id", "id", "--time", "time"]);
        command.args(["--shuffle-window", &window.to_string(), "--duplicate", "0.1", "--seed", &seed.to_string()]);
        command.args(["--server", &self.broker.url()]).process_group(0);
        Process::spawn("seriatim publish", command, &self.folder.join("publish.log"))
    }

    /// Where the broker listens.
    pub(crate) fn url(&self) -> String {
        self.broker.url()
    }

    /// The config of every host.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("seriatim.toml")
    }

    /// Lets the broker live on; gives its process id.
    pub(crate) fn keep(self) -> u32 {
        self.broker.keep()
    }

    fn log(&self, number: usize) -> PathBuf {
        self.folder.join(format!("host-{number}.log"))
    }

    fn trigger(&self, number: usize) -> PathBuf {
        self.folder.join(format!("die-{number}"))
    }

    /// What differs from a first config that somebody would write: `wait`, which no slow machine shall reach, and smaller dead letters.
    fn toml(&self, threshold_minutes: i32) -> String {
        let quoted = |text: String| toml::Value::from(text).to_string();
        let plugin = |name| quoted(tools::plugin(name).display().to_string());
        format!(
            r#"[nats]
servers = [{url}]

[store]
kind = "embedded"
path = "store"

[telemetry]
listen = "127.0.0.1:{telemetry}"

[admin]
listen = "127.0.0.1:0"

[dead-letters]
max-bytes = "64MiB"

[pipelines.flights]
stream = "{FLIGHTS}"
subjects = ["flights.>"]

[pipelines.flights.event]
entity = "subject:2"

[pipelines.flights.order]
gap = {{ wait = "10m", then = "park" }}

[[pipelines.flights.handlers]]
name = "echo"
component = {echo}
config = {{ to = "echo" }}
outputs = ["echo.>"]

[[pipelines.flights.handlers]]
name = "rotation"
component = {rotation}
config = {{ threshold-minutes = "{threshold_minutes}" }}
outputs = ["rotation.summary.*", "rotation.alert.*"]
"#,
            url = quoted(self.broker.url()),
            telemetry = self.telemetry,
            echo = plugin("echo"),
            rotation = plugin("rotation"),
        )
    }
}
