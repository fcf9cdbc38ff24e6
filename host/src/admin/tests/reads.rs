//! What changes nothing: lists, pages, one entity under any name, dead letters; and everything that can be wrong with a question.

use super::{Settings, open, start};
use crate::admin::testing::Memory;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;

const ENTITIES: &str = "/api/v1/pipelines/flights/entities";

fn path(entity: &str) -> String {
    format!("{ENTITIES}/{}", utf8_percent_encode(entity, NON_ALPHANUMERIC))
}

#[tokio::test]
async fn pipelines_are_listed() {
    let (api, _) = open(&["a"]).await;
    let got = api.get("/api/v1/pipelines").await;
    assert_eq!(got.status, 200);
    assert_eq!(got.json()["pipelines"][0]["name"], "flights");
    assert_eq!(got.json()["pipelines"][0]["lag"], json!(null));
    assert!(got.head.contains("cache-control: no-store\r\n"), "{}", got.head);
}

#[tokio::test]
async fn any_name_that_an_entity_may_have_is_found_again() {
    let long = "\u{1f6eb}".repeat(64);
    let names = ["N711MQ", "two words", "a.b.c", ".", "..", "*", ">", "a/b", "%2F", "ü\u{1f6eb}", "?x=1#y", "a:park", "park", &long];
    assert_eq!(long.len(), 256);
    let (api, _) = open(&names).await;
    for name in names {
        let got = api.get(&path(name)).await;
        assert_eq!((got.status, got.json()["entity"].as_str()), (200, Some(name)), "{name}: {}", got.body);
        let got = api.get(&format!("{}/history?limit=1", path(name))).await;
        assert_eq!(got.status, 200, "{name}: {}", got.body);
        let got = api.get(&format!("{}/state?handler=rotation", path(name))).await;
        assert_eq!(got.json()["entries"][0]["value"], json!({ "at": 1 }), "{name}");
    }
}

#[tokio::test]
async fn what_no_entity_can_be_called_is_refused_in_words() {
    let (api, _) = open(&["a"]).await;
    api.get(&path(&"x".repeat(257))).await.is_problem(400, &["has 257 bytes", "1 to 256"]);
    api.get(&path(&format!("{}x", "\u{1f6eb}".repeat(64)))).await.is_problem(400, &["has 257 bytes"]);
    api.get(&path("a\u{7}b")).await.is_problem(400, &["control characters"]);
    api.get(&format!("{ENTITIES}/%FF")).await.is_problem(400, &["the path", "UTF-8"]);
    // With nothing where an entity would be there is no such resource.
    api.get(&format!("{ENTITIES}/")).await.is_problem(404, &["no such resource"]);
    for name in ["unknown", " a", "A", "a "] {
        api.get(&path(name)).await.is_problem(404, &["has no entity"]);
    }
    api.get("/api/v1/pipelines/trains/entities/a").await.is_problem(404, &["no pipeline \"trains\""]);
    api.get("/api/v1/pipelines/Not%20A%20Name/entities").await.is_problem(404, &["no pipeline"]);
}

#[tokio::test]
async fn lists_are_filtered_and_come_in_pages() {
    let (api, _) = open(&["a", "b", "c"]).await;
    let got = api.get(&format!("{ENTITIES}?state=parked,waiting&reason=gap&sort=age&limit=2")).await;
    assert_eq!(got.status, 200, "{}", got.body);
    assert_eq!(got.json()["entities"].as_array().unwrap().len(), 2);
    assert_eq!(got.json()["next"], "b");
    let got = api.get(&format!("{ENTITIES}?limit=2&after=b")).await;
    assert_eq!((got.json()["entities"][0]["entity"].as_str(), &got.json()["next"]), (Some("c"), &json!(null)));
    assert_eq!(api.get(&format!("{ENTITIES}?state=live")).await.json()["entities"], json!([]));
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_answered_by_what_is_wrong() {
    let (api, _) = open(&["a"]).await;
    for (query, words) in [
        ("state=lively", &["state has \"lively\"", "live, waiting, parked"][..]),
        ("state=", &["state has \"\""]),
        ("sort=size", &["sort", "size"]),
        ("limit=0", &["limit is 0", "1 to 1000"]),
        ("limit=1001", &["limit is 1001"]),
        ("limit=-1", &["limit"]),
        ("limit=ten", &["limit"]),
        ("limit=1&limit=2", &["limit"]),
        ("sate=parked", &["sate"]),
        ("reason=", &["reason is empty"]),
        ("after=", &["after is empty"]),
    ] {
        let got = api.get(&format!("{ENTITIES}?{query}")).await;
        got.is_problem(400, words);
        assert!(!got.body.contains("Failed to deserialize"), "{}", got.body);
    }
    let long = format!("{ENTITIES}?reason={}", "x".repeat(2_000));
    api.get(&long).await.is_problem(400, &["reason has 2000 bytes"]);
    api.get(&format!("{}?x=1", path("a"))).await.is_problem(400, &["x"]);
    api.get(&format!("{}/state?handler=none", path("a"))).await.is_problem(404, &["no handler"]);
    api.get(&format!("{}/history?from=-1", path("a"))).await.is_problem(400, &["from"]);
}

#[tokio::test]
async fn dead_letters_are_listed_and_shown() {
    let memory = Memory::with(&[]).letters(5);
    let api = start(memory, Settings::default()).await;
    let got = api.get("/api/v1/dead-letters?reason=gap&limit=2").await;
    let numbers: Vec<_> = got.json()["dead_letters"].as_array().unwrap().iter().map(|row| row["stream_sequence"].clone()).collect();
    assert_eq!((numbers, &got.json()["next"]), (vec![json!(1), json!(3)], &json!(5)));
    assert_eq!(
        api.get("/api/v1/dead-letters?from=5&pipeline=flights&entity=E5&since=1&until=9000").await.json()["dead_letters"][0]["stream_sequence"],
        5
    );
    let got = api.get("/api/v1/dead-letters/2").await;
    assert_eq!((got.json()["reason"].as_str(), got.json()["payload"].as_str()), (Some("trap"), Some("eyJhIjoxfQ==")));
    api.get("/api/v1/dead-letters/18446744073709551615").await.is_problem(404, &["no dead letter"]);
    for number in ["0", "-1", "+1", "x", "1.5", "18446744073709551616", "%20"] {
        api.get(&format!("/api/v1/dead-letters/{number}")).await.is_problem(400, &["a whole number from 1 to 18446744073709551615"]);
    }
    api.get("/api/v1/dead-letters?since=5&until=5").await.is_problem(400, &["not before until"]);
    api.get(&format!("/api/v1/dead-letters?entity={}", "x".repeat(257))).await.is_problem(400, &["257 bytes"]);
}
