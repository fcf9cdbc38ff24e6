//! The month, and what the handler made of it, once for all tests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::LazyLock;

use rotation::Rotation;
use rotation_events::Event;
use seriatim_guest::testing::{Kit, TestEvent, event};

/// The threshold of the example configuration, which the month runs with.
pub(crate) const THRESHOLD: u32 = 15;

/// The handler as the README configures it.
pub(crate) fn kit() -> Kit<Rotation> {
    Kit::new().config("threshold-minutes", THRESHOLD.to_string()).outputs(["rotation.summary.*", "rotation.alert.*"])
}

/// One output: its subject and its payload.
pub(crate) type Output = (String, String);

/// One event of the month and what came of it.
pub(crate) struct Step {
    pub(crate) event: &'static Event,
    pub(crate) payload: String,
    pub(crate) outputs: Vec<Output>,
    /// The aircraft's state afterwards.
    pub(crate) state: String,
}

/// Every event of the month in the order of time.
pub(crate) fn month() -> &'static [Step] {
    static STEPS: LazyLock<Vec<Step>> = LazyLock::new(|| {
        let mut kit = kit();
        events().iter().map(|event| step(&mut kit, event)).collect()
    });
    &STEPS
}

/// The steps of each aircraft.
pub(crate) fn aircraft() -> BTreeMap<&'static str, Vec<&'static Step>> {
    let mut aircraft: BTreeMap<&str, Vec<&Step>> = BTreeMap::new();
    for step in month() {
        aircraft.entry(&step.event.tailnum).or_default().push(step);
    }
    aircraft
}

pub(crate) fn events() -> &'static [Event] {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data/flights-2013-01.csv.gz");
    static EVENTS: LazyLock<Vec<Event>> = LazyLock::new(|| rotation_events::read(Path::new(FILE)).unwrap());
    &EVENTS
}

/// The event as it comes from the broker.
pub(crate) fn delivered(from: &Event) -> TestEvent {
    let subject = format!("flights.{}", from.tailnum);
    event(&from.tailnum, from.sequence).kind(from.kind.name()).id(&from.id).subject(subject).bytes(from.payload().unwrap())
}

fn step(kit: &mut Kit<Rotation>, event: &'static Event) -> Step {
    let sent = kit.handle(delivered(event)).unwrap_or_else(|failure| panic!("{} of {}: {failure}", event.id, event.tailnum));
    assert!(sent.iter().all(|sent| sent.headers.is_empty()));
    let outputs = sent.iter().map(|sent| (sent.subject.clone(), sent.text().to_owned())).collect();
    let state = kit.state_of(&event.tailnum);
    assert!(state.keys().eq(["aircraft"]), "the state has one key");
    let state = String::from_utf8(state["aircraft"].clone()).unwrap();
    Step { event, payload: String::from_utf8(event.payload().unwrap()).unwrap(), outputs, state }
}
