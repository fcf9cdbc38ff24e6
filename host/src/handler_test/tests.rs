//! Real components on events from text: what a run gives, and what an attack finds. `misbehave` does what its payload says.

use super::attack::{Attacked, Variation, attack};
use super::events::read;
use super::inspect::{inspect, limits};
use super::report::{self, Done, EntityResult, Texts, differences};
use super::trial::{Script, Settings, Trial, run};
use super::{Error, Loader};
use crate::event::Event;
use crate::runtime::{HandlerConfig, Isolation, Limits};
use seriatim_sequencer::GapThen;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

fn guest(name: &str) -> Vec<u8> {
    let folder = std::env::var_os("SERIATIM_PLUGINS")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/plugins")), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; `cargo xtask plugins` builds it", path.display()))
}

fn config(isolation: Isolation) -> HandlerConfig {
    HandlerConfig {
        name: "test".into(),
        config: BTreeMap::from([("to".to_owned(), "out".to_owned())]),
        outputs: vec!["out.>".to_owned()],
        isolation,
        limits: Limits::default(),
        load: 0,
    }
}

fn loader(name: &str) -> Loader {
    Loader::new(guest(name), config(Isolation::Run), None).unwrap()
}

fn events(lines: &str) -> Vec<Arc<Event>> {
    read(lines.as_bytes(), "events", "test").unwrap()
}

async fn plain(loader: &Loader, settings: &Settings, lines: &str) -> Trial {
    run(loader, settings, Script::plain(events(lines), Isolation::Run)).await.unwrap()
}

fn result<'a>(trial: &'a Trial, entity: &str) -> &'a EntityResult {
    &trial.results[entity]
}

/// Sequence and payloads, or sequence and reason.
fn ended(result: &EntityResult) -> Vec<(u64, String)> {
    let told = result.done.iter().map(|done| match done {
        Done::Applied { place, outputs } => {
            (place.sequence, outputs.iter().map(|output| report::shown(&output.payload)).collect::<Vec<_>>().join(","))
        }
        Done::Dead { place, reason, attempts, .. } => (place.sequence, format!("{reason} {attempts}")),
    });
    told.collect()
}

fn told(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(sequence, text)| (*sequence, (*text).to_owned())).collect()
}

fn command(entity: &str, sequence: u64, command: &str) -> String {
    format!("{{\"entity\":\"{entity}\",\"sequence\":{sequence},\"payload\":{command}}}\n")
}

#[tokio::test]
async fn the_sequencer_puts_events_in_order_and_drops_copies() {
    let lines = "{\"entity\":\"a\",\"sequence\":6,\"payload\":\"second\"}\n{\"entity\":\"b\",\"payload\":\"x\"}\n\
        {\"entity\":\"a\",\"sequence\":5,\"payload\":\"first\"}\n{\"entity\":\"a\",\"sequence\":6,\"payload\":\"second\"}\n\
        {\"entity\":\"a\",\"sequence\":5,\"payload\":\"other\"}\n";
    let trial = plain(&loader("echo"), &Settings::default(), lines).await;
    assert_eq!(ended(result(&trial, "a")), told(&[(5, "first"), (6, "second"), (5, "conflict 0")]));
    assert_eq!(&result(&trial, "a").state[&"count".to_owned()][..], b"2");
    assert_eq!(ended(result(&trial, "b")), told(&[(1, "x")]));
    let t = trial.tally;
    assert_eq!((t.events, t.applied, t.duplicates, t.dead_letters, t.outputs, t.calls), (5, 3, 1, 1, 3, 3));
    assert_eq!((t.entities, t.waiting), (2, 0));
}

#[tokio::test]
async fn failures_are_tried_again_and_then_given_up() {
    let fails = command("a", 1, r#"{"do":"trap","message":null}"#)
        + &command("a", 2, r#"{"do":"reject","reason":"no"}"#)
        + &command("a", 3, r#"{"do":"retry","until":3}"#)
        + &command("a", 4, r#"{"do":"fail-after-work","how":"retry"}"#);
    let settings = Settings { retries: 2, ..Settings::default() };
    let trial = plain(&loader("misbehave"), &settings, &fails).await;
    let echoed = r#"{"do":"retry","until":3}"#;
    assert_eq!(ended(result(&trial, "a")), told(&[(1, "trap 3"), (2, "rejected 1"), (3, echoed), (4, "retries-exhausted 3")]));
    assert_eq!(trial.tally.calls, 3 + 1 + 3 + 3);
    assert!(!result(&trial, "a").state.contains_key("work"), "what a failed call did is discarded");
    let none = Settings { retries: 0, ..Settings::default() };
    assert_eq!(ended(result(&plain(&loader("misbehave"), &none, &fails).await, "a"))[2].1, "retries-exhausted 1");
}

#[tokio::test]
async fn a_gap_that_never_fills_ends_as_the_policy_says() {
    let lines = "{\"entity\":\"a\",\"sequence\":1,\"payload\":\"1\"}\n{\"entity\":\"a\",\"sequence\":3,\"payload\":\"3\"}\n";
    for (gap_then, told_of, waits) in [
        (GapThen::Park, told(&[(1, "1")]), true),
        (GapThen::Skip, told(&[(1, "1"), (3, "3")]), false),
        (GapThen::DeadLetter, told(&[(1, "1"), (3, "gap 0")]), false),
    ] {
        let trial = plain(&loader("echo"), &Settings { gap_then, ..Settings::default() }, lines).await;
        let a = result(&trial, "a");
        assert_eq!(
            (ended(a), a.waiting.is_some(), trial.tally.waiting),
            (told_of, waits, u64::from(waits)),
            "{gap_then:?}: {:?}",
            a.waiting
        );
        if waits {
            assert!(a.waiting.as_ref().unwrap().contains("waits for event 2"), "{:?}", a.waiting);
        }
    }
    let first = Settings { first: Some(1), ..Settings::default() };
    let late = plain(&loader("echo"), &first, "{\"entity\":\"a\",\"sequence\":3}\n").await;
    assert!(ended(result(&late, "a")).is_empty());
    // Epochs that begin at different sequences.
    let epochs = "{\"entity\":\"a\",\"epoch\":1,\"sequence\":4,\"payload\":\"x\"}\n{\"entity\":\"a\",\"epoch\":2,\"sequence\":9,\"payload\":\"y\"}\n";
    let trial = plain(&loader("echo"), &Settings::default(), epochs).await;
    assert_eq!(ended(result(&trial, "a")), told(&[(4, "x"), (9, "y")]), "{:?}", trial.results);
}

#[tokio::test]
async fn what_was_written_is_what_comes_again() {
    let lines = "{\"entity\":\"a\",\"payload_base64\":\"/w==\"}\n{\"entity\":\"b\",\"payload\":{\"x\":1}}\n";
    let trial = plain(&loader("echo"), &Settings::default(), lines).await;
    let mut written = Vec::new();
    report::write(&trial.results, &mut written).unwrap();
    let expected = report::read(&written[..], "x").unwrap();
    assert_eq!(differences(&expected, &plain(&loader("echo"), &Settings::default(), lines).await.results, Texts::Compared), []);
    let other = plain(&loader("echo"), &Settings::default(), &lines.replace("{\"x\":1}", "{\"x\":2}")).await;
    let found = differences(&expected, &other.results, Texts::Compared);
    assert_eq!((found.len(), found[0].entity.as_str(), found[0].what.as_str()), (1, "b", "output 1: payload"));
}

async fn attacked(loader: &Loader, lines: &str) -> Vec<Attacked> {
    let settings = Settings::default();
    let events = events(lines);
    let plain = run(loader, &settings, Script::plain(events.clone(), loader.isolation())).await.unwrap();
    let mut told = 0;
    let all = attack(loader, &settings, &events, &plain, 7, |number, of, _| {
        assert!(number == told && number < of);
        told += 1;
    });
    let all = all.await.unwrap();
    assert_eq!(all.len(), told);
    all
}

fn differ(attacked: &[Attacked]) -> Vec<Variation> {
    let mut all: Vec<_> = attacked.iter().filter(|one| one.difference.is_some()).map(|one| one.variation).collect();
    all.dedup();
    all
}

/// Three entities in turn, twelve events of each.
fn mixed(payload: &str) -> String {
    (0..36).map(|n| command(["a", "b", "c"][n % 3], n as u64 / 3 + 1, payload)).collect()
}

#[tokio::test]
async fn echo_does_the_same_whatever_is_done_to_it() {
    for isolation in [Isolation::Run, Isolation::Event, Isolation::Shared] {
        let loader = Loader::new(guest("echo"), config(isolation), None).unwrap();
        let all = attacked(&loader, &mixed("\"x\"")).await;
        assert_eq!(all.len(), 4 + 6 * 3);
        assert_eq!(differ(&all), [], "{all:?}");
    }
}

#[tokio::test]
async fn failures_make_no_difference_either() {
    let lines = mixed("\"x\"")
        + &command("a", 13, r#"{"do":"trap","message":null}"#)
        + &command("a", 14, r#"{"do":"retry","until":2}"#)
        + &command("b", 13, r#"{"do":"reject","reason":"no"}"#)
        + &command("b", 15, "\"early\"");
    let all = attacked(&loader("misbehave"), &lines).await;
    // It asks how often it was tried before it says yes: then the count of attempts is the same, its result too.
    assert_eq!(differ(&all), [], "{all:?}");
}

#[tokio::test]
async fn a_counter_in_a_global_is_caught() {
    let all = attacked(&loader("misbehave"), &mixed(r#"{"do":"spy"}"#)).await;
    let found = differ(&all);
    for variation in [
        Variation::IsolationShared,
        Variation::OneAfterAnother,
        Variation::Cuts,
        Variation::Reorder,
        Variation::Restart,
        Variation::Everything,
    ] {
        assert!(found.contains(&variation), "{variation:?} is not in {found:?}");
    }
    // The entities take turns, so under `run` each event has a fresh instance: to repeat a call makes no difference.
    assert!(!found.contains(&Variation::Duplicates) && !found.contains(&Variation::Renumbered), "{found:?}");
    let first = all.iter().find(|one| one.variation == Variation::IsolationShared).unwrap();
    let difference = first.difference.as_ref().unwrap();
    assert_eq!((difference.entity.as_str(), difference.sequence, difference.what.as_str()), ("a", Some(2), "output 1: payload"));
    assert!(difference.expected.contains("\"calls\":1") && difference.found.contains("\"calls\":4"), "{difference:?}");

    // One entity alone: what a run shares is cut elsewhere.
    let alone: String = (1..=12).map(|n| command("a", n, r#"{"do":"spy"}"#)).collect();
    let found = differ(&attacked(&loader("misbehave"), &alone).await);
    for variation in [Variation::IsolationEvent, Variation::Cuts, Variation::Repeat, Variation::Restart] {
        assert!(found.contains(&variation), "{variation:?} is not in {found:?}");
    }
}

#[tokio::test]
async fn dependence_on_the_delivery_is_caught() {
    let attempts = attacked(&loader("misbehave"), &mixed(r#"{"do":"delivery"}"#)).await;
    assert_eq!(differ(&attempts), [Variation::Repeat, Variation::Everything], "attempts");
    let place = attacked(&loader("misbehave"), &mixed(r#"{"do":"event"}"#)).await;
    assert_eq!(differ(&place), [Variation::Renumbered], "stream sequence");
}

/// The guest `versions` under another name (at most 11 characters), with state of this version.
fn named(name: &str, version: u32) -> Vec<u8> {
    let mut bytes = guest("versions");
    for (from, to) in [("NAME=one........", format!("NAME={name:.<11}")), ("STATE-VERSION=01", format!("STATE-VERSION={version:02}"))] {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
    }
    bytes
}

/// The guest `versions` with state of this version.
fn versions(version: u32) -> Loader {
    Loader::new(named("one", version), config(Isolation::Run), None).unwrap()
}

/// In which version each event was handled.
fn made_in(result: &EntityResult) -> Vec<String> {
    let outputs = result.done.iter().flat_map(|done| match done {
        Done::Applied { outputs, .. } => outputs.as_slice(),
        Done::Dead { .. } => &[],
    });
    outputs.flat_map(|output| &output.headers).filter(|header| header.name == "Made-In").map(|header| header.value.clone()).collect()
}

#[tokio::test]
async fn an_upgrade_migrates_with_the_next_event_of_each_entity() {
    let lines = mixed("\"x\"") + &command("d", 1, "\"x\"");
    let trial = plain(&versions(3).upgrading(versions(1)), &Settings::default(), &lines).await;
    for entity in ["a", "b", "c"] {
        let result = result(&trial, entity);
        assert_eq!(made_in(result), [["1"; 6], ["3"; 6]].concat());
        assert_eq!(&result.state[&"shape".to_owned()][..], b"\"3:12\"");
    }
    assert_eq!(made_in(result(&trial, "d")), ["3"], "one event alone is the newer one's");
    assert_eq!((trial.tally.migrated, trial.tally.applied, trial.tally.calls), (3, 37, 37));
    // The other way round nobody can read the state.
    let back = plain(&versions(1).upgrading(versions(3)), &Settings::default(), &lines).await;
    let a = result(&back, "a");
    assert_eq!((made_in(a).len(), &a.state[&"shape".to_owned()][..]), (6, &b"\"3:6\""[..]));
    assert!(a.waiting.as_ref().unwrap().contains("migration") && a.waiting.as_ref().unwrap().contains("version 3"), "{:?}", a.waiting);
    assert_eq!((back.tally.migrated, back.tally.waiting), (0, 3));
}

#[tokio::test]
async fn a_migration_that_fails_leaves_the_state_and_the_entity_waits() {
    let lines: String = (1..=4).map(|n| command("a", n, if n == 2 { "\"stick\"" } else { "\"x\"" })).collect();
    let trial = plain(&versions(2).upgrading(versions(1)), &Settings::default(), &lines).await;
    let a = result(&trial, "a");
    assert_eq!((made_in(a).len(), &a.state[&"shape".to_owned()][..]), (2, &b"\"1:1\""[..]));
    assert!(a.waiting.as_ref().unwrap().ends_with("stuck in version 1"), "{:?}", a.waiting);
    assert_eq!(trial.tally.dead_letters, 0);
}

#[tokio::test]
async fn attacks_move_the_upgrade_and_find_a_migration_that_minds() {
    let loader = versions(2).upgrading(versions(1));
    let all = attacked(&loader, &mixed("\"x\"")).await;
    assert_eq!(all.len(), 4 + 7 * 3);
    assert_eq!(differ(&all), [], "{all:?}");
    // Where the event comes after the upgrade nothing is wrong with it; where it comes before, the state cannot be migrated.
    let stick = |n: u64| if n == 7 { "\"stick\"" } else { "\"x\"" };
    let lines: String = (1..=12).flat_map(|n| ["a", "b", "c"].map(|entity| command(entity, n, stick(n)))).collect();
    let all = attacked(&loader, &lines).await;
    assert_eq!(differ(&all), [Variation::Upgrade], "{all:?}");
    let none = attacked(&versions(1), &mixed("\"x\"")).await;
    assert!(none.iter().all(|one| one.variation != Variation::Upgrade), "there is nothing to upgrade from");
}

#[tokio::test]
async fn the_same_seed_attacks_the_same() {
    let lines = mixed(r#"{"do":"spy"}"#);
    let told = async || {
        let all = attacked(&loader("misbehave"), &lines).await;
        all.into_iter().map(|one| (one.seed, one.difference, one.entities)).collect::<Vec<_>>()
    };
    assert_eq!(told().await, told().await);
}

fn one_event() -> Arc<Event> {
    events("{\"entity\":\"a\",\"payload\":{}}").remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_described_and_measured() {
    let look = async |name: &str, change: &dyn Fn(&mut HandlerConfig)| {
        let mut config = HandlerConfig { limits: limits(), ..config(Isolation::Run) };
        change(&mut config);
        inspect(&guest(name), config, one_event()).await
    };
    let echo = look("echo", &|_| {}).await.unwrap();
    assert_eq!((echo.form, echo.world, echo.bytes), ("core module", "seriatim:handler/handler@0.1.0", guest("echo").len()));
    assert_eq!(echo.state_version, 0);
    assert!(echo.imports.contains(&"seriatim:handler/state@0.1.0".to_owned()), "{:?}", echo.imports);
    assert_eq!(echo.exports, ["handle"]);
    assert!(echo.sha256.len() == 64 && echo.compiled_bytes.is_some_and(|bytes| bytes > 1_000) && echo.compile_ms > 0.0);
    assert!(echo.memory_bytes >= 64 << 10 && echo.memory_after_call_bytes >= echo.memory_bytes);
    let warm = echo.warm_call.unwrap();
    assert!(warm.median_us < echo.fresh_call.median_us && warm.runs >= 5 && echo.instantiate.runs >= 5);
    assert_eq!(echo.failed, None);

    let failing = look("echo", &|config| config.config.clear()).await.unwrap();
    assert!(failing.warm_call.is_none());
    assert!(failing.failed.unwrap().contains("has no `to`"));
    assert_eq!(look("preview2", &|_| {}).await.unwrap().form, "component");

    let refused = look("stranger", &|_| {}).await.unwrap_err();
    assert_eq!(refused.step(), Some("imports"));
    assert!(refused.to_string().starts_with("refused at the step `imports`: "), "{refused}");
    let small = look("echo", &|config| config.limits.memory_max = 64 << 10).await.unwrap_err();
    assert_eq!(small.step(), Some("resources"));
    for bytes in [&b"hello"[..], b"", &guest("echo")[..500]] {
        let error: Error = inspect(bytes, config(Isolation::Run), one_event()).await.unwrap_err();
        assert_eq!(error.step(), Some("structure"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_tried_out_as_by_a_host_before_it_is_measured() {
    let look = async |bytes: &[u8]| {
        let mut config = config(Isolation::Run);
        config.limits.time_max = Duration::from_millis(200);
        inspect(bytes, config, one_event()).await
    };
    let good = look(&named("one", 3)).await.unwrap();
    assert_eq!((good.world, good.state_version), ("seriatim:handler/versioned-handler@0.1.0", 3));
    assert!(good.exports.iter().any(|name| name.starts_with("seriatim:handler/lifecycle@")), "{:?}", good.exports);

    for (bytes, why) in [(named("loops", 1), "time-max"), (named("traps", 1), "trap"), (named("one", 0), "told 0")] {
        let refused = look(&bytes).await.unwrap_err();
        assert_eq!(refused.step(), Some("smoke"), "{refused}");
        let told = refused.to_string();
        assert!(told.contains("lifecycle.state-version") && told.contains(why), "{told}");
    }
}
