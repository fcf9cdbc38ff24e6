//! The benchmark measures every loop, checks what came out, keeps the result, shows it on a page, and says what an earlier one was. No time is judged
//! here. (`cargo xtask ci` runs all of its parts.)

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn bench(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(["measure", "--quick", "--folder"]).arg(folder).args(args);
    command.output().expect("the benchmark to start")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).expect("a result")).expect("JSON")
}

#[test]
fn each_loop_is_measured_kept_and_shown_and_an_earlier_result_stands_beside_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (kept, page) = (folder.path().join("kept.json"), folder.path().join("page.md"));
    std::fs::write(&page, "prose\n<!-- bench main -->\n<!-- end -->\nmore prose\n").expect("a page");
    let work = folder.path().join("work");
    let (kept_text, page_text) = (kept.display().to_string(), page.display().to_string());
    let args = ["--only", "main", "--isolation", "event", "--commit", "abc", "--record", &kept_text, "--page", &page_text];
    let first = bench(&work, &args);
    assert!(first.status.success(), "{first:?}");

    let result = read(&work.join("bench.json"));
    assert_eq!((&result["environment"]["commit"], &result["quick"]), (&"abc".into(), &true.into()));
    let group = &result["main"][0];
    assert_eq!(group["name"], "single/event");
    let runs = group["runs"].as_array().expect("runs");
    let loops: Vec<_> = runs.iter().map(|run| run["loop"].as_str().expect("a name")).collect();
    let raw = ["receive", "receive-no-ack", "idiomatic-receive", "raw", "raw-no-ack", "idiomatic"];
    let hosts = ["host-stateless", "host-state", "host-output"];
    assert!(raw.iter().chain(&hosts).all(|name| loops.contains(name)) && loops.len() == 9, "{loops:?}");
    for run in runs {
        for field in ["messages_per_second", "seconds", "startup_seconds", "loop_cpu_us_per_message", "broker_cpu_us_per_message"] {
            assert!(run[field].as_f64().is_some_and(|value| value >= 0.0), "{field} of {run}");
        }
    }
    assert_eq!(read(&kept)["runs"][0], result, "the file of all results has it");
    let shown = std::fs::read_to_string(&page).expect("the page");
    assert!(shown.starts_with("prose\n") && shown.ends_with("<!-- end -->\nmore prose\n") && shown.contains("| host (iii)"), "{shown}");
    assert!(folder.path().join("page").join("single-event.svg").is_file(), "a picture of it");

    let second = bench(&work, &["--only", "recovery", "--baseline", &kept_text]);
    let said = String::from_utf8_lossy(&second.stdout);
    assert!(second.status.success() && said.contains("after SIGKILL") && said.contains("not measured"), "{second:?}");
    let left: Vec<_> = std::fs::read_dir(&work).expect("the folder").map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(left, ["bench.json"], "broker and hosts clear their files away");
}
