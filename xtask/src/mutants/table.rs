//! What each mistake breaks, where it is made, and which end-to-end tests hunt it.

use super::mutant::Mutant;

/// In whose code the mistake is made: only that crate's own tests can notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Home {
    Sequencer,
    Host,
}

/// One mistake, seen from here.
pub(super) struct About {
    /// The guarantee that it breaks first (`docs/guarantees.md`).
    pub(super) breaks: &'static str,
    pub(super) home: Home,
    /// A few, since each takes seconds to minutes. Empty: none was written with this mistake in mind.
    pub(super) e2e: &'static [&'static str],
}

pub(super) fn about(mutant: Mutant) -> About {
    use Home::{Host, Sequencer};
    let (breaks, home, e2e): (_, _, &'static [&'static str]) = match mutant {
        Mutant::WatermarkBeforeCommit => ("G1", Host, &["e2e::host_killed_at_failpoints::before_a_commit"]),
        Mutant::DuplicateClosesEarly => ("G1", Sequencer, &[]),
        Mutant::DedupOff => ("G3", Sequencer, &["e2e::duplicates::the_same_id_beyond_the_brokers_window"]),
        Mutant::ConflictAsDuplicate => ("G1", Sequencer, &["e2e::duplicates::the_same_sequence_with_another_payload_is_a_conflict"]),
        Mutant::LateAsDuplicate => ("G1", Sequencer, &["e2e::gap_never_fills::skip_goes_on_without_it_and_dead_letters_it_when_late"]),
        Mutant::GapTimerOnWallClock => {
            ("G2", Sequencer, &["e2e::stopped_past_wait::sigstop_past_wait_with_the_missing_event_in_the_socket"])
        }
        Mutant::ReaderRecreatedAtWatermark => ("G1", Host, &[]),
        Mutant::WaitingWithoutHeld => ("G1", Sequencer, &["e2e::thousands_waiting::thousands_of_gaps_across_a_restart"]),
        Mutant::CatchUpEndsOneEarly => ("G1", Sequencer, &["e2e::gap_fills_late::more_early_events_than_are_held"]),
        Mutant::ClosesBeforeWaitingCommit => ("G1", Sequencer, &[]),
        Mutant::OwingNotWritten => ("G8", Host, &["e2e::restart_while::killed_while_an_entity_waits_for_a_retry"]),
        Mutant::OutboxNotResent => ("G3", Host, &["e2e::restart_while::killed_while_outputs_are_unconfirmed"]),
        Mutant::ResentBlindPastWindow => {
            ("G3", Host, &["e2e::restart_while::killed_before_a_confirmation_and_started_past_the_duplicate_window"])
        }
        Mutant::PruneLost => ("G3", Host, &["e2e::idle_entity::what_was_confirmed_is_not_sent_again_when_its_stream_has_let_it_go"]),
        Mutant::OutputOrderSwapped => ("G2", Host, &["e2e::order_under_shuffle::a_reversed_history_comes_out_in_order"]),
        Mutant::DeadLetterDroppedWhenRefused => ("G1", Host, &["e2e::output_streams::dead_letters_full_for_a_while"]),
        Mutant::InstanceKeptAfterReject => ("G9", Host, &["e2e::misbehaving_handlers::an_instance_that_failed_serves_no_more"]),
        Mutant::IdentityNotChecked => ("G1", Host, &["e2e::stream_recreated::while_the_host_was_down"]),
        Mutant::ArrivalsAfterCatchUpCommit => ("G1", Sequencer, &[]),
        Mutant::DroppedEndForgottenAtRestart => ("G1", Sequencer, &["e2e::killed_around_a_catch_up_commit::before_its_first_commit"]),
        Mutant::GapJudgedByLiveReader => ("G2", Sequencer, &[]),
        Mutant::ResumeWithoutAlarm => ("G8", Sequencer, &[]),
        Mutant::HeartbeatGapCountedAsIdle => ("G2", Host, &[]),
        Mutant::MalformedDecidedTwice => ("G1", Host, &["e2e::decided_once::dead_letters_are_not_written_again_long_after"]),
        Mutant::PublishBeforeCommit => ("G4", Host, &[]),
        Mutant::ReaderHolePassedOver => ("G1", Host, &[]),
        Mutant::ClaimNotChecked => ("G6", Host, &["e2e::two_hosts::an_empty_folder_for_a_known_pipeline_refuses_until_told_to_take_over"]),
        Mutant::HeldPastBound => ("G7", Sequencer, &[]),
        Mutant::StreamTimeOfHighest => ("G2", Host, &[]),
        Mutant::RedriveNotRemembered => ("G3", Sequencer, &[]),
        Mutant::WordAnsweredBeforeCommit => ("G8", Host, &[]),
        Mutant::StampOfTheNext => ("G4", Host, &[]),
    };
    About { breaks, home, e2e }
}
