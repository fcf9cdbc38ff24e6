//! The API over a real socket, with a host in memory behind it.

mod access;
mod changes;
mod fuzz;
mod page;
mod plugins;
mod reads;
mod routes;

use super::api::{ApiError, Settings, serve};
use super::testing::Memory;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A served API; dropping it stops it.
struct Api {
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
    _task: JoinHandle<Result<(), ApiError>>,
}

/// What came back.
struct Got {
    status: u16,
    head: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}{}", self.head, self.body))
    }

    /// A problem with this status that says all of this.
    fn is_problem(&self, status: u16, words: &[&str]) {
        assert_eq!(self.status, status, "{}{}", self.head, self.body);
        assert!(self.head.contains("content-type: application/problem+json\r\n"), "{}", self.head);
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_else(|| panic!("no detail: {problem}"));
        for word in words {
            assert!(detail.contains(word), "{word:?} is not in {detail:?}");
        }
    }
}

async fn start(memory: Arc<Memory>, settings: Settings) -> Api {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, memory, settings, async { drop(stopped.await) }));
    Api { address, _stop: stop, _task: task }
}

async fn open(entities: &[&str]) -> (Api, Arc<Memory>) {
    let memory = Memory::with(entities);
    (start(memory.clone(), Settings::default()).await, memory)
}

impl Api {
    async fn get(&self, path: &str) -> Got {
        self.ask("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, body: &str) -> Got {
        self.ask("POST", path, &["Content-Type: application/json"], body).await
    }

    /// With the host's own address as Host, unless the headers have one.
    async fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Got {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.to_ascii_lowercase().starts_with("host:")) {
            request.push_str(&format!("Host: {}\r\n", self.address));
        }
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.write_all(b"\r\n").await.unwrap();
        // A refusal may come before the body is taken, and the rest is then not taken at all.
        drop(stream.write_all(body.as_bytes()).await);
        read(&mut stream).await
    }
}

async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Got {
    let mut bytes = Vec::new();
    drop(stream.read_to_end(&mut bytes).await);
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    Got { status, head: format!("{head}\r\n"), body: body.to_owned() }
}
