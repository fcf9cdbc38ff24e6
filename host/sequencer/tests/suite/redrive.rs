//! What an operator's redrive and forgetting mean, told with one entity: once, in order, or out of order and flagged.

use crate::scene::Scene;
use seriatim_sequencer::{DeadReason, FailureThen, First, GapThen, Input, Late, Place, Policy};

fn scene(change: impl FnOnce(&mut Policy)) -> Scene {
    let mut policy = Policy { gap_wait: 1_000, settle: 1_000, retry: vec![], ids: 4, ..Policy::default() };
    change(&mut policy);
    Scene::new(policy).slow_handlers()
}

/// Handles what is with the handlers.
fn applies(scene: &mut Scene, sequence: u64) {
    scene.comes(sequence);
    scene.ok();
}

fn dies(scene: &mut Scene, sequence: u64) {
    scene.comes(sequence);
    assert!(scene.fails(DeadReason::Rejected).contains("rejected"));
}

#[test]
fn nothing_applied_since_goes_in_order_and_once() {
    let mut scene = scene(|_| {});
    applies(&mut scene, 1);
    dies(&mut scene, 2);
    dies(&mut scene, 3);
    assert_eq!(scene.redrive(70, 2, false), "deliver 2");
    assert_eq!(scene.ok(), "commit applied 2 from 70; redriven");
    assert_eq!(scene.redrive(70, 2, false), "redriven before");
    assert_eq!(scene.redrive(70, 2, true), "redriven before");
    assert_eq!(scene.redrive(71, 3, false), "deliver 3");
    assert_eq!(scene.ok(), "commit applied 3 from 71; redriven");
    assert_eq!(scene.comes(4), "deliver 4");
}

#[test]
fn it_is_remembered_through_a_crash() {
    let mut scene = scene(|_| {});
    applies(&mut scene, 1);
    dies(&mut scene, 2);
    scene.restart(2);
    assert_eq!(scene.redrive(70, 2, false), "deliver 2");
    scene.ok();
    scene.restart(2);
    assert_eq!(scene.redrive(70, 2, false), "redriven before");
    assert_eq!(scene.redrive(71, 2, false), "passed by 1, at 3", "another letter about the same event");
}

#[test]
fn a_redrive_whose_commit_was_lost_can_be_repeated() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    let durable = scene.durable.clone();
    scene.redrive(70, 1, false);
    scene.ok();
    scene.durable = durable;
    scene.restart(1);
    assert_eq!(scene.redrive(70, 1, false), "deliver 1");
}

#[test]
fn what_was_applied_since_refuses_it_with_their_number_unless_out_of_order() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    applies(&mut scene, 2);
    applies(&mut scene, 3);
    assert_eq!(scene.redrive(70, 1, false), "passed by 2, at 4");
    assert_eq!(scene.redrive(70, 1, true), "deliver 1 late");
    assert_eq!(scene.ok(), "commit applied 1 from 70; redriven late");
    assert_eq!(scene.position(), 3);
    assert_eq!(scene.again(1), "close #1 duplicate");
}

#[test]
fn what_was_applied_in_the_epochs_between_counts_too() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    scene.epoch(1);
    applies(&mut scene, 1);
    applies(&mut scene, 2);
    scene.epoch(2);
    applies(&mut scene, 1);
    assert_eq!(scene.redrive(70, 1, false), "passed by 3, at 2");
}

#[test]
fn after_a_start_what_followed_counts_as_applied() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    applies(&mut scene, 2);
    scene.restart(2);
    assert_eq!(scene.redrive(70, 1, false), "passed by 1, at 3");
}

#[test]
fn it_is_judged_when_its_turn_comes() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    scene.comes(2);
    assert_eq!(scene.redrive(70, 1, false), "");
    assert_eq!(scene.redrive(71, 1, false), "busy");
    assert_eq!(scene.ok(), "commit applied 2; passed by 1, at 3");
    assert!(scene.sequencer.can_leave());
}

#[test]
fn it_comes_before_an_event_that_waits_for_its_next_attempt() {
    let mut scene = scene(|policy| policy.retry = vec![5_000]);
    dies(&mut scene, 1);
    scene.comes(2);
    scene.fails(DeadReason::Trap);
    assert_eq!(scene.redrive(70, 1, false), "deliver 1");
    assert!(!scene.sequencer.can_leave());
    assert_eq!(scene.ok(), "commit applied 1 from 70; redriven");
    assert_eq!(scene.after_host(5_000), "deliver 2 attempt 2");
}

#[test]
fn it_comes_before_the_event_that_its_entity_is_parked_at() {
    let mut scene = scene(|policy| policy.failure_then = FailureThen::Park);
    dies(&mut scene, 1);
    scene.comes(2);
    scene.fails(DeadReason::Trap);
    assert_eq!(scene.redrive(70, 1, false), "deliver 1");
    scene.ok();
    assert_eq!(scene.resume(2), "commit waits for resuming from #2 until host 0; done; deliver 2");
}

#[test]
fn an_entity_that_an_operator_parked_gets_nothing() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    scene.park();
    assert_eq!(scene.redrive(70, 1, true), "not redriven, parked operator");
}

/// What a redrive hears that waits for room to commit when something happens.
fn waiting_for_room(happens: fn(&mut Scene) -> String) -> (Scene, String) {
    let mut scene = scene(|policy| policy.commits_max = 1).slow_store(true);
    dies(&mut scene, 1);
    assert_eq!(scene.redrive(70, 1, false), "");
    let told = happens(&mut scene);
    let heard = told.split("; ").filter(|part| part.contains("redriven")).collect();
    (scene, heard)
}

#[test]
fn one_that_waits_for_room_is_answered_when_there_is_none_before_an_operator_speaks() {
    let (mut scene, heard) = waiting_for_room(|scene| scene.step(Input::OutputsRefused));
    assert_eq!(heard, "not redriven, parked output-undeliverable");
    assert_eq!(scene.redrive(71, 1, false), "not redriven, parked output-undeliverable", "nothing is under way any more");
    assert_eq!(waiting_for_room(Scene::park).1, "not redriven, parked operator");
}

#[test]
fn one_that_waits_for_its_turn_is_answered_when_its_pipeline_stops() {
    let mut scene = scene(|policy| policy.failure_then = FailureThen::Stop);
    dies(&mut scene, 1);
    scene.comes(2);
    assert_eq!(scene.redrive(70, 1, false), "");
    let told = scene.fails(DeadReason::Trap);
    assert!(told.ends_with("not redriven, stopped"), "{told}");
}

#[test]
fn one_that_waits_for_room_goes_on_waiting_while_it_may_come_by_itself() {
    let (mut scene, heard) = waiting_for_room(|scene| scene.step(Input::OutputsBlocked));
    assert_eq!(heard, "");
    scene.step(Input::OutputsFree);
    assert_eq!(scene.redrive(71, 1, false), "busy");
}

#[test]
fn failing_again_changes_nothing_and_may_be_repeated() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    scene.redrive(70, 1, false);
    assert_eq!(scene.fails(DeadReason::Trap), "failed again trap");
    assert_eq!(scene.redrive(70, 1, false), "deliver 1");
    assert_eq!(scene.step(Input::Undelivered), "deliver 1");
    assert_eq!(scene.ok(), "commit applied 1 from 70; redriven");
}

#[test]
fn while_the_handlers_are_not_called_a_redrive_is_refused_and_the_entity_does_not_wait() {
    let mut scene = scene(|_| {});
    dies(&mut scene, 1);
    assert_eq!(scene.redrive(70, 1, false), "deliver 1");
    assert_eq!(scene.step(Input::Barred), "not redriven, barred");
    assert_eq!(scene.redrive(70, 1, false), "deliver 1");
    assert_eq!(scene.ok(), "commit applied 1 from 70; redriven");
}

#[test]
fn what_the_entity_has_not_come_to_is_refused() {
    let mut scene = scene(|policy| policy.jump_max = 10);
    applies(&mut scene, 1);
    assert!(scene.comes(100).contains("dead 100 malformed"));
    assert_eq!(scene.redrive(70, 2, true), "ahead of 2");
}

#[test]
fn an_early_event_that_was_dead_lettered_is_in_order_once_the_position_is_there() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::DeadLetter);
    applies(&mut scene, 1);
    scene.comes(3);
    assert!(scene.after(1_000).contains("dead 3 gap"));
    assert_eq!(scene.redrive(70, 2, false), "ahead of 2");
    applies(&mut scene, 2);
    assert_eq!(scene.position(), 3);
    assert_eq!(scene.redrive(70, 2, false), "deliver 3");
    assert_eq!(scene.ok(), "commit applied 3 from 70; redriven");
}

#[test]
fn an_early_one_waits_for_its_turn_also_out_of_order_and_what_an_epoch_passed_by_is_no_longer_given_up() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::DeadLetter);
    applies(&mut scene, 1);
    scene.comes(3);
    scene.after(1_000);
    assert_eq!(scene.redrive(70, 2, true), "ahead of 2", "applied now, it would be named as given up when the epoch ends");
    scene.epoch(1);
    applies(&mut scene, 1);
    assert_eq!(scene.redrive(70, 2, true), "deliver 3 late");
    scene.ok();
    assert!(scene.sequencer.given_up().iter().all(|range| range.first.sequence != 3), "{:?}", scene.sequencer.given_up());
}

#[test]
fn a_late_one_is_no_longer_late_when_it_comes_again() {
    let mut scene = scene(|policy| (policy.gap_then, policy.late) = (GapThen::Skip, Late::DeadLetter));
    scene.comes(2);
    scene.after(1_000);
    scene.ok();
    assert!(scene.comes(1).contains("dead 1 late"));
    assert_eq!(scene.redrive(70, 2, false), "passed by 1, at 3");
    scene.redrive(70, 2, true);
    scene.ok();
    assert!(scene.sequencer.given_up().is_empty());
    assert_eq!(scene.comes(1), "close #3 duplicate");
}

#[test]
fn forgetting_keeps_where_the_entity_stands() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::Skip);
    scene.comes(3);
    scene.after(1_000);
    scene.ok();
    assert_eq!(scene.step(Input::Forget), "erase; done");
    assert!(scene.durable.slots.is_empty());
    scene.restart(1);
    assert_eq!(scene.sequencer.position(), Some(Place { epoch: 0, sequence: 3 }));
    assert_eq!(scene.sequencer.given_up().len(), 1);
    assert_eq!(scene.again(1), "close #1 duplicate");
    assert_eq!(scene.comes(4), "deliver 4");
    assert_eq!(scene.ok(), "commit applied 4");
    assert_eq!(scene.sequencer.position(), Some(Place { epoch: 0, sequence: 4 }));
}

#[test]
fn what_owes_is_not_forgotten() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    assert_eq!(scene.step(Input::Forget), "owes");
    scene.after(1_000);
    assert_eq!(scene.step(Input::Forget), "owes");
    scene.comes(1);
    assert_eq!(scene.step(Input::Forget), "owes");
}

#[test]
fn words_are_answered_in_order_and_a_skip_that_cannot_happen_is_answered() {
    let mut scene = scene(|policy| policy.failure_then = FailureThen::Park);
    scene.comes(1);
    assert_eq!(scene.skip(1), "");
    assert_eq!(scene.skip(1), "superseded");
    assert!(scene.park().starts_with("superseded; "));
    assert_eq!(scene.fails(DeadReason::Trap), "commit waits for operator from #1 parked");
    assert_eq!(scene.skip(1), "commit waits for resuming from #1 until host 0; commit dead 1 skipped free; done");
}

#[test]
fn a_skip_of_what_is_running_is_done_when_it_fails() {
    let mut scene = scene(|policy| policy.retry = vec![5_000]);
    scene.comes(1);
    scene.skip(1);
    assert_eq!(scene.fails(DeadReason::Trap), "commit dead 1 skipped; done");
}

#[test]
fn a_skip_of_the_first_event_that_waits_for_a_lower_one_skips_that_event() {
    let mut scene = scene(|policy| policy.first = First::Any);
    assert_eq!(scene.comes(1), "");
    let told = scene.skip(1);
    assert!(told.contains("dead 1 skipped") && told.ends_with("done"), "{told}");
    assert_eq!(scene.comes(2), "deliver 2");
}

#[test]
fn a_skip_on_a_gap_gives_up_to_the_lowest_that_a_pass_finds() {
    let mut scene = scene(|policy| policy.held_max = 2);
    scene.comes(9);
    scene.comes(8);
    scene.comes(5);
    scene.after(1_000);
    scene.restart(3);
    assert!(scene.skip(1).ends_with("read #1 to #3"));
    let told = scene.reads(1, 3);
    assert!(told.contains("done; deliver 5"), "{told}");
    assert_eq!(scene.sequencer.given_up().iter().map(|range| (range.first.sequence, range.last)).collect::<Vec<_>>(), [(1, 4)]);
}
