//! Versions and delays as values; connecting to a real server that comes late and changes its password.

use super::*;
use crate::nats::testing::{self, Server};

#[test]
fn versions_are_compared_as_numbers() {
    assert_eq!(parse_version("2.11.0"), (2, 11, 0));
    assert_eq!(parse_version("v2.14.4-RC.1"), (2, 14, 4));
    assert_eq!(parse_version("2.9"), (2, 9, 0));
    assert!(parse_version("2.9.10") < SERVER_MIN);
    assert!(parse_version("2.15.1") > SERVER_RECOMMENDED);
    assert_eq!(parse_version(""), (0, 0, 0));
}

#[test]
fn the_delay_grows_to_its_bound() {
    assert_eq!(reconnect_delay(1), Duration::ZERO);
    assert_eq!(reconnect_delay(2), Duration::from_millis(100));
    assert_eq!(reconnect_delay(4), Duration::from_millis(400));
    assert_eq!(reconnect_delay(1000), Duration::from_secs(5));
}

#[tokio::test]
async fn what_waiting_cannot_heal_is_an_error() {
    let none = connect(ConnectOptions::default()).await.unwrap_err();
    assert!(matches!(none, ConnectError::NoServers));
    let bad = ConnectOptions { servers: vec!["nats://[".into()], ..Default::default() };
    assert!(matches!(connect(bad).await.unwrap_err(), ConnectError::Address(_)));
    let half = ConnectOptions {
        servers: vec!["nats://127.0.0.1:1".into()],
        tls: Tls { cert_file: Some("c.pem".into()), ..Default::default() },
        ..Default::default()
    };
    assert!(matches!(connect(half).await.unwrap_err(), ConnectError::CertificatePair));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_is_waited_for_and_secrets_are_read_again() {
    let Some(mut server) = Server::start() else { return };
    server.kill();
    let folder = tempfile::tempdir().unwrap();
    let password = folder.path().join("password");
    let options = ConnectOptions {
        servers: vec![format!("nats://{}", server.address())],
        auth: Credentials::UserPasswordFile { user: "u".into(), file: password.clone() },
        name: "test".into(),
        ..Default::default()
    };
    let connecting = tokio::spawn(connect(options.clone()));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!connecting.is_finished(), "waits for the password file and for the broker");
    server.up_with(&["--user", "u", "--pass", "first"]);
    std::fs::write(&password, "first\n").unwrap();
    let connection = connecting.await.unwrap().unwrap();
    assert_eq!((connection.generation(), connection.is_connected()), (1, true));

    std::fs::write(&password, "second\n").unwrap();
    server.kill();
    server.up_with(&["--user", "u", "--pass", "second"]);
    let mut again = connection.watch();
    tokio::time::timeout(Duration::from_secs(20), again.wait_for(|generation| *generation == 2))
        .await
        .expect("reconnects in time")
        .unwrap();
    testing::stream(&connection, "S", &["s.>"], serde_json::json!({})).await;

    std::fs::write(&password, "wrong\n").unwrap();
    let refused = connect_once(options).await.unwrap_err().to_string();
    assert!(refused.contains("the server refused our credentials"), "{refused}");
}
