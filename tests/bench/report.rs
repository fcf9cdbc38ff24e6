//! The result as it is kept: field names do not change, so that results of different days can be compared.
//!
//! Times are seconds, rates are messages a second, processor time is in microseconds a message. `format` is raised when a field changes its
//! meaning. `runs` are in the order in which they ran.

use crate::load::Load;
use crate::spread::Spread;
use crate::targets::Target;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::Path;

/// Of a result.
pub(crate) const FORMAT: u32 = 3;
/// Messages that a loop has asked for and not yet taken, in the raw loops as in the host.
pub(crate) const PREFETCH_MESSAGES: u32 = 10_000;
/// Outputs sent and not yet confirmed, in the raw loops as in the host.
pub(crate) const PUBLISH_WINDOW: u32 = 4_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Loop {
    /// Own pull requests, each message acknowledged; nothing else.
    Receive,
    /// The same under `AckPolicy::None`, as the host reads.
    ReceiveNoAck,
    /// `messages()` and an ack each: what one writes by hand.
    IdiomaticReceive,
    /// `messages()`, publish futures in a bounded window, an ack each: what one writes by hand.
    Idiomatic,
    /// The fastest loop known: own pull requests, confirmations on an inbox of its own, each message acknowledged when its output is stored.
    Raw,
    /// The same under `AckPolicy::None`.
    RawNoAck,
    /// The host with a handler that does nothing: (i).
    HostStateless,
    /// The host with a handler that keeps a state: (ii).
    HostState,
    /// The host with a handler that keeps a state and sends one output: (iii).
    HostOutput,
}

impl Loop {
    /// Those of the main table, in the order of odd rounds.
    pub(crate) const ALL: [Self; 9] = [
        Self::Receive,
        Self::ReceiveNoAck,
        Self::IdiomaticReceive,
        Self::HostStateless,
        Self::HostState,
        Self::Raw,
        Self::RawNoAck,
        Self::Idiomatic,
        Self::HostOutput,
    ];

    /// Whether it is the host.
    pub(crate) fn is_host(self) -> bool {
        matches!(self, Self::HostStateless | Self::HostState | Self::HostOutput)
    }

    /// Whether every event has an output.
    pub(crate) fn has_output(self) -> bool {
        matches!(self, Self::Idiomatic | Self::Raw | Self::RawNoAck | Self::HostOutput)
    }

    /// Whether it tells the broker that a message is done.
    pub(crate) fn acknowledges(self) -> bool {
        matches!(self, Self::Receive | Self::IdiomaticReceive | Self::Idiomatic | Self::Raw)
    }

    /// What a host is held against: the loops that do the same to the broker.
    fn rivals(self) -> &'static [Self] {
        match self {
            Self::HostStateless | Self::HostState => &[Self::Receive, Self::ReceiveNoAck, Self::IdiomaticReceive],
            Self::HostOutput => &[Self::Raw, Self::RawNoAck, Self::Idiomatic],
            _ => &[],
        }
    }
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Receive => "receive",
            Self::ReceiveNoAck => "receive-no-ack",
            Self::IdiomaticReceive => "idiomatic-receive",
            Self::Idiomatic => "idiomatic",
            Self::Raw => "raw",
            Self::RawNoAck => "raw-no-ack",
            Self::HostStateless => "host (i)",
            Self::HostState => "host (ii)",
            Self::HostOutput => "host (iii)",
        })
    }
}

/// The host's `isolation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// One instance serves consecutive events of one entity.
    Run,
    /// A fresh one for each event.
    Event,
    /// One for all.
    Shared,
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Run => "run",
            Self::Event => "event",
            Self::Shared => "shared",
        })
    }
}

/// Where and of what it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// `release`, or `debug`: a build whose numbers mean nothing.
    pub(crate) profile: String,
    /// What was built, if known.
    pub(crate) commit: Option<String>,
    /// Of this program and the host.
    pub(crate) version: String,
    pub(crate) rustc: Option<String>,
    pub(crate) cores: usize,
    pub(crate) memory_bytes: u64,
    pub(crate) processor: String,
    pub(crate) system: String,
    /// Of the disk that broker and host wrote to: its file system.
    pub(crate) disk: String,
    pub(crate) nats_server: String,
    /// Those whose release matters for speed.
    pub(crate) libraries: Vec<String>,
    /// The load average of the minute before the first run, if known: what else was running.
    pub(crate) load_before: Option<f64>,
}

/// One run of one loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) round: u32,
    #[serde(rename = "loop")]
    pub(crate) kind: Loop,
    /// All messages through `seconds`.
    pub(crate) messages_per_second: f64,
    /// From the making of the consumer that reads the source until everything is done: the last output stored or confirmed, the last ack
    /// taken, the last event durable.
    pub(crate) seconds: f64,
    /// From the start of the process to the making of that consumer; not part of `seconds`.
    pub(crate) startup_seconds: f64,
    /// Of the loop's (the host's) process during `seconds`, give or take a tick and the 25 ms between two looks at the host.
    pub(crate) loop_cpu_us_per_message: f64,
    /// Of the broker's, likewise.
    pub(crate) broker_cpu_us_per_message: f64,
}

/// All runs of one loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    #[serde(rename = "loop")]
    pub(crate) kind: Loop,
    pub(crate) messages_per_second: Spread,
    pub(crate) seconds: Spread,
    pub(crate) startup_seconds: Spread,
    pub(crate) loop_cpu_us_per_message: Spread,
    pub(crate) broker_cpu_us_per_message: Spread,
}

/// The rates of two loops, divided within each round: what the machine did to one of them it did to the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) of: Loop,
    pub(crate) to: Loop,
    pub(crate) rounds: Vec<f64>,
    #[serde(flatten)]
    pub(crate) spread: Spread,
}

/// Loops over one and the same stream, in rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Group {
    /// Stable: results are compared by it.
    pub(crate) name: String,
    /// The quantity that a sweep varies.
    pub(crate) x: Option<f64>,
    pub(crate) load: Load,
    /// Messages in the stream: the events and their copies.
    pub(crate) messages: u64,
    pub(crate) isolation: Isolation,
    /// The handler's component.
    pub(crate) handler: String,
    pub(crate) runs: Vec<Run>,
    pub(crate) summary: Vec<Summary>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Group {
    /// Sums up. Ratios are taken where a host and its rival ran in the same rounds.
    pub(crate) fn sum_up(mut self) -> Self {
        self.summary = Loop::ALL.iter().filter_map(|kind| summary(&self.runs, *kind)).collect();
        let pairs = Loop::ALL.iter().flat_map(|of| of.rivals().iter().map(|to| (*of, *to)));
        self.ratios = pairs.filter_map(|(of, to)| ratio(&self.runs, of, to)).collect();
        self
    }

    /// The runs of this loop, if it ran.
    pub(crate) fn summary(&self, kind: Loop) -> Option<&Summary> {
        self.summary.iter().find(|summary| summary.kind == kind)
    }

    /// The ratio of these two, if both ran.
    pub(crate) fn ratio(&self, of: Loop, to: Loop) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.of == of && ratio.to == to)
    }
}

/// Groups that differ in one quantity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    /// Stable.
    pub(crate) name: String,
    pub(crate) groups: Vec<Group>,
    /// How the host's time grows with the quantity, all events or each: 0 constant, 1 proportional, 2 quadratic.
    pub(crate) exponent: Option<f64>,
    /// The same between the two neighbours where it grows most.
    #[serde(default)]
    pub(crate) steepest: Option<f64>,
}

/// From the moment at which an event was due to the storing of its output, milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Delays {
    pub(crate) round: u32,
    #[serde(rename = "loop")]
    pub(crate) kind: Loop,
    /// `None`: a raw loop.
    pub(crate) isolation: Option<Isolation>,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) max_ms: f64,
    /// The most that the publisher was behind its own schedule, milliseconds: beyond some tens it is not the rate that was asked for.
    pub(crate) publisher_late_ms: f64,
}

/// Whose half load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Whose {
    /// The slowest host's: a rate that every loop can follow.
    Host,
    /// The raw loop's, which may be more than the host can do at all.
    Raw,
}

/// Latency under a steady rate, the same for every loop.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) whose: Whose,
    /// What that loop reached live, with its publisher on the same machine, events a second.
    pub(crate) live_per_second: f64,
    /// What was published a second: half of it.
    pub(crate) rate_per_second: f64,
    pub(crate) events: u64,
    pub(crate) runs: Vec<Delays>,
}

/// Memory of hosts that differ in the number of entities only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// `cold`, `live`, `waiting`, `waiting-in-memory`, `parked`.
    pub(crate) state: String,
    pub(crate) entities: (u64, u64),
    /// Resident set of the two hosts, bytes.
    pub(crate) resident: (u64, u64),
    /// Their difference for each entity more, bytes.
    pub(crate) bytes_per_entity: f64,
    /// What of it is the entity's own state and events, bytes.
    pub(crate) own_bytes: f64,
}

/// Starts after SIGKILL under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recovery {
    pub(crate) entities: u64,
    /// From starting the process to its first event handled.
    pub(crate) first_event_seconds: Vec<f64>,
    /// The same after a stop in which everything in flight was finished.
    pub(crate) stopped_seconds: f64,
    /// From starting the process on an empty store to its first event, for comparison.
    pub(crate) empty_seconds: f64,
}

/// One micro-benchmark.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Micro {
    pub(crate) name: String,
    pub(crate) median_ns: f64,
    /// Allocations of one iteration, where they were counted.
    pub(crate) allocations: Option<f64>,
}

/// The whole result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) date: String,
    /// For breakage only: the numbers mean nothing.
    pub(crate) quick: bool,
    pub(crate) rounds: u32,
    /// How long the slowest host of a group was to run, about; 0 in results that did not keep it.
    #[serde(default)]
    pub(crate) seconds: f64,
    pub(crate) prefetch_messages: u32,
    pub(crate) publish_window: u32,
    pub(crate) environment: Environment,
    pub(crate) main: Vec<Group>,
    pub(crate) latency: Vec<Latency>,
    pub(crate) sweeps: Vec<Sweep>,
    pub(crate) memory: Vec<Memory>,
    /// Of ever more entities.
    pub(crate) recovery: Vec<Recovery>,
    pub(crate) micro: Vec<Micro>,
    pub(crate) targets: Vec<Target>,
}

impl Report {
    /// The group of this name, of the main table or a sweep.
    pub(crate) fn group(&self, name: &str) -> Option<&Group> {
        self.main.iter().chain(self.sweeps.iter().flat_map(|sweep| &sweep.groups)).find(|group| group.name == name)
    }

    /// Reads an earlier result: one, or the last of a file of many.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a result of this benchmark", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let value: serde_json::Value = serde_json::from_str(text)?;
        let value = match value.get("runs").and_then(serde_json::Value::as_array) {
            Some(runs) => runs.last().context("it has no run")?.clone(),
            None => value,
        };
        let format = value.get("format").and_then(serde_json::Value::as_u64).context("it does not say its format")?;
        ensure!(format == u64::from(FORMAT), "its format is {format}, this program's is {FORMAT}: measure it anew");
        Ok(serde_json::from_value(value)?)
    }

    /// Writes it; folders are made.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        write(path, self)
    }

    /// Appends it to a file of many.
    pub(crate) fn record(&self, path: &Path) -> Result<()> {
        #[derive(Default, Serialize, Deserialize)]
        struct Many {
            runs: Vec<serde_json::Value>,
        }
        let mut many = match fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text).with_context(|| format!("{} is not a file of results", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Many::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        many.runs.push(serde_json::to_value(self)?);
        write(path, &many)
    }
}

fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value)? + "\n";
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// By round: every second round runs backwards, but each runs a loop once.
fn values(runs: &[Run], kind: Loop, of: impl Fn(&Run) -> f64) -> Vec<(u32, f64)> {
    runs.iter().filter(|run| run.kind == kind).map(|run| (run.round, of(run))).collect()
}

fn summary(runs: &[Run], kind: Loop) -> Option<Summary> {
    let spread = |of: fn(&Run) -> f64| Spread::of(&values(runs, kind, of).into_iter().map(|(_, value)| value).collect::<Vec<_>>());
    Some(Summary {
        kind,
        messages_per_second: spread(|run| run.messages_per_second)?,
        seconds: spread(|run| run.seconds)?,
        startup_seconds: spread(|run| run.startup_seconds)?,
        loop_cpu_us_per_message: spread(|run| run.loop_cpu_us_per_message)?,
        broker_cpu_us_per_message: spread(|run| run.broker_cpu_us_per_message)?,
    })
}

fn ratio(runs: &[Run], of: Loop, to: Loop) -> Option<Ratio> {
    let rate = |run: &Run| run.messages_per_second;
    let (upper, lower) = (values(runs, of, rate), values(runs, to, rate));
    let within = |(round, rate): &(u32, f64)| Some(rate / lower.iter().find(|(other, _)| other == round)?.1);
    let rounds: Vec<f64> = upper.iter().filter_map(within).collect();
    let spread = Spread::of(&rounds)?;
    Some(Ratio { of, to, rounds, spread })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn group(name: &str, isolation: Isolation, rates: &[(Loop, f64)]) -> Group {
        let run = |round: u32, kind, messages_per_second: f64| Run {
            round,
            kind,
            messages_per_second,
            seconds: 1000.0 / messages_per_second,
            startup_seconds: 0.1,
            loop_cpu_us_per_message: 5.0,
            broker_cpu_us_per_message: 11.0,
        };
        let forth = rates.iter().map(|(kind, rate)| run(1, *kind, *rate));
        // The second round is on a machine that is half as fast, and runs backwards.
        let back = rates.iter().rev().map(|(kind, rate)| run(2, *kind, rate / 2.0));
        Group {
            name: name.to_owned(),
            x: None,
            load: Load::in_turn(1000, 10, 256),
            messages: 1000,
            isolation,
            handler: "bench".to_owned(),
            runs: forth.chain(back).collect(),
            summary: Vec::new(),
            ratios: Vec::new(),
        }
        .sum_up()
    }

    pub(crate) fn sample(host: f64) -> Report {
        let environment = Environment {
            profile: "release".to_owned(),
            commit: Some("abc".to_owned()),
            version: "0.1.0".to_owned(),
            rustc: None,
            cores: 2,
            memory_bytes: 1 << 34,
            processor: "a processor".to_owned(),
            system: "linux 6".to_owned(),
            disk: "ext4".to_owned(),
            nats_server: "2.15.1".to_owned(),
            libraries: vec!["wasmtime 48.0.8".to_owned(), "fjall 3.1.13".to_owned()],
            load_before: Some(0.25),
        };
        let rates = [(Loop::Receive, 300.0), (Loop::Raw, 100.0), (Loop::Idiomatic, 80.0), (Loop::HostOutput, host)];
        Report {
            format: FORMAT,
            date: "2026-01-01T00:00:00Z".to_owned(),
            quick: false,
            rounds: 2,
            seconds: 4.0,
            prefetch_messages: PREFETCH_MESSAGES,
            publish_window: PUBLISH_WINDOW,
            environment,
            main: vec![group("single/shared", Isolation::Shared, &rates)],
            latency: Vec::new(),
            sweeps: Vec::new(),
            memory: Vec::new(),
            recovery: Vec::new(),
            micro: Vec::new(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let report = sample(120.0);
        let group = report.group("single/shared").unwrap();
        let ratio = group.ratio(Loop::HostOutput, Loop::Raw).unwrap();
        assert!(ratio.rounds.iter().all(|ratio| (ratio - 1.2).abs() < 1e-9) && ratio.rounds.len() == 2, "{ratio:?}");
        assert!((group.summary(Loop::Raw).unwrap().messages_per_second.median - 75.0).abs() < 1e-9);
        assert!(group.ratio(Loop::HostOutput, Loop::RawNoAck).is_none() && group.ratio(Loop::HostOutput, Loop::Receive).is_none());
    }

    #[test]
    fn what_was_written_is_read_back_alone_or_as_the_last_of_many() {
        let folder = tempfile::tempdir().unwrap();
        let (alone, many) = (folder.path().join("alone.json"), folder.path().join("many.json"));
        sample(80.0).write(&alone).unwrap();
        assert_eq!(Report::read(&alone).unwrap(), sample(80.0));
        for host in [1.0, 2.0] {
            sample(host).record(&many).unwrap();
        }
        assert_eq!(Report::read(&many).unwrap(), sample(2.0));
        let value: serde_json::Value = serde_json::from_str(&fs::read_to_string(&alone).unwrap()).unwrap();
        assert_eq!(value["main"][0]["ratios"][0]["of"], "host-output");
        assert!(value["main"][0]["ratios"][0]["median"].is_number());
        assert_eq!((&value["main"][0]["runs"][0]["loop"], &value["main"][0]["isolation"]), (&"receive".into(), &"shared".into()));
    }

    #[test]
    fn a_result_of_another_format_is_refused() {
        let text = serde_json::to_string(&Report { format: FORMAT + 1, ..sample(1.0) }).unwrap();
        assert!(format!("{:#}", Report::parse(&text).unwrap_err()).contains("measure it anew"));
    }
}
