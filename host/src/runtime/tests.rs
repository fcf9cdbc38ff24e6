//! The runtime with real components: every kind of failure, every bound, isolation, WASI, refusals at load, the cache. The guests are built by
//! `cargo xtask plugins`; `misbehave` does what its payload says. Here is what the tests share.

mod bounds;
mod calls;
mod conformance;
mod languages;
mod loading;
mod system;
mod versioned;

use super::*;
use crate::event::{EntityKey, Header, Message};
use crate::telemetry::captured;
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::{Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant as Clock};

fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SERIATIM_PLUGINS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask plugins` builds it", path.display()))
}

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(&EngineConfig { calls_max: 16, ..EngineConfig::default() }).unwrap())
}

fn config() -> HandlerConfig {
    HandlerConfig {
        name: "test".into(),
        config: BTreeMap::from([("to".to_owned(), "out".to_owned())]),
        outputs: vec!["out.>".to_owned()],
        isolation: Isolation::Shared,
        limits: Limits::default(),
        load: 0,
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
        key: EntityKey { pipeline: "orders".into(), entity: entity.into() },
        epoch: 2,
        sequence,
        id: format!("id-{sequence}"),
        has_id: true,
        kind: "made".into(),
        time: 1_385_000_000_123,
        message: Arc::new(Message {
            subject: format!("orders.{entity}"),
            headers: vec![
                Header { name: "Nats-Msg-Id".into(), value: "x\u{e9}".into() },
                Header { name: "a".into(), value: String::new() },
            ],
            payload: Bytes::copy_from_slice(payload.as_ref()),
            stream_sequence: 1000 + sequence,
            time: 1_385_000_000_456,
        }),
    })
}

fn call(entity: &str, sequence: u64, payload: impl AsRef<[u8]>, state: State) -> Call {
    Call { event: event(entity, sequence, payload), attempt: 1, late: false, replay: false, state }
}

/// One event through a fresh instance.
async fn once(handler: &Handler, payload: impl AsRef<[u8]>) -> Returned {
    handler.instantiate().await.unwrap().call(call("e", 1, payload, State::new())).await
}

async fn failure(handler: &Handler, payload: &str) -> Failure {
    let mut instance = handler.instantiate().await.unwrap();
    let state = State::from_iter([("count".to_owned(), Bytes::from_static(b"7"))]);
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
    _captured: captured::Captured,
}

impl Logged {
    fn new() -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let writer = lines.clone();
        let subscriber =
            tracing_subscriber::fmt().json().with_max_level(tracing::Level::TRACE).with_writer(move || Shared(writer.clone())).finish();
        Self { lines, _captured: captured::capture(subscriber) }
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.lines.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["target"] == "handler").collect()
    }

    fn messages(&self) -> Vec<String> {
        self.lines().iter().map(|line| line["fields"]["message"].as_str().unwrap().to_owned()).collect()
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
