//! What the main table and the sweeps consist of: which loops over which load, under which names. Pure.

use crate::hosted::BENCH;
use crate::load::{Arrangement, Disorder, Load};
use crate::report::{Isolation, Loop};

/// Of most loads, bytes.
pub(crate) const PAYLOAD_BYTES: usize = 256;
/// Of most loads.
const ENTITIES: u64 = 10_000;
/// Of loads whose disorder varies: so few that a window of 100 places mixes events of one entity, five of which lie in it.
pub(crate) const ENTITIES_IN_DISORDER: u64 = 20;
/// Of loads in which events come twice.
const ENTITIES_WITH_COPIES: u64 = 100;
/// How many events of one entity follow each other where runs are long.
const BURST: u64 = 32;
/// Bytes of payload in one stream, at most: source and outputs must fit on the broker's disk.
const STREAM_BYTES_MAX: u64 = 400 * 1024 * 1024;
/// Events of one run, at most, where nothing says otherwise.
const EVENTS_MAX: u64 = 500_000;
/// Events of one run of the main table, at least: with fewer, the fastest loops are over before their processor time can be told.
const MAIN_EVENTS_MIN: u64 = 100_000;

/// One group of loops over one load.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) x: Option<f64>,
    /// Its number of events is found by trying, unless `events` says it.
    pub(crate) load: Load,
    pub(crate) events: Option<u64>,
    pub(crate) events_min: u64,
    pub(crate) isolation: Isolation,
    pub(crate) handler: String,
    pub(crate) loops: Vec<Loop>,
}

impl Plan {
    fn new(name: String, load: Load, isolation: Isolation, loops: &[Loop]) -> Self {
        Self { name, x: None, load, events: None, events_min: 1, isolation, handler: BENCH.to_owned(), loops: loops.to_vec() }
    }

    /// The most events that its runs may have.
    pub(crate) fn events_max(&self) -> u64 {
        (STREAM_BYTES_MAX / self.load.payload_bytes.max(1) as u64).min(EVENTS_MAX)
    }

    /// The same with so few events that it only shows that it works.
    fn small(mut self, events: u64) -> Self {
        self.load.entities = self.load.entities.min(events / 2).max(1);
        self.events = Some(events);
        self
    }
}

/// What is varied, one at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Quantity {
    /// Entities, 1 to 1,000,000
    Entities,
    /// Events
    Events,
    /// Size of payloads
    Payload,
    /// Order of publication
    Disorder,
    /// One entity that has all events, or half of them
    Hot,
    /// Handlers in other languages
    Languages,
}

/// Plans whose groups are one sweep.
pub(crate) struct Sweeping {
    pub(crate) name: String,
    pub(crate) plans: Vec<Plan>,
    /// Whether time is that of all events; else of each.
    pub(crate) whole: bool,
}

/// The main table: entities in turn, so that every run is a single event; and in bursts, as a host that catches up may find them. Isolation `event`
/// knows no runs.
pub(crate) fn main_table(isolations: &[Isolation], small: Option<u64>) -> Vec<Plan> {
    let plan = |name: String, load, isolation| Plan { events_min: MAIN_EVENTS_MIN, ..Plan::new(name, load, isolation, &Loop::ALL) };
    let single = isolations.iter().map(|isolation| plan(format!("single/{isolation}"), in_turn(), *isolation));
    let bursts = Load { arrangement: Arrangement::Bursts(BURST), ..in_turn() };
    let with_runs = isolations.iter().filter(|isolation| **isolation != Isolation::Event);
    let catch_up = with_runs.map(|isolation| plan(format!("catch-up/{isolation}"), bursts, *isolation));
    sized(single.chain(catch_up), small)
}

/// The sweeps over one quantity. `languages` are the components there are.
pub(crate) fn sweeps(quantity: Quantity, isolations: &[Isolation], languages: &[String], small: Option<u64>) -> Vec<Sweeping> {
    let one = |name: &str, plans: Vec<Plan>| vec![Sweeping { name: name.to_owned(), plans: sized(plans.into_iter(), small), whole: false }];
    match quantity {
        Quantity::Entities => isolations
            .iter()
            .filter(|isolation| **isolation != Isolation::Event)
            .map(|isolation| Sweeping {
                name: format!("entities-{isolation}"),
                plans: sized([1, 100, 10_000, 100_000, 1_000_000].into_iter().map(|count| over_entities(count, *isolation)), small),
                whole: false,
            })
            .collect(),
        Quantity::Events => {
            let plan = |events: u64| Plan {
                x: Some(events as f64),
                events: Some(events),
                ..Plan::new(format!("events/{events}"), in_turn(), Isolation::Shared, &[Loop::Raw, Loop::HostOutput])
            };
            let counts = if small.is_some() { [200, 400, 800] } else { [50_000, 200_000, 800_000] };
            vec![Sweeping { name: "events".to_owned(), plans: counts.into_iter().map(plan).collect(), whole: true }]
        }
        Quantity::Payload => one("payload", [100, 1024, 16 * 1024].into_iter().map(with_payload).collect()),
        Quantity::Disorder => {
            let kinds = [
                ("none", Disorder::None),
                ("window-100", Disorder::Window(100)),
                ("window-10000", Disorder::Window(10_000)),
                ("copies-20", Disorder::Copies(20)),
            ];
            let plan = |(name, disorder)| {
                // With few entities some have so many events at once that a catch-up reads them again, and what it passes by twice is not counted.
                let entities = if matches!(disorder, Disorder::Copies(_)) { ENTITIES_WITH_COPIES } else { ENTITIES_IN_DISORDER };
                let load = Load { disorder, entities, ..in_turn() };
                Plan::new(format!("disorder/{name}"), load, Isolation::Run, &[Loop::Raw, Loop::HostOutput])
            };
            one("disorder", kinds.into_iter().map(plan).collect())
        }
        Quantity::Hot => {
            let alone = Load { entities: 1, ..in_turn() };
            let among = Load { arrangement: Arrangement::Hot, ..in_turn() };
            let state = [Loop::Receive, Loop::ReceiveNoAck, Loop::HostState];
            let output = [Loop::Raw, Loop::RawNoAck, Loop::HostOutput];
            let plan = |name: &str, load, loops: &[Loop]| Plan::new(format!("hot/{name}"), load, Isolation::Run, loops);
            let plans = vec![
                plan("alone", alone, &state),
                plan("among-others", among, &state),
                plan("alone-with-output", alone, &output),
                plan("among-others-with-output", among, &output),
            ];
            one("hot", plans)
        }
        Quantity::Languages => {
            let load = Load { arrangement: Arrangement::Bursts(BURST), ..in_turn() };
            let plan = |handler: &String| Plan {
                handler: handler.clone(),
                ..Plan::new(format!("languages/{handler}"), load, Isolation::Run, &[Loop::Raw, Loop::HostOutput])
            };
            one("languages", languages.iter().map(plan).collect())
        }
    }
}

fn in_turn() -> Load {
    Load::in_turn(0, ENTITIES, PAYLOAD_BYTES)
}

fn over_entities(count: u64, isolation: Isolation) -> Plan {
    let load = Load { entities: count, ..in_turn() };
    // A stream of fewer events than entities has fewer entities.
    let events = (count > EVENTS_MAX).then_some(count);
    let plan = Plan::new(format!("entities-{isolation}/{count}"), load, isolation, &[Loop::Raw, Loop::HostOutput]);
    Plan { x: Some(count as f64), events, events_min: count, ..plan }
}

fn with_payload(bytes: usize) -> Plan {
    let load = Load { payload_bytes: bytes, ..in_turn() };
    Plan { x: Some(bytes as f64), ..Plan::new(format!("payload/{bytes}"), load, Isolation::Run, &[Loop::Raw, Loop::HostOutput]) }
}

fn sized(plans: impl Iterator<Item = Plan>, small: Option<u64>) -> Vec<Plan> {
    plans.map(|plan| if let Some(events) = small { plan.small(events) } else { plan }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Isolation; 3] = [Isolation::Run, Isolation::Event, Isolation::Shared];

    fn names(plans: &[Plan]) -> Vec<&str> {
        plans.iter().map(|plan| plan.name.as_str()).collect()
    }

    #[test]
    fn the_names_are_those_that_targets_and_plots_look_for() {
        assert_eq!(names(&main_table(&ALL, None)), ["single/run", "single/event", "single/shared", "catch-up/run", "catch-up/shared"]);
        let entities = sweeps(Quantity::Entities, &ALL, &[], None);
        assert_eq!(entities.iter().map(|sweep| sweep.name.as_str()).collect::<Vec<_>>(), ["entities-run", "entities-shared"]);
        assert!(
            names(&entities[1].plans).contains(&"entities-shared/1000000") && names(&entities[1].plans).contains(&"entities-shared/10000")
        );
        assert_eq!(names(&sweeps(Quantity::Hot, &ALL, &[], None)[0].plans)[0], "hot/alone");
        assert_eq!(names(&sweeps(Quantity::Languages, &ALL, &["echo-c".to_owned()], None)[0].plans), ["languages/echo-c"]);
    }

    #[test]
    fn a_million_entities_have_an_event_each_and_large_payloads_fewer_events() {
        let entities = sweeps(Quantity::Entities, &ALL, &[], None);
        assert_eq!(entities[0].plans.last().unwrap().events, Some(1_000_000));
        let payload = sweeps(Quantity::Payload, &ALL, &[], None);
        let largest = payload[0].plans.last().unwrap();
        assert!(largest.events_max() * largest.load.payload_bytes as u64 <= STREAM_BYTES_MAX);
    }

    #[test]
    fn a_quick_run_has_every_plan_and_few_events() {
        let (quick, full) = (main_table(&ALL, Some(600)), main_table(&ALL, None));
        assert_eq!(names(&quick), names(&full));
        assert!(quick.iter().all(|plan| plan.events == Some(600) && plan.load.entities <= 300));
    }
}
