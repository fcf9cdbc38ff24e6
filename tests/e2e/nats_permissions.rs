//! Promise (README, deploy/nats-permissions.conf): with exactly the permissions of that file a host does everything it ever does, and each
//! line of the file is needed; where one is missing, the host says which subject was refused and what to do.

use crate::harness::components::{digest, padded};
use crate::harness::config::Handler;
use crate::harness::process::Process;
use crate::harness::{
    DEAD_LETTERS, Host, Input, OUTPUTS, Random, SOURCE, Users, World, check, command, die_at, misbehave, shuffled, time_passes, tools,
    until,
};
use async_nats::jetstream::object_store;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const HOST: (&str, &str) = ("seriatim", "host-password");
const PRODUCER: (&str, &str) = ("producer", "producer-password");
const BUCKET: &str = "KV_SERIATIM";

/// Where the handler's component is.
const PLUGINS: &str = "PLUGINS";

/// Asked only when the broker's last word on what is left cannot be true any more, or a part of an object got lost on its way: nothing that a test can
/// bring about at will.
const RARE: [&str; 2] = ["$JS.API.CONSUMER.INFO.FLIGHTS.*", "$JS.API.CONSUMER.DELETE.OBJ_PLUGINS.*"];

fn permissions() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/nats-permissions.conf")
}

/// A world whose broker has these users, with the pipeline that the file is written for.
async fn world(file: PathBuf) -> World {
    let own = ("admin", "test-password");
    let passwords = vec![("ADMIN_PASSWORD", own.1), ("SERIATIM_PASSWORD", HOST.1), ("PRODUCER_PASSWORD", PRODUCER.1)];
    let mut world = World::with_users(Users { file, passwords, own }, HOST).await;
    world.config.flights().handlers = vec![Handler { outputs: vec!["echo.*"], ..misbehave("5s") }];
    world
}

/// The file without the line of one permission of the host (whose user stands before the producer), in a file of its own.
fn without(permission: &str, folder: &tempfile::TempDir) -> PathBuf {
    let text = fs::read_to_string(permissions()).expect("the file with the users");
    let start = format!("\"{permission}\"");
    let mut lines: Vec<_> = text.lines().collect();
    let given = lines.iter().position(|line| line.trim_start().starts_with(&start));
    lines.remove(given.unwrap_or_else(|| panic!("a line that gives {permission}")));
    let file = folder.path().join("permissions.conf");
    fs::write(&file, lines.join("\n")).expect("a file in the test's folder");
    file
}

/// A message at the end of a stream that is there no more: only the leader can say that nothing is left.
async fn end_with_a_deleted_message(world: &World, stream: &str, subject: &'static str) {
    let sent = world.js.publish(subject, "".into()).await.expect("a message to delete");
    let place = sent.await.expect("its place").sequence;
    let stream = world.js.get_stream(stream).await.expect("the stream");
    assert!(stream.delete_message(place).await.expect("a deleted message"));
}

/// The handler's component from now on, as people put it there.
async fn put(world: &World, component: &[u8]) {
    let store = world.js.get_object_store(PLUGINS).await.expect("the bucket");
    store.put("flights/handler.wasm", &mut &*component).await.expect("an object");
}

async fn dies(mut host: Host) {
    assert!(!host.ended().await.success());
}

#[tokio::test]
async fn a_host_needs_exactly_what_the_file_lists() {
    let mut world = world(permissions()).await;
    world.config.flights().held_max = 5;
    let component = fs::read(tools::plugin("misbehave")).expect("the guest");
    let bucket = object_store::Config { bucket: PLUGINS.to_owned(), ..Default::default() };
    world.js.create_object_store(bucket).await.expect("a bucket");
    put(&world, &component).await;
    world.config.flights().handlers[0].component = "object:PLUGINS/flights/handler.wasm".into();
    let (code, out) = check(&world.write_config("seriatim.toml", 9));
    assert_eq!(code, Some(0), "{out}");

    // The first start makes what is missing.
    let mut host = world.host().await;
    for made in [DEAD_LETTERS, BUCKET] {
        world.js.get_stream(made).await.unwrap_or_else(|error| panic!("{made}: {error}"));
    }
    // Order, disorder, duplicates; a catch-up of one entity, with more early events than may be held.
    world.publish(&shuffled(&mut Random::new(71), 5, 20, 20)).await;
    let mut early: Vec<_> = (2..=60).map(|sequence| Input::event("behind", sequence)).collect();
    early.push(Input::event("behind", 1));
    world.publish(&early).await;
    world.until_applied("behind", 60).await;
    let reject = |entity, sequence| command(entity, sequence, &json!({ "do": "reject", "reason": "no" }));
    let mut dead = vec![world.publish_one(reject("a", 1)).await];
    world.until_count(DEAD_LETTERS, 1).await;
    // Another component, in a file that does not come in one piece.
    let larger = padded(component, 6 << 20);
    put(&world, &larger).await;
    let runs = format!("\"component\":\"{}\"", digest(&larger));
    until("the changed object to be loaded", async || {
        let log = host.log();
        if log.lines().any(|line| line.contains("handler loaded") && line.contains(&runs)) { Ok(()) } else { Err(log) }
    })
    .await;
    world.publish_one(Input::event("changed", 1)).await;
    world.until_applied("changed", 1).await;
    let kept = world.read(OUTPUTS).await;
    let made = kept.iter().find(|kept| kept.header("Seriatim-Entity") == Some("changed")).expect("its output");
    assert_eq!(made.header("Seriatim-Component"), Some(digest(&larger).as_str()));
    host.stop().await;

    // A crash between sending and confirmation, longer ago than the duplicate window: each stream is searched.
    let window = Duration::from_secs(1);
    for stream in [OUTPUTS, DEAD_LETTERS] {
        world.shorten_window(stream, window).await;
    }
    let mut host = world.launch(&[], &die_at("confirm-before"));
    host.ready().await;
    world.publish_one(Input::event("a", 2)).await;
    dies(host).await;
    end_with_a_deleted_message(&world, OUTPUTS, "echo.none").await;
    time_passes(window).await;
    let mut host = world.launch(&[], &die_at("confirm-before"));
    host.ready().await;
    host.metric("seriatim_outbox_entries", &[], 0.0).await;
    dead.push(world.publish_one(reject("a", 3)).await);
    dies(host).await;
    end_with_a_deleted_message(&world, DEAD_LETTERS, "seriatim.dead.none.none").await;
    time_passes(window).await;
    let host = world.host().await;
    world.publish_one(Input::event("a", 4)).await;
    world.until_applied("a", 4).await;
    world.settle(host).await;

    let log = world.broker.log();
    assert!(!log.contains("Violation"), "{}", lines_with(&log, "Violation"));
    for number in 1..=4 {
        let log = fs::read_to_string(world.path(&format!("host-{number}.log"))).expect("the log of a host");
        assert!(!log.contains("Violation"), "{}", lines_with(&log, "Violation"));
    }
    let unused = unused_permissions("seriatim", &log);
    assert!(unused.is_empty(), "the file gives what nothing asks for: {unused:?}");
    let expected = world.everything().outputs("a", [2, 4]).dead(dead[0], "rejected").dead(dead[1], "rejected");
    world.judge(&expected).await;
}

/// A run that is killed in its middle and gone on with when the broker no longer knows what was sent.
#[tokio::test]
async fn a_producer_needs_exactly_what_the_file_lists() {
    const ROWS: u64 = 200;
    let mut world = world(permissions()).await;
    let window = Duration::from_secs(1);
    world.shorten_window(SOURCE, window).await;
    let password = world.path("password-of-the-producer");
    fs::write(&password, PRODUCER.1).expect("a file for the password");
    world.config.login = Some((PRODUCER.0, password));
    let config = world.write_config("producer.toml", 9);
    let input = world.path("events.ndjson");
    let rows: String = (0..ROWS).map(|row| format!("{{\"plane\":\"p{}\",\"row\":{row}}}\n", row % 7)).collect();
    fs::write(&input, rows).expect("a file to publish");
    let publish = |more: &[&str], log: &str| {
        let mut command = Command::new(tools::seriatim());
        command.arg("publish").arg(&input).arg("--config").arg(&config);
        command.args(["--subject", "flights.{plane}", "--entity", "plane"]).args(more);
        Process::spawn("seriatim publish", command, &world.path(log))
    };
    let mut slow = publish(&["--rate", "40"], "publish-1.log");
    world.until_count(SOURCE, 20).await;
    slow.kill();
    end_with_a_deleted_message(&world, SOURCE, "flights.p0").await;
    time_passes(window).await;
    let mut rest = publish(&[], "publish-2.log");
    let status = rest.ended().await;
    assert!(status.success(), "{}", rest.log());
    assert_eq!(world.read(SOURCE).await.len() as u64, ROWS, "each row once");
    let log = world.broker.log();
    assert!(!log.contains("Violation"), "{}", lines_with(&log, "Violation"));
    let unused = unused_permissions(PRODUCER.0, &log);
    assert!(unused.is_empty(), "the file gives what nothing asks for: {unused:?}");
}

/// What the file lets a user publish to and, by the broker's trace, this user has not published to.
fn unused_permissions(user: &str, trace: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(permissions()).expect("the file with the users");
    let part = text.split("user: ").find(|part| part.starts_with(user)).expect("the user");
    let listed = part.lines().filter_map(|line| line.trim().strip_prefix('"')).filter_map(|line| line.split('"').next());
    let connections: Vec<_> = trace
        .lines()
        .filter(|line| line.contains("[CONNECT ") && line.contains(&format!("\"user\":\"{user}\"")))
        .filter_map(|line| line.split_whitespace().find(|word| word.starts_with("cid:")))
        .collect();
    let published: Vec<_> = trace
        .lines()
        .filter(|line| line.split_whitespace().any(|word| connections.contains(&word)))
        .filter_map(|line| line.split_once("PUB ").map(|(_, published)| published))
        .collect();
    assert!(published.len() > 10, "the broker traces what {user} publishes");
    listed
        .filter(|permission| !RARE.contains(permission))
        .filter(|permission| !published.iter().any(|published| published.starts_with(permission.trim_end_matches(['*', '>']))))
        .map(str::to_owned)
        .collect()
}

fn lines_with<'a>(log: &'a str, word: &str) -> String {
    log.lines().filter(|line: &&'a str| line.contains(word)).take(20).collect::<Vec<_>>().join("\n")
}

const ADVICE: &str = "deploy/nats-permissions.conf";

/// A start that lacks a permission ends with a line that names it; so does `check`, for what it asks.
async fn refuses_to_start_without(permission: &str, named: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(without(permission, &folder)).await;
    let mut host = world.launch(&[], "");
    host.refuses(&[&format!("for Publish to \"{named}"), ADVICE]).await;
    assert!(!host.ended().await.success());
    let log = fs::read_to_string(world.path("host-1.log")).expect("the host's log");
    let last = log.lines().last().unwrap_or_default();
    let told = last.replace('\\', "");
    assert!(told.contains(&format!("\"{named}")) && told.contains(ADVICE), "the last line says it all: {last}");
}

#[tokio::test]
async fn a_stream_that_may_not_be_read_is_named_at_the_start() {
    refuses_to_start_without("$JS.API.STREAM.INFO.FLIGHTS", "$JS.API.STREAM.INFO.FLIGHTS").await;
}

#[tokio::test]
async fn a_bucket_that_may_not_be_made_is_named_at_the_start() {
    refuses_to_start_without("$JS.API.STREAM.CREATE.KV_SERIATIM", "$JS.API.STREAM.CREATE.KV_SERIATIM").await;
}

/// After the first start the two lines that say so can be taken out.
#[tokio::test]
async fn a_bucket_that_exists_need_not_be_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(without("$JS.API.STREAM.CREATE.KV_SERIATIM", &folder)).await;
    let kept = async_nats::jetstream::kv::Config { bucket: "SERIATIM".to_owned(), history: 1, ..Default::default() };
    world.js.create_key_value(kept).await.expect("a bucket");
    let host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    world.settle(host).await;
    assert!(!world.broker.log().contains("Violation"));
}

#[tokio::test]
async fn consumers_that_may_not_be_made_are_named_by_readiness() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(without("$JS.API.CONSUMER.CREATE.FLIGHTS.*", &folder)).await;
    let mut host = world.launch(&[], "");
    host.unready(&["Permissions Violation for Publish to", "$JS.API.CONSUMER.CREATE.FLIGHTS.seriatim-flights-", ADVICE]).await;
    assert!(!host.is_over());
    let (code, text) = crate::harness::host::command(&world.path("seriatim-1.toml"), &["health"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(ADVICE), "{text}");
}

#[tokio::test]
async fn outputs_that_may_not_be_published_are_named_and_wait() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut world = world(without("echo.*", &folder)).await;
    let mut host = world.host().await;
    world.publish_one(Input::event("a", 1)).await;
    host.unready(&["Permissions Violation for Publish to \"echo.a\"", ADVICE]).await;
    host.metric("seriatim_waiting_entities", &[("pipeline", "flights"), ("reason", "output-unavailable")], 1.0).await;
    assert!(world.read(SOURCE).await.len() == 1 && world.read(OUTPUTS).await.is_empty());
    // Nobody has to restart anything once the permission is there.
    world.broker.reload(&permissions());
    world.until_applied("a", 1).await;
    host.ready().await;
    world.settle(host).await;
    world.judge(&world.everything()).await;
}
