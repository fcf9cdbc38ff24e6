//! Promise (G5, G9): a handler does the same whatever language it is written in. `echo` and `rotation` in every language, on the same events, through a SIGKILL
//! of the host and a restart, put out the bytes that those in Rust do, each entity's in order, each once; and no entity hears of another.
//!
//! `cargo xtask ci` builds the handlers and runs this. `SERIATIM_LANGUAGES` names the languages that must be there, else those that are there are taken
//! (`cargo xtask plugins --languages all` builds them); without any, Rust's canary alone runs here, which is said.

use crate::harness::components::digest;
use crate::harness::config::{Handler, Pipeline};
use crate::harness::{DEAD_LETTERS, Host, Input, OUTPUTS, Random, SOURCE, World, ports, streams, telemetry, tools, until};
use seriatim_tests::checker::Kept;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

/// A start compiles every component, some of tens of megabytes.
const COMPILING: Duration = Duration::from_secs(900);

const AIRCRAFT: usize = 6;
/// Of each aircraft.
const EVENTS: u64 = 20;

/// The languages to test beside Rust; without any, says that this test does not run for them.
fn languages(test: &str) -> Vec<String> {
    let languages = tools::languages();
    if languages.is_empty() {
        let text = format!("e2e::languages::{test}: NOT RUN: handlers in other languages are not built (cargo xtask ci does)\n");
        // Past the test's own capture, which hides what tests that pass have printed.
        std::io::stderr().write_all(text.as_bytes()).expect("an open standard error");
    }
    languages
}

/// One pipeline on the events of all, with a handler as a config would have it: Python and JavaScript need more memory than the default.
fn pipeline(name: String, handler: Handler, isolation: &'static str) -> Pipeline {
    let limits = vec![("isolation", isolation), ("memory-max", "64MiB"), ("time-max", "60s")];
    Pipeline { name: name.leak(), handlers: vec![Handler { limits, ..handler }], ..Pipeline::flights() }
}

fn rotation() -> Handler {
    Handler { name: "rotation", config: vec![("threshold-minutes", "15".to_owned())], outputs: vec!["rotation.>"], ..Handler::echo() }
}

/// The component in a language; Rust's has no ending.
fn file(handler: &str, language: &str) -> String {
    if language == "rust" { handler.to_owned() } else { format!("{handler}-{language}") }
}

async fn ready(world: &mut World) -> Host {
    // So many handlers fit into one pool of instances then, where a new one gets the memory of an old one, as in a host with few.
    world.config.run.retain(|(key, _)| *key != "calls-max");
    world.config.run.push(("calls-max", "4".to_owned()));
    let mut host = world.launch(&[], "");
    host.ready_within(COMPILING).await;
    host
}

/// Waits until the host has decided everything that was published, durably, and all that came of it has left; then ends it.
async fn finished(world: &World, mut host: Host) {
    let last = streams::last_sequence(&world.js, SOURCE).await.expect("the source");
    until("every pipeline to be through", async || {
        let (_, body) = telemetry::get(world.config.admin, "/api/v1/pipelines").await?;
        let told: serde_json::Value = serde_json::from_str(&body).map_err(|error| format!("{error}: {body}"))?;
        let rows = told["pipelines"].as_array().ok_or(body)?;
        let behind = rows.iter().filter(|row| row["watermark"] != last).map(|row| format!("{}: {}", row["name"], row["watermark"]));
        let behind: Vec<_> = behind.collect();
        if rows.len() == world.config.pipelines.len() && behind.is_empty() { Ok(()) } else { Err(format!("{behind:?} of {last}")) }
    })
    .await;
    host.metric("seriatim_outbox_entries", &[], 0.0).await;
    host.stop().await;
    assert_eq!(world.read(DEAD_LETTERS).await.len(), 0, "nothing failed");
}

/// A month's first events of some aircraft: as they came, out of order within a window, and then aircraft by aircraft, so that instances serve runs.
fn flights() -> (Vec<Input>, Vec<Input>) {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/rotation/data/flights-2013-01.csv.gz");
    let month = rotation_events::read(&data).expect("the month");
    let last: BTreeSet<&str> =
        month.iter().filter(|event| event.sequence == EVENTS).map(|event| event.tailnum.as_str()).take(AIRCRAFT).collect();
    let input = |event: &rotation_events::Event| {
        let input = Input::event(&event.tailnum, event.sequence).header("Seriatim-Type", event.kind.name());
        input.payload(event.payload().expect("a payload"))
    };
    let of = |from: u64, to: u64| {
        let fits = move |event: &&rotation_events::Event| (from..=to).contains(&event.sequence);
        month.iter().filter(|event| last.contains(event.tailnum.as_str())).filter(fits).map(input).collect::<Vec<_>>()
    };
    let (first, mut second) = (of(1, EVENTS / 2), of(EVENTS / 2 + 1, EVENTS));
    let mut random = Random::new(61);
    let mut moved: Vec<_> = first.into_iter().enumerate().map(|(at, input)| (at + random.below(12), input)).collect();
    moved.sort_by_key(|(at, _)| *at);
    second.sort_by(|a, b| (&a.entity, a.sequence).cmp(&(&b.entity, b.sequence)));
    (moved.into_iter().map(|(_, input)| input).collect(), second)
}

/// Subject, headers but those that name the pipeline and the component in the order of their names, payload.
type Output = (String, Vec<(String, String)>, Vec<u8>);

/// What a pipeline has put out, entity by entity, as it stands in the stream: the event's sequence, and the output.
fn told(kept: &[Kept], pipeline: &str) -> BTreeMap<String, Vec<(u64, Output)>> {
    const OWN: [&str; 3] = ["Nats-Msg-Id", "Seriatim-Pipeline", "Seriatim-Component"];
    let mut told: BTreeMap<String, Vec<(u64, Output)>> = BTreeMap::new();
    for kept in kept.iter().filter(|kept| kept.header("Seriatim-Pipeline") == Some(pipeline)) {
        let entity = kept.header("Seriatim-Entity").expect("every output names its entity").to_owned();
        let sequence = kept.header("Seriatim-Cause-Sequence").and_then(|text| text.parse().ok()).expect("every output names its event");
        let mut headers: Vec<_> = kept.headers.iter().filter(|(name, _)| !OWN.contains(&name.as_str())).cloned().collect();
        // The client that reads them keeps no order.
        headers.sort();
        told.entry(entity).or_default().push((sequence, (kept.subject.clone(), headers, kept.payload.clone())));
    }
    told
}

#[tokio::test]
async fn every_language_puts_out_the_same_through_a_kill() {
    let mut all = languages("every_language_puts_out_the_same_through_a_kill");
    if all.is_empty() {
        return;
    }
    all.push("rust".to_owned());
    let mut world = World::new().await;
    world.stream("ROTATION", "rotation.>", |_| ()).await;
    world.config.admin = ports::free();
    let mut digests = BTreeMap::new();
    world.config.pipelines = Vec::new();
    for language in &all {
        for handler in [Handler::echo(), rotation()] {
            let component = tools::plugin(&file(handler.name, language));
            let digest = digest(&std::fs::read(&component).expect("a component"));
            for isolation in ["run", "event"] {
                let name = format!("{}-{language}-{isolation}", handler.name);
                digests.insert(name.clone(), digest.clone());
                world.config.pipelines.push(pipeline(name, Handler { component: component.clone(), ..handler.clone() }, isolation));
            }
        }
    }
    let (first, second) = flights();
    let of_echo = (first.len() + second.len()) * all.len() * 2;

    let mut host = ready(&mut world).await;
    world.publish(&first).await;
    until("each pipeline to have put out something", async || {
        let kept = [streams::read(&world.js, OUTPUTS).await?, streams::read(&world.js, "ROTATION").await?].concat();
        let seen: BTreeSet<_> = kept.iter().filter_map(|kept| kept.header("Seriatim-Pipeline")).collect();
        if seen.len() == digests.len() { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
    let before = world.read(OUTPUTS).await.len();
    let publishing = world.publish_meanwhile(second);
    world.until_count(OUTPUTS, before + 20).await;
    host.kill();
    let at_the_kill = world.read(OUTPUTS).await.len();
    assert!(at_the_kill < of_echo, "everything was done before the kill: nothing was tested");
    let sent = publishing.await.expect("publishing");
    world.note(sent);
    let host = ready(&mut world).await;
    finished(&world, host).await;

    let kept = [world.read(OUTPUTS).await, world.read("ROTATION").await].concat();
    let ids: BTreeSet<_> = kept.iter().map(|kept| kept.header("Nats-Msg-Id").expect("every output has an id")).collect();
    assert_eq!(ids.len(), kept.len(), "each once");
    for kept in &kept {
        let pipeline = kept.header("Seriatim-Pipeline").expect("every output names its pipeline");
        assert_eq!(kept.header("Seriatim-Component"), digests.get(pipeline).map(String::as_str), "{pipeline}");
    }
    for pipeline in digests.keys() {
        let told = told(&kept, pipeline);
        for (entity, outputs) in &told {
            assert!(outputs.windows(2).all(|pair| pair[0].0 < pair[1].0), "{pipeline}: {entity} is out of order: {outputs:?}");
        }
        let (handler, _) = pipeline.split_once('-').expect("a name of three parts");
        let rust = self::told(&kept, &format!("{handler}-rust-run"));
        for (entity, expected) in &rust {
            assert_eq!(told.get(entity), Some(expected), "{pipeline}: {entity}: not what the handler in Rust has put out");
        }
        assert_eq!(told.len(), rust.len(), "{pipeline}");
    }
    // And what the handler in Rust has put out is what was published.
    let echo = told(&kept, "echo-rust-run");
    assert_eq!(echo.len(), AIRCRAFT);
    for sent in &world.sent {
        let (_, (_, headers, payload)) = &echo[&sent.entity][usize::try_from(sent.sequence).expect("a small number") - 1];
        assert_eq!(*payload, sent.payload);
        assert!(headers.contains(&("Echo-Count".to_owned(), sent.sequence.to_string())), "{headers:?}");
    }
    assert_eq!(echo.values().map(Vec::len).sum::<usize>(), world.sent.len());
    assert!(told(&kept, "rotation-rust-run").values().map(Vec::len).sum::<usize>() > world.sent.len() / 3, "a summary of each flight");
}

/// Markers begin with seven bytes that no component has in its code.
fn marker(entity: &str, sequence: u64) -> String {
    format!("\u{7f}canar\u{7f}<{entity}:{sequence}>")
}

/// The entities whose markers a payload has.
fn heard(payload: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(payload);
    text.split("\u{7f}canar\u{7f}<").skip(1).filter_map(|rest| rest.split(':').next()).map(str::to_owned).collect()
}

#[tokio::test]
async fn no_entity_hears_of_another_in_any_language() {
    let mut all = languages("no_entity_hears_of_another_in_any_language");
    all.push("rust".to_owned());
    let mut world = World::new().await;
    world.stream("OUT", "out.>", |_| ()).await;
    world.config.admin = ports::free();
    // Entities of one shard meet in its instances.
    world.config.run.push(("shards", "1".to_owned()));
    world.config.pipelines = Vec::new();
    for language in &all {
        for isolation in ["run", "event", "shared"] {
            let component = tools::plugin(&file("canary", language));
            let handler = Handler { name: "canary", component, outputs: vec!["out.>"], ..Handler::echo() };
            world.config.pipelines.push(pipeline(format!("canary-{language}-{isolation}"), handler, isolation));
        }
    }
    let event = |entity: u64, sequence: u64| {
        let name = format!("e{entity}");
        Input::event(&name, sequence).payload(marker(&name, sequence))
    };
    let taking_turns = (1..=5).flat_map(|sequence| (1..=8).map(move |entity| event(entity, sequence)));
    let one_by_one = (1..=8).flat_map(|entity| (6..=9).map(move |sequence| event(entity, sequence)));
    let host = ready(&mut world).await;
    world.publish(&taking_turns.chain(one_by_one).collect::<Vec<_>>()).await;
    finished(&world, host).await;

    let kept = world.read("OUT").await;
    for pipeline in &world.config.pipelines {
        let outputs: Vec<_> = kept.iter().filter(|kept| kept.header("Seriatim-Pipeline") == Some(pipeline.name)).collect();
        assert!(outputs.len() >= 72, "{}: {} outputs", pipeline.name, outputs.len());
        let mut others = 0;
        for kept in outputs {
            let own = kept.header("Seriatim-Entity").expect("every output names its entity");
            let heard = heard(&kept.payload);
            others += heard.iter().filter(|entity| **entity != own).count();
            let silent = !pipeline.name.ends_with("-event") || kept.payload.is_empty();
            assert!(silent, "{}: an instance of its own has heard of {heard:?}", pipeline.name);
        }
        // Where instances are shared the canary sings, or this test could not hear it.
        assert_eq!(others > 0, pipeline.name.ends_with("-shared"), "{}: entities have heard of {others} others", pipeline.name);
    }
}
