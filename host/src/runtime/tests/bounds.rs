//! Every bound of a call, reached by a guest that means to.

use super::*;

#[tokio::test]
async fn memory_is_bounded_and_named() {
    let handler = limited(|limits| limits.memory_max = 4 << 20);
    for payload in [r#"{"do": "grow", "mib": 8}"#, r#"{"do": "grow", "mib": 8, "piece": 1000}"#] {
        let memory = failure(&handler, payload).await;
        assert_eq!(memory.kind, FailureKind::Memory);
        assert!(memory.message.contains("memory-max = 4194304"), "{memory}");
    }
    once(&handler, r#"{"do": "grow", "mib": 1, "piece": 1000}"#).await.result.unwrap();
    // A guest that takes no for an answer has done nothing wrong.
    assert_eq!(told(&handler, r#"{"do": "ask-for-memory", "mib": 8}"#).await, "refused");
    assert_eq!(told(&handler, r#"{"do": "ask-for-memory", "mib": 1}"#).await, "granted");
    // Nor is an earlier refusal the reason of a later trap.
    let mut instance = handler.instantiate().await.unwrap();
    instance.call(call("e", 1, r#"{"do": "ask-for-memory", "mib": 8}"#, State::new())).await.result.unwrap();
    let trap = instance.call(call("e", 2, r#"{"do": "trap"}"#, State::new())).await.result.unwrap_err();
    assert_eq!(trap.kind, FailureKind::Trap);
}

#[tokio::test]
async fn outputs_are_checked_as_they_are_emitted() {
    let emit = |subject: &str, name: &str, value: &str| {
        serde_json::json!({"do": "emit", "subject": subject, "headers": [[name, value]], "bytes": 1}).to_string()
    };
    for (subject, name, value) in [
        ("other.e", "A", "b"),
        ("out.*", "A", "b"),
        ("out..e", "A", "b"),
        ("out.e e", "A", "b"),
        ("", "A", "b"),
        ("out.e", "A", "b\r\nC: d"),
        ("out.e", "A\r\nB", "c"),
        ("out.e", "Nats-Msg-Id", "b"),
        ("out.e", "seriatim-entity", "b"),
        ("out.e", "A:", "b"),
    ] {
        let refused = failure(&misbehave(), &emit(subject, name, value)).await;
        assert_eq!(refused.kind, FailureKind::OutputRefused, "{refused}");
        assert!(refused.backtrace.is_some(), "it says where in the component");
    }
    let effects = once(&misbehave(), emit("out.e", "A", "b")).await.result.unwrap();
    assert_eq!(effects.outputs[0].headers, vec![Header { name: "A".into(), value: "b".into() }]);
    let silent = load("misbehave", HandlerConfig { outputs: Vec::new(), ..config() });
    assert_eq!(failure(&silent, "echo").await.kind, FailureKind::OutputRefused);
}

#[tokio::test]
async fn amounts_are_bounded_and_named() {
    let small = limited(|limits| {
        (limits.outputs_max, limits.output_bytes_max, limits.payload_max) = (10, 20_000, 14_096);
        (limits.state_max, limits.state_value_max, limits.state_keys_max) = (5000, 1000, 20);
    });
    for (payload, name) in [
        (r#"{"do": "flood", "count": 1000000, "bytes": 1}"#, "outputs-max = 10"),
        (r#"{"do": "flood", "count": 10, "bytes": 4000}"#, "output-bytes-max = 20000"),
        (r#"{"do": "flood", "count": 1, "bytes": 10000}"#, "max_payload = 14096"),
        (r#"{"do": "set", "key": "k", "bytes": 1001}"#, "state-value-max = 1000"),
        (r#"{"do": "fill", "keys": 100, "bytes": 1}"#, "state-keys-max = 20"),
        (r#"{"do": "fill", "keys": 10, "bytes": 900}"#, "state-max = 5000"),
        // More than the host takes over in one call at all.
        (r#"{"do": "set", "key": "k", "bytes": 8000000}"#, "to the host in one call"),
        (r#"{"do": "emit", "subject": "out.e", "headers": [], "bytes": 8000000}"#, "to the host in one call"),
    ] {
        let large = failure(&small, payload).await;
        assert_eq!(large.kind, FailureKind::TooLarge, "{large}");
        assert!(large.message.contains(name), "{large}");
    }
    assert_eq!(once(&small, r#"{"do": "flood", "count": 10, "bytes": 1000}"#).await.result.unwrap().outputs.len(), 10);
}

#[tokio::test]
async fn state_is_read_as_it_was_written() {
    let handler = misbehave();
    let mut instance = handler.instantiate().await.unwrap();
    let state: State = ["a", "b1", "b2", "b3", "c"].into_iter().map(|key| (key.to_owned(), bytes("xyz"))).collect();
    let mut run = async |payload: &str| {
        let effects = instance.call(call("e", 1, payload, state.clone())).await.result.unwrap();
        (effects.writes, String::from_utf8(effects.outputs[0].payload.to_vec()).unwrap())
    };
    assert_eq!(run(r#"{"do": "get", "key": "a"}"#).await, (vec![], "3".into()));
    assert_eq!(run(r#"{"do": "get", "key": "z"}"#).await, (vec![], "null".into()));
    assert_eq!(run(r#"{"do": "keys", "prefix": "b", "after": "b1", "max": 5}"#).await.1, r#"["b2","b3"]"#);
    assert_eq!(run(r#"{"do": "keys", "prefix": "", "after": null, "max": 2}"#).await.1, r#"["a","b1"]"#);
    let deleted = run(r#"{"do": "delete", "key": "b2"}"#).await.0;
    assert_eq!(deleted, vec![("b2".to_owned(), None), ("count".to_owned(), Some(bytes("1")))]);
}

#[tokio::test]
async fn log_lines_are_placed_escaped_and_bounded() {
    let logged = Logged::new();
    let line = r#"{"do": "log", "level": "warn", "message": "a\nb\u001b[31m", "fields": [["k", "v\r\n"]]}"#;
    once(&misbehave(), line).await.result.unwrap();
    let lines = logged.lines();
    assert_eq!(lines[0]["level"], "WARN");
    assert_eq!(lines[0]["fields"]["message"], "a\\nb\\u{1b}[31m k=v\\r\\n");
    let place = serde_json::json!({"pipeline": "orders", "entity": "e", "sequence": 1, "stream_sequence": 1001, "handler": "test"});
    for (name, value) in place.as_object().unwrap() {
        assert_eq!(&lines[0]["fields"][name], value);
    }
    drop(logged);

    let logged = Logged::new();
    let handler = limited(|limits| limits.log_lines_max = 5);
    once(&handler, r#"{"do": "log-flood", "count": 5}"#).await.result.unwrap();
    assert_eq!(logged.messages(), (0..5).map(|n| format!("line {n}")).collect::<Vec<_>>());
    let flood = failure(&handler, r#"{"do": "log-flood", "count": 100000}"#).await;
    assert_eq!(flood.kind, FailureKind::TooLarge);
    assert!(flood.message.contains("more than 5 log lines"), "{flood}");
    assert_eq!(logged.messages().len(), 10);
}
