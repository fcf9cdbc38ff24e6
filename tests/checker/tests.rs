//! The judge, judged: hand-made good histories pass, and each hand-made offence is found and named.

use super::{Expected, History, Kept, Sent, judge, token};

fn sent(stream_sequence: u64, entity: &str, sequence: u64) -> Sent {
    let headers = vec![
        ("Seriatim-Sequence".to_owned(), sequence.to_string()),
        ("Seriatim-Id".to_owned(), format!("{entity}-{sequence}")),
        ("Nats-Msg-Id".to_owned(), format!("{entity}-{sequence}")),
    ];
    Sent { stream_sequence, entity: entity.to_owned(), sequence, headers, payload: format!("{entity} {sequence}").into_bytes() }
}

fn output(stream_sequence: u64, entity: &str, sequence: u64, count: u64) -> Kept {
    let headers = [
        ("Nats-Msg-Id", format!("flights:0:0:{}:{sequence}:echo:0", entity.replace(' ', "%20"))),
        ("Seriatim-Entity", entity.to_owned()),
        ("Seriatim-Cause-Sequence", sequence.to_string()),
        ("Seriatim-Causation-Id", format!("{entity}-{sequence}")),
        ("Seriatim-Pipeline", "flights".to_owned()),
        ("Seriatim-Handler", "echo".to_owned()),
        ("Seriatim-Component", "0123456789abcdef".repeat(4)),
        ("Echo-Sequence", sequence.to_string()),
        ("Echo-Count", count.to_string()),
    ];
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Kept { stream_sequence, subject: format!("echo.{}", token(entity)), headers, payload: format!("{entity} {sequence}").into_bytes() }
}

fn letter(sent: &Sent, reason: &str) -> Kept {
    let mut headers: Vec<_> = sent
        .headers
        .iter()
        .map(|(name, value)| (if name.starts_with("Nats-") { format!("Seriatim-Dead-{name}") } else { name.clone() }, value.clone()))
        .collect();
    for (name, value) in [
        ("Nats-Msg-Id", format!("flights:0:dead:{}", sent.stream_sequence)),
        ("Seriatim-Dead-Reason", reason.to_owned()),
        ("Seriatim-Dead-Pipeline", "flights".to_owned()),
        ("Seriatim-Dead-Stream", "FLIGHTS".to_owned()),
        ("Seriatim-Dead-Stream-Sequence", sent.stream_sequence.to_string()),
    ] {
        headers.push((name.to_owned(), value));
    }
    Kept { stream_sequence: 1, subject: format!("seriatim.dead.flights.{reason}"), headers, payload: sent.payload.clone() }
}

/// Three events of `a`, one of `b c`, published out of order and partly twice; everything right.
fn good() -> History {
    History {
        sent: vec![sent(1, "a", 2), sent(2, "a", 1), sent(3, "b c", 1), sent(4, "a", 2), sent(5, "a", 3)],
        outputs: vec![output(1, "a", 1, 1), output(2, "b c", 1, 1), output(3, "a", 2, 2), output(4, "a", 3, 3)],
        dead: Vec::new(),
    }
}

fn complaint(history: &History, expected: &Expected) -> String {
    judge(history, expected).expect_err("an offence to be found").to_string()
}

fn everything(history: &History) -> Expected {
    Expected::everything(&history.sent)
}

#[test]
fn a_good_history_passes() {
    let history = good();
    judge(&history, &everything(&history)).expect("no complaint");
}

#[test]
fn a_missing_output_is_found() {
    let mut history = good();
    history.outputs.remove(2);
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("entity a: 2 is missing before 3"), "{text}");
}

#[test]
fn a_missing_end_is_found() {
    let mut history = good();
    history.outputs.pop();
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("entity a: ends before 3"), "{text}");
}

#[test]
fn a_silent_entity_is_found() {
    let mut history = good();
    history.outputs.remove(1);
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("entity b c: ends before 1 (0 outputs, 1 expected)"), "{text}");
}

#[test]
fn a_doubled_output_is_found_under_the_same_id_and_under_another() {
    let mut history = good();
    history.outputs.push(output(5, "a", 3, 3));
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("is there twice: as 4 and as 5"), "{text}");
    assert!(text.contains("entity a: 3 follows after the last one expected"), "{text}");

    let mut history = good();
    let mut again = output(5, "a", 2, 3);
    again.headers[0].1 = "flights:1:0:a:2:echo:0".to_owned();
    history.outputs.insert(3, again);
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("entity a: 2 comes a second time, where 3 belongs"), "{text}");
}

#[test]
fn a_swapped_pair_is_found() {
    let mut history = good();
    history.outputs.swap(0, 2);
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("entity a: 2 comes before 1"), "{text}");
}

#[test]
fn state_that_counted_twice_is_found() {
    let mut history = good();
    history.outputs[3] = output(4, "a", 3, 4);
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("Echo-Count 4 at 3, output number 3"), "{text}");
}

#[test]
fn an_unknown_entity_and_a_foreign_payload_are_found() {
    let mut history = good();
    history.outputs.push(output(5, "z", 1, 1));
    history.outputs[0].payload = b"a 2".to_vec();
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("entity z: outputs of an entity that nobody published"), "{text}");
    assert!(text.contains("output 1 of a 1: payload \"a 2\", published was \"a 1\""), "{text}");
}

#[test]
fn the_first_in_the_stream_is_the_one_that_counts() {
    let mut history = good();
    history.sent.push(Sent { stream_sequence: 6, payload: b"other".to_vec(), ..sent(6, "a", 3) });
    judge(&history, &everything(&history)).expect("no complaint");
    history.outputs[3].payload = b"other".to_vec();
    assert!(complaint(&history, &everything(&history)).contains("published was \"a 3\""));
}

#[test]
fn wrong_ids_subjects_and_headers_are_found() {
    let mut history = good();
    history.outputs[0].subject = "echo.A".to_owned();
    history.outputs[1].headers[0].1 = "flights:0:0:b:c:1:echo:0".to_owned();
    history.outputs[2].headers[5].1 = "other".to_owned();
    history.outputs[3].headers[6].1 = "short".to_owned();
    let text = complaint(&history, &everything(&history));
    for part in ["on echo.A, not on echo.a", "8 parts, not 7", "Seriatim-Handler is Some(\"other\")", "Seriatim-Component is \"short\""] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn an_output_without_the_headers_is_found() {
    let mut history = good();
    history.outputs[0].headers.retain(|(name, _)| name != "Echo-Count" && name != "Nats-Msg-Id");
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("output 1 on echo.a: no Echo-Count"), "{text}");
    assert!(text.contains("output 1 on echo.a has no Nats-Msg-Id"), "{text}");
}

#[test]
fn an_expected_dead_letter_passes_and_its_absence_is_found() {
    let mut history = good();
    let dead = sent(6, "a", 1);
    history.dead.push(letter(&dead, "conflict"));
    history.sent.push(dead);
    let expected = everything(&history).dead(6, "conflict");
    judge(&history, &expected).expect("no complaint");
    history.dead.clear();
    let text = complaint(&history, &expected);
    assert!(text.contains("message 6 (entity a, sequence 1, id a-1): [] in the dead letters, expected once \"conflict\""), "{text}");
}

#[test]
fn an_unexpected_or_doubled_dead_letter_and_another_reason_are_found() {
    let mut history = good();
    let dead = sent(6, "a", 1);
    history.dead = vec![letter(&dead, "late"), letter(&dead, "late")];
    history.sent.push(dead);
    let text = complaint(&history, &everything(&history));
    assert!(text.contains("dead letter flights:0:dead:6 is there twice"), "{text}");
    assert!(text.contains("dead-lettered as [\"late\", \"late\"], expected was none"), "{text}");
    history.dead.pop();
    let text = complaint(&history, &everything(&history).dead(6, "conflict"));
    assert!(text.contains("[\"late\"] in the dead letters, expected once \"conflict\""), "{text}");
}

#[test]
fn a_changed_dead_letter_is_found() {
    let mut history = good();
    let dead = sent(6, "a", 1);
    let mut kept = letter(&dead, "late");
    kept.payload.clear();
    kept.subject = "seriatim.dead.flights.conflict".to_owned();
    kept.headers.retain(|(name, _)| name != "Seriatim-Dead-Nats-Msg-Id");
    kept.headers.push(("Nats-Rollup".to_owned(), "all".to_owned()));
    history.dead.push(kept);
    history.sent.push(dead);
    let text = complaint(&history, &everything(&history).dead(6, "late"));
    for part in [
        "is on seriatim.dead.flights.conflict, not on seriatim.dead.flights.late",
        "its payload is not what was published",
        "header Seriatim-Dead-Nats-Msg-Id is []",
        "carries Nats-Rollup, which the broker would act upon",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn loss_is_named_when_it_happened_and_only_then() {
    let mut history = good();
    assert!(complaint(&history, &everything(&history).lost()).contains("not named"));
    history.dead.push(letter(&sent(9, "", 0), "lost"));
    judge(&history, &everything(&history).lost()).expect("no complaint");
    assert!(complaint(&history, &everything(&history)).contains("1 dead letters \"lost\", expected was none"));
}
