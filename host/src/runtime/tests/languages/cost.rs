//! What handlers cost, as `docs/handlers.md` tells it. No test: `cargo test --lib languages::cost -- --ignored --nocapture` prints the table.

use super::*;

/// Events that are timed, each a payload of 100 bytes with one state read, one write and one output.
const CALLS: usize = 2000;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// The least `memory-max`, in MiB, with which some events can be handled.
async fn memory_needed(engine: &Engine, component: &[u8]) -> usize {
    for mebibytes in [1, 2, 4, 8, 12, 16, 24, 32] {
        let mut config = handler_config(&[("to", "out")], "out.*", Isolation::Run);
        config.limits.memory_max = mebibytes << 20;
        let Ok(handler) = engine.load(component, config) else { continue };
        let Ok(mut instance) = handler.instantiate().await else { continue };
        let mut works = true;
        for sequence in 1..200 {
            works &= instance.usable() && instance.call(call("e", sequence, [7; 100], State::new())).await.result.is_ok();
        }
        if works {
            return mebibytes;
        }
    }
    panic!("not with 32 MiB");
}

#[tokio::test]
#[ignore = "measures"]
async fn costs() {
    println!("| component | KB | compiled in | from the cache in | new instance | call | new instance and call | MiB |");
    for component in ["echo".to_owned()].into_iter().chain(languages().iter().map(|language| format!("echo-{language}"))) {
        let folder = tempfile::tempdir().unwrap();
        let open = || {
            let dir = Some(folder.path().join("compiled"));
            Engine::new(&EngineConfig { calls_max: 2, cache_dir: dir, ..EngineConfig::default() }).unwrap()
        };
        let file = guest(&component);
        let config = || handler_config(&[("to", "out")], "out.*", Isolation::Run);
        let timed = |engine: &Engine| {
            let started = Clock::now();
            (engine.load(&file, config()).unwrap(), started.elapsed())
        };
        let (_, compiled) = timed(&open());
        let engine = open();
        let (handler, cached) = timed(&engine);

        let mut made = Vec::new();
        let mut both = Vec::new();
        for _ in 0..200 {
            let started = Clock::now();
            let mut instance = handler.instantiate().await.unwrap();
            made.push(started.elapsed());
            instance.call(call("e", 1, [7; 100], State::new())).await.result.unwrap();
            both.push(started.elapsed());
        }
        let mut instance = handler.instantiate().await.unwrap();
        let mut calls = Vec::new();
        for sequence in 1..=CALLS as u64 {
            let state = State::from([("count".to_owned(), bytes("41"))]);
            let call = call("e", sequence, [7; 100], state);
            let started = Clock::now();
            instance.call(call).await.result.unwrap();
            calls.push(started.elapsed());
        }
        let memory = memory_needed(&engine, &file).await;
        println!(
            "| {component} | {} | {compiled:.1?} | {cached:.1?} | {:.1?} | {:.1?} | {:.1?} | {memory} |",
            file.len() / 1024,
            median(made),
            median(calls),
            median(both)
        );
    }
}
