//! Byte for byte what the component in Rust does.

use super::*;
use rotation_events::read;
use std::path::Path;

fn given(entity: &str, sequence: u64, kind: &str, payload: impl AsRef<[u8]>) -> Given {
    Given { entity: entity.to_owned(), sequence, kind: kind.to_owned(), payload: payload.as_ref().to_vec() }
}

/// Events that are handled by an instance of their own each: making one costs some languages a millisecond, and tests are built without much
/// optimisation.
const ALONE: usize = 150;

/// Runs the events through the component in Rust and through that of each language, and compares them one by one.
async fn compare(
    languages: &[String],
    name: &str,
    settings: &[(&str, &str)],
    outputs: &str,
    states: &[(&str, &str, &str)],
    events: &[Given],
) {
    let engine = fresh_engine();
    for isolation in [Isolation::Run, Isolation::Event] {
        let events = if isolation == Isolation::Event { events.get(..ALONE).unwrap_or(events) } else { events };
        let runner = |component: &str| {
            let mut runner = Runner::new(load_once(&engine, component, handler_config(settings, outputs, isolation)));
            for (entity, key, value) in states {
                runner.states.entry((*entity).to_owned()).or_default().insert((*key).to_owned(), bytes(value));
            }
            runner
        };
        let mut expected = Vec::new();
        let mut rust = runner(name);
        for event in events {
            expected.push(rust.handle(event).await);
        }
        for language in languages {
            let mut runner = runner(&format!("{name}-{language}"));
            for (event, expected) in events.iter().zip(&expected) {
                let came = runner.handle(event).await;
                assert!(came == *expected, "{name}-{language}, {isolation:?}: {event:?}\n gave     {came:?}\n expected {expected:?}");
            }
        }
    }
}

#[tokio::test]
async fn echo_is_the_same_in_every_language() {
    let all_bytes: Vec<u8> = (0..=255).collect();
    let mut events = vec![
        given("N1", 1, "", ""),
        given("N1", 2, "made", "{\"a\": 1}"),
        given("N1", u64::MAX - 1000, "", &all_bytes),
        given("a.b *>=é🛫", 1, "", "x"),
        given(&"long".repeat(64), 1, "", vec![7; 200_000]),
        given("counted", 43, "", "x"),
        given("broken", 1, "", "x"),
        given("N1", 4, "", "x"),
    ];
    for sequence in 5..80 {
        events.push(given("N1", sequence, "", sequence.to_string()));
        events.push(given("N2", sequence, "", sequence.to_string()));
    }
    let states = [("counted", "count", "41"), ("counted", "other", "stays"), ("broken", "count", "\"seven\"")];
    let languages = languages("echo_is_the_same_in_every_language");
    compare(&languages, "echo", &[("to", "out")], "out.*", &states, &events).await;
    // No destination: a retry; one it may not send to, and limits: named failures.
    compare(&languages, "echo", &[], "out.*", &[], &events[..2]).await;
    compare(&languages, "echo", &[("to", "elsewhere")], "out.*", &[], &events[..2]).await;
}

/// A month's first flights, aircraft by aircraft.
fn flights(count: usize) -> Vec<Given> {
    const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/rotation/data/flights-2013-01.csv.gz");
    let month = read(Path::new(FILE)).unwrap();
    let mut events: Vec<_> =
        month.iter().map(|event| given(&event.tailnum, event.sequence, event.kind.name(), event.payload().unwrap())).collect();
    // Run by run: interleaved, every event would need an instance of its own, which is what `Isolation::Event` shows.
    events.sort_by(|a, b| (&a.entity, a.sequence).cmp(&(&b.entity, b.sequence)));
    events.truncate(count);
    events
}

#[tokio::test]
async fn rotation_is_the_same_in_every_language() {
    let (languages, events) = (languages("rotation_is_the_same_in_every_language"), flights(1_500));
    compare(&languages, "rotation", &[("threshold-minutes", "15")], "rotation.>", &[], &events).await;
}

/// One departure and what may be wrong with it.
fn row(more: &str) -> String {
    format!(r#"{{"tailnum":"N1","time":"2013-01-01T05:00:00Z","carrier":"UA","flight":1,"origin":"EWR","dest":"IAH"{more}}}"#)
}

#[tokio::test]
async fn rotation_refuses_the_same_in_every_language() {
    let departure = |more: &str| given("N1", 1, "departure", row(more));
    let mut events = vec![
        given("N1", 1, "landing", row("")),
        given("N1", 1, "arrival", row(r#","arr_delay":1,"air_time":2"#)),
        given("N1", 1, "diversion", row("")),
        given("N2", 1, "departure", row(r#","dep_delay":0"#)),
        departure(r#","dep_delay":2147483647,"more":[1.5,{"a":null},true,"x"]"#),
        given("N1", 1, "diversion", row("").replace("EWR", "JFK")),
        departure(r#","dep_delay":1"#),
        given("N1", 1, "arrival", row(r#","arr_delay":null"#)),
        given("N1", 1, "arrival", row(r#","arr_delay":1,"air_time":-1"#)),
        given("N1", 1, "arrival", row(r#","arr_delay":1,"air_time":4294967296"#)),
        given("N1", 1, "arrival", row(r#","arr_delay":-2147483648,"air_time":4294967295"#)),
        given("full", 1, "diversion", row("").replace("N1", "full")),
        given("N1", 2, "departure", row(r#","dep_delay":-5"#)),
        given("N1", 2, "diversion", row("")),
        // Text with escapes, both ways, and what JSON need not escape.
        given(
            "é\u{2028}",
            1,
            "departure",
            row(r#","dep_delay":90"#)
                .replace("N1", "\\u00e9\\u2028")
                .replace("UA", "<&\\/\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\ud83d\\udeeb\u{7f}"),
        ),
        given("spaces", 1, "departure", format!(" \t\r\n{}\n", row(r#" , "dep_delay" : 90"#).replace("N1", "spaces"))),
    ];
    for digits in ["2.0", "-0", "1e2", "\"1\"", "true", "null", "[]", "2147483648", "-2147483649", "99999999999999999999"] {
        events.push(departure(&format!(r#","dep_delay":{digits}"#)));
    }
    for payload in ["", "{", "[]", "null", "7", "NaN", "{\"tailnum\":NaN}", "\u{feff}{}", "{}x", "\"\\ud800\""] {
        events.push(given("N1", 1, "departure", payload));
    }
    for (name, other) in
        [("carrier", "7"), ("flight", "\"1\""), ("flight", "-1"), ("flight", "4294967296"), ("tailnum", "null"), ("time", "{}")]
    {
        let mut fields: serde_json::Value = serde_json::from_str(&row(r#","dep_delay":1"#)).unwrap();
        fields[name] = serde_json::from_str(other).unwrap();
        events.push(given("N1", 1, "departure", fields.to_string()));
        fields.as_object_mut().unwrap().remove(name);
        events.push(given("N1", 1, "departure", fields.to_string()));
    }
    events.push(given("N1", 1, "departure", row(r#","dep_delay":1"#).replace("tailnum", "TAILNUM")));
    events.push(given("N1", 1, "departure", row(r#","dep_delay":1"#).replace("UA", "\\ud800")));
    events.push(given("N1", 1, "departure", row(r#","dep_delay":1"#).replace("UA", "\\udc00\\ud800")));
    events.push(given("N1", 1, "departure", [b"{\"tailnum\":\"\xff\"}".as_slice(), row("").as_bytes()].concat()));
    for entity in ["number", "list", "empty", "short", "negative"] {
        events.push(given(entity, 1, "departure", row(r#","dep_delay":1"#).replace("N1", entity)));
    }
    let total = |all: &str| {
        let names = ["alerts", "diversions", "flights", "inherited", "late_arrival", "late_departure", "minutes", "untimed"];
        names.map(|name| format!("\"{name}\":{all}")).join(",")
    };
    let flight = r#"{"carrier":"UA","dep_delay":0,"dest":"IAH","flight":1,"inherited":null,"origin":"EWR"}"#;
    let full = format!(r#"{{"airborne":{flight},"previous":null,"total":{{{}}}}}"#, total("18446744073709551615"));
    let negative = format!(r#"{{"airborne":null,"previous":null,"total":{{{}}}}}"#, total("-1"));
    let states = [
        ("full", "aircraft", full.as_str()),
        ("number", "aircraft", "7"),
        ("list", "aircraft", "[]"),
        ("empty", "aircraft", ""),
        ("short", "aircraft", r#"{"airborne":null,"previous":null}"#),
        ("negative", "aircraft", &negative),
    ];
    let languages = languages("rotation_refuses_the_same_in_every_language");
    compare(&languages, "rotation", &[("threshold-minutes", "15")], "rotation.>", &states, &events).await;
    for threshold in ["", "+5", " 5", "1441", "99999999999999999999", "٣", "015"] {
        compare(&languages, "rotation", &[("threshold-minutes", threshold)], "rotation.>", &[], &[departure(r#","dep_delay":16"#)]).await;
    }
    compare(&languages, "rotation", &[], "rotation.>", &[], &events[..2]).await;
}

#[tokio::test]
async fn limits_of_what_an_event_makes_hold_in_every_language() {
    let engine = fresh_engine();
    for component in components("echo", &languages("limits_of_what_an_event_makes_hold_in_every_language")) {
        let failure = async |change: &dyn Fn(&mut HandlerConfig)| {
            let mut config = handler_config(&[("to", "out")], "out.*", Isolation::Run);
            change(&mut config);
            let mut runner = Runner::new(load_once(&engine, &component, config));
            match runner.handle(&given("N1", 1, "", "payload")).await {
                Came::Failure { kind, message } => (kind, message),
                Came::Out { .. } => panic!("{component}: it did not fail"),
            }
        };
        if !component.ends_with("python") && !component.ends_with("javascript") {
            let mut config = handler_config(&[("to", "out")], "out.*", Isolation::Run);
            config.limits = Limits::default();
            let mut runner = Runner::new(load_once(&engine, &component, config));
            let came = runner.handle(&given("N1", 1, "", "payload")).await;
            assert!(matches!(came, Came::Out { .. }), "{component} needs more than the default limits: {came:?}");
        }
        let (kind, message) = failure(&|config| config.limits.outputs_max = 0).await;
        assert_eq!((kind, message.as_str()), ("too-large", "output 1 to `out.N1`: count 1, more than outputs-max = 0"), "{component}");
        let (kind, _) = failure(&|config| config.limits.output_bytes_max = 5).await;
        assert_eq!(kind, "too-large", "{component}");
        let (kind, _) = failure(&|config| config.limits.state_value_max = 0).await;
        assert_eq!(kind, "too-large", "{component}");
        let (kind, _) = failure(&|config| config.outputs.clear()).await;
        assert_eq!(kind, "output-refused", "{component}");
    }
}

/// Time, memory, state and log: what no handler that means well reaches, and the canary does when its event says so. The limit ends that call, by its name,
/// and nothing else.
#[tokio::test]
async fn limits_of_what_a_call_takes_hold_in_every_language() {
    let engine = fresh_engine();
    for component in components("canary", &languages("limits_of_what_a_call_takes_hold_in_every_language")) {
        // For a loop far more than a call takes; what ends for another reason may take its time.
        for (told, kind, words, time_max) in [
            ("spin", "timeout", "time-max = 2s", 2),
            ("grow", "memory", "memory-max = 67108864", 60),
            ("fill", "too-large", "state-max = 5000", 60),
            ("chatter", "too-large", "more than 5 log lines", 60),
        ] {
            let mut config = handler_config(&[], "out.*", Isolation::Run);
            (config.limits.time_max, config.limits.state_max, config.limits.log_lines_max) = (Duration::from_secs(time_max), 5_000, 5);
            let mut runner = Runner::new(load_once(&engine, &component, config));
            let came = runner.handle(&given("greedy", 1, told, "payload")).await;
            let Came::Failure { kind: found, message } = &came else { panic!("{component}: {told}: it did not fail: {came:?}") };
            assert!(*found == kind && message.contains(words), "{component}: {told}: {found}: {message}");
            for (entity, sequence) in [("other", 1), ("other", 2), ("greedy", 1)] {
                let came = runner.handle(&given(entity, sequence, "", "payload")).await;
                let Came::Out { outputs, state } = &came else { panic!("{component}: {entity} {sequence} after {told}: {came:?}") };
                let globals = &outputs[0].2;
                assert_eq!(globals.is_empty(), sequence == 1, "{component}: {entity} {sequence} after {told} was told {globals:?}");
                assert!(state.is_empty(), "{component}: {entity} {sequence} after {told}: {state:?}");
            }
        }
    }
}

#[tokio::test]
async fn the_same_events_give_the_same_bytes_after_a_restart() {
    let echo: Vec<_> = (1..20_u64).map(|sequence| given(if sequence % 2 == 0 { "a" } else { "b" }, sequence, "", "x")).collect();
    let flights = flights(60);
    let languages = languages("the_same_events_give_the_same_bytes_after_a_restart");
    for (name, settings, outputs, events) in
        [("echo", ("to", "out"), "out.*", &echo), ("rotation", ("threshold-minutes", "15"), "rotation.>", &flights)]
    {
        for component in components(name, &languages) {
            for isolation in [Isolation::Run, Isolation::Event] {
                let mut before = None;
                // The second engine takes the compiled form that the first has left.
                for _ in 0..2 {
                    let engine = fresh_engine();
                    let mut runner = Runner::new(load_once(&engine, &component, handler_config(&[settings], outputs, isolation)));
                    let mut came = Vec::new();
                    for event in events {
                        came.push(runner.handle(event).await);
                    }
                    assert!(came.iter().all(|came| matches!(came, Came::Out { .. })), "{component}, {isolation:?}");
                    assert_eq!(before.get_or_insert_with(|| came.clone()), &came, "{component}, {isolation:?}");
                }
            }
        }
    }
}
