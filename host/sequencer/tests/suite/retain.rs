//! What `retain` means, told with one entity: never early, by the broker's time, only what waits for nothing, and only state and ids.

use crate::scene::Scene;
use seriatim_sequencer::{Extras, GapThen, Input, Place, Policy, Retain, Snapshot};
use std::sync::Arc;

const AFTER: u64 = 32_000;
const STEP: u64 = 1_000;

fn policy() -> Policy {
    Policy { gap_wait: 1_000, settle: 1_000, retry: vec![], ids: 4, retain: Some(Retain { after: AFTER, since: 0 }), ..Policy::default() }
}

fn scene() -> Scene {
    let mut scene = Scene::new(policy());
    scene.after(10_000);
    scene
}

#[test]
fn what_was_not_seen_for_long_goes_and_where_it_stands_stays() {
    let mut scene = scene();
    scene.comes(1);
    scene.comes(2);
    scene.after(AFTER - 1);
    assert_eq!(scene.step(Input::Retire), "nothing", "not early");
    scene.after(STEP);
    assert_eq!(scene.step(Input::Retire), "nothing", "what is written is rounded up");
    scene.after(1);
    assert_eq!(scene.step(Input::Retire), "erase; done");
    assert!(scene.durable.slots.is_empty());
    scene.reload();
    assert_eq!(scene.sequencer.position(), Some(Place { epoch: 0, sequence: 2 }));
    assert_eq!(scene.comes(2), "commit duplicate", "and that is a sign of life");
    assert_eq!(scene.comes(2), "close #4 duplicate");
    assert_eq!(scene.step(Input::Retire), "nothing");
    assert_eq!(scene.comes(3), "deliver 3; commit applied 3");
}

#[test]
fn host_time_alone_drops_nothing() {
    let mut scene = scene();
    scene.comes(1);
    scene.after_host(100 * AFTER);
    scene.reload();
    assert_eq!(scene.step(Input::Retire), "nothing");
}

#[test]
fn a_sighting_is_written_once_a_step() {
    let mut scene = scene();
    scene.after(40_000);
    let mut written = Vec::new();
    for sequence in 1..=8 {
        let before = scene.durable.extras.seen;
        scene.comes(sequence);
        if scene.durable.extras.seen != before {
            written.push((sequence, scene.durable.extras.seen));
        }
        scene.after(400);
    }
    // 50,000 is noted as 51,000: up to there nothing more is written.
    assert_eq!(written, [(1, 51_000), (4, 52_200), (7, 53_400)]);
    // Nobody who reads the record thinks that it was not seen when it was.
    assert!(scene.durable.extras.seen >= 50_000 + 7 * 400);
}

#[test]
fn an_entity_that_nobody_noted_counts_as_seen_when_noting_began() {
    let noted = Policy { retain: Some(Retain { after: AFTER, since: 90_000 }), ..policy() };
    for seen in [0, 5_000] {
        let extras = Extras { position: Some(Place { epoch: 0, sequence: 7 }), seen, ..Extras::default() };
        let snapshot = Snapshot { extras, ..Snapshot::default() };
        let mut sequencer = seriatim_sequencer::Sequencer::<u64>::restore(Arc::new(noted.clone()), snapshot, 0);
        for (stream, goes) in [(0, false), (90_000 + AFTER - 1, false), (90_000 + AFTER, true)] {
            let mut effects = Vec::new();
            sequencer.step(seriatim_sequencer::Now { host: 0, stream }, Input::Retire, &mut effects);
            assert_eq!(effects.len() == 2, goes, "{seen} {stream}: {effects:?}");
        }
    }
}

#[test]
fn what_waits_stays() {
    let mut scene = Scene::new(Policy { gap_then: GapThen::Park, ..policy() });
    scene.comes(1);
    scene.comes(3);
    scene.after(10 * AFTER);
    assert_eq!(scene.step(Input::Retire), "owes");
    scene.reload();
    assert_eq!(scene.step(Input::Retire), "owes");
    let mut parked = Scene::new(policy());
    parked.comes(1);
    parked.park();
    parked.after(10 * AFTER);
    assert_eq!(parked.step(Input::Retire), "owes");
}

#[test]
fn without_the_policy_nothing_is_noted_and_nothing_goes() {
    let mut scene = Scene::new(Policy { retain: None, ..policy() });
    scene.comes(1);
    scene.after(100 * AFTER);
    assert_eq!(scene.step(Input::Retire), "nothing");
    assert_eq!(scene.durable.extras, Extras::default());
}
