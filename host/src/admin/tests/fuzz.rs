//! The document is what the routes do: schemathesis makes requests of it, good and bad, and judges every answer. `cargo xtask test` installs it and
//! names its folder in `SERIATIM_SCHEMATHESIS`; where that is absent this is skipped by name.

use super::Settings;
use super::start;
use crate::admin::testing::Memory;
use tokio::process::Command;

/// What schemathesis must find: that answers are of the document, that bad requests are refused, that nothing answers 500.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,use_after_free";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_is_what_the_routes_do() {
    let Some(packages) = std::env::var_os("SERIATIM_SCHEMATHESIS") else {
        println!("SERIATIM_SCHEMATHESIS is not set, the API is not fuzzed");
        return;
    };
    let api = start(Memory::with(&["a", "0", "b c"]).letters(3), Settings::default()).await;
    let url = format!("http://{}/api/v1/openapi.json", api.address);
    let folder = tempfile::tempdir().unwrap();
    let mut fuzz = Command::new("python3");
    fuzz.env("PYTHONPATH", packages).args([
        "-m",
        "schemathesis.cli",
        "run",
        &url,
        "--checks",
        CHECKS,
        "--max-examples",
        "40",
        "--seed",
        "1",
        "--generation-database",
        "none",
        "--no-color",
    ]);
    let output = fuzz.current_dir(folder.path()).output().await.unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
}
