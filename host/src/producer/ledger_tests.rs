//! The ledger as a value: every order of answers, without a broker.

use super::*;

const NOW: u64 = 1_000_000;

/// The broker's clock is `NOW` plus ours; the duplicate window is 2 s.
fn broker(now: u64) -> impl Fn(&str) -> Broker {
    move |_| Broker { now: Some(NOW + now), earliest: Some(NOW + now), window: 2_000 }
}

fn ledger() -> Ledger<u64> {
    Ledger::new(Duration::from_secs(60))
}

fn event(entity: &str, sequence: u64) -> Addition<u64> {
    let mark = Mark { stream: "IN".into(), created: 1, last_sequence: 5, sent_after: NOW };
    let entry = OutboxEntry {
        number: 0,
        subject: format!("in.{entity}"),
        headers: Vec::new(),
        payload: bytes::Bytes::new(),
        message_id: format!("{entity}:{sequence}"),
        mark,
        dead: false,
        cause: String::new(),
    };
    Addition { entity: entity.into(), sequence, entry, ticket: sequence, by_flow: false }
}

/// One turn, as text: `send A:1`, `search A:1`, `1 ok`, `1 duplicate`, `2 <error>`.
fn turn(ledger: &mut Ledger<u64>, now: u64, mut effects: Vec<Effect<u64>>) -> Vec<String> {
    ledger.turn(now, broker(now), &mut effects);
    let text = |effect| match effect {
        Effect::Send { entry, .. } => format!("send {}", entry.message_id),
        Effect::Search { entry, .. } => format!("search {}", entry.message_id),
        Effect::Settle { ticket, result: Ok(receipt) } if receipt.duplicate => format!("{ticket} duplicate"),
        Effect::Settle { ticket, result: Ok(_) } => format!("{ticket} ok"),
        Effect::Settle { ticket, result: Err(error) } => format!("{ticket} {}", name(&error)),
    };
    effects.into_iter().map(text).collect()
}

fn name(error: &Error) -> &'static str {
    match error {
        Error::Refused { .. } => "refused",
        Error::Blocked { .. } => "blocked",
        Error::FlowOpen { .. } => "flow open",
        Error::GaveUp { .. } => "gave up",
        Error::TooMany { .. } => "too many",
        _ => "other",
    }
}

fn token(ledger: &Ledger<u64>, entity: &str) -> usize {
    ledger.tokens[entity]
}

fn answer(ledger: &mut Ledger<u64>, now: u64, entity: &str, result: PublishResult) -> Vec<String> {
    let mut effects = Vec::new();
    ledger.published(now, token(ledger, entity), result, None, &mut effects);
    turn(ledger, now, effects)
}

fn confirmed(duplicate: bool) -> PublishResult {
    PublishResult::Confirmed { stream: "IN".into(), sequence: 9, duplicate }
}

fn unavailable() -> PublishResult {
    PublishResult::Unavailable { reason: "no answer".into() }
}

fn refused() -> PublishResult {
    PublishResult::Refused { reason: "too large".into(), code: 10054 }
}

#[test]
fn an_entity_sends_one_at_a_time_in_order_and_does_not_hold_another_back() {
    let mut ledger = ledger();
    for addition in [event("A", 1), event("A", 2), event("B", 7)] {
        ledger.add(0, addition).unwrap();
    }
    assert_eq!(turn(&mut ledger, 0, Vec::new()), ["send A:1", "send B:7"]);
    assert_eq!(answer(&mut ledger, 1, "B", confirmed(false)), ["7 ok"]);
    assert_eq!(answer(&mut ledger, 1, "A", confirmed(true)), ["1 duplicate", "send A:2"]);
    assert_eq!(answer(&mut ledger, 2, "A", confirmed(false)), ["2 ok"]);
    assert_eq!(ledger.progress(), Progress { confirmed: 3, duplicates: 1, failed: 0, owed: 0 });
    assert!(ledger.lines.is_empty() && ledger.tokens.is_empty(), "nothing is kept of who owes nothing");
    assert_eq!(ledger.alarm(), None);
    assert!(ledger.verdict().is_ok());
}

#[test]
fn a_try_that_failed_is_repeated_with_back_off_and_after_half_a_window_looked_for_first() {
    let mut ledger = ledger();
    ledger.add(0, event("A", 1)).unwrap();
    assert_eq!(turn(&mut ledger, 0, Vec::new()), ["send A:1"]);
    assert!(answer(&mut ledger, 500, "A", unavailable()).is_empty());
    let at = ledger.alarm().unwrap();
    assert!((501..=1_000).contains(&at));
    assert!(turn(&mut ledger, at - 1, Vec::new()).is_empty());
    assert_eq!(turn(&mut ledger, at, Vec::new()), ["send A:1"], "within half a window the broker would notice");
    assert!(answer(&mut ledger, 1_000, "A", unavailable()).is_empty());
    let at = ledger.alarm().unwrap();
    assert_eq!(turn(&mut ledger, at, Vec::new()), ["search A:1"]);

    let mut effects = Vec::new();
    ledger.searched(at, token(&ledger, "A"), Found::Unknown { reason: "away".into() }, &mut effects);
    assert!(turn(&mut ledger, at, effects).is_empty());
    let at = ledger.alarm().unwrap();
    assert_eq!(turn(&mut ledger, at, Vec::new()), ["search A:1"]);
    let end = Mark { stream: "IN".into(), created: 1, last_sequence: 40, sent_after: NOW + at };
    let mut effects = Vec::new();
    ledger.searched(at, token(&ledger, "A"), Found::Absent { end, never: true }, &mut effects);
    assert_eq!(turn(&mut ledger, at, effects), ["send A:1"]);
    assert!(answer(&mut ledger, at, "A", unavailable()).is_empty());
    let later = at + 1_500;
    assert_eq!(turn(&mut ledger, later, Vec::new()), ["search A:1"]);
    let mut effects = Vec::new();
    ledger.searched(later, token(&ledger, "A"), Found::There { stream: "IN".into(), sequence: 12 }, &mut effects);
    assert_eq!(turn(&mut ledger, later, effects), ["1 duplicate"]);
}

#[test]
fn after_a_refusal_none_of_its_entity_leaves_until_the_caller_says_so() {
    let mut ledger = ledger();
    for addition in [event("A", 1), event("A", 2), event("B", 7)] {
        ledger.add(0, addition).unwrap();
    }
    turn(&mut ledger, 0, Vec::new());
    assert_eq!(answer(&mut ledger, 1, "A", refused()), ["1 refused", "2 blocked"]);
    assert_eq!(ledger.add(1, event("A", 3)), Err(Error::Blocked { entity: "A".into(), sequence: 3, refused: 1 }));
    assert_eq!(answer(&mut ledger, 1, "B", confirmed(false)), ["7 ok"]);
    assert!(matches!(ledger.verdict(), Err(Error::Failed { failed: 2, first }) if name(&first) == "refused"));
    assert!(ledger.unblock("A") && !ledger.unblock("A"));
    ledger.add(2, event("A", 1)).unwrap();
    assert_eq!(turn(&mut ledger, 2, Vec::new()), ["send A:1"]);
}

#[test]
fn what_the_server_forbids_is_refused_for_good() {
    let complaint = "nats: Permissions Violation for Publish to \"in.A\"";
    let mut ledger = ledger();
    for addition in [event("A", 1), event("AB", 1)] {
        ledger.add(0, addition).unwrap();
    }
    turn(&mut ledger, 0, Vec::new());
    for (entity, expected) in [("AB", vec![]), ("A", vec!["1 refused"])] {
        let mut effects = Vec::new();
        ledger.published(1, token(&ledger, entity), unavailable(), Some(Complaint { text: complaint, at: 1 }), &mut effects);
        assert_eq!(turn(&mut ledger, 1, effects), expected, "{entity}");
    }
}

#[test]
fn what_the_server_forbade_before_the_event_left_says_nothing_about_it() {
    let complaint = Some(Complaint { text: "nats: Permissions Violation for Publish to \"in.A\"", at: 40 });
    let mut ledger = ledger();
    ledger.add(50, event("A", 1)).unwrap();
    assert_eq!(turn(&mut ledger, 50, Vec::new()), ["send A:1"]);
    let mut effects = Vec::new();
    ledger.published(60, token(&ledger, "A"), unavailable(), complaint, &mut effects);
    assert!(turn(&mut ledger, 60, effects).is_empty());
    assert_eq!(turn(&mut ledger, 160, Vec::new()), ["send A:1"], "it is tried again");
}

#[test]
fn with_nothing_settled_for_long_everything_fails_and_nothing_is_taken_any_more() {
    let mut ledger = ledger();
    for addition in [event("A", 1), event("A", 2), event("B", 3)] {
        ledger.add(5_000, addition).unwrap();
    }
    turn(&mut ledger, 5_000, Vec::new());
    let a = token(&ledger, "A");
    answer(&mut ledger, 30_000, "B", confirmed(false));
    answer(&mut ledger, 31_000, "A", unavailable());
    assert!(
        !turn(&mut ledger, 89_999, Vec::new()).iter().any(|text| text.contains("gave up")),
        "60 s after the last confirmation, not before"
    );
    assert_eq!(turn(&mut ledger, 90_000, Vec::new()), ["1 gave up", "2 gave up"]);
    assert!(matches!(ledger.add(90_001, event("C", 1)), Err(Error::GaveUp { reason, .. }) if reason == "no answer"));
    let mut effects = Vec::new();
    ledger.published(90_002, a, confirmed(false), None, &mut effects);
    assert!(turn(&mut ledger, 90_002, effects).is_empty(), "an answer that comes later changes nothing");
    assert_eq!((ledger.progress().owed, ledger.alarm()), (0, None));
    assert!(matches!(ledger.verdict(), Err(Error::GaveUp { .. })));
}

#[test]
fn one_flow_per_entity_until_it_is_closed_and_confirmed() {
    let mut ledger = ledger();
    let a: Arc<str> = "A".into();
    ledger.open_flow(&a).unwrap();
    assert_eq!(ledger.open_flow(&a).as_ref().map_err(name), Err("flow open"));
    assert_eq!(ledger.add(0, event("A", 1)).as_ref().map_err(name), Err("flow open"), "numbers come from the flow alone");
    ledger.add(0, Addition { by_flow: true, ..event("A", 1) }).unwrap();
    turn(&mut ledger, 0, Vec::new());
    ledger.close_flow(&a);
    assert_eq!(ledger.open_flow(&a).as_ref().map_err(name), Err("flow open"), "its event may still fail");
    assert_eq!(answer(&mut ledger, 1, "A", refused()), ["1 refused"]);
    ledger.open_flow(&a).unwrap();
    ledger.add(2, Addition { by_flow: true, ..event("A", 1) }).unwrap();
    assert_eq!(turn(&mut ledger, 2, Vec::new()), ["send A:1"], "a new flow frees its entity");
    answer(&mut ledger, 3, "A", refused());
    assert!(!ledger.unblock("A"), "its flow would leave a gap");
    ledger.close_flow(&a);
    assert!(ledger.flows.is_empty() && ledger.unblock("A"));
}

#[test]
fn flows_and_blocked_entities_are_bounded() {
    let mut ledger = ledger();
    for number in 0..FLOWS_MAX {
        ledger.open_flow(&number.to_string().into()).unwrap();
    }
    assert_eq!(ledger.open_flow(&"A".into()).as_ref().map_err(name), Err("too many"));
    for number in 0..=BLOCKED_MAX {
        let entity = format!("b{number}");
        ledger.add(0, event(&entity, 1)).unwrap();
        turn(&mut ledger, 0, Vec::new());
        answer(&mut ledger, 0, &entity, refused());
    }
    assert_eq!(ledger.add(0, event("C", 1)).as_ref().map_err(name), Err("too many"));
}

proptest::proptest! {
    #[test]
    fn whatever_the_answers_each_event_is_settled_once_and_an_entity_keeps_its_order(
        adds in proptest::collection::vec(0..4u8, 1..60),
        answers in proptest::collection::vec((0..100u8, 0..1_500u64), 0..400),
    ) {
        let mut ledger = ledger();
        let mut effects = Vec::new();
        for (ticket, entity) in (1..).zip(&adds) {
            ledger.add(0, event(&entity.to_string(), ticket)).unwrap();
        }
        let (mut now, mut answers, mut settled) = (0, answers.into_iter(), Vec::new());
        let mut air: Vec<(usize, bool)> = Vec::new();
        while ledger.progress().owed > 0 {
            ledger.turn(now, broker(now), &mut effects);
            for effect in effects.drain(..) {
                match effect {
                    Effect::Send { token, .. } => air.push((token, true)),
                    Effect::Search { token, .. } => air.push((token, false)),
                    Effect::Settle { ticket, .. } => settled.push(ticket),
                }
            }
            let (kind, delay) = answers.next().unwrap_or((0, 1));
            now += delay;
            if air.is_empty() {
                now = now.max(ledger.alarm().unwrap_or(now));
                continue;
            }
            let (token, sent) = air.remove(usize::from(kind) % air.len());
            match (sent, kind % 5) {
                (true, 0 | 1) => ledger.published(now, token, confirmed(kind > 50), None, &mut effects),
                (true, 2) if kind > 90 => ledger.published(now, token, refused(), None, &mut effects),
                (true, 2 | 3) => ledger.published(now, token, unavailable(), None, &mut effects),
                (true, _) => ledger.not_sent(now, token),
                (false, 0) => ledger.searched(now, token, Found::There { stream: "IN".into(), sequence: 1 }, &mut effects),
                (false, 1 | 2) => {
                    let end = Mark { sent_after: NOW + now, ..Mark::default() };
                    ledger.searched(now, token, Found::Absent { end, never: true }, &mut effects);
                }
                (false, _) => ledger.searched(now, token, Found::Unknown { reason: String::new() }, &mut effects),
            }
        }
        ledger.turn(now, broker(now), &mut effects);
        settled.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Settle { ticket, .. } => Some(ticket),
            _ => None,
        }));
        let entity = |ticket: u64| adds[ticket as usize - 1];
        for one in 0..4 {
            let of: Vec<u64> = settled.iter().copied().filter(|ticket| entity(*ticket) == one).collect();
            let expected: Vec<u64> = (1..=adds.len() as u64).filter(|ticket| entity(*ticket) == one).collect();
            proptest::prop_assert_eq!(of, expected);
        }
        proptest::prop_assert!(ledger.lines.is_empty() && ledger.alarms.is_empty());
    }
}
