//! Aggregates in the test kit: what each kind of event does, which version that is, and what is kept.

use serde::{Deserialize, Serialize};
use seriatim_guest::aggregate::KEY;
use seriatim_guest::testing::{FailureKind, Kit, TestEvent, event};
use seriatim_guest::{Aggregate, Event, Failure, Output, Snapshot};

/// An order: unknown kinds are rejected, and each version is sent on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Order {
    items: Vec<String>,
    paid: bool,
}

impl Order {
    fn item_added(&mut self, name: String) {
        self.items.push(name);
    }

    fn paid(&mut self) {
        self.paid = true;
    }
}

impl Aggregate for Order {
    fn apply(&mut self, event: &Event) -> Result<(), Failure> {
        match event.kind.as_str() {
            "item-added" => self.item_added(event.json()?),
            "paid" => self.paid(),
            _ => return Err(event.unknown_kind()),
        }
        Ok(())
    }

    fn emit(now: &Snapshot<Self>, event: &Event) -> Result<(), Failure> {
        if event.header("Quiet").is_some() {
            return Err(Failure::reject("told not to"));
        }
        Output::to("orders.now").header("Version", now.version()).json(&now.state)?.emit();
        Ok(())
    }
}

/// Counts payments; ignores everything else, and sends nothing.
#[derive(Default, Serialize, Deserialize)]
struct Payments {
    count: u64,
}

impl Aggregate for Payments {
    fn apply(&mut self, event: &Event) -> Result<(), Failure> {
        self.count += u64::from(event.kind == "paid");
        Ok(())
    }
}

fn kit() -> Kit<Order> {
    Kit::new().outputs(["orders.now"])
}

fn added(sequence: u64, item: &str) -> TestEvent {
    event("42", sequence).kind("item-added").json(item)
}

fn order(items: &[&str], paid: bool) -> Order {
    Order { items: items.iter().map(|item| (*item).to_owned()).collect(), paid }
}

#[test]
fn each_kind_does_what_its_function_says_and_the_version_is_the_last_sequence() {
    let mut kit = kit();
    assert_eq!(kit.snapshot("42"), Snapshot::default());
    kit.handle(added(1, "book")).unwrap();
    kit.handle(added(2, "pen")).unwrap();
    let sent = kit.handle(event("42", 3).kind("paid")).unwrap();
    assert_eq!((sent[0].header("Version"), sent[0].json::<Order>()), (Some("3"), order(&["book", "pen"], true)));
    assert_eq!(kit.snapshot("42"), Snapshot::at(3, order(&["book", "pen"], true)));
    assert_eq!(kit.snapshot("43").version(), 0, "another entity has its own");
    kit.assert_replays([added(4, "ink"), event("42", 5).kind("paid")]);
}

#[test]
fn the_snapshot_is_the_whole_state_and_the_next_event_goes_on_from_it() {
    let mut kit = kit();
    kit.handle(added(1, "book")).unwrap();
    let state = kit.state_of("42");
    let kept = String::from_utf8(state[KEY].clone()).unwrap();
    assert_eq!((state.len(), kept.as_str()), (1, r#"{"state":{"items":["book"],"paid":false},"version":1}"#));

    let mut other = self::kit().state("42", KEY, &Snapshot::at(7, order(&["lamp"], false)));
    other.handle(event("42", 8).kind("paid")).unwrap();
    assert_eq!(other.snapshot("42"), Snapshot::at(8, order(&["lamp"], true)));
}

#[test]
fn an_unknown_kind_is_what_the_author_says() {
    let mut kit = kit().state("42", KEY, &Snapshot::at(1, order(&["book"], false)));
    for (kind, why) in [("sold", "the handler knows no events of kind \"sold\""), ("", "the event has no kind, and the handler goes by it")]
    {
        let failure = kit.handle(event("42", 2).kind(kind)).unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Rejected, why));
        assert_eq!(kit.snapshot("42").version(), 1, "a rejected event is not applied");
    }
    let mut ignoring = Kit::<Payments>::new();
    ignoring.handle(event("42", 1).kind("sold")).unwrap();
    ignoring.handle(event("42", 2).kind("paid")).unwrap();
    ignoring.handle(event("42", 3).kind("")).unwrap();
    let now = ignoring.snapshot("42");
    assert_eq!((now.state.count, now.version()), (1, 3), "an ignored event counts as applied");
}

#[test]
fn an_event_that_fails_while_applied_or_sent_changes_nothing() {
    let mut kit = kit().state("42", KEY, &Snapshot::at(1, order(&["book"], false)));
    let before = kit.state_of("42");
    let undecodable = event("42", 2).kind("item-added").bytes("no json");
    for failing in [undecodable, event("42", 2).kind("paid").header("Quiet", "yes")] {
        assert_eq!(kit.handle(failing).unwrap_err().kind, FailureKind::Rejected);
        assert_eq!(kit.state_of("42"), before);
    }
}

#[test]
fn a_higher_epoch_starts_the_version_over_and_a_late_event_does_not_take_it_back() {
    let mut kit = kit();
    kit.handle(added(5, "book")).unwrap();
    kit.handle(added(1, "pen").epoch(2)).unwrap();
    let now = kit.snapshot("42");
    assert_eq!((now.epoch(), now.version(), now.state.items.len()), (2, 1, 2));
    kit.handle(added(6, "ink").late()).unwrap();
    let now = kit.snapshot("42");
    assert_eq!((now.epoch(), now.version(), now.state.items.len()), (2, 1, 3));
}

#[test]
fn a_state_of_another_shape_is_no_fault_of_the_event() {
    let mut kit = kit().state("42", KEY, &"an older program's");
    let failure = kit.handle(added(1, "book")).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Retry);
    assert!(failure.message.starts_with("state `aggregate` was written by a handler whose state had another shape: "), "{failure}");
}
