//! Fates from records that are written out, one sentence of the policy each.

use super::*;
use seriatim_sequencer::{Alarm, Attempts, Extras, Slot, WaitReason};

fn at(sequence: u64) -> Place {
    Place { epoch: 0, sequence }
}

fn range(first: u64, last: u64) -> Range {
    Range { first: seriatim_sequencer::Place { epoch: 0, sequence: first }, last }
}

/// Position 10, everything read up to message 100 and closed up to 90.
fn view() -> RecordView {
    RecordView { position: Some(at(10)), watermark: 90, highest: 100, ..RecordView::default() }
}

fn message(stream_sequence: u64, sequence: u64) -> Seen {
    Seen { stream_sequence, place: Some(at(sequence)), id_hash: sequence, payload_hash: sequence, subject: "s.E".into(), ..Seen::default() }
}

fn waiting(from: u64, attempts: (u64, u32)) -> Option<Waiting> {
    let attempts = Attempts { stream_sequence: attempts.0, count: attempts.1 };
    Some(Waiting { from, reason: WaitReason::Gap, attempts, alarm: Some(Alarm::Stream(5)), since: 1 })
}

fn letter(number: u64, source_sequence: u64, reason: &str) -> DeadLetterRow {
    DeadLetterRow {
        stream_sequence: number,
        time: 50,
        pipeline: "p".into(),
        reason: reason.into(),
        error: "why".into(),
        entity: Some("E".into()),
        place: None,
        handler: None,
        attempts: 0,
        source: "S".into(),
        source_sequence,
        source_last: None,
        subject: Some("s.E".into()),
    }
}

fn word(view: &RecordView, message: &Seen) -> &'static str {
    fate(view, message, &[]).0.name()
}

#[test]
fn the_position_tells() {
    let view = view();
    assert_eq!(word(&view, &message(50, 10)), "finished");
    assert_eq!(word(&view, &message(95, 10)), "finished", "a copy above the watermark is one all the same");
    assert_eq!(word(&view, &message(95, 11)), "waiting");
    assert_eq!(fate(&view, &message(95, 11), &[]).1, "read; it is the next one");
    assert_eq!(fate(&view, &message(96, 13), &[]).1, "read; the entity is at sequence 11");
    assert_eq!(word(&view, &message(101, 11)), "not-read");
    assert_eq!(word(&view, &message(60, 5_000_000)), "given-up", "closed, and not passed: it was too far ahead");
}

#[test]
fn what_the_entity_waits_with_is_still_to_do() {
    let view = RecordView { waiting: waiting(40, (41, 2)), ..view() };
    assert_eq!(word(&view, &message(40, 12)), "waiting", "closed is not done");
    assert_eq!(word(&view, &message(41, 10)), "finished", "the position tells whatever it waits with");
    assert_eq!(fate(&view, &message(41, 11), &[]).1, "the entity waits (gap) with everything from message 40 on; tried 2 times");
    let given_up = RecordView { given_up: vec![range(4, 4)], ..view.clone() };
    assert_eq!(word(&given_up, &message(42, 4)), "waiting", "late, and nobody has said so durably");
    assert_eq!(word(&given_up, &message(39, 4)), "late");
    let decided = RecordView { fates: vec![42], ..given_up };
    assert_eq!(word(&decided, &message(42, 4)), "late");
}

#[test]
fn given_up_ranges_tell_late_from_early() {
    let view = RecordView { given_up: vec![range(4, 6), range(13, 13)], ..view() };
    assert_eq!(word(&view, &message(50, 5)), "late", "it never came before");
    assert_eq!(word(&view, &message(50, 13)), "given-up", "it came early");
    assert_eq!(word(&view, &message(50, 7)), "finished");
    let remembered = Remembered { place: at(13), id: 13, payload: 13 };
    let view = RecordView { recent: vec![remembered], ..view };
    assert_eq!(word(&view, &message(50, 13)), "given-up", "remembered, and still not applied");
}

#[test]
fn below_the_floor_only_what_was_read_before_is_known() {
    let view = RecordView { floor: Some(at(6)), floor_through: 30, ..view() };
    assert_eq!(word(&view, &message(30, 5)), "finished");
    assert!(fate(&view, &message(30, 5), &[]).1.contains("does not tell which"));
    assert_eq!(word(&view, &message(31, 5)), "late");
    assert_eq!(word(&view, &message(31, 7)), "finished");
}

#[test]
fn another_payload_under_a_remembered_place_is_a_conflict() {
    let view = RecordView { recent: vec![Remembered { place: at(9), id: 9, payload: 77 }], ..view() };
    let (fate_of, detail) = fate(&view, &message(50, 9), &[]);
    assert_eq!(fate_of, Fate::GivenUp);
    assert!(detail.starts_with("conflict"));
    assert_eq!(word(&view, &message(95, 9)), "waiting", "not decided durably");
    assert_eq!(word(&view, &Seen { payload_hash: 77, ..message(95, 9) }), "finished");
}

#[test]
fn earlier_epochs_have_their_last_positions() {
    let epoch = |epoch, sequence| Some(Place { epoch, sequence });
    let view = RecordView { position: epoch(2, 3), past: vec![Place { epoch: 1, sequence: 8 }], ..view() };
    assert_eq!(word(&view, &Seen { place: epoch(1, 8), ..message(50, 0) }), "finished");
    assert_eq!(word(&view, &Seen { place: epoch(1, 9), ..message(50, 0) }), "late");
    assert_eq!(word(&view, &Seen { place: epoch(0, 1), ..message(50, 0) }), "late");
    assert_eq!(word(&view, &Seen { place: epoch(3, 1), ..message(95, 0) }), "waiting");
    assert!(fate(&view, &Seen { place: epoch(2, 3), ..message(50, 0) }, &[]).1.ends_with("3 of epoch 2"));
}

#[test]
fn without_a_record_the_watermark_tells() {
    let view = RecordView { watermark: 90, highest: 100, ..RecordView::default() };
    assert_eq!(word(&view, &message(95, 1)), "waiting");
    let (fate_of, detail) = fate(&view, &message(50, 1), &[]);
    assert_eq!((fate_of, detail.contains("keeps no position")), (Fate::Finished, true));
    assert_eq!(word(&RecordView { fates: vec![50], ..view.clone() }, &message(50, 1)), "given-up");
    let bad = Seen { place: None, malformed: Some("no sequence".into()), ..message(50, 1) };
    assert_eq!(fate(&view, &bad, &[]), (Fate::Malformed, "no sequence".to_owned()));
    assert_eq!(word(&view, &Seen { stream_sequence: 101, ..bad }), "not-read");
}

#[test]
fn its_dead_letter_says_most() {
    let view = view();
    let of = |reason: &str| fate(&view, &message(50, 5), &[&letter(7, 50, reason)]);
    assert_eq!(of("rejected"), (Fate::GivenUp, "dead letter 7 (rejected): why".to_owned()));
    assert_eq!((of("late").0, of("malformed").0, of("gap").0), (Fate::Late, Fate::Malformed, Fate::GivenUp));
    let redriven = RecordView { redriven: vec![7], ..view.clone() };
    let (fate_of, detail) = fate(&redriven, &message(50, 5), &[&letter(7, 50, "rejected")]);
    assert_eq!((fate_of, detail.as_str()), (Fate::Finished, "dead letter 7 (rejected), redriven since"));
}

#[test]
fn a_page_joins_messages_with_their_dead_letters_only() {
    let elsewhere = DeadLetterRow { subject: Some("s.F".into()), ..letter(8, 50, "trap") };
    let older = DeadLetterRow { time: 9, ..letter(9, 51, "trap") };
    let part = HistoryPart {
        messages: [message(50, 5), message(51, 6), message(52, 6)].map(|message| Seen { time: 10, ..message }).to_vec(),
        letters: vec![letter(7, 50, "trap"), elsewhere, older],
        letters_complete: true,
        next: Some(53),
    };
    let page = page(part, &view());
    let rows: Vec<(&str, &[u64])> = page.events.iter().map(|row| (row.fate.as_str(), row.dead_letters.as_slice())).collect();
    assert_eq!(rows, [("given-up", &[7][..]), ("finished", &[]), ("finished", &[])]);
    assert!(page.events[2].detail.ends_with("it has the place of message 51"), "{}", page.events[2].detail);
    assert_eq!(page.next, Some(53));
}

#[test]
fn a_snapshot_is_seen_as_the_core_restores_it() {
    let place = |sequence| seriatim_sequencer::Place { epoch: 0, sequence };
    let slot =
        |count, sequence| Slot { count, position: place(sequence), done_below: 10 * sequence, place: place(sequence), id: 1, payload: 2 };
    let extras = Extras { position: Some(place(12)), done_below: 5, floor: place(3), floor_through: 8, ..Extras::default() };
    let view = RecordView::of(&Snapshot { slots: vec![slot(2, 11), slot(1, 10)], extras, waiting: None }, 90, 100);
    assert_eq!((view.position, view.done_below, view.floor, view.floor_through), (Some(at(12)), 110, Some(at(3)), 8));
    assert_eq!((view.recent.len(), view.watermark, view.highest), (2, 90, 100));
    assert_eq!(RecordView::of(&Snapshot::default(), 0, 0), RecordView::default());
}
