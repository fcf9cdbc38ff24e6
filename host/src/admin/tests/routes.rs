//! The document and the routes are the same, and whatever is no route is a problem, too.

use super::open;
use crate::admin::api::document;
use serde_json::Value;
use std::collections::BTreeSet;

const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "options", "trace"];

/// A path of the document with something in its places.
fn filled(path: &str) -> String {
    path.replace("{p}", "flights").replace("{e}", "a").replace("{n}", "1")
}

#[tokio::test]
async fn every_route_is_in_the_document_and_the_other_way_round() {
    let (api, _) = open(&["a"]).await;
    let served = api.get("/api/v1/openapi.json").await;
    assert_eq!(served.status, 200);
    let document = served.json();
    assert_eq!(document, serde_json::to_value(document_value()).unwrap());
    let mut found = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in METHODS {
            let listed = item.get(method).is_some();
            // A route answers anything but 405, and 404 only with what it knows; what is not listed is 405 and says what is allowed.
            let got = api.ask(&method.to_uppercase(), &filled(path), &[], "").await;
            assert_eq!(got.status != 405, listed, "{method} {path}: {}", got.head);
            assert!(!got.body.contains("no such resource"), "{method} {path}");
            if listed {
                found.insert(format!("{method} {path}"));
            } else {
                got.is_problem(405, &["Allow"]);
                assert!(got.head.contains("allow: "), "{}", got.head);
            }
        }
    }
    let e = "/api/v1/pipelines/{p}/entities";
    let wanted = [
        "get /api/v1/openapi.json".to_owned(),
        "get /api/v1/pipelines".to_owned(),
        "post /api/v1/pipelines/{p}/breaker:close".to_owned(),
        format!("get {e}"),
        format!("post {e}:park"),
        format!("post {e}:resume"),
        format!("post {e}:skip"),
        format!("get {e}/{{e}}"),
        format!("delete {e}/{{e}}"),
        format!("get {e}/{{e}}/history"),
        format!("get {e}/{{e}}/state"),
        format!("post {e}/{{e}}/park"),
        format!("post {e}/{{e}}/resume"),
        format!("post {e}/{{e}}/skip"),
        "get /api/v1/plugins".to_owned(),
        "post /api/v1/plugins:load".to_owned(),
        "post /api/v1/plugins:rollback".to_owned(),
        "post /api/v1/plugins:confirm".to_owned(),
        "get /api/v1/dead-letters".to_owned(),
        "get /api/v1/dead-letters/{n}".to_owned(),
        "post /api/v1/dead-letters/{n}/redrive".to_owned(),
        "post /api/v1/dead-letters:purge".to_owned(),
    ];
    assert_eq!(found, wanted.into_iter().collect());
    // Nothing gets into the router but together with its entry of the document.
    assert!(!include_str!("../api.rs").contains(".route("));
}

fn document_value() -> Value {
    serde_json::to_value(document()).unwrap()
}

#[test]
fn the_document_describes_errors_bodies_and_the_token() {
    let document = document_value();
    for item in document["paths"].as_object().unwrap().values() {
        for (method, operation) in item.as_object().unwrap() {
            let problem = &operation["responses"]["400"]["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(problem, "#/components/schemas/ProblemDetails", "{method} {operation}");
            let changes = method != "get";
            assert_eq!(operation["responses"].get("409").is_some(), changes, "{method} {operation}");
        }
    }
    assert_eq!(document["components"]["securitySchemes"]["token"]["scheme"], "bearer");
    let place = &document["components"]["schemas"]["PlaceBody"];
    assert_eq!((&place["additionalProperties"], &place["properties"]["sequence"]["minimum"]), (&Value::Bool(false), &Value::from(1)));
    assert_eq!(document["components"]["schemas"]["Alarm"]["oneOf"][0]["properties"]["clock"]["enum"][0], "host");
}

#[tokio::test]
async fn what_is_no_route_is_a_problem() {
    let (api, _) = open(&["a"]).await;
    for path in
        ["/page", "/api", "/api/v1/", "/api/v2/pipelines", "/api/v1/pipelines/flights/entities:forget", "/%2e%2e/x", "/api/v1/pipelines/"]
    {
        for method in ["GET", "POST"] {
            api.ask(method, path, &[], "").await.is_problem(404, &["/api/v1/openapi.json"]);
        }
    }
    api.ask("BREW", "/api/v1/pipelines", &[], "").await.is_problem(405, &["Allow"]);
    let head = api.ask("HEAD", "/api/v1/pipelines", &[], "").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}
