//! One test's world: a folder, a broker, its streams, the config, and a record of everything published. At most a few worlds exist at once.
//! When a test fails, its world prints the config and the ends of all logs.

use super::broker::Broker;
use super::config::{Config, Pipeline};
use super::host::Host;
use super::input::Input;
use super::wait::until;
use super::{ports, streams};
use crate::checker::{Expected, History, Kept, Sent, judge};
use async_nats::jetstream::{self, stream};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// The stream that pipeline `flights` reads.
pub const SOURCE: &str = "FLIGHTS";
/// The stream that holds `echo.>`.
pub const OUTPUTS: &str = "ECHO";
/// The host's own stream.
pub const DEAD_LETTERS: &str = "SERIATIM_DEAD_LETTERS";

const TRAINS: &str = "TRAINS";
const OTHER: &str = "OTHER";

/// Worlds at once: the machines that run this have two cores, and most tests wait more than they work.
const WORLDS_MAX: u32 = 3;

static WORLDS: (Mutex<u32>, Condvar) = (Mutex::new(0), Condvar::new());

/// Everything around the hosts of one test.
pub struct World {
    /// The broker: kill it, stop it, start it again.
    pub broker: Broker,
    /// What the next host is started with.
    pub config: Config,
    /// Everything published and confirmed.
    pub sent: Vec<Sent>,
    /// A connection that comes back after outages.
    pub js: jetstream::Context,
    hosts: u32,
    sentinels: u64,
    ticks: u64,
    folder: TempDir,
    _permit: Permit,
}

impl World {
    /// A broker with the streams `FLIGHTS` and `ECHO`, both with the default duplicate window of two minutes.
    pub async fn new() -> Self {
        Self::with_broker(1024 * 1024).await
    }

    /// The same with another `max_payload` of the broker.
    pub async fn with_broker(max_payload: u32) -> Self {
        let permit = Permit::take();
        let folder = TempDir::with_prefix("seriatim-e2e-").expect("a temporary folder");
        let broker = Broker::start(folder.path(), max_payload).await;
        let js = jetstream::new(broker.connect().await);
        let config = Config::new(folder.path());
        let world = Self { broker, config, sent: Vec::new(), js, hosts: 0, sentinels: 0, ticks: 0, folder, _permit: permit };
        world.stream(SOURCE, "flights.>", |_| ()).await;
        world.stream(OUTPUTS, "echo.>", |_| ()).await;
        world
    }

    /// Creates a stream; `change` may alter its config first.
    pub async fn stream(&self, name: &str, subject: &str, change: impl FnOnce(&mut stream::Config)) {
        let mut config = stream::Config { name: name.to_owned(), subjects: vec![subject.to_owned()], ..Default::default() };
        change(&mut config);
        self.js.create_stream(config).await.unwrap_or_else(|error| panic!("stream {name}: {error}"));
    }

    /// Changes a stream that exists.
    pub async fn alter(&self, name: &str, change: impl FnOnce(&mut stream::Config)) {
        let mut config = self.js.get_stream(name).await.expect("a stream to change").cached_info().config.clone();
        change(&mut config);
        self.js.update_stream(config).await.unwrap_or_else(|error| panic!("stream {name}: {error}"));
    }

    /// Shortens a stream's duplicate window, so that a test can outwait it.
    pub async fn shorten_window(&self, name: &str, window: Duration) {
        self.alter(name, |config| config.duplicate_window = window).await;
    }

    /// Makes a stream full as it stands: it refuses every new message and keeps what it has.
    pub async fn close(&self, name: &str) {
        let held = streams::count(&self.js, name).await.expect("a stream to close").max(1);
        self.alter(name, |config| {
            config.max_messages = i64::try_from(held).expect("a small number");
            config.discard = stream::DiscardPolicy::New;
        })
        .await;
    }

    /// Lets a full stream take messages again.
    pub async fn open(&self, name: &str) {
        self.alter(name, |config| config.max_messages = -1).await;
    }

    /// Starts a host and waits until it is ready.
    pub async fn host(&mut self) -> Host {
        let mut host = self.launch(&[], "");
        host.ready().await;
        host
    }

    /// Starts a host with more arguments or failpoints; waits for nothing.
    pub fn launch(&mut self, args: &[&str], failpoints: &str) -> Host {
        self.hosts += 1;
        let port = ports::free();
        let file = self.write_config(&format!("seriatim-{}.toml", self.hosts), port);
        Host::spawn(&file, port, args, failpoints, &self.path(&format!("host-{}.log", self.hosts)))
    }

    /// A place in the test's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Publishes in this order, confirmed, and notes it for the judge; gives the stream sequences.
    pub async fn publish(&mut self, inputs: &[Input]) -> Vec<u64> {
        let sent = streams::publish(&self.js, inputs).await;
        let places = sent.iter().map(|sent| sent.stream_sequence).collect();
        self.sent.extend(sent);
        places
    }

    /// The same for one message.
    pub async fn publish_one(&mut self, input: Input) -> u64 {
        let places = self.publish(&[input]).await;
        places[0]
    }

    /// A second pipeline `trains` beside `flights`, with streams of its own; its outputs are not the judge's.
    pub async fn add_trains(&mut self) {
        self.stream(TRAINS, "trains.>", |_| ()).await;
        self.stream(OTHER, "other.>", |_| ()).await;
        self.config.pipelines.push(Pipeline::trains());
    }

    /// An event of the second pipeline goes through.
    pub async fn train_passes(&self, sequence: u64) {
        streams::publish(&self.js, &[Input::event("train", sequence).on("trains.train")]).await;
        self.until_count(OTHER, usize::try_from(sequence).expect("a small number")).await;
    }

    /// Publishes in the background; hand the result to [`World::note`].
    pub fn publish_meanwhile(&self, inputs: Vec<Input>) -> tokio::task::JoinHandle<Vec<Sent>> {
        let js = self.js.clone();
        tokio::spawn(async move { streams::publish(&js, &inputs).await })
    }

    /// Notes what was published in the background.
    pub fn note(&mut self, sent: Vec<Sent>) {
        self.sent.extend(sent);
    }

    /// What a stream holds.
    pub async fn read(&self, stream: &str) -> Vec<Kept> {
        until(&format!("the content of {stream}"), async || streams::read(&self.js, stream).await).await
    }

    /// Waits until the stream holds at least `wanted` messages.
    pub async fn until_count(&self, stream: &str, wanted: usize) {
        until(&format!("{wanted} messages in {stream}"), async || {
            let found = streams::count(&self.js, stream).await?;
            if found >= wanted as u64 { Ok(()) } else { Err(format!("{found} messages")) }
        })
        .await;
    }

    /// Waits until the entity's event with this sequence (or a later one) has its output.
    pub async fn until_applied(&self, entity: &str, sequence: u64) {
        until(&format!("the output of {entity} {sequence}"), async || {
            let found = self.applied(entity).await?;
            if found >= sequence { Ok(()) } else { Err(format!("its last output is of {found}")) }
        })
        .await;
    }

    /// The sequence of the entity's last output; 0 without one.
    pub async fn applied(&self, entity: &str) -> Result<u64, String> {
        use async_nats::jetstream::stream::LastRawMessageErrorKind::NoMessageFound;
        let subject = format!("echo.{}", crate::checker::token(entity));
        let stream = self.js.get_stream_no_info(OUTPUTS).await.map_err(|error| error.to_string())?;
        match stream.get_last_raw_message_by_subject(&subject).await {
            Ok(last) => Ok(last.headers.get("Echo-Sequence").map_or(0, |value| value.as_str().parse().unwrap_or(0))),
            Err(error) if error.kind() == NoMessageFound => Ok(0),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits until everything published before has been read by a running host: an event of an entity of its own goes through.
    pub async fn sentinel(&mut self) {
        self.sentinels += 1;
        let sequence = self.sentinels;
        self.publish_one(Input::event("sentinel", sequence)).await;
        self.until_applied("sentinel", sequence).await;
    }

    /// Keeps a host that shall die busy, one event after the other, until it is dead: every kind of boundary is passed each time.
    pub async fn busy_until_over(&mut self, host: &mut Host) {
        const TICKS_MAX: u64 = 300;
        for _ in 0..TICKS_MAX {
            self.ticks += 1;
            let tick = self.ticks;
            self.publish_one(Input::event("tick", tick)).await;
            until("a tick's output, or the end of the host", async || {
                if host.is_over() || self.applied("tick").await? >= tick { Ok(()) } else { Err("neither".to_owned()) }
            })
            .await;
            if host.is_over() {
                return;
            }
        }
        panic!("the host has lived through {TICKS_MAX} events");
    }

    /// Everything published is read, and the host has stopped gracefully: nothing more can come from it.
    pub async fn settle(&mut self, mut host: Host) {
        self.sentinel().await;
        host.stop().await;
    }

    /// Panics with the offending history unless what the broker holds is what was expected.
    pub async fn judge(&self, expected: &Expected) {
        let history = History { sent: self.sent.clone(), outputs: self.read(OUTPUTS).await, dead: self.read(DEAD_LETTERS).await };
        if let Err(verdict) = judge(&history, expected) {
            panic!("{verdict}");
        }
    }

    /// Removes the stream's messages below this stream sequence, as retention does.
    pub async fn trim(&self, stream: &str, below: u64) {
        let stream = self.js.get_stream(stream).await.expect("a stream to trim");
        stream.purge().sequence(below).await.expect("a trimmed stream");
    }

    /// Every entity's published sequences, each once; no dead letters.
    pub fn everything(&self) -> Expected {
        Expected::everything(&self.sent)
    }

    /// Writes the current config for a host that nobody has started yet.
    pub fn write_config(&self, name: &str, port: u16) -> PathBuf {
        let file = self.path(name);
        fs::write(&file, self.config.toml(&self.broker.url(), port)).expect("a config file in the test's folder");
        file
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        let mut files: Vec<_> = fs::read_dir(self.folder.path()).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        files.sort();
        for file in files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "log" || kind == "toml")) {
            print_end(file);
        }
    }
}

fn print_end(file: &Path) {
    const LINES: usize = 80;
    let text = fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    println!("---- {} ({} lines)", file.file_name().unwrap_or_default().to_string_lossy(), lines.len());
    for line in lines.iter().skip(lines.len().saturating_sub(LINES)) {
        println!("{line}");
    }
}

/// The right to have a world; taken before anything is started, on the test's own thread.
struct Permit;

impl Permit {
    fn take() -> Self {
        let (count, freed) = &WORLDS;
        let mut worlds = count.lock().unwrap_or_else(PoisonError::into_inner);
        while *worlds >= WORLDS_MAX {
            worlds = freed.wait(worlds).unwrap_or_else(PoisonError::into_inner);
        }
        *worlds += 1;
        Self
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let (count, freed) = &WORLDS;
        *count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        freed.notify_one();
    }
}
