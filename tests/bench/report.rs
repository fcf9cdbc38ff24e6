//! The result as it is kept: one JSON file whose field names do not change, so that results of different days can be compared.
//!
//! Times are seconds, rates are messages a second, processor time is in microseconds a message. `format` is raised when a field changes its
//! meaning. `runs` is in the order in which they ran.

use crate::load::{ENTITIES, PAYLOAD_BYTES};
use crate::spread::Spread;
use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs;
use std::path::Path;

/// Of the file.
pub(crate) const FORMAT: u32 = 1;
/// Messages that a run has asked for and not yet taken, in the raw loops as in the host.
pub(crate) const PREFETCH_MESSAGES: u32 = 10_000;
/// Outputs sent and not yet confirmed, in the raw loops as in the host.
pub(crate) const PUBLISH_WINDOW: u32 = 4_000;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Loop {
    /// async-nats reads and does nothing more.
    Read,
    /// async-nats reads, publishes a copy and awaits its publish futures: what one writes by hand.
    Raw,
    /// The same with all confirmations on one inbox of its own and counted: the fastest way known.
    RawInbox,
    /// The host with the handler `echo`: state, order, outbox and store included.
    Host,
}

impl Loop {
    /// Each, in the order of odd rounds.
    pub(crate) const ALL: [Self; 4] = [Self::Read, Self::Raw, Self::RawInbox, Self::Host];
}

impl fmt::Display for Loop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Raw => "raw",
            Self::RawInbox => "raw-inbox",
            Self::Host => "host",
        })
    }
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) messages: u64,
    pub(crate) rounds: u32,
    pub(crate) entities: u64,
    pub(crate) payload_bytes: usize,
    pub(crate) prefetch_messages: u32,
    pub(crate) publish_window: u32,
}

impl Settings {
    pub(crate) fn of(messages: u64, rounds: u32) -> Self {
        Self {
            messages,
            rounds,
            entities: ENTITIES.min(messages),
            payload_bytes: PAYLOAD_BYTES,
            prefetch_messages: PREFETCH_MESSAGES,
            publish_window: PUBLISH_WINDOW,
        }
    }
}

/// Where it was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Environment {
    /// `release`, or `debug`: a build whose numbers mean nothing.
    pub(crate) profile: String,
    /// What was built, if known.
    pub(crate) commit: Option<String>,
    pub(crate) cores: usize,
    pub(crate) processor: String,
    pub(crate) system: String,
    pub(crate) nats_server: String,
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
    /// From the making of the consumer that reads the source to the storing of the last output, both by the broker's clock (`read`: to the
    /// taking of the last message).
    pub(crate) seconds: f64,
    /// From the start of the loop (of the host's process) to the making of that consumer; not part of `seconds`.
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

/// The whole file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) format: u32,
    pub(crate) settings: Settings,
    pub(crate) environment: Environment,
    pub(crate) runs: Vec<Run>,
    pub(crate) summary: Vec<Summary>,
    pub(crate) ratios: Vec<Ratio>,
}

impl Report {
    /// Sums up; an error unless every loop ran in every round.
    pub(crate) fn new(settings: Settings, environment: Environment, runs: Vec<Run>) -> Result<Self> {
        let summary = Loop::ALL.iter().map(|kind| summary(&runs, *kind)).collect::<Option<_>>().context("a loop without a run")?;
        let ratios = [Loop::Raw, Loop::RawInbox, Loop::Read]
            .iter()
            .map(|to| ratio(&runs, Loop::Host, *to))
            .collect::<Option<_>>()
            .context("a round without a run of each loop")?;
        Ok(Self { format: FORMAT, settings, environment, runs, summary, ratios })
    }

    /// The ratio of these two, if this result has it.
    pub(crate) fn ratio(&self, of: Loop, to: Loop) -> Option<&Ratio> {
        self.ratios.iter().find(|ratio| ratio.of == of && ratio.to == to)
    }

    /// The median of host / raw.
    pub(crate) fn headline(&self) -> Result<f64> {
        Ok(self.ratio(Loop::Host, Loop::Raw).context("the result has no ratio of host and raw")?.spread.median)
    }

    /// Reads an earlier result.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| format!("{} is not a result of this benchmark", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let report: Self = serde_json::from_str(text)?;
        ensure!(report.format == FORMAT, "its format is {}, this program's is {FORMAT}: measure it anew", report.format);
        Ok(report)
    }

    /// Writes it; folders are made.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)? + "\n";
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// In the order of rounds: every second round runs backwards, but each runs every loop once.
fn values(runs: &[Run], kind: Loop, of: impl Fn(&Run) -> f64) -> Vec<f64> {
    runs.iter().filter(|run| run.kind == kind).map(of).collect()
}

fn summary(runs: &[Run], kind: Loop) -> Option<Summary> {
    let spread = |of: fn(&Run) -> f64| Spread::of(&values(runs, kind, of));
    Some(Summary {
        kind,
        messages_per_second: spread(|run| run.messages_per_second)?,
        startup_seconds: spread(|run| run.startup_seconds)?,
        loop_cpu_us_per_message: spread(|run| run.loop_cpu_us_per_message)?,
        broker_cpu_us_per_message: spread(|run| run.broker_cpu_us_per_message)?,
    })
}

fn ratio(runs: &[Run], of: Loop, to: Loop) -> Option<Ratio> {
    let (upper, lower) = (values(runs, of, |run| run.messages_per_second), values(runs, to, |run| run.messages_per_second));
    if upper.len() != lower.len() {
        return None;
    }
    let rounds: Vec<f64> = upper.iter().zip(&lower).map(|(upper, lower)| upper / lower).collect();
    let spread = Spread::of(&rounds)?;
    Some(Ratio { of, to, rounds, spread })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample(host: f64) -> Report {
        let environment = Environment {
            profile: "release".to_owned(),
            commit: Some("abc".to_owned()),
            cores: 2,
            processor: "a processor".to_owned(),
            system: "linux 6".to_owned(),
            nats_server: "2.15.1".to_owned(),
            load_before: Some(0.25),
        };
        let run = |round: u32, kind, messages_per_second: f64| Run {
            round,
            kind,
            messages_per_second,
            seconds: 1000.0 / messages_per_second,
            startup_seconds: 0.1,
            loop_cpu_us_per_message: 5.0,
            broker_cpu_us_per_message: 11.0,
        };
        let runs = vec![
            run(1, Loop::Read, 300.0),
            run(1, Loop::Raw, 100.0),
            run(1, Loop::RawInbox, 150.0),
            run(1, Loop::Host, host),
            run(2, Loop::Host, host),
            run(2, Loop::RawInbox, 100.0),
            run(2, Loop::Raw, 50.0),
            run(2, Loop::Read, 200.0),
        ];
        Report::new(Settings::of(1000, 2), environment, runs).unwrap()
    }

    #[test]
    fn ratios_are_taken_within_a_round() {
        let report = sample(100.0);
        let ratio = report.ratio(Loop::Host, Loop::Raw).unwrap();
        assert_eq!(ratio.rounds, [1.0, 2.0]);
        assert_eq!(ratio.spread, Spread { median: 1.5, min: 1.0, max: 2.0 });
        assert!((report.headline().unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(report.summary.len(), Loop::ALL.len());
    }

    #[test]
    fn a_round_that_lacks_a_loop_is_no_result() {
        let Report { settings, environment, mut runs, .. } = sample(100.0);
        runs.pop();
        assert!(Report::new(settings, environment, runs).is_err());
    }

    #[test]
    fn what_was_written_is_read_back() {
        let report = sample(77.7);
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(Report::parse(&text).unwrap(), report);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["ratios"][0]["of"], "host");
        assert_eq!(value["ratios"][1]["to"], "raw-inbox");
        assert!(value["ratios"][0]["median"].is_number());
        assert_eq!(value["runs"][0]["loop"], "read");
    }

    #[test]
    fn a_result_of_another_format_is_refused() {
        let text = serde_json::to_string(&Report { format: FORMAT + 1, ..sample(1.0) }).unwrap();
        assert!(format!("{:#}", Report::parse(&text).unwrap_err()).contains("measure it anew"));
    }
}
