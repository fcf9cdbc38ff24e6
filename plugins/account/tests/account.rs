//! The contract in account's README, in the SDK's test kit.

use account::Account;
use serde_json::{Value, json};
use seriatim_guest::testing::{FailureKind, Kit, TestEvent, event};

fn kit() -> Kit<Account> {
    Kit::new().config("to", "balances").outputs(["balances.*"])
}

fn moved(sequence: u64, kind: &str, amount: u32) -> TestEvent {
    event("DE-1", sequence).kind(kind).json(&json!({ "amount": amount }))
}

#[test]
fn every_event_sends_the_balance_and_the_version_that_it_belongs_to() {
    let mut kit = kit();
    let events =
        || [event("DE-1", 1).kind("opened"), moved(2, "deposited", 50), moved(3, "withdrawn", 70), event("DE-1", 4).kind("closed")];
    kit.assert_replays(events());
    let mut told = Vec::new();
    for event in events() {
        let sent = kit.handle(event).unwrap();
        assert_eq!((sent.len(), sent[0].subject.as_str()), (1, "balances.DE-1"));
        told.push((sent[0].header("Account-Version").unwrap().to_owned(), sent[0].json::<Value>()));
    }
    let expected = [("1", 0, true), ("2", 50, true), ("3", -20, true), ("4", -20, false)];
    assert_eq!(told, expected.map(|(version, balance, open)| (version.to_owned(), json!({ "balance": balance, "open": open }))));
    let now = kit.snapshot("DE-1");
    assert_eq!((now.version(), now.state), (4, Account { balance: -20, open: false }));
}

#[test]
fn what_it_cannot_understand_is_rejected_and_leaves_the_account_as_it_was() {
    let mut kit = kit();
    kit.handle(moved(1, "deposited", 50)).unwrap();
    for event in [moved(2, "stolen", 50), event("DE-1", 2).kind("deposited").json(&json!({ "amount": -1 }))] {
        assert_eq!(kit.handle(event).unwrap_err().kind, FailureKind::Rejected);
    }
    assert_eq!((kit.snapshot("DE-1").version(), kit.snapshot("DE-1").state.balance), (1, 50));
}

#[test]
fn without_a_destination_it_asks_to_be_called_again() {
    let failure = Kit::<Account>::new().handle(event("DE-1", 1).kind("opened")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retry);
    assert!(failure.message.contains("`to`"), "{failure}");
}
