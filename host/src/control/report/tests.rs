//! What an operator reads first.

use super::*;
use seriatim_sequencer::{Arrival, DeadReason, Effect, Failure, FailureThen, Input, Now, Operator, Sequencer};
use std::sync::Arc;

/// 12:03:10 on a day of 2026.
const AT: u64 = 1_790_000_000_000 - 1_790_000_000_000 % 86_400_000 + 43_390_000;

struct Entity {
    sequencer: Sequencer<u64>,
    policy: Arc<Policy>,
    now: Now,
    failure: Option<LastFailure>,
    stamps: Vec<(String, Stamp)>,
}

impl Entity {
    fn new(change: impl FnOnce(&mut Policy)) -> Self {
        let mut policy = Policy { retry: vec![5_000], ..Policy::default() };
        change(&mut policy);
        let policy = Arc::new(policy);
        Self { sequencer: Sequencer::new(policy.clone(), 0), policy, now: Now { host: AT, stream: AT }, failure: None, stamps: Vec::new() }
    }

    fn step(&mut self, input: Input<u64>) {
        let mut effects = Vec::new();
        self.sequencer.step(self.now, input, &mut effects);
        for effect in effects {
            if let Effect::Commit(_) = effect {
                self.step(Input::Committed);
            }
        }
    }

    fn comes(&mut self, sequence: u64) {
        let place = seriatim_sequencer::Place { epoch: 0, sequence };
        let stream_sequence = 100 + sequence;
        self.step(Input::Arrived(Arrival { ticket: 0, place, stream_sequence, id: 0, payload: sequence, time: AT, bytes: 10 }));
    }

    fn after(&mut self, millis: u64) {
        self.now = Now { host: self.now.host + millis, stream: self.now.stream + millis };
        self.step(Input::Tick);
    }

    fn report(&self) -> EntityReport {
        let shown = Shown {
            status: self.sequencer.status(self.now),
            floor: self.sequencer.floor(),
            given_up: self.sequencer.given_up().to_vec(),
            bytes: self.sequencer.held().1,
            outbox: 0,
            tries: 0,
            failure: self.failure.clone(),
            decisions: vec![Decided { at: AT, what: What::GapOpened(1), place: seriatim_sequencer::Place::default(), stream_sequence: 0 }],
            now: self.now,
        };
        let handlers = [HandlerRow { name: "rotation".to_owned(), digest: "d1".to_owned() }];
        let around = Around { policy: &self.policy, handlers: &handlers, stamps: &self.stamps, highest: 200, live: true };
        report(EntityName { pipeline: "flights".to_owned(), entity: "N711MQ".to_owned() }, &shown, around)
    }

    fn sentence(&self) -> String {
        self.report().sentence
    }
}

#[test]
fn who_handled_the_last_event_is_held_against_what_runs_now() {
    let mut entity = Entity::new(|_| {});
    assert_eq!(entity.report().handled_by, []);
    let stamp = |component: &str, version| Stamp { component: component.into(), version, prior: None };
    entity.stamps = vec![("audit".to_owned(), stamp("d9", 0)), ("rotation".to_owned(), stamp("d1", 2))];
    let by = |name: &str, digest: &str, state_version, current| HandledBy {
        name: name.to_owned(),
        digest: digest.to_owned(),
        state_version,
        current: Some(current),
    };
    assert_eq!(entity.report().handled_by, [by("audit", "d9", 0, false), by("rotation", "d1", 2, true)], "audit is gone from the config");
    entity.stamps[1].1.component = "d0".into();
    assert_eq!(entity.report().handled_by[1], by("rotation", "d0", 2, false));
    let stopped = handled_by("rotation", &stamp("d1", 2), &[]);
    assert_eq!(stopped.current, None, "nothing runs");
}

#[test]
fn a_gap_says_what_is_missing_what_is_held_and_what_comes_next() {
    let mut entity = Entity::new(|_| {});
    (42..=57).for_each(|sequence| entity.comes(sequence));
    assert_eq!(
        entity.sentence(),
        "N711MQ waits for events 1–41: 42–57 came early and are held since 12:03:10; gives up at 12:03:40 of stream time and then parks"
    );
    entity.after(1_000);
    let report = entity.report();
    assert_eq!((report.state, report.head), (EntityState::Waiting, Some(Place { epoch: 0, sequence: 1 })));
    assert_eq!(report.held.map(|held| (held.events, held.since, held.bytes)), Some((16, AT, 160)));
    assert_eq!(report.waiting.map(|waiting| (waiting.from, waiting.alarm)), Some((142, Some(Alarm::Stream(AT + 30_000)))));
    assert_eq!(report.behind, Behind { highest: 200, backlog: 59 });
    assert_eq!((report.decisions[0].what.as_str(), report.decisions[0].detail.as_str()), ("gap-opened", "1 missing"));
    entity.after(30_000);
    assert!(
        entity
            .sentence()
            .ends_with("that did not come in time and the entity is parked: it goes on when what is missing comes, or skip gives it up")
    );
    assert_eq!(entity.report().state, EntityState::Parked);
}

#[test]
fn one_held_and_one_missing_read_as_one() {
    let mut entity = Entity::new(|policy| policy.gap_then = GapThen::Skip);
    entity.comes(2);
    let told = entity.sentence();
    assert!(told.starts_with("N711MQ waits for event 1: 2 came early and is held since 12:03:10; gives up at"), "{told}");
    assert!(told.ends_with("and then goes on without what is missing"), "{told}");
}

#[test]
fn a_retry_names_the_attempts_and_the_error() {
    let mut entity = Entity::new(|policy| policy.failure_then = FailureThen::Park);
    entity.comes(1);
    let place = seriatim_sequencer::Place { epoch: 0, sequence: 1 };
    let (kind, message, backtrace) = ("trap", "unreachable".to_owned(), Some("at f".to_owned()));
    entity.failure = Some(LastFailure { handler: 0, kind, message, backtrace, place, stream_sequence: 101, attempt: 1, at: AT });
    entity.step(Input::Failed(Failure { reason: DeadReason::Trap, error: "unreachable".to_owned() }));
    assert_eq!(
        entity.sentence(),
        "N711MQ waits to try event 1 again at 12:03:15, after 1 failed attempts; the last error: unreachable (trap)"
    );
    entity.after(5_000);
    assert_eq!(entity.sentence(), "N711MQ is handling event 1");
    entity.step(Input::Failed(Failure { reason: DeadReason::Trap, error: "unreachable".to_owned() }));
    assert!(
        entity.sentence().starts_with("N711MQ is parked since 12:03:10 at event 1, which failed 2 times (trap); resume"),
        "{}",
        entity.sentence()
    );
    let error = entity.report().last_error.unwrap();
    assert_eq!((error.handler.as_str(), error.digest.as_str(), error.backtrace.as_deref()), ("rotation", "d1", Some("at f")));
}

#[test]
fn what_needs_nobody_says_so() {
    let mut entity = Entity::new(|_| {});
    assert_eq!((entity.sentence().as_str(), entity.report().head), ("N711MQ has not finished any event yet", None));
    entity.comes(1);
    entity.step(Input::Applied);
    assert_eq!(entity.sentence(), "N711MQ is up to date: event 1 was its last");
    entity.step(Input::Operator(Operator::Park));
    assert_eq!(entity.sentence(), "N711MQ was parked by an operator since 12:03:10; resume goes on with event 2");
}

#[test]
fn another_day_is_named() {
    assert_eq!(clock(AT, AT + 1_000), "12:03:10");
    assert!(clock(AT, AT + 86_400_000).starts_with("2026-"));
    assert!(clock(u64::MAX, 0).starts_with("9999-"));
}

#[test]
fn what_waits_for_the_circuit_breaker_says_so() {
    let mut entity = Entity::new(|_| {});
    entity.comes(1);
    entity.step(Input::Failed(Failure { reason: DeadReason::Trap, error: "it fell".to_owned() }));
    entity.after(5_000);
    entity.step(Input::Barred);
    let report = entity.report();
    assert_eq!(
        report.sentence,
        "N711MQ waits since 12:03:10 to handle event 1 (tried 1 times before): a handler of its pipeline fails so often that none is called \
         (circuit breaker); it goes on when a probe succeeds or an operator closes it"
    );
    assert_eq!((report.state, report.waiting.unwrap().reason), (EntityState::Waiting, "breaker".to_owned()));
}
