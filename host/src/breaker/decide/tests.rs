//! The decider alone: when it opens, who probes, when it closes. Times are values.

use super::*;

const SETTINGS: Settings = Settings { percent: 50, events: 10, entities: 3, delay: 100, delay_max: 400 };

fn good(entity: u64) -> Ended<'static> {
    Ended { entity, probe: false, good: 1, fault: None }
}

fn fault(entity: u64) -> Ended<'static> {
    Ended { entity, probe: false, good: 0, fault: Some("trap") }
}

fn probe(call: Ended<'static>) -> Ended<'static> {
    Ended { probe: true, ..call }
}

/// Opened at time 0 by five entities.
fn opened() -> Decider {
    let mut decider = Decider::new(SETTINGS, 1);
    let turns: Vec<_> = (0..5).filter_map(|entity| decider.ended(0, fault(entity))).collect();
    assert_eq!(turns, [Turn::Opened { handler: 0, error: "trap".to_owned(), until: 100 }]);
    decider
}

#[test]
fn it_opens_when_the_share_of_the_last_events_is_reached() {
    let mut decider = Decider::new(SETTINGS, 1);
    // Four of ten, again and again: never five within ten.
    for at in 0..100 {
        let call = if at % 10 < 4 { fault(at) } else { good(at) };
        assert_eq!(decider.ended(at, call), None);
    }
    assert_eq!(decider.standing(100), Standing::Closed);
    let turns: Vec<_> = (0..5).filter_map(|entity| decider.ended(200, fault(entity))).collect();
    assert!(matches!(turns[..], [Turn::Opened { .. }]), "{turns:?}");
}

#[test]
fn faults_of_few_entities_never_open_it() {
    let mut decider = Decider::new(SETTINGS, 1);
    for at in 0..1_000 {
        assert_eq!(decider.ended(at, fault(at % 2)), None);
        assert_eq!(decider.ask(at), Go::Call);
    }
    assert!(decider.ended(1_000, fault(2)).is_some(), "the third does");
}

#[test]
fn each_handler_has_events_of_its_own() {
    let mut decider = Decider::new(SETTINGS, 2);
    // The first one fails for some, the second for others: neither reaches its share.
    for entity in 0..4 {
        assert_eq!(decider.ended(1, fault(entity)), None);
        assert_eq!(decider.ended(1, Ended { good: 1, ..fault(entity) }), None);
    }
    let turn = decider.ended(2, Ended { good: 1, ..fault(9) });
    assert_eq!(turn, Some(Turn::Opened { handler: 1, error: "trap".to_owned(), until: 102 }));
}

#[test]
fn one_probe_at_a_time_is_made_after_the_delay_and_closes_it() {
    let mut decider = opened();
    assert_eq!((decider.ask(99), decider.ask(100), decider.ask(100), decider.ask(199)), (Go::Wait, Go::Probe, Go::Wait, Go::Wait));
    assert_eq!(decider.ended(150, good(7)), None, "called before it opened");
    assert_eq!(decider.ended(150, fault(7)), None, "called before it opened");
    assert_eq!(decider.ended(150, probe(good(1))), Some(Turn::Closed { handler: 0 }));
    assert_eq!(decider.ask(150), Go::Call);
    assert!(decider.is_quiet());
}

#[test]
fn what_a_handler_says_itself_is_no_fault() {
    let mut decider = opened();
    assert_eq!(decider.ask(100), Go::Probe);
    assert!(matches!(decider.ended(101, Ended { entity: 1, probe: true, good: 1, fault: None }), Some(Turn::Closed { .. })));
}

#[test]
fn each_probe_that_fails_doubles_the_delay_up_to_its_bound() {
    let mut decider = opened();
    let mut now = 100;
    for delay in [200, 400, 400, 400] {
        assert_eq!(decider.ask(now), Go::Probe);
        let turn = decider.ended(now, probe(fault(now)));
        assert_eq!(turn, Some(Turn::Again { handler: 0, error: "trap".to_owned(), until: now + delay }));
        assert_eq!(decider.ask(now + delay - 1), Go::Wait);
        now += delay;
    }
}

#[test]
fn it_opens_for_longer_when_it_opens_soon_after_a_probe_closed_it() {
    let mut decider = opened();
    decider.ask(100);
    decider.ended(100, probe(good(1)));
    let again: Vec<_> = (0..5).filter_map(|entity| decider.ended(110, fault(entity))).collect();
    assert_eq!(again, [Turn::Opened { handler: 0, error: "trap".to_owned(), until: 310 }]);
    decider.ask(310);
    decider.ended(310, probe(good(1)));
    let later: Vec<_> = (0..5).filter_map(|entity| decider.ended(1_000, fault(entity))).collect();
    assert_eq!(later, [Turn::Opened { handler: 0, error: "trap".to_owned(), until: 1_100 }]);
}

#[test]
fn a_probe_that_never_ends_is_followed_by_another_and_may_still_tell() {
    let mut decider = opened();
    assert_eq!((decider.ask(100), decider.ask(199), decider.ask(200)), (Go::Probe, Go::Wait, Go::Probe));
    assert_eq!(decider.ended(201, probe(good(1))), Some(Turn::Closed { handler: 0 }));
    assert_eq!(decider.ended(202, probe(fault(2))), None, "a call like any other by now");
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_it_open() {
    let mut decider = Decider::new(SETTINGS, 1);
    (0..5).for_each(|entity| drop(decider.ended(1_000_000, fault(entity))));
    assert_eq!((decider.ask(1_000_001), decider.ask(5)), (Go::Wait, Go::Probe));
}

#[test]
fn an_operator_closes_it_by_the_name_of_the_handler() {
    let mut decider = opened();
    assert_eq!((decider.close(1), decider.close(0)), (Err(0), Ok(Some(Turn::Closed { handler: 0 }))));
    assert_eq!((decider.close(0), decider.ask(1)), (Ok(None), Go::Call));
    // His word counts as a new beginning: the next time the delay is the first one.
    let turns: Vec<_> = (0..5).filter_map(|entity| decider.ended(2, fault(entity))).collect();
    assert_eq!(turns, [Turn::Opened { handler: 0, error: "trap".to_owned(), until: 102 }]);
}

/// Whatever happens: memory is bounded, it opens only for enough faults of enough entities, and a handler that is well again is called again.
#[test]
fn seeds() {
    let mut opened = 0;
    for seed in 0..2_000u64 {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut below = |max: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % max
        };
        let settings = Settings {
            percent: 1 + below(100),
            events: 1 + below(20) as usize,
            entities: 1 + below(4) as usize,
            delay: 1 + below(50),
            delay_max: 50 + below(200),
        };
        let (entities, share) = (1 + below(6), below(101));
        let mut decider = Decider::new(settings, 2);
        let (mut now, mut last): (u64, VecDeque<(u64, bool)>) = (0, VecDeque::new());
        for _ in 0..300 {
            now += below(30);
            let (go, entity, fails) = (decider.ask(now), below(entities), below(100) < share);
            if go == Go::Wait {
                assert!(decider.open().is_some());
                continue;
            }
            let call = Ended { entity, probe: go == Go::Probe, good: usize::from(!fails) * 2, fault: fails.then_some("trap") };
            let was_open = decider.open().is_some();
            let turn = decider.ended(now, call);
            last.push_back((entity, fails));
            if last.len() > settings.events {
                last.pop_front();
            }
            let faults: Vec<_> = last.iter().filter(|(_, fault)| *fault).map(|(entity, _)| *entity).collect();
            let from: HashSet<_> = faults.iter().collect();
            let enough = faults.len() as u64 * 100 >= settings.percent * settings.events as u64 && from.len() >= settings.entities;
            if !was_open {
                assert_eq!(matches!(turn, Some(Turn::Opened { .. })), fails && enough, "seed {seed}: {last:?} {settings:?}");
            }
            if decider.open().is_some() || was_open {
                last.clear();
            }
            opened += u64::from(!was_open && turn.is_some());
            assert!(decider.windows.iter().all(|window| window.calls.len() <= settings.events));
        }
        // The handler is well again: one probe, and it is closed.
        now += settings.delay_max.max(settings.delay);
        if decider.ask(now) == Go::Probe {
            decider.ended(now, Ended { entity: 0, probe: true, good: 2, fault: None });
        }
        assert_eq!(decider.ask(now), Go::Call, "seed {seed}");
    }
    assert!(opened > 1_000, "{opened}");
}
