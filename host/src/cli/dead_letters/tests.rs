//! The commands on a host in memory, and what their arguments may be.

use super::*;
use crate::admin::testing::Memory;
use clap::Parser;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn parse(line: &[&str]) -> Result<Command, String> {
    Cli::try_parse_from([&["dead-letters"], line].concat()).map(|cli| cli.command).map_err(|error| error.to_string())
}

async fn run(memory: &Memory, line: &[&str]) -> Result<Said, Failure> {
    match parse(line).unwrap() {
        Command::List(args) => look::list(memory, &args).await,
        Command::Show(args) => look::show(memory, &args).await,
        Command::Redrive(args) => act::redrive(memory, &args).await,
        Command::Export(args) => look::export(memory, &args).await,
        Command::Purge(args) => act::purge(memory, &args).await,
    }
}

async fn text(memory: &Memory, line: &[&str]) -> String {
    run(memory, line).await.unwrap().text
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    let long = "x".repeat(257);
    for (line, said) in [
        (&["show"][..], "required"),
        (&["show", "0"], "0"),
        (&["show", "-1"], "-1"),
        (&["show", "x"], "invalid digit"),
        (&["show", "18446744073709551616"], "too large"),
        (&["redrive", "1", "--all"], "cannot be used with"),
        (&["redrive", "1", "--reason", "gap"], "cannot be used with"),
        (&["purge", "--all", "--reason", "gap"], "cannot be used with"),
        (&["list", "--entity", &long], "it has 257 bytes"),
        (&["list", "--older-than", "x"], "such as 5m"),
        (&["list", "--limit", "0"], "0"),
    ] {
        let error = parse(line).unwrap_err();
        assert!(error.contains(said), "{line:?}: {error}");
    }
    assert!(parse(&["show", "18446744073709551615"]).is_ok());
}

#[tokio::test]
async fn they_are_listed_and_shown_and_move_no_cursor() {
    let memory = Memory::with(&[]).letters(1_500);
    let list = text(&memory, &["list", "--reason", "gap", "--limit", "700"]).await;
    assert_eq!(list.lines().count(), 701);
    assert!(!list.contains('\u{1b}'));
    let said = run(&memory, &["list", "--limit", "3"]).await.unwrap();
    assert_eq!(said.note, "there are more: --from 4");
    assert_eq!(text(&memory, &["list", "--limit", "1500"]).await.lines().count(), 1_501);
    assert_eq!(text(&memory, &["list", "--newer-than", "1h"]).await, "no dead letters");
    let shown = text(&memory, &["show", "2"]).await;
    for words in ["trap", "FLIGHTS 102", "Seriatim-Dead-Reason: trap", "{\"a\":1}"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let json: serde_json::Value = serde_json::from_str(&text(&memory, &["show", "2", "--json"]).await).unwrap();
    assert_eq!(json["payload"], "eyJhIjoxfQ==");
}

#[tokio::test]
async fn they_are_redriven_one_by_one_or_all_that_match() {
    let memory = Memory::with(&[]).letters(6);
    assert!(text(&memory, &["redrive", "--reason", "gap", "--dry-run"]).await.lines().count() == 4);
    assert!(memory.asked().is_empty());
    let said = run(&memory, &["redrive", "1", "3"]).await.unwrap();
    assert!(said.failed, "{said:?}");
    assert_eq!(said.text, "1: redriven\n3: refused: 7 events of E3 were applied since; redrive it out of order\n1 of 2 redriven");
    assert_eq!(text(&memory, &["redrive", "3", "--out-of-order"]).await, "3: redriven, out of order\n1 of 1 redriven");
    let said = run(&memory, &["redrive", "--pipeline", "flights", "--reason", "gap", "--out-of-order"]).await.unwrap();
    assert_eq!(said.text, "1: had been redriven before\n3: had been redriven before\n5: redriven, out of order\n1 of 3 redriven");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hi").unwrap();
    let edit = file.path().to_str().unwrap();
    text(&memory, &["redrive", "2", "--edit", edit]).await;
    assert!(memory.asked().last().unwrap().contains("\"aGk=\""), "{:?}", memory.asked());
    for (line, said) in [
        (&["redrive"][..], "say which"),
        (&["redrive", "--all", "--reason", "gap"], "no other choice"),
        (&["redrive", "1", "2", "--edit", edit], "belongs to one"),
        (&["redrive", "--all", "--edit", edit], "belongs to one"),
    ] {
        let Err(Failure::Usage(text)) = run(&memory, line).await else { panic!("{line:?}") };
        assert!(text.contains(said), "{text}");
    }
    assert!(matches!(run(&memory, &["redrive", "1", "--edit", "no/such"]).await, Err(Failure::Failed(_))));
}

#[tokio::test]
async fn they_are_exported_line_by_line_and_purged() {
    let memory = Memory::with(&[]).letters(1_200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.ndjson");
    let output = path.to_str().unwrap();
    let said = run(&memory, &["export", "--output", output]).await.unwrap();
    assert_eq!(said.note, "1200 dead letters written");
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(written.lines().all(|line| line.starts_with("{\"format\":\"seriatim-dead-letter/1\",")), "docs/dead-letters.md");
    let numbers: Vec<u64> =
        written.lines().map(|line| serde_json::from_str::<crate::control::DeadLetterReport>(line).unwrap().row.stream_sequence).collect();
    assert_eq!(numbers, (1..=1_200).collect::<Vec<_>>());
    let Err(Failure::Failed(refused)) = run(&memory, &["export", "--output", output]).await else { panic!("it is written over") };
    assert!(refused.contains("out.ndjson"), "{refused}");

    let Err(Failure::Usage(said)) = run(&memory, &["purge"]).await else { panic!("it purges everything") };
    assert!(said.contains("--all"), "{said}");
    assert_eq!(text(&memory, &["purge", "--reason", "trap", "--dry-run"]).await, "600 matched, nothing was deleted");
    assert_eq!(text(&memory, &["purge", "--reason", "trap"]).await, "600 matched, 600 deleted");
    assert_eq!(text(&memory, &["purge", "--all", "--json"]).await, "{\n  \"matched\": 600,\n  \"deleted\": 600,\n  \"next\": null\n}");
}
