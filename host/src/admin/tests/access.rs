//! Who may ask: tokens and their roles, Host and Origin, TLS, and that nothing is served to the network without them.

use super::{Got, Settings, open, read, start};
use crate::admin::api::{ApiError, serve};
use crate::admin::testing::Memory;
use crate::admin::tls;
use crate::admin::tokens::Tokens;
use std::path::Path;
use std::sync::Arc;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const PIPELINES: &str = "/api/v1/pipelines";
const PARK: &str = "/api/v1/pipelines/flights/entities/a/park";
const READ: &str = "Authorization: Bearer read-0123456789abcdef";
const OPERATE: &str = "authorization: bearer operate-0123456789ab";

fn tokens() -> Tokens {
    Tokens::parse(Path::new("tokens"), "ann operate operate-0123456789ab\nbob read read-0123456789abcdef\n").unwrap()
}

#[tokio::test]
async fn tokens_say_who_may_ask_and_who_may_change() {
    let memory = Memory::with(&["a"]);
    let api = start(memory.clone(), Settings::of(Some(tokens()), None, &[])).await;
    for headers in [
        &[][..],
        &["Authorization: Bearer"],
        &["Authorization: Bearer "],
        &["Authorization: Bearer wrong-0123456789abcdef"],
        &["Authorization: Basic cmVhZA=="],
        &["Authorization: read-0123456789abcdef"],
        &[READ, READ],
        &["Authorization: Bearer read-0123456789abcdeF"],
    ] {
        for path in [PIPELINES, "/nowhere", "/api/v1/openapi.json"] {
            let got = api.ask("GET", path, headers, "").await;
            got.is_problem(401, &["token"]);
            assert!(got.head.contains("www-authenticate: Bearer realm=\"seriatim\"\r\n"), "{}", got.head);
        }
        api.ask("POST", PARK, headers, "").await.is_problem(401, &["token"]);
    }
    for token in [READ, OPERATE] {
        assert_eq!(api.ask("GET", PIPELINES, &[token], "").await.status, 200);
    }
    api.ask("POST", PARK, &[READ], "").await.is_problem(403, &["\"bob\" may read", "operate"]);
    api.ask("DELETE", "/api/v1/pipelines/flights/entities/a", &[READ], "").await.is_problem(403, &["operate"]);
    assert!(memory.asked().is_empty());
    assert_eq!(api.ask("POST", PARK, &[OPERATE], "").await.status, 200);
    assert_eq!(memory.asked(), ["a Park"]);
}

#[tokio::test]
async fn no_web_page_asks_in_somebodys_name() {
    let (api, memory) = open(&["a"]).await;
    let port = api.address.port();
    for host in
        [format!("Host: localhost:{port}"), "Host: LOCALHOST".to_owned(), format!("Host: 127.0.0.1:{port}"), "Host: [::1]:1".to_owned()]
    {
        assert_eq!(api.ask("GET", PIPELINES, &[&host], "").await.status, 200, "{host}");
    }
    // A name that leads here for a while, of somebody else; an address of somebody else; none; two.
    for host in ["Host: evil.example", "Host: localhost.evil.example", "Host: 10.0.0.1", "Host: ", "Host: a b"] {
        let got = api.ask("GET", PIPELINES, &[host], "").await;
        // What is no Host at all is refused before anything of ours is asked.
        assert!(matches!(got.status, 400 | 403), "{host}: {}", got.head);
        assert!(!got.body.contains("flights"), "{}", got.body);
    }
    let two = ["Host: localhost", "Host: localhost"];
    assert_ne!(api.ask("GET", PIPELINES, &two, "").await.status, 200);
    api.ask("GET", PIPELINES, &["Host: evil.example"], "").await.is_problem(403, &["evil.example", "admin.hosts"]);
    let own = format!("Origin: http://127.0.0.1:{port}");
    assert_eq!(api.ask("POST", PARK, &[&own], "").await.status, 200);
    for origin in ["Origin: null", "Origin: http://evil.example", "Origin: http://127.0.0.1:1", "Origin: "] {
        api.ask("POST", PARK, &[origin], "").await.is_problem(403, &["another site"]);
    }
    api.ask("POST", PARK, &[&format!("Origin: https://127.0.0.1:{port}")], "").await.is_problem(403, &["another site"]);
    assert_eq!(memory.asked().len(), 1);
    assert_eq!(api.ask("OPTIONS", PARK, &[], "").await.status, 405);
}

#[tokio::test]
async fn further_names_are_those_of_the_config() {
    let api = start(Memory::with(&[]), Settings::of(None, None, &["seriatim.example.com"])).await;
    assert_eq!(api.ask("GET", PIPELINES, &["Host: Seriatim.example.com:1"], "").await.status, 200);
    assert_eq!(api.ask("GET", PIPELINES, &["Host: other.example.com"], "").await.status, 403);
}

#[tokio::test]
async fn the_network_is_not_served_without_tokens_and_encryption() {
    for settings in [Settings::default(), Settings::of(Some(tokens()), None, &[])] {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let refused = serve(listener, Memory::with(&[]), settings, std::future::pending()).await;
        assert!(matches!(refused, Err(ApiError::Open(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn others_are_answered_over_tls() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["seriatim.example.com".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let settings = Settings::of(Some(tokens()), Some(tls::acceptor(&cert, &key).unwrap()), &["seriatim.example.com"]);
    let api = start(Memory::with(&["a"]), settings).await;

    // One that never shakes hands is in nobody's way.
    let _idle = TcpStream::connect(api.address).await.unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots).with_no_client_auth();
    let ask = async |request: &str| -> Got {
        let stream = TcpStream::connect(api.address).await.unwrap();
        let name = ServerName::try_from("seriatim.example.com").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config.clone())).connect(name, stream).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        read(&mut stream).await
    };
    let end = "Host: seriatim.example.com\r\nConnection: close\r\n\r\n";
    assert_eq!(ask(&format!("GET {PIPELINES} HTTP/1.1\r\n{READ}\r\n{end}")).await.status, 200);
    ask(&format!("GET {PIPELINES} HTTP/1.1\r\n{end}")).await.is_problem(401, &["token"]);
    let origin = "Origin: https://seriatim.example.com\r\nContent-Length: 0\r\n";
    assert_eq!(ask(&format!("POST {PARK} HTTP/1.1\r\n{OPERATE}\r\n{origin}{end}")).await.status, 200);
    // Without TLS there is no answer.
    let mut plain = TcpStream::connect(api.address).await.unwrap();
    plain.write_all(format!("GET {PIPELINES} HTTP/1.1\r\n{READ}\r\n{end}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    drop(tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut answer).await);
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[test]
fn a_certificate_that_is_none_is_refused_by_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["a.example".to_owned()]).unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (cert, key) = (file("cert.pem", &made.cert.pem()), file("key.pem", &made.signing_key.serialize_pem()));
    let (empty, foreign) = (file("empty.pem", ""), file("foreign.pem", &other.signing_key.serialize_pem()));
    assert!(tls::acceptor(&cert, &key).is_ok());
    for (cert, key, said) in [
        (&empty, &key, "the certificate file"),
        (&cert, &empty, "the private key file"),
        (&folder.path().join("none"), &key, "none cannot be read"),
        (&cert, &foreign, "cannot be used with the key"),
    ] {
        let error = tls::acceptor(cert, key).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    }
}
