//! The commands on a host in memory, and what their arguments may be.

use super::*;
use crate::admin::testing::Memory;
use clap::Parser;
use std::io::Write as _;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &[&str]) -> Result<Command, String> {
    Cli::try_parse_from([&["entity"], line].concat()).map(|cli| cli.command).map_err(|error| error.to_string())
}

async fn run(memory: &Memory, line: &[&str]) -> Result<Said, Failure> {
    match parse(line).unwrap() {
        Command::List(args) => look::list(memory, &args).await,
        Command::Show(args) => look::show(memory, &args).await,
        Command::History(args) => look::history(memory, &args).await,
        Command::State(args) => look::state(memory, &args).await,
        Command::Park(args) => operate::park(memory, &args).await,
        Command::Resume(args) => operate::go(memory, operate::Way::Resume, &args).await,
        Command::Skip(args) => operate::go(memory, operate::Way::Skip, &args).await,
        Command::Forget(args) => operate::forget(memory, &args).await,
    }
}

async fn text(memory: &Memory, line: &[&str]) -> String {
    let said = run(memory, line).await.unwrap();
    assert!(!said.failed, "{said:?}");
    said.text
}

fn failed(result: Result<Said, Failure>) -> String {
    match result {
        Err(Failure::Failed(text) | Failure::Usage(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let long = "x".repeat(257);
    for (line, said) in [
        (&["show", ""][..], "it is empty"),
        (&["show", &long], "it has 257 bytes"),
        (&["show", "a\u{7}"], "control characters"),
        (&["show"], "required"),
        (&["resume", "a", "--sequence", "0"], "0"),
        (&["resume", "a", "--sequence", "-1"], "-1"),
        (&["resume", "a", "--sequence", "x"], "invalid digit"),
        (&["resume", "a", "--sequence", "18446744073709551616"], "too large"),
        (&["resume", "--sequence", "1", "--all"], "cannot be used with"),
        (&["resume", "--sequence", "1"], "ENTITY"),
        (&["resume", "a", "--epoch", "1"], "--sequence"),
        (&["resume", "a", "--from", "f"], "cannot be used with"),
        (&["resume", "a", "--all"], "cannot be used with"),
        (&["park", "a", "--reason", "gap"], "cannot be used with"),
        (&["park", "--older-than", "soon"], "such as 5m"),
        (&["list", "--state", "lively"], "live, waiting, parked"),
        (&["list", "--sort", "size"], "name, age, backlog"),
        (&["list", "--limit", "0"], "0"),
        (&["list", "--store", "f", "--host", "http://x"], "cannot be used with"),
        (&["history", "a", "--from", "-1"], "-1"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(said), "{line:?}: {error}");
    }
    for name in ["-x", "--host", "two words", "*", ">", "\u{1f6eb}"] {
        assert!(parse(&["show", name]).is_ok() || name == "--host", "{name}");
    }
    assert!(parse(&["resume", "a", "--sequence", "18446744073709551615"]).is_ok());
}

#[tokio::test]
async fn an_entity_is_shown_with_its_sentence_first() {
    let memory = Memory::with(&["N711MQ"]);
    let shown = text(&memory, &["show", "N711MQ"]).await;
    assert!(shown.starts_with("N711MQ is parked at event 41.\n"), "{shown}");
    for words in ["is at", "41", "gap", "stream sequences 5 to 9", "when an operator says so"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&text(&memory, &["show", "N711MQ", "--json"]).await).unwrap();
    assert_eq!(json["head"]["sequence"], 41);
    assert!(shown.contains("rotation cd, state in version 2, which is not what runs now"), "{shown}");
    assert!(failed(run(&memory, &["show", "x"]).await).contains("has no entity \"x\""));
    assert!(failed(run(&memory, &["show", "N711MQ", "--pipeline", "trains"]).await).contains("no pipeline"));
}

#[tokio::test]
async fn lists_and_histories_go_on_over_pages_to_their_limit() {
    let names: Vec<_> = (0..2_500).map(|number| format!("e{number:04}")).collect();
    let memory = Memory::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let said = run(&memory, &["list", "--limit", "2400", "--state", "parked,waiting", "--reason", "gap"]).await.unwrap();
    assert_eq!(said.text.lines().count(), 2_401, "with its titles");
    assert_eq!(said.note, "there are more: --after \"e2399\"");
    assert_eq!(text(&memory, &["list", "--after", "e2399"]).await.lines().count(), 101);
    assert_eq!(text(&memory, &["list", "--state", "live"]).await, "no entities");
    assert_eq!(text(&memory, &["list", "--older-than", "1h", "--limit", "5"]).await.lines().count(), 6);
    assert_eq!(text(&memory, &["list", "--older-than", "100000d"]).await, "no entities");
    assert!(text(&memory, &["resume", "--state", "waiting,live", "--dry-run"]).await.contains("0 matched"));
    assert!(text(&memory, &["resume", "--state", "parked", "--dry-run"]).await.contains("2500 matched"));
    let said = run(&memory, &["history", "e0000", "--limit", "200"]).await.unwrap();
    assert_eq!((said.text.lines().count(), said.note.as_str()), (201, "there are more: --from 201"));
    assert_eq!(text(&memory, &["history", "e0000", "--from", "201"]).await.lines().count(), 51);
    assert!(text(&memory, &["state", "e0000", "--handler", "rotation"]).await.contains("\"at\": 1"));
}

#[tokio::test]
async fn to_go_on_names_the_place_or_asks_for_it_first() {
    let memory = Memory::with(&["a", "b"]);
    assert_eq!(text(&memory, &["resume", "a", "--dry-run"]).await, "a is parked at event 41.\nwould resume it at 41");
    assert!(failed(run(&memory, &["resume", "a", "--sequence", "40", "--dry-run"]).await).contains("is at 41, not at 40"));
    assert!(memory.asked().is_empty());
    assert_eq!(text(&memory, &["resume", "a"]).await, "a: resumed at 41");
    assert_eq!(memory.asked(), ["a Resume { place: Some(Place { epoch: 0, sequence: 41 }) }"]);
    assert_eq!(text(&memory, &["resume", "a"]).await, "a: waits for nothing");
    assert_eq!(text(&memory, &["skip", "b", "--sequence", "40"]).await, "b: had gone on already past 40");
    let error = failed(run(&memory, &["skip", "b", "--sequence", "42"]).await);
    assert!(error.contains("is at 41, not at 42; it is at 41"), "{error}");
    assert_eq!(text(&memory, &["skip", "b", "--json"]).await, "{\n  \"changed\": true\n}");
    assert_eq!(text(&memory, &["park", "b"]).await, "b: parked");
    assert_eq!(text(&memory, &["park", "b"]).await, "b: was parked already");
    assert!(failed(run(&memory, &["forget", "b"]).await).contains("something is owed"));
    assert_eq!(text(&memory, &["forget", "a"]).await, "a: forgotten");
}

#[tokio::test]
async fn many_are_those_of_a_file_or_all_that_match() {
    let names: Vec<_> = (0..1_500).map(|number| format!("e{number}")).collect();
    let memory = Memory::with(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut file = tempfile::NamedTempFile::new().unwrap();
    write!(file, "{}\r\n\n", names.join("\n")).unwrap();
    let path = file.path().to_str().unwrap().to_owned();
    let dry = text(&memory, &["resume", "--from", &path, "--dry-run"]).await;
    assert!(dry.ends_with("resume: 1500 matched, nothing was done"), "{dry}");
    assert!(memory.asked().is_empty());
    let done = text(&memory, &["resume", "--from", &path]).await;
    assert!(done.ends_with("resume: 1500 matched, 1500 changed"), "{done}");
    assert!(text(&memory, &["skip", "--reason", "gap"]).await.ends_with("skip: 0 matched, 0 changed"));
    assert!(text(&memory, &["park", "--all"]).await.ends_with("park: 1500 matched, 1500 changed"));

    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write("e1\nnobody\n");
    let said = run(&memory, &["park", "--from", &path]).await.unwrap();
    assert!(said.failed && said.text.contains("has no entity \"nobody\""), "{said:?}");
    // What names nobody must never come to mean everybody.
    for (text, words) in [("", "names no entity"), ("\n\r\n", "names no entity"), ("e1\na\u{7}\n", "line 2: it has control")] {
        write(text);
        let error = failed(run(&memory, &["skip", "--from", &path]).await);
        assert!(error.contains(words) && error.contains(&path), "{error}");
    }
    write(&"x".repeat(257));
    assert!(failed(run(&memory, &["skip", "--from", &path]).await).contains("line 1: it has 257 bytes"));
    assert!(failed(run(&memory, &["skip", "--from", "no/such/file"]).await).contains("cannot be opened"));
    for line in [&["skip"][..], &["skip", "--dry-run"], &["skip", "--all", "--reason", "gap"]] {
        let Err(Failure::Usage(text)) = run(&memory, line).await else { panic!("{line:?}") };
        assert!(text.contains("--from FILE"), "{text}");
    }
}

#[tokio::test]
async fn with_several_pipelines_one_has_to_be_named() {
    let memory = Memory::of_two();
    let Err(Failure::Usage(text)) = run(&memory, &["list"]).await else { panic!("it is not refused") };
    assert!(text.contains("--pipeline flights|orders"), "{text}");
    assert_eq!(run(&memory, &["list", "--pipeline", "orders"]).await.unwrap().text, "no entities");
}
