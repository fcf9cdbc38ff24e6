//! The names of all metrics, with their labels, buckets and meanings, and the recorder that keeps them. `docs/metrics.md` is compared with
//! [`METRICS`] by a test. Labels are bounded: pipelines, handlers and fixed words, never the entity. Counting itself is `events.rs`'s.

use prometheus::core::Collector;
use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry, TextEncoder};
use std::collections::HashMap;
use std::sync::OnceLock;

/// The running version, as label of a constant 1.
pub const BUILD_INFO: &str = "seriatim_build_info";
/// Events by what became of them.
pub const EVENTS: &str = "seriatim_events_total";
/// What was out of order.
pub const DISORDER: &str = "seriatim_disorder_total";
/// How many sequences a gap spans.
pub const SEQUENCE_GAP: &str = "seriatim_sequence_gap";
/// Early events in memory.
pub const HELD_EVENTS: &str = "seriatim_held_events";
/// Entities that wait, by reason.
pub const WAITING_ENTITIES: &str = "seriatim_waiting_entities";
/// Those of them that are parked, by reason.
pub const PARKED_ENTITIES: &str = "seriatim_parked_entities";
/// Entities in memory.
pub const LIVE_ENTITIES: &str = "seriatim_live_entities";
/// From publishing to applied.
pub const PROCESSING_LAG: &str = "seriatim_processing_lag_seconds";
/// From read to an event's turn.
pub const ENTITY_WAIT: &str = "seriatim_entity_wait_seconds";
/// Messages of the stream behind the watermark.
pub const STREAM_LAG: &str = "seriatim_stream_lag_messages";
/// Age of the oldest wait.
pub const OLDEST_WAITING: &str = "seriatim_oldest_waiting_seconds";
/// Time of handler calls.
pub const HANDLER_DURATION: &str = "seriatim_handler_duration_seconds";
/// Failed handler calls, by kind.
pub const HANDLER_FAILURES: &str = "seriatim_handler_failures_total";
/// Attempts after the first.
pub const RETRIES: &str = "seriatim_retries_total";
/// Dead letters, by reason.
pub const DEAD_LETTERS: &str = "seriatim_dead_letters_total";
/// Time of commits.
pub const COMMIT_DURATION: &str = "seriatim_commit_duration_seconds";
/// Changes of commits.
pub const COMMIT_CHANGES: &str = "seriatim_commit_changes";
/// Outputs that the broker confirmed.
pub const OUTPUTS: &str = "seriatim_outputs_total";
/// Outputs and dead letters that are committed and not confirmed.
pub const OUTBOX_ENTRIES: &str = "seriatim_outbox_entries";
/// Readers made anew, by reason.
pub const READER_RESTARTS: &str = "seriatim_reader_restarts_total";

/// Entities whose unfinished events the stream's limits will soon take.
pub const RETENTION_NEAR: &str = "seriatim_retention_near_entities";
/// What is left until they take something that is needed.
pub const RETENTION_LEFT: &str = "seriatim_retention_left_ratio";
/// Entities whose state and ids went.
pub const ENTITIES_RETIRED: &str = "seriatim_entities_retired_total";
/// Lifecycle events, by what became of them.
pub const LIFECYCLE_EVENTS: &str = "seriatim_lifecycle_events_total";

/// Whether a circuit breaker is open, by the handler that fails.
pub const BREAKER_OPEN: &str = "seriatim_breaker_open";

/// How a metric counts.
#[derive(Clone, Copy, Debug)]
pub enum MetricKind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by size, in buckets with these upper bounds.
    Histogram(&'static [f64]),
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct MetricDoc {
    /// Its name.
    pub name: &'static str,
    /// How it counts.
    pub kind: MetricKind,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it tells, in one or two sentences of Markdown.
    pub doc: &'static str,
}

const GAPS: &[f64] = &[1.0, 5.0, 10.0, 50.0, 100.0, 500.0, 1000.0];
const WAITS: &[f64] = &[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0];
/// A call on a warm instance takes about a microsecond, `time-max` is a second.
const CALLS: &[f64] = &[
    0.000_001, 0.000_002, 0.000_005, 0.000_01, 0.000_02, 0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,
    0.2, 0.5, 1.0, 2.0, 5.0,
];
/// An fsync takes between tens of microseconds and, on a disk in trouble, seconds.
const COMMITS: &[f64] = &[0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];
const CHANGES: &[f64] = &[1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 4096.0];

const PIPELINE: &[&str] = &["pipeline"];
const HANDLER: &[&str] = &["pipeline", "handler"];

const fn counter(name: &'static str, labels: &'static [&'static str], doc: &'static str) -> MetricDoc {
    MetricDoc { name, kind: MetricKind::Counter, labels, doc }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], doc: &'static str) -> MetricDoc {
    MetricDoc { name, kind: MetricKind::Gauge, labels, doc }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], buckets: &'static [f64], doc: &'static str) -> MetricDoc {
    MetricDoc { name, kind: MetricKind::Histogram(buckets), labels, doc }
}

/// Every metric, in the order in which the documentation shows them.
#[rustfmt::skip]
pub const METRICS: &[MetricDoc] = &[
    gauge(BUILD_INFO, &["version"], "Always 1; the running version is its label."),
    counter(EVENTS, &["pipeline", "outcome"], "Events by what became of them: `applied`, `duplicate`, `superseded`, `dropped_late`, `dead_lettered`. Together: what was read minus what waits."),
    counter(DISORDER, &["pipeline", "kind"], "What was out of order: `gap` (events that opened one), `late`, `conflict`."),
    histogram(SEQUENCE_GAP, PIPELINE, GAPS, "Missing sequences of each gap when it opened."),
    gauge(HELD_EVENTS, PIPELINE, "Early events held in memory until their gap closes."),
    gauge(WAITING_ENTITIES, &["pipeline", "reason"], "Entities that cannot go on now, by reason."),
    gauge(PARKED_ENTITIES, &["pipeline", "reason"], "Those of them that are parked: they go on only by an operator's word or, for `gap`, when the missing event comes."),
    gauge(LIVE_ENTITIES, PIPELINE, "Entities in memory."),
    histogram(PROCESSING_LAG, PIPELINE, WAITS, "From an event's publishing (the broker's timestamp) until it is applied."),
    histogram(ENTITY_WAIT, PIPELINE, WAITS, "From an event's arrival in this host until it is its turn."),
    gauge(STREAM_LAG, PIPELINE, "Messages of the source that match the pipeline's subjects and have not been read yet."),
    gauge(OLDEST_WAITING, PIPELINE, "How long the entity that waits longest has waited; 0 when none waits."),
    histogram(HANDLER_DURATION, HANDLER, CALLS, "Time of each handler call."),
    counter(HANDLER_FAILURES, &["pipeline", "handler", "kind"], "Failed calls: `retry`, `rejected`, `trap`, `timeout`, `memory`, `output-refused`, `too-large`, and `host` for this host's own faults, which count as no attempt."),
    gauge(BREAKER_OPEN, HANDLER, "1 while the pipeline's handlers are not called because this one fails so often (`failure.breaker`), else 0."),
    counter(RETRIES, HANDLER, "Attempts after the first, by the handler that had failed."),
    counter(DEAD_LETTERS, &["pipeline", "reason"], "Dead letters by reason."),
    histogram(COMMIT_DURATION, &[], COMMITS, "Time of each group commit, fsync included."),
    histogram(COMMIT_CHANGES, &[], CHANGES, "Changes of entities in each group commit."),
    counter(OUTPUTS, HANDLER, "Outputs that the broker confirmed."),
    gauge(OUTBOX_ENTRIES, PIPELINE, "Outputs and dead letters that are committed and not yet confirmed."),
    counter(READER_RESTARTS, &["pipeline", "reason"], "Readers made anew, by reason."),
    gauge(RETENTION_NEAR, PIPELINE, "Entities that wait for events which the stream's limits will soon take (`run.retention-near-percent`)."),
    gauge(RETENTION_LEFT, PIPELINE, "Share that is left of the tightest of the stream's limits until it takes something that is still to be done; 1 when nothing is to be done, or no limit takes anything."),
    counter(ENTITIES_RETIRED, PIPELINE, "Entities that had not been seen for as long as `retain` says, and whose state and ids therefore went."),
    counter(LIFECYCLE_EVENTS, &["pipeline", "outcome"], "Lifecycle events: `sent`, and `overflowed` where `run.lifecycle-queue` was full."),
];

/// The one of this process. What is counted before [`install`] is not kept.
static RECORDER: OnceLock<Recorder> = OnceLock::new();

/// Why there is no recorder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A metric could not be made.
    #[error("metrics cannot be recorded: {0}")]
    Metric(#[from] prometheus::Error),
    /// There is one already.
    #[error("metrics cannot be recorded: this process records them already")]
    Twice,
}

/// Every metric of [`METRICS`], with all its series.
#[derive(Debug)]
pub struct Recorder {
    registry: Registry,
    counters: HashMap<&'static str, IntCounterVec>,
    gauges: HashMap<&'static str, GaugeVec>,
    histograms: HashMap<&'static str, HistogramVec>,
}

impl Recorder {
    fn new() -> Result<Self, prometheus::Error> {
        let mut new = Self { registry: Registry::new(), counters: HashMap::new(), gauges: HashMap::new(), histograms: HashMap::new() };
        for MetricDoc { name, kind, labels, doc } in METRICS {
            match kind {
                MetricKind::Counter => {
                    let vec = new.registered(IntCounterVec::new(Opts::new(*name, *doc), labels)?)?;
                    new.counters.insert(name, vec);
                }
                MetricKind::Gauge => {
                    let vec = new.registered(GaugeVec::new(Opts::new(*name, *doc), labels)?)?;
                    new.gauges.insert(name, vec);
                }
                MetricKind::Histogram(buckets) => {
                    let vec = new.registered(HistogramVec::new(HistogramOpts::new(*name, *doc).buckets(buckets.to_vec()), labels)?)?;
                    new.histograms.insert(name, vec);
                }
            }
        }
        Ok(new)
    }

    fn registered<C: Collector + Clone + 'static>(&self, metric: C) -> Result<C, prometheus::Error> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    /// Everything in the Prometheus text format.
    ///
    /// # Errors
    /// A series cannot be written as text.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// The counter of these label values; `None` for what [`METRICS`] does not know.
    pub(super) fn counter(&self, name: &str, labels: &[&str]) -> Option<prometheus::IntCounter> {
        self.counters.get(name)?.get_metric_with_label_values(labels).ok()
    }

    /// The gauge of these label values; `None` for what [`METRICS`] does not know.
    pub(super) fn gauge(&self, name: &str, labels: &[&str]) -> Option<prometheus::Gauge> {
        self.gauges.get(name)?.get_metric_with_label_values(labels).ok()
    }

    /// The histogram of these label values; `None` for what [`METRICS`] does not know.
    pub(super) fn histogram(&self, name: &str, labels: &[&str]) -> Option<prometheus::Histogram> {
        self.histograms.get(name)?.get_metric_with_label_values(labels).ok()
    }
}

/// Starts recording in this process: once, before anything is counted.
///
/// # Errors
/// When it has been called before.
pub fn install() -> Result<&'static Recorder, Error> {
    RECORDER.set(Recorder::new()?).map_err(|_| Error::Twice)?;
    super::events::started();
    RECORDER.get().ok_or(Error::Twice)
}

/// Lets `act` use what records on this thread, if anything does.
pub(super) fn with_recorder<T>(act: impl FnOnce(&Recorder) -> Option<T>) -> Option<T> {
    #[cfg(test)]
    if let Some(recorder) = tests::LOCAL.with_borrow(Clone::clone) {
        return act(&recorder);
    }
    RECORDER.get().and_then(act)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::fmt::Write as _;
    use std::rc::Rc;

    thread_local! {
        /// What records on a test's own thread.
        pub(super) static LOCAL: RefCell<Option<Rc<Recorder>>> = const { RefCell::new(None) };
    }

    /// What a piece of code records, as it is scraped. Once in a thread: series are remembered there.
    pub(in crate::telemetry) fn recorded(what: impl FnOnce()) -> String {
        let recorder = Rc::new(Recorder::new().expect("a recorder"));
        LOCAL.set(Some(recorder.clone()));
        what();
        LOCAL.set(None);
        recorder.render().expect("text")
    }

    #[test]
    fn names_are_prefixed_unique_and_carry_their_unit() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
        assert!(names.iter().all(|name| name.starts_with("seriatim_")));
        for metric in METRICS {
            assert_eq!(matches!(metric.kind, MetricKind::Counter), metric.name.ends_with("_total"), "{}", metric.name);
            assert!(!metric.labels.contains(&"entity"));
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
    }

    #[test]
    fn histograms_have_the_buckets_of_the_table() {
        let text = recorded(|| {
            let gaps = with_recorder(|recorder| recorder.histogram(SEQUENCE_GAP, &["p"]));
            gaps.expect("a histogram").observe(7.0);
        });
        for line in ["le=\"5\"} 0", "le=\"10\"} 1", "le=\"1000\"} 1", "le=\"+Inf\"} 1"] {
            assert!(text.contains(&format!("seriatim_sequence_gap_bucket{{pipeline=\"p\",{line}")), "{text}");
        }
        assert!(text.contains("# HELP seriatim_sequence_gap Missing sequences"), "{text}");
    }

    /// A sample must not get lost because somebody scrapes at that moment: counts of histograms are compared with those of events.
    #[test]
    fn scraping_loses_no_sample() {
        const SAMPLES: u64 = 200_000;
        let recorder = Recorder::new().expect("a recorder");
        let gaps = recorder.histogram(SEQUENCE_GAP, &["p"]).expect("a histogram");
        std::thread::scope(|scope| {
            let recording = scope.spawn(|| (0..SAMPLES).for_each(|_| gaps.observe(7.0)));
            while !recording.is_finished() {
                recorder.render().expect("text");
            }
        });
        let text = recorder.render().expect("text");
        assert!(text.contains(&format!("seriatim_sequence_gap_count{{pipeline=\"p\"}} {SAMPLES}\n")), "{text}");
    }

    #[test]
    fn docs_of_the_metrics_are_true() {
        const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let document = std::fs::read_to_string(FILE).expect("docs/metrics.md");
        let (before, rest) = document.split_once("<!-- metrics -->\n").expect("the table's begin is marked");
        let (_, after) = rest.split_once("<!-- end -->").expect("the table's end is marked");
        let mut table = "| metric | kind | labels | meaning |\n|---|---|---|---|\n".to_owned();
        for MetricDoc { name, kind, labels, doc } in METRICS {
            let kind = match kind {
                MetricKind::Counter => "counter".to_owned(),
                MetricKind::Gauge => "gauge".to_owned(),
                MetricKind::Histogram(buckets) => {
                    let (first, last) = (buckets.first().expect("buckets"), buckets.last().expect("buckets"));
                    format!("histogram, {first} to {last}")
                }
            };
            let labels = labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
            writeln!(table, "| `{name}` | {kind} | {labels} | {doc} |").expect("text");
        }
        let right = format!("{before}<!-- metrics -->\n{table}<!-- end -->{after}");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(FILE, right).expect("docs/metrics.md can be written");
        } else {
            assert!(document == right, "docs/metrics.md is not what the code says: UPDATE_DOCS=1 cargo test -p seriatim docs");
        }
    }

    /// Every word of `text` that looks like one of our metrics.
    fn named_in(text: &str) -> Vec<&str> {
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        words.filter(|word| word.starts_with("seriatim_")).collect()
    }

    #[test]
    fn alerts_and_dashboard_name_metrics_that_exist() {
        const DEPLOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/");
        let mut seen = std::collections::BTreeSet::new();
        for file in ["prometheus-alerts.yaml", "prometheus-alerts.test.yaml", "grafana-dashboard.json"] {
            let text = std::fs::read_to_string(format!("{DEPLOY}{file}")).expect(file);
            for name in named_in(&text) {
                let known = METRICS.iter().find(|metric| match metric.kind {
                    MetricKind::Histogram(_) => {
                        ["_bucket", "_sum", "_count"].iter().any(|part| name.strip_suffix(part) == Some(metric.name))
                    }
                    MetricKind::Counter | MetricKind::Gauge => name == metric.name,
                });
                let known = known.unwrap_or_else(|| panic!("{file} names {name}, which is not exported"));
                seen.insert(known.name);
            }
            if let Some(json) = file.ends_with(".json").then_some(&text) {
                serde_json::from_str::<serde_json::Value>(json).expect("a dashboard in JSON");
            }
        }
        let unseen: Vec<_> = METRICS.iter().map(|metric| metric.name).filter(|name| !seen.contains(name)).collect();
        assert!(unseen.is_empty(), "nobody looks at {unseen:?}");
    }

    #[test]
    fn each_alert_is_explained() {
        const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../");
        let alerts = std::fs::read_to_string(format!("{ROOT}deploy/prometheus-alerts.yaml")).expect("the alerts");
        let page = std::fs::read_to_string(format!("{ROOT}docs/operations.md")).expect("docs/operations.md");
        let names: Vec<_> = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
        assert!(names.len() > 12, "{names:?}");
        for name in &names {
            assert!(page.lines().any(|line| line == format!("### {name}")), "docs/operations.md has no section {name}");
            assert!(alerts.contains(&format!("runbook: docs/operations.md#{}\n", name.to_lowercase())), "{name} has no link");
        }
        for section in page.lines().filter_map(|line| line.strip_prefix("### Seriatim")) {
            assert!(names.contains(&format!("Seriatim{section}").as_str()), "there is no alert Seriatim{section}");
        }
    }
}
