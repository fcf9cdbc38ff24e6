//! What happens, told once: each function counts, and logs where an operator would want to read it. Levels: ERROR = data at risk or an operator
//! is needed; WARN = given up, refused or not as it should be, and handled; INFO = rare and good to know; DEBUG = each event.
//!
//! What came from outside stands in fields, never in the text of a line: fields are escaped. Counting is on the path of every event, so each thread keeps the handles of its series: there are few, their labels are bounded.

use super::metrics::{self as names, Recorder, with_recorder};
use hashbrown::HashTable;
use prometheus::{Gauge, Histogram, IntCounter};
use rustc_hash::FxBuildHasher;
use std::cell::RefCell;
use std::hash::BuildHasher as _;
use std::time::Duration;

/// Which event a line is about.
#[derive(Clone, Copy, Debug)]
pub struct EventAt<'a> {
    /// Its pipeline.
    pub pipeline: &'a str,
    /// Its entity; empty for a message without one.
    pub entity: &'a str,
    /// Its sequence; 0 when it is not known.
    pub sequence: u64,
    /// The broker's number of its message.
    pub stream_sequence: u64,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Handled. Counted when its commit is made, shortly before that is durable.
    Applied,
    /// Seen before.
    Duplicate,
    /// A newer one had been applied (`by = "version"`).
    Superseded,
    /// Late, and dropped by policy.
    DroppedLate,
    /// Given up, and kept.
    DeadLettered,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Applied, Self::Duplicate, Self::Superseded, Self::DroppedLate, Self::DeadLettered];

    /// As it stands in the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Superseded => "superseded",
            Self::DroppedLate => "dropped_late",
            Self::DeadLettered => "dead_lettered",
        }
    }
}

/// How an event was out of order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disorder {
    /// It came early and opened a gap.
    Gap,
    /// Its sequence had been given up.
    Late,
    /// Its sequence had been taken by another payload.
    Conflict,
}

impl Disorder {
    const ALL: [Self; 3] = [Self::Gap, Self::Late, Self::Conflict];

    /// As it stands in the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gap => "gap",
            Self::Late => "late",
            Self::Conflict => "conflict",
        }
    }
}

/// What became of a lifecycle event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Confirmed by the stream that keeps them, or handed to the broker where no stream does.
    Sent,
    /// The queue was full.
    Overflowed,
}

impl Lifecycle {
    const ALL: [Self; 2] = [Self::Sent, Self::Overflowed];

    /// As it stands in the label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Overflowed => "overflowed",
        }
    }
}

/// A series that a thread knows, with its metric and the values of up to two labels; a third one goes without this memory.
struct Known<H> {
    metric: &'static str,
    pipeline: Box<str>,
    second: Box<str>,
    series: H,
}

type Series<H> = RefCell<HashTable<Known<H>>>;

thread_local! {
    static COUNTERS: Series<IntCounter> = RefCell::default();
    static GAUGES: Series<Gauge> = RefCell::default();
    static HISTOGRAMS: Series<Histogram> = RefCell::default();
}

/// The table of a thread is its own, and all metrics' names are ours: only the pipelines' and handlers' names are hashed, none of which is long.
fn hash(metric: &'static str, pipeline: &str, second: &str) -> u64 {
    FxBuildHasher.hash_one((metric.as_ptr().addr(), pipeline, second))
}

/// Lets `act` use a series that this thread remembers, or gets from the recorder. It is lent and not cloned: a clone counts itself on memory that all threads
/// count on. A metric of one label does not look at `second`.
fn series<H>(
    cache: &'static std::thread::LocalKey<Series<H>>,
    metric: &'static str,
    (pipeline, second): (&str, &str),
    get: impl FnOnce(&Recorder, &[&str]) -> Option<H>,
    act: impl FnOnce(&H),
) {
    let hashed = hash(metric, pipeline, second);
    let same = |known: &Known<H>| std::ptr::eq(known.metric, metric) && *known.pipeline == *pipeline && *known.second == *second;
    cache.with_borrow_mut(|cache| {
        if let Some(known) = cache.find(hashed, same) {
            return act(&known.series);
        }
        let Some(names) = names::METRICS.iter().find(|known| known.name == metric).map(|known| known.labels) else { return };
        let labels = [pipeline, second];
        let Some(series) = with_recorder(|recorder| get(recorder, labels.get(..names.len())?)) else { return };
        act(&series);
        let known = Known { metric, pipeline: pipeline.into(), second: second.into(), series };
        cache.insert_unique(hashed, known, |known| hash(known.metric, &known.pipeline, &known.second));
    });
}

/// Stands for the second label of metrics that have one only.
const NONE: &str = "";

fn count(metric: &'static str, pipeline: &str, second: &str, by: u64) {
    series(&COUNTERS, metric, (pipeline, second), |recorder, labels| recorder.counter(metric, labels), |counter| counter.inc_by(by));
}

fn gauge(metric: &'static str, pipeline: &str, second: &str, change: impl FnOnce(&Gauge)) {
    series(&GAUGES, metric, (pipeline, second), |recorder, labels| recorder.gauge(metric, labels), change);
}

fn set(metric: &'static str, pipeline: &str, second: &str, value: f64) {
    gauge(metric, pipeline, second, |gauge| gauge.set(value));
}

fn add(metric: &'static str, pipeline: &str, by: f64) {
    gauge(metric, pipeline, NONE, |gauge| gauge.add(by));
}

fn observe(metric: &'static str, pipeline: &str, second: &str, value: f64) {
    series(
        &HISTOGRAMS,
        metric,
        (pipeline, second),
        |recorder, labels| recorder.histogram(metric, labels),
        |histogram| histogram.observe(value),
    );
}

/// Counts of this size lose nothing as `f64`.
#[expect(clippy::cast_precision_loss, reason = "metrics are floating point")]
fn float(number: u64) -> f64 {
    number as f64
}

/// Recording has started.
pub(super) fn started() {
    if let Some(info) = with_recorder(|recorder| recorder.gauge(names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")])) {
        info.set(1.0);
    }
}

/// A pipeline is there: its counters are shown as 0 from now on.
pub fn pipeline_known<'a>(pipeline: &str, handlers: impl IntoIterator<Item = &'a str>) {
    for outcome in Outcome::ALL {
        count(names::EVENTS, pipeline, outcome.name(), 0);
    }
    for kind in Disorder::ALL {
        count(names::DISORDER, pipeline, kind.name(), 0);
    }
    for outcome in Lifecycle::ALL {
        count(names::LIFECYCLE_EVENTS, pipeline, outcome.name(), 0);
    }
    count(names::ENTITIES_RETIRED, pipeline, NONE, 0);
    set(names::RETENTION_LEFT, pipeline, NONE, 1.0);
    for handler in handlers {
        count(names::OUTPUTS, pipeline, handler, 0);
        count(names::RETRIES, pipeline, handler, 0);
        set(names::BREAKER_OPEN, pipeline, handler, 0.0);
    }
    for metric in
        [names::HELD_EVENTS, names::LIVE_ENTITIES, names::STREAM_LAG, names::OLDEST_WAITING, names::OUTBOX_ENTRIES, names::RETENTION_NEAR]
    {
        add(metric, pipeline, 0.0);
    }
}

/// An event has come to its end, in a commit that is made now. Applied ones: [`applied`].
pub fn finished(pipeline: &str, outcome: Outcome) {
    count(names::EVENTS, pipeline, outcome.name(), 1);
}

/// An event was applied, `lag` after it was published.
pub fn applied(pipeline: &str, lag: Duration) {
    finished(pipeline, Outcome::Applied);
    observe(names::PROCESSING_LAG, pipeline, NONE, lag.as_secs_f64());
}

/// It is an event's turn, so long after it was read.
pub fn turn_came(pipeline: &str, waited: Duration) {
    observe(names::ENTITY_WAIT, pipeline, NONE, waited.as_secs_f64());
}

/// A gap opened: this many sequences are missing.
pub fn gap_opened(at: EventAt<'_>, missing: u64) {
    count(names::DISORDER, at.pipeline, Disorder::Gap.name(), 1);
    observe(names::SEQUENCE_GAP, at.pipeline, NONE, float(missing));
    let EventAt { pipeline, entity, sequence, stream_sequence } = at;
    tracing::debug!(pipeline, entity, sequence, stream_sequence, missing, "an event came early");
}

/// A gap did not close: the sequences from `at.sequence` to `last` are given up, by name (G2).
pub fn given_up(at: EventAt<'_>, last: u64) {
    tracing::warn!(
        pipeline = at.pipeline,
        entity = at.entity,
        sequence = at.sequence,
        last,
        "missing events were given up; should they come, they are late"
    );
}

/// An event was late or in conflict with an earlier one.
pub fn out_of_order(at: EventAt<'_>, kind: Disorder) {
    count(names::DISORDER, at.pipeline, kind.name(), 1);
    let EventAt { pipeline, entity, sequence, stream_sequence } = at;
    tracing::info!(pipeline, entity, sequence, stream_sequence, kind = kind.name(), "an event came out of order");
}

/// The number of early events in memory changed.
pub fn held_changed(pipeline: &str, by: i32) {
    add(names::HELD_EVENTS, pipeline, f64::from(by));
}

/// The number of committed and unconfirmed outputs and dead letters changed.
pub fn outbox_changed(pipeline: &str, by: i32) {
    add(names::OUTBOX_ENTRIES, pipeline, f64::from(by));
}

/// State and ids of an entity that was not seen for long are gone, durably.
pub fn retired(pipeline: &str) {
    count(names::ENTITIES_RETIRED, pipeline, NONE, 1);
}

/// A sweep that retired some has looked at all entities of a pipeline.
pub fn swept(pipeline: &str, entities: u64, retain: Duration) {
    tracing::info!(pipeline, entities, ?retain, "state and ids of entities that had not been seen for that long are gone");
}

/// How many entities are in memory, for those who count them anew.
pub fn live_are(pipeline: &str, count: u64) {
    set(names::LIVE_ENTITIES, pipeline, NONE, float(count));
}

/// How many entities wait for this reason, for those who count them anew.
pub fn waiting_are(pipeline: &str, reason: &str, count: u64) {
    set(names::WAITING_ENTITIES, pipeline, reason, float(count));
}

/// How many entities are parked for this reason, for those who count them anew.
pub fn parked_are(pipeline: &str, reason: &str, count: u64) {
    set(names::PARKED_ENTITIES, pipeline, reason, float(count));
}

/// How many messages the watermark is behind the stream's last.
pub fn stream_lag_is(pipeline: &str, messages: u64) {
    set(names::STREAM_LAG, pipeline, NONE, float(messages));
}

/// How long the entity that waits longest has waited.
pub fn oldest_waiting_is(pipeline: &str, age: Duration) {
    set(names::OLDEST_WAITING, pipeline, NONE, age.as_secs_f64());
}

/// A handler call ended, well or not.
pub fn handler_called(pipeline: &str, handler: &str, took: Duration) {
    observe(names::HANDLER_DURATION, pipeline, handler, took.as_secs_f64());
}

/// A handler call failed. `kind` is the failure's name, `backtrace` the handler's.
pub fn handler_failed(at: EventAt<'_>, handler: &str, kind: &'static str, attempt: u32, message: &str, backtrace: Option<&str>) {
    if let Some(failures) = with_recorder(|recorder| recorder.counter(names::HANDLER_FAILURES, &[at.pipeline, handler, kind])) {
        failures.inc();
    }
    let EventAt { pipeline, entity, sequence, stream_sequence } = at;
    tracing::warn!(pipeline, entity, sequence, stream_sequence, handler, attempt, kind, error = message, backtrace, "a handler failed");
}

/// Another attempt at an event will be made, after this delay.
pub fn retry_set(at: EventAt<'_>, handler: &str, attempt: u32, delay: Duration) {
    count(names::RETRIES, at.pipeline, handler, 1);
    let EventAt { pipeline, entity, sequence, stream_sequence } = at;
    tracing::debug!(pipeline, entity, sequence, stream_sequence, handler, attempt, ?delay, "the next attempt is set");
}

/// An event was given up, and its dead letter is durable.
pub fn dead_lettered(at: EventAt<'_>, reason: &str, error: &str) {
    finished(at.pipeline, Outcome::DeadLettered);
    count(names::DEAD_LETTERS, at.pipeline, reason, 1);
    let EventAt { pipeline, entity, sequence, stream_sequence } = at;
    tracing::warn!(pipeline, entity, sequence, stream_sequence, reason, error, "an event was dead-lettered");
}

/// An entity parked: it goes on only by an operator's word, or when the missing event comes.
pub fn parked(at: EventAt<'_>, reason: &str, error: &str) {
    let EventAt { pipeline, entity, sequence, stream_sequence } = at;
    tracing::error!(pipeline, entity, sequence, stream_sequence, reason, error, "an entity is parked, an operator is needed");
}

/// A pipeline stopped reading and calling.
pub fn pipeline_stopped(pipeline: &str, reason: &str) {
    tracing::error!(pipeline, reason, "the pipeline stopped");
}

/// A handler fails so often that none of its pipeline is called; after `delay` one entity probes whether it is well again.
pub fn breaker_opened(pipeline: &str, handler: &str, error: &str, delay: u64) {
    set(names::BREAKER_OPEN, pipeline, handler, 1.0);
    tracing::error!(
        pipeline,
        handler,
        error,
        next_probe_ms = delay,
        "the circuit breaker opened: the handler fails so often that the pipeline's entities wait; it is probed with one of them"
    );
}

/// A probe failed too: the next one is made after `delay`.
pub fn breaker_probed(pipeline: &str, handler: &str, error: &str, delay: u64) {
    tracing::warn!(pipeline, handler, error, next_probe_ms = delay, "the circuit breaker stays open: the probe failed");
}

/// The handlers of the pipeline are called again.
pub fn breaker_closed(pipeline: &str, handler: &str) {
    set(names::BREAKER_OPEN, pipeline, handler, 0.0);
    tracing::info!(pipeline, handler, "the circuit breaker closed: the pipeline's handlers are called again");
}

/// Retention deleted messages before they were read: these stream sequences, both included.
pub fn lost(pipeline: &str, first: u64, last: u64) {
    tracing::error!(pipeline, first, last, "the stream no longer has messages that were not read: retention removed them first");
}

/// A group commit is durable.
pub fn committed(changes: usize, took: Duration) {
    for (metric, value) in [(names::COMMIT_DURATION, took.as_secs_f64()), (names::COMMIT_CHANGES, float(changes as u64))] {
        if let Some(histogram) = with_recorder(|recorder| recorder.histogram(metric, &[])) {
            histogram.observe(value);
        }
    }
}

/// The broker confirmed an output of a handler.
pub fn output_confirmed(pipeline: &str, handler: &str) {
    count(names::OUTPUTS, pipeline, handler, 1);
}

/// A reader was made anew.
pub fn reader_restarted(pipeline: &str, reason: &str, detail: &str) {
    count(names::READER_RESTARTS, pipeline, reason, 1);
    tracing::info!(pipeline, reason, detail, "the reader starts a new consumer");
}

/// A lifecycle event was sent, or found no room.
pub fn lifecycle(pipeline: &str, outcome: Lifecycle) {
    count(names::LIFECYCLE_EVENTS, pipeline, outcome.name(), 1);
}

/// How near the stream's limits are to what is still to be done: entities whose events they will soon take, and the share left of the tightest.
pub fn retention_is(pipeline: &str, near: u64, left: f64) {
    set(names::RETENTION_NEAR, pipeline, NONE, float(near));
    set(names::RETENTION_LEFT, pipeline, NONE, left);
}

/// The stream's limits come near something that is still to be done: once per approach. `entity` is empty where the pipeline itself is behind.
pub fn retention_near(pipeline: &str, stream: &str, entity: &str, needed: u64, first: u64, entities: u64) {
    tracing::warn!(
        pipeline,
        stream,
        entity,
        stream_sequence = needed,
        first,
        entities,
        "the stream's limits will soon remove events that are not done; raise them, or let the waiting entities go on"
    );
}

#[cfg(test)]
mod tests {
    use super::super::metrics::tests::recorded;
    use super::*;

    const AT: EventAt<'_> = EventAt { pipeline: "p", entity: "e", sequence: 3, stream_sequence: 30 };

    #[test]
    fn what_happens_is_counted_under_the_documented_names() {
        let text = recorded(|| {
            started();
            pipeline_known("p", ["h"]);
            applied("p", Duration::from_millis(3));
            applied("p", Duration::from_millis(3));
            finished("q", Outcome::Duplicate);
            turn_came("p", Duration::ZERO);
            gap_opened(AT, 4);
            out_of_order(AT, Disorder::Late);
            held_changed("p", 5);
            held_changed("p", -2);
            live_are("p", 1);
            outbox_changed("p", 2);
            waiting_are("p", "gap", 0);
            waiting_are("p", "retry", 1);
            stream_lag_is("p", 17);
            oldest_waiting_is("p", Duration::from_millis(1500));
            handler_called("p", "h", Duration::from_micros(3));
            handler_failed(AT, "h", "trap", 1, "unreachable", None);
            retry_set(AT, "h", 2, Duration::from_secs(1));
            dead_lettered(AT, "trap", "unreachable");
            committed(7, Duration::from_millis(1));
            output_confirmed("p", "h");
            reader_restarted("p", "heartbeat", "none for 10 s");
            parked_are("p", "trap", 2);
            lifecycle("p", Lifecycle::Sent);
            retention_is("p", 3, 0.25);
            retention_near("p", "S", "e", 7, 5, 3);
        });
        for line in [
            concat!("seriatim_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
            "seriatim_events_total{outcome=\"applied\",pipeline=\"p\"} 2",
            "seriatim_events_total{outcome=\"superseded\",pipeline=\"p\"} 0",
            "seriatim_events_total{outcome=\"dead_lettered\",pipeline=\"p\"} 1",
            "seriatim_events_total{outcome=\"duplicate\",pipeline=\"q\"} 1",
            "seriatim_disorder_total{kind=\"gap\",pipeline=\"p\"} 1",
            "seriatim_disorder_total{kind=\"late\",pipeline=\"p\"} 1",
            "seriatim_sequence_gap_sum{pipeline=\"p\"} 4",
            "seriatim_held_events{pipeline=\"p\"} 3",
            "seriatim_live_entities{pipeline=\"p\"} 1",
            "seriatim_waiting_entities{pipeline=\"p\",reason=\"gap\"} 0",
            "seriatim_waiting_entities{pipeline=\"p\",reason=\"retry\"} 1",
            "seriatim_processing_lag_seconds_bucket{pipeline=\"p\",le=\"0.005\"} 2",
            "seriatim_entity_wait_seconds_count{pipeline=\"p\"} 1",
            "seriatim_stream_lag_messages{pipeline=\"p\"} 17",
            "seriatim_oldest_waiting_seconds{pipeline=\"p\"} 1.5",
            "seriatim_handler_duration_seconds_count{handler=\"h\",pipeline=\"p\"} 1",
            "seriatim_handler_failures_total{handler=\"h\",kind=\"trap\",pipeline=\"p\"} 1",
            "seriatim_retries_total{handler=\"h\",pipeline=\"p\"} 1",
            "seriatim_dead_letters_total{pipeline=\"p\",reason=\"trap\"} 1",
            "seriatim_commit_duration_seconds_count 1",
            "seriatim_commit_changes_sum 7",
            "seriatim_outputs_total{handler=\"h\",pipeline=\"p\"} 1",
            "seriatim_outbox_entries{pipeline=\"p\"} 2",
            "seriatim_reader_restarts_total{pipeline=\"p\",reason=\"heartbeat\"} 1",
            "seriatim_parked_entities{pipeline=\"p\",reason=\"trap\"} 2",
            "seriatim_lifecycle_events_total{outcome=\"sent\",pipeline=\"p\"} 1",
            "seriatim_lifecycle_events_total{outcome=\"overflowed\",pipeline=\"p\"} 0",
            "seriatim_retention_near_entities{pipeline=\"p\"} 3",
            "seriatim_retention_left_ratio{pipeline=\"p\"} 0.25",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
        for metric in names::METRICS {
            assert!(text.contains(&format!("# HELP {} ", metric.name)), "{}", metric.name);
            let series = text.lines().filter(|line| {
                let rest = line.strip_prefix(metric.name);
                rest.is_some_and(|rest| rest.starts_with(['{', ' ']) || rest.starts_with("_bucket{") || rest.starts_with("_count{"))
            });
            for line in series {
                let labels = line.split_once('{').map_or("", |(_, rest)| rest.split_once('}').expect("labels").0);
                let names: Vec<_> = labels.split(',').filter_map(|l| l.split_once('=')).map(|(n, _)| n).filter(|n| *n != "le").collect();
                let mut labels = metric.labels.to_vec();
                labels.sort_unstable();
                assert_eq!(names, labels, "{line}");
            }
        }
    }
}
