//! Promise (design G9, §5.4): `seriatim plugin inspect` and `plugin test` say of a handler's file what it is and what it does, without broker, config and
//! host; a handler that hides state in its memory is caught, and one that does not passes; an upgrade that changes the state's shape is tried before it is
//! made. (`plugin new` is followed by `cargo xtask test`.)

use crate::harness::components::versions;
use crate::harness::tools::{self, plugin};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Told {
    code: Option<i32>,
    out: String,
    err: String,
}

/// In a folder with nothing in it but what the test puts there.
fn seriatim(folder: &Path, args: &[&str]) -> Told {
    let output = Command::new(tools::seriatim()).arg("plugin").args(args).current_dir(folder).output().expect("seriatim to start");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Told { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn put(folder: &Path, name: &str, text: &str) -> String {
    std::fs::write(folder.join(name), text).expect("a file in the test's folder");
    name.to_owned()
}

fn file(name: &str) -> String {
    let path: PathBuf = std::fs::canonicalize(plugin(name)).expect("a built handler");
    path.display().to_string()
}

fn spies() -> String {
    let mut lines = String::new();
    for n in 0..30 {
        let entity = ["a", "b", "c"][n % 3];
        writeln!(lines, "{{\"entity\":\"{entity}\",\"payload\":{{\"do\":\"spy\"}}}}").expect("a line");
    }
    lines
}

#[test]
fn inspect_says_what_a_file_is_and_why_one_is_refused() {
    let folder = folder();
    let good = seriatim(folder.path(), &["inspect", &file("echo"), "--set", "to=out"]);
    assert_eq!((good.code, good.err.as_str()), (Some(0), ""), "{}", good.out);
    for part in ["core module", "seriatim:handler/handler@0.1.0", "sha256", "median of", "  seriatim:handler/state@0.1.0", "  handle"] {
        assert!(good.out.contains(part), "no {part:?} in:\n{}", good.out);
    }
    let json = seriatim(folder.path(), &["inspect", &file("echo"), "--json"]);
    let found: Value = serde_json::from_str(&json.out).expect("JSON");
    assert_eq!((json.code, found["form"].as_str(), found["exports"][0].as_str()), (Some(0), Some("core module"), Some("handle")));
    assert!(found["fresh_call"]["median_us"].as_f64().is_some_and(|us| us > 0.0), "{found}");
    assert!(found["failed"].as_str().is_some_and(|why| why.contains("no `to`")), "an event that fails is told: {found}");

    let stranger = seriatim(folder.path(), &["inspect", &file("stranger")]);
    assert_eq!((stranger.code, stranger.out.as_str()), (Some(1), ""));
    assert!(stranger.err.contains("at the step `imports`") && stranger.err.contains("stranger:network/sockets@0.1.0"), "{}", stranger.err);
    let text = put(folder.path(), "text.wasm", "hello");
    let refused = seriatim(folder.path(), &["inspect", &text, "--json"]);
    let found: Value = serde_json::from_str(&refused.out).expect("JSON");
    assert_eq!((refused.code, found["refused"]["step"].as_str()), (Some(1), Some("structure")));
}

#[test]
fn what_came_of_events_is_kept_and_compared_with() {
    let folder = folder();
    let lines = "{\"entity\":\"a\",\"sequence\":2,\"payload\":\"two\"}\n{\"entity\":\"a\",\"sequence\":1,\"payload\":\"one\"}\n{\"entity\":\"b\",\"payload\":\"x\"}\n";
    let events = put(folder.path(), "events.ndjson", lines);
    let run = |file: &str, events: &str, more: &[&str]| {
        seriatim(folder.path(), &[&["test", file, events, "--set", "to=out", "--outputs", "out.*"], more].concat())
    };
    let plain = run(&file("echo"), &events, &["--write-expect", "expected.ndjson"]);
    assert_eq!((plain.code, plain.err.as_str()), (Some(0), ""), "{}", plain.out);
    assert!(plain.out.contains("     1  out.a  one") && plain.out.contains("state  count = 2"), "{}", plain.out);
    let printed = run(&file("echo"), &events, &["--json"]);
    let kept = std::fs::read_to_string(folder.path().join("expected.ndjson")).expect("what was kept");
    assert!(printed.out.starts_with(&kept), "what is printed is what is kept:\n{}", printed.out);
    put(folder.path(), "printed.ndjson", &printed.out);
    for expected in ["expected.ndjson", "printed.ndjson"] {
        let same = run(&file("echo"), &events, &["--expect", expected, "--attack"]);
        assert_eq!(same.code, Some(0), "{}{}", same.out, same.err);
        assert!(same.out.starts_with("as expected\n"), "{}", same.out);
    }

    assert_eq!(run(&file("echo"), &events, &["--cache", "compiled"]).code, Some(0));
    let kept = std::fs::read_dir(folder.path().join("compiled")).expect("a folder of compiled code");
    assert!(kept.map(|entry| entry.expect("an entry").path()).any(|path| path.extension().is_some_and(|end| end == "cwasm")));

    let changed = put(folder.path(), "changed.ndjson", &lines.replace("two", "TWO"));
    let other = run(&file("echo"), &changed, &["--expect", "expected.ndjson"]);
    assert_eq!(other.code, Some(1), "{}", other.out);
    for part in ["a, event 2: output 1: payload differs", "expected: two", "found:    TWO"] {
        assert!(other.out.contains(part), "no {part:?} in:\n{}", other.out);
    }
    assert!(!other.out.contains("b, event"), "{}", other.out);

    let bad = put(folder.path(), "bad.ndjson", "{\"entity\":\"a\"}\n{\"entity\":\"a\",\"sequence\":0}\n");
    let refused = run(&file("echo"), &bad, &[]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.starts_with("bad.ndjson:2: `sequence` is 0"), "{}", refused.err);
}

#[test]
fn a_handler_that_hides_state_is_caught_and_named() {
    let folder = folder();
    let events = put(folder.path(), "spies.ndjson", &spies());
    let plain = seriatim(folder.path(), &["test", &file("misbehave"), &events]);
    assert_eq!(plain.code, Some(0), "nothing is wrong with it where nothing is cut: {}", plain.out);
    let attacked = seriatim(folder.path(), &["test", &file("misbehave"), &events, "--attack", "--seed", "3"]);
    assert_eq!(attacked.code, Some(1), "{}", attacked.out);
    for part in [
        "attack: one instance for all entities: 3 entities differ, the first:",
        "a, event 2: output 1: payload differs",
        "this usually means: the handler remembers something in its memory",
        "attack: other places in the stream: no difference",
    ] {
        assert!(attacked.out.contains(part), "no {part:?} in:\n{}", attacked.out);
    }
    let again = seriatim(folder.path(), &["test", &file("misbehave"), &events, "--attack", "--seed", "3"]);
    assert_eq!(again.out, attacked.out, "the same seed");
}

#[test]
fn an_upgrade_that_changes_the_states_shape_is_tried_on_events() {
    let folder = folder();
    for (name, version) in [("old.wasm", 1), ("new.wasm", 2)] {
        std::fs::write(folder.path().join(name), versions(name.trim_end_matches(".wasm"), version)).expect("a component");
    }
    let lines = |stuck: usize| {
        let line =
            |n: usize| format!("{{\"entity\":\"{}\",\"payload\":\"{}\"}}\n", ["a", "b"][n % 2], if n == stuck { "stick" } else { "x" });
        (0..24).map(line).collect::<String>()
    };
    let events = put(folder.path(), "events.ndjson", &lines(99));
    let run =
        |file: &str, events: &str, more: &[&str]| seriatim(folder.path(), &[&["test", file, events, "--set", "to=out"], more].concat());
    let upgrade = run("new.wasm", &events, &["--upgrade-from", "old.wasm", "--json", "--write-expect", "expected.ndjson"]);
    assert_eq!((upgrade.code, upgrade.err.as_str()), (Some(0), ""), "{}", upgrade.out);
    let rows: Vec<Value> = upgrade.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of =
        |kind: &str, entity: &str| rows.iter().filter(|row| row["type"] == kind && row["entity"] == entity).cloned().collect::<Vec<_>>();
    for entity in ["a", "b"] {
        let made = of("applied", entity).iter().map(|row| row["outputs"][0]["headers"].to_string()).collect::<Vec<_>>();
        let old = made.iter().take_while(|headers| headers.contains("[\"Made-By\",\"old\"]")).count();
        let new = made.iter().skip(6).take_while(|headers| headers.contains("[\"Made-By\",\"new\"]")).count();
        assert_eq!((old, new, made.len()), (6, 6, 12), "{made:?}");
        assert!(of("entity", entity)[0]["state"].to_string().contains("2:12"), "migrated, and counted on: {:?}", of("entity", entity));
    }
    let summary = rows.iter().find(|row| row["type"] == "summary").expect("a summary");
    assert_eq!(summary["migrated"], 2);
    let attacked = run("new.wasm", &events, &["--upgrade-from", "old.wasm", "--attack", "--expect", "expected.ndjson"]);
    assert_eq!(attacked.code, Some(0), "{}", attacked.out);
    assert!(attacked.out.contains("attack: the upgrade between other events (seed 1): no difference"), "{}", attacked.out);
    // Without an upgrade from it, the older file is not run at all.
    assert_eq!(run("new.wasm", &events, &["--expect", "expected.ndjson"]).code, Some(1));

    // Event 7 of a, which the newer one handles: only where the upgrade comes later is it in the state that has to be migrated.
    let stuck = put(folder.path(), "stuck.ndjson", &lines(12));
    assert_eq!(run("new.wasm", &stuck, &["--upgrade-from", "old.wasm"]).code, Some(0));
    let caught = run("new.wasm", &stuck, &["--upgrade-from", "old.wasm", "--attack", "--seed", "3"]);
    assert_eq!(caught.code, Some(1), "{}", caught.out);
    assert!(caught.out.contains("this usually means: `migrate` makes another state"), "{}", caught.out);
    let failing = put(folder.path(), "failing.ndjson", &lines(2));
    let told = run("new.wasm", &failing, &["--upgrade-from", "old.wasm"]);
    for part in ["is parked (migration)", "stuck in version 1", "state  shape = \"1:5\"", "1 state migrated; 1 entity waits"] {
        assert!(told.out.contains(part), "no {part:?} in:\n{}", told.out);
    }
    let refused = run("new.wasm", &events, &["--upgrade-from", "events.ndjson"]);
    assert!(refused.code == Some(1) && refused.err.starts_with("events.ndjson: refused at the step `structure`"), "{}", refused.err);
}

#[test]
fn rotation_on_real_flights_passes_every_attack() {
    let folder = folder();
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/rotation/data/flights-2013-01.csv.gz");
    let flights = rotation_events::read(&data).expect("the month");
    let mut lines = String::new();
    for flight in flights.iter().take(1_500) {
        let payload = String::from_utf8(flight.payload().expect("a payload")).expect("UTF-8");
        let (entity, kind, id) = (&flight.tailnum, flight.kind.name(), &flight.id);
        writeln!(
            lines,
            "{{\"entity\":\"{entity}\",\"sequence\":{},\"kind\":\"{kind}\",\"id\":\"{id}\",\"payload\":{payload}}}",
            flight.sequence
        )
        .expect("a line");
    }
    let events = put(folder.path(), "flights.ndjson", &lines);
    let told = seriatim(
        folder.path(),
        &["test", &file("rotation"), &events, "--set", "threshold-minutes=15", "--outputs", "rotation.>", "--attack", "--json"],
    );
    assert_eq!(told.code, Some(0), "{}", told.err);
    let of = |kind: &str| {
        let lines = told.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.filter(|line| line["type"] == kind).collect::<Vec<_>>()
    };
    let summary = &of("summary")[0];
    assert_eq!((summary["applied"].as_u64(), summary["dead_letters"].as_u64()), (Some(1_500), Some(0)), "{summary}");
    assert!(of("attack").len() > 15 && of("attack").iter().all(|attack| attack["difference"].is_null()));
}
