//! The kit against small handlers: what commits, what every failure is called, every limit, and what is left after a call.

use super::*;
use crate::log::{self, Level};
use crate::{Event, Failure as Reason, Output, config, delivery, state};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

type Work = fn(Event) -> Result<(), Reason>;

thread_local! {
    static WORK: Cell<Work> = const { Cell::new(|_| Ok(())) };
}

/// Does what [`call`] was told.
struct Does;

impl Handler for Does {
    fn handle(event: Event) -> Result<(), Reason> {
        WORK.get()(event)
    }
}

fn kit() -> Kit<Does> {
    Kit::new().outputs(["out.>"])
}

fn call(kit: &mut Kit<Does>, event: TestEvent, work: Work) -> Result<Vec<Sent>, Failure> {
    WORK.set(work);
    kit.handle(event)
}

/// The failure of work that must leave nothing behind.
fn failure(mut kit: Kit<Does>, work: Work) -> (FailureKind, String) {
    kit = kit.state("e", "kept", "as it was");
    let before = kit.state_of("e");
    let failure = call(&mut kit, event("e", 1), work).expect_err("must fail");
    assert_eq!(kit.state_of("e"), before, "{failure}");
    assert!(failure.message.len() <= 1024 && !failure.message.contains('\n'), "{failure}");
    // The next call is a new one.
    assert_eq!(call(&mut kit, event("e", 1), |_| Ok(())), Ok(Vec::new()));
    (failure.kind, failure.message)
}

fn emit(bytes: usize) {
    Output::to("out.e").header("A", "b").bytes(vec![b'x'; bytes]).emit();
}

#[test]
fn what_a_call_did_is_committed_for_its_entity() {
    let mut kit = kit().state("a", "count", &1).state_bytes("a", "raw", [0, 255]);
    let count: Work = |event| {
        let count = state::get::<u64>("count")?.unwrap_or(0) + 1;
        state::set("count", &count)?;
        state::delete("raw");
        Output::to("out.count").header("Kind", &event.kind).json(&count)?.emit();
        Ok(())
    };
    for (entity, expected) in [("a", 2), ("b", 1), ("a", 3)] {
        let sent = call(&mut kit, event(entity, 1).kind("made"), count).unwrap();
        assert_eq!(sent.len(), 1);
        assert_eq!((sent[0].subject.as_str(), sent[0].json::<u64>(), sent[0].header("kind")), ("out.count", expected, Some("made")));
        assert_eq!(sent[0].text(), expected.to_string());
        assert_eq!(kit.get::<u64>(entity, "count"), Some(expected));
    }
    assert_eq!(kit.state_of("a"), BTreeMap::from([("count".to_owned(), b"3".to_vec())]));
    assert_eq!((kit.get_bytes("a", "raw"), kit.get::<u64>("c", "count"), kit.state_of("c")), (None, None, BTreeMap::new()));
}

#[test]
fn reads_see_the_writes_of_the_same_call() {
    let mut kit = kit();
    for key in ["b1", "b3", "c"] {
        kit = kit.state_bytes("e", key, "x");
    }
    let work: Work = |_| {
        state::set_bytes("b2", b"y");
        state::delete("b3");
        assert_eq!((state::get_bytes("b2"), state::get_bytes("b3")), (Some(b"y".to_vec()), None));
        assert_eq!(state::keys("b", None, 10), ["b1", "b2"]);
        assert_eq!(state::keys("", Some("b1"), 1), ["b2"]);
        Ok(())
    };
    call(&mut kit, event("e", 1), work).unwrap();
    assert_eq!(kit.state_of("e").into_keys().collect::<Vec<_>>(), ["b1", "b2", "c"]);
}

#[test]
fn an_event_says_what_the_host_would() {
    let seen: Work = |event| {
        let fields = (&event.pipeline, &event.id, &event.subject, event.epoch, event.stream_sequence, event.headers.len(), event.time);
        Output::to("out.seen").json(&(fields, delivery::attempt(), delivery::late(), delivery::replay(), config("to")))?.emit();
        Ok(())
    };
    let sent = call(&mut kit(), event("N1.x", 7), seen).unwrap();
    assert_eq!(sent[0].text(), r#"[["test","TEST:7","events.N1=2Ex",0,7,0,1577836800000],1,false,false,null]"#);
    let told =
        event("N1", 7).id("a").subject("flights.N1").epoch(2).stream_sequence(9).header("X", 1).time_ms(5).attempt(3).late().replay();
    let mut kit = kit().pipeline("flights").stream("FLIGHTS").config("to", "there");
    assert_eq!(call(&mut kit, told, seen).unwrap()[0].text(), r#"[["flights","a","flights.N1",2,9,1,5],3,true,true,"there"]"#);
    assert_eq!(call(&mut kit, event("N1", 7), seen).unwrap()[0].json::<serde_json::Value>()[0][1], "FLIGHTS:7");
}

#[test]
fn every_failure_has_its_name_and_leaves_nothing() {
    let retry = failure(kit(), |_| {
        state::set("kept", "changed")?;
        emit(1);
        Err(Reason::retry("later\nperhaps"))
    });
    assert_eq!(retry, (FailureKind::Retry, "later\\nperhaps".to_owned()));

    let rejected = failure(kit(), |event| event.json::<u64>().map(drop));
    assert_eq!(rejected.0, FailureKind::Rejected);
    assert!(rejected.1.starts_with("payload is not the expected JSON"), "{}", rejected.1);

    let long = failure(kit(), |_| Err(Reason::reject("x".repeat(2000))));
    assert_eq!((long.1.len(), long.1.ends_with('…')), (1024, true));

    let trap = failure(kit(), |_| {
        state::delete("kept");
        panic!("no more {}", "fuel")
    });
    assert_eq!(trap, (FailureKind::Trap, "no more fuel".to_owned()));

    let refused = failure(Kit::new(), |_| {
        emit(1);
        Ok(())
    });
    assert_eq!(refused, (FailureKind::OutputRefused, "subject `out.e`: the handler has no `outputs`".to_owned()));

    let refused = failure(kit(), |_| {
        Output::to("out.e").header("Nats-Msg-Id", "1").emit();
        Ok(())
    });
    assert_eq!(refused, (FailureKind::OutputRefused, "header `Nats-Msg-Id`: names that begin with `Nats-` belong to the host".to_owned()));
}

#[test]
fn every_limit_is_enforced_and_named() {
    let limited = |change: fn(&mut Limits), work: Work, expected: &str| {
        let (kind, message) = failure(kit().limits(change), work);
        assert_eq!(kind, FailureKind::TooLarge);
        assert!(message.contains(expected), "{message}");
    };
    let set: Work = |_| {
        state::set_bytes("key", &[b'x'; 100]);
        Ok(())
    };
    let emits: Work = |_| {
        emit(100);
        emit(100);
        Ok(())
    };
    limited(|limits| limits.state_max = 50, set, "state-max = 50");
    limited(|limits| limits.state_value_max = 99, set, "state-value-max = 99");
    limited(|limits| limits.state_keys_max = 1, set, "state-keys-max = 1");
    limited(|limits| limits.outputs_max = 1, emits, "outputs-max = 1");
    limited(|limits| limits.output_bytes_max = 200, emits, "output-bytes-max = 200");
    limited(|limits| limits.payload_max = 4100, emits, "max_payload = 4100");
    limited(|limits| limits.subject_bytes_max = 4, emits, "subject bytes 5");
    limited(|limits| limits.headers_max = 0, emits, "headers 1");
    limited(|limits| limits.header_bytes_max = 17, emits, "header bytes 18");
    let log: Work = |_| {
        crate::info!("one");
        crate::info!("two");
        Ok(())
    };
    limited(|limits| limits.log_lines_max = 1, log, "more than 1 log lines in one call (log-lines-max)");
    // A component's panic is a line of its log too.
    limited(|limits| limits.log_lines_max = 0, |_| panic!("unheard"), "more than 0 log lines");
    let none: fn(&mut Limits) = |_| {};
    let key: Work = |_| {
        state::set_bytes(&"k".repeat(513), b"");
        Ok(())
    };
    limited(none, key, "has 513 bytes, more than 512");
    let much: Work = |_| {
        state::set_bytes("key", &vec![0; 2 << 20]);
        Ok(())
    };
    limited(none, much, "to the host in one call");
    limited(none, |_| Err(Reason::reject("x".repeat(2 << 20))), "to the host in one call");
}

#[test]
fn a_host_call_past_a_limit_ends_the_call_at_once() {
    thread_local! {
        static REACHED: Cell<u32> = const { Cell::new(0) };
    }
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            REACHED.set(REACHED.get() + 1);
            // Unwinding twice would end the test program.
            emit(9999);
            state::set_bytes("key", &[0; 99]);
            assert_eq!((state::get_bytes("kept"), state::keys("", None, 9)), (None, Vec::new()));
        }
    }
    let (kind, _) = failure(kit().limits(|limits| limits.outputs_max = 0), |_| {
        let _last = Last;
        emit(1);
        REACHED.set(100);
        Ok(())
    });
    assert_eq!((kind, REACHED.get()), (FailureKind::TooLarge, 1));
    // Nor does it help to catch what unwinds.
    let (kind, _) = failure(kit().limits(|limits| limits.outputs_max = 0), |_| {
        assert!(std::panic::catch_unwind(|| emit(1)).is_err());
        Ok(())
    });
    assert_eq!(kind, FailureKind::TooLarge);
    let (kind, _) = failure(kit(), |_| {
        let _last = Last;
        panic!("once")
    });
    assert_eq!((kind, REACHED.get()), (FailureKind::Trap, 2));
}

#[test]
fn log_lines_of_the_last_call_can_be_read() {
    let mut kit = kit();
    call(&mut kit, event("e", 1), |_| {
        log::write(Level::Warn, "odd\n", &[("speed", "9")]);
        Err(Reason::retry("later"))
    })
    .unwrap_err();
    let expected = Line { level: Level::Warn, message: "odd\n".into(), fields: vec![("speed".into(), "9".into())] };
    assert_eq!((kit.logs(), kit.logs()[0].to_string().as_str()), (&[expected][..], "odd\\n speed=9"));
    call(&mut kit, event("e", 1), |_| panic!("boom")).unwrap_err();
    assert_eq!((kit.logs().len(), kit.logs()[0].level, kit.logs()[0].message.as_str()), (1, Level::Error, "panicked: boom"));
}

#[test]
fn a_handler_that_remembers_in_globals_does_not_replay() {
    let events = || (1..4).map(|sequence| event("e", sequence).json(&sequence));
    let mut pure = kit();
    WORK.set(|event| {
        state::set("sum", &(state::get::<u64>("sum")?.unwrap_or(0) + event.json::<u64>()?))?;
        if event.sequence == 2 { Err(Reason::reject("two")) } else { Ok(()) }
    });
    pure.assert_replays(events());
    assert_eq!(pure.state_of("e"), BTreeMap::new());
    assert_eq!(pure.handle(event("e", 1).json(&4)), Ok(Vec::new()));

    WORK.set(|event| {
        static CALLS: AtomicU64 = AtomicU64::new(0);
        let calls = CALLS.fetch_add(1, Ordering::Relaxed);
        if event.sequence > 1 { state::set("calls", &calls) } else { Ok(()) }
    });
    let said = std::panic::catch_unwind(|| kit().assert_replays(events())).unwrap_err();
    let said = said.downcast_ref::<String>().unwrap();
    assert!(said.starts_with("event 2 of \"e\" does not replay"), "{said}");
}

#[test]
#[should_panic(expected = "outputs \">\": covers $JS.API.>")]
fn outputs_that_the_config_refuses_are_a_mistake_of_the_test() {
    let _ = Kit::<Does>::new().outputs([">"]);
}

#[test]
#[should_panic(expected = "state `count` of \"e\" is `\"x\"`")]
fn state_of_another_type_is_a_mistake_of_the_test() {
    let _ = kit().state("e", "count", "x").get::<u64>("e", "count");
}
