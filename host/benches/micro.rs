//! The small parts on the way of every event, one at a time: decode, the sequencer's steps, the handler's call, the encoding of its change. `cargo xtask
//! bench` runs this and takes the table that divan prints into its result. Allocations are counted.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "it stops at the first surprise")]

use bytes::Bytes;
use divan::{AllocProfiler, Bencher, black_box};
use seriatim::event::{EntityKey, Event, Header, Message};
use seriatim::runtime::{Call, Engine, EngineConfig, Handler, HandlerConfig, Isolation, Limits, State};
use seriatim::source::decode::Decoder;
use seriatim::source::sources::EventSources;
use seriatim::store::{Change, Mark, OutboxEntry, StateWrite, encoded};
use seriatim_sequencer::{Arrival, Effect, Input, Now, Patch, Place, Policy, Sequencer, Slot};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

fn main() {
    divan::main();
}

/// One in-order event, from its arrival to its commit: three steps. The sequencer is warm: its ring of ids is full.
#[divan::bench(sample_size = 10_000)]
fn sequencer_in_order(bencher: Bencher<'_, '_>) {
    let mut sequencer = Sequencer::new(Arc::new(Policy::default()), 0);
    let mut effects = Vec::with_capacity(64);
    let mut sequence = 0;
    let mut event = || {
        sequence += 1;
        let place = Place { epoch: 0, sequence };
        let arrival =
            Arrival { ticket: sequence, place, stream_sequence: sequence, id: sequence, payload: sequence, time: sequence, bytes: 256 };
        sequencer.step(Now::default(), Input::Arrived(arrival), &mut effects);
        while let Some(effect) = effects.pop() {
            let answer = match effect {
                Effect::Deliver { .. } => Input::Applied,
                Effect::Commit(change) => {
                    black_box(change);
                    Input::Committed
                }
                other => panic!("not in order: {other:?}"),
            };
            sequencer.step(Now::default(), answer, &mut effects);
        }
    };
    (0..1_000).for_each(|_| event());
    bencher.bench_local(event);
}

fn message() -> Arc<Message> {
    let header = |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    Arc::new(Message {
        subject: "flights.e1234".to_owned(),
        headers: vec![header("Seriatim-Entity", "e1234"), header("Seriatim-Sequence", "17"), header("Seriatim-Id", "e1234-17")],
        payload: Bytes::from(vec![b'.'; 256]),
        stream_sequence: 123_456,
        time: 1_700_000_000_000,
    })
}

fn decoder() -> Decoder {
    Decoder::new("flights".into(), "FLIGHTS".into(), EventSources::default())
}

/// A message of 256 bytes with the entity in its subject and sequence and id in headers.
#[divan::bench(sample_size = 1000)]
fn decode(bencher: Bencher<'_, '_>) {
    let (decoder, message) = (decoder(), message());
    bencher.bench_local(|| decoder.decode(Arc::clone(black_box(&message))).unwrap());
}

/// The change of one event with a state of 32 bytes and an output of 256: keys and values, as they go to the disk.
#[divan::bench(sample_size = 1000)]
fn record_encode(bencher: Bencher<'_, '_>) {
    let key = EntityKey { pipeline: "flights".into(), entity: "e1234".into() };
    let place = Place { epoch: 0, sequence: 17 };
    let slot = Slot { count: 17, position: place, done_below: 123_456, place, id: 42, payload: 43 };
    let value = Bytes::from(vec![b'0'; 32]);
    let output = OutboxEntry {
        number: 17,
        subject: "echo.e1234".to_owned(),
        headers: vec![("Seriatim-Entity".into(), "e1234".to_owned()), ("Seriatim-Cause-Sequence".into(), "17".to_owned())],
        payload: Bytes::from(vec![b'.'; 256]),
        message_id: "flights:0:0:e1234:17:echo:0".to_owned(),
        mark: Mark::default(),
        dead: false,
        cause: "echo".to_owned(),
    };
    let change = Change {
        patch: Patch { slot: Some(slot), ..Patch::default() },
        state: vec![StateWrite { handler: "echo".into(), key: "count".to_owned(), value: Some(value) }],
        outbox_add: vec![output.into()],
        ..Change::new(key, 64, 0)
    };
    bencher.bench_local(|| encoded(black_box(&change)).unwrap());
}

/// The handler that the benchmark measures the host with: state read, state written, one output.
fn handler(isolation: Isolation) -> Handler {
    let folder = std::env::var_os("SERIATIM_PLUGINS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")), PathBuf::from);
    let file = folder.join("bench.wasm");
    let component = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask plugins` builds it", file.display()));
    let config = HandlerConfig {
        name: "echo".into(),
        config: BTreeMap::from([("to".to_owned(), "echo".to_owned()), ("work".to_owned(), "output".to_owned())]),
        outputs: vec!["echo.>".to_owned()],
        isolation,
        limits: Limits::default(),
        load: 0,
    };
    Engine::new(&EngineConfig::default()).unwrap().load(&component, config).unwrap()
}

fn event() -> Arc<Event> {
    Arc::new(decoder().decode(message()).unwrap())
}

fn call(event: &Arc<Event>, state: State) -> Call {
    Call { event: Arc::clone(event), attempt: 1, late: false, replay: false, state }
}

fn state() -> State {
    State::from_iter([("count".to_owned(), Bytes::from(vec![b'0'; 32]))])
}

/// Polls to the end: a call gives way at ticks and waits for nothing.
fn finish<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// The same instance for every event.
#[divan::bench(sample_size = 1000)]
fn runtime_reused_instance(bencher: Bencher<'_, '_>) {
    let (handler, event) = (handler(Isolation::Shared), event());
    let mut instance = finish(handler.instantiate()).unwrap();
    let mut kept = Some(state());
    bencher.bench_local(|| {
        let returned = finish(instance.call(call(&event, kept.take().unwrap_or_default())));
        kept = Some(returned.state);
        returned.result.unwrap()
    });
}

/// A fresh instance for every event.
#[divan::bench(sample_size = 100)]
fn runtime_fresh_instance(bencher: Bencher<'_, '_>) {
    let (handler, event) = (handler(Isolation::Event), event());
    let mut kept = Some(state());
    bencher.bench_local(|| {
        let mut instance = finish(handler.instantiate()).unwrap();
        let returned = finish(instance.call(call(&event, kept.take().unwrap_or_default())));
        kept = Some(returned.state);
        returned.result.unwrap()
    });
}
