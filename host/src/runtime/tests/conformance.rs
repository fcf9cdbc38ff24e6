//! What a handler may do and what comes of it, as a table that two sides must agree on: here the component in a real engine, in
//! `tests/guests/misbehave/tests/conformance.rs` the same handler natively in the SDK's test kit.

use super::*;
use serde::Deserialize;

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

#[tokio::test]
async fn the_table_of_the_contract_holds_for_components() {
    let table: Table = serde_json::from_str(include_str!("../../../../tests/fixtures/handler-contract.json")).unwrap();
    // Compiled once for each choice of limits and outputs: that is what takes the time.
    let mut handlers: BTreeMap<_, Handler> = BTreeMap::new();
    for case in &table.cases {
        let name = &case.name;
        let handler = handlers.entry((&case.limits, &case.outputs)).or_insert_with(|| {
            let mut config = config();
            case.limits.iter().for_each(|(name, max)| set(&mut config.limits, name, *max));
            config.outputs = case.outputs.clone().unwrap_or(config.outputs);
            load("misbehave", config)
        });
        let mut state: State = case.state.iter().map(|(key, value)| (key.clone(), bytes(value))).collect();
        let mut call = call("e", 1, &case.payload, state.clone());
        (call.attempt, call.late, call.replay) = (case.attempt.unwrap_or(1), case.late, case.replay);

        let logged = Logged::new();
        let returned = handler.instantiate().await.unwrap().call(call).await;
        let lines = logged.lines();
        assert_eq!(returned.state, state, "{name}");
        match (returned.result, &case.failure) {
            (Err(failure), Some(expected)) => {
                assert_eq!(failure.kind.name(), expected.kind, "{name}: {failure}");
                if let Some(message) = &expected.message {
                    assert_eq!(&failure.message, message, "{name}");
                }
            }
            (Ok(effects), None) => {
                for (key, value) in effects.writes {
                    match value {
                        Some(value) => state.insert(key, value),
                        None => state.remove(&key),
                    };
                }
                assert_eq!(state, case.after.iter().map(|(key, value)| (key.clone(), bytes(value))).collect(), "{name}");
                let header = |header: Header| (header.name, header.value);
                let sent = effects.outputs.into_iter().map(|output| {
                    let payload = String::from_utf8(output.payload.to_vec()).unwrap();
                    (output.subject, output.headers.into_iter().map(header).collect(), payload)
                });
                assert_eq!(sent.collect::<Vec<_>>(), case.sent, "{name}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
        if let Some(expected) = &case.logs {
            let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let lines = lines.iter().map(|line| (text(&line["level"]).to_lowercase(), text(&line["fields"]["message"])));
            assert_eq!(&lines.collect::<Vec<_>>(), expected, "{name}");
        }
    }
}
