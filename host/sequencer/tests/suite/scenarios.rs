//! What each sentence of design §3.7 and of the policy paragraph of §5.2 means, told with one entity. Stream sequences are written `#n`.

use crate::scene::Scene;
use seriatim_sequencer::{DeadReason, FailureThen, First, GapThen, Input, Late, Policy, Wakeup};

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy { gap_wait: 30_000, settle: 1_000, retry: vec![100, 1_000], ids: 8, ..Policy::default() };
    change(&mut policy);
    policy
}

fn scene(change: impl FnOnce(&mut Policy)) -> Scene {
    Scene::new(policy(change))
}

// Order.

#[test]
fn in_order_events_are_delivered_one_after_another() {
    let mut scene = scene(|_| {});
    assert_eq!(scene.comes(1), "deliver 1; commit applied 1");
    assert_eq!(scene.comes(2), "deliver 2; commit applied 2");
}

#[test]
fn work_goes_on_while_earlier_commits_are_in_flight_up_to_a_bound() {
    let mut scene = scene(|policy| policy.commits_max = 2).slow_store(true);
    assert_eq!((scene.comes(1), scene.comes(2)), ("deliver 1; commit applied 1".into(), "deliver 2; commit applied 2".into()));
    assert_eq!(scene.comes(3), "");
    assert_eq!(scene.committed(), "deliver 3; commit applied 3");
}

#[test]
fn commits_in_flight_and_half_a_queue_are_a_crowd_and_a_handler_at_work_is_none() {
    let mut waits_for_commits = scene(|policy| (policy.commits_max, policy.queue_max) = (1, 4)).slow_store(true);
    let mut handles = scene(|policy| policy.queue_max = 4).slow_handlers();
    for (sequence, crowded) in [(1, false), (2, false), (3, true), (4, true)] {
        waits_for_commits.comes(sequence);
        handles.comes(sequence);
        assert_eq!((waits_for_commits.crowded(), handles.crowded()), (crowded, false), "after {sequence}");
    }
    assert_eq!(waits_for_commits.committed(), "deliver 2; commit applied 2");
    assert!(waits_for_commits.crowded(), "two wait");
    assert_eq!(waits_for_commits.committed(), "deliver 3; commit applied 3");
    assert!(!waits_for_commits.crowded(), "one waits");
}

#[test]
fn an_early_event_is_held_until_its_gap_closes() {
    let mut scene = scene(|_| {});
    assert_eq!(scene.comes(2), "gap of 1");
    assert_eq!(scene.comes(1), "deliver 1; commit applied 1; deliver 2; commit applied 2");
}

// §3.7: one durable way to wait.

#[test]
fn a_failed_attempt_commits_waiting_with_its_alarm_and_closes_what_is_in_memory() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.comes(2);
    assert_eq!(scene.fails(DeadReason::Trap), "commit waits for retry from #1 until host 100; close #1; close #2");
    assert_eq!(scene.after_host(99), "");
    assert_eq!(scene.after_host(1), "deliver 1 attempt 2");
    assert_eq!(scene.fails(DeadReason::Trap), "commit waits for retry from #1 until host 1100");
    assert_eq!(scene.after_host(1_000), "deliver 1 attempt 3");
    assert_eq!(scene.ok(), "commit applied 1 waits for resuming from #2 until host 1100; deliver 2");
    assert_eq!(scene.ok(), "commit applied 2 free");
}

#[test]
fn a_gap_open_for_a_second_commits_waiting_so_that_its_messages_close() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    assert_eq!(scene.after(999), "");
    assert_eq!(scene.after(1), "commit waits for gap from #1 until stream 30000; close #1");
    assert_eq!(scene.comes(3), "close #2");
}

#[test]
fn a_full_queue_commits_waiting_and_drops() {
    let mut scene = scene(|policy| policy.queue_max = 1).slow_handlers();
    scene.comes(1);
    scene.comes(2);
    assert_eq!(scene.comes(3), "commit waits for overflow from #1 until host 0; close #1; close #2; close #3");
    assert_eq!(scene.ok(), "commit applied 1 waits for resuming from #2 until host 0; deliver 2");
    assert_eq!(scene.ok(), "commit applied 2; read #3 to #3");
    assert_eq!(scene.reads(3, 3), "deliver 3");
    assert_eq!(scene.ok(), "commit applied 3 free");
}

#[test]
fn held_events_past_their_bound_make_the_entity_wait_and_the_highest_is_dropped() {
    let mut scene = scene(|policy| policy.held_max = 2);
    scene.comes(5);
    scene.comes(4);
    assert_eq!(scene.comes(3), "commit waits for gap from #1 until stream 30000; close #3; close #2; close #1");
    let held = scene.sequencer.status(Default::default()).held.unwrap();
    assert_eq!((held.1.sequence, held.2.sequence), (3, 4));
}

#[test]
fn s_is_one_above_the_last_message_taken_when_nothing_is_unfinished() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    assert_eq!(scene.park(), "commit waits for operator from #2 parked; done");
    assert_eq!(scene.comes(2), "close #2");
    assert_eq!(scene.resume(2), "commit waits for resuming from #2 until host 0; done; deliver 2; commit applied 2 free");
}

#[test]
fn closed_is_not_forgotten_when_the_missing_event_comes_nothing_is_read_again() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    scene.after(1_000);
    let told = "commit waits for resuming from #1 until host 1000; close #2; deliver 1; commit applied 1; deliver 2; commit applied 2 free";
    assert_eq!(scene.comes(1), told);
}

#[test]
fn what_waited_for_the_missing_event_is_owed_through_a_crash_as_soon_as_it_came() {
    let mut scene = scene(|policy| policy.gap_wait = 1_000).slow_handlers();
    scene.comes(2);
    assert_eq!(scene.after(1_000), "commit waits for gap from #1 parked; close #1");
    assert_eq!(scene.comes(1), "commit waits for resuming from #1 until host 1000; close #2; deliver 1");
    scene.restart(2);
    assert_eq!(scene.step(Input::Tick), "read #1 to #2");
    assert_eq!(scene.reads(1, 2), "deliver 1");
}

#[test]
fn everything_is_dropped_when_the_actor_leaves_memory() {
    let mut scene = scene(|_| {});
    scene.comes(3);
    scene.after(1_000);
    scene.reload();
    assert_eq!(scene.sequencer.status(Default::default()).dropped, Some((1, 1)));
}

#[test]
fn from_its_first_drop_on_an_entity_drops_arrivals_too_except_the_missing_one() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(3);
    scene.after(1_000);
    scene.reload();
    assert_eq!(scene.comes(2), "close #2");
    assert_eq!(scene.comes(1), "commit waits for resuming from #1 until host 1000; close #3; deliver 1");
    assert_eq!(scene.ok(), "commit applied 1; read #1 to #2");
}

#[test]
fn the_commit_that_starts_a_catch_up_sets_the_alarm_to_now() {
    let mut scene = scene(|_| {});
    scene.comes(3);
    scene.after(1_000);
    scene.reload();
    scene.comes(2);
    assert_eq!(scene.after(29_000), "commit waits for resuming from #1 until host 30000; read #1 to #2");
}

#[test]
fn an_operator_starts_a_catch_up_too() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    scene.park();
    scene.comes(2);
    scene.reload();
    assert_eq!(scene.resume(2), "commit waits for resuming from #2 until host 0; done; read #2 to #2");
}

#[test]
fn after_a_start_the_catch_up_reads_up_to_the_watermark_and_arrivals_raise_its_end() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    scene.park();
    scene.comes(2);
    scene.comes(3);
    scene.restart(3);
    scene.resume(2);
    assert_eq!(scene.comes(4), "close #4");
    assert_eq!(scene.reads(2, 3), "deliver 2; commit applied 2; deliver 3; commit applied 3; read on to #4");
}

#[test]
fn what_is_passed_over_is_brought_by_another_pass_from_s() {
    let mut scene = scene(|policy| policy.held_max = 2);
    for sequence in [5, 4, 3, 2] {
        scene.comes(sequence);
    }
    let told = "commit waits for resuming from #1 until host 0; close #5; deliver 1; commit applied 1; read #1 to #4";
    assert_eq!(scene.comes(1), told);
    let told = "deliver 2; commit applied 2; deliver 3; commit applied 3; deliver 4; commit applied 4; read #1 to #4";
    assert_eq!(scene.reads(1, 4), told);
    assert_eq!(scene.reads(1, 4), "deliver 5; commit applied 5; commit free");
}

#[test]
fn a_pass_that_moved_the_position_and_left_something_is_followed_by_another() {
    let mut scene = scene(|policy| policy.held_max = 2);
    scene.comes(1);
    scene.park();
    for sequence in [6, 5, 4, 2, 3] {
        scene.comes(sequence);
    }
    scene.reload();
    scene.resume(2);
    let told = scene.reads(2, 6);
    assert!(told.ends_with("deliver 4; commit applied 4; deliver 5; commit applied 5; read #2 to #6"), "{told}");
    assert_eq!(scene.reads(2, 6), "deliver 6; commit applied 6; commit free");
}

#[test]
fn a_pass_that_brings_more_than_is_taken_ends_early_and_the_next_one_goes_on_from_there() {
    let mut scene = scene(|policy| policy.queue_max = 2).slow_handlers();
    scene.park();
    for sequence in 1..=6 {
        scene.comes(sequence);
    }
    scene.reload();
    assert!(scene.resume(1).contains("read #1 to #6"));
    scene.step(Input::PassStarted { gone_below: 1 });
    assert_eq!(scene.brings(1), "deliver 1");
    scene.brings(2);
    scene.brings(3);
    assert!(!scene.had_enough(), "all of it is kept");
    scene.brings(4);
    assert!(scene.had_enough());
    assert_eq!(scene.step(Input::PassEnded { to: 0 }), "");
    scene.ok();
    scene.ok();
    assert_eq!(scene.ok(), "commit applied 3; read #4 to #6");
}

#[test]
fn a_pass_that_ended_early_judges_no_gap() {
    let mut scene = scene(|policy| (policy.held_max, policy.gap_then) = (1, GapThen::Skip));
    for sequence in [3, 4] {
        scene.comes(sequence);
    }
    scene.after(1_000);
    scene.comes(2);
    scene.reload();
    scene.after(60_000);
    scene.step(Input::PassStarted { gone_below: 1 });
    scene.brings(1);
    scene.brings(2);
    // The third message may be the missing one: this pass does not know.
    assert_eq!(scene.step(Input::PassEnded { to: 2 }), "read #1 to #3");
}

#[test]
fn with_something_dropped_a_gap_gives_up_only_after_a_pass_that_did_not_bring_the_missing_event() {
    let mut scene = scene(|policy| (policy.gap_then, policy.held_max) = (GapThen::Skip, 2));
    for sequence in [9, 5, 4, 3] {
        scene.comes(sequence);
    }
    assert_eq!(scene.after(30_000), "commit waits for resuming from #1 until host 30000; read #1 to #4");
    let told = scene.reads(1, 4);
    assert!(told.ends_with("deliver 3; commit applied 3; deliver 4; commit applied 4; read #1 to #4"), "{told}");
    assert_eq!(scene.position(), 4);
}

#[test]
fn the_step_that_finds_nothing_unfinished_frees_the_entity_before_its_commit_returns() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    scene.park();
    scene.comes(2);
    scene.reload();
    scene.resume(2);
    let mut scene = scene.slow_store(true);
    assert_eq!(scene.reads(2, 2), "deliver 2; commit applied 2; commit free");
    assert_eq!(scene.comes(3), "deliver 3; commit applied 3");
}

#[test]
fn a_catch_up_that_breaks_off_is_tried_again_soon() {
    let mut scene = scene(|_| {});
    for sequence in [3, 2] {
        scene.comes(sequence);
    }
    scene.after(1_000);
    scene.reload();
    scene.comes(1);
    scene.brings(1);
    assert_eq!(scene.step(Input::PassFailed), "commit waits for resuming from #1 until host 2000");
    assert_eq!(scene.after_host(999), "");
    assert_eq!(scene.after_host(1), "read #1 to #2");
}

#[test]
fn what_retention_took_is_named_in_the_commit_that_moves_s_past_it() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    scene.comes(3);
    scene.after(1_000);
    scene.reload();
    scene.after(29_000);
    assert_eq!(scene.step(Input::PassStarted { gone_below: 2 }), "commit lost Some((1, 1)) waits for resuming from #2 until host 30000");
}

/// A catch-up of #1 to #4 that brought these and broke off: retention takes what is not among them before the pass comes to it.
fn broke_off_behind(brought: &[u64]) -> Scene {
    let mut scene = scene(|_| {});
    for sequence in [4, 5, 3, 2] {
        scene.comes(sequence);
    }
    scene.after(1_000);
    scene.reload();
    scene.after(29_000);
    scene.step(Input::PassStarted { gone_below: 1 });
    for stream_sequence in brought {
        scene.brings(*stream_sequence);
    }
    scene.step(Input::PassFailed);
    scene
}

#[test]
fn what_retention_took_before_a_catch_up_broke_off_is_named_by_the_next() {
    let mut scene = broke_off_behind(&[1, 3]);
    scene.after_host(1_000);
    assert_eq!(scene.step(Input::PassStarted { gone_below: 3 }), "commit lost Some((1, 2)) waits for resuming from #1 until host 31000");
}

#[test]
fn what_retention_took_before_a_catch_up_broke_off_at_its_last_message_is_named_by_the_next() {
    let mut scene = broke_off_behind(&[1, 3, 4]);
    assert!(!scene.sequencer.can_leave(), "nothing durable tells what is unsure");
    scene.after_host(1_000);
    let told = scene.step(Input::PassStarted { gone_below: 3 });
    assert!(told.starts_with("commit lost Some((1, 2)) "), "{told}");
}

#[test]
fn what_leaves_memory_between_the_ask_for_a_catch_up_and_its_start_is_named_when_it_is_gone() {
    let mut scene = scene(|policy| policy.held_max = 2);
    for sequence in [4, 3, 5] {
        scene.comes(sequence);
    }
    scene.after(1_000);
    assert!(scene.after(29_000).ends_with("read #1 to #3"));
    // Only #3 had been dropped; of the two in memory the higher place goes too.
    scene.step(Input::Shed);
    assert_eq!(scene.step(Input::PassStarted { gone_below: 4 }), "commit lost Some((1, 3)) waits for resuming from #2 until host 30000");
}

// §5.2: the policies.

#[test]
fn past_held_max_the_entity_waits_and_only_wait_gives_up() {
    let mut scene = scene(|policy| (policy.gap_then, policy.held_max) = (GapThen::Skip, 2));
    for sequence in 3..10 {
        scene.comes(sequence);
    }
    assert_eq!(scene.position(), 0);
    assert_eq!(scene.after(29_999), "");
    assert_eq!(scene.after(1), "commit waits for resuming from #1 until host 30000; read #1 to #7");
}

#[test]
fn held_bytes_past_their_bound_shed_the_entity_that_holds_most() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    scene.comes(3);
    assert_eq!(scene.step(Input::Shed), "commit waits for gap from #1 until stream 30000; close #1; close #2");
    assert_eq!(scene.sequencer.held(), (0, 0));
    let told = "commit waits for resuming from #1 until host 0; close #3; deliver 1; commit applied 1; read #1 to #2";
    assert_eq!(scene.comes(1), told);
}

#[test]
fn a_gap_never_gives_up_because_the_host_was_behind() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::Skip);
    scene.comes(2);
    assert_eq!(scene.after_host(1_000_000), "commit waits for gap from #1 until stream 30000; close #1");
    assert_eq!(scene.position(), 0);
}

#[test]
fn skip_jumps_to_the_lowest_held_and_remembers_the_range() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::Skip);
    scene.comes(1);
    scene.comes(5);
    scene.comes(4);
    assert_eq!(scene.after(30_000), "deliver 4; commit applied 4; deliver 5; commit applied 5");
    assert_eq!(scene.durable.extras.given_up.len(), 1);
    assert_eq!(scene.comes(2), "late; commit dead 2 late");
}

#[test]
fn late_events_are_dropped_when_the_policy_says_so() {
    let mut scene = scene(|policy| (policy.gap_then, policy.late) = (GapThen::Skip, Late::Drop));
    scene.comes(2);
    scene.after(30_000);
    assert_eq!(scene.comes(1), "late; close #2 dropped late");
}

#[test]
fn late_events_are_delivered_out_of_order_and_flagged_when_the_policy_says_so() {
    let mut scene = scene(|policy| (policy.gap_then, policy.late) = (GapThen::Skip, Late::Deliver));
    scene.comes(3);
    scene.after(30_000);
    assert_eq!(scene.comes(1), "late; deliver 1 late; commit applied 1");
    assert_eq!(scene.comes(1), "close #3 duplicate");
    assert_eq!(scene.comes(2), "late; deliver 2 late; commit applied 2");
}

#[test]
fn more_late_events_than_fit_wait_and_are_not_given_up() {
    let mut scene = scene(|policy| (policy.gap_then, policy.late, policy.held_max) = (GapThen::Skip, Late::Deliver, 2)).slow_handlers();
    scene.comes(9);
    scene.after(30_000);
    scene.ok();
    for sequence in 1..4 {
        scene.comes(sequence);
    }
    assert_eq!(scene.comes(4), "commit waits for overflow from #2 until host 30000; close #2; close #3; close #4; close #5");
}

#[test]
fn evicted_ranges_fold_into_the_floor_below_which_an_unknown_id_is_late_and_never_delivered() {
    let mut scene = scene(|policy| (policy.gap_then, policy.late, policy.ranges_max) = (GapThen::Skip, Late::Deliver, 1));
    for sequence in [2, 4] {
        scene.comes(sequence);
        scene.after(30_000);
    }
    assert_eq!(scene.durable.extras.floor.sequence, 1);
    assert_eq!(scene.comes(1), "late; commit dead 1 late");
    assert_eq!(scene.comes(3), "late; deliver 3 late; commit applied 3");
}

#[test]
fn dead_letter_gives_the_early_events_up_one_commit_each_and_the_position_stays() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::DeadLetter);
    scene.comes(1);
    scene.comes(3);
    scene.comes(4);
    assert_eq!(scene.after(30_000), "commit dead 3 gap; commit dead 4 gap");
    assert_eq!(scene.position(), 1);
}

#[test]
fn what_was_dead_lettered_early_counts_as_finished_when_the_position_gets_there() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::DeadLetter);
    scene.comes(3);
    scene.after(30_000);
    assert_eq!(scene.comes(3), "close #2 duplicate");
    scene.comes(1);
    scene.comes(2);
    assert_eq!(scene.position(), 3);
    assert_eq!(scene.comes(4), "deliver 4; commit applied 4");
    assert_eq!(scene.comes(3), "close #6 duplicate");
}

#[test]
fn ranges_above_the_position_never_fold_and_when_full_the_entity_parks() {
    let mut scene = scene(|policy| (policy.gap_then, policy.ranges_max) = (GapThen::DeadLetter, 1));
    scene.comes(3);
    scene.comes(5);
    assert_eq!(scene.after(30_000), "commit dead 3 gap; commit waits for ranges-full from #2 parked; close #2");
}

#[test]
fn a_parked_gap_goes_on_when_the_missing_event_comes() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::Park);
    scene.comes(2);
    assert_eq!(scene.after(30_000), "commit waits for gap from #1 parked; close #1");
    assert_eq!(scene.after(1_000_000), "");
    assert!(scene.comes(1).ends_with("deliver 1; commit applied 1; deliver 2; commit applied 2 free"));
}

#[test]
fn stop_by_gap_leaves_the_entity_waiting_with_its_alarm_so_that_a_restart_tries_again() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::Stop);
    scene.comes(2);
    assert_eq!(scene.after(30_000), "commit waits for gap from #1 until stream 30000; close #1; stop");
    assert_eq!(scene.comes(3), "");
    scene.restart(1);
    assert_eq!(scene.step(Input::Tick), "commit waits for resuming from #1 until host 30000; read #1 to #1");
    assert!(scene.reads(1, 1).ends_with("stop"));
}

#[test]
fn stop_by_failure_leaves_the_event_open() {
    let mut scene = scene(|policy| (policy.failure_then, policy.retry) = (FailureThen::Stop, vec![])).slow_handlers();
    scene.comes(1);
    assert_eq!(scene.fails(DeadReason::Trap), "stop");
    scene.restart(0);
    assert_eq!(scene.again(1), "deliver 1");
}

#[test]
fn first_any_is_a_gap_that_gives_up_at_the_lowest_seen_whatever_then_says() {
    let mut scene = scene(|policy| (policy.first, policy.gap_then) = (First::Any, GapThen::Stop));
    assert_eq!((scene.comes(8), scene.comes(7)), (String::new(), String::new()));
    assert_eq!(scene.after(30_000), "deliver 7; commit applied 7; deliver 8; commit applied 8");
    assert_eq!(scene.comes(6), "late; commit dead 6 late");
}

#[test]
fn no_arrival_fills_the_gap_below_the_first_event_seen_before_the_wait_is_over() {
    let mut scene = scene(|policy| policy.first = First::Any);
    assert_eq!((scene.comes(1), scene.after(29_999)), (String::new(), "commit waits for gap from #1 until stream 30000; close #1".into()));
    assert_eq!(scene.after(1), "deliver 1; commit applied 1 free");
}

#[test]
fn what_stands_before_first_sequence_is_late() {
    let mut scene = scene(|policy| (policy.first, policy.late) = (First::At(10), Late::Deliver));
    assert_eq!(scene.comes(9), "late; commit dead 9 late");
    assert_eq!(scene.comes(10), "deliver 10; commit applied 10");
    assert_eq!(scene.comes(8), "late; commit dead 8 late");
}

#[test]
fn more_than_jump_max_ahead_is_malformed() {
    let mut scene = scene(|policy| policy.jump_max = 10);
    assert_eq!(scene.comes(11), "commit dead 11 malformed");
    assert_eq!(scene.comes(10), "gap of 9");
}

#[test]
fn jump_max_does_not_judge_what_a_pass_passes_over() {
    let mut scene = scene(|policy| (policy.jump_max, policy.held_max) = (4, 2));
    scene.comes(1);
    scene.park();
    for sequence in [5, 4, 3, 6, 7, 2] {
        scene.comes(sequence);
    }
    scene.reload();
    scene.resume(2);
    let told = scene.reads(2, 7);
    assert!(!told.contains("malformed"), "{told}");
}

#[test]
fn the_first_event_of_a_higher_epoch_is_held_until_the_lower_ones_gap_closes() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    scene.comes(3);
    scene.epoch(1);
    assert_eq!(scene.comes(1), "");
    scene.epoch(0);
    assert_eq!(scene.comes(2), "deliver 2; commit applied 2; deliver 3; commit applied 3; deliver 1/1; commit applied 1/1");
    assert_eq!(scene.comes(4), "late; commit dead 4 late");
    assert_eq!(scene.comes(3), "close #6 duplicate");
}

#[test]
fn an_epoch_that_begins_anywhere_is_not_forgotten_by_a_crash_in_between() {
    let mut scene = scene(|policy| policy.first = First::Any);
    scene.comes(5);
    scene.after(30_000);
    scene.epoch(1);
    scene.comes(7);
    scene.after(1_000);
    scene.restart(2);
    scene.epoch(0);
    scene.after(29_000);
    let told = scene.reads(1, 2);
    assert!(told.ends_with("deliver 1/7; commit applied 1/7 free"), "{told}");
    assert_eq!(scene.comes(5), "close #3 duplicate");
}

#[test]
fn same_sequence_and_payload_is_a_duplicate_whatever_the_id() {
    let mut scene = scene(|_| {});
    scene.comes_as(1, 77, 5);
    assert_eq!(scene.comes_as(1, 78, 5), "close #2 duplicate");
}

#[test]
fn a_conflict_needs_another_payload_and_is_seen_while_ids_remember_it() {
    let mut scene = scene(|policy| policy.ids = 1);
    scene.comes_as(1, 0, 5);
    assert_eq!(scene.comes_as(1, 0, 6), "conflict; commit dead 1 conflict");
    scene.comes(2);
    assert_eq!(scene.comes_as(1, 0, 6), "close #4 duplicate");
}

#[test]
fn a_conflict_is_decided_once_although_it_is_read_again() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(2);
    assert_eq!(scene.comes_as(2, 0, 99), "conflict; commit dead 2 conflict");
    scene.restart(0);
    scene.again(1);
    assert_eq!(scene.again(2), "close #2 duplicate");
}

#[test]
fn a_known_id_under_a_new_sequence_is_a_duplicate_whose_sequence_still_counts() {
    let mut scene = scene(|_| {});
    scene.comes_as(1, 77, 5);
    assert_eq!(scene.comes_as(2, 77, 5), "commit duplicate");
    assert_eq!(scene.comes(3), "deliver 3; commit applied 3");
}

// Failure.

#[test]
fn exhausted_retries_dead_letter_and_go_on() {
    let mut scene = scene(|policy| policy.retry = vec![]).slow_handlers();
    scene.comes(1);
    scene.comes(2);
    assert_eq!(scene.fails(DeadReason::Timeout), "commit dead 1 timeout; deliver 2");
}

#[test]
fn exhausted_retries_park_and_an_operator_resumes_or_skips() {
    let mut scene = scene(|policy| (policy.retry, policy.failure_then) = (vec![], FailureThen::Park)).slow_handlers();
    scene.comes(1);
    assert_eq!(scene.fails(DeadReason::Trap), "commit waits for trap from #1 parked; close #1");
    assert_eq!(scene.comes(2), "close #2");
    assert_eq!(scene.resume(2), "elsewhere 1");
    assert_eq!(scene.resume(1), "commit waits for resuming from #1 until host 0; done; deliver 1");
    scene.fails(DeadReason::Trap);
    assert_eq!(scene.skip(1), "commit waits for resuming from #1 until host 0; commit dead 1 skipped; done; deliver 2");
}

#[test]
fn a_rejected_event_is_never_tried_again() {
    let mut scene = scene(|policy| policy.failure_then = FailureThen::Park).slow_handlers();
    scene.comes(1);
    assert_eq!(scene.fails(DeadReason::Rejected), "commit dead 1 rejected");
}

#[test]
fn attempts_survive_a_crash() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.fails(DeadReason::Trap);
    scene.restart(1);
    assert_eq!(scene.after_host(100), "read #1 to #1");
    assert_eq!(scene.reads(1, 1), "deliver 1 attempt 2");
}

#[test]
fn an_undelivered_event_counts_no_attempt() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    assert_eq!(scene.step(Input::Undelivered), "deliver 1");
}

// Handlers that are not called (the circuit breaker).

#[test]
fn a_barred_event_waits_without_an_attempt_until_it_is_released() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.comes(2);
    assert_eq!(scene.step(Input::Barred), "commit waits for breaker from #1 until host 0; close #1; close #2");
    assert_eq!(scene.comes(3), "close #3");
    // Its alarm has rung all the time: nothing is stepped for it, and nothing is committed again.
    assert_eq!((scene.sequencer.next_wakeup(), scene.after(60_000)), (Wakeup::default(), String::new()));
    assert_eq!(scene.step(Input::Released), "deliver 1");
    assert_eq!(scene.step(Input::Barred), "");
    assert_eq!(scene.step(Input::Released), "deliver 1");
    assert_eq!(scene.ok(), "commit applied 1 waits for resuming from #2 until host 60000; deliver 2");
    assert_eq!(scene.ok(), "commit applied 2; deliver 3");
    assert_eq!(scene.ok(), "commit applied 3 free");
}

#[test]
fn attempts_made_before_it_was_barred_are_kept_through_a_crash() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.fails(DeadReason::Trap);
    assert_eq!(scene.after_host(100), "deliver 1 attempt 2");
    assert_eq!(scene.step(Input::Barred), "commit waits for breaker from #1 until host 100");
    scene.restart(1);
    assert!(scene.sequencer.barred());
    assert_eq!((scene.step(Input::Tick), scene.comes(2)), (String::new(), "close #2".into()));
    assert_eq!(scene.step(Input::Released), "read #1 to #2");
    assert_eq!(scene.reads(1, 2), "deliver 1 attempt 2");
    assert_eq!(scene.fails(DeadReason::Trap), "commit waits for retry from #1 until host 1100");
    assert_eq!(scene.after_host(1_000), "deliver 1 attempt 3");
    assert_eq!(scene.fails(DeadReason::Trap), "commit dead 1 trap waits for resuming from #2 until host 1100; deliver 2");
}

#[test]
fn an_operator_parks_resumes_and_skips_what_is_barred() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.comes(2);
    scene.step(Input::Barred);
    assert_eq!(scene.park(), "commit waits for operator from #1 parked; done");
    assert_eq!(scene.step(Input::Released), "");
    assert_eq!(scene.resume(1), "commit waits for resuming from #1 until host 0; done; deliver 1");
    assert_eq!(scene.step(Input::Barred), "commit waits for breaker from #1 until host 0");
    assert_eq!(scene.skip(1), "commit waits for resuming from #1 until host 0; commit dead 1 skipped; done; deliver 2");
    scene.step(Input::Barred);
    assert_eq!(scene.sequencer.status(Default::default()).sentence(), "waits to handle event 2 until its handlers are called again");
}

#[test]
fn what_was_parked_or_given_up_before_it_was_barred_does_not_wait_for_the_handlers() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.park();
    assert_eq!((scene.step(Input::Barred), scene.sequencer.barred()), (String::new(), false));
    assert_eq!(scene.resume(1), "commit waits for resuming from #1 until host 0; done; deliver 1");
    assert_eq!(scene.skip(1), "");
    assert_eq!(scene.step(Input::Barred), "commit dead 1 skipped free; done");
}

// Operator and outputs.

#[test]
fn a_skip_that_comes_too_late_is_answered_with_where_the_entity_stands() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    assert_eq!(scene.skip(1), "");
    assert_eq!(scene.ok(), "commit applied 1; elsewhere 2");
    assert!(scene.sequencer.can_leave());
}

#[test]
fn an_operator_gives_up_what_is_missing() {
    let mut scene = scene(|_| {});
    scene.comes(3);
    scene.after(1_000);
    assert_eq!(scene.skip(1), "commit waits for resuming from #1 until host 1000; commit; done; deliver 3; commit applied 3 free");
}

#[test]
fn a_catch_up_that_breaks_off_does_not_unpark() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    scene.after(1_000);
    scene.reload();
    scene.after(29_000);
    scene.park();
    assert_eq!(scene.step(Input::PassFailed), "");
    assert_eq!(scene.after(100_000), "");
}

#[test]
fn outputs_that_cannot_be_published_make_the_entity_wait_and_let_its_messages_close() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    assert_eq!(scene.step(Input::OutputsBlocked), "commit waits for output-unavailable from #2 until host 0");
    assert_eq!(scene.comes(2), "close #2");
    assert_eq!(scene.step(Input::OutputsFree), "deliver 2; commit applied 2 free");
}

#[test]
fn dead_letters_that_cannot_leave_are_bounded_and_the_rest_is_read_again() {
    let mut scene = scene(|policy| (policy.commits_max, policy.held_max) = (1, 2)).slow_store(true);
    scene.comes(1);
    let decided: Vec<_> = (0..4).map(|other| scene.comes_as(1, 0, 100 + other)).collect();
    assert!(decided[..2].iter().all(|said| said.contains("dead 1 conflict")), "{decided:?}");
    assert!(decided[2..].iter().all(|said| !said.contains("dead") && said.contains("close")), "{decided:?}");
    assert!(decided[2].contains("waits for overflow from #4"), "{decided:?}");
}

#[test]
fn while_outputs_are_blocked_nothing_is_added_to_them() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    scene.step(Input::OutputsBlocked);
    assert_eq!(scene.comes_as(1, 0, 100), "close #2");
    assert!(scene.step(Input::OutputsFree).contains("read #2 to #2"));
}

#[test]
fn a_pass_in_too_little_memory_goes_on_with_the_lowest_event() {
    let mut scene = scene(|_| {}).slow_handlers();
    scene.comes(1);
    scene.epoch(1);
    scene.comes(2);
    scene.comes(1);
    scene.step(Input::Shed);
    assert!(scene.step(Input::Applied).ends_with("read #2 to #3"));
    scene.brings(2);
    scene.brings(3);
    assert_eq!(scene.step(Input::Shed), "");
    assert_eq!(scene.step(Input::PassEnded { to: 3 }), "deliver 1/1");
}

#[test]
fn what_retention_takes_before_a_message_that_the_pass_brings_is_named() {
    let mut scene = scene(|_| {});
    for sequence in [3, 2, 4] {
        scene.comes(sequence);
    }
    scene.after(1_000);
    scene.reload();
    scene.after(29_000);
    scene.step(Input::PassStarted { gone_below: 1 });
    scene.brings(3);
    let told = scene.step(Input::PassStarted { gone_below: 3 });
    assert!(told.starts_with("commit lost Some((1, 2))"), "{told}");
}

#[test]
fn an_output_refused_for_good_parks() {
    let mut scene = scene(|_| {});
    scene.comes(1);
    assert_eq!(scene.step(Input::OutputsRefused), "commit waits for output-undeliverable from #2 parked");
    assert_eq!(scene.comes(2), "close #2");
}

#[test]
fn what_retention_takes_behind_the_end_of_a_pass_is_named_when_the_pass_goes_on() {
    let mut scene = scene(|_| {});
    scene.comes(2);
    scene.after(1_000);
    scene.reload();
    scene.after(29_000);
    scene.comes(3);
    // What was dropped behind the end of the pass is named with it: a shared pass may read that far before it ends.
    assert!(scene.step(Input::PassStarted { gone_below: 9 }).starts_with("commit lost Some((1, 2))"));
    assert_eq!(scene.step(Input::PassEnded { to: 1 }), "read on to #2");
}

#[test]
fn an_epoch_takes_over_what_was_dead_lettered_early_at_its_beginning() {
    let mut scene = scene(|policy| policy.gap_then = GapThen::DeadLetter);
    scene.comes(1);
    scene.comes(3);
    scene.epoch(1);
    scene.comes(1);
    scene.after(10_000);
    scene.epoch(0);
    scene.comes(4);
    // What came first is given up first, the beginning of the next epoch too.
    let told = scene.after(20_000);
    assert!(told.contains("commit dead 3 gap") && told.contains("commit dead 1/1 gap"), "{told}");
    scene.comes(2);
    scene.epoch(1);
    let told = scene.comes(2);
    assert!(told.contains("commit applied 1/2"), "{told}");
}

#[test]
fn what_is_gone_is_named_once_through_a_crash_and_so_is_what_leaves_memory_with_it() {
    let mut scene = scene(|_| {});
    for sequence in [3, 4, 2, 5] {
        scene.comes(sequence);
    }
    scene.after(1_000);
    scene.reload();
    scene.after(29_000);
    scene.step(Input::PassStarted { gone_below: 1 });
    scene.brings(3);
    let told = scene.step(Input::PassStarted { gone_below: 3 });
    assert!(told.starts_with("commit lost Some((1, 2))"), "{told}");
    scene.brings(2);
    // S is still that of event 3, in memory only.
    scene.restart(4);
    scene.after(1_000);
    let told = scene.step(Input::PassStarted { gone_below: 4 });
    assert!(told.starts_with("commit lost Some((3, 3))"), "{told}");
}

#[test]
fn a_retry_whose_event_is_gone_with_its_stream_ends_by_itself() {
    let mut scene = scene(|policy| policy.retry = vec![5_000]).slow_handlers();
    scene.comes(1);
    scene.fails(DeadReason::RetriesExhausted);
    scene.durable.rebase(1);
    scene.restart(0);
    assert_eq!(scene.sequencer.next_wakeup().host, Some(5_000));
    assert_eq!(scene.after(5_000), "commit free");
    assert_eq!(scene.sequencer.next_wakeup(), Wakeup::default());
}
