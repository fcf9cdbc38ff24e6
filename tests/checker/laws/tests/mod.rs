//! The laws, judged: hand-made good histories pass, and each check finds a history that is spoiled in one place.

mod bad;
mod good;
mod scene;

use super::{CHECKS, Run, check};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// The texts of what a check finds.
fn found(run: &Run, name: &str) -> Vec<String> {
    let broken = check(run).broken;
    for broken in &broken {
        assert!(CHECKS.contains(&(broken.guarantee, broken.check)), "{broken} is not listed");
    }
    broken.into_iter().filter(|broken| broken.check == name).map(|broken| broken.text).collect()
}

fn assert_good(name: &str, run: &Run) {
    let report = check(run);
    assert!(report.good(), "{name}: {report}");
}

#[test]
fn good_histories_pass() {
    for (name, run) in good::all() {
        assert_good(name, &run);
        let streams_alone = Run { store: None, ..run };
        assert_good(name, &streams_alone);
    }
}

#[test]
fn every_check_finds_its_bad_histories() {
    let mut tried: BTreeMap<&str, u32> = CHECKS.iter().map(|(_, name)| (*name, 0)).collect();
    for (name, spoiled) in bad::all() {
        *tried.get_mut(name).unwrap_or_else(|| panic!("{name} is no check")) += 1;
        assert!(!found(&spoiled, name).is_empty(), "{name} number {} was not found: {}", tried[name], check(&spoiled));
    }
    let untried: Vec<_> = tried.iter().filter(|(_, times)| **times == 0).collect();
    assert!(untried.is_empty(), "without a bad history: {untried:?}");
}

#[test]
fn the_offending_history_is_shown() {
    let mut run = good::of_everything();
    run.outputs.remove(1);
    let report = check(&run).to_string();
    for part in ["G1 nothing-forgotten", "message 2 (\"a\" 0:2, id a-0-2", "no end", "output 1 of its stream: 0:1 count 1", "watermark"] {
        assert!(report.contains(part), "{part}: {report}");
    }
}

#[test]
fn what_a_run_exercised_is_counted() {
    let counts = check(&good::of_everything()).counts;
    assert_eq!((counts.conflicts, counts.late, counts.malformed, counts.given_up, counts.retried), (1, 1, 2, 1, 1));
    assert_eq!((counts.duplicates, counts.out_of_order, counts.parked, counts.lost), (3, 3, 0, 0));
    assert_eq!(counts.applied, good::of_everything().outputs.len() as u64);
    assert_eq!(counts.dead.get("trap"), Some(&1));
    let mut sum = check(&good::late_delivered()).counts;
    assert_eq!((sum.delivered_late, sum.late), (1, 1));
    sum.add(&counts);
    assert_eq!((sum.delivered_late, sum.late, sum.dead["late"]), (1, 2, 1));
    let dropped = check(&good::late_dropped()).counts;
    assert_eq!((dropped.dropped_late, dropped.late, dropped.duplicates), (1, 1, 0));
    let parked = check(&good::parked()).counts;
    assert_eq!((parked.parked, parked.waiting), (2, 2));
    assert_eq!(check(&good::lost()).counts.lost, 3);
    let unsettled = check(&good::unsettled()).counts;
    assert_eq!((unsettled.unread, unsettled.outbox), (1, 2));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whose messages stand between whose changes nothing: the entities' histories, in any mixture that keeps each one's own order.
    #[test]
    fn a_mixture_of_good_entities_is_good(choices in prop::collection::vec(0usize..5, 0..200)) {
        let run = good::mixture(&choices);
        let report = check(&run);
        prop_assert!(report.good(), "{}", report);
        prop_assert_eq!(report.counts.applied, run.outputs.len() as u64);
    }

    /// Any one message taken out of the streams is missed.
    #[test]
    fn a_missing_message_is_always_found(choices in prop::collection::vec(0usize..5, 1..60), at: prop::sample::Index) {
        let mut run = good::mixture(&choices);
        let all = run.outputs.len() + run.dead.len();
        prop_assume!(all > 0);
        match at.index(all).checked_sub(run.outputs.len()) {
            Some(dead) => drop(run.dead.remove(dead)),
            None => drop(run.outputs.remove(at.index(all))),
        }
        prop_assert!(!check(&run).good());
    }
}

#[test]
fn the_time_grows_as_the_run_does() {
    // Hundreds of thousands of messages of one entity, most of them copies of one place: anything quadratic would take hours.
    let run = good::long(100_000);
    assert_good("long", &run);
}
