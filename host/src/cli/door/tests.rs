//! A command and the real API with a real socket between them: what is asked arrives, what is answered comes back, errors say what to do.

use super::{Failure, Remote};
use crate::admin::api::{Settings, serve};
use crate::admin::testing::Memory;
use crate::config::{AdminConfig, Config};
use crate::control::{
    BulkFilter, Control, DeadLetterQuery, EntityName, EntityQuery, EntityState, Fault, HistoryQuery, Place, Redrive, Sort, Word,
};
use std::path::Path;
use std::sync::Arc;
use tokio::net::TcpListener;

const TOKENS: &str = "ann operate operate-0123456789ab\nbob read read-0123456789abcdef\n";

async fn host(memory: Arc<Memory>, settings: Settings) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(listener, memory, settings, std::future::pending()));
    format!("127.0.0.1:{}", address.port())
}

fn name(entity: &str) -> EntityName {
    EntityName { pipeline: "flights".to_owned(), entity: entity.to_owned() }
}

/// `[admin]` of a config with these lines.
fn admin(folder: &Path, lines: &str) -> AdminConfig {
    let file = folder.join("seriatim.toml");
    let text = format!(
        "[admin]\n{lines}\n[pipelines.p]\nstream = \"S\"\nsubjects = [\"s.>\"]\nevent.entity = \"subject:2\"\n[[pipelines.p.handlers]]\nname = \"h\"\ncomponent = \"h.wasm\"\n"
    );
    std::fs::write(&file, text).unwrap();
    Config::load(&file).unwrap().admin
}

#[test]
fn a_stopped_folder_is_read_with_what_the_config_says() {
    let folder = tempfile::tempdir().unwrap();
    assert!(super::policies(&folder.path().join("seriatim.toml")).is_empty(), "a folder can be read without one");
    admin(folder.path(), "[pipelines.p.order]\nlate = \"drop\"");
    let policies = super::policies(&folder.path().join("seriatim.toml"));
    assert!(matches!(&policies[..], [(name, policy)] if name == "p" && policy.late == seriatim_sequencer::Late::Drop), "{policies:?}");
}

#[tokio::test]
async fn everything_that_is_asked_arrives_and_comes_back() {
    let long = "\u{1f6eb}".repeat(64);
    let names = ["two words", "a.b", ".", "..", "*", ">", "a/b?c#d%", &long];
    let memory = Memory::with(&names).letters(4);
    let address = host(memory.clone(), Settings::default()).await;
    let remote = Remote::new(&format!("http://{address}/"), None, None).unwrap();

    assert_eq!(remote.pipelines().await.unwrap(), memory.pipelines().await.unwrap());
    let query = EntityQuery {
        pipeline: "flights".to_owned(),
        states: vec![EntityState::Parked, EntityState::Waiting],
        reason: Some("gap".to_owned()),
        handler: Some("rotation".to_owned()),
        older_than_seconds: Some(7),
        sort: Sort::Age,
        after: Some(" &=+".to_owned()),
        limit: 3,
    };
    assert_eq!(remote.entities(query.clone()).await.unwrap(), memory.entities(query).await.unwrap());
    for entity in names {
        assert_eq!(remote.entity(name(entity)).await.unwrap(), memory.entity(name(entity)).await.unwrap());
        let query = HistoryQuery { name: name(entity), from: 7, limit: 3 };
        assert_eq!(remote.history(query.clone()).await.unwrap(), memory.history(query).await.unwrap());
        assert_eq!(remote.state(name(entity), None).await.unwrap(), memory.state(name(entity), None).await.unwrap());
        let place = Some(Place { epoch: 0, sequence: 41 });
        assert!(remote.operate(name(entity), Word::Skip { place }).await.unwrap().changed);
        assert!(!remote.operate(name(entity), Word::Resume { place }).await.unwrap().changed);
        assert!(remote.forget(name(entity)).await.unwrap().changed);
        assert!(remote.operate(name(entity), Word::Park).await.unwrap().changed);
    }
    assert!(memory.asked().contains(&format!("forget {long}")));
    let filter = BulkFilter { entities: vec!["*".to_owned(), "none".to_owned()], ..BulkFilter::default() };
    let done = remote.operate_many("flights".to_owned(), Word::Resume { place: None }, filter, false).await.unwrap();
    assert_eq!((done.matched, done.changed), (2, 1));
    let everybody = BulkFilter::default();
    assert_eq!(remote.operate_many("flights".to_owned(), Word::Park, everybody, true).await.unwrap().matched, names.len() as u64);

    let query = DeadLetterQuery { reason: Some("gap".to_owned()), limit: 1, ..DeadLetterQuery::default() };
    assert_eq!(remote.dead_letters(query.clone()).await.unwrap(), memory.dead_letters(query.clone()).await.unwrap());
    assert_eq!(remote.dead_letter(2).await.unwrap(), memory.dead_letter(2).await.unwrap());
    let redrive = Redrive { out_of_order: true, payload: Some("aGk=".to_owned()) };
    assert!(remote.redrive(3, redrive).await.unwrap().late);
    let query = DeadLetterQuery { limit: 0, ..query };
    assert_eq!(remote.purge(query, true).await.unwrap().matched, 2);
    assert_eq!(remote.purge(DeadLetterQuery::default(), false).await.unwrap().deleted, 4);
}

#[tokio::test]
async fn errors_come_back_as_what_they_were() {
    let address = host(Memory::with(&["a"]), Settings::default()).await;
    let remote = Remote::new(&format!("http://{address}"), None, None).unwrap();
    assert!(matches!(remote.entity(name("b")).await, Err(Fault::Unknown(text)) if text.contains("has no entity \"b\"")));
    let place = |sequence| Some(Place { epoch: 0, sequence });
    let conflict = remote.operate(name("a"), Word::Resume { place: place(u64::MAX) }).await;
    assert!(matches!(conflict, Err(Fault::Conflict { head, .. }) if head == place(41)));
    assert!(
        matches!(remote.operate(name("a"), Word::Resume { place: place(0) }).await, Err(Fault::Bad(text)) if text.contains("sequence is 0"))
    );
    assert!(matches!(remote.operate(name("a"), Word::Resume { place: None }).await, Err(Fault::Bad(_))));

    let gone = Remote::new("http://127.0.0.1:1", None, None).unwrap();
    let Err(Fault::Unavailable(text)) = gone.pipelines().await else { panic!("somebody listens on port 1") };
    assert!(text.contains("http://127.0.0.1:1/api/v1/pipelines") && text.contains("is the host running"), "{text}");
}

#[tokio::test]
async fn tokens_are_sent_and_certificates_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = |file: &str| folder.path().join(file);
    std::fs::write(path("tokens"), TOKENS).unwrap();
    std::fs::write(path("bob"), "read-0123456789abcdef\n").unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(path("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(path("key.pem"), made.signing_key.serialize_pem()).unwrap();
    let plain = admin(folder.path(), "token-file = \"tokens\"");
    let secure = admin(folder.path(), "token-file = \"tokens\"\ntls = { cert-file = \"cert.pem\", key-file = \"key.pem\" }");
    let park = |remote: Remote| async move { remote.operate(name("a"), Word::Park).await };

    let address = host(Memory::with(&["a"]), Settings::load(&plain).unwrap()).await;
    let url = format!("http://{address}");
    let Err(Fault::Unavailable(text)) = park(Remote::new(&url, None, None).unwrap()).await else { panic!("it needs no token") };
    assert!(text.contains("--token-file"), "{text}");
    let Err(Fault::Unavailable(text)) = park(Remote::new(&url, Some(&path("bob")), None).unwrap()).await else { panic!("bob may operate") };
    assert!(text.contains("403") && text.contains("operate"), "{text}");
    assert!(park(Remote::new(&url, Some(&path("tokens")), None).unwrap()).await.is_ok());

    let address = host(Memory::with(&["a"]), Settings::load(&secure).unwrap()).await;
    let url = format!("https://{address}");
    assert!(park(Remote::new(&url, Some(&path("tokens")), Some(&path("cert.pem"))).unwrap()).await.is_ok());
    let refused = park(Remote::new(&url, Some(&path("tokens")), None).unwrap()).await;
    assert!(matches!(refused, Err(Fault::Unavailable(text)) if text.to_lowercase().contains("certificate")));
}

#[test]
fn addresses_that_are_none_and_tokens_in_the_clear_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("t");
    std::fs::write(&token, "operate-0123456789ab").unwrap();
    for url in ["", "127.0.0.1:9465", "ftp://a", "http://", "http://a/b", "http://a b"] {
        assert!(matches!(Remote::new(url, None, None), Err(Failure::Usage(text)) if text.contains("--host")), "{url}");
    }
    let refused = Remote::new("http://seriatim.example.com", Some(&token), None);
    assert!(matches!(refused, Err(Failure::Usage(text)) if text.contains("use https")));
    for url in ["http://localhost:1", "http://[::1]:1", "http://127.9.9.9:1"] {
        assert!(Remote::new(url, Some(&token), None).is_ok(), "{url}");
    }
    let none = folder.path().join("none");
    assert!(matches!(Remote::new("http://localhost", Some(&none), None), Err(Failure::Failed(text)) if text.contains("cannot be read")));
    assert!(matches!(Remote::new("https://localhost", None, Some(&token)), Err(Failure::Failed(text)) if text.contains("no certificate")));
}
