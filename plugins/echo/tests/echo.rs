//! The contract in echo's README, in the SDK's test kit.

use echo::Echo;
use seriatim_guest::testing::{FailureKind, Kit, event};

#[test]
fn every_event_is_sent_on_with_its_sequence_and_count() {
    let mut kit = Kit::<Echo>::new().config("to", "echo").outputs(["echo.*"]);
    for (sequence, count) in [(5_u64, "1"), (6, "2"), (7, "3")] {
        let payload = vec![0, 255, sequence as u8];
        let sent = kit.handle(event("N1.x", sequence).bytes(payload.clone())).unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].subject.as_str(), &sent[0].payload), ("echo.N1=2Ex", &payload));
        assert_eq!(sent[0].header("Echo-Sequence"), Some(sequence.to_string().as_str()));
        assert_eq!(sent[0].header("Echo-Count"), Some(count));
    }
    assert_eq!(kit.get::<u64>("N1.x", "count"), Some(3));
}

#[test]
fn each_entity_has_a_count_of_its_own_and_events_replay() {
    let mut kit = Kit::<Echo>::new().config("to", "echo").outputs(["echo.*"]).state("a", "count", &41);
    let events = || [event("a", 42), event("b", 1), event("a", 43)];
    kit.assert_replays(events());
    for event in events() {
        kit.handle(event).unwrap();
    }
    assert_eq!((kit.get::<u64>("a", "count"), kit.get::<u64>("b", "count")), (Some(43), Some(1)));
}

#[test]
fn without_a_destination_it_asks_to_be_called_again() {
    let mut kit = Kit::<Echo>::new();
    let failure = kit.handle(event("N1", 1)).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retry);
    assert!(failure.message.contains("`to`"), "{failure}");
    assert!(kit.state_of("N1").is_empty());
}

#[test]
fn where_it_may_not_send_nothing_is_counted() {
    let mut kit = Kit::<Echo>::new().config("to", "elsewhere").outputs(["echo.*"]);
    let failure = kit.handle(event("N1", 1)).unwrap_err();
    assert_eq!(failure.to_string(), "output-refused: subject `elsewhere.N1`: not covered by the handler's `outputs`");
    assert!(kit.state_of("N1").is_empty());
}
