//! What the project wants to reach, held against a result. Pure. Every target is a ratio within one run, or a bound that no machine of the kind may
//! miss; nothing fails by it.

use crate::report::{Delays, Isolation, Loop, Memory, Report, Whose};
use crate::spread::Spread;
use serde::{Deserialize, Serialize};

/// One line of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Target {
    pub(crate) case: String,
    pub(crate) wanted: String,
    /// What was found, if it was measured.
    pub(crate) found: Option<String>,
    pub(crate) reached: Option<bool>,
}

/// Bytes of a memory that count as none: below what an allocator's pages make of nothing.
const NOTHING: f64 = 16.0;
/// Arrived, handled, committed.
const STEPS_OF_AN_EVENT: f64 = 3.0;
const GIB: f64 = 1_073_741_824.0;

/// Every target.
pub(crate) fn of(report: &Report) -> Vec<Target> {
    let mut targets = vec![
        ratio(report, "(i) shared", "single/shared", Loop::HostStateless, Loop::Receive, 1.4),
        ratio(report, "(i) shared", "single/shared", Loop::HostStateless, Loop::ReceiveNoAck, 0.75),
        ratio(report, "(ii) shared", "single/shared", Loop::HostState, Loop::Receive, 1.15),
        ratio(report, "(iii) shared", "single/shared", Loop::HostOutput, Loop::Raw, 1.0),
        ratio(report, "(iii) shared", "single/shared", Loop::HostOutput, Loop::Idiomatic, 1.25),
        ratio(report, "(iii) run, catch-up", "catch-up/run", Loop::HostOutput, Loop::Idiomatic, 0.8),
        ratio(report, "(iii) run, every run a single event", "single/run", Loop::HostOutput, Loop::Idiomatic, 0.5),
    ];
    for isolation in [Isolation::Shared, Isolation::Run] {
        for whose in [Whose::Host, Whose::Raw] {
            targets.push(delay(report, whose, isolation, "p50", 1.5, |delays| delays.p50_ms));
            targets.push(delay(report, whose, isolation, "p99", 2.0, |delays| delays.p99_ms));
        }
    }
    targets.push(hot(report));
    targets.extend([Isolation::Shared, Isolation::Run].map(|isolation| entities(report, isolation)));
    targets.push(memory(report, "cold", "0 bytes", NOTHING));
    targets.push(memory(report, "live", "≤ 1 KiB beside its own state and events", 1024.0));
    targets.push(memory(report, "waiting", "≤ 200 bytes", 200.0));
    targets.push(memory(report, "parked", "≤ 200 bytes", 200.0));
    targets.push(million(report));
    targets.push(recovery(report));
    targets.extend(sequencer(report));
    targets
}

fn at_least(case: String, wanted: String, found: Option<(String, f64)>, bound: f64) -> Target {
    let reached = found.as_ref().map(|(_, found)| *found >= bound);
    Target { case, wanted, found: found.map(|(text, _)| text), reached }
}

fn at_most(case: String, wanted: String, found: Option<(String, f64)>, bound: f64) -> Target {
    let reached = found.as_ref().map(|(_, found)| *found <= bound);
    Target { case, wanted, found: found.map(|(text, _)| text), reached }
}

fn spread(spread: &Spread) -> String {
    format!("{:.2} ({:.2} to {:.2})", spread.median, spread.min, spread.max)
}

fn ratio(report: &Report, case: &str, group: &str, of: Loop, to: Loop, bound: f64) -> Target {
    let found = report.group(group).and_then(|group| group.ratio(of, to)).map(|ratio| (spread(&ratio.spread), ratio.spread.median));
    at_least(case.to_owned(), format!("≥ {bound:.2} × {to}"), found, bound)
}

/// Ratios within each round, as everywhere.
fn delay(report: &Report, whose: Whose, isolation: Isolation, what: &str, bound: f64, of: impl Fn(&Delays) -> f64) -> Target {
    let runs = report.latency.iter().filter(|latency| latency.whose == whose).flat_map(|latency| &latency.runs);
    let (raw, host): (Vec<_>, Vec<_>) =
        runs.filter(|delays| delays.isolation.is_none_or(|found| found == isolation)).partition(|delays| delays.isolation.is_none());
    let within = |host: &&Delays| Some(of(host) / of(raw.iter().find(|raw| raw.round == host.round)?));
    let ratios: Vec<f64> = host.iter().filter_map(within).collect();
    let found = Spread::of(&ratios).map(|ratios| (spread(&ratios), ratios.median));
    let load = match whose {
        Whose::Host => "half load",
        Whose::Raw => "half of raw's load",
    };
    at_most(format!("latency at {load}, {isolation}: {what}"), format!("≤ {bound:.1} × raw"), found, bound)
}

fn hot(report: &Report) -> Target {
    let rate = report.group("hot/alone").and_then(|group| group.summary(Loop::HostState)).map(|summary| summary.messages_per_second);
    let found = rate.map(|rate| (format!("{:.0}/s ({:.0} to {:.0})", rate.median, rate.min, rate.max), rate.median));
    at_least("one hot entity, (ii), every commit fsynced".to_owned(), "≥ 50000 events/s".to_owned(), found, 50_000.0)
}

fn entities(report: &Report, isolation: Isolation) -> Target {
    let rate = |count: u64| {
        let group = report.group(&format!("entities-{isolation}/{count}"))?;
        Some(group.summary(Loop::HostOutput)?.messages_per_second.median)
    };
    let found = rate(1_000_000).zip(rate(10_000)).map(|(many, some)| (format!("{:.2}", many / some), many / some));
    at_least(format!("throughput at 1,000,000 entities, {isolation}"), "≥ 0.60 × that at 10,000".to_owned(), found, 0.6)
}

fn measured<'a>(report: &'a Report, state: &str) -> Option<&'a Memory> {
    report.memory.iter().find(|memory| memory.state == state)
}

fn memory(report: &Report, state: &str, wanted: &str, bound: f64) -> Target {
    let found = measured(report, state).map(|memory| {
        let beside = memory.bytes_per_entity - memory.own_bytes;
        (format!("{beside:.0} bytes"), beside)
    });
    at_most(format!("memory of a {state} entity"), wanted.to_owned(), found, bound)
}

fn million(report: &Report) -> Target {
    let most = measured(report, "live").filter(|live| live.entities.1 == 1_000_000).map(|live| live.resident.1 as f64);
    let found = most.map(|bytes| (format!("{:.2} GiB", bytes / GIB), bytes));
    at_most("memory of 1,000,000 live entities in all".to_owned(), "< 1.5 GiB".to_owned(), found, 1.5 * GIB)
}

fn recovery(report: &Report) -> Target {
    let recovery = report.recovery.last();
    let found =
        recovery.and_then(|recovery| Spread::of(&recovery.first_event_seconds)).map(|seconds| (spread(&seconds) + " s", seconds.median));
    let entities = recovery.map_or(1_000_000, |recovery| recovery.entities);
    at_most(format!("first event after SIGKILL, {entities} entities"), "≤ 2 s".to_owned(), found, 2.0)
}

fn sequencer(report: &Report) -> [Target; 2] {
    let step = report.micro.iter().find(|micro| micro.name == "sequencer_in_order");
    let rate = step.map(|step| STEPS_OF_AN_EVENT * 1e9 / step.median_ns);
    let found = rate.map(|rate| (format!("{:.1} million/s ({:.1} million events)", rate / 1e6, rate / STEPS_OF_AN_EVENT / 1e6), rate));
    let allocations = step.and_then(|step| step.allocations).map(|found| (format!("{found}"), found));
    [
        at_least("sequencer: in-order steps on one core".to_owned(), "≥ 10 million/s".to_owned(), found, 1e7),
        at_most("sequencer: allocations of an in-order step".to_owned(), "none".to_owned(), allocations, 0.0),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::sample;
    use crate::report::{Latency, Micro};

    fn line<'a>(targets: &'a [Target], case: &str, wanted: &str) -> &'a Target {
        targets.iter().find(|target| target.case == case && target.wanted.contains(wanted)).unwrap()
    }

    #[test]
    fn a_ratio_reaches_its_target_or_does_not() {
        let targets = of(&sample(100.0));
        let (raw, idiomatic) = (line(&targets, "(iii) shared", "× raw"), line(&targets, "(iii) shared", "idiomatic"));
        assert_eq!((raw.reached, raw.found.as_deref()), (Some(true), Some("1.00 (1.00 to 1.00)")));
        assert_eq!((idiomatic.reached, idiomatic.found.as_deref()), (Some(true), Some("1.25 (1.25 to 1.25)")));
        assert_eq!(line(&of(&sample(99.0)), "(iii) shared", "idiomatic").reached, Some(false));
    }

    #[test]
    fn what_was_not_measured_is_neither_reached_nor_missed() {
        let targets = of(&sample(100.0));
        for case in ["(i) shared", "memory of a live entity", "sequencer: allocations of an in-order step"] {
            assert_eq!(line(&targets, case, "").reached, None, "{case}");
        }
    }

    #[test]
    fn delays_are_compared_within_a_round() {
        let run = |round, isolation: Option<Isolation>, p50_ms| Delays {
            round,
            kind: if isolation.is_none() { Loop::Raw } else { Loop::HostOutput },
            isolation,
            p50_ms,
            p99_ms: 10.0,
            p999_ms: 20.0,
            max_ms: 30.0,
            publisher_late_ms: 0.0,
        };
        let shared = Some(Isolation::Shared);
        let runs = vec![run(1, None, 1.0), run(1, shared, 1.5), run(1, Some(Isolation::Run), 9.0), run(2, shared, 3.0), run(2, None, 2.0)];
        let at = |whose, runs| Latency { whose, live_per_second: 10.0, rate_per_second: 5.0, events: 9, runs };
        let queueing = vec![run(1, None, 1.0), run(1, shared, 100.0)];
        let targets = of(&crate::report::Report { latency: vec![at(Whose::Host, runs), at(Whose::Raw, queueing)], ..sample(1.0) });
        let found = |case: &str| line(&targets, case, "").reached;
        assert_eq!(found("latency at half load, shared: p50"), Some(true));
        assert_eq!(found("latency at half load, run: p50"), Some(false));
        assert_eq!(found("latency at half load, shared: p99"), Some(true));
        assert_eq!(found("latency at half of raw's load, shared: p50"), Some(false));
        assert_eq!(found("latency at half of raw's load, run: p50"), None);
    }

    #[test]
    fn memory_is_counted_beside_the_entitys_own() {
        let live = |bytes_per_entity| Memory {
            state: "live".to_owned(),
            entities: (500_000, 1_000_000),
            resident: (1 << 29, 1 << 30),
            bytes_per_entity,
            own_bytes: 100.0,
        };
        let with = |bytes| of(&crate::report::Report { memory: vec![live(bytes)], ..sample(1.0) });
        assert_eq!(line(&with(1_124.0), "memory of a live entity", "").reached, Some(true));
        assert_eq!(line(&with(1_125.0), "memory of a live entity", "").reached, Some(false));
        assert_eq!(line(&with(1.0), "memory of 1,000,000 live entities in all", "").found.as_deref(), Some("1.00 GiB"));
    }

    #[test]
    fn a_step_that_allocates_misses_its_target() {
        let with = |median_ns, allocations| {
            let step = Micro { name: "sequencer_in_order".to_owned(), median_ns, allocations: Some(allocations) };
            of(&crate::report::Report { micro: vec![step], ..sample(1.0) })
        };
        let reached = |targets: &[Target]| {
            let cases = ["sequencer: in-order steps on one core", "sequencer: allocations of an in-order step"];
            cases.map(|case| line(targets, case, "").reached)
        };
        assert_eq!(reached(&with(300.0, 0.0)), [Some(true), Some(true)]);
        assert_eq!(reached(&with(301.0, 0.5)), [Some(false), Some(false)]);
    }
}
