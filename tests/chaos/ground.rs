//! What a phase stands on: a folder, a broker, the proxy before it, the streams, and the config of every host.

use crate::profile::Profile;
use anyhow::{Context as _, Result};
use async_nats::jetstream::{self, stream};
use seriatim_tests::harness::broker::Broker;
use seriatim_tests::harness::proxy::Proxy;
use seriatim_tests::harness::{DEAD_LETTERS, Host, OUTPUTS, SOURCE, ports, streams, telemetry};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What one message may have at most, in bytes.
const MAX_PAYLOAD: u32 = 1024 * 1024;
/// The duplicate window of the source: copies that a producer sends later are stored again.
const SOURCE_WINDOW: Duration = Duration::from_secs(2);
/// What hosts log: catch-ups are counted by their lines.
const LOG: &str = "info,seriatim::source::catchup_service=debug";

/// A broker with its proxy, and everything that hosts of one phase share.
pub(crate) struct Ground {
    pub(crate) broker: Broker,
    pub(crate) proxy: Proxy,
    /// A connection past the proxy that comes back after outages.
    pub(crate) js: jetstream::Context,
    /// Where hosts serve their telemetry.
    pub(crate) telemetry: u16,
    folder: PathBuf,
    store: PathBuf,
    hosts: u32,
}

impl Ground {
    /// Starts the broker in `folder`, creates the streams and writes the config.
    pub(crate) async fn prepare(folder: &Path, profile: &Profile) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let broker = Broker::start_apart(folder, MAX_PAYLOAD).await;
        let js = jetstream::new(broker.connect().await);
        for (name, subjects, window) in [(SOURCE, "flights.>", SOURCE_WINDOW), (OUTPUTS, "echo.>", profile.window)] {
            let config = stream::Config {
                name: name.to_owned(),
                subjects: vec![subjects.to_owned()],
                duplicate_window: window,
                ..stream::Config::default()
            };
            js.create_stream(config).await.with_context(|| format!("the broker refuses the stream {name}"))?;
        }
        let proxy = Proxy::start(broker.port()).await;
        let (telemetry, config) = (ports::free(), profile.config(folder));
        let file = folder.join("seriatim.toml");
        fs::write(&file, config.toml(&proxy.url(), telemetry)).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(Self { broker, proxy, js, telemetry, folder: folder.to_owned(), store: config.store, hosts: 0 })
    }

    /// Starts a host; waits for nothing.
    pub(crate) fn host(&mut self, failpoints: &str) -> Host {
        self.start(Host::command(&self.folder.join("seriatim.toml"), failpoints))
    }

    /// The same with failpoints that do nothing before [`Ground::arm`].
    pub(crate) fn host_to_arm(&mut self, failpoints: &str) -> Host {
        let mut command = Host::command(&self.folder.join("seriatim.toml"), failpoints);
        command.env("FAILPOINTS_ARMED_BY", self.trigger(self.hosts + 1));
        self.start(command)
    }

    /// Lets the last host die at its failpoint.
    pub(crate) fn arm(&self) -> Result<()> {
        fs::write(self.trigger(self.hosts), "").context("cannot arm a failpoint")
    }

    fn trigger(&self, host: u32) -> PathBuf {
        self.folder.join(format!("die-{host}"))
    }

    fn start(&mut self, mut command: Command) -> Host {
        self.hosts += 1;
        command.args(["--log", LOG, "--log-form", "json"]).process_group(0);
        Host::start(command, self.telemetry, &self.folder.join(format!("host-{}.log", self.hosts)))
    }

    /// Hosts started so far.
    pub(crate) fn hosts(&self) -> u32 {
        self.hosts
    }

    /// The store's folder.
    pub(crate) fn store(&self) -> &Path {
        &self.store
    }

    /// Whether the host says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        matches!(telemetry::get(self.telemetry, "/readyz").await, Ok((200, _)))
    }

    /// The host's metrics.
    pub(crate) async fn metrics(&self) -> Result<String, String> {
        telemetry::get(self.telemetry, "/metrics").await.map(|(_, text)| text)
    }

    /// Makes a stream full as it stands: it refuses every new message. Nothing happens while there is no such stream.
    pub(crate) async fn close(&self, name: &str) -> Result<(), String> {
        let held = streams::count(&self.js, name).await?.max(1);
        self.alter(name, i64::try_from(held).unwrap_or(i64::MAX)).await
    }

    /// Lets a full stream take messages again.
    pub(crate) async fn open(&self, name: &str) -> Result<(), String> {
        self.alter(name, -1).await
    }

    async fn alter(&self, name: &str, max_messages: i64) -> Result<(), String> {
        let stream = match self.js.get_stream(name).await {
            Ok(stream) => stream,
            Err(_) if name == DEAD_LETTERS => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let mut config = stream.cached_info().config.clone();
        config.max_messages = max_messages;
        config.discard = if max_messages > 0 || name == DEAD_LETTERS { stream::DiscardPolicy::New } else { stream::DiscardPolicy::Old };
        self.js.update_stream(config).await.map(|_| ()).map_err(|error| error.to_string())
    }
}
