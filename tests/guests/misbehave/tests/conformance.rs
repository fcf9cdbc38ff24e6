//! What a handler may do and what comes of it, as a table that two sides must agree on: here the handler natively in the SDK's test kit, in
//! `host/src/runtime/tests/conformance.rs` the component in a real engine.

use misbehave::Misbehave;
use serde::Deserialize;
use seriatim_guest::log::Level;
use seriatim_guest::testing::{Kit, Limits, event};
use std::collections::BTreeMap;

/// Subject, headers, payload.
type Message = (String, Vec<(String, String)>, String);

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    payload: String,
    #[serde(default)]
    state: BTreeMap<String, String>,
    outputs: Option<Vec<String>>,
    #[serde(default)]
    limits: BTreeMap<String, usize>,
    attempt: Option<u32>,
    #[serde(default)]
    late: bool,
    #[serde(default)]
    replay: bool,
    failure: Option<Expected>,
    #[serde(default)]
    sent: Vec<Message>,
    #[serde(default)]
    after: BTreeMap<String, String>,
    logs: Option<Vec<(String, String)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    kind: String,
    message: Option<String>,
}

fn set(limits: &mut Limits, name: &str, max: usize) {
    let limit = match name {
        "state-max" => &mut limits.state_max,
        "state-value-max" => &mut limits.state_value_max,
        "state-keys-max" => &mut limits.state_keys_max,
        "outputs-max" => &mut limits.outputs_max,
        "output-bytes-max" => &mut limits.output_bytes_max,
        "log-lines-max" => &mut limits.log_lines_max,
        other => panic!("no limit {other}"),
    };
    *limit = max;
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Trace => "trace",
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn as_bytes(state: &BTreeMap<String, String>) -> BTreeMap<String, Vec<u8>> {
    state.iter().map(|(key, value)| (key.clone(), value.clone().into_bytes())).collect()
}

#[test]
fn the_table_of_the_contract_holds_in_the_test_kit() {
    let table: Table = serde_json::from_str(include_str!("../../../fixtures/handler-contract.json")).unwrap();
    for case in &table.cases {
        let name = &case.name;
        let outputs = case.outputs.clone().unwrap_or_else(|| vec!["out.>".to_owned()]);
        let mut kit = Kit::<Misbehave>::new().pipeline("orders").config("to", "out").outputs(outputs);
        kit = kit.limits(|limits| case.limits.iter().for_each(|(name, max)| set(limits, name, *max)));
        for (key, value) in &case.state {
            kit = kit.state_bytes("e", key, value.as_str());
        }
        let mut event = event("e", 1).epoch(2).id("id-1").kind("made").subject("orders.e").time_ms(1_385_000_000_123);
        event = event.stream_sequence(1001).header("Nats-Msg-Id", "x\u{e9}").header("a", "").bytes(case.payload.as_str());
        event = event.attempt(case.attempt.unwrap_or(1));
        event = if case.late { event.late() } else { event };
        event = if case.replay { event.replay() } else { event };

        match (kit.handle(event), &case.failure) {
            (Err(failure), Some(expected)) => {
                assert_eq!(failure.kind.name(), expected.kind, "{name}: {failure}");
                if let Some(message) = &expected.message {
                    assert_eq!(&failure.message, message, "{name}");
                }
                assert_eq!(kit.state_of("e"), as_bytes(&case.state), "{name}");
            }
            (Ok(sent), None) => {
                let sent = sent.into_iter().map(|sent| {
                    let headers = sent.headers.iter().map(|header| (header.name.clone(), header.value.clone())).collect();
                    (sent.subject.clone(), headers, sent.text().to_owned())
                });
                assert_eq!(sent.collect::<Vec<_>>(), case.sent, "{name}");
                assert_eq!(kit.state_of("e"), as_bytes(&case.after), "{name}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
        if let Some(expected) = &case.logs {
            let lines = kit.logs().iter().map(|line| (level(line.level).to_owned(), line.to_string()));
            assert_eq!(&lines.collect::<Vec<_>>(), expected, "{name}");
        }
    }
}
