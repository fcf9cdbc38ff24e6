//! Changes: they name the place they mean, repeating one is harmless, they go on to their end, and each is one line of the audit log.

use super::{Settings, open, start};
use crate::admin::api::BODY_MAX;
use crate::admin::testing::Memory;
use crate::control::EntityState;
use crate::telemetry::captured;
use serde_json::json;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const ENTITIES: &str = "/api/v1/pipelines/flights/entities";

#[tokio::test]
async fn a_change_names_the_place_it_means() {
    let (api, memory) = open(&["a"]).await;
    let got = api.post(&format!("{ENTITIES}/a/resume"), r#"{"sequence": 40}"#).await;
    assert_eq!((got.status, got.json()), (200, json!({ "changed": false })));
    let got = api.post(&format!("{ENTITIES}/a/resume"), r#"{"sequence": 42}"#).await;
    got.is_problem(409, &["is at 41, not at 42"]);
    assert_eq!(got.json()["head"], json!({ "epoch": 0, "sequence": 41 }));
    let got = api.post(&format!("{ENTITIES}/a/skip"), r#"{"epoch": 0, "sequence": 41}"#).await;
    assert_eq!((got.status, got.json()), (200, json!({ "changed": true })));
    // Once more is harmless.
    let got = api.post(&format!("{ENTITIES}/a/skip"), r#"{"sequence": 41}"#).await;
    assert_eq!((got.status, got.json()), (200, json!({ "changed": false })));
    for body in ["", "{}"] {
        assert_eq!(api.post(&format!("{ENTITIES}/a/park"), body).await.status, 200);
    }
    assert_eq!(memory.standing("a").unwrap().state, EntityState::Parked);
    api.post(&format!("{ENTITIES}/b/park"), "").await.is_problem(404, &["has no entity \"b\""]);
}

#[tokio::test]
async fn sequences_that_are_none_are_refused_in_words() {
    let (api, memory) = open(&["a"]).await;
    for (sequence, said) in [
        ("-1", "sequence is -1; it must be a whole number from 1 to 18446744073709551615"),
        ("0", "sequence is 0; it must be"),
        ("1.5", "sequence is 1.5; it must be"),
        ("18446744073709551616", "it must be a whole number"),
        ("\"41\"", "sequence is \"41\"; it must be"),
        ("\"x\"", "sequence is \"x\"; it must be"),
        ("null", "sequence is null; it must be"),
        ("[1]", "sequence is a list; it must be"),
        ("{}", "sequence is an object; it must be"),
    ] {
        for verb in ["resume", "skip"] {
            let got = api.post(&format!("{ENTITIES}/a/{verb}"), &format!("{{\"sequence\": {sequence}}}")).await;
            got.is_problem(400, &[said]);
        }
    }
    let got = api.post(&format!("{ENTITIES}/a/resume"), r#"{"sequence": 18446744073709551615}"#).await;
    got.is_problem(409, &["is at 41, not at 18446744073709551615"]);
    let got = api.post(&format!("{ENTITIES}/a/resume"), r#"{"sequence": 41, "epoch": -1}"#).await;
    got.is_problem(400, &["epoch is -1; it must be a whole number from 0"]);
    assert_eq!(memory.standing("a").unwrap().head.sequence, 41);
}

#[tokio::test]
async fn bodies_that_are_none_are_refused_in_words() {
    let (api, _) = open(&["a"]).await;
    let resume = format!("{ENTITIES}/a/resume");
    for (body, said) in [
        ("", "missing field `sequence`"),
        ("{", "EOF"),
        ("nonsense", "expected"),
        ("[]", "the body"),
        (r#"{"sequence": 41, "sequence": 42}"#, "duplicate field"),
        (r#"{"sequence": 41, "more": 1}"#, "unknown field `more`"),
        ("{\"sequence\": 41} x", "trailing"),
    ] {
        api.post(&resume, body).await.is_problem(400, &[said]);
    }
    api.ask("POST", &resume, &["Content-Type: text/plain"], r#"{"sequence": 41}"#).await.is_problem(415, &["application/json"]);
    api.ask("POST", &resume, &[], r#"{"sequence": 41}"#).await.is_problem(415, &["application/json"]);
    let large = format!("{{\"sequence\": {}41}}", " ".repeat(BODY_MAX));
    api.post(&resume, &large).await.is_problem(413, &["the body"]);
    api.post(&format!("{resume}?dry=1"), r#"{"sequence": 41}"#).await.is_problem(400, &["dry"]);
}

#[tokio::test]
async fn many_are_changed_by_name_or_by_what_they_have_in_common() {
    let (api, memory) = open(&["a", "b", "c"]).await;
    let resume = format!("{ENTITIES}:resume");
    let got = api.post(&resume, r#"{"reason": "gap", "dry_run": true}"#).await;
    assert_eq!((got.json()["matched"].as_u64(), got.json()["changed"].as_u64()), (Some(3), Some(0)), "{}", got.body);
    assert!(memory.asked().is_empty());
    let got = api.post(&resume, r#"{"entities": ["a", "x"]}"#).await;
    assert_eq!((got.json()["matched"].as_u64(), got.json()["changed"].as_u64()), (Some(2), Some(1)), "{}", got.body);
    assert!(got.json()["entities"][1]["error"].as_str().unwrap().contains("has no entity \"x\""));
    let got = api.post(&format!("{ENTITIES}:park"), r#"{"all": true}"#).await;
    assert_eq!((got.json()["matched"].as_u64(), got.json()["changed"].as_u64()), (Some(3), Some(1)));
    let got = api.post(&format!("{ENTITIES}:skip"), r#"{"entities": ["b"]}"#).await;
    assert_eq!(got.json()["changed"], 1);
    // What names nobody must never mean everybody.
    for (body, said) in [
        ("", "nothing says which"),
        (r#"{"dry_run": true}"#, "nothing says which"),
        (r#"{"all": false}"#, "nothing says which"),
        (r#"{"entities": []}"#, "names nobody"),
        (r#"{"entities": [], "all": true}"#, "names nobody"),
        (r#"{"entities": ["a", ""]}"#, "entities, number 2: \"\": it is empty; an entity has 1 to 256 bytes"),
        (r#"{"reason": ""}"#, "reason is empty"),
        (r#"{"older_than_seconds": -1, "all": true}"#, "-1"),
    ] {
        api.post(&resume, body).await.is_problem(400, &[said]);
    }
    let long = json!({ "entities": ["x".repeat(257)] }).to_string();
    api.post(&resume, &long).await.is_problem(400, &["257 bytes"]);
    let many = json!({ "entities": vec!["x"; 10_001] }).to_string();
    api.post(&resume, &many).await.is_problem(400, &["has 10001 names", "10000"]);
}

#[tokio::test]
async fn an_entity_is_forgotten_when_nothing_is_owed() {
    let (api, memory) = open(&["a"]).await;
    let forget = || api.ask("DELETE", "/api/v1/pipelines/flights/entities/a", &[], "");
    forget().await.is_problem(409, &["something is owed"]);
    api.post(&format!("{ENTITIES}/a/resume"), r#"{"sequence": 41}"#).await;
    assert_eq!(forget().await.json(), json!({ "changed": true }));
    assert_eq!(memory.asked().last().unwrap(), "forget a");
}

#[tokio::test]
async fn dead_letters_are_redriven_once_and_purged() {
    let memory = Memory::with(&[]).letters(6);
    let api = start(memory.clone(), Settings::default()).await;
    let redrive = |number: u64| format!("/api/v1/dead-letters/{number}/redrive");
    assert_eq!(api.post(&redrive(1), "").await.json(), json!({ "changed": true, "late": false }));
    assert_eq!(api.post(&redrive(1), "{}").await.json(), json!({ "changed": false, "late": false }));
    api.post(&redrive(3), "{}").await.is_problem(409, &["7 events"]);
    let got = api.post(&redrive(3), r#"{"out_of_order": true, "payload": "aGk="}"#).await;
    assert_eq!(got.json(), json!({ "changed": true, "late": true }));
    api.post(&redrive(1), r#"{"payload": "a!"}"#).await.is_problem(400, &["not base64"]);
    api.post(&redrive(9), "").await.is_problem(404, &["no dead letter 9"]);
    api.post("/api/v1/dead-letters/0/redrive", "").await.is_problem(400, &["from 1 to"]);
    // A payload that is larger than other bodies may be.
    let large = json!({ "payload": "aGkh".repeat((BODY_MAX / 4) + 1) }).to_string();
    assert_eq!(api.post(&redrive(2), &large).await.status, 200);

    let purge = "/api/v1/dead-letters:purge";
    api.post(purge, "{}").await.is_problem(400, &["nothing says which"]);
    api.post(purge, r#"{"dry_run": true}"#).await.is_problem(400, &["nothing says which"]);
    let got = api.post(purge, r#"{"reason": "gap", "dry_run": true}"#).await;
    assert_eq!(got.json(), json!({ "matched": 3, "deleted": 0, "next": null }));
    assert_eq!(api.post(purge, r#"{"reason": "gap"}"#).await.json(), json!({ "matched": 3, "deleted": 3, "next": null }));
    assert_eq!(api.post(purge, r#"{"all": true}"#).await.json(), json!({ "matched": 3, "deleted": 3, "next": null }));
}

#[tokio::test]
async fn a_change_goes_on_when_nobody_waits_for_it_and_too_many_are_refused() {
    let (api, memory) = open(&["a"]).await;
    memory.gate.forget_permits(Semaphore::MAX_PERMITS);
    let request = format!(
        "POST {ENTITIES}/a/skip HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{{\"sequence\": 41}}",
        api.address
    );
    let mut callers = Vec::new();
    // One more than are let in: the last is told so at once.
    let refused = loop {
        let mut stream = TcpStream::connect(api.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut first = [0; 12];
        tokio::select! {
            biased;
            read = tokio::io::AsyncReadExt::read_exact(&mut stream, &mut first) => {
                read.unwrap();
                break first;
            }
            // Not for correctness: a slow server only makes more callers wait than are let in, and then one is told.
            () = tokio::time::sleep(std::time::Duration::from_millis(20)) => callers.push(stream),
        }
        // Those that went away count, too.
        if callers.len() > 10 {
            callers.clear();
        }
    };
    assert_eq!(&first_line(&refused), "HTTP/1.1 503");
    drop(callers);
    assert!(memory.asked().is_empty());
    memory.gate.add_permits(Semaphore::MAX_PERMITS);
    while memory.standing("a").unwrap().head.sequence == 41 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_circuit_breaker_is_shown_and_closed_by_the_name_of_its_handler() {
    let memory = Memory::with(&[]).breaker_open();
    let api = start(memory.clone(), Settings::default()).await;
    let breaker = api.get("/api/v1/pipelines").await.json()["pipelines"][0]["breaker"].clone();
    assert_eq!((&breaker["handler"], &breaker["next_probe"]), (&json!("rotation"), &json!(1_357_000_010_000_u64)));
    let close = "/api/v1/pipelines/flights/breaker:close";
    api.post(close, r#"{"handler": "other"}"#).await.is_problem(409, &["because of rotation"]);
    api.post(close, r#"{"handler": "none"}"#).await.is_problem(404, &["no handler"]);
    api.post(close, "").await.is_problem(400, &["handler"]);
    api.post(close, r#"{"handler": ""}"#).await.is_problem(400, &["1 to 32 bytes"]);
    api.post("/api/v1/pipelines/none/breaker:close", r#"{"handler": "rotation"}"#).await.is_problem(404, &["none"]);
    for changed in [true, false] {
        let got = api.post(close, r#"{"handler": "rotation"}"#).await;
        assert_eq!((got.status, got.json()), (200, json!({ "changed": changed })));
    }
    assert_eq!(api.get("/api/v1/pipelines").await.json()["pipelines"][0]["breaker"], json!(null));
}

fn first_line(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_change_that_breaks_is_told_as_such() {
    let (api, _) = open(&["panic"]).await;
    api.post(&format!("{ENTITIES}/panic/park"), "").await.is_problem(500, &["broke off"]);
    assert_eq!(api.get("/api/v1/pipelines").await.status, 200);
}

/// What is logged, for one test.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn each_change_is_a_line_of_the_audit_log() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
    // The runtime of this test has one thread, so what the server logs comes here.
    let _captured = captured::capture(subscriber);
    let (api, _) = open(&["a", "b"]).await;
    let who = ["Content-Type: application/json", "Seriatim-Operator: ann\tsmith"];
    api.ask("POST", &format!("{ENTITIES}/a/skip"), &who, r#"{"sequence": 41}"#).await;
    api.ask("POST", &format!("{ENTITIES}/a/skip"), &who, r#"{"sequence": 99}"#).await;
    api.post(&format!("{ENTITIES}:park"), r#"{"entities": ["b", "x"]}"#).await;
    api.post(&format!("{ENTITIES}:park"), r#"{"entities": ["b"], "dry_run": true}"#).await;
    api.get("/api/v1/pipelines").await;
    api.post("/api/v1/pipelines/flights/breaker:close", r#"{"handler": "rotation"}"#).await;
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let lines: Vec<_> = lines.iter().filter(|line| line["target"] == "seriatim::audit").collect();
    assert_eq!(lines.len(), 6, "{text}");
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["action"].as_str().unwrap(), line["entity"].as_str().unwrap(), line["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(told[0], ("skip", "a", "done"));
    assert_eq!((told[1].0, told[1].1), ("skip", "a"));
    assert!(told[1].2.starts_with("refused (conflict): "), "{text}");
    assert_eq!(told[2], ("park many", "", "2 matched, 0 changed"));
    assert_eq!(told[3], ("park many", "b", "met"));
    assert!(told[4].1 == "x" && told[4].2.starts_with("refused: "), "{text}");
    assert_eq!((&lines[0]["who"], &lines[0]["verified"], &lines[0]["sequence"]), (&json!("annsmith"), &json!(false), &json!(41)));
    assert_eq!(lines[2]["who"], "unknown");
    assert_eq!((told[5].0, told[5].2, &lines[5]["detail"]), ("close breaker", "it was so already", &json!("handler \"rotation\"")));
}
