//! What a call gives back: effects, failures by name, turns given away, what an instance remembers.

use super::*;

#[tokio::test]
async fn echo_sends_on_and_counts() {
    let echo = load("echo", config());
    assert_eq!((echo.digest().len(), &**echo.name(), echo.isolation()), (64, "test", Isolation::Shared));
    let mut instance = echo.instantiate().await.unwrap();
    let mut state = State::new();
    for sequence in 1..=3 {
        let returned = instance.call(call("N-1.x", sequence, "payload", state)).await;
        let effects = returned.result.unwrap();
        assert_eq!(effects.writes, vec![("count".to_owned(), Some(bytes(&sequence.to_string())))]);
        let header = |name: &str| Header { name: name.into(), value: sequence.to_string() };
        let headers = vec![header("Echo-Sequence"), header("Echo-Count")];
        assert_eq!(effects.outputs, vec![Emitted { subject: "out.N-1=2Ex".into(), headers, payload: bytes("payload") }]);
        state = effects.writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    }
    assert_eq!(instance.calls(), 3);
    assert!(instance.usable());
}

#[tokio::test]
async fn an_aggregate_keeps_its_state_with_the_version_and_sends_both() {
    let mut instance = load("account", config()).instantiate().await.unwrap();
    let mut state = State::new();
    for (sequence, kind, balance) in [(1, "deposited", 50), (2, "withdrawn", 0)] {
        let mut call = call("DE-1", sequence, r#"{"amount":50}"#, state);
        Arc::get_mut(&mut call.event).unwrap().kind = kind.to_owned();
        let effects = instance.call(call).await.result.unwrap();
        let now = format!(r#"{{"balance":{balance},"open":false}}"#);
        let kept = format!(r#"{{"epoch":2,"state":{now},"version":{sequence}}}"#);
        assert_eq!(effects.writes, vec![("aggregate".to_owned(), Some(bytes(&kept)))]);
        let headers = vec![Header { name: "Account-Version".into(), value: sequence.to_string() }];
        assert_eq!(effects.outputs, vec![Emitted { subject: "out.DE-1".into(), headers, payload: bytes(&now) }]);
        state = effects.writes.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
    }
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
    assert_eq!(told(&misbehave(), r#"{"do": "config", "key": "from"}"#).await, serde_json::Value::Null);
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
    assert!(aside > Duration::from_millis(500), "the guest was too fast to show anything: {aside:?}");
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
async fn isolation_decides_what_an_instance_remembers() {
    let spy = async |instance: &mut Instance, entity: &str| -> Option<(u64, bool)> {
        let key = event(entity, 1, "").key.clone();
        let serves = instance.serves(&key);
        let returned = instance.call(call(entity, 1, r#"{"do": "spy"}"#, State::new())).await;
        assert_eq!(returned.result.is_ok(), serves);
        let seen: serde_json::Value = serde_json::from_slice(&returned.result.ok()?.outputs[0].payload).unwrap();
        Some((seen["calls"].as_u64().unwrap(), seen["zero"].as_bool().unwrap()))
    };
    for (isolation, second_of_same, first_of_other) in
        [(Isolation::Run, Some((2, true)), None), (Isolation::Event, None, None), (Isolation::Shared, Some((2, true)), Some((3, true)))]
    {
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
    let engine = Engine::new(&EngineConfig { calls_max: 0, ..EngineConfig::default() }).unwrap();
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
async fn without_room_for_a_pool_instances_are_made_on_demand() {
    let engine = Engine::new(&EngineConfig { calls_max: 1 << 22, ..EngineConfig::default() }).unwrap();
    assert_eq!(engine.allocator(), "on-demand");
    let handler = engine.load(&guest("echo"), config()).unwrap();
    assert_eq!(once(&handler, "x").await.result.unwrap().outputs.len(), 1);
}

#[tokio::test]
async fn a_panic_of_the_host_is_contained() {
    let mut instance = misbehave().instantiate().await.unwrap();
    let returned = instance.call(call("e", 1, "host-panic", State::from_iter([("a".to_owned(), bytes("b"))]))).await;
    assert_eq!(returned.state.len(), 1);
    let failure = returned.result.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Trap, "host panicked in call"));
    assert!(!instance.usable());
    drop(instance);
    once(&misbehave(), "x").await.result.unwrap();
}

#[tokio::test]
async fn nan_has_the_same_bits_everywhere() {
    assert_eq!(told(&misbehave(), r#"{"do": "nan"}"#).await, 0x7ff8_0000_0000_0000_u64);
}

#[tokio::test]
async fn the_same_events_give_the_same_bytes_whatever_shares_an_instance() {
    async fn replay(isolation: Isolation) -> Vec<Effects> {
        let handler = load("misbehave", HandlerConfig { isolation, ..config() });
        let mut instance = handler.instantiate().await.unwrap();
        let mut state = State::new();
        let mut all = Vec::new();
        let payloads = ["x", r#"{"do": "fill", "keys": 5, "bytes": 3}"#, r#"{"do": "delete", "key": "k00002"}"#, r#"{"do": "event"}"#];
        for (payload, sequence) in payloads.iter().cycle().zip(1..20) {
            let call = call("e", sequence, payload, state);
            if !instance.serves(&call.event.key) {
                instance = handler.instantiate().await.unwrap();
            }
            let returned = instance.call(call).await;
            let effects = returned.result.unwrap();
            state = returned.state;
            for (key, value) in effects.writes.clone() {
                match value {
                    Some(value) => state.insert(key, value),
                    None => state.remove(&key),
                };
            }
            all.push(effects);
        }
        all
    }
    let alone = replay(Isolation::Event).await;
    assert_eq!(alone.len(), 19);
    assert_eq!(replay(Isolation::Run).await, alone);
    assert_eq!(replay(Isolation::Shared).await, alone);
}

#[tokio::test]
async fn a_call_may_move_between_threads() {
    fn movable<T: Send>(future: T) -> T {
        future
    }
    let handler = misbehave();
    let mut instance = movable(handler.instantiate()).await.unwrap();
    movable(instance.call(call("e", 1, "x", State::new()))).await.result.unwrap();
}
