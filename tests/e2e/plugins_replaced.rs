//! Promise: a handler's component is replaced while events flow, between two events of each entity: no event is lost, doubled, or handled by another
//! component than its output and its record name; what is refused changes nothing.

use crate::harness::components::{bomb, digest, hungry, padded, versions};
use crate::harness::config::Handler;
use crate::harness::{Host, Input, OUTPUTS, Operator, World, check, command, misbehave, tools, until};
use serde_json::{Value, json};
use seriatim_tests::checker::store::StoreView;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A handler whose component is a file of the test's own.
fn own(world: &World, bytes: &[u8]) -> Handler {
    let component = world.path("handler.wasm");
    fs::write(&component, bytes).expect("the component");
    Handler { component, limits: vec![("time-max", "2s")], ..Handler::echo() }
}

fn file(world: &World, name: &str, bytes: &[u8]) -> PathBuf {
    let path = world.path(name);
    fs::write(&path, bytes).expect("a component");
    path
}

fn load(operator: &Operator, path: &Path) -> Value {
    operator.ask(&["plugin", "load", &path.display().to_string()])
}

fn runs(operator: &Operator) -> Value {
    operator.ask(&["plugin", "list"])[0].clone()
}

/// What `entity show` says of who handled the entity's last event, and whether that still runs.
fn last_by(operator: &Operator, entity: &str) -> (String, Value) {
    let shown = operator.ask(&["entity", "show", entity]);
    let by = shown["handled_by"].as_array().cloned().unwrap_or_default();
    assert_eq!((by.len(), by[0]["name"].as_str()), (1, Some("echo")), "{shown}");
    (by[0]["digest"].as_str().expect("a digest").to_owned(), by[0]["current"].clone())
}

/// A header of an event's output, which is waited for.
async fn header(world: &World, entity: &str, sequence: u64, name: &str) -> String {
    world.until_applied(entity, sequence).await;
    let kept = world.read(OUTPUTS).await;
    let number = sequence.to_string();
    let of = |kept: &&seriatim_tests::checker::Kept| {
        kept.header("Seriatim-Entity") == Some(entity) && kept.header("Seriatim-Cause-Sequence") == Some(number.as_str())
    };
    let value = kept.iter().find(of).and_then(|kept| kept.header(name));
    value.unwrap_or_else(|| panic!("the output of {entity} {sequence} has no {name}")).to_owned()
}

/// The name that made an event's output.
async fn made_by(world: &World, entity: &str, sequence: u64) -> String {
    header(world, entity, sequence, "Made-By").await
}

/// The digest of a component and the number of its load, as an answer or a row has them.
fn component(told: &Value) -> (String, u64) {
    let digest = told["component"].as_str().unwrap_or_else(|| panic!("no digest: {told}"));
    (digest.to_owned(), told["load"].as_u64().unwrap_or_else(|| panic!("no number: {told}")))
}

/// The same of an answer that says that it changed something.
fn changed(answer: &Value) -> (String, u64) {
    assert_eq!(answer["changed"], true, "{answer}");
    component(answer)
}

#[tokio::test]
async fn a_load_lasts_through_restarts_until_the_configured_file_changes() {
    let mut world = World::new().await;
    let (one, two, three) = (versions("one", 1), versions("two", 1), versions("three", 1));
    world.config.flights().handlers = vec![own(&world, &one)];
    let (mut host, operator) = Operator::with_host(&mut world).await;
    world.publish_one(Input::event("a", 1)).await;
    assert_eq!(made_by(&world, "a", 1).await, "one");

    let done = load(&operator, &file(&world, "two.wasm", &two));
    assert_eq!((done["changed"].as_bool(), done["component"].as_str()), (Some(true), Some(digest(&two).as_str())));
    // The next event will be handled by what was loaded; the last one was not.
    let shown = operator.ask(&["entity", "show", "a"]);
    assert_eq!(shown["handlers"][0]["digest"], digest(&two).as_str());
    assert_eq!(last_by(&operator, "a"), (digest(&one), false.into()));
    world.publish_one(Input::event("a", 2)).await;
    assert_eq!(made_by(&world, "a", 2).await, "two");
    assert_eq!(last_by(&operator, "a"), (digest(&two), true.into()));
    assert!(runs(&operator)["overridden"].as_bool().expect("a word"));
    assert_eq!(load(&operator, &file(&world, "two.wasm", &two))["changed"], false, "once more");

    host.kill();
    let mut host = world.host().await;
    assert_eq!(last_by(&operator, "a"), (digest(&two), true.into()), "of an entity that is not in memory");
    world.publish_one(Input::event("a", 3)).await;
    assert_eq!(made_by(&world, "a", 3).await, "two");

    fs::write(world.path("handler.wasm"), &three).expect("the configured file");
    until("the configured file to be taken", async || {
        let row = runs(&operator);
        if row["component"] == digest(&three).as_str() { Ok(()) } else { Err(row.to_string()) }
    })
    .await;
    world.publish_one(Input::event("a", 4)).await;
    assert_eq!(made_by(&world, "a", 4).await, "three");
    assert!(!runs(&operator)["overridden"].as_bool().expect("a word"));

    let done = operator.ask(&["plugin", "rollback"]);
    assert_eq!(done["component"], digest(&two).as_str());
    world.publish_one(Input::event("a", 5)).await;
    assert_eq!(made_by(&world, "a", 5).await, "two");
    host.stop().await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 6)).await;
    assert_eq!(made_by(&world, "a", 6).await, "two", "a rollback lasts, too");
    operator.refused(&["plugin", "rollback", "--to", "ffff"], &["no kept version", "kept are"]);
    world.settle(host).await;
    let folder = world.config.store.display().to_string();
    let stopped = operator.ask(&["entity", "show", "a", "--pipeline", "flights", "--store", &folder]);
    assert_eq!(stopped["handled_by"], serde_json::json!([{ "name": "echo", "digest": digest(&two), "state_version": 1, "current": null }]));
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn what_fails_a_step_is_refused_by_name_and_the_flow_goes_on() {
    let mut world = World::new().await;
    let one = versions("one", 1);
    world.config.flights().handlers = vec![own(&world, &one)];
    let (host, operator) = Operator::with_host(&mut world).await;
    let stranger = fs::read(tools::plugin("stranger")).expect("the guest");
    let half = one.get(..one.len() / 2).expect("half of it").to_vec();
    let bad = [
        ("text.wasm", b"this is no component".to_vec(), ["structure", "not a WebAssembly"]),
        ("empty.wasm", Vec::new(), ["structure", "not a WebAssembly"]),
        ("half.wasm", half, ["structure", "not a WebAssembly"]),
        ("untyped.wasm", b"\0asm\x0d\0\x01\0".to_vec(), ["world", "does not fit the world"]),
        ("hungry.wasm", stranger, ["imports", "does not have"]),
        ("large.wasm", bomb(1, 1 << 18), ["structure", "bytes of code; the most is"]),
        ("loops.wasm", versions("loops", 1), ["smoke", "time-max"]),
        ("traps.wasm", versions("traps", 1), ["smoke", "unreachable"]),
    ];
    for (sequence, (name, bytes, words)) in (1..).zip(bad) {
        let path = file(&world, name, &bytes);
        operator.refused(&["plugin", "load", &path.display().to_string()], &words);
        world.publish_one(Input::event("a", sequence)).await;
        assert_eq!(made_by(&world, "a", sequence).await, "one", "after {name}");
        assert_eq!(runs(&operator)["component"], digest(&one).as_str());
    }
    // A bad file in the configured place is refused, too, and what runs goes on, also after a restart.
    let broken = b"\0asm broken".to_vec();
    fs::write(world.path("handler.wasm"), &broken).expect("the configured file");
    until("the bad file to be refused", async || {
        let row = runs(&operator);
        if row["refused"] == digest(&broken).as_str() { Ok(()) } else { Err(row.to_string()) }
    })
    .await;
    let mut host = host;
    assert!(host.log().contains("the changed component does not run"));
    host.kill();
    let host = world.host().await;
    world.publish_one(Input::event("a", 9)).await;
    assert_eq!(made_by(&world, "a", 9).await, "one");
    let mut host = host;
    host.kill();
    // So is one that was put there while no host ran, at the start and within the same bounds, and a good one is not.
    let sorry = bomb(1, 1 << 18);
    fs::write(world.path("handler.wasm"), &sorry).expect("the configured file");
    let mut host = world.host().await;
    assert!(host.log().contains("what the config names does not run, the component before goes on"));
    assert_eq!(runs(&operator)["refused"], digest(&sorry));
    world.publish_one(Input::event("a", 10)).await;
    assert_eq!(made_by(&world, "a", 10).await, "one");
    host.kill();
    fs::write(world.path("handler.wasm"), versions("two", 1)).expect("the configured file");
    let host = world.host().await;
    world.publish_one(Input::event("a", 11)).await;
    assert_eq!(made_by(&world, "a", 11).await, "two");
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_by_name_and_the_flow_goes_on() {
    let mut world = World::new().await;
    let one = versions("one", 1);
    world.config.flights().handlers = vec![own(&world, &one)];
    // What the host has room for is more than this handler may have.
    world.add_trains().await;
    world.config.pipelines[1].handlers[0].limits.push(("memory-max", "64MiB"));
    let (host, operator) = Operator::with_host(&mut world).await;

    let path = file(&world, "hungry.wasm", &hungry(300)).display().to_string();
    operator.refused(&["plugin", "load", &path, "--pipeline", "flights"], &["resources", "19660800", "memory-max"]);
    world.publish_one(Input::event("a", 1)).await;
    assert_eq!(made_by(&world, "a", 1).await, "one");

    // Too large a file is not even sent.
    let large = padded(one.clone(), 128 << 20);
    let path = file(&world, "large.wasm", &large).display().to_string();
    operator.refused(&["plugin", "load", &path, "--pipeline", "flights"], &[&large.len().to_string(), "the most is 134217728"]);
    world.publish_one(Input::event("a", 2)).await;
    assert_eq!(made_by(&world, "a", 2).await, "one");

    // In the configured place it is not taken either, and whoever asks beforehand is told the step.
    fs::write(world.path("handler.wasm"), &large).expect("the configured file");
    until("the large file to be refused", async || {
        let log = host.log();
        if log.contains("the one before goes on") && log.contains("at the step `size`") { Ok(()) } else { Err(log) }
    })
    .await;
    let (code, out) = check(&world.write_config("large.toml", 0));
    assert!(code == Some(78) && out.contains("at the step `size`"), "{code:?}: {out}");
    assert_eq!(runs(&operator)["refused"], digest(&large), "and it is noted");
    world.publish_one(Input::event("a", 3)).await;
    assert_eq!(made_by(&world, "a", 3).await, "one");
    assert_eq!(component(&runs(&operator)).0, digest(&one));
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// Compiling takes seconds; what is published in the meantime is handled in the meantime.
#[tokio::test]
async fn a_component_that_compiles_for_long_does_not_stall_events() {
    let mut world = World::new().await;
    let one = versions("one", 1);
    world.config.flights().handlers = vec![own(&world, &one)];
    let (host, operator) = Operator::with_host(&mut world).await;
    world.publish_one(Input::event("a", 1)).await;
    world.until_applied("a", 1).await;
    let path = file(&world, "bomb.wasm", &bomb(60, 20_000)).display().to_string();
    let begun = Instant::now();
    let loading = tokio::task::spawn_blocking(move || {
        operator.refused(&["plugin", "load", &path], &["world", "does not fit the world"]);
        Instant::now()
    });
    // Also the first event after the load: one that waited for the end of it counts as waiting.
    let (mut handled, mut sequence) = (vec![begun], 1);
    loop {
        let over = loading.is_finished();
        sequence += 1;
        world.publish_one(Input::event("a", sequence)).await;
        world.until_applied("a", sequence).await;
        handled.push(Instant::now());
        if over {
            break;
        }
    }
    let ended = loading.await.expect("a refusal");
    let compiled_for = ended - begun;
    let meanwhile = handled.iter().filter(|at| (begun..ended).contains(*at)).count() - 1;
    assert!(meanwhile >= 10, "{meanwhile} events were handled while the component compiled");
    // Where compiling holds events up, one of them waits for nearly all of it. On a busy machine both take longer, compiling more so: it has the lowest
    // priority. That leaves a whole event, published and seen, half of the time.
    let longest = handled.windows(2).map(|pair| pair[1] - pair[0]).max().expect("two events");
    assert!(longest < compiled_for / 2, "no event was handled for {longest:?} of the {compiled_for:?} of compiling");
    assert!(longest < Duration::from_secs(10), "no event was handled for {longest:?}");
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// A rollback does not wait for its turn to compile: somebody needs it now.
#[tokio::test]
async fn a_rollback_takes_effect_while_another_handlers_component_compiles() {
    let mut world = World::new().await;
    let (one, two) = (versions("one", 1), versions("two", 1));
    world.config.flights().handlers = vec![own(&world, &one)];
    world.add_trains().await;
    // However long that takes beside other tests.
    world.config.run.push(("compile-time-max", "\"1h\"".to_owned()));
    let (host, operator) = Operator::with_host(&mut world).await;
    let path = file(&world, "two.wasm", &two).display().to_string();
    assert_eq!(changed(&operator.ask(&["plugin", "load", &path, "--pipeline", "flights"])).0, digest(&two));
    world.publish_one(Input::event("a", 1)).await;
    assert_eq!(made_by(&world, "a", 1).await, "two");

    // It compiles for some twenty seconds where nothing else runs, and longer than everything else where something does.
    let config = world.write_config("bomb.toml", 0);
    let bomb = file(&world, "bomb.wasm", &bomb(200, 20_000)).display().to_string();
    let loading = tokio::task::spawn_blocking(move || {
        let answered = crate::harness::host::command(&config, &["plugin", "load", &bomb, "--pipeline", "trains"]);
        (answered, Instant::now())
    });
    until("the bomb to be compiled", async || {
        assert!(!loading.is_finished(), "the bomb's load has ended, and nobody saw it compile");
        if compilers(&host).is_empty() { Err("nothing is".to_owned()) } else { Ok(()) }
    })
    .await;

    let done = operator.ask(&["plugin", "rollback", "--pipeline", "flights"]);
    let answered = Instant::now();
    assert_eq!(changed(&done).0, digest(&one));
    world.publish_one(Input::event("a", 2)).await;
    assert_eq!(made_by(&world, "a", 2).await, "one");
    let handled = Instant::now();

    let ((code, out), ended) = loading.await.expect("an answer");
    assert!(answered < ended, "the rollback was answered {:?} after the end of the load", answered - ended);
    assert!(handled < ended, "the rollback was answered before the end of the load, but took effect {:?} after it", handled - ended);
    assert!(code == Some(1) && out.contains("does not fit the world"), "{code:?}: {out}");
    assert_eq!(operator.ask(&["plugin", "list"])[0]["component"], digest(&one).as_str());
    world.train_passes(1).await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// A call that is under way when its component is replaced ends in the one it began in, and the entity's next event goes to the other.
#[tokio::test]
async fn a_call_under_way_ends_in_the_component_it_began_in() {
    let mut world = World::new().await;
    let one = fs::read(tools::plugin("misbehave")).expect("the guest");
    let two = padded(one.clone(), 7);
    let first = file(&world, "handler.wasm", &one);
    world.config.flights().handlers = vec![Handler { component: first.clone(), ..misbehave("5m") }];
    world.config.run.push(("shards", "1".to_owned()));
    let (host, operator) = Operator::with_host(&mut world).await;
    // Both are compiled before the slow call begins: then a load takes less time than it, whatever else this machine does.
    let second = file(&world, "two.wasm", &two);
    for (path, bytes) in [(&second, &two), (&first, &one)] {
        assert_eq!(changed(&load(&operator, path)).0, digest(bytes));
    }

    world.publish_one(command("a", 1, &json!({ "do": "slow", "ms": 15_000 }))).await;
    let config = world.write_config("show.toml", 0);
    until("the slow call to begin", async || {
        let (_, out) = crate::harness::host::command(&config, &["entity", "show", "a"]);
        if out.contains("is handling event 1") { Ok(()) } else { Err(out) }
    })
    .await;
    world.publish_one(Input::event("a", 2)).await;
    assert_eq!(changed(&load(&operator, &second)).0, digest(&two));
    world.publish_one(Input::event("b", 1)).await;
    assert_eq!(header(&world, "b", 1, "Seriatim-Component").await, digest(&two));
    assert_eq!(world.applied("a").await, Ok(0), "the slow call has ended before another component ran: nothing was tested");

    assert_eq!(header(&world, "a", 1, "Seriatim-Component").await, digest(&one), "it ends in the component that it began in");
    assert_eq!(header(&world, "a", 2, "Seriatim-Component").await, digest(&two), "and the next one does not");
    assert_eq!(last_by(&operator, "a"), (digest(&two), true.into()));
    world.settle(host).await;
    world.judge(&world.everything()).await;
}

/// Processes of this program that compile for this host. (A thread that compiles would be none of them.)
fn compilers(host: &Host) -> Vec<String> {
    let parent = format!("PPid:\t{}", host.id());
    let of = |id: &str| {
        let file = |name: &str| fs::read(Path::new("/proc").join(id).join(name)).unwrap_or_default();
        let (status, command) = (file("status"), file("cmdline"));
        let (status, command) = (String::from_utf8_lossy(&status).into_owned(), String::from_utf8_lossy(&command).into_owned());
        (status.lines().any(|line| line == parent) && command.contains("compile-component")).then_some(format!("{id} {command}"))
    };
    let all = fs::read_dir("/proc").expect("what runs here").flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    all.filter_map(|id| of(&id)).collect()
}

/// What takes too long to compile, or too much memory, ends by itself, and takes nothing with it.
#[tokio::test]
async fn a_compile_bomb_ends_by_itself() {
    /// How often it is tried while the machine has no time for it.
    const BOMBS_MAX: u32 = 20;
    for (key, value, (functions, instructions)) in
        [("compile-time-max", "\"1s\"", (400, 20_000)), ("compile-memory-max", "\"256MiB\"", (110, 140_000))]
    {
        let mut world = World::new().await;
        let (one, two) = (versions("one", 1), versions("two", 1));
        world.config.flights().handlers = vec![own(&world, &one)];
        world.config.run.push((key, value.to_owned()));
        let (host, operator) = Operator::with_host(&mut world).await;
        let config = world.write_config("bomb.toml", 0);
        let bomb = file(&world, "bomb.wasm", &bomb(functions, instructions)).display().to_string();
        let (mut sequence, mut tries, mut seen) = (0, 0, Vec::new());
        let (code, out) = loop {
            tries += 1;
            let (config, bomb) = (config.clone(), bomb.clone());
            let loading = tokio::task::spawn_blocking(move || crate::harness::host::command(&config, &["plugin", "load", &bomb]));
            while !loading.is_finished() {
                sequence += 1;
                world.publish_one(Input::event("a", sequence)).await;
                world.until_applied("a", sequence).await;
                seen.extend(compilers(&host));
            }
            let (code, out) = loading.await.expect("an answer");
            // Among other tests the process of the lowest priority may get no second of processor time: then that is said, and one tries again.
            if !out.contains("the machine is busy") || tries == BOMBS_MAX {
                break (code, out);
            }
        };
        for word in ["at the step `compile`", &format!("run.{key}")] {
            assert!(code == Some(1) && out.contains(word), "{key}: {code:?}: {out}");
        }
        assert!(!seen.is_empty(), "{key}: it was compiled in a process of its own");
        assert_eq!(compilers(&host), Vec::<String>::new(), "{key}: and that is gone");
        // Nothing is left that the next load would have to wait for.
        load(&operator, &file(&world, "two.wasm", &two));
        world.publish_one(Input::event("a", sequence + 1)).await;
        assert_eq!(made_by(&world, "a", sequence + 1).await, "two");
        world.settle(host).await;
        world.judge(&world.everything()).await;
    }
}

/// Which name each digest stands for.
type Names = BTreeMap<String, String>;

/// How often a handler's component was replaced, and how.
#[derive(Debug, Default, PartialEq, Eq)]
struct Replaced {
    loads: usize,
    rollbacks: usize,
    kills: usize,
}

/// Three kinds of replacement, which take turns so that no two of them ever meet: the kills are odd, the rollbacks are even.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Load,
    Rollback,
    Kill,
}

impl Kind {
    fn of(replacement: usize) -> Self {
        match (replacement % 8, replacement % 10) {
            (7, _) => Self::Kill,
            (_, 4) => Self::Rollback,
            _ => Self::Load,
        }
    }
}

async fn replaced_under_load(replacements: usize) -> Replaced {
    const ENTITIES: u64 = 20;
    const KINDS: usize = 8;
    let mut world = World::new().await;
    let kinds: Vec<(String, Vec<u8>)> = (0..KINDS).map(|kind| (format!("k{kind}"), versions(&format!("k{kind}"), 1))).collect();
    let names: Names = kinds.iter().map(|(name, bytes)| (digest(bytes), name.clone())).collect();
    let paths: Vec<PathBuf> = kinds.iter().map(|(name, bytes)| file(&world, &format!("{name}.wasm"), bytes)).collect();
    world.config.flights().handlers = vec![own(&world, &kinds[0].1)];
    let (mut host, operator) = Operator::with_host(&mut world).await;
    let config = world.write_config("killed.toml", 0);
    let mut done = Replaced::default();
    // What must run, and how many loads there were; the configured file's is the first.
    let (mut running, mut loads) = (component(&runs(&operator)), 1);
    assert_eq!(running, (digest(&kinds[0].1), loads));
    let mut sequence = 0;
    for replacement in 0..replacements {
        let inputs: Vec<_> =
            (0..5).flat_map(|add| (0..ENTITIES).map(move |entity| Input::event(&format!("E{entity}"), sequence + add + 1))).collect();
        sequence += 5;
        let publishing = world.publish_meanwhile(inputs);
        // Never what may run at that time: what was loaded last, or up to three replacements before.
        let next = (replacement + replacement / KINDS + 1) % KINDS;
        let (path, next) = (paths[next].display().to_string(), digest(&kinds[next].1));
        match Kind::of(replacement) {
            Kind::Load => {
                loads += 1;
                running = changed(&operator.ask(&["plugin", "load", &path]));
                assert_eq!(running, (next, loads), "replacement {replacement}");
                done.loads += 1;
            }
            Kind::Rollback => {
                let now = changed(&operator.ask(&["plugin", "rollback"]));
                assert!(now.0 != running.0 && now.1 < running.1, "replacement {replacement}: from {running:?} back to {now:?}");
                running = now;
                // A rollback has a number, too: what is migrated from then on is known by it.
                loads += 1;
                done.rollbacks += 1;
            }
            Kind::Kill => {
                // Killed somewhere between the request and its answer, or just after.
                let config = config.clone();
                let asking = tokio::task::spawn_blocking(move || crate::harness::host::command(&config, &["plugin", "load", &path]));
                tokio::time::sleep(Duration::from_millis(u64::try_from(replacement * 37 % 300).expect("small"))).await;
                assert!(!host.is_over(), "replacement {replacement}: it ended by itself");
                host.kill();
                let (code, out) = asking.await.expect("an answer, or none");
                host = world.host().await;
                // Either it was loaded, or it was not; and what was answered lasts.
                let now = component(&runs(&operator));
                if now != running || code == Some(0) {
                    loads += 1;
                    assert_eq!(now, (next, loads), "replacement {replacement}: {out}");
                    running = now;
                }
                done.kills += 1;
            }
        }
        let sent = publishing.await.expect("publishing");
        world.note(sent);
    }
    assert_eq!(component(&runs(&operator)), running);
    for entity in 0..ENTITIES {
        world.until_applied(&format!("E{entity}"), sequence).await;
    }
    world.settle(host).await;
    world.judge(&world.everything()).await;
    let store = StoreView::from_folder(&world.config.store).expect("the store of a host that has ended");
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for output in world.read(OUTPUTS).await {
        let Some(made) = output.header("Made-By") else { continue };
        let component = output.header("Seriatim-Component").expect("every output names its component");
        assert_eq!(names.get(component).map(String::as_str), Some(made), "{output:?}");
        *seen.entry(made.to_owned()).or_default() += 1;
        // What the commit of an entity's last event names is what made its output.
        if output.header("Seriatim-Cause-Sequence") == Some(sequence.to_string().as_str()) {
            let entity = output.header("Seriatim-Entity").expect("every output names its entity");
            assert_eq!(store.pipelines["flights"].entities[entity].components["echo"], component, "{entity}");
        }
    }
    assert!(seen.len() == KINDS && seen.values().all(|count| *count > 0), "{seen:?}");
    done
}

#[tokio::test]
async fn replaced_a_hundred_times_under_load_with_kills_in_between() {
    assert_eq!(replaced_under_load(100).await, Replaced { loads: 78, rollbacks: 10, kills: 12 });
}

#[tokio::test]
async fn rollback_takes_effect_within_a_second_under_load() {
    let mut world = World::new().await;
    let (one, two) = (versions("one", 1), versions("two", 1));
    world.config.flights().handlers = vec![own(&world, &one)];
    let (host, operator) = Operator::with_host(&mut world).await;
    load(&operator, &file(&world, "two.wasm", &two));
    let inputs: Vec<_> = (1..=20_000_u64).map(|number| Input::event(&format!("E{}", number % 50), number.div_ceil(50))).collect();
    let publishing = world.publish_meanwhile(inputs);
    world.until_applied("E1", 20).await;
    // The command answers when the next event of each entity runs through the other component; how long that takes is for the benchmarks to say.
    let answered = operator.ask(&["plugin", "rollback"]);
    assert_eq!(answered["component"], digest(&one).as_str());
    let applied = world.applied("E1").await.expect("a position");
    let sent = publishing.await.expect("publishing");
    world.note(sent);
    for entity in 0..50 {
        world.until_applied(&format!("E{entity}"), 400).await;
    }
    assert!(applied < 400, "everything was handled before the rollback: nothing was tested");
    let of = |name: &str, kept: &[seriatim_tests::checker::Kept]| kept.iter().filter(|kept| kept.header("Made-By") == Some(name)).count();
    let kept = world.read(OUTPUTS).await;
    assert!(of("one", &kept) > 0 && of("two", &kept) > 0);
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
