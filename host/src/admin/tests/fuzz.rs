//! The document is what the routes do: schemathesis makes requests of it, good and bad, and judges every answer. Skipped by name where the program
//! `schemathesis` (Python, `pip install schemathesis`) is not on the path.

use super::Settings;
use super::start;
use crate::admin::testing::Memory;
use tokio::process::Command;

/// What schemathesis must find: that answers are of the document, that bad requests are refused, that nothing answers 500.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,use_after_free";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_what_the_routes_do() {
    let there = Command::new("schemathesis").arg("--version").output().await;
    if !there.is_ok_and(|output| output.status.success()) {
        println!("schemathesis: not installed, the API is not fuzzed");
        return;
    }
    let api = start(Memory::with(&["a", "0", "b c"]).letters(3), Settings::default()).await;
    let url = format!("http://{}/api/v1/openapi.json", api.address);
    let folder = tempfile::tempdir().unwrap();
    let mut fuzz = Command::new("schemathesis");
    fuzz.args(["run", &url, "--checks", CHECKS, "--max-examples", "40", "--seed", "1", "--generation-database", "none", "--no-color"]);
    let output = fuzz.current_dir(folder.path()).output().await.unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
