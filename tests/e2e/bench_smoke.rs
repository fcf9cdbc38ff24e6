//! The benchmark measures every loop, checks what came out, keeps the result, and says what changed. No time is judged here.

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn bench(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["--messages", "1500", "--rounds", "1", "--folder"]).arg(folder).args(args);
    command.output().expect("the benchmark to start")
}

#[test]
fn each_loop_is_measured_and_an_earlier_result_is_compared_with() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = bench(folder.path(), &["--commit", "abc"]);
    assert!(first.status.success(), "{first:?}");
    let json = folder.path().join("quick.json");
    let result: Value = serde_json::from_slice(&std::fs::read(&json).expect("a result")).expect("JSON");
    assert_eq!(result["environment"]["commit"], "abc");
    let runs = result["runs"].as_array().expect("runs");
    assert_eq!(runs.iter().map(|run| run["loop"].as_str().expect("a name")).collect::<Vec<_>>(), ["read", "raw", "raw-inbox", "host"]);
    for run in runs {
        for field in ["messages_per_second", "seconds", "startup_seconds", "loop_cpu_us_per_message", "broker_cpu_us_per_message"] {
            assert!(run[field].as_f64().is_some_and(|value| value >= 0.0), "{field} of {run}");
        }
    }

    // A result that no host can reach is an error only for who asked for it.
    let text = json.display().to_string();
    let second = bench(folder.path(), &["--baseline", &text, "--fail-below", "1000"]);
    let (said, complained) = (String::from_utf8_lossy(&second.stdout), String::from_utf8_lossy(&second.stderr));
    assert_eq!(second.status.code(), Some(1), "{second:?}");
    assert!(said.contains("baseline") && said.contains("host / raw"), "{said}");
    assert!(complained.contains("below 1000"), "{complained}");
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["quick.json"], "broker and hosts clear their files away");
}
