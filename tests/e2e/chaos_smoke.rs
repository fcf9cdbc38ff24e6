//! Chaos runs, kills host and broker, judges what is left, and keeps its figures. What it finds in minutes is not this test's.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn chaos(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos"));
    command.args(["--minutes", "0.4", "--seed", "7", "--only", "skip", "--folder"]).arg(folder).args(args);
    command.output().expect("chaos to start")
}

#[test]
fn some_kills_are_survived_judged_and_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (json, kept) = (folder.path().join("run.json"), folder.path().join("kept.json"));
    let output = chaos(folder.path(), &["--commit", "abc", "--json", &json.display().to_string(), "--record", &kept.display().to_string()]);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("clean: "), "it says what it is at: {said}");
    let run: Value = serde_json::from_slice(&std::fs::read(&json).expect("a result")).expect("JSON");
    assert_eq!((&run["commit"], &run["seed"], &run["violations"]), (&Value::from("abc"), &Value::from(7), &Value::from(0)));
    for figure in ["messages", "applied", "duplicates", "malformed"] {
        assert!(run["judged"][figure].as_u64().is_some_and(|count| count > 0), "{figure}: {run}");
    }
    assert!(run["host_kills"]["all"].as_u64().is_some_and(|count| count >= 2), "{run}");
    assert!(run["broker_kills"]["all"].as_u64().is_some_and(|count| count >= 1), "{run}");
    let kept: Value = serde_json::from_slice(&std::fs::read(&kept).expect("the runs")).expect("JSON");
    assert_eq!(kept["total"]["judged"]["applied"], run["judged"]["applied"]);
    let mut left: Vec<_> =
        std::fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
    left.sort();
    assert_eq!(left, ["kept.json", "run.json"], "a clean run clears its files away");
}
