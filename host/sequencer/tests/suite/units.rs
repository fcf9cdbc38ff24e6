//! What stands apart from the walk of an event: rebasing a snapshot, records that cannot be read, leaving memory, wake-ups, and that no input in any
//! state makes the core panic.

use crate::dice::Dice;
use seriatim_sequencer::{
    Alarm, Arrival, Attempts, DeadReason, Effect, Extras, Failure, FailureThen, First, GapThen, Head, Input, Late, Now, Operator, Place,
    Policy, Retain, Sequencer, Slot, Snapshot, WaitReason, Waiting,
};
use std::sync::Arc;

fn arrival(sequence: u64, stream_sequence: u64) -> Arrival<u64> {
    let place = Place { epoch: 0, sequence };
    Arrival { ticket: stream_sequence, place, stream_sequence, id: 0, payload: sequence, time: 0, bytes: 10 }
}

fn step(sequencer: &mut Sequencer<u64>, now: Now, input: Input<u64>) -> Vec<Effect<u64>> {
    let mut effects = Vec::new();
    sequencer.step(now, input, &mut effects);
    effects
}

#[test]
fn rebase_makes_everything_from_the_accepted_place_on_undecided() {
    let waiting = Waiting {
        from: 60,
        reason: WaitReason::Retry,
        attempts: Attempts { stream_sequence: 60, count: 2 },
        alarm: Some(Alarm::Host(5)),
        since: 1,
    };
    let slot = |count, done_below| Slot { count, done_below, position: Place { epoch: 0, sequence: count }, ..Slot::default() };
    let floors = vec![(Place { epoch: 0, sequence: 3 }, 80)];
    let extras = Extras {
        done_below: 55,
        floor_through: 70,
        fates: vec![40, 50, 60],
        lost: vec![(30, 32), (45, 60), (65, 70)],
        floors,
        ..Extras::default()
    };
    let mut snapshot = Snapshot { slots: vec![slot(1, 30), slot(2, 58)], extras, waiting: Some(waiting) };
    snapshot.rebase(50);
    assert_eq!(snapshot.slots.iter().map(|slot| slot.done_below).collect::<Vec<_>>(), [30, 50]);
    assert_eq!((snapshot.extras.done_below, snapshot.extras.floor_through), (50, 49));
    assert_eq!(snapshot.extras.fates, [40]);
    assert_eq!(snapshot.extras.lost, [(30, 32), (45, 49)], "what is lost of the new stream has not been named");
    assert_eq!(snapshot.extras.floors[0].1, 49);
    let waiting = snapshot.waiting.unwrap();
    assert_eq!((waiting.from, waiting.attempts, waiting.alarm), (50, Attempts::default(), Some(Alarm::Host(5))));
    assert_eq!(snapshot.slots[1].position.sequence, 2, "what was finished stays finished");
}

#[test]
fn rebase_keeps_what_lies_below() {
    let waiting =
        Waiting { from: 20, reason: WaitReason::Gap, attempts: Attempts { stream_sequence: 20, count: 1 }, alarm: None, since: 0 };
    let mut snapshot = Snapshot { waiting: Some(waiting), ..Snapshot::default() };
    snapshot.rebase(50);
    assert_eq!(snapshot.waiting, Some(waiting));
}

#[test]
fn after_a_rebase_the_same_stream_sequence_is_another_message() {
    let policy = Arc::new(Policy::default());
    let slot = Slot {
        count: 1,
        position: Place { epoch: 0, sequence: 1 },
        done_below: 90,
        place: Place { epoch: 0, sequence: 1 },
        id: 7,
        payload: 7,
    };
    let mut snapshot = Snapshot { slots: vec![slot], ..Snapshot::default() };
    let mut before = Sequencer::restore(Arc::clone(&policy), snapshot.clone(), 49);
    let closed = step(&mut before, Now::default(), Input::Arrived(arrival(2, 50)));
    assert!(matches!(closed[..], [Effect::Close { stream_sequence: 50, outcome: Some(_) }]), "decided before the last start");
    snapshot.rebase(50);
    let mut after = Sequencer::restore(policy, snapshot, 49);
    assert!(matches!(step(&mut after, Now::default(), Input::Arrived(arrival(2, 50)))[..], [Effect::Deliver { ticket: 50, .. }]));
}

#[test]
fn an_unreadable_record_parks_its_entity_and_is_never_overwritten() {
    let mut sequencer = Sequencer::unreadable(Arc::new(Policy::default()), None, 9);
    let effects = step(&mut sequencer, Now::default(), Input::Arrived(arrival(1, 10)));
    let [Effect::Commit(change), Effect::Close { stream_sequence: 10, outcome: None }] = &effects[..] else { panic!("{effects:?}") };
    let waiting = change.patch.waiting.flatten().unwrap();
    assert_eq!((waiting.reason, waiting.alarm, waiting.from), (WaitReason::Record, None, 10));
    assert!(change.patch.slot.is_none() && change.patch.extras.is_none());
    assert!(matches!(
        step(&mut sequencer, Now::default(), Input::Arrived(arrival(2, 11)))[..],
        [Effect::Close { stream_sequence: 11, outcome: None }]
    ));
    let place = Place { epoch: 0, sequence: 1 };
    assert!(matches!(step(&mut sequencer, Now::default(), Input::Operator(Operator::Resume { place }))[..], [Effect::Answer(_)]));
    assert!(step(&mut sequencer, Now { host: u64::MAX, stream: u64::MAX }, Input::Tick).is_empty());
}

#[test]
fn an_unreadable_record_keeps_the_s_that_its_own_key_tells() {
    let waiting = Waiting { from: 3, reason: WaitReason::Gap, attempts: Attempts::default(), alarm: Some(Alarm::Stream(7)), since: 1 };
    let mut sequencer = Sequencer::unreadable(Arc::new(Policy::default()), Some(waiting), 9);
    let effects = step(&mut sequencer, Now::default(), Input::Arrived(arrival(1, 10)));
    let [Effect::Commit(change), ..] = &effects[..] else { panic!("{effects:?}") };
    let waiting = change.patch.waiting.flatten().unwrap();
    assert_eq!((waiting.reason, waiting.alarm, waiting.from), (WaitReason::Record, None, 3));
    assert_eq!(sequencer.status(Now::default()).head, Head::Parked(WaitReason::Record));
}

#[test]
fn an_actor_leaves_only_with_nothing_open() {
    let mut sequencer = Sequencer::new(Arc::new(Policy::default()), 0);
    assert!(sequencer.can_leave());
    step(&mut sequencer, Now::default(), Input::Arrived(arrival(1, 1)));
    assert!(!sequencer.can_leave(), "running");
    step(&mut sequencer, Now::default(), Input::Applied);
    assert!(!sequencer.can_leave(), "in commit");
    step(&mut sequencer, Now::default(), Input::Committed);
    assert!(sequencer.can_leave());
    step(&mut sequencer, Now::default(), Input::Arrived(arrival(3, 2)));
    assert!(!sequencer.can_leave(), "something held and not closed");
    step(&mut sequencer, Now { host: 1_000, stream: 0 }, Input::Tick);
    step(&mut sequencer, Now { host: 1_000, stream: 0 }, Input::Committed);
    assert!(sequencer.can_leave(), "it waits durably");
}

#[test]
fn the_newest_slots_win_whatever_the_ring_was_before() {
    let slot = |count| Slot {
        count,
        position: Place { epoch: 0, sequence: count },
        place: Place { epoch: 0, sequence: count },
        payload: count,
        ..Slot::default()
    };
    let snapshot = Snapshot { slots: [4, 9, 2, 8, 7].map(slot).to_vec(), ..Snapshot::default() };
    let sequencer = Sequencer::<u64>::restore(Arc::new(Policy { ids: 2, ..Policy::default() }), snapshot, 0);
    assert_eq!(sequencer.position(), Some(Place { epoch: 0, sequence: 9 }));
}

/// Nonsense in any order: the core answers with effects, stays within its bounds and never panics.
#[test]
fn no_input_in_any_state_panics() {
    for seed in 0..3_000 {
        let mut dice = Dice::new(seed);
        let odd = [0, 1, 2, 3, 5, 8, 1_000, u64::MAX - 1, u64::MAX];
        let policy = Policy {
            first: if dice.once_in(2) { First::Any } else { First::At(dice.pick(&odd)) },
            gap_wait: dice.pick(&odd),
            gap_then: dice.pick(&[GapThen::Skip, GapThen::DeadLetter, GapThen::Park, GapThen::Stop]),
            held_max: dice.size(0, 3),
            queue_max: dice.size(0, 3),
            jump_max: dice.pick(&odd),
            late: dice.pick(&[Late::DeadLetter, Late::Drop, Late::Deliver]),
            ids: dice.size(0, 3),
            retry: (0..dice.size(0, 2)).map(|_| dice.pick(&odd)).collect(),
            failure_then: dice.pick(&[FailureThen::DeadLetter, FailureThen::Park, FailureThen::Stop]),
            commits_max: u32::try_from(dice.range(0, 3)).unwrap(),
            ranges_max: dice.size(0, 3),
            settle: dice.pick(&odd),
            // Drawn from what is drawn already, so that no seed means something else.
            retain: (seed % 2 == 0).then_some(Retain { after: seed % 7, since: seed % 5 }),
        };
        let policy = Arc::new(policy);
        let mut sequencer = Sequencer::new(Arc::clone(&policy), dice.pick(&odd));
        let mut effects = Vec::new();
        for _ in 0..200 {
            let now = Now { host: dice.pick(&odd), stream: dice.pick(&odd) };
            let place = Place { epoch: dice.pick(&odd[..4]), sequence: if dice.once_in(3) { dice.pick(&odd) } else { dice.range(0, 9) } };
            let stream_sequence = if dice.once_in(5) { dice.pick(&odd) } else { dice.range(0, 40) };
            let arrival = Arrival {
                ticket: 0,
                place,
                stream_sequence,
                id: dice.range(0, 3),
                payload: dice.range(0, 1),
                time: dice.pick(&odd),
                bytes: u32::MAX,
            };
            let input = match dice.range(0, 19) {
                0..=5 => Input::Arrived(arrival),
                6 | 7 => Input::Applied,
                8 => Input::Failed(Failure { reason: dice.pick(&[DeadReason::Trap, DeadReason::Rejected]), error: String::new() }),
                9 => match dice.range(0, 3) {
                    0 | 1 => Input::Undelivered,
                    2 => Input::Barred,
                    _ => Input::Released,
                },
                10 => Input::Committed,
                11 if policy.retain.is_some() && dice.once_in(2) => Input::Retire,
                11 => Input::Tick,
                12 => Input::PassStarted { gone_below: dice.pick(&odd) },
                13 | 14 => Input::PassArrived(arrival),
                15 => Input::PassEnded { to: if dice.once_in(2) { dice.pick(&odd) } else { dice.range(0, 40) } },
                16 => {
                    if dice.once_in(2) {
                        Input::PassFailed
                    } else {
                        Input::Shed
                    }
                }
                17 => {
                    if dice.once_in(2) {
                        Input::OutputsBlocked
                    } else {
                        Input::OutputsFree
                    }
                }
                18 if dice.once_in(2) => Input::Gone { first: dice.pick(&odd), last: dice.pick(&odd) },
                18 => Input::OutputsRefused,
                _ => Input::Operator(dice.pick(&[Operator::Park, Operator::Resume { place }, Operator::Skip { place }])),
            };
            sequencer.step(now, input, &mut effects);
            assert!(effects.len() < 200, "seed {seed}: a storm of {} effects", effects.len());
            effects.clear();
            let _ = (sequencer.next_wakeup(), sequencer.status(now).sentence(), sequencer.can_leave());
            assert!(sequencer.held().0 <= policy.held_max.max(1), "seed {seed}");
        }
    }
}
