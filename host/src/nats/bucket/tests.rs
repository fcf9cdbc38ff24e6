//! Who may claim a pipeline, pure and against a real bucket.

use super::*;
use crate::nats::testing::Server;

fn claimant(store_id: &str, previous_run: u64) -> Claimant {
    Claimant { store_id: store_id.into(), previous_run, run: previous_run + 1, take_over: false }
}

fn entry(store_id: &str, run: u64) -> Entry {
    Entry { store_id: store_id.into(), run, watermark: 9, ..Entry::default() }
}

#[test]
fn a_store_goes_on_where_it_was() {
    assert!(judge("p", &claimant("a", 3), &Entry::default()).is_ok());
    assert!(judge("p", &claimant("a", 3), &entry("a", 3)).is_ok());
    assert!(judge("p", &claimant("a", 3), &entry("a", 2)).is_ok(), "a start that never reached the bucket");
}

#[test]
fn another_or_a_copied_store_is_refused_and_told_what_to_do() {
    let text = judge("p", &claimant("b", 0), &entry("a", 3)).unwrap_err().to_string();
    assert!(text.contains("belongs to another store") && text.contains("--take-over") && text.contains("watermark 9"), "{text}");
    let text = judge("p", &claimant("a", 2), &entry("a", 3)).unwrap_err().to_string();
    assert!(text.contains("names run 3, this folder knows only 2") && text.contains("--take-over"), "{text}");
    let forced = Claimant { take_over: true, ..claimant("b", 0) };
    assert!(judge("p", &forced, &entry("a", 3)).is_ok());
}

#[test]
fn entries_of_later_versions_with_more_fields_are_read() {
    let entry: Entry = serde_json::from_str(r#"{"store_id":"a","run":1,"something_new":true}"#).unwrap();
    assert_eq!((entry.store_id.as_str(), entry.run), ("a", 1));
}

#[tokio::test]
async fn claims_and_heartbeats_against_a_real_bucket() {
    let Some(server) = Server::start() else { return };
    let connection = server.connect().await;
    ensure_bucket(&connection, 1).await.unwrap();
    ensure_bucket(&connection, 1).await.unwrap();
    let facts = Facts { watermark: 5, stream: "S".into(), ..Facts::default() };
    assert!(read(&connection, "p").await.unwrap().is_none());

    let mut first = claim(&connection, "p", &claimant("a", 0), &facts).await.unwrap();
    first.heartbeat(&Facts { watermark: 6, ..facts.clone() }).await.unwrap();
    first.heartbeat(&Facts { watermark: 7, ..facts.clone() }).await.unwrap();
    assert_eq!(read(&connection, "p").await.unwrap().unwrap().0.watermark, 7);

    // An empty store, and a copy of the folder from before.
    assert!(matches!(claim(&connection, "p", &claimant("b", 0), &facts).await, Err(ClaimError::OtherStore { .. })));
    assert!(matches!(claim(&connection, "p", &claimant("a", 0), &facts).await, Err(ClaimError::LaterRun { .. })));
    first.heartbeat(&facts).await.unwrap();

    // A confirmation that got lost: the revision moved, the entry is ours.
    let (now, revision) = read(&connection, "p").await.unwrap().unwrap();
    write(&connection, "p", &now, revision).await.unwrap();
    first.heartbeat(&facts).await.unwrap();
    first.heartbeat(&facts).await.unwrap();

    // The next run of the same store supersedes a host that still runs.
    let mut second = claim(&connection, "p", &claimant("a", 1), &facts).await.unwrap();
    assert!(matches!(first.heartbeat(&facts).await, Err(HeartbeatError::Superseded { run: 2, .. })));
    second.heartbeat(&facts).await.unwrap();

    // So does a take-over, even with a lower run.
    let mut third = claim(&connection, "p", &Claimant { take_over: true, ..claimant("b", 0) }, &facts).await.unwrap();
    assert!(matches!(second.heartbeat(&facts).await, Err(HeartbeatError::Superseded { .. })));
    third.heartbeat(&facts).await.unwrap();
}
