//! WASI 0.2: a guest that uses all of the system finds an empty one, the same each time.

use super::*;

#[tokio::test]
async fn wasi_works_on_an_empty_system() {
    let logged = Logged::new();
    let handler = load("preview2", config());
    let report = async |entity: &str, sequence: u64| {
        let mut instance = handler.instantiate().await.unwrap();
        let effects = instance.call(call(entity, sequence, "report", State::new())).await.result.unwrap();
        serde_json::from_slice::<serde_json::Value>(&effects.outputs[0].payload).unwrap()
    };
    let started = Clock::now();
    let first = report("e", 7).await;
    assert!(started.elapsed() < Duration::from_secs(10), "sleeping must end at once");
    assert_eq!(first["wall-ms"], 1_385_000_000_123_u64);
    assert_eq!(first["slept-seconds"], 3600);
    assert_eq!(first["stdin"], serde_json::json!({"Ok": ""}));
    assert_eq!((&first["environment"], &first["arguments"]), (&0.into(), &0.into()));
    for refused in ["file", "create", "listing", "connect", "resolve"] {
        assert!(first[refused]["Err"].is_string(), "{refused}: {}", first[refused]);
    }
    // Same event, same answers; another event, other randomness.
    assert_eq!(report("e", 7).await, first);
    for (entity, sequence) in [("e", 8), ("f", 7)] {
        let other = report(entity, sequence).await;
        assert_ne!(other["random"], first["random"]);
        assert_eq!(other["hash-order"], first["hash-order"]);
    }
    let messages = logged.messages();
    assert_eq!(messages[..2], ["handling 7", "half a line"]);
    assert_eq!(logged.lines()[1]["fields"]["sequence"], 7);
}

#[tokio::test]
async fn wasi_guests_cannot_end_or_flood_the_host() {
    let logged = Logged::new();
    let handler = load("preview2", config());
    let exit = failure(&handler, "exit").await;
    assert_eq!((exit.kind, exit.message.as_str()), (FailureKind::Trap, "the component called exit(1)"));
    let panic = failure(&handler, "panic").await;
    assert_eq!(panic.kind, FailureKind::Trap);
    assert!(logged.messages().iter().any(|line| line.contains("told to")));
    drop(logged);
    let logged = Logged::new();
    once(&handler, "flood").await.result.unwrap();
    assert_eq!(logged.messages().len(), 101);
    assert!(logged.messages()[100].contains("log-lines-max = 100"));
}
