//! Components: what the API takes, what it refuses, and that each change is asked for once.

use super::open;

const LOAD: &str = "/api/v1/plugins:load?pipeline=flights&handler=rotation";

#[tokio::test]
async fn components_are_listed_loaded_rolled_back_and_confirmed() {
    let (api, memory) = open(&[]).await;
    let got = api.get("/api/v1/plugins").await.json();
    assert_eq!((got["plugins"][0]["handler"].as_str(), got["plugins"][0]["overridden"].as_bool()), (Some("rotation"), Some(true)));
    let got = api.ask("POST", &format!("{LOAD}&from=new.wasm"), &["Content-Type: application/wasm"], "component").await;
    assert_eq!((got.status, got.json()["load"].as_u64()), (200, Some(3)));
    let body = r#"{"pipeline": "flights", "handler": "rotation", "to": "ab"}"#;
    assert_eq!(api.post("/api/v1/plugins:rollback", body).await.status, 200);
    let body = r#"{"pipeline": "flights", "handler": "rotation"}"#;
    assert_eq!(api.post("/api/v1/plugins:confirm", body).await.status, 200);
    assert_eq!(memory.asked(), ["load 9 bytes from new.wasm into rotation", "roll back rotation to Some(\"ab\")", "confirm rotation"]);
}

#[tokio::test]
async fn what_is_no_component_or_names_no_handler_is_refused() {
    let (api, memory) = open(&[]).await;
    api.ask("POST", LOAD, &["Content-Type: application/json"], "{}").await.is_problem(415, &["application/wasm"]);
    api.ask("POST", LOAD, &["Content-Type: application/wasm"], "").await.is_problem(400, &["step `structure`"]);
    api.ask("POST", "/api/v1/plugins:load", &["Content-Type: application/wasm"], "x").await.is_problem(400, &["the query"]);
    let long = format!("{LOAD}&from={}", "x".repeat(300));
    api.ask("POST", &long, &["Content-Type: application/wasm"], "x").await.is_problem(400, &["from has 300 bytes"]);
    let body = r#"{"pipeline": "flights", "handler": "rotation", "to": "ff"}"#;
    api.post("/api/v1/plugins:rollback", body).await.is_problem(409, &["no kept version"]);
    let body = r#"{"pipeline": "flights", "handler": "rotation", "to": ""}"#;
    api.post("/api/v1/plugins:rollback", body).await.is_problem(400, &["digest"]);
    let body = r#"{"pipeline": "other", "handler": "rotation"}"#;
    api.post("/api/v1/plugins:confirm", body).await.is_problem(404, &["no pipeline"]);
    assert!(memory.asked().is_empty());
}
