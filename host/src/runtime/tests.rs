//! The runtime with real components: every kind of failure, every bound, isolation, WASI, refusals at load, the cache. The guests are built by
//! `cargo xtask plugins`; `misbehave` does what its payload says.

use super::*;
use crate::event::{EntityKey, Message};
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as Clock};

fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SERIATIM_PLUGINS").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")),
        PathBuf::from,
    );
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask plugins` builds it", path.display()))
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        Engine::new(&EngineConfig {
            calls_max: 16,
            ..EngineConfig::default()
        })
        .unwrap()
    })
}

fn config() -> HandlerConfig {
    HandlerConfig {
        name: "test".into(),
        config: BTreeMap::from([("to".to_owned(), "out".to_owned())]),
        outputs: vec!["out.>".to_owned()],
        isolation: Isolation::Shared,
        limits: Limits::default(),
    }
}

fn load(name: &str, config: HandlerConfig) -> Handler {
    engine().load(&guest(name), config).unwrap()
}

fn limited(change: impl FnOnce(&mut Limits)) -> Handler {
    let mut config = config();
    change(&mut config.limits);
    load("misbehave", config)
}

fn misbehave() -> Handler {
    static HANDLER: OnceLock<Handler> = OnceLock::new();
    HANDLER.get_or_init(|| load("misbehave", config())).clone()
}

fn event(entity: &str, sequence: u64, payload: impl AsRef<[u8]>) -> Arc<Event> {
    Arc::new(Event {
        key: EntityKey {
            pipeline: "orders".into(),
            entity: entity.into(),
        },
        epoch: 2,
        sequence,
        id: format!("id-{sequence}"),
        has_id: true,
        kind: "made".into(),
        time: 1_385_000_000_123,
        message: Arc::new(Message {
            subject: format!("orders.{entity}"),
            headers: vec![
                Header {
                    name: "Nats-Msg-Id".into(),
                    value: "x\u{e9}".into(),
                },
                Header {
                    name: "a".into(),
                    value: String::new(),
                },
            ],
            payload: Bytes::copy_from_slice(payload.as_ref()),
            stream_sequence: 1000 + sequence,
            time: 1_385_000_000_456,
        }),
    })
}

fn call(entity: &str, sequence: u64, payload: impl AsRef<[u8]>, state: State) -> Call {
    Call {
        event: event(entity, sequence, payload),
        attempt: 1,
        late: false,
        replay: false,
        state,
    }
}

/// One event through a fresh instance.
async fn once(handler: &Handler, payload: impl AsRef<[u8]>) -> Returned {
    handler.instantiate().await.unwrap().call(call("e", 1, payload, State::new())).await
}

async fn failure(handler: &Handler, payload: &str) -> Failure {
    let mut instance = handler.instantiate().await.unwrap();
    let state = State::from([("count".to_owned(), Bytes::from_static(b"7"))]);
    let returned = instance.call(call("e", 1, payload, state.clone())).await;
    assert_eq!(returned.state, state, "the state that came is given back");
    let failure = returned.result.expect_err(payload);
    assert!(!failure.message.contains('\n') && failure.message.len() <= 1024, "{failure}");
    // Finished: it takes nothing more, and says whose fault that is.
    assert!(!instance.usable() && !instance.serves(&event("e", 2, "").key));
    let again = instance.call(call("e", 2, "", State::new())).await;
    assert_eq!(again.result.unwrap_err().kind, FailureKind::Host);
    failure
}

async fn told(handler: &Handler, payload: &str) -> serde_json::Value {
    let effects = once(handler, payload).await.result.unwrap();
    serde_json::from_slice(&effects.outputs[0].payload).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// What handlers logged on this thread while it lives.
struct Logged {
    lines: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

impl Logged {
    fn new() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || Shared(writer.clone()))
            .finish();
        Self {
            lines,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["target"] == "handler").collect()
    }

    fn messages(&self) -> Vec<String> {
        self.lines()
            .iter()
            .map(|line| line["fields"]["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

struct Shared(Arc<Mutex<Vec<u8>>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn echo_sends_on_and_counts() {
    let echo = load("echo", config());
    assert_eq!(
        (echo.digest().len(), &**echo.name(), echo.isolation()),
        (64, "test", Isolation::Shared)
    );
    let mut instance = echo.instantiate().await.unwrap();
    let mut state = State::new();
    for sequence in 1..=3 {
        let returned = instance.call(call("N-1.x", sequence, "payload", state)).await;
        let effects = returned.result.unwrap();
        assert_eq!(effects.writes, vec![("count".to_owned(), Some(bytes(&sequence.to_string())))]);
        let header = |name: &str| Header {
            name: name.into(),
            value: sequence.to_string(),
        };
        let headers = vec![header("Echo-Sequence"), header("Echo-Count")];
        assert_eq!(
            effects.outputs,
            vec![Emitted {
                subject: "out.N-1=2Ex".into(),
                headers,
                payload: bytes("payload")
            }]
        );
        state = effects.writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    }
    assert_eq!(instance.calls(), 3);
    assert!(instance.usable());
}

#[tokio::test]
async fn the_event_arrives_whole() {
    let seen = told(&misbehave(), r#"{"do": "event"}"#).await;
    let expected = serde_json::json!({
        "pipeline": "orders", "entity": "e", "epoch": 2, "sequence": 1, "id": "id-1", "kind": "made", "subject": "orders.e",
        "time": 1_385_000_000_123_u64, "stream-sequence": 1001, "headers": [["Nats-Msg-Id", "xé"], ["a", ""]], "payload": 15,
    });
    assert_eq!(seen, expected);
    assert_eq!(told(&misbehave(), r#"{"do": "config", "key": "to"}"#).await, "out");
    assert_eq!(
        told(&misbehave(), r#"{"do": "config", "key": "from"}"#).await,
        serde_json::Value::Null
    );
    let mut later = call("e", 1, r#"{"do": "delivery"}"#, State::new());
    (later.attempt, later.late, later.replay) = (3, true, true);
    let effects = misbehave().instantiate().await.unwrap().call(later).await.result.unwrap();
    assert_eq!(effects.outputs[0].payload, bytes("[3,true,true]"));
}

#[tokio::test]
async fn asked_for_failures_keep_their_reason_on_one_line() {
    let retry = failure(&misbehave(), r#"{"do": "retry", "until": 2}"#).await;
    assert_eq!((retry.kind, retry.message.as_str()), (FailureKind::Retry, "attempt 1 of 2"));
    let reject = failure(&misbehave(), r#"{"do": "reject", "reason": "bad\r\nthing"}"#).await;
    assert_eq!((reject.kind, reject.message.as_str()), (FailureKind::Rejected, "bad\\r\\nthing"));
    assert_eq!(reject.backtrace, None);
    for how in ["retry", "reject", "trap"] {
        failure(&misbehave(), &format!(r#"{{"do": "fail-after-work", "how": "{how}"}}"#)).await;
    }
}

#[tokio::test]
async fn traps_are_contained_and_say_where() {
    let logged = Logged::new();
    let trap = failure(&misbehave(), r#"{"do": "trap", "message": "boom"}"#).await;
    assert_eq!(trap.kind, FailureKind::Trap);
    assert!(trap.message.contains("unreachable"), "{trap}");
    assert!(trap.backtrace.unwrap().contains("wasm function"));
    assert!(logged.messages()[0].contains("boom"), "the SDK says why it panicked");
    let overflow = failure(&misbehave(), r#"{"do": "overflow"}"#).await;
    assert_eq!(overflow.kind, FailureKind::Trap);
    assert!(overflow.backtrace.unwrap().len() <= 4096);
}

#[tokio::test]
async fn loops_give_way_at_each_tick_and_end_at_time_max() {
    let handler = limited(|limits| limits.time_max = Duration::from_millis(100));
    let mut looping = handler.instantiate().await.unwrap();
    let mut looping = pin!(looping.call(call("e", 1, r#"{"do": "spin"}"#, State::new())));
    let mut other = misbehave().instantiate().await.unwrap();
    let (mut polls, mut between) = (0, 0);
    let returned = loop {
        let polled = Clock::now();
        match looping.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(returned) => break returned,
            Poll::Pending => polls += 1,
        }
        assert!(polled.elapsed() < Duration::from_secs(1), "a poll must not last");
        // Others run meanwhile.
        let done = other.call(call("other", polls, "x", State::new())).await;
        between += done.result.unwrap().outputs.len();
    };
    let timeout = returned.result.unwrap_err();
    assert_eq!(timeout.kind, FailureKind::Timeout);
    assert!(timeout.message.contains("time-max = 100ms"), "{timeout}");
    assert!(timeout.backtrace.is_some());
    // Ten ticks of 10 ms ran; time in which others ran is not counted.
    assert_eq!((polls, between), (10, 10));
}

#[tokio::test]
async fn time_set_aside_does_not_count() {
    let handler = limited(|limits| limits.time_max = Duration::from_millis(500));
    let mut instance = handler.instantiate().await.unwrap();
    let mut slow = pin!(instance.call(call("e", 1, r#"{"do": "slow", "ms": 100}"#, State::new())));
    let mut aside = Duration::ZERO;
    let result = loop {
        match slow.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(returned) => break returned.result,
            Poll::Pending => {
                std::thread::sleep(Duration::from_millis(300));
                aside += Duration::from_millis(300);
            }
        }
    };
    assert_eq!(result.unwrap().outputs.len(), 1);
    assert!(
        aside > Duration::from_millis(500),
        "the guest was too fast to show anything: {aside:?}"
    );
}

#[tokio::test]
async fn a_dropped_call_finishes_its_instance() {
    let mut instance = misbehave().instantiate().await.unwrap();
    {
        let mut looping = pin!(instance.call(call("e", 1, r#"{"do": "spin"}"#, State::new())));
        while looping.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready() {}
    }
    assert!(!instance.usable());
}

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
    instance
        .call(call("e", 1, r#"{"do": "ask-for-memory", "mib": 8}"#, State::new()))
        .await
        .result
        .unwrap();
    let trap = instance
        .call(call("e", 2, r#"{"do": "trap"}"#, State::new()))
        .await
        .result
        .unwrap_err();
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
    assert_eq!(
        effects.outputs[0].headers,
        vec![Header {
            name: "A".into(),
            value: "b".into()
        }]
    );
    let silent = load(
        "misbehave",
        HandlerConfig {
            outputs: Vec::new(),
            ..config()
        },
    );
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
        (
            r#"{"do": "emit", "subject": "out.e", "headers": [], "bytes": 8000000}"#,
            "to the host in one call",
        ),
    ] {
        let large = failure(&small, payload).await;
        assert_eq!(large.kind, FailureKind::TooLarge, "{large}");
        assert!(large.message.contains(name), "{large}");
    }
    assert_eq!(
        once(&small, r#"{"do": "flood", "count": 10, "bytes": 1000}"#)
            .await
            .result
            .unwrap()
            .outputs
            .len(),
        10
    );
}

#[tokio::test]
async fn state_is_read_as_it_was_written() {
    let handler = misbehave();
    let mut instance = handler.instantiate().await.unwrap();
    let state: State = ["a", "b1", "b2", "b3", "c"]
        .into_iter()
        .map(|key| (key.to_owned(), bytes("xyz")))
        .collect();
    let mut run = async |payload: &str| {
        let effects = instance.call(call("e", 1, payload, state.clone())).await.result.unwrap();
        (effects.writes, String::from_utf8(effects.outputs[0].payload.to_vec()).unwrap())
    };
    assert_eq!(run(r#"{"do": "get", "key": "a"}"#).await, (vec![], "3".into()));
    assert_eq!(run(r#"{"do": "get", "key": "z"}"#).await, (vec![], "null".into()));
    assert_eq!(
        run(r#"{"do": "keys", "prefix": "b", "after": "b1", "max": 5}"#).await.1,
        r#"["b2","b3"]"#
    );
    assert_eq!(
        run(r#"{"do": "keys", "prefix": "", "after": null, "max": 2}"#).await.1,
        r#"["a","b1"]"#
    );
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
    once(&handler, r#"{"do": "log-flood", "count": 100000}"#).await.result.unwrap();
    let messages = logged.messages();
    assert_eq!(messages.len(), 6);
    assert_eq!((messages[4].as_str(), messages[5].contains("log-lines-max = 5")), ("line 4", true));
}

#[tokio::test]
async fn isolation_decides_what_an_instance_remembers() {
    let spy = async |instance: &mut Instance, entity: &str| -> Option<(u64, bool)> {
        let key = event(entity, 1, "").key.clone();
        let serves = instance.serves(&key);
        let returned = instance.call(call(entity, 1, r#"{"do": "spy"}"#, State::new())).await;
        assert_eq!(returned.result.is_ok(), serves);
        let seen: serde_json::Value = serde_json::from_slice(&returned.result.ok()?.outputs[0].payload).unwrap();
        Some((seen["calls"].as_u64().unwrap(), seen["zero"].as_bool().unwrap()))
    };
    for (isolation, second_of_same, first_of_other) in [
        (Isolation::Run, Some((2, true)), None),
        (Isolation::Event, None, None),
        (Isolation::Shared, Some((2, true)), Some((3, true))),
    ] {
        let handler = load("misbehave", HandlerConfig { isolation, ..config() });
        let mut instance = handler.instantiate().await.unwrap();
        assert_eq!(spy(&mut instance, "a").await, Some((1, true)), "{isolation:?}");
        assert_eq!(spy(&mut instance, "a").await, second_of_same, "{isolation:?}");
        assert_eq!(spy(&mut instance, "b").await, first_of_other, "{isolation:?}");
        // A slot of the pool that others used is clean.
        drop(instance);
        for _ in 0..40 {
            assert_eq!(spy(&mut handler.instantiate().await.unwrap(), "c").await, Some((1, true)));
        }
    }
}

#[tokio::test]
async fn no_room_is_the_hosts_fault() {
    let engine = Engine::new(&EngineConfig {
        calls_max: 0,
        ..EngineConfig::default()
    })
    .unwrap();
    assert_eq!(engine.allocator(), "pooling");
    let handler = engine.load(&guest("echo"), config()).unwrap();
    let mut instances = Vec::new();
    let full = loop {
        match handler.instantiate().await {
            Ok(instance) => instances.push(instance),
            Err(full) => break full,
        }
    };
    assert_eq!((full.kind, instances.len()), (FailureKind::Host, 64));
    instances.pop();
    handler.instantiate().await.unwrap();
}

#[tokio::test]
async fn a_panic_of_the_host_is_contained() {
    let mut instance = misbehave().instantiate().await.unwrap();
    let returned = instance
        .call(call("e", 1, "host-panic", State::from([("a".to_owned(), bytes("b"))])))
        .await;
    assert_eq!(returned.state.len(), 1);
    let failure = returned.result.unwrap_err();
    assert_eq!(
        (failure.kind, failure.message.as_str()),
        (FailureKind::Trap, "host panicked in call")
    );
    assert!(!instance.usable());
    drop(instance);
    once(&misbehave(), "x").await.result.unwrap();
}

#[tokio::test]
async fn nan_has_the_same_bits_everywhere() {
    assert_eq!(told(&misbehave(), r#"{"do": "nan"}"#).await, 0x7ff8_0000_0000_0000_u64);
}

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
    assert_eq!(
        (exit.kind, exit.message.as_str()),
        (FailureKind::Trap, "the component called exit(1)")
    );
    let panic = failure(&handler, "panic").await;
    assert_eq!(panic.kind, FailureKind::Trap);
    assert!(logged.messages().iter().any(|line| line.contains("told to")));
    drop(logged);
    let logged = Logged::new();
    once(&handler, "flood").await.result.unwrap();
    assert_eq!(logged.messages().len(), 101);
    assert!(logged.messages()[100].contains("log-lines-max = 100"));
}

#[test]
fn what_cannot_be_run_is_refused_at_load() {
    let refused = |bytes: &[u8]| engine().load(bytes, config()).unwrap_err().to_string();
    let stranger = refused(&guest("stranger"));
    assert!(
        stranger.contains("stranger:network/sockets@0.1.0") && stranger.contains("`test`"),
        "{stranger}"
    );
    assert!(refused(b"hello").contains("not a WebAssembly module"));
    assert!(refused(b"").contains("not a WebAssembly module"));
    assert!(refused(b"\0asm\x01\0\0\0").contains("without a component type section"));
    // A component that exports nothing.
    assert!(refused(b"\0asm\x0d\0\x01\0").contains("does not fit the world"));
    // A component that imports an instance `wasi:http/types@0.2.0`.
    let mut http = b"\0asm\x0d\0\x01\0".to_vec();
    http.extend_from_slice(&[7, 3, 1, 0x42, 0]);
    http.extend_from_slice(&[10, 26, 1, 0, 21]);
    http.extend_from_slice(b"wasi:http/types@0.2.0");
    http.extend_from_slice(&[5, 0]);
    assert!(
        refused(&http).contains("does not have: wasi:http/types@0.2.0"),
        "{}",
        refused(&http)
    );
    // A core module that imports `wasi_snapshot_preview1.fd_write`.
    let mut preview1 = b"\0asm\x01\0\0\0".to_vec();
    preview1.extend_from_slice(&[1, 4, 1, 0x60, 0, 0, 2, 35, 1, 22]);
    preview1.extend_from_slice(b"wasi_snapshot_preview1\x08fd_write\0\0");
    assert!(
        refused(&preview1).contains("preview 1 imports (wasi_snapshot_preview1)"),
        "{}",
        refused(&preview1)
    );
    let mut truncated = guest("echo");
    truncated.truncate(truncated.len() / 2);
    assert!(refused(&truncated).contains("not a WebAssembly module"));

    let mut small = config();
    small.limits.memory_max = 64 << 10;
    assert!(
        engine()
            .load(&guest("echo"), small)
            .unwrap_err()
            .to_string()
            .contains("memory-max = 65536")
    );
    let mut big = config();
    big.limits.memory_max = 1 << 40;
    assert!(
        engine()
            .load(&guest("echo"), big)
            .unwrap_err()
            .to_string()
            .contains("memory-max is 1099511627776 bytes")
    );
}

#[tokio::test]
async fn the_cache_is_used_and_never_trusted() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("compiled");
    let open = || {
        Engine::new(&EngineConfig {
            cache_dir: Some(dir.clone()),
            calls_max: 1,
            ..EngineConfig::default()
        })
        .unwrap()
    };
    let works = async |engine: &Engine| {
        let handler = engine.load(&guest("echo"), config()).unwrap();
        assert_eq!(once(&handler, "x").await.result.unwrap().outputs.len(), 1);
    };
    let files = || {
        let mut files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    };
    works(&open()).await;
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    let [code, sum] = files().try_into().unwrap();
    assert_eq!(std::fs::metadata(&code).unwrap().permissions().mode() & 0o777, 0o600);
    let good = std::fs::read(&code).unwrap();

    // A hit leaves the file alone.
    let made = std::fs::metadata(&code).unwrap().modified().unwrap();
    works(&open()).await;
    assert_eq!(std::fs::metadata(&code).unwrap().modified().unwrap(), made);

    // Changed, cut, with a wrong or no checksum, or not ours at all under a right checksum: compiled again, and put right.
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    let other = b"\x7fELF nonsense".to_vec();
    let right = |bytes: &[u8]| {
        use sha2::Digest as _;
        hex::encode(sha2::Sha256::digest(bytes))
    };
    for (bytes, checksum) in [
        (flipped.clone(), std::fs::read_to_string(&sum).unwrap()),
        (good[..1000].to_vec(), right(&good)),
        (Vec::new(), right(&good)),
        (good.clone(), "nonsense".into()),
        (other.clone(), right(&other)),
    ] {
        std::fs::write(&code, bytes).unwrap();
        std::fs::write(&sum, checksum).unwrap();
        works(&open()).await;
        assert_eq!(std::fs::read(&code).unwrap().len(), good.len());
        assert_eq!(std::fs::read_to_string(&sum).unwrap(), right(&std::fs::read(&code).unwrap()));
    }
    std::fs::remove_file(&sum).unwrap();
    works(&open()).await;

    // A folder that others may enter is not used.
    std::fs::remove_file(&code).unwrap();
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    works(&open()).await;
    assert!(!code.exists());
}
